"""Knows what is on the shelves; answers over gRPC.

Run it with `python inventory.py [HOST:PORT]`.
"""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from inventory_pb2 import StockReply, StockRequest
from inventory_pb2_grpc import InventoryServicer, add_InventoryServicer_to_server

STOCK = {"apple": 12, "pear": 3}


class Inventory(InventoryServicer):
    def GetStock(self, request: StockRequest, context: grpc.ServicerContext) -> StockReply:  # noqa: N802 - named in the .proto
        if request.article not in STOCK:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no such article: {request.article}")
        return StockReply(left=STOCK[request.article])


def main(address: str = "127.0.0.1:50051") -> None:
    # Without so_reuseport=0, two servers can share a port, and each gets some of the other's calls.
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    add_InventoryServicer_to_server(Inventory(), server)
    server.add_insecure_port(address)
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop(grace=1).wait()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Unary gRPC calls, client and server in one process, of plain bytes."""

from __future__ import annotations

from concurrent import futures

import grpc

from benchmarks.workers.timing import Worker, in_threads, measured, plan_of, report


def _say(request: bytes, context: object) -> bytes:
    return request


def handlers() -> grpc.GenericRpcHandler:
    """The service."""
    return grpc.method_handlers_generic_handler("bench.Echo", {"Say": grpc.unary_unary_rpc_method_handler(_say)})


def main() -> None:
    """Measures the calls."""
    plan = plan_of(Worker(__doc__).parse_args())
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        say = channel.unary_unary("/bench.Echo/Say")
        report(measured(in_threads(lambda: say(b"hello"), 1), plan))
    server.stop(None).wait()


if __name__ == "__main__":
    main()

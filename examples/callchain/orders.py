"""Takes orders: asks the inventory for each article and tells the caller how it went.

Run it with `uvicorn orders:app --port 8001`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import grpc
import httpx
from fastapi import FastAPI, Request
from inventory_pb2 import StockRequest
from inventory_pb2_grpc import InventoryStub
from opentelemetry import trace
from pydantic import BaseModel

INVENTORY_ADDRESS = os.environ.get("INVENTORY_ADDRESS", "127.0.0.1:50051")

tracer = trace.get_tracer("orders")


class Order(BaseModel):
    articles: list[str]
    notify: str  # this address is told the outcome


class Outcome(BaseModel):
    ordered: list[str]
    unknown: list[str]


class Clients(TypedDict):
    inventory: InventoryStub
    http: httpx.AsyncClient


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[Clients]:
    async with grpc.aio.insecure_channel(INVENTORY_ADDRESS) as channel, httpx.AsyncClient() as http:
        yield {"inventory": InventoryStub(channel), "http": http}


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=201)
async def place(order: Order, request: Request) -> Outcome:
    with tracer.start_as_current_span("check stock"):
        known = await asyncio.gather(*(is_known(article, request.state.inventory) for article in order.articles))
    outcome = Outcome(ordered=[], unknown=[])
    for article, found in zip(order.articles, known, strict=True):
        (outcome.ordered if found else outcome.unknown).append(article)
    await request.state.http.post(order.notify, json=outcome.model_dump())
    return outcome


async def is_known(article: str, inventory: InventoryStub) -> bool:
    try:
        await inventory.GetStock(StockRequest(article=article), timeout=5)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        trace.get_current_span().add_event("unknown article", {"article": article})
        return False
    return True

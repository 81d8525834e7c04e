"""Warnings in FastAPI and Starlette handlers, sync and async, are attributed as plain."""
# $ python PROGRAM
# $ python -W always PROGRAM
# spans: 32

import warnings

from fastapi import FastAPI
from fastapi.testclient import TestClient

app = FastAPI()


@app.get("/async/{level}")
async def warn(level: int):
    warnings.warn(f"async {level}", UserWarning, stacklevel=level)
    return level


@app.get("/sync/{level}")
def warn_in_thread(level: int):
    warnings.warn(f"sync {level}", UserWarning, stacklevel=level)
    return level


class Middleware:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def sends(message):
            for level in range(1, 6):
                warnings.warn(f"send {level}", UserWarning, stacklevel=level)
            await send(message)

        for level in range(1, 6):
            warnings.warn(f"middleware {level}", UserWarning, stacklevel=level)
        await self.app(scope, receive, sends)


app.add_middleware(Middleware)
client = TestClient(app)
for level in range(1, 9):
    print(client.get(f"/async/{level}").text)
    print(client.get(f"/sync/{level}").text)

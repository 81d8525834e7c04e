"""Warnings inside of asynchronous clients and in tasks name the lines that they name plain."""
# $ python -W always PROGRAM
# $ python -X dev PROGRAM
# spans: 8

import asyncio
import os
import warnings

import httpx


async def main():
    asyncio.get_running_loop().slow_callback_duration = 60
    for level in range(1, 9):

        class Transport(httpx.AsyncHTTPTransport):
            async def handle_async_request(self, request):
                warnings.warn(f"level {level}", DeprecationWarning, stacklevel=level)
                return await super().handle_async_request(request)

        async with httpx.AsyncClient(transport=Transport()) as client:
            print((await client.get(os.environ["WEB"])).text)


asyncio.run(main())

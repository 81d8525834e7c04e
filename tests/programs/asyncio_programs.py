"""asyncio programs, with debug mode, cancellation, signal handlers, groups and executors, run as plain."""
# $ python PROGRAM
# $ python -X dev PROGRAM
# $ env PYTHONASYNCIODEBUG=1 TRACERUN python PROGRAM
# $ python -W error PROGRAM
# spans: 11

import asyncio
import contextvars
import os
import signal

import httpx
import requests

WEB = os.environ["WEB"]
current = contextvars.ContextVar("current", default="none")


async def get(client, n):
    current.set(n)
    text = (await client.get(f"{WEB}/200/{n}")).text
    return text, current.get()


async def main():
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 60
    print(loop.get_debug(), type(loop).__name__, len(asyncio.all_tasks()))
    async with httpx.AsyncClient() as client:
        print(await asyncio.gather(*(get(client, n) for n in range(4))))
        print(
            await asyncio.gather(*(get(client, n) for n in ("a", "b")), client.get("bad://x"), return_exceptions=True)
        )
        task = asyncio.create_task(client.get(WEB))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled", task.cancelled())
        try:
            await asyncio.wait_for(client.get(os.environ["SILENT"]), 0.05)
        except asyncio.TimeoutError:
            print("no answer")
    print(await loop.run_in_executor(None, lambda: requests.get(WEB).text))
    print(await asyncio.to_thread(lambda: (requests.get(WEB).text, current.get())))
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await stopped.wait()
    print(loop.remove_signal_handler(signal.SIGTERM), signal.getsignal(signal.SIGTERM), len(asyncio.all_tasks()))
    process = await asyncio.create_subprocess_exec("echo", "child", stdout=-1)
    print(await process.communicate(), current.get())


asyncio.run(main())
print(asyncio.get_event_loop_policy().__class__.__name__)

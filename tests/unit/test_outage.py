"""The look whether Redis is back ends with the service, whatever a library makes of a cancellation."""

import asyncio
import contextlib

from groundwork.caches.outage import Outage


def test_a_look_that_swallows_its_cancellation_does_not_hold_up_the_end() -> None:
    looked = asyncio.Event()

    async def stubborn() -> None:
        looked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        raise ConnectionError

    async def inside() -> None:
        outage = Outage("nothing is kept", stubborn, 0.01)
        outage.begin(ConnectionError())
        await looked.wait()
        await outage.close()
        outage.begin(ConnectionError())
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert all(task.done() for task in others)

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await inside()

    asyncio.run(bounded())
    assert looked.is_set()

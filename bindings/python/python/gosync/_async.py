"""Drives sources with an `async def fetch`: one event loop of its own, on a thread of its own, for each call.

The native module calls `fetch`, `cancel` and `close` from its threads; each returns at once.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from ._native import Request

# Longer ranges are fetched in pieces, so that memory stays bounded and the transfer starts early.
_PIECE = 1 << 20
# How long to wait before bytes are offered again that the library had no room for.
_PAUSE = 0.005


class Driver:
    """Answers the library's requests by awaiting the user's `fetch`."""

    def __init__(self, source: Any, parallel: int) -> None:
        self._source = source
        self._parallel = parallel or 4
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stopped: set[int] = set()
        self._ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._main()), name="gosync-fetch", daemon=True).start()
        self._ready.wait()

    def fetch(self, request: Request) -> None:
        self._loop.call_soon_threadsafe(self._start, request)

    def cancel(self, request_id: int) -> None:
        self._loop.call_soon_threadsafe(self._stop, request_id)

    def close(self) -> None:
        # Called after the last request was finished; perhaps from the loop's own thread, so nobody is waited for.
        self._loop.call_soon_threadsafe(self._closing.set)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        self._slots = asyncio.Semaphore(self._parallel)
        self._ready.set()
        await self._closing.wait()

    def _start(self, request: Request) -> None:
        self._tasks[request.id] = self._loop.create_task(self._answer(request))

    def _stop(self, request_id: int) -> None:
        task = self._tasks.get(request_id)
        if task is not None:
            self._stopped.add(request_id)
            task.cancel()

    async def _answer(self, request: Request) -> None:
        request_id = request.id
        try:
            await self._serve(request)
        except BaseException as error:
            # Nobody wants to know how a request ended that the library gave up.
            request.finish(None if request_id in self._stopped else error)
        else:
            request.finish(None)
        finally:
            del self._tasks[request_id]
            self._stopped.discard(request_id)

    async def _serve(self, request: Request) -> None:
        pieces: list[tuple[int, int]] = []
        for offset, length in request.ranges:
            if length is None:
                await self._to_end(request, offset)
                continue
            pieces += [(at, min(_PIECE, offset + length - at)) for at in range(offset, offset + length, _PIECE)]
        work = [self._loop.create_task(self._piece(request, at, size)) for at, size in pieces]
        try:
            await asyncio.gather(*work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _to_end(self, request: Request, offset: int) -> None:
        while True:
            count = await self._piece(request, offset, _PIECE)
            offset += count
            if count < _PIECE:
                return

    async def _piece(self, request: Request, offset: int, length: int) -> int:
        async with self._slots:
            data = await self._source.fetch(offset, length)
            while not request.supply(offset, data):
                await asyncio.sleep(_PAUSE)
        return memoryview(data).nbytes

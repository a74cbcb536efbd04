"""Threads for work that would block the event loop."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from starlette.responses import Response, StreamingResponse

_POOL = ThreadPoolExecutor(2, "apart")
"""Threads that compute; few enough to share the processor with the event loop."""
_WAITING_POOL = ThreadPoolExecutor(16, "insight")
"""Threads that mostly wait for the server."""
MAX_TASKS_PER_CALLER = 4
"""Maximum tasks of one caller that wait for the server at once; further ones are queued."""
CHUNK_BYTES = 64 * 1024

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *arguments: P.args, **others: P.kwargs) -> R:
    """Run a function in a thread and return its result.

    Raises:
        Exception: what the function raises.
    """
    return await asyncio.get_running_loop().run_in_executor(_POOL, lambda: function(*arguments, **others))


class TaskLimits:
    """Limits the tasks of each caller that wait for the server at once."""

    def __init__(self) -> None:
        self._semaphores: dict[str | None, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(MAX_TASKS_PER_CALLER)
        )
        self._waiting: dict[str | None, int] = defaultdict(int)

    async def in_thread(
        self, caller: str | None, function: Callable[P, R], *arguments: P.args, **others: P.kwargs
    ) -> R:
        """Run a function in a thread, within the caller's limit, and return its result.

        Raises:
            Exception: what the function raises.
        """
        self._waiting[caller] += 1
        try:
            async with self._semaphores[caller]:
                work = lambda: function(*arguments, **others)  # noqa: E731 - keywords need a closure
                return await asyncio.get_running_loop().run_in_executor(_WAITING_POOL, work)
        finally:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller], self._semaphores[caller]


async def json_of(make: Callable[[], object]) -> Response:
    """Return a JSON response that is created, encoded and sent without blocking the event loop."""
    return json_response(await in_thread(lambda: _json(make())))


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def json_response(body: bytes) -> Response:
    """Return a JSON response; a long one is sent in chunks, between which other requests are served."""
    if len(body) <= CHUNK_BYTES:
        return Response(body, media_type="application/json")
    return StreamingResponse(_chunks(body), media_type="application/json")


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), CHUNK_BYTES):
        yield body[begin : begin + CHUNK_BYTES]
        await asyncio.sleep(0)

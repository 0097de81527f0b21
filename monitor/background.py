"""What goes on beside everything else. Nobody waits for it, so that what it dies of is logged here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("monitor.background")


def begin(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Begin it. The caller keeps the task, and decides whether it is begun again."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_done)
    return task


def _done(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("%s failed: %s", task.get_name(), type(error).__name__, exc_info=error)


class OneAtATime:
    """Work of one kind, the next of which waits until the one before is done."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is going on."""
        return self._task is not None and not self._task.done()

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begin it; nothing else may be going on."""
        self._task = begin(work, name)

    async def settle(self) -> None:
        """Wait until nothing is going on. For stopping, and for tests."""
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)

"""Long work in slices: however much there is to judge, everybody else gets their turn within a tenth of a second."""

from __future__ import annotations

import asyncio
import time

SECONDS = 0.05  # after which a slice ends; what was begun is finished, and a post takes at most as long again


class Slice:
    """One slice of work on the loop, from when it is made or the loop was given back."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def is_over(self) -> bool:
        """Whether it is somebody else's turn."""
        return time.monotonic() - self._begun >= SECONDS

    async def give_back(self) -> None:
        """Let the loop do everything else for as long as this slice has taken: a page has to be sent meanwhile, in many steps."""
        await asyncio.sleep(min(time.monotonic() - self._begun, 2 * SECONDS))
        self._begun = time.monotonic()

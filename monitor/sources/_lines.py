"""Lines out of an endless answer, and how long to wait before asking for it again. No I/O.

Waits are those of docs.x.com (fundamentals, consuming streaming data), with a floor: a stream that opens and closes
in a loop must not use up the connections that X allows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from monitor.sources.interface import Trouble

MOST = 8 * 1024 * 1024  # bytes of a line; X's longest known is half a megabyte


class Lines:
    """Whole lines out of chunks that are cut anywhere. A longer line than `most` is cut short and said to be."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that this chunk ends, without their ends; empty ones are keep-alives."""
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._add(line)
            yield b"".join(self._parts).rstrip(b"\r")
            self._parts, self._size = [], 0
        self._add(rest)

    def _add(self, part: bytes) -> None:
        part = part[: max(0, self._most - self._size)]
        if part:
            self._parts.append(part)
            self._size += len(part)

    @property
    def unfinished(self) -> bytes:
        """What came since the last end of a line."""
        return b"".join(self._parts)


@dataclass
class Backoff:
    """How long to wait, by how often it failed in which way. Call `worked` only when a stream has lasted."""

    network: int = 0
    refused: int = 0
    limited: int = 0

    def seconds(self, trouble: Trouble | None, dice: random.Random) -> float:
        """After a failure (None: a clean end). The first time at once, then at least a second, with jitter."""
        if trouble is Trouble.RATE_LIMITED:
            self.limited += 1
            base = min(960.0, 60.0 * 2.0 ** min(self.limited - 1, 6))
        elif trouble in (None, Trouble.NETWORK):
            self.network += 1
            base = 0.0 if self.network == 1 else min(16.0, 1.0 + 0.25 * (self.network - 2) * (1 if self.network < 12 else 4))
        else:
            self.refused += 1
            base = min(320.0, 5.0 * 2.0 ** min(self.refused - 1, 7))
        return float(base * (1 + 0.2 * dice.random()))

    def worked(self) -> None:
        """It lasted: what failed before says nothing any more."""
        self.network = self.refused = self.limited = 0

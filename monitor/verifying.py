"""All of the audit chain, verified once a day, a little at a time. `status` goes on from where the daemon came to.

The mark of that is a row like others in the database: whoever may write there may set it too. So it only spares `status` time,
and every day begins at the first row. What a process has verified it remembers by itself, so that a chain made anew is found too.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor import chain, record
from monitor.chain import BEGINNING, Mark, Walk
from monitor.record import stamp
from monitor.store import Store

log = logging.getLogger("monitor.verifying")

EVERY = timedelta(days=1)
SECONDS = 0.03  # after which a slice begins no other block of rows; each takes a few milliseconds
_KEPT = "audit verified"


@dataclass(frozen=True, slots=True)
class Verified:
    """Up to where the chain held when all of it was last verified, when that was, and why it does not hold, or an empty string."""

    mark: Mark = BEGINNING
    at: datetime | None = None
    why: str = ""


def verified(store: Store) -> Verified:
    """What the daemon wrote down. Nothing is taken for verified where that cannot be read."""
    return record.remembered(store.kept(_KEPT), _read, Verified())


def _read(found: dict[str, Any]) -> Verified:
    mark = Mark(int(found["id"]), str(found["hash"]))
    if not 0 <= mark.id < 1 << 63:
        raise ValueError("no number of a row")
    return Verified(mark, record.utc(found["at"]), str(found["why"]))


def since_then(store: Store) -> str:
    """Why the chain does not hold, by what the daemon found and by the rows behind what it verified; or an empty string."""
    known = verified(store)
    wrong = chain.broken(store.sql, known.mark)
    return known.why or (_changed(wrong) if wrong is not None else "")


def _changed(number: int) -> str:
    return f"the audit chain is broken at row {number}: somebody changed the database"


class Verifying:
    """`look` is called every second. `broken` is told when the database cannot be written."""

    def __init__(self, store: Store, clock: Callable[[], datetime], broken: Callable[[sqlite3.Error], object]) -> None:
        self._store, self._clock, self._broken = store, clock, broken
        self._known = verified(store)
        self._walk: Walk | None = None
        self._rewritten = False

    async def look(self) -> None:
        """One slice, when a day has passed, on the loop: the connection is of its thread. Never raises."""
        now = self._clock()
        if self._walk is None and self._known.at and timedelta() <= now - self._known.at < EVERY:
            return
        try:
            self._go_on(self._walk or Walk(), now)
        except sqlite3.Error as error:
            self._broken(error)

    def _go_on(self, walk: Walk, now: datetime) -> None:
        self._walk, begun, known = walk, time.monotonic(), self._known.mark
        while time.monotonic() - begun < SECONDS:
            rows = walk.next(self._store.sql)
            self._rewritten = self._rewritten or any(row[0] == known.id and row[2] != known.hash for row in rows)
            if not rows:
                self._finish(walk, now)
                return

    def _finish(self, walk: Walk, now: datetime) -> None:
        """A row that was verified before and is another one, or gone, was changed with all that follows."""
        known = self._known.mark
        wrong = walk.broken()
        if wrong is None and (self._rewritten or walk.mark.id < known.id):
            wrong = known.id
        why = _changed(wrong) if wrong is not None else ""
        found = Verified(known if why else walk.mark, now, why)
        text = json.dumps({"id": found.mark.id, "hash": found.mark.hash, "at": stamp(now), "why": why})
        with self._store.transaction():
            self._store.keep(_KEPT, text)
            if why and why != self._known.why:
                self._store.audit(now, "monitor", "audit chain broken", "audit", why=why)
        self._known, self._walk, self._rewritten = found, None, False
        log.log(logging.CRITICAL if why else logging.INFO, "%s", why or f"the audit chain holds: {walk.mark.id} acts")

    def vitals(self, now: datetime) -> dict[str, object]:
        """By the names of `health.Vitals`."""
        at = self._known.at
        return {"chain": self._known.why, "well": {} if self._known.why or not at else {"chain": min(at, now)}}

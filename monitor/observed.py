"""What the edges notice in passing: what was billed, what was unlike the documentation, what time the platform has.

Kept in memory until `flush`, a few seconds later; a crash in between loses a few counts, which the next read of the same
posts counts again.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import statistics
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from monitor.incidents import Event
from monitor.model import Severity
from monitor.outbox import Outbox
from monitor.record import stamp
from monitor.sources.interface import Clock
from monitor.store import Store

log = logging.getLogger("monitor.observed")

MOST_TOLD = 20  # oddities that somebody is told of; more are counted
MOST_KEPT = 200  # with a sample each: X must not fill our disk with words that are always new
MOST_COUNTED = 10_000  # resources of a kind that are remembered as counted today; the database knows them all
NO_DATA = "an answer without data: "
_SAMPLE = 200_000  # bytes


@dataclass
class _Odd:
    """How often since the last flush, and the first one."""

    seen: int = 0
    sample: bytes = b""


@dataclass
class Observed:
    """See `Observer`. One for all edges of the daemon."""

    store: Store
    outbox: Outbox
    clock: Clock
    _new: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _known: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _odd: dict[str, _Odd] = field(default_factory=dict)
    _learnt: dict[str, str] = field(default_factory=dict)
    dated_at: datetime | None = None  # when the platform last said what time it is
    _offsets: deque[float] = field(default_factory=lambda: deque(maxlen=9))

    def billed(self, kind: str, identifiers: Iterable[str]) -> None:
        """Each counts once a UTC day."""
        key = (f"{self.clock().astimezone(UTC):%Y-%m-%d}", kind)
        if len(self._known.get(key, ())) > MOST_COUNTED:
            self._known[key].clear()
        if key not in self._known:  # a new day; what an earlier process counted is known to the store
            self._known = {k: v for k, v in self._known.items() if k[0] == key[0]} | {key: set()}
        fresh = set(identifiers) - self._known[key]
        if fresh:
            self._known[key] |= fresh
            self._new.setdefault(key, set()).update(fresh)

    def odd(self, what: str, sample: bytes) -> None:
        """Counted; the first of a kind is kept and told."""
        self._note(what, sample)

    def evidence(self, what: str, sample: bytes) -> None:
        """Counted; the first of a kind is kept."""
        self._note(f"{NO_DATA}{what}", sample)

    def _note(self, what: str, sample: bytes) -> None:
        if what in self._odd or len(self._odd) < MOST_KEPT:
            self._odd.setdefault(what, _Odd(0, sample[:_SAMPLE])).seen += 1

    def remember(self, name: str, value: str) -> None:
        """Written down with the next flush."""
        self._learnt[name] = value

    def recall(self, name: str) -> str:
        """Nothing where the database cannot be read: then it is learnt again."""
        with contextlib.suppress(sqlite3.Error):
            return self._learnt.get(name) or self.store.kept(name)
        return ""

    def dated(self, theirs: datetime) -> None:
        """Their clock, which has whole seconds."""
        self._offsets.append((theirs - self.clock()).total_seconds() + 0.5)
        self.dated_at = self.clock()

    @property
    def skew(self) -> float:
        """Seconds by which the platform's clock is ahead of ours: the median of the last answers."""
        return statistics.median(self._offsets) if len(self._offsets) >= 3 else 0.0

    def since_dated(self) -> timedelta | None:
        """How long ago the platform said what time it is; None before it has three times."""
        return self.clock() - self.dated_at if self.dated_at and len(self._offsets) >= 3 else None

    def flush(self) -> bool:
        """Write it down; whether somebody is told of something. Raises sqlite3.Error; what was not written stays for the next time."""
        if not self._new and not self._odd and not self._learnt:
            return False
        now = self.clock()
        told = False
        with self.store.transaction():
            for (day, kind), resources in self._new.items():
                self._bill(day, kind, resources)
            for what, odd in self._odd.items():
                told |= self._keep(what, odd, now)
            for name, value in self._learnt.items():
                self.store.keep(name, value)
        self._new, self._odd, self._learnt = {}, {}, {}
        return told

    def _bill(self, day: str, kind: str, resources: set[str]) -> None:
        before = self.store.sql.total_changes
        self.store.sql.executemany("INSERT OR IGNORE INTO billed VALUES(?, ?, ?)", [(day, kind, r) for r in resources])
        added = self.store.sql.total_changes - before
        self.store.sql.execute("DELETE FROM billed WHERE day < ?", [day])
        self.store.sql.execute(
            "INSERT INTO spending VALUES(?, ?, ?) ON CONFLICT(day, kind) DO UPDATE SET resources = resources + excluded.resources",
            [day, kind, added],
        )

    def _keep(self, what: str, odd: _Odd, now: datetime) -> bool:
        """Count it; tell of it the first time ever."""
        counted = "SELECT count(*), count(*) FILTER (WHERE what = ?), count(*) FILTER (WHERE what NOT LIKE ?) FROM oddities"
        known = self.store.sql.execute(counted, [what, f"{NO_DATA}%"]).fetchone()
        at = stamp(now)
        if not known[1] and known[0] >= MOST_KEPT:
            return False
        self.store.sql.execute(
            "INSERT INTO oddities VALUES(?, ?, ?, ?, ?) ON CONFLICT(what) DO UPDATE SET seen = seen + excluded.seen, last_at = excluded.last_at",
            [what, odd.seen, at, at, None if known[1] else self.store.keep_evidence(odd.sample, now)],
        )
        if known[1] or what.startswith(NO_DATA) or known[2] >= MOST_TOLD:
            return False
        log.warning("unlike the documentation: %s", what)
        reason = (
            f"X sent {what}. Its API may have changed; posts are still read, and what cannot be read pages. A sample is kept: "
            "send it to the maintainers, then resolve this"
        )
        self.outbox.happened(Event(f"drift:{what}", "X's API", Severity.NOTIFY, "Unlike the documentation", reason, now), now)
        return True


def days(store: Store) -> dict[str, dict[str, int]]:
    """How many resources of each kind were billed, by UTC day."""
    found: dict[str, dict[str, int]] = {}
    for row in store.sql.execute("SELECT day, kind, resources FROM spending ORDER BY day DESC LIMIT 1000"):
        found.setdefault(row["day"], {})[row["kind"]] = row["resources"]
    return found

"""What happens when somebody sets the clock, or the machine sleeps: nothing that has to happen waits for the other clock.

Times in the store and in memory are those of the wall clock, for people read them. A pulse compares it twice a second with a
clock that nobody sets. When the wall clock is set back, everything that lies ahead moves back with it: what was due in a
minute is due in a minute, a silence of an hour ends when its hour is over. When it is set forward, or after a sleep, what is
due is due at once. Across a restart the time since boot tells how far it was set; across a reboot a clock behind the last
time we knew was set back, by how much nobody knows: then no silence goes on.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor import record
from monitor.store import Store

NOTICED, LOGGED, TOLD = timedelta(seconds=0.5), timedelta(seconds=2), timedelta(seconds=30)
PAUSED = 5.0  # seconds between two pulses: we were stopped, or the machine was
PATIENCE = 600.0  # seconds in which only one step or pause excuses that nothing was read
REMEMBERED = 600.0  # seconds for which a step is a notice
_NAME = "clock"
_WAITING = (
    "UPDATE pages SET next_at = moved(next_at), fallback_at = moved(fallback_at), created_at = min(created_at, :now)"
    " WHERE state IN ('ready', 'sending', 'unknown')"
)
_OPEN = (
    "UPDATE incidents SET since = moved(since), held_until = moved(held_until), last_paged_at = moved(last_paged_at),"
    " acknowledged_at = moved(acknowledged_at), opened_at = min(opened_at, :now) WHERE state != 'resolved'"
)
_PULLED_IN = (
    _WAITING, _OPEN,
    "UPDATE silences SET starts_at = moved(starts_at), ends_at = moved(ends_at) WHERE ended_by = ''",
    "UPDATE accounts SET last_ok = moved(last_ok) WHERE last_ok > :now",  # what was read since has the new time already
    "UPDATE accounts SET failing_since = moved(failing_since) WHERE failing_since > :now",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """By how much the wall clock was set (forward is positive), and for how many seconds more than usual we did not run."""

    by: timedelta = timedelta()
    paused: float = 0.0


class Steps:
    """Compares the two clocks. `monotonic` is in seconds and does not count the machine's sleep."""

    def __init__(self) -> None:
        self._last: tuple[float, datetime] | None = None
        self._told: tuple[float, timedelta] | None = None
        self._excused: float | None = None
        self._first: float | None = None  # when we began to look
        self._unwritten: tuple[timedelta, ...] = ()  # steps that the database does not know yet

    def look(self, monotonic: float, wall: datetime) -> Step:
        """What happened since the last look."""
        before, self._last = self._last, (monotonic, wall)
        if before is None:
            self._first = monotonic
            return Step()
        passed = monotonic - before[0]
        by = wall - before[1] - timedelta(seconds=passed)
        if abs(by) > TOLD:
            self._told = monotonic, by
        if abs(by) > NOTICED:
            self._unwritten = (*self._unwritten, by)
        return Step(by if abs(by) > NOTICED else timedelta(), passed if passed > PAUSED else 0.0)

    def write(self, store: Store, now: datetime) -> None:
        """All steps that the database does not know yet, or none of them. Raises sqlite3.Error."""
        if not self._unwritten:
            return
        with store.transaction():
            for by in self._unwritten:
                if abs(by) > LOGGED:
                    store.audit(now, "monitor", "clock stepped", "clock", seconds=round(by.total_seconds(), 1))
            back = sum((by for by in self._unwritten), timedelta())
            if back < timedelta():
                pull_in(store, back, now)
        self._unwritten = ()

    def lately(self) -> float:
        """By how many seconds the clock was set in the last ten minutes, when that was worth telling; else 0."""
        if self._told is None or self._last is None or self._last[0] - self._told[0] > REMEMBERED:
            return 0.0
        return self._told[1].total_seconds()

    def vitals(self, now: datetime) -> dict[str, object]:
        """By the names of `health.Vitals`: that it was not set is known only after ten minutes of looking."""
        step = self.lately()
        quiet = not step and self._first is not None and self._last is not None and self._last[0] - self._first > REMEMBERED
        return {"step": step, "well": {"step": now} if quiet else {}}

    def excuses(self) -> bool:
        """Whether a step or a pause is a reason that nothing was read, and not the tenth in a row."""
        now = self._last[0] if self._last else 0.0
        if self._excused is not None and now - self._excused < PATIENCE:
            return False
        self._excused = now
        return True


def move(thing: object, by: timedelta, *names: str) -> None:
    """Move these times of a thing, those that are set."""
    for name in names:
        value = getattr(thing, name)
        if value is not None:
            setattr(thing, name, value + by)


# --- what is written down ------------------------------------------------------------------------------


def pull_in(store: Store, by: timedelta, now: datetime) -> None:
    """The clock was set back (`by` is negative): what lies ahead moves back with it, what has happened has happened by now."""

    def moved(text: str | None) -> str | None:
        try:
            moment = record.moment(text)
            return record.stamp(moment + by) if moment else None
        except (ValueError, OverflowError):  # whoever reads it sets its row aside; the others move
            return text

    store.sql.create_function("moved", 1, moved)
    at = {"now": record.stamp(now)}
    with store.transaction():
        for statement in _PULLED_IN:
            store.sql.execute(statement, at if ":now" in statement else {})


def remember(store: Store, now: datetime) -> None:
    """For the next start."""
    store.keep(_NAME, json.dumps([record.stamp(now), *_boot()]))


def since_last(store: Store, now: datetime) -> tuple[timedelta, bool]:
    """(by how much the clock was set back while we were away, whether that is known). Zero when it was not."""
    last = record.remembered(
        store.kept(_NAME), lambda kept: (datetime.fromisoformat(kept[0]).astimezone(UTC), str(kept[1]), float(kept[2])), None
    )
    if last is None:
        return timedelta(), True
    boot, up = _boot()
    known = bool(boot) and last[1] == boot
    by = now - last[0] - timedelta(seconds=up - last[2] if known else 0.0)
    return (by if by < -LOGGED else timedelta()), known


def _boot() -> tuple[str, float]:
    """Which boot this is, and the seconds since, sleep included."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return "", 0.0

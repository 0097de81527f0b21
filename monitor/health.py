"""What has been silent too long. Pure: it is told the time and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.incidents import Event
from monitor.model import Severity

_AT_ONCE = ("credits",)  # waiting does not bring money back
_AFTER_A_FEW = ("credentials", "gone", "rejected")  # one-off storms of these happened
_FEW = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading one account has gone."""

    key: str
    name: str
    last_ok: datetime | None
    failing_since: datetime | None
    failures: int
    error: str
    trouble: str

    @property
    def platform(self) -> str:
        """The first part of the key."""
        return self.key.split(":")[0]


def limit(poll_seconds: float) -> timedelta:
    """How long an account may stay unread before that is a finding."""
    return timedelta(seconds=max(60.0, 6 * poll_seconds))


def blind(reading: Reading, now: datetime, started: datetime, poll_seconds: float) -> str:
    """Why the account counts as unwatched, or an empty string."""
    since = max(reading.last_ok or started, started)
    last = f"last read {reading.last_ok:%H:%M:%S} UTC" if reading.last_ok else "never read so far"
    at_once = reading.trouble in _AT_ONCE and reading.failures > 0
    lasting = reading.trouble in _AFTER_A_FEW and reading.failures >= _FEW
    if at_once or lasting or now - since > limit(poll_seconds):
        return f"{reading.error or 'no poll has finished'}; {last}"
    return ""


@dataclass(frozen=True, slots=True)
class Blindness:
    """What nobody watches now, as one incident: a platform's accounts, or one that is gone."""

    subject: str
    names: tuple[str, ...]
    why: str

    def event(self, now: datetime) -> Event:
        """As something to page about. The names ride along as the incident's hosts."""
        name = self.names[0] if len(self.names) == 1 else f"{len(self.names)} accounts"
        listed = ", ".join(self.names[:10]) + (" and others" if len(self.names) > 10 else "")
        reason = f"{self.why}. Until this is mended a hijack of {listed} would page nobody"
        return Event(self.subject, name, Severity.PAGE, "Not being watched", reason, now, self.names)


def blindness(readings: tuple[Reading, ...], now: datetime, started: datetime, seconds: dict[str, float]) -> tuple[Blindness, ...]:
    """One for every platform that cannot be read, one for every account that is gone by itself.

    An outage of X with fifty accounts is one page, not fifty.
    """
    found: dict[str, Blindness] = {}
    for reading in readings:
        why = blind(reading, now, started, seconds.get(reading.platform, 5))
        subject = f"blind:{reading.key}" if reading.trouble == "gone" else f"blind:{reading.platform}"
        if why and subject not in found:
            alike = (r for r in readings if r.platform == reading.platform and r.trouble != "gone" and r.failures)
            names = (reading.name,) if reading.trouble == "gone" else tuple(dict.fromkeys([reading.name, *(r.name for r in alike)]))
            found[subject] = Blindness(subject, names, why)
    return tuple(found.values())


def recovered(names: tuple[str, ...], opened_at: datetime, readings: tuple[Reading, ...], now: datetime) -> str:
    """What to say when all of them have been read since, or an empty string."""
    theirs = [r for r in readings if r.name in names]
    if not all(r.last_ok and r.last_ok > opened_at and not r.failures for r in theirs):
        return ""
    return f"Being read again since {now:%H:%M:%S} UTC; everything posted in between has been read and judged"


def progressing(polls: dict[str, datetime], tick: datetime, overdue: int, now: datetime, poll_seconds: float) -> str:
    """Why the watchdog must not be fed, or an empty string.

    A poll counts when it has finished, well or badly: a restart cures a stuck program, not a
    platform that is down (that is an incident of its own).
    """
    stuck = [key for key, finished in polls.items() if now - finished > limit(poll_seconds)]
    if stuck:
        return f"no poll of {stuck[0]} has finished in time"
    if now - tick > timedelta(seconds=30):
        return "the pager has not run for 30 s"
    return f"{overdue} page(s) overdue and not being tried" if overdue else ""

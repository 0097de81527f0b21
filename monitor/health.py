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


def limit(poll_seconds: float) -> timedelta:
    """How long an account may stay unread before that is a finding."""
    return timedelta(seconds=max(60.0, 6 * poll_seconds))


def blind(reading: Reading, now: datetime, started: datetime, poll_seconds: float) -> str:
    """Why the account counts as unwatched, in a sentence, or an empty string."""
    since = max(reading.last_ok or started, started)
    last = f"last read {reading.last_ok:%H:%M:%S} UTC" if reading.last_ok else "never read so far"
    at_once = reading.trouble in _AT_ONCE and reading.failures > 0
    lasting = reading.trouble in _AFTER_A_FEW and reading.failures >= _FEW
    if at_once or lasting:
        return f"{reading.error}; {last}. Until this is mended a hijack of {reading.name} would page nobody."
    if now - since > limit(poll_seconds):
        cause = reading.error or "no poll has finished"
        return f"{cause}; {last}. Until this is mended a hijack of {reading.name} would page nobody."
    return ""


def blind_event(reading: Reading, why: str, now: datetime) -> Event:
    """The blindness as something to page about."""
    return Event(f"blind:{reading.key}", reading.name, Severity.PAGE, "Not being watched", why, now)


def recovered(opened_at: datetime, reading: Reading, now: datetime) -> str:
    """What to say when the account can be read again."""
    since = reading.failing_since or opened_at
    return f"Being read again since {now:%H:%M:%S} UTC; what was posted since {since:%H:%M:%S} UTC has been read and judged."


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

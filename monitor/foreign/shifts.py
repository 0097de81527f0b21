"""Whose shift it is, from an iCalendar schedule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from monitor.foreign.bounds import Bounds, ForeignError, counted

MOST_WORDS = 5_000  # of an event: looking for addresses in it must stay quick
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
USER = re.compile(r"\b[UW](?=[A-Z]*\d)[A-Z0-9]{6,20}\b")  # with a digit: UPDATE and WEEKEND are words
_TOO_OFTEN = ("SECONDLY", "MINUTELY")


def read(body: bytes, bounds: Bounds, *, now: str) -> Iterator[str]:
    """Addresses or Slack ids of whoever's shift covers `now` (ISO 8601)."""
    text = body.decode("utf-8", "replace")
    for _ in counted(text.splitlines(), bounds):
        pass
    yield from on_call(text, datetime.fromisoformat(now))


def on_call(text: str, now: datetime) -> tuple[str, ...]:
    """From attendees, else from the words of the event. A series is expanded for this one second only.

    Raises ForeignError for a series that repeats within the hour, which no shift does, ValueError for what is no calendar.
    """
    import icalendar
    import recurring_ical_events

    calendar = icalendar.Calendar.from_ical(text)
    for part in calendar.walk():
        for key in ("RRULE", "EXRULE"):
            rules = part.get(key, [])
            for rule in rules if isinstance(rules, list) else [rules]:
                _check(rule)
    found: list[str] = []
    for event in recurring_ical_events.of(calendar).between(now, now + timedelta(seconds=1)):
        attendees = event.get("ATTENDEE", [])
        asked = " ".join(str(a) for a in (attendees if isinstance(attendees, list) else [attendees]))
        said = " ".join(str(event.get(key, ""))[:MOST_WORDS] for key in ("SUMMARY", "DESCRIPTION"))
        found += _EMAIL.findall(asked) or _EMAIL.findall(said) or USER.findall(said)
    return tuple(dict.fromkeys(name.lower() if "@" in name else name for name in found))


def _check(rule: Any) -> None:
    often = [f for f in _listed(rule, "FREQ") if str(f).upper() in _TOO_OFTEN]
    many = [key for key in ("BYMINUTE", "BYSECOND") if len(_listed(rule, key)) > 1]
    if often or many:
        what = f"FREQ={often[0]}" if often else f"several values of {many[0]}"
        raise ForeignError(f"a series repeats within the hour ({what}): shifts last longer, and expanding it takes for ever")


def _listed(rule: Any, key: str) -> list[Any]:
    value = rule.get(key, []) if hasattr(rule, "get") else []
    return value if isinstance(value, list) else [value]

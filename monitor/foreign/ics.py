"""Lines of an iCalendar file (RFC 5545): its events, each by itself, so that one that is broken loses nothing else.

Only the properties that say whose shift it is and when are taken, and each is bounded before anything looks into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

LONGEST = 1_000  # characters of one property: more than any name, address or sentence has
_LONGER = {"EXDATE": 60_000, "RDATE": 60_000, "RRULE": 2_000}  # lists of times
MOST_ATTENDEES = 500
_TAKEN = {
    "UID", "DTSTART", "DTEND", "DURATION", "RRULE", "EXRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "SEQUENCE", "STATUS", "SUMMARY",
    "ATTENDEE", "ORGANIZER", "DTSTAMP", "LAST-MODIFIED",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9-]{1,60}(?=[;:])")
_QUOTED = r'"(?:[^"]|"(?![;:,]))*"(?=[;:,])'  # a quotation mark inside: CN="Ben "the pager" Lee"
_PARAMETER = re.compile(rf';([A-Za-z0-9-]{{1,60}})=((?:{_QUOTED}|[^";:,]*)(?:,(?:{_QUOTED}|[^";:,]*))*)')
_SPOILT = {
    "ATTENDEE",
    "ORGANIZER",
    "RECURRENCE-ID",
    "EXDATE",
    "RDATE",
    "DTSTAMP",
    "LAST-MODIFIED",
}  # whoever reads these asks whether they are whole


@dataclass(frozen=True)
class Property:
    """One line: `params` by their names in capitals, quotes taken away. `whole` unless something before its value was not understood."""

    name: str
    params: dict[str, str]
    value: str
    whole: bool = True


@dataclass
class Event:
    """The properties of one VEVENT, in order; `why` when it cannot be used."""

    calendar: int
    properties: list[Property] = field(default_factory=list)
    why: str = ""

    def first(self, name: str) -> Property | None:
        """The property of this name."""
        return next((p for p in self.properties if p.name == name), None)

    def every(self, name: str) -> list[Property]:
        """All of this name."""
        return [p for p in self.properties if p.name == name]

    def word(self, name: str) -> str:
        """The value of the property in capitals; empty where it has none."""
        found = self.first(name)
        return found.value.strip().upper() if found else ""

    @property
    def title(self) -> str:
        """Its summary, short enough for a line of a log."""
        found = self.first("SUMMARY")
        return plain(found.value)[:60] if found else "an event without a summary"


@dataclass
class File:
    """Events of one file. `zones` are the VTIMEZONEs, by their TZID; `named` and `methods` belong to a calendar by its number."""

    events: list[Event] = field(default_factory=list)
    zones: dict[str, list[str]] = field(default_factory=dict)
    named: dict[int, str] = field(default_factory=dict)
    methods: dict[int, str] = field(default_factory=dict)
    calendars: int = 0


def decoded(body: bytes) -> str:
    """The text of a file. Lines may be folded inside a letter of several bytes: they are joined first."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    return re.sub(rb"\r?\n[ \t]", b"", body).decode("utf-8-sig", "replace")


def plain(value: str) -> str:
    """A text without its escapes, in one line."""
    return " ".join(re.sub(r"\\([\\;,nN])", lambda m: " " if m[1] in "nN" else m[1], value).split())


def read(text: str) -> File:
    """Never raises."""
    found, inside, lines = File(), [""], re.sub(r"\r?\n[ \t]", "", text)
    event: Event | None = None
    for line in re.split(r"\r\n|\n|\r", lines):
        begin, end = _marker(line, "BEGIN:"), _marker(line, "END:")
        if begin == "VEVENT":
            _ended(event, "it has no end")
            event, inside = Event(found.calendars), ["VCALENDAR", "VEVENT"]
            found.events.append(event)
        elif begin:
            found.calendars += begin == "VCALENDAR"
            inside = ["VCALENDAR"] if begin == "VCALENDAR" else [*inside[:20], begin]
        elif end == "VEVENT":
            event, inside = None, ["VCALENDAR"]
        elif end:
            inside = inside[:-1] or [""]
        elif event and inside[-1] == "VEVENT":
            _add(event, line)
        elif inside[-1] == "VCALENDAR":
            _head(found, line)
        if "VTIMEZONE" in inside or end == "VTIMEZONE":
            _zone(found, line, begin)
    _ended(event, "it has no end")
    found.zones = {name: block for block in found.zones.values() for name in _named(block)}
    return found


def _ended(event: Event | None, why: str) -> None:
    if event:
        event.why = event.why or why


def _marker(line: str, word: str) -> str:
    return line[len(word) :].strip().upper() if line[: len(word)].upper() == word else ""


def _head(found: File, line: str) -> None:
    one = parsed(line[:LONGEST])
    if one and one.name == "X-WR-TIMEZONE":
        found.named[found.calendars] = one.value.strip()
    elif one and one.name == "METHOD":
        found.methods[found.calendars] = one.value.strip().upper()


def _zone(found: File, line: str, begin: str) -> None:
    if begin == "VTIMEZONE":
        found.zones[str(len(found.zones))] = []
    block = next(reversed(found.zones.values()), None)
    if block is not None and len(block) < 2_000:
        block.append(line[:LONGEST])


def _named(block: list[str]) -> Iterator[str]:
    for line in block:
        one = parsed(line)
        if one and one.name == "TZID":
            yield one.value.strip()


def _add(event: Event, line: str) -> None:
    name = (_NAME.match(line) or [""])[0].upper()
    if name not in _TAKEN:
        return
    longest = _LONGER.get(name, LONGEST)
    if name == "ATTENDEE" and len(event.every(name)) >= MOST_ATTENDEES:
        event.why = event.why or f"it has more than {MOST_ATTENDEES} attendees"
    elif name == "ATTENDEE" and len(line) > longest:
        event.properties.append(Property(name, {}, "", whole=False))  # no address is so long
    elif len(line) > longest:
        event.why = event.why or f"its {name} is longer than {longest:,} characters"
    elif (one := parsed(line)) and (one.whole or name in _SPOILT):
        event.properties.append(one)
    else:
        event.why = event.why or f"its {name} cannot be read"


def parsed(line: str) -> Property | None:
    """A line that is a property; None where it has no name or no value."""
    found = _NAME.match(line)
    if not found:
        return None
    params: dict[str, str] = {}
    at, whole = found.end(), True
    while one := _PARAMETER.match(line, at):
        value = one[2].strip('"').strip()
        whole = whole and params.setdefault(one[1].upper(), value) == value
        at = one.end()
    rest = line[at:]
    if rest.startswith(":"):
        return Property(found[0].upper(), params, rest[1:], whole)
    value = rest.rpartition("mailto:")[2] if "mailto:" in rest else rest.partition(":")[2]
    return Property(found[0].upper(), params, value, whole=False)

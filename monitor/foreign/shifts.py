"""Whose shift it is, from an iCalendar schedule. Only a person of whom the schedule says so is named; else the group is woken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any

from monitor.foreign import ics
from monitor.foreign.bounds import Bounds, ForeignError, counted
from monitor.foreign.ics import Event, Property, plain
from monitor.foreign.summary import ADDRESS, called_off, named
from monitor.foreign.zones import zone

MOST_NOTES = 20
_TIME = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
_LASTS = re.compile(r"\+?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?")
_ON = {"CONFIRMED", "TENTATIVE"}  # whatever else a STATUS says, nobody is on shift
_PERSON = {"", "INDIVIDUAL", "UNKNOWN"}  # a CUTYPE; all others are rooms and groups
_ON_SHIFT = {  # whatever else an attendee says, they are not on shift
    "PARTSTAT": {"", "ACCEPTED", "TENTATIVE", "CONFIRMED", "NEEDS-ACTION", "NEEDS ACTION"},
    "ROLE": {"", "CHAIR", "REQ-PARTICIPANT", "OPT-PARTICIPANT", "ATTENDEE", "OWNER"},
}


@dataclass(frozen=True)
class Found:
    """`names` are addresses in small letters and Slack ids; `notes` say what was skipped, and why nobody is named."""

    names: tuple[str, ...]
    notes: tuple[str, ...]


def read(body: bytes, bounds: Bounds, *, now: str, home: str = "") -> Iterator[str | dict[str, str]]:
    """Names as `look` gives them, then notes, each {"note": sentence}."""
    for _ in counted(body.splitlines(), bounds):
        pass
    found = look(ics.decoded(body), datetime.fromisoformat(now), home)
    yield from found.names
    yield from ({"note": note} for note in found.notes)


def look(text: str, now: datetime, home: str = "") -> Found:
    """Whoever's shift covers `now`. A time without a zone is one of the calendar's X-WR-TIMEZONE, else of `home`, else of UTC.

    Raises ForeignError where no event at all can be read.
    """
    file = ics.read(text)
    looking = _Looking(file, now, home)
    names = [name for event, master in looking.covering() for name in looking.people(event, master)]
    if file.events and looking.broken == len(file.events):
        raise ForeignError(looking.notes[0])
    if not file.calendars:
        raise ForeignError("it is no calendar")
    return Found(tuple(dict.fromkeys(names)), tuple(dict.fromkeys([*looking.of_nobody, *looking.notes]))[:MOST_NOTES])


class _Looking:
    """One look at a file."""

    def __init__(self, file: ics.File, now: datetime, home: str) -> None:
        self._file, self._now, self._home = file, now, home
        self._made: dict[str, tzinfo | None] = {}
        self.of_nobody: list[str] = []
        self.notes: list[str] = []
        self.broken = 0

    def covering(self) -> Iterator[tuple[Event, Event]]:
        """Events, or instances of series, that last over now, each with the master of its series.

        What is broken is noted, and its neighbours are read.
        """
        series: dict[str, list[Event]] = {}
        for number, event in enumerate(self._file.events):
            uid = event.first("UID")
            series.setdefault(f"{event.calendar} {uid.value}" if uid else f"event {number}", []).append(event)
        for events in series.values():
            yield from self._of_series(events)

    def _of_series(self, events: list[Event]) -> Iterator[tuple[Event, Event]]:
        good = [event for event in _newest(events) if self._is_good(event)]
        instances = [event for event in good if event.first("RECURRENCE-ID")]
        masters = [event for event in good if not event.first("RECURRENCE-ID")]
        for master in masters:
            if instances or master.first("RRULE") or master.first("RDATE"):
                yield from ((one, master) for one in self._expanded([master, *instances]))
            elif self._covers(master):
                yield master, master
        if not masters:
            yield from ((one, one) for one in instances if self._covers(one))

    def _is_good(self, event: Event) -> bool:
        why = event.why or next(filter(None, (_too_often(rule) for rule in event.every("RRULE") + event.every("EXRULE"))), "")
        if not why:
            try:
                self._times(event)
            except (ValueError, OverflowError) as error:
                why = str(error)
        if why:
            self._skip(event, why)
        return not why

    def _skip(self, event: Event, why: str) -> None:
        self.broken += 1
        self.notes.append(f"“{event.title}” was skipped: {why[:160]}")

    def _covers(self, event: Event) -> bool:
        start, end = self._times(event)
        return start <= self._now < end

    def _times(self, event: Event) -> tuple[datetime, datetime]:
        """Raises ValueError where the event has none that make sense."""
        begins, ends, lasts = event.first("DTSTART"), event.first("DTEND"), event.first("DURATION")
        if begins is None:
            raise ValueError("it has no DTSTART")
        start = self._moment(begins, begins.value, event)
        whole_days = "T" not in begins.value
        if ends:
            end = self._moment(ends, ends.value, event)
            if whole_days and end == start:
                end += timedelta(days=1)
        elif lasts:
            end = start + _duration(lasts.value)
        else:
            end = start + timedelta(days=1) if whole_days else start
        if end < start:
            raise ValueError("it ends before it begins")
        return start, end

    def _moment(self, one: Property, value: str, event: Event) -> datetime:
        """A date is its first second, at home."""
        found = _TIME.fullmatch(value.strip())
        try:
            moment = datetime.fromisoformat(f"{found[1]}T{found[2] or '000000'}") if found else None
        except ValueError:
            moment = None
        if found is None or moment is None:
            raise ValueError(f"its {one.name} is no time")
        return moment.replace(tzinfo=UTC if found[3] else self._zone(one, event))

    def _zone(self, one: Property, event: Event) -> tzinfo:
        """The zone that a time names, else the calendar's, else the configured one, else UTC."""
        named = one.params.get("TZID", "")
        for name, whose in (
            (named, f"the zone {named!r} of “{event.title}”"),
            (self._file.named.get(event.calendar, ""), "the calendar's zone"),
        ):
            found = self._resolved(name) if name else None
            if found:
                return found
            if name:
                self.notes.append(f"{whose[:120]} is not known")
        home = self._resolved(self._home) if self._home else None
        if home is None:
            self.notes.append("times without a zone are taken for UTC: set `zone` in [oncall]")
        return home or UTC

    def _resolved(self, name: str) -> tzinfo | None:
        if name not in self._made:
            block = self._file.zones.get(name)
            self._made[name] = zone(name, _windows()) or (_defined(block) if block else None)
        return self._made[name]

    def _expanded(self, events: list[Event]) -> Iterator[Event]:
        """The instances of a series that last over now. Expanded for this one second only."""
        import icalendar
        import recurring_ical_events

        calendar = icalendar.Calendar()
        try:
            for number, event in enumerate(events):
                calendar.add_component(self._rebuilt(event, number))
            found = recurring_ical_events.of(calendar).between(self._now, self._now + timedelta(seconds=1))
            now = [one for one in found if one["DTSTART"].dt <= self._now < one["DTEND"].dt]
            yield from [events[int(one["X-NUMBER"])] for one in now]
        except Exception as error:  # noqa: BLE001 - whatever a library raises about one series
            self.broken += len(events) - 1
            self._skip(events[0], f"its series cannot be read ({type(error).__name__})")

    def _rebuilt(self, event: Event, number: int) -> Any:
        """The event's times alone, every one with its zone."""
        import icalendar

        start, end = self._times(event)
        made = icalendar.Event()
        for name, value in (("UID", "series"), ("X-NUMBER", str(number)), ("DTSTART", start), ("DTEND", end)):
            made.add(name, value)
        whole_days = "T" not in (event.first("DTSTART") or Property("", {}, "")).value
        for one in event.properties:
            if one.name in ("RRULE", "EXRULE"):
                made.add(one.name, icalendar.vRecur.from_ical(_until(one.value, start)))
            elif one.name in ("RDATE", "EXDATE"):
                made.add(one.name, [self._instance(one, value, event, start, whole_days=whole_days) for value in one.value.split(",")])
            elif one.name == "RECURRENCE-ID":
                after = {"RANGE": "THISANDFUTURE"} if one.params.get("RANGE", "").upper() == "THISANDFUTURE" else {}
                made.add(one.name, self._instance(one, one.value, event, start, whole_days=whole_days), parameters=after)
        return made

    def _instance(self, one: Property, value: str, event: Event, start: datetime, *, whole_days: bool) -> datetime:
        """Which instance a property means. A bare date is the one of that day; of whole days the date alone counts."""
        if whole_days:
            value = value.strip()[:8]
        moment = self._moment(one, value.split("/")[0], event)
        return moment if "T" in value or whole_days else datetime.combine(moment.date(), start.timetz())

    def people(self, event: Event, master: Event) -> list[str]:
        """Whom an event that lasts over now names."""
        states = {one.value.strip().upper() for one in event.every("STATUS") or master.every("STATUS")}
        summary = event.first("SUMMARY")
        words = plain(summary.value) if summary else ""
        if not states <= _ON or self._file.methods.get(event.calendar) == "CANCEL":
            return []
        if off := called_off(words):
            self.of_nobody.append(f"the shift “{event.title}” names nobody now: its title says “{off}”")
            return []
        asked, said_no = _asked(event)
        found = asked or ([] if "" in said_no else [name for name in named(words) if name not in said_no])
        if "" in said_no:
            self.notes.append(f"somebody who was asked to the shift “{event.title}” is left out: an ATTENDEE cannot be read")
        elif not found:
            why = "whoever was asked declined" if said_no else "its words name nobody in a form that is understood"
            self.of_nobody.append(f"the shift “{event.title}” names nobody now: {why}")
        return found


def _newest(events: list[Event]) -> list[Event]:
    """Of several versions of an event, or of one instance of it, those of the highest SEQUENCE."""
    highest: dict[str, int] = {}
    numbered = []
    for event in events:
        instance, sequence = event.first("RECURRENCE-ID"), event.word("SEQUENCE")
        key = instance.value if instance else ""
        number = int(sequence) if re.fullmatch(r"[0-9]{1,9}", sequence) else 0
        highest[key] = max(number, highest.get(key, 0))
        numbered.append((key, number, event))
    return [event for key, number, event in numbered if number == highest[key]]


def _asked(event: Event) -> tuple[list[str], set[str]]:
    """(attendees who are on shift, those who are not: an empty name is somebody whose line cannot be read).

    Rooms and groups are nobody; who organizes a shift of others is not on it.
    """
    on, off = [], set()
    organizer = event.first("ORGANIZER")
    people = [(_address(one), one) for one in event.every("ATTENDEE") if one.params.get("CUTYPE", "").upper() in _PERSON]
    others = {name for name, _ in people if name} - {_address(organizer) if organizer else ""}
    for name, one in people:
        if not one.whole or (not name and "@" in one.value):  # CN=Lee; Ann or CN=Ann: Lee, without quotation marks
            off |= {name, ""}
        elif any(one.params.get(key, "").upper() not in words for key, words in _ON_SHIFT.items()):
            off.add(name)
        elif name in others or (name and not others):
            on.append(name)
    return [name for name in on if name not in off], off


def _address(one: Property) -> str:
    """The address of an attendee, or an empty string."""
    for text in (one.value, one.params.get("EMAIL", "")):
        found = re.fullmatch(rf"(?:mailto:)?\s*({ADDRESS})", text.strip(), re.IGNORECASE)
        if found:
            return found[1].lower()
    return ""


def _too_often(rule: Property) -> str:
    """Why a rule is refused: shifts last longer than an hour, and expanding it takes for ever."""
    parts = [part.partition("=") for part in rule.value.upper().replace(" ", "").split(";")]
    often = [value for key, _, value in parts if key == "FREQ" and value in ("SECONDLY", "MINUTELY")]
    many = [key for key, _, value in parts if key in ("BYMINUTE", "BYSECOND") and "," in value]
    what = f"FREQ={often[0]}" if often else f"several values of {many[0]}" if many else ""
    return f"it repeats within the hour ({what})" if what else ""


def _until(rule: str, start: datetime) -> str:
    """UNTIL as RFC 5545 wants it: in UTC. A date is its day at the hour of the series."""

    def in_utc(match: re.Match[str]) -> str:
        found = _TIME.fullmatch(match[1].strip())
        if not found or found[3]:
            return match[0]
        moment = datetime.fromisoformat(f"{found[1]}T{found[2] or start.strftime('%H%M%S')}").replace(tzinfo=start.tzinfo)
        return f"UNTIL={moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    return re.sub(r"UNTIL=([^;]*)", in_utc, rule, flags=re.IGNORECASE)


def _duration(value: str) -> timedelta:
    found = _LASTS.fullmatch(value.strip().upper())
    if not found:
        raise ValueError("its DURATION is none")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


@cache
def _windows() -> dict[str, str]:
    from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

    return {name.lower(): iana for name, iana in WINDOWS_TO_OLSON.items()}


def _defined(block: list[str]) -> tzinfo | None:
    """A zone as the calendar defines it. Its rules are yearly, or it is none."""
    import icalendar

    rules = [line.upper() for line in block if line.upper().startswith(("RRULE", "EXRULE"))]
    if any("FREQ=YEARLY" not in rule for rule in rules):
        return None
    try:
        parsed: Any = icalendar.Timezone.from_ical("\r\n".join([*block, ""]))
        made: tzinfo = parsed.to_tz()
    except Exception:  # noqa: BLE001 - whatever a library raises about a zone
        return None
    return made

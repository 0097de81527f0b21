"""Whose shift it is, from an iCalendar schedule. Only a person of whom the schedule says so is named; else the group is woken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, partial
from typing import Any

from monitor.foreign import ics
from monitor.foreign.bounds import Bounds, ForeignError, counted
from monitor.foreign.ics import Event, Property, plain
from monitor.foreign.series import TIME, Place, Series, days, too_often
from monitor.foreign.summary import ADDRESS, called_off, named, not_on_shift
from monitor.foreign.zones import zone

MOST_NOTES = 20
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
    if file.events and len(looking.broken) == len(file.events):
        raise ForeignError(looking.broken[0])
    if not file.calendars:
        raise ForeignError("it is no calendar")
    return Found(tuple(dict.fromkeys(names)), tuple(dict.fromkeys([*looking.of_nobody, *looking.notes]))[:MOST_NOTES])


@dataclass(frozen=True)
class _Instance:
    """One shift of a series told by itself. `times` are its own; None where it is broken or cancelled, and nobody is on it."""

    event: Event
    places: list[Place]
    times: tuple[datetime, datetime] | None

    @property
    def first_of_many(self) -> bool:
        """Whether all shifts after it were changed as well."""
        return any(one.params.get("RANGE", "").upper() == "THISANDFUTURE" for one in self.event.every("RECURRENCE-ID"))


class _Looking:
    """One look at a file."""

    def __init__(self, file: ics.File, now: datetime, home: str) -> None:
        self._file, self._now, self._home = file, now, home
        self._made: dict[str, tzinfo | None] = {}
        self.of_nobody: list[str] = []
        self.notes: list[str] = []
        self.broken: list[str] = []

    def covering(self) -> Iterator[tuple[Event, Event]]:
        """Events, or instances of series, that last over now, each with the master of its series.

        What is broken is noted, and its neighbours are read.
        """
        series: dict[str, list[Event]] = {}
        for number, event in enumerate(self._file.events):
            uid = event.first("UID")
            series.setdefault(f"uid {uid.value.strip()}" if uid else f"event {number}", []).append(event)
        for events in series.values():
            yield from self._of_series(events)

    def _of_series(self, events: list[Event]) -> Iterator[tuple[Event, Event]]:
        masters = self._newest([event for event in events if not event.first("RECURRENCE-ID")])
        series = [(master, one) for master in masters if self._is_good(master) and (one := self._expanded(master))]
        instances = [self._instance(event) for event in events if event.first("RECURRENCE-ID")]
        without = [place for master, _ in series for one in master.every("EXDATE") for place in self._places(one, master)]

        def begins(moment: datetime) -> bool:
            return not series or any(one.begins(moment) for _, one in series)

        def is_newest(one: _Instance) -> bool:
            same = [other.event for other in instances if any(a.same(b, begins) for a in one.places for b in other.places)]
            return not same or one.event in self._newest(same)

        later = [one for one in instances if one.first_of_many and is_newest(one)]
        for master, one in series:
            try:
                for speaks in self._of_rules(master, one, [*without, *(place for each in instances for place in each.places)], later):
                    yield speaks, master
            except Exception as error:  # noqa: BLE001 - whatever a library raises about one series
                self._skip(master, f"its series cannot be read ({type(error).__name__})")
        for instance in instances:
            if not instance.times or not instance.times[0] <= self._now < instance.times[1] or not is_newest(instance):
                continue
            if not any(place.same(out, begins) for place in instance.places for out in without):
                yield instance.event, masters[0] if masters else instance.event

    def _of_rules(self, master: Event, series: Series, gone: list[Place], later: list[_Instance]) -> Iterator[Event]:
        """Who speaks for the shifts of a series that last over now: its master, or the instance from which on all were changed."""
        changed = sorted(((one.places[0].origin(series.start), one) for one in later if one.places), key=lambda pair: pair[0])
        reach = max([abs(one.times[0] - at) + (one.times[1] - one.times[0]) for at, one in changed if one.times], default=timedelta())
        for start, end in series.around(self._now, reach):
            past = [pair for pair in changed if pair[0] < start]
            if any(place.means(start, series.begins) for place in gone):
                continue
            if not past:
                if start <= self._now < end:
                    yield master
            elif times := past[-1][1].times:
                moved = start + (times[0] - past[-1][0])
                if moved <= self._now < moved + (times[1] - times[0]):
                    yield past[-1][1].event

    def _instance(self, event: Event) -> _Instance:
        """What is broken or cancelled leaves its series like all others, and names nobody."""
        places = [place for one in event.every("RECURRENCE-ID") for place in self._places(one, event)]
        begins = event.first("DTSTART")
        if begins and not places:  # its RECURRENCE-ID says nothing
            places = self._places(begins, event)
        good = not self._is_off(event, event) and self._is_good(event)
        return _Instance(event, places, self._times(event) if good else None)

    def _places(self, one: Property, event: Event) -> list[Place]:
        """Where an EXDATE or RECURRENCE-ID is in its series. A broken one means the days that can be found in it."""
        found = []
        for value in filter(str.strip, one.value.split(",")):
            named, moment = list(days(value)), None
            try:
                if not named or not re.fullmatch(r"\s*\d{8}\s*", value):
                    moment = self._moment(one, value.partition("/")[0], event)
            except (ValueError, OverflowError) as error:
                self.notes.append(f"“{event.title}”: {error}: {value.strip()[:40]}")
            found += [Place(day, moment) for day in named]
        return found

    def _newest(self, events: list[Event]) -> list[Event]:
        """Of several versions of an event those of the highest SEQUENCE, of these the latest by DTSTAMP, then by LAST-MODIFIED.

        One that does not say may be the newest. Where several are left, a cancelled one wins.
        """
        for version in (_sequence, partial(_stamp, name="DTSTAMP"), partial(_stamp, name="LAST-MODIFIED")):
            numbered = [(version(event), event) for event in events]
            newest = max((number for number, _ in numbered if number), default="")
            events = [event for number, event in numbered if number in (None, newest)]
        return [event for event in events if self._is_off(event, event)] or events

    def _is_off(self, event: Event, master: Event) -> bool:
        states = {one.value.strip().upper() for one in event.every("STATUS") + master.every("STATUS")}
        return not states <= _ON or self._file.methods.get(event.calendar) == "CANCEL"

    def _is_good(self, event: Event) -> bool:
        why = event.why or next(filter(None, (too_often(rule.value) for rule in event.every("RRULE") + event.every("EXRULE"))), "")
        if not why:
            try:
                self._times(event)
            except (ValueError, OverflowError) as error:
                why = str(error)
        if why:
            self._skip(event, why)
        return not why

    def _skip(self, event: Event, why: str) -> None:
        self.broken.append(f"“{event.title}” was skipped: {why[:160]}")
        self.notes.append(self.broken[-1])

    def _times(self, event: Event) -> tuple[datetime, datetime]:
        """Raises ValueError where the event has none that make sense."""
        begins, ends, lasts = event.first("DTSTART"), event.first("DTEND"), event.first("DURATION")
        if begins is None:
            raise ValueError("it has no DTSTART")
        start = self._moment(begins, begins.value, event)
        whole_days = "T" not in begins.value.upper()
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
        found = TIME.fullmatch(value.strip().upper()) if one.whole else None
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

    def _expanded(self, master: Event) -> Series | None:
        start, end = self._times(master)
        rules, but = ([one.value for one in master.every(name)] for name in ("RRULE", "EXRULE"))
        try:
            return Series(start, end, rules, but, self._also(master, start))
        except Exception as error:  # noqa: BLE001 - whatever a library raises about one series
            self._skip(master, f"its series cannot be read ({type(error).__name__})")
            return None

    def _also(self, master: Event, start: datetime) -> Iterator[tuple[datetime, datetime | None]]:
        """The RDATEs of a series, those that are periods with their own end. A bare date is at the hour of the series."""
        for one in master.every("RDATE"):
            for value in filter(str.strip, one.value.split(",")):
                begins, _, ends = value.upper().partition("/")
                try:
                    moment = self._moment(one, begins, master)
                    if "T" not in begins:
                        moment = datetime.combine(moment.date(), start.timetz())
                    yield moment, (moment + _duration(ends) if "P" in ends else self._moment(one, ends, master)) if ends else None
                except (ValueError, OverflowError) as error:
                    self.notes.append(f"“{master.title}”: {error}: {value.strip()[:40]}")

    def people(self, event: Event, master: Event) -> list[str]:
        """Whom an event that lasts over now names."""
        if self._is_off(event, master):
            return []
        words, series = (" ".join(plain(one.value) for one in each.every("SUMMARY")) for each in (event, master))
        asked, said_no = _asked(event)
        if off := called_off(words) or called_off(series) or (asked and (not_on_shift(words) or not_on_shift(series))):
            self.of_nobody.append(f"the shift “{event.title}” names nobody now: its title says “{off}”")
            return []
        found = asked or ([] if "" in said_no else [name for name in named(words) if name not in said_no])
        if "" in said_no:
            self.notes.append(f"somebody who was asked to the shift “{event.title}” is left out: an ATTENDEE cannot be read")
        elif not found:
            why = (
                "whoever was asked declined"
                if said_no
                else "its title does not say who in a form that is understood, like “Social on-call: ann@acme.example”"
            )
            self.of_nobody.append(f"the shift “{event.title}” names nobody now: {why}")
        return found


def _sequence(event: Event) -> str | None:
    word = event.word("SEQUENCE") or "0"
    return f"{int(word):09}" if re.fullmatch(r"[0-9]{1,9}", word) else None


def _stamp(event: Event, name: str) -> str | None:
    found = TIME.fullmatch(event.word(name))
    return f"{found[1]}{found[2] or ''}" if found else None


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

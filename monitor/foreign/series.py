"""When the shifts of a series begin and end (RFC 5545), and which of them an exception or an instance means, however it is spelt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

TIME = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
_DAY = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})")
_ELSEWHERE = timedelta(hours=14)  # no zone is further from UTC: what begins no shift was written in another zone
_LONGEST = timedelta(days=20_000)
_MARGIN = timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """Where in its series an EXDATE or a RECURRENCE-ID is: the day as it is written, and the moment where there is a readable one."""

    day: date
    moment: datetime | None

    def means(self, start: datetime, begins: Callable[[datetime], bool]) -> bool:
        """Whether it is the shift that begins at `start`.

        A day is every shift of that day. So is a moment at which no shift begins, with all that are near enough to be that moment in
        another zone: rather a shift of nobody, which wakes the group, than one of somebody who handed it over.
        """
        if self.moment is None:
            return start.date() == self.day
        away = abs(start - self.moment)
        return not away or ((away <= _ELSEWHERE or start.date() == self.day) and not begins(self.moment))

    def same(self, other: Place, begins: Callable[[datetime], bool]) -> bool:
        """Whether both mean one shift."""
        if self.moment is None and other.moment is None:
            return self.day == other.day
        return any(one.means(moment, begins) for one, moment in ((self, other.moment), (other, self.moment)) if moment)

    def origin(self, first: datetime) -> datetime:
        """Its moment; of a day the hour at which the series begins."""
        return self.moment or datetime.combine(self.day, first.timetz())


def days(value: str) -> Iterator[date]:
    """Every date in a text."""
    for found in _DAY.finditer(value):
        try:
            yield date(*map(int, found.groups()))
        except ValueError:
            continue


class Series:
    """An event with its rules and additional dates, each of these with an end of its own or None. Raises ValueError for a bad rule."""

    def __init__(
        self, start: datetime, end: datetime, rules: Iterable[str], but: Iterable[str], also: Iterable[tuple[datetime, datetime | None]]
    ) -> None:
        from dateutil.rrule import rruleset

        self.start, self._lasts = start, end - start
        self._rules, ended = rruleset(cache=True), []
        for rule in rules:
            text = _until(rule, start)
            self._rules.rrule(self._rule(text))
            until = re.search(r"UNTIL=(\w+)", text)
            ended.append(until is not None and until[1] < f"{start.astimezone(UTC):%Y%m%dT%H%M%SZ}")
        for rule in but:
            self._rules.exrule(self._rule(_until(rule, start)))
        also = [(one.astimezone(start.tzinfo), until) for one, until in also]
        for moment in [one for one, _ in also] + ([] if ended and all(ended) else [start]):
            self._rules.rdate(moment)
        self._ends = {one: until for one, until in also if until}

    def _rule(self, text: str) -> object:
        from dateutil.rrule import rrulestr

        return rrulestr(f"RRULE:{text}", dtstart=self.start)

    def begins(self, moment: datetime) -> bool:
        """Whether one of its shifts begins then. An hour that happens twice is the first of both."""
        there = moment.astimezone(self.start.tzinfo)
        return not there.fold and there in self._rules

    def around(self, now: datetime, reach: timedelta) -> Iterator[tuple[datetime, datetime]]:
        """Its shifts that last over `now` or would if they were moved by up to `reach`: beginning and end of each."""
        lasts = max(self._lasts, *(end - start for start, end in self._ends.items()), timedelta())
        reach, lasts = min(reach, _LONGEST), min(lasts, _LONGEST)
        for start in self._rules.between(now - lasts - reach - _MARGIN, now + reach + _MARGIN, inc=True):
            yield start, self._ends.get(start, start + self._lasts)


def too_often(rule: str) -> str:
    """Why a rule is refused: shifts last longer than an hour, and expanding it takes for ever."""
    parts = [part.partition("=") for part in rule.upper().replace(" ", "").split(";")]
    often = [value for key, _, value in parts if key == "FREQ" and value in ("SECONDLY", "MINUTELY")]
    many = [key for key, _, value in parts if key in ("BYMINUTE", "BYSECOND") and "," in value]
    what = f"FREQ={often[0]}" if often else f"several values of {many[0]}" if many else ""
    return f"it repeats within the hour ({what})" if what else ""


def _until(rule: str, start: datetime) -> str:
    """A rule without blanks, its UNTIL as RFC 5545 wants it: in UTC. A date is its day at the hour of the series."""

    def in_utc(match: re.Match[str]) -> str:
        found = TIME.fullmatch(match[1])
        if not found or found[3]:
            return match[0]
        moment = datetime.fromisoformat(f"{found[1]}T{found[2] or start.strftime('%H%M%S')}").replace(tzinfo=start.tzinfo)
        return f"UNTIL={moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    return re.sub(r"UNTIL=([^;]*)", in_utc, "".join(rule.upper().split()))

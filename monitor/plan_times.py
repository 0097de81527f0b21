"""The times of a plan: zones, moments and windows, as people write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor.plan import PlanError, Reading

_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ T]+(.*))?$")


def zone_named(name: str) -> tzinfo:
    """Raises PlanError for a zone that this machine does not know."""
    try:
        return UTC if name.upper() in ("UTC", "Z") else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PlanError(f"--zone: found {name!r}, expected a name like Europe/Berlin or UTC") from error


def with_date_order(path: Path, rows: list[tuple[int, Any]], how: Reading) -> Reading:
    """Refuse a file whose slashed dates can be read both ways; one clear date decides for all."""
    dates = [m for _, r in rows if isinstance(r, dict) for k in ("when", "until") if (m := _SLASHED.match(str(r.get(k, "")).strip()))]
    if how.dates or not dates:
        return how
    dmy = all(int(m[2]) <= 12 for m in dates)
    mdy = all(int(m[1]) <= 12 for m in dates)
    if dmy == mdy:
        what = "can be read as day/month and as month/day" if dmy else "fit neither day/month nor month/day throughout"
        raise PlanError(f"{path}: the dates (like {dates[0][0]}) {what}; say which with --dates dmy or --dates mdy")
    return Reading(how.accounts, how.account, how.zone, "dmy" if dmy else "mdy", how.early, how.late, how.days)


def window(row: Mapping[str, Any], how: Reading, now: datetime) -> tuple[datetime, datetime]:
    """When a row's post may appear. Raises ValueError."""
    when = str(row.get("when", "")).strip()
    if not when:
        return now, now + timedelta(days=how.days)
    clock = str(row.get("time", "")).strip()
    joined = f"{when} {clock}" if clock and clock != when and not re.search(r"\d:\d", when) else when
    start = moment(joined, how)
    until = str(row.get("until", "")).strip()
    if not until:
        return start - how.early, start + how.late
    end = moment(until, how)
    if end <= start:
        raise ValueError(f"the window ends ({until}) before it begins ({when})")
    return start, end


def shown_window(start: datetime, end: datetime, zone: tzinfo | None = None) -> str:
    """Both ends with their dates in the zone asked for, else in UTC."""
    first, last = (one.astimezone(zone or UTC) for one in (start, end))
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} {zone or 'UTC'}"


def moment(text: str, how: Reading) -> datetime:
    """A time as people write it, in UTC. Raises ValueError saying what is missing."""
    slashed = _SLASHED.match(text)
    when = _slashed(slashed, how.dates) if slashed else _iso(text)
    if when.tzinfo is not None:
        return when.astimezone(UTC)
    if how.zone is None:
        raise ValueError(f"{text!r} names no time zone; give --zone, for example --zone Europe/Berlin")
    local = when.replace(tzinfo=how.zone)
    if local.astimezone(UTC).astimezone(how.zone).replace(tzinfo=None) != when:
        raise ValueError(f"{text!r} does not exist in {how.zone}: the clocks change then")
    return local.astimezone(UTC)


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("  ", " "))
    except ValueError:
        raise ValueError(f"time: found {text!r}, expected YYYY-MM-DD HH:MM, ISO 8601 or a slashed date with --dates") from None


def _slashed(match: re.Match[str], order: str) -> datetime:
    first, second, year = int(match[1]), int(match[2]), int(match[3])
    if not order:
        raise ValueError(f"{match[0]!r} can be read two ways; say which with --dates dmy or --dates mdy")
    day, month = (first, second) if order == "dmy" else (second, first)
    clock = (match[4] or "00:00").strip()
    for form in ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M%p"):
        try:
            return datetime.combine(date(year, month, day), datetime.strptime(clock, form).time())  # noqa: DTZ007 - only the time of day is taken
        except ValueError:
            continue
    date(year, month, day)
    raise ValueError(f"time: found {clock!r}, expected HH:MM")

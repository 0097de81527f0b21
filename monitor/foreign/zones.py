"""Names of time zones as calendars write them: IANA's, Windows', Rails', quoted, with a prefix, or a number of hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])(\d{1,2})(?::?(\d{2}))?")
_PREFIX = re.compile(r"^\(?(?:UTC|GMT)\s*(?:[+-]\d{1,2}:?\d{2})?\)\s*")
_COUNTRIES = re.compile(r"\s*\((?:US (?:&|and) Canada|Canada|US)\)$", re.IGNORECASE)


def zone(name: str, windows: Mapping[str, str]) -> tzinfo | None:
    """The zone of this name, or None. `windows` holds Windows' names in small letters."""
    name = _PREFIX.sub("", name.strip().strip("\"'").strip().replace("\\,", ","))[:100]
    short = _COUNTRIES.sub("", name)  # Pacific Time (US & Canada)
    for one in (name, *_tails(name), windows.get(name.lower()), windows.get(re.sub(r"(?i) time$", " standard time", short).lower())):
        if one and (found := _iana(one)):
            return found
    fixed = _OFFSET.fullmatch(name)
    if fixed and int(fixed[2]) < 15 and int(fixed[3] or 0) < 60:
        away = timedelta(hours=int(fixed[2]), minutes=int(fixed[3] or 0))
        return timezone(away if fixed[1] == "+" else -away)
    return None


def _tails(name: str) -> list[str]:
    """What may be IANA's name behind a maker's: /mozilla.org/20050126_1/Europe/Berlin."""
    parts = [part for part in name.split("/") if part]
    return ["/".join(parts[-n:]) for n in (3, 2) if len(parts) > n] if name.startswith("/") else []


def _iana(name: str) -> tzinfo | None:
    known = _known().get(name.lower().replace(" ", "_"))
    return ZoneInfo(known) if known else None


@cache
def _known() -> dict[str, str]:
    """IANA's names in small letters, and cities of only one of them (Berlin)."""
    found: dict[str, str] = {}
    cities: dict[str, list[str]] = {}
    for name in sorted(available_timezones()):
        found[name.lower()] = name
        if name.startswith(("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Pacific/")):
            cities.setdefault(name.rpartition("/")[2].lower(), []).append(name)
    return {city: names[0] for city, names in cities.items() if len(names) == 1} | found

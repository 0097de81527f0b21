"""Names of time zones as calendars and plans write them: IANA's, Windows', Rails', quoted, with a prefix, or a number of hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_OFFSET = re.compile(r"(?:UTC|GMT|Z)?\s*([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)
_PREFIX = re.compile(r"^\(?(?:UTC|GMT)\s*(?:[+-]\d{1,2}:?\d{2})?\)\s*")
_COUNTRIES = re.compile(r"\s*\((?:US (?:&|and) Canada|Canada|US)\)$", re.IGNORECASE)


def zone(name: str, windows: Mapping[str, str]) -> tzinfo | None:
    """The zone of this name, or None. `windows` holds Windows' names in small letters."""
    name = _PREFIX.sub("", name.strip().strip("\"'").strip().replace("\\,", ","))[:100]
    short = _COUNTRIES.sub("", name)  # Pacific Time (US & Canada)
    for one in (name, *_tails(name), windows.get(name.lower()), windows.get(re.sub(r"(?i) time$", " standard time", short).lower())):
        if one and (found := named(one) or named(_cities().get(one.lower().replace(" ", "_"), ""))):
            return found
    return offset(name)


def offset(name: str) -> timezone | None:
    """What `+01:00`, `UTC-5` and their kind say: at most 14 hours, as no place is further away."""
    found = _OFFSET.fullmatch(name)
    away = timedelta(hours=int(found[2]), minutes=int(found[3] or 0)) if found and int(found[3] or 0) < 60 else timedelta(days=1)
    return timezone(away if found[1] == "+" else -away) if found and away <= timedelta(hours=14) else None


def _tails(name: str) -> list[str]:
    """What may be IANA's name behind a maker's: /mozilla.org/20050126_1/Europe/Berlin."""
    parts = [part for part in name.split("/") if part]
    return ["/".join(parts[-n:]) for n in (3, 2) if len(parts) > n] if name.startswith("/") else []


def named(name: str) -> ZoneInfo | None:
    """The zone that has this name with IANA, in whatever case."""
    known = names().get(name.lower().replace(" ", "_"))
    return ZoneInfo(known) if known else None


@cache
def names() -> dict[str, str]:
    """IANA's names by themselves in small letters."""
    return {name.lower(): name for name in sorted(available_timezones())}


@cache
def _cities() -> dict[str, str]:
    """Names of zones by their city in small letters, where only one has it (berlin)."""
    found: dict[str, list[str]] = {}
    for name in names().values():
        if name.startswith(("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Pacific/")):
            found.setdefault(name.rpartition("/")[2].lower(), []).append(name)
    return {city: among[0] for city, among in found.items() if len(among) == 1}

"""How a registration is stored: its words are packed into one cell of its row, what queries ask for has columns, times that they only sort
by are numbers. Rows of earlier versions have columns for all of it, and stay as they are. Nobody else knows.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor import packing, record
from monitor.model import ApprovedPost
from monitor.record import Row, moment, stamp

_WORDS = ("text", "links", "pictures", "alt", "shown", "conversation", "author")  # of which a redaction leaves a digest
_GONE = _WORDS[:5]  # and nothing else: whose posts it let pass stays
_PACKED = (*_WORDS, "approved_by", "registered_by", "registrant", "via")  # in this order, as the dictionary was trained
_LISTS = ("links", "pictures", "alt", "shown")
_NUMBERS = {
    "not_before": ("opens", ""),
    "used_at": ("used", None),
}  # which column has it as microseconds since 1970, and what is left in its own
UNREADABLE = (ValueError, RecursionError, OverflowError)  # what a damaged cell or number raises
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
SOONEST = "coalesce(opens, CAST(strftime('%s', not_before) AS INT) * 1000000)"  # what to sort by

log = logging.getLogger("monitor.store")


def columns(said: Mapping[str, object]) -> dict[str, object]:
    """What to write so that a row says this, by the names that `whole` has. What belongs into the cell and is not said is empty."""
    cell = json.dumps([said.get(name, _usual(name)) for name in _PACKED], ensure_ascii=False).encode()
    rest: dict[str, Any] = {name: value for name, value in said.items() if name not in _PACKED}
    for name, (column, empty) in _NUMBERS.items():
        if name in said:
            when = moment(rest.pop(name))
            rest |= {name: empty, column: number(when) if when else None}
    return rest | dict.fromkeys(_PACKED, "") | {"packed": packing.pack(cell, packing.ROWS)}


def _usual(name: str) -> str:
    return "[]" if name in _LISTS else ""


def number(when: datetime) -> int:
    """A time as the columns `opens` and `used` have it."""
    return (when - _EPOCH) // _MICROSECOND


def whole(row: Row) -> dict[str, Any]:
    """All that a row says, by the names of the columns that the first versions had for it. Raises UNREADABLE."""
    said = _opened(row)
    for name, (column, _) in _NUMBERS.items():
        if (value := said.pop(column)) is not None:
            said[name] = (_EPOCH + value * _MICROSECOND).isoformat(timespec="microseconds")  # as `stamp`, in a third of its time
    return said


def _opened(row: Row) -> dict[str, Any]:
    said = dict(zip(row.keys(), row, strict=True))  # dict(row) would look for each name among all
    if (packed := said.pop("packed")) is None:
        return said
    found = json.loads(packing.unpack(packed).decode())
    if not (isinstance(found, list) and len(found) == len(_PACKED) and set(map(type, found)) == {str}):
        raise packing.DamagedError(f"it holds something else than {len(_PACKED)} texts")
    said.update(zip(_PACKED, found, strict=True))
    return said


def may_say(row: Row, needles: Iterable[str]) -> bool:
    """Whether it is worth parsing for one of these, see `escaped`. Raises packing.DamagedError."""
    if row["packed"] is None:
        return True
    raw = packing.unpack(row["packed"]).decode()
    return any(needle in raw or needle in row["used_by"] for needle in needles)


def escaped(needles: Iterable[str]) -> list[str]:
    """As they stand beside the cell, and in it: there a text is JSON, also one that is JSON itself."""
    return [*dict.fromkeys(one for needle in needles for one in (needle, json.dumps(needle, ensure_ascii=False)[1:-1]))]


def read(row: Row) -> ApprovedPost:
    """Raises whatever a damaged row makes of it."""
    return record.approved(whole(row))


def readable(row: Row) -> dict[str, Any]:
    """As `whole`, and of a row that cannot be read what can be, with the digest of its cell."""
    try:
        return whole(row)
    except UNREADABLE:
        cell = row["packed"] or b""
        return dict(row) | {"packed": f"{len(cell)} bytes, SHA-256 {hashlib.sha256(cell).hexdigest()}"}


def redacted(row: Row) -> tuple[dict[str, object], str]:
    """(What to write in place of what it said, the digest of that.)"""
    try:
        said = _opened(row)
    except UNREADABLE:  # damaged: no reason to keep it
        log.exception("registration %s could not be read, and goes all the same", row["id"])
        return columns({}), hashlib.sha256(row["packed"]).hexdigest()
    return columns({name: said[name] for name in _PACKED if name not in _GONE}), record.digest({name: said[name] for name in _WORDS})


def mended(row: Row, now: datetime) -> dict[str, object]:
    """What to write in place of what cannot be read, so that the rest can be."""
    said = readable(row)
    return columns({name: said[name] for name in _PACKED if name not in _LISTS} | {"not_before": stamp(now), "used_at": None})

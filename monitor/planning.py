"""What comms plan with, read: JSON lines or CSV with a header, by an alias table.

Nothing is guessed: a date that can be read two ways, a time without a zone or an account we do not
watch is a bad row with its reason, and a bad row stops no other row.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor import references
from monitor.foreign.bounds import ForeignError
from monitor.foreign.sandbox import Sandbox
from monitor.model import Kind
from monitor.plan import Bad, Elsewhere, NotApprovedError, Plan, PlanError, PlanFile, Reading
from monitor.plan_times import moment, window, with_date_order, zone_named
from monitor.planned_media import shown_media

__all__ = [
    "Bad",
    "Elsewhere",
    "Plan",
    "PlanError",
    "PlanFile",
    "Reading",
    "account_named",
    "kind_named",
    "moment",
    "parts_of",
    "read",
    "zone_named",
]

RESERVED = ("approved:", "slack:")  # what was approved after the fact, what was filled in in Slack
MOST_TEXT = 25_000  # X's own limit

_REFUSED = ("false", "no", "0", "draft", "pending", "rejected", "not approved", "unapproved", "n")
_PLATFORM_WORDS = ("x", "twitter", "x (twitter)", "twitter/x")
_PART = re.compile(r"%\|%|\|\||^-{3,}\r?$", re.MULTILINE)
_SEVERAL = re.compile(r"[,;|\s]+")


def read(path: Path, how: Reading, now: datetime) -> PlanFile:
    """Every row with its line number (1 is the first after a header). Raises PlanError."""
    try:
        found = asyncio.run(Sandbox().read("plan", str(path), path, name=str(path)))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror})") from error
    except ForeignError as error:
        raise PlanError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error
    rows = [(int(number), row if isinstance(row, dict) else Bad(str(row))) for number, row in found]
    how = with_date_order(path, rows, how)
    return PlanFile(tuple((number, _understood(row, how, now) if isinstance(row, Mapping) else row) for number, row in rows))


def _understood(row: Mapping[str, Any], how: Reading, now: datetime) -> Plan | Bad:
    try:
        return _plan(row, how, now)
    except (ValueError, TypeError, OverflowError) as error:
        return Bad(str(error), _own_id(row), isinstance(error, NotApprovedError))


def _plan(row: Mapping[str, Any], how: Reading, now: datetime) -> Plan:
    """Raises ValueError with the reason."""
    if "status" in row and str(row["status"]).strip().lower() in _REFUSED:
        raise NotApprovedError(f"status is {row['status']!r}: not approved")
    text = str(row.get("text", "")).strip()
    pictured = shown_media(row)
    if not (text or pictured.files or row.get("reposts")):
        raise ValueError("no text, and no picture")
    if len(text) > MOST_TEXT:
        raise ValueError(f"{len(text)} characters; a post has at most {MOST_TEXT}")
    text, *more = parts_of(text)
    start, end = window(row, how, now)
    links, media = _items(row.get("link")), _items(row.get("media"))
    beside = [*pictured.videos, *pictured.alt]  # an older row keeps the number that it was registered by
    account = account_named(str(row.get("account", "")), how)
    kind, shown = references.named(kind_named(str(row.get("kind", "post"))), row)
    text = references.with_choices(text, row)
    given = _own_id(row)
    if given.startswith(RESERVED):
        raise ValueError(f"external_id: found {given[:40]!r}; ids that begin with {' or '.join(RESERVED)} are the monitor's own")
    digest = hashlib.sha256(
        json.dumps(
            [account, kind, text, *more, links, media, str(row.get("when")), str(row.get("time")), str(row.get("until")), *beside, *shown]
        ).encode()
    )
    by = str(row.get("by", "")).strip()
    return Plan(
        account, kind, text, start, end, tuple(links), pictured.count, "", by, given or digest.hexdigest(), more=tuple(more),
        files=(*pictured.files, *pictured.videos), alt=pictured.alt, shown=shown, dated=bool(str(row.get("when", "")).strip()), derived=not given,
    )  # fmt: skip


def _own_id(row: Mapping[str, Any]) -> str:
    """The id that the plan gives a row, or an empty string."""
    return str(row.get("external", "")).strip()


def parts_of(text: str) -> list[str]:
    """The parts of a thread, as planning tools write them: `||`, `%|%`, or a line of three dashes or more."""
    return [part.strip() for part in _PART.split(text) if part.strip()] or [text]


def kind_named(word: str) -> Kind:
    """post, reply, quote, repost, live or dm. Raises ValueError."""
    word = word.strip().lower()
    kinds = {k.value: k for k in Kind if k is not Kind.PROFILE}
    if word not in kinds:
        raise ValueError(f"kind: found {word!r}, expected one of: {', '.join(kinds)}")
    return kinds[word]


def _items(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(v).strip() for v in value if str(v).strip()]
    return [v for v in _SEVERAL.split(str(value or "")) if v]


def account_named(value: str, how: Reading) -> str:
    """The key of the account that a cell names; a bare platform means its only account."""
    word = (value or how.account).strip().lstrip("@").lower()
    named = [a for a in how.accounts if word in (a.handle.lower(), a.id, a.key)]
    if not named and word in _PLATFORM_WORDS:
        chosen = how.account.lstrip("@").lower()
        named = [a for a in how.accounts if a.platform == "x" and chosen in ("", a.handle.lower())]
    if not named and not word:
        named = list(how.accounts)
    if len(named) == 1:
        return named[0].key
    watched = ", ".join(f"@{a.handle}" for a in how.accounts)
    what = f"account {value or how.account!r} is not watched" if word and not named else "which account is meant is not said"
    raise ValueError(f"{what}; watched: {watched}; name one in the row or with --account")

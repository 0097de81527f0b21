"""What comms plan with, read: the rows of a file as planned posts.

Nothing is guessed: a date that can be read two ways, a time without a zone, a state that does not say yes or an account we do
not watch is a bad row with its reason, and a bad row stops no other row. A column that matters and is not understood stops the file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor import references
from monitor.foreign.bounds import ForeignError
from monitor.foreign.sandbox import Sandbox
from monitor.model import Account, Kind
from monitor.plan import Bad, Elsewhere, NotApprovedError, Plan, PlanError, PlanFile, Reading
from monitor.plan_accounts import account_named, accounts_named
from monitor.plan_columns import filled, quoted, target
from monitor.plan_rows import Row, Rows, rows_of
from monitor.plan_status import names_somebody, says_no, says_yes
from monitor.plan_times import joined, row_zone, span, window, zone_named
from monitor.planned_media import ShownMedia, shown_media
from monitor.registrations import by_handle

__all__ = [
    "Bad",
    "Elsewhere",
    "Plan",
    "PlanError",
    "PlanFile",
    "Reading",
    "account_named",
    "kind_named",
    "parts_of",
    "read",
    "span",
    "zone_named",
]

RESERVED = ("approved:", "slack:")  # what was approved after the fact, what was filled in in Slack
MOST_TEXT = 25_000  # X's own limit

_PART = re.compile(r"%\|%|\|\||^-{3,}\r?$", re.MULTILINE)
_BARS = re.compile(r"[^\S\n]\|\|[^\S\n]")  # with blanks on both sides: a sign in a sentence as well
_SEVERAL = re.compile(r"[,;|\s]+")
_LINKS = re.compile(r"(?:[;|\s]|,(?=[\s,;|]|$|https?:|www\.|[\w-]+\.[\w-]))+")  # an address may hold a comma
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|[\w-]+(?:\.[\w-]+)*\.[^\W\d_]{2,24}(?:[/?#:]\S*)?", re.IGNORECASE)
_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)


def read(path: Path, how: Reading, now: datetime) -> PlanFile:
    """Every row by the number that a spreadsheet shows. Raises PlanError where the file as a whole is refused."""
    texts = [name for meaning, name in how.columns if target(meaning) == "text"]
    try:
        found = asyncio.run(Sandbox().read("plan", str(path), path, name=str(path), texts=texts))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror})") from error
    except ForeignError as error:
        raise PlanError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error
    return plans_of(path, found, how, now)


def plans_of(path: Path, found: list[Any], how: Reading, now: datetime) -> PlanFile:
    """What the table of a file says (see `foreign.plan`). Raises PlanError."""
    (_, names), (_, notes), *table = found
    whole = rows_of(path, names, [row for _, row in table if not isinstance(row, str)], how)
    understood = iter(whole.rows)
    rows: list[tuple[int, Plan | Bad | Elsewhere]] = []
    for number, row in table:
        plans = [Bad(row)] if isinstance(row, str) else _understood(next(understood), whole, how, now)
        rows += [(int(number), plan) for plan in plans]
    return PlanFile(tuple(rows), (*notes, *whole.notes))


def _understood(row: Row, whole: Rows, how: Reading, now: datetime) -> list[Plan | Bad | Elsewhere]:
    """A plan for each account that the row is for."""
    own, accounts = "" if (given := _own_id(row.values)).startswith(RESERVED) else given, list[Account]()
    try:
        accounts, networks, unknown = accounts_named(row.accounts, how)
        if not accounts:
            return [Elsewhere(f"only for {', '.join(networks + unknown)}: not watched", own, _derived(row, how, how.accounts))]
        if row.wrong:
            raise ValueError(f"{row.wrong}; empty one of them, or leave a column out with --ignore")
        _single(row)
        _approved(row, whole, how)
        plans = [_plan(row, account, whole, how, now) for account in accounts]
        return [*plans, *(Elsewhere(f"also for {name}: not watched") for name in unknown)]
    except NotApprovedError as error:
        return [Bad(str(error), own, refused=True, also=_derived(row, how, accounts))]
    except (ValueError, TypeError, OverflowError) as error:
        no = _refusal(row, whole, how)  # whatever else is wrong with it
        return [Bad(f"{no}; also: {error}" if no else str(error), own, refused=bool(no), also=_derived(row, how, accounts) if no else ())]


def _refusal(row: Row, whole: Rows, how: Reading) -> str:
    """Why a row is not approved, or an empty string."""
    try:
        _approved(row, whole, how)
    except NotApprovedError as error:
        return str(error)
    return ""


def _single(row: Row) -> None:
    """Raises ValueError where JSON holds several values, or yes or no, for what is one text."""
    for name in ("text", "when", "time", "until", "zone", "kind", "by", "external"):
        if isinstance(value := row.values.get(name), list | bool):
            what = f"a list of {len(value)}" if isinstance(value, list) else str(value).lower()
            raise ValueError(f"column “{row.names[name]}”: found {what}, expected one text")


def _approved(row: Row, whole: Rows, how: Reading) -> None:
    """Every column of a state says yes, in a word that is on the list. Raises NotApprovedError."""
    for name, word in row.status:
        if not filled(word):
            raise NotApprovedError(f"column “{name}” is empty beside rows that say a state: not approved")
        if not says_yes(word, how.approved):
            raise NotApprovedError(
                f"column “{name}”: found {str(word)[:60]!r}, which is not approved; expected approved, scheduled, ready, queued, published,"
                " yes, true or 1 (--approved-status WORD adds another)"
            )
    if no := next((str(cell) for cell in row.values.get("comment", ()) if says_no(str(cell))), ""):
        raise NotApprovedError(f"column “{row.names['comment']}”: found {no[:60]!r}, which is no comment to post, and says no")
    by = str(row.values.get("by", "")).strip()
    if whole.vouched and not names_somebody(by):
        raise NotApprovedError(
            f"column “{whole.vouched}”: found {by[:60]!r}, expected the name of who approved it, like Anna Lee, or an e-mail address"
        )


def _times(row: Row, whole: Rows, how: Reading, now: datetime) -> tuple[datetime, datetime]:
    """When the post may appear, by the row's own zone first. Raises ValueError naming the column."""
    when, clock, until, zone = (str(row.values.get(name, "")).strip() for name in ("when", "time", "until", "zone"))
    name = row.names.get("when") or row.names.get("time") or "date"
    if whole.dated and not when:
        raise ValueError("no date, where other rows have one: give it one, or import those without in a file of their own")
    try:
        how = replace(how, zone=row_zone(zone) or row.zone or how.zone, dates=whole.dates)
        return window(joined(when, clock), until, how, now)
    except ValueError as error:
        raise ValueError(f"column {quoted(dict.fromkeys([name, *([row.names['zone']] if zone else [])]))}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Content:
    """What a row says of its post, whoever posts it and whenever; `known_by` all of it as it is written."""

    kind: Kind
    parts: tuple[str, ...]
    links: tuple[str, ...]
    media: ShownMedia
    shown: tuple[tuple[str, str], ...]
    known_by: tuple[Any, ...]

    def digests(self, account: Account) -> tuple[str, ...]:
        """What a row without an id is called: by the account's id, and by its handle, if it was imported before that was looked up."""
        keys = dict.fromkeys((account.key, replace(account, id=by_handle(account.handle)).key))
        return tuple(hashlib.sha256(json.dumps([key, *self.known_by]).encode()).hexdigest() for key in keys)


def _content(row: Row, how: Reading) -> _Content:
    """Raises ValueError with the reason."""
    values = row.values
    text = str(values.get("text", "")).strip()
    pictured = shown_media(values)
    if not (text or pictured.files or values.get("reposts")):
        raise ValueError("no text, and no picture")
    if len(text) > MOST_TEXT:
        raise ValueError(f"{len(text)} characters; a post has at most {MOST_TEXT}")
    text, *more = _parts(text, how)
    more += [part for comment in values.get("comment", ()) for part in _parts(comment, how)]
    links, media = _items(values.get("link"), _LINKS), _items(values.get("media"), _SEVERAL)
    # an older row keeps the number that it was registered by
    beside = [*pictured.videos, *pictured.alt, *([str(values["zone"])] if values.get("zone") else [])]
    kind, shown = references.named(kind_named(str(values.get("kind", "post"))), values)
    text = references.with_choices(text, values)
    if wrong := next((link for link in links if not _ADDRESS.fullmatch(link)), ""):
        raise ValueError(f"column “{row.names['link']}”: found {wrong[:60]!r}, expected web addresses, with blanks between")
    times = (str(values.get(name)) for name in ("when", "time", "until"))
    return _Content(kind, (text, *more), tuple(links), pictured, shown, (kind, text, *more, links, media, *times, *beside, *shown))


def _derived(row: Row, how: Reading, accounts: Iterable[Account]) -> tuple[str, ...]:
    """What a row without an id of its own would be called, for each of these accounts; nothing where that cannot be read."""
    with suppress(ValueError, TypeError, OverflowError):
        if not _own_id(row.values):
            content = _content(row, how)
            return tuple(digest for account in accounts for digest in content.digests(account))
    return ()


def _plan(row: Row, account: Account, whole: Rows, how: Reading, now: datetime) -> Plan:
    """Raises ValueError with the reason."""
    content = _content(row, how)
    start, end = _times(row, whole, how, now)
    given = _own_id(row.values)
    if _SHORTENED.fullmatch(given):
        raise ValueError(
            f"column “{row.names['external']}”: found {given!r}, shortened by a spreadsheet; make it a column of text and save again"
        )
    if given.startswith(RESERVED):
        raise ValueError(f"external_id: found {given[:40]!r}; ids that begin with {' or '.join(RESERVED)} are the monitor's own")
    identifier, *also = [given] if given else content.digests(account)
    by, (text, *more), pictured = str(row.values.get("by", "")).strip(), content.parts, content.media
    return Plan(
        account.key, content.kind, text, start, end, content.links, pictured.count, "", by, identifier, more=tuple(more),
        files=(*pictured.files, *pictured.videos), alt=pictured.alt, shown=content.shown,
        dated=bool(str(row.values.get("when", "")).strip()), derived=not given, also=tuple(also),
    )  # fmt: skip


def _parts(text: str, how: Reading) -> list[str]:
    """Raises ValueError where bars can be a thread's or the text's."""
    if how.thread is None and (bars := _BARS.search(text)):
        raise ValueError(
            f"found “{text[max(0, bars.start() - 20) : bars.end() + 20]}”: || parts a thread, or belongs to the text? Say --thread or --no-thread"
        )
    return [text] if how.thread is False else parts_of(text)


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


def _items(value: Any, between: re.Pattern[str]) -> list[str]:
    if isinstance(value, list):
        return [str(v).strip() for v in value if str(v).strip()]
    return [v for v in between.split(str(value or "")) if v]

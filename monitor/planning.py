"""What comms plan with, read: JSON lines or CSV with a header, by an alias table.

Nothing is guessed: a date that can be read two ways, a time without a zone or an account we do not
watch is a bad row with its reason, and a bad row stops no other row.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from monitor import references
from monitor.foreign.bounds import ForeignError
from monitor.model import Account, Kind
from monitor.planned_media import shown_media

RESERVED = ("approved:", "slack:")  # what was approved after the fact, what was filled in in Slack
MOST_ROWS = 20_000
MOST_TEXT = 25_000  # X's own limit

# Column names of publishing tools, letters and digits only. Source: their help pages.
ALIASES = {
    "text": ("messagetext", "content", "text", "post", "message", "caption", "captions"),
    "when": ("postatspecifictime", "scheduledate", "scheduledat", "scheduleddate", "scheduledtime", "postingtime",
             "notbefore", "from", "date", "datetime", "schedule", "when"),
    "time": ("time24hr", "scheduledtime", "time"),
    "until": ("notafter", "until"),
    "link": ("link", "linkurl", "links", "ogmetaurl"),
    "media": ("mediaurls", "mediaurl", "imageurls", "imageurl", "picture", "image", "media", "images"),
    "gif": ("gifurls", "gifurl", "gif"),
    "video": ("videourls", "videourl", "videos", "video"),
    "alt": ("alttexts", "alttext", "alt", "imagealttext", "mediaalttext"),
    "account": ("account", "accounts", "platforms", "platformids", "network", "handle"),
    "status": ("approved", "status"),
    "kind": ("kind",),
    "by": ("approvedby",),
    "external": ("externalid",),
    "quotes": ("quotes",), "answers": ("answers",), "reposts": ("reposts",), "poll": ("poll",), "parts": ("parts",),
}  # fmt: skip
_REFUSED = ("false", "no", "0", "draft", "pending", "rejected", "not approved", "unapproved", "n")
_PLATFORM_WORDS = ("x", "twitter", "x (twitter)", "twitter/x")
_SLASHED = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})(?:[ T]+(.*))?$")
_PART = re.compile(r"%\|%|\|\||^-{3,}\r?$", re.MULTILINE)
_SEVERAL = re.compile(r"[,;|\s]+")


class PlanError(ValueError):
    """The whole file cannot be taken; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One row, understood. Times are UTC. `more` are the texts of a thread's further parts; `pictures`
    are PDQ hashes, `files` what the media column says, as it says it, `alt` the pictures' alt texts in their order.
    """

    account: str
    kind: Kind
    text: str
    not_before: datetime
    not_after: datetime
    links: tuple[str, ...] = ()
    media: int = 0
    field: str = ""
    by: str = ""
    external_id: str = ""
    pictures: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    conversation: str = ""
    author: str = ""
    files: tuple[str, ...] = ()
    alt: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()
    most: int = 0


@dataclass(frozen=True, slots=True)
class Bad:
    """One row that was not understood, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read: the accounts we watch, the default one, the zone of times that name none, the
    order of slashed dates (dmy, mdy or nothing), and the window around a time.
    """

    accounts: tuple[Account, ...]
    account: str = ""
    zone: tzinfo | None = None
    dates: str = ""
    early: timedelta = timedelta(minutes=5)
    late: timedelta = timedelta(hours=1)
    days: int = 7


def zone_named(name: str) -> tzinfo:
    """Raises PlanError for a zone that this machine does not know."""
    try:
        return UTC if name.upper() in ("UTC", "Z") else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PlanError(f"--zone: found {name!r}, expected a name like Europe/Berlin or UTC") from error


def read(path: Path, how: Reading, now: datetime) -> list[tuple[int, Plan | Bad]]:
    """Every row with its line number (1 is the first after a header). Raises PlanError."""
    import asyncio

    from monitor.foreign.sandbox import Sandbox

    try:
        found = asyncio.run(Sandbox().read("plan", str(path), path, name=str(path)))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror})") from error
    except ForeignError as error:
        raise PlanError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from error
    rows = [(int(number), row if isinstance(row, dict) else Bad(str(row))) for number, row in found]
    how = _with_date_order(path, rows, how)
    return [(number, _understood(row, how, now) if isinstance(row, Mapping) else row) for number, row in rows]


def rows_in(body: bytes, path: Path) -> Iterator[tuple[int, dict[str, Any] | Bad]]:
    """The rows of a file under our names. `path` is what it is called. Raises PlanError. Runs in a process of its own: see `foreign`."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: not UTF-8 at byte {error.start}; save it as “CSV UTF-8” and import it again") from error
    rows = list(_json_rows(text) if text.lstrip().startswith("{") else _csv_rows(path, text))
    if len(rows) > MOST_ROWS:
        raise PlanError(f"{path}: {len(rows)} rows; at most {MOST_ROWS} at once, split the file")
    yield from rows


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | Bad]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                data = json.loads(line)
                yield number, _aliased(data) if isinstance(data, dict) else Bad("not a JSON object")
            except ValueError as error:
                yield number, Bad(f"not JSON: {error}")


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | Bad]]:
    csv.field_size_limit(1_000_000)
    try:
        rows = list(csv.reader(io.StringIO(text.replace("\0", ""), newline=""), dialect=_dialect(text)))
    except csv.Error as error:
        raise PlanError(f"{path}: not CSV: {error}") from error
    if not rows:
        raise PlanError(f"{path}: empty")
    header, body = rows[0], rows[1:]
    if re.match(r"\d{1,4}[-/.]\d", header[0]) and len(header) in (2, 3):  # Hootsuite has no header
        header, body = ["date", "message", "link"][: len(header)], rows
    if not any(name in ALIASES["text"] for name in map(_bare, header)):
        raise PlanError(
            f"{path}: no column for the text; found {', '.join(header)[:200]}, expected one of: message_text, content, text, post, message, caption"
        )
    for number, row in enumerate(body, 1):
        if any(cell.strip() for cell in row):
            over = len(row) > len(header)
            yield (
                number,
                Bad(f"{len(row)} cells where the header has {len(header)}") if over else _aliased(dict(zip(header, row, strict=False))),
            )


def _dialect(text: str) -> type[csv.Dialect]:
    first = text.splitlines()[0] if text else ""

    class Found(csv.excel):
        delimiter = ";" if first.count(";") > first.count(",") else "\t" if "\t" in first else ","

    return Found


def _bare(name: str) -> str:
    """A column name without case, blanks and remarks: `Media URL(s)` and `media_urls` are one."""
    name = re.sub(r"\((?!s\))[^)]*\)", "", name.lower())
    return re.sub(r"[^a-z0-9]", "", name)


def _aliased(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under our names; of several columns for one thing, the first that is filled."""
    found: dict[str, Any] = {}
    names = {_bare(str(k)): v for k, v in row.items()}
    for ours, theirs in ALIASES.items():
        value = next((names[n] for n in theirs if names.get(n) not in (None, "", [])), None)
        if value is not None:
            found[ours] = value
    return found


def _with_date_order(path: Path, rows: list[tuple[int, Any]], how: Reading) -> Reading:
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


def _understood(row: Mapping[str, Any], how: Reading, now: datetime) -> Plan | Bad:
    try:
        return _plan(row, how, now)
    except (ValueError, TypeError, OverflowError) as error:
        return Bad(str(error))


def _plan(row: Mapping[str, Any], how: Reading, now: datetime) -> Plan:
    """Raises ValueError with the reason."""
    if "status" in row and str(row["status"]).strip().lower() in _REFUSED:
        raise ValueError(f"status is {row['status']!r}: not approved")
    text = str(row.get("text", "")).strip()
    pictured = shown_media(row)
    if not (text or pictured.files or row.get("reposts")):
        raise ValueError("no text, and no picture")
    if len(text) > MOST_TEXT:
        raise ValueError(f"{len(text)} characters; a post has at most {MOST_TEXT}")
    text, *more = parts_of(text)
    start, end = _window(row, how, now)
    links, media = _items(row.get("link")), _items(row.get("media"))
    beside = [*pictured.videos, *pictured.alt]  # an older row keeps the number that it was registered by
    account = account_named(str(row.get("account", "")), how)
    kind, shown = references.named(kind_named(str(row.get("kind", "post"))), row)
    text = references.with_choices(text, row)
    given = str(row.get("external", "")).strip()
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
        files=(*pictured.files, *pictured.videos), alt=pictured.alt, shown=shown,
    )  # fmt: skip


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


def _window(row: Mapping[str, Any], how: Reading, now: datetime) -> tuple[datetime, datetime]:
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

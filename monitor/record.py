"""Nouns to and from the JSON that the store keeps. Pure; the inverse of each function is beside it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from monitor.model import (
    ApprovedPost,
    Context,
    Exact,
    Finding,
    Incident,
    Item,
    Kind,
    Match,
    Media,
    Near,
    NoMatch,
    Original,
    Page,
    PageKind,
    Post,
    Profile,
    ProfileChange,
    Redacted,
    Severity,
    Signal,
    Silence,
    Standing,
    State,
    Stored,
    Unreadable,
    Verdict,
)
from monitor.verdict.habits import Habits

Row = Any  # sqlite3.Row: a mapping without a type
T = TypeVar("T")


def stamp(when: datetime | None) -> str | None:
    """A time as it is stored: UTC, microseconds, sortable as text."""
    return when.astimezone(UTC).isoformat(timespec="microseconds") if when else None


def moment(text: str | None) -> datetime | None:
    """The inverse of `stamp`."""
    return datetime.fromisoformat(text) if text else None


def utc(text: str) -> datetime:
    """A time that was kept beside what `stamp` writes, in UTC whatever it says. Raises ValueError for what is none."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def remembered(text: str, read: Callable[[Any], T], otherwise: T) -> T:
    """What a small thing says that was kept as JSON. What another version of us wrote and we do not understand counts as not kept:
    it is learnt again, and keeps nobody from starting.
    """
    try:
        return read(json.loads(text)) if text else otherwise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return otherwise


def dump(noun: Stored | Profile) -> str:
    """A noun as JSON; times as `stamp`."""
    return _JSON.encode({"noun": type(noun).__name__, **_values(noun)})


def _values(noun: Any) -> dict[str, Any]:
    """The fields of a frozen noun that are not what they are by default; of those within it the encoder asks by itself."""
    usual = _usual(noun.__class__)
    return {name: value for name in noun.__slots__ if (value := getattr(noun, name)) != usual.get(name, _NOTHING)}


_NOTHING = object()
_ALWAYS = ("root_id", "version")  # of a post and of what could not be read: queries ask for them


@functools.cache
def _usual(noun: type[Any]) -> dict[str, Any]:
    """What need not be written down. A default that changes would change what is stored: a test holds them."""
    return {f.name: f.default for f in fields(noun) if f.default is not MISSING and f.name not in _ALWAYS}


def _plain(value: object) -> str | dict[str, Any]:
    if isinstance(value, datetime):
        return stamp(value) or ""
    if is_dataclass(value):
        return _values(value)
    raise TypeError(f"{type(value).__name__} has no stored form")


_JSON = json.JSONEncoder(ensure_ascii=False, default=_plain, separators=(",", ":"))


def stored(data: dict[str, Any]) -> Stored:
    """The inverse of `dump`, once that is parsed; also of what was redacted since."""
    if data.get("noun") != "Redacted":
        return _item(data)
    times = {name: _moment(data[name]) for name in ("created_at", "redacted_at")}
    return Redacted(**{name: data[name] for name in Redacted.__slots__} | times)


def redacted(data: dict[str, Any], kind: str, when: datetime, why: str) -> Redacted:
    """What is left of a dumped item; of one that was redacted before, the same as then."""
    one = stored(data)
    if isinstance(one, Redacted):
        return one
    version, root = getattr(one, "version", 1), one.root_id if isinstance(one, Post) else ""  # a profile's holds its new value
    return Redacted(one.account, one.id, kind, one.created_at, root, version, digest(data), when, why)


def _item(data: dict[str, Any]) -> Item:
    data = dict(data)
    noun = data.pop("noun")
    if noun == "ProfileChange":
        return ProfileChange(**{**data, "seen_at": _moment(data["seen_at"]), "original": _original(data.get("original"))})
    data["created_at"] = _moment(data["created_at"])
    if noun == "Unreadable":
        return Unreadable(**{"version": 1, **data})
    lists: dict[str, Any] = {name: tuple(data.get(name, ())) for name in ("links", "versions", "unread")}
    lists |= {"media": tuple(Media(**m) for m in data.pop("media", ())), "forms": tuple(map(Kind, data.get("forms", ())))}
    lists |= {name: _pairs(data.get(name, ())) for name in ("unwound", "shown")}
    return Post(**{**data, **lists, "kind": Kind(data["kind"]), "original": _original(data.get("original"))})


def _pairs(found: Iterable[Iterable[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)


def _original(data: dict[str, Any] | None) -> Original | None:
    return Original(**{**data, "created_at": _moment(data["created_at"]), "links": tuple(data.get("links", ()))}) if data else None


def profile(text: str) -> Profile:
    """The inverse of `dump`, without what only a newer version keeps. Raises TypeError and ValueError."""
    data = json.loads(text)
    values = {name: data[name] for name in Profile.__slots__ if name in data}
    if not all(isinstance(value, str) for value in values.values()):
        raise TypeError("a value is no text")
    return Profile(**values)


def dump_verdict(verdict: Verdict) -> str:
    """A verdict as JSON, its match with its kind."""
    return _JSON.encode({**_values(verdict), "match": {**_values(verdict.match), "kind": type(verdict.match).__name__}})


def verdict(data: dict[str, Any]) -> Verdict:
    """The inverse of `dump_verdict`, once that is parsed."""
    findings = tuple(_finding(f) for f in data.get("findings", ()))
    return Verdict(Severity(data["severity"]), data["reason"], _match(data["match"]), findings, tuple(data.get("hosts", ())))


def redacted_verdict(whole: dict[str, Any], why: str) -> str:
    """What is left of a dumped verdict: severity, the registration, rules with their versions, and the digest of all of it.

    None of its words may quote the post. `why` takes the place of its reason.
    """
    if "sha256" in whole:
        return json.dumps(whole, ensure_ascii=False)
    kept = verdict(whole)
    bare: Match
    match kept.match:
        case Exact():
            bare = replace(kept.match, note="", caveats=())
        case Near():
            bare = replace(kept.match, differences=())
        case NoMatch():
            bare = replace(kept.match, reason="", differences=())
    findings = tuple(replace(f, evidence=(), why="", do="") for f in kept.findings)
    left = json.loads(dump_verdict(Verdict(kept.severity, why, bare, findings)))
    return json.dumps(left | {"sha256": digest(whole)}, ensure_ascii=False)


def digests(post: str, verdict: str, evidence: str | None, rulebook: str) -> dict[str, str | None]:
    """What the audit chain of earlier versions says of a judged post, from its stored columns: SHA-256 of each."""
    return {"post": digest(json.loads(post)), "verdict": digest(json.loads(verdict)), "evidence": evidence, "rulebook": rulebook}


def judged(post: str, verdict: str, evidence: str | None, rulebook: str) -> str:
    """What the audit chain says of a judged post, from its stored columns, each by its SHA-256: one over these four."""
    return digest([digest(json.loads(post)), digest(json.loads(verdict)), evidence, rulebook])


def digest(value: object) -> str:
    """SHA-256 of a JSON value in one form: keys sorted, no blanks, no escapes, UTF-8."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def link(previous: str, fields: list[str | None]) -> str:
    """The hash of an audit row: of the one before it and its own fields in the order of the table."""
    listed = ", ".join(["null" if field is None else json.encoder.encode_basestring(field) for field in (previous, *fields)])
    return hashlib.sha256(f"[{listed}]".encode()).hexdigest()  # a list as json.dumps writes it, in a third of its time: a chain is long


def _match(data: dict[str, Any]) -> Match:
    data = dict(data)
    kind = data.pop("kind")
    if kind == "Exact":
        return Exact(**{**data, "caveats": tuple(data.get("caveats", ()))})
    data["differences"] = tuple(data.get("differences", ()))
    return Near(**data) if kind == "Near" else NoMatch(**data)


def _finding(data: dict[str, Any]) -> Finding:
    return Finding(**{**data, "severity": Severity(data["severity"]), "evidence": tuple(data.get("evidence", ()))})


def dump_context(context: Context) -> str:
    """What else was known, as JSON."""
    return _JSON.encode(_values(context))


def context(data: dict[str, Any]) -> Context:
    """The inverse of `dump_context`, once that is parsed."""
    signals = tuple((Signal(name), why) for name, why in data.get("signals", ()))
    original = Standing(data["original"]) if data.get("original") else None
    return Context(signals, tuple(data.get("listed", ())), original, data.get("answered", 0))


def dump_habits(habits: Habits) -> str:
    """Habits as JSON."""
    return json.dumps({"as_of": stamp(habits.as_of), "counts": dict(habits.counts)}, ensure_ascii=False)


def habits(text: str) -> Habits:
    """The inverse of `dump_habits`."""
    data = json.loads(text)
    return Habits(data["counts"], moment(data["as_of"]))


def judge_line(identifier: str, verdict: Verdict) -> dict[str, Any]:
    """A verdict in the form of the `judge` command and of every `--json`."""
    return {
        "id": identifier,
        "severity": verdict.severity.word,
        "approved": verdict.match.approved if isinstance(verdict.match, Exact) else None,
        "near": verdict.match.approved if isinstance(verdict.match, Near) else None,
        "reason": verdict.reason,
        "findings": [
            {"rule": f.rule, "version": f.version, "severity": f.severity.word, "evidence": list(f.evidence)} for f in verdict.findings
        ],
    }


def approved(row: Row) -> ApprovedPost:
    """A registration from its row."""
    return ApprovedPost(
        row["id"], row["account"], Kind(row["kind"]), row["text"], _moment(row["not_before"]),
        _moment(row["not_after"]), tuple(json.loads(row["links"])), row["media"], row["field"],
        row["approved_by"], row["used_by"], moment(row["used_at"]), moment(row["withdrawn_at"]),
        tuple(json.loads(row["pictures"])), row["after"], row["part"], row["parts"], row["conversation"], row["author"],
        alt=tuple(json.loads(row["alt"])),
        registered_at=_moment(row["created_at"]), registered_by=row["registered_by"], registrant=row["registrant"], via=row["via"],
        confirmed_at=moment(row["confirmed_at"]), confirmed_by=row["confirmed_by"],
        used_near=bool(row["used_near"]),
        shown=_pairs(json.loads(row["shown"])), most=row["most"],
        external_id=row["external_id"] or "", source=row["source"], replaces=row["replaces"],
        redacted_at=moment(row["redacted_at"]),
    )  # fmt: skip


def incident(row: Row) -> Incident:
    """An incident from its row."""
    return Incident(
        row["id"], row["subject"], row["name"], Severity(row["severity"]), row["headline"], row["reason"],
        _moment(row["opened_at"]), _moment(row["last_at"]), State(row["state"]), row["posts"],
        tuple(json.loads(row["hosts"])), tuple(json.loads(row["skeletons"])), row["previous"],
        row["acknowledged_by"], moment(row["acknowledged_at"]), row["resolved_by"], moment(row["resolved_at"]),
        row["cause"], moment(row["last_paged_at"]), row["pages"], row["steps"], moment(row["since"]),
        moment(row["held_until"]), row["holder"], row["outcome"], row["silence"], bool(row["alone"]),
    )  # fmt: skip


def incident_row(one: Incident) -> dict[str, Any]:
    """The columns of an incident, without its id."""
    data = {name: getattr(one, name) for name in one.__slots__ if name != "id"}
    for name, value in data.items():
        if isinstance(value, datetime):
            data[name] = stamp(value)
        elif isinstance(value, tuple):
            data[name] = json.dumps(value, ensure_ascii=False)
    return data | {"severity": int(one.severity), "state": one.state.value}


def page(row: Row) -> Page:
    """A page from its row."""
    return Page(
        row["id"], row["key"], row["incident"], row["route"], PageKind(row["kind"]), row["reason"],
        _moment(row["created_at"]), tuple(json.loads(row["mentions"])), row["state"], row["attempts"],
        moment(row["next_at"]), moment(row["fallback_at"]), row["receipt"], bool(row["plain"]), row["looks"],
        moment(row["sent_at"]), row["step"],
    )  # fmt: skip


def silence(row: Row) -> Silence:
    """A silence from its row."""
    return Silence(
        row["id"], row["account"], row["words"], row["reason"], row["who"], _moment(row["starts_at"]),
        _moment(row["ends_at"]), row["ended_by"], bool(row["waits"]), row["asker"], tuple(json.loads(row["told"]).items()),
    )  # fmt: skip

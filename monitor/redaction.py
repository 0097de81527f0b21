"""Takes content out of rows and leaves its digest. Inside the caller's transaction, which writes the audit row."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from datetime import datetime

from monitor import post_rows, record, registered
from monitor.model import NoMatch, Redacted, Severity, Verdict
from monitor.record import Row, stamp

ACTS = (
    "posts pruned",
    "posts of an incident pruned",
    "answers pruned",
    "post forgotten",
)  # that remove content; no other row excuses its absence
SHORT = 16  # digits of an answer's digest in them: enough to tell those of one database apart

log = logging.getLogger("monitor.redaction")


def post(sql: sqlite3.Connection, row: Row, now: datetime, why: str) -> None:
    """Of a post, a change of a profile or what could not be read, a row with `post_rows.COLUMNS`: who, when, how severe and by which rules
    is left. Of a row that was redacted before nothing changes.
    """
    if row["redacted_at"]:
        return
    said = f"redacted on {now:%Y-%m-%d}: {why}"
    try:
        whole = post_rows.said(row)
        left, verdict = record.redacted(whole.post, row["kind"], now, why), record.redacted_verdict(whole.verdict, said)
    except post_rows.DAMAGED:  # damaged: no reason to keep it
        log.exception("post %s could not be read, and goes all the same", row["id"])
        left, verdict = _of_damaged(row, now, why), record.dump_verdict(Verdict(Severity(row["severity"]), said, NoMatch("")))
    post_rows.redact(sql, row, left, verdict, now)


def _of_damaged(row: Row, now: datetime, why: str) -> Redacted:
    """Its digest is of what stood there."""
    digest = hashlib.sha256(row["packed"] or str(row["post"]).encode()).hexdigest()
    try:
        created = record.moment(row["created_at"]) or now
    except ValueError:
        created = now
    return Redacted(row["account"], row["id"], row["kind"], created, "", row["version"], digest, now, why)


def evidence(sql: sqlite3.Connection, sha256: str | None) -> bool:
    """Delete a platform's answer, unless an incident needs it; whether it was there. Its digest stays in the posts that it holds."""
    return (
        bool(sha256) and not is_needed(sql, sha256 or "") and bool(sql.execute("DELETE FROM evidence WHERE sha256 = ?", [sha256]).rowcount)
    )


def is_needed(sql: sqlite3.Connection, sha256: str) -> bool:
    """Whether a post of an incident stands in this answer, or somebody has still to look at it."""
    incident = "SELECT 1 FROM posts WHERE {} = ? AND incident IS NOT NULL AND redacted_at IS NULL"
    odd = "SELECT 1 FROM oddities o JOIN incidents i ON i.subject = 'drift:' || o.what AND i.state != 'resolved' WHERE o.sample = ?"
    asked = ((incident.format("answer"), post_rows.raw(sha256)), (incident.format("evidence"), sha256), (odd, sha256))
    return any(sql.execute(f"{query} LIMIT 1", [digest]).fetchone() for query, digest in asked)


def registration(sql: sqlite3.Connection, number: int, now: datetime) -> None:
    """What it said; for whom, when, by whom and what became of it stays. It never matches anything again."""
    row = sql.execute("SELECT * FROM approved WHERE id = ? AND redacted_at IS NULL", [number]).fetchone()
    if row is None:
        return
    left, digest = registered.redacted(row)
    used = row["used_by"] if row["kind"] != "profile" or not row["used_by"] else f"{row['field']}="  # a profile's holds its new value
    values = left | {"used_by": used, "redacted_at": stamp(now), "sha256": digest}
    changes = ", ".join(f"{name} = ?" for name in values)
    sql.execute(f"UPDATE approved SET {changes} WHERE id = ?", [*values.values(), number])  # noqa: S608 - ours


def name(row: Row) -> str:
    """How an audit row calls a version of a post of an account."""
    return str(row["id"]) if row["version"] == 1 else f"{row['id']}#{row['version']}"


def removed(action: str, detail: str) -> Iterator[str]:
    """What an audit row says was removed: each version of a post as `place` calls it, each answer by the beginning of its digest."""
    if action not in ACTS:
        return
    said = json.loads(detail)
    for account, names in (said.get("ids") or {}).items():
        yield from (f"{account}/{one}" for one in names)
    yield from said.get("answers") or ()


def place(account: str, identifier: str, version: int) -> str:
    """What `removed` calls this version of a post."""
    return f"{account}/{name({'id': identifier, 'version': version})}"

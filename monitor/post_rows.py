"""Judged posts as rows: what was said, the verdict and its context are one packed cell; what statements ask of them are columns.

Only this module knows that. Rows of earlier versions have three columns of JSON instead, and are read as well. Whoever reads rows selects
`COLUMNS` and asks `said` or `kept` of each.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from monitor import packing, record
from monitor.model import NO_CONTEXT, Context, Exact, Kind, Near, Post, ProfileChange, Redacted, Stored, Verdict
from monitor.record import Row, stamp

EVIDENCE = "CASE WHEN answer IS NULL THEN evidence ELSE lower(hex(answer)) END"  # the digest of its answer
_RULEBOOK = "CASE WHEN rules IS NULL THEN rulebook ELSE (SELECT digest FROM rulebook_numbers WHERE number = rules) END"
TEXTS = "rowid AS number, packed, post, verdict, context, words"  # for whoever goes through all of them: enough for `texts` and `said`
COLUMNS = (
    "rowid AS number, account, id, version, kind, created_at, seen_at, severity, baseline, incident, deleted_at, redacted_at, words, root,"
    f" packed, post, verdict, context, {EVIDENCE} AS evidence, {_RULEBOOK} AS rulebook"
)
_APPROVED = (
    "CASE WHEN json_valid(verdict) AND json_extract(verdict, '$.match.kind') = '{}' THEN json_extract(verdict, '$.match.approved') END"
)
EXACT = f"CASE WHEN packed IS NULL THEN {_APPROVED.format('Exact')} ELSE exact END"  # the registration that it is, or NULL
_NEAR = f"CASE WHEN packed IS NULL THEN {_APPROVED.format('Near')} ELSE near END"  # that it nearly is
MATCHED = f"coalesce({EXACT}, {_NEAR})"
ACCUSED = (  # by a rule that counts; of what is damaged nobody knows
    "CASE WHEN packed IS NOT NULL THEN accused WHEN json_valid(verdict) THEN EXISTS (SELECT 1 FROM json_each(verdict, '$.findings') f"
    " WHERE coalesce(json_extract(f.value, '$.shadow'), 0) = 0) ELSE 1 END"
)
_NOTHING_READ = "[]"  # in `words`, also where there is no picture
PICTURED = "words IS NULL AND (packed IS NOT NULL OR post LIKE '%\"photo\"%')"  # whose pictures nobody has read
VERSIONS = (  # of the post (account, id of its first version), also the first. Column `root` is empty where it is the row's own id
    "rowid IN (SELECT rowid FROM posts WHERE account = ?1 AND root = ?2"
    " UNION ALL SELECT rowid FROM posts WHERE account = ?1 AND id = ?2 AND kind NOT IN ('unreadable', 'profile'))"
)
_OF_INCIDENTS = "SELECT 1 FROM posts WHERE incident IS NOT NULL AND redacted_at IS NULL"
JUDGED_BY = (  # whether one of them was judged by the rules of `r.digest`
    f"EXISTS ({_OF_INCIDENTS} AND rules = (SELECT number FROM rulebook_numbers n WHERE n.digest = r.digest)"  # noqa: S608 - ours
    f" UNION ALL {_OF_INCIDENTS} AND rulebook = r.digest)"
)
OURS = "account IN (SELECT key FROM accounts) AND id = ?"  # by its id alone


@dataclass(frozen=True, slots=True)
class Kept:
    """A post as it was written down: what was seen, when, and what was decided."""

    post: Stored
    verdict: Verdict
    seen_at: datetime
    incident: int | None
    baseline: bool
    deleted_at: datetime | None
    rulebook: str
    evidence: str | None
    context: Context = NO_CONTEXT


DAMAGED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # what reading a row of other bytes or values raises


class Said(NamedTuple):
    """The three as they were written down, parsed."""

    post: dict[str, Any]
    verdict: dict[str, Any]
    context: dict[str, Any]


def add(sql: sqlite3.Connection, one: Kept, version: int) -> str:
    """Write it down; returns what the audit chain says of it. Raises sqlite3.IntegrityError for a version that is known."""
    item, verdict = one.post, one.verdict
    assert not isinstance(item, Redacted)  # what was redacted has been written down long ago
    kind = item.kind if isinstance(item, Post) else Kind.PROFILE if isinstance(item, ProfileChange) else "unreadable"
    post, decided = record.dump(item), record.dump_verdict(verdict)
    sql.execute("INSERT OR IGNORE INTO rulebook_numbers(digest) VALUES(?)", [one.rulebook])
    sql.execute(
        "INSERT INTO posts(account, id, version, kind, created_at, seen_at, severity, baseline, incident, words, root, exact, near, accused,"
        " answer, packed, post, verdict, context, rulebook, rules) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '',"
        " (SELECT number FROM rulebook_numbers WHERE digest = ?))",
        [item.account, item.id, version, str(kind), stamp(item.created_at), stamp(one.seen_at), int(verdict.severity), one.baseline,
         one.incident, None if isinstance(item, Post) and any(m.type == "photo" for m in item.media) else _NOTHING_READ,
         item.root_id if isinstance(item, Post) and item.root_id not in ("", item.id) else None,
         verdict.match.approved if isinstance(verdict.match, Exact) else None,
         verdict.match.approved if isinstance(verdict.match, Near) else None, bool(verdict.accusations),
         raw(one.evidence), *_cells(post, decided, record.dump_context(one.context)), one.rulebook],
    )  # fmt: skip
    return record.judged(post, decided, one.evidence, one.rulebook)


def _cells(*texts: str) -> tuple[bytes | None, str, str, str]:
    """The packed cell and the three that it stands for; these hold what is too large for it."""
    body = f"[{','.join(texts)}]".encode()
    post, verdict, context = texts
    return (packing.pack(body, packing.ROWS), "", "", "") if len(body) <= packing.MOST else (None, post, verdict, context)


def raw(digest: str | None) -> bytes | None:
    """An answer's digest as column `answer` has it."""
    return bytes.fromhex(digest) if digest is not None else None


def redact(sql: sqlite3.Connection, row: Row, left: Redacted, verdict: str, now: datetime) -> None:
    """Put what is left in its place. What it was matched with and whether it was accused stays."""
    sql.execute(
        f"UPDATE posts SET packed = ?, post = ?, verdict = ?, context = ?, words = '{_NOTHING_READ}', redacted_at = ?,"  # noqa: S608 - ours
        f" exact = {EXACT}, near = {_NEAR}, accused = {ACCUSED} WHERE rowid = ?",
        [*_cells(record.dump(left), verdict, "{}"), stamp(now), row["number"]],
    )


def texts(row: Row) -> tuple[str, ...]:
    """Everything that it says, as JSON. Raises ValueError for a cell that is damaged."""
    if row["packed"] is None:
        return row["post"], row["verdict"], row["context"]
    return (packing.unpack(row["packed"]).decode(),)


def said(row: Row) -> Said:
    """Raises ValueError for what is damaged."""
    parts = [json.loads(text) for text in texts(row)]
    found = parts if row["packed"] is None else parts[0]
    if not isinstance(found, list) or len(found) != 3 or not all(isinstance(one, dict) for one in found):
        raise packing.DamagedError("it does not hold a post, its verdict and its context")
    return Said(*found)


def kept(row: Row) -> Kept:
    """Raises one of `DAMAGED` for what is damaged."""
    seen, one = record.moment(row["seen_at"]), said(row)
    assert seen is not None  # NOT NULL in the schema
    return Kept(
        record.stored(one.post), record.verdict(one.verdict), seen, row["incident"], bool(row["baseline"]),
        record.moment(row["deleted_at"]), row["rulebook"], row["evidence"], record.context(one.context),
    )  # fmt: skip


STEP = """
ALTER TABLE posts ADD COLUMN packed BLOB;
ALTER TABLE posts ADD COLUMN root TEXT;
ALTER TABLE posts ADD COLUMN exact INT;
ALTER TABLE posts ADD COLUMN near INT;
ALTER TABLE posts ADD COLUMN accused INT;
ALTER TABLE posts ADD COLUMN answer BLOB;
ALTER TABLE posts ADD COLUMN rules INT;
CREATE TABLE rulebook_numbers(number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE) STRICT;
DROP INDEX posts_edited;
DROP INDEX posts_id;
DROP INDEX posts_incident;
CREATE INDEX posts_incident ON posts(incident) WHERE incident IS NOT NULL;
CREATE INDEX posts_incident_answer ON posts(answer) WHERE incident IS NOT NULL AND redacted_at IS NULL;
CREATE INDEX posts_incident_rules ON posts(rules) WHERE incident IS NOT NULL AND redacted_at IS NULL;
UPDATE posts SET root = json_extract(post, '$.root_id')
  WHERE CASE WHEN json_valid(post) THEN json_extract(post, '$.root_id') NOT IN ('', id) END;
CREATE INDEX posts_root ON posts(account, root) WHERE root IS NOT NULL;
"""  # columns are added at the end of a row: rows that are there stay as they are, but for the few that were edited

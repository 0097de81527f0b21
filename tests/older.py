"""Databases as every earlier version left them: the first steps, in the order in which they came to be, and a night under way.

0.1.0 is not out: no tag, no package. Whoever runs the monitor runs some state of the main branch, so every shape that ever stood
there counts as released.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from monitor import database, post_rows, record, schema
from monitor.record import stamp
from monitor.store import Store

CAME = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0008",
    "0010",
    "0011",
    "0013",
    "0005",
    "0007",
    "0006",
    "0014",
    "0016",
    "0019",
    "0020",
    "0021",
    "0022",
    "0025",
    "0023",
    "0024",
    "0027",
    "0028",
    "0030",
    "0032",
    "0029",
    "0031",
)
HELD, DUE = 20, 5  # incidents that somebody has, and pages that nobody has sent
POSTS = ("account", "id", "version", "kind", "created_at", "seen_at", "post", "severity", "verdict", "rulebook", "baseline")
ACCOUNT = "x::2244994945"


class Known(NamedTuple):
    """What the old version had read of the account: up to where, and a post as it was written down."""

    cursor: str
    post: dict[str, Any]


def known(store: Store) -> Known:
    """As this monitor knows it."""
    (post,) = store.sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts").fetchall()
    return Known(store.account(ACCOUNT, "acme")["cursor"], {name: post[name] for name in POSTS} | said(post))


def said(row: sqlite3.Row) -> dict[str, str]:
    """What a post's row says, by the columns in which versions before step 0029 have it."""
    texts = (json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in post_rows.said(row)[:2])
    return dict(zip(("post", "verdict"), texts, strict=True))


def unpack(sql: sqlite3.Connection) -> None:
    """Every post as versions before step 0029 wrote it down."""
    for row in sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts WHERE packed IS NOT NULL").fetchall():
        values = [*said(row).values(), json.dumps(post_rows.said(row).context), row["evidence"], row["rulebook"], row["number"]]
        gone = "packed = NULL, exact = NULL, near = NULL, accused = NULL, answer = NULL, rules = NULL"
        sql.execute(f"UPDATE posts SET {gone}, post = ?, verdict = ?, context = ?, evidence = ?, rulebook = ? WHERE rowid = ?", values)


def upgrade(path: Path) -> None:
    """Take the steps that are missing; no copy is kept."""
    database.bring_up_to_date(path, lambda _database, _name: None)


def steps(count: int) -> list[str]:
    """The names of the first so many."""
    names = {name[:4]: name for name in schema.STEPS}
    return [names[number] for number in CAME[:count]]


def make(path: Path, count: int) -> None:
    """An empty database of the shape after so many steps, as sqlite_utils writes it down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        old.execute("CREATE TABLE _sqlite_migrations(id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)")
        old.execute("CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name ON _sqlite_migrations(migration_set, name)")
        for name in steps(count):
            schema.take(old, schema.STEPS[name])
            old.execute("INSERT INTO _sqlite_migrations(migration_set, name, applied_at) VALUES('hijack-monitor', ?, '2026-11-01')", [name])


def broken_audit(path: Path) -> int | None:
    """As 0.1.0 looked for the first row of the chain that was changed, until step 0024."""
    expected = ""
    with closing(sqlite3.connect(path)) as old:
        for number, previous, linked, *fields in old.execute(
            "SELECT id, previous, hash, at, actor, action, subject, detail FROM audit ORDER BY id"
        ):
            if previous != expected or linked != record.link(previous, fields):
                return int(number)
            expected = linked
    return None


def fill(path: Path, count: int, now: datetime, receipts: Sequence[str], known: Known) -> None:
    """Twenty incidents that somebody took 25 minutes ago, as many told a minute ago as there are other receipts, one silenced where there
    are silences, and five whose page is due.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        add = _Adding(old, now)
        add.row("accounts", key=ACCOUNT, handle="acme", first_seen=add.ago(90), last_ok=add.ago(0.1), cursor=known.cursor)
        for account in (ACCOUNT, *(f"x::{number}" for number in range(1, 31))):
            add.row("posts", **(known.post | {"account": account}))
        for receipt in receipts[:HELD]:
            held = {"held_until": add.ago(-5), "since": add.ago(30), "holder": "U01ALICE"} if count >= 3 else {}
            taken = {"acknowledged_by": "alice", "acknowledged_at": add.ago(25)}
            add.page(add.incident("acknowledged", told=26, **taken, **held), "sent", receipt)
        for receipt in receipts[HELD:]:
            add.page(add.incident("open", told=1), "sent", receipt)
        for _ in range(DUE):
            add.page(add.incident("open", told=0), "ready")
        if count >= 3:
            silence = add.row(
                "silences", account="", words="gm", reason="a campaign", who="carla", starts_at=add.ago(50), ends_at=add.ago(-60)
            )
            add.incident("open", told=50, silence=silence)


class _Adding:
    def __init__(self, sql: sqlite3.Connection, now: datetime) -> None:
        self._sql, self._now, self._count = sql, now, 0

    def ago(self, minutes: float) -> str:
        return stamp(self._now - timedelta(minutes=minutes)) or ""

    def row(self, table: str, **values: Any) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        return int(self._sql.execute(f"INSERT INTO {table}({names}) VALUES({marks})", list(values.values())).lastrowid or 0)

    def incident(self, state: str, told: float, **more: Any) -> int:
        self._count += 1
        return self.row(
            "incidents", subject=f"x::{100 + self._count}", name="@acme on X", severity=3, headline="Unapproved post", reason="nobody registered it",
            opened_at=self.ago(max(told, 1)), last_at=self.ago(max(told, 1)), state=state, posts=1, hosts="[]", skeletons="[]",
            **({"acknowledged_by": ""} | more), resolved_by="", cause="", last_paged_at=self.ago(told), pages=1, steps=0,
        )  # fmt: skip

    def page(self, incident: int, state: str, receipt: str = "") -> None:
        sent = {"sent_at": self.ago(1), "receipt": receipt} if receipt else {}
        self.row(
            "pages", key=f"abc:inc{incident}:root:0:slack", incident=incident, route="slack", kind="root", reason="first of this incident",
            mentions='["S0SOCIAL"]', state=state, created_at=self.ago(1), next_at=self.ago(1), **sent,
        )  # fmt: skip

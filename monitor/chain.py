"""The audit chain: every act is a row that carries the hash of the one before it, so that nothing can be changed unnoticed."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from monitor import record


def append(sql: sqlite3.Connection, at: datetime, actor: str, action: str, subject: str, detail: dict[str, object]) -> None:
    """One more act. Inside a transaction."""
    row = [record.stamp(at), actor, action, subject, json.dumps(detail, ensure_ascii=False, default=str, sort_keys=True)]
    previous = head(sql)
    sql.execute(
        "INSERT INTO audit(at, actor, action, subject, detail, previous, hash) VALUES(?, ?, ?, ?, ?, ?, ?)",
        [*row, previous, record.link(previous, row)],
    )


def head(sql: sqlite3.Connection) -> str:
    """The hash of the newest row: who knows it knows whether anything before it was changed."""
    row = sql.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    return str(row[0]) if row else ""


def broken(sql: sqlite3.Connection) -> int | None:
    """The first row that was changed or whose predecessor was, or None."""
    expected = ""
    for number, previous, linked, *fields in sql.execute(
        "SELECT id, previous, hash, at, actor, action, subject, detail FROM audit ORDER BY id"
    ):
        if previous != expected or linked != record.link(previous, fields):
            return int(number)
        expected = linked
    return None

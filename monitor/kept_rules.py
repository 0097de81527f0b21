"""What verdicts refer to: rules, company and policy as they were, each set once, packed, under its digest. Rows of the store."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from datetime import datetime

from monitor import packing
from monitor.record import Row, stamp

log = logging.getLogger("monitor.store")


def keep(sql: sqlite3.Connection, digest: str, context: str, now: datetime) -> None:
    """Verdicts from now on refer to it."""
    body = context.encode()
    stored = ("", packing.pack(body)) if len(body) <= packing.MOST else (context, None)
    sql.execute(
        "INSERT INTO rulebooks(digest, loaded_at, context, packed, used_at) VALUES(?1, ?2, ?3, ?4, ?2)"
        " ON CONFLICT(digest) DO UPDATE SET used_at = ?2", [digest, stamp(now), *stored],
    )  # fmt: skip


def get(sql: sqlite3.Connection, digest: str) -> str | None:
    """None where there is none, or what is stored cannot be unpacked, which is logged."""
    row = sql.execute("SELECT * FROM rulebooks WHERE digest = ?", [digest]).fetchone()
    return _said(row) if row else None


def every(sql: sqlite3.Connection) -> Iterator[str]:
    """All that can be unpacked."""
    yield from filter(None, map(_said, sql.execute("SELECT * FROM rulebooks")))


def _said(row: Row) -> str | None:
    if row["packed"] is None:  # of an earlier version
        return str(row["context"])
    try:
        return packing.unpack(row["packed"]).decode()
    except ValueError as error:
        log.error("the rules %s are damaged: %s", row["digest"], error)  # noqa: TRY400 - a row of the database, not a fault of ours
        return None

"""The platforms' answers as evidence: each once, packed, under the SHA-256 of what it says. Rows of the store.

`Repacking` packs those that an older version stored as they came: a little every second, while no page is due.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from datetime import datetime
from typing import TYPE_CHECKING

from monitor import chain, packing
from monitor.connection import is_busy
from monitor.quotations import without_posts
from monitor.record import stamp

if TYPE_CHECKING:
    from monitor.store import Store

log = logging.getLogger("monitor.answers")

SECONDS = 0.025  # of a slice: with its commit it stays below 0.05
LARGE = 4 << 20  # bytes: packing a larger one takes longer than that, so it stays as it came
CUT_OFF = "answer cut off"  # an act in the audit chain
PLACE, DONE = "answers packed", "all"  # up to which row


def keep(sql: sqlite3.Connection, body: bytes, now: datetime) -> str:
    """Its first `packing.MOST` bytes, without what was forgotten on request; returns their SHA-256. Once, however many posts it shows.

    That it was cut off is an act in the audit chain.
    """
    whole = without_posts(body, [row[0] for row in sql.execute("SELECT id FROM forgotten")], "forgotten on request")
    kept = whole[: packing.MOST]
    digest = hashlib.sha256(kept).hexdigest()
    if not sql.execute("SELECT 1 FROM evidence WHERE sha256 = ?", [digest]).fetchone():
        sql.execute("INSERT INTO evidence VALUES(?, ?, ?)", [digest, stamp(now), packing.pack(kept)])
        if len(kept) < len(whole):
            log.warning("the platform's answer %s is cut off: %d of its %d bytes are kept", digest, len(kept), len(whole))
            said: dict[str, object] = {"bytes": len(whole), "kept": len(kept), "sha256_of_all": hashlib.sha256(whole).hexdigest()}
            chain.append(sql, now, "monitor", CUT_OFF, act_of(digest), said)
    return digest


def act_of(digest: str) -> str:
    """How acts in the audit chain call an answer."""
    return f"answer {digest}"


def get(sql: sqlite3.Connection, digest: str) -> bytes | None:
    """Unpacked; None where there is none, or what is stored cannot be unpacked, which is logged."""
    row = sql.execute("SELECT body FROM evidence WHERE sha256 = ?", [digest]).fetchone()
    try:
        return packing.unpack(row[0]) if row else None
    except packing.DamagedError as error:
        log.error("the platform's answer %s is damaged: %s", digest, error)  # noqa: TRY400 - a row of the database, not a fault of ours
        return None


class Repacking:
    """Goes through all answers once, across restarts."""

    def __init__(self, store: Store) -> None:
        self._store, self._over = store, False

    async def look(self) -> int:
        """Called every second; how many it packed. Never raises: whoever writes what matters says what is wrong with the database."""
        try:
            if self._over or self._store.pages.undelivered():
                return 0
            with self._store.transaction():
                return self._slice(time.monotonic() + SECONDS)
        except sqlite3.Error as error:
            if not is_busy(error):
                log.warning("answers of an older version are not packed: %s", error)
            return 0

    def _slice(self, until: float) -> int:
        sql, place, packed, left = self._store.sql, self._store.kept(PLACE), 0, False
        if place == DONE:
            self._over = True
            return 0
        listed = "SELECT rowid, length(body), substr(body, 1, 4) FROM evidence WHERE rowid > ? ORDER BY rowid LIMIT 1000"
        rows = sql.execute(listed, [int(place or 0)]).fetchall()
        for number, length, begins in rows:
            if left := time.monotonic() > until:
                break
            if not packing.is_packed(begins) and length <= LARGE:
                body = sql.execute("SELECT body FROM evidence WHERE rowid = ?", [number]).fetchone()[0]
                sql.execute("UPDATE evidence SET body = ? WHERE rowid = ?", [packing.pack(body), number])
                packed += 1
            place = str(number)
        self._store.keep(PLACE, place if rows or left else DONE)
        return packed

"""Legal holds: an incident that is held keeps everything of it, whatever `[retention]` or somebody else's wish to forget says."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from monitor import desk, numbering, record
from monitor.desk import DeskError
from monitor.record import stamp
from monitor.store import Store

log = logging.getLogger("monitor.holds")

_OWED = "to hold again"  # under which it is kept
Owed = list[tuple[int, str, str, str, str]]  # incident, its subject, who, when, why


@dataclass(frozen=True, slots=True)
class Hold:
    """Who set it, when and why."""

    incident: int
    who: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"held by {self.who} since {self.at:%Y-%m-%d %H:%M} UTC: {self.reason}"

    def row(self) -> dict[str, str | None]:
        """For JSON."""
        return {"who": self.who, "at": stamp(self.at), "reason": self.reason}


def every(store: Store) -> Mapping[int, Hold]:
    """Those in force, by incident."""
    rows = store.sql.execute("SELECT incident, who, at, reason FROM holds ORDER BY incident")
    return {row["incident"]: Hold(row["incident"], row["who"], record.utc(row["at"]), row["reason"]) for row in rows}


def hold(store: Store, number: int, who: str, reason: str, now: datetime, **where: str) -> None:
    """Keep everything of an incident. `where` goes into the audit row. Raises DeskError."""
    reason = _given(reason)
    with store.transaction():
        if store.incident(number) is None:
            raise DeskError(desk.no_incident(store, number))
        if there := every(store).get(number):
            raise DeskError(f"INC-{number} is already {there}")
        store.sql.execute("INSERT INTO holds VALUES(?, ?, ?, ?)", [number, who, stamp(now), reason])
        store.audit(now, who, "hold begun", f"INC-{number}", reason=reason, posts=_posts(store, number), **where)


def release(store: Store, number: int, who: str, reason: str, now: datetime, **where: str) -> None:
    """From now on `[retention]` counts again. Raises DeskError."""
    reason = _given(reason)
    with store.transaction():
        there = every(store).get(number)
        if there is None:
            raise DeskError(f"INC-{number} is not held; `hijack-monitor incidents list` shows those that are")
        store.sql.execute("DELETE FROM holds WHERE incident = ?", [number])
        store.audit(now, who, "hold released", f"INC-{number}", reason=reason, posts=_posts(store, number), was=str(there), **where)


def owed_by(sql: sqlite3.Connection) -> Owed:
    """What a database that an older copy takes the place of holds, or owes itself. Raises sqlite3.Error."""
    there = sql.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'holds'").fetchone()
    query = "SELECT h.incident, i.subject, h.who, h.at, h.reason FROM holds h JOIN incidents i ON i.id = h.incident"
    return _owed(numbering.kept(sql, _OWED)) + (sql.execute(query).fetchall() if there else [])


def owe(copy: sqlite3.Connection, held: Owed) -> list[int]:
    """That copy has to hold it too, where it has the incident; `settle` does it. Returns the incidents that it does not have."""
    there = {(row[0], row[1]) for row in copy.execute("SELECT id, subject FROM incidents")}
    owed = [row for row in held if row[:2] in there]
    if owed:
        numbering.keep(copy, _OWED, json.dumps(owed))
    return sorted(row[0] for row in held if row[:2] not in there)


def _owed(text: str) -> Owed:
    return record.remembered(text, lambda found: [(int(row[0]), str(row[1]), str(row[2]), str(row[3]), str(row[4])) for row in found], [])


def settle(store: Store, now: datetime) -> int:
    """At the start after a restore: hold again what was held when it was made, before anything is pruned; how many. Never raises for
    what can be tried again at the next start.
    """
    owed, count = _owed(store.kept(_OWED)), 0
    try:
        with store.transaction():
            for number, _, who, at, reason in owed:
                columns = "INSERT OR IGNORE INTO holds VALUES(?, ?, ?, ?)"
                if store.sql.execute(columns, [number, who, at, reason]).rowcount:
                    store.audit(now, who, "hold begun", f"INC-{number}", reason=reason, posts=_posts(store, number), via="a restore")
                    count += 1
            if owed:
                store.keep(_OWED, "")
    except (sqlite3.Error, ValueError):
        log.exception("%d incident(s) that were held before the restore are not held again", len(owed))
        return 0
    return count


def _given(reason: str) -> str:
    if not reason.strip():
        raise DeskError("a reason is needed: whoever looks at it years later has nothing else to go by")
    return reason.strip()


def _posts(store: Store, number: int) -> int:
    return int(store.sql.execute("SELECT count(*) FROM posts WHERE incident = ?", [number]).fetchone()[0])

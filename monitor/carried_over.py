"""What the database that is moved aside knows and an older copy must not undo by taking its place: what was used up, forgotten, taken
back, ended or held since. On bare connections, for either may be of another version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitor import forget, holds, numbering

_WITHDRAWN = "SELECT withdrawn_by, withdrawn_at, id, created_at FROM approved WHERE withdrawn_at IS NOT NULL"
_ENDED = "SELECT ended_by, id, account FROM silences WHERE ended_by != ''"

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Known:
    """What is carried over; `unread` names what was too damaged to be read."""

    incident: int
    forgotten: list[dict[str, str]]
    withdrawn: Rows
    ended: Rows
    held: holds.Owed
    unread: tuple[str, ...]


def read(present: sqlite3.Connection) -> Known:
    """Of the database that is moved aside; what it is too old to have is empty."""
    unread = list[str]()

    def part(name: str, found: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return found()
        except sqlite3.Error:
            unread.append(name)
            return otherwise

    def rows(table: str, query: str) -> Rows:
        known = present.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table]).fetchone()
        return present.execute(query).fetchall() if known else []

    return Known(
        part("numbers of incidents", lambda: numbering.last_incident(present), 0),
        part("posts that were forgotten", lambda: forget.owed_by(present), []),
        part("registrations that were withdrawn", lambda: rows("approved", _WITHDRAWN), []),
        part("silences that were ended", lambda: rows("silences", _ENDED), []),
        part("incidents that are held", lambda: holds.owed_by(present), []),
        tuple(unread),
    )


def write(copy: sqlite3.Connection, known: Known) -> tuple[dict[str, int], list[int]]:
    """Into the copy, before it gets its place: (how much of what, incidents that are held and that it does not have). Raises sqlite3.Error."""
    numbering.used_up_to(copy, known.incident)
    forget.owe(copy, known.forgotten)
    lacking = holds.owe(copy, known.held)
    return {
        "forgotten": len(known.forgotten), "withdrawn": _withdraw(copy, known.withdrawn), "silences ended": _end(copy, known.ended),
        "held": len(known.held) - len(lacking),
    }, lacking  # fmt: skip


def _withdraw(copy: sqlite3.Connection, rows: Rows) -> int:
    """The same registrations, by number and the moment they were made: others were given the same numbers after an earlier restore."""
    query = "UPDATE approved SET withdrawn_by = ?, withdrawn_at = ? WHERE id = ? AND created_at = ? AND withdrawn_at IS NULL RETURNING id"
    changed = [found[0] for row in rows for found in copy.execute(query, row).fetchall()]
    for number in changed:
        copy.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
        copy.execute("UPDATE approved SET revision = (SELECT value FROM meta WHERE key = 'revision') WHERE id = ?", [number])
    return len(changed)


def _end(copy: sqlite3.Connection, rows: Rows) -> int:
    """Should another one have been given the number after an earlier restore, it ends too soon, and pages."""
    if not rows or not copy.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'silences'").fetchone():
        return 0
    query = "UPDATE silences SET ended_by = ? WHERE id = ? AND account = ? AND ended_by = ''"
    return sum(copy.execute(query, row).rowcount for row in rows)

"""Says of every statement that the product runs in a test whether SQLite would read a whole table that grows for it.

A connection of ours, in place of the product's, asks for the plan of each statement before it runs it. Without ANALYZE, which nobody here
runs, SQLite plans by the schema alone: an empty database shows what it would do after five years. Statements that a test itself runs
are no business of ours.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import sys
from types import FrameType
from typing import Any

from monitor import connection

SMALL = {  # every other table grows
    "meta": "small things by name",
    "accounts": "those that are configured",
    "unseen_versions": "emptied as soon as they were judged",
    "first_sights": "one a first sight of accounts",
    "rule_hits": "one a rule",
    "rulebook_numbers": "one a set of rules",
    "counted": "a few a day",
    "spending": "a few a day",
    "holds": "one an incident that somebody holds",
    "forgotten": "one a post that somebody asked to forget",
    "oddities": "as many kinds as are kept, see `observed`",
    "billed": "of two days",
    "_sqlite_migrations": "the steps",
    "sqlite_master": "the schema",
}
BOUNDED = {  # partial indexes that hold what waits, and lose it when it is done
    "pages_unfinished": "messages that are still to be sent",
    "incidents_unresolved": "one an account or subject",
    "inbox_waiting": "what somebody did and nobody has looked at yet",
    "approved_unannounced": "what the next second announces",
    "announcements_due": "what is to be sent or edited",
    "announcements_unsent": "what is to be sent",
    "silences_running": "they end after eight hours",
    "posts_baseline": "what was there when an account was seen for the first time",
    "incident_one_open": "one an account or subject",
    "approved_by_handle": "what was registered for accounts that are not looked up yet",
}
SINCE = {"approved_last_day"}  # indexes of moments by what is told of them
WIDE = {("posts", "account"), ("approved", "account"), ("incidents", "subject"), ("posts", "kind")}  # equal in many rows
EXCUSED = {  # by function: it may read a whole table, and this is why
    "chain.head": "reads one row, the last one",
    "chain.count": "counts, when a list is cut: those that are not packed, see KEPT",
    "standing._last_canary": "reads so many at most, the newest first",
    "chain.newest": "reads as many as are asked for, the newest first",
    "chain.details": "a post is to be forgotten, on request",
    "store.Store.incidents": "reads as many as are asked for, the newest first",
    "lists.count_incidents": "counts, when a list is cut",
    "registrations.Registrations.count": "counts, when a list is cut: 180,000 rows of the narrowest index in 10 ms",
    "store.Store.incidents_of": "reads a hundred at most",
    "store.Store.last_resolved": "reads the newest first, and all but one of a subject are resolved",
    "observed.days": "reads a thousand at most",
    "counters.create": "an upgrade",
    "counters._fill": "an upgrade",
    "set_aside._unreadable": "reads once, after a row was met that cannot be read",
    "registrations.Registrations.past": "what was planned when posts were judged, for whoever asks about them",
    "kept_rules.every": "a post that is forgotten, on request",
    "registrations.Registrations.sources": "an import, by hand",
    "backtest._stored": "rules against all that is stored since a day, by hand",
}
OTHER_WORK = {  # modules whose statements are none of judging, paging, `status`, lists or metrics
    "schema": "an upgrade", "database": "opening", "connection": "hands them on", "copies": "a backup", "backup": "a backup", "checkpoints": "the journal",
    "forget": "a post, on request", "pruning": "in slices of its own", "redaction": "a post by its name", "set_aside": "rows that cannot be read", "traces": "a post, on request", "report": "an export",
    "simulator": "the demo", "restore": "a restore", "restored": "a restore", "carried_over": "a restore", "steps": "the clock was set", "recomputing": "verdicts of an incident", "after_restore": "a restore",
    "numbering": "a restore", "holds": "one an incident that is held",
}  # fmt: skip
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "EXPLAIN", "CREATE", "DROP", "ALTER")
_STEP = re.compile(r"(SCAN|SEARCH) (\w+)(?: USING (.*?)(?: \((.*)\))?)?(?: LEFT-JOIN)?$")
_OWN = re.compile(r"(?:WITH|RECURSIVE|,)\s+(\w+)\s*(?:\([^)]*\))?\s+AS\s*\(", re.IGNORECASE)  # tables of the statement alone
_ENDS = re.compile(
    r"\b(min|max)\((\w+\.)?(id|rowid)\)"
)  # the first or the last row of all; of another column SQLite says the same and reads all
_SLICE = re.compile(r"WHERE (?:rowid|id) ([<>]) \? ORDER BY (?:rowid|id)(?: DESC)? LIMIT (?:\?|\d+)$")  # so many of the next ones
_INNER = re.compile(r"\.<(?:locals|genexpr|listcomp|dictcomp)>")
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)


class Planned(connection.Connection):
    """As the product's, and every plan is looked at once."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As sqlite3 does."""
        _look(self, sql, parameters)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """As sqlite3 does."""
        rows = list(parameters)
        if rows:
            _look(self, sql, rows[0])
        return super().executemany(sql, rows)


reached: set[str] = set()  # functions of the product whose statements were planned
_found: dict[tuple[str, str], str] = {}  # by function and statement: what is wrong with it, or nothing
_pending: list[str] = []


def taken() -> list[str]:
    """What was found wrong since the last time."""
    found, _pending[:] = list(dict.fromkeys(_pending)), []
    return found


def _look(sql: sqlite3.Connection, statement: str, parameters: Any) -> None:
    if not (name := _whose(sys._getframe(2))) or _controls(statement):
        return
    reached.add(name)
    place = (name, statement)
    if place not in _found:
        try:
            plan = [row[3] for row in sqlite3.Connection.execute(sql, f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()]
        except sqlite3.Error:
            return  # the statement itself meets it too
        wrong = [] if name in EXCUSED else scans(statement, plan)
        _found[place] = f"{name}: {'; '.join(wrong)}: {statement}" if wrong else ""
    if _found[place]:
        _pending.append(_found[place])


@functools.cache
def _controls(statement: str) -> bool:
    return statement.lstrip().upper().startswith(_CONTROL)


def _whose(frame: FrameType | None) -> str:
    """The function of the product that runs it; empty for a test's own statement, also one whose condition it hands to `Store.posts` or `Store.ids`."""
    while frame:
        module, function = frame.f_globals["__name__"], frame.f_code.co_qualname
        if module != __name__ and function not in ("Store.posts", "Store.ids"):
            return _named(module, function)
        frame = frame.f_back
    return ""


@functools.cache
def _named(module: str, function: str) -> str:
    if not module.startswith("monitor.") or module.split(".")[1] in OTHER_WORK:
        return ""
    return f"{module.removeprefix('monitor.')}.{_INNER.sub('', function)}"


def scans(statement: str, plan: list[str]) -> list[str]:
    """The steps of a plan that read more the more there is."""
    names = {alias: table for table, alias in _TABLE.findall(statement)} | {table: table for table, _ in _TABLE.findall(statement)}
    own = set(_OWN.findall(statement))
    found = []
    for line in plan:
        step = _STEP.match(line)
        if step is None or "VIRTUAL TABLE" in line or step[2] in own or names.get(step[2], step[2]) in SMALL:
            continue
        table = names.get(step[2], step[2])
        if step[0] == f"SEARCH {step[2]}" and _ENDS.search(statement):
            continue
        if (step[4] or "").startswith("rowid") and _SLICE.search(statement):
            continue
        index = (step[3] or "").rpartition("INDEX ")[2]
        if index in BOUNDED:
            continue
        equal = set(re.findall(r"([\w<>]+)=\?", step[4] or ""))
        ranged = (
            re.search(r"\b(\w+_at|not_after|revision)[<>]\?", step[4] or "") is not None
        )  # since a moment, or what has changed since then
        ranged = ranged or (index in SINCE and "<expr>>?" in (step[4] or ""))
        ranged = ranged or re.search(r"\b(\w+)>\? AND \1<\?", step[4] or "") is not None
        narrow = {column for column in equal if (table, column) not in WIDE}
        if step[1] == "SCAN" or not (narrow or ranged):
            found.append(line)
    return found

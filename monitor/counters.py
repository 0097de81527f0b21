"""Counters that nothing lowers, by day: pages and incidents by how they stand, how long it took to page and to acknowledge, hits of rules.

All but the last are written by the database itself, in whatever transaction changes what they count, so that no way of doing so is forgotten. What is
removed because it is old stays counted. A day that is empty stands for all of them, so that whoever asks reads a few rows.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)  # seconds: to page, to acknowledge

_TABLE = """
CREATE TABLE counted(day TEXT NOT NULL, what TEXT NOT NULL, label TEXT NOT NULL, n REAL NOT NULL, PRIMARY KEY(day, what, label)) STRICT, WITHOUT ROWID
"""
_DRILL = "CASE {0}subject WHEN 'replay::drill' THEN 'yes' ELSE 'no' END"
_PAGE, _INCIDENT = "{0}route || ' ' || {0}kind || ' ' || {0}state", "{0}state || ' ' || {0}severity"


def _count(what: str, label: str, at: str, n: str = "1") -> str:
    return (
        f"INSERT INTO counted VALUES('', '{what}', {label}, {n}), (substr({at}, 1, 10), '{what}', {label}, {n})"
        " ON CONFLICT DO UPDATE SET n = n + excluded.n;"
    )


def _seconds(row: str, until: str) -> str:
    return f"round((julianday({row}{until}) - julianday({row}opened_at)) * 86400, 3)"


def _bucket(seconds: str) -> str:
    steps = " ".join(f"WHEN {seconds} <= {top} THEN '{top}'" for top in BUCKETS)
    return f"CASE {steps} ELSE 'Inf' END"


def _took(what: str, until: str) -> str:
    """One more in its bucket, and its seconds in the sum."""
    drill, seconds = _DRILL.format("NEW."), _seconds("NEW.", until)
    bucket = _count(what, f"{drill} || ' ' || {_bucket(seconds)}", f"NEW.{until}")
    return bucket + " " + _count(what, f"{drill} || ' sum'", f"NEW.{until}", f"coalesce({seconds}, 0)")  # a time may be damaged


def _triggers() -> tuple[str, ...]:
    page, was_page, one, was = _PAGE.format("NEW."), _PAGE.format("OLD."), _INCIDENT.format("NEW."), _INCIDENT.format("OLD.")
    real = "NEW.subject != 'replay::drill'"
    acknowledged = "UPDATE incidents SET first_acknowledged_at = NEW.acknowledged_at WHERE id = NEW.id;"
    return (
        f"counted_page AFTER INSERT ON pages BEGIN {_count('pages', page, 'NEW.created_at')} END",
        (
            f"counted_page_moves AFTER UPDATE OF route, kind, state ON pages WHEN {page} != {was_page}"
            f" BEGIN {_count('pages', was_page, 'NEW.created_at', '-1')} {_count('pages', page, 'NEW.created_at')} END"
        ),
        f"counted_incident AFTER INSERT ON incidents WHEN {real} BEGIN {_count('incidents', one, 'NEW.opened_at')} END",
        (
            f"counted_incident_moves AFTER UPDATE OF state, severity ON incidents WHEN {real} AND {one} != {was}"
            f" BEGIN {_count('incidents', was, 'NEW.opened_at', '-1')} {_count('incidents', one, 'NEW.opened_at')} END"
        ),
        (
            "counted_first_sent AFTER UPDATE OF sent_at ON pages WHEN NEW.sent_at IS NOT NULL"
            " BEGIN UPDATE incidents SET first_sent_at = NEW.sent_at WHERE id = NEW.incident AND first_sent_at IS NULL; END"
        ),
        (
            "counted_time_to_page AFTER UPDATE OF first_sent_at, severity ON incidents WHEN NEW.first_sent_at IS NOT NULL AND NEW.severity = 3"
            f" AND (OLD.first_sent_at IS NULL OR OLD.severity != 3) BEGIN {_took('time_to_page', 'first_sent_at')} END"
        ),
        (
            "counted_time_to_acknowledge AFTER UPDATE OF acknowledged_at ON incidents WHEN NEW.acknowledged_at IS NOT NULL"
            f" AND NEW.first_acknowledged_at IS NULL BEGIN {_took('time_to_acknowledge', 'acknowledged_at')}"
            f" {acknowledged} END"
        ),
    )


def create(db: sqlite3.Connection) -> None:
    """The table, filled with what is there, and what keeps it."""
    db.execute(_TABLE)
    db.execute("ALTER TABLE incidents ADD COLUMN first_sent_at TEXT")
    db.execute("ALTER TABLE incidents ADD COLUMN first_acknowledged_at TEXT")
    sent = "UPDATE incidents SET first_sent_at = p.at FROM (SELECT incident, min(sent_at) AS at FROM pages GROUP BY incident) p WHERE p.incident = id"
    db.execute(sent)
    db.execute("UPDATE incidents SET first_acknowledged_at = acknowledged_at")
    real = "FROM incidents WHERE subject != 'replay::drill'"
    for what, label, at, rows in (
        ("pages", _PAGE.format(""), "created_at", "FROM pages"),
        ("incidents", _INCIDENT.format(""), "opened_at", real),
    ):
        _fill(db, what, label, at, "count(*)", rows)
    for what, until, more in (("time_to_page", "first_sent_at", " AND severity = 3"), ("time_to_acknowledge", "first_acknowledged_at", "")):
        rows, drill, seconds = f"FROM incidents WHERE {until} IS NOT NULL{more}", _DRILL.format(""), _seconds("", until)
        _fill(db, what, f"{drill} || ' ' || {_bucket(seconds)}", until, "count(*)", rows)
        _fill(db, what, f"{drill} || ' sum'", until, f"total({seconds})", rows)
    for trigger in _triggers():
        db.execute(f"CREATE TRIGGER {trigger}")


def _fill(db: sqlite3.Connection, what: str, label: str, at: str, n: str, rows: str) -> None:
    for day in ("''", f"substr({at}, 1, 10)"):
        db.execute(f"INSERT INTO counted SELECT {day}, '{what}', {label}, {n} {rows} GROUP BY 1, 3")


RULES_BY_DAY = """
INSERT INTO counted SELECT substr(seen_at, 1, 10), 'rule', json_extract(f.value, '$.rule'), count(*)
  FROM posts, json_each(CASE WHEN json_valid(verdict) THEN verdict ELSE '{}' END, '$.findings') f
  WHERE baseline = 0 AND account != 'replay::drill' GROUP BY 1, 3;
"""  # an upgrade; of all days together `rule_hits` knows


def rule(sql: sqlite3.Connection, at: datetime, name: str) -> None:
    """It accused a post that was judged now."""
    sql.execute("INSERT INTO counted VALUES(?, 'rule', ?, 1) ON CONFLICT DO UPDATE SET n = n + 1", [f"{at.astimezone(UTC):%Y-%m-%d}", name])


def rules(sql: sqlite3.Connection, since: datetime) -> dict[str, tuple[int, str]]:
    """(posts that it accused since that UTC day, the last day on which it did) by rule."""
    query = "SELECT label, sum(n), max(day) FROM counted WHERE day >= ? AND what = 'rule' GROUP BY label"
    return {row[0]: (int(row[1]), row[2]) for row in sql.execute(query, [f"{since.astimezone(UTC):%Y-%m-%d}"])}


def totals(sql: sqlite3.Connection, what: str) -> dict[tuple[str, ...], float]:
    """Of all days, by the words of the label."""
    rows = sql.execute("SELECT label, n FROM counted WHERE day = '' AND what = ?", [what])
    return {tuple(row["label"].split(" ")): row["n"] for row in rows}

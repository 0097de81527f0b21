"""Counters of pages and incidents: what a full count says, kept by every change, and never lowered by what is removed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from monitor import counters
from monitor.counters import BUCKETS
from monitor.incidents import DRILL
from monitor.model import Human, PageKind
from monitor.record import moment, stamp
from monitor.store import Store
from tests import older
from tests.conftest import World, world
from tests.test_growth import scrape


async def story(w: World) -> None:
    """Pages of every kind, a notice that becomes a page, a drill, an acknowledgement that runs out."""
    w.register("Our new custody service starts on Monday.")
    w.x.post("acme", "Our new custody servise starts on Monday.")
    await w.run(3)
    w.x.post("acme", "We are sold.")
    await w.run(3)
    await w.service.begin_drill("alice")
    await w.run(30)
    for number in (1, 2):
        with w.service.store.transaction():
            w.service.outbox.act(number, Human("acknowledge", "alice", "a test", w.clock()))
        await w.run(3)
    await w.run(31 * 60)
    for verb in ("acknowledge", "resolve"):
        with w.service.store.transaction():
            w.service.outbox.act(1, Human(verb, "alice", "a test", w.clock(), "seen", cause="hijack" if verb == "resolve" else ""))
    await w.run(10)


def whole(store: Store) -> dict[str, dict[tuple[str, ...], float]]:
    """All of it, counted anew."""
    sql = store.sql
    pages: Counter[tuple[str, ...]] = Counter((r[0], r[1], r[2]) for r in sql.execute("SELECT route, kind, state FROM pages"))
    incidents: Counter[tuple[str, ...]] = Counter(
        (r[0], str(r[1])) for r in sql.execute("SELECT state, severity FROM incidents WHERE subject != ?", [DRILL])
    )
    found: dict[str, dict[tuple[str, ...], float]] = {"pages": dict(pages), "incidents": dict(incidents)}
    for what, until in (
        ("time_to_page", "(SELECT min(sent_at) FROM pages WHERE incident = i.id)"),
        ("time_to_acknowledge", "first_acknowledged_at"),
    ):
        more = " AND severity = 3" if what == "time_to_page" else ""
        counted: Counter[tuple[str, ...]] = Counter()
        for subject, opened, done in sql.execute(f"SELECT subject, opened_at, {until} FROM incidents i WHERE {until} NOT NULL{more}"):
            began, ended = moment(opened), moment(done)
            assert began
            assert ended
            drill, seconds = "yes" if subject == DRILL else "no", (ended - began).total_seconds()
            counted[drill, next((str(top) for top in BUCKETS if seconds <= top), "Inf")] += 1
        found[what] = dict(counted)
    return found


def kept(store: Store) -> dict[str, dict[tuple[str, ...], float]]:
    """What the counters say, without sums and what came back to nothing."""
    names = ("pages", "incidents", "time_to_page", "time_to_acknowledge")
    return {what: {k: n for k, n in counters.totals(store.sql, what).items() if n and k[-1] != "sum"} for what in names}


def by_day(store: Store) -> dict[tuple[str, str], float]:
    days = store.sql.execute("SELECT what, label, sum(n) FROM counted WHERE day != '' GROUP BY 1, 2")
    return {(r[0], r[1]): round(r[2], 3) for r in days}


async def test_counters_say_what_a_full_count_says_and_go_on_when_rows_leave(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        store = w.service.store
        said = kept(store)
        assert said == whole(store)
        assert len(said["pages"]) >= 5
        assert said["time_to_page"].keys() >= {("no", "1"), ("yes", "1")}
        assert counters.totals(store.sql, "time_to_acknowledge")["no", "sum"] > 20
        assert by_day(store) == {
            (r[0], r[1]): round(r[2], 3) for r in store.sql.execute("SELECT what, label, n FROM counted WHERE day = ''")
        }
        store.sql.execute("DELETE FROM pages")
        store.sql.execute("PRAGMA foreign_keys = OFF")
        store.sql.execute("DELETE FROM incidents")
        assert kept(store) == said, "what is removed stays counted"


async def test_a_change_that_is_taken_back_is_not_counted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        store, before = w.service.store, kept(w.service.store)
        store.sql.execute("BEGIN IMMEDIATE")
        store.sql.execute("UPDATE pages SET state = 'dead'")
        assert kept(store) != before
        store.sql.execute("ROLLBACK")
        assert kept(store) == before


async def test_a_database_without_counters_is_counted_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        store = w.service.store
        said, days = kept(store), by_day(store)
        for row in store.sql.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.sql.execute(f"DROP TRIGGER {row[0]}")
        store.sql.execute("DROP TABLE counted")
        for column in ("first_sent_at", "first_acknowledged_at"):
            store.sql.execute(f"ALTER TABLE incidents DROP COLUMN {column}")
        store.sql.execute("DELETE FROM _sqlite_migrations WHERE name = '0023_counters'")
        older.upgrade(store.path)
        again = Store(store.path)
        assert {k: v for k, v in kept(again).items() if k != "time_to_acknowledge"} == {
            k: v for k, v in said.items() if k != "time_to_acknowledge"
        }
        assert {k: n for k, n in by_day(again).items() if k[0] in ("pages", "incidents")} == {
            k: n for k, n in days.items() if k[0] in ("pages", "incidents") and n
        }
        again.close()


async def test_the_figures_read_a_few_rows_by_their_key(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        asked: list[str] = []
        w.service.store.sql.set_trace_callback(asked.append)
        counters.totals(w.service.store.sql, "pages")
        w.service.store.sql.set_trace_callback(None)
        plan = [row[3] for row in w.service.store.sql.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
        assert plan == ["SEARCH counted USING PRIMARY KEY (day=? AND what=?)"]


NONSENSE: dict[str, tuple[object, ...]] = {
    "TEXT": ("", "noon", "now", "a b c d", "\0", "9" * 30, "-4713-11-24T12:00:00", "é" * 10_000, None),
    "INT": (2**63 - 1, -(2**63), 0, None),
    "INTEGER": (),  # the number of a row
}


def spoilt(sql: sqlite3.Connection) -> Iterator[str]:
    """Each column of all incidents and pages in turn with each nonsense that the schema takes."""
    for table in ("incidents", "pages"):
        for column in sql.execute(f"PRAGMA table_info({table})").fetchall():
            for value in NONSENSE[column["type"]]:
                sql.execute("SAVEPOINT spoilt")
                with contextlib.suppress(sqlite3.IntegrityError):  # such a row there cannot be
                    sql.execute(f"UPDATE {table} SET {column['name']} = ? WHERE id = (SELECT min(id) FROM {table})", [value])
                    yield f"{table}.{column['name']} = {value!r:.40}"
                sql.execute("ROLLBACK TO spoilt")
                sql.execute("RELEASE spoilt")


def writes(w: World) -> Iterator[Callable[[], object]]:
    """What paging, acknowledging and resolving write."""
    store, now = w.service.store, w.clock()
    pages, sql = store.pages, store.sql
    for kind in PageKind:
        yield partial(pages.enqueue, 1, "slack", kind, "why", now)
    for state in ("sending", "unknown", "sent", "ready", "superseded", "dead"):
        yield partial(pages.move, 1, ("ready", "sending", "unknown", "sent", "superseded"), state, sent_at=now if state == "sent" else None)
    yield partial(pages.cancel_waking, 1, ("slack",))
    for state in ("acknowledged", "resolved", "open"):
        for severity in range(4):
            yield partial(sql.execute, "UPDATE incidents SET state = ?, severity = ? WHERE id = 1", [state, severity])
    for column in ("first_sent_at", "first_acknowledged_at", "acknowledged_at"):
        yield partial(sql.execute, f"UPDATE incidents SET {column} = NULL")
    yield partial(sql.execute, "UPDATE incidents SET acknowledged_at = ?", [stamp(now)])
    yield partial(sql.execute, "UPDATE pages SET sent_at = ?", [stamp(now)])
    yield partial(scrape, w)


async def test_no_nonsense_in_a_row_keeps_a_page_or_an_acknowledgement_from_being_written(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(400)
        sql, tried = w.service.store.sql, 0
        sql.execute("BEGIN IMMEDIATE")
        for where in spoilt(sql):
            for write in writes(w):
                try:
                    write()
                except sqlite3.Error as error:
                    raise AssertionError(f"{where}: {write}") from error
            tried += 1
        sql.execute("ROLLBACK")
        assert tried > 150

"""The audit chain is verified: all of it by the daemon, a little at a time, and what came since by `status`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import chain, record, status, verifying, wiring
from tests.conftest import START, World, world


def acts(w: World, count: int) -> None:
    with w.service.store.transaction():
        for number in range(count):
            w.service.store.audit(w.clock(), "alice", "tried", f"thing {number}")


async def verify(w: World) -> None:
    """As the schedule does, until all of it is done."""
    looking = wiring.verifying(w.service)
    for _ in range(1_000):
        await looking.look()
        if looking._walk is None:
            return
    raise AssertionError("it comes to no end")


def wrong(w: World) -> str:
    return "; ".join(status.standing(w.service.store, w.service.config, w.clock()).wrong)


def rewrite(w: World, number: int, actor: str) -> None:
    """Change an act, and make the chain hold again from there on."""
    sql, previous = w.service.store.sql, ""
    sql.execute("UPDATE audit SET actor = ? WHERE id = ?", [actor, number])
    for row in sql.execute("SELECT * FROM audit ORDER BY id").fetchall():
        linked = record.link(previous, [row[c] for c in ("at", "actor", "action", "subject", "detail")])
        sql.execute("UPDATE audit SET previous = ?, hash = ? WHERE id = ?", [previous, linked, row["id"]])
        previous = linked


async def test_the_daemon_finds_what_was_changed_and_pages_until_it_holds_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        acts(w, 3 * chain.BLOCK)
        await verify(w)
        await w.run(6)
        assert not w.slack.roots()
        assert wrong(w) == ""
        w.service.store.sql.execute("UPDATE audit SET actor = 'bob' WHERE id = 700")
        assert wrong(w) == "", "`status` looks only behind what was verified"
        w.clock.move(86_400)
        await verify(w)
        await w.run(6)
        (page,) = [p for p in w.slack.waking() if "audit chain" in p.words()]
        assert "broken at row 700" in page.words()
        assert "broken at row 700" in wrong(w), "and remembers it"
        w.service.store.sql.execute("UPDATE audit SET actor = 'alice' WHERE id = 700")
        w.clock.move(86_400)
        await verify(w)
        await w.run(6)
        assert "broken" not in wrong(w)


async def test_what_came_since_is_verified_by_status_and_the_row_it_begins_at(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        acts(w, 20)
        await verify(w)
        mark = verifying.verified(w.service.store).mark
        acts(w, 20)
        assert wrong(w) == ""
        w.service.store.sql.execute("UPDATE audit SET actor = 'bob' WHERE id = ?", [mark.id + 3])
        assert f"broken at row {mark.id + 3}" in wrong(w)
        w.service.store.sql.execute("DELETE FROM audit WHERE id >= ?", [mark.id])
        assert f"broken at row {mark.id}" in wrong(w), "it was cut off"


@pytest.mark.parametrize("moved", [0, -5, 5, 1_000])
async def test_a_mark_that_somebody_moved_hides_nothing_from_the_daemon(tmp_path: Path, moved: int) -> None:
    async with world(tmp_path) as w:
        acts(w, 20)
        await verify(w)
        acts(w, 20)
        mark = verifying.verified(w.service.store).mark
        w.service.store.sql.execute("UPDATE audit SET actor = 'bob' WHERE id = 9")
        row = w.service.store.sql.execute("SELECT hash FROM audit WHERE id = ?", [mark.id + moved]).fetchone()
        said = {"id": mark.id + moved if moved else 0, "hash": row[0] if row and moved else "", "at": record.stamp(w.clock()), "why": ""}
        w.service.store.keep("audit verified", json.dumps(said))
        w.clock.move(86_400)
        await verify(w)
        assert "broken at row 9:" in wrong(w)


@pytest.mark.parametrize(
    "change",
    [
        {"id": 2**63},
        {"id": -1},
        {"id": "x"},
        {"at": "2026-11-21T03:00:00"},
        {"at": None},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"hash": None},
    ],
)
async def test_a_mark_that_cannot_be_one_stops_neither_the_daemon_nor_status(tmp_path: Path, change: dict[str, object]) -> None:
    async with world(tmp_path) as w:
        acts(w, 20)
        await verify(w)
        said = json.loads(w.service.store.kept("audit verified"))
        w.service.store.keep("audit verified", json.dumps(said | change))
        w.service.store.sql.execute("UPDATE audit SET actor = 'bob' WHERE id = 9")
        wrong(w)
        w.clock.move(86_400)
        await verify(w)
        assert "broken at row 9:" in wrong(w)


async def test_a_chain_made_anew_or_cut_off_under_a_running_daemon_is_found(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        acts(w, 20)
        looking = wiring.verifying(w.service)
        await looking.look()
        assert looking._walk is None
        rewrite(w, 9, "bob")
        head = chain.Mark(*w.service.store.sql.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone())
        w.service.store.keep("audit verified", json.dumps({"id": head.id, "hash": head.hash, "at": record.stamp(w.clock()), "why": ""}))
        assert w.service.store.broken_audit() is None, "nothing in the file contradicts it"
        w.clock.move(86_400)
        await looking.look()
        assert "the audit chain is broken" in str(looking.vitals(w.clock())["chain"])
        assert "the audit chain is broken" in wrong(w)


@pytest.mark.parametrize("detail", ["", "[]", "{}", '{"acts": [1]}', '{"acts": {"x": 1}}', "[" * 100_000])
async def test_an_act_that_cannot_be_read_excuses_nothing_and_stops_nobody_from_looking(tmp_path: Path, detail: str) -> None:
    async with world(tmp_path) as w:
        acts(w, 5)
        sql = w.service.store.sql
        (number,) = sql.execute("SELECT max(id) FROM audit").fetchone()
        sql.execute("UPDATE audit SET detail = '{\"redacted\": 1}' WHERE id = ?", [number])
        row: list[str | None] = ["2026-11-21T03:00:00.000000+00:00", "bob", chain.FORGOTTEN, "post 1", detail]
        columns = "at, actor, action, subject, detail, previous, hash"
        sql.execute(f"INSERT INTO audit({columns}) VALUES(?, ?, ?, ?, ?, '', ?)", [*row, record.link(chain.head(sql), row)])
        assert f"broken at row {number}:" in wrong(w)
        await verify(w)
        assert f"broken at row {number}:" in str(verifying.verified(w.service.store).why)


# --- the chain itself ----------------------------------------------------------------------------------


def _chained(old: list[bool]) -> sqlite3.Connection:
    """As many acts; those of an earlier version repeat the hash before them."""
    sql = sqlite3.connect(":memory:", isolation_level=None)
    sql.execute("CREATE TABLE audit(id INTEGER PRIMARY KEY, at, actor, action, subject, detail, previous, hash)")
    for number, repeats in enumerate(old):
        before = chain.head(sql)
        chain.append(sql, START, "alice", "tried", f"thing {number // 2}", {"n": number % 3})
        if repeats:
            sql.execute("UPDATE audit SET previous = ? WHERE id = ?", [before, number + 1])
    return sql


_CHAINS = st.lists(st.booleans(), min_size=4, max_size=12)


@given(_CHAINS, st.data())
def test_whichever_rows_are_taken_out_swapped_doubled_or_moved_it_is_found(old: list[bool], data: st.DataObject) -> None:
    sql, last = _chained(old), len(old)
    mark = chain.Mark(last, chain.head(sql))
    assert chain.broken(sql) is None
    assert chain.stands(sql, mark)
    first, second = sorted(data.draw(st.lists(st.integers(1, last), min_size=2, max_size=2, unique=True)))
    columns = "at, actor, action, subject, detail, previous, hash"
    change = data.draw(st.sampled_from(("out", "swapped", "doubled", "moved", "cut off", "emptied")))
    match change:
        case "out":
            sql.execute("DELETE FROM audit WHERE id >= ? AND id < ?", [first, second])
        case "swapped":
            sql.execute("UPDATE audit SET id = -id WHERE id IN (?, ?)", [first, second])
            sql.execute("UPDATE audit SET id = ? WHERE id = ?", [second, -first])
            sql.execute("UPDATE audit SET id = ? WHERE id = ?", [first, -second])
        case "doubled":
            sql.execute(f"INSERT INTO audit({columns}) SELECT {columns} FROM audit WHERE id = ?", [first])
        case "moved":
            sql.execute("UPDATE audit SET id = ? WHERE id = ?", [last + 1, first])
        case "cut off":
            sql.execute("DELETE FROM audit WHERE id > ?", [first])
            assert chain.broken(sql) is None, "nothing in the file contradicts it"
            assert not chain.stands(sql, mark), "whoever knows the head does"
            return
        case "emptied":
            sql.execute("UPDATE audit SET hash = '', previous = '' WHERE id = ?", [first])
    assert chain.broken(sql) is not None, change

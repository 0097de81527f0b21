"""Older acts are packed: nobody who reads the chain notices, and whatever somebody does to them is found."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import backup, chain, copies, forget, packing, record, report, schema, sealed, status, verifying
from monitor.cli import main
from monitor.desk import DeskError
from monitor.report_check import verify
from monitor.sealed import Block
from tests.conftest import START, World, world
from tests.test_forget import ASKED, gone, hijack, in_bytes
from tests.test_report import SECRET
from tests.test_retention import FOREVER, later
from tests.test_verifying import acts as add
from tests.test_verifying import verify as verify_all

_SUBJECTS = ("INC-1", "INC-2", "INC-20", "x::1/2", "retention", "")


class Twin:
    """A chain of which acts are packed, and the same one of which none are."""

    def __init__(self) -> None:
        self.packed, self.plain = (sqlite3.connect(":memory:", isolation_level=None) for _ in range(2))
        for sql in (self.packed, self.plain):
            sql.execute("CREATE TABLE audit(id INTEGER PRIMARY KEY, at, actor, action, subject, detail, previous, hash)")
        schema.run(self.packed, sealed.TABLES)
        self.last = 0

    def append(self, subject: str, words: str, *, repeating: bool = False) -> None:
        for sql in (self.packed, self.plain):
            chain.append(sql, START, "alice", "tried", subject, {"note": words}, repeating=repeating)
        self.last += 1

    def forget(self, number: int) -> None:
        for sql in (self.packed, self.plain):
            said = next(detail for one, _, detail in chain.details(sql) if one == number) or ""
            both = chain.bare(sql, number, json.dumps(json.loads(said) | {"note": "[removed]"}), START)
            chain.append(sql, START, "counsel", chain.FORGOTTEN, "post 1", {"acts": {str(number): both}})
        self.last += 1

    def seal(self, kept: int, most: int) -> bool:
        return chain.seal(self.packed, kept, most)


def walked(sql: sqlite3.Connection, mark: chain.Mark = chain.BEGINNING) -> list[tuple[Any, ...]]:
    walk, found = chain.Walk(mark), list[tuple[Any, ...]]()
    while rows := walk.next(sql):
        found += rows
    assert walk.broken() is None
    return found


_WORDS = st.one_of(st.sampled_from(("", "“quoted”", 'a "word"', "redacted")), st.text(st.characters(codec="utf-8"), max_size=30))
_DOINGS = st.lists(
    st.one_of(
        st.tuples(st.just("act"), st.sampled_from(_SUBJECTS), _WORDS, st.booleans()),
        st.tuples(st.just("forget"), st.integers(0, 50)),
        st.tuples(st.just("seal"), st.integers(0, 4), st.integers(1, 5)),
    ),
    min_size=1,
    max_size=30,
)


def lived(doings: list[Any]) -> Twin:
    twin = Twin()
    for what, *how in doings:
        if what == "act":
            twin.append(how[0], how[1], repeating=how[2])
        elif what == "seal":
            twin.seal(*how)
        elif twin.last:
            twin.forget(1 + how[0] % twin.last)
    return twin


@given(_DOINGS)
def test_nobody_who_reads_the_chain_notices_that_acts_are_packed(doings: list[Any]) -> None:
    twin = lived(doings)
    rows = walked(twin.plain)
    assert walked(twin.packed) == rows
    assert chain.head(twin.packed) == chain.head(twin.plain)
    assert list(chain.details(twin.packed)) == [tuple(row) for row in chain.details(twin.plain)]
    for incident in (1, 2, 20, 3):
        assert chain.acts(twin.packed, incident) == [
            dict(zip(sealed.FIELDS, row[3:], strict=True)) for row in rows if row[6] == f"INC-{incident}"
        ]
    listed = [(row[0], *row[3:]) for row in rows][::-1]
    assert list(chain.newest(twin.packed)) == listed
    assert list(chain.newest(twin.packed, 3)) == listed[:4]
    for row in rows:
        assert list(chain.newest(twin.packed, 2, row[0])) == [act for act in listed if act[0] < row[0]][:3]
        mark = chain.Mark(row[0], row[2])
        assert chain.stands(twin.packed, mark)
        assert walked_from(twin, mark) == rows[row[0] :]
        assert not chain.stands(twin.packed, replace(mark, hash="0" * 64))
        assert_some(twin, since=row[0])
    twin.append("INC-1", "and on")
    assert walked(twin.packed) == walked(twin.plain), "numbers go on"


def assert_some(twin: Twin, since: int) -> None:
    """What is asked for is there once, in order, as it is of all."""
    every, about = [(row[0], row[1], row[2]) for row in chain.details(twin.plain)], "INC-1"
    some = [(row[0], row[1], row[2]) for row in chain.details(twin.packed, since, chain.places(twin.packed, [about]))]
    assert some == [act for act in every if act in some]
    assert [act for act in every if act[0] > since or act[1] == about] == [act for act in some if act[0] > since or act[1] == about]


def walked_from(twin: Twin, mark: chain.Mark) -> list[tuple[Any, ...]]:
    """Behind a mark, where an act may lack words whose excuse is there, or whose excuse excuses one before it."""
    walk, found = chain.Walk(mark), list[tuple[Any, ...]]()
    while rows := walk.next(twin.packed):
        found += rows
    assert walk.broken() is None
    return found


@given(st.integers(8, 40), st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=20))
def test_a_walk_under_which_acts_are_packed_goes_along_each_once(count: int, turns: list[tuple[bool, int]]) -> None:
    twin = Twin()
    for number in range(count):
        twin.append("INC-1", f"{number}")
    walk, found = chain.Walk(chain.Mark(3, walked(twin.plain)[2][2])), list[Any]()
    for walks, most in turns:
        if walks:
            rows = twin.packed.execute(chain._NEXT, [walk.mark.id, most]).fetchall()  # fewer than `next` would take
            found += walk._along(rows) if not sealed.behind(twin.packed, walk.mark.id) else walk.next(twin.packed)
        else:
            twin.seal(1, most)
    while rows := walk.next(twin.packed):
        found += rows
    assert walk.broken() is None
    assert found == walked(twin.plain)[3:]


def test_what_was_cut_off_in_the_middle_leaves_every_act_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "chain.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as sql, closing(sqlite3.connect(path, isolation_level=None)) as other:
        sql.execute("PRAGMA journal_mode=WAL")
        sql.execute("CREATE TABLE audit(id INTEGER PRIMARY KEY, at, actor, action, subject, detail, previous, hash)")
        schema.run(sql, sealed.TABLES)
        for number in range(20):
            chain.append(sql, START, "alice", "tried", "INC-1", {"n": number})
        before = walked(sql)
        sql.execute("BEGIN IMMEDIATE")
        assert chain.seal(sql, 1, 5)
        assert walked(other) == before, "whoever reads meanwhile"
        sql.execute("ROLLBACK")  # as after a kill
        assert walked(sql) == before
        assert sealed.end(sql)[0] == 0
        while chain.seal(sql, 1, 5):
            assert walked(sql) == walked(other) == before
        assert sealed.end(sql)[0] == 15


# --- somebody who can write the file ---------------------------------------------------------------------


def _blocks(sql: sqlite3.Connection) -> list[Block]:
    return list(sealed.every(sql))


def _another(sql: sqlite3.Connection, block: Block, stored: bytes) -> None:
    sql.execute("UPDATE sealed SET acts = ? WHERE last = ?", [stored, block.last])


def _changed(sql: sqlite3.Connection, block: Block, acts: list[list[str]], **bare: str) -> bool:
    """A row with other acts, as many or not, in the same form."""
    columns = dict(zip(sealed.FIELDS, zip(*acts, strict=True), strict=True)) if acts else dict.fromkeys(sealed.FIELDS, ())
    _another(sql, block, packing.pack(json.dumps(columns | {"bare": bare or block.bare}).encode()))
    return True


@functools.cache
def _bomb() -> bytes:
    packer = zstd.ZstdCompressor()
    return b"".join([*(packer.compress(b"[" * (1 << 20)) for _ in range(64)), packer.flush()])


@functools.cache
def _nonsense() -> tuple[bytes, ...]:
    """No packed acts: made when they are tried."""
    return (
    b"", b"nothing", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x00", _bomb(), packing.pack(b"[" * 1_000_000), packing.pack(b"null"),
    packing.pack(b"[1, 2]"), packing.pack(b'{"at": 1}'), packing.pack(b'"\xff"'), packing.pack(b"[" + b"[]," * 400_000 + b"1]"),
    packing.pack(json.dumps({name: [1, 2, 3] for name in sealed.FIELDS} | {"bare": {}}).encode()),
    packing.pack(json.dumps({name: ["\ud800"] * 3 for name in sealed.FIELDS} | {"bare": {}}).encode()),
    packing.pack(json.dumps({name: ["x"] * 3 for name in sealed.FIELDS} | {"bare": {"x": "y", "1": 2}}).encode()),
    packing.pack(b'{"at": ["\xed\xa0\x80", "", ""], "actor": ["", "", ""], "action": ["", "", ""], "subject": ["", "", ""], "detail": ["", "", ""], "bare": {}}'),
)  # fmt: skip


_LINKED = "INSERT INTO audit(id, at, actor, action, subject, detail, previous, hash) VALUES(?, '', 'bob', 'tried', 'x', '{}', '', ?)"


def _stray(sql: sqlite3.Connection, number: int) -> None:
    """An act that also stands in a packed row, with other words and a hash that fits them."""
    before = dict(walked_hashes(sql)).get(number - 1, "")
    sql.execute(_LINKED, [number, record.link(before, ["", "bob", "tried", "x", "{}"])])


def walked_hashes(sql: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    yield from ((row[0], row[2]) for row in walked(sql))


_CORRUPTIONS: dict[str, Callable[[sqlite3.Connection, Block, Block, st.DataObject], object]] = {
    "removed": lambda sql, one, _, __: sql.execute("DELETE FROM sealed WHERE last = ?", [one.last]),
    "removed up to there": lambda sql, one, _, __: sql.execute("DELETE FROM sealed WHERE last <= ?", [one.last]),
    "all removed": lambda sql, *_: sql.execute("DELETE FROM sealed"),
    "table dropped": lambda sql, *_: sql.execute("DROP TABLE sealed"),
    "acts of another": lambda sql, one, two, _: _changed(sql, one, two.acts),
    "whole row of another": lambda sql, one, two, _: sql.execute(
        "UPDATE sealed SET (hash, acts) = (SELECT hash, acts FROM sealed WHERE last = ?) WHERE last = ?", [two.last, one.last]
    ),
    "swapped": lambda sql, one, two, _: [_changed(sql, block, other.acts) for block, other in ((one, two), (two, one))],
    "doubled": lambda sql, one, _, data: sql.execute(
        "INSERT INTO sealed SELECT ?, hash, acts FROM sealed WHERE last = ?", [one.last + data.draw(st.sampled_from((-1, 1))), one.last]
    ),
    "doubled at an end": lambda sql, one, _, data: sql.execute(
        "INSERT INTO sealed SELECT ?, hash, acts FROM sealed WHERE last = ?",
        [data.draw(st.sampled_from((-1, 0, (1 << 63) - 1, 1_000))), one.last],
    ),
    "moved": lambda sql, one, _, data: sql.execute(
        "UPDATE sealed SET last = ? WHERE last = ?", [one.last + data.draw(st.sampled_from((-1, 1))), one.last]
    ),
    "its hash": lambda sql, one, *_: sql.execute("UPDATE sealed SET hash = ? WHERE last = ?", ["0" * 64, one.last]),
    "an act changed": lambda sql, one, _, data: _changed(sql, one, _edited(one, data)),
    "an act taken out": lambda sql, one, _, data: _changed(sql, one, _without(one, data)),
    "an act doubled": lambda sql, one, *_: _changed(sql, one, [*one.acts, one.acts[-1]]),
    "acts turned round": lambda sql, one, *_: _changed(sql, one, one.acts[::-1]),
    "a hash given": lambda sql, one, _, data: _changed(sql, one, _edited(one, data), **_given(one)),
    "words taken out, unexcused": lambda sql, one, *_: _changed(
        sql, one, [[*act[:-1], '{"redacted": "2026"}'] for act in one.acts], **_given(one)
    ),
    "nonsense": lambda sql, one, _, data: _another(sql, one, data.draw(st.sampled_from(_nonsense()))),
    "cut short": lambda sql, one, *_: sql.execute("UPDATE sealed SET acts = substr(acts, 1, length(acts) - 1) WHERE last = ?", [one.last]),
    "also in audit": lambda sql, one, _, data: _stray(sql, data.draw(st.integers(one.first, one.last))),
    "before the first": lambda sql, _, __, data: sql.execute(_LINKED, [data.draw(st.sampled_from((0, -1, -(1 << 63)))), "x"]),
    "not listed": lambda sql, one, *_: sql.execute("DELETE FROM sealed_incidents WHERE last = ?", [one.last]),
    "the oldest of the newest": lambda sql, *_: sql.execute("DELETE FROM audit WHERE id = (SELECT min(id) FROM audit)"),
    "the newest": lambda sql, *_: sql.execute("DELETE FROM audit"),
    "the newest, and one written since": lambda sql, *_: _anew(sql),
}  # fmt: skip


def _anew(sql: sqlite3.Connection) -> bool:
    sql.execute("DELETE FROM audit")
    chain.append(sql, START, "bob", "tried", "x", {})
    return True


def _edited(block: Block, data: st.DataObject) -> list[list[str]]:
    place, column = data.draw(st.integers(0, len(block.acts) - 1)), data.draw(st.integers(0, 4))
    acts = [[*act] for act in block.acts]
    acts[place][column] += data.draw(st.sampled_from(("x", " ", "\0", "INC-9")))
    return acts


def _without(block: Block, data: st.DataObject) -> list[list[str]]:
    place = data.draw(st.integers(0, len(block.acts) - 1))
    return [*block.acts[:place], *block.acts[place + 1 :]]


def _given(block: Block) -> dict[str, str]:
    return {str(number): linked for number, linked in block.hashes().items()}


@pytest.mark.parametrize("how", _CORRUPTIONS)
@settings(max_examples=25)
@given(data=st.data())
def test_whatever_is_done_to_packed_acts_is_found_and_stops_nobody(how: str, data: st.DataObject) -> None:
    twin, most = Twin(), 3
    for number in range(17):
        twin.append("INC-1", str(number))
    while twin.seal(1, most):
        pass
    sql, rows = twin.packed, walked(twin.plain)
    blocks = _blocks(sql)
    assert len(blocks) == 5
    one, two = data.draw(st.lists(st.sampled_from(blocks), min_size=2, max_size=2, unique_by=lambda block: block.last))
    _CORRUPTIONS[how](sql, one, two, data)
    found = chain.broken(sql)
    assert found is not None, how
    assert found <= twin.last + 1, "a number that somebody can look for"
    walk = chain.Walk()
    while walk.next(sql):
        pass
    assert walk.broken() == found
    for row in rows:  # none of these may raise
        chain.stands(sql, chain.Mark(row[0], row[2]))
    with suppress(sqlite3.OperationalError):  # without the table
        chain.acts(sql, 1)
        list(chain.details(sql))
        list(chain.newest(sql))
        chain.seal(sql, 1, most)
    assert chain.broken(sql) is not None, "packing hides nothing"


@pytest.mark.parametrize("how", ["UPDATE audit SET actor = 'bob' WHERE id = 4", "DELETE FROM audit WHERE id = 4", "UPDATE audit SET hash = 'x' WHERE id = 4",
                                 "UPDATE audit SET previous = 'x' WHERE id = 4", "UPDATE audit SET id = 100 WHERE id = 9"])  # fmt: skip
def test_what_does_not_hold_is_not_packed(how: str) -> None:
    twin = Twin()
    for number in range(9):
        twin.append("INC-1", str(number))
    twin.packed.execute(how)
    before = chain.broken(twin.packed)
    while twin.seal(1, 3):
        pass
    assert sealed.end(twin.packed)[0] in (3, 6)
    assert chain.broken(twin.packed) in (before, 4), "and its number is still said, or that of the one that is missing"


def test_acts_that_are_long_are_packed_in_smaller_numbers_and_one_that_is_too_long_stays(caplog: pytest.LogCaptureFixture) -> None:
    twin = Twin()
    for number in range(6):
        twin.append("INC-1", f"{number}" * (300_000 if number < 4 else 9_000_000))
    while twin.seal(1, 3):
        pass
    assert [(block.first, block.last) for block in _blocks(twin.packed)] == [(1, 2), (3, 4)]
    assert walked(twin.packed) == walked(twin.plain)
    for number in range(5):
        twin.append("INC-1", f"{number}" * packing.MOST if not number else "")
    while twin.seal(1, 1):
        pass
    assert sealed.end(twin.packed)[0] == 6
    assert "acts 7 to 7 of the audit chain are not packed" in caplog.text
    assert walked(twin.packed) == walked(twin.plain)


# --- as the daemon does it -------------------------------------------------------------------------------

MANY = chain.KEPT + 3 * chain.BLOCK


def packed(w: World, kept: int = 1, most: int = 3) -> None:
    """All of it that can be."""
    with w.service.store.transaction():
        while chain.seal(w.service.store.sql, kept, most):
            pass
    assert sealed.end(w.service.store.sql)[0]


async def test_pruning_packs_older_acts_while_no_page_is_due_and_status_and_the_daily_look_go_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        add(w, MANY)
        await verify_all(w)
        mark, head, counted = verifying.verified(store).mark, store.audit_head(), copies.rows(store.sql)["audit"]
        assert not await later(w, FOREVER, 1, "the clock is wrong").run()
        assert sealed.end(store.sql)[0] == 0
        w.slack.refuse["chat.postMessage"] = "internal_error"
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        assert not await later(w, FOREVER, 0).run(), "a page is due"
        assert sealed.end(store.sql)[0] == 0
        w.slack.refuse.clear()
        await w.run(30)
        assert await later(w, FOREVER, 1).run()
        assert sealed.end(store.sql)[0] == 3 * chain.BLOCK
        assert chain.stands(store.sql, mark)
        add(w, 1)
        (first, last) = (store.sql.execute(f"SELECT {which}(id) FROM audit").fetchone()[0] for which in ("min", "max"))
        assert first == 3 * chain.BLOCK + 1
        assert last == copies.rows(store.sql)["audit"] > counted
        assert store.audit_head() != head
        w.clock.move(86_400)
        await verify_all(w)
        assert verifying.verified(store).why == ""
        assert verifying.verified(store).mark.id > mark.id


async def test_a_packed_act_that_somebody_changed_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        add(w, 20)
        await verify_all(w)
        packed(w)
        block = next(one for one in sealed.every(store.sql) if any(act[1] == "alice" for act in one.acts))
        acts = [[at, "bob", *rest] for at, _, *rest in block.acts]
        assert sealed.put(store.sql, replace(block, acts=acts))
        w.clock.move(86_400)
        await verify_all(w)
        await w.run(6)
        (page,) = [p for p in w.slack.waking() if "audit chain" in p.words()]
        assert f"broken at row {block.first}" in page.words()
        store.sql.execute("UPDATE sealed SET acts = ? WHERE last = ?", [_bomb(), block.last])
        w.clock.move(86_400)
        await verify_all(w)
        assert f"broken at row {block.first}" in verifying.verified(store).why


async def test_what_packed_acts_quote_is_forgotten_and_the_chain_holds(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        add(w, 10)
        store = w.service.store
        packed(w)
        shown = CliRunner().invoke(main, ["--config", str(w.config.path), "incidents", "show", "1"])
        assert "pangolin" in shown.output.partition("Acts")[2]
        assert not gone(store)
        found = forget.find(store, identifier, w.clock())
        quoting = [number for table, _, number in found.rows if table == "audit"]
        assert quoting
        assert max(quoting) <= sealed.end(store.sql)[0]
        forget.forget(store, identifier, "counsel", ASKED, w.clock())
        forget.wipe(store.sql)
        assert gone(store)
        assert in_bytes(store.path) == []
        assert store.broken_audit() is None
        packed(w)
        assert store.broken_audit() is None, "also where the act that excuses it is packed"
        _, archive = report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        await verify_all(w)
        assert verifying.verified(store).why == ""


async def test_an_export_has_packed_acts_as_the_others_and_says_that_one_was_changed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        add(w, 10)
        store = w.service.store
        whole = report._chain(store, report.gather(store, 1))
        packed(w)
        dossier = report.gather(store, 1)
        assert report._chain(store, dossier) == whole
        _, archive = report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        block = next(one for one in sealed.every(store.sql) if any(act[2] == "incident opened" for act in one.acts))
        sealed.put(store.sql, replace(block, acts=[[at, "bob", *rest] for at, _, *rest in block.acts]))
        with pytest.raises(DeskError, match=f"broken at row {block.first}"):
            report.export(store, 1, tmp_path, w.clock(), SECRET)
        wrong = verify(archive).wrong
        assert any("was changed" in one for one in wrong), wrong
        assert any("was broken at act" in one for one in wrong)


async def test_what_cannot_be_read_is_said_wherever_it_is_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        add(w, 10)
        store = w.service.store
        packed(w, most=8)
        block = next(sealed.about(store.sql, "INC-1"))
        store.sql.execute("UPDATE sealed SET acts = x'00' WHERE last = ?", [block.last])
        lost = f"acts {block.first} to {block.last} of the audit chain cannot be read"
        shown = CliRunner().invoke(main, ["--config", str(w.config.path), "incidents", "show", "1"])
        assert shown.exit_code == 0, shown.output
        assert "acts lost" in shown.output
        listed = CliRunner().invoke(main, ["--config", str(w.config.path), "acts", "--json"])
        assert lost in listed.output
        numbers = [act["id"] for act in json.loads(listed.output)]
        assert numbers == sorted(numbers, reverse=True)
        part = CliRunner().invoke(main, ["--config", str(w.config.path), "acts", "--limit", "3"])
        assert f"3 of {numbers[0]}; --before {numbers[2]}" in part.output
        with pytest.raises(DeskError, match="is broken at row"):
            report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert lost in (tmp_path / "INC-1.html").read_text()
        assert any(lost in line for line in forget.find(store, identifier, w.clock()).beyond())
        assert "broken at row" in "; ".join(status.standing(store, w.config, w.clock()).wrong)


async def test_a_backup_with_packed_acts_counts_them_and_one_that_was_changed_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        add(w, 20)
        counted = w.service.store.sql.execute("SELECT count(*) FROM audit").fetchone()[0]
        packed(w)
        made = backup.make(w.config, str(tmp_path / "copy.db"), None, "carla", w.clock())
        assert made.copy.rows["audit"] == counted
        assert copies.examined(tmp_path / "copy.db") == made.copy
        with closing(sqlite3.connect(tmp_path / "copy.db")) as sql:
            sql.execute("DELETE FROM sealed WHERE last = 6")
            sql.commit()
        with pytest.raises(copies.CopyError, match="broken at row 4:"):
            copies.examined(tmp_path / "copy.db")

"""A post is searched for while the daemon writes, and forgotten with what has come since: nothing is searched twice but what changed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from monitor import chain, desk, forget, redaction, sealed
from monitor.desk import DeskError
from monitor.model import Post
from monitor.store import Store
from monitor.traces import Found
from tests.conftest import World, world
from tests.test_forget import ASKED, SCAM, gone, hijack
from tests.test_retention import end, values

LARGE = ("posts", "approved", "evidence", "audit", "sealed", "rulebooks")
PICTURE = "Words that were read in its picture, long enough to be searched for: pangolin"


@asynccontextmanager
async def searched(tmp_path: Path) -> AsyncIterator[tuple[World, str, Store, Found]]:
    """A hijack that is over, another one after it, and what a command of another process has found of the first."""
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        w.x.post("acme", "Another one, of another day")
        await w.run(30)
        end(w, 2)
        w.service.store.audit(w.clock(), "alice", "note", "INC-2", text="he wrote “a capybara”")
        for number in range(6):  # so that it is packed with none of what comes later
            w.service.store.audit(w.clock(), "alice", "note", "somewhere", number=number)
        await w.run(60)
        with closing(Store(w.service.store.path)) as command:
            yield w, identifier, command, forget.find(command, identifier, w.clock())


def pack(store: Store) -> None:
    with store.transaction():
        while chain.seal(store.sql, 1, 3):
            pass


async def test_what_the_daemon_writes_between_the_search_and_the_lock_goes_with_it(tmp_path: Path) -> None:
    async with searched(tmp_path) as (w, identifier, command, before):
        store = w.service.store
        again = w.x.post("acme", SCAM)
        await w.run(30)
        end(w, 3)
        await w.run(60)
        planned = w.register(SCAM)
        desk.withdraw(store, planned, "comms", w.clock())
        (other,) = store.posts("incident = 2")
        assert isinstance(other.post, Post)
        with store.transaction():
            store.keep_words(other.post, [SCAM])  # its incident is about these words now, and so is what acts quote there
            store.keep_evidence(json.dumps({"data": [{"id": identifier, "text": "An ocelot"}]}).encode(), w.clock())
            store.audit(w.clock(), "alice", "note", "somewhere", text=f"she wrote “{SCAM}”")
            w.service.outbox.mention(1, f"it showed “{SCAM}”", w.clock())
        await w.run(10)
        pack(store)
        found = forget.forget(command, identifier, "counsel", ASKED, w.clock(), before)
        assert {row["id"] for row in found.posts} == {identifier, again, other.post.id}
        assert planned in found.registrations
        forget.wipe(command.sql)
        assert "capybara" not in values(store)
        assert "ocelot" not in values(store)
        assert gone(store)
        assert store.broken_audit() is None


async def test_what_was_found_and_is_gone_since_is_none_of_its_business(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        store = w.service.store
        again = w.x.post("acme", SCAM)
        await w.run(30)
        end(w, 2)
        planned = w.register(SCAM)
        desk.withdraw(store, planned, "comms", w.clock())
        before = forget.find(store, identifier, w.clock())
        assert planned in before.registrations
        assert len(before.posts) == 2
        (row,) = (one for one in before.posts if one["id"] == again)
        with store.transaction():
            redaction.post(store.sql, row, w.clock(), "old")
            redaction.registration(store.sql, planned, w.clock())
            store.sql.execute("DELETE FROM evidence WHERE sha256 = ?", [before.answers[0]])
        pack(store)
        found = forget.forget(store, identifier, "counsel", ASKED, w.clock(), before)
        assert "(its content is gone already)" in "".join(found.lines())
        assert found.registrations == []
        assert before.answers[0] not in found.answers
        assert gone(store)
        assert store.broken_audit() is None


async def test_what_the_post_itself_says_since_is_searched_for_everywhere(tmp_path: Path) -> None:
    async with searched(tmp_path) as (w, identifier, command, _):
        store = w.service.store
        store.audit(w.clock(), "alice", "note", "somewhere", text=f"I read “{PICTURE}”")
        pack(store)
        before = forget.find(command, identifier, w.clock())
        (kept,) = store.posts("id = ?", (identifier,))
        store.keep_words(kept.post, [PICTURE])  # type: ignore[arg-type]
        forget.forget(command, identifier, "counsel", ASKED, w.clock(), before)
        assert gone(store)


async def test_words_that_the_post_has_lost_since_are_known_from_the_search(tmp_path: Path) -> None:
    async with searched(tmp_path) as (w, identifier, command, before):
        store = w.service.store
        store.audit(w.clock(), "alice", "note", "somewhere", text=f"she wrote “{SCAM}”")
        for row in before.posts:
            redaction.post(store.sql, row, w.clock(), "old")
        forget.forget(command, identifier, "counsel", ASKED, w.clock(), before)
        assert gone(store)


async def test_a_registration_is_found_by_what_json_escapes_twice(tmp_path: Path) -> None:
    words = 'A pangolin said "claim\nit" \\today, in the picture of every one of us'
    async with world(tmp_path) as w:
        identifier = w.x.post("acme", words)
        await w.run(30)
        end(w)
        planned = w.register("", pictures=("0" * 64,), media=1, alt=(words,))
        desk.withdraw(w.service.store, planned, "comms", w.clock())
        assert forget.find(w.service.store, identifier, w.clock()).registrations == [planned]


@pytest.mark.parametrize("change", ["VACUUM", "the newest answer"])
async def test_rows_that_have_other_numbers_since_are_searched_anew(change: str, tmp_path: Path) -> None:
    async with searched(tmp_path) as (w, identifier, command, before):
        store = w.service.store
        if change == "VACUUM":
            store.sql.execute("VACUUM")
        else:
            store.sql.execute("DELETE FROM evidence WHERE rowid = ?", [before.mark.answer])
            digest = store.keep_evidence(f'{{"text": "{SCAM}"}}'.encode(), w.clock())
            assert store.sql.execute("SELECT rowid FROM evidence WHERE sha256 = ?", [digest]).fetchone()[0] == before.mark.answer
        found = forget.forget(command, identifier, "counsel", ASKED, w.clock(), before)
        assert found.mark != before.mark
        assert gone(store)
        assert store.broken_audit() is None


async def test_whoever_changes_it_again_and_again_is_not_waited_for(tmp_path: Path) -> None:
    async with searched(tmp_path) as (w, identifier, command, _):
        store = w.service.store

        def meanwhile(statement: str) -> None:
            if statement.startswith("BEGIN IMMEDIATE"):
                store.sql.execute("VACUUM")

        command.sql.set_trace_callback(meanwhile)
        with pytest.raises(DeskError, match=f"post {identifier} changed whenever it was searched for: give the same command again"):
            forget.forget(command, identifier, "counsel", ASKED, w.clock())
        command.sql.set_trace_callback(None)
        assert not gone(store)
        forget.forget(command, identifier, "counsel", ASKED, w.clock())
        assert gone(store)


async def test_nobody_waits_while_a_large_table_is_gone_through(tmp_path: Path) -> None:
    async with searched(tmp_path) as (w, identifier, command, _):
        store = w.service.store
        for number in range(60):
            store.audit(w.clock(), "alice", "note", "somewhere", number=number)
        pack(store)
        statements = list[str]()
        command.sql.set_trace_callback(statements.append)
        found = forget.forget(command, identifier, "counsel", ASKED, w.clock())
        command.sql.set_trace_callback(None)
        begin = next(n for n, said in enumerate(statements) if said.startswith("BEGIN IMMEDIATE"))
        locked = [said for said in statements[begin:] if said.startswith(("SELECT", "WITH", "UPDATE", "DELETE"))]
        assert any(whole_table(command, said) for said in statements[:begin]), "this test could not fail"
        assert [said for said in locked if whole_table(command, said)] == []
        marks = {"posts": found.mark.post, "evidence": found.mark.answer, "audit": found.mark.act}
        for table, mark in marks.items():
            since = [int(n) for said in locked for n in re.findall(rf"FROM {table} WHERE (?:rowid|id) > (\d+)", said)]
            assert since
            assert set(since) == {mark}, table
        packed = sum(said.startswith("SELECT last, hash, acts FROM sealed") for said in statements[:begin])
        assert packed >= store.sql.execute("SELECT count(*) FROM sealed").fetchone()[0]
        assert sum(said.startswith("SELECT last, hash, acts FROM sealed") for said in locked) < packed / 2
        assert gone(store)
        assert sealed.end(store.sql)[0]


def whole_table(store: Store, statement: str) -> bool:
    """Whether SQLite reads all rows of a large one for it."""
    plan = [row[3] for row in store.sql.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()]
    return any(re.match(rf"SCAN ({'|'.join(LARGE)})\b", line) for line in plan if "ORDER BY" not in statement or "LIMIT 1" not in statement)

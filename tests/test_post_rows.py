"""Posts are stored packed. What older versions wrote is read as well, every question about both has the same answer, and damage is damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import context, desk, forget, lists, packing, post_rows, record, redaction, report
from monitor.model import Context, Kind, Media, Post, Redacted, Severity, Signal, Standing, Unreadable, Verdict
from monitor.post_rows import Kept
from monitor.report_check import verify
from monitor.sources.interface import Batch
from monitor.store import Store
from tests import older
from tests.conftest import START, World, world
from tests.test_record import BARE, FULL, ITEMS, VERDICTS
from tests.test_rollback import ACME, Desk

SECRET = b"a secret of thirty-two bytes ..."
DIGEST = "0a" * 32


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database of ours."""
    store = Store(tmp_path_factory.mktemp("rows") / "monitor.db")
    yield store
    store.close()


def columns(store: Store, identifier: str = "7") -> sqlite3.Row:
    row: sqlite3.Row = store.sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts WHERE id = ?", [identifier]).fetchone()
    return row


def there_and_back(store: Store, one: Kept) -> Kept:
    """Written down, read, and taken back."""
    store.sql.execute("BEGIN")
    try:
        store.keep_post(one)
        (kept,) = store.posts()
        older.unpack(store.sql)
        assert store.posts() == [kept], "in the older form too"
        return kept
    finally:
        store.sql.execute("ROLLBACK")


@pytest.mark.parametrize("item", [item for item in ITEMS if not isinstance(item, Unreadable)], ids=lambda item: item.id)
@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.reason)
def test_a_post_comes_back_as_it_was_judged(empty: Store, item: Any, verdict: Verdict) -> None:
    known = Context(((Signal.TEMPO, "why"),), ("bad.example (list)",), Standing.OLDER, 3)
    for rules, evidence in (("r", DIGEST), ("", None), ("ab" * 32, "ff" * 32)):
        one = Kept(item, verdict, START, None, False, None, rules, evidence, known)
        assert there_and_back(empty, one) == one


TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


@given(TEXTS, TEXTS, st.sampled_from(VERDICTS))
def test_whatever_it_says_comes_back(empty: Store, text: str, reason: str, verdict: Verdict) -> None:
    one = Kept(replace(FULL, text=text, lang=reason), replace(verdict, reason=reason), START, 3, True, None, "r", DIGEST)
    assert there_and_back(empty, one) == one


def test_one_that_is_too_large_for_a_cell_is_stored_as_it_is(empty: Store) -> None:
    text = "\x01" * (packing.MOST // 6)  # six characters each in JSON
    one = Kept(replace(BARE, text=text), VERDICTS[0], START, None, False, None, "r", DIGEST)
    assert there_and_back(empty, one) == one


def test_half_a_character_is_refused_as_the_database_refuses_it(empty: Store) -> None:
    with suppress(sqlite3.OperationalError), empty.transaction(), pytest.raises(UnicodeEncodeError):
        empty.keep_post(Kept(replace(BARE, text="\ud800"), VERDICTS[0], START, None, False, None, "r", None))
    assert empty.posts() == []


def test_the_words_of_a_post_are_in_no_other_column(empty: Store) -> None:
    empty.sql.execute("BEGIN")
    empty.keep_post(Kept(replace(FULL, text="Pangolin news"), VERDICTS[3], START, 1, False, None, "r", DIGEST))
    row = dict(empty.sql.execute("SELECT * FROM posts").fetchone())
    empty.sql.execute("ROLLBACK")
    assert (row["post"], row["verdict"], row["context"], row["rulebook"], row["evidence"]) == ("", "", "", "", None)
    assert (row["root"], row["exact"], row["near"], row["accused"], row["answer"]) == ("7", None, None, 1, bytes.fromhex(DIGEST))
    assert b"Pangolin news" in packing.unpack(row["packed"])


def test_only_what_shows_a_photo_waits_for_its_words(empty: Store) -> None:
    posts = {"a": FULL, "b": BARE, "c": replace(FULL, media=(Media("video"),)), "d": replace(BARE, text='a "photo" of us')}
    empty.sql.execute("BEGIN")
    for name, post in posts.items():
        empty.keep_post(Kept(replace(post, id=name), VERDICTS[0], START, 1, False, None, "r", None))
    assert empty.ids(post_rows.PICTURED, ()) == ["a"]
    older.unpack(empty.sql)
    assert empty.ids(post_rows.PICTURED, ()) == ["a"]
    empty.sql.execute("ROLLBACK")


# --- both forms ----------------------------------------------------------------------------------------


async def a_week(w: World) -> None:
    """Posts of every kind that something is asked about later."""
    for text in ("Fees fall on Monday.", "The quarterly report is ready for everybody."):
        w.register(text)
    w.register("", kind=Kind.REPLY, conversation="555", most=3)
    first = w.x.post("acme", "Fees fall on Monday.")
    await w.run(3)
    w.x.post("acme", "The quarterly reporrt is ready for everybody.")
    for n in range(3):
        w.x.reply("acme", f"@jo{n} we are on it", under="555")
        w.clock.move(0.01)
    await w.run(3)
    w.x.edit("acme", first, "Send 1 BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back")
    w.x.change("acme", name="Tesla Giveaway")
    await w.run(60)


def answers(w: World) -> dict[str, Any]:
    """Everything that is asked of the posts."""
    store, now = w.service.store, w.clock()
    posts = store.posts(limit=-1)
    mine = [k.post for k in posts if isinstance(k.post, Post)]
    replies = next(one for one in store.registrations.newest() if one.most)
    return {
        "posts": posts,
        "versions": [store.versions(p) for p in mine],
        "replaced": [store.is_replaced(p) for p in mine],
        "answered": context.answered(store, replies, replace(mine[0], id="none")),
        "baseline": list(lists.baseline(store)),
        "needed": [redaction.is_needed(store.sql, k.evidence or "") for k in posts],
        "rules": store.sql.execute(f"SELECT digest, {post_rows.JUDGED_BY} FROM rulebooks r ORDER BY 1").fetchall(),
        "forgotten": [[*forget.find(store, p.id, now).lines()] for p in mine],
        "recomputed": [desk.recomputed(store, k) for k in posts],
    }  # fmt: skip


def of_columns(store: Store, now: datetime) -> list[object]:
    """What is known without what they say: which post used a registration up, what each was matched with and whether it was accused."""
    asked = f"SELECT id, {post_rows.EXACT}, {post_rows.MATCHED}, {post_rows.ACCUSED} FROM posts ORDER BY rowid"
    users = [(past.one.id, past.user) for past in store.registrations.past(now - timedelta(days=9), now)]
    return [users, *map(tuple, store.sql.execute(asked))]


async def test_every_question_has_the_same_answer_in_both_forms_also_when_redacted(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await a_week(w)
        store = w.service.store
        packed = answers(w)
        matched = store.sql.execute("SELECT exact, near, accused FROM posts").fetchall()
        assert len({row["exact"] for row in matched if row["exact"]}) == 2, "a post and the replies"
        assert any(row["near"] for row in matched), "a slip"
        assert any(row["accused"] for row in matched)
        assert sum(user > 0 for past in store.registrations.past(w.clock() - timedelta(days=9), w.clock()) for user in [past.user]) == 2
        assert packed["answered"] == 3
        assert any(packed["replaced"])
        assert any(packed["versions"])
        assert any(packed["needed"])
        assert set(packed["recomputed"]) == {"the same"}
        before = of_columns(store, w.clock())
        older.unpack(store.sql)
        assert of_columns(store, w.clock()) == before
        assert store.sql.execute("SELECT count(*) FROM posts WHERE packed IS NOT NULL").fetchone()[0] == 0
        assert answers(w) == packed
        _, archive = report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        rows = store.sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts").fetchall()
        for row in rows:
            redaction.post(store.sql, row, w.clock(), "old")
        assert all(isinstance(k.post, Redacted) for k in store.posts(limit=-1))
        assert [tuple(row) for row in store.sql.execute("SELECT DISTINCT post, verdict, context FROM posts")] == [("", "", "")]
        assert of_columns(store, w.clock()) == before, "whom it was matched with, and whether it was accused, stays"


def test_an_older_database_keeps_its_rows_and_knows_what_was_edited(tmp_path: Path) -> None:
    path = tmp_path / "monitor.db"
    older.make(path, older.CAME.index("0029"))
    posts = [BARE, replace(FULL, kind=Kind.POST), replace(BARE, id="9", root_id="")]
    with closing(sqlite3.connect(path)) as old:
        for post in posts:
            said = [record.dump(post), record.dump_verdict(VERDICTS[0])]
            values = [post.account, post.id, post.version, "post", record.stamp(START), record.stamp(START), *said, "r"]
            insert = "INSERT INTO posts(account, id, version, kind, created_at, seen_at, post, verdict, rulebook, severity) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
            old.execute(insert, values)
        before = old.execute("SELECT post, verdict, context, rulebook FROM posts").fetchall()
        old.commit()
    older.upgrade(path)
    with closing(Store(path)) as store:
        assert [tuple(row) for row in store.sql.execute("SELECT post, verdict, context, rulebook FROM posts")] == before
        assert [row["root"] for row in store.sql.execute("SELECT root FROM posts ORDER BY id")] == [None, "7", None]
        assert sorted((k.post.id, k.rulebook) for k in store.posts()) == [("7", "r"), ("8", "r"), ("9", "r")]
        assert store.is_replaced(BARE)
        assert [k.post.id for k in store.versions(replace(FULL, kind=Kind.POST))] == ["7"]
        names = {row[0] for row in store.sql.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'posts'")}
        assert names & {"posts_id", "posts_edited"} == set()


# --- damage ----------------------------------------------------------------------------------------------

DAMAGE = (
    b"",
    b"[",
    b"no JSON",
    b"[1, 2]",
    b"[1, 2, 3]",
    b"[1, 2, 3, 4]",
    b"7",
    b"{}",
    packing.MAGIC,
    packing.MAGIC + b"x" * 40,
    b"\xff" * 30,
)


@pytest.mark.parametrize("cell", [*DAMAGE, packing.pack(b"{}"), packing.pack(b'["a"]'), None])
async def test_a_cell_that_cannot_be_read_is_damage_and_approves_nothing(tmp_path: Path, cell: bytes | None) -> None:
    """A repost of it may be a hijack: nobody can say what it was."""
    d = Desk(tmp_path)
    await d.begin()
    d.plan("Fees fall on Monday.")
    d.platform.batches["0"] = Batch((d.post("2", "Fees fall on Monday."),), "2")
    await d.watch.poll()
    whole = columns(d.store, "2")["packed"]
    d.store.sql.execute("UPDATE posts SET packed = ? WHERE id = '2'", [whole[:-9] if cell is None else cell])
    with pytest.raises(ValueError, match=r"unpacked|hold a post|end where|decode|Expecting"):
        d.store.posts("id = '2'")
    d.platform.batches["2"] = Batch((d.post("3", "", kind=Kind.REPOST, referenced_id="2", referenced_author="acme"),), "3")
    await d.watch.poll()
    (repost,) = d.store.posts("id = '3'")
    assert repost.verdict.severity is Severity.PAGE


async def test_damage_in_an_incident_and_in_an_earlier_version_keeps_no_hijack_from_paging(tmp_path: Path) -> None:
    d = Desk(tmp_path)
    await d.begin()
    d.plan("Fees fall on Monday.")
    d.platform.batches["0"] = Batch((d.post("2", "Fees fall on Monday."), d.post("3", "We are sold.")), "3")
    await d.watch.poll()
    d.store.sql.execute("UPDATE posts SET packed = ?", [packing.MAGIC])
    edited = d.post("4", "Send 1 BTC and get double back", root_id="2", version=2, versions=("2", "4"))
    d.platform.batches["3"] = Batch((edited, d.post("5", "And sold again.")), "5")
    await d.watch.poll()
    assert [row[0] for row in d.store.sql.execute("SELECT severity FROM posts WHERE id IN ('4', '5')")] == [Severity.PAGE] * 2
    (incident,) = d.store.incidents_of(ACME.key)
    assert incident.posts == 3


async def test_a_damaged_post_is_removed_all_the_same_and_another_is_named_by_forget(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "The pangolin was here on a Monday, with all its friends.")
        await w.run(3)
        w.service.store.sql.execute("UPDATE posts SET packed = ? WHERE baseline = 1", [packing.MAGIC])
        (kept,) = w.service.store.posts("baseline = 0")
        found = forget.find(w.service.store, kept.post.id, w.clock())
        assert [*found.beyond()] == ["1 post(s) that are damaged in the database, so that nobody can say whether they quote it"]
        row = w.service.store.sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts WHERE baseline = 1").fetchone()
        redaction.post(w.service.store.sql, row, w.clock(), "old")
        (left,) = w.service.store.posts("baseline = 1")
        assert isinstance(left.post, Redacted)
        assert left.verdict.reason.startswith("redacted on")


def test_rules_get_a_number_that_a_rollback_takes_back(empty: Store) -> None:
    one = Kept(BARE, VERDICTS[0], START, None, False, None, "first", None)
    empty.sql.execute("BEGIN")
    empty.keep_post(one)
    empty.sql.execute("ROLLBACK")
    with empty.transaction():
        empty.keep_post(replace(one, rulebook="second"))
    assert [k.rulebook for k in empty.posts()] == ["second"]
    empty.sql.execute("DELETE FROM posts")

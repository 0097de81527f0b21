"""Another process holds the database at any moment: what was seen is written down afterwards, once."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import desk, rulebook
from monitor.hearing import Hearing
from monitor.judging import Judge
from monitor.model import Account, Company, Kind, PageKind, Paging, Post, Profile, Severity, Unreadable
from monitor.outbox import Outbox
from monitor.planning import Plan
from monitor.sources.interface import Batch, Faces, Found, Told
from monitor.store import Store
from monitor.verdict.rules import Rules
from monitor.watch import Watch
from tests.conftest import Clock

ACME = Account("x", "1", "acme")
NOBODY = rulebook.Rulebook((), Rules(()))
_WRITES = ("INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


class Held:
    """A connection whose statement number `at` meets another process that holds the database. Counts those that write."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql, self.count, self.at, self.met = sql, 0, 0, ""

    def execute(self, statement: str, *args: Any) -> sqlite3.Cursor:
        self._count(statement)
        return self._sql.execute(statement, *args)

    def executemany(self, statement: str, *args: Any) -> sqlite3.Cursor:
        self._count(statement)
        return self._sql.executemany(statement, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sql, name)

    def _count(self, statement: str) -> None:
        self.count += statement.startswith(_WRITES)
        if statement.startswith(_WRITES) and self.count == self.at:
            self.met = statement
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error


class Platform:
    """Gives what it was told to give, by cursor; posts by their ids where it has them."""

    def __init__(self) -> None:
        self.batches: dict[str | None, Batch] = {}
        self.by_id: dict[str, Post] = {}
        self.authors: dict[str, str] = {}
        self.looks = Profile(ACME.key, "Acme", "acme")

    async def read(self, _: Account, cursor: str | None, __: int = 10) -> Batch:
        return self.batches[cursor]

    async def posts(self, _: tuple[Account, ...], ids: tuple[str, ...]) -> Found:
        return Found(tuple(self.by_id[i] for i in ids if i in self.by_id), frozenset(i for i in ids if i not in self.by_id), (b"{}",))

    async def author(self, post: Post) -> str:
        return self.authors.get(post.referenced_id, "")

    async def profiles(self, _: tuple[Account, ...]) -> Faces:
        return Faces({ACME.key: self.looks}, (b"{}",))


class Desk:
    """A monitor of one account, and what reads it; the clock stands still."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.platform = Clock(), Platform()
        self.store = Store(folder / "monitor.db")
        self.store.sql.execute("PRAGMA synchronous=OFF")
        self.outbox = Outbox(self.store, Paging(("slack",)))
        self.judge = Judge(self.store, Company("Acme Exchange", ("acme.example",)), NOBODY)
        source: Any = self.platform
        self.watch = Watch(ACME, source, self.store, self.judge, self.outbox, self.clock, lambda: None)
        self.judge.know((ACME,), self.clock())
        self.hearing = Hearing(
            source, self.store, self.judge, self.outbox, self.clock, {ACME.key: self.watch}.get, self._look, lambda _: None
        )  # fmt: skip

    async def _look(self, keys: tuple[str, ...]) -> frozenset[str]:
        self.watch.intake.accept_profile(self.platform.looks)
        return frozenset(keys)

    def post(self, identifier: str, text: str, **more: Any) -> Post:
        return Post(ACME.key, identifier, more.pop("kind", Kind.POST), text, self.clock(), root_id=more.pop("root_id", identifier), **more)

    def plan(self, text: str, **more: Any) -> None:
        window = self.clock() - timedelta(hours=1), self.clock() + timedelta(hours=1)
        desk.register(self.store, Plan(ACME.key, more.pop("kind", Kind.POST), text, *window, **more), "comms", self.clock())

    async def begin(self) -> None:
        """Its first sight of the account is behind it."""
        self.platform.batches[None] = Batch((self.post("1", "Good morning."),), "0")
        await self.watch.poll()
        self.watch.intake.accept_profile(self.platform.looks)

    @contextmanager
    def held(self, at: int) -> Iterator[Held]:
        """The statement of this number, counted from here, fails."""
        sql, held = self.store.sql, Held(self.store.sql)
        tables = (self.store.pages, self.store.registrations, self.store.announcements)
        held.at = at
        for table in tables:
            table._sql = held  # type: ignore[assignment]
        self.store.sql = held  # type: ignore[assignment]
        yield held
        for table in tables:
            table._sql = sql
        self.store.sql = sql

    def written(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that must be there once, without when."""
        queries = {
            "posts": "SELECT substr(id, 1, instr(id || '@', '@') - 1), version, kind, severity, incident IS NOT NULL, deleted_at IS NOT NULL FROM posts",
            "incidents": "SELECT subject, severity, posts FROM incidents",
            "pages": "SELECT incident, kind, count(*) FROM pages WHERE kind = 'root' GROUP BY 1, 2",
            "used": "SELECT id, used_by FROM approved",
            "said": "SELECT action, substr(subject, 1, instr(subject || '@', '@') - 1), count(*) FROM audit"
            " WHERE action IN ('post judged', 'incident opened', 'post gone') GROUP BY 1, 2",
        }
        rows = {what: [tuple(r) for r in self.store.sql.execute(query)] for what, query in queries.items()}
        return {what: sorted(found, key=repr) for what, found in rows.items()} | {"profile": [(self.store.profile(ACME.key),)]}


def morning(d: Desk) -> list[Callable[[], Awaitable[object]]]:
    """Everything that can be seen of an account, as what takes it in: a poll, a stream, the profile."""
    d.plan("Planned.")
    d.plan("Planned too.")
    d.plan("", kind=Kind.QUOTE, author="friend")
    scam = d.post("12", "We are sold.")
    quote = d.post("13", "", kind=Kind.QUOTE, referenced_id="99")
    d.platform.authors["99"] = "friend"
    d.platform.batches["0"] = Batch((d.post("11", "Planned."), scam, quote), "13", lost="posts between two times")
    d.platform.batches["13"] = Batch((), "13")
    d.platform.by_id = {"21": d.post("21", "Planned too.")}
    heard = [
        Told("e1", "post", ACME.key, d.post("21", "Planned t", root_id="21"), partial=True),
        Told("e2", "post", ACME.key, d.post("22", "Sold again", root_id="22"), partial=True),
        Told("e3", "live", ACME.key, d.post("23", "Live now", kind=Kind.LIVE)),
        Told("e4", "delete", ACME.key, deleted="12"),
        Told("e5", "revoked", ACME.key, notice="somebody revoked us"),
        Told("e6", "profile", ACME.key, changed=("bio", "", "Free coins")),
        Told("e7", "delete", ACME.key, deleted="22"),
    ]

    async def pulse() -> None:
        d.clock.move(5)
        d.platform.looks = replace(d.platform.looks, bio="Free coins")
        await d.hearing.pulse()

    return [d.watch.poll, lambda: d.hearing.take(heard), pulse, pulse, d.watch.poll]


async def played(d: Desk, at: int) -> Held:
    """The morning, each thing tried until the database takes it."""
    acts = morning(d)
    with d.held(at) as held:
        for act in acts:
            for _ in range(3):
                try:
                    await act()
                except sqlite3.OperationalError:
                    continue
                break
    return held


async def test_whatever_statement_meets_a_held_database_everything_is_written_down_once_in_the_end(tmp_path: Path) -> None:
    begun = Desk(tmp_path)
    await begun.begin()
    begun.store.close()

    def again(at: int) -> Desk:
        (tmp_path / str(at)).mkdir()
        shutil.copy(tmp_path / "monitor.db", tmp_path / str(at))
        return Desk(tmp_path / str(at))

    free = again(0)
    many = (await played(free, 0)).count
    expected = free.written()
    assert [p[:4] for p in expected["posts"] if p[0] in ("11", "12", "13", "21", "22", "23")] == [
        ("11", 1, "post", 0), ("12", 1, "post", 3), ("13", 1, "quote", 0), ("21", 1, "post", 0), ("22", 1, "post", 3), ("23", 1, "live", 3),
    ]  # fmt: skip
    assert many > 50
    for at in range(1, many + 1):
        d = again(at)
        held = await played(d, at)
        assert held.met
        assert d.written() == expected, f"after statement {at}: {held.met}"
        d.store.close()


@pytest.fixture
async def d(tmp_path: Path) -> Desk:
    """A monitor that has seen its account once."""
    made = Desk(tmp_path)
    await made.begin()
    return made


def severities(d: Desk, identifier: str) -> list[Severity]:
    """What was made of every version of a post, in the order in which they were seen."""
    rows = d.store.sql.execute("SELECT severity FROM posts WHERE id = ? ORDER BY rowid", [identifier])
    return [Severity(row[0]) for row in rows]


async def test_what_a_post_that_could_not_be_written_had_used_up_is_there_for_the_next_one(d: Desk) -> None:
    d.plan("Planned.")
    poisoned = d.post("11", "Planned.", lang="\ud800")  # no database takes half a character
    await d.watch.sight(Batch((poisoned, d.post("12", "Planned.")), None))
    await d.watch.sight(Batch((poisoned,), None))
    assert severities(d, "11") == [Severity.PAGE], "it may be the hijack; and it is told once"
    assert severities(d, "12") == [Severity.CLEAR]


async def test_a_read_with_a_post_that_is_looked_at_closer_counts_as_one_read_and_says_once_what_is_lost(d: Desk) -> None:
    d.plan("", kind=Kind.QUOTE, author="friend")
    quote = d.post("13", "", kind=Kind.QUOTE, referenced_id="99")
    d.platform.batches["0"] = Batch((d.post("12", "We are sold."), quote), "13", lost="posts between two times", missed="the rest")
    before = d.store.account(ACME.key, "acme")["good"]
    await d.watch.poll()
    row = d.store.account(ACME.key, "acme")
    assert (row["good"], row["cursor"], row["missed"]) == (before + 1, "13", "the rest")
    (gap,) = d.store.incidents_of(f"gap:{ACME.key}")
    assert gap.posts == 1
    assert [i.id for i in d.watch.fresh] == ["12", "13"], "and a stream should have told of both"


async def test_each_gap_of_an_account_is_told_with_its_times(d: Desk) -> None:
    d.platform.batches["0"] = Batch((d.post("12", "We are sold."),), "12", lost="posts from noon to one")
    d.platform.batches["12"] = Batch((d.post("13", "And sold again."),), "13", lost="posts from three to four")
    await d.watch.poll()
    await d.watch.poll()
    (gap,) = d.store.incidents_of(f"gap:{ACME.key}")
    assert any("posts from three to four" in page.reason for page in d.store.pages.of(gap.id) if page.kind is PageKind.NOTE)
    for hour in range(20):
        d.platform.batches["13"] = Batch((), "13", lost=f"posts from {hour} to {hour + 1} o'clock of another day")
        await d.watch.poll()
    notes = [page.reason for page in d.store.pages.of(gap.id) if page.kind is PageKind.NOTE]
    assert [sum(f"posts from {hour} to {hour + 1} o'clock" in note for note in notes) for hour in range(20)] == [1] * 20, "none is left out"
    assert max(map(len, notes)) <= 600, "what Slack shows of it"
    (hijack,) = d.store.incidents_of(ACME.key)
    assert [page.reason for page in d.store.pages.of(hijack.id) if page.kind is PageKind.NOTE] == ["another post"]


async def test_a_post_that_becomes_unreadable_where_it_stands_is_another_version_and_pages_once(d: Desk) -> None:
    d.plan("Planned.")
    post, odd = d.post("11", "Planned."), Unreadable(ACME.key, "11", "its text is a list", d.clock())
    for found in (post, odd, odd, post, odd):
        await d.watch.sight(Batch((found,), None))
    assert severities(d, "11") == [Severity.CLEAR, Severity.PAGE]
    await d.watch.sight(Batch((replace(post, version=2, text="We are sold."),), None))
    await d.watch.sight(Batch((odd,), None))
    assert severities(d, "11") == [Severity.CLEAR, Severity.PAGE, Severity.PAGE, Severity.PAGE]
    assert all(desk.recomputed(d.store, kept) == "the same" for kept in d.store.posts("id = '11'"))


async def test_what_a_platform_names_and_does_not_show_is_no_version_of_a_post_that_we_have_read(d: Desk) -> None:
    await d.watch.sight(Batch((d.post("11", "We are sold."),), None))
    await d.watch.sight(Batch((Unreadable(ACME.key, "11", "X names it and does not show it", d.clock(), version=1),), None))
    assert severities(d, "11") == [Severity.PAGE]


async def test_rules_that_the_database_does_not_take_judge_nothing(d: Desk) -> None:
    book = rulebook.Rulebook((), Rules((), "other"))
    other = Account("x", "2", "acmehelp")
    before = d.judge.digest
    with d.held(1), pytest.raises(sqlite3.OperationalError):
        d.judge.write(replace(d.judge.basis, rulebook=book), d.clock())
    with d.held(1), pytest.raises(sqlite3.OperationalError):
        d.judge.know((ACME, other), d.clock())
    assert (d.judge.rulebook, d.judge.digest) == (NOBODY, before)
    assert not d.judge.knows((ACME, other))
    await d.watch.sight(Batch((d.post("11", "We are sold."),), None))
    assert [desk.recomputed(d.store, kept) for kept in d.store.posts("id = '11'")] == ["the same"]

"""No page of a timeline is stepped over, no id or time that lies decides what is read, and silence is believed only where X says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import assembly
from monitor.model import Account, Post, State, Unreadable
from monitor.simulator.demo import serve
from monitor.simulator.x import XWorld
from monitor.sources import interface, x
from monitor.sources._x_payload import id_time, time_id
from monitor.sources._x_timeline import Cursor
from monitor.sources.interface import SourceError
from tests.conftest import SECRETS, START, Clock, world

ACCOUNT = Account("x", "1", "acme")
KEY = "x::2244994945"
SCAM = "Send any amount of BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back!"


@asynccontextmanager
async def source_of(world: XWorld, clock: Clock, app: web.Application | None = None) -> AsyncIterator[x.XSource]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(assembly.http_session())
        base = await serve(app or world.app(), stack)
        yield x.build(interface.Settings({"api_base": base}, session, clock), SECRETS)


# --- pages ---------------------------------------------------------------------------------------------


def posting(world: XWorld, clock: Clock, number: int) -> list[str]:
    made = []
    for n in range(number):
        clock.move(0.01)
        made.append(world.post("acme", f"Number {n}."))
    return made


async def polled(source: x.XSource, cursor: str | None, times: int) -> tuple[Counter[str], str | None, str, str]:
    """(how often each post was given, the cursor, what is still missed, what is lost) after so many reads."""
    seen: Counter[str] = Counter()
    missed = lost = ""
    for _ in range(times):
        batch = await source.read(ACCOUNT, cursor)
        seen.update(i.id for i in batch.items)
        cursor, missed, lost = batch.cursor, batch.missed, lost or batch.lost
    return seen, cursor, missed, lost


@given(
    before=st.integers(0, 3), flood=st.integers(1, 450), between=st.integers(0, 120), vanishing=st.integers(0, 30),
    empty=st.integers(0, 4), short=st.sampled_from([1_000, 100, 60, 37]), skips=st.sampled_from([0, 0, 3]),
    loops=st.booleans(), shuffled=st.booleans(), late=st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_however_pages_are_cut_every_post_is_read_or_said_to_be_missed(
    before: int, flood: int, between: int, vanishing: int, empty: int, short: int, skips: int, loops: bool, shuffled: bool, late: int
) -> None:
    """Posts come and vanish between the pages; tokens count posts, step over some, lead to empty pages or in circles."""
    if shuffled:
        between = vanishing = skips = 0  # X's tokens are all there is to go by then

    async def play() -> None:
        clock = Clock()
        on_x = XWorld(clock)
        on_x.user("acme", "1")
        posting(on_x, clock, before)
        async with source_of(on_x, clock) as source:
            cursor = (await source.read(ACCOUNT, None)).cursor
            made = posting(on_x, clock, flood)
            on_x.paging.hidden = set(made[:late])
            on_x.paging.empty, on_x.paging.short, on_x.paging.skips = empty, short, skips
            on_x.paging.loops, on_x.paging.shuffled = loops, shuffled

            def meanwhile() -> None:
                posting(on_x, clock, between)
                for identifier in list(on_x.named("acme").posts)[-vanishing:] if vanishing else ():
                    on_x.delete("acme", identifier)

            on_x.paging.between = meanwhile
            seen, cursor, _, _ = await polled(source, cursor, 2)
            on_x.paging.between, on_x.paging.hidden = (lambda: None), set()
            clock.move(601)  # the next read sweeps the last hour
            after, cursor, missed, _ = await polled(source, cursor, 12)
            there = set(on_x.named("acme").posts) - set(made[:0])
            unread = there - set(seen) - set(after)
            assert not unread or missed, f"{len(unread)} of {len(there)} were neither read nor said to be missed"

    asyncio.run(play())


async def test_an_empty_page_does_not_end_a_walk_and_a_repeated_one_does() -> None:
    """Three answers: a hundred posts and a token, nothing and a token, eleven posts. Whoever gave them knows tokens only."""
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    made = posting(on_x, clock, 111)[::-1]
    data = [on_x.named("acme").posts[i] for i in made]
    pages = {"": (data[:100], "p2"), "p2": ([], "p3"), "p3": (data[100:], None)}

    async def answer(request: web.Request) -> web.Response:
        posts, token = pages[request.query.get("pagination_token", "")]
        meta = {"result_count": len(posts)} | ({"next_token": token} if token else {})
        return web.json_response(({"data": posts} if posts else {}) | {"meta": meta})

    app = web.Application()
    app.router.add_get("/2/users/1/tweets", answer)
    async with source_of(on_x, clock, app) as source:
        batch = await source.read(ACCOUNT, "0")
        assert {i.id for i in batch.items} == set(made)
        assert not batch.missed
        pages["p3"] = (data[100:], "p3")
        batch = await source.read(ACCOUNT, "0")
        assert len(batch.items) == 111
        assert batch.missed, "nobody knows what lies behind it"


async def test_a_last_page_that_names_itself_is_the_last_where_x_shows_nothing_below_it() -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    async with source_of(on_x, clock) as source:
        cursor = (await source.read(ACCOUNT, None)).cursor
        made, on_x.paging.loops = posting(on_x, clock, 150), True
        batch = await source.read(ACCOUNT, cursor)
        assert set(made) == {i.id for i in batch.items}
        assert not batch.missed


async def searching(pages: dict[str, tuple[list[int], str]]) -> interface.Found:
    """What a search finds whose pages are these: (numbers of posts, the next token) by token."""
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    made = posting(on_x, clock, 12)

    async def answer(request: web.Request) -> web.Response:
        numbers, token = pages[request.query.get("next_token", "")]
        data = [on_x.named("acme").posts[made[n]] for n in numbers]
        meta = {"result_count": len(data)} | ({"next_token": token} if token else {})
        return web.json_response(({"data": data} if data else {}) | {"meta": meta})

    app = web.Application()
    app.router.add_get("/2/tweets/search/recent", answer)
    async with source_of(on_x, clock, app) as source:
        return await source.search((ACCOUNT,), START - timedelta(hours=1))


async def test_a_search_goes_on_behind_an_empty_page_and_says_when_it_did_not_come_to_its_end() -> None:
    found = await searching({"": ([11, 10], "a"), "a": ([], "b"), "b": ([1, 0], "")})
    assert (len(found.items), found.missed) == (4, "")
    found = await searching({"": ([], "a"), "a": ([3], "")})
    assert (len(found.items), found.missed) == (1, "")
    for circle in ({"": ([11], "a"), "a": ([11], "b"), "b": ([0], "")}, {"": ([11], "a"), "a": ([], "a")}):
        found = await searching(circle)
        assert found.missed == "X's search shows a page again"
    endless: dict[str, tuple[list[int], str]] = {"": ([], "0")} | {str(n): ([n % 12], str(n + 1)) for n in range(20)}
    found = await searching(endless)
    assert found.missed == "more posts than 10 pages of a search"


async def test_pages_that_do_not_join_are_a_gap_that_is_read_again() -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    async with source_of(on_x, clock) as source:
        cursor = (await source.read(ACCOUNT, None)).cursor
        made = posting(on_x, clock, 250)
        on_x.paging.between = lambda: on_x.paging.hidden.update(made[100:180]) if not on_x.paging.hidden else on_x.paging.hidden.clear()
        batch = await source.read(ACCOUNT, cursor)
        assert "do not join" in batch.missed
        assert batch.window is None
        on_x.paging.between = lambda: None
        on_x.paging.hidden.clear()
        seen, _, missed, lost = await polled(source, batch.cursor, 2)
        assert set(made) == set(seen) | {i.id for i in batch.items}
        assert not missed
        assert not lost


async def test_what_is_new_is_judged_although_an_old_gap_cannot_be_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        now = time_id(w.clock())
        w.service.store.sql.execute("UPDATE accounts SET cursor = ?", [f"{now};{now - (1 << 40)}-{now - (1 << 30)}-5"])
        w.x.post("acme", SCAM)
        w.x.paging.between = lambda: w.x.faults.add("html", "/tweets", value=503)  # every second request
        await w.run(10)
        assert "Unapproved post" in w.slack.waking()[0].words()


@pytest.mark.parametrize(("at_once", "outrun"), [(95, False), (150, True)])
async def test_five_thousand_posts_that_come_while_we_read_are_all_read_or_said_to_be_out_of_reach(at_once: int, outrun: bool) -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    async with source_of(on_x, clock) as source:
        cursor: str | None = (await source.read(ACCOUNT, None)).cursor
        on_x.paging.between = lambda: posting(on_x, clock, at_once) if len(on_x.named("acme").posts) < 5_000 else None
        posting(on_x, clock, 60)
        seen, cursor, missed, lost = await polled(source, cursor, 70)
        unread = set(on_x.named("acme").posts) - set(seen)
        assert len(on_x.named("acme").posts) >= 5_000
        assert not missed
        assert bool(unread) is outrun, "X shows 3,200 posts and no more"
        assert bool(lost) is outrun
        assert all(i not in sorted(on_x.named("acme").posts, key=int)[-3_200:] for i in unread)


# --- late posts ----------------------------------------------------------------------------------------


async def test_the_last_hour_is_read_again_every_ten_minutes_in_the_same_request() -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    posting(on_x, clock, 30)
    clock.move(200)
    on_x.post("acme", "Newest.")
    async with source_of(on_x, clock) as source:
        cursor: str | None = (await source.read(ACCOUNT, None)).cursor
        clock.move(60)
        late = on_x.post("acme", "Late.")
        on_x.paging.hidden.add(late)
        clock.move(300)
        on_x.post("acme", "In time.")
        found: list[float] = []
        for minute in range(60):
            clock.move(60)
            on_x.paging.hidden = on_x.paging.hidden if minute < 20 else set()
            asked = len(on_x.requests)
            batch = await source.read(ACCOUNT, cursor)
            assert len(on_x.requests) == asked + 1
            assert "Number 3." not in [i.text for i in batch.items if isinstance(i, Post)], "never further back than our watch began"
            cursor = batch.cursor
            found += [minute] if late in {i.id for i in batch.items} else []
        assert found
        assert 20 <= found[0] <= 31
        assert len(found) <= 6, "and not at every poll: X would bill it anew after midnight"


async def test_a_post_that_x_shows_a_quarter_of_an_hour_late_pages_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        late = w.x.post("acme", SCAM)
        w.x.paging.hidden.add(late)
        w.every["profiles"] = 1e9
        await w.run(4 * 60)
        w.x.reply("acme", "@jo Hello")
        await w.run(11 * 60)
        assert not [m for m in w.slack.roots() if "Profiles cannot be read" not in m.words()]
        w.x.paging.hidden.clear()
        await w.run(11 * 60)
        page = next(m for m in w.slack.waking() if "Unapproved post" in m.words())
        assert "the platform showed it late" in page.words()
        row = w.service.store.sql.execute("SELECT count(*) FROM audit WHERE action = 'post shown late'").fetchone()
        assert row[0] == 1


def test_a_cursor_is_what_it_was() -> None:
    for one in (Cursor("5"), Cursor("5", ("1", "4"), 7, settled=True, swept="3", floor="2"), Cursor("9", settled=True, floor="1")):
        assert Cursor.parse(str(one)) == one
    assert Cursor.parse("7!;1-5-9") == Cursor("7", ("1", "5"), 9, settled=True)


# --- ids and times -------------------------------------------------------------------------------------


def lying(on_x: XWorld, handle: str, text: str, **fields: Any) -> str:
    """A post that says something else of itself than is true."""
    identifier = on_x.post(handle, text)
    user = on_x.named(handle)
    post = user.posts.pop(identifier) | fields
    user.posts[post["id"]] = post
    return str(post["id"])


@given(st.integers(40, 10_000_000), st.booleans())
@settings(max_examples=25, deadline=None)
def test_an_id_ahead_of_x_moves_no_cursor_and_is_unreadable(seconds: int, first: bool) -> None:
    async def play() -> None:
        clock = Clock()
        on_x = XWorld(clock)
        on_x.user("acme", "1")
        async with source_of(on_x, clock) as source:
            ahead = str(min(time_id(clock() + timedelta(seconds=seconds)), 10**19 - 1))
            if first:
                lying(on_x, "acme", SCAM, id=ahead)
            cursor = (await source.read(ACCOUNT, None)).cursor
            if not first:
                lying(on_x, "acme", SCAM, id=ahead)
            clock.move(5)
            batch = await source.read(ACCOUNT, cursor)
            (lie,) = batch.items
            assert isinstance(lie, Unreadable)
            assert "ahead of X's own clock" in lie.reason
            assert lie.text == SCAM
            clock.move(2)
            true = on_x.post("acme", "Next.")
            assert true in {i.id for i in (await source.read(ACCOUNT, batch.cursor)).items}

    asyncio.run(play())


@pytest.mark.parametrize("hours", [-3, 3])
async def test_x_measures_its_own_ids_however_our_clock_is_set(tmp_path: Path, hours: int) -> None:
    async with world(tmp_path) as w:
        now = w.clock()
        w.register("Our league is open.", window=(now - timedelta(hours=9), now + timedelta(hours=9)))
        w.clock.move(hours * 3_600)
        w.x.skew = -timedelta(hours=hours)  # X's clock goes on as before
        w.x.post("acme", "Our league is open.")
        await w.run(10)
        assert [k for k in w.service.store.posts("account = ? AND baseline = 0", (KEY,)) if isinstance(k.post, Post)]
        assert not w.slack.waking(), "an honest id is no lie"


async def test_a_post_with_an_id_ahead_pages_once_and_hides_nothing_that_comes_after_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        lying(w.x, "acme", "Good evening.", id=str(time_id(w.clock() + timedelta(days=200))))
        await w.run(10)
        (page,) = w.slack.waking()
        assert "ahead of X's own clock" in page.words()
        assert "Good evening." in page.words()
        w.x.post("acme", SCAM)
        await w.run(120)
        judged = w.service.store.posts("account = ? AND baseline = 0", (KEY,))
        assert Counter(k.post.id for k in judged).most_common(1)[0][1] == 1
        assert any(isinstance(k.post, Post) and k.post.text == SCAM for k in judged)
        assert sum("/2/tweets?" in r for r in w.x.requests) <= 3, "and nothing is asked for again and again"


async def test_a_cursor_that_was_poisoned_before_is_pulled_back_and_what_it_hid_is_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        ahead = time_id(w.clock() + timedelta(days=300))
        w.service.store.sql.execute("UPDATE accounts SET cursor = ?", [f"{ahead}!"])
        w.every["profiles"] = 1e9
        w.x.post("acme", SCAM)
        await w.run(10)
        told = [m.words() for m in w.slack.waking()]
        assert any("lay ahead of X's clock" in words for words in told)
        assert any("Unapproved post" in words for words in told)
        row = w.service.store.account(KEY, "acme")
        assert id_time(Cursor.parse(row["cursor"]).newest) <= w.clock() + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"author_id": "99"}, "its author is another account (id 99)"),
        ({"author_id": "١"}, "its author is another account (id no number)"),
        ({"created_at": "2026-11-21T02:59:57.000Z"}, "apart"),
        ({"created_at": "2026-11-22T03:00:00.000Z"}, "apart"),
        ({"created_at": "2009-01-01T00:00:00.000Z"}, "apart"),
        ({"created_at": "2026-11-21T03:00:00"}, "no zone"),
        ({"id": "100"}, "apart"),
    ],
)
async def test_a_post_that_cannot_be_what_it_says_is_unreadable(fields: dict[str, str], words: str) -> None:
    clock = Clock(START)
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    lying(on_x, "acme", "Good evening.", **fields)
    async with source_of(on_x, clock) as source:
        (item,) = (await source.read(ACCOUNT, "0")).items
        assert isinstance(item, Unreadable)
        assert words in item.reason
        if "id" not in fields and "author_id" in fields:
            (asked,) = (await source.posts((ACCOUNT,), (item.id,))).items
            assert isinstance(asked, Unreadable), "asked for by its id it is no less a lie"


async def test_posts_of_before_snowflakes_and_times_within_two_seconds_are_true() -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    lying(on_x, "acme", "Old.", id="3000000000", created_at="2009-08-01T10:00:00.000Z")
    lying(on_x, "acme", "Whole seconds.", created_at="2026-11-21T03:00:01.900Z")
    async with source_of(on_x, clock) as source:
        assert all(isinstance(i, Post) for i in (await source.read(ACCOUNT, "0")).items)


# --- what is not an answer -------------------------------------------------------------------------------

INTERNAL = {"title": "Internal", "type": "https://api.x.com/2/problems/internal-error", "resource_type": "tweet", "detail": "x"}


@pytest.mark.parametrize(
    "body",
    [
        {}, {"data": None}, {"data": []}, {"meta": {}}, {"meta": None}, {"meta": {"result_count": "0"}}, {"meta": {"result_count": 2}},
        {"meta": {"result_count": True}}, {"data": [], "errors": [INTERNAL], "meta": {"result_count": 0}}, {"errors": [INTERNAL]},
        {"errors": [INTERNAL], "meta": {"result_count": 0}}, {"errors": {"a": 1}, "meta": {"result_count": 0}}, {"errors": "x"},
        {"data": [], "errors": [INTERNAL | {"resource_type": "user"}], "meta": {"result_count": 0}}, {"title": "Fine", "status": 200},
    ],
)  # fmt: skip
async def test_an_answer_that_says_nothing_is_a_failed_read(body: dict[str, Any]) -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    async with source_of(on_x, clock) as source:
        for path, ask in (("/tweets", source.read(ACCOUNT, "0")), ("/search", source.search((ACCOUNT,), START))):
            on_x.faults.add("json", path, value=(200, body, {}))
            with pytest.raises(SourceError):
                await ask
        if "errors" not in body:
            for path, other in (("/2/users", source.profiles((ACCOUNT,))), ("/2/tweets", source.posts((ACCOUNT,), ("5",)))):
                on_x.faults.add("json", path, value=(200, body, {}))
                with pytest.raises(SourceError):
                    await other
            on_x.faults.add("json", "/2/users/by", value=(200, body, {}))
            with pytest.raises(SourceError):
                await source.resolve(("acme",))


async def test_an_empty_object_for_a_minute_is_blindness(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("json", "/tweets", times=100_000, value=(200, {}, {}))
        await w.run(75)
        (page,) = w.slack.waking()
        assert "Not being watched" in page.words()
        w.x.faults.script.clear()
        await w.run(20)
        assert w.service.store.incidents()[0].state is State.RESOLVED


async def test_posts_of_an_answer_that_does_not_count_are_judged_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.paging.miscounts = 1
        w.x.post("acme", SCAM)
        await w.run(10)
        assert "Unapproved post" in w.slack.waking()[0].words()
        assert w.service.store.account(KEY, "acme")["failures"] > 0
        await w.run(70)
        assert any("spoke of 3 posts and gave 2" in m.words() or "spoke of 2 posts and gave 1" in m.words() for m in w.slack.waking())


async def test_whoever_is_named_neither_as_seen_nor_as_hidden_is_not_seen() -> None:
    clock = Clock()
    on_x = XWorld(clock)
    on_x.user("acme", "1")
    other = Account("x", "2", "brand")
    async with source_of(on_x, clock) as source:
        user = {"id": "1", "username": "acme", "name": "Acme"}
        on_x.faults.add("json", "/2/users", value=(200, {"data": [user]}, {}))
        assert isinstance((await source.profiles((ACCOUNT, other))).found[other.key], SourceError)
        on_x.faults.add("json", "/2/users/by", value=(200, {"data": [user]}, {}))
        found = (await source.resolve(("acme", "brand")))["brand"]
        assert isinstance(found, SourceError)
        assert found.trouble is interface.Trouble.UNAVAILABLE

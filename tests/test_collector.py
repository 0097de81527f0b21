"""Polls are the truth: edits, what cannot be seen, floods, searches, and what a gap contained."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import record
from monitor.model import Post, Severity, State
from monitor.simulator import x as stand_in
from monitor.simulator.x import XWorld
from tests.conftest import CONFIG, World, world
from tests.test_streams import PUSH, SCAM, collector, hear, judged, texts

TWELVE = CONFIG | {"accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(12)]}


def reads(w: World, what: str = "/tweets") -> int:
    return sum(r.startswith("/2/users/") and what in r for r in w.x.requests)


# --- edits ------------------------------------------------------------------------------------------


async def test_an_approved_post_that_is_edited_into_a_scam_pages_with_its_history_although_no_event_tells(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 3_000, "profile_seconds": 3_000})
        w.register("Our league is open.")
        post = w.x.post("acme", "Our league is open.")
        await w.run(30)
        w.x.push.lossy = 1.0  # whether an edit fires an event is not documented
        w.x.faults.add("html", "/users/2244994945/tweets", times=100_000)
        w.x.edit("acme", post, "Our league is open. https://acme-league.xyz")
        await w.run(90)
        page = w.slack.waking()[0].words()
        assert "Unapproved edit of a post" in page
        assert "acme-league[.]xyz" in page
        assert "was approved and said “Our league is open.”" in page


async def test_an_approved_post_is_read_again_only_while_it_can_be_edited(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our league is open.")
        w.x.post("acme", "Our league is open.")
        await w.run(60)
        asked = len([r for r in w.x.requests if "/2/tweets?" in r])
        assert asked
        await w.run(70 * 60)
        within = len([r for r in w.x.requests if "/2/tweets?" in r])
        assert within > asked + 50
        await w.run(30 * 60)
        assert len([r for r in w.x.requests if "/2/tweets?" in r]) <= within + 1


# --- what cannot be seen ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["suspended", "gone"])
async def test_an_account_that_is_gone_pages_soon_after_a_second_look(tmp_path: Path, state: str) -> None:
    async with world(tmp_path, TWELVE | {"profile_seconds": 60}) as w:
        w.x.named("brand3").state = state
        await w.run(9)
        (page,) = w.slack.waking()
        assert "Not being watched: @brand3 on X" in page.words()
        assert w.service.store.incidents()[0].subject == "blind:x::4"


async def test_a_storm_of_false_answers_wakes_nobody_for_a_minute_and_then_once(tmp_path: Path) -> None:
    async with world(tmp_path, TWELVE) as w:
        gone = {"errors": [{"value": "1", "detail": "Could not find user with id: [1].", "title": "Not Found Error", "resource_type": "user",
                            "parameter": "id", "resource_id": "1", "type": "https://api.x.com/2/problems/resource-not-found"}]}  # fmt: skip
        w.x.faults.add("json", "/tweets", times=100_000, value=(200, gone, {}))
        await w.run(40)
        assert not w.slack.messages, "their profiles can still be seen: it is X that fails"
        await w.run(40)
        (page,) = w.slack.waking()
        assert "Not being watched: 12 accounts" in page.words()
        assert "it is X that fails, not the account" in page.words()


async def test_a_passing_storm_of_401_wakes_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("json", "/tweets", times=30, value=(401, stand_in.UNAUTHORIZED, {}))
        await w.run(45)
        assert not w.x.faults.script
        assert not w.slack.messages


async def test_a_profile_that_cannot_be_seen_has_the_timeline_read_at_once(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG | {"poll_seconds": 50, "profile_seconds": 2}) as w:
        w.x.named("acme").state = "suspended"
        await w.run(20)
        assert "X says the account is suspended" in w.slack.waking()[0].words()


async def test_an_account_that_becomes_protected_pages(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        await w.run(2)
        w.x.change("acme", protected=True)
        await w.run(70)
        assert any("protected" in m.words() for m in w.slack.waking()), "although no event tells of it and the stream beats on"


# --- limits --------------------------------------------------------------------------------------------


async def test_a_limit_with_a_time_holds_up_everybody_and_one_without_only_whoever_met_it(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}
    async with world(tmp_path, data) as w:
        w.x.faults.add("json", "/users/1/tweets", value=(429, stand_in.RATE_LIMITED, {}))
        await w.run(2)
        w.x.post("brand", SCAM)
        await w.run(3)
        assert len(w.slack.waking()) == 1, "a refusal without a time says nothing about the other account"
        w.clock.move(70)
        await w.run(5)
        w.x.used = w.x.limit  # the window is used up, for everybody
        await w.run(2)
        before = reads(w)
        await w.run(40)
        assert reads(w) == before
        w.clock.move(900)
        await w.run(3)
        assert reads(w) > before


# --- floods -------------------------------------------------------------------------------------------


async def test_a_flood_is_read_piece_by_piece_and_nothing_is_skipped(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", SCAM)
        await w.run(2)
        for number in range(1_200):
            w.x.post("acme", f"Flood {number}.")
        before = reads(w)
        await w.run(1.25)
        assert reads(w) - before <= 8, "three pages at a time"
        row = w.service.store.account("x::2244994945", "acme")
        assert "more posts than 3 pages; the rest is read next" in row["missed"]
        assert judged(w, "Flood 1199.") == 1, "the newest first"
        await w.run(1)
        assert any("not everything posted has been read yet" in m.words() for m in w.slack.messages.values())
        await w.run(30)
        assert {texts(w)[f"Flood {n}."] for n in (0, 37, 600, 900, 1_199)} == {1}
        assert texts(w).total() == 1_201
        assert w.service.store.account("x::2244994945", "acme")["missed"] == ""
        assert len(w.slack.waking()) <= 2


# --- searches -----------------------------------------------------------------------------------------


async def test_where_timelines_fail_for_long_posts_are_searched_for(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("html", "/users/2244994945/tweets", times=100_000, value=503)
        await w.run(180)
        w.x.post("acme", SCAM)
        await w.run(60)
        assert any("Unapproved post" in m.words() for m in w.slack.waking())
        w.x.faults.script.clear()
        await w.run(20)
        assert judged(w, SCAM) == 1, "the timeline shows the same post: it is known"
        assert w.service.store.account("x::2244994945", "acme")["failures"] == 0


async def test_who_does_not_want_searches_has_none(tmp_path: Path) -> None:
    async with world(tmp_path, extra="x: search = false\n") as w:
        w.x.faults.add("html", "/users/2244994945/tweets", times=100_000, value=503)
        await w.run(240)
        assert not any("/search/recent" in r for r in w.x.requests)


# --- what a gap contained -------------------------------------------------------------------------------


async def test_when_it_sees_again_it_says_what_the_gap_contained(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our league is open.")
        await w.run(5)
        w.x.faults.add("drop_before", times=100_000)
        await w.run(100)
        w.x.post("acme", "Our league is open.")
        w.x.post("acme", SCAM)
        w.x.reply("acme", "@jo Thank you!")
        await w.run(20)
        w.x.faults.script.clear()
        await w.run(20)
        blind = w.service.store.incident(1)
        assert blind
        assert blind.state is State.RESOLVED
        assert "3 post(s), 1 approved, 1 only recorded, 1 paged (INC-2)" in blind.cause


# --- the canary, the clock, drift -------------------------------------------------------------------------

CANARY = '[accounts.canary]\ntext = "hijack-monitor canary"\nevery_minutes = 10\nwithin_seconds = 60\n'


async def test_the_canary_is_quiet_while_it_is_seen_and_pages_when_it_is_not(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "canary", "id": "7", "paging": CANARY}]}
    async with world(tmp_path, data) as w:
        for number in range(3):
            w.x.post("canary", f"hijack-monitor canary {number}")
            await w.run(9 * 60)
        assert not w.slack.messages
        await w.run(4 * 60)
        assert "The canary was not seen" in w.slack.waking()[0].words()
        w.x.post("canary", "hijack-monitor canary 2026-11-21 04:00")
        await w.run(30)
        assert [i.state for i in w.service.store.incidents()] == [State.RESOLVED]
        w.x.post("canary", "hijack-monitor canary https://scam.example")
        await w.run(5)
        assert len(w.slack.waking()) == 2, "a mark excuses nothing else"


async def test_a_restart_does_not_make_a_missing_canary_young_again(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "canary", "id": "7", "paging": CANARY}]}
    async with world(tmp_path, data) as w:
        w.x.post("canary", "hijack-monitor canary 1")
        await w.run(8 * 60)
        w.service.started = w.clock()  # as a new process has it
        await w.run(4 * 60)
        assert "The canary was not seen" in w.slack.waking()[0].words()


async def test_approved_posts_that_can_be_edited_are_found_by_an_index(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        asked: list[str] = []
        w.service.store.sql.set_trace_callback(asked.append)
        await w.service.look_at_edits()
        w.service.store.sql.set_trace_callback(None)
        (query,) = [q for q in asked if "$.match.kind" in q]
        plan = " ".join(r["detail"] for r in w.service.store.sql.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "posts_recent" in plan, "years of posts must not be walked through every minute"


async def test_a_post_of_the_canary_that_is_seen_late_pages(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "canary", "id": "7", "paging": CANARY}]}
    async with world(tmp_path, data) as w:
        w.x.faults.add("html", "/users/7/tweets", times=5)
        w.x.post("canary", "hijack-monitor canary 1")
        w.clock.move(65)
        await w.run(20)
        assert any("s later" in m.words() and "The canary was not seen" in m.words() for m in w.slack.waking())


async def test_a_wrong_clock_is_a_notice_measured_against_x(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.skew = timedelta(seconds=90)
        await w.run(30)
        (notice,) = w.slack.roots()
        assert "The clock is wrong" in notice.words()
        assert "behind" in notice.words()
        w.x.skew = timedelta()
        await w.run(30)
        assert w.service.store.incidents()[0].state is State.RESOLVED


async def test_answers_unlike_the_documentation_are_counted_and_told_once_with_a_sample(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        for number in range(3):
            event = {"event_type": "bang.exploded", "event_uuid": str(number), "filter": {"user_id": "2244994945"}, "payload": {}}
            w.x.push.raw(json.dumps({"data": event}).encode() + b"\r\n")
            await w.run(6)
        (notice,) = w.slack.roots()
        assert "Unlike the documentation" in notice.words()
        assert "exploded" in notice.words()
        row = w.service.store.sql.execute("SELECT * FROM oddities").fetchone()
        assert row["seen"] == 3
        body = w.service.store.evidence(row["sample"])
        assert b"bang.exploded" in (body or b"")
        assert w.service.store.incidents()[0].severity is Severity.NOTIFY


async def test_fields_that_stop_coming_are_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        post = w.x.post("acme", "We are sold.")
        del w.x.named("acme").posts[post]["conversation_id"]
        await w.run(8)
        assert any("posts without conversation_id" in m.words() for m in w.slack.roots())
        assert len(w.slack.waking()) == 1, "and the post is judged all the same"


async def test_the_kept_profile_follows_the_id_and_the_newest_post_of_the_timeline(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.change("acme", username="acme_free_coins")
        w.x.post("acme_free_coins", SCAM)
        await w.run(5)
        (kept,) = [k for k in w.service.store.posts("baseline = 0") if isinstance(k.post, Post)]
        assert kept.verdict.severity is Severity.PAGE
        assert collector(w).watches[kept.post.account].account.id == "2244994945"


# --- an account that no poll has read yet ---------------------------------------------------------------


@pytest.mark.parametrize("data", [CONFIG, PUSH], ids=["a search", "a stream"])
async def test_what_another_way_shows_of_an_account_that_no_poll_has_read_pages_and_it_counts_as_unwatched(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    async with world(tmp_path, data, before=lambda x: x.faults.add("html", "/users/2244994945/tweets", times=100_000, value=503)) as w:
        await w.run(4)
        w.x.post("acme", "We are sold.")
        await w.run(300)
        assert judged(w, "We are sold.") == 1
        assert any("We are sold." in m.words() for m in w.slack.waking())
        assert any("Not being watched" in m.words() for m in w.slack.waking())
        assert w.service.audit()
        w.x.faults.script.clear()
        await w.run(40)
        assert judged(w, "We are sold.") == 1
        assert judged(w, "Good morning.") == 0, "what was there when we began is recorded"
        assert "@acme" not in str(w.service.audit())


async def test_what_only_a_stream_tells_of_is_judged_before_the_first_poll(tmp_path: Path) -> None:
    def unreadable(x: XWorld) -> None:
        for path in ("/users/2244994945/tweets", "/2/users$"):
            x.faults.add("html", path, times=100_000, value=503)

    async with world(tmp_path, PUSH, before=unreadable) as w:
        await w.run(4)
        w.x.push.began(w.x.named("acme"), "broadcast", "Elon doubles your coins LIVE")
        w.x.change("acme", name="Free Coins")
        await w.run(10)
        assert any("Unapproved live broadcast" in m.words() for m in w.slack.waking())
        assert any("Free Coins" in m.words() for m in w.slack.messages.values())
        assert not collector(w).tells_of_profile("x::2244994945"), "what it looked like is not known, so that nothing is excused"


async def test_a_profile_that_changed_before_anybody_saw_it_is_told(tmp_path: Path) -> None:
    async with world(tmp_path, PUSH, before=lambda x: x.faults.add("html", "/2/users$", value=503)) as w:
        w.x.change("acme", name="Free Coins")
        await w.run(40)
        assert w.service.store.profile("x::2244994945").name == "Free Coins"  # type: ignore[union-attr]
        assert len([m for m in w.slack.roots() if "Profile changed: name" in m.words()]) == 1


# --- one profile among others ---------------------------------------------------------------------------

TWO = CONFIG | {"accounts": [{"handle": "other", "id": "7"}, *CONFIG["accounts"]]}


def stored(w: World, key: str, text: str) -> None:
    """What stands in the database for the profile of an account."""
    w.service.store.sql.execute("UPDATE accounts SET profile = ? WHERE key = ?", [text, key])


@pytest.mark.parametrize("text", ["7", "[]", "{", "null", '"name"', "{}", '{"account": "x::7", "name": null}'])
async def test_a_stored_profile_that_cannot_be_read_pages_once_and_keeps_no_other_from_being_compared(tmp_path: Path, text: str) -> None:
    async with world(tmp_path, TWO) as w:
        stored(w, "x::7", text)
        w.x.change("acme", name="Free Coins")
        await w.run(70)
        other, acme = sorted((m.words() for m in w.slack.waking()), key=lambda words: "Free Coins" in words)
        assert "Profile not checked" in other
        assert "@other" in other
        assert "Profile changed: name" in acme
        w.x.change("other", name="Free Coins too")
        await w.run(70)
        assert any("Free Coins too" in m.words() for m in w.slack.waking()), "the next one that was seen took its place"


async def test_a_profile_that_a_newer_version_kept_is_compared_in_what_this_one_knows(tmp_path: Path) -> None:
    async with world(tmp_path, TWO) as w:
        kept = json.loads(w.service.store.account("x::7", "other")["profile"])
        stored(w, "x::7", json.dumps(kept | {"from_next_year": "yes"}))
        w.x.change("other", name="Free Coins")
        await w.run(70)
        (page,) = w.slack.waking()
        assert "Profile changed: name" in page.words()


async def test_a_profile_that_cannot_be_handled_has_not_been_read_and_keeps_no_other_from_being_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, TWO) as w:

        def breaks(*_: object, **__: object) -> None:
            raise TypeError("nobody foresaw this")

        monkeypatch.setattr(collector(w).watches["x::7"].intake, "accept_profile", breaks)
        await w.run(65)
        w.x.change("acme", name="Free Coins")
        await w.run(200)
        pages = [m.words() for m in w.slack.waking()]
        assert any("Profile changed: name" in p for p in pages)
        assert any("Profiles cannot be read" in p and "@other" in p and "@acme" not in p for p in pages)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["account", "name", "x"]), v)
    )
)
def test_whatever_is_stored_is_a_profile_or_refused(value: Any) -> None:
    try:
        found = record.profile(json.dumps(value))
    except (TypeError, ValueError):
        return
    assert isinstance(found.account, str)
    assert isinstance(found.name, str)

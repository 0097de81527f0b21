"""X tells by itself: speed, never the truth. The stand-in is as nasty as the real thing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import collector as collecting
from monitor import preflight
from monitor.collector import Collector
from monitor.config import ConfigError
from monitor.model import Post, Severity, State
from monitor.simulator.x import XWorld
from monitor.simulator.x_push import PUBLIC
from monitor.sources.interface import Trouble
from tests.conftest import CONFIG, SECRETS, World, wait_for, world

PUSH = CONFIG | {"push": "auto", "poll_seconds": 30, "profile_seconds": 60}
SCAM = "We double every deposit: send BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa today"


def collector(w: World) -> Collector:
    return w.service.collectors["x"]


def judged(w: World, text: str) -> int:
    """How often a post with this text was judged."""
    return texts(w)[text]


def texts(w: World) -> Counter[str]:
    """The texts of all posts that were judged."""
    return Counter(kept.post.text for kept in w.service.store.posts("baseline = 0", limit=-1) if isinstance(kept.post, Post))


async def hear(tmp_path: Path, stack: AsyncExitStack, data: dict[str, Any] = PUSH, **more: Any) -> World:
    """A monitor whose stream is open and proven."""
    w = await stack.enter_async_context(world(tmp_path, data, **more))
    await w.run(3)
    return w


# --- what it is for ---------------------------------------------------------------------------------


async def test_a_hijack_pages_within_a_second_although_polls_are_slow(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        assert collector(w).mode == "the Activity stream"
        assert collector(w).proven("x::2244994945")
        polls = len([r for r in w.x.requests if "/tweets?" in r and "users" in r])
        w.x.post("acme", SCAM)
        await w.run(0.5)
        assert len(w.slack.waking()) == 1
        assert len([r for r in w.x.requests if "/tweets?" in r and "users" in r]) == polls, "no poll was needed"


async def test_a_planned_post_goes_by_in_silence_and_is_read_before_it_is_excused(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.register("Our league is open. https://acme.example/league")
        w.x.post("acme", "Our league is open. https://acme.example/league")
        await w.run(1)
        assert judged(w, "Our league is open. https://acme.example/league") == 1
        assert not w.slack.messages
        assert any(r.startswith("/2/tweets?") and "ids=" in r for r in w.x.requests)


async def test_a_picture_that_the_event_leaves_out_is_not_excused(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.register("Our league is open.")
        identifier = w.x.post("acme", "Our league is open.", pictures=1)
        w.x.named("acme").posts[identifier]["text"] = "Our league is open."  # nothing in the event hints at it
        await w.run(2)
        assert len(w.slack.waking()) == 1
        assert "picture" in w.slack.waking()[0].words()


async def test_a_planned_picture_a_long_text_and_a_thread_wake_nobody(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        long = "Every word of this was planned for weeks. " * 20
        w.register("Look at this.", media=1)
        w.register(long)
        w.register("One of two.", more=("Two of two.",))
        w.x.post("acme", "Look at this.", pictures=1)
        w.x.post("acme", long)
        first = w.x.post("acme", "One of two.")
        w.x.reply("acme", "Two of two.", under=first)
        await w.run(5)
        assert w.slack.waking() == []
        assert ["not compared" in m.words() for m in w.slack.roots()] == [True]  # a number of pictures is not a picture
        assert judged(w, "Two of two.") == 1


async def test_a_question_that_hangs_delays_no_page(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.register("Our league is open.")
        w.x.faults.add("hang", "/2/tweets")
        w.x.post("acme", "Our league is open.")
        await w.heard()
        await w.service.pulse()
        assert await wait_for(lambda: not w.x.faults.script), "it is being asked for"
        w.x.post("acme", SCAM)
        await w.heard()
        await w.service.pulse()
        w.service.tick()
        await w.service.pager.settle()
        assert len(w.slack.waking()) == 1


async def test_a_post_told_twice_out_of_order_or_not_at_all_is_judged_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.x.push.twice, w.x.push.swapped, w.x.push.lossy = 0.5, 0.3, 0.2
        for number in range(40):
            w.x.post("acme", f"We are sold, part {number}.")
            await w.run(0.5)
        await w.run(70)
        assert {judged(w, f"We are sold, part {n}.") for n in range(40)} == {1}


async def test_a_deleted_post_is_still_told_and_kept(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        post = w.x.post("acme", SCAM)
        w.x.delete("acme", post)
        await w.run(1)
        assert len(w.slack.waking()) == 1
        assert any("is gone from the platform; our copy is kept" in m.words() for m in w.slack.messages.values())


async def test_a_partial_post_that_is_deleted_before_it_can_be_read_accuses(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        post = w.x.post("acme", "Claim here", pictures=1)
        w.x.delete("acme", post)
        await w.run(1)
        assert len(w.slack.waking()) == 1


async def test_a_post_in_words_of_the_plan_that_is_deleted_before_it_can_be_read_is_a_notice(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.register("Our league is open.")
        w.x.delete("acme", w.x.post("acme", "Our league is open."))
        await w.run(60)
        (notice,) = w.slack.roots()
        assert "is gone, and no read has shown it: the stream told of it as “Our league is open.”" in notice.words()
        assert not notice.wakes


async def test_an_approved_post_that_vanishes_is_a_finding(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.register("Our league is open.")
        post = w.x.post("acme", "Our league is open.")
        await w.run(2)
        w.x.delete("acme", post)
        await w.run(2)
        (notice,) = w.slack.roots()
        assert "Approved post deleted" in notice.words()
        assert "Our league is open." in notice.words()
        assert not notice.wakes


async def test_a_live_broadcast_pages_unless_it_was_planned(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        from monitor.model import Kind

        w.register("Quarterly call", kind=Kind.LIVE)
        w.x.push.began(w.x.named("acme"), "broadcast", "Quarterly call")
        await w.run(1)
        assert not w.slack.messages
        w.x.push.began(w.x.named("acme"), "broadcast", "Elon doubles your coins LIVE")
        await w.run(1)
        assert "Unapproved live broadcast" in w.slack.waking()[0].words()
        w.x.push.began(w.x.named("acme"), "spaces")
        await w.run(1)
        assert w.service.store.incidents()[0].posts == 2


# --- the profile --------------------------------------------------------------------------------------


async def test_a_changed_profile_is_told_at_once_and_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        await w.run(2)
        w.x.change("acme", name="Free Coins", description="Claim at https://scam.example")
        await w.run(5)
        assert len(w.slack.waking()) == 1
        assert "Profile changed: name, bio" in w.slack.waking()[0].words()
        await w.run(200)
        assert w.service.store.incidents()[0].posts == 1
        assert [r[0] for r in w.service.store.sql.execute("SELECT count(*) FROM posts WHERE kind = 'profile'")] == [2]


async def test_a_change_that_was_taken_back_at_once_is_judged_all_the_same(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        await w.run(2)
        w.x.change("acme", username="freecoins")
        w.x.change("freecoins", username="acme")
        await w.run(6)
        assert "Profile changed: handle" in w.slack.waking()[0].words()
        await w.run(130)
        assert w.service.store.profile("x::2244994945").handle == "acme"  # type: ignore[union-attr]


async def test_what_an_event_leaves_out_of_the_profile_is_no_change(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        data = PUSH | {
            "accounts": [{"handle": "acme", "id": "1", "link": "https://acme.example", "description": "Hello", "pinned_tweet_id": "5"}]
        }
        w = await hear(tmp_path, stack, data)
        await w.run(2)
        w.register("Fine.")
        w.x.post("acme", "Fine.")
        w.x.delete("acme", w.x.post("acme", "We are sold."))
        await w.run(130)
        assert not [m for m in w.slack.messages.values() if "Profile" in m.words()]


async def test_the_profile_of_an_event_counts_when_profiles_cannot_be_read(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        await w.run(2)
        w.x.faults.add("html", "/2/users", times=100_000)
        w.x.push.lossy = 1.0  # only the post itself comes through
        w.x.change("acme", name="Free Coins")
        w.x.push.lossy = 0.0
        w.x.post("acme", "We are sold.")
        await w.run(6)
        assert any("Profile changed: name" in m.words() or "name" in m.words() for m in w.slack.messages.values())
        assert w.service.store.profile("x::2244994945").name == "Free Coins"  # type: ignore[union-attr]


# --- what a stream does to whoever reads it -------------------------------------------------------------


async def test_after_a_reconnect_an_immediate_poll_closes_the_gap(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.x.push.cut()
        w.x.post("acme", SCAM)
        await w.run(2)
        assert len(w.slack.waking()) == 1


async def test_when_the_stream_ends_nobody_waits_for_a_slow_poll(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        await w.run(10)
        w.x.push.most_connections["activity_stream"] = 0
        w.x.push.cut()
        w.x.post("acme", SCAM)
        await w.run(3)
        assert len(w.slack.waking()) == 1


async def test_clean_closes_in_a_loop_use_up_no_connections_and_polls_become_fast(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        w.x.push.closes_at_once = True
        w.x.push.close()
        before = len(w.x.push.connects)
        await w.run(900)
        assert 20 < len(w.x.push.connects) - before < 405, "it never gives up and never hurries"
        w.x.post("acme", SCAM)
        await w.run(7)
        assert len(w.slack.waking()) == 1
        assert any("The stream is closed" in m.words() for m in w.slack.roots()), "and somebody is told"
        w.x.push.closes_at_once = False
        await w.run(120)
        assert collector(w).proven("x::2244994945")


async def test_headers_that_come_late_are_waited_for(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path, PUSH))
        w.x.push.late_headers = True
        w.x.push.cut()
        await w.run(22)
        w.x.push.late_headers = False
        await w.run(1)
        w.x.post("acme", SCAM)
        await w.run(1)
        assert len(w.slack.waking()) == 1
        assert len(w.x.push.connects) <= 3


async def test_a_stream_that_goes_silent_is_ended_and_opened_again(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.x.push.stalled = True
        await w.run(21)
        assert collector(w).proven("x::2244994945"), "21 s are nothing yet"
        w.x.post("acme", SCAM)
        await w.run(40)
        assert len(w.slack.waking()) == 1
        w.x.push.stalled = False
        await w.run(25)
        assert len(w.x.push.connections) == 1, "the silent one was given up"
        assert collector(w).listener.open_since, "and another opened"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "line",
    [
        b"not json\r\n", b"[1, 2]\r\n", b"null\r\n", b'{"data": null}\r\n', b'{"data": {"event_type": 7}}\r\n', b'{"data": []}\r\n',
        b'{"data": {"event_type": "post.create", "filter": {"user_id": "2244994945"}, "payload": {"id": {}}}}\r\n',
        b'{"data": {"event_type": "post.create", "filter": [], "payload": "x"}}\r\n', b"\xff\xfe\r\n", b'{"errors": "x"}\r\n',
        b'{"data": {"event_type": "post.delete", "event_uuid": "1", "filter": {"user_id": "2244994945"}, "payload": {"id": "x"}}}\r\n',
        b'{"data": {"event_type": "chat.exploded", "event_uuid": "2", "filter": {"user_id": "2244994945"}, "payload": {}}}\r\n',
        b'{"data": {"event_type": "dm.sent", "event_uuid": "3", "filter": {"user_id": "2244994945"}, "payload": {}}}\r\n',
        b"[" * 100_000 + b"\r\n",
    ],
)  # fmt: skip
async def test_one_poisoned_line_between_two_posts_stops_neither(tmp_path: Path, line: bytes) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.x.post("acme", "We are sold, one.")
        w.x.push.raw(line)
        w.x.post("acme", "We are sold, two.")
        await w.run(1)
        assert judged(w, "We are sold, one.") == judged(w, "We are sold, two.") == 1
        assert len(w.x.push.connects) == 1


@pytest.mark.parametrize("size", [512 * 1024, 4 * 1024 * 1024])
async def test_a_very_long_line_is_read_like_any_other(tmp_path: Path, size: int) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.x.post("acme", "We are sold. " + "\U0001f4a5" * (size // 12))
        w.x.post("acme", "We are sold, two.")
        await w.run(2)
        assert judged(w, "We are sold, two.") == 1
        assert w.service.store.incidents()[0].posts == 2
        assert len(w.x.push.connects) == 1


async def test_a_line_cut_by_the_end_of_the_connection_is_found_by_the_poll(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.x.push.stalled = True
        w.x.post("acme", SCAM)
        w.x.push.stalled = False
        w.x.push.cut(b'{"data": {"event_type": "post.create", "payload": {"text": "We dou')
        await w.run(2)
        assert len(w.slack.waking()) == 1


async def test_the_end_that_x_announces_is_waited_out(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        end = {"errors": [{"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect", "detail": "x",
                           "type": "https://api.x.com/2/problems/operational-disconnect"}]}  # fmt: skip
        w.x.push.raw(json.dumps(end).encode() + b"\r\n")
        await w.run(0.25)
        w.x.push.close()
        await w.run(1)
        assert collector(w).listener.trouble is None or "UpstreamOperationalDisconnect" in str(collector(w).listener.trouble)  # type: ignore[union-attr]
        await w.run(10)
        assert collector(w).proven("x::2244994945")


async def test_too_many_connections_are_waited_for_a_minute_and_longer(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        w.x.push.most_connections["activity_stream"] = 0
        w.x.push.cut()
        await w.run(300)
        asked = [r for r in w.x.requests if "/2/activity/stream" in r]
        assert 3 <= len(asked) <= 6
        assert collector(w).listener.trouble.trouble is Trouble.RATE_LIMITED  # type: ignore[union-attr]
        w.x.post("acme", SCAM)
        await w.run(6)
        assert len(w.slack.waking()) == 1, "polls are fast meanwhile"


@pytest.mark.parametrize(
    "fault", [("html", 503), ("json", (429, {"title": "Too Many Requests"}, {})), ("json", (403, {"title": "Forbidden"}, {}))]
)
async def test_a_refused_stream_is_asked_for_again_with_patience(tmp_path: Path, fault: tuple[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        w.x.faults.add(fault[0], "/activity/stream", times=100_000, value=fault[1])
        w.x.push.cut()
        await w.run(600)
        assert 2 <= len([r for r in w.x.requests if "/2/activity/stream" in r]) <= 12
        w.x.faults.script.clear()
        await w.run(1_000)
        assert collector(w).proven("x::2244994945")


# --- a stream is proven or it is not relied on -----------------------------------------------------------


async def test_a_stream_that_keeps_a_post_from_us_is_not_relied_on(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        w.x.push.subscriptions.clear()  # it beats, and tells nothing
        w.x.post("acme", SCAM)
        await w.run(75)
        assert len(w.slack.waking()) >= 1, "the slow poll found it"
        assert not collector(w).proven("x::2244994945")
        w.x.post("acme", "We are sold to https://scam.example")
        await w.run(7)
        assert judged(w, "We are sold to https://scam.example") == 1, "and now polls are fast"
        assert collector(w).missed


async def test_a_newest_post_that_nobody_knows_starts_a_poll(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 50, "profile_seconds": 5})
        w.x.push.lossy = 1.0
        w.x.post("acme", SCAM)
        await w.run(7)
        assert len(w.slack.waking()) == 1


async def test_while_the_stream_tells_failing_timelines_are_a_notice_and_without_it_a_page(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        w.x.faults.add("html", "/users/2244994945/tweets", times=100_000, value=503)
        await w.run(300)
        (notice,) = w.slack.roots()
        assert "Timelines cannot be read" in notice.words()
        assert not w.slack.waking()
        w.x.post("acme", SCAM)
        await w.run(1)
        assert len(w.slack.waking()) == 1, "the stream still wakes people"
        w.x.faults.add("html", "/2/tweets", times=100_000, value=503)
        w.x.faults.add("html", "/2/activity", times=100_000, value=503)
        w.x.push.cut()
        await w.run(120)
        assert any("Not being watched" in m.words() for m in w.slack.waking())
        w.x.faults.script.clear()
        await w.run(60)
        assert not [i for i in w.service.store.unresolved() if i.subject.startswith("blind:x")]


# --- subscriptions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["spec", "list", "flat"])
async def test_all_three_shapes_of_an_answer_are_understood(tmp_path: Path, answer: str) -> None:
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path, PUSH))
        w.x.push.subscriptions.clear()
        w.x.push.answer = answer
        await w.run(3_700)
        assert collector(w).proven("x::2244994945")
        assert len(w.x.push.subscriptions) == 13
        assert not [i for i in w.service.store.incidents() if i.subject.startswith("drift")]


async def test_subscriptions_of_others_stay_and_ours_of_accounts_no_longer_watched_go(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        theirs = {"subscription_id": "1", "event_type": "post.create", "filter": {"user_id": "9"}, "tag": "crm"}
        old = {
            "subscription_id": "2",
            "event_type": "post.create",
            "filter": {"user_id": "8"},
            "tag": f"hijack-monitor {w.service.store.install}",
        }
        twin = {"subscription_id": "3", "event_type": "post.create", "filter": {"user_id": "7"}, "tag": "hijack-monitor 0badcafe"}
        w.x.push.subscriptions |= {"1": theirs, "2": old, "3": twin}
        del w.x.push.subscriptions[next(n for n, s in w.x.push.subscriptions.items() if s["event_type"] == "post.delete")]
        await w.run(3_700)
        assert {"1", "3"} <= set(w.x.push.subscriptions), "another tool's, and another monitor's"
        assert "2" not in w.x.push.subscriptions
        assert sum(s["event_type"] == "post.delete" for s in w.x.push.subscriptions.values()) == 1, "compared hourly"


async def test_where_subscriptions_are_too_few_every_account_gets_its_posts_first(tmp_path: Path) -> None:
    data = PUSH | {"accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(10)]}
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path, data, extra="x: subscriptions = 25\n"))
        await w.run(5)
        kinds = [s["event_type"] for s in w.x.push.subscriptions.values()]
        assert len(kinds) == 25
        assert kinds.count("post.create") == 10
        assert kinds.count("post.delete") == 10
        assert all(collector(w).proven(f"x::{n + 1}") for n in range(10))
        assert "do not fit" in collector(w).listener.notes[0]  # type: ignore[union-attr]


async def test_a_kind_that_x_refuses_is_said_and_holds_up_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path, PUSH))
        w.x.push.subscriptions.clear()
        w.x.push.unknown_types = ("spaces.start",)
        await w.run(3_700)
        assert {s["event_type"] for s in w.x.push.subscriptions.values()} == set(PUBLIC) & {
            *(s["event_type"] for s in w.x.push.subscriptions.values())
        }
        assert len(w.x.push.subscriptions) == 12
        assert any("spaces.start: not to be had here" in n for n in collector(w).listener.notes)  # type: ignore[union-attr]


async def test_private_events_are_subscribed_with_the_accounts_own_token(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(
            world(
                tmp_path, PUSH, secrets={"x_user_tokens": "acme own-token"}, before=lambda x: setattr(x.named("acme"), "token", "own-token")
            )
        )
        await w.run(5)
        kinds = {s["event_type"] for s in w.x.push.subscriptions.values()}
        assert {"dm.sent", "chat.sent", "oauth.revoke"} <= kinds
        assert not {k for k in kinds if k.startswith(("like.", "block."))}, "they are billed, by others too, and say nothing"
        for sender in ("2244994945", "2244994945", "666"):
            w.x.push.emit("chat.sent", "2244994945", {"id": f"8e75466b-56ec-4e88-{len(w.x.push.subscriptions)}{sender}", "sender_id": sender,
                          "created_at_msec": str(int(w.clock().timestamp() * 1000)), "encoded_event": "CwAB"})  # fmt: skip
        await w.run(1)
        assert not w.slack.waking()
        sent = w.service.store.posts("kind = 'dm'", ())
        assert [(getattr(k.post, "text", ""), k.verdict.severity) for k in sent] == [
            ("(an encrypted message: X does not show its text)", Severity.RECORD)
        ]
        sample = {"direct_message_events": [{"type": "message_create", "id": "77", "created_timestamp": str(int(w.clock().timestamp() * 1000)),
                  "message_create": {"message_data": {"text": "Claim at https://scam.example", "entities": {"urls": []}}}}]}  # fmt: skip
        w.x.push.emit("dm.sent", "2244994945", sample)
        w.x.push.emit("oauth.revoke", "2244994945", {"user_id": "2244994945", "app_id": "29820954"})
        await w.run(1)
        assert "Direct message sent" in w.slack.waking()[0].words()


# --- which stream ------------------------------------------------------------------------------------------


async def test_where_activity_is_not_to_be_had_the_filtered_stream_tells(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path, PUSH, before=lambda x: setattr(x.push, "activity", False)))
        await w.run(3)
        assert collector(w).mode.startswith("the filtered stream; the Activity stream is not to be had")
        assert [r["value"] for r in w.x.push.rules.values()] == ["from:2244994945"]
        w.x.push.untagged = True
        w.register("Our league is open.")
        w.x.post("acme", "Our league is open.")
        w.x.post("acme", SCAM)
        await w.run(1)
        assert len(w.slack.waking()) == 1
        assert judged(w, "Our league is open.") == 1


async def test_where_no_stream_is_to_be_had_it_polls(tmp_path: Path) -> None:
    def poor(x: XWorld) -> None:
        x.push.activity = x.push.filtered = False

    async with AsyncExitStack() as stack:
        w = await stack.enter_async_context(world(tmp_path, PUSH | {"poll_seconds": 5}, before=poor))
        assert collector(w).mode.startswith("polling only; the Activity stream is not to be had")
        w.x.post("acme", SCAM)
        await w.run(7)
        assert len(w.slack.waking()) == 1


async def test_a_notice_that_a_stream_is_gone_says_it_is_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        w.x.faults.add("html", "/activity/stream", times=100_000, value=503)
        w.x.push.cut()
        await w.run(900)
        (told,) = [i for i in w.service.store.incidents() if i.subject == "blind:stream"]
        assert told.severity is Severity.NOTIFY
        w.x.faults.script.clear()
        await w.run(500)
        again = w.service.store.incident(told.id)
        assert again
        assert again.state is State.RESOLVED
        assert again.cause == "The stream tells of posts again"


async def test_it_is_slow_while_the_stream_is_proven(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"poll_seconds": 5})
        before = len([r for r in w.x.requests if "/users/2244994945/tweets" in r])
        await w.run(600)
        assert len([r for r in w.x.requests if "/users/2244994945/tweets" in r]) - before <= 12
        assert w.clock() - w.service.watches[0].finished_at < timedelta(seconds=70)


@pytest.mark.parametrize(
    ("activity", "filtered", "words"),
    [(True, True, "the Activity stream"), (False, True, "the filtered stream"), (False, False, "polling only")],
)
async def test_check_live_says_what_tells_of_posts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], activity: bool, filtered: bool, words: str
) -> None:
    def have(x: XWorld) -> None:
        x.push.activity, x.push.filtered = activity, filtered

    monkeypatch.setenv("X_BEARER_TOKEN", "x-token")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-token")
    async with world(tmp_path, PUSH, before=have) as w:
        before = len(w.x.push.subscriptions)
        await asyncio.to_thread(preflight.check, w.config, live=True)
        said = capsys.readouterr().out
        assert f"live           x: {words}" in said
        assert "live           x: where timelines fail, posts can be searched for" in said
        assert "@acme is 2244994945" in said
        assert len(w.x.push.subscriptions) == before, "it asks and changes nothing"


async def test_a_broadcast_that_the_database_could_not_take_is_taken_the_next_time(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.service.store.sql.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(w.config.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        w.x.push.began(w.x.named("acme"), "broadcast", "Elon doubles your coins LIVE")
        await w.heard()
        await w.service.pulse()
        await w.asked()
        assert not w.service.store.incidents()
        other.execute("ROLLBACK")
        other.close()
        await w.run(1)
        assert "Unapproved live broadcast" in w.slack.waking()[0].words(), "no poll would have found it"
        assert w.service.store.incidents()[0].posts == 1


async def test_what_a_stream_says_while_the_database_takes_nothing_is_kept_in_bounds_and_taken_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MOST_HEARD", 3)
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        w.service.store.sql.execute("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(w.config.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for number in range(12):
                w.x.push.began(w.x.named("acme"), "broadcast", f"Double your coins LIVE {number}")
                await w.heard()
                await w.service.pulse()
                assert len(collector(w)._heard) <= 3
            other.execute("ROLLBACK")
        for _ in range(3):
            await w.run(1)
        assert len(w.service.store.posts("kind = 'live'")) == 12


async def test_a_stream_that_was_refused_at_the_start_is_asked_for_again(tmp_path: Path) -> None:
    def poor(x: XWorld) -> None:
        x.push.activity = x.push.filtered = False

    async with world(tmp_path, PUSH, before=poor) as w:
        assert not w.service.listens()
        w.x.push.activity = True
        await w.service.open_streams(SECRETS)
        assert w.service.listens()
        await w.run(3)
        assert collector(w).proven("x::2244994945")


async def test_a_broken_list_of_user_tokens_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="x_user_tokens: expected lines of a handle and its token"):
        async with world(tmp_path, PUSH, secrets={"x_user_tokens": "one-word"}):
            pass

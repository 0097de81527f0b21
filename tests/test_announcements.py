"""Every registration is announced, wherever it was made; a second person confirms it or anybody who may takes it back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import desk, record
from monitor.desk import Origin
from monitor.model import Kind, Media, Post, Severity, State
from monitor.planning import Plan
from monitor.simulator.slack import Message
from tests import older
from tests.conftest import CONFIG, World
from tests.notifiers.test_slack import CORPUS, LIVE, leaves
from tests.test_slack_app import GROUPS, approve, hijack, office, planned, press

HERE = CONFIG | {"approvals": "C0INCIDENTS", "fresh_minutes": 10}
TWO = GROUPS + "slack: two_person_approve = true\n"
CAROL, BOB = Origin("slack:U06CAROL", "Slack"), Origin("slack:U02BOB", "Slack")


@asynccontextmanager
async def desk_of(folder: Path, data: dict[str, Any] = HERE, extra: str = GROUPS) -> AsyncIterator[World]:
    async with office(folder, data, extra) as w:
        yield w


def register(w: World, text: str, origin: Origin = CAROL, who: str = "carol (U06CAROL)", **more: Any) -> int:
    now = w.clock()
    window, replacing = more.pop("window", (now - timedelta(minutes=1), now + timedelta(hours=1))), more.pop("replacing", None)
    plan = Plan("x::2244994945", more.pop("kind", Kind.POST), text, *window, **more)
    return desk.register(w.service.store, plan, who, now, origin, replacing) or 0


def said(w: World) -> list[Message]:
    return [m for m in w.slack.roots() if m.text.startswith("Registered")]


def severities(w: World) -> list[Severity]:
    return [k.verdict.severity for k in w.service.store.posts("baseline = 0")]


# --- announced --------------------------------------------------------------------------------------


async def test_what_a_registration_names_beside_its_words_is_announced(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        register(w, "Well said.", shown=(("quotes", "1993000000000000000"), ("community", "77")))
        await w.run(2)
        register(w, "", kind=Kind.REPOST, shown=(("reposts", "1994000000000000000"),))
        await w.run(2)
        register(w, "", media=1, pictures=("f" * 64,), alt=("Season's greetings",))
        await w.run(2)
        quote, repost, picture = said(w)
        for message, words in (
            (quote, ("Well said.", "quotes: 1993000000000000000", "community: 77")),
            (repost, ("reposts: 1994000000000000000",)),
            (picture, ("1 picture(s) or video(s)", "Season's greetings")),
        ):
            assert all(one in message.words() for one in words)
            assert "confirm" in json.dumps(message.blocks)


async def test_what_is_planned_in_slack_is_announced_whole_and_wakes_nobody(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        text = "Fees fall to zero on Monday, for everybody.\n" + "And more words. " * 100
        await planned(w, text=text, links="https://acme.example/fees")
        await w.slack.apps.submit(w.slack.apps.view_of("U06CAROL"))
        await w.settled()
        await w.run(2)
        (message,) = said(w)
        for words in ("#1", "@acme on X", "carol (U06CAROL)", "from Slack", "21 Nov 03:00", "Fees fall to zero", "acme[.]example/fees"):
            assert words in message.words()
        assert message.words().count("And more words.") == 100
        assert not message.wakes


async def test_everything_that_a_registration_excuses_stands_in_its_announcement(tmp_path: Path) -> None:
    """Whoever confirms it would not know that it quotes the hijacker, or what stands in the alt text."""
    async with desk_of(tmp_path) as w:
        register(w, "Look at this.", kind=Kind.QUOTE, shown=(("quotes", "1859500000000000099"),), media=1, alt=("Send BTC to our desk",))
        register(w, "", kind=Kind.REPOST, shown=(("reposts", "1859500000000000098"),))
        await w.run(4)
        first, second = (json.dumps(m.blocks) for m in said(w))
        assert "quotes: 1859500000000000099" in first
        assert "alt text: Send BTC to our desk" in first
        assert "reposts: 1859500000000000098" in second


async def test_the_form_of_an_approval_shows_what_stands_beside_the_text(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        root = await hijack(w, "Look at this.")
        store = w.service.store
        (kept,) = store.posts("baseline = 0")
        assert isinstance(kept.post, Post)
        post = replace(
            kept.post, card="card://1899", media=(Media("photo", alt_text="Send BTC to our desk"),), shown=(("place", "nowhere"),)
        )
        with store.transaction():
            older.unpack(store.sql)
            store.sql.execute("UPDATE posts SET post = ? WHERE id = ?", [record.dump(post), post.id])
        await press(w, "U06CAROL", root, "approve_open")
        form = json.dumps(w.slack.apps.view_of("U06CAROL").body)
        assert all(words in form for words in ("link card: card://1899", "alt text: Send BTC to our desk", "place: nowhere"))


async def test_what_the_command_line_registered_while_nothing_ran_is_announced_at_the_start(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        w.slack.faults.add("drop_before", "postMessage", times=3)
        register(w, "Our spring sale.", Origin("login:carla", "the command line"), "carla")
        await w.run(1)
        w.service.pager.announcer._telling._task = None  # type: ignore[union-attr]  # and the process died
        await w.run(30)
        assert [m.text for m in said(w)] == ["Registered #1 for @acme on X by carla from the command line"]
        await w.run(60)
        assert len(said(w)) == 1


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "half_body", "empty"])
async def test_an_announcement_arrives_whatever_slack_does(fault: str, tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        w.slack.faults.add(fault, "postMessage", times=2, value=503)
        register(w, "Our spring sale.")
        await w.run(40)
        assert len(said(w)) >= 1
        assert w.service.store.announcements.late(w.clock()) == 0


async def test_where_the_channel_for_them_is_gone_the_incident_channel_is_told(tmp_path: Path) -> None:
    async with desk_of(tmp_path, HERE | {"approvals": "C0GONE"}) as w:
        register(w, "Our spring sale.")
        await w.run(3)
        assert len(said(w)) == 1


async def test_blocks_that_slack_refuses_are_said_in_plain_words(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        app = w.service.pager.announcer
        assert app
        w.slack.refuse["chat.postMessage"] = "invalid_blocks"
        register(w, "Our spring sale.")
        await w.run(1)
        assert w.service.store.announcements.late(w.clock()) == 1
        del w.slack.refuse["chat.postMessage"]
        await w.run(5)
        (message,) = said(w)
        assert message.blocks == []


@pytest.mark.parametrize(("count", "messages"), [(5, 5), (6, 1), (300, 1)])
async def test_more_than_five_of_one_act_are_one_message(count: int, messages: int, tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        act = Origin("login:carla", "an import of plan.csv", desk.new_act(desk.IMPORT))
        for number in range(count):
            register(w, f"Words of the post with the number {number}.", act, "carla")
        await w.run(4)
        assert said(w) == [], "it may not be over"
        await w.run(12)
        assert len(said(w)) == messages
        words = "\n".join(m.words() for m in said(w))
        assert "number 0." in words
        assert ("more are not shown" in words) is (count > 40)
        await w.run(10)
        assert len(said(w)) == messages


async def test_an_import_that_trickles_is_announced_all_the_same(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        act = Origin("login:carla", "an import of plan.csv", desk.new_act(desk.IMPORT))
        for number in range(20):
            register(w, f"Words of the post with the number {number}.", act, "carla")
            await w.run(4)
        assert len(said(w)) == 1
        await w.run(20)
        assert len(said(w)) > 1, "the rest of it, too"


async def test_what_was_approved_after_the_fact_is_told_in_its_thread_only(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        root = await hijack(w)
        await approve(w, "U06CAROL", root)
        await w.run(10)
        assert [i.state for i in w.service.store.incidents()] == [State.RESOLVED]
        assert said(w) == []


@pytest.mark.parametrize("text", [t for t in CORPUS if t.strip()], ids=lambda t: repr(t)[:20])
async def test_no_hostile_text_gets_out_of_its_place(text: str, tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        plain = text.replace("\ud800", "")[:20_000] or "x"
        act = Origin("login:x", plain[:300], desk.new_act())
        register(w, plain, act, who=plain[:300], by=plain[:300], links=("https://evil.example/" + "x" * 400,))
        for number in range(6):
            register(w, f"{plain[:2_000]} {number}", act, who=plain[:300])
        register(w, plain, who=plain[:300])
        await w.run(20)
        assert len(w.slack.roots()) == 2
        for message in w.slack.roots():
            raw = json.dumps(message.blocks, ensure_ascii=False)
            assert message.blocks
            assert "\u202e" not in raw
            assert not LIVE.search(raw)
            assert all("<!" not in s and "<@" not in s for path, s in leaves(message.blocks) if "rich_text" not in path)


# --- confirmed, withdrawn ----------------------------------------------------------------------------


async def test_a_post_registered_just_before_is_a_notice_unless_somebody_else_confirms(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        for text in ("Our spring sale.", "Our autumn sale."):
            register(w, text)
        await w.run(4)
        first, second = said(w)
        assert "Posted before 03:10 UTC it is a notice" in first.words()
        await press(w, "U06CAROL", second, "confirm")
        assert "carol (U06CAROL) registered it: somebody else has to confirm it" in w.slack.apps.ephemeral[-1][1]
        await press(w, "U02BOB", second, "confirm")
        await w.run(3)
        assert "*Confirmed* by bob (U02BOB)" in second.words()
        w.x.post("acme", "Our spring sale.")
        w.x.post("acme", "Our autumn sale.")
        await w.run(3)
        assert sorted(severities(w)) == [Severity.CLEAR, Severity.NOTIFY]
        (notice,) = [m for m in w.slack.roots() if "INC-1" in m.words()]
        assert "ago by carol (U06CAROL), and nobody else has confirmed it" in notice.words()
        assert "registered just before" in notice.words()
        assert w.slack.waking() == []
        store = w.service.store
        desk.confirm(store, register(w, "Another."), "bob", "slack:U02BOB", {}, w.clock())
        assert [desk.recomputed(store, k) for k in store.posts("baseline = 0")] == ["the same", "the same"]


async def test_with_two_person_approval_one_that_waits_pages_and_is_named(tmp_path: Path) -> None:
    async with desk_of(tmp_path, extra=TWO) as w:
        register(w, "Our spring sale.")
        register(w, "Our autumn sale.")
        await w.run(4)
        assert all("Waits for a second approver" in m.words() for m in said(w))
        await press(w, "U02BOB", said(w)[1], "confirm")
        await w.run(2)
        w.x.post("acme", "Our spring sale.")
        w.x.post("acme", "Our autumn sale.")
        await w.run(3)
        assert sorted(severities(w)) == [Severity.CLEAR, Severity.PAGE]
        assert "post #1 has these words, and still waits for a second approver" in w.slack.waking()[0].words()
        await press(w, "U02BOB", said(w)[0], "confirm")
        store = w.service.store
        assert [desk.recomputed(store, k) for k in store.posts("baseline = 0")] == ["the same", "the same"], "as it was then"


async def test_what_replaces_a_confirmed_post_is_announced_as_such_and_waits_again(tmp_path: Path) -> None:
    async with desk_of(tmp_path, extra=TWO) as w:
        register(w, "Our spring sale.", external_id="7")
        await w.run(2)
        await press(w, "U02BOB", said(w)[0], "confirm")
        old, store = w.service.store.registrations.get(1), w.service.store
        register(w, "Our spring sale, at half price.", external_id="7", replacing=old)
        await w.run(4)
        first, second = said(w)
        assert "*Withdrawn* at" in first.words()
        assert second.text == "Registered #2 instead of #1, which is withdrawn, for @acme on X by carol (U06CAROL) from Slack"
        assert "Waits for a second approver" in second.words()
        w.x.post("acme", "Our spring sale.")
        w.x.post("acme", "Our spring sale, at half price.")
        await w.run(3)
        assert severities(w) == [Severity.PAGE, Severity.PAGE]
        assert "registered post #1 was withdrawn at" in store.posts("baseline = 0")[0].verdict.reason
        await press(w, "U02BOB", second, "confirm")
        w.x.post("acme", "Our spring sale, at half price.")
        await w.run(3)
        assert severities(w)[-1] is Severity.CLEAR
        assert {desk.recomputed(store, k) for k in store.posts("baseline = 0")} == {"the same"}


async def test_an_import_that_replaces_says_how_much_of_it_does(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        for number in range(7):
            register(w, f"Text {number} of the plan.", external_id=str(number))
        act = Origin("login:carla", "an import of plan.csv", desk.new_act(desk.IMPORT))
        for number in range(7):
            old = w.service.store.registrations.get(number + 1) if number < 3 else None
            given = {"external_id": str(number), "replacing": old} if old else {}
            register(w, f"Other text {number} of the plan.", act, "carla", **given)
        await w.run(20)
        together = said(w)[-1]
        assert together.text.startswith("Registered 7 posts, from #8 on, 3 of them instead of earlier ones, which are withdrawn, for @acme")
        assert "#8 (instead of #1) @acme on X" in together.words()


async def test_an_import_is_confirmed_as_a_whole_where_all_of_it_is_shown(tmp_path: Path) -> None:
    async with desk_of(tmp_path, extra=TWO) as w:
        for name, many in (("small", 8), ("large", 60)):
            act = Origin("login:carla", f"an import of {name}.csv", desk.new_act(desk.IMPORT))
            for number in range(many):
                register(w, f"Words of the {name} plan with the number {number}.", act, "carla")
        await w.run(12)
        small, large = said(w)
        with pytest.raises(LookupError):
            await press(w, "U02BOB", large, "confirm")
        await press(w, "U02BOB", small, "confirm")
        assert "set logins = {carla" in w.slack.apps.ephemeral[-1][1]
        assert all(r.confirmed_at is None for r in desk.registrations(w.service.store))


async def test_what_an_import_adds_after_its_announcement_is_not_confirmed_with_it(tmp_path: Path) -> None:
    """Eight good rows, a picture that keeps the ninth waiting for more than a minute, and nobody has read that one."""
    async with desk_of(tmp_path, extra=TWO) as w:
        act = Origin("slack:U06CAROL", "an import of plan.csv", desk.new_act(desk.IMPORT))
        for number in range(8):
            register(w, f"Words of the plan with the number {number}.", act)
        await w.run(12)
        (message,) = said(w)
        register(w, "We are sold.", act)
        await press(w, "U02BOB", message, "confirm")
        assert "not announced yet" in w.slack.apps.ephemeral[-1][1]
        assert not any(r.confirmed_at for r in desk.registrations(w.service.store))
        await w.run(12)
        await press(w, "U02BOB", message, "confirm")
        assert all(r.confirmed_at for r in desk.registrations(w.service.store))


async def test_who_is_whom_on_the_host_makes_two_of_two(tmp_path: Path) -> None:
    async with desk_of(tmp_path, HERE | {"logins": {"carla": "U06CAROL"}}, TWO) as w:
        act = Origin("login:carla", "an import of plan.csv", desk.new_act(desk.IMPORT))
        for number in range(8):
            register(w, f"Words of the plan with the number {number}.", act, "carla")
        await w.run(12)
        (message,) = said(w)
        await press(w, "U06CAROL", message, "confirm")
        assert "somebody else has to confirm it" in w.slack.apps.ephemeral[-1][1]
        await press(w, "U02BOB", message, "confirm")
        assert all(r.confirmed_by == "bob (U02BOB)" for r in desk.registrations(w.service.store))
        await w.run(2)
        assert "*Confirmed* by bob" in message.words()


async def test_an_announcement_takes_back_one_or_all_and_says_so(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        register(w, "Our spring sale.")
        act = Origin("login:carla", "an import of plan.csv", desk.new_act(desk.IMPORT))
        for number in range(8):
            register(w, f"Words of the plan with the number {number}.", act, "carla")
        await w.run(12)
        one, all_ = said(w)
        await press(w, "U03GUEST", one, "withdraw")
        assert "guests" in w.slack.apps.ephemeral[-1][1]
        await press(w, "U02BOB", one, "withdraw")
        await press(w, "U02BOB", all_, "withdraw_all")
        await w.run(4)
        assert all(r.withdrawn_at for r in desk.registrations(w.service.store))
        assert "*Withdrawn* at 21 Nov 03:00 UTC" in one.words()
        assert "Nothing of it is open any more" in all_.words()
        assert not [b for m in (one, all_) for b in m.blocks if b["type"] == "actions"]


async def test_a_text_that_is_too_long_for_slack_is_not_confirmed_there(tmp_path: Path) -> None:
    async with desk_of(tmp_path, extra=TWO) as w:
        number = register(w, "word " * 4_000)
        await w.run(3)
        (message,) = said(w)
        assert f"posts show {number}" in message.words()
        with pytest.raises(LookupError):
            await press(w, "U02BOB", message, "confirm")
        payload = {"type": "block_actions", "user": {"id": "U02BOB", "team_id": "T0ACME"}, "container": {"message_ts": message.ts},
                   "actions": [{"action_id": "confirm", "value": json.dumps({"n": number}), "action_ts": "1.5"}]}  # fmt: skip
        await w.slack.apps.deliver("interactive", payload)
        await w.settled()
        assert desk.registrations(w.service.store)[0].confirmed_at is None


async def test_a_button_confirms_what_its_own_message_announces_and_nothing_else(tmp_path: Path) -> None:
    async with desk_of(tmp_path, extra=TWO) as w:
        for text in ("Our spring sale.", "We are sold."):
            register(w, text)
        await w.run(4)
        payload = {"type": "block_actions", "user": {"id": "U02BOB", "team_id": "T0ACME"}, "container": {"message_ts": said(w)[0].ts},
                   "actions": [{"action_id": "confirm", "value": json.dumps({"n": 2}), "action_ts": "1.5"}]}  # fmt: skip
        await w.slack.apps.deliver("interactive", payload)
        await w.settled()
        assert not any(r.confirmed_at for r in desk.registrations(w.service.store))


# --- exactly the posts of the form -------------------------------------------------------------------


async def test_all_posts_are_those_that_the_form_listed(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        root = await hijack(w, "Post number 0 of ours.")
        for number in range(1, 12):
            w.x.post("acme", f"Post number {number} of ours.")
        await w.run(8)
        await press(w, "U06CAROL", root, "approve_open")
        view = w.slack.apps.view_of("U06CAROL")
        assert "Post number 11 of ours." in json.dumps(view.body)
        w.x.post("acme", "We are sold.")
        await w.run(8)
        await w.slack.apps.submit(view, posts=["all"], reason="a campaign")
        await w.settled()
        store = w.service.store
        assert len(desk.registrations(store)) == 12
        assert [i.state for i in store.incidents()] == [State.OPEN]


async def test_a_post_that_cannot_be_shown_whole_is_not_offered(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        root = await hijack(w, "word " * 3_000)
        await press(w, "U06CAROL", root, "approve_open")
        said_ = json.dumps(w.slack.apps.view_of("U06CAROL").body)
        assert "1 post cannot be shown whole here" in said_
        assert "incidents approve 1" in said_
        w.x.post("acme", "A short one.")
        await w.run(8)
        await press(w, "U06CAROL", root, "approve_open")
        view = w.slack.apps.view_of("U06CAROL")
        assert len(view.body["blocks"][1]["element"]["options"]) == 1
        assert "cannot be shown whole" in json.dumps(view.body)


async def test_a_plan_that_cannot_be_shown_whole_is_refused_beside_its_field(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as w:
        links = " ".join(f"https://acme.example/{'x' * 200}/{n}" for n in range(40))
        answer = await planned(w, text="Our spring sale.", links=links)
        assert "too long to be shown whole" in (answer or {})["errors"]["text"]
        whole = "Our spring sale.\n" + "More words. " * 240
        answer = await planned(w, text=whole)
        assert json.dumps(answer).count("More words.") == 240

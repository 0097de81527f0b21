"""On-call and comms work in Slack: real WebSockets, real clicks, people who may and people who may not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor import desk
from monitor.model import State
from monitor.notifiers.interface import NotifierError
from monitor.simulator.slack import Message
from tests.conftest import CONFIG, World, wait_for, world
from tests.notifiers.test_slack import CORPUS, LIVE, leaves

APP = {"slack_app_token": "xapp-token"}
GROUPS = 'slack: responders = ["S0SOCIAL"]\nslack: approvers = ["S0COMMS"]\nslack: runbook_url = "https://runbooks.acme.example/hijack"\n'


@asynccontextmanager
async def office(folder: Path, data: dict[str, Any] | None = None, extra: str = GROUPS) -> AsyncIterator[World]:
    """A monitor with its sockets open."""
    async with world(folder, data, extra, secrets=APP) as w:
        await w.sockets()
        yield w


async def hijack(w: World, text: str = "We are sold.") -> Message:
    w.x.post("acme", text)
    await w.run(2)
    return w.slack.roots()[-1]


def states(w: World) -> list[State]:
    return [i.state for i in w.service.store.incidents()]


async def press(w: World, user: str, message: Any, action: str) -> None:
    await w.slack.apps.click(user, message, action)
    await w.settled()


# --- buttons ----------------------------------------------------------------------------------------


async def test_acknowledge_resolve_and_reopen_by_button(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await press(w, "U01ALICE", root, "acknowledge")
        await w.run(2)
        assert states(w) == [State.ACKNOWLEDGED]
        assert "🟠" in root.words()
        assert "*Acknowledged* by alice (U01ALICE)" in root.words()
        await press(w, "U02BOB", root, "resolve_open")
        view = w.slack.apps.view_of("U02BOB")
        await w.slack.apps.submit(view, cause="hijack", deleted="yes", revoked="yes", note="an old app token")
        await w.settled()
        await w.run(6)
        one = w.service.store.incidents()[0]
        assert (one.state, one.outcome, one.resolved_by) == (State.RESOLVED, "hijack", "bob (U02BOB)")
        assert "posts deleted: yes; sessions revoked: yes; an old app token" in one.cause
        assert "✅" in root.words()
        await press(w, "U01ALICE", root, "reopen")
        await w.run(2)
        assert states(w) == [State.OPEN]
        assert "reopened it" in w.slack.waking()[-1].words()
        assert w.slack.apps.warned == 0


async def test_escalate_now_by_button(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await press(w, "U01ALICE", root, "escalate")
        await w.run(2)
        assert "<!subteam^S0SECONDARY>" in w.slack.waking()[1].words()


async def test_still_on_it_by_button_of_the_page_that_asks(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await press(w, "U01ALICE", root, "acknowledge")
        await w.run(31 * 60)
        await press(w, "U01ALICE", w.slack.waking()[1], "hold")
        assert states(w) == [State.ACKNOWLEDGED]


async def test_a_link_button_is_confirmed_and_does_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        for action in ("open_post", "open_runbook"):
            assert await w.slack.apps.click("U01ALICE", root, action) == {}
        await w.settled()
        assert states(w) == [State.OPEN]


async def test_of_two_people_who_click_at_once_one_wins_and_the_other_is_told_who(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await asyncio.gather(*(w.slack.apps.click(user, root, "acknowledge") for user in ("U01ALICE", "U02BOB")))
        await w.settled()
        winner = w.service.store.incidents()[0].acknowledged_by
        ((loser, said),) = w.slack.apps.ephemeral
        assert loser != winner
        assert f"already acknowledged by {winner}" in said


async def test_the_same_click_in_two_envelopes_counts_once(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        payload = {"type": "block_actions", "user": {"id": "U01ALICE", "team_id": "T0ACME"}, "container": {"message_ts": root.ts},
                   "actions": [{"action_id": "acknowledge", "value": json.dumps({"i": 1, "r": 1}), "action_ts": "1.5"}]}  # fmt: skip
        await asyncio.gather(*(w.slack.apps.deliver("interactive", payload) for _ in range(5)))
        await w.settled()
        acts = w.service.store.sql.execute("SELECT count(*) FROM audit WHERE action = 'acknowledge'").fetchone()[0]
        assert (acts, w.slack.apps.ephemeral) == (1, [])


async def test_a_click_that_comes_before_we_know_where_the_message_is_counts_and_proves_it(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        w.slack.faults.add("drop_after", "postMessage")
        w.slack.refuse["conversations.history"] = "missing_scope"
        root = await hijack(w)
        assert w.service.store.pages.of(1)[0].state == "unknown"
        await press(w, "U01ALICE", root, "acknowledge")
        assert states(w) == [State.ACKNOWLEDGED]
        page = w.service.store.pages.of(1)[0]
        assert (page.state, page.receipt) == ("sent", root.ts)
        await w.run(60)
        assert len(w.slack.roots()) == 1


async def test_what_cannot_be_written_down_is_not_confirmed(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        w.service.store.sql.execute("CREATE TRIGGER full BEFORE INSERT ON inbox BEGIN SELECT RAISE(ABORT, 'full'); END")
        assert await w.slack.apps.click("U01ALICE", root, "acknowledge") is None
        assert w.slack.apps.warned == 1
        w.service.store.sql.execute("DROP TRIGGER full")
        await press(w, "U01ALICE", root, "acknowledge")
        assert states(w) == [State.ACKNOWLEDGED]


async def test_a_click_confirmed_and_not_yet_done_is_done_after_a_restart(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        app = w.service.front.app if w.service.front else None
        assert app
        payload = {"type": "block_actions", "user": {"id": "U01ALICE", "team_id": "T0ACME"}, "container": {"message_ts": root.ts},
                   "actions": [{"action_id": "escalate", "value": json.dumps({"i": 1, "r": 1}), "action_ts": "1.5"}]}  # fmt: skip
        w.service.store.receive("e1", "e1", "interactive", json.dumps(payload), w.clock())  # and the process dies
        await app.work()
        assert w.service.store.incidents()[0].steps == 1
        w.service.store.receive("e2", "e2", "interactive", json.dumps(payload), w.clock())
        await app._do("interactive", payload | {"envelope": "e2"}, "e2")  # and the process dies right after the act
        assert w.service.store.incidents()[0].steps == 2
        before = w.service.store.incidents()[0].pages
        await app.work()
        assert w.service.store.incidents()[0].pages == before, "done once, marked in the same transaction"


async def test_a_click_that_the_database_refused_is_done_a_minute_later(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        w.service.store.sql.execute("CREATE TRIGGER busy BEFORE UPDATE ON incidents BEGIN SELECT RAISE(ABORT, 'busy'); END")
        await press(w, "U01ALICE", root, "acknowledge")
        assert states(w) == [State.OPEN]
        w.service.store.sql.execute("DROP TRIGGER busy")
        await w.service.look_at_slack()
        assert states(w) == [State.ACKNOWLEDGED]


async def test_a_start_waits_for_nobody_although_slack_is_down_and_clicks_are_left(tmp_path: Path) -> None:
    async with world(tmp_path, extra=GROUPS, secrets=APP) as w:
        w.slack.faults.add("hang", "/api/", times=1_000)
        for number in range(20):
            w.service.store.receive(f"e{number}", f"e{number}", "interactive", '{"type": "block_actions"}', w.clock())
        assert w.service.front
        async with asyncio.timeout(2):
            await w.service.front.start()


async def test_one_persons_slow_click_holds_up_nobody_elses(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        w.slack.faults.add("latency", "views.open", value=3)
        await w.slack.apps.click("U02BOB", root, "resolve_open")
        began = time.monotonic()
        await w.slack.apps.click("U01ALICE", root, "acknowledge")
        assert await wait_for(lambda: states(w) == [State.ACKNOWLEDGED], 2)
        assert time.monotonic() - began < 2.5
        await w.settled()


async def test_without_sockets_an_answer_in_the_thread_still_works_and_the_message_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, extra=GROUPS) as w:
        assert w.service.front
        assert w.service.front.sockets == ()
        root = await hijack(w)
        w.slack.say("U01ALICE", "ack", root.ts)
        await w.run(3)
        assert states(w) == [State.ACKNOWLEDGED]
        assert "reply `ack`" in root.words()


# --- who may ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("U03GUEST", "guests"),
        ("U04OTHER", "guests"),
        ("U05ALLY", "guests"),
        ("U07DAVE", "only members of <!subteam^S0SOCIAL>, <!subteam^S0COMMS>"),
    ],
)
async def test_who_is_not_a_responder_is_told_who_is(user: str, said: str, tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        for action in ("acknowledge", "escalate"):
            await press(w, user, root, action)
        await press(w, user, root, "resolve_open")
        w.slack.say(user, "ack", root.ts)
        w.slack.react(user, root.ts, "eyes")
        await w.run(3)
        assert states(w) == [State.OPEN]
        assert all(told == user and said in words for told, words in w.slack.apps.ephemeral)
        assert len(w.slack.apps.ephemeral) == 2
        assert said in json.dumps(w.slack.apps.view_of(user).body)


async def test_somebody_unknown_can_do_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await press(w, "U99NOBODY", root, "acknowledge")
        assert states(w) == [State.OPEN]


async def test_old_group_data_may_acknowledge_and_never_approve(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await press(w, "U01ALICE", root, "acknowledge")
        await press(w, "U01ALICE", root, "approve_open")
        view = w.slack.apps.view_of("U01ALICE")
        w.clock.move(6 * 60)
        w.slack.refuse |= {"usergroups.users.list": "internal_error", "users.info": "internal_error"}
        post = view.body["blocks"][1]["element"]["options"][0]["value"]
        await w.slack.apps.submit(view, posts=[post], reason="it was me")
        await press(w, "U01ALICE", root, "hold")
        assert "is still on it" in [p.reason for p in w.service.store.pages.of(1)][-1]
        assert states(w) == [State.ACKNOWLEDGED]
        assert "Slack does not say now who you are" in w.slack.apps.ephemeral[-1][1]
        w.slack.refuse.pop("users.info")
        view.open = True
        await w.slack.apps.submit(view, posts=[post], reason="it was me")
        await w.settled()
        assert "an approval needs to know" in w.slack.apps.ephemeral[-1][1]
        assert states(w) == [State.ACKNOWLEDGED]


async def test_without_an_approver_group_nobody_approves_from_slack(tmp_path: Path) -> None:
    async with office(tmp_path, extra="") as w:
        root = await hijack(w)
        await press(w, "U01ALICE", root, "approve_open")
        assert "names no group" in json.dumps(w.slack.apps.view_of("U01ALICE").body)


# --- approving --------------------------------------------------------------------------------------


async def approve(w: World, user: str, root: Message, posts: list[str] | None = None) -> None:
    await press(w, user, root, "approve_open")
    view = w.slack.apps.view_of(user)
    offered = [o["value"] for o in view.body["blocks"][1]["element"]["options"]]
    await w.slack.apps.submit(view, posts=posts or offered, reason="the CEO's own words")
    await w.settled()
    await w.run(6)


async def test_an_approver_approves_exactly_these_posts(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await approve(w, "U06CAROL", root)
        one = w.service.store.incidents()[0]
        assert (one.state, one.outcome) == (State.RESOLVED, "approved")
        assert "☑️" in root.words()
        assert "*Approved after the fact* by carol (U06CAROL)" in root.words()
        await hijack(w, "We are sold, dear all.")
        assert states(w)[0] is State.OPEN, "a similar one pages"


async def test_of_several_posts_only_the_chosen_are_approved_and_the_incident_stays_open(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        w.x.post("acme", "Another.")
        await w.run(8)
        first = w.service.store.posts("incident = 1")[0].post.id
        await approve(w, "U06CAROL", root, [first])
        assert states(w) == [State.OPEN]
        assert len(desk.registrations(w.service.store)) == 1
        await approve(w, "U06CAROL", root)
        assert states(w) == [State.RESOLVED]


async def test_a_post_with_a_link_takes_two_where_the_company_wants_it(tmp_path: Path) -> None:
    async with office(tmp_path, extra=GROUPS + "slack: two_person_approve = true\n") as w:
        root = await hijack(w, "Read https://acme.example/news")
        await approve(w, "U06CAROL", root)
        assert states(w) == [State.OPEN]
        assert "waits for a second approver: it holds a link or an address" in w.slack.apps.ephemeral[-1][1]
        assert any("a second approver is needed" in m.words() for m in w.slack.thread(root.ts))
        await approve(w, "U06CAROL", root)
        assert states(w) == [State.OPEN], "the same person twice is one person"
        await approve(w, "U02BOB", root)
        assert states(w) == [State.RESOLVED]


async def test_a_post_that_a_critical_rule_accuses_always_takes_two(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w, "Send BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back")
        await approve(w, "U06CAROL", root)
        assert "the critical rule" in w.slack.apps.ephemeral[-1][1]
        assert states(w) == [State.OPEN]
        await approve(w, "U02BOB", root)
        assert states(w) == [State.RESOLVED]


async def test_a_modal_sent_without_a_choice_or_a_reason_complains_beside_the_field(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        await press(w, "U06CAROL", root, "approve_open")
        view = w.slack.apps.view_of("U06CAROL")
        assert (await w.slack.apps.submit(view, posts=[], reason="x") or {})["errors"] == {"posts": "Choose at least one post."}
        post = view.body["blocks"][1]["element"]["options"][0]["value"]
        assert (await w.slack.apps.submit(view, posts=[post], reason="  ") or {})["errors"] == {
            "reason": "A reason is needed: it is recorded."
        }
        await w.settled()
        assert states(w) == [State.OPEN]


async def test_a_modal_of_a_resolved_incident_says_so(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        w.slack.say("U01ALICE", "resolve: insider", root.ts)
        old = Message(root.ts, root.text, root.at, list(root.blocks), channel=root.channel)
        await w.run(3)
        await press(w, "U02BOB", old, "approve_open")
        assert "INC-1 was resolved by alice" in json.dumps(w.slack.apps.view_of("U02BOB").body)
        await press(w, "U02BOB", old, "acknowledge")
        assert "was resolved by" in w.slack.apps.ephemeral[-1][1]


# --- commands ---------------------------------------------------------------------------------------


async def say(w: World, user: str, text: str) -> str:
    before = len(w.slack.apps.ephemeral)
    await w.slack.apps.command(user, text)
    await w.settled()
    return w.slack.apps.ephemeral[-1][1] if len(w.slack.apps.ephemeral) > before else ""


async def test_the_command_says_how_it_is_what_is_open_and_what_it_can(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        assert "/hijack silence" in await say(w, "U01ALICE", "help")
        assert "@acme on X: read" in await say(w, "U01ALICE", "status")
        assert await say(w, "U01ALICE", "incidents") == "No open incident."
        await hijack(w)
        assert "INC-1" in await say(w, "U01ALICE", "incidents")
        assert "I do not know" in await say(w, "U01ALICE", "dance <!channel>")
        assert "<!channel>" not in w.slack.apps.ephemeral[-1][1]


async def test_a_silence_is_begun_announced_and_ended_in_slack(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        assert "Silenced" in await say(w, "U01ALICE", "silence @acme 2h “spring sale” we post a lot today")
        await w.run(2)
        (announced,) = w.slack.roots()
        assert "(U01ALICE) silenced @acme on X about “spring sale”" in announced.words()
        await press(w, "U02BOB", announced, "end_silence")
        await w.run(3)
        assert "ended by bob" in announced.words()
        assert w.service.store.silences(w.clock()) == ()


@pytest.mark.parametrize(
    ("text", "answer"),
    [("silence <@U0ACME|acme> 9h too long &amp; more", "between a minute and 8 h"), ("silence", "I did not understand"), ("silence 2h", "I did not understand"), ("silence 9h too long", "between a minute and 8 h"),
     ("silence @nobody 2h why", "is not watched"), ("silence end 7", "there is no silence 7"),
     ("silence end ²", "I did not understand"), ("silence end 99999999999999999999999", "I did not understand")],
)  # fmt: skip
async def test_a_silence_that_cannot_be_says_why(text: str, answer: str, tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        assert answer in await say(w, "U01ALICE", text)
        assert w.service.store.silences(w.clock()) == ()


async def test_who_may_not_silence_cannot(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        assert "only members of" in await say(w, "U07DAVE", "silence 2h quiet please")
        assert "guests" in await say(w, "U03GUEST", "silence 2h quiet please")
        assert w.service.store.silences(w.clock()) == ()


async def test_guests_are_told_nothing_and_comms_may_look(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        await hijack(w)
        for command in ("status", "incidents"):
            assert "guests" in await say(w, "U03GUEST", command)
            assert "acme" in await say(w, "U06CAROL", command)
        await w.slack.apps.open_home("U06CAROL")
        await w.settled()
        assert "INC-1" in json.dumps(w.slack.apps.homes["U06CAROL"].body)


async def test_a_drill_is_begun_from_slack(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        assert "INC-1 is a drill" in await say(w, "U01ALICE", "test")
        await w.run(2)
        assert "DRILL, not a hijack" in w.slack.waking()[0].words()
        assert "nobody has acknowledged yet" in await say(w, "U01ALICE", "test")


# --- comms ------------------------------------------------------------------------------------------


async def planned(w: World, user: str = "U06CAROL", **filled: Any) -> dict[str, Any] | None:
    await w.slack.apps.command(user, "plan")
    await w.settled()
    return await w.slack.apps.submit(w.slack.apps.view_of(user), **filled)


async def test_comms_plan_a_post_in_slack_see_the_lint_first_and_it_goes_by(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        answer = await planned(w, text="Hello world. https://acme-airdrop.xyz", links="https://acme.example/x")
        assert "registering it silences this" in json.dumps(answer), "the lint is shown before anything is saved"
        assert desk.registrations(w.service.store) == []
        view = w.slack.apps.view_of("U06CAROL")
        await w.slack.apps.submit(view)
        await w.settled()
        assert "Registered as #1" in json.dumps(view.body)
        (one,) = desk.registrations(w.service.store)
        assert (one.approved_by, one.links) == ("carol (U06CAROL)", ("https://acme.example/x",))
        row = w.service.store.sql.execute("SELECT actor FROM audit WHERE action = 'register'").fetchone()
        assert row[0] == "carol (U06CAROL)"
        again = await planned(w, text="Hello world. https://acme-airdrop.xyz", links="https://acme.example/x")
        assert "#1 has the same words" in json.dumps(again)


async def test_a_planned_post_without_links_goes_by_when_it_is_posted(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        await planned(w, text="Fees fall to zero on Monday, for everybody.")
        await w.slack.apps.submit(w.slack.apps.view_of("U06CAROL"))
        await w.settled()
        w.x.post("acme", "Fees fall to zero on Monday, for everybody.")
        await w.run(3)
        assert w.slack.messages == {}


@pytest.mark.parametrize(
    ("filled", "block"),
    [
        ({"text": "  "}, "text"),
        ({"text": "a", "links": "acme.example"}, "links"),
        ({"text": "a", "media": "²"}, "media"),
        ({"text": "a", "until": 5}, "until"),
        ({"text": "a", "media": "11"}, "media"),
    ],
)
async def test_a_plan_that_cannot_be_is_complained_of_beside_its_field(filled: dict[str, Any], block: str, tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        answer = await planned(w, **filled)
        assert list((answer or {})["errors"]) == [block]
        assert desk.registrations(w.service.store) == []


async def test_planned_posts_are_listed_and_withdrawn_in_slack(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        w.register("Our spring sale.")
        await w.slack.apps.command("U06CAROL", "planned")
        await w.settled()
        view = w.slack.apps.view_of("U06CAROL")
        assert "Our spring sale" in json.dumps(view.body)
        await press(w, "U06CAROL", view, "withdraw")
        assert "Nothing is planned" in json.dumps(view.body)
        assert desk.registrations(w.service.store)[0].withdrawn_at


async def test_who_is_no_approver_can_neither_plan_nor_withdraw(tmp_path: Path) -> None:
    data = CONFIG
    async with office(tmp_path, data) as w:
        w.slack.groups["S0COMMS"] = ["U06CAROL"]
        w.register("Our spring sale.")
        await w.slack.apps.command("U02BOB", "plan")
        await w.settled()
        assert "only members of" in json.dumps(w.slack.apps.view_of("U02BOB").body)
        await w.slack.apps.open_home("U02BOB")
        await w.settled()
        await press(w, "U02BOB", w.slack.apps.homes["U02BOB"], "withdraw")
        assert desk.registrations(w.service.store)[0].withdrawn_at is None


async def test_the_home_tab_says_what_is_watched_open_drilled_and_planned(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        await hijack(w)
        w.register("Our spring sale.")
        await w.slack.apps.open_home("U01ALICE")
        await w.settled()
        said = json.dumps(w.slack.apps.homes["U01ALICE"].body, ensure_ascii=False)
        for words in ("@acme on X: read", "INC-1", "*Last drill*: never", "Our spring sale"):
            assert words in said
        await w.slack.apps.open_home("U03GUEST")
        await w.settled()
        assert "INC-1" not in json.dumps(w.slack.apps.homes["U03GUEST"].body)


@pytest.mark.parametrize("text", [t for t in CORPUS if t.strip()], ids=lambda t: repr(t)[:20])
async def test_no_hostile_text_gets_out_of_its_place_in_modals_and_home(text: str, tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        w.slack.people["U01ALICE"]["profile"]["display_name"] = text[:200]
        root = await hijack(w, text.replace("\ud800", "")[:24_000])
        w.register(text.replace("\ud800", "")[:1_000] or "x")
        await press(w, "U01ALICE", root, "acknowledge")
        for action in ("approve_open", "resolve_open"):
            await press(w, "U01ALICE", root, action)
        await w.slack.apps.open_home("U01ALICE")
        for command in ("planned", "incidents", "status", text[:500]):
            await w.slack.apps.command("U01ALICE", command)
        await w.settled()
        shown = [v.body for v in (*w.slack.apps.views.values(), *w.slack.apps.homes.values())]
        assert len(shown) == 4
        for body in shown:
            raw = json.dumps(body, ensure_ascii=False)
            assert raw.count('"mrkdwn", "verbatim": true') == raw.count('"type": "mrkdwn"')
            assert "\u202e" not in raw
            assert all(
                "<!" not in said and "<@" not in said for path, said in leaves(body) if "plain_text" not in path and "rich_text" not in path
            )
            assert not LIVE.search(raw)
        for _, said in w.slack.apps.ephemeral:
            assert "<!" not in said
            assert "<@" not in said


# --- sockets ----------------------------------------------------------------------------------------


async def works_again(w: World, root: Message, within: float = 30) -> float:
    """Click until it is confirmed; how long that took, in real seconds."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        if w.slack.apps.sockets and await w.slack.apps.click("U01ALICE", root, "open_post") is not None:
            return time.monotonic() - began
        await asyncio.sleep(0.2)
    raise AssertionError("no click came through in time")


async def test_two_sockets_are_open_and_a_cut_one_loses_no_click(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        assert len(w.slack.apps.sockets) == 2
        w.slack.apps.lose_next = True
        await w.slack.apps.click("U01ALICE", root, "acknowledge")
        await w.settled()
        assert await wait_for(lambda: states(w) == [State.ACKNOWLEDGED], 5), "it was written down before the cut"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["cut", "handshakes", "half-open", "refresh", "too many", "api down"])
async def test_whatever_happens_to_the_sockets_clicks_work_again_within_half_a_minute(trouble: str, tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root, apps = await hijack(w), w.slack.apps
        match trouble:
            case "cut":
                apps.cut()
            case "handshakes":
                apps.refuse_handshakes = 3
                apps.cut()
            case "half-open":
                apps.muted = True
                await asyncio.sleep(6)
                apps.muted = False
                old = list(apps.sockets)
                assert await wait_for(lambda: all(s not in apps.sockets or not s.closed for s in old), 1)
            case "refresh":
                await apps.refresh()
            case "too many":
                apps.extra_connections = 10
                apps.cut()
                await asyncio.sleep(4)
                apps.extra_connections = 0
            case "api down":
                w.slack.refuse["apps.connections.open"] = "internal_error"
                apps.cut()
                await asyncio.sleep(4)
                del w.slack.refuse["apps.connections.open"]
        assert await works_again(w, root) < 30


async def test_a_token_that_somebody_else_uses_too_is_told(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        w.slack.apps.extra_connections = 2
        await w.slack.apps.refresh()
        assert await wait_for(lambda: len(w.slack.apps.sockets) == 2)
        assert w.service.front
        sockets = w.service.front.sockets
        assert await wait_for(lambda: max(s.connections for s in sockets) == 4)
        await w.run(30)
        assert w.slack.roots() == [], "a socket that was just replaced may still be counted"
        await w.run(200)
        assert any("Somebody else gets our clicks" in m.words() for m in w.slack.roots())


async def test_dead_buttons_are_told_and_every_message_says_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path) as w:
        assert w.service.front
        monkeypatch.setattr(w.service.front, "deaf_seconds", lambda: 200.0)
        await w.run(6)
        assert any("Buttons do not work" in m.words() for m in w.slack.roots())
        root = await hijack(w)
        assert "Buttons may not work: reply `ack` in this thread" in root.words()
        monkeypatch.setattr(w.service.front, "deaf_seconds", lambda: 0.0)
        w.service.front.sockets[0].up_at = time.monotonic()  # only a socket that was open proves it
        await w.run(12)
        assert any("Buttons work again" in m.words() for m in w.slack.roots())


async def test_an_answer_is_posted_only_to_slack(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        assert w.service.front
        before = len(w.slack.apps.ephemeral)
        await w.service.front.app._api.respond("http://127.0.0.1:1/steal", "secret")
        await w.service.front.app._api.respond("https://hooks.slack.com.evil.example/x", "secret")
        assert len(w.slack.apps.ephemeral) == before


async def test_nonsense_from_the_socket_stops_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        root = await hijack(w)
        nonsense: list[Any] = [{}, {"type": "block_actions"}, {"type": "block_actions", "actions": [{"action_id": "acknowledge", "value": "[1"}]},
                               {"type": "view_submission", "view": {"callback_id": "approve", "private_metadata": "{}"}}, {"type": "shortcut"},
                               {"type": "block_actions", "actions": [{"action_id": "acknowledge", "value": '{"i": "x"}'}], "user": {"id": "U01ALICE"}}]  # fmt: skip
        for payload in nonsense:
            await w.slack.apps.deliver("interactive", payload)
        await w.slack.apps.deliver("slash_commands", {})
        await w.slack.apps.deliver("events_api", {"event": {}})
        await w.settled()
        await press(w, "U01ALICE", root, "acknowledge")
        assert states(w) == [State.ACKNOWLEDGED]
        assert w.service.store.received() == []


async def test_check_asks_for_a_socket_and_says_who_would_not_be_woken(tmp_path: Path) -> None:
    async with world(tmp_path, extra=GROUPS, secrets=APP) as w:
        assert w.service.front
        assert await w.service.front.check() == "buttons and commands over 2 sockets"
        w.slack.apps.disabled = True
        with pytest.raises(NotifierError, match="link_disabled"):
            await w.service.front.check()
        slack = w.service.pager.notifiers()["slack"]
        assert "not surely woken" not in await slack.check()
        w.slack.groups["S0SOCIAL"].append("U08ERIN")
        assert "not in the channel, so not surely woken: U08ERIN of S0SOCIAL" in await slack.check()

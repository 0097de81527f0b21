"""A mention that reaches nobody: `check --live` refuses it, the running monitor says so, and a page takes the next step at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import incidents, preflight
from monitor.config import ConfigError
from monitor.model import Incident, Paging, Severity, State
from monitor.notifiers.slack.targets import Targets
from tests.conftest import START, World, world

STEPS = ((5.0, ("S2",)), (15.0, ("U3",)))
PAGING = Paging(("S1",), escalate=STEPS, routes=("slack",))
OPEN = Incident(
    1, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody registered it", START, START, last_paged_at=START, pages=1
)
HOME = "C0INCIDENTS"


@pytest.mark.parametrize(
    ("nobody", "steps", "who"),
    [
        (set(), 0, ("S1",)),
        ({"S2"}, 0, ("S1",)),
        ({"S1"}, 1, ("S1", "S2")),
        ({"S1", "S2"}, 2, ("S1", "S2", "U3")),
        ({"S1", "S2", "U3"}, 2, ("S1", "S2", "U3", "channel")),
    ],
)
def test_a_step_whose_people_cannot_be_reached_is_followed_by_the_next_at_once(nobody: set[str], steps: int, who: tuple[str, ...]) -> None:
    paging = replace(PAGING, nobody=frozenset(nobody))
    assert incidents.escalated(OPEN, START, paging) == steps
    assert incidents.mentions(paging, replace(OPEN, steps=steps), START) == who
    due = incidents.next_page(OPEN, START + timedelta(seconds=10), paging)
    assert bool(due) is bool(steps)
    if due:
        assert due.reason == f"whom it was to wake cannot be reached: escalated to step {steps} of 2"


def test_whoever_is_on_call_and_cannot_be_reached_is_not_woken_alone() -> None:
    gone = replace(PAGING, nobody=frozenset({"U9"}))
    assert incidents.mentions(PAGING, OPEN, START, ("U9",)) == ("U9",)
    assert incidents.mentions(gone, OPEN, START, ("U9",)) == ("U9", "S1")
    assert incidents.escalated(OPEN, START, replace(PAGING, nobody=frozenset({"S1"})), ("U9",)) == 0, "the first page reaches them"


@given(st.sets(st.sampled_from(["S1", "S2", "U3", "U9", "channel"])), st.integers(0, 2), st.sampled_from([(), ("U9",)]))
def test_a_page_never_names_only_people_who_cannot_be_reached(nobody: set[str], steps: int, oncall: tuple[str, ...]) -> None:
    paging = replace(PAGING, nobody=frozenset(nobody))
    taken = incidents.escalated(replace(OPEN, steps=steps), START, paging, oncall)
    who = incidents.mentions(paging, replace(OPEN, steps=taken), START, oncall)
    assert set(who) - nobody or "channel" in who


def targets(w: World) -> Targets:
    assert w.service.front
    return w.service.front.targets


async def why(w: World, who: str, channel: str = HOME) -> str:
    """Asked anew."""
    targets(w).people._users.clear()
    found = await targets(w).find({channel: {who: "mention"}})
    assert not found.unknown
    return found.nobody.get((channel, who), "")


async def test_who_is_notified_by_a_mention(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        slack = w.slack
        assert [await why(w, who) for who in ("S0SOCIAL", "U01ALICE", "U03GUEST", "channel")] == [""] * 4
        assert "nobody whom Slack knows" in await why(w, "U99NOBODY")
        assert "does not exist" in await why(w, "S99NONE")
        assert "deactivated or a bot" in await why(w, "U0MONITOR") or "nobody whom" in await why(w, "U0MONITOR")
        slack.disabled.add("S0SOCIAL")
        assert "switched off" in await why(w, "S0SOCIAL")
        slack.disabled.clear()
        slack.groups["S0EMPTY"] = []
        assert "without members" in await why(w, "S0EMPTY")
        slack.people["U02BOB"] |= {"deleted": True}
        assert "deactivated" in await why(w, "U02BOB")
        assert await why(w, "S0SOCIAL") == "", "alice is still in it"
        assert "nobody can be woken: U02BOB is deactivated" in await why(w, "S0SECONDARY")
        slack.private[HOME] = ["U06CAROL"]
        assert "not a member of the private channel C0INCIDENTS" in await why(w, "U01ALICE")
        assert "nobody can be woken" in await why(w, "S0SOCIAL")
        assert await why(w, "S0COMMS") == "", "one of three is there"
        assert await why(w, "channel") == ""
        slack.private[HOME] = ["U02BOB"]
        assert "no member who could be woken" in await why(w, "channel")
        slack.private[HOME] = [f"U1{n:05d}" for n in range(250)] + ["U01ALICE"]
        assert await why(w, "U01ALICE") == "", "on the third page"
        slack.people["W0ALICE1"] = slack.people["U01ALICE"] | {"id": "U01ALICE", "enterprise_user": {"id": "W0ALICE1", "teams": ["T0ACME"]}}
        assert await why(w, "W0ALICE1") == "", "two ids of one person"


async def test_a_group_that_is_switched_off_is_a_notice_and_the_page_wakes_the_next_step_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(2)
        w.slack.disabled.add("S0SOCIAL")
        await w.skip(660)
        (notice,) = w.slack.roots()
        assert "Not everybody can be woken" in notice.words()
        assert "@social-oncall (S0SOCIAL) in mention is a user group that is switched off" in notice.words()
        assert not notice.wakes
        w.x.post("acme", "We are sold.")
        await w.run(3)
        (page,) = w.slack.waking()
        assert "<!subteam^S0SECONDARY>" in page.words()
        w.slack.disabled.clear()
        await w.run(90)
        assert w.service.store.incidents()[-1].state is State.RESOLVED
        w.slack.refuse |= {"usergroups.list": "missing_scope", "usergroups.users.list": "missing_scope", "users.info": "internal_error"}
        await w.skip(1300)
        assert len([m for m in w.slack.roots() if "Not everybody" in m.words()]) == 1, "what Slack does not say is no finding"


async def test_where_nobody_at_all_can_be_reached_the_channel_and_the_first_fallback_are_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, extra='fallback = ["pagerduty"]\n[pagerduty]\napi_base = "http://127.0.0.1:9"\n') as w:
        for who in ("U01ALICE", "U02BOB"):
            w.slack.people[who] |= {"deleted": True}
        w.slack.private[HOME] = ["U01ALICE"]
        await w.skip(660)
        w.x.post("acme", "We are sold.")
        await w.run(3)
        (page,) = w.slack.waking()
        assert "<!channel>" in page.words()
        assert {p.route for p in w.service.store.pages.of(2)} >= {"slack", "pagerduty"}
        capsys.readouterr()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.disabled.add("S0SOCIAL"), "@social-oncall (S0SOCIAL) in mention is a user group that is switched off"),
        (lambda s: s.people["U02BOB"].update(deleted=True), "(S0SECONDARY) in escalate, after 5 min is a user group of which nobody"),
        (lambda s: s.private.update({"C0BRAND": ["U02BOB"]}), "alice (U01ALICE) in acme's mention is not a member of the private channel"),
    ],
    ids=["switched off", "left", "outside"],
)
async def test_check_live_refuses_whom_no_page_would_wake(spoil: Any, said: str, tmp_path: Path) -> None:
    own = '[accounts.paging]\nchannel = "C0BRAND"\nmention = ["U01ALICE"]\n'
    data = {"company": {"name": "A", "domains": ["acme.example"]}, "accounts": [{"handle": "acme", "id": "1", "paging": own}], "lasts": 1}
    async with world(tmp_path, data | {"timeline": [], "expect": []}) as w:
        await preflight._ask_whom_pages_reach(w.config, targets(w))
        spoil(w.slack)
        targets(w).people._users.clear()
        with pytest.raises(ConfigError) as raised:
            await preflight._ask_whom_pages_reach(w.config, targets(w))
        assert said in str(raised.value)


async def test_check_live_warns_of_people_who_may_act_and_cannot_and_of_what_slack_does_not_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path, extra='slack: responders = ["S0GONE", "U02BOB"]\nslack: approvers = ["S0COMMS"]\n') as w:
        w.slack.disabled.add("S0GONE")
        w.slack.groups["S0GONE"] = ["U01ALICE"]
        await preflight._ask_whom_pages_reach(w.config, targets(w))
        assert "warning: @s0gone (S0GONE) in responders is a user group that is switched off" in capsys.readouterr().out
        w.slack.refuse |= {"usergroups.list": "missing_scope", "usergroups.users.list": "missing_scope"}
        await preflight._ask_whom_pages_reach(w.config, targets(w))
        assert "Slack does not say whether S0SOCIAL can be reached: Slack answered missing_scope" in capsys.readouterr().out

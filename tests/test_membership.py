"""Who is one of us: any field in which Slack states membership counts, any flag of an outsider keeps out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import State
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.membership import read
from tests.conftest import world
from tests.test_slack_app import APP, GROUPS, hijack, press, states

OURS, OTHER = "T0ACME", "T0OTHER"
FLAGS = [
    "is_bot", "is_workflow_bot", "is_connector_bot", "deleted", "is_forgotten", "is_stranger", "is_external", "is_restricted",
    "is_ultra_restricted", "is_invited_user",
]  # fmt: skip
GRID: dict[str, Any] = {
    "id": "W0ALICE1", "team_id": OTHER, "name": "wonder", "is_bot": False, "deleted": False, "is_restricted": False,
    "profile": {"email": "wonder@acme.example", "display_name": "wonder"},
    "enterprise_user": {"id": "W0ALICE1", "enterprise_id": "E1", "teams": [OURS, OTHER]},
}  # fmt: skip


def refused(data: Any, claimed: str = "", user: str = "U01ALICE") -> str:
    return read(user, data).refused(OURS, "Acme", claimed)


@pytest.mark.parametrize(
    "data",
    [
        {"team_id": OURS},
        {"team_id": OTHER, "enterprise_user": {"teams": [OTHER, OURS]}},
        {"team_id": OTHER, "profile": {"team": OURS}},
        {"enterprise_user": {"teams": [OURS]}, "is_restricted": False},
        {"team_id": OURS, "enterprise_user": None, "profile": None},
    ],
)
def test_any_field_of_slacks_makes_somebody_ours_and_any_flag_undoes_it(data: dict[str, Any]) -> None:
    assert refused(data) == ""
    assert all(refused(data | {flag: True}) for flag in FLAGS)


@pytest.mark.parametrize(
    "data",
    [
        {"team_id": OTHER},
        {"team_id": OTHER, "enterprise_user": {"teams": [OTHER], "enterprise_id": OURS}},
        {"team_id": OTHER, "profile": {"team": OTHER, "display_name": OURS, "fields": {"Xf1": {"value": OURS}}, "status_text": OURS}},
        {"team_id": OTHER, "name": OURS, "real_name": OURS},
        {"team_id": [OURS], "enterprise_user": OURS, "profile": OURS},
        {"enterprise_user": {"teams": {OURS: True}}},
        {"enterprise_user": {"teams": OURS}},
        {"id": "U01ALICE"},
    ],
)
def test_what_people_write_themselves_or_slack_does_not_state_makes_nobody_ours(data: dict[str, Any]) -> None:
    assert "an admin of it can add you" in refused(data)


def test_a_click_may_state_the_workspace_and_may_not_contradict_what_slack_says_of_the_person() -> None:
    assert refused(GRID, claimed=OTHER) == refused(GRID, claimed=OURS) == refused(GRID, claimed="E1") == ""
    assert "another workspace" in refused(GRID, claimed="T0THIRD")
    assert "another workspace" in refused({"team_id": OURS}, claimed=OTHER), "the same id in a connected workspace is somebody else"
    assert refused({"team_id": OTHER, "is_stranger": True}, claimed=OURS)


def test_the_person_of_the_shared_case_is_ours() -> None:
    case = Path(__file__).parents[2].joinpath("shared/cases/slack/slack_users_info_grid_home_elsewhere.json")
    if not case.exists():
        pytest.skip("the shared cases are not here")
    person = read("W0ALICE1", json.loads(case.read_text(encoding="utf-8"))["user"])
    assert person.refused("T1", "Acme") == person.refused("T2", "Acme") == ""
    assert person.refused("T3", "Acme")


def test_slackbot_is_nobody() -> None:
    assert refused({"team_id": OURS}, user="USLACKBOT")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(OURS),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["teams", "team", "id", "display_name", "x"]), v, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["id", "name", "profile", "enterprise_user", *FLAGS]), JSON, min_size=1), JSON)
def test_no_shape_of_an_answer_breaks_it_or_lets_a_flagged_one_in(data: dict[str, Any], team: Any) -> None:
    try:
        said = refused(data | {"team_id": team})
    except NotifierError:
        return
    if any(data.get(flag) for flag in FLAGS):
        assert said


async def test_somebody_whose_home_is_another_workspace_of_the_grid_clicks_replies_commands_and_is_found(tmp_path: Path) -> None:
    async with world(tmp_path, extra=GROUPS, secrets=APP) as w:
        await w.sockets()
        assert w.service.front
        w.slack.people["W0ALICE1"] = GRID
        w.slack.groups["S0SOCIAL"].append("W0ALICE1")
        people = w.service.front._people
        assert await people.by_email("wonder@acme.example") == "W0ALICE1"
        assert await people.by_email("nobody@acme.example") == ""
        root = await hijack(w)
        await press(w, "W0ALICE1", root, "acknowledge")
        assert states(w) == [State.ACKNOWLEDGED]
        await w.slack.apps.command("W0ALICE1", "incidents")
        await w.settled()
        assert "INC-1" in w.slack.apps.ephemeral[-1][1]
        w.slack.say("W0ALICE1", "resolve: false alarm", root.ts)
        await w.run(3)
        assert states(w) == [State.RESOLVED]


async def test_a_guest_of_a_connected_workspace_is_told_by_button_modal_command_reply_and_reaction_why_not(tmp_path: Path) -> None:
    """The click of a stranger in a shared channel names our workspace as the one of the app, and so does a command."""
    async with world(tmp_path, extra=GROUPS, secrets=APP) as w:
        await w.sockets()
        w.slack.people["U05ALLY"] = GRID | {"id": "U05ALLY", "name": "ally", "enterprise_user": {"id": "U05ALLY", "teams": [OTHER]},
                                            "profile": {"display_name": OURS, "team": OTHER, "fields": {"Xf1": {"value": OURS}}}}  # fmt: skip
        w.slack.groups["S0SOCIAL"].append("U05ALLY")  # a group may hold people of other workspaces
        root = await hijack(w)
        await press(w, "U05ALLY", root, "acknowledge")
        await press(w, "U05ALLY", root, "resolve_open")
        await w.slack.apps.command("U05ALLY", "silence 2h quiet please")
        await w.settled()
        w.slack.react("U05ALLY", root.ts, "eyes")
        await w.run(3)
        w.slack.say("U05ALLY", "ack", root.ts)
        await w.run(20)
        assert states(w) == [State.OPEN]
        told = [words for user, words in w.slack.apps.ephemeral if user == "U05ALLY"]
        told.append(json.dumps(w.slack.apps.view_of("U05ALLY").body))
        told += [m.words() for m in w.slack.thread(root.ts) if m.bot and "nothing was done" in m.words()]
        assert len(told) == 4, "one answer below the incident, however they try"
        assert all("only full members of our own workspace" in t and "on the host" in t for t in told), told

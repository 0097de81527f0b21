"""What is read back from Slack counts only when it is provably ours: the MAC of our metadata, the author, the thread."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.model import State
from monitor.notifiers.slack.seal import Seal
from tests.conftest import World, world
from tests.test_slack_app import hijack as page
from tests.test_slack_app import office, press, states
from tests.test_two_hosts import KEY, WITNESS

KEYS = st.text("0123456789abcdef", min_size=32, max_size=64)
PAYLOADS = st.dictionaries(
    st.text(max_size=12).filter(lambda k: k != "mac"), st.one_of(st.text(max_size=40), st.integers(-(2**53), 2**53)), max_size=8
)


async def hijack(w: World) -> str:
    w.x.post("acme", "We are sold.")
    await w.run(3)
    return w.slack.roots()[0].ts


@given(KEYS, PAYLOADS, st.text(max_size=12))
def test_what_was_sealed_is_known_again_after_slack_read_and_wrote_it(key: str, payload: dict[str, Any], channel: str) -> None:
    seal = Seal(key)
    shown = json.loads(json.dumps({"metadata": seal.metadata(payload, channel)}))
    assert seal.payload(shown, channel) == payload
    assert seal.payload(shown, channel + "x") == {}
    assert Seal(key + "0").payload(shown, channel) == {}


@given(PAYLOADS, st.text(max_size=12), st.one_of(st.text(max_size=12), st.integers()))
def test_whatever_is_changed_in_it_breaks_the_seal(payload: dict[str, Any], name: str, value: str | int) -> None:
    seal = Seal("k" * 32)
    shown = {"metadata": seal.metadata(payload, "C0")}
    changed = copy.deepcopy(shown)
    changed["metadata"]["event_payload"][name] = value
    before = shown["metadata"]["event_payload"]
    same = name in before and str(before[name]) == str(value)
    assert (seal.payload(changed, "C0") != {}) == (same and payload != {})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=8), v, max_size=3),
    )
)
def test_no_metadata_of_another_shape_is_ours_or_breaks_it(value: Any) -> None:
    seal = Seal("k" * 32)
    for message in ({"metadata": value}, {"metadata": {"event_payload": value}}, {"metadata": {"event_payload": {"mac": value}}}):
        assert seal.payload(message, "C0") == {}


async def test_a_reaction_counts_only_on_a_message_of_ours_in_its_thread(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        root = await hijack(w)
        ours = w.slack.messages[root].metadata
        bare = {"event_type": "hijack-monitor_page", "event_payload": {"incident": 1}}
        for metadata in ({}, bare, ours):  # what any app can read, it can copy
            for stolen in (False, True):
                w.slack.react("U01ALICE", w.slack.post_as_bot("INC-1", metadata, root, ours=stolen).ts, "eyes")
        w.slack.react("U01ALICE", w.slack.say("U02BOB", "look", root), "eyes")
        await w.run(5)
        assert w.service.store.incidents()[0].state is State.OPEN
        w.slack.react("U01ALICE", w.slack.thread(root)[0].ts, "eyes")  # our own evidence
        await w.run(5)
        assert w.service.store.incidents()[0].state is State.ACKNOWLEDGED


async def test_a_forged_message_delivers_no_page(tmp_path: Path) -> None:
    """The thief of our bot token writes what we are about to write, so that we find it and fall silent."""
    async with world(tmp_path) as w:
        key = f"{w.service.store.install}:inc1:root:0:slack"
        forged = {"event_type": "hijack-monitor_page", "event_payload": {"incident": 1, "rev": 1, "dedupe_key": key, "mac": "0" * 32}}
        for stolen in (True, False):
            w.slack.post_as_bot("nothing to see", forged, ours=stolen)
        w.slack.faults.add("drop_before", "postMessage")
        w.x.post("acme", "We are sold.")
        await w.run(40)
        (woke,) = w.slack.waking()
        assert "We are sold." in woke.words()
        assert w.service.store.pages.thread(1, "slack")[0] == woke.ts


async def test_a_click_in_a_forged_message_delivers_no_page_either(tmp_path: Path) -> None:
    async with office(tmp_path) as w:
        w.slack.faults.add("drop_after", "postMessage")
        w.slack.refuse["conversations.history"] = "missing_scope"
        root = await page(w)
        payload = {"type": "block_actions", "user": {"id": "U01ALICE", "team_id": "T0ACME"}, "container": {"message_ts": "1.5"},
                   "actions": [{"action_id": "hold", "value": json.dumps({"i": 1, "r": 1, "m": "0" * 32}), "action_ts": "1.5"}]}  # fmt: skip
        await w.slack.apps.deliver("interactive", payload)
        await w.settled()
        assert w.service.store.pages.of(1)[0].state == "unknown"
        await press(w, "U01ALICE", root, "acknowledge")
        assert w.service.store.pages.of(1)[0].receipt == root.ts
        assert states(w) == [State.ACKNOWLEDGED]


async def test_a_button_copied_into_another_message_does_nothing(tmp_path: Path) -> None:
    """The thief of our bot token asks for a vote about lunch; the buttons are ours, under another name."""
    async with office(tmp_path, extra='slack: approvers = ["U06CAROL"]\nslack: responders = ["U01ALICE", "U02BOB"]\n') as w:
        root = await page(w)
        await w.slack.apps.command("U01ALICE", "silence @acme 2h quiet please")
        await w.settled()
        await w.run(2)
        asked = w.slack.roots()[-1]
        for original, action in ((root, "acknowledge"), (root, "resolve_open"), (asked, "confirm_silence")):
            lunch = w.slack.post_as_bot("Pizza?", original.metadata, ours=True)
            lunch.blocks = copy.deepcopy(original.blocks)
            await press(w, "U02BOB", lunch, action)
            assert "does not know this message" in w.slack.apps.ephemeral[-1][1]
        assert states(w)[-1] is State.OPEN
        assert all(s.waits for s in w.service.store.silences(w.clock()))
        await press(w, "U02BOB", root, "acknowledge")
        assert State.ACKNOWLEDGED in states(w)


async def test_a_witness_believes_only_whoever_has_its_key(tmp_path: Path) -> None:
    other = {"install_key": "f" * 64}
    async with world(tmp_path / "a", secrets=other) as first, world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
        first.x.post("acme", "We are sold.")
        await first.run(3)
        assert len(first.slack.waking()) == 1
        await second.run(70)
        assert len(first.slack.waking()) == 2, "another key: a stranger's message covers nothing"


async def test_a_copy_of_the_first_monitors_message_does_not_keep_the_witness_silent(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as first, world(tmp_path / "b", extra=WITNESS, beside=first, secrets=KEY) as second:
        first.x.post("acme", "We are sold.")
        await first.run(3)
        await second.run(70)
        (root,) = first.slack.waking()
        metadata = root.metadata

        def copying(elapsed: float) -> None:
            if elapsed % 60 == 0:
                first.slack.post_as_bot("INC-1", metadata)

        await second.run(20 * 60, copying)  # the first is gone
        assert len(first.slack.waking()) >= 2


async def test_the_key_is_made_at_the_first_start_and_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        root = await hijack(w)
        metadata = w.slack.messages[root].metadata
    key = (tmp_path / "data" / "install_key").read_text(encoding="utf-8").strip()
    assert Seal(key).payload({"metadata": metadata}, "C0INCIDENTS")["dedupe_key"].__class__ is str
    assert (tmp_path / "data" / "install_key").stat().st_mode & 0o777 == 0o600
    assert timedelta(seconds=abs(int(metadata["event_payload"]["at"]) - w.clock().timestamp())) < timedelta(minutes=1)

"""Threads are read in turn, whatever stands in them; a first message that was deleted is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import State
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.notifiers.slack.api import Api
from monitor.notifiers.slack.conversation import Conversation, Memory
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.seal import Seal
from monitor.responses import Thread, Turns
from tests.conftest import CONFIG, START, World, world
from tests.test_slack_app import APP, press, states

ROOT = "1795230000.000001"
GOOD = {"type": "message", "ts": "1795230007.000100", "user": "U01ALICE", "text": "ack", "thread_ts": ROOT}
ODD: list[Any] = [
    None, 7, "ack", [], [GOOD], {}, {"ts": None}, {"ts": 1795230007.1, "user": "U01ALICE", "text": "hm"}, {"user": "U01ALICE", "text": "hm"},
    {"ts": "soon", "user": "U01ALICE", "text": "hm"}, {"ts": "1e400", "user": "U01ALICE", "text": "hm"}, {"ts": "nan", "user": "U01ALICE", "text": "hm"},
    {"ts": "1795230008.1", "user": None, "text": "hm"}, {"ts": "1795230008.2", "user": {"id": "U01ALICE"}, "text": "hm"},
    {"ts": "1795230008.3", "user": "U01ALICE"}, {"ts": "1795230008.4", "user": "U01ALICE", "text": ["hm"]},
    {"ts": "1795230008.5", "subtype": {"of": "no kind"}, "user": "U01ALICE", "text": "hm"}, {"ts": "1795230008.6", "subtype": "from_next_year"},
    {"ts": "1795230008.7", "user": "U0MONITOR", "bot_id": "B0MONITOR", "metadata": [1], "reactions": [None, {"name": "eyes"}, {"name": [], "users": {}}]},
    {"ts": "1795230008.8", "user": "U02BOB", "text": "x" * 300_000}, {"ts": "99999999999.9", "user": "U02BOB", "text": "hm"},
]  # fmt: skip


class Canned:
    """Slack's Web API with one page of a thread; everybody is a member."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.web, self._answer = self, answer

    async def call(self, call: Any) -> Any:
        return await call

    async def auth_test(self) -> dict[str, Any]:
        return {"team_id": "T0ACME", "user_id": "U0MONITOR", "bot_id": "B0MONITOR"}

    async def users_info(self, user: str) -> dict[str, Any]:
        return {"user": {"id": user, "name": user, "team_id": "T0ACME"}}

    async def conversations_replies(self, **_: Any) -> dict[str, Any]:
        return self._answer


def heard(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, by whom) of a thread that Slack answers with."""
    api = cast("Api", Canned(answer))
    people = People(api, lambda: START)
    read = Conversation(api, people, Seal("k" * 32), "C0", "C0", ROOT, START, Memory())
    return [(human.verb, human.user) for human in asyncio.run(read.humans())]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd)[:40])
def test_no_odd_message_keeps_an_acknowledgement_from_being_heard(odd: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert ("acknowledge", "U01ALICE") in heard({"messages": [odd, GOOD, odd]})
    assert sum("is odd and is skipped" in line for line in caplog.messages) <= 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([ROOT, "U02BOB", "tombstone"]),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["name", "users", "event_payload", "mac", "x"]), v, max_size=4),
    max_leaves=6,
)
KEYS = ["ts", "user", "text", "subtype", "reactions", "metadata", "bot_id", "app_id", "thread_ts", "files", "x"]
MESSAGES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8) | VALUES


@given(st.lists(MESSAGES, max_size=4), st.lists(MESSAGES, max_size=4), VALUES)
def test_whatever_json_stands_around_it_the_good_one_counts(before: list[Any], after: list[Any], more: Any) -> None:
    metadata = more if len(after) % 2 else {"next_cursor": more}
    assert ("acknowledge", "U01ALICE") in heard({"messages": [*before, GOOD, *after], "response_metadata": metadata})


class Paged(Canned):
    """A long thread, two hundred messages an answer."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        super().__init__({})
        self.messages, self.asked, self.known = messages, 0, True

    async def users_info(self, user: str) -> dict[str, Any]:
        return await super().users_info(user) if self.known else {"odd": user}

    async def conversations_replies(self, *, cursor: Any = "", oldest: Any = None, **_: Any) -> dict[str, Any]:
        self.asked += 1
        start, shown = int(cursor or 0), [m for m in self.messages if float(m["ts"]) > float(oldest or 0)]
        more = str(start + 200) if start + 200 < len(shown) else ""
        return {"messages": shown[start : start + 200], "response_metadata": {"next_cursor": more}}


def test_a_long_thread_costs_one_call_until_it_is_read_whole_again() -> None:
    """Whoever floods one thread must not use up the calls with which the others are read."""
    slack, memory = Paged([{"ts": f"{1795230000 + n}.1", "user": "U02BOB", "text": "hm"} for n in range(1_000)]), Memory()
    api = cast("Api", slack)

    def read(seconds: float) -> tuple[list[str], int]:
        people, before = People(api, lambda: START), slack.asked
        now = START + timedelta(seconds=seconds)
        found = asyncio.run(Conversation(api, people, Seal("k" * 32), "C0", "C0", ROOT, now, memory).humans())
        return [h.verb for h in found if h.verb == "acknowledge"], slack.asked - before

    assert read(0) == ([], 5)
    slack.messages.append(GOOD | {"ts": "1795239999.1"})
    assert read(20) == (["acknowledge"], 1)
    assert read(120) == (["acknowledge"], 6)
    slack.messages.append(GOOD | {"ts": "1795239999.2"})
    slack.known = False
    assert read(140) == ([], 1)
    slack.known = True
    assert read(141) == (["acknowledge"] * 2, 6), "where Slack could not say who that was, it is read again at once"


@pytest.mark.parametrize("every", [20, 105])
@pytest.mark.parametrize("size", [1_999, 2_000, 2_001, 5_300])
def test_an_acknowledgement_is_heard_however_many_messages_stand_before_it(size: int, every: float) -> None:
    slack, memory = Paged([{"ts": f"{1795230000 + n}.1", "user": "U02BOB", "text": "hm"} for n in range(size)]), Memory()
    slack.messages.append(GOOD | {"ts": "1795239999.1"})
    api, done, parts = cast("Api", slack), list[str](), 0
    for step in range(9):
        slack.known = step != 1  # Slack cannot say who somebody is: that is made up for, and does not begin it anew for ever
        now = START + timedelta(seconds=step * every)
        read = Conversation(api, People(api, lambda: START), Seal("k" * 32), "C0", "C0", ROOT, now, memory)
        try:
            humans = asyncio.run(read.humans())
        except NotifierError as error:
            humans, parts = error.heard, parts + 1
        done += [h.verb for h in humans if h.verb == "acknowledge"]
    assert done
    assert bool(parts) is (size >= 2_000), "what was read in part is not said to have been read"


def test_what_was_read_of_a_thread_before_slack_refused_counts() -> None:
    slack, memory = Paged([GOOD | {"ts": f"{1795230000 + n}.1"} for n in range(900)]), Memory()
    api, answered, whole = cast("Api", slack), slack.conversations_replies, False

    async def refuses(**asked: Any) -> dict[str, Any]:
        if slack.asked % 3 == 2:
            slack.asked += 1
            raise NotifierError(Refusal.SLOW_DOWN, "slow down")
        return await answered(**asked)

    slack.conversations_replies = refuses  # type: ignore[method-assign]
    heard = 0
    for step in range(4):
        read = Conversation(api, People(api, lambda: START), Seal("k" * 32), "C0", "C0", ROOT, START + timedelta(seconds=step), memory)
        try:
            heard += len(asyncio.run(read.humans()))
            whole = True
        except NotifierError as error:
            heard += len(error.heard)
    assert whole
    assert heard >= 900


# --- in turn ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [0.5, 1, 5, 20, 30])
def test_each_of_fifty_threads_is_read_every_two_minutes_and_the_newest_more_often(every: float) -> None:
    """Within fifty calls a minute, which is what Slack lets one app make (Tier 3)."""
    turns, threads = Turns(), [Thread(50 - n, "slack", str(n), newest=True) for n in range(50)]
    reads: list[tuple[float, int]] = []
    for step in range(int(1200 / every)):
        seconds = step * every
        reads += [(seconds, threads.index(t)) for t in turns.next(list(threads), START + timedelta(seconds=seconds))]
    times = {n: [0.0, *(at for at, which in reads if which == n), 1200.0] for n in range(50)}
    assert max(b - a for n in times for a, b in zip(times[n], times[n][1:], strict=False)) <= 120
    assert len(times[0]) > 2 * len(times[25])
    assert len(times[0]) > len(times[10]) > len(times[25])
    assert times[0][2] < 45
    assert max(sum(at <= other < at + 60 for other, _ in reads) for at, _ in reads) <= 50


@given(st.sets(st.integers(0, 7)))
def test_a_thread_that_was_skipped_has_not_been_read(skipped: set[int]) -> None:
    turns, threads = Turns(), [Thread(n, "slack", str(n), newest=True) for n in range(8)]
    assert turns.next(threads, START) == threads
    later = START + timedelta(seconds=12)
    turns.next(threads, later)
    tokens = turns.tokens
    for n in skipped:
        turns.put_back(threads[n])
    assert {n for n in range(8) if turns.read_at[threads[n]] == START} == skipped
    assert turns.tokens == tokens + len(skipped)
    assert set(turns.next(threads, later)) == {threads[n] for n in skipped}


async def test_threads_that_are_left_out_while_slack_asks_to_slow_down_have_not_been_read(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG | {"accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(8)]}) as w:
        for n in range(8):
            w.x.post(f"brand{n}", f"We are sold, number {n}.")
        await w.run(6)
        asked = list[str]()
        w.slack._replies = lambda p: asked.append(p["ts"]) or {"error": "ratelimited"}  # type: ignore[method-assign, func-returns-value]
        w.clock.move(60)
        await w.service.listen()
        read_at = w.service.pager.responses._turns["slack"].read_at
        assert 0 < len(asked) < 8
        assert {t.root for t, when in read_at.items() if when == w.clock()} == set(asked)


MANY = CONFIG | {"accounts": [{"handle": f"brand{n}", "id": str(n + 1)} for n in range(4)]}


async def test_an_acknowledgement_is_heard_although_other_threads_cannot_be_read(tmp_path: Path) -> None:
    """One is refused again and again, of one Slack asks to slow down, one is never answered."""
    async with world(tmp_path, MANY) as w:
        for n in range(4):
            w.x.post(f"brand{n}", f"We are sold, number {n}.")
        await w.run(6)
        of = {m.words().split("@brand")[1][0]: m.ts for m in w.slack.roots()}
        refused, real = {of["1"]: "ratelimited", of["2"]: "internal_error", of["3"]: "rate_limited"}, w.slack._replies
        w.slack._replies = lambda p: {"error": refused[p["ts"]]} if p["ts"] in refused else real(p)  # type: ignore[method-assign]
        w.slack.say("U01ALICE", "ack", of["0"])
        await w.run(20)
        held = [i.name for i in w.service.store.incidents() if i.state is State.ACKNOWLEDGED]
        assert held == ["@brand0 on X"]


async def test_odd_messages_in_one_thread_cost_no_other_and_are_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with world(tmp_path) as w:
        root = await hijacked(w)
        w.slack.oddities = ODD
        await w.run(6)
        w.slack.say("U01ALICE", "ack", root)
        await w.run(4)
        assert states(w) == [State.ACKNOWLEDGED]
        logged = [line for line in caplog.messages if "is odd and is skipped" in line]
        assert 0 < len(logged) <= len(ODD)
        assert len(set(logged)) == len(logged)


async def test_an_odd_message_in_the_channel_does_not_keep_a_page_from_being_found_or_sent(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        real = w.slack._history
        w.slack._history = lambda p: {"messages": [*ODD, *real(p)["messages"]]}  # type: ignore[method-assign]
        w.slack.faults.add("drop_after", "postMessage")
        w.x.post("acme", "We are sold.")
        await w.run(30)
        assert len(w.slack.waking()) == 1
        assert w.service.store.pages.of(1)[0].state == "sent"


# --- a deleted first message ------------------------------------------------------------------------


async def hijacked(w: World) -> str:
    w.x.post("acme", "We are sold.")
    await w.run(3)
    return w.slack.roots()[0].ts


def wipe(w: World, root: str) -> None:
    for message in w.slack.thread(root):
        del w.slack.messages[message.ts]
    w.slack.delete(root)


@pytest.mark.parametrize("orphans", ["", "thread_not_found"])
async def test_a_page_below_a_deleted_message_begins_a_thread_in_which_an_ack_counts(orphans: str, tmp_path: Path) -> None:
    """Slack takes the reply and puts it into the channel, or refuses it."""
    async with world(tmp_path, secrets=APP) as w:
        root = await hijacked(w)
        w.every["listen"] = 1e9  # it is the page that finds out
        await w.skip(290)
        wipe(w, root)
        w.slack.orphans = orphans
        await w.run(30)
        woke = w.slack.waking()[-1]
        assert (woke.thread_ts, woke.ts != root) == ("", True)
        assert [m.ts for m in w.slack.roots()] == [woke.ts]
        actions = [e["action_id"] for b in woke.blocks if b["type"] == "actions" for e in b["elements"]]
        assert {"acknowledge", "approve_open", "escalate", "resolve_open"} <= set(actions)
        w.x.post("acme", "Sold again.")
        await w.run(40)
        assert any("Sold again." in m.words() for m in w.slack.thread(woke.ts)), "what is said further stands below it"
        w.every["listen"] = 1
        w.slack.say("U01ALICE", "ack", woke.ts)
        await w.run(3)
        assert states(w) == [State.ACKNOWLEDGED]
        count = len(w.slack.waking())
        await w.skip(900)
        assert len(w.slack.waking()) == count, "it stops the paging"


async def test_an_ack_by_reaction_or_button_counts_on_a_page_that_became_the_first_message(tmp_path: Path) -> None:
    async with world(tmp_path, secrets=APP) as w:
        await w.sockets()
        root = await hijacked(w)
        w.every["listen"] = 1e9
        await w.skip(290)
        wipe(w, root)
        await w.run(30)
        woke = w.slack.waking()[-1]
        await press(w, "U02BOB", woke, "acknowledge")
        assert states(w) == [State.ACKNOWLEDGED]
        with w.service.store.transaction():
            w.service.store.sql.execute("UPDATE incidents SET state = 'open', acknowledged_by = ''")
        w.every["listen"] = 1
        w.slack.react("U01ALICE", woke.ts, "eyes")
        await w.run(3)
        assert states(w) == [State.ACKNOWLEDGED]


@pytest.mark.parametrize("how", [wipe, lambda w, root: w.slack.delete(root)], ids=["all of it", "a stone is left"])
async def test_a_deleted_page_is_posted_again_within_seconds_and_wakes(how: Callable[[World, str], None], tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        root = await hijacked(w)
        how(w, root)
        await w.run(8)
        assert sum(m.wakes for _, m in w.slack.shown if not m.edits) == 2
        again = w.slack.roots()[-1]
        assert "We are sold." in again.words()
        await w.run(30)
        assert len(w.slack.roots()) == 1, "once"
        below = root if how is not wipe else again.ts
        w.slack.say("U01ALICE", "ack", below)  # whoever had the old thread open goes on there
        await w.run(6)
        assert states(w) == [State.ACKNOWLEDGED]


async def test_a_page_deleted_after_somebody_took_it_is_posted_again_and_wakes_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        root = await hijacked(w)
        w.slack.say("U01ALICE", "ack", root)
        await w.run(3)
        wipe(w, root)
        await w.run(8)
        assert not w.slack.waking()
        assert "*Acknowledged* by alice" in w.slack.roots()[-1].words()


async def test_a_page_that_went_alone_while_the_connection_broke_is_found_there(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        root = await hijacked(w)
        w.every["listen"] = 1e9
        await w.skip(290)
        wipe(w, root)
        w.slack.faults.add("drop_after", "postMessage")
        await w.run(40)
        (woke,) = w.slack.roots()
        assert w.service.store.pages.thread(1, "slack")[0] == woke.ts

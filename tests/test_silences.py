"""Who silences what: an approver, or two people; and that no hijack under a silence begins unheard."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.incidents import SILENCE_MOST, Event, absorb, covering, is_wide
from monitor.model import Severity, Silence, State
from tests.conftest import START, World
from tests.test_escalation import TWO
from tests.test_slack_app import hijack, office, press, say

APART = 'slack: responders = ["S0SOCIAL", "U07DAVE"]\nslack: approvers = ["U06CAROL"]\n'


def in_force(w: World) -> list[Silence]:
    return [s for s in w.service.store.silences(w.clock()) if not s.waits]


async def begun(w: World, text: str = "silence @acme 2h quiet please", user: str = "U01ALICE") -> str:
    said = await say(w, user, text)
    await w.run(2)
    return said


async def test_one_responder_silences_no_account(tmp_path: Path) -> None:
    async with office(tmp_path, extra=APART) as w:
        assert "Nothing is silenced yet" in await begun(w)
        (asked,) = w.slack.roots()
        assert "(U01ALICE) asks to silence @acme on X for 2 h: quiet please" in asked.words()
        assert w.slack.waking() == []
        await hijack(w)
        await w.run(6 * 60)
        assert len(w.slack.waking()) >= 2, "until it is confirmed everything pages, again and again"
        await press(w, "U01ALICE", asked, "confirm_silence")
        assert "a second person confirms it" in w.slack.apps.ephemeral[-1][1]
        assert in_force(w) == []


@pytest.mark.parametrize("second", ["U02BOB", "U06CAROL", "U07DAVE"])
async def test_a_second_person_begins_it_for_as_long_as_was_asked(second: str, tmp_path: Path) -> None:
    async with office(tmp_path, extra=APART) as w:
        await begun(w)
        await w.run(30)
        (asked,) = w.slack.roots()
        await press(w, second, asked, "confirm_silence")
        await w.run(8)
        (one,) = in_force(w)
        assert one.ends_at - one.starts_at == timedelta(hours=2)
        assert one.starts_at > START + timedelta(seconds=30)
        assert "Silence: @acme on X" in asked.words()
        assert "(U01ALICE) and" in asked.words()
        assert "confirm" not in str(asked.blocks)
        await press(w, second, asked, "end_silence")
        assert in_force(w) == []


async def test_an_approver_needs_nobody(tmp_path: Path) -> None:
    async with office(tmp_path, extra=APART) as w:
        assert "Silenced" in await begun(w, user="U06CAROL")
        assert len(in_force(w)) == 1


async def test_an_approver_removed_a_second_ago_silences_nothing_alone(tmp_path: Path) -> None:
    async with office(tmp_path, extra='slack: responders = ["S0SOCIAL"]\nslack: approvers = ["S0COMMS"]\n') as w:
        await say(w, "U01ALICE", "plan")  # and so they are remembered
        w.slack.groups["S0COMMS"].remove("U01ALICE")
        assert "Nothing is silenced yet" in await begun(w)
        w.slack.refuse["usergroups.users.list"] = "internal_error"
        assert "Slack cannot say now" in await begun(w)
        assert in_force(w) == []


@pytest.mark.parametrize(
    ("text", "user"), [("", "U03GUEST"), ("", "U04OTHER"), ("x", "U01ALICE"), ("x", "U07DAVE")],
)  # fmt: skip
async def test_without_responders_only_approvers_silence_and_the_key_is_named(text: str, user: str, tmp_path: Path) -> None:
    extra = 'slack: approvers = ["U06CAROL"]\n' if text else "slack: approvers = []\n"
    async with office(tmp_path, extra=extra) as w:
        said = await begun(w, 'silence @acme 2h "spring sale" quiet please', user)
        assert ("set `responders` in [slack]" in said) if text else ("guests" in said)
        assert in_force(w) == []
        if text:
            assert "Silenced" in await begun(w, user="U06CAROL")


@pytest.mark.parametrize(
    "words", ["", "e", "the", "  a ", "...", "https", "with", "evil.example", "t.co", "1234", "促销", "https://", "with the", "we go on"]
)
def test_words_that_nearly_every_post_holds_or_that_name_a_host_are_the_whole_account(words: str) -> None:
    assert is_wide(words)


@pytest.mark.parametrize("words", ["spring sale", "Ostern", "proof of reserves", "распродажа"])
def test_words_of_a_campaign_are_not(words: str) -> None:
    assert not is_wide(words)


async def test_words_of_a_campaign_take_one_responder_and_its_first_post_still_wakes(tmp_path: Path) -> None:
    """A responder who works for the hijacker chooses the words that the hijacker then writes into every post."""
    async with office(tmp_path, extra=APART) as w:
        assert "Silenced" in await begun(w, "silence @acme 2h “moonrise” we post a lot today")
        await hijack(w, "Moonrise: our funds are gone, withdraw everything now")
        assert len(w.slack.waking()) == 1
        await hijack(w, "Moonrise, again.")
        assert len(w.slack.waking()) == 1


async def test_a_host_in_the_words_takes_two(tmp_path: Path) -> None:
    async with office(tmp_path, extra=APART) as w:
        assert "Nothing is silenced yet" in await begun(w, "silence @acme 2h “acme-drop.xyz” our partner")
        await hijack(w, "Claim at https://acme-drop.xyz now")
        assert len(w.slack.waking()) == 1


async def test_the_first_post_on_each_account_wakes_once_and_is_handed_on_when_slack_is_down(tmp_path: Path) -> None:
    async with office(tmp_path, TWO, extra=APART) as w:
        await begun(w, "silence 2h quiet please", "U06CAROL")
        await hijack(w)
        w.x.post("brand", "We are sold, too.")
        await w.run(2)
        assert len(w.slack.waking()) == 2
        assert "wakes once" in w.slack.waking()[0].words()
        for root in w.slack.waking():
            await press(w, "U01ALICE", root, "resolve_open")
            await w.slack.apps.submit(w.slack.apps.view_of("U01ALICE"), cause="false alarm", deleted="no", revoked="no", note="")
            await w.settled()
        await hijack(w, "The third.")
        assert len(w.slack.waking()) == 2, "the second of this account"
        assert {i.state for i in w.service.store.incidents()} == {State.OPEN, State.RESOLVED}


async def test_many_silences_of_an_account_are_one(tmp_path: Path) -> None:
    """A responder who works for the hijacker begins one after another, about words that the hijacker then uses."""
    async with office(tmp_path, extra=APART) as w:
        for number in range(5):
            await begun(w, f"silence @acme 2h “spring sale {number}” we post a lot today")
            await hijack(w, f"Our spring sale {number} begins.")
            assert w.slack.waking(), "the first post under a silence"
            (one,) = [i for i in w.service.store.unresolved() if i.subject == w.service.watches[0].account.key]
            assert (one.silence is None) == (number == 4), "the fifth under all of them ends what they cover"


def silence(words: str, told: dict[str, int]) -> Silence:
    return Silence(1, "", words, "why", "alice", START, START + timedelta(hours=8), told=tuple(told.items()))


@given(
    st.lists(st.tuples(st.sampled_from(["x::1", "x::2", "x::3"]), st.integers(0, 28_000)), min_size=1, max_size=12),
    st.sampled_from(["", "sale"]),
)
def test_the_fifth_pages_however_posts_are_spread_over_accounts_and_hours(posts: list[tuple[str, int]], words: str) -> None:
    told: dict[str, int] = {}
    woken = []
    for number, (subject, second) in enumerate(sorted(posts, key=lambda p: p[1])):
        event = Event(subject, subject, Severity.PAGE, "Unapproved post", "why", START + timedelta(seconds=second), text=f"sale {number}")
        found = covering(event, (silence(words, told),), None)
        outcome = absorb(event, None, None, (), found)
        woken.append(any(r.wakes for r in outcome.requests))
        if found:
            told[subject] = told.get(subject, 0) + 1
    assert all(woken[SILENCE_MOST:])
    assert sum(not w for w in woken) <= SILENCE_MOST
    assert woken[0], "the first post under any silence"


async def test_a_scam_after_an_acknowledged_greeting_wakes_those_on_call(tmp_path: Path) -> None:
    """A greeting, a member who says that it was a slip, and then the wallet: the message in the thread would wake nobody."""
    async with office(tmp_path) as w:
        root = await hijack(w, "Good morning everybody.")
        await press(w, "U01ALICE", root, "acknowledge")
        await w.run(10)
        before = len(w.slack.waking())
        w.x.post("acme", "Send 1 BTC to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 and get 2 back")
        await w.run(10)
        (page,) = w.slack.waking()[before:]
        assert "nothing before it was accused, and this is" in page.words()
        w.x.post("acme", "Send 2 BTC to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 and get 4 back")
        await w.run(10)
        assert len(w.slack.waking()) == before + 1

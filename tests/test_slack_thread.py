"""What a reply in an incident's thread does, and what is said when it does nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import CAUSES, State
from monitor.notifiers.slack.thread import MOST, read
from tests.conftest import World, world

ACKS = [
    # what people wrote
    "acked", "acking", "Acknowledging", "<@U0BOT> ack", "ack - looking, who has the X password?", "on it", "I have it", ":eyes:", "ok ack",
    "`ack`", "*ack*",
    # and of the same kind
    "ACK.", "ack!", "Ack'd", "ack’d", "acknowledged", "_on it_", "On it!", "👀", "👀 🙏", ":eyes::skin-tone-2:", "ok, on it", "OK: ack", "ack ✅",
    "ack :+1: looking", "ack?", "ack, looking", "ack — looking", "ack, can somebody check the DMs?", "ack who has the X password?",
    "<@U0BOT|monitor> `ack`", "ack, login failed, who has the password?", "ack - can we call?", "ack, on it", "  ack\n", "ack – &amp; ok", "ａｃｋ", "I have it.", "ack; looking",
]  # fmt: skip
NOT_ACKS = [
    "Resolve this ASAP everybody, it is a real hijack!", "not acked", "nobody has acked", "ack? nobody?", "ack? anybody?", "ack?? anyone here??",
    "acknowledging nothing", "acked by whom?", "acks", "ack's gone", "ack is what we need", "ack this please", "acknowledgement needed", "unacked",
    "nack", "ack is needed?", "ack can wait?", "ack, donʼt", "ack, don`t", "ackʼs gone", "ack-nack", "ack/nack", "ack.com", "ackack", "ack_ed", "on its way", "on item 3", "I have it on good authority", "I haven't it",
    "ack - don't", "ack, dont", "ack. Not.", "on it? no.", "ack ❌", "ack :x:", "ack :-1:", "ack, niemand", "ack, personne", "ack 没有", "~ack~", "&gt; ack",
    "who is on it?", "did you ack?", "should I ack", "ack ack nobody", "can you ack", "", "👍", "hello", "still not on it", "on it but cannot log in",
]  # fmt: skip


@pytest.mark.parametrize("text", ACKS)
def test_this_acknowledges(text: str) -> None:
    assert read(text).verb == "acknowledge"


@pytest.mark.parametrize("text", [*NOT_ACKS, "ack - " + "x" * (MOST - 5)])
def test_this_does_nothing(text: str) -> None:
    assert read(text).verb == ""


def test_every_line_that_people_wrote_acknowledges() -> None:
    lines = Path(__file__).parents[2].joinpath("shared/cases/slack/slack_acks.txt")
    if not lines.exists():
        pytest.skip("the shared cases are not here")
    assert {read(line).verb for line in lines.read_text(encoding="utf-8").splitlines()} == {"acknowledge"}


@pytest.mark.parametrize("gap", [" ", "*", " *", "_`", "\u3000"])
def test_words_with_hundreds_of_signs_between_them_do_nothing(gap: str) -> None:
    """Patterns take a time that grows with the square of such a gap (50 ms at 3,000), and a thread holds two thousand replies, all
    of them read every twenty seconds: the loop would have no time left to look at X.
    """
    for text in (f"resolve:{gap * 400}hijack", f"{gap * 400}hm{gap * 400}ack", f"ack{gap * 400}, looking"):
        assert read(text).verb == ""
    assert read("on it " + "\ufdfa" * 2_994).tries


def test_still_on_it_is_a_word_of_its_own() -> None:
    assert read("Still on it.").verb == "hold"
    assert read("still on it, who has the password?").verb == "hold"
    assert read("nobody is still on it").verb == ""


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("form", ["resolve: {}", "*resolve: {}*", "`Resolve:{}`", "<@U0BOT> resolve : {} ", "RESOLVE:  {}"])
def test_resolve_and_a_cause_resolve(form: str, cause: str) -> None:
    assert (read(form.format(cause)).verb, read(form.format(cause)).cause) == ("resolve", cause)


WORDS = st.sampled_from(
    ["we", "should", "soon", "please", "later", "ASAP", "when", "is", "hijack", "it", "and", "the", "no", "?", "!", "resolve:", "ack"]
)


@given(st.lists(WORDS, max_size=4), st.sampled_from(CAUSES), st.lists(WORDS, max_size=4))
def test_resolve_takes_the_whole_message(before: list[str], cause: str, after: list[str]) -> None:
    text = " ".join([*before, f"resolve: {cause}", *after])
    assert (read(text).verb == "resolve") is (not before and not after)


NEGATIONS = [
    "not",
    "no",
    "nobody",
    "no one",
    "never",
    "don't",
    "dont",
    "isn’t",
    "cannot",
    "nicht",
    "nein",
    "niemand",
    "personne",
    "nadie",
    "nessuno",
    "никто",
    "❌",
]


@given(st.sampled_from([a for a in ACKS if len(a) < 60]), st.sampled_from(NEGATIONS), st.sampled_from(["before", "after", "dash"]))
def test_a_negation_anywhere_refuses_it(text: str, negation: str, where: str) -> None:
    said = {"before": f"{negation} {text}", "after": f"{text} {negation}", "dash": f"{text} - {negation} me"}[where]
    assert read(said).verb == ""


@given(st.text(max_size=300))
def test_no_text_resolves_by_chance_nor_breaks_it(text: str) -> None:
    assert read(text).verb in ("", "acknowledge", "hold")


@given(st.integers(0, 40_000), st.sampled_from([" ", "*", "ok ", "<@U0BOT> ", ":", "ack ", "a", "\u200b", "!", "👀"]))
def test_a_long_reply_costs_nothing_and_does_nothing(size: int, part: str) -> None:
    text = part * (size // len(part) + 4_000)
    assert read(text).verb == ""


# --- in the thread ----------------------------------------------------------------------------------

RESPONDERS = 'slack: responders = ["S0SOCIAL"]\n'


async def hijack(w: World) -> str:
    w.x.post("acme", "We are sold.")
    await w.run(3)
    return w.slack.roots()[0].ts


def answers(w: World, root: str) -> list[str]:
    return [m.words() for m in w.slack.thread(root) if m.bot and "nothing was done" in m.words()]


def state(w: World) -> State:
    return w.service.store.incidents()[0].state


async def test_a_cry_for_a_resolution_leaves_it_open_and_is_answered_once(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        w.slack.say("U01ALICE", "Resolve this ASAP everybody, it is a real hijack!", root)
        await w.run(90)
        assert state(w) is State.OPEN
        (answer,) = answers(w, root)
        assert "alice (U01ALICE): nothing was done" in answer
        assert "`ack`" in answer
        assert "`resolve:`" in answer
        assert all(cause in answer for cause in CAUSES)
        assert "<@" not in answer, "an answer wakes nobody"


async def test_the_exact_words_resolve_with_their_cause(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        w.slack.say("U02BOB", "resolve: false alarm", root)
        await w.run(3)
        one = w.service.store.incidents()[0]
        assert (one.state, one.outcome, one.resolved_by) == (State.RESOLVED, "false alarm", "bob (U02BOB)")


async def test_talk_is_answered_once_a_person_until_somebody_has_it_and_tries_are_always(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        for number in range(5):
            w.slack.say("U01ALICE", f"what is this, {number}", root)
            await w.run(3)
        assert len(answers(w, root)) == 1
        w.slack.say("U02BOB", "ack", root)
        await w.run(3)
        assert state(w) is State.ACKNOWLEDGED
        for text in ("the password is in the safe", "is it closed?", "we may resolve this, I think"):
            w.slack.say("U02BOB", text, root)
            await w.run(3)
        assert len(answers(w, root)) == 3
        assert state(w) is State.ACKNOWLEDGED


async def test_a_flood_of_replies_is_not_answered_with_a_flood(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        for number in range(40):
            for more in range(3):
                w.slack.say("U01ALICE", f"resolve it {number} {more}", root)
            await w.run(2)
        assert len(answers(w, root)) == 10


async def test_an_answer_survives_a_kill_and_is_given_once(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        w.slack.say("U01ALICE", "resolve this", root)
        await w.service.listen()
        w.service.store.sql.execute("UPDATE pages SET state = 'sending' WHERE kind = 'note' AND state = 'ready'")  # and it dies
        w.service.pager.recover()
        await w.run(60)
        assert len(answers(w, root)) == 1


async def test_guests_and_strangers_are_told_once_each_why_it_did_nothing_and_bots_never(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        for _ in range(5):
            for user in ("U03GUEST", "U04OTHER", "U05ALLY", "U99NOBODY"):
                w.slack.say(user, "hello", root)
                w.slack.say(user, "resolve this", root)
                w.slack.say(user, "resolve: hijack", root)
                w.slack.react(user, root, "eyes")
            w.slack.post_as_bot("ack", {}, root)
            w.slack.post_as_bot("resolve: hijack", {}, root, ours=True)
            await w.run(3)
        assert state(w) is State.OPEN
        told = " ".join(m.text for m in w.slack.thread(root) if m.bot)
        assert [told.count(f"({user})") for user in ("U03GUEST", "U04OTHER", "U05ALLY", "U99NOBODY")] == [1, 1, 1, 0]
        assert "Slack says that you are a guest. Ask a member, or on the host `hijack-monitor incidents ack` works" in told
        w.slack.say("U01ALICE", "ack it please", root)
        await w.run(3)
        assert "alice (U01ALICE)" in answers(w, root)[-1], "they have not used up the answers that others need"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("", "set `responders` in [slack]"),
        ('slack: approvers = ["S0COMMS"]\n', "only members of @comms can do that; set `responders` in [slack]"),
    ],
)
async def test_without_responders_everybody_acknowledges_and_only_approvers_resolve(extra: str, said: str, tmp_path: Path) -> None:
    async with world(tmp_path, extra=extra) as w:
        await w.service.look_at_slack()
        root = await hijack(w)
        w.slack.say("U07DAVE", "resolve: false alarm", root)
        await w.run(60)
        assert state(w) is State.OPEN
        (answer,) = answers(w, root)
        assert said in answer
        w.slack.say("U07DAVE", "ack", root)
        await w.run(3)
        assert state(w) is State.ACKNOWLEDGED
        if extra:
            w.slack.say("U06CAROL", "resolve: hijack", root)
            await w.run(3)
            assert state(w) is State.RESOLVED


async def test_a_user_may_stand_beside_groups(tmp_path: Path) -> None:
    async with world(tmp_path, extra='slack: responders = ["S0SOCIAL", "U07DAVE"]\n') as w:
        root = await hijack(w)
        w.slack.say("U06CAROL", "ack", root)
        await w.run(3)
        assert state(w) is State.OPEN
        w.slack.say("U07DAVE", "resolve: tool bug", root)
        await w.run(3)
        assert state(w) is State.RESOLVED


async def test_while_slack_cannot_say_who_that_is_a_resolution_waits(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        w.slack.refuse["usergroups.users.list"] = "internal_error"
        w.slack.say("U01ALICE", "resolve: hijack", root)
        await w.run(10)
        assert state(w) is State.OPEN
        assert answers(w, root) == []
        del w.slack.refuse["usergroups.users.list"]
        await w.run(3)
        assert state(w) is State.RESOLVED


async def test_a_responder_who_was_removed_resolves_nothing_a_second_later(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        w.slack.say("U01ALICE", "ack", root)
        await w.run(3)
        w.slack.groups["S0SOCIAL"].remove("U01ALICE")
        w.slack.say("U01ALICE", "resolve: false alarm", root)
        await w.run(3)
        assert state(w) is State.ACKNOWLEDGED


async def test_a_flood_of_resolutions_by_somebody_else_asks_slack_once_a_look(tmp_path: Path) -> None:
    async with world(tmp_path, extra=RESPONDERS) as w:
        root = await hijack(w)
        for _ in range(150):
            w.slack.say("U03GUEST", "resolve: hijack", root)
            w.slack.say("U07DAVE", "resolve: hijack", root)
        before = len(w.slack.calls)
        await w.service.listen()
        assert sum(method in ("users.info", "usergroups.users.list") for method, _ in w.slack.calls[before:]) <= 4
        assert state(w) is State.OPEN

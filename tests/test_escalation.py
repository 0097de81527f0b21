"""Who is woken, where, and when again: acknowledgements that end, steps, silences, accounts with routes of their own."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from monitor import silences
from monitor.desk import DeskError
from monitor.model import Human, Incident, PageKind, Severity, State
from monitor.outbox import Outbox
from tests.conftest import CONFIG, World, world

TWO = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}


def act(w: World, verb: str, who: str = "alice", user: str = "U01ALICE", number: int = 1) -> str:
    with w.service.store.transaction():
        return w.service.outbox.act(number, Human(verb, who, "a test", w.clock(), user=user, cause="hijack" if verb == "resolve" else ""))


async def hijack(w: World, text: str = "We are sold.", handle: str = "acme") -> None:
    w.x.post(handle, text)
    await w.run(2)


async def test_repeats_can_be_kept_out_of_the_channel(tmp_path: Path) -> None:
    async with world(tmp_path, extra="slack: broadcast = false\n") as w:
        await hijack(w)
        await w.run(5 * 60 + 4)
        repeat = w.slack.waking()[1]
        assert (repeat.thread_ts, repeat.broadcast) == (w.slack.roots()[0].ts, False)


async def test_an_acknowledgement_ends_by_itself_and_who_had_it_is_asked_first(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        assert act(w, "acknowledge") == ""
        await w.run(29 * 60)
        assert len(w.slack.waking()) == 1
        await w.run(2 * 60)
        asked = w.slack.waking()[1]
        assert "still on it?" in asked.words()
        assert "<@U01ALICE>" in asked.words()
        assert "<!subteam" not in asked.words()
        await w.run(5 * 60)
        assert "<!subteam^S0SOCIAL>" in w.slack.waking()[2].words(), "then everybody again"


async def test_still_on_it_gives_another_half_hour(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        act(w, "acknowledge")
        await w.run(25 * 60)
        assert act(w, "hold") == ""
        await w.run(25 * 60)
        assert len(w.slack.waking()) == 1
        assert any("still on it" in m.words() for m in w.slack.thread(w.slack.roots()[0].ts))


async def test_an_old_ack_in_the_thread_does_not_count_again_when_it_has_ended(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        w.slack.say("U01ALICE", "ack", w.slack.roots()[0].ts)
        await w.run(32 * 60)
        assert w.service.store.incidents()[0].state is State.OPEN
        assert len(w.slack.waking()) == 2
        w.slack.say("U01ALICE", "still on it", w.slack.roots()[0].ts)
        await w.run(4)
        assert w.service.store.incidents()[0].state is State.ACKNOWLEDGED


async def test_escalate_now_pages_the_next_step_and_takes_the_acknowledgement_back(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        act(w, "acknowledge")
        assert act(w, "escalate", "bob") == ""
        await w.run(2)
        page = w.slack.waking()[1]
        assert "bob escalated to step 1 of 2" in page.words()
        assert "<!subteam^S0SECONDARY>" in page.words()
        assert w.service.store.incidents()[0].state is State.OPEN


async def test_after_three_rounds_of_the_last_step_the_whole_channel_is_woken(tmp_path: Path) -> None:
    data = CONFIG | {"paging": {"repeat_minutes": 5}}
    async with world(tmp_path, data) as w:
        w.service.outbox.usual = type(w.service.outbox.usual)(("S0SOCIAL",), 5, (), 60, 30, ("slack",))
        await hijack(w)
        await w.run(11 * 60)
        assert not any("<!channel>" in m.words() for m in w.slack.waking())
        await w.run(5 * 60)
        assert "<!channel>" in w.slack.waking()[-1].words()


async def test_a_notice_wakes_nobody_however_it_is_handled(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our new custody service starts on Monday.")
        silence(w, hours=0.5)
        await hijack(w, "Our new custody servise starts on Monday.")
        assert act(w, "acknowledge", number=2) == ""
        await w.run(40 * 60)
        assert "is a notice" in act(w, "hold", number=2)
        act(w, "resolve", number=2)
        assert act(w, "reopen", number=2) == ""
        await w.run(10 * 60)
        assert w.slack.waking() == []
        assert w.service.store.incidents()[0].state is State.OPEN


async def test_what_was_resolved_can_be_reopened_for_a_day_and_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        act(w, "resolve")
        await w.run(600)
        assert act(w, "reopen", "bob") == ""
        await w.run(2)
        assert "bob reopened it" in w.slack.waking()[1].words()
        act(w, "resolve")
        w.clock.move(25 * 3600)
        assert "more than 24 h ago" in act(w, "reopen")


async def test_an_old_incident_is_not_reopened_beside_a_new_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        act(w, "resolve")
        await hijack(w, "And again.")
        assert "INC-2 of the same account is open" in act(w, "reopen", number=1)


async def test_a_post_after_the_acknowledgement_wakes_who_has_it_at_most_every_five_minutes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        act(w, "acknowledge")
        for minute in range(8):
            w.x.post("acme", f"Still sold, {minute}.")
            await w.run(60)
        woken = w.slack.waking()[1:]
        assert len(woken) == 1
        assert "<@U01ALICE>" in woken[0].words()


async def test_twenty_posts_in_two_minutes_are_one_mention_few_edits_and_few_digests(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(20):
            w.x.post("acme", f"We are sold, part {number}.")
            await w.run(6)
        root = w.slack.roots()[0]
        assert len(w.slack.roots()) == 1
        assert len(w.slack.waking()) == 1
        assert root.edits <= 24
        digests = [m for m in w.slack.thread(root.ts) if "posts" in m.words() and "in all" in m.words()]
        assert 1 <= len(digests) <= 5


async def test_the_person_on_call_is_woken_first_and_the_group_at_the_next_page(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.outbox.oncall = ("U02BOB",)
        await hijack(w)
        assert "<@U02BOB>" in w.slack.waking()[0].words()
        assert "<!subteam" not in w.slack.waking()[0].words()
        await w.run(5 * 60 + 4)
        assert "<@U02BOB> <!subteam^S0SOCIAL>" in w.slack.waking()[1].words()


async def test_who_is_on_call_has_a_minute_before_the_group_is_woken_as_well(tmp_path: Path) -> None:
    async with world(tmp_path, extra='[oncall]\nurl = "http://127.0.0.1:1/x.ics"\nalone_minutes = 1\n') as w:
        w.service.outbox.oncall = ("U02BOB",)
        await hijack(w)
        assert [m.words().count("<!subteam") for m in w.slack.waking()] == [0]
        await w.run(50)
        assert len(w.slack.waking()) == 1
        w.service.outbox.oncall = ()  # their shift ends meanwhile
        await w.run(12)
        assert [m.words().count("<!subteam^S0SOCIAL>") for m in w.slack.waking()] == [0, 1]
        await w.run(3 * 60)
        assert len(w.slack.waking()) == 2, "and then as often as always"


async def test_a_long_runbook_is_told_in_order_in_the_thread(tmp_path: Path) -> None:
    steps = [f"Step {n}: revoke & lock, then tell comms." for n in range(400)]
    (tmp_path / "runbook.txt").write_text("\n".join(steps))
    async with world(tmp_path, extra=f'slack: runbook_file = "{tmp_path}/runbook.txt"\n') as w:
        await hijack(w)
        await w.run(2)
        told = [m.words() for m in w.slack.thread(w.slack.roots()[0].ts) if "Step " in m.words()]
        assert len(told) > 1
        assert [f"Step {n}:" in " ".join(told) for n in range(400)] == [True] * 400
        assert re.findall(r"Step (\d+):", " ".join(told)) == [str(n) for n in range(400)]


# --- accounts with routes of their own --------------------------------------------------------------


async def test_an_account_can_have_its_own_channel_people_and_fallback(tmp_path: Path) -> None:
    own = '[accounts.paging]\nchannel = "C0BRAND"\nmention = ["S0BRAND"]\nfallback = []\n'
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2", "paging": own}]}
    async with world(tmp_path, data) as w:
        await hijack(w, handle="brand")
        await hijack(w, "We too.", handle="acme")
        channels = {m.channel: m.words() for m in w.slack.roots()}
        assert "<!subteam^S0BRAND>" in channels["C0BRAND"]
        assert "<!subteam^S0SOCIAL>" in channels["C0INCIDENTS"]
        w.slack.say("U01ALICE", "ack", next(m.ts for m in w.slack.roots() if m.channel == "C0BRAND"))
        await w.run(3)
        assert [i.state for i in w.service.store.incidents()][::-1] == [State.ACKNOWLEDGED, State.OPEN]


# --- silences ---------------------------------------------------------------------------------------


def silence(w: World, handle: str = "acme", words: str = "", hours: float = 2) -> int:
    account = next((x.account for x in w.service.watches if x.account.handle == handle), None)
    return silences.begin(w.service.store, w.service.outbox, account, words, timedelta(hours=hours), "a campaign", "alice", w.clock())


async def test_a_silence_mutes_and_hides_nothing_and_pages_when_it_ends_with_the_incident_open(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w, hours=1)
        await hijack(w)
        announced, quiet = w.slack.roots()
        assert "Silence: @acme on X" in announced.words()
        assert "🔕" in quiet.words()
        assert "We are sold." in quiet.words()
        assert w.slack.waking() == [quiet]
        await w.run(30 * 60)
        assert w.slack.waking() == [quiet], "the first post wakes once, and nobody is asked again"
        await w.run(31 * 60)
        assert "the silence has ended and this is still open" in w.slack.waking()[1].words()
        assert "its time is over" in announced.words()


async def test_ending_a_silence_early_pages_what_is_open(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        number = silence(w)
        await hijack(w)
        silences.end(w.service.store, w.service.outbox, number, "bob", w.clock())
        await w.run(2)
        assert len(w.slack.waking()) == 2
        with pytest.raises(DeskError, match="was ended by bob"):
            silences.end(w.service.store, w.service.outbox, number, "bob", w.clock())


async def test_resolving_the_announcement_of_a_silence_ends_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w)
        assert act(w, "resolve") == ""
        assert w.service.store.silences(w.clock()) == ()
        await hijack(w)
        assert len(w.slack.waking()) == 1


async def test_a_new_domain_breaks_through_a_silence(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w)
        await hijack(w, "Claim at https://acme-drop.xyz now")
        assert len(w.slack.waking()) == 1


async def test_the_first_and_the_fifth_post_under_a_silence_page_however_far_apart(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w, hours=8)
        await hijack(w, "We are sold, 0.")
        (first,) = w.slack.waking()
        assert "this first post wakes once" in first.words()
        for number in range(1, 4):
            await w.skip(3_600)
            await hijack(w, f"We are sold, {number}.")
        assert len(w.slack.waking()) == 1
        await w.skip(3_600)
        await hijack(w, "The fifth.")
        page = w.slack.waking()[1]
        assert "more than the silence covers" in page.words()
        await hijack(w, "The sixth.")
        await w.run(5 * 60)
        assert len(w.slack.waking()) == 3, "and from then on it is an incident like any other"


async def test_what_a_critical_rule_accuses_and_a_changed_profile_break_through_a_silence(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w)
        await hijack(w, "Send BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back")
        assert len(w.slack.waking()) == 1
    async with world(tmp_path / "profile") as w:
        silence(w)
        w.x.change("acme", name="ACME GIVEAWAY")
        await w.run(4)
        assert len(w.slack.waking()) == 1


async def test_another_account_is_not_silenced(tmp_path: Path) -> None:
    async with world(tmp_path, TWO) as w:
        silence(w, "acme")
        await hijack(w, handle="brand")
        assert len(w.slack.waking()) == 1


async def test_a_silence_about_words_covers_only_posts_that_hold_them(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w, words="spring sale")
        await hijack(w, "Our Spring Sale begins.")
        assert len(w.slack.waking()) == 1  # the first one always does
        await hijack(w, "Our Spring Sale goes on.")
        assert len(w.slack.waking()) == 1
        await hijack(w, "We are sold.")
        assert len(w.slack.waking()) == 2


@pytest.mark.parametrize(("hours", "reason"), [(9, "long"), (0, "none"), (1, "  ")])
async def test_a_silence_needs_an_end_within_eight_hours_and_a_reason(tmp_path: Path, hours: float, reason: str) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(DeskError):
            silences.begin(w.service.store, w.service.outbox, None, "", timedelta(hours=hours), reason, "alice", w.clock())


async def test_a_silence_never_covers_our_own_blindness(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        silence(w, "nobody")
        w.x.faults.add("html", "", times=10_000, value=503)
        await w.run(90)
        assert any("Not being watched" in m.words() for m in w.slack.waking())


async def test_an_incident_that_was_open_before_the_silence_goes_on_paging(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        silence(w)
        await w.run(5 * 60 + 4)
        assert len(w.slack.waking()) == 2


# --- after an outage ---------------------------------------------------------------------------------


async def test_the_same_step_is_never_twice_on_a_route(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        box: Outbox = w.service.outbox
        step = w.service.store.pages.next_step(1, PageKind.REPEAT)
        for _ in range(3):
            w.service.store.pages.enqueue(1, "slack", PageKind.REPEAT, "again", w.clock(), step=step)
        assert sum(p.step == step for p in w.service.store.pages.of(1)) == 1
        assert box.paging("x::1").routes == ("slack",)


async def test_a_page_that_left_gives_its_name_to_no_other(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        store = w.service.store
        used = [page.key for page in store.pages.of(1)]
        with store.transaction():
            store.sql.execute("DELETE FROM pages WHERE incident = 1 AND kind != 'root'")
            store.pages.enqueue(1, "slack", PageKind.NOTE, "what is said next", w.clock())
        key = store.pages.of(1)[-1].key
        assert key not in used
        await w.run(1)
        assert sum("what is said next" in m.text for m in w.slack.messages.values()) == 1


async def test_another_page_under_a_known_name_gets_the_next_one_and_still_goes_out(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        store = w.service.store
        root = store.pages.of(1)[0]
        with store.transaction():
            store.pages.enqueue(1, "slack", PageKind.REPEAT, "nobody has it", w.clock(), ("S0SOCIAL",), step=root.step)
        assert store.sql.execute("SELECT count(*) FROM audit WHERE action = 'page renamed' AND subject = 'INC-1'").fetchone()[0] == 1
        assert len({page.step for page in store.pages.of(1)}) == len({page.key for page in store.pages.of(1)})
        await w.run(1)
        assert any("nobody has it" in m.text and m.wakes for m in w.slack.messages.values())


async def test_a_counter_that_is_behind_its_pages_names_nothing_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await hijack(w)
        store = w.service.store
        used = {page.step for page in store.pages.of(1)}
        store.sql.execute("UPDATE incidents SET next_step = 0")
        assert not used & {store.pages.next_step(1, kind) for kind in (PageKind.ROOT, PageKind.NOTE, PageKind.SYNC) for _ in range(3)}


async def test_the_number_of_an_incident_that_left_is_not_given_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        one = Incident(0, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody", w.clock(), w.clock())
        with store.transaction():
            number = store.save_incident(one)
            store.sql.execute("DELETE FROM incidents WHERE id = ?", [number])
            assert store.save_incident(one) == number + 1

"""Whole nights and days, through the real libraries, on a clock that is moved."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from monitor import desk, kept_rules
from monitor.model import Kind, PageKind, Post, Severity, State
from monitor.planning import Plan
from monitor.simulator import story as stories
from tests.conftest import CONFIG, world
from tests.notifiers.test_slack import CORPUS, check_message


@pytest.mark.parametrize("name", stories.names())
async def test_every_story_we_ship_comes_true(name: str, tmp_path: Path) -> None:
    data = stories.load(name)
    async with world(tmp_path, data) as w:
        await w.run(3)
        story = stories.Story(data, w.x, w.slack, w.clock())
        for handle, one, start, end in stories.plans(data, w.clock()):
            key = next(a.account.key for a in w.service.watches if a.account.handle == handle)
            plan = Plan(
                key,
                Kind(one.get("kind", "post")),
                one["text"],
                start,
                end,
                tuple(one.get("links", ())),
                int(one.get("media", 0)),
                one.get("field", ""),
                pictures=stories.hashes(one),
            )
            desk.register(w.service.store, plan, "comms", w.clock())
        began = w.elapsed
        await w.run(story.seconds, lambda second: story.due(second - began))
        assert story.broken(story.seconds) == []


def test_a_story_that_does_not_come_true_says_so(tmp_path: Path) -> None:
    from monitor.simulator.slack import SlackWorld
    from monitor.simulator.x import XWorld
    from tests.conftest import Clock

    clock = Clock()
    data = CONFIG | {"expect": [{"by": 5, "page": ["nothing posts this"]}, {"by": 5, "pages": 1}]}
    story = stories.Story(data, XWorld(clock), SlackWorld(clock), clock())
    assert len(story.broken(5)) == 2
    assert story.broken(4) == []


async def test_one_approval_excuses_one_post_and_the_second_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall to zero on Monday. https://acme.example/fees")
        w.x.post("acme", "Fees fall to zero on Monday. https://acme.example/fees")
        await w.run(3)
        assert w.slack.messages == {}
        w.x.post("acme", "Fees fall to zero on Monday. https://acme.example/fees")
        await w.run(3)
        (page,) = w.slack.waking()
        assert "Registered post #1 was already used at 2026-11-21 03:00" in page.words()


async def test_two_identical_posts_in_one_answer_are_not_both_excused(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall to zero on Monday.")
        w.x.post("acme", "Fees fall to zero on Monday.")
        w.x.post("acme", "Fees fall to zero on Monday.")
        await w.run(3)
        assert len(w.slack.waking()) == 1


async def test_a_typo_is_a_notice_with_the_difference_and_wakes_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our new custody service starts on Monday. https://acme.example/custody")
        w.x.post("acme", "Our new custody servise starts on Monday. https://acme.example/custody")
        await w.run(3)
        (notice,) = w.slack.roots()
        assert not notice.wakes
        assert "Nearly approved post" in notice.words()
        assert "“service” became “servise”" in notice.words()


async def test_a_post_that_is_near_uses_its_registration_up(tmp_path: Path) -> None:
    text = "Our new custody service starts on Monday. https://acme.example/custody"
    async with world(tmp_path) as w:
        w.register(text)
        w.x.post("acme", text.replace("service", "servise"))
        await w.run(3)
        (notice,) = w.slack.roots()
        assert "the corrected post needs a new registration" in notice.words()
        w.x.post("acme", text)
        await w.run(3)
        (page,) = w.slack.waking()
        assert "already used at 2026-11-21 03:00:00 UTC by a post that was one slip away from it" in page.words()
        w.x.post("acme", text.replace("custody service", "cusotdy service"))
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")
        assert [k.verdict.severity.word for k in kept] == ["notify", "page", "page"]
        assert [desk.recompute(w.service.store, k) for k in kept] == [k.verdict for k in kept]


async def test_two_posts_near_one_registration_in_one_answer_are_a_notice_and_a_page(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our new custody service starts on Monday.")
        w.x.post("acme", "Our new custody servise starts on Monday.")
        w.x.post("acme", "Our new cusotdy service starts on Monday.")
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")
        assert sorted(k.verdict.severity.word for k in kept) == ["notify", "page"]
        assert [desk.recompute(w.service.store, k) for k in kept] == [k.verdict for k in kept]


async def test_an_edit_that_corrects_the_slip_is_quiet(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our new custody service starts on Monday.")
        number = w.x.post("acme", "Our new custody servise starts on Monday.")
        await w.run(3)
        w.x.edit("acme", number, "Our new custody service starts on Monday.")
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")
        assert [k.verdict.severity.word for k in kept] == ["notify", "clear"]
        assert [desk.recompute(w.service.store, k) for k in kept] == [k.verdict for k in kept]


async def test_a_verdict_by_a_list_of_words_that_is_gone_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our new custody service starts on Monday.")
        w.x.post("acme", "Our new custody servise starts on Monday.")
        w.x.post("acme", "Good morning.")
        await w.run(3)
        store = w.service.store
        context = kept_rules.get(store.sql, w.service.judge.digest)
        assert context
        store.sql.execute("UPDATE rulebooks SET packed = NULL, context = json_set(?, '$.words', 'english 0123456789ab')", [context])
        said = {k.verdict.severity.word: desk.recomputed(store, k) for k in store.posts("baseline = 0")}
        assert said["page"] == "the same"
        assert "english 0123456789ab" in said["notify"]


async def test_a_page_overtakes_a_notice_in_a_thread_of_its_own(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our new custody service starts on Monday.")
        w.x.post("acme", "Our new custody servise starts on Monday.")
        await w.run(3)
        w.x.post("acme", "Take your BTC and run.")
        await w.run(3)
        notice, page = w.slack.roots()
        assert page.wakes
        assert "overtaken by a page" in notice.words()
        assert w.service.store.incidents()[0].previous == 1


async def test_nobody_acknowledges_so_it_pages_again_and_wakes_more_people(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        assert [m.words().count("<!subteam^S0SECONDARY>") for m in w.slack.waking()] == [0]
        await w.run(5 * 60)
        first, second = w.slack.waking()
        assert "nobody acknowledged for 5 min: escalated to step 1 of 2" in second.words()
        assert "<!subteam^S0SECONDARY>" in second.words()
        assert second.thread_ts == first.ts
        assert second.broadcast
        await w.run(10 * 60)
        assert "<!channel>" in w.slack.waking()[-1].words()
        count = len(w.slack.waking())
        w.slack.say("U01ALICE", "ack", first.ts)
        await w.run(30 * 60)
        assert len(w.slack.waking()) == count, "acknowledging stops the repeat"


async def test_a_post_after_the_acknowledgement_is_told_in_the_thread(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        root = w.slack.roots()[0]
        w.slack.react("U02BOB", root.ts, "eyes")
        await w.run(3)
        assert "*Acknowledged* by bob" in root.words()
        w.x.post("acme", "Really, we are.")
        await w.run(40)
        assert len(w.slack.waking()) == 1
        assert any("Really, we are." in m.words() for m in w.slack.thread(root.ts))


async def test_what_makes_it_worse_wakes_people_after_the_acknowledgement_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        w.slack.say("U01ALICE", "ack", w.slack.roots()[0].ts)
        await w.run(3)
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(4)
        assert "a new domain: acme-share[.]xyz" in w.slack.waking()[1].words()
        for number in range(30):
            w.x.post("acme", f"Claim at https://share{number}.xyz")
            await w.run(4)
        assert len(w.slack.waking()) == 2, "but those who have it are not woken every minute"


async def test_a_repeat_that_waited_is_cancelled_by_the_acknowledgement(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        w.slack.faults.add("json", "postMessage", value=(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}))
        await w.run(303)
        w.slack.say("U01ALICE", "ack", w.slack.roots()[0].ts)
        await w.run(60)
        assert len(w.slack.waking()) == 1


async def test_an_acknowledgement_counts_although_our_clock_runs_ahead_of_slacks(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.clock = lambda: w.clock() - timedelta(minutes=3)
        w.x.post("acme", "We are sold.")
        await w.run(3)
        w.slack.say("U01ALICE", "ack", w.slack.roots()[0].ts)
        await w.run(3)
        assert w.service.store.incidents()[0].state is State.ACKNOWLEDGED


async def test_after_resolving_a_new_post_opens_a_new_incident_that_names_the_old_one(tmp_path: Path) -> None:
    async with world(tmp_path, extra='slack: responders = ["U01ALICE"]') as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        w.slack.say("U01ALICE", "resolve: insider", w.slack.roots()[0].ts)
        await w.run(120)
        w.x.post("acme", "We are sold again.")
        await w.run(3)
        assert len(w.slack.roots()) == 2
        assert "follows INC-1" in w.slack.roots()[1].words()
        assert w.service.store.incidents()[1].cause == "insider"


async def test_guests_bots_and_strangers_cannot_acknowledge(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        root = w.slack.roots()[0].ts
        for user in ("U03GUEST", "U04OTHER", "U05ALLY", "U0MONITOR", "U99NOBODY"):
            w.slack.say(user, "ack", root)
            w.slack.react(user, root, "eyes")
        await w.run(5)
        assert w.service.store.incidents()[0].state is State.OPEN


async def test_a_question_resolves_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        root = w.slack.roots()[0].ts
        for text in ("resolved?", "ack? anybody?", "acknowledging nothing", "we should resolve this"):
            w.slack.say("U01ALICE", text, root)
        await w.run(5)
        assert w.service.store.incidents()[0].state is State.OPEN


async def test_the_same_text_on_a_second_account_is_said_on_its_first_page(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "acmesupport", "id": "2"}]}
    async with world(tmp_path, data) as w:
        w.x.post("acme", "The exchange closes tonight, all of it.")
        await w.run(5)
        w.x.post("acmesupport", "The exchange closes tonight, all of it.")
        await w.run(3)
        assert "the same text as in INC-1 on @acme on X" in w.slack.waking()[-1].words()


async def test_an_approved_post_edited_into_a_scam_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our league is open. https://acme.example/league")
        post = w.x.post("acme", "Our league is open. https://acme.example/league")
        await w.run(3)
        assert not w.slack.messages
        w.x.edit("acme", post, "Our league is open. https://acme-league.xyz/league")
        await w.run(3)
        assert "acme-league[.]xyz" in w.slack.waking()[0].words()


async def test_an_edit_that_only_comes_back_to_the_registered_text_is_the_same_approval(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our league is open.")
        post = w.x.post("acme", "Our league is open.")
        await w.run(3)
        w.x.edit("acme", post, "Our  league is open.")
        await w.run(3)
        assert not w.slack.messages


async def test_a_reply_to_oneself_is_a_post_and_typing_rt_excuses_nothing(tmp_path: Path) -> None:
    async with world(tmp_path, extra='slack: responders = ["U01ALICE"]') as w:
        w.x.reply("acme", "Everything must go.", to="2244994945")
        await w.run(3)
        assert len(w.slack.waking()) == 1
        w.slack.say("U01ALICE", "resolve: tool bug", w.slack.roots()[0].ts)
        await w.run(3)
        w.x.post("acme", "RT @acme: everything must go, says our own account")
        await w.run(3)
        assert len(w.slack.waking()) == 2


async def test_the_first_sight_is_recorded_and_pages_nobody(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1", "earlier": ["Take your BTC and run."]}]}
    async with world(tmp_path, data) as w:
        await w.run(5)
        assert not w.slack.messages
        (kept,) = w.service.store.posts("baseline = 1")
        assert kept.verdict.severity is Severity.PAGE
        assert kept.verdict.findings[0].rule == "panic-withdrawal"


async def test_after_hours_of_downtime_every_post_is_judged(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(2)
        for number in range(250):
            w.clock.move(20)
            w.x.reply("acme", f"@jo Answer {number} is on its way.")
        w.x.post("acme", "We are sold.")
        await w.run(3)
        assert len(w.service.store.posts("kind = 'reply'")) == 250
        assert len(w.slack.waking()) == 1


async def test_an_account_that_never_posted_is_watched_through_a_downtime_too(tmp_path: Path) -> None:
    data = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}]}
    async with world(tmp_path, data) as w:
        await w.run(2)
        w.clock.move(600)
        w.x.post("acme", "We are sold.")
        w.clock.move(3_600)
        await w.run(3)
        assert "We are sold." in w.slack.waking()[0].words()


async def test_a_flood_larger_than_one_read_is_read_to_the_end(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(2)
        w.x.post("acme", "We are sold, and this is the oldest of very many.")
        for number in range(1_300):
            w.clock.move(0.05)
            w.x.reply("acme", f"@jo Answer {number} is on its way.")
        await w.run(6)
        assert len(w.service.store.posts("baseline = 0", limit=5_000)) == 1_301
        assert "oldest of very many" in w.slack.waking()[0].words()


async def test_verdicts_can_be_recomputed_from_the_store(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Our league is open. https://acme.example/league")
        late = w.register("A withdrawn thing to say on Monday.")
        w.x.post("acme", "Our league is open. https://acme.example/league")
        w.x.post("acme", "Our league is open. https://acme.example/league")
        w.x.post("acme", "Take your BTC and run.")
        await w.run(2)
        w.x.change("acme", name="Tesla Giveaway")
        await w.run(5)
        desk.withdraw(w.service.store, late, "comms", w.clock())
        kept = w.service.store.posts("baseline = 0")
        assert len(kept) == 4
        for one in kept:
            assert desk.recompute(w.service.store, one) == one.verdict


async def test_a_registration_long_over_leaves_the_queue_and_the_verdict_stays_recomputable(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall on Monday.")
        w.x.post("acme", "Fees fall on Monday.")
        await w.run(3)
        w.clock.move(100 * 86_400)
        w.x.post("acme", "Fees fall on Monday.")
        await w.run(3)
        w.clock.move(50 * 86_400)
        w.service.judge.start_over()
        w.x.post("acme", "Fees fall on Monday.")
        await w.run(3)
        assert "Nobody registered this post" in w.slack.waking()[0].words()
        for kept in w.service.store.posts("baseline = 0"):
            assert desk.recompute(w.service.store, kept) == kept.verdict


async def test_what_people_see_is_within_the_poll_interval_and_a_second(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(2.5)
        posted = w.clock()
        w.x.post("acme", "We are sold.")
        await w.run(5)
        assert w.slack.waking()[0].at - posted <= timedelta(seconds=w.config.file.x.poll_seconds + 1)


async def test_the_root_is_edited_in_place_and_there_is_one_thread(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(20):
            w.x.post("acme", f"Number {number} of many.")
            await w.run(6)
        assert len(w.slack.roots()) == 1
        root = w.slack.roots()[0]
        assert "*Posts in this incident*\n20" in root.words()
        assert root.edits <= 24
        notes = [p for p in w.service.store.pages.of(1) if p.kind is PageKind.NOTE]
        assert len(notes) <= 5


async def test_the_newest_of_very_many_posts_is_shown_beside_the_first(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(120):
            w.x.post("acme", f"Number {number} of many.")
        await w.run(12)
        assert "Number 0 of many." in w.slack.roots()[0].words()
        assert "Number 119 of many." in w.slack.roots()[0].words()


async def test_an_acknowledgement_below_hundreds_of_messages_is_heard(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        root = w.slack.roots()[0].ts
        for number in range(450):
            w.slack.say("U02BOB", f"what is it {number}", root)
        w.slack.say("U01ALICE", "ack", root)
        await w.run(3)
        assert w.service.store.incidents()[0].state is State.ACKNOWLEDGED


async def test_the_hostile_corpus_goes_all_the_way_and_nothing_of_it_gets_out_of_its_place(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for text in CORPUS:
            w.x.post("acme", text.encode("utf-8", "replace").decode())
            w.x.change("acme", description=text[:5_000], location=text[:100])
            await w.run(3)
        await w.run(40)
        posts = [k for k in w.service.store.posts("baseline = 0") if isinstance(k.post, Post)]
        assert len(posts) == len(CORPUS)
        assert not w.service.store.pages.undelivered()
        sent = [p for method, p in w.slack.calls if method in ("chat.postMessage", "chat.update")]
        assert len(sent) > 10
        for message in sent:
            check_message({k: message[k] for k in ("text", "blocks", "parse", "link_names")})
        assert {p.state for p in w.service.store.pages.of(1)} <= {"sent", "superseded"}


async def test_ever_new_domains_do_not_become_a_flood_of_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(40):
            w.x.post("acme", f"Claim {number} at https://drop{number}.xyz/now")
            await w.run(3)
        assert 2 <= len(w.slack.waking()) <= 4


async def test_profile_changes_of_one_look_are_told_once_and_together(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(3)
        w.x.change("acme", name="Tesla Giveaway", description="join t.me/x", location="Mars")
        await w.run(40)
        (root,) = w.slack.roots()
        assert "Profile changed: name, bio, location" in root.words()
        assert root.words().count("nobody registered this change") == 1
        assert not [m for m in w.slack.thread(root.ts) if "post" in m.text]

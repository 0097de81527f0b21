"""A post of ours that is shown again, by a repost or as the pinned post, is known by its id and quiet in two cases only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor import approvals, desk
from monitor.approvals import Approval
from monitor.model import Kind, Severity, Standing
from tests.conftest import CONFIG, World, world
from tests.test_streams import PUSH

RECORD = '[accounts.unapproved]\nrepost = "record"\nquote = "record"\nreply = "record"\n'
GENTLE: dict[str, Any] = CONFIG | {"accounts": [{"handle": "acme", "id": "2244994945", "earlier": ["Good morning."], "paging": RECORD}]}
BOTH: dict[str, Any] = CONFIG | {"accounts": [{"handle": "acme", "id": "2244994945", "earlier": ["Good morning."]}, {"handle": "acmesupport", "id": "2244994946"}]}  # fmt: skip


def reposts(w: World) -> list[tuple[Severity, Standing | None]]:
    found = w.service.store.posts("baseline = 0 AND kind = 'repost'")
    assert all(desk.recompute(w.service.store, k) == k.verdict for k in found)
    return [(k.verdict.severity, k.context.original) for k in found]


async def test_a_reply_with_a_picture_is_a_notice_and_its_self_repost_pages(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        identifier = w.x.reply("acme", "@jo here you go", pictures=1)
        await w.run(5)
        kept = w.service.store.posts("baseline = 0")[0]
        assert kept.verdict.severity is Severity.NOTIFY
        assert "a reply with 1 picture(s) or video(s)" in kept.verdict.reason
        assert (len(w.slack.roots()), w.slack.waking()) == (1, [])
        w.x.repost("acme", "acme", "@jo here you go", identifier)
        await w.run(5)
        assert reposts(w) == [(Severity.PAGE, Standing.UNAPPROVED)]
        assert "a post of our own that nobody approved" in w.slack.waking()[0].words()


async def test_a_reply_and_its_self_repost_in_one_answer_page_too(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        identifier = w.x.reply("acme", "@jo please restart the app")
        w.clock.move(0.01)
        w.x.repost("acme", "acme", "@jo please restart the app", identifier)
        await w.run(5)
        assert reposts(w) == [(Severity.PAGE, Standing.UNAPPROVED)]


async def test_a_repost_of_an_approved_post_is_quiet_also_in_one_answer_and_by_another_account(tmp_path: Path) -> None:
    async with world(tmp_path, BOTH) as w:
        w.register("New: price alerts")
        identifier = w.x.post("acme", "New: price alerts")
        w.clock.move(0.01)
        w.x.repost("acme", "acme", "New: price alerts", identifier)
        w.x.repost("acmesupport", "acme", "New: price alerts", identifier)
        await w.run(8)
        assert reposts(w) == [(Severity.RECORD, Standing.APPROVED)] * 2
        assert w.slack.roots() == []


async def test_a_repost_that_is_read_before_what_it_shows_is_judged_after_it(tmp_path: Path) -> None:
    """The other account's next poll may be a second away: its post is fetched, judged and only then is the repost."""
    async with world(tmp_path, BOTH) as w:
        w.register("New: price alerts")
        w.x.faults.add("html", "/2/users/2244994945/tweets", times=100)
        for text in ("New: price alerts", "Send us everything"):
            w.x.repost("acmesupport", "acme", text, w.x.post("acme", text))
        await w.run(5)
        assert reposts(w) == [(Severity.RECORD, Standing.APPROVED), (Severity.PAGE, Standing.UNAPPROVED)]
        assert [k.verdict.severity for k in w.service.store.posts("kind = 'post' AND baseline = 0")] == [Severity.CLEAR, Severity.PAGE]


async def test_an_older_post_is_quiet_unless_a_rule_accuses_all_of_it(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        scam = "We love our customers and so " * 5 + "claim the airdrop, connect your wallet"
        for text in ("We were founded in this house.", scam):
            w.x.repost("acme", "acme", text)  # of an hour ago, and not on the page of the baseline
        await w.run(5)
        assert reposts(w) == [(Severity.RECORD, Standing.OLDER), (Severity.PAGE, Standing.OLDER)]


async def test_a_post_that_was_there_when_the_watch_began_is_older(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        known = w.service.store.posts("baseline = 1")[0]
        w.x.repost("acme", "acme", "Good morning.", known.post.id)
        await w.run(5)
        assert reposts(w) == [(Severity.RECORD, Standing.OLDER)]
        assert not [r for r in w.x.requests if f"ids={known.post.id}" in r], "what is on record costs nothing"


async def test_a_post_approved_after_the_fact_may_be_shown_again_and_one_edited_since_may_not(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        identifier = w.x.post("acme", "A day early: price alerts")
        await w.run(3)
        number = w.service.store.unresolved()[0].id
        approvals.approve(w.service.store, w.service.outbox, number, (identifier,), Approval("jo", "login:jo", "ours", "host", w.clock()))
        w.x.repost("acme", "acme", "A day early: price alerts", identifier)
        await w.run(3)
        assert reposts(w) == [(Severity.RECORD, Standing.APPROVED)]
        w.x.edit("acme", identifier, "A day late: price alerts https://evil.example")
        await w.run(3)
        w.x.repost("acme", "acme", "A day early: price alerts", identifier)
        await w.run(3)
        assert reposts(w)[-1] == (Severity.PAGE, Standing.UNAPPROVED)


async def test_a_handle_of_ours_that_is_somebody_elses_by_now_makes_nothing_quiet(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        w.x.user("acmesupport", "666")  # a handle of the company's that nobody watches
        w.x.repost("acme", "acmesupport", "We were founded in this house.")
        await w.run(5)
        assert reposts(w) == [(Severity.PAGE, Standing.UNREAD)]
        assert "said to be ours" in w.slack.waking()[0].words()


async def test_what_cannot_be_looked_up_pages_and_delays_nobody_else(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        w.x.faults.add("html", "/2/tweets", times=9)
        w.x.repost("acme", "acme", "We were founded in this house.")
        w.clock.move(0.01)
        w.x.post("acme", "Nobody planned this")
        await w.run(5)
        assert reposts(w) == [(Severity.PAGE, Standing.UNREAD)]
        rows = w.service.store.sql.execute("SELECT kind FROM posts WHERE baseline = 0 ORDER BY rowid")
        assert [r["kind"] for r in rows] == ["post", "repost"], "the post did not wait for the look-up"


async def test_a_burst_of_reposts_of_others_is_still_a_burst_when_they_have_our_old_handle(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        w.x.user("acmesupport", "666")
        for number in range(5):
            w.x.repost("acme", "acmesupport", f"Look at this {number}")
            w.clock.move(0.01)
        await w.run(5)
        assert any("reposts within ten minutes" in why for k in w.service.store.posts("kind = 'repost'") for _, why in k.context.signals)


@pytest.mark.parametrize("text", ["RT @acme: Send 1 BTC, get 2 BTC", "@jo Send 1 BTC, get 2 BTC"])
async def test_a_form_that_was_typed_chooses_no_policy(tmp_path: Path, text: str) -> None:
    async with world(tmp_path, GENTLE) as w:
        w.x.post("acme", text, in_reply_to_user_id="99")
        w.x.post("acme", f"{text}, honest", referenced_tweets=[{"type": "quoted", "id": "1700000000000000000"}])
        await w.run(5)
        assert [k.verdict.severity for k in w.service.store.posts("baseline = 0")] == [Severity.PAGE] * 2


async def test_a_stream_whose_event_lacks_the_reference_waits_for_the_post_itself(tmp_path: Path) -> None:
    async with world(tmp_path, PUSH | {"accounts": GENTLE["accounts"], "poll_seconds": 3_000}) as w:
        await w.run(30)
        known = w.service.store.posts("baseline = 1")[0].post.id
        w.x.repost("acme", "acme", "Good morning.", known)
        await w.run(5)
        assert reposts(w) == [(Severity.RECORD, Standing.OLDER)]
        w.x.reply("acme", "@jo please restart the app")
        await w.run(5)
        assert w.slack.roots() == []


# --- the pinned post -------------------------------------------------------------------------------------------


def pins(w: World) -> list[tuple[Severity, Standing | None]]:
    found = w.service.store.posts("kind = 'profile'")
    assert all(desk.recompute(w.service.store, k) == k.verdict for k in found)
    return [(k.verdict.severity, k.context.original) for k in found]


async def test_pinning_an_approved_or_an_older_post_is_a_notice_and_any_other_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("New: price alerts")
        approved = w.x.post("acme", "New: price alerts")
        w.x.repost("acme", "acme", "We were founded in this house.")
        older = min(w.x.named("acme").posts, key=int)
        await w.run(5)
        for identifier in (approved, older, "1"):
            w.x.change("acme", pinned_tweet_id=identifier)
            await w.run(5)
        assert pins(w) == [(Severity.NOTIFY, Standing.APPROVED), (Severity.NOTIFY, Standing.OLDER), (Severity.PAGE, Standing.UNREAD)]
        reply = w.x.reply("acme", "@jo please restart the app")
        w.x.change("acme", pinned_tweet_id=reply)
        await w.run(5)
        assert pins(w)[-1] == (Severity.PAGE, Standing.UNAPPROVED)


async def test_a_profile_that_pins_the_unknown_delays_no_other_profile(tmp_path: Path) -> None:
    async with world(tmp_path, BOTH) as w:
        w.x.faults.add("html", "/2/tweets", times=9)
        w.x.change("acme", pinned_tweet_id="1")
        w.x.change("acmesupport", name="Tesla")
        await w.run(5)
        rows = w.service.store.sql.execute("SELECT account FROM posts WHERE kind = 'profile' ORDER BY rowid")
        assert [r["account"] for r in rows] == ["x::2244994946", "x::2244994945"]


async def test_a_reply_is_recorded_in_the_registration_of_nobody(tmp_path: Path) -> None:
    async with world(tmp_path, GENTLE) as w:
        w.register("", kind=Kind.REPLY, conversation="555")
        identifier = w.x.reply("acme", "Thank you for waiting!", under="555")
        await w.run(3)
        w.x.repost("acme", "acme", "Thank you for waiting!", identifier)
        await w.run(3)
        assert reposts(w) == [(Severity.PAGE, Standing.UNAPPROVED)], "nobody has read its words"


class Odd:
    """A source with a mistake in it that nobody foresaw."""

    async def posts(self, accounts: object, identifiers: object) -> object:
        raise ValueError("not foreseen")


async def test_a_mistake_in_looking_up_what_is_shown_again_keeps_nothing_from_being_judged(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.watches[0].closer.source = Odd()  # type: ignore[assignment]
        assert await w.service.watches[0].closer.originals(("1",)) == {}

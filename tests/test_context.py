"""Signals on the way from the timeline to the page."""

from __future__ import annotations

from pathlib import Path

from monitor import desk
from monitor.model import Severity, Signal
from tests.conftest import CONFIG, World, world

TWO = CONFIG | {
    "accounts": [
        {"handle": "acme", "id": "2244994945", "earlier": ["Good morning."]},
        {"handle": "acmesupport", "id": "2244994946", "earlier": ["How can we help?"]},
    ]
}


async def planned(w: World, count: int) -> None:
    for number in range(count):
        w.register(f"Planned news number {number}.")
        w.x.post("acme", f"Planned news number {number}.")
        await w.run(1)
        w.clock.move(3600 * 24)


async def test_an_account_is_learned_from_what_was_planned_and_not_from_its_hijacker(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await planned(w, 25)
        before = w.service.store.habits("x::2244994945").counts
        assert before["posts"] > 20
        w.x.post("acme", "Airdrop is live, claim now https://drop.xyz", lang="tr", reply_settings="following")
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")[-1]
        assert {s for s, _ in kept.context.signals} >= {Signal.NEW_LANGUAGE, Signal.NEW_DOMAIN, Signal.REPLIES_LIMITED}
        assert "Replies limited on an alarming post" in kept.verdict.reason
        assert "unusual: the first post in 'tr', a link to a name it never linked to" in kept.verdict.reason
        assert w.service.store.habits("x::2244994945").counts == before
        assert desk.recompute(w.service.store, kept) == kept.verdict


async def test_what_is_unusual_about_a_planned_post_wakes_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await planned(w, 25)
        w.register("Haberler: yeni ofisimiz $ACME https://partner.example/x")
        w.x.post("acme", "Haberler: yeni ofisimiz $ACME https://partner.example/x", lang="tr")
        await w.run(3)
        assert w.service.store.posts("baseline = 0")[-1].verdict.severity is Severity.CLEAR


async def test_the_same_words_on_a_second_account_say_so(tmp_path: Path) -> None:
    async with world(tmp_path, TWO) as w:
        w.x.post("acme", "We are all gone fishing for ever")
        await w.run(3)
        w.x.post("acmesupport", "We are all gone fishing for ever!")
        await w.run(3)
        kept = w.service.store.posts("account = 'x::2244994946' AND baseline = 0")[0]
        assert "Several of our accounts say the same" in kept.verdict.reason
        assert "the same words as in INC-1 of another of our accounts" in kept.verdict.reason


async def test_a_burst_of_reposts_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in range(4):
            w.x.repost("acme", f"bandit{number}", "look at this")
            await w.run(1)
        await w.run(2)
        assert "Burst of reposts" in w.service.store.posts("baseline = 0")[-1].verdict.reason

"""What is unusual adds a reason; nothing usual excuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.model import Kind, Post, Signal
from monitor.verdict.habits import HALF_LIFE, KEPT, Habits, learn, signals
from tests.verdict.test_approved import post

MORNING = datetime(2026, 11, 2, 9, tzinfo=UTC)
WALLET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


def usual(days: int = 40) -> Habits:
    """A post a day at nine, in English, with our link."""
    habits = Habits({})
    for day in range(days):
        habits = learn(habits, said("News https://acme.example/a", created_at=MORNING + timedelta(days=day)))
    return habits


def said(text: str, **more: object) -> Post:
    return post(text, **{"created_at": MORNING + timedelta(days=41), "lang": "en", "reply_settings": "everyone"} | more)


@pytest.mark.parametrize(
    ("unusual", "signal", "why"),
    [
        (
            said("News", created_at=MORNING + timedelta(days=41, hours=-6)),
            Signal.OFF_HOURS,
            "posted at 03:00 UTC, when it hardly ever posts",
        ),
        (said("Haberler", lang="tr"), Signal.NEW_LANGUAGE, "the first post in 'tr'"),
        (said("News https://drop.xyz/a"), Signal.NEW_DOMAIN, "a link to a name it never linked to"),
        (said("News of $ACME"), Signal.FIRST_CASHTAG, "a cashtag it never used"),
        (said(f"News {WALLET}"), Signal.FIRST_ADDRESS, "its first wallet address"),
        (said("News?", poll=True), Signal.FIRST_POLL, "its first poll"),
        (said("News", reply_settings="following"), Signal.REPLIES_LIMITED, "replies limited to 'following', which it hardly ever does"),
    ],
)
def test_what_is_unlike_the_account_is_said_with_its_reason(unusual: Post, signal: Signal, why: str) -> None:
    assert (signal, why) in signals(unusual, usual(), (), own=False)
    assert not signals(unusual, usual(5), (), own=False), "an account seen five times has no habits"


def test_the_usual_is_nothing_to_speak_of() -> None:
    assert signals(said("More news https://www.acme.example/b"), usual(), (), own=False) == ()


def test_a_burst_of_reposts_needs_no_history_and_a_tempo_does() -> None:
    repost = said("RT @bandit: mint", kind=Kind.REPOST, referenced_author="bandit")
    before = tuple((repost.created_at - timedelta(minutes=n), Kind.REPOST) for n in (1, 2, 3))
    assert signals(repost, Habits({}), before, own=False) == ((Signal.REPOST_BURST, "4 reposts within ten minutes"),)
    assert signals(repost, Habits({}), before, own=True) == ()
    assert signals(repost, Habits({}), before[:2], own=False) == ()
    posts = tuple((repost.created_at - timedelta(minutes=n), Kind.POST) for n in range(1, 5))
    assert signals(said("fifth"), usual(), posts, own=False)[0][0] is Signal.TEMPO
    assert signals(said("fifth"), usual(5), posts, own=False) == ()
    long_ago = tuple((when - timedelta(hours=1), kind) for when, kind in posts)
    assert signals(said("fifth"), usual(), long_ago, own=False) == ()


def test_habits_fade() -> None:
    late = learn(usual(), said("x", created_at=MORNING + timedelta(days=41) + 10 * HALF_LIFE))
    assert late.counts["posts"] == pytest.approx(1, abs=0.1)


def test_a_flood_of_names_stays_small_and_drops_no_language() -> None:
    habits = usual()
    for number in range(KEPT * 2):
        habits = learn(habits, replace(said(f"https://name{number}.com/x"), created_at=MORNING + timedelta(days=41, seconds=number)))
    assert len(habits.counts) <= KEPT
    assert {"posts", "lang:en", "hour:9", "open replies"} <= habits.counts.keys()


@given(st.text(max_size=80), st.sampled_from(["en", "", "und", "🙂"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_text_makes_learning_raise(text: str, lang: str, poll: bool) -> None:
    one = said(text.encode("utf-8", "replace").decode(), lang=lang, poll=poll)
    signals(one, learn(usual(25), one), (), own=False)

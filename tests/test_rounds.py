"""Whom to read next: fair, within what the platform allows, an account in an incident first."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.rounds import Rounds
from monitor.sources.interface import Limit
from tests.conftest import START

SOON = START + timedelta(minutes=15)


def played(
    rounds: Rounds, seconds: float, covered: frozenset[str] = frozenset(), urgent: frozenset[str] = frozenset()
) -> list[tuple[float, str]]:
    """Who is read when, if every read takes no time."""
    found = []
    for step in range(int(seconds * 4)):
        now = START + timedelta(seconds=step / 4)
        for key in rounds.due(now, urgent):
            found.append((step / 4, key))
            rounds.read(key, now, covered=key in covered)
    return found


def made(count: int, fast: float = 5, slow: float = 60, allowed: int = 10_000) -> Rounds:
    rounds = Rounds(fast, slow, allowed)
    for number in range(count):
        rounds.join(f"a{number}", START)
    return rounds


def test_a_few_accounts_are_read_as_often_as_configured() -> None:
    reads = Counter(key for _, key in played(made(3), 60))
    assert all(11 <= count <= 13 for count in reads.values())


def test_an_account_that_a_stream_is_proven_to_tell_of_is_read_slowly() -> None:
    reads = Counter(key for _, key in played(made(2), 300, covered=frozenset({"a0"})))
    assert reads["a0"] <= 7
    assert reads["a1"] >= 55


def test_accounts_that_a_stream_tells_of_leave_half_of_the_budget_to_the_others() -> None:
    everybody = frozenset(f"a{n}" for n in range(1_000))
    rounds = made(1_000)
    played(rounds, 200, covered=everybody)
    assert rounds.slowly() >= 190
    assert rounds.interval(covered=999) < 10, "one account whose stream is doubted is read as fast as ever"


def test_too_many_accounts_wait_alike_and_never_use_more_than_is_allowed() -> None:
    reads = played(made(1_000), 300)
    counts = Counter(key for _, key in reads)
    assert len(reads) <= 10_000 / 3 + 20, "a third of the window"
    assert len(counts) == 1_000, "everybody was read"
    assert max(counts.values()) - min(counts.values()) <= 1, "and nobody more often than the others"


def test_reads_are_spread_and_come_in_no_bursts() -> None:
    at = Counter(int(second) for second, _ in played(made(500), 120))
    assert max(at.values()) <= 30, "ten a second are allowed, and a burst of two seconds at the start"
    assert sorted(at.values())[-2] <= 12


def test_an_account_in_an_incident_is_read_first_and_the_others_do_not_starve() -> None:
    reads = Counter(key for _, key in played(made(1_000), 300, urgent=frozenset({"a7"})))
    assert reads["a7"] >= 50, "every five seconds as ever"
    assert min(reads.values()) >= 2
    many = frozenset(f"a{n}" for n in range(600))
    reads = Counter(key for _, key in played(made(1_000), 600, urgent=many))
    assert min(reads.values()) >= 2, "six hundred incidents starve nobody"


def test_what_the_platform_says_is_left_stretches_the_interval_and_nothing_left_is_waited_for() -> None:
    rounds = made(10)
    rounds.learn(Limit(90, SOON), START)
    assert rounds.interval() > 100
    assert len(played(rounds, 300)) <= 33
    rounds.learn(Limit(0, START + timedelta(seconds=30)), START)
    assert all(second >= 30 for second, _ in played(rounds, 60))
    rounds.learn(Limit(5, START - timedelta(minutes=1)), START)  # the window is over: it says nothing


def test_a_hint_is_followed_at_once_but_not_more_than_once_a_second() -> None:
    rounds = made(1, fast=60)
    played(rounds, 1)
    reads = []
    for step in range(40):
        now = START + timedelta(seconds=1 + step / 4)
        rounds.hurry("a0")
        for key in rounds.due(now):
            reads.append(now)
            rounds.read(key, now, covered=False)
    assert 9 <= len(reads) <= 11


def test_an_account_that_is_being_read_is_not_read_twice() -> None:
    rounds = made(1)
    assert rounds.due(START) == ["a0"]
    rounds.hurry("a0")
    assert rounds.due(START + timedelta(minutes=5)) == []


@given(st.lists(st.floats(-7_200, 7_200), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_a_clock_that_is_set_keeps_nobody_from_being_read(jumps: list[float]) -> None:
    rounds, now = made(3), START
    for jump in jumps:
        now += timedelta(seconds=jump)
        for key in rounds.due(now):
            rounds.read(key, now, covered=False)
    seen: set[str] = set()
    for step in range(4 * 70):
        later: datetime = now + timedelta(seconds=step / 4)
        for key in rounds.due(later):
            seen.add(key)
            rounds.read(key, later, covered=False)
    assert seen == {"a0", "a1", "a2"}

"""One person's registration: young it is a notice, and with two-person approval it is none until it is confirmed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.model import Account, ApprovedPost, Approving, Company, Exact, Kind, NoMatch, Post, ProfileChange, Severity
from monitor.verdict import judge, judge_change
from monitor.verdict.approved import Queue
from monitor.verdict.rules import Rules

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
ACCOUNT = Account("x", "1", "acme", unapproved=((Kind.REPLY, Severity.RECORD),))
ACME = Company("Acme")
TEXT = "Our spring sale begins today."
ONE = ApprovedPost(
    7, "x::1", Kind.POST, TEXT, NOON - timedelta(days=1), NOON + timedelta(days=1), registered_at=NOON, registered_by="carla"
)
TEN, TWO = Approving(10), Approving(0, two_person=True)


def post(after: float, **more: object) -> Post:
    return replace(Post("x::1", "5", Kind.POST, TEXT, NOON + timedelta(minutes=after), root_id="5"), **more)  # type: ignore[arg-type]


def verdict(one: ApprovedPost, item: Post, approving: Approving) -> tuple[Severity, str]:
    found = judge(item, ACCOUNT, ACME, Queue([one], approving), Rules(()))
    return found.severity, found.reason


@pytest.mark.parametrize(
    ("after", "severity", "said"),
    [
        (2, Severity.NOTIFY, "registered 2 minutes ago by carla"),
        (0.5, Severity.NOTIFY, "registered 30 seconds ago by carla"),
        (9.99, Severity.NOTIFY, "registered 9 minutes ago by carla"),
        (10, Severity.CLEAR, "registered post #7"),
        (-3, Severity.NOTIFY, "registered 3 minutes after it was posted, by carla"),
    ],
)
def test_a_young_registration_is_a_notice_that_says_whose_it_is(after: float, severity: Severity, said: str) -> None:
    found = verdict(ONE, post(after), TEN)
    assert found[0] is severity
    assert said in found[1]


@given(st.floats(-1_000, 1_000), st.floats(0, 500))
def test_it_is_silent_only_when_it_is_old_enough_or_nobody_wants_that(after: float, minutes: float) -> None:
    silent = verdict(ONE, post(after), Approving(minutes))[0] is Severity.CLEAR
    assert silent == (not minutes or timedelta(minutes=after) >= timedelta(minutes=minutes))


def test_a_second_persons_word_a_recording_and_an_old_row_are_silent() -> None:
    for one in (replace(ONE, confirmed_at=NOON, confirmed_by="bob"), replace(ONE, registered_at=None)):
        assert verdict(one, post(1), TEN)[0] is Severity.CLEAR
    recorded = replace(ONE, account="replay::1")
    assert verdict(recorded, post(1, account="replay::1"), TEN)[0] is Severity.CLEAR


def test_one_that_waits_excuses_nothing_and_is_named() -> None:
    assert verdict(ONE, post(60), TWO) == (Severity.PAGE, "registered post #7 has these words, and still waits for a second approver")
    assert verdict(replace(ONE, confirmed_at=NOON), post(60), TWO)[0] is Severity.CLEAR


def test_one_that_waits_is_named_before_one_that_was_used() -> None:
    used = replace(ONE, id=3, used_by="4", used_at=NOON, confirmed_at=NOON)
    found = Queue([used, ONE], TWO).match(post(60))
    assert isinstance(found, NoMatch)
    assert found.nearest == 7


def test_registrations_of_an_author_or_a_conversation_wait_and_are_young_too() -> None:
    quotes = replace(ONE, text="", kind=Kind.QUOTE, author="partner")
    quote = post(2, kind=Kind.QUOTE, text="Well said.", referenced_author="partner", referenced_id="9")
    assert verdict(quotes, quote, TEN)[0] is Severity.NOTIFY
    severity, reason = verdict(quotes, quote, TWO)
    assert (severity, "#7 allows it, and still waits" in reason) == (Severity.PAGE, True)
    answers = replace(ONE, text="", kind=Kind.REPLY, conversation="9")
    reply = post(2, kind=Kind.REPLY, text="Thank you!", conversation="9", referenced_id="9")
    assert verdict(answers, reply, TEN)[0] <= Severity.RECORD, "nobody would have been told of it anyway"
    assert not isinstance(Queue([answers], TWO).match(reply), Exact)


def test_a_profile_value_waits_and_is_young_too() -> None:
    value = replace(ONE, kind=Kind.PROFILE, field="bio")
    change = ProfileChange("x::1", "bio", "", TEXT, NOON + timedelta(minutes=1))
    for approving, said in ((TEN, "registered 1 minute ago by carla"), (TWO, "still waits for a second approver")):
        found = judge_change(change, ACME, Queue([value], approving), Rules(()))
        assert found.severity is Severity.NOTIFY
        assert said in found.reason
    assert judge_change(change, ACME, Queue([value]), Rules(())).severity is Severity.CLEAR


def test_a_hostile_name_stays_in_its_line() -> None:
    _, reason = verdict(replace(ONE, registered_by="a\x1b[31m\u202eb" + "c" * 500), post(1), TEN)
    assert "\x1b" not in reason
    assert "\u202e" not in reason
    assert len(reason) < 250

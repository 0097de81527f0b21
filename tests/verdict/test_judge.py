"""From a post to a verdict."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import rulebook, words
from monitor.model import Account, Company, Exact, Kind, Media, Near, Post, ProfileChange, Severity
from monitor.verdict import judge, judge_change
from monitor.verdict.addresses import chain_of
from monitor.verdict.approved import Queue
from monitor.verdict.links import Place, hosts, place
from tests.verdict.test_approved import ME, NOW, approved, post
from tests.verdict.test_text import HOSTILE, TEXT

RULES = rulebook.load([]).rules
COMPANY = Company("Acme Exchange", ("acme.example",), ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT",), ("acme",))
ACCOUNT = Account("x", "1", "acme", unapproved=((Kind.REPLY, Severity.RECORD),))


def say(posted: Post, queue: Queue | None = None) -> tuple[Severity, str]:
    verdict = judge(posted, ACCOUNT, COMPANY, queue or Queue(), RULES)
    return verdict.severity, verdict.reason


def test_a_post_nobody_registered_pages_whatever_it_says() -> None:
    assert say(post("Good morning.")) == (Severity.PAGE, "nobody registered this post")


def test_a_registered_post_is_clear_and_says_which_it_was() -> None:
    assert say(post("Good morning."), Queue([approved("Good morning.")])) == (Severity.CLEAR, "registered post #1")


def test_an_address_swapped_into_a_registered_text_pages_and_so_does_one_registered_by_mistake() -> None:
    theirs = "Our wallet is bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 today"
    severity, reason = say(post(theirs), Queue([approved(theirs)]))
    assert severity is Severity.PAGE
    assert reason == "Wallet address that is not ours, although it is registered post #1"


def test_a_rule_about_words_does_not_accuse_what_comms_registered() -> None:
    text = "Last day for withdrawals in the old app: move to the new one."
    assert say(post(text), Queue([approved(text)]))[0] is Severity.CLEAR


def test_near_lowers_to_a_notice_but_a_rule_raises_it_again() -> None:
    registered = "Our custody service takes bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 deposits"
    typo = registered.replace("service", "servise")
    queue = Queue([approved(registered)], vocabulary=words.load())
    assert say(post(typo), queue)[0] is Severity.PAGE
    calm = Queue([approved("Our custody service takes deposits now")], vocabulary=words.load())
    verdict = judge(post("Our custody servise takes deposits now"), ACCOUNT, COMPANY, calm, RULES)
    assert (verdict.severity, type(verdict.match)) == (Severity.NOTIFY, Near)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("@jo your ticket is with our team", Severity.RECORD),
        ("@jo see https://help.acme.example/reset", Severity.RECORD),
        ("@jo see https://x.com/acme/status/1", Severity.RECORD),
        ("@jo see bit.ly/abc", Severity.PAGE),
        ("@jo see acme-help.support", Severity.PAGE),
        ("@jo send to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Severity.PAGE),
    ],
)
def test_replies_are_recorded_unless_they_lead_away_or_a_rule_speaks(text: str, severity: Severity) -> None:
    assert say(post(text, kind=Kind.REPLY))[0] is severity


def test_a_link_card_under_a_reply_is_a_link() -> None:
    assert say(post("@jo here you go", kind=Kind.REPLY, card="https://acme-help.support/x"))[0] is Severity.PAGE


def test_a_repost_of_anybody_pages_while_nobody_knows_that_it_is_ours() -> None:
    own = post("RT @acme: hi", kind=Kind.REPOST, referenced_author="Acme")
    assert say(own)[0] is Severity.PAGE
    assert say(replace(own, referenced_author="stonks"))[0] is Severity.PAGE
    assert say(replace(own, referenced_author=""))[0] is Severity.PAGE


def test_profile_changes_page_for_identity_and_notify_for_the_rest() -> None:
    def change(field: str, after: str) -> Severity:
        return judge_change(ProfileChange(ME, field, "before", after, NOW), COMPANY, Queue(), RULES).severity

    assert change("name", "Tesla") is Severity.PAGE
    assert change("protected", "yes") is Severity.PAGE
    assert change("bio", "Join t.me/acme") is Severity.PAGE
    assert change("location", "Lisbon") is Severity.NOTIFY


def test_a_registered_name_is_clear_and_a_registered_bio_with_a_foreign_page_is_not() -> None:
    name = Queue([approved("Acme", kind=Kind.PROFILE, field="name")])
    assert judge_change(ProfileChange(ME, "name", "Old", "Acme", NOW), COMPANY, name, RULES).severity is Severity.CLEAR
    bio = Queue([approved("Join t.me/acme", kind=Kind.PROFILE, field="bio")])
    assert judge_change(ProfileChange(ME, "bio", "Old", "Join t.me/acme", NOW), COMPANY, bio, RULES).severity is Severity.PAGE


@pytest.mark.parametrize(
    ("host", "whose"),
    [
        ("acme.example", Place.OURS),
        ("help.acme.example", Place.OURS),
        ("notacme.example", Place.LOOKALIKE),
        ("acme-airdrop.xyz", Place.LOOKALIKE),
        ("acme.example.evil.io", Place.LOOKALIKE),
        ("аcme.io", Place.LOOKALIKE),
        ("x.com", Place.PLATFORM),
        ("bit.ly", Place.SHORTENER),
        ("news.example", Place.FOREIGN),
        ("t.me", Place.FOREIGN),
    ],
)
def test_whose_place_a_host_is(host: str, whose: Place) -> None:
    assert place(host, COMPANY) is whose


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("go to evil.xyz now", ("evil.xyz",)),
        ("hxxps://evil[.]com/x", ("evil.com",)),
        ("https://acme.example@evil.io/login", ("evil.io",)),
        ("https://evil.io\\@acme.example/login", ("evil.io",)),
        ("mail help@acme.example", ()),
        ("Great news.Read it", ()),
        ("Version v1.2.3 is out", ()),
    ],
)
def test_every_host_a_reader_could_reach_is_seen(text: str, found: tuple[str, ...]) -> None:
    assert hosts(text) == found


@pytest.mark.parametrize(
    ("value", "chain"),
    [
        ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "bitcoin"),
        ("1BoatSLRHtKNngkdXEeobR76b53LETtpyX", ""),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bitcoin"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", ""),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "ethereum"),
        ("EYM2PCSVq7zZoFBqXiepECGNXSkKAyBREGymzzsFpump", "solana"),
    ],
)
def test_addresses_are_known_by_their_checksums(value: str, chain: str) -> None:
    assert chain_of(value) == chain


@given(TEXT, st.sampled_from(list(Kind)), TEXT)
@settings(max_examples=300, deadline=None)
def test_no_text_makes_judging_raise(text: str, kind: Kind, registered: str) -> None:
    verdict = judge(post(text, kind=kind), ACCOUNT, COMPANY, Queue([approved(registered)]), RULES)
    assert verdict.reason
    assert not any("crashed" in e for f in verdict.findings for e in f.evidence)
    assert "\n" not in verdict.reason


@given(st.text(alphabet=st.characters(), max_size=60))
@settings(max_examples=200, deadline=None)
def test_not_even_lone_surrogates_make_judging_raise(text: str) -> None:
    assert not any("crashed" in e for f in judge(post(text), ACCOUNT, COMPANY, Queue(), RULES).findings for e in f.evidence)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_scam_behind_a_hostile_prefix_is_still_seen(name: str) -> None:
    verdict = judge(post(f"{HOSTILE[name]}\nTake your BTC and run. https://acme-rescue.xyz"), ACCOUNT, COMPANY, Queue(), RULES)
    assert verdict.severity is Severity.PAGE
    assert "panic-withdrawal" in {f.rule for f in verdict.findings}


@pytest.mark.parametrize("hidden", ["".join(f"x.com/{n} " for n in range(2_000)), "".join(f"a{n}.com " for n in range(600))])
def test_a_link_behind_very_many_others_in_a_reply_still_pages(hidden: str) -> None:
    assert say(post(f"@jo {hidden} acme-help.support", kind=Kind.REPLY))[0] is Severity.PAGE


@given(TEXT)
@settings(max_examples=100, deadline=None)
def test_the_same_values_give_the_same_verdict(text: str) -> None:
    queue = Queue([approved("Fees fall on Monday.")])
    assert judge(post(text), ACCOUNT, COMPANY, queue, RULES) == judge(post(text), ACCOUNT, COMPANY, queue, RULES)


def test_what_is_approved_is_exactly_what_was_registered() -> None:
    verdict = judge(post("Good morning."), ACCOUNT, COMPANY, Queue([approved("Good morning.")]), RULES)
    assert verdict.match == Exact(1)


def test_the_first_line_stays_short_however_many_rules_accuse() -> None:
    text = "Airdrop is live, connect your wallet, double your BTC, guaranteed profit, hacked by us, pay bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 evil.io"
    _, reason = say(post(text), Queue())
    assert re.search(r"(?:[^;]+; ){2}[^;]+ and \d more; nobody registered this post", reason)


def test_a_registered_post_with_a_part_that_nobody_compared_is_a_notice_that_names_the_part() -> None:
    queue = Queue([approved("Meet the team behind our custody desk.", media=1)])
    verdict = judge(post("Meet the team behind our custody desk.", media=(Media("photo"),)), ACCOUNT, COMPANY, queue, RULES)
    assert verdict.severity is Severity.NOTIFY
    assert isinstance(verdict.match, Exact)
    assert "not compared" in verdict.reason


@pytest.mark.parametrize(
    ("behind", "quiet"),
    [
        ("", True), (" 7", True), (" 123456789012", True), (" 2026-11-21T09:00:00Z", True), (" 2026-11-21 09:00", True), ("  7 ", True),
        (" 2026-11-21T09:00:00.123456+01:00", True), (" 20261121T090000Z", True),
        (" 1234567890123", False), (" 123456789012345678901234", False), (" 1-800-555-0199", False), (" 1 800 555 0199", False),
        (" +18005550199", False), (" 555.0199", False), (" #7", False), (" 7 8", False), ("7", False), (" 7!", False), ("\n7", False),
        (" 2026-13-21T09:00:00Z", False), (" 2026-11-21T29:00", False), (" 2026-11-21T09:00:00Z 7", False), (" 2026-11-21", False),
        (" 2026-11-21T09:00:00Z-800-555-0199", False), (" ７", False), (" ٧", False), (" 1800-55-50T19:90", False), (" 0800-11-10T19:10", False),
    ],
)  # fmt: skip
def test_behind_the_text_of_the_canary_stands_one_number_or_one_time(behind: str, quiet: bool) -> None:
    canary = replace(ACCOUNT, canary="hijack-monitor canary")
    verdict = judge(post(f"hijack-monitor canary{behind}"), canary, COMPANY, Queue(), RULES)
    assert (verdict.severity is Severity.CLEAR) is quiet


@pytest.mark.parametrize(
    "more",
    [{"shown": (("attached", "hologram 7"),)}, {"shown": (("community", "7"),)}, {"shown": (("place", "x"),)}, {"referenced_id": "99"}],
)
def test_the_canary_shows_its_text_and_nothing_else(more: dict[str, object]) -> None:
    canary = replace(ACCOUNT, canary="hijack-monitor canary")
    assert judge(post("hijack-monitor canary 7", **more), canary, COMPANY, Queue(), RULES).severity is Severity.PAGE


def test_a_text_of_the_canary_that_ends_in_a_sign_is_followed_by_its_number_at_once() -> None:
    canary = replace(ACCOUNT, canary="canary #")
    assert judge(post("canary #12"), canary, COMPANY, Queue(), RULES).severity is Severity.CLEAR
    assert judge(post("canary #12-3"), canary, COMPANY, Queue(), RULES).severity is Severity.PAGE


def test_a_slip_in_a_name_of_the_company_or_into_one_pages() -> None:
    square = replace(COMPANY, name="Square", domains=("square.example", "payments.example"), handles=("purses",))
    for registered, posted in (("square", "sqaure"), ("payments", "paymenst"), ("nurses", "nursses")):
        queue = Queue([approved(f"We are happy that the {registered} of this company are open now.")], vocabulary=words.load())
        verdict = judge(post(f"We are happy that the {posted} of this company are open now."), ACCOUNT, square, queue, RULES)
        assert (verdict.severity is Severity.NOTIFY) is (registered == "nurses")

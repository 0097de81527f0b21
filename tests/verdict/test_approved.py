"""Equality excuses, resemblance explains."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from monitor import words
from monitor.model import ApprovedPost, Exact, Kind, Media, Near, NoMatch, Post, ProfileChange
from monitor.verdict.approved import Queue
from monitor.verdict.critical import critical_tokens
from monitor.verdict.text import canonical

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ME = "x::1"


def approved(text: str, number: int = 1, **more: object) -> ApprovedPost:
    return replace(ApprovedPost(number, ME, Kind.POST, text, NOW - HOUR, NOW + HOUR), **more)  # type: ignore[arg-type]


def post(text: str, **more: object) -> Post:
    return replace(Post(ME, "100", Kind.POST, text, NOW, root_id="100"), **more)  # type: ignore[arg-type]


def test_equal_text_within_the_window_is_the_approved_post() -> None:
    assert Queue([approved("Fees fall on Monday.")]).match(post("Fees  fall on Monday.")) == Exact(1)


def test_a_link_typed_without_a_scheme_is_the_link_that_x_makes_of_it() -> None:
    assert Queue([approved("All of it at acme.bank/report")]).match(post("All of it at http://acme.bank/report")) == Exact(1)
    assert isinstance(
        Queue([approved("All of it at acme.bank/report")]).match(post("All of it at http://acme.bank.evil.io/report")), NoMatch
    )


@pytest.mark.parametrize(
    ("registration", "posted", "because"),
    [
        (approved("a b c d", account="x::2"), post("a b c d"), "for another account"),
        (approved("a b c d", kind=Kind.REPLY), post("a b c d"), "as a reply, and this is a post"),
        (approved("a b c d", withdrawn_at=NOW - HOUR), post("a b c d"), "was withdrawn at 2026-11-21 11:00:00 UTC"),
        (approved("a b c d", used_by="99", used_at=NOW), post("a b c d"), "already used at 2026-11-21 12:00:00 UTC"),
        (approved("a b c d"), post("a b c d", created_at=NOW + 2 * HOUR), "after its window"),
        (approved("a b c d"), post("a b c d", created_at=NOW - 2 * HOUR), "before its window"),
        (approved("a b c d"), post("a b c d", media=(Media("photo"),)), "with 1 picture or video was where no picture"),
        (approved("a b c d", media=1), post("a b c d"), "no picture or video was"),
        (approved("a b c d"), post("a b c d", card="https://evil.example/x"), "a link card that nobody registered"),
        (approved("a b c d"), post("a b c d", card="card://1899"), "a link card that nobody registered"),
        (approved("a b c d"), post("a b c d", links=("https://t.co/x",)), "with a link that they do not show"),
        (approved("a b c d"), post("a b c d", links=("https://evil.example/x",)), "with a link that they do not show"),
        (approved("a b c d"), post("a b c d", links=("https://bit.ly/x",)), "with a link that they do not show"),
    ],
)
def test_the_same_words_in_another_place_time_or_company_are_not_approved(registration: ApprovedPost, posted: Post, because: str) -> None:
    match = Queue([registration]).match(posted)
    assert isinstance(match, NoMatch)
    assert because in match.reason
    assert match.nearest == 1


def test_of_two_registrations_of_one_text_each_excuses_one_post() -> None:
    queue = Queue([approved("a b c d", 1, used_by="99", used_at=NOW), approved("a b c d", 2)])
    assert queue.match(post("a b c d")) == Exact(2)


def test_a_new_version_of_the_same_post_uses_the_same_approval() -> None:
    queue = Queue([approved("a b c d", used_by="99", used_at=NOW)])
    assert queue.match(post("a b c d", id="101", root_id="99")) == Exact(1)


def test_a_typo_is_near_and_says_what_differs() -> None:
    queue = Queue([approved("Our new custody service starts soon. https://acme.example/c")], vocabulary=words.load())
    match = queue.match(post("Our new custody servise starts soon. https://acme.example/c"))
    assert match == Near(1, ("“service” became “servise”",), words.version())


@pytest.mark.parametrize(
    ("registered", "posted"),
    [
        ("Withdrawals are open at https://acme.example/x", "Withdrawals are open at https://acme.exampel/x"),
        ("We do not merge with Beta", "We do now merge with Beta"),
        ("We never ask for your password here", "We ever ask for your password here"),
        ("Fees fall by 10 percent in May", "Fees fall by 90 percent in May"),
        ("One million users trust this place", "One billion users trust this place"),
        ("Trade $ACME with us this week", "Trade $ACNE with us this week"),
        ("Ask @acmesupport for help with this", "Ask @acmesuppott for help with this"),
        ("We hire twenty people in Lisbon", "We fire twenty people in Lisbon"),
        ("Deposit EUR to your account", "Deposit USD to your account"),
        ("Send it to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "Send it to bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"),
        ("The service starts on Monday", "The service starts on Sunday"),
        ("Our service is safe and open", "Our service is open"),
        ("Read the annual report of the board", "Read the casual retort of the beard"),
        ("Meet the service team", "Meet the sеrvice team"),
    ],
)
def test_a_resemblance_explains_the_page_but_never_excuses_it(registered: str, posted: str) -> None:
    match = Queue([approved(registered)], vocabulary=words.load()).match(post(posted))
    assert isinstance(match, NoMatch)


def test_the_nearest_registration_is_named_with_the_most_dangerous_difference_first() -> None:
    queue = Queue([approved("Trading competition: 50 places left. Register at https://acme.example/league"), approved("Else", 2)])
    match = queue.match(post("Trading competition: 60 places left. Register at https://acme-league.xyz/league"))
    assert isinstance(match, NoMatch)
    assert match.nearest == 1
    assert match.differences[0] == "“https://acme.example/league” became “https://acme-league.xyz/league”"
    assert any("“50” became “60”" in d for d in match.differences)


def test_an_approved_text_with_a_scam_appended_is_not_near() -> None:
    text = "word " * 200 + "https://acme.example/x"
    assert isinstance(Queue([approved(text)]).match(post(f"{text} and send coins")), NoMatch)


def test_a_profile_value_can_be_registered_and_is_used_once() -> None:
    queue = Queue([approved("Now in Lisbon.", kind=Kind.PROFILE, field="bio")])
    change = ProfileChange(ME, "bio", "Old", "Now in  Lisbon.", NOW)
    assert queue.match_change(change) == Exact(1)
    assert isinstance(queue.match_change(replace(change, field="name")), NoMatch)
    queue.add(approved("Now in Lisbon.", kind=Kind.PROFILE, field="bio", used_by="bio=Now in Berlin.", used_at=NOW))
    assert isinstance(queue.match_change(change), NoMatch)


def test_a_profile_registration_excuses_no_post() -> None:
    queue = Queue([approved("Now in Lisbon.", kind=Kind.PROFILE, field="bio")])
    assert isinstance(queue.match(post("Now in Lisbon.")), NoMatch)


WORDS = st.lists(
    st.sampled_from(["fees", "fall", "rise", "monday", "10", "not", "the", "a", "https://a.example/x", "$ACME", "@acme", "soon", "open"]),
    min_size=1,
    max_size=8,
)


@given(WORDS, WORDS)
@settings(max_examples=500, deadline=None)
def test_exact_is_equality_and_near_has_equal_critical_tokens(registered: list[str], posted: list[str]) -> None:
    one, other = " ".join(registered), " ".join(posted)
    match = Queue([approved(one)], vocabulary=words.load()).match(post(other))
    assert isinstance(match, Exact) == (canonical(one) == canonical(other))
    if isinstance(match, Near):
        assert critical_tokens(canonical(one)) == critical_tokens(canonical(other))


@given(st.lists(WORDS, max_size=6), WORDS)
@settings(max_examples=200, deadline=None)
def test_an_index_grown_one_by_one_answers_like_one_built_at_once(texts: list[list[str]], posted: list[str]) -> None:
    registrations = [approved(" ".join(t), n) for n, t in enumerate(texts, 1)]
    grown = Queue()
    for one in registrations:
        grown.add(one)
    assert grown.match(post(" ".join(posted))) == Queue(registrations).match(post(" ".join(posted)))


# --- the same answers as looking at every registration -------------------------------------------------

TEXTS = st.lists(
    st.sampled_from(["Fees", "fees", "fall", "fail", "rise", "Monday", "10", "20", "not", "the", "custody", "custodi", "service", "servise",
                     "https://a.example/x", "https://b.example/x", "$ACME", "@acme", "soon", "open", "opens", "Lisbon", "Lisboa", "we", "our"]),
    min_size=1, max_size=9,
).map(" ".join)  # fmt: skip


def by_looking_at_all(registrations: list[ApprovedPost], posted: Post) -> tuple[str, int | None]:
    """The kind of the match and which registration: one registration at a time, then the definition of nearest."""
    alone = {one.id: Queue([one], vocabulary=words.load()).match(posted) for one in registrations}
    exact = [i for i, m in alone.items() if isinstance(m, Exact)]
    if exact:
        return "Exact", min(exact)
    same_words = [i for i, m in alone.items() if isinstance(m, NoMatch) and m.similarity == 100 and not m.differences]
    if same_words:
        return "NoMatch", min(same_words)
    near = [i for i, m in alone.items() if isinstance(m, Near)]
    return ("Near", min(near)) if near else ("NoMatch", nearest(registrations, posted))


def nearest(registrations: list[ApprovedPost], posted: Post) -> int | None:
    forms = {one.id: canonical(one.text, one.links) for one in registrations}
    bags = {i: set(form.lower().split(" ")) for i, form in forms.items()}
    words = set(canonical(posted.text).lower().split(" "))
    counts = sorted((sum(w in bag for bag in bags.values()), w) for w in words)
    rare = [w for count, w in counts if count][:12]
    shared = {i: sum(w in bag for w in rare) for i, bag in bags.items()}
    most = max(shared.values(), default=0)
    best, score = None, 0.0
    for i in sorted(i for i, count in shared.items() if count == most and count)[:3]:
        ratio = fuzz.ratio(canonical(posted.text), forms[i])
        if ratio > score and ratio >= 40:
            best, score = i, ratio
    return best


@given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=12), TEXTS)
@settings(max_examples=600, deadline=None)
def test_the_index_answers_like_looking_at_every_registration(texts: list[tuple[str, bool]], posted: str) -> None:
    registrations = [approved(t, n, used_by="99" if used else "", used_at=NOW if used else None) for n, (t, used) in enumerate(texts, 1)]
    match = Queue(registrations, vocabulary=words.load()).match(post(posted))
    number = match.nearest if isinstance(match, NoMatch) else match.approved
    assert (type(match).__name__, number) == by_looking_at_all(registrations, post(posted))


@given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=12), TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_queue_that_forgot_is_one_that_never_knew(texts: list[tuple[str, bool]], posted: str) -> None:
    long_ago = NOW - 200 * 24 * HOUR
    registrations = [approved(t, n, **({"not_after": long_ago} if old else {})) for n, (t, old) in enumerate(texts, 1)]
    queue = Queue(registrations)
    queue.forget(NOW - 120 * 24 * HOUR)
    assert len(queue) == sum(not old for _, old in texts)
    assert queue.match(post(posted)) == Queue(r for r in registrations if r.not_after > long_ago).match(post(posted))


def test_differences_are_told_by_the_harm_they_do() -> None:
    registered = "On Monday we do not pay 50 EUR to @acme https://acme.example/a 1BoatSLRHtKNngkdXEeobR76b53LETtpyT"
    posted = "On Friday we do now pay 90 USD to @acne https://evil.io/a 1BoatSLRHtKNngkdXEeobR76b53LETtpyX"
    match = Queue([approved(registered)]).match(post(posted))
    assert isinstance(match, NoMatch)
    assert [d.split("”")[0].strip("“") for d in match.differences] == [
        "https://acme.example/a", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "@acme", "50", "EUR",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("registered", "posted"),
    [
        ("It is safe to sell it on the market", "It is safe to sale it on the market"),
        ("Deposits open for everybody in May", "Deposits close for everybody in May"),
        ("Your coins are secure with this service", "Your coins are secured with this service, "),
        ("Pay to acme.eth for the summit", "Pay to acne.eth for the summit"),
        ("Two hours of maintenance tonight", "Two days of maintenance tonight"),
        ("Wir zahlen nie ohne Beleg", "Wir zahlen nur ohne Beleg"),
    ],
)
def test_a_word_that_turns_the_meaning_is_no_typo(registered: str, posted: str) -> None:
    assert isinstance(Queue([approved(registered)], vocabulary=words.load()).match(post(posted)), NoMatch)


def test_a_registration_whose_account_is_known_now_is_found_under_it() -> None:
    text, author = approved("a b c d", 1), approved("", 2, kind=Kind.REPOST, author="partner")
    queue = Queue([replace(one, account="x::@acme") for one in (text, author)])
    reposted = replace(post("Anything"), kind=Kind.REPOST, referenced_author="partner")
    assert isinstance(queue.match(reposted), NoMatch)
    for one in (text, author):
        queue.add(one)
    assert isinstance(queue.match(post("a b c d")), Exact)
    assert isinstance(queue.match(reposted), Exact)
    queue.forget(text.not_after + timedelta(seconds=1))
    assert len(queue) == 0

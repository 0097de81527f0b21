"""Answers below a registered post and quotes of a registered author: nobody has read their words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.model import Account, Context, Kind, Media, Post, ProfileChange, Severity
from monitor.verdict import judge, judge_change
from monitor.verdict.approved import Queue
from tests.verdict.test_approved import NOW, approved, post
from tests.verdict.test_judge import COMPANY, RULES

ACCOUNT = Account("x", "1", "acme")  # every kind pages unless registered
UNDER = approved("", kind=Kind.REPLY, conversation="55")
PARTNER = approved("", 2, kind=Kind.QUOTE, author="partner")
PICTURE = (Media("photo", "https://pbs.twimg.com/media/a.jpg"),)
WALLET = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"


def reply(text: str, **more: object) -> Post:
    return post(text, kind=Kind.REPLY, conversation="55", referenced_id="60", **more)


def quote(text: str, **more: object) -> Post:
    return post(text, kind=Kind.QUOTE, referenced_id="60", referenced_author="partner", **more)


def worth(posted: Post, *more: object, answered: int = 0, **changed: object) -> tuple[Severity, str]:
    queue = Queue([replace(UNDER, **changed), PARTNER, *more])  # type: ignore[arg-type, list-item]
    verdict = judge(posted, ACCOUNT, COMPANY, queue, RULES, Context(answered=answered))
    return verdict.severity, verdict.reason


@pytest.mark.parametrize(
    "text", ["We are looking into it.", "@acme knows", "@jo @mo we are on it", "Thank you, 3 of 4 are back", "See https://acme.example/a"]
)
def test_answers_below_a_registered_post_are_recorded(text: str) -> None:
    start = len("@jo @mo ") if text.startswith("@jo") else 0
    assert worth(reply(text, automatic=start))[0] is Severity.RECORD


@pytest.mark.parametrize(
    "posted",
    [
        reply("Look", media=PICTURE),
        reply("Call us: +1 800 555 0199"),
        reply("Call us: 1-800-FLOWERS"),
        reply("WhatsApp ٠٥٠١٢٣٤٥٦٧"),
        reply("Write to @acme_help please"),
        reply("Write to ＠acme_help please"),
        reply("Write to @acme\u200b_help please"),
        reply("@jo @acme_help will sort it out", automatic=4),
        reply("(@acme_help)"),
        reply("See https://x.com/acme_help", links=("https://x.com/acme_help",)),
        reply("Ask x.com/acme_help"),
        reply("Write: https://x.com/messages/compose?recipient_id=666"),
        reply("Mail help@acme-support.net"),
        reply("Look", card="card://1899"),
        reply("Vote", shown=(("attached", "hologram 7"),)),
    ],
)
def test_answers_that_lead_elsewhere_without_a_link_are_a_notice(posted: Post) -> None:
    assert worth(posted)[0] is Severity.NOTIFY


@pytest.mark.parametrize(
    "posted",
    [
        reply("See bit.ly/x"),
        reply("See https://evil.example"),
        reply(f"Pay {WALLET}"),
        reply("Vote", shown=(("poll", "2 choices"),), poll=True),
    ],
)
def test_answers_that_lead_away_page(posted: Post) -> None:
    assert worth(posted)[0] is Severity.PAGE


@pytest.mark.parametrize(("most", "limit"), [(0, 50), (3, 3), (200, 200)])
def test_more_answers_than_expected_are_one_notice(most: int, limit: int) -> None:
    for answered, severity in ((0, Severity.RECORD), (limit - 1, Severity.RECORD), (limit, Severity.NOTIFY), (limit + 1, Severity.RECORD)):
        assert worth(reply("We are on it."), answered=answered, most=most)[0] is severity
    assert f"answer number {limit + 1} below this post" in worth(reply("We are on it."), answered=limit, most=most)[1]


def test_a_registered_answer_below_a_registered_post_is_clear() -> None:
    text = "Here is our picture of the week."
    assert worth(reply(text), approved(text, 3, kind=Kind.REPLY))[0] is Severity.CLEAR
    elsewhere = replace(reply(text), conversation="77")
    assert worth(elsewhere, approved(text, 3, kind=Kind.REPLY))[0] is Severity.NOTIFY
    assert worth(reply(text), approved(text, 3, kind=Kind.REPLY, shown=(("answers", "61"),)))[0] is Severity.RECORD, "as any answer here"


def test_a_quote_of_a_registered_author_without_words_is_clear() -> None:
    assert worth(quote(""))[0] is Severity.CLEAR


def test_words_beside_a_quote_need_a_registered_text() -> None:
    text = "So glad to do this together."
    severity, reason = worth(quote(text))
    assert severity is Severity.NOTIFY
    assert "nobody registered the words beside the quote" in reason
    registered = approved(text, 3, kind=Kind.QUOTE)
    assert worth(quote(text), registered)[0] is Severity.CLEAR
    assert worth(replace(quote(text), referenced_author="bandit"), registered)[0] is Severity.NOTIFY
    assert worth(quote(text), replace(registered, used_by="99"))[0] is Severity.NOTIFY
    assert worth(quote(text, answers="66"), registered)[0] is Severity.NOTIFY, "it stands below somebody's post"


@pytest.mark.parametrize(
    ("posted", "because"),
    [
        (quote("Read https://evil.example/a"), "Quote links to a foreign page"),
        (quote("", card="https://evil.example/a"), "Quote links to a foreign page"),
        (quote("Read bit.ly/x"), "Quote links to a foreign page"),
        (quote("", card="card://1899"), "Quote has a link card that leads nobody knows where"),
        (quote("", media=PICTURE), "Quote has a picture or video"),
        (quote("", media=(Media("video"),)), "Quote has a picture or video"),
        (quote("Call +1 800 555 0199"), "Quote names a phone number"),
        (quote("Call (0800) 123456"), "Quote names a phone number"),
        (quote(f"Pay {WALLET}"), "Wallet address that is not ours"),
        (quote("Pay acme-fund.eth"), "Quote names a wallet that is not ours"),
        (quote("Vote", shown=(("poll", "2 choices"),), poll=True), "Quote with a poll"),
        (quote("", shown=(("community", "1"),)), "Quote in a community"),
    ],
)
def test_a_quote_of_a_registered_author_that_leads_away_pages(posted: Post, because: str) -> None:
    severity, reason = worth(posted)
    assert severity is Severity.PAGE
    assert because in reason


def test_our_own_wallet_and_page_beside_a_quote_are_a_notice_like_other_words() -> None:
    assert worth(quote("Pay 1BoatSLRHtKNngkdXEeobR76b53LETtpyT"))[0] is Severity.NOTIFY
    assert worth(quote("Read https://acme.example/a"))[0] is Severity.NOTIFY


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("@jo see https://x.com/acme_help", Severity.NOTIFY), ("@jo ask twitter.com/@acme_help.", Severity.NOTIFY),
        ("@jo https://x.com/messages/compose?recipient_id=666", Severity.NOTIFY), ("@jo x.com/intent/user?screen_name=acme_help", Severity.NOTIFY),
        ("@jo mail acme.help@gmail.com", Severity.NOTIFY), ("@jo mail help@acmé-help.io", Severity.NOTIFY), ("@jo mail help@acme.example.evil.io", Severity.NOTIFY), ("a@acme.example " * 300 + "a@evil.io", Severity.NOTIFY),
        ("@jo see https://x.com/acme/status/1", Severity.RECORD), ("@jo https://x.com/messages/compose?recipient_id=1", Severity.RECORD),
        ("@jo see https://x.com/i/spaces/1", Severity.RECORD), ("@jo mail support@acme.example or @acme", Severity.RECORD),
        ("@jo mail support@eu.acme.example.", Severity.RECORD), ("@jo we met @partner", Severity.RECORD),
    ],
)  # fmt: skip
def test_a_reply_that_nobody_registered_names_no_contact_in_silence(text: str, worth: Severity) -> None:
    gentle = replace(ACCOUNT, unapproved=((Kind.REPLY, Severity.RECORD),))
    assert judge(post(text, kind=Kind.REPLY), gentle, COMPANY, Queue(), RULES).severity is worth


@pytest.mark.parametrize("bio", ["Help: x.com/acme_help", "Help: https://twitter.com/acme_help", "Write to help@acme-support.net"])
def test_a_bio_that_names_a_contact_by_its_address_pages(bio: str) -> None:
    change = ProfileChange("x::1", "bio", "Trade with us.", bio, NOW)
    assert judge_change(change, COMPANY, Queue(), RULES).severity is Severity.PAGE

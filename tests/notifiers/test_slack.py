"""The message people are woken by: hostile text in every place, Slack's limits, Slack's refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import safe
from monitor.model import (
    Finding,
    Incident,
    Media,
    Near,
    NoMatch,
    Page,
    PageKind,
    Post,
    ProfileChange,
    Severity,
    State,
    Unreadable,
    Verdict,
)
from monitor.model import Kind as PostKind
from monitor.notifiers.interface import Letter, Refusal
from monitor.notifiers.slack.api import classified
from monitor.notifiers.slack.message import Look, arguments, mention, runbook_messages
from monitor.post_rows import Kept
from monitor.simulator.slack import _refused
from tests.conftest import START
from tests.verdict.test_text import TEXT

CORPUS = [
    "<!channel> <!here> <!everyone> <@U01ALICE> <!subteam^S1> <https://evil.example|bank.com> <mailto:x@y.io|y> <!date^0^{date}|x>",
    "&lt;!here&gt; &amp;lt;!here&amp;gt;",
    "*b* _i_ ~s~ `c` ```d``` > quote :rotating_light: @here @channel #general",
    "http://evil.com evil.xyz/1 HTTPS://EVIL.COM ftp://evil.io x.com/acme sub.evil.co.uk:8080",
    "\u202eevil\u202c \u200b\u2066x\u2069 \u0000 \x1b[31m \x07 \ud800",
    "👨‍👩‍👧‍👦" * 3_000,
    "e" + "\u0301" * 700,
    "   \n\n\t ",
    "",
    "ack",
    "resolve",
    "a" * 25_000,
    "&" * 25_000,
    "<" * 25_000,
    "\n" * 5_000,
    "{}[]\"'\\ %s %(x)s {0} ${x}",
    "evil[.]com evil.com.",
]
OURS = {"<!subteam^S0SOCIAL>", "<!channel>", "<https://x.com/i/web/status/12|the post on X>"}


def verdict(text: str) -> Verdict:
    finding = Finding("taunt", 1, Severity.PAGE, "Boasts", (text, text), text, text)
    return Verdict(Severity.PAGE, "nobody registered this post", NoMatch("nobody", 3, 60, (text, text)), (finding,), (text[:200],))


def kept(text: str, number: int = 12) -> Kept:
    post = Post(
        "x::1", str(number), PostKind.POST, text, START, media=(Media("photo", "", text),), url=f"https://x.com/i/web/status/{number}"
    )
    return Kept(post, verdict(text), START, 1, baseline=False, deleted_at=None, rulebook="r", evidence=None)


def letters(text: str) -> Iterator[Letter]:
    """A hostile text in every place of every kind of message in every state."""
    change = ProfileChange("x::1", "bio", text, text, START)
    items = [kept(text), replace(kept(text, 13), deleted_at=START), replace(kept(text), post=change),
             replace(kept(text), post=Unreadable("x::1", "u", text, START)),
             replace(kept(text), verdict=Verdict(Severity.NOTIFY, text, Near(3, (text,))))]  # fmt: skip
    for state in State:
        incident = Incident(
            1, "x::1", f"@{text[:30]} on X", Severity.PAGE, "Unapproved post", text, START, START, state, 5, (text[:200],),
            acknowledged_by=text, acknowledged_at=START, resolved_by=text, resolved_at=START, cause=text,
        )  # fmt: skip
        for kind in PageKind:
            page = Page(1, "k", 1, "slack", kind, f"first; {text}", START, ("S0SOCIAL", "channel"))
            for subject in ("silence:3", "blind:slack", "replay::drill"):
                one = replace(incident, subject=subject, silence=1, outcome="approved", holder=text[:20])
                yield Letter(page, one, tuple(items[:1]), START, "1.2", START, text[:50], "k", START, "Buttons may not work")
            for posts in ((), tuple(items[:1]), tuple(items), (items[2],)):
                yield Letter(page, incident, posts, START, "1.2", START, "S0SECONDARY")
                yield Letter(replace(page, plain=True), incident, posts, START, "1.2", START, "S0SECONDARY")


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every string under a key `text`, with the types of the blocks around it."""
    if isinstance(value, dict):
        here = (*path, str(value.get("type", "")))
        for key, inner in value.items():
            if key == "text" and isinstance(inner, str):
                yield here, inner
            else:
                yield from leaves(inner, here)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)


LIVE = re.compile(r"(?i)https?://(?!x\.com/i/web/status/\d)|[^\s.\[\]]\.(?:com|io|xyz|example)\b")


LOOK = Look("https://runbooks.acme.example/hijack", "<!channel> call <@U01ALICE> & *lock* the account\u202e\n" * 300)


def check(letter: Letter) -> None:
    check_message(arguments(letter, LOOK))


def check_message(message: dict[str, Any]) -> None:
    """Walk the finished JSON; trust no call site."""
    raw = json.dumps(message, ensure_ascii=False)
    raw.encode("utf-8")
    assert _refused(message, 4_000) == "", "Slack's limits"
    assert len(raw) < 13_000
    assert (message["parse"], message["link_names"]) == ("none", False)
    assert raw.count('"mrkdwn", "verbatim": true') == raw.count('"type": "mrkdwn"'), "nothing is linked by itself"
    assert raw.count('"plain_text", "emoji": false') == raw.count('"type": "plain_text"')
    for path, text in [*leaves(message.get("blocks", [])), (("mrkdwn",), message["text"])]:
        assert text.strip()
        assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u061c\x00-\x09\x0b-\x1f\x7f]", text)
        assert not LIVE.search(re.sub(r"<https://x\.com/i/web/status/\d+\|the post on X>", "", text)), text[:300]
        if "rich_text" not in path and "plain_text" not in path:
            ours = re.sub(r"<!date\^\d+\^\{time_secs\}\|\d\d:\d\d:\d\d UTC>", "", text)  # each reader's own time
            live = {re.sub(r"status/\d+\|", "status/12|", found) for found in re.findall("<[^>]*>", ours)}
            assert live <= OURS, text[:300]
            assert not re.search(r"&(?!amp;|lt;|gt;)", text)


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_no_hostile_text_gets_out_of_its_place(text: str) -> None:
    for letter in letters(text):
        check(letter)


@given(TEXT)
@settings(max_examples=60, deadline=None)
def test_no_text_at_all_gets_out_of_its_place_or_makes_the_renderer_raise(text: str) -> None:
    for letter in letters(text):
        check(letter)


def test_the_first_two_lines_suffice_at_three_in_the_morning() -> None:
    incident = Incident(42, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody registered this post", START, START, posts=1)
    page = Page(1, "k", 42, "slack", PageKind.ROOT, "first", START, ("S0SOCIAL",))
    message = arguments(Letter(page, incident, (kept("Take your BTC and run."),), START, "", START.replace(minute=5), "S0SECONDARY"))
    first, second = (t for _, t in list(leaves(message["blocks"]))[:2])
    assert first == "🔴 Unapproved post: @acme on X · INC-42"
    assert second == (
        f"<!subteam^S0SOCIAL> *Nobody registered this post.* Posted <!date^{int(START.timestamp())}^{{time_secs}}|03:00:00 UTC>, seen 0 s later. "
        f"*Acknowledge by <!date^{int(START.timestamp()) + 300}^{{time_secs}}|03:05:00 UTC>* or it pages again and also wakes S0SECONDARY."
    )
    assert message["text"].startswith("🔴 Unapproved post: @acme on X · INC-42. Take your BTC and run.")


def test_the_post_is_shown_as_literal_text() -> None:
    message = arguments(next(letters("*FREE* <!channel> https://evil.example/x")))
    quotes = [b for b in message["blocks"] if b["type"] == "rich_text"]
    said = quotes[0]["elements"][0]["elements"][0] if quotes[0]["elements"] else {}
    assert said["type"] == "text"


def test_mentions_are_written_as_slack_writes_them() -> None:
    assert [mention(m) for m in ("channel", "S1", "U1", "W1")] == ["<!channel>", "<!subteam^S1>", "<@U1>", "<@W1>"]


class Response:
    def __init__(self, status: int, data: object, headers: dict[str, str] | None = None) -> None:
        self.status_code, self.data, self.headers = status, data, headers or {}


@pytest.mark.parametrize(
    ("status", "data", "refusal"),
    [
        (429, {"ok": False, "error": "ratelimited"}, Refusal.SLOW_DOWN),
        (200, {"ok": False, "error": "message_limit_exceeded"}, Refusal.DESTINATION),
        (503, {}, Refusal.NOT_ACCEPTED),
        (200, {}, Refusal.NOT_ACCEPTED),
        (200, {"ok": False, "error": "service_unavailable"}, Refusal.NOT_ACCEPTED),
        (200, None, Refusal.UNKNOWN),
        (500, {}, Refusal.UNKNOWN),
        (200, {"ok": False, "error": "internal_error"}, Refusal.UNKNOWN),
        (200, {"ok": False, "error": "fatal_error"}, Refusal.UNKNOWN),
        (200, {"ok": False, "error": "a_string_nobody_knows"}, Refusal.UNKNOWN),
        (200, {"ok": False, "error": "token_revoked"}, Refusal.CREDENTIALS),
        (200, {"ok": False, "error": "missing_scope"}, Refusal.CREDENTIALS),
        (200, {"ok": False, "error": "channel_not_found"}, Refusal.DESTINATION),
        (200, {"ok": False, "error": "is_archived"}, Refusal.DESTINATION),
        (200, {"ok": False, "error": "invalid_blocks"}, Refusal.CONTENT),
        (200, {"ok": False, "error": "msg_blocks_too_long"}, Refusal.CONTENT),
        (200, {"ok": False, "error": "message_not_found"}, Refusal.LOST),
    ],
)
def test_what_each_refusal_means(status: int, data: object, refusal: Refusal) -> None:
    assert classified(Response(status, data)).refusal is refusal


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("soon", 0), ("inf", 0), ("99999", 300), ("0", 1)])
def test_how_long_slack_wants_us_to_wait(header: str, seconds: float) -> None:
    assert classified(Response(429, {}, {"Retry-After": header})).retry_after == seconds


def test_a_runbook_is_told_whole_in_messages_that_slack_takes() -> None:
    lines = [f"{n}. Revoke <sessions> & tokens 🔥 of account {n}" for n in range(350)]
    told = runbook_messages("\n".join(lines))
    assert len(told) == 3
    assert all(safe.units("".join(message)) < 8_000 and all(safe.units(part) <= 3_000 for part in message) for message in told)
    assert "".join(part for message in told for part in message).split("\n") == [
        line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines
    ]
    assert all(part.endswith("\n") for message in told for part in message[:-1]), "no line is broken"
    long = runbook_messages("\n" + "&" * 40_000)
    assert len(long) == 5
    assert all(re.fullmatch("(&amp;)+", part) for message in long[:4] for part in message), "no entity is broken"
    assert "The rest of the runbook is in its file" in long[4][-1]


@given(st.text(st.sampled_from("a&<é\u0301\u200d👨👩👧🏽🔥\n "), max_size=80), st.integers(2, 40))
def test_what_is_cut_for_slack_fits_in_utf_16_and_ends_with_a_whole_sign(text: str, limit: int) -> None:
    shown = safe.clean(text, limit)
    assert safe.units(shown) <= limit
    assert shown == safe.clean(text, 1_000) or shown.endswith("…")
    shown.encode("utf-8")
    assert safe.units(safe.cut_markup(text, limit)) <= limit
    assert "".join(safe.pieces(text, 20)) == text


def test_a_family_is_not_cut_to_a_father() -> None:
    family, hand = "👨\u200d👩\u200d👧", "👍🏽"
    assert safe.clean(f"ab{family}cd", 8) == "ab…"
    assert safe.clean(f"ab{hand}cd", 5) == "ab…"
    assert safe.clean("abe\u0301cd", 4) == "ab…"

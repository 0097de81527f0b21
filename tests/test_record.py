"""What is stored of a noun is what is not as usual; both this form and the whole one of earlier versions are read."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields
from datetime import datetime
from typing import Any

import pytest

from monitor import record
from monitor.model import Context, Exact, Finding, Kind, Media, Near, NoMatch, Original, Post, ProfileChange, Severity, Unreadable, Verdict
from tests.conftest import START

BARE = Post("x::1", "7", Kind.POST, "Good morning.", START, "7")
FULL = Post(
    "x::1", "8", Kind.QUOTE, "Guten Morgen ☀", START, "7", 2, ("https://acme.example",), (Media("photo", "https://a", "alt", "ab", "no"),),
    "https://card", "9", "them", "everyone", "de", "https://x.com/i/web/status/8", "6", True, (("https://s", "https://l"),), (Kind.REPLY,),
    ("7", "8"), ("the rest",), Original("x::1", START, "shown", ("https://o",)), "5", 3, (("place", "p"),),
)  # fmt: skip
ITEMS = (
    BARE, FULL, Unreadable("x::1", "7", "why", START), Unreadable("x::1", "7", "why", START, "text", -1),
    ProfileChange("x::1", "name", "Acme", "Tesla", START), ProfileChange("x::1", "pinned_post", "", "7", START, Original("", START, "t")),
)  # fmt: skip
VERDICTS = (
    Verdict(Severity.CLEAR, "registered post #1", Exact(1)),
    Verdict(Severity.NOTIFY, "r", Exact(1, "note", words=False, caveats=("c",)), (), ("foreign.example",)),
    Verdict(Severity.NOTIFY, "near", Near(1, ("a",), "english 1")),
    Verdict(Severity.PAGE, "nobody", NoMatch("nobody"), (Finding("rule", 1, Severity.PAGE, "t"),)),
    Verdict(Severity.PAGE, "nobody", NoMatch("nobody", 3, 90, ("d",)), (Finding("rule", 1, Severity.PAGE, "t", ("e",), "why", "do", True),)),
)  # fmt: skip
DEFAULTS: dict[type, dict[str, Any]] = {
    Post: {"root_id": "", "version": 1, "links": (), "media": (), "card": "", "referenced_id": "", "referenced_author": "", "reply_settings": "",
           "lang": "", "url": "", "conversation": "", "poll": False, "unwound": (), "forms": (), "versions": (), "unread": (), "original": None,
           "answers": "", "automatic": 0, "shown": ()},
    Media: {"url": "", "alt_text": "", "hash": "", "doubt": ""},
    Original: {"links": ()},
    Unreadable: {"text": "", "version": 0},
    ProfileChange: {"original": None},
    Verdict: {"findings": (), "hosts": ()},
    Finding: {"evidence": (), "why": "", "do": "", "shadow": False},
    Exact: {"note": "", "words": True, "caveats": ()},
    Near: {"words": ""},
    NoMatch: {"nearest": None, "similarity": 0, "differences": ()},
    Context: {"signals": (), "listed": (), "original": None, "answered": 0},
}  # fmt: skip


def _as_before(value: Any) -> str:
    """The form of earlier versions: every field."""
    named = {"noun": type(value).__name__} if not isinstance(value, Verdict) else {}
    data = named | asdict(value)
    if isinstance(value, Verdict):
        data["match"]["kind"] = type(value.match).__name__
    return json.dumps(data, default=lambda when: record.stamp(when) if isinstance(when, datetime) else None)


@pytest.mark.parametrize("noun", DEFAULTS)
def test_no_default_changes_for_what_is_usual_is_not_written_down(noun: type) -> None:
    assert {f.name: f.default for f in fields(noun) if f.default is not MISSING} == DEFAULTS[noun]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_an_item_comes_back_from_both_forms(item: Any) -> None:
    assert record.stored(json.loads(record.dump(item))) == item
    assert record.stored(json.loads(_as_before(item))) == item


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.reason)
def test_a_verdict_comes_back_from_both_forms(verdict: Verdict) -> None:
    assert record.verdict(json.loads(record.dump_verdict(verdict))) == verdict
    assert record.verdict(json.loads(_as_before(verdict))) == verdict


def test_the_usual_is_not_written_down() -> None:
    assert json.loads(record.dump(BARE)) == {
        "noun": "Post", "account": "x::1", "id": "7", "kind": "post", "text": "Good morning.", "created_at": "2026-11-21T03:00:00.000000+00:00",
        "root_id": "7", "version": 1,
    }  # fmt: skip
    assert record.dump_verdict(VERDICTS[0]) == '{"severity":0,"reason":"registered post #1","match":{"approved":1,"kind":"Exact"}}'
    assert record.dump_context(Context()) == "{}"

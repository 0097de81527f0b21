"""Where a registered post may stand: written by people, read back from the store, held against what X shows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import desk, planning, references
from monitor.model import Account, Exact, Kind, NoMatch, Post, Severity
from monitor.planning import Bad, Elsewhere, Plan, Reading
from monitor.post_rows import Kept
from monitor.verdict.shown_parts import parts
from tests.conftest import START, World, world

ID = "1993000000000000000"


@pytest.mark.parametrize(
    "written",
    [
        ID,
        f"https://x.com/acme/status/{ID}",
        f"http://twitter.com/acme/status/{ID}?s=20&t=abc",
        f"https://mobile.twitter.com/acme/status/{ID}/photo/1",
        f"https://x.com/i/web/status/{ID}",
        f"https://x.com/i/status/{ID}#m",
        f"https://www.x.com/acme/statuses/{ID}/",
        f"HTTPS://X.com/Acme/status/{ID}",
        f"x.com/acme/status/{ID}",
    ],
)
def test_a_post_is_named_by_its_id_or_link(written: str) -> None:
    assert references.post_named("quotes", written) == ID


@pytest.mark.parametrize(
    "written",
    ["", "abc", "0", "-5", "１２３", "12345678901234567890", "https://x.com/acme", f"https://evil.example/acme/status/{ID}", f"https://x.com.evil.example/a/status/{ID}",
     f"https://x.com/acme/status/{ID}abc", f"https://x.com/acme/status/{ID} and more", f"{ID}?s=20", "https://x.com/acme/status/", f"https://x.com/acme/likes/{ID}"],
)  # fmt: skip
def test_anything_else_is_refused_with_what_was_expected(written: str) -> None:
    with pytest.raises(ValueError, match="expected a post's id, like 1993000000000000000, or its link"):
        references.post_named("quotes", written)


@given(st.text(max_size=60))
def test_no_text_is_taken_for_a_post_that_is_none(written: str) -> None:
    try:
        found = references.post_named("quotes", written)
    except ValueError:
        return
    assert found.isascii()
    assert found.isdigit()
    assert found in written


def test_what_it_names_says_what_kind_of_post_it_is() -> None:
    for name, kind in (("quotes", Kind.QUOTE), ("reposts", Kind.REPOST), ("answers", Kind.POST)):
        assert references.named(Kind.POST, {name: ID}) == (kind, ((name, ID),))
    assert references.named(Kind.REPLY, {"answers": ID}) == (Kind.REPLY, (("answers", ID),))
    assert references.named(Kind.REPLY, {"answers": ID, "quotes": "7"})[0] is Kind.QUOTE
    assert references.named(Kind.POST, {"parts": ["place=1,2", "paid = yes"]})[1] == (("place", "1,2"), ("paid", "yes"))
    assert references.named(Kind.POST, {"parts": "place=1,2 | replies=following"})[1] == (("place", "1,2"), ("replies", "following"))
    assert references.named(Kind.POST, {"poll": "Yes | No"})[1] == (("poll", "2 choices"),)
    assert references.with_choices("Well?", {"poll": ["Yes", "No"]}) == "Well?\n- Yes\n- No"


@pytest.mark.parametrize(
    ("kind", "given_", "because"),
    [
        (Kind.POST, {"quotes": ID, "reposts": ID}, "give quotes or reposts"),
        (Kind.REPOST, {"answers": ID}, "answers: a repost has none"),
        (Kind.REPLY, {"reposts": ID}, "reposts: a reply has none"),
        (Kind.LIVE, {"quotes": ID}, "quotes: a live has none"),
        (Kind.PROFILE, {"answers": ID}, "answers: a profile has none"),
        (Kind.POST, {"poll": "Yes"}, "found 1 choice"),
        (Kind.POST, {"poll": list("abcde")}, "2 to 4 choices"),
        (Kind.POST, {"parts": ["paid"]}, "expected NAME=VALUE"),
        (Kind.POST, {"parts": ["colour=red"]}, "expected NAME=VALUE"),
        (Kind.POST, {"parts": ["quotes=5"]}, "expected NAME=VALUE"),
    ],
)
def test_what_no_post_can_be_is_refused(kind: Kind, given_: dict[str, object], because: str) -> None:
    with pytest.raises(ValueError, match=because):
        references.named(kind, given_)


# --- columns ----------------------------------------------------------------------------------------------------------------

HOW = Reading((Account("x", "2244994945", "acme"),))


def imported(folder: Path, rows: list[dict[str, str]]) -> list[Plan | Bad | Elsewhere]:
    file = folder / "plan.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = folder / "plan.jsonl"
    lines.write_text("\n".join(json.dumps({k: v for k, v in row.items() if v}) for row in rows), encoding="utf-8")
    found, again = ([plan for _, plan in planning.read(path, HOW, START).rows] for path in (file, lines))
    assert [getattr(p, "shown", p) for p in found] == [getattr(p, "shown", p) for p in again]
    return found


def test_columns_name_what_a_row_quotes_answers_and_reposts(tmp_path: Path) -> None:
    link = f"https://x.com/partner/status/{ID}?s=20"
    empty = {"text": "", "quotes": "", "answers": "", "reposts": "", "poll": "", "parts": ""}
    rows = [{"text": "Look.", "quotes": link}, {"text": "Yes.", "answers": ID}, {"reposts": link}, {"text": "Well?", "poll": "Yes|No"}, {"text": "Plain."},
            {"text": "Look.", "quotes": "yesterday's"}, {"text": "Here.", "parts": "community=55"}, {"quotes": ID}]  # fmt: skip
    plans = imported(tmp_path, [empty | row for row in rows])
    shown = [plan.shown if isinstance(plan, Plan) else plan.reason for plan in plans]
    assert shown[:5] == [(("quotes", ID),), (("answers", ID),), (("reposts", ID),), (("poll", "2 choices"),), ()]
    assert "quotes: found \"yesterday's\", expected a post's id" in shown[5]
    assert shown[6:] == [(("community", "55"),), "no text, and no picture"]
    kinds = [plan.kind for plan in plans if isinstance(plan, Plan)]
    assert kinds == [Kind.QUOTE, Kind.POST, Kind.REPOST, Kind.POST, Kind.POST, Kind.POST]
    assert [p.text for p in plans if isinstance(p, Plan)][2:4] == ["", "Well?\n- Yes\n- No"]
    again = imported(tmp_path, [empty | row for row in rows])
    assert len({p.external_id for p in [*plans, *again] if isinstance(p, Plan)}) == 6, "the same rows are the same registrations"


# --- the whole way ----------------------------------------------------------------------------------------------------------


def judged(w: World) -> list[Kept]:
    """What was posted since the baseline; each verdict comes out the same from what is stored."""
    kept = w.service.store.posts("baseline = 0 AND kind != 'profile'")
    assert [desk.recompute(w.service.store, k) for k in kept] == [k.verdict for k in kept]
    return kept


async def after(w: World, *acts: Callable[[], object]) -> list[Severity]:
    before = len(judged(w))
    for act in acts:
        act()
        await w.run(2)
    return [k.verdict.severity for k in judged(w)[before:]]


async def test_a_registered_text_below_a_strangers_post_is_not_silent(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for text in ("Support is open.", "We fixed it.", "Our roadmap is out.", "Fees fall on Monday, all of them."):
            w.register(text)
        w.register("Here is how it works.", kind=Kind.QUOTE)
        w.register("Here is how it helps.", kind=Kind.QUOTE, shown=(("quotes", "1700000000000000001"),))
        w.register("Yes, on Monday.", kind=Kind.REPLY, shown=(("answers", "666"),))
        found = await after(
            w,
            lambda: w.x.reply("acme", "@bandit Support is open.", under="555"),
            lambda: w.x.reply("acme", "We fixed it.", under="555"),
            lambda: w.x.quote("acme", "Our roadmap is out.", "bandit"),
            lambda: w.x.post("acme", "Fees fall on Monday, all of them."),
            lambda: w.x.quote("acme", "Here is how it works.", "bandit"),
            lambda: w.x.quote("acme", "Here is how it helps.", "bandit", "1700000000000000002"),
            lambda: w.x.reply("acme", "@bandit Yes, on Monday.", under="555"),
            lambda: w.x.reply("acme", "@bandit Yes, on Monday.", under="666"),
        )
        notice, page, clear = Severity.NOTIFY, Severity.PAGE, Severity.CLEAR
        assert found == [notice, notice, page, clear, notice, page, page, clear]
        assert len(w.slack.waking()) == 1


async def test_a_reply_to_our_own_post_outside_a_thread_needs_a_name(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("One.")
        w.register("Two, of which more tomorrow.")
        w.register("Three, of which more tomorrow.")
        one = w.x.post("acme", "One.")
        await w.run(2)
        w.register("Four, of which more tomorrow.", shown=(("answers", one),))
        found = await after(
            w,
            lambda: w.x.reply("acme", "Two, of which more tomorrow.", under=one),
            lambda: w.x.reply("acme", "Four, of which more tomorrow.", under=one),
            lambda: w.x.post("acme", "Three, of which more tomorrow."),
        )
        assert found == [Severity.NOTIFY, Severity.CLEAR, Severity.CLEAR]


async def test_every_other_part_that_a_reader_sees_is_compared(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        text = "Which coin do you want next?"
        for _ in range(7):
            w.register(text)
        w.register(f"{text}\n- Yes\n- No", shown=(("poll", "2 choices"),))
        found = await after(
            w,
            lambda: w.x.post("acme", text, community_id="1493446837214187523"),
            lambda: w.x.post("acme", text, poll=("Yes", "No")),
            lambda: w.x.post("acme", text, attachments={"poll_ids": ["71"]}),
            lambda: w.x.post("acme", text, geo={"place_id": "01a9a39529b27f36"}),
            lambda: w.x.post("acme", text, reply_settings="following"),
            lambda: w.x.post("acme", text, paid_partnership=True),
            lambda: w.x.post("acme", text, scopes={"followers": True}),
        )
        assert found == [Severity.PAGE, Severity.CLEAR, Severity.PAGE, *[Severity.NOTIFY] * 4]
        first = judged(w)[0]
        assert isinstance(first.post, Post)
        assert parts(first.post) == {"community": "1493446837214187523"}
        assert "in a community that nobody registered" in first.verdict.reason


async def test_answers_below_a_registered_post_are_counted_and_told_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", kind=Kind.REPLY, conversation="555", most=3)
        acts = [lambda n=n: w.x.reply("acme", f"@jo{n} we are on it", under="555") for n in range(5)]
        assert await after(w, *acts) == [Severity.RECORD] * 3 + [Severity.NOTIFY, Severity.RECORD]
        found = await after(
            w,
            lambda: w.x.reply("acme", "@jo call 1-800-555-0199", under="555"),
            lambda: w.x.reply("acme", "@jo ask @acme_help", under="555"),
        )
        assert found == [Severity.NOTIFY, Severity.NOTIFY]
        assert [k.context.answered for k in judged(w)] == [0, 1, 2, 3, 4, 4, 4]


async def test_answers_read_in_one_batch_are_counted_one_by_one(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", kind=Kind.REPLY, conversation="555", most=2)
        for n in range(5):
            w.x.reply("acme", f"@jo{n} we are on it", under="555")
            w.clock.move(0.01)
        await w.run(3)
        assert [k.verdict.severity for k in judged(w)] == [Severity.RECORD] * 2 + [Severity.NOTIFY] + [Severity.RECORD] * 2


async def test_a_repost_is_registered_by_the_post_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", kind=Kind.REPOST, shown=(("reposts", "1700000000000000001"),))
        found = await after(
            w,
            lambda: w.x.repost("acme", "partner", "We open a shop with Acme", "1700000000000000001"),
            lambda: w.x.repost("acme", "partner", "We open a shop with Acme", "1700000000000000002"),
        )
        assert found == [Severity.CLEAR, Severity.PAGE]
        assert isinstance(judged(w)[0].verdict.match, Exact)
        assert isinstance(judged(w)[1].verdict.match, NoMatch)


async def test_a_thread_below_a_named_post_goes_by(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(
            "@jo Five things.",
            kind=Kind.REPLY,
            more=("First: uptime.", "Second: honesty."),
            shown=(("answers", "555"), ("replies", "following")),
        )
        first = w.x.reply("acme", "@jo Five things.", under="555", reply_settings="following")
        await w.run(2)
        second = w.x.reply("acme", "First: uptime.", under=first, conversation_id="555", reply_settings="following")
        await w.run(2)
        w.x.reply("acme", "Second: honesty.", under=second, conversation_id="555", reply_settings="following")
        await w.run(2)
        assert [k.verdict.severity for k in judged(w)] == [Severity.CLEAR] * 3

"""Somebody asks us to forget a post: nothing of what it said is left, in no row, no byte and no message of ours."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import assume, example, given
from hypothesis import strategies as st

from monitor import backup, desk, forget, holds, post_rows, record, report, restore, safe
from monitor.cli import main
from monitor.desk import DeskError
from monitor.model import Human, Redacted
from monitor.quotations import Quotations, without_quotes
from monitor.quotations import holds as answer_holds
from monitor.report_check import verify
from monitor.store import Store
from tests.conftest import World, world
from tests.test_after_restore import KEY
from tests.test_report import SECRET
from tests.test_retention import ACCOUNT, acts, end, read_again, values

SCAM = "Claim your free pangolin now, only today at https://acme-share.xyz/claim"
WORDS = ("pangolin", "acme-share", "acme-share[.]xyz")
ASKED = "a request by the author of 3 March"


async def hijack(w: World) -> str:
    """It pages, is acknowledged with a note that quotes it, and is over."""
    identifier = w.x.post("acme", SCAM)
    await w.run(3)
    with w.service.store.transaction():
        w.service.store.keep_words(w.service.store.posts("id = ?", (identifier,))[0].post, ["free pangolin now"])  # type: ignore[arg-type]
        w.service.outbox.mention(1, f"the platform showed “{SCAM}” late", w.clock())
    await w.run(40)
    w.slack.say("U02BOB", f"what is this: {SCAM}", w.slack.waking()[0].ts)
    await w.run(40)
    with w.service.store.transaction():
        for verb in ("acknowledge", "resolve"):
            human = Human(verb, "alice", "a test", w.clock(), f"she wrote “{SCAM}”", cause="hijack" if verb == "resolve" else "")
            assert not w.service.outbox.act(1, human)
    await w.run(60)
    return identifier


def gone(store: Store) -> bool:
    return not any(word in values(store) for word in WORDS)


def in_bytes(path: Path) -> list[str]:
    """The files beside the database that hold a word of it."""
    return [f.name for f in path.parent.glob(f"{path.name}*") if any(word.encode() in f.read_bytes() for word in WORDS)]


async def test_nothing_of_it_is_left_in_any_row_any_byte_or_any_message(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        store = w.service.store
        assert not gone(store)
        assert in_bytes(store.path)
        before = post_rows.said(store.sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts WHERE id = ?", [identifier]).fetchone()).post
        forget.forget(store, identifier, "counsel", ASKED, w.clock())
        forget.wipe(store.sql)
        assert gone(store)
        assert in_bytes(store.path) == []
        assert store.broken_audit() is None
        (kept,) = store.posts("id = ?", (identifier,))
        assert isinstance(kept.post, Redacted)
        assert kept.post.sha256 == record.digest(before)
        assert kept.verdict.accusations
        assert desk.recomputed(store, kept) == "redacted on 2026-11-21: forgotten on request"
        await w.run(60)
        ours = [m for m in w.slack.messages.values() if m.bot]
        assert not [m.words() for m in ours if any(word in m.words() for word in WORDS)]
        assert any("what this message quoted was removed" in m.words() for m in ours)
        assert len(w.slack.waking()) == 1
        await read_again(w)
        assert gone(store)


async def test_the_chain_accepts_it_and_no_other_change(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        store = w.service.store
        forget.forget(store, identifier, "counsel", ASKED, w.clock())
        (said,) = acts(store, "post forgotten")
        assert said["reason"] == ASKED
        assert said["ids"] == {ACCOUNT: [identifier]}
        assert said["acts"]
        page, archive = report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        assert not any(word in page.read_text() for word in WORDS)
        number = min(map(int, said["acts"]))  # type: ignore[call-overload]
        other = store.sql.execute("SELECT id FROM audit WHERE action = 'first sight' OR action = 'baseline'").fetchone()[0]
        for change, first in (
            (f'UPDATE audit SET detail = \'{{"redacted": "2026-11-21"}}\' WHERE id = {other}', other),
            (f"UPDATE audit SET actor = 'mallory', detail = '{{}}' WHERE id = {number}", number),
            (f"UPDATE audit SET actor = 'mallory' WHERE id = {number}", number),
            (f"UPDATE audit SET detail = replace(detail, 'redacted]', 'harmless]') WHERE id = {number}", number),
            (f"UPDATE audit SET hash = 'x' WHERE id = {number}", number),
        ):
            store.sql.execute("BEGIN")
            store.sql.execute(change)
            found = store.broken_audit()
            store.sql.execute("ROLLBACK")
            assert found in (first, first + 1), change


async def test_an_act_of_forgetting_that_quotes_another_post_still_excuses_what_it_excused(tmp_path: Path) -> None:
    other = "The wombat of the month is sold out, thank you all."
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        w.register(other)
        second = w.x.post("acme", other)
        await w.run(3)
        store = w.service.store
        forget.forget(store, identifier, "counsel", f"asked for below “{other}”", w.clock())
        forget.forget(store, second, "counsel", ASKED, w.clock())
        forget.wipe(store.sql)
        assert "wombat" not in values(store)
        assert store.broken_audit() is None
        _, archive = report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        (number,) = store.sql.execute("SELECT max(id) FROM audit WHERE action = 'post forgotten'").fetchone()
        store.sql.execute("UPDATE audit SET detail = replace(detail, 'acts', 'axes') WHERE id = ?", [number])
        assert store.broken_audit() is not None


async def test_all_versions_reposts_and_the_registration_of_the_same_words_go_with_it(tmp_path: Path) -> None:
    data_text = "The pangolin report of this quarter is out, with all figures."
    async with world(tmp_path) as w:
        number = w.register(data_text)
        first = w.x.post("acme", data_text)
        await w.run(3)
        w.x.repost("acme", "acme", data_text, first)
        await w.run(3)
        found = forget.find(w.service.store, first, w.clock())
        assert len(found.posts) == 2
        assert found.registrations == [number]
        assert found.refused == []
        forget.forget(w.service.store, first, "counsel", ASKED, w.clock())
        forget.wipe(w.service.store.sql)
        assert "pangolin" not in values(w.service.store)
        assert b"pangolin" not in w.service.store.path.read_bytes()
        assert w.service.store.broken_audit() is None
        w.x.post("acme", data_text)
        await w.run(5)
        assert len(w.slack.waking()) == 1, "a registration that was forgotten excuses nothing"


async def test_a_hold_an_open_incident_and_a_plan_in_force_refuse_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = w.x.post("acme", SCAM)
        await w.run(3)
        before = values(w.service.store)
        with pytest.raises(DeskError, match="INC-1 is not resolved"):
            forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        assert values(w.service.store) == before
        end(w)
        await w.run(60)
        holds.hold(w.service.store, 1, "carol", "case 4711", w.clock())
        with pytest.raises(DeskError, match=r"INC-1 is held by carol since .*: case 4711; first `hijack-monitor incidents release 1`"):
            forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        holds.release(w.service.store, 1, "carol", "over", w.clock())
        planned = w.register(SCAM)
        with pytest.raises(DeskError, match=f"registered post #{planned} has its words"):
            forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        desk.withdraw(w.service.store, planned, "comms", w.clock())
        with pytest.raises(DeskError, match="without the words of the post"):
            forget.forget(w.service.store, identifier, "counsel", f"because of {SCAM}", w.clock())
        forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        assert gone(w.service.store)


@pytest.mark.slow
async def test_the_command_lists_first_and_names_what_it_cannot_reach(tmp_path: Path) -> None:
    async with world(tmp_path, extra='[pagerduty]\napi_base = "http://127.0.0.1:9"\n') as w:
        identifier = await hijack(w)
        store = w.service.store
        store.sql.execute("UPDATE pages SET route = 'pagerduty', state = 'sent' WHERE route = 'stderr' OR kind = 'runbook'")
        copy = store.path.with_name("monitor.db.before-0.0.9")
        copy.write_bytes(b"")

        def run(*words: str) -> Result:
            return CliRunner().invoke(
                main, ["--config", str(w.config.path), "posts", "forget", *words, "--reason", ASKED, "--as", "counsel"]
            )

        before = values(store)
        listed = run(identifier)
        assert listed.exit_code == 0, listed.output
        assert values(store) == before
        for said in (f"holds it: post {identifier} of {ACCOUNT}, INC-1, with the words read", "answer(s) of the platform", "incident(s) quote it",
                     "page(s) and note(s)", "act(s) in the audit chain", "message(s) in Slack", "out of reach: earlier exports",
                     f"out of reach: the copy {copy}", "out of reach: backups", "nothing was changed: --yes"):  # fmt: skip
            assert said in listed.output, listed.output
        holds.hold(store, 1, "counsel", "a claim", w.clock())
        held = run(identifier)
        assert held.exit_code == 0, held.output
        assert "refused: INC-1 is held by counsel" in held.output
        assert held.output.endswith("nothing was changed: --yes is refused until then\n")
        holds.release(store, 1, "counsel", "settled", w.clock())
        with closing(sqlite3.connect(store.path)) as reader:
            reader.execute("BEGIN").execute("SELECT count(*) FROM posts")
            read = run(identifier, "--yes")
        assert read.exit_code == 1, read.output
        assert (
            "error: no row holds it any more, but free parts of the file may. Give the same command again: another process" in read.output
        )
        assert gone(store)
        done = run(identifier, "--yes")
        assert done.exit_code == 0, done.output
        assert in_bytes(store.path) == []
        assert "is forgotten" in done.output
        assert gone(store)
        again = run(identifier, "--yes")
        assert again.exit_code == 0, again.output
        assert "its content is gone already" in again.output
        assert store.broken_audit() is None
        strange = run("4711", "--yes")
        assert (strange.exit_code, strange.output.startswith("error: no post 4711 was judged")) == (1, True)


async def test_a_restored_copy_forgets_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        old = tmp_path / "old.db"
        with closing(sqlite3.connect(old)) as copy:
            w.service.store.sql.backup(copy)
        forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        forgotten = forget.listed(w.service.store.sql)
        assert not any(word in str(forgotten) for word in WORDS)
        with closing(Store(old)) as restored:
            assert forget.repeat(restored, forgotten, w.clock()) == 1
            forget.wipe(restored.sql)
            assert gone(restored)
            assert in_bytes(old) == []
            assert restored.broken_audit() is None
            assert forget.listed(restored.sql)[0]["reason"] == ASKED
            assert forget.repeat(restored, forgotten, w.clock()) == 0


async def test_a_restore_makes_an_older_copy_owe_it_until_the_next_start(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        backup.make(w.config, str(tmp_path / "b.db"), None, "carla", w.clock())
        forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        forget.wipe(w.service.store.sql)
    restore.put(w.config, restore.plan(w.config, tmp_path / "b.db"), "carla", w.clock())
    for times in (1, 0):
        with closing(Store(w.config.database)) as store:
            assert gone(store) is (times == 0)
            assert forget.settle(store, w.clock()) == times
            assert gone(store)
            assert in_bytes(w.config.database) == [], "what lies beside it had forgotten already"
            assert store.broken_audit() is None


async def test_what_was_forgotten_and_a_restored_copy_lacks_is_read_again_without_its_words_and_wakes_nobody(tmp_path: Path) -> None:
    async with world(tmp_path / "a", secrets=KEY) as w:
        backup.make(w.config, str(tmp_path / "b.db"), None, "carla", w.clock())
        identifier = await hijack(w)
        forget.forget(w.service.store, identifier, "counsel", ASKED, w.clock())
        forget.wipe(w.service.store.sql)
    before = len(w.slack.waking())
    restore.put(w.config, restore.plan(w.config, tmp_path / "b.db"), "carla", w.clock())
    async with world(tmp_path / "a", beside=w, secrets=KEY) as again:
        await again.run(30)
        assert len(again.slack.waking()) == before
        store = again.service.store
        (kept,) = store.posts("id = ?", (identifier,))
        assert isinstance(kept.post, Redacted)
        assert kept.incident is None
        assert gone(store)
        assert in_bytes(again.config.database) == []
        assert [(a["reason"], a["via"]) for a in acts(store, "post forgotten")] == [(ASKED, "read again after a restore")]
        assert store.broken_audit() is None
        again.x.edit("acme", identifier, f"{SCAM} and tomorrow")
        await again.run(30)
        assert len(again.slack.waking()) == before + 1, "nobody asked to forget what it says now"


async def test_an_answer_that_a_held_incident_needs_keeps_the_others_in_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        w.x.post("acme", "Another incident, of another day, with other words")
        await w.run(30)
        store = w.service.store
        store.sql.execute("UPDATE posts SET answer = (SELECT answer FROM posts WHERE id = ?) WHERE incident = 2", [identifier])
        end(w, 2)
        holds.hold(store, 2, "carol", "case 4712", w.clock())
        with pytest.raises(DeskError, match="INC-2 is held by carol"):
            forget.forget(store, identifier, "counsel", ASKED, w.clock())
        holds.release(store, 2, "carol", "over", w.clock())
        forget.forget(store, identifier, "counsel", ASKED, w.clock())
        _, archive = report.export(store, 2, tmp_path, w.clock(), SECRET)
        assert not [line for line in verify(archive).wrong if "missing" in line], "the chain says why its evidence is not there"


SAME = "Acme Exchange: the market report of the week is out, see "


async def test_what_only_begins_alike_or_bears_our_name_stays(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        number = w.register(f"{SAME}all of its figures.")
        ours = w.x.post("acme", f"{SAME}all of its figures.")
        await w.run(3)
        his = w.x.post("acme", f"{SAME}all of its figures. Then claim your share at https://acme-share.xyz")
        await w.run(3)
        like = w.x.post("acme", f"{SAME}none of its figures, and the pangolin.")
        await w.run(3)
        with store.transaction():
            post = store.posts("id = ?", (his,))[0].post
            store.keep_words(post, ["Acme Exchange", "The market report of the week"])  # type: ignore[arg-type]
        end(w)
        await w.run(60)
        before = store.sql.execute("SELECT headline, reason FROM incidents").fetchall()
        found = forget.find(store, his, w.clock())
        assert [row["id"] for row in found.posts] == [his]
        assert found.registrations == []
        forget.forget(store, his, "counsel", ASKED, w.clock())
        assert {k.post.id for k in store.posts() if isinstance(k.post, Redacted)} == {his}
        assert store.registrations.get(number).text  # type: ignore[union-attr]
        assert "pangolin" in values(store)
        assert "acme-share" not in values(store)
        assert [row["headline"] for row in store.sql.execute("SELECT headline FROM incidents")] == [row["headline"] for row in before]
        (first, last) = (store.posts("id = ?", (one,))[0] for one in (ours, like))
        assert store.evidence(first.evidence)
        assert not store.evidence(last.evidence), "the answer that holds both"


async def test_to_forget_a_change_of_the_profile_takes_no_post_that_bears_its_name(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        ours = w.x.post("acme", "Acme Exchange is hiring in Lisbon, write to jobs@acme.example")
        await w.run(3)
        w.x.change("acme", name="Acme Exchange")
        await w.run(90)
        (change,) = store.posts("kind = 'profile'")
        end(w)
        await w.run(60)
        found = forget.forget(store, change.post.id, "counsel", ASKED, w.clock())
        assert [row["id"] for row in found.posts] == [change.post.id]
        assert not isinstance(store.posts("id = ?", (ours,))[0].post, Redacted)


async def test_a_held_incident_keeps_votes_acts_and_the_registration_that_its_verdict_names(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        number = w.register("The pangolin report of this quarter is out, with all figures.")
        ours = w.x.post("acme", "The pangolin report of this quarter is out, with all figures.")
        await w.run(3)
        near = w.x.post("acme", "The pangolin report of this quarter is out, with no figures at all.")
        await w.run(3)
        end(w)
        await w.run(60)
        (kept,) = store.posts("id = ?", (near,))
        assert number in (getattr(kept.verdict.match, "nearest", 0), getattr(kept.verdict.match, "approved", 0))
        holds.hold(store, 1, "carol", "case 4711", w.clock())
        with pytest.raises(DeskError, match="INC-1 is held by carol"):
            forget.forget(store, ours, "counsel", ASKED, w.clock())
        assert desk.recomputed(store, kept) == "the same"
        holds.release(store, 1, "carol", "over", w.clock())
        forget.forget(store, ours, "counsel", ASKED, w.clock())
        (kept,) = store.posts("id = ?", (near,))
        assert desk.recomputed(store, kept) == f"registered post #{number}, which it was compared with, was redacted on 2026-11-21"
        w.x.post("acme", "Quite another hijack, which nobody registered")
        await w.run(60)
        end(w, 2)
        await w.run(60)
        quote = "the old one said “The pangolin report of this quarter is out, with no figures at all.”"
        store.audit(w.clock(), "alice", "note", "INC-2", text=quote)
        holds.hold(store, 2, "carol", "case 4712", w.clock())
        with pytest.raises(DeskError, match="INC-2 is held by carol"):
            forget.forget(store, near, "counsel", ASKED, w.clock())


async def test_what_is_forgotten_and_still_shown_does_not_come_back_with_the_next_answer(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = await hijack(w)
        store = w.service.store
        forget.forget(store, identifier, "counsel", ASKED, w.clock())
        forget.wipe(store.sql)
        store.sql.execute("UPDATE accounts SET cursor = NULL")
        w.x.post("acme", "Another one, with other words")
        await w.run(30)
        (other,) = store.posts("incident = 2")
        body = store.evidence(other.evidence)
        assert body
        assert b"with other words" in body
        assert hashlib.sha256(body).hexdigest() == other.evidence
        assert gone(store)


async def test_a_text_too_short_to_search_for_goes_only_where_it_stands(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        identifier = w.x.post("acme", "gm")
        w.x.post("acme", "gm to everybody in the office of acme")
        await w.run(3)
        end(w)
        await w.run(60)
        found = forget.find(w.service.store, identifier, w.clock())
        assert len(found.posts) == 1
        assert any("shorter than" in line for line in found.lines())


# --- words of a post among other text ----------------------------------------------------------------------

SHOWN: list[Callable[[str, int], str]] = [
    safe.for_slack_literal, safe.for_slack_markup, safe.for_slack_sentence, safe.for_terminal, safe.for_mail, safe.for_html, safe.for_slack_lines,
]  # fmt: skip
TEXTS = st.text(min_size=20, max_size=200).filter(lambda text: len(text.strip()) >= 20)


@given(TEXTS, st.text(max_size=20), st.text(max_size=20))
def test_a_text_is_found_and_taken_out_of_json_and_it_stays_json(text: str, before: str, after: str) -> None:
    quotes = Quotations([text])
    for ascii_only in (False, True):
        said = json.dumps({"a": [f"{before}{text}{after}", before]}, ensure_ascii=ascii_only)
        assert quotes.stands_in(said)
        left = quotes.without(said)
        assert not quotes.stands_in(left)
        assert text not in json.loads(left)["a"][0] or text in "[redacted]"


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=60) | st.lists(st.text(alphabet='“”"\\a b', max_size=40), max_size=4), max_size=4)
)
def test_taking_quotes_out_leaves_json(value: dict[str, object]) -> None:
    left = json.loads(without_quotes(json.dumps(value, ensure_ascii=False)))
    assert left.keys() == value.keys() or any("“" in key for key in value)


@pytest.mark.parametrize(
    ("body", "there"),
    [
        ({"data": [{"id": "7", "text": "x"}]}, True),
        ({"data": [{"id": "8", "text": "x", "edit_history_tweet_ids": ["7", "8"]}]}, True),
        ({"data": [{"id": "9", "text": "x", "referenced_tweets": [{"type": "replied_to", "id": "7"}]}]}, False),
        ({"data": [{"id": "9", "text": "x", "conversation_id": "7"}], "includes": {"tweets": [{"id": "7", "text": "y"}]}}, True),
        ({"data": [{"id": "77", "text": "x"}]}, False),
    ],
)
def test_an_answer_holds_a_post_when_it_says_what_it_says(body: object, *, there: bool) -> None:
    assert answer_holds(json.dumps(body).encode(), frozenset({"7"})) is there
    assert answer_holds(b'{"id": "7", cut', frozenset({"7"}))


def test_a_beginning_that_is_repeated_without_end_costs_little() -> None:
    text = "ab" * 249 + "c" + "ab" * 12_000
    quotes = Quotations([text])
    assert not quotes.is_repeated_in(["ab" * 500_000])
    assert quotes.is_repeated_in([f"x{text}"])
    assert quotes.without(f"he wrote {text[:300]}…, and more") == "he wrote [redacted], and more"


@given(TEXTS, st.sampled_from(SHOWN), st.integers(min_value=45, max_value=250))
@example("Send it\n\nto https://acme-share.xyz/claim 🎁 & “double” <it> now", safe.for_slack_literal, 200)
def test_whatever_form_a_message_shows_it_in_is_taken_out_whole_or_cut(text: str, shown: Callable[[str, int], str], limit: int) -> None:
    said = shown(text, limit)
    body = json.dumps({"blocks": [{"text": {"text": f"she wrote {said}"}}]})
    assume(len(said.strip()) >= 60 or (len(said.strip()) >= 12 and safe.units(shown(text, 100_000)) <= limit))
    assert said not in json.loads(Quotations([text]).without(body))["blocks"][0]["text"]["text"]

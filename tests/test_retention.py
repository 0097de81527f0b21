"""What is old goes, in its time: its digest stays, nothing that is needed goes, and what was read before is no news."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import advice, config, desk, drill, packing, post_rows, record, report, wiring
from monitor.config import ConfigError
from monitor.model import Human, Post, Redacted
from monitor.pruning import EVERY, Pruning
from monitor.report_check import verify
from monitor.retention import Days, described, distrusted, plan, warnings
from monitor.store import Store
from monitor.tables import RetentionTable
from tests import older
from tests.conftest import START, World, world
from tests.test_report import SECRET

ACCOUNT = "x::2244994945"
USUAL = Days(**RetentionTable().model_dump())
FOREVER = Days(0, 0, 0, 0, 0, 0, 0)
YEARS = 5.1
GROWING = ("posts", "evidence", "approved", "incidents", "pages", "audit", "inbox", "votes", "rulebooks", "p", "a", "i")


def days(**given: int) -> Days:
    """Only these are pruned."""
    return Days(**(dict.fromkeys(Days.__slots__, 0) | given))


def later(w: World, kept: Days, after: float, distrusted: str = "") -> Pruning:
    """As the daemon has it, so many days later."""
    return Pruning(
        w.service.store, lambda: kept, lambda: w.clock() + timedelta(days=after), lambda: distrusted, lambda: w.service.judge.digest, print
    )


async def pruned(w: World, after: float, **kept: int) -> None:
    assert await later(w, days(**kept) if kept else USUAL, after).run()
    assert w.service.store.broken_audit() is None


async def published(w: World, text: str) -> tuple[int, str]:
    """What was registered for it, and its id."""
    number, identifier = w.register(text), w.x.post("acme", text)
    await w.run(3)
    return number, identifier


def end(w: World, number: int = 1, cause: str = "hijack") -> None:
    with w.service.store.transaction():
        for verb in ("acknowledge", "resolve"):
            assert not w.service.outbox.act(number, Human(verb, "alice", "a test", w.clock(), cause=cause if verb == "resolve" else ""))


def values(store: Store) -> str:
    """Everything in every row, but for what this test cannot have put there."""
    tables = [r[0] for r in store.sql.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'rulebooks'")]
    rows = (row for table in tables for row in store.sql.execute(f"SELECT * FROM {table}"))
    return "\n".join(str([packing.unpack(value) if isinstance(value, bytes) else value for value in row]) for row in rows)


def acts(store: Store, action: str) -> list[dict[str, object]]:
    return [json.loads(r[0]) for r in store.sql.execute("SELECT detail FROM audit WHERE action = ? ORDER BY id", [action])]


async def read_again(w: World) -> None:
    """Everything that X still shows, from the beginning."""
    before = len(w.slack.waking())
    w.service.store.sql.execute("UPDATE accounts SET cursor = NULL")
    await w.run(30)
    assert len(w.slack.waking()) == before


async def test_an_old_post_goes_and_what_it_was_stays_known(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        number, identifier = await published(w, "The quarterly report is out.")
        (before,) = w.service.store.posts("id = ?", (identifier,))
        row = w.service.store.sql.execute(f"SELECT {post_rows.COLUMNS} FROM posts WHERE id = ?", [identifier]).fetchone()
        await pruned(w, YEARS * 365)
        (kept,) = w.service.store.posts("id = ?", (identifier,))
        left = kept.post
        assert isinstance(left, Redacted)
        assert (left.account, left.created_at, left.version, left.sha256) == (
            ACCOUNT,
            before.post.created_at,
            1,
            record.digest(post_rows.said(row).post),
        )
        assert (kept.verdict.severity, kept.seen_at, kept.evidence) == (before.verdict.severity, before.seen_at, before.evidence)
        assert desk.recomputed(w.service.store, kept).startswith("redacted on 2031-")
        assert "quarterly report" not in values(w.service.store)
        assert "Good morning" not in values(w.service.store)
        one = w.service.store.registrations.get(number)
        assert one
        assert (one.used_by, one.text) == (identifier, "")
        assert w.service.store.sql.execute("SELECT count(*) FROM evidence").fetchone()[0] == 0
        await read_again(w)


async def test_nobody_is_told_that_a_copy_is_kept_which_was_removed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        _, identifier = await published(w, "The quarterly report is out.")
        await pruned(w, 40, posts_days=30)
        w.x.delete("acme", identifier)
        await w.run(120)
        (told,) = [m.words() for m in w.slack.roots() if "Approved post deleted" in m.words()]
        assert "our copy is kept" not in told
        assert "redacted on 2026-12-31: older than 30 days" in told


async def test_nothing_is_removed_that_is_kept_without_end_or_is_young(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await published(w, "The quarterly report is out.")
        before = values(w.service.store)
        assert await later(w, FOREVER, 20_000).run()
        assert await later(w, USUAL, 29).run()
        assert values(w.service.store) == before


async def test_an_incident_keeps_everything_that_its_verdict_rests_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("The quarterly report is out, with all figures.")
        w.x.post("acme", "The quarterly report is out, with no figures at https://acme-share.xyz")
        await w.run(3)
        end(w)
        await w.run(40)
        (before,) = w.service.store.posts("incident = 1")
        await pruned(w, YEARS * 365)
        await pruned(w, YEARS * 365 + 200)
        (kept,) = w.service.store.posts("incident = 1")
        assert kept == before
        assert desk.recomputed(w.service.store, kept) == "the same"
        assert w.service.store.sql.execute("SELECT 1 FROM evidence WHERE sha256 = ?", [kept.evidence]).fetchone()
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()


async def test_a_hijacker_who_deletes_his_posts_leaves_them_as_evidence(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        _, mine = await published(w, "We are hiring.")
        his = w.x.post("acme", "Send BTC to me")
        await w.run(3)
        w.x.delete("acme", his)
        await w.run(120)
        with w.service.store.transaction():
            assert w.service.store.deleted(ACCOUNT, mine, w.clock())
        await pruned(w, 31)
        assert isinstance(w.service.store.posts("id = ?", (his,))[0].post, Post)
        assert isinstance(w.service.store.posts("id = ?", (mine,))[0].post, Redacted)
        (said,) = acts(w.service.store, "posts pruned")
        assert said["ids"] == {ACCOUNT: [mine]}
        await read_again(w)


async def test_own_incidents_go_whole_and_no_number_comes_back(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for number in (1, 2, 3):
            assert await w.service.begin_drill("alice") == number
            await w.run(3)
            end(w, number, "false alarm")
            await w.run(40)
        await pruned(w, 400)
        store = w.service.store
        assert [i.id for i in store.incidents()] == [3], "the last drill says when the next is due"
        assert store.sql.execute("SELECT count(*) FROM pages WHERE incident < 3").fetchone()[0] == 0
        assert store.sql.execute("SELECT count(*) FROM posts WHERE account = 'replay::drill'").fetchone()[0] == 3
        assert drill.TEXT.format(who="alice")[30:60] not in "".join(str(k.post) for k in store.posts("incident = 1"))
        assert desk.no_incident(store, 1).startswith("INC-1 was pruned on 2027-")
        assert await w.service.begin_drill("alice") == 4


async def test_incidents_go_whole_where_that_is_wanted_and_their_posts_are_no_news(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        end(w)
        w.x.post("acme", "And another one")
        await w.run(60)
        end(w, 2)
        await w.run(60)
        await pruned(w, 101, incidents_days=100)
        assert w.service.store.incidents() == ()
        assert "acme-share" not in values(w.service.store)
        assert [p["posts"] for p in acts(w.service.store, "incident pruned")] == [1, 1]
        with pytest.raises(desk.DeskError, match=r"INC-1 was pruned on .*: older than 100 days"):
            report.gather(w.service.store, 1)
        await read_again(w)
        w.x.post("acme", "A third one")
        await w.run(30)
        assert [i.id for i in w.service.store.incidents()] == [3], "no number comes back"


async def test_an_open_incident_never_goes_however_old(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        await w.service.begin_drill("alice")
        await w.run(3)
        before = w.service.store.posts("incident IS NOT NULL")
        w.service.store.sql.execute("UPDATE pages SET state = 'dead' WHERE state != 'sent'")
        assert await later(w, days(incidents_days=1, posts_days=1, evidence_days=1, own_incidents_days=1), 5_000).run()
        assert w.service.store.posts("incident IS NOT NULL") == before


async def test_a_page_that_is_due_goes_first(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await published(w, "We are hiring.")
        w.slack.refuse["chat.postMessage"] = "internal_error"
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        w.service.store.sql.execute("UPDATE posts SET seen_at = '2020-01-01T00:00:00.000000+00:00' WHERE incident IS NULL")
        before = w.service.store.posts("incident IS NULL")
        assert not await later(w, days(posts_days=1), 0).run()
        assert w.service.store.posts("incident IS NULL") == before
        w.slack.refuse.clear()
        await w.run(30)
        assert await later(w, days(posts_days=1), 0).run()
        assert all(isinstance(k.post, Redacted) for k in w.service.store.posts("incident IS NULL"))


async def test_answers_in_a_thread_that_is_still_read_are_not_heard_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        (root,) = w.slack.waking()
        w.slack.say("U01ALICE", "ack", root.ts)
        w.slack.say("U02BOB", "resolve it please", root.ts)
        await w.run(30)
        count = "SELECT count(*) FROM inbox"
        heard = w.service.store.sql.execute(count).fetchone()[0]
        assert heard
        prune = later(w, days(inbox_days=90), 100)
        with w.service.store.transaction():
            prune._clicks(plan(days(inbox_days=90), w.clock() + timedelta(days=100)), days(inbox_days=90))
        assert w.service.store.sql.execute(count).fetchone()[0] == heard
        with w.service.store.transaction():
            assert not w.service.outbox.act(1, Human("resolve", "alice", "a test", w.clock(), cause="hijack"))
        await w.run(40)
        await pruned(w, 100, inbox_days=90)
        assert w.service.store.sql.execute(count).fetchone()[0] == 0


# --- the clock -----------------------------------------------------------------------------------------


async def test_a_clock_that_is_years_ahead_removes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(20)
        before = w.service.store.posts()
        theirs, ahead = w.x.clock, timedelta(days=3_650)
        w.service.mind_clock(1_000.0, w.clock())
        w.clock.now += ahead
        w.x.clock = w.slack.clock = lambda: theirs() - ahead
        w.service.mind_clock(1_000.0, w.clock())
        await wiring.pruning(w.service).tick()
        await w.run(3)
        await wiring.pruning(w.service).tick()
        for elapsed in (1_700.0, 2_400.0):  # the step is no longer news, the platform still says another time
            w.service.mind_clock(elapsed, w.clock())
            await w.run(30)
            await wiring.pruning(w.service).tick()
        assert w.service.store.posts()[: len(before)] == before
        w.clock.now -= ahead
        w.x.clock = w.slack.clock = theirs


async def test_the_daemon_prunes_when_its_clock_is_the_platforms(tmp_path: Path) -> None:
    async with world(tmp_path, extra="[retention]\nposts_days = 1\n") as w:
        await w.run(60)
        await w.skip(86_400 * 1.1)
        await wiring.pruning(w.service).tick()
        assert all(isinstance(k.post, Redacted) for k in w.service.store.posts("seen_at < ?", (record.stamp(START + timedelta(hours=1)),)))


@pytest.mark.parametrize(
    ("skew", "dated", "step", "why"),
    [
        (0.0, timedelta(seconds=5), 0.0, ""),
        (-30.0, timedelta(minutes=9), 0.0, ""),
        (-315_360_000.0, timedelta(seconds=5), 0.0, "differ by 315360000 s"),
        (0.0, None, 0.0, "no platform has said"),
        (0.0, timedelta(days=3_650), 0.0, "no platform has said"),
        (0.0, timedelta(days=-1), 0.0, "no platform has said"),
        (0.0, timedelta(), 86_400.0, "was set by 86400 s"),
    ],
)
def test_the_clock_is_trusted_only_with_a_witness(skew: float, dated: timedelta | None, step: float, why: str) -> None:
    said = distrusted(skew, dated, step)
    assert why in said
    assert bool(said) is bool(why)


@given(st.lists(st.tuples(st.integers(-4_000, 0), st.sampled_from([0, 0, 0, 0, 5_000, -5_000])), max_size=30))
def test_rows_stamped_by_a_wrong_clock_go_with_those_around_them(kept: list[tuple[int, int]]) -> None:
    """Each is (when it really came to be, by how much the clock was wrong), in days. Nothing young ever goes; where no later
    row is right, what a clock ahead has stamped may stay.
    """
    rows, now = sorted(kept), START
    sql = sqlite3.connect(":memory:")
    sql.row_factory = sqlite3.Row
    sql.execute("CREATE TABLE posts(seen_at TEXT)")
    sql.executemany("INSERT INTO posts VALUES(?)", [(record.stamp(now + timedelta(days=at + wrong)),) for at, wrong in rows])
    prune = Pruning(_Only(sql), lambda: USUAL, lambda: now, str, str, print)  # type: ignore[arg-type]
    went = {row["number"] for row in prune._reached("posts", "seen_at", "rowid AS number", now - timedelta(days=1_825))}
    right = [(number, at) for number, (at, wrong) in enumerate(rows, 1) if not wrong]
    assert not {number for number, at in right if at > -1_825} & went
    first_young = next((number for number, at in right if at > -1_825), len(rows) + 1)
    assert {number for number, at in right if at < -1_825} <= went
    assert all(number < first_young for number in went)


class _Only:
    """A store of one table."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        self.sql = sql

    def kept(self, _name: str) -> str:
        return ""


# --- what is asked of the database ---------------------------------------------------------------------


async def test_nothing_is_searched_for_row_by_row(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.service.begin_drill("alice")
        await w.run(3)
        end(w, 1)
        end(w, 2)
        await w.run(60)
        asked = set[str]()
        w.service.store.sql.set_trace_callback(asked.add)
        await pruned(w, 4_000, **dict.fromkeys(Days.__slots__, 1))
        w.service.store.sql.set_trace_callback(None)
        assert len(asked) > 20
        for statement in asked:
            if not statement.startswith(("SELECT", "UPDATE", "DELETE")) or "FROM audit ORDER BY id" in statement:
                continue
            for row in w.service.store.sql.execute(f"EXPLAIN QUERY PLAN {statement}"):
                step = row["detail"].split()
                assert not (step[0] == "SCAN" and step[1] in GROWING and "INDEX" not in step), (row["detail"], statement)
                assert "posts_incident (incident=?)" not in row["detail"] or "incident = " in statement, "most posts are in none"


async def test_it_rests_when_nothing_is_left_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        prune = later(w, days(posts_days=1), 2)
        assert await prune.run()
        before = values(w.service.store)
        asked = list[str]()
        w.service.store.sql.set_trace_callback(asked.append)
        assert await prune.run()
        assert asked == []
        w.clock.move(EVERY.total_seconds())
        assert await prune.run()
        w.service.store.sql.set_trace_callback(None)
        assert values(w.service.store) == before


async def test_a_damaged_post_goes_as_well(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        older.unpack(w.service.store.sql)
        w.service.store.sql.execute("UPDATE posts SET post = replace(post, '\"noun\"', '\"no\"'), verdict = '{}'")
        await pruned(w, 2, posts_days=1)
        (kept,) = w.service.store.posts()
        assert isinstance(kept.post, Redacted)
        assert kept.verdict.reason.startswith("redacted on")


# --- exports ---------------------------------------------------------------------------------------------


def _changed(archive: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Another export with other contents, signed as ours would be: who forges has the key."""
    import hashlib

    from monitor import signing

    with zipfile.ZipFile(archive) as box:
        files = {name: box.read(name) for name in box.namelist()}
    change(files)
    rest = {n: b for n, b in files.items() if n not in ("contents.json", "contents.sig", "SHA256SUMS")}
    files["SHA256SUMS"] = "".join(f"{hashlib.sha256(b).hexdigest()}  {n}\n" for n, b in sorted(rest.items())).encode()
    contents = json.loads(files["contents.json"])
    listed = {**rest, "SHA256SUMS": files["SHA256SUMS"]}
    contents["files"] = [{"name": n, "bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for n, b in listed.items()]
    files["contents.json"] = json.dumps(contents).encode()
    files["contents.sig"] = signing.sign(SECRET, files["contents.json"])
    forged = archive.with_name("forged.zip")
    with zipfile.ZipFile(forged, "w") as box:
        for name, body in files.items():
            box.writestr(name, body)
    return forged


async def test_an_export_of_a_redacted_post_holds_and_a_forged_one_does_not(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        _, identifier = await published(w, "We are hiring.")
        await pruned(w, 2, posts_days=1)
        w.x.delete("acme", identifier)
        w.service.watches[0].gone([identifier])
        await w.run(30)
        (opened,) = w.service.store.incidents()
        assert opened.headline == "Approved post deleted"
        page, archive = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        assert "redacted on" in page.read_text()

        def another_digest(files: dict[str, bytes]) -> None:
            posts = json.loads(files["posts.json"])
            posts[0]["post"]["sha256"] = "0" * 64
            files["posts.json"] = json.dumps(posts).encode()

        assert any("not what was judged" in line for line in verify(_changed(archive, another_digest)).wrong)

        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(30)
        (kept,) = w.service.store.posts("incident = ? AND redacted_at IS NULL", (w.service.store.incidents()[0].id,))
        _, archive = report.export(w.service.store, w.service.store.incidents()[0].id, tmp_path, w.clock(), SECRET)

        def emptied(files: dict[str, bytes]) -> None:
            """Its content is taken out and called redacted, and no act says so."""
            posts = json.loads(files["posts.json"])
            mine = next(p for p in posts if p["post"]["id"] == kept.post.id)
            left = record.redacted(mine["post"], "post", w.clock(), "older than 1825 days")
            mine["verdict"] = json.loads(record.redacted_verdict(mine["verdict"], "x"))
            mine["post"] = json.loads(record.dump(left))
            files["posts.json"] = json.dumps(posts).encode()

        assert verify(archive).wrong == ()
        wrong = verify(_changed(archive, emptied)).wrong
        assert wrong == (f"posts.json: {kept.post.id}: has no content, and the chain has no act of removing it",)


# --- what is shown again, approved, replayed -------------------------------------------------------------


async def test_a_repost_of_an_old_approved_post_stays_quiet_and_nobody_can_approve_what_nobody_can_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        _, identifier = await published(w, "We are hiring.")
        await pruned(w, 2, posts_days=1)
        w.x.repost("acme", "acme", "We are hiring.", identifier)
        await w.run(5)
        assert w.slack.waking() == []
        w.x.post("acme", "We are hiring.")
        await w.run(5)
        assert len(w.slack.waking()) == 1, "the registration of what was redacted excuses nothing more"


# --- the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["-1", "30.5", "30.0", "true", '"30"', "99999"])
def test_days_are_whole_and_not_negative(value: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'[company]\nname = "Acme"\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n[retention]\nposts_days = {value}\n')
    with pytest.raises(ConfigError, match=r"retention\.posts_days"):
        config.load(file)


def test_the_plan_is_one_line_and_what_contradicts_itself_is_said(tmp_path: Path) -> None:
    assert described(USUAL) == (
        "deleted posts 30 days, platform answers 365 days, posts 1825 days, registrations 1825 days, clicks 90 days, "
        "incidents about the monitor 365 days, incidents with their posts without end"
    )
    assert list(warnings(USUAL, watches_x=True)) == []
    (kept,) = warnings(replace(USUAL, deleted_days=0), watches_x=True)
    assert "keeps for 1825 days what X no longer shows" in kept
    assert list(warnings(replace(USUAL, deleted_days=0, posts_days=0, evidence_days=0, registrations_days=0), watches_x=False)) == []
    said = "\n".join(warnings(replace(USUAL, posts_days=100), watches_x=True))
    assert "evidence_days = 365 is longer than posts_days = 100: an answer holds its posts, so 100 days count" in said
    assert replace(USUAL, posts_days=100).answers_days == 100
    assert plan(replace(USUAL, evidence_days=0), START).answers == START - timedelta(days=1825)
    assert "stay for ever" in "\n".join(warnings(replace(USUAL, posts_days=0), watches_x=True))
    file = tmp_path / "x.toml"
    file.write_text('[company]\nname = "Acme"\n[[accounts]]\nplatform = "x"\nhandle = "acme"\n[retention]\ndeleted_days = 31\n')
    assert any("deleted_days keeps for 31 days" in line for line in advice.warnings(config.load(file), {}))

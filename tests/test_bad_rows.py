"""One row that cannot be read, whichever: the others page, blindness is found, and somebody is told of it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from monitor import health, packing, registered, set_aside, silences
from monitor.announcer import Announcer
from monitor.cli import main
from monitor.model import Severity, State
from monitor.record import stamp
from monitor.sources.interface import Batch
from tests.conftest import START, World, as_row, overwrite, world
from tests.test_growth import scrape
from tests.test_rollback import Desk


def begin_silence(w: World, words: str = "league") -> None:
    silences.begin(w.service.store, w.service.outbox, None, words, timedelta(hours=1), "a campaign", "bob", w.clock())


async def test_a_damaged_page_beside_a_damaged_silence_and_a_damaged_past_stops_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(2)
        begin_silence(w)
        await w.run(2)
        sql = w.service.store.sql
        sql.execute("UPDATE incidents SET state = 'resolved', opened_at = 'noon' WHERE id = 1")
        sql.execute("UPDATE pages SET mentions = 'nobody', state = 'ready' WHERE id = 1")
        sql.execute("UPDATE silences SET starts_at = 'now'")
        await w.run(15)
        assert not w.service.broken
        told = "\n".join(m.words() for m in w.slack.roots())
        for headline in ("A page could not be made", "A silence could not be read", "Resolved incidents could not be read"):
            assert headline in told
        told = "\n".join(i.reason for i in w.service.store.incidents())
        assert "silence 1 by bob (a campaign) is damaged in the database (ValueError) and was ended" in told
        assert "INC-1: damaged in the database" in told
        assert not w.service.store.silences(w.clock())
        notice = w.service.store.incidents_of("silence:1")[0]
        assert notice.state is State.RESOLVED
        w.x.post("acme", "And the league is sold as well.")
        await w.run(3)
        assert any("league is sold" in m.words() for m in w.slack.waking()), "and what it covered pages"


async def test_a_fault_of_ours_that_no_row_explains_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a bug")

    async with world(tmp_path) as w:
        monkeypatch.setattr(w.service.outbox, "due", broken)
        await w.run(5)
        before = w.service.broken
        await w.run(10)
        assert (before, w.service.broken) == ("", "cannot send pages (TypeError)")
        (said,) = [m.text for m in w.slack.messages.values() if "Nobody watches @acme" in m.text]
        assert "stops because it cannot send pages (TypeError)" in said
        assert "journalctl" in said
        assert "fuser" not in said, "nobody holds anything"


def _cell(value: object) -> bytes:
    return packing.pack(json.dumps(value).encode(), packing.ROWS)


CELLS = {
    "nothing": b"",
    "no frame": b"Fees fall on Monday.",
    "half a frame": _cell(["Fees fall on Monday."] * 12)[:-9],
    "two frames": _cell([""] * 12) * 2,
    "a dictionary that was never shipped": _cell([""] * 12).replace(packing.ROWS.to_bytes(4, "little"), b"\1\2\3\4"),
    "no JSON": packing.pack(b"\xff", packing.ROWS),
    "something else": _cell({"text": "Fees fall on Monday."}),
    "too little": _cell(["Fees fall on Monday."]),
    "a number": _cell([*["Fees fall on Monday."] * 11, 1]),
    "depths": packing.pack(b"[" * 100_000, packing.ROWS),
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((name, "x") for name in ("kind", "links", "pictures", "alt", "shown", "not_after", "used_at", "confirmed_at", "created_at")),
        ("used", 2**62),
        ("opens", -(2**62)),
        *(pytest.param("packed", value, id=name) for name, value in CELLS.items()),
    ],
)  # fmt: skip
async def test_a_registration_that_cannot_be_read_approves_nothing_and_stops_nothing(tmp_path: Path, column: str, value: object) -> None:
    desk = Desk(tmp_path)
    await desk.begin()
    desk.plan("Fees fall on Monday.")
    desk.plan("Fees rise on Friday.")
    if column in ("links", "pictures", "alt", "shown"):
        overwrite(desk.store, 1, **{column: value})
    else:
        desk.store.sql.execute(f"UPDATE approved SET {column} = ? WHERE id = 1", [value])
    Announcer(desk.store, desk.clock, None).tick()
    desk.platform.batches["0"] = Batch((desk.post("2", "Fees fall on Monday."), desk.post("3", "Fees rise on Friday.")), "3")
    await desk.watch.poll()
    assert [k.verdict.severity for k in desk.store.posts("baseline = 0 AND kind = 'post'")] == [Severity.PAGE, Severity.CLEAR]
    assert set_aside.bad_rows(desk.store, desk.outbox, desk.clock()) == 1
    (told,) = desk.store.incidents_of("gap:approved:1")
    words = "" if column in ("packed", "opens", "used") else "Fees fall on Monday."
    assert f"(“{words}”) is damaged in the database" in told.reason
    assert told.severity is Severity.PAGE
    one = desk.store.registrations.get(1)
    assert one
    assert one.withdrawn_at
    assert not desk.store.damage.met
    (aside,) = desk.store.sql.execute("SELECT detail FROM audit WHERE action = 'row set aside'").fetchone()
    assert ("SHA-256" in aside) == (column in ("packed", "opens", "used")), "and of what cannot be read the digest"
    desk.store.close()


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner, max_size=14)).map(_cell))
def test_whatever_stands_in_a_cell_it_can_be_set_aside_and_redacted(cell: bytes) -> None:
    said = registered.columns({"id": 1, "not_before": stamp(START), "used_at": None}) | {"packed": cell}
    for values in (registered.mended(as_row(said), START), registered.redacted(as_row(said))[0]):
        registered.whole(as_row(said | values))
    json.dumps(registered.readable(as_row(said)))


@pytest.mark.parametrize("after", [1, 2])
async def test_a_thread_that_runs_in_a_circle_has_an_end(tmp_path: Path, after: int) -> None:
    async with world(tmp_path) as w:
        for text in ("One of the thread.", "Two of the thread."):
            w.register(text)
        store = w.service.store
        store.sql.execute("UPDATE approved SET after = 1 WHERE id = 2")
        store.sql.execute("UPDATE approved SET after = ? WHERE id = 1", [after])
        first, second = sorted(store.registrations.to_come(w.clock()), key=lambda one: one.id)
        assert [one.id for one in store.registrations.thread(first)] == [1, 2]
        assert store.registrations.first(second).id == 1


async def test_a_damaged_registration_and_a_hijack_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall on Monday.")
        w.service.store.sql.execute("UPDATE approved SET packed = x'00'")
        w.x.post("acme", "We are sold.")
        await w.run(30)
        assert not w.service.broken
        told = [m.words() for m in w.slack.waking()]
        assert any("We are sold." in words for words in told)
        assert any("A registration could not be read" in words for words in told)
        w.x.post("acme", "Fees fall on Monday.")
        await w.run(3)
        assert any("Fees fall on Monday." in m.words() for m in w.slack.messages.values() if "Unapproved" in m.words())


SPOILT = [
    *(f"silences.{column}" for column in ("starts_at", "ends_at", "told")),
    *(f"incidents.{column}" for column in ("opened_at", "last_at", "hosts", "skeletons", "acknowledged_at", "last_paged_at", "since", "held_until")),
    *(f"accounts.{column}" for column in ("last_ok", "failing_since", "gap_from", "profile", "habits", "first_seen")),
    *(f"posts.{column}" for column in ("post", "verdict", "context", "created_at", "seen_at")),
    *(f"pages.{column}" for column in ("mentions", "created_at", "next_at", "fallback_at")),
    "spending.day", "first_sights.at", "meta.value",
]  # fmt: skip


async def test_blindness_is_found_whatever_else_cannot_be_read(tmp_path: Path) -> None:
    """Each column of every row in turn holds nonsense, and then X cannot be read."""
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.run(2)
        begin_silence(w)
        await w.run(1)
        store, service = w.service.store, w.service
        w.clock.move(200)  # nothing was read meanwhile
        service.pager.ticked_at = w.clock()
        for spoilt in SPOILT:
            table, column = spoilt.split(".")
            where = "key NOT IN ('revision', 'install')" if table == "meta" else "1"
            store.sql.execute("BEGIN IMMEDIATE")  # every transaction of the service joins this one
            store.sql.execute(
                f"UPDATE {table} SET {column} = ? WHERE {where}", ["{}" if column == "post" else "x"]
            )  # JSON: it has an index
            service.check_health()
            service.check_health()
            blind = store.open_incident("blind:x") or store.open_incident("blind:x::2244994945")
            assert blind, spoilt
            assert blind.severity is Severity.PAGE
            assert not service.emergency._shouting, f"{spoilt}: no reason to stop"
            if table in ("silences", "incidents"):
                aside = store.sql.execute("SELECT 1 FROM audit WHERE action = 'row set aside'").fetchone()
                assert aside or store.damage.met, f"{spoilt}: now, or by the next tick"
            service.emergency.set_aside()
            assert not set_aside.bad_rows(store, service.outbox, w.clock()), f"{spoilt}: what was set aside can be read"
            store.sql.execute("ROLLBACK")
            service.check.failing.clear()
            store.damage.met.clear()


async def test_a_self_check_that_fails_is_told_inside_and_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> dict[str, object]:
        raise TypeError("a bug")

    async with world(tmp_path) as w:
        w.service.check.parts["Slack"] = broken
        await w.run(20)
        (notice,) = w.slack.roots()
        assert "The self-check fails" in notice.words()
        assert "Slack (TypeError)" in notice.words()
        assert not w.slack.waking()
        assert not w.service.audit()
        with monkeypatch.context() as patched:
            patched.setattr(health, "blindness", broken)
            await w.run(20)
            assert "whether accounts are read (TypeError)" in w.slack.waking()[0].words(), "that pages"
            await w.run(20)
            assert any("nobody has checked for" in why for why in w.service.audit()), "and whoever waits outside hears of it"
            assert w.service.audit() == w.service.check.outcome()
        w.service.check.parts["Slack"] = lambda _: {}
        await w.run(15)
        assert {i.state for i in w.service.store.incidents() if i.subject == "blind:self-check"} == {State.RESOLVED}
        assert not w.service.audit()
        assert not w.service.broken


@pytest.mark.parametrize(
    "where", ["approved.external_id", "silences.words", "incidents.headline", "pages.reason", "accounts.handle", "audit.detail"]
)
async def test_a_byte_that_is_no_text_stops_nobody(tmp_path: Path, where: str) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall on Monday.")
        w.x.post("acme", "We are sold.")
        await w.run(2)
        begin_silence(w)
        table, column = where.split(".")
        w.service.store.sql.execute(f"UPDATE {table} SET {column} = CAST({column} || x'ff' AS TEXT)")
        w.service.judge.start_over()
        w.x.post("acme", "And the league is sold as well.")
        await w.run(15)
        assert not w.service.broken
        assert any("league is sold" in m.words() for m in w.slack.messages.values())


async def test_status_names_the_row_of_an_account_that_is_damaged_and_the_figures_go_on(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(3)
        sql, command = w.service.store.sql, ["--config", str(w.config.path), "status"]
        for column in ("last_ok", "failing_since"):
            sql.execute(f"UPDATE accounts SET {column} = 'noon' || char(27)")
            said = await asyncio.to_thread(CliRunner().invoke, main, command)
            assert said.exit_code == 1
            (line,) = [line for line in said.output.splitlines() if "damaged: found" in line]
            assert line.startswith("@acme: its row x::2244994945 in the table `accounts`")
            assert f"{column} = 'noon" in line
            assert chr(27) not in said.output
            assert "hijack_monitor_account_failures{" in scrape(w)
            await w.run(10)
            assert sql.execute(f"SELECT {column} FROM accounts").fetchone()[0] != f"noon{chr(27)}"
            assert "damaged: found" not in (await asyncio.to_thread(CliRunner().invoke, main, command)).output

"""A page cannot be lost: what the channel does, and what becomes of the page."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.model import PageKind
from monitor.notifiers.interface import Letter, Notifier
from tests.conftest import CONFIG, World, world


async def _hijack(w: World) -> None:
    w.x.post("acme", "We are sold.")
    await w.run(2)


def _alerts(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("<1>PAGE")]


async def test_a_dropped_connection_before_acceptance_is_sent_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("drop_before", "postMessage")
        await _hijack(w)
        assert not w.slack.messages
        await w.run(15)
        assert len(w.slack.waking()) == 1


async def test_a_dropped_connection_after_acceptance_is_found_and_not_sent_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("drop_after", "postMessage")
        await _hijack(w)
        await w.run(30)
        assert len(w.slack.roots()) == 1
        assert w.service.store.pages.of(1)[0].state == "sent"


async def test_a_history_that_lags_is_looked_at_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("drop_after", "postMessage")
        w.slack.history_lag = 1
        await _hijack(w)
        await w.run(4)
        w.slack.history_lag = 0
        await w.run(30)
        assert len(w.slack.roots()) == 1


async def test_when_the_history_cannot_be_read_twice_is_better_than_never(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("drop_before", "postMessage")
        w.slack.refuse["conversations.history"] = "missing_scope"
        await _hijack(w)
        await w.run(20)
        assert w.slack.waking() == []
        await w.run(20)
        assert len(w.slack.waking()) == 1


async def test_slack_silent_for_a_minute_goes_to_the_last_resort_and_slack_keeps_being_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("html", "api", times=10_000, value=503)
        await _hijack(w)
        await w.run(50)
        assert _alerts(capsys.readouterr().err) == []
        await w.run(15)
        (line,) = _alerts(capsys.readouterr().err)
        assert "INC-1 Unapproved post @acme on X" in line
        assert "not accepted by slack" in line
        w.slack.faults.script.clear()
        await w.run(30)
        assert len(w.slack.roots()) == 1
        assert _alerts(capsys.readouterr().err) == []


@pytest.mark.parametrize("error", ["token_revoked", "channel_not_found", "is_archived"])
async def test_what_waiting_cannot_cure_goes_to_the_last_resort_at_once(
    tmp_path: Path, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as w:
        w.slack.refuse["chat.postMessage"] = error
        await _hijack(w)
        await w.run(2)
        assert len(_alerts(capsys.readouterr().err)) == 1
        del w.slack.refuse["chat.postMessage"]
        await w.run(30)
        assert len(w.slack.waking()) == 1


async def test_refused_blocks_are_sent_again_as_plain_text_that_still_wakes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.service.sight.tick()
        await w.service.sight.settle()  # our standing message is not what Slack refuses
        w.slack.faults.add("json", "postMessage", value=(200, {"ok": False, "error": "invalid_blocks"}, {}))
        await _hijack(w)
        await w.run(3)
        (page,) = w.slack.waking()
        assert page.blocks == []
        assert "We are sold." in page.text


class Broken:
    """A Slack notifier whose blocks cannot be made."""

    def __init__(self, inner: Notifier) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, letter: Letter) -> str:
        if not letter.page.plain:
            raise ZeroDivisionError("a bug in the renderer")
        return await self._inner.send(letter)


async def test_a_bug_in_the_renderer_costs_the_blocks_and_not_the_page(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        route = w.service.pager._routes["slack"]
        route.notifier = Broken(route.notifier)
        await _hijack(w)
        await w.run(20)
        (page,) = w.slack.waking()
        assert "We are sold." in page.text


async def test_content_refused_twice_goes_to_the_last_resort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as w:
        w.slack.refuse["chat.postMessage"] = "invalid_arguments"
        await _hijack(w)
        await w.run(3)
        assert len(_alerts(capsys.readouterr().err)) == 1


async def test_slow_down_is_obeyed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("json", "postMessage", value=(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "9"}))
        await _hijack(w)
        calls = len(w.slack.calls)
        await w.run(6)
        assert [m for m, _ in w.slack.calls[calls:] if m == "chat.postMessage"] == []
        await w.run(6)
        assert len(w.slack.waking()) == 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "nan"}])
async def test_slow_down_without_a_time_is_waited_for_a_second_then_longer_and_never_half_a_minute(
    headers: dict[str, str], tmp_path: Path
) -> None:
    async with world(tmp_path) as w:
        asked: list[float] = []
        w.slack.faults.add("json", "postMessage", times=5, value=(429, {"ok": False, "error": "ratelimited"}, headers))
        w.x.post("acme", "We are sold.")
        real = w.slack.faults.around

        async def around(request: Any, answer: Any) -> Any:
            asked.extend([w.elapsed] if "postMessage" in request.path else [])
            return await real(request, answer)

        w.slack.faults.around = around  # type: ignore[method-assign]
        await w.run(40)
        waited = [b - a for a, b in itertools.pairwise(asked)][:5]
        assert waited == [1, 2, 4, 8, 15]
        assert len(w.slack.waking()) == 1


async def test_slow_down_holds_for_every_incident_of_the_channel(tmp_path: Path) -> None:
    async with world(tmp_path, _TWO) as w:
        w.slack.faults.add("json", "postMessage", value=(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "9"}))
        w.x.post("acme", "We are sold.")
        await w.run(2)
        w.x.post("acmesupport", "And we too.")
        await w.run(4)
        assert w.slack.messages == {}
        await w.run(8)
        assert len(w.slack.waking()) == 2


async def test_a_thread_deleted_in_slack_is_opened_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await _hijack(w)
        w.slack.messages.clear()
        w.x.post("acme", "Sold again.")
        await w.run(40)
        assert len(w.slack.roots()) == 1
        assert "We are sold." in w.slack.roots()[0].words()


async def test_a_page_being_sent_when_the_process_died_is_looked_for_first(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await _hijack(w)
        w.service.store.sql.execute("UPDATE pages SET state = 'sending', receipt = '' WHERE kind = 'root'")
        w.service.pager.recover()
        await w.run(5)
        assert len(w.slack.roots()) == 1
        assert w.service.store.pages.of(1)[0].receipt == w.slack.roots()[0].ts


async def test_a_receipt_that_could_not_be_written_down_is_looked_for_without_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        store = w.service.store
        store.sql.execute("CREATE TRIGGER busy BEFORE UPDATE OF sent_at ON pages BEGIN SELECT RAISE(ABORT, 'busy'); END")
        await _hijack(w)
        assert len(w.slack.roots()) == 1
        assert store.pages.of(1)[0].state in ("sending", "unknown"), "Slack has it, and we do not know"
        store.sql.execute("DROP TRIGGER busy")
        await w.run(10)
        assert store.pages.of(1)[0].state == "sent"
        assert len(w.slack.roots()) == 1


async def test_one_blocked_incident_does_not_hold_up_another(tmp_path: Path) -> None:
    async with world(tmp_path, _TWO) as w:
        w.slack.faults.add("drop_before", "postMessage")
        w.x.post("acme", "We are sold.")
        await w.run(1.5)
        w.x.post("acmesupport", "And we too.")
        await w.run(1.5)
        assert [m.words().count("And we too.") > 0 for m in w.slack.waking()] == [True]


_TWO = {
    "company": {"name": "Acme", "domains": ["acme.example"], "wallets": [], "handles": []},
    "accounts": [{"handle": "acme", "id": "1"}, {"handle": "acmesupport", "id": "2"}],
    "lasts": 60, "timeline": [], "expect": [],
}  # fmt: skip


async def test_a_waiting_note_does_not_hold_up_a_repeat(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await _hijack(w)
        await w.run(270)
        w.x.post("acme", "One more.")
        await w.run(2)
        w.x.post("acme", "And another.")
        await w.run(32)
        times = [(m.at - w.slack.roots()[0].at).total_seconds() for m in w.slack.waking()]
        assert 299 <= times[1] <= 304


async def test_every_page_is_written_before_it_is_sent(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await _hijack(w)
        keys = {p.key for p in w.service.store.pages.of(1) if p.kind is PageKind.ROOT}
        assert {m.metadata["event_payload"]["dedupe_key"] for m in w.slack.roots()} == keys


async def test_a_database_refuses_a_second_open_incident_of_one_account(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await _hijack(w)
        store = w.service.store
        with pytest.raises(sqlite3.IntegrityError), store.transaction():
            store.save_incident(replace(store.unresolved()[0], id=0))


async def test_a_row_that_cannot_be_read_is_set_aside_and_pages_and_stops_no_other(tmp_path: Path) -> None:
    accounts = [{"handle": h, "id": str(n), "earlier": ["Good morning."]} for n, h in enumerate(("acme", "acmesupport"), 7_000)]
    async with world(tmp_path, CONFIG | {"accounts": accounts}) as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        sql = w.service.store.sql
        sql.execute("UPDATE incidents SET hosts = 'no JSON', opened_at = 'noon' WHERE id = 1")
        sql.execute("UPDATE pages SET mentions = 'nobody', state = 'ready' WHERE id = 1")
        await w.run(1)
        w.x.post("acmesupport", "We are sold too.")
        await w.run(10)
        told = "\n".join(m.words() for m in w.slack.roots())
        assert "We are sold too." in told
        assert "An incident could not be read" in told
        assert "A page could not be made" in told
        assert sql.execute("SELECT count(*) FROM audit WHERE action = 'row set aside' AND instr(detail, 'no JSON')").fetchone()[0] == 1
        w.x.post("acme", "And sold again.")
        await w.run(10)
        assert any("And sold again." in m.words() for m in w.slack.messages.values()), "the account goes on paging"
        where = "kind = 'root' AND incident = (SELECT max(id) FROM incidents WHERE name LIKE '@acmesupport%')"
        sql.execute(f"UPDATE pages SET mentions = 'nobody', state = 'ready' WHERE {where}")
        await w.run(5)
        pages = [m.words() for m in w.slack.waking() if "A page could not be made" in m.words()]
        assert any("@acmesupport on X: Unapproved post" in words for words in pages), "another one wakes by itself, and is named"


async def test_a_letter_that_cannot_be_made_is_told_by_a_page_about_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "We are sold.")
        await w.service.poll(w.service.watches[0])
        w.service.store.sql.execute("UPDATE posts SET packed = substr(packed, 1, 40) WHERE baseline = 0")
        await w.run(60)
        (told,) = [m.words() for m in w.slack.roots() if "A page could not be made" in m.words()]
        assert "@acme on X: Unapproved post (INC-1: " in told
        assert "nobody was told by it" in told

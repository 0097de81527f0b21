"""What a restored database cannot know of the time since is looked for; what nobody can prove pages."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import backup, numbering, restore
from monitor.model import Human, PageKind, State
from monitor.simulator.slack import Message
from tests.conftest import CONFIG, World, world
from tests.test_first_sight import copied, standing
from tests.test_reload import HELP, reload, write

KEY = {"install_key": "k" * 64}


@asynccontextmanager
async def watched(folder: Path, data: dict[str, Any] | None = None, beside: World | None = None, extra: str = "") -> AsyncIterator[World]:
    """A monitor whose install key was kept apart from its database."""
    async with world(folder, data, extra, beside=beside, secrets=KEY) as w:
        yield w


def save(w: World, folder: Path) -> Path:
    """A backup of now."""
    backup.make(w.config, str(folder / "b.db"), None, "carla", w.clock())
    return folder / "b.db"


def back(w: World, file: Path) -> None:
    """The host is gone, and its database; the backup is restored."""
    shutil.rmtree(w.config.data_dir)
    restore.put(w.config, restore.plan(w.config, file), "carla", w.clock())


def said(w: World) -> str:
    """The last that the monitor said of itself."""
    return standing(w)[-1]


def act(w: World, verb: str, number: int = 1) -> None:
    with w.service.store.transaction():
        w.service.outbox.act(
            number, Human(verb, "alice", "a test", w.clock(), user="U01ALICE", cause="hijack" if verb == "resolve" else "")
        )


async def hijacked(w: World, folder: Path, *acts: str, since: str = "") -> Path:
    """INC-1, what somebody does about it, a backup, and what somebody does after it."""
    w.x.post("acme", "We are sold.")
    await w.run(6)
    for verb in acts:
        act(w, verb)
        await w.run(6)
    file = save(w, folder)
    w.clock.move(60)
    if since:
        act(w, since)
        await w.run(6)
    return file


def keys(messages: list[Message]) -> list[str]:
    return [m.metadata["event_payload"]["dedupe_key"] for m in messages]


async def test_everything_since_the_backup_is_judged_and_nothing_in_it_becomes_baseline(tmp_path: Path) -> None:
    more = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "77"}]}
    async with watched(tmp_path / "a") as first:
        first.register("Registered before.")
        await first.run(6)
        file = save(first, tmp_path)
        first.clock.move(60)
        first.register("Registered after.")
        first.x.user("acmehelp", "77")
        first.x.post("acme", "Registered before.")
        await first.run(6)
    first.x.post("acme", "Registered after.")
    first.x.post("acme", "We are sold.")
    first.x.post("acmehelp", "Sold too.")
    first.clock.move(3_600)
    back(first, file)
    async with watched(tmp_path / "a", more, first) as second:
        assert "a copy that ends at 2026-11-21 03:00 UTC: carla restored it at 2026-11-21 04:01 UTC from a backup" in said(second)
        assert "Registrations, acknowledgements and silences made between 2026-11-21 03:00 and 2026-11-21 04:01 UTC are missing" in said(
            second
        )
        await second.run(10)
        told = [m.words() for m in second.slack.messages.values()]
        for words in ("We are sold.", "Registered after.", "Sold too."):
            assert any(words in t for t in told), words
        assert not any("Registered before." in m.words() for m in second.slack.waking())
        gap = second.service.store.sql.execute("SELECT gap_from, gap_to FROM accounts WHERE handle = 'acme'").fetchone()
        assert gap["gap_from"] < "2026-11-21T03:01" < gap["gap_to"], "and reported as one"
        assert "restored" not in {row[0] for row in second.service.store.sql.execute("SELECT key FROM meta WHERE value != ''")}, (
            "the mark is for the first start"
        )
    count = len(standing(first))
    async with watched(tmp_path / "a", more, first) as third:
        await third.run(6)
        assert len(standing(third)) == count, "it is told once"


async def test_a_page_that_was_due_is_sent_if_slack_does_not_show_it_and_never_twice(tmp_path: Path) -> None:
    two = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}
    hook = '[webhook]\nurl = "https://127.0.0.1:1/hook"\n'
    async with watched(tmp_path / "a", two, extra=hook) as first:
        first.slack.refuse["chat.postMessage"] = "internal_error"
        first.x.post("acme", "Sent after the backup.")
        first.x.post("brand", "Never sent.")
        await first.run(1)
        file = save(first, tmp_path)
        first.slack.refuse.clear()
        first.service.store.sql.execute("UPDATE pages SET state = 'ready'")
        page = first.service.store.pages.of(1)[0]
        await first.service.pager._advance(page, first.service.pager._routes["slack"])
        assert len(first.slack.roots()) == 1
    first.clock.move(7_200)
    back(first, file)
    async with watched(tmp_path / "a", two, first, hook) as second:
        assert "message(s) that were due are looked for in Slack before they are sent" in said(second)
        await second.run(30)
        told = [m for m in second.slack.roots() if m.wakes]
        assert sum("Sent after the backup." in m.words() for m in told) == 1
        assert sum("Never sent." in m.words() for m in told) == 1
        assert len(set(keys(list(second.slack.messages.values())))) == len(second.slack.messages), "no name twice"
        assert not [p for p in second.service.store.pages.of(1) if p.route == "stderr" and p.kind is PageKind.ROOT], (
            "handed on to nobody meanwhile"
        )


@pytest.mark.parametrize("verb", ["acknowledge", "resolve"])
async def test_an_incident_takes_over_what_our_own_message_shows(tmp_path: Path, verb: str) -> None:
    async with watched(tmp_path / "a") as first:
        file = await hijacked(first, tmp_path, since=verb)
    first.clock.move(300)
    before = len(first.slack.waking())
    back(first, file)
    async with watched(tmp_path / "a", beside=first) as second:
        await second.run(6)
        incident = second.service.store.incident(1)
        assert incident
        assert incident.state is {"acknowledge": State.ACKNOWLEDGED, "resolve": State.RESOLVED}[verb]
        assert len(second.slack.waking()) == before
        (row,) = second.service.store.sql.execute("SELECT subject, detail FROM audit WHERE action = 'taken over'").fetchall()
        assert row["subject"] == "INC-1"
        if verb == "acknowledge":
            assert incident.acknowledged_at
            assert incident.acknowledged_at < second.clock() - timedelta(seconds=300), "it runs from when it was given"
            await second.run(1_800)
            assert len(second.slack.waking()) > before, "and ends like any other"


@pytest.mark.parametrize("forged", ["another app", "no seal", "another key", "an older message"])
async def test_without_proof_an_incident_pages(tmp_path: Path, forged: str) -> None:
    async with watched(tmp_path / "a") as first:
        first.x.post("acme", "We are sold.")
        await first.run(6)
        if forged == "an older message":
            act(first, "acknowledge")
            await first.run(6)
            (root,) = first.slack.roots()
            old = dict(root.metadata)
            first.clock.move(60)
            act(first, "escalate")
            await first.run(6)
        file = save(first, tmp_path)
        first.clock.move(60)
        if forged != "an older message":
            act(first, "resolve")
            await first.run(6)
    (root,) = first.slack.roots()
    if forged == "another app":
        root.user, root.bot_id = "U0OTHERAPP", "B0OTHER"
    elif forged == "no seal":
        root.metadata["event_payload"].pop("mac")
    elif forged == "an older message":
        root.metadata = old
    before = len(first.slack.waking())
    first.clock.move(600)
    back(first, file)
    key = {"install_key": "f" * 64} if forged == "another key" else KEY
    async with world(tmp_path / "a", beside=first, secrets=key) as second:
        await second.run(6)
        incident = second.service.store.incident(1)
        assert incident
        assert incident.state is State.OPEN
        assert len(second.slack.waking()) > before


async def test_what_slack_shows_and_the_backup_lacks_is_listed_and_its_numbers_and_names_stay_used(tmp_path: Path) -> None:
    two = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}
    async with watched(tmp_path / "a", two) as first:
        await first.run(6)
        file = save(first, tmp_path)
        first.clock.move(60)
        first.x.post("brand", "We are sold.")
        await first.run(6)
        act(first, "resolve")
        await first.run(6)
        numbering.used_up_to(first.service.store.sql, 54_320)
        first.x.post("acme", "We are sold as well.")
        await first.run(6)
    used = keys(list(first.slack.messages.values()))
    first.clock.move(60)
    back(first, file)
    async with watched(tmp_path / "a", two, first) as second:
        assert (
            "Slack shows 2 incident(s) that it lacks, and that are handled there: INC-1 (@brand, resolved), INC-54321 (@acme, open)"
            in said(second)
        )
        assert "<@" not in said(second)
        second.x.post("acme", "Sold once more.")
        await second.run(6)
        fresh = [m for m in second.slack.messages.values() if m.metadata["event_payload"]["dedupe_key"] not in used]
        assert {m.metadata["event_payload"]["incident"] for m in fresh} == {54_322, 54_323}
        assert not {k.split(":")[0] for k in keys(fresh)} & {k.split(":")[0] for k in used}


async def test_what_was_said_since_an_earlier_restore_of_the_same_backup_counts_as_well(tmp_path: Path) -> None:
    two = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}
    async with watched(tmp_path / "a", two) as first:
        file = await hijacked(first, tmp_path)
    first.clock.move(600)
    back(first, file)
    async with watched(tmp_path / "a", two, first) as second:
        first.x.post("brand", "Sold too.")
        await second.run(6)
        (new,) = [i.id for i in second.service.store.unresolved() if i.id > 1]
        act(second, "resolve")
        await second.run(6)
    first.clock.move(600)
    back(first, file)
    async with watched(tmp_path / "a", two, first) as third:
        assert f"Slack shows 1 incident(s) that it lacks, and that are handled there: INC-{new} (@brand, open)" in said(third)
        incident = third.service.store.incident(1)
        assert incident
        assert incident.state is State.RESOLVED


async def test_while_slack_does_not_answer_it_pages_and_takes_over_later(tmp_path: Path) -> None:
    async with watched(tmp_path / "a") as first:
        file = await hijacked(first, tmp_path, since="resolve")
    before = len(first.slack.waking())
    first.clock.move(600)
    back(first, file)
    first.slack.refuse["conversations.history"] = "internal_error"
    async with watched(tmp_path / "a", beside=first) as second:
        assert "Not known yet: which incidents Slack shows that it lacks" in said(second)
        await second.run(6)
        assert len(second.slack.waking()) > before
    async with watched(tmp_path / "a", beside=first) as third:
        first.slack.refuse.clear()
        for _ in range(3):
            third.clock.move(40)
            third.service.sight.tick()
            await third.service.sight.settle()
        incident = third.service.store.incident(1)
        assert incident
        assert incident.state is State.RESOLVED, "also by a later start"


async def test_a_copy_without_a_mark_is_found_out_and_treated_the_same(tmp_path: Path) -> None:
    two = CONFIG | {"accounts": [{"handle": "acme", "id": "1"}, {"handle": "brand", "id": "2"}]}
    async with watched(tmp_path / "a", two) as first:
        first.x.post("acme", "We are sold.")
        first.x.post("brand", "Sold.")
        first.slack.refuse["chat.postMessage"] = "internal_error"
        await first.run(2)
        first.slack.refuse.clear()
        first.service.sight.tick()
        await first.service.sight.settle()
        copied(first, tmp_path / "b")
        await first.run(20)
        sent = len(first.slack.roots())
        assert sent == 2
        act(first, "resolve")
        first.clock.move(86_400 - 1_200)
        await first.skip(1_200)
        first.x.post("brand", "Sold while it was down.")
        first.clock.move(600)
    used = keys(list(first.slack.messages.values()))
    async with watched(tmp_path / "b", two, first) as second:
        assert any("is a copy that ends at" in s for s in standing(second))
        await second.run(20)
        assert len(set(keys(list(second.slack.messages.values())))) == len(second.slack.messages)
        assert not set(keys(second.slack.roots()[sent:])) & set(used)
        incident = second.service.store.incident(1)
        assert incident
        assert incident.state is State.RESOLVED
        assert numbering.last_incident(second.service.store.sql) > numbering.SKIPPED
        assert any("Sold while it was down." in m.words() for m in second.slack.waking())


async def test_an_incident_that_was_opened_again_after_the_backup_pages(tmp_path: Path) -> None:
    async with watched(tmp_path / "a") as first:
        file = await hijacked(first, tmp_path, "resolve", since="reopen")
    before = len(first.slack.waking())
    first.clock.move(600)
    back(first, file)
    async with watched(tmp_path / "a", beside=first) as second:
        await second.run(6)
        incident = second.service.store.incident(1)
        assert incident
        assert incident.state is State.OPEN
        assert len(second.slack.waking()) > before


@pytest.mark.parametrize("answers", [True, False])
async def test_an_account_that_is_added_long_after_the_restore_is_new(tmp_path: Path, *, answers: bool) -> None:
    async with watched(tmp_path / "a") as first:
        await first.run(6)
        file = save(first, tmp_path)
    first.x.user("acmehelp", "777")
    first.clock.move(3_600)
    back(first, file)
    if not answers:
        first.slack.refuse["conversations.history"] = "internal_error"
    async with watched(tmp_path / "a", beside=first) as second:
        await second.run(6)
        second.clock.move(86_400)
        first.x.post("acmehelp", "We are here to help.")
        second.clock.move(86_400)
        await second.run(3)
        write(second, more=HELP)
        assert await reload(second)
        await second.run(10)
        assert [k.baseline for k in second.service.store.posts("account = 'x::777'")] == [True]


async def test_an_account_whose_id_is_known_only_after_another_start_is_judged_since_the_copy_was_made(tmp_path: Path) -> None:
    more = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp"}]}
    async with watched(tmp_path / "a") as first:
        await first.run(6)
        file = save(first, tmp_path)
    first.x.user("acmehelp", "777")
    first.clock.move(1_800)
    first.x.post("acmehelp", "Sold too.")
    first.clock.move(1_800)
    back(first, file)
    first.x.faults.add("html", "/2/users/by", times=100, value=503)
    async with watched(tmp_path / "a", more, first) as second:
        await second.run(3)
    first.x.faults.script.clear()
    async with watched(tmp_path / "a", more, first) as third:
        await third.run(10)
        assert any("Sold too." in page.words() for page in third.slack.waking())

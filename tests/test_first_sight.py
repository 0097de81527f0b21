"""What was there before us, and what was there before our database: a baseline for new accounts, judged for known ones."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import show
from monitor.command import Part
from monitor.first_sight import REACH, Proof, Question, digest, is_newer, known_since
from monitor.notifiers.interface import NotifierError
from monitor.simulator.x import XWorld
from tests.conftest import CONFIG, START, Clock, World, world

SCAM = "Send any amount of BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back! Claim at https://canary-airdrop.xyz"
NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def standing(w: World) -> list[str]:
    """What the monitor says of itself in Slack, oldest first."""
    return [m.text for m in w.slack.standing.values()]


def earlier(x: XWorld, text: str, by: timedelta) -> None:
    """Posted so long before the monitor begins."""
    x.skew = -by
    x.post("acme", text)
    x.skew = timedelta()


async def test_a_new_account_is_recorded_told_of_once_and_pages_only_what_may_be_going_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", "monitor.intake")

    def before(x: XWorld) -> None:
        earlier(x, f"{SCAM} Old.", timedelta(days=3))
        earlier(x, SCAM, timedelta(hours=2))

    async with world(tmp_path, before=before) as w:
        await w.run(6)
        (said,) = standing(w)
        assert "First sight of @acme on X: 3 post(s)" in said
        assert "Rules accuse 2 of them" in said
        assert "nobody is woken" in said
        (page,) = w.slack.waking()
        assert "there when this account was read for the first time" in page.words()
        assert "Old." not in page.words()
        words = [r.getMessage() for r in caplog.records if r.name == "monitor.intake"]
        assert sorted(m for m in words if m.startswith(("baseline", "page"))) == ["baseline", "baseline", "page INC-1"]
        show.baseline(w.service.store, Part(50), as_json=False)
        first, *_ = [line for line in capsys.readouterr().out.splitlines() if "@acme" in line]
        assert "fake-airdrop (page)" in first, "what a rule accuses comes first"
        show.baseline(w.service.store, Part(1), as_json=False)
        said = capsys.readouterr().out
        assert "1 of 2; --before" in said
        show.baseline(w.service.store, Part(1, before=int(said.split("--before ")[1].split()[0])), as_json=False)
        said = capsys.readouterr().out
        assert "Good morning." in said
        assert "--before" not in said
        await w.run(1200)
        assert len(standing(w)) == 1, "it is edited, not said again"
        assert "read until 2026-11-21 03:" in standing(w)[0]


async def test_a_known_monitor_whose_database_is_gone_judges_what_was_posted_meanwhile(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(900)
        first.clock.move(1800)  # it dies, and its host with it
        first.x.post("acme", "We are sold.")
        first.clock.move(600)
        async with world(tmp_path / "b", beside=first) as second:
            assert "The database of this monitor is new" in standing(second)[1]
            assert "Registrations" in standing(second)[1]
            await second.run(6)
            (page,) = second.slack.waking()
            assert "We are sold." in page.words()
            assert "Good morning." not in page.words(), "what was there before is recorded"
            kept = second.service.store.posts("baseline = 1")
            assert len(kept) == 1


async def test_a_known_monitor_that_dies_before_its_first_read_forgets_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(30)
        first.x.post("acme", "We are sold.")
        first.clock.move(3_600)
        first.x.faults.add("html", "tweets", times=100_000, value=503)
        async with world(tmp_path / "b", beside=first) as second:
            await second.run(6)
            assert second.slack.waking() == []
        first.clock.move(60)
        first.x.faults.script.clear()
        async with world(tmp_path / "b", beside=first) as second:
            await second.run(6)
            assert any("We are sold." in m.words() for m in second.slack.waking())


async def test_an_account_that_the_lost_database_did_not_watch_is_a_new_one(tmp_path: Path) -> None:
    more = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "77", "earlier": ["Hello."]}]}
    async with world(tmp_path / "a") as first:
        await first.run(30)
        first.x.user("acmehelp", "77")
        first.x.post("acmehelp", "Hello.")
        async with world(tmp_path / "b", more, beside=first) as second:
            await second.run(6)
            assert second.slack.waking() == []
        for message in first.slack.standing.values():
            message.user, message.bot_id = "U0OTHERAPP", "B0OTHER"  # whoever copies what we say is not us
        first.x.post("acme", "We are sold.")
        first.clock.move(60)
        async with world(tmp_path / "c", beside=first) as third:
            await third.run(6)
            assert third.slack.waking() == []


async def test_a_copy_of_yesterday_is_told_and_what_was_posted_while_down_pages(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(6)
        copied(first, tmp_path / "b")
        first.x.post("acme", "Sold once.")
        await first.run(6)
        assert len(first.slack.waking()) == 1
        key = first.slack.waking()[0].metadata["event_payload"]["dedupe_key"]
        first.clock.move(86_400 - 1_200)
        await first.skip(1_200)
        before = len(first.slack.waking())
        first.x.post("acme", "Sold while it was down.")
        first.clock.move(600)
        async with world(tmp_path / "b", beside=first) as second:
            assert "is a copy that ends at 2026-11-21 03:00 UTC" in standing(second)[-1]
            await second.run(6)
            page = second.slack.waking()[before]
            assert "Sold while it was down." in page.words()
            assert page.metadata["event_payload"]["dedupe_key"] != key, "INC-1 was told of before, and is another incident"


def copied(w: World, folder: Path) -> None:
    """What the database holds now, as that of another folder."""
    (folder / "data").mkdir(parents=True)
    with sqlite3.connect(folder / "data" / w.config.database.name) as copy:
        w.service.store.sql.backup(copy)
    copy.close()


async def later(w: World, seconds: float) -> None:
    """What it asks of its messages and says in them in that time; nothing is read meanwhile."""
    for _ in range(round(seconds / 40)):
        w.clock.move(40)
        w.service.sight.tick()
        await w.service.sight.settle()


def is_copy(w: World) -> bool:
    """Whether it was told of one."""
    return any("is a copy that ends at" in s for s in standing(w))


async def test_a_copy_is_noticed_though_nothing_could_be_read_since_long_before_it_was_made(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(6)
        first.x.faults.add("html", "tweets", times=100_000, value=503)
        await later(first, 700)
        copied(first, tmp_path / "b")
        await later(first, 700)
        async with world(tmp_path / "b", beside=first) as second:
            assert is_copy(second)
        assert len([s for s in standing(first) if "is a copy" in s]) == 1
        async with world(tmp_path / "b", beside=first) as third:
            await later(third, 40)
            assert len([s for s in standing(third) if "is a copy" in s]) == 1, "it is told once"


@pytest.mark.parametrize("asked_by", ["tick", "next start", "next start, after its first message"])
async def test_a_copy_is_noticed_when_slack_does_not_answer_at_its_start(tmp_path: Path, asked_by: str) -> None:
    more = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "77"}]}
    async with world(tmp_path / "a") as first:
        await first.run(6)
        copied(first, tmp_path / "b")
        first.x.user("acmehelp", "77")
        async with world(tmp_path / "a", more, beside=first) as grown:
            await later(grown, 700)
        first.x.post("acmehelp", "Sold while it was down.")
        first.clock.move(60)
        first.slack.refuse["conversations.history"] = "internal_error"
        async with world(tmp_path / "b", more, beside=first) as second:
            said = standing(second)
            await second.run(4)
            assert standing(second) == said, "what was not read is not edited"
            assert any("Sold while it was down." in m.words() for m in second.slack.waking()), "the last day is judged meanwhile"
            if asked_by.endswith("message"):
                await later(second, 700)
                assert len(standing(second)) == len(said) + 1
                assert "Not known yet: whether its database was lost or is an old copy" in standing(second)[-1]
            assert not is_copy(second)
            first.slack.refuse.clear()
            if asked_by == "tick":
                await later(second, 120)
                assert is_copy(second)
        async with world(tmp_path / "b", more, beside=first) as third:
            await later(third, 40)
            assert len([s for s in standing(third) if "is a copy" in s]) == 1


async def test_a_database_that_is_all_there_is_goes_on_with_its_message_when_slack_answers_late(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(30)
        (message,) = first.slack.standing.values()
        edits = message.edits
        first.slack.refuse["conversations.history"] = "internal_error"
        async with world(tmp_path / "a", beside=first) as second:
            assert message.edits == edits
            first.slack.refuse.clear()
            await later(second, 700)
            assert list(second.slack.standing.values()) == [message]
            assert message.edits > edits
            assert "not known" not in message.text


async def test_a_lost_database_is_known_when_slack_answers_late(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(30)
        await first.service.sight.settle()
        first.clock.move(3 * 86_400)
        first.slack.refuse["conversations.history"] = "internal_error"
        async with world(tmp_path / "b", beside=first) as second:
            assert "everything posted since 2026-11-23 03:00" in standing(second)[-1]
            first.slack.refuse.clear()
            await later(second, 120)
            assert "show that it had read until 2026-11-21 03:00" in standing(second)[-1]
            assert "recorded without being judged" in standing(second)[-1]


@pytest.mark.parametrize(
    ("told", "read", "newer"),
    [(7, NOW, False), (8, NOW - timedelta(days=9), True), (-1, NOW, False), (0, NOW, True), (0, NOW - timedelta(hours=5), False)],
)
def test_a_message_that_counts_further_than_the_database_makes_it_a_copy(told: int, read: datetime, newer: bool) -> None:
    question = Question("1.2", 7, NOW - timedelta(hours=5))
    assert is_newer(Proof(read, frozenset(), told=told), question, NOW) is newer


async def test_a_file_says_so_where_there_is_no_slack_to_ask(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "restored").write_text((START - timedelta(hours=3)).isoformat())
    async with world(tmp_path, before=lambda x: earlier(x, "We are sold.", timedelta(hours=1))) as w:
        await w.run(6)
        assert ["We are sold." in m.words() for m in w.slack.waking()] == [True]
        assert not (tmp_path / "data" / "restored").exists()


async def test_a_monitor_that_was_off_for_a_day_says_nothing_of_a_copy(tmp_path: Path) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(30)
        said = len(standing(first))
        await first.service.sight.settle()
    clock = Clock(START + timedelta(days=1))
    async with world(tmp_path / "a", clock=clock) as again:
        await again.run(6)
        assert all("copy" not in s and "new, and" not in s for s in standing(again))
    assert said == 1


PROOFS = st.builds(
    Proof,
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants them naive
    st.one_of(st.none(), st.frozensets(st.sampled_from([digest("x::1"), digest("x::2")]))),
    st.booleans(),
)


@given(st.lists(PROOFS, max_size=5), PROOFS, st.booleans())
def test_whatever_else_is_written_and_buried_an_account_that_is_known_stays_known(others: list[Proof], ours: Proof, whole: bool) -> None:
    ours = Proof(ours.until, frozenset([digest("x::1")]))
    found = known_since("x::1", [*others, ours], NOW, whole=whole)
    assert found is not None
    assert found <= NOW
    assert known_since("x::1", others, NOW, whole=False) is not None, "what could not be looked through may hold us"


def proof(install: str, posted: float, written: float) -> Proof:
    """A message of a database that was first and last said so many hours ago, when everything had just been read."""
    first, last = NOW - timedelta(hours=posted), NOW - timedelta(hours=written)
    return Proof(last, frozenset([digest("x::1")]), install=install, written=last, posted=first)


@pytest.mark.parametrize(
    ("proofs", "hours"),
    [
        ([proof("a", 90, 2), proof("b", 40, 0)], 2),  # side by side: the one that ended first may be the lost one
        ([proof("a", 90, 41), proof("b", 40, 2)], 2),  # one after the other
        ([proof("a", 9_000, 2), proof("b", 4_000, 2_000)], 2),  # a trial of long ago
        ([proof("a", 9_000, 4_000), proof("b", 5_000, 2_000)], 2_000),
        ([proof("a", 900, 50), proof("a", 50, 3)], 3),  # one database, two messages
    ],
)
def test_a_second_installation_does_not_hide_what_the_first_one_had_not_read(proofs: list[Proof], hours: float) -> None:
    for some in (proofs, proofs[::-1]):
        assert known_since("x::1", some, NOW, whole=True) == NOW - timedelta(hours=hours)


@pytest.mark.parametrize("error", ["missing_scope", "invalid_auth", "not_in_channel"])
async def test_who_may_not_read_its_own_messages_is_not_new_because_of_it(tmp_path: Path, error: str) -> None:
    async with world(tmp_path / "a") as first:
        await first.run(6)
        first.x.post("acme", "We are sold.")
        first.clock.move(60)
        first.slack.refuse["conversations.history"] = error
        async with world(tmp_path / "b", beside=first) as second:
            await second.run(4)
            assert any("We are sold." in m.words() for m in second.slack.waking())
            assert "Slack could not be asked whether it was here before" in standing(second)[-1]
            if error == "missing_scope":
                assert "cannot tell a lost database from a new one: add channels:history" in standing(second)[-1]
                with pytest.raises(NotifierError, match="add channels:history"):
                    await second.service.pager.notifiers()["slack"].check()


def test_what_nobody_knows_is_new_and_a_page_of_an_earlier_version_is_proof_enough() -> None:
    assert known_since("x::1", [], NOW, whole=True) is None
    assert known_since("x::1", [Proof(NOW - timedelta(hours=5))], NOW, whole=True) == NOW - timedelta(hours=5)
    assert known_since("x::1", [], NOW, whole=False) == NOW - REACH


async def test_what_was_posted_while_a_new_account_could_not_be_read_was_not_there_before_us(tmp_path: Path) -> None:
    async with world(tmp_path, before=lambda x: x.faults.add("html", "tweets", times=100_000, value=503)) as w:
        await w.run(10)
        w.x.post("acme", "We are sold.")
        await w.run(10)
        w.x.faults.script.clear()
        await w.run(60)
        pages = [m.words() for m in w.slack.waking()]
        assert any("We are sold." in p for p in pages), pages
        assert not any("Good morning." in p for p in pages), "what was there when we began is recorded"


async def test_an_account_that_came_after_the_copy_was_made_is_known_all_the_same(tmp_path: Path) -> None:
    more = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "77"}]}
    async with world(tmp_path / "a") as first:
        await first.run(6)
        copied(first, tmp_path / "b")
        first.x.user("acmehelp", "77")
        async with world(tmp_path / "a", more, beside=first) as second:
            await second.skip(3_600)
            await second.service.sight.settle()
        first.clock.move(3_600)
        first.x.post("acmehelp", "Sold while it was down.")
        first.clock.move(60)
        async with world(tmp_path / "b", more, beside=first) as third:
            assert "is a copy" in standing(third)[-1], "its own newest message is not the newest there is"
            await third.run(6)
            assert any("Sold while it was down." in m.words() for m in third.slack.waking())


async def test_a_handle_that_is_another_accounts_by_now_is_no_new_account(tmp_path: Path) -> None:
    by_handle = '[[accounts]]\nplatform = "x"\nhandle = "acmehelp"\n'
    async with world(tmp_path / "a", extra=by_handle, before=lambda x: x.user("acmehelp", "77")) as first:
        await first.run(30)
        await first.service.sight.settle()
        first.clock.move(3_600)
        first.x.change("acmehelp", username="acmehelp_real")
        first.x.user("acmehelp", "78")
        first.x.post("acmehelp_real", "We are sold.")
        async with world(tmp_path / "b", extra=by_handle, beside=first) as second:
            await second.run(6)
            (page,) = second.slack.waking()
            assert "@acmehelp was another account until 2026-11-21 03:00 UTC" in page.words()
        async with world(tmp_path / "b", extra=by_handle, beside=first) as third:
            await third.run(6)
            assert len(third.slack.waking()) == 1, "it is told once"


async def test_a_message_whose_place_could_not_be_written_down_is_not_posted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as w:
        keep, refused = w.service.store.keep, list[str]()

        def busy(name: str, value: str) -> None:
            if name == "standing receipt" and value and len(refused) < 2:
                refused.append(value)
                raise sqlite3.OperationalError("database is locked")
            keep(name, value)

        monkeypatch.setattr(w.service.store, "keep", busy)
        await w.run(120)
        assert len(refused) == 2
        assert len(w.slack.standing) == 1
        assert w.service.store.kept("standing receipt") == refused[0]

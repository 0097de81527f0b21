"""A newest post that the profile names is read, or it is said that nobody could."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor import health, record
from monitor.health import Reading
from monitor.model import Severity, State
from tests.conftest import CONFIG, START, World, world
from tests.test_streams import SCAM, judged

KEY = "x::2244994945"
LOOKS = CONFIG | {"profile_seconds": 5}


def hidden(w: World, text: str) -> str:
    """A post that timelines do not show."""
    identifier = w.x.post("acme", text)
    w.x.paging.hidden.add(identifier)
    return identifier


async def test_a_post_that_only_the_profile_names_is_asked_for_by_its_id(tmp_path: Path) -> None:
    async with world(tmp_path, LOOKS) as w:
        hidden(w, SCAM)
        await w.run(12)
        assert judged(w, SCAM) == 1
        assert "Unapproved post" in w.slack.waking()[0].words()
        await w.run(120)
        assert not [i for i in w.service.store.incidents() if i.subject.startswith("blind")]


@pytest.mark.parametrize("seconds", [5, 60])
async def test_one_that_no_read_shows_for_a_minute_is_blindness_and_ends_when_it_is_read(tmp_path: Path, seconds: int) -> None:
    async with world(tmp_path, CONFIG | {"profile_seconds": seconds}) as w:
        post = hidden(w, SCAM)
        w.x.faults.add("html", "/2/tweets", times=100_000, value=503)
        await w.run(55)
        assert not w.slack.messages
        await w.run(80)
        (page,) = w.slack.waking()
        assert "Not being watched" in page.words()
        assert f"ts profile names post {post} as the newest, and no read has shown it" in page.words()
        assert w.service.check.audit(), "and whoever waits for our ping is not told that all is well"
        w.x.faults.script.clear()
        w.x.paging.hidden.clear()
        await w.run(40)
        (blind,) = [i for i in w.service.store.incidents() if i.subject.startswith("blind")]
        assert blind.state is State.RESOLVED
        assert judged(w, SCAM) == 1


async def test_one_that_x_says_is_not_found_and_goes_on_naming_is_blindness_all_the_same(tmp_path: Path) -> None:
    async with world(tmp_path, LOOKS) as w:
        ghost = hidden(w, SCAM)
        w.x.named("acme").posts.pop(ghost)
        w.x.change("acme", most_recent_tweet_id=ghost)
        await w.run(100)
        assert any("Not being watched" in m.words() and ghost in m.words() for m in w.slack.waking())
        asked = sum("/2/tweets?" in r for r in w.x.requests)
        assert asked <= 25, "and it is not asked for at every poll"


async def test_one_that_is_gone_before_anybody_read_it_is_a_notice_once(tmp_path: Path) -> None:
    async with world(tmp_path, LOOKS) as w:
        post = hidden(w, SCAM)
        w.x.faults.add("html", "/2/tweets", times=1, value=503)
        await w.run(6)
        w.x.delete("acme", post)
        await w.run(200)
        (notice,) = w.slack.roots()
        assert "Post gone before it was read" in notice.words()
        assert post in notice.words()
        assert w.service.store.incidents()[0].severity is Severity.NOTIFY


async def test_posts_that_come_and_go_while_none_is_read_are_one_blindness(tmp_path: Path) -> None:
    async with world(tmp_path, LOOKS) as w:
        w.x.faults.add("html", "/2/tweets", times=100_000, value=503)

        def rotate(elapsed: float) -> None:
            if elapsed % 6 < 0.25:
                for post in list(w.x.paging.hidden):
                    w.x.delete("acme", post)
                w.x.paging.hidden.clear()
                hidden(w, f"{SCAM} {elapsed}")

        for _ in range(3):
            await w.run(50, meanwhile=rotate)
        assert any("Not being watched" in m.words() for m in w.slack.waking()), "another one each time proves nothing"


async def test_one_that_is_gone_after_it_paged_is_not_said_to_have_been_read(tmp_path: Path) -> None:
    async with world(tmp_path, LOOKS) as w:
        key = w.service.watches[0].account.key
        gap = (record.stamp(w.clock() - timedelta(days=7)), record.stamp(w.clock() - timedelta(days=7, minutes=-3)))
        w.service.store.sql.execute("UPDATE accounts SET gap_from = ?, gap_to = ? WHERE key = ?", [*gap, key])
        post = hidden(w, SCAM)
        w.x.faults.add("html", "/2/tweets", times=100_000, value=503)
        await w.run(80)
        w.x.delete("acme", post)
        w.x.faults.script.clear()
        await w.run(60)
        (blind,) = [i for i in w.service.store.incidents() if i.subject.startswith("blind")]
        assert blind.state is State.RESOLVED
        assert blind.cause.startswith(f"Post {post} was gone before anybody read it: nobody knows what it said. Being read again since")
        assert "Everything posted in between" not in blind.cause
        assert "Nothing was read from" not in blind.cause, "that was last week"
        assert "no post of that time is there" not in blind.cause


def test_a_minute_is_counted_from_when_the_first_was_named() -> None:
    def why(seconds: float, failing: bool = False) -> str:
        now = START + timedelta(seconds=seconds)
        last: datetime = START if failing else now
        return health.blind(Reading(KEY, "@acme on X", last, None, int(failing), "", "", unseen=("5", START)), now, START, 5)

    assert not why(60)
    assert "names post 5" in why(61)
    assert "no poll has finished" in why(61, failing=True), "what is worse is said first"

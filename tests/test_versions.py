"""The platform shows the newest version of a post; every one before it was read by somebody."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

from monitor import desk, post_rows
from monitor.model import Post, Severity, Unreadable
from tests.conftest import World, world
from tests.test_streams import PUSH, hear

GOOD = "Our league is open."
BAD = "Our league is open. Claim at https://acme-league.xyz"


def judged(w: World) -> list[tuple[int, str, Severity]]:
    found = w.service.store.posts("baseline = 0")
    assert all(desk.recompute(w.service.store, k) == k.verdict for k in found)
    return [(k.post.version, k.post.text[-5:], k.verdict.severity) for k in found if isinstance(k.post, Post)]


async def test_a_scam_between_two_versions_that_were_approved_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(GOOD)
        first = w.x.post("acme", GOOD)
        await w.run(3)
        w.x.edit("acme", w.x.edit("acme", first, BAD), GOOD)
        await w.run(3)
        assert judged(w) == [(1, "open.", Severity.CLEAR), (2, "e.xyz", Severity.PAGE), (3, "open.", Severity.CLEAR)]
        page = w.slack.waking()[0].words()
        assert "version 2 of 3" in page
        assert "acme-league[.]xyz" in page


async def test_a_registered_text_after_an_unseen_edit_is_not_silent(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(GOOD)
        w.x.edit("acme", w.x.post("acme", BAD), GOOD)
        await w.run(3)
        assert judged(w) == [(1, "e.xyz", Severity.PAGE), (2, "open.", Severity.CLEAR)]
        assert len(w.slack.waking()) == 1


async def test_a_version_that_cannot_be_fetched_pages_and_says_which(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(GOOD)
        last = w.x.edit("acme", w.x.edit("acme", w.x.post("acme", GOOD), BAD), GOOD)
        acme = w.x.named("acme")
        second = acme.posts[last]["edit_history_tweet_ids"][1]
        del acme.posts[second]
        await w.run(5)
        kept = [k for k in w.service.store.posts("baseline = 0") if isinstance(k.post, Unreadable)]
        assert [(k.post.id, k.verdict.severity) for k in kept] == [(second, Severity.PAGE)]
        assert "version 2 of 3 of the edited post" in kept[0].verdict.reason
        await w.run(120)
        assert len(w.slack.waking()) == 1


async def test_what_x_does_not_answer_is_asked_again_and_pages_after_half_a_minute(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(GOOD)
        w.x.faults.add("html", "/2/tweets", times=200)
        w.x.edit("acme", w.x.edit("acme", w.x.post("acme", GOOD), BAD), GOOD)
        await w.run(20)
        assert w.slack.waking() == []
        await w.run(20)
        assert len(w.slack.waking()) == 1
        assert "did not give it within 30 s" in w.slack.waking()[0].words()


async def test_the_newest_version_pages_before_the_others_are_fetched(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("html", "/2/tweets", times=200)
        w.x.edit("acme", w.x.edit("acme", w.x.post("acme", GOOD), GOOD + "!"), BAD)
        await w.run(2)
        assert "acme-league[.]xyz" in w.slack.waking()[0].words()


async def test_a_monitor_that_is_killed_in_between_fetches_them_later(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(GOOD)
        w.x.faults.add("html", "/2/tweets", times=8)
        w.x.edit("acme", w.x.edit("acme", w.x.post("acme", GOOD), BAD), GOOD)
        await w.run(2)
        clock, x = w.clock, w.x
        assert [v for v, _, _ in judged(w)] == [3]
    async with world(tmp_path, clock=clock, before=lambda fresh: fresh.users.update(x.users)) as w:
        await w.run(5)
        assert (2, "e.xyz", Severity.PAGE) in judged(w)


async def test_edits_before_the_watch_began_are_nobodys_business(tmp_path: Path) -> None:
    async with world(tmp_path, before=lambda x: x.edit("acme", next(iter(x.named("acme").posts)), "Good morning!")) as w:
        await w.run(5)
        identifier = next(i for i in w.x.named("acme").posts if i not in w.x.named("acme").replaced)
        w.x.edit("acme", identifier, BAD)
        await w.run(5)
        assert judged(w) == [(3, "e.xyz", Severity.PAGE)]


async def test_a_stream_that_tells_only_of_the_last_version_has_the_others_read(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH)
        w.register(GOOD)
        w.x.push.lossy = 1.0
        second = w.x.edit("acme", w.x.post("acme", GOOD), BAD)
        w.x.push.lossy = 0.0
        w.x.edit("acme", second, GOOD)
        await w.run(5)
        assert sorted(judged(w))[1] == (2, "e.xyz", Severity.PAGE)


async def test_what_waits_is_found_by_an_index_and_forgotten_when_it_was_judged(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.edit("acme", w.x.post("acme", GOOD), BAD)
        await w.run(5)
        sql = w.service.store.sql
        assert sql.execute("SELECT count(*) FROM unseen_versions").fetchone()[0] == 0
        plan = json.dumps([tuple(r) for r in sql.execute(f"EXPLAIN QUERY PLAN SELECT * FROM posts WHERE {post_rows.OURS}", ["1"])])
        assert "account=? AND id=?" in plan

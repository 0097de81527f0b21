"""However much one account posts at once, everybody else gets their turn, and the first page does not wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from monitor import slices
from monitor.model import Kind, Post
from monitor.sources.interface import Batch
from tests.conftest import CONFIG, World, world
from tests.test_foreign import LATE, lateness
from tests.verdict.test_text import HOSTILE

TWO = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "77", "earlier": ["Good morning."]}]}


def flood(w: World, many: int, text: str = HOSTILE["every character"]) -> Batch:
    """So many hostile posts of the first account, in one answer."""
    key = w.service.watches[0].account.key
    posts = tuple(Post(key, str(10**18 + n), Kind.POST, f"{n} {text}"[:25_000], w.clock()) for n in range(many))
    body = b"[" + b",".join(p.id.encode() for p in posts) + b"]"
    return Batch(posts, posts[-1].id, (body,))


def _written(w: World) -> int:
    return int(w.service.store.sql.execute("SELECT count(*) FROM posts WHERE baseline = 0").fetchone()[0])


async def test_a_flood_of_hostile_posts_delays_nobody_else(tmp_path: Path) -> None:
    async with world(tmp_path, data=TWO) as w:
        await w.run(3)
        first, other = w.service.watches
        with lateness() as late:
            w.service.wake.clear()
            taking = asyncio.create_task(first.accept(flood(w, 40)))
            await w.service.wake.wait()
            assert not taking.done(), "the first that pages is written down before the others are judged"
            assert _written(w) == 1
            post = Post(other.account.key, str(10**18 + 1), Kind.POST, "We are hacked.", w.clock())
            await other.accept(Batch((post,), post.id, (b"{}",)))
            assert not taking.done(), "another account does not wait for the end of it"
            await taking
        assert late[0] < LATE
        assert _written(w) == 41


async def test_what_is_cut_short_is_read_again_and_nothing_is_doubled_or_lost(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(3)
        watch, batch = w.service.watches[0], flood(w, 12)
        before = w.service.store.account(watch.account.key, "acme")["cursor"]
        w.service.wake.clear()
        taking = asyncio.create_task(watch.accept(batch))
        await w.service.wake.wait()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert 0 < _written(w) < 12
        assert w.service.store.account(watch.account.key, "acme")["cursor"] == before, "the cursor moves with the last slice"
        await watch.accept(batch)
        assert _written(w) == 12
        assert w.service.store.account(watch.account.key, "acme")["cursor"] == batch.cursor
        assert len(w.service.store.unresolved()) == 1


async def test_a_poll_and_a_stream_do_not_take_in_the_same_posts_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(3)
        watch, batch = w.service.watches[0], flood(w, 8)
        await asyncio.gather(watch.accept(batch), watch.accept(Batch(batch.items, None, batch.bodies)), watch.accept(batch))
        assert _written(w) == 8


async def test_a_registration_excuses_one_post_of_a_flood_though_it_is_judged_in_slices(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        text = f"Planned. {HOSTILE['leetspeak']}"[:25_000]
        w.register(text)
        await w.run(3)
        watch = w.service.watches[0]
        posts = tuple(Post(watch.account.key, str(10**18 + n), Kind.POST, text, w.clock()) for n in range(8))
        await watch.accept(Batch(posts, posts[-1].id, (b"{}",)))
        found = w.service.store.sql.execute("SELECT count(*) FROM posts WHERE baseline = 0 AND severity < 3").fetchone()
        assert found[0] == 1


async def test_a_body_is_hashed_once_however_many_posts_it_holds(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run(3)
        said: list[str] = []
        w.service.store.sql.set_trace_callback(said.append)
        await w.service.watches[0].accept(flood(w, 20, "short"))
        w.service.store.sql.set_trace_callback(None)
        assert sum("INTO evidence" in statement for statement in said) == 1
        assert w.service.store.sql.execute("SELECT count(DISTINCT answer) FROM posts WHERE baseline = 0").fetchone()[0] == 1


async def test_a_slice_takes_at_least_one_post_however_long_it_waited_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as w:
        await w.run(3)
        monkeypatch.setattr(slices, "SECONDS", 0.0)  # as when another process holds the database for longer than a slice lasts
        await w.service.watches[0].accept(flood(w, 3, "We are hacked."))
        assert _written(w) == 3

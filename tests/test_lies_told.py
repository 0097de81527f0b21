"""What a stream tells is believed no more than what is read."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.model import Post, Unreadable
from monitor.sources._x_payload import time_id
from tests.test_streams import PUSH, collector, hear

KEY = "x::2244994945"


@pytest.mark.parametrize("push", ["auto", "filtered"])
async def test_a_post_that_is_told_with_an_id_ahead_of_x_pages_and_one_told_while_our_clock_is_wrong_does_not(
    tmp_path: Path, push: str
) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack, PUSH | {"push": push, "profile_seconds": 3_000})
        assert collector(w).listener
        await w.run(2)
        now = w.clock()
        w.register("Our league is open.", window=(now - timedelta(hours=9), now + timedelta(hours=9)))
        w.clock.move(-3 * 3_600)
        w.x.skew = timedelta(hours=3)  # X's clock goes on as before
        w.x.post("acme", "Our league is open.")
        await w.run(5)
        kept = w.service.store.posts("account = ? AND baseline = 0", (KEY,))
        assert [type(k.post) for k in kept] == [Post]
        assert not w.slack.waking()
        ahead = str(time_id(w.clock() + w.x.skew + timedelta(days=90)))
        w.x.post("acme", "Good evening.", id=ahead, edit_history_tweet_ids=[ahead])
        user = w.x.named("acme")
        user.posts = {p["id"]: p for p in user.posts.values()}
        await w.run(50)
        await w.run(30)
        kept = w.service.store.posts("account = ? AND baseline = 0", (KEY,))
        assert [type(k.post) for k in kept if k.post.id == ahead] == [Unreadable]
        assert any("ahead of X's own clock" in m.words() for m in w.slack.waking())

"""A closer look at posts, where what they say alone does not decide: their pictures, whom they quote, what they show again,
what they said before they were edited. Looking takes seconds; everything that need not wait is judged before.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from monitor import shown_again, versions
from monitor.judging import Judge
from monitor.model import Account, Original, Post
from monitor.pictures import Pictures
from monitor.sources.interface import Batch, Clock, Found, Source, SourceError
from monitor.store import Store

log = logging.getLogger("monitor.closer")

SECONDS = 12  # for what is fetched for one batch: the next poll of this account waits for it
_MOST = 100  # posts asked for at once


@dataclass
class Closer:
    """For one account. `sight` takes in a post of any account of ours that was met on the way."""

    account: Account
    source: Source
    store: Store
    judge: Judge
    clock: Clock
    pictures: Pictures | None
    sight: Callable[[str, Batch], Awaitable[None]]

    def wanted(self, post: Post) -> bool:
        """Whether something has to be fetched before this post can be excused."""
        return self.judge.wants_pictures(post) or self.judge.wants_author(post) or bool(self.judge.shows_unknown(post, self.account))

    async def look(self, posts: Iterable[Post]) -> dict[str, Post]:
        """The posts by their ids, each with what was fetched for it. Whatever goes wrong, they are judged: without it they page."""
        waiting = list(posts)
        fetched = asyncio.gather(*(self._fetched(p) for p in waiting))
        originals, looked = await asyncio.gather(self._originals(waiting), fetched)
        return {p.id: replace(p, original=originals.get(p.referenced_id, p.original)) for p in looked}

    async def _fetched(self, post: Post) -> Post:
        """The post with its quoted author and its pictures' hashes."""
        try:
            async with asyncio.timeout(SECONDS):
                if self.judge.wants_author(post):
                    post = replace(post, referenced_author=await self.source.author(post))
                if self.pictures and self.judge.wants_pictures(post):
                    post = await self.pictures.compared(post)
        except SourceError as error:
            log.warning("the quoted author is not known: %s", error, extra={"account": self.account.key, "post": post.id})
        except Exception:
            log.exception("not looked at closer", extra={"account": self.account.key, "post": post.id})
        return post

    async def _originals(self, posts: list[Post]) -> dict[str, Original]:
        ids = dict.fromkeys(i for p in posts if (i := self.judge.shows_unknown(p, self.account)))
        return await self.originals(tuple(ids)) if ids else {}

    async def originals(self, identifiers: tuple[str, ...]) -> dict[str, Original]:
        """Posts of ours that another one shows again. One of which nothing is on record although it is younger than our
        watch is a post like any other: another account's next poll may only be a second away.
        """
        try:
            async with asyncio.timeout(SECONDS):
                found = await self.source.posts(self.judge.accounts(self.account.platform), identifiers[:_MOST])
                for item in found.items:
                    if isinstance(item, Post) and not shown_again.is_older(self.store, shown_again.original(item)):
                        await self.sight(item.account, Batch((item,), None, found.bodies))
                return {i.id: shown_again.original(i) for i in found.items if isinstance(i, Post)}
        except SourceError as error:
            log.warning("what is shown again was not read: %s", error, extra={"account": self.account.key})
        except TimeoutError:
            log.warning("what is shown again was not read in time", extra={"account": self.account.key})
        except sqlite3.Error:
            raise
        except Exception:  # without it a repost pages; raised from here it would keep the whole batch from being judged
            log.exception("what is shown again was not read", extra={"account": self.account.key})
        return {}

    async def read_versions(self, accept: Callable[[Batch], Awaitable[object]]) -> None:
        """Judge the versions of edited posts that nobody has seen; those that cannot be had page. Raises sqlite3.Error."""
        key = self.account.key
        waiting = versions.unseen(self.store, key)
        if not waiting:
            return
        found = Found()
        try:
            found = await self.source.posts((self.account,), tuple(w.id for w in waiting))
        except SourceError as error:
            log.warning("versions of edited posts were not read: %s", error, extra={"account": key})
        if found.items:
            await accept(Batch(found.items, None, found.bodies))
        lost = versions.given_up(key, versions.unseen(self.store, key), found.gone, self.clock())
        if lost:
            await accept(Batch(lost, None, found.bodies))
        versions.forget(self.store, key)

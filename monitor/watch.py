"""One account: read it, look closer where a registration asks for it, notice what vanishes. `intake` judges and writes."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from monitor import first_sight, record
from monitor.closer import Closer
from monitor.incidents import Event, Request
from monitor.intake import Intake
from monitor.judging import Judge
from monitor.model import (
    Account,
    Exact,
    Item,
    Original,
    PageKind,
    Post,
    Redacted,
    Severity,
)
from monitor.outbox import Outbox
from monitor.pictures import Pictures
from monitor.post_rows import Kept
from monitor.record import stamp
from monitor.sources.interface import PAGES, Batch, Clock, Source, SourceError, Trouble
from monitor.steps import move
from monitor.store import Store

log = logging.getLogger("monitor.watch")

PAGES_OF_A_FLOOD = 3  # at a time
LOOK_AGAIN = timedelta(seconds=60)  # posts of an open incident are looked up this often


class Watch:
    """One account. `wake` tells the pager that something was written."""

    def __init__(
        self, account: Account, source: Source, store: Store, judge: Judge, outbox: Outbox, clock: Clock,
        wake: Callable[[], None], pictures: Pictures | None = None,
    ) -> None:  # fmt: skip
        self.account, self._source, self._store, self._judge = account, source, store, judge
        self._outbox, self._clock, self._wake = outbox, clock, wake
        self.intake = Intake(account, store, judge, outbox, clock, wake)
        self.others: Mapping[str, Watch] = {account.key: self}  # of the same platform, by account key
        self.closer = Closer(account, source, store, judge, clock, pictures, self._sight_of)
        self._looked_at = self._may_look_at = clock()
        self.retry_at: datetime | None = None
        self.retry_all = False  # that time concerns every account of the platform
        self.second_look = ""  # what another endpoint said when this one failed: "seen", "gone", "failed" or nothing
        self.searched_at: datetime | None = None  # when a search found what timelines did not show
        self.finished_at = clock()
        self.trouble = ""  # why the last poll failed
        self.fresh: tuple[Item, ...] = ()  # what the last poll found and nobody had told
        with store.transaction():
            store.account(account.key, account.handle)

    def become(self, account: Account) -> None:
        """It is configured otherwise from now on; its id is the same."""
        self.account = self.intake.account = self.closer.account = account

    async def poll(self) -> Batch | None:
        """One read. A failure is written down and says when to try again."""
        row, begun = self._store.account(self.account.key, self.account.handle), self._clock()
        batch: Batch | None
        try:
            batch = await self._source.read(self.account, row["cursor"], self._pages())
            known = record.moment(row["known_since"]) if row["cursor"] is None else None
            batch = await first_sight.gap(batch, self._source, known, self._clock()) if known else batch
            batch, others = await self._completed(batch) if row["cursor"] is not None or known else (batch, ())
            self.fresh = others + await self.accept(batch)
            await self._look_for_deleted(batch)
        except SourceError as error:
            if error.seen:
                await self.sight(error.seen)
            self._failed(error, begun)
            batch = None
        except (sqlite3.Error, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("reading failed in an unforeseen way", extra={"account": self.account.key})
            self._failed(SourceError(Trouble.UNAVAILABLE, f"the answer could not be handled ({type(error).__name__})"), begun)
            batch = None
        finally:
            self.finished_at = self._clock()
        await self.closer.read_versions(self.intake.accept)
        return batch

    def _pages(self) -> int:
        """Of an account that is being flooded less is read at once: the newest first, the rest by the next reads."""
        return PAGES_OF_A_FLOOD if self.account.key in self._store.subjects() else PAGES

    async def sight(self, batch: Batch) -> None:
        """Take in what was seen in another way than by a poll. Raises nothing but sqlite3.Error."""
        await self.accept((await self._completed(batch))[0])

    async def _completed(self, batch: Batch) -> tuple[Batch, tuple[Item, ...]]:
        """The batch with what is needed to excuse a post fetched: pictures and quoted authors where a registration asks for
        them, and which post of ours another one shows again.

        Everything else is judged first: looking closer at one post delays no page about another, but for what
        stands below it, where the order of a thread's parts counts; returned is what of it was new. Only the batch itself,
        which is accepted last, says how far we have read.
        """
        self._judge.refresh(self._clock())
        posts = [i for i in batch.items if isinstance(i, Post)]
        closer = [p for p in posts if self.closer.wanted(p) and not self._store.knows(p)]
        if not closer:
            return batch, ()
        begun = {p.conversation or p.id for p in closer}
        others = tuple(i for i in batch.items if i not in closer and not (isinstance(i, Post) and i.conversation in begun))
        new = await self.accept(replace(batch, items=others, cursor=None, missed="", lost=""))
        seen = await self.closer.look(closer)
        return replace(batch, items=tuple(seen.get(i.id, i) for i in batch.items)), new

    async def _sight_of(self, key: str, batch: Batch) -> None:
        """A post of another account of ours, met while looking at one of this account."""
        watch = self.others.get(key)
        if watch:
            await watch.sight(batch)

    async def originals(self, identifiers: tuple[str, ...]) -> dict[str, Original]:
        """See `Closer.originals`."""
        return await self.closer.originals(identifiers)

    def stepped(self, by: timedelta) -> None:
        """The clock was set. Forward, only what counts as progress moves: the rest is due at once."""
        move(self, by, "finished_at")
        if by < timedelta():
            move(self, by, "retry_at", "searched_at", "_looked_at", "_may_look_at")
            move(self.intake, by, "polled_at", "face_at", "began")

    def _failed(self, error: SourceError, begun: datetime) -> None:
        self.retry_at, self.retry_all, self.trouble = error.retry_at, error.for_all, str(error)
        with self._store.transaction():
            self._store.read_failed(self.account.key, self._clock(), error.trouble.value, str(error), begun)
        log.warning("not read: %s", error, extra={"account": self.account.key})

    async def accept(self, batch: Batch) -> tuple[Item, ...]:
        """Judge and write down everything new in a batch; see `Intake.accept`."""
        new = await self.intake.accept(batch)
        if batch.cursor is not None:
            self.retry_at, self.second_look = None, ""
        return new

    # --- what vanishes, what the profile shows ---------------------------------------------------

    async def _look_for_deleted(self, batch: Batch) -> None:
        """Posts we know that the platform no longer shows: asked for by id before we say so."""
        now = self._clock()
        absent = self._absent(batch, now) if now >= self._may_look_at else []
        if not absent:
            return
        try:
            gone = (await self._source.posts((self.account,), tuple(absent))).gone
        except SourceError as error:  # the timeline was read: that is what counts
            self._may_look_at = now + LOOK_AGAIN
            log.warning("posts not looked up: %s", error, extra={"account": self.account.key})
            return
        self.gone(gone)

    def gone(self, identifiers: Iterable[str]) -> None:
        """These posts were deleted. Our copies are kept; whoever deals with the incident is told, and of an approved post
        that vanished somebody is told too: a hijacker makes room.
        """
        now = self._clock()
        with self._store.transaction():
            for identifier in sorted(identifiers):
                kept = self._store.deleted(self.account.key, identifier, now)
                self._store.audit(now, "monitor", "post gone", f"{self.account.key}/{identifier}")
                if kept:
                    self._say_gone(kept, now)
        self._wake()

    def vanished(self, identifier: str, said: str = "") -> None:
        """A post that only its id is known of, or what a stream `said` of it: somebody is told, because nobody knows what it was."""
        if self.intake.retired:
            return
        now = self._clock()
        shown = f"the stream told of it as “{said}”: whether that was all of it, nobody knows" if said else "nobody knows what it said"
        where = "was told of by the stream" if said else "was the newest by its profile"
        reason = f"post {identifier} {where} and is gone, and no read has shown it: {shown}"
        with self._store.transaction():
            self._store.audit(now, "monitor", "post never seen", f"{self.account.key}/{identifier}")
            event = Event(self.account.key, self.account.name, Severity.NOTIFY, "Post gone before it was read", reason, now)
            self._outbox.happened(event, now)
        self._wake()

    def _say_gone(self, kept: Kept, now: datetime) -> None:
        incident = self._store.incident(kept.incident) if kept.incident else self._store.open_incident(self.account.key)
        approved = isinstance(kept.verdict.match, Exact)
        copy = str(kept.post) if isinstance(kept.post, Redacted) else "our copy is kept"
        if incident and (kept.incident or approved):
            said = f"{'approved ' if approved else ''}post {kept.post.id} is gone from the platform; {copy}"
            self._outbox.say(incident, (Request(PageKind.NOTE, said), Request(PageKind.SYNC, said)), now)
        elif approved and not self._store.is_replaced(kept.post):
            reason = f"it was approved and published at {kept.post.created_at:%H:%M:%S} UTC, and now it is gone from the platform; {copy}"
            number = self._outbox.happened(
                Event(self.account.key, self.account.name, Severity.NOTIFY, "Approved post deleted", reason, now), now
            )
            self._store.tell_of(kept, number)

    def _absent(self, batch: Batch, now: datetime) -> list[str]:
        shown = {i.id for i in batch.items}
        known: list[str] = []
        if batch.window:
            known += self._store.ids(
                "account = ? AND created_at >= ? AND deleted_at IS NULL AND kind NOT IN ('profile', 'unreadable', 'live', 'dm')",
                (self.account.key, stamp(batch.window)), 100,
            )  # fmt: skip
        if now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            known += self._store.ids(
                "+account = ? AND deleted_at IS NULL AND kind NOT IN ('profile', 'unreadable', 'live', 'dm') AND incident IN"
                " (SELECT id FROM incidents WHERE state != 'resolved')", (self.account.key,), 100,
            )  # fmt: skip
        return list(dict.fromkeys(identifier for identifier in known if identifier not in shown))[:100]

"""One account, one batch: read, judge, write down. Nothing is sent from here.

Verdicts, incident, pages and cursor are one transaction: a crash before the commit reads the same
posts again, a crash after it has lost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from monitor import safe
from monitor.blocklists import Blocklists
from monitor.context import gather, remember
from monitor.incidents import DRILL, Event, Request
from monitor.model import (
    NO_CONTEXT,
    Account,
    Company,
    Context,
    Exact,
    Item,
    Kind,
    Near,
    NoMatch,
    PageKind,
    Post,
    Profile,
    ProfileChange,
    Severity,
    Unreadable,
    Verdict,
)
from monitor.outbox import Outbox
from monitor.pictures import Pictures
from monitor.record import stamp
from monitor.rulebook import Rulebook
from monitor.sources.interface import Batch, Clock, Source, SourceError, Trouble
from monitor.store import REMEMBERED, Kept, Store
from monitor.verdict import judge, judge_change, judge_unreadable
from monitor.verdict.approved import Queue
from monitor.verdict.profile import changes
from monitor.verdict.text import skeleton

log = logging.getLogger("monitor.watch")

CLOSER_SECONDS = 12  # for the pictures and the quoted author of one batch: the next poll of this account waits for them
LOOK_AGAIN = timedelta(seconds=60)  # posts of an open incident are looked up this often


class Judge:
    """The queue, the rules and who we are, kept current; verdicts come from the pure `judge`."""

    def __init__(self, store: Store, company: Company, rulebook: Rulebook) -> None:
        self._store, self.company, self.rulebook = store, company, rulebook
        self._queue, self._revision = Queue(), 0
        self.lists = Blocklists()
        self._accounts: tuple[Account, ...] = ()
        self.digest = ""

    def know(self, accounts: tuple[Account, ...], now: datetime) -> None:
        """Judge posts of these accounts."""
        self._accounts = accounts
        self.take(self.rulebook, now)

    def take(self, rulebook: Rulebook, now: datetime) -> None:
        """Judge by these rules from now on; what a verdict refers to is kept for ever."""
        self.rulebook = rulebook
        context = json.dumps(
            {
                "rules": {str(s.path.name): s.file.model_dump() for s in rulebook.sources},
                "company": asdict(self.company),
                "accounts": [asdict(a) for a in self._accounts],
            },
            sort_keys=True,
        )
        self.digest = hashlib.sha256(context.encode()).hexdigest()
        with self._store.transaction():
            self._store.keep_rulebook(self.digest, context, now)

    def start_over(self) -> None:
        """Forget the queue: what it took over may belong to a transaction that was rolled back."""
        self._queue, self._revision = Queue(), 0

    def refresh(self, now: datetime) -> None:
        """Take over registrations made, used or withdrawn since, by whichever process, and forget those long
        over: years of them cost nothing, and the queue is what it was whenever a verdict is computed again.
        """
        changed, self._revision = self._store.approved_since(self._revision, now)
        for one in changed:
            self._queue.add(one)
        self._queue.forget(now - REMEMBERED)

    def wants_pictures(self, item: Item) -> bool:
        """Whether this post is excused only if its pictures are the registered ones."""
        return isinstance(item, Post) and self._queue.pictures_wanted(item)

    def wants_author(self, item: Item) -> bool:
        """Whether this quote may be excused by whom it quotes, which nobody has asked the platform yet."""
        return isinstance(item, Post) and item.kind is Kind.QUOTE and not item.referenced_author and self._queue.author_wanted(item)

    def context(self, item: Item, account: Account) -> Context:
        """What else is known. Never raises: without it a post is judged all the same."""
        try:
            return gather(self._store, account, item, self.company, self.lists)
        except sqlite3.Error:
            raise
        except Exception:
            log.exception("context not gathered", extra={"account": account.key, "post": item.id})
            return NO_CONTEXT

    def verdict(self, item: Item, account: Account, context: Context = NO_CONTEXT) -> Verdict:
        """Never raises: what cannot be judged pages."""
        try:
            match item:
                case Post():
                    return judge(item, account, self.company, self._queue, self.rulebook.rules, context)
                case ProfileChange():
                    return judge_change(item, self.company, self._queue, self.rulebook.rules, context)
                case Unreadable():
                    return judge_unreadable(item)
        except Exception as error:
            log.exception("judging failed", extra={"account": account.key, "post": item.id})
            reason = f"it could not be judged ({type(error).__name__})"
            return Verdict(Severity.PAGE, reason, NoMatch(reason))


@dataclass(frozen=True, slots=True)
class _Taken:
    """What accepting one item came to."""

    item: Item
    verdict: Verdict


class Watch:
    """One account. `wake` tells the pager that something was written."""

    def __init__(
        self, account: Account, source: Source, store: Store, judge: Judge, outbox: Outbox, clock: Clock,
        wake: Callable[[], None], pictures: Pictures | None = None,
    ) -> None:  # fmt: skip
        self._pictures = pictures
        self.account, self._source, self._store, self._judge = account, source, store, judge
        self._outbox, self._clock, self._wake = outbox, clock, wake
        self._looked_at = self._may_look_at = clock()
        self.retry_at: datetime | None = None
        self.unwritten: tuple[str, ...] = ()
        self.finished_at = clock()
        with store.transaction():
            store.account(account.key, account.handle)

    async def poll(self) -> Batch | None:
        """One read. A failure is written down and says when to try again."""
        row = self._store.account(self.account.key, self.account.handle)
        try:
            batch = await self._source.read(self.account, row["cursor"])
            if row["cursor"] is not None:
                batch = await self._completed(batch, row["cursor"])
            self.accept(batch)
            await self._look_for_deleted(batch)
        except SourceError as error:
            self._failed(error)
            return None
        except (sqlite3.Error, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("reading failed in an unforeseen way", extra={"account": self.account.key})
            self._failed(SourceError(Trouble.UNAVAILABLE, f"the answer could not be handled ({type(error).__name__})"))
            return None
        finally:
            self.finished_at = self._clock()
        return batch

    async def _completed(self, batch: Batch, cursor: str) -> Batch:
        """The batch with pictures and quoted authors fetched where a registration asks for them.

        Everything else is judged first: looking closer at one post delays no page about another, but for what
        stands below it, where the order of a thread's parts counts.
        """
        self._judge.refresh(self._clock())
        closer = [i for i in batch.items if self._judge.wants_pictures(i) or self._judge.wants_author(i)]
        closer = [i for i in closer if not self._store.knows(i)]
        if not closer:
            return batch
        begun = {i.conversation or i.id for i in closer if isinstance(i, Post)}
        others = tuple(i for i in batch.items if i not in closer and not (isinstance(i, Post) and i.conversation in begun))
        self.accept(replace(batch, items=others, cursor=cursor))
        looked = await asyncio.gather(*(self._closer(i) for i in closer if isinstance(i, Post)))
        seen = {post.id: post for post in looked}
        return replace(batch, items=tuple(seen.get(i.id, i) for i in batch.items))

    async def _closer(self, post: Post) -> Post:
        """The post with what was fetched for it, within seconds however many there are. Whatever goes wrong, it is
        judged: without a picture or an author it pages.
        """
        try:
            async with asyncio.timeout(CLOSER_SECONDS):
                if self._judge.wants_author(post):
                    post = replace(post, referenced_author=await self._source.author(post))
                if self._pictures and self._judge.wants_pictures(post):
                    post = await self._pictures.compared(post)
        except SourceError as error:
            log.warning("the quoted author is not known: %s", error, extra={"account": self.account.key, "post": post.id})
        except Exception:
            log.exception("not looked at closer", extra={"account": self.account.key, "post": post.id})
        return post

    def _failed(self, error: SourceError) -> None:
        self.retry_at = error.retry_at
        with self._store.transaction():
            self._store.read_failed(self.account.key, self._clock(), error.trouble.value, str(error))
        log.warning("not read: %s", error, extra={"account": self.account.key})

    def accept(self, batch: Batch) -> None:
        """Judge and write down everything new in a batch. Accepting it twice changes nothing."""
        now = self._clock()
        self.retry_at = None
        try:
            self._accept(batch, now)
        except BaseException:
            self._judge.start_over()
            self.unwritten = tuple(self._in_words(batch))
            raise

    def _accept(self, batch: Batch, now: datetime) -> None:
        with self._store.transaction():
            self._judge.refresh(now)
            row = self._store.account(self.account.key, self.account.handle)
            baseline = row["first_seen"] is None
            new = 0
            for item in batch.items:
                if not self._store.knows(item):  # asked one by one: a batch may name a post twice
                    self._take(item, batch, now, baseline=baseline)
                    new += 1
            self._store.read_ok(self.account.key, now, batch.cursor, batch.missed)
            if baseline:
                self._store.audit(now, "monitor", "baseline", self.account.key, posts=new)
            if batch.lost:
                self._never_read(batch.lost, now)
        if batch.missed:
            log.warning("not everything read yet: %s", batch.missed, extra={"account": self.account.key})
        if new:
            self._wake()

    def _never_read(self, lost: str, now: datetime) -> None:
        """A gap that stays: somebody has to look at the account by hand, and close this by hand."""
        reason = f"{lost}. A hijacker may have posted there: look at the account"
        self._outbox.happened(
            Event(f"gap:{self.account.key}", self.account.name, Severity.PAGE, "Not checked", reason, now, silenceable=False), now
        )

    def _in_words(self, batch: Batch) -> Iterator[str]:
        """What would have paged, for telling it from memory when it cannot be written down."""
        with contextlib.suppress(sqlite3.Error):
            self._judge.refresh(self._clock())
        for item in batch.items:
            with contextlib.suppress(sqlite3.Error):
                if self._store.knows(item):
                    continue
            verdict = self._judge.verdict(item, self.account)
            if verdict.severity is Severity.PAGE:
                said = item.text if isinstance(item, Post) else ""
                yield f"{verdict.reason}: “{safe.for_terminal(said, 200)}”"

    def _take(self, item: Item, batch: Batch, now: datetime, *, baseline: bool) -> None:
        """One item; whatever goes wrong with it becomes a page and stops nothing else."""
        try:
            with self._store.savepoint():
                context = self._judge.context(item, self.account)
                verdict = self._judge.verdict(item, self.account, context)
                self._write(item, verdict, batch, now, baseline=baseline, context=context)
                remember(self._store, self.account, item, verdict, baseline=baseline)
        except Exception as error:
            if self._store.sql.in_transaction is False:
                raise  # the transaction itself is gone (disk full): nothing more can be written
            log.exception("not written", extra={"account": self.account.key, "post": item.id})
            reason = f"it could not be written down ({type(error).__name__})"
            unreadable = Unreadable(self.account.key, item.id, reason, now)
            self._write(unreadable, judge_unreadable(unreadable), batch, now, baseline=baseline)

    def _write(
        self, item: Item, verdict: Verdict, batch: Batch, now: datetime, *, baseline: bool, context: Context = NO_CONTEXT
    ) -> None:  # fmt: skip
        incident = None
        if not baseline:
            if isinstance(verdict.match, Exact) and verdict.match.words and not isinstance(item, Unreadable):
                self._store.consume(verdict.match.approved, item.root_id or item.id, item.created_at)
                self._judge.refresh(now)  # a second identical post in this batch must find it used
            if verdict.severity >= Severity.NOTIFY:
                incident = self._outbox.happened(self._event([_Taken(item, verdict)], now), now)
        digest = self._evidence(item.id, batch.bodies, now)
        self._store.keep_post(Kept(item, verdict, now, incident, baseline, None, self._judge.digest, digest, context))
        level = logging.WARNING if incident else logging.INFO
        log.log(level, "%s%s", verdict.severity.word, f" INC-{incident}" if incident else "",
                extra={"account": self.account.key, "post": item.id, "severity": verdict.severity.word})  # fmt: skip

    def _evidence(self, identifier: str, bodies: tuple[bytes, ...], now: datetime) -> str | None:
        """Keep the answer that holds it, as received; returns its hash. When none names it, keep all."""
        holding = [b for b in bodies if identifier.encode() in b][:1] or list(bodies)
        return next(iter([self._store.keep_evidence(body, now) for body in holding]), None)

    def _event(self, taken: list[_Taken], now: datetime) -> Event:
        """The item (or the profile changes) as one event, told by the worst of them."""
        worst = max(taken, key=lambda t: t.verdict.severity)
        reasons = "; ".join(dict.fromkeys(part for t in taken for part in t.verdict.reason.split("; ")))
        text = worst.item.text if isinstance(worst.item, Post) else ""
        return Event(
            self.account.key, self.account.name, worst.verdict.severity, self._headline(taken), reasons, now,
            tuple(h for t in taken for h in t.verdict.hosts), skeleton(text)[:500], text,
            all(self._silenceable(t) for t in taken),
        )  # fmt: skip

    def _silenceable(self, taken: _Taken) -> bool:
        """A post that no rule accuses which accuses registered posts too."""
        critical = {r.id for r in self._judge.rulebook.rules.rules if r.even_if_approved}
        accused = any(f.rule in critical and f.severity is Severity.PAGE for f in taken.verdict.accusations)
        return isinstance(taken.item, Post) and not accused

    def _headline(self, taken: list[_Taken]) -> str:
        return "DRILL, not a hijack" if self.account.key == DRILL else _headline(taken)

    # --- what vanishes, what the profile shows ---------------------------------------------------

    async def _look_for_deleted(self, batch: Batch) -> None:
        """Posts we know that the platform no longer shows: asked for by id before we say so."""
        now = self._clock()
        absent = self._absent(batch, now) if now >= self._may_look_at else []
        if not absent:
            return
        try:
            gone = await self._source.missing(self.account, tuple(absent))
        except SourceError as error:  # the timeline was read: that is what counts
            self._may_look_at = now + LOOK_AGAIN
            log.warning("posts not looked up: %s", error, extra={"account": self.account.key})
            return
        with self._store.transaction():
            for identifier in sorted(gone):
                number = self._store.deleted(self.account.key, identifier, now)
                self._store.audit(now, "monitor", "post gone", f"{self.account.key}/{identifier}")
                incident = self._store.incident(number) if number else None
                if incident:
                    said = f"post {identifier} is gone from the platform; our copy is kept"
                    self._outbox.say(incident, (Request(PageKind.NOTE, said), Request(PageKind.SYNC, said)), now)
        self._wake()

    def _absent(self, batch: Batch, now: datetime) -> list[str]:
        shown = {i.id for i in batch.items}
        known: list[Kept] = []
        if batch.window:
            known += self._store.posts(
                "account = ? AND created_at >= ? AND deleted_at IS NULL AND kind NOT IN ('profile', 'unreadable')",
                (self.account.key, stamp(batch.window)), 100,
            )  # fmt: skip
        if now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            known += self._store.posts(
                "account = ? AND deleted_at IS NULL AND kind NOT IN ('profile', 'unreadable') AND incident IN"
                " (SELECT id FROM incidents WHERE state != 'resolved')", (self.account.key,), 100,
            )  # fmt: skip
        return list(dict.fromkeys(k.post.id for k in known if k.post.id not in shown))[:100]

    def accept_profile(self, profile: Profile, bodies: tuple[bytes, ...] = ()) -> None:
        """Compare with what was seen last; every change is judged and they are told together."""
        try:
            self._accept_profile(profile, bodies, self._clock())
        except BaseException:
            self._judge.start_over()
            raise

    def _accept_profile(self, profile: Profile, bodies: tuple[bytes, ...], now: datetime) -> None:
        with self._store.transaction():
            self._judge.refresh(now)
            before = self._store.profile(self.account.key)
            if before != profile:
                self._store.keep_profile(profile)
            changed = changes(before, profile, now) if before else ()
            contexts = {c.field: self._judge.context(c, self.account) for c in changed}
            taken = [_Taken(c, self._judge.verdict(c, self.account, contexts[c.field])) for c in changed]
            spoken = [t for t in taken if t.verdict.severity >= Severity.NOTIFY]
            incident = self._outbox.happened(self._event(spoken, now), now) if spoken else None
            evidence = self._evidence(self.account.id, bodies, now) if taken else None
            for t in taken:
                if isinstance(t.verdict.match, Exact) and isinstance(t.item, ProfileChange):
                    self._store.consume(t.verdict.match.approved, t.item.root_id, now)
                number = incident if t in spoken else None
                self._store.keep_post(
                    Kept(
                        t.item,
                        t.verdict,
                        now,
                        number,
                        baseline=False,
                        deleted_at=None,
                        rulebook=self._judge.digest,
                        evidence=evidence,
                        context=contexts.get(getattr(t.item, "field", ""), NO_CONTEXT),
                    )
                )
        if changed:
            log.warning("profile changed: %s", ", ".join(c.field for c in changed), extra={"account": self.account.key})
            self._wake()


def _headline(taken: list[_Taken]) -> str:
    """What happened, in words of ours: the first line of the page."""
    item, verdict = taken[0].item, taken[0].verdict
    if isinstance(item, ProfileChange):
        return "Profile changed: " + ", ".join(t.item.field.replace("_", " ") for t in taken if isinstance(t.item, ProfileChange))
    if isinstance(item, Unreadable):
        return "Unreadable post"
    if isinstance(verdict.match, Exact):
        return f"Approved {item.kind} accused"
    near = isinstance(verdict.match, Near) and verdict.severity is Severity.NOTIFY
    return f"{'Nearly approved' if near else 'Unapproved'} {item.kind}"

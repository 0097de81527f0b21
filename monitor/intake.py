"""What was read of one account, judged and written down. Nothing is sent from here.

Verdict, incident and pages of a post are one transaction, the cursor is in the last one of a batch: a crash before
that reads the same posts again, a crash after it has lost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from monitor import forget, record, safe, set_aside, versions
from monitor.connection import is_busy
from monitor.context import remember
from monitor.first_sight import CRITICAL_FOR, keep_sight
from monitor.incidents import DRILL, REPLIES, Event
from monitor.judging import Judge
from monitor.model import (
    NO_CONTEXT,
    Account,
    Context,
    Exact,
    Item,
    Kind,
    Match,
    Near,
    Original,
    Post,
    Profile,
    ProfileChange,
    Severity,
    Unreadable,
    Verdict,
)
from monitor.outbox import Outbox
from monitor.post_rows import Kept
from monitor.record import stamp
from monitor.slices import Slice
from monitor.sources.interface import Batch, Clock
from monitor.store import Store
from monitor.verdict import judge_unreadable
from monitor.verdict.confirmed import ALONE
from monitor.verdict.profile import changes
from monitor.verdict.text import skeleton

log = logging.getLogger("monitor.intake")

OWN_KINDS = (Kind.LIVE, Kind.DM)  # which only a stream tells of
_BEGINNING = 2_000  # characters of a text that are compared with those of other incidents


@dataclass(frozen=True, slots=True)
class _Taken:
    """What accepting one item came to."""

    item: Item
    verdict: Verdict


@dataclass(slots=True)
class _First:
    """The first read of an account: since when we have wanted to, or until when we had read it all the same; whether nobody has
    been told of that; how many posts were there before, and what rules say of what it found.
    """

    since: datetime | None
    news: bool
    posts: int = 0
    accused: list[str] = field(default_factory=list)

    def was_there(self, item: Item) -> bool:
        """Whether it is older than the watch: recorded, not judged to page."""
        return self.since is None or (not isinstance(item, ProfileChange) and item.created_at <= self.since)


class Intake:
    """One account. `wake` tells the pager that something was written."""

    def __init__(self, account: Account, store: Store, judge: Judge, outbox: Outbox, clock: Clock, wake: Callable[[], None]) -> None:
        self.account, self._store, self._judge = account, store, judge
        self._outbox, self._clock, self._wake = outbox, clock, wake
        self.polled_at: datetime | None = None
        self.began = self.face_at = clock()  # when the profile was last read
        self.unwritten: dict[str, Item] = {}  # what would have paged, in words
        self._turn = asyncio.Lock()  # a poll and a stream do not take in the same posts at once
        self._hashed: dict[int, str] = {}  # the bodies of the batch that are kept, by their place in it
        self._overdue: datetime | None = None  # before which every post should have been read already
        self.unseen = False  # whether what was taken in last names versions of posts that nobody has judged
        self._first: _First | None = None  # what the batch is of an account that was never read before
        self._told_missed = 0  # the incident in which it was said that not everything is read yet
        self.retired = False  # taken out of the configuration: what still comes is not judged

    async def accept(self, batch: Batch) -> tuple[Item, ...]:
        """Judge and write down everything new in a batch, in slices; returns it, but for a baseline. Accepting it twice changes nothing.

        Every slice is a transaction of its own, and the cursor moves with the last: whatever ends us in between, the
        same posts are read again and those that are written down are known.
        """
        async with self._turn:
            try:
                new, taken = await self._accept(batch), {i.id for i in batch.items}
                self.unwritten = {words: item for words, item in self.unwritten.items() if item.id not in taken}
                return new
            except BaseException as error:
                self._judge.start_over()
                if isinstance(error, sqlite3.Error):
                    self.unwritten |= self._in_words(batch.items)
                raise
            finally:
                self._first = None

    async def _accept(self, batch: Batch) -> tuple[Item, ...]:
        row = self._store.account(self.account.key, self.account.handle)
        since, never_read = record.moment(row["known_since"]), row["first_seen"] is None
        first = _First(since, since is None or bool(row["failing_since"])) if never_read and batch.cursor is not None else None
        if never_read and first is None:  # the first poll says what was there before us
            begun = min(since or self.began, self.began)
            batch = replace(batch, items=tuple(i for i in batch.items if i.created_at > begun or getattr(i, "kind", "") in OWN_KINDS))
        self._first, self._hashed, self.unseen, self._overdue = first, {}, False, None if first else batch.overdue
        waiting, new, piece, paged, told, now = deque(batch.items), list[Item](), Slice(), False, self._told_missed, self._clock()
        while not self.retired:
            before, now = len(new), self._clock()
            with self._store.transaction():
                self._judge.refresh(now)
                left = len(waiting)
                while waiting and (len(waiting) == left or not piece.is_over()):  # at least one, however long the lock took
                    item = waiting.popleft()
                    if self._take_new(item, batch, now, new) and not paged:
                        paged = True  # the first that pages does not wait for the others
                        break
                if not waiting:
                    told = self._finish(batch, now)
            if len(new) > before:
                self._wake()
            if not waiting:
                break
            await piece.give_back()
        self._told_missed = told  # only what was committed has been done
        if batch.cursor is not None:
            self.polled_at = now
        if batch.missed:
            log.warning("not everything read yet: %s", batch.missed, extra={"account": self.account.key})
        return () if first else tuple(new)

    def _take_new(self, item: Item, batch: Batch, now: datetime, new: list[Item]) -> bool:
        """Take it, unless it is known: asked one by one, for a batch may name a post twice. Whether it pages."""
        pages, baseline = False, self._first is not None and self._first.was_there(item)
        if not self._store.knows(item):
            new.append(item)
            if self._first and baseline:
                self._first.posts += 1
            pages = self._take(item, batch, now, baseline=baseline).severity is Severity.PAGE and not baseline
        self._notice(item, now, baseline=baseline)
        return pages

    def _notice(self, item: Item, now: datetime, *, baseline: bool) -> None:
        """With the post that names them: versions that nobody has judged."""
        if not baseline and versions.notice(self._store, self.account.key, (item,), now):
            self.unseen = True

    def _finish(self, batch: Batch, now: datetime) -> int:
        """With the last slice: how far we have read. Returns the incident in which it was said that this is not everything."""
        if batch.cursor is not None:
            self._store.read_ok(self.account.key, now, batch.cursor, batch.missed)
        if self._first:
            self._store.audit(now, "monitor", "baseline", self.account.key, posts=self._first.posts, known_since=stamp(self._first.since))
            first = self._first
            keep_sight(self._store, self.account.key, now, first.posts, first.accused, first.since, told=not first.news)
        if batch.lost:
            self._never_read(batch.lost, now)
        return self._say_missed(batch.missed, now) if batch.missed else self._told_missed

    def _say_missed(self, missed: str, now: datetime) -> int:
        """Whoever deals with a flood is told, once, that not all of it was read yet."""
        incident = self._store.open_incident(self.account.key)
        if incident is None:
            return self._told_missed
        if incident.id != self._told_missed:
            self._outbox.mention(incident.id, f"not everything posted has been read yet: {missed}; all of it will be judged", now)
        return incident.id

    def _never_read(self, lost: str, now: datetime) -> None:
        """A gap that stays: somebody has to look at the account by hand, and close this by hand."""
        reason = f"{lost}. A hijacker may have posted in that time: look at the account"
        self._outbox.happened(
            Event(f"gap:{self.account.key}", self.account.name, Severity.PAGE, "Not checked", reason, now, silenceable=False), now
        )

    def _in_words(self, items: Iterable[Item]) -> dict[str, Item]:
        """What would have paged, for telling it from memory when it cannot be written down."""
        with contextlib.suppress(sqlite3.Error):
            self._judge.refresh(self._clock())
        piece, found = Slice(), dict[str, Item]()
        for item in items:
            if piece.is_over():
                break  # what is missing here is read again
            with contextlib.suppress(sqlite3.Error):
                if self._store.knows(item) or forget.asked(self._store.sql, item):
                    continue
            verdict = self._judge.verdict(item, self.account)
            if verdict.severity is Severity.PAGE:
                said = item.text if isinstance(item, Post) else item.after if isinstance(item, ProfileChange) else ""
                found[f"{self.account.name}: {verdict.reason}: “{safe.for_terminal(said, 200)}”"] = item
        return found

    def _take(self, item: Item, batch: Batch, now: datetime, *, baseline: bool) -> Verdict:
        """One item; whatever goes wrong with it becomes a page and stops nothing else."""
        if self._is_late(item):
            self._store.audit(now, "monitor", "post shown late", f"{self.account.key}/{item.id}")
        revision = self._judge.revision
        try:
            with self._store.savepoint():
                context = self._judge.context(item, self.account)
                verdict = self._judge.verdict(item, self.account, context)
                baseline = baseline and not self._is_urgent(item, verdict, now)
                self._write(item, verdict, batch, now, baseline=baseline, context=context)
                remember(self._store, self.account, item, verdict, baseline=baseline)
        except Exception as error:
            busy = isinstance(error, sqlite3.Error) and is_busy(error)  # which says nothing of the post: it is written the next time
            if busy or self._store.sql.in_transaction is False:
                raise  # where the transaction itself is gone (disk full) nothing more can be written
            self._judge.taken_back(revision, now)
            log.exception("not written", extra={"account": self.account.key, "post": item.id})
            reason = f"it could not be written down ({type(error).__name__})"
            unreadable = Unreadable(self.account.key, item.id, reason, now, version=getattr(item, "version", 1))
            verdict = judge_unreadable(unreadable)
            self._hashed = {}  # what was kept for it was taken back
            self._write(unreadable, verdict, batch, now, baseline=baseline)
        if self._first and verdict.accusations:
            self._first.accused.append(f"post {item.id}: {', '.join(dict.fromkeys(f.title for f in verdict.accusations))}")
        return verdict

    def _is_urgent(self, item: Item, verdict: Verdict, now: datetime) -> bool:
        """Whether what was there before us may be a hijack that goes on: a critical rule accuses it, and it is of the last day."""
        return isinstance(item, Post) and now - item.created_at < CRITICAL_FOR and self._is_accused_by_critical(verdict)

    def _write(
        self, item: Item, verdict: Verdict, batch: Batch, now: datetime, *, baseline: bool, context: Context = NO_CONTEXT
    ) -> None:  # fmt: skip
        incident, wish, used = None, forget.asked(self._store.sql, item), None
        if not baseline:
            used = _used_up(verdict.match)
            if used and not isinstance(item, Unreadable):
                near = isinstance(verdict.match, Near)
                self._store.registrations.consume(used, item.root_id or item.id, item.created_at, near=near)
                self._judge.refresh(now)  # a second identical post in this batch must find it used
            if verdict.severity >= Severity.NOTIFY and not wish:
                incident = self._outbox.happened(self._event([_Taken(item, verdict)], now), now)
        digest = self._evidence(item.id, batch.bodies, now, self._hashed)
        self._store.keep_post(Kept(item, verdict, now, incident, baseline, None, self._judge.digest, digest, context))
        if wish and isinstance(item, Post):
            forget.again(self._store, item, wish, used, now)
        level = logging.WARNING if incident else logging.INFO
        log.log(level, "%s%s", "baseline" if baseline else verdict.severity.word, f" INC-{incident}" if incident else "",
                extra={"account": self.account.key, "post": item.id, "severity": verdict.severity.word})  # fmt: skip

    def _evidence(self, identifier: str, bodies: tuple[bytes, ...], now: datetime, kept: dict[int, str]) -> str | None:
        """Keep the answer that holds it, as received; returns its hash. When none names it, keep all. Those `kept` have theirs."""
        name = identifier.encode()
        holding = next(([n] for n, body in enumerate(bodies) if name in body), list(range(len(bodies))))
        for place in holding:
            if place not in kept:
                kept[place] = self._store.keep_evidence(bodies[place], now)
        return kept[holding[0]] if holding else None

    def _event(self, taken: list[_Taken], now: datetime) -> Event:
        """The item (or the profile changes) as one event, told by the worst of them."""
        worst = max(taken, key=lambda t: t.verdict.severity)
        told = dict.fromkeys(part for t in taken for part in t.verdict.reason.split("; "))
        reasons = "; ".join([*told, *self._before(worst.item), *self._unread(worst)])
        text = worst.item.text if isinstance(worst.item, Post) else ""
        return Event(
            self._subject(worst), self.account.name, worst.verdict.severity, self._headline(taken), reasons, now,
            tuple(h for t in taken for h in t.verdict.hosts), skeleton(text[:_BEGINNING])[:500], text,
            all(self._silenceable(t) for t in taken),
            next((f.title for t in taken for f in t.verdict.accusations if f.severity is Severity.PAGE), ""),
        )  # fmt: skip

    def _subject(self, taken: _Taken) -> str:
        """Notices about replies with media have a thread of their own, but while the account's incident wakes somebody."""
        key = self.account.key
        return f"{REPLIES}{key}" if _is_reply_with_media(taken) and key not in self._store.subjects() else key

    def _unread(self, taken: _Taken) -> Iterator[str]:
        """What of a reply's media no machine will look at."""
        if _is_reply_with_media(taken) and isinstance(taken.item, Post):
            if not self._outbox.reads_pictures:
                yield "nobody reads what its pictures say: hijack-monitor[vision] is not installed"
            elif any(m.type != "photo" for m in taken.item.media):
                yield "what is not a photo is not read"

    def _before(self, item: Item) -> Iterator[str]:
        """What an edited post said before, and what was made of it; and whether we could have known sooner."""
        if self._first and self._first.since is None:
            yield "it was there when this account was read for the first time"
        if self._is_late(item):
            yield f"the platform showed it late: it is of {item.created_at:%H:%M:%S} UTC, and the reads since then did not have it"
        for kept in self._store.versions(item) if isinstance(item, Post) else ():
            if isinstance(kept.post, Post):
                was = "was approved" if isinstance(kept.verdict.match, Exact) else f"was judged {kept.verdict.severity.word}"
                yield f"version {kept.post.version}, of {kept.post.created_at:%H:%M:%S} UTC, {was} and said “{safe.for_terminal(kept.post.text, 120)}”"
        if isinstance(item, Post) and len(item.versions) > item.version:
            yield f"this is version {item.version} of {len(item.versions)}: it was edited since, and the platform shows a later one"

    def _is_late(self, item: Item) -> bool:
        """Whether an earlier read should have had it."""
        return isinstance(item, Post) and item.version == 1 and self._overdue is not None and item.created_at < self._overdue

    def _silenceable(self, taken: _Taken) -> bool:
        """A post that no rule accuses which accuses registered posts too."""
        return isinstance(taken.item, Post) and not self._is_accused_by_critical(taken.verdict)

    def _is_accused_by_critical(self, verdict: Verdict) -> bool:
        critical = {r.id for r in self._judge.rulebook.rules.rules if r.even_if_approved}
        return any(f.rule in critical and f.severity is Severity.PAGE for f in verdict.accusations)

    def _headline(self, taken: list[_Taken]) -> str:
        return "DRILL, not a hijack" if self.account.key == DRILL else _headline(taken)

    # --- what the profile shows --------------------------------------------------------------------

    def known(self) -> Profile | None:
        """The profile last seen; None also where it cannot be read any more, which pages."""
        return set_aside.profile(self._store, self._outbox, self.account, self._clock())

    def complete(self, profile: Profile, unseen: frozenset[str]) -> Profile:
        """The profile with what the platform does not give now as we know it. What it gives for the first time is no change."""
        name, known = f"never seen: {self.account.key}", self.known()
        never = frozenset(self._store.kept(name).split())
        if not unseen and not never:
            return profile
        still = never & unseen if known else unseen
        if still != never:
            with self._store.transaction():
                if known:
                    self._store.keep_profile(replace(known, **{f: getattr(profile, f) for f in never - still}))
                self._store.keep(name, " ".join(sorted(still)))
        return replace(profile, **{f: getattr(known, f) for f in unseen}) if known else profile

    def pins_unknown(self, profile: Profile) -> str:
        """The id of a newly pinned post of which nothing is on record; else an empty string."""
        known = self.known()
        if known is None or known.pinned_post == profile.pinned_post:
            return ""
        change = ProfileChange(self.account.key, "pinned_post", known.pinned_post, profile.pinned_post, self._clock())
        return self._judge.shows_unknown(change, self.account)

    def accept_profile(
        self, profile: Profile | None, bodies: tuple[bytes, ...] = (), brief: ProfileChange | None = None, pinned: Original | None = None
    ) -> None:  # fmt: skip
        """Compare with what was seen last; every change is judged and they are told together.

        A `brief` change was told and is no longer to be seen: it is judged, and the profile, if any was seen, stays as it is.
        `pinned` is the pinned post, where it had to be asked for.
        """
        if self.retired:
            return
        try:
            self._accept_profile(profile, bodies, self._clock(), brief, pinned)
            self.unwritten = {words: item for words, item in self.unwritten.items() if not isinstance(item, ProfileChange)}
        except BaseException as error:
            self._judge.start_over()
            if isinstance(error, sqlite3.Error):
                with contextlib.suppress(sqlite3.Error):
                    self.unwritten |= self._in_words(self._changed(profile, self._clock(), brief, pinned))
            raise

    def _changed(
        self, profile: Profile | None, now: datetime, brief: ProfileChange | None, pinned: Original | None
    ) -> tuple[ProfileChange, ...]:  # fmt: skip
        before = self.known()
        changed = (brief,) if brief else changes(before, profile, now) if before and profile else ()
        return tuple(replace(c, original=pinned) if c.field == "pinned_post" else c for c in changed)

    def _accept_profile(
        self, profile: Profile | None, bodies: tuple[bytes, ...], now: datetime, brief: ProfileChange | None, pinned: Original | None
    ) -> None:  # fmt: skip
        with self._store.transaction():
            self._judge.refresh(now)
            changed = self._changed(profile, now, brief, pinned)
            if profile and self.known() != profile:
                self._store.keep_profile(profile)
            contexts = {c.field: self._judge.context(c, self.account) for c in changed}
            taken = [_Taken(c, self._judge.verdict(c, self.account, contexts[c.field])) for c in changed]
            spoken = [t for t in taken if t.verdict.severity >= Severity.NOTIFY]
            incident = self._outbox.happened(self._event(spoken, now), now) if spoken else None
            evidence = self._evidence(self.account.id, bodies, now, {}) if taken else None
            for t in taken:
                if isinstance(t.verdict.match, Exact) and isinstance(t.item, ProfileChange):
                    self._store.registrations.consume(t.verdict.match.approved, t.item.root_id, now)
                number = incident if t in spoken else None
                context = contexts.get(getattr(t.item, "field", ""), NO_CONTEXT)
                self._store.keep_post(Kept(t.item, t.verdict, now, number, False, None, self._judge.digest, evidence, context))  # noqa: FBT003
        self.face_at = now
        if changed:
            log.warning("profile changed: %s", ", ".join(c.field for c in changed), extra={"account": self.account.key})
            self._wake()


def _used_up(match: Match) -> int | None:
    """The registration that a post uses up: a near one too, or its author would have as many tries as he likes."""
    return match.approved if isinstance(match, Near) or (isinstance(match, Exact) and match.words) else None


def _is_reply_with_media(taken: _Taken) -> bool:
    """Whether this is a notice because of them; a registered reply is told of with its account."""
    item, verdict = taken.item, taken.verdict
    media = isinstance(item, Post) and item.kind is Kind.REPLY and bool(item.media)
    return media and verdict.severity is Severity.NOTIFY and not (isinstance(verdict.match, Exact) and verdict.match.words)


def _headline(taken: list[_Taken]) -> str:
    """What happened, in words of ours: the first line of the page."""
    item = taken[0].item
    if isinstance(item, ProfileChange):
        return "Profile changed: " + ", ".join(t.item.field.replace("_", " ") for t in taken if isinstance(t.item, ProfileChange))
    if isinstance(item, Unreadable):
        return "Unreadable post"
    return _headline_of(item, taken[0])


def _headline_of(item: Post, taken: _Taken) -> str:
    verdict = taken.verdict
    if _is_reply_with_media(taken):
        return "Reply with a picture or video"
    if isinstance(verdict.match, Exact):
        alone = all(caveat.endswith(ALONE) for caveat in verdict.match.caveats)
        quiet = f"Approved {item.kind}, registered just before" if alone else f"Approved {item.kind}, not all of it compared"
        return f"Approved {item.kind} accused" if verdict.accusations else quiet
    near = isinstance(verdict.match, Near) and verdict.severity is Severity.NOTIFY
    if item.kind is Kind.LIVE:
        return "Unapproved live broadcast"
    if item.kind is Kind.DM:
        return "Direct message sent"
    what = f"edit of a {item.kind}" if item.version > 1 else item.kind
    return f"{'Nearly approved' if near else 'Unapproved'} {what}"

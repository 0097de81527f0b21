"""What to do with what a stream tells. A stream can only accuse; only a read can excuse.

What an event shows may be less than what was posted: a picture, the end of a long text, a thread's beginning. So a post is
judged from its event alone only where that wakes somebody at once; every other one is asked for by id first, within a second,
and what is read then is judged. A deletion, a changed profile or a line that nobody understands leads to a read as well.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from monitor import safe
from monitor.incidents import Event
from monitor.intake import OWN_KINDS
from monitor.judging import Judge
from monitor.model import Kind, Post, Profile, ProfileChange, Severity, Unreadable
from monitor.outbox import Outbox
from monitor.record import stamp
from monitor.slices import Slice
from monitor.sources.interface import Batch, Clock, Source, SourceError, Told
from monitor.steps import move
from monitor.store import Store
from monitor.watch import Watch

log = logging.getLogger("monitor.hearing")

PATIENCE = timedelta(seconds=10)  # for a post that was told to be found by its id
PATIENCE_WITH_X = timedelta(seconds=30)  # while it cannot be asked at all
AGAIN = timedelta(seconds=2)
BETWEEN_LOOKUPS = timedelta(seconds=0.5)  # a hundred posts each
BETWEEN_LOOKS = timedelta(seconds=4)  # at profiles: X allows 300 requests in fifteen minutes
RECENT = timedelta(minutes=10)  # a change of the same field noticed then is the one that an event speaks of
REMEMBERED = 5_000  # events and posts, so that one told twice is taken once; what is told again later is known to the store
_ODD_LINES = ("a line that", "a message without")


@dataclass
class _Waiting:
    """A post that was told, until it has been read."""

    told: Told
    item: Post | Unreadable
    begun: datetime
    until: datetime
    next_at: datetime


class Hearing:
    """One platform's stream. `look` reads profiles and returns the keys of those it saw, `hurry` has an account read at once."""

    def __init__(
        self, source: Source, store: Store, judge: Judge, outbox: Outbox, clock: Clock, watch: Callable[[str], Watch | None],
        look: Callable[[tuple[str, ...]], Awaitable[frozenset[str]]], hurry: Callable[[Iterable[str]], None],
    ) -> None:  # fmt: skip
        self._source, self._store, self._judge, self._outbox, self._clock = source, store, judge, outbox, clock
        self._watch, self._look, self._hurry = watch, look, hurry
        self._events: OrderedDict[str, None] = OrderedDict()
        self._posts: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._faces: dict[str, list[Told]] = {}
        self._looked_up_at = self._looked_at = clock() - BETWEEN_LOOKS

    def was_told(self, account: str, identifier: str) -> bool:
        """Whether the stream spoke of this post."""
        return (account, identifier) in self._posts

    def stepped(self, by: timedelta) -> None:
        """The clock was set back."""
        move(self, by, "_looked_up_at", "_looked_at")
        for one in self._waiting.values():
            move(one, by, "begun", "until", "next_at")

    async def take(self, heard: list[Told]) -> None:
        """Everything a stream said. Raises nothing but sqlite3.Error: handed in again, what is not written down yet is taken then."""
        accused: dict[str, list[tuple[Post | Unreadable, bytes]]] = {}
        self._judge.refresh(self._clock())
        fresh: dict[str, tuple[Told, Watch]] = {}
        piece = Slice()
        for told in heard:
            if piece.is_over():
                await piece.give_back()
            if told.odd.startswith(_ODD_LINES):
                self._hurry(())  # whatever it was: the poll is the truth
            watch = self._watch(told.account)
            if watch is None or not told.key or told.key in self._events or told.key in fresh:
                continue
            fresh[told.key] = told, watch
            with self._alone(told.account):
                if told.item and self._accuses(told, watch):
                    accused.setdefault(told.account, []).append((told.item, told.line))
        await self._accuse(accused)
        for told, watch in fresh.values():  # a deletion comes after what it deletes
            with self._alone(told.account):
                await self._rest(told, watch)
            _remember(self._events, told.key)

    async def _accuse(self, accused: Mapping[str, list[tuple[Post | Unreadable, bytes]]]) -> None:
        """Judge what wakes somebody by itself. A database that is held keeps no account from saying what it could not write down."""
        held: sqlite3.Error | None = None
        for key, found in accused.items():
            watch = self._watch(key)
            try:
                if watch:
                    await watch.sight(Batch(tuple(i for i, _ in found), None, tuple(line for _, line in found)))
            except sqlite3.Error as error:
                held = error
        if held:
            raise held

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Whatever goes wrong with one event stops no other one; only what was not written down is tried again."""
        try:
            yield
        except sqlite3.Error:
            raise
        except Exception:
            log.exception("what the stream told could not be handled; the account is polled", extra={"account": key})
            self._hurry((key,))

    def _accuses(self, told: Told, watch: Watch) -> bool:
        """Whether the event alone is enough to judge; else the post waits until it has been read."""
        item = told.item
        assert item is not None
        _remember(self._posts, (told.account, item.id))
        if self._store.knows(item) or (told.account, item.id) in self._waiting:
            return False
        if isinstance(item, Post) and item.kind in OWN_KINDS:
            return True
        alone = isinstance(item, Post) and not told.partial and item.conversation in ("", item.id) and item.version == 1
        closer = self._judge.wants_author(item) or self._judge.wants_pictures(item) or self._judge.shows_unknown(item, watch.account)
        if alone and not closer and self._pages(item, watch):
            return True
        now = self._clock()
        self._waiting[(told.account, item.id)] = _Waiting(told, item, now, now + PATIENCE, now)
        return False

    def _pages(self, item: Post | Unreadable, watch: Watch) -> bool:
        context = self._judge.context(item, watch.account)
        return self._judge.verdict(item, watch.account, context).severity is Severity.PAGE

    async def _rest(self, told: Told, watch: Watch) -> None:
        """Everything an event says beside a post."""
        place, known = (told.account, told.deleted), watch.intake.known()
        if told.deleted:
            if place in self._waiting:
                await self._give_up(self._waiting[place], deleted=True)
                self._waiting.pop(place, None)
            watch.gone((told.deleted,))
        if told.notice:
            log.warning("%s: %s", watch.account.key, told.notice)
            with self._store.transaction():
                event = Event(watch.account.key, watch.account.name, Severity.NOTIFY, "Authorisation revoked", told.notice, self._clock())
                self._outbox.happened(event, self._clock())
        if told.changed or (told.profile and known and _merged(known, told) != known and self._is_newer(told, watch)):
            self._faces.setdefault(told.account, []).append(told)

    def _is_newer(self, told: Told, watch: Watch) -> bool:
        """Events come late and out of order: what we have read since is newer."""
        return isinstance(told.item, Post) and told.item.created_at > watch.intake.face_at

    async def pulse(self) -> None:
        """Read what waits to be read. Called every quarter of a second; raises nothing but sqlite3.Error."""
        now = self._clock()
        if abs(now - self._looked_up_at) >= BETWEEN_LOOKUPS:
            await self._look_up([w for w in self._waiting.values() if w.next_at <= now or w.next_at - now > PATIENCE][:100], now)
        if self._faces and abs(now - self._looked_at) >= BETWEEN_LOOKS:
            self._looked_at = now
            faces = [(key, told) for key, events in self._faces.items() for told in events]
            new = {key for key in self._faces if (watch := self._watch(key)) and watch.intake.known() is None}
            seen = await self._look(tuple(self._faces))
            for key, told in faces:
                with self._alone(key):
                    self._compare(key, told, seen=key in seen, first=key in new)
                self._compared(key, told)  # not before it is written down

    def _compared(self, key: str, told: Told) -> None:
        self._faces[key].remove(told)
        if not self._faces[key]:
            del self._faces[key]

    async def _look_up(self, waiting: list[_Waiting], now: datetime) -> None:
        """Ask for the posts by their ids; after ten seconds without an answer, accuse by what was told."""
        if not waiting:
            return
        self._looked_up_at = now
        watches = {w.told.account: watch for w in waiting if (watch := self._watch(w.told.account))}
        gone = await self._ask_for(waiting, watches)
        self._hurry_for_versions(watches)
        now = self._clock()
        for one in waiting:
            place = (one.told.account, one.item.id)
            if self._store.has(*place):
                self._waiting.pop(place, None)
            elif one.item.id in gone or now >= one.until:
                await self._give_up(one)
                self._waiting.pop(place, None)  # not before it is written down
            else:
                one.next_at = now + AGAIN

    async def _ask_for(self, waiting: list[_Waiting], watches: Mapping[str, Watch]) -> frozenset[str]:
        """Read these posts; the ids that the platform calls gone."""
        ids = tuple(dict.fromkeys(w.item.id for w in waiting if not w.item.id.startswith("unreadable")))
        try:
            if ids:
                found = await self._source.posts(tuple(w.account for w in watches.values()), ids)
                for key, watch in watches.items():
                    mine = tuple(i for i in found.items if i.account == key)
                    with self._alone(key):
                        if mine:
                            await watch.sight(Batch(mine, None, found.bodies))
                return found.gone
        except SourceError as error:
            log.warning("posts that were told of are not read: %s", error)
            for one in waiting:  # it is X that fails: rather a page half a minute late than one about a planned picture
                one.until = one.begun + PATIENCE_WITH_X
        return frozenset()

    def _hurry_for_versions(self, watches: Mapping[str, Watch]) -> None:
        """A poll reads the versions of edited posts that nobody has seen. To hurry nobody would hurry all."""
        keys = [key for key, watch in watches.items() if watch.intake.unseen]
        if keys:
            self._hurry(keys)

    async def _give_up(self, one: _Waiting, *, deleted: bool = False) -> None:
        """It cannot be read by its id: what was told accuses, and never excuses; the next poll reads it, unless it was deleted."""
        watch = self._watch(one.told.account)
        self._hurry((one.told.account,))
        if watch is None or self._store.knows(one.item):
            return
        if self._pages(one.item, watch):
            await watch.accept(Batch((one.item,), None, (one.told.line,)))
        elif deleted and isinstance(one.item, Post) and one.item.kind is not Kind.REPLY:
            watch.vanished(one.item.id, safe.for_terminal(one.item.text, 200) or "a post without words")

    def _compare(self, key: str, told: Told, *, seen: bool, first: bool) -> None:
        """What an event said of the profile, after we have looked ourselves. What we could not see we take as told; so is what
        changed before anybody had seen the profile for the `first` time.
        """
        watch, now = self._watch(key), self._clock()
        if watch is None:
            return
        known = watch.intake.known()
        if known is None or first:
            if told.changed and not self._noticed(key, told.changed[0], now):
                watch.intake.accept_profile(known, (told.line,), ProfileChange(key, *told.changed, now))
            return
        if told.profile and not seen:
            watch.intake.accept_profile(_merged(known, told), (told.line,))
        field, before, after = told.changed or ("", "", "")
        if not field or getattr(known, field) == after or self._noticed(key, field, now):
            return
        if not seen:
            watch.intake.accept_profile(replace(known, **{field: after}), (told.line,))
        elif field != "link" and "://t.co/" not in after:  # shortened addresses are not those of the profile that we read
            watch.intake.accept_profile(known, (told.line,), ProfileChange(key, field, before, after, now))

    def _noticed(self, key: str, field: str, now: datetime) -> bool:
        where = "SELECT 1 FROM posts WHERE account = ? AND kind = 'profile' AND id LIKE ? AND seen_at > ?"
        return self._store.sql.execute(where, [key, f"{field}@%", stamp(now - RECENT)]).fetchone() is not None


def _merged(known: Profile, told: Told) -> Profile:
    """The profile as an event shows it; what it leaves out is as we know it."""
    assert told.profile is not None
    return replace(known, **{f: getattr(told.profile, f) for f in told.shown})


def _remember(memory: OrderedDict, key: object) -> None:  # type: ignore[type-arg]
    memory[key] = None
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)

"""Everything that is read from one platform, and when: polls, what its stream tells, profiles, edits, a search where polls fail.

Polls are the truth, a stream is speed: while it is proven to tell of an account, that account is polled slowly, and at once
after anything that puts the stream in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor import sources
from monitor.assembly import build_edge, choose_stream
from monitor.config import Config
from monitor.connection import concerns_file
from monitor.hearing import Hearing
from monitor.judging import Judge
from monitor.listener import Listener
from monitor.model import Post, Profile
from monitor.newest import Newest
from monitor.noted import unread
from monitor.outbox import Outbox
from monitor.post_rows import EXACT
from monitor.reads import EDITS, PROFILE, STREAM, TIMELINE, Reads
from monitor.record import Row, stamp
from monitor.rounds import Rounds
from monitor.sources.interface import LONGEST_WAIT, Batch, Clock, Faces, Settings, Source, SourceError, Told, Trouble
from monitor.store import Store
from monitor.watch import Watch

log = logging.getLogger("monitor.collector")

MOST_READING = 64  # reads at once
MOST_HEARD = 2_000  # that the database has not taken: what comes behind them waits with the listener, in bounds
HEARD_AGAIN = 0.25  # seconds until it is tried again
EDITABLE = timedelta(minutes=65)  # X says 60 minutes in every sample of 2026, and 30 in its words
DOUBTED = timedelta(minutes=10)  # a stream that kept a post from us is not relied on for so long
GRACE = timedelta(seconds=10)  # for a stream to tell of a post before a poll that found it counts as proof of the contrary
SEARCH_AFTER = timedelta(minutes=2)  # of timelines that fail
LOOKS_ALLOWED = 300 * 0.8 / 900  # requests for profiles in a second (docs.x.com, rate limits)
SECOND_LOOKS = timedelta(seconds=5)
UNWINDS = 1.0  # seconds for what is cancelled to end
PROFILES_AGAIN = 20.0  # seconds after a look at profiles that failed


@dataclass
class Collector:
    """One platform. `broken` is told when the database cannot be written."""

    platform: str
    source: Source
    store: Store
    rounds: Rounds
    clock: Clock
    broken: Callable[[sqlite3.Error], object]
    reads: Reads
    listener: Listener | None = None
    hearing: Hearing | None = None
    mode: str = "polling only"  # what tells of posts, in words
    searches: bool = True  # where timelines fail
    watches: dict[str, Watch] = field(default_factory=dict)
    missed: list[datetime] = field(default_factory=list)  # posts that the stream kept from us
    _doubted: dict[str, datetime] = field(default_factory=dict)
    _looked_second: datetime | None = None
    _reading: set[asyncio.Task[None]] = field(default_factory=set)
    _heard: list[Told] = field(default_factory=list)  # and not yet written down
    asking: asyncio.Task[None] | None = None  # for what was told
    _profiles_failed: bool = False  # the last look at all of them
    _pulsing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        async def ask(identifier: str, watch: Watch) -> None:
            await self._read_by_id((identifier,), (watch,))

        self.newest = Newest(self.store, self.clock, self.rounds.hurry, ask, self.look_at_profiles)

    def add(self, watch: Watch) -> None:
        """Watch this account too."""
        self.watches[watch.account.key] = watch
        watch.others = self.watches
        self.rounds.join(watch.account.key, self.clock())

    def leave(self, key: str) -> None:
        """Watch it no more: what is on its way from it is not judged, for verdicts no longer refer to it."""
        self.watches.pop(key).intake.retired = True
        self.rounds.leave(key)
        self.newest.forget(key)

    def stepped(self, by: timedelta) -> None:
        """The clock was set."""
        for watch in self.watches.values():
            watch.stepped(by)
        if by < timedelta():
            for part in (self.rounds, self.listener, self.hearing):
                if part:
                    part.stepped(by)

    # --- what is proven ---------------------------------------------------------------------------

    def proof(self, key: str) -> datetime | None:
        """When it was last proven, otherwise than by a poll, that a post of this account would be seen. Before its first poll
        nobody knows what was there before us.
        """
        if not self._row(self.watches[key])["first_seen"]:
            return None
        told = self.listener.proof(key) if self.listener and not self._is_doubted(key) else None
        return max(filter(None, (told, self.watches[key].searched_at)), default=None)

    def proven(self, key: str) -> bool:
        """Whether the stream is open, tells of this account, and a poll has been made since it was opened."""
        listener = self.listener
        if listener is None or listener.open_since is None or listener.proof(key) is None or self._is_doubted(key):
            return False
        if key not in self.watches:
            return False
        return (
            self.watches[key].intake.polled_at is not None
            and (self.watches[key].intake.polled_at or listener.open_since) >= listener.open_since
        )

    def tells_of_profile(self, key: str) -> bool:
        """Whether the stream is open and tells of every change of this account's name, handle, bio and link, and these are known."""
        listener = self.listener
        told = listener is not None and listener.proof(key) is not None and key in listener.profiles and not self._is_doubted(key)
        return told and bool(self._row(self.watches[key])["profile"])

    def _row(self, watch: Watch) -> Row:
        return self.store.account(watch.account.key, watch.account.handle)

    def _is_doubted(self, key: str) -> bool:
        when = self._doubted.get(key)
        return when is not None and timedelta() <= self.clock() - when < DOUBTED

    def interval(self) -> float:
        """Seconds between two polls of an account that no stream tells of."""
        return self.rounds.interval(sum(map(self.proven, self.watches)))

    def hurry(self, keys: Iterable[str] = ()) -> None:
        """Poll these at once; without any, all."""
        for key in list(keys) or list(self.watches):
            self.rounds.hurry(key)

    # --- polls ------------------------------------------------------------------------------------

    def round(self) -> list[asyncio.Task[None]]:
        """Begin the polls that are due; returns those going on."""
        if len(self._reading) < MOST_READING:
            for key in self.rounds.due(self.clock(), self.store.subjects()):
                task = asyncio.create_task(self.poll(self.watches[key]))
                self._reading.add(task)
                task.add_done_callback(self._reading.discard)
        return list(self._reading)

    async def poll(self, watch: Watch) -> None:
        """One read of one account, unless the platform has asked us to wait."""
        now, key, batch, again_at = self.clock(), watch.account.key, None, None
        try:
            if watch.retry_at and now < watch.retry_at <= now + LONGEST_WAIT:
                watch.finished_at = now
                return
            watch.fresh = ()
            batch = await watch.poll()
            self.reads.tried(TIMELINE, key, watch.account.name, ok=batch is not None, why=watch.trouble)
            if batch is None:
                await self._look_twice(watch)
            else:
                self._compare(watch)
                again_at = await self.newest.polled(watch)
        except sqlite3.Error as error:
            self.broken(error)
        except Exception:
            log.exception("a poll ended in an unforeseen way", extra={"account": key})
        finally:
            now = self.clock()
            if batch is None and watch.retry_at and watch.retry_all:
                self.rounds.pause(watch.retry_at)  # the limit is the app's, not the account's
            self.rounds.learn(batch.limit if batch else None, now)
            self.rounds.read(key, now, covered=batch is not None and self.proven(key), again_at=watch.retry_at or again_at)

    def _compare(self, watch: Watch) -> None:
        """A new post that the stream should have told of, and did not: the stream is not to be relied on."""
        if self.listener is None or self.listener.open_since is None or self.hearing is None:
            return
        now, opened = self.clock(), self.listener.open_since
        for item in watch.fresh:
            silent = isinstance(item, Post) and item.version == 1 and not self.hearing.was_told(item.account, item.id)
            if silent and now - item.created_at > GRACE and item.created_at > opened and self.listener.proof(item.account):
                log.warning("the stream did not tell of a post", extra={"account": item.account, "post": item.id})
                self._doubted[item.account] = now
                self.missed = [m for m in self.missed if now - m < timedelta(hours=1)] + [now]

    async def _look_twice(self, watch: Watch) -> None:
        """Storms of false 401s, 403s and 404s happen: another endpoint says whether this is one, for all that fail so."""
        now = self.clock()
        if not self._is_doubtful(watch) or (self._looked_second and timedelta() <= now - self._looked_second < SECOND_LOOKS):
            return
        self._looked_second = now
        doubtful = [w for w in self.watches.values() if self._is_doubtful(w)]
        try:
            faces = await self.source.profiles(tuple(w.account for w in doubtful))
        except SourceError:
            for one in doubtful:
                one.second_look = "failed"
            return
        failed: dict[str, str] = {}
        for one in doubtful:
            face = faces.found.get(one.account.key)
            one.second_look = "failed" if isinstance(face, Profile) else "gone"
            with self._alone(one.account.key, failed):
                if isinstance(face, Profile):
                    whole = one.intake.complete(face, faces.unseen)
                    one.second_look = "seen" if whole.protected != "yes" else "gone"
                    one.intake.accept_profile(whole, faces.bodies)
        self._note_profiles(doubtful, faces, failed)

    def _is_doubtful(self, watch: Watch) -> bool:
        row = self._row(watch)
        kind = row["error_kind"] in (Trouble.GONE.value, Trouble.CREDENTIALS.value) or "X answered 404" in str(row["last_error"])
        return kind and row["failures"] >= 2

    # --- the stream -------------------------------------------------------------------------------

    async def pulse(self) -> None:
        """Keep the stream open and take in what it said; what has to be asked for is asked beside it. Never raises."""
        if self.listener is None or self.hearing is None:
            return
        async with self._pulsing:
            await self._survived(functools.partial(self._listen_and_take, self.listener, self.hearing))
        trouble = str(self.listener.trouble or "it has not begun yet")
        self.reads.tried(STREAM, self.platform, self.listener.name, ok=self.listener.open_since is not None, why=trouble)
        if self.asking is None or self.asking.done():
            self.asking = asyncio.create_task(self._survived(self.hearing.pulse))

    async def _listen_and_take(self, listener: Listener, hearing: Hearing) -> None:
        """What the database did not take now is taken the next time: no poll finds a broadcast, nor what was taken back."""
        listener.tick()
        if len(self._heard) < MOST_HEARD:
            self._heard += listener.take()
        if self._heard:
            try:
                await hearing.take(self._heard)
            except sqlite3.Error:
                raise
            except BaseException:
                self._heard = []
                raise
            self._heard = []

    async def _survived(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong with what a stream told, everything is polled. Begun here: a stop may come before the task's first step."""
        try:
            await duty()
        except sqlite3.Error as error:
            self.broken(error)
            self.hurry()
        except Exception:
            log.exception("what the stream told could not be handled; everything is polled")
            self.hurry()

    async def hear(self) -> None:
        """Take in at once what a stream says; for ever. The schedule is only the safety net."""
        while True:
            if self.listener is None:
                await asyncio.sleep(1)
                continue
            await self.listener.ready.wait()
            await self.pulse()
            if self._heard:  # the database does not take it
                await asyncio.sleep(HEARD_AGAIN)

    async def close(self) -> None:
        """No stream any more, no question, no poll: what is on its way must not meet a closed database."""
        going = {*self._reading, *([self.asking] if self.asking else [])}
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going, timeout=UNWINDS)
        if self.listener:
            await self.listener.close()

    # --- profiles, edits, searches ----------------------------------------------------------------

    async def look_at_profiles(self, keys: tuple[str, ...] = ()) -> frozenset[str]:
        """What accounts look like, a hundred at a time; returns those that were seen. Raises nothing but sqlite3.Error."""
        watches = [self.watches[k] for k in keys or self.watches if k in self.watches]
        try:
            faces = await self.source.profiles(tuple(w.account for w in watches))
        except SourceError as error:
            log.warning("profiles of %s not read: %s", self.platform, error)
            self._profiles_failed = error.trouble is not Trouble.RATE_LIMITED
            return frozenset()
        self._profiles_failed = False
        shown, pinned, failed = dict[str, Profile](), dict[str, str](), dict[str, str]()
        for number, (key, face) in enumerate(faces.found.items()):
            if number % 100 == 99:
                await asyncio.sleep(0)  # ten thousand accounts must not keep a stream waiting
            if key not in self.watches:  # taken out of the configuration meanwhile
                continue
            if not isinstance(face, Profile):
                log.warning("profile not visible: %s", face, extra={"account": key})
                self.rounds.hurry(key)  # a second endpoint says whether it is gone
                continue
            with self._alone(key, failed):
                intake = self.watches[key].intake
                shown[key] = intake.complete(face, faces.unseen)
                if post := intake.pins_unknown(shown[key]):
                    pinned[key] = post
                else:
                    intake.accept_profile(shown[key], faces.bodies)
        await self._look_at_pinned(pinned, shown, faces.bodies, failed)
        for key in shown.keys() & self.watches.keys():
            with self._alone(key, failed):
                await self.newest.named(self.watches[key], faces.newest.get(key, ""))
        self._note_profiles(watches, faces, failed)
        return frozenset(shown) - failed.keys()

    @contextlib.contextmanager
    def _alone(self, key: str, failed: dict[str, str]) -> Iterator[None]:
        """Whatever goes wrong with one profile keeps no other from being compared, and is why that one counts as not read."""
        try:
            yield
        except Exception as error:
            if concerns_file(error):
                raise
            log.exception("a profile could not be compared", extra={"account": key})
            failed[key] = f"it could not be handled ({type(error).__name__})"

    def _note_profiles(self, watches: Iterable[Watch], faces: Faces, failed: dict[str, str]) -> None:
        why = unread((w.account for w in watches), faces) | failed
        for account in (w.account for w in watches):
            self.reads.tried(PROFILE, account.key, account.name, ok=account.key not in why, why=why.get(account.key, ""))

    async def _look_at_pinned(
        self, pinned: Mapping[str, str], shown: Mapping[str, Profile], bodies: tuple[bytes, ...], failed: dict[str, str]
    ) -> None:  # fmt: skip
        """Profiles that pin a post of which nothing is on record: it may be older than our watch. All others were judged before."""
        for start in range(0, len(pinned), 100):
            some = {key: post for key, post in list(pinned.items())[start : start + 100] if key in self.watches}
            originals = await self.watches[next(iter(some))].originals(tuple(some.values())) if some else {}
            for key, identifier in some.items():
                mine = originals.get(identifier)
                with self._alone(key, failed):
                    self.watches[key].intake.accept_profile(shown[key], bodies, pinned=mine if mine and mine.account == key else None)

    def sweep_seconds(self, configured: float) -> float:
        """How often to look at profiles: as configured, or as often as X allows where that shows posts sooner than polls do."""
        soonest = max(5.0, -(-len(self.watches) // 100) / LOOKS_ALLOWED)
        if self._profiles_failed:
            return min(max(configured, soonest), max(PROFILES_AGAIN, soonest))
        return min(configured, soonest) if self.interval() > max(configured, soonest) else max(configured, soonest)

    async def look_at_edits(self) -> None:
        """Approved posts are read again until they cannot be edited any more; a newer version is judged anew."""
        since = stamp(self.clock() - EDITABLE)
        where = (
            "SELECT p.account, p.id FROM accounts a CROSS JOIN posts p ON p.account = a.key WHERE a.key LIKE ? AND p.created_at > ?"  # noqa: S608 - ours
            " AND p.baseline = 0 AND p.deleted_at IS NULL AND p.kind IN ('post', 'quote')"
            f" AND {EXACT} IS NOT NULL ORDER BY p.created_at DESC LIMIT 500"
        )
        rows, failed = self.store.sql.execute(where, [f"{self.platform}:%", since]).fetchall(), ""
        for start in range(0, len(rows), 100):
            some = rows[start : start + 100]
            watches = {r["account"]: self.watches[r["account"]] for r in some if r["account"] in self.watches}
            failed = await self._read_by_id(tuple(r["id"] for r in some), tuple(watches.values())) or failed
        if rows:
            self.reads.tried(EDITS, self.platform, ok=not failed, why=failed)

    async def search(self) -> None:
        """Where timelines have failed for two minutes and no stream tells of posts, another backend may still show them."""
        now = self.clock()
        failing = [w for w in self.watches.values() if self.searches and self._needs_search(w, now)]
        if not failing:
            return
        since = min(w.intake.polled_at or now - timedelta(minutes=15) for w in failing) - timedelta(minutes=1)
        try:
            found = await self.source.search(tuple(w.account for w in failing), since)
        except SourceError as error:
            log.warning("nor can posts be searched for: %s", error)
            return
        if found.missed:
            log.warning("a search did not find everything: %s", found.missed)
        for watch in failing:
            mine = tuple(i for i in found.items if i.account == watch.account.key)
            if mine:
                await watch.sight(Batch(mine, None, found.bodies))
            watch.searched_at = watch.searched_at if found.missed else now

    def _needs_search(self, watch: Watch, now: datetime) -> bool:
        row = self._row(watch)
        since = watch.intake.polled_at or now - SEARCH_AFTER * 2
        failed = row["failures"] > 0 and row["error_kind"] == Trouble.UNAVAILABLE.value
        return failed and now - since > SEARCH_AFTER and not (self.listener and self.listener.proof(watch.account.key))

    async def _read_by_id(self, ids: tuple[str, ...], watches: tuple[Watch, ...]) -> str:
        """Why they could not be read, or an empty string."""
        try:
            found = await self.source.posts(tuple(w.account for w in watches), ids)
        except SourceError as error:
            log.warning("posts not read by their ids: %s", error)
            return str(error)
        for watch in watches:
            mine = [i for i in found.items if i.account == watch.account.key]
            if mine:
                await watch.sight(Batch(tuple(mine), None, found.bodies))
                if watch.intake.unseen:
                    self.rounds.hurry(watch.account.key)  # a poll reads the versions that nobody has seen
            known = [i for i in found.gone if self.store.has(watch.account.key, i)]
            if known:
                watch.gone(known)
        return ""


def rounds_of(config: Config, platform: str) -> Rounds:
    """X documents 10,000 reads of timelines in fifteen minutes, until its answers say what it really allows."""
    fast = config.poll_seconds(platform)
    return Rounds(fast, config.file.x.slow_seconds, 10_000) if platform == "x" else Rounds(fast, fast, 1_000_000)


async def listen(
    collector: Collector, config: Config, settings: Settings, secrets: Mapping[str, str], judge: Judge, outbox: Outbox
) -> None:  # fmt: skip
    """Give it whatever tells of posts by itself, by configuration or by what X lets this app use."""
    name, collector.mode = await choose_stream(config.file.x.push, settings, secrets)
    log.info("X: %s", collector.mode)
    if name:
        clock, watches = settings.clock, collector.watches
        stream = build_edge(sources, name, settings, secrets)
        collector.listener = Listener(name, stream, lambda: tuple(w.account for w in watches.values()), clock, collector.hurry)
        collector.hearing = Hearing(
            collector.source, collector.store, judge, outbox, clock, watches.get, collector.look_at_profiles, collector.hurry
        )  # fmt: skip

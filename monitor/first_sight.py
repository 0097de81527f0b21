"""Whether an account is new to us, or only our database is: then everything since we last read it is judged.

A database can be lost, or be a copy of yesterday. What remembers us outside of it is one quiet message of our own in
Slack, edited every ten minutes: whose accounts we watch, until when they have been read, and how often we have said it,
which is written down first: a database that counts less than its message is a copy. Whatever Slack shows beside
it can only make us judge more: nobody but us can write as us, and a channel that cannot be read to its beginning counts
as one that knows us. While Slack does not say what is there, it is asked again, and what is there is not edited.
A file `restored` in the data directory says the same where there is no Slack.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from monitor import record
from monitor.after_restore import AfterRestore, marked_by
from monitor.background import OneAtATime
from monitor.incidents import DRILL, Event
from monitor.model import Account, Severity
from monitor.notifiers.interface import NotifierError, Refusal
from monitor.outbox import Outbox
from monitor.record import stamp
from monitor.sources.interface import Batch, Source
from monitor.store import Store
from monitor.tables import AccountTable

log = logging.getLogger("monitor.first_sight")

CRITICAL_FOR = timedelta(days=1)  # what a critical rule accuses and is younger pages at first sight
REACH = timedelta(days=7)  # further back nothing is read again; X shows 3,200 posts at most
UNSURE = timedelta(days=1)  # how much is judged where nobody can say until when we had read
OLDER = timedelta(minutes=30)  # a database that ends so long before a message that does not count says is a copy
PATIENCE, IMPATIENCE = 15, 5  # seconds for Slack to answer before the first read: without a database, and with one
EVERY = timedelta(minutes=10)  # the message is edited
AGAIN = timedelta(seconds=30)  # Slack is asked what is there, or told, after a failure
TOGETHER = timedelta(seconds=60)  # accounts that are seen first within so long share a message
LISTED = 20  # accounts and accusations in one message
_MOST_NAMED, _MOST_HANDLES = 300, 100  # accounts in the message's metadata, and handles
MARK = "restored"  # the file


@dataclass(frozen=True, slots=True)
class Proof:
    """A message of ours that was found: until when we had read, and the digests of the accounts; None where it does not say."""

    until: datetime
    accounts: frozenset[str] | None = None
    whole: bool = True  # whether it names all its accounts
    install: str = ""  # whose database it was
    handles: frozenset[str] = frozenset()  # digests of those whose ids were looked up
    told: int = 0  # how often it had been said, this time included; 0 where it does not say, less where it proves nothing
    written: datetime | None = None  # by Slack's clock, the last time
    posted: datetime | None = None  # and the first time


@dataclass(frozen=True, slots=True)
class Question:
    """What a start has to ask of our messages: whether one knows more than the database did. `receipt` is the newest that it
    knew, `told` how often it had said it, and `until` when it was last read into; None where it knew nothing.
    """

    receipt: str
    told: int
    until: datetime | None


Found = tuple[tuple[Proof, ...], bool]  # what is there of ours, and whether everything was looked through


class Channel(Protocol):
    """Where the message is. Every method may raise NotifierError and nothing else."""

    async def tell(self, text: str, payload: dict[str, str | int], receipt: str) -> str:
        """Post it, or edit the one at `receipt`; returns its receipt. Nobody is woken."""
        ...

    async def proofs(self, receipt: str = "") -> Found:
        """What is there of ours, from one message on or all of it."""
        ...


def digest(key: str) -> str:
    """An account in the message's metadata, which every app of the workspace can read."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def known_since(key: str, proofs: Iterable[Proof], now: datetime, *, whole: bool) -> datetime | None:
    """Until when an account of which our database knows nothing had been read; None when it is new to us. Pure.

    `whole` says whether everything was looked through: who buries our messages makes us judge more, not less.
    """
    found = tuple(proofs)
    listing = [p for p in found if p.accounts is not None]
    mine = [p for p in listing if p.accounts and digest(key) in p.accounts]
    if mine:
        ends = _ends(mine)
        return min(now, *([e for e in ends if e > now - REACH] or [max(ends)]))
    if not whole:
        return now - REACH
    if listing and all(p.whole for p in listing):
        return None  # we were here, and did not watch it
    return min(max(p.until for p in found), now) if found else None


def _ends(proofs: list[Proof]) -> list[datetime]:
    """Until when each of our databases had read. One that begins after another has ended takes its place; two that run side by side
    page different people, perhaps, and nobody can say which of them was lost.
    """
    by: dict[str, list[Proof]] = {}
    for proof in proofs:
        by.setdefault(proof.install, []).append(proof)
    began = {install: min(p.posted or p.until for p in mine) for install, mine in by.items()}
    ended = {install: max(p.written or p.until for p in mine) for install, mine in by.items()}
    last = [install for install in by if not any(begin > ended[install] for other, begin in began.items() if other != install)]
    return [max(p.until for p in by[install]) for install in last]


def is_newer(proof: Proof, question: Question, now: datetime) -> bool:
    """Whether a message of this database was written after all that the database knows: then it is a copy. Pure."""
    if proof.told:
        return proof.told > question.told
    return question.until is not None and min(proof.until, now) - question.until > OLDER


async def gap(batch: Batch, source: Source, since: datetime, now: datetime) -> Batch:
    """The first read of an account that we know: the next one begins where we had read to. What is out of reach is named."""
    begin = max(since, now - REACH)
    lost = f"what was posted from {since:%Y-%m-%d %H:%M} to {begin:%Y-%m-%d %H:%M} UTC is not checked" if begin > since else ""
    return replace(batch, cursor=await source.since(begin), lost=lost or batch.lost)


def keep_sight(
    store: Store, account: str, now: datetime, posts: int, accused: Iterable[str], since: datetime | None, *, told: bool
) -> None:  # fmt: skip
    """With the baseline: what has to be told of it, unless it has been said already. Inside a transaction."""
    if since:
        store.sql.execute("UPDATE accounts SET first_seen = ? WHERE key = ?", [stamp(since), account])
    row = [account, stamp(now), posts, "\n".join(accused), told]
    store.sql.execute("INSERT INTO first_sights(account, at, posts, accused, told) VALUES(?, ?, ?, ?, ?)", row)


class FirstSight:
    """`look` before the first read, `tick` every few seconds. Without a channel the log is told."""

    def __init__(self, store: Store, clock: Callable[[], datetime], accounts: Callable[[], tuple[Account, ...]], outbox: Outbox) -> None:
        self._store, self._clock, self._accounts, self._outbox = store, clock, accounts, outbox
        self.channel: Channel | None = None
        self._mark = store.path.parent / MARK
        self.after = AfterRestore(store, outbox, clock)
        self._copy_of: datetime | None = None  # until when it reaches, where `restore` says so
        self._talking = OneAtATime()
        self.settle = self._talking.settle
        self._told_at: datetime | None = None
        self._posted = ("", "")  # the text of our last message and its receipt
        self._found: Found | None = None  # while our database knows nothing: what others know
        self._question: Question | None = None  # while it has no answer
        self._asked_at: datetime | None = None
        self._refused = NotifierError(Refusal.UNKNOWN, "not asked")

    # --- before the first read -------------------------------------------------------------------

    async def look(self) -> None:
        """Find out whether our database is all that we know. Raises sqlite3.Error."""
        now, marked = self._clock(), marked_by(self._mark, UNSURE)
        self._question, again = self._to_ask()
        found = await self._asked(self._question)
        if found or marked or self.after.mark():
            self._learn(found or _unsure(now), marked, late=again)
        elif not again:
            self._leave_open(self._question, now)
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._take_over()
        if not self._store.kept("standing text") and self._read_until() is not None:
            self._say(_WATCHING, now, "")
        if self._store.kept("standing text"):
            self._told_at = now
            with contextlib.suppress(TimeoutError):  # it is said again; the first read does not wait for it
                async with asyncio.timeout(IMPATIENCE):
                    await self._tell()

    def _to_ask(self) -> tuple[Question, bool]:
        """The question of this start, or the one that an earlier start got no answer to; and whether it is that."""
        asked = record.remembered(
            self._store.kept(_QUESTION), lambda kept: Question(str(kept[0]), int(kept[1]), record.moment(kept[2])), None
        )
        return asked or Question(self._store.kept("standing receipt"), self._times_told(), self._read_until()), asked is not None

    async def _asked(self, question: Question) -> Found | None:
        """What our messages say of it; None where that cannot be had now. Without a memory all of ours count, those of other databases
        that we had; with one only its own, from the one that it knows as the newest on: a copy does not know of those after it.
        """
        if self.channel is None:
            return (), True
        ours = self._store.install
        for seconds in (PATIENCE, PATIENCE) if question.until is None else (IMPATIENCE,):
            try:
                async with asyncio.timeout(seconds):
                    found, whole = await self.channel.proofs(question.receipt)
            except (NotifierError, TimeoutError) as error:
                refused = error if isinstance(error, NotifierError) else NotifierError(Refusal.UNKNOWN, "no answer in time")
                if str(refused) != str(self._refused):
                    log.warning("what our own messages in Slack say cannot be read: %s", refused)
                self._refused = refused
            else:
                if question.until is None:
                    return tuple(p for p in found if p.install != ours), whole
                return tuple(p for p in found if p.accounts is not None and p.install == ours), whole
        return None

    def _leave_open(self, question: Question, now: datetime) -> None:
        """What we cannot know yet is asked again, by a later start too; until then the last day of what is new to us is judged."""
        with self._store.transaction():
            self._store.keep(_QUESTION, json.dumps([question.receipt, question.told, stamp(question.until)]))
        self._asked_at, self._found = now, _unsure(now)
        until = min(filter(None, map(self.recall, self._accounts())), default=now - UNSURE)
        if question.until is None:
            since = f"To be safe, everything posted since {until:%Y-%m-%d %H:%M} UTC is judged now"
            self._say_new(f"Slack could not be asked whether it was here before. {since}", now)

    def _learn(self, found: Found, marked: datetime | None, *, late: bool) -> None:
        """The answer has come, or a file says it."""
        assert self._question is not None
        self._take(self._question, found, marked, _LATE if late else "")
        self._question = None  # last: what could not be written down is asked again
        self._store.keep(_QUESTION, "")

    def _take(self, question: Question, found: Found, marked: datetime | None, late: str) -> None:
        now, (proofs, whole), mark = self._clock(), found, self.after.mark()
        self._copy_of = min(mark.at, now) if mark else None
        if question.until is None and mark is None:
            self._found = (*proofs, Proof(min(marked, now))) if marked else proofs, whole
            until = min(filter(None, map(self.recall, self._accounts())), default=None)
            if until:
                had = f"the file `{MARK}` says" if marked else "its own messages in Slack show"
                since = f"that it had read until {until:%Y-%m-%d %H:%M} UTC. Everything posted since then is judged now"
                self._say_new(f"{had} {since}", now, late)
            return
        newer = [p for p in proofs if question.until and is_newer(p, question, now)]
        if not (newer or marked or mark):
            return
        ends = mark.at if mark else question.until or now
        shown = max(filter(None, (p.written or p.until for p in newer)), default=None)
        had = f"its own message in Slack is of {shown:%Y-%m-%d %H:%M} UTC" if shown else f"the file `{MARK}` says so"
        ended = f" and {mark.put:%Y-%m-%d %H:%M} UTC" if mark else " and now"
        self._found = found
        with self._store.transaction():
            begins = self.after.begin(ends, mark)
            self._say(
                f"The database of this monitor is a copy that ends at {ends:%Y-%m-%d %H:%M} UTC: {mark.words() if mark else had}. Everything"
                f" posted since the copy was made is judged now. {_MISSING.format(f'made between {ends:%Y-%m-%d %H:%M}{ended} are')}{late} {begins}",
                now, "older database",
            )  # fmt: skip
            for account in self._accounts():  # it may have come after the copy was made
                self.recall(account)
            if self._copy_of:  # and so may one whose id is looked up later, after another start perhaps
                query = "UPDATE meta SET value = ?1 WHERE key >= 'wanted:' AND key < 'wanted;' AND value > ?1"
                self._store.sql.execute(query, [stamp(self._copy_of)])
        self._copy_of = None  # what is added from now on is new

    async def _take_over(self) -> None:
        """Incidents of a copy may have gone on without it."""
        if said := await self.after.look():
            before = "" if self._store.kept("standing receipt") else self._store.kept("standing text")
            self._say("\n".join(filter(None, (before, said))), self._clock(), "")

    def _say_new(self, why: str, now: datetime, late: str = "") -> None:
        self._say(
            f"The database of this monitor is new, and {why}. {_MISSING.format('from before may be')} Profiles cannot be compared with what they were: look at names, links and pinned posts.{late}",
            now, "new database",
        )  # fmt: skip

    async def _ask_again(self, question: Question | None) -> None:
        found = await self._asked(question) if question else None
        if found:
            self._learn(found, None, late=True)
        await self._take_over()

    def want(self, tables: Iterable[AccountTable]) -> None:
        """These are to be watched, and their ids are not known: what is posted from now on was not there before us."""
        names = [name for table in tables if not self._store.kept(name := _wanted(table.platform, table.handle))]
        if names:
            with self._store.transaction():
                for name in names:
                    self._store.keep(name, stamp(self._clock()) or "")

    def recall(self, account: Account, *, added: bool = False) -> datetime | None:
        """Until when this account had been read, before its first read; also of one whose id is looked up later. One that was `added`
        since the start had only if a message names it.
        """
        proofs, whole = self._found or ((), True)
        listing = [p for p in proofs if p.accounts]
        mine = [p for p in listing if p.accounts and digest(account.key) in p.accounts]
        since = known_since(account.key, mine if added else proofs, self._clock(), whole=added or whole)
        if not mine and _is_pinned(self._store, account):
            had = max((p.until for p in listing if digest(_handle(account)) in p.handles), default=None)
            since = self._is_another(account, min(had, self._clock())) if had else since
        if self._copy_of:
            since = min(since or self._copy_of, self._copy_of)
        name = _wanted(account.platform, account.handle)
        wanted = record.moment(self._store.kept(name))
        if since or wanted:
            with self._store.transaction():
                for moment in filter(None, (since, wanted)):
                    self._store.tried(account.key, moment)  # never less than an earlier start found
                self._store.keep(name, "")
        return since

    def _is_another(self, account: Account, until: datetime) -> datetime:
        """Its handle was another account's when we last read it: whoever takes an account over may rename it, and the name is free then."""
        with self._store.transaction():
            reason = (
                f"@{account.handle} was another account until {until:%Y-%m-%d %H:%M} UTC, and is now the one with id {account.id}: the account"
                " that was watched may have been renamed by whoever took it over, and nobody watches it. Set `id` of the right one"
            )
            event = Event(
                f"gap:{account.key}", account.name, Severity.PAGE, "Handle of another account", reason, self._clock(), silenceable=False
            )
            self._outbox.happened(event, self._clock())
        return until

    def _read_until(self) -> datetime | None:
        """When the database was last read into; None when it has seen nothing yet."""
        query = "SELECT max(coalesce(last_ok, first_seen)) FROM accounts WHERE first_seen IS NOT NULL AND key != ?"
        return record.moment(self._store.sql.execute(query, [DRILL]).fetchone()[0])

    # --- the message -----------------------------------------------------------------------------

    def tick(self) -> None:
        """Write down what has to be said of first sights, and say it. Never waits."""
        now = self._clock()
        rows = self._store.sql.execute("SELECT * FROM first_sights WHERE told = 0 ORDER BY rowid").fetchall()
        if rows:
            began = record.moment(rows[0]["at"]) or now
            unseen = self._store.sql.execute("SELECT count(*) FROM accounts WHERE first_seen IS NULL AND key != ?", [DRILL]).fetchone()[0]
            if not unseen or not timedelta() <= now - began < TOGETHER:
                with self._store.transaction():
                    before = "" if self._store.kept("standing receipt") else self._store.kept("standing text")
                    self._say("\n".join(filter(None, (before, self._in_words(rows)))), now, "")
                    self._store.sql.execute("UPDATE first_sights SET told = 1")
        if self.channel is None or self._talking.busy:
            return
        if self._store.kept("standing text") and self._is_due(now):
            if self._would_edit_what_is_asked():
                self._say(_WATCHING, now, "")
            self._told_at = now
            self._talking.begin(self._tell(), "our standing message")
        elif (self._question or self.after.pending()) and not _within(AGAIN, self._asked_at, now):
            self._asked_at = now
            self._talking.begin(self._ask_again(self._question), "asking for our messages")

    def _is_due(self, now: datetime) -> bool:
        return not _within(EVERY if self._store.kept("standing receipt") else AGAIN, self._told_at, now)

    def _would_edit_what_is_asked(self) -> bool:
        """Whether the next edit would overwrite what Slack has not shown us yet."""
        return self._question is not None and self._question.receipt == self._store.kept("standing receipt") != ""

    def _say(self, text: str, now: datetime, what: str) -> None:
        """The next message, a new one: an edit is seen by nobody."""
        log.warning("%s", text.replace("\n", " "))
        with self._store.transaction():
            self._store.keep("standing text", text)
            self._store.keep("standing receipt", "")
            if what:
                self._store.audit(now, "monitor", what, "monitor", said=text)

    async def _tell(self) -> None:
        """Post the message, or edit what is there to say until when we have read."""
        text, kept = self._store.kept("standing text"), self._store.kept("standing receipt")
        if self.channel is None or not text or self._would_edit_what_is_asked():
            return
        receipt = kept or (self._posted[1] if self._posted[0] == text else "")
        accounts = self._accounts()
        keys = [a.key for a in accounts]
        read = self._store.sql.execute("SELECT key, coalesce(last_ok, known_since) AS until FROM accounts").fetchall()
        until = min((t for r in read if r["key"] in keys and (t := record.moment(r["until"]))), default=None)
        payload: dict[str, str | int] = {
            "kind": "standing", "install": self._store.install, "read": int(until.timestamp()) if until else 0, "told": self._count(),
            "accounts": " ".join(map(digest, keys[:_MOST_NAMED])), "whole": int(len(keys) <= _MOST_NAMED),
            "handles": " ".join(digest(_handle(a)) for a in accounts[:_MOST_HANDLES] if _is_pinned(self._store, a)),
        }  # fmt: skip
        said = f"{text}\nEvery account was read until {until:%Y-%m-%d %H:%M} UTC or later." if until else text
        said += f"\n{_UNKNOWN.format(self._refused)}" if self._question else ""
        try:
            told = await self.channel.tell(said, payload, receipt)
        except NotifierError as error:
            log.warning("our standing message was not taken: %s", error)
            told = "" if error.refusal is Refusal.LOST else receipt  # somebody deleted it: the next one is a new one
        self._posted = text, told  # should the database be held now
        if told != kept and self._store.kept("standing text") == text:
            with self._store.transaction():
                self._store.keep("standing receipt", told)

    def _count(self) -> int:
        """How often we have said it, this time included, written down before it is said. While it is not known what was said, that proves nothing."""
        if self._question:
            return -1
        with self._store.transaction():
            self._store.keep(_TOLD, str(self._times_told() + 1))
        return self._times_told()

    def _times_told(self) -> int:
        kept = self._store.kept(_TOLD)
        return int(kept) if kept.isdecimal() else 0

    def _in_words(self, rows: list[record.Row]) -> str:
        names = {a.key: a.name for a in self._accounts()}
        accused = [f"{names.get(r['account'], r['account'])}: {line}" for r in rows for line in r["accused"].splitlines()]
        listed = [names.get(r["account"], r["account"]) for r in rows]
        total = sum(r["posts"] for r in rows)
        said = f"First sight of {_cut(listed, ', ')}: {total} post(s) were there before and are recorded."
        if not accused:
            return f"{said} No rule accuses any of them; nobody is woken for them."
        return (
            f"{said} Rules accuse {len(accused)} of them; nobody is woken but for what a critical rule accuses and is younger than a day:\n"
            f"{_cut(accused, chr(10))}\nLook at them: `hijack-monitor accounts baseline` shows all."
        )


_MISSING = "Registrations, acknowledgements and silences {} missing: posts that were approved may page. Import the plan again."

_LATE = (
    " Slack could be asked only after the start: what was posted more than a day before that may be recorded without being judged."
    " `hijack-monitor accounts baseline` shows it."
)
_UNKNOWN = "Not known yet: whether its database was lost or is an old copy. Slack does not show this monitor its own messages ({}); it keeps asking."
_WATCHING = "This monitor is watching."
_QUESTION, _TOLD = "standing question", "standing told"  # under which they are kept


def _unsure(now: datetime) -> Found:
    """Nobody can say until when we had read."""
    return (Proof(now - UNSURE),), True


def _within(time: timedelta, since: datetime | None, now: datetime) -> bool:
    return since is not None and timedelta() <= now - since < time


def _cut(lines: list[str], between: str) -> str:
    more = f"{between}and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return between.join(lines[:LISTED]) + more


def _handle(account: Account) -> str:
    """What is kept of a handle; no account's key looks like it."""
    return f"{account.platform} @{account.handle.lower()}"


def _is_pinned(store: Store, account: Account) -> bool:
    """Whether its id was looked up by its handle."""
    return store.pinned(account.platform, account.handle) == account.id


def _wanted(platform: str, handle: str) -> str:
    """Under which it is kept since when the id of an account has been wanted."""
    return f"wanted:{platform}:{handle.lower()}"

"""Whether an account is new to us, or only our database is: then everything since we last read it is judged.

A database can be lost, or be a copy of yesterday. What remembers us outside of it is one quiet message of our own in
Slack, edited every ten minutes: whose accounts we watch, and until when they have been read. Whatever Slack shows beside
it can only make us judge more: nobody but us can write as us, and a channel that cannot be read to its beginning counts
as one that knows us. A file `restored` in the data directory says the same where there is no Slack.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from monitor import record
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
OLDER = timedelta(minutes=30)  # a database that ends so long before what we have read is a copy
PATIENCE, IMPATIENCE = 15, 5  # seconds for Slack to answer before the first read: without a database, and with one
EVERY = timedelta(minutes=10)  # the message is edited
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


class Channel(Protocol):
    """Where the message is. Every method may raise NotifierError and nothing else."""

    async def tell(self, text: str, payload: dict[str, str | int], receipt: str) -> str:
        """Post it, or edit the one at `receipt`; returns its receipt. Nobody is woken."""
        ...

    async def proofs(self, receipt: str = "") -> tuple[tuple[Proof, ...], bool]:
        """What is there of ours, from one message on or all of it, and whether everything was looked through."""
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
    mine = [p.until for p in listing if p.accounts and digest(key) in p.accounts]
    if mine:
        return min(max(mine), now)
    if not whole:
        return now - REACH
    if listing and all(p.whole for p in listing):
        return None  # we were here, and did not watch it
    return min(max(p.until for p in found), now) if found else None


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
        self._task: asyncio.Task[None] | None = None
        self._told_at: datetime | None = None
        self._posted = ("", "")  # the text of our last message and its receipt
        self._found: tuple[tuple[Proof, ...], bool] | None = None  # while our database knows nothing: what others know

    # --- before the first read -------------------------------------------------------------------

    async def look(self) -> None:
        """Find out whether our database is all that we know. Raises sqlite3.Error."""
        now, marked = self._clock(), _marked(self._mark)
        until = self._read_until()
        if until is None:
            await self._look_without_memory(now, marked)
        else:
            newer, whole = await self._since()
            proof = max((p.until for p in newer), default=None)
            if marked or (proof and proof - until > OLDER):
                had = (
                    f"its message in Slack says that it had read until {proof:%Y-%m-%d %H:%M} UTC"
                    if proof
                    else f"the file `{MARK}` says so"
                )
                self._say(
                    f"The database of this monitor is a copy that ends at {until:%Y-%m-%d %H:%M} UTC: {had}. Everything posted"
                    f" since the copy was made is judged now. {_MISSING}", now, "older database",
                )  # fmt: skip
                self._store.rename_pages()
                self._found = newer, whole
                for account in self._accounts():  # it may have come after the copy was made
                    self.recall(account)
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)
        if not self._store.kept("standing text") and until is not None:
            self._say("This monitor is watching.", now, "")
        if self._store.kept("standing text"):
            self._told_at = now
            with contextlib.suppress(TimeoutError):  # it is said again; the first read does not wait for it
                async with asyncio.timeout(IMPATIENCE):
                    await self._tell()

    async def _look_without_memory(self, now: datetime, marked: datetime | None) -> None:
        proofs, whole, why = await self._proofs(now)
        if marked:
            proofs = (*proofs, Proof(min(marked, now)))
        self._found = proofs, whole
        until = min(filter(None, map(self.recall, self._accounts())), default=None)
        if until is None:
            return
        self._say(
            f"The database of this monitor is new, and {why} until {until:%Y-%m-%d %H:%M} UTC. Everything posted since then is judged"
            f" now. {_MISSING} Profiles cannot be compared with what they were: look at names, links and pinned posts.",
            now, "new database",
        )  # fmt: skip

    def want(self, tables: Iterable[AccountTable]) -> None:
        """These are to be watched, and their ids are not known: what is posted from now on was not there before us."""
        names = [name for table in tables if not self._store.kept(name := _wanted(table.platform, table.handle))]
        if names:
            with self._store.transaction():
                for name in names:
                    self._store.keep(name, stamp(self._clock()) or "")

    def recall(self, account: Account) -> datetime | None:
        """Until when this account had been read, before its first read; also of one whose id is looked up later."""
        since = known_since(account.key, self._found[0], self._clock(), whole=self._found[1]) if self._found else None
        listing = [p for p in self._found[0] if p.accounts] if self._found else []
        if _is_pinned(self._store, account) and not any(p.accounts and digest(account.key) in p.accounts for p in listing):
            had = max((p.until for p in listing if digest(_handle(account)) in p.handles), default=None)
            since = self._is_another(account, min(had, self._clock())) if had else since
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

    async def _proofs(self, now: datetime) -> tuple[tuple[Proof, ...], bool, str]:
        """What Slack knows of us. Where it cannot be asked now, the last day is judged; where it does not take us at all, we are new."""
        if self.channel is None:
            return (), True, "it was restored: it had read"
        error = NotifierError(Refusal.UNKNOWN, f"no answer within {PATIENCE} s")
        for _ in range(2):
            try:
                async with asyncio.timeout(PATIENCE):
                    return *await self.channel.proofs(), "its own messages in Slack show that it had read"
            except (NotifierError, TimeoutError) as refused:
                error = refused if isinstance(refused, NotifierError) else error
        log.warning("whether this monitor was here before cannot be asked in Slack: %s", error)
        if error.refusal in (Refusal.CREDENTIALS, Refusal.DESTINATION):
            return (), True, "it was restored: it had read"
        return (Proof(now - UNSURE),), True, "Slack could not be asked whether it was here before; it may have read"

    async def _since(self) -> tuple[tuple[Proof, ...], bool]:
        """What our own messages say, of this database: from the one that it knows as the newest on, for a copy does not know of those
        that came after it.
        """
        receipt, now = self._store.kept("standing receipt"), self._clock()
        if self.channel is None or not receipt:
            return (), True
        try:
            async with asyncio.timeout(IMPATIENCE):
                found, whole = await self.channel.proofs(receipt)
        except (NotifierError, TimeoutError) as error:
            log.warning("our own messages in Slack were not read: %s", error)
            return (), True
        mine = (p for p in found if p.accounts is not None and p.install == self._store.install)
        return tuple(replace(p, until=min(p.until, now)) for p in mine), whole

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
        due = self._told_at is None or not timedelta() <= now - self._told_at < EVERY or not self._store.kept("standing receipt")
        if self.channel and due and self._task is None and self._store.kept("standing text") and not self._waits(now):
            self._told_at = now
            self._task = asyncio.create_task(self._tell(), name="first sight")
            self._task.add_done_callback(self._done)

    def _waits(self, now: datetime) -> bool:
        """After a failure, for half a minute."""
        return self._told_at is not None and timedelta() <= now - self._told_at < timedelta(seconds=30)

    async def settle(self) -> None:
        """Wait until it is said. For stopping, and for tests."""
        if self._task:
            await asyncio.gather(self._task, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()):
            log.error("our standing message failed: %s", type(error).__name__, exc_info=error)

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
        if self.channel is None or not text:
            return
        receipt = kept or (self._posted[1] if self._posted[0] == text else "")
        accounts = self._accounts()
        keys = [a.key for a in accounts]
        read = self._store.sql.execute("SELECT key, coalesce(last_ok, known_since) AS until FROM accounts").fetchall()
        until = min((t for r in read if r["key"] in keys and (t := record.moment(r["until"]))), default=None)
        payload: dict[str, str | int] = {
            "kind": "standing", "install": self._store.install, "read": int(until.timestamp()) if until else 0,
            "accounts": " ".join(map(digest, keys[:_MOST_NAMED])), "whole": int(len(keys) <= _MOST_NAMED),
            "handles": " ".join(digest(_handle(a)) for a in accounts[:_MOST_HANDLES] if _is_pinned(self._store, a)),
        }  # fmt: skip
        said = f"{text}\nEvery account was read until {until:%Y-%m-%d %H:%M} UTC or later." if until else text
        try:
            told = await self.channel.tell(said, payload, receipt)
        except NotifierError as error:
            log.warning("our standing message was not taken: %s", error)
            told = "" if error.refusal is Refusal.LOST else receipt  # somebody deleted it: the next one is a new one
        self._posted = text, told  # should the database be held now
        if told != kept and self._store.kept("standing text") == text:
            with self._store.transaction():
                self._store.keep("standing receipt", told)

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


_MISSING = (
    "Registrations, acknowledgements and silences made in between may be missing: posts that were approved may page. Import the plan again."
)


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


def _marked(path: Path) -> datetime | None:
    """Until when the operator says that we had read, or a day ago; None without the file."""
    try:
        said = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        when = datetime.fromtimestamp(path.stat().st_mtime).astimezone() - UNSURE
    return when.astimezone()

"""A database that is a copy of an earlier one: what it cannot know of the time since, and what our own messages say of it.

Names and numbers that were used in that time are never used again, whatever was due counts as unknown until it was looked for, and
an incident takes over the state that a message of ours shows whose seal is good: whoever can write into a channel cannot
forge one. Without such a message it pages.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from monitor import numbering, record
from monitor.model import State
from monitor.notifiers.interface import NotifierError
from monitor.outbox import Outbox
from monitor.record import stamp
from monitor.store import Store

log = logging.getLogger("monitor.after_restore")

LOOKED_FOR = timedelta(seconds=60)  # before a page that was due may go to another route
LISTED = 20  # incidents in a message
SETTLED = timedelta(seconds=30)  # then history shows what was sent before
_MARK, _PENDING = "restored", "taking over"  # under which they are kept


@dataclass(frozen=True, slots=True)
class Mark:
    """What `restore` writes into a database: of when it is, when, by whom and from which file it was put in its place."""

    at: datetime
    put: datetime
    who: str
    file: str
    sha256: str

    def words(self) -> str:
        """For whoever reads the channel."""
        return f"{self.who} restored it at {self.put:%Y-%m-%d %H:%M} UTC from a backup"


@dataclass(frozen=True, slots=True)
class Told:
    """A message of ours with a good seal: what it said of which incident when it was last written."""

    incident: int
    subject: str
    state: State
    at: datetime
    key: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What is still to be asked: of the time from `since` to `until`."""

    since: datetime
    until: datetime


Found = tuple[tuple[Told, ...], bool]  # what there is, and whether everything was looked through


class Channel(Protocol):
    """Where our messages can be read again."""

    async def told(self, since: datetime) -> Found:
        """What there is of ours from then on. Raises NotifierError."""
        ...


# --- in the database -----------------------------------------------------------------------------------


def write(sql: sqlite3.Connection, mark: Mark) -> None:
    """Into a copy of any version, before it gets its place."""
    numbering.keep(sql, _MARK, json.dumps(asdict(mark), default=stamp))
    numbering.start_anew(sql, mark.at, mark.put)
    distrust(sql, mark.put)


def distrust(sql: sqlite3.Connection, now: datetime) -> None:
    """Whatever was due or on its way may have been sent since: it is looked for before it is sent, or given to another route."""
    sql.execute(
        "UPDATE pages SET state = 'unknown', looks = 0, next_at = ?, fallback_at = CASE WHEN fallback_at IS NOT NULL THEN ? END"
        " WHERE state IN ('ready', 'sending', 'unknown')",
        [stamp(now), stamp(now + LOOKED_FOR)],
    )


def marked_by(path: Path, otherwise: timedelta) -> datetime | None:
    """Until when the operator says in a file that we had read, or so long before it was made; None without the file."""
    try:
        said = path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        when = datetime.fromtimestamp(path.stat().st_mtime).astimezone() - otherwise
    return when.astimezone()


# --- at the start --------------------------------------------------------------------------------------


class AfterRestore:
    """`begin` once a database is known to be a copy, then `look` until the channels have answered."""

    def __init__(self, store: Store, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._store, self._outbox, self._clock = store, outbox, clock
        self.channels: Mapping[str, Channel] = {}  # by route
        self._refused = ""

    def mark(self) -> Mark | None:
        """What `restore` wrote, until the first start has acted on it."""
        return record.remembered(self._store.kept(_MARK), _mark, None)

    def pending(self) -> Pending | None:
        """What the channels have not been asked yet, or have not said."""
        return record.remembered(self._store.kept(_PENDING), _pending, None)

    def begin(self, since: datetime, mark: Mark | None) -> str:
        """The database ends at `since`. Returns what people have to know of it. Inside a transaction."""
        store, now = self._store, self._clock()
        if mark is None:
            numbering.start_anew(store.sql, since, now)
            store.name_pages()
        distrust(store.sql, now)
        store.keep(_PENDING, json.dumps([stamp(since), stamp(mark.put if mark else now)]))
        store.keep(_MARK, "")
        due: dict[str, int] = {}
        for page in store.pages.undelivered():
            due[page.route] = due.get(page.route, 0) + 1
        return f"New incidents have numbers from INC-{numbering.last_incident(store.sql) + 1} on.{_in_words(due, self.channels)}"

    async def look(self) -> str:
        """Ask the channels, and take over what they prove. Returns what people have to know, the first time that it is known."""
        pending = self.pending()
        if pending is None:
            return ""
        asked = self._asked_from(pending)
        found, whole = list[tuple[str, Told]](), True
        try:
            for route, channel in self.channels.items():
                told, complete = await channel.told(asked)
                found += [(route, one) for one in told]
                whole = whole and complete
        except NotifierError as error:
            log.warning("what our messages say of the time since the copy was made cannot be read: %s", error)
            first, self._refused = not self._refused, str(error)
            return _NOT_YET.format(error) if first else ""
        with self._store.transaction():
            said = self._learn(pending, found)
            if whole and abs(self._clock() - pending.until) > SETTLED:
                self._store.pages.never_sent(tuple(self.channels), pending.until)
            self._store.keep(_PENDING, "")
        return said + ("" if whole else f" Not everything back to {asked:%Y-%m-%d %H:%M} UTC could be looked through.")

    def _asked_from(self, pending: Pending) -> datetime:
        """A first message stands where it was posted, and is edited as things change."""
        return min([pending.since, *(incident.opened_at for incident in self._store.unresolved())])

    def _learn(self, pending: Pending, found: list[tuple[str, Told]]) -> str:
        store = self._store
        numbering.used_up_to(store.sql, max((told.incident for _, told in found), default=0))
        since = f"{numbering.page_keys(store.sql)}:"  # what we have said since then ourselves proves nothing
        mine = [(r, told) for r, told in found if numbering.install_of(told.key) == store.install and not told.key.startswith(since)]
        for route, told in mine:
            store.pages.arrived(told.key, route, told.receipt, told.at)
        newest: dict[int, Told] = {}
        for _, told in mine:
            if pending.since - timedelta(seconds=1) < told.at <= pending.until:  # messages say whole seconds
                newest[told.incident] = max(newest.get(told.incident, told), told, key=_of_when)
        lacking = []
        for number, told in sorted(newest.items()):
            incident = store.incident(number)
            if incident is None:
                lacking.append(told)
            elif incident.subject == told.subject:
                self._outbox.take_over(incident, told.state, told.at, self._clock())
        return self._listed(lacking)

    def _listed(self, lacking: list[Told]) -> str:
        if not lacking:
            return "Slack shows no incident that it lacks." if self.channels else ""
        handles = {row["key"]: f"@{row['handle']}" for row in self._store.sql.execute("SELECT key, handle FROM accounts")}
        listed = [f"INC-{t.incident} ({handles.get(t.subject, t.subject)}, {t.state.value})" for t in lacking[:LISTED]]
        more = f", and {len(lacking) - LISTED} more" if len(lacking) > LISTED else ""
        return f"Slack shows {len(lacking)} incident(s) that it lacks, and that are handled there: {', '.join(listed)}{more}."


def _of_when(told: Told) -> tuple[datetime, bool]:
    """Of two that say the same time the one counts that pages."""
    return told.at, told.state is State.OPEN


def _in_words(due: Mapping[str, int], searched: Iterable[str]) -> str:
    """Of the pages that were due, by route."""
    if not due:
        return ""
    there = [route for route in due if route in searched]
    blind = [route for route in due if route not in searched]
    said = [f"{sum(due[r] for r in there)} message(s) that were due are looked for in Slack before they are sent"] * bool(there)
    said += [f"what was due on {', '.join(blind)} is sent again: nobody can look there"] * bool(blind)
    sentence = "; ".join(said)
    return f" {sentence[0].upper()}{sentence[1:]}."


_NOT_YET = (
    "Not known yet: which incidents Slack shows that it lacks, and which of its own somebody has by now. Slack does not say it ({}): it"
    " keeps asking, and pages until then."
)


def _mark(found: dict[str, Any]) -> Mark:
    return Mark(record.utc(found["at"]), record.utc(found["put"]), str(found["who"]), str(found["file"]), str(found["sha256"]))


def _pending(found: list[str]) -> Pending:
    since, until = found
    return Pending(record.utc(since), record.utc(until))

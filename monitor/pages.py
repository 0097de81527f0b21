"""The pages: what has to reach a channel, and how far it has come. Rows of the store.

A page is one message for one route. Its key is its step and its route, so that the same step is
never twice on a route, whoever asks for it. Steps are counted on the incident, so that no name comes back when pages leave.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from datetime import datetime, timedelta

from monitor import chain, record
from monitor.model import Page, PageKind
from monitor.record import stamp

log = logging.getLogger("monitor.pages")

LAST_RESORT = "stderr"
_NOT_TAKEN = "not accepted "
FAR = timedelta(minutes=30)  # nothing is ever put off for longer: a later time is from before the clock was set back
_MOST_REASONS = 590  # characters of a note: Slack is shown 600
UNFINISHED = "('ready', 'sending', 'unknown')"


class Pages:
    """The table `pages`. Callers hold the transaction; see `Store`."""

    def __init__(self, sql: sqlite3.Connection, install: str) -> None:
        self._sql, self._install = sql, install

    def last_sent(self, incident: int, kind: PageKind) -> datetime | None:
        """When a page of this kind last reached a channel."""
        row = self._sql.execute("SELECT max(sent_at) FROM pages WHERE incident = ? AND kind = ?", [incident, kind.value]).fetchone()
        return record.moment(row[0])

    def enqueue(
        self, incident: int, route: str, kind: PageKind, reason: str, now: datetime,
        mentions: tuple[str, ...] = (), next_at: datetime | None = None, fallback_at: datetime | None = None,
        step: str = "",
    ) -> None:  # fmt: skip
        """Write a page down: the same step never twice on one route. A waiting NOTE or SYNC that nobody
        tried yet says the new thing too; a REPEAT takes the place of one that still waits.
        """
        if kind in (PageKind.NOTE, PageKind.SYNC) and self._merged(incident, route, kind, reason, next_at or now):
            return
        if kind is PageKind.REPEAT:
            earlier = self._overtaken(incident, route, mentions)
            fallback_at = min(filter(None, (earlier, fallback_at)), default=None)
        step = step or self.next_step(incident, kind)
        while not self._added(
            f"{step}:{route}", incident, route, kind.value, reason, json.dumps(mentions), stamp(now), stamp(next_at or now),
            stamp(fallback_at), step,
        ):  # fmt: skip
            if self._is_known(f"{step}:{route}", incident, reason):
                return
            taken, step = step, self.next_step(incident, kind)
            log.error("another page is already named %s:%s: this one is %s:%s", taken, route, step, route)
            chain.append(self._sql, now, "monitor", "page renamed", f"INC-{incident}", {"taken": f"{taken}:{route}", "step": step})

    def redact(self, incident: int, route: str, receipt: str, reason: str, now: datetime) -> None:
        """The message there says only this from now on."""
        step = self.next_step(incident, PageKind.REDACT)
        self._added(f"{step}:{route}", incident, route, PageKind.REDACT.value, reason, "[]", stamp(now), stamp(now), None, step)
        self._sql.execute("UPDATE pages SET receipt = ? WHERE key = ?", [receipt, f"{step}:{route}"])

    def _added(self, *values: object) -> bool:
        columns = "key, incident, route, kind, reason, mentions, created_at, next_at, fallback_at, step"
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO pages({columns}) VALUES({marks}) ON CONFLICT(key) DO NOTHING"
        return bool(self._sql.execute(statement, values).rowcount)

    def _is_known(self, key: str, incident: int, reason: str) -> bool:
        """Whether the page of this key says the same: a route is handed it by several others, and a note that waits gains more."""
        row = self._sql.execute("SELECT incident, reason FROM pages WHERE key = ?", [key]).fetchone()
        return row["incident"] == incident and _bare(reason) in row["reason"]

    def is_there(self, step: str, route: str) -> bool:
        """Whether this step has been written down for this route."""
        return self._sql.execute("SELECT 1 FROM pages WHERE key = ?", [f"{step}:{route}"]).fetchone() is not None

    def next_step(self, incident: int, kind: PageKind) -> str:
        """A name, for ever and everywhere, of the next thing to be said of an incident. Raises LookupError where there is none."""
        most = 2**62 - 1  # a damaged number behind it begins anew, past what is known
        counted = f"UPDATE incidents SET next_step = (next_step & {most}) + 1 WHERE id = ? RETURNING next_step"  # noqa: S608 - ours
        while row := self._sql.execute(counted, [incident]).fetchone():
            step = f"{self._install}:inc{incident}:{kind}:{row[0] - 1}"
            if not self._sql.execute("SELECT 1 FROM pages WHERE key BETWEEN ? AND ?", [f"{step}:", f"{step};"]).fetchone():
                return step
            log.error("the counter of INC-%d is behind its pages: one is already named %s", incident, step)
        raise LookupError(f"there is no INC-{incident}")

    def _overtaken(self, incident: int, route: str, mentions: tuple[str, ...]) -> datetime | None:
        """After an outage people get one page about how it is now, not one for every five minutes of it.

        Returns when the overtaken would have gone to another route: ever new posts must not put that off.
        """
        query = "SELECT min(fallback_at) FROM pages WHERE incident = ? AND route = ? AND kind = 'repeat' AND state = 'ready'"
        earlier = record.moment(self._sql.execute(query, [incident, route]).fetchone()[0])
        self.caught_up(incident, route)
        self._sql.execute(
            "UPDATE pages SET mentions = ? WHERE incident = ? AND route = ? AND kind = 'root' AND state = 'ready'",
            [json.dumps(mentions), incident, route],
        )
        return earlier

    def routes_told(self, incident: int) -> list[str]:
        """The routes that were given a page of the incident that wakes."""
        query = (
            "SELECT DISTINCT route FROM pages WHERE incident = ? AND kind IN ('root', 'repeat') AND state IN ('sent', 'sending', 'unknown')"
        )
        return [row[0] for row in self._sql.execute(query, [incident])]

    def _merged(self, incident: int, route: str, kind: PageKind, reason: str, next_at: datetime) -> bool:
        """Whether the newest one that waits says it too. A note says all of what it is given, or there is another one."""
        found = self._sql.execute(
            "UPDATE pages SET reason = CASE WHEN instr(reason, :reason) OR length(reason) + length(:reason) > :most THEN reason"
            " ELSE reason || '; ' || :reason END, next_at = min(next_at, :next_at) WHERE id = (SELECT max(id) FROM pages WHERE"
            " incident = :incident AND route = :route AND kind = :kind AND state = 'ready' AND attempts = 0)"
            " AND (kind = 'sync' OR instr(reason, :reason) OR length(reason) + length(:reason) <= :most) RETURNING id",
            {"reason": reason, "next_at": stamp(next_at), "incident": incident, "route": route, "kind": kind.value, "most": _MOST_REASONS},
        ).fetchone()
        return found is not None

    def lanes(self, now: datetime) -> list[Page]:
        """The page that may go next of every (incident, route), the loudest first.

        One at a time per lane, and nothing before its root: that keeps the order in which people
        read. A note that waits for more posts holds up no page.
        """
        lanes: dict[tuple[int, str], list[sqlite3.Row]] = {}
        for row in self._sql.execute(f"SELECT * FROM pages WHERE state IN {UNFINISHED} ORDER BY +id"):  # noqa: S608 - ours
            lanes.setdefault((row["incident"], row["route"]), []).append(row)
        moment, far = stamp(now) or "", stamp(now + FAR) or ""
        heads = [head for rows in lanes.values() if (head := _head(rows, moment, far))]
        return [record.page(r) for r in sorted(heads, key=lambda r: (_LOUDNESS[r["kind"]], r["id"]))]

    def undelivered(self) -> list[Page]:
        """Every page that should wake or tell somebody and has not reached its channel."""
        rows = self._sql.execute(f"SELECT * FROM pages WHERE state IN {UNFINISHED} AND kind IN ('root', 'repeat', 'note') ORDER BY +id")  # noqa: S608
        return [record.page(r) for r in rows]

    def unaccepted(self, now: datetime) -> list[Page]:
        """Waking pages whose channel has had its time: the next route gets them too."""
        query = f"SELECT * FROM pages WHERE state IN {UNFINISHED} AND (fallback_at <= ? OR fallback_at > ?) ORDER BY +id LIMIT 500"  # noqa: S608 - ours
        return [record.page(r) for r in self._sql.execute(query, [stamp(now), stamp(now + FAR)])]

    def stuck(self, route: str, now: datetime) -> int:
        """How many pages of a route that always accepts are half a minute late."""
        late = stamp(now - timedelta(seconds=30))
        query = f"SELECT count(*) FROM pages WHERE state IN {UNFINISHED} AND route = ? AND next_at <= ?"  # noqa: S608 - ours
        return int(self._sql.execute(query, [route, late]).fetchone()[0])

    def caught_up(self, incident: int, route: str) -> None:
        """The first message arrived late: repeats that wait behind it have nothing to add."""
        self._sql.execute(
            "UPDATE pages SET state = 'superseded' WHERE incident = ? AND route = ? AND kind = 'repeat' AND state = 'ready'",
            [incident, route],
        )

    def took(self, route: str, since: datetime) -> bool:
        """Whether a route has accepted anything after this moment."""
        query = "SELECT 1 FROM pages WHERE route = ? AND state = 'sent' AND sent_at > ? LIMIT 1"
        return self._sql.execute(query, [route, stamp(since)]).fetchone() is not None

    def waiting(self) -> dict[str, datetime]:
        """Since when the oldest waking page of each route waits."""
        query = f"SELECT route, min(created_at) FROM pages WHERE state IN {UNFINISHED} AND kind IN ('root', 'repeat') GROUP BY route"  # noqa: S608 - ours
        return {row[0]: since for row in self._sql.execute(query) if (since := record.moment(row[1]))}

    def proven(self, page: int, receipt: str, now: datetime) -> None:
        """Somebody clicked in it, and it is ours: a message whose fate was unknown has arrived."""
        self._sql.execute(
            "UPDATE pages SET state = 'sent', receipt = ?, sent_at = ?, fallback_at = NULL WHERE id = ? AND state = 'unknown'"
            " AND kind IN ('root', 'repeat')", [receipt, stamp(now), page],
        )  # fmt: skip

    def arrived(self, key: str, route: str, receipt: str, at: datetime) -> None:
        """A channel showed a page of whose fate we did not know."""
        self._sql.execute(
            "UPDATE pages SET state = 'sent', receipt = ?, sent_at = ?, fallback_at = NULL WHERE key = ? AND route = ? AND state = 'unknown'",
            [receipt, stamp(at), key, route],
        )

    def never_sent(self, routes: tuple[str, ...], before: datetime) -> None:
        """All of these channels was looked through: first messages that they do not show go out without being looked for again."""
        marks = ", ".join("?" * len(routes))
        self._sql.execute(
            f"UPDATE pages SET state = 'ready', looks = 0 WHERE state IN {UNFINISHED} AND state = 'unknown' AND kind = 'root'"  # noqa: S608
            f" AND created_at <= ? AND route IN ({marks})",
            [stamp(before), *routes],
        )

    def named(self, page: int) -> tuple[str, str]:
        """The name of a page, and where its channel has it; empty where there is none."""
        row = self._sql.execute("SELECT key, receipt FROM pages WHERE id = ?", [page]).fetchone()
        return (row[0], row[1]) if row else ("", "")

    def receipts(self, incident: int) -> frozenset[str]:
        """Where the channels have the messages of an incident."""
        return frozenset(row[0] for row in self._sql.execute("SELECT receipt FROM pages WHERE incident = ? AND receipt != ''", [incident]))

    def count(self, incident: int, route: str, phrase: str) -> int:
        """How many notes of an incident on a route say this."""
        query = "SELECT count(*) FROM pages WHERE incident = ? AND route = ? AND kind = 'note' AND instr(reason, ?)"
        return int(self._sql.execute(query, [incident, route, phrase]).fetchone()[0])

    def handed_on(self, page: int) -> None:
        """Another route has it too; this one keeps being tried."""
        self._sql.execute("UPDATE pages SET fallback_at = NULL WHERE id = ?", [page])

    def of(self, incident: int) -> list[Page]:
        """All pages of an incident, in order."""
        rows = self._sql.execute("SELECT * FROM pages WHERE incident = ? ORDER BY id", [incident])
        return [record.page(r) for r in rows]

    def thread(self, incident: int, route: str) -> tuple[str, str]:
        """(receipt, key) of the incident's first message at the channel; empty while there is none."""
        row = self._sql.execute(
            "SELECT receipt, key FROM pages WHERE incident = ? AND route = ? AND kind = 'root' AND state = 'sent' AND receipt != ''"
            " ORDER BY id DESC LIMIT 1",
            [incident, route],
        ).fetchone()
        return (row[0], row[1]) if row else ("", "")

    def threads(self) -> list[tuple[int, str, str]]:
        """(incident, route, receipt) of every first message of what is not resolved, the newest first.

        There are several of an incident where earlier ones were deleted: their threads may go on.
        """
        query = (
            "SELECT p.incident, p.route, p.receipt FROM incidents i CROSS JOIN pages p ON p.incident = i.id"
            " WHERE i.state != 'resolved' AND p.kind = 'root' AND p.state = 'sent' AND p.receipt != '' ORDER BY p.id DESC"
        )
        return [(row[0], row[1], row[2]) for row in self._sql.execute(query)]

    def forget_thread(self, incident: int, receipt: str) -> None:
        """It is gone at the channel."""
        self._sql.execute("UPDATE pages SET receipt = '' WHERE incident = ? AND receipt = ? AND kind = 'root'", [incident, receipt])

    def begins(self, page: int) -> None:
        """This message opens the thread from now on: the one that it was to stand below is gone."""
        self._sql.execute("UPDATE pages SET kind = 'root' WHERE id = ?", [page])

    def is_opening(self, incident: int, route: str) -> bool:
        """Whether a first message is on its way."""
        query = f"SELECT 1 FROM pages WHERE incident = ? AND route = ? AND kind = 'root' AND state IN {UNFINISHED}"  # noqa: S608 - ours
        return self._sql.execute(query, [incident, route]).fetchone() is not None

    def move(self, page: int, was: tuple[str, ...], state: str, **columns: object) -> bool:
        """Move a page on if it is still where we think; times are stamped. False when it is not."""
        values = {c: stamp(v) if isinstance(v, datetime) else v for c, v in columns.items()}
        changes = "".join(f", {c} = ?" for c in values)
        marks = ", ".join("?" * len(was))
        done = self._sql.execute(
            f"UPDATE pages SET state = ?{changes} WHERE id = ? AND state IN ({marks})",  # noqa: S608 - our own names
            [state, *values.values(), page, *was],
        )
        return done.rowcount == 1

    def cancel_waking(self, incident: int, routes: tuple[str, ...]) -> None:
        """Somebody has it: what would have woken people again, or on another route, is not sent any more."""
        first = ", ".join("?" * len(routes))
        self._sql.execute(  # only marks are put into it
            "UPDATE pages SET state = 'superseded' WHERE incident = ? AND state IN ('ready', 'unknown') AND"  # noqa: S608
            f" (kind = 'repeat' OR (kind = 'root' AND route NOT IN ({first}) AND state = 'ready'))",
            [incident, *routes],
        )

    def crashed_sends(self, now: datetime) -> int:
        """At start, whatever was being sent has an unknown outcome. Returns how many."""
        done = self._sql.execute(
            f"UPDATE pages SET state = 'unknown', looks = 0, next_at = ? WHERE state = 'sending' AND state IN {UNFINISHED}",  # noqa: S608 - ours
            [stamp(now + timedelta(seconds=1))],
        )
        return done.rowcount


def not_taken(by: str, reason: str) -> str:
    """What another route is told of a page: who was the first that did not take it."""
    return reason if reason.startswith(_NOT_TAKEN) else f"{_NOT_TAKEN}by {by}: {reason}"


def _bare(reason: str) -> str:
    """What was to be said before a route did not take it."""
    return reason.partition(": ")[2] if reason.startswith(_NOT_TAKEN) else reason


_LOUDNESS = {"root": 0, "repeat": 1, "note": 2, "evidence": 2, "runbook": 2, "sync": 3, "redact": 4}


def _head(rows: list[sqlite3.Row], now: str, far: str) -> sqlite3.Row | None:
    """Of one lane's unfinished pages, in order of writing: the one to move on now, if any."""

    def due(row: sqlite3.Row) -> bool:
        return bool(row["next_at"] <= now or row["next_at"] > far)

    first = next((r for r in rows if r["state"] != "ready"), None) or next((r for r in rows if r["kind"] == "root"), None)
    if first is not None:
        return first if due(first) else None
    return min(filter(due, rows), key=lambda r: (r["kind"] != "repeat", r["id"]), default=None)

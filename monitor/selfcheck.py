"""Watches the watcher: gathers how the monitor is, opens and closes the incidents about itself."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from monitor import health, incidents, record
from monitor.connection import concerns_file
from monitor.health import Reading, Vitals
from monitor.incidents import DRILL, Request
from monitor.model import Account, ApprovedPost, Company, Exact, Incident, Kind, PageKind, Post, Severity, State
from monitor.outbox import Outbox
from monitor.pager import Pager
from monitor.pages import LAST_RESORT
from monitor.reads import PROFILE, THREAD, TIMELINE, Reads, overdue
from monitor.steps import move
from monitor.store import Store
from monitor.verdict import judge
from monitor.verdict.approved import Queue
from monitor.verdict.rules import Rules

log = logging.getLogger("monitor.health")

CANARY_EVERY = timedelta(days=1)
DRILL_LASTS = timedelta(hours=1)
WAITED, WAITED_SLACK = timedelta(seconds=60), timedelta(seconds=150)  # of a waking page on one route
LATE_REMEMBERED = timedelta(minutes=1)
STALE = timedelta(minutes=1)  # an outcome of the audit
FLAPPING = timedelta(minutes=10)  # blindness that comes again so soon after it was over is one that comes and goes
STEADY = timedelta(minutes=5)  # without a gap: then it is over for good
LASTING = timedelta(seconds=10)  # of a check that fails; what one row spoils is set aside sooner
LOOK = "whether accounts are read"
T = TypeVar("T")
_PLANNED = "Canary: our planned maintenance begins on Monday at 10:00 UTC."
_CAME_TO = {0: "approved", 1: "only recorded", 2: "told", 3: "paged"}
_SCAM = "Canary: send any amount of BTC to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa and get double back! Claim at https://canary-airdrop.xyz"


def canary(company: Company, rules: Rules, now: datetime) -> str:
    """Why the engine cannot be trusted, or an empty string: a known planned post and a known scam, judged."""
    account = Account("canary", "1", "canary")
    window = (now - timedelta(hours=1), now + timedelta(hours=1))
    queue = Queue([ApprovedPost(1, account.key, Kind.POST, _PLANNED, *window)])
    planned = judge(Post(account.key, "1", Kind.POST, _PLANNED, now), account, company, queue, rules)
    scam = judge(Post(account.key, "2", Kind.POST, _SCAM, now), account, company, Queue([]), rules)
    if not isinstance(planned.match, Exact) or planned.severity > Severity.RECORD:
        return f"a registered post was not taken for it ({planned.reason})"
    return "" if scam.severity is Severity.PAGE else f"a known scam would not page ({scam.reason})"


class SelfCheck:
    """Called every few seconds. `parts` say how Slack, drills, reading and so on are, by the names of `health.Vitals`."""

    def __init__(
        self, store: Store, outbox: Outbox, pager: Pager, clock: Callable[[], datetime], started: datetime, reads: Reads
    ) -> None:  # fmt: skip
        self._store, self._outbox, self._pager, self._clock, self._started, self._reads = store, outbox, pager, clock, started, reads
        self.parts: dict[str, Callable[[datetime], Mapping[str, Any]]] = {
            "Slack": lambda _: {"gone": ("slack", "buttons", "connections", "targets")},
            "drills": lambda _: {"gone": ("drill",)},
        }
        self.failing: dict[str, tuple[datetime, str]] = {}  # what of the look at ourselves, and of the schedule, fails: since when, and why
        self._raised: dict[str, datetime] = {}  # jobs that ended so, and have not ended well since: when they first did
        self._sound_at: datetime | None = None  # when none of it did
        self._looked_at = started
        self.tells_of_profile: Callable[[str], bool] = lambda _: False  # whether a stream does, of this account
        self._unwatched: dict[str, datetime] = {}  # names of accounts and platforms: when they last counted as not being watched
        self.engine = ""
        self._tried_at: datetime | None = None
        self._ran: float | None = None
        self._late: tuple[datetime, float] = (started, 0.0)
        self._audited_at: datetime | None = None
        self._outcome: tuple[str, ...] = ()
        self.blind: tuple[health.Blindness, ...] = ()
        self.vitals = Vitals()

    def ran(self, monotonic: float, every: float) -> None:
        """The pager's tick runs now: how late, remembered for a minute."""
        before, self._ran = self._ran, monotonic
        if before is not None:
            self.ran_late(max(0.0, monotonic - before - every))

    def stepped(self, by: timedelta, *, excused: bool) -> None:
        """The clock was set, or we were stopped. Accounts then get their time to be read before they count as unwatched."""
        if by < timedelta():
            move(self, by, "_started", "_tried_at", "_looked_at", "_sound_at")
            self._late = self._late[0] + by, self._late[1]
            move(self, by, "_audited_at")
        self._unwatched = {name: when + by for name, when in self._unwatched.items()}
        if excused:
            self._started = self._clock()

    def ran_late(self, seconds: float) -> None:
        """The pager's tick came so much later than it was due; remembered for a minute."""
        if seconds >= self._late[1] or self._clock() - self._late[0] > LATE_REMEMBERED:
            self._late = self._clock(), seconds

    def try_engine(self, company: Company, rules: Rules, *, now: datetime) -> None:
        """Once a day, and whenever `tried_at` was reset by new rules."""
        if self._tried_at is None or now - self._tried_at >= CANARY_EVERY:
            try:
                found = canary(company, rules, now)
            except Exception as error:
                log.exception("the engine failed on a known post")
                found = f"a known post could not be judged ({type(error).__name__})"
            self._tried_at, self.engine = now, found

    def forget_engine(self) -> None:
        """New rules: try them at the next look."""
        self._tried_at = None

    def part(self, name: str, do: Callable[[], T]) -> T | None:
        """A part of the look at ourselves; a fault of it stops no other. Raises sqlite3.Error where the database itself is to blame."""
        try:
            done = do()
        except Exception as error:
            if concerns_file(error):
                raise
            if name not in self.failing:
                log.exception("the self-check fails: %s", name)
            self.failing.setdefault(name, (self._clock(), type(error).__name__))
            return None
        self.failing.pop(name, None)
        return done

    def ended(self, job: str, error: BaseException | None) -> None:
        """How a job of the schedule did. One that raises again is failing, until it ends well; whoever writes says what is wrong with the
        database.
        """
        if error is None:
            self._raised.pop(job, None)
            self.failing.pop(job, None)
        elif not concerns_file(error):
            if job in self._raised:
                self.failing.setdefault(job, (self._raised[job], type(error).__name__))
            self._raised.setdefault(job, self._clock())

    def tell_failing(self) -> bool:
        """That we do not know how we are is a finding too; whether anything was written."""
        now = self._clock()
        lasting = {name: f"{name} ({why})" for name, (since, why) in self.failing.items() if abs(now - since) >= LASTING}
        if not lasting:
            self._sound_at = self._sound_at if self.failing else now
            return False
        before = self._store.sql.total_changes
        with self._store.transaction():
            self._symptom(health.failing(list(lasting.values()), blind=LOOK in lasting), now)
        return self._store.sql.total_changes > before

    def look(self, readings: tuple[Reading, ...], seconds: dict[str, float]) -> bool:
        """Open and close the incidents about ourselves; whether anything was written."""
        now = self._clock()
        self.vitals = self._vitals(now)
        self.blind = self._unread(readings, health.blindness(readings, now, self._started, seconds), now)
        found = health.symptoms(self.vitals)
        before = self._store.sql.total_changes
        with self._store.transaction():
            for blindness in self.blind:
                self._blind(blindness, now)
            for symptom in found:
                self._symptom(symptom, now)
            for incident in self._store.unresolved():
                self._over(incident, readings, {b.subject for b in self.blind}, {s.subject for s in found}, now)
        self._pager.note = (
            "Buttons may not work: reply `ack` in this thread" if self.vitals.deaf_seconds > WAITED.seconds and self.vitals.expected else ""
        )
        self._looked_at = now
        return self._store.sql.total_changes > before

    def _unread(self, readings: tuple[Reading, ...], blind: tuple[health.Blindness, ...], now: datetime) -> tuple[health.Blindness, ...]:
        """The accounts that nobody watches, and every other read that fails for too long for a reason of its own."""
        names = {r.key: r.name for r in readings}
        self._reads.only(TIMELINE, names)
        self._reads.only(PROFILE, names)
        paged = [b for b in blind if b.severity is Severity.PAGE]
        for name in {n for b in paged for n in (*b.names, b.subject.removeprefix("blind:"))}:
            self._unwatched[name] = now
        states = [s for s in self._reads.states() if not (self.vitals.slack and s.read == THREAD.name)]
        excused = frozenset(key for key in names if self.tells_of_profile(key))
        return (*blind, *overdue(states, now, self._reads.every, excused, self._unwatched))

    def _vitals(self, now: datetime) -> Vitals:
        late = self._late[1] if now - self._late[0] <= LATE_REMEMBERED else 0.0
        found: dict[str, Any] = {}
        well: dict[str, datetime | None] = {
            "disk": now, "database": now, "engine": None if self.engine else self._tried_at, "self-check": self._sound_at,
            "monitor": self._pager.ticked_at if now - self._started > LATE_REMEMBERED else None,
        }  # fmt: skip
        gone: set[str] = set()
        for name, part in self.parts.items():
            said = dict(self.part(name, partial(part, now)) or {})
            well |= said.pop("well", {})
            gone |= set(said.pop("gone", ()))
            found |= said
        routes = tuple(self._slow_routes(now, slack_is_told=bool(found.get("slack"))))
        free = shutil.disk_usage(self._store.path.parent).free / 1e6
        return Vitals(
            late, free, engine=self.engine, routes=routes, well={k: v for k, v in well.items() if v}, gone=frozenset(gone), **found
        )

    def _slow_routes(self, now: datetime, *, slack_is_told: bool) -> Iterator[tuple[str, float]]:
        """Routes on which a waking page has waited for a minute, with how long."""
        for route, since in self._store.pages.waiting().items():
            slack = route.split(":")[0] == "slack"  # it is looked at by itself too, which says why
            if route != LAST_RESORT and not (slack and slack_is_told) and now - since > (WAITED_SLACK if slack else WAITED):
                yield route, (now - since).total_seconds()

    def _blind(self, blindness: health.Blindness, now: datetime) -> None:
        """Open the incident, or page again for accounts that it does not name yet."""
        incident = self._store.open_incident(blindness.subject)
        if incident is None or blindness.severity > incident.severity:
            self._outbox.happened(blindness.event(now), now)
        elif len(incident.hosts) < incidents.KEPT and (more := [n for n in blindness.names if n not in incident.hosts]):
            grown = replace(incident, hosts=(*incident.hosts, *more))
            said = f"{'cannot be read either' if blindness.headline else 'now not being watched either'}: {', '.join(more)}"
            if incident.severity is Severity.PAGE:
                self._outbox.say(grown, (Request(PageKind.REPEAT, said, wakes=True),), now)
            else:
                self._store.save_incident(grown)
                self._outbox.say(grown, (Request(PageKind.SYNC, said), Request(PageKind.NOTE, said)), now)

    def _symptom(self, symptom: health.Symptom, now: datetime) -> None:
        """Told once; again only when it has become worse than a notice. The journal has what only the journal would be told."""
        if symptom.subject.startswith("blind:route-") and self._outbox.paging(symptom.subject).routes == (LAST_RESORT,):
            return
        incident = self._store.open_incident(symptom.subject)
        if incident is None or symptom.severity > incident.severity:
            log.warning("%s: %s", symptom.headline, symptom.reason)
            self._outbox.happened(symptom.event(now), now)

    def _over(self, incident: Incident, readings: tuple[Reading, ...], blind: set[str], ill: set[str], now: datetime) -> None:
        """Close what is over, with a word on what was and was not checked."""
        if incident.subject == DRILL:
            if incident.state is State.ACKNOWLEDGED:
                self._outbox.recovered(incident, now, f"The drill is over: {incidents.durations(incident)}")
            elif now - incident.opened_at > DRILL_LASTS:
                self._outbox.recovered(incident, now, "Nobody acknowledged the drill within an hour: a real page may wake nobody either")
        elif incident.subject.startswith("blind:") and incident.subject not in blind | ill:
            sentence = self._recovered(incident, readings, now)
            if sentence:
                self._outbox.recovered(incident, now, sentence)

    def _recovered(self, incident: Incident, readings: tuple[Reading, ...], now: datetime) -> str:
        if incident.name == health.OURSELVES:
            route = incident.subject.removeprefix("blind:route-")
            return (
                health.over(incident.subject, incident.opened_at, self.vitals)
                if route == incident.subject
                else self._route_over(route, incident)
            )
        if incident.subject.startswith("blind:read:"):
            return self._reads.over(incident.subject, incident.hosts, incident.opened_at)
        theirs = health.concerned(incident.subject, incident.hosts, readings)
        comes_and_goes = self._store.comes_again(incident, FLAPPING)
        if comes_and_goes:  # whoever owns the account can protect it and show it again: that must not wake people each time
            if any(r.gap and now - r.gap[1] < STEADY for r in theirs):
                return ""
            readings = tuple(replace(r, gap=(min(r.gap[0], incident.opened_at), r.gap[1])) if r.gap else r for r in readings)
            theirs = health.concerned(incident.subject, incident.hosts, readings)
        named = health.named_post(incident.reason)
        unread = "" if any(self._store.has(r.key, named) for r in theirs) else named
        contents = self._contents(theirs, incident.opened_at)
        return health.recovered(
            incident.subject, incident.hosts, incident.opened_at, readings, now, contents, unread, comes_and_goes=comes_and_goes
        )

    def _route_over(self, route: str, incident: Incident) -> str:
        """A route takes pages again when it took one. That none waits for it any more proves nothing."""
        if route not in self._pager.notifiers():
            return health.UNCONFIGURED
        if self._store.pages.took(route, incident.opened_at):
            return "It takes pages again"
        return "" if route in self._store.pages.waiting() else "No page waits for it any more; whether it takes pages again is not known"

    def _contents(self, theirs: tuple[Reading, ...], opened_at: datetime) -> str:
        """What was posted while these accounts were not read, by what it came to."""
        counts: Counter[str] = Counter()
        for r in theirs:
            for since, until in health.gaps_of((r,), opened_at):
                where = "account = ? AND created_at >= ? AND created_at <= ? AND seen_at >= ? AND kind != 'profile' AND baseline = 0"
                args = (r.key, record.stamp(since), record.stamp(until), record.stamp(since))
                query = f"SELECT severity, count(*), max(incident) FROM posts WHERE {where} GROUP BY severity"  # noqa: S608 - ours
                for severity, number, incident in self._store.sql.execute(query, args):
                    counts[_CAME_TO[severity] + (f" (INC-{incident})" if incident else "")] += number
        total = sum(counts.values())
        listed = ", ".join(f"{number} {what}" for what, number in counts.items())
        nothing = "no post of that time is there" if health.gaps_of(theirs, opened_at) else ""
        return f"{total} post(s), {listed}" if total else nothing

    def audit(self) -> tuple[str, ...]:
        """Why whoever waits outside must not be told that all is well. Writes, to know that it can. Never raises."""
        now = self._clock()
        try:
            with self._store.transaction():
                self._store.beat(now)
            steps = {
                i.id: incidents.next_due(i, self._outbox.paging(i.subject))
                for i in self._store.unresolved()
                if i.severity is Severity.PAGE and not i.silence
            }
            found = health.audit(self.blind, steps, self._pager.overdue(now), self.vitals, self._pager.ticked_at, now)
        except sqlite3.Error as error:
            return self.cannot_write(error)
        except Exception as error:
            log.exception("the audit fails")
            found = (f"the audit fails: {type(error).__name__}",)
        self._audited_at, self._outcome = now, found
        return found + health.unlooked(self._looked_at, now)

    def cannot_write(self, error: sqlite3.Error) -> tuple[str, ...]:
        """That is what the audit would have come to."""
        self._audited_at, self._outcome = self._clock(), (f"the database cannot be written: {error}",)
        return self._outcome

    def outcome(self) -> tuple[str, ...]:
        """What the last audit came to, or that it is too long ago. Writes nothing and asks nobody."""
        if self._audited_at is None:
            return ("nothing has been audited yet",)
        waited = self._clock() - self._audited_at
        if not timedelta() <= waited <= STALE:
            return (f"the audit has not run for {waited.total_seconds():.0f} s",)
        return self._outcome + health.unlooked(self._looked_at, self._clock())


def reading(
    row: record.Row, key: str, name: str, told: datetime | None = None, second_look: str = "", unseen: tuple[str, datetime] | None = None,
    wanted: datetime | None = None,
) -> Reading:  # fmt: skip
    """How reading an account has gone, from its row and from what only the daemon knows. An account whose row cannot be read is not watched."""
    try:
        since, until = record.moment(row["gap_from"]), record.moment(row["gap_to"])
        return Reading(
            key, name, record.moment(row["last_ok"]), record.moment(row["failing_since"]), row["failures"], row["last_error"] or "",
            row["error_kind"] or "", row["good"], (since, until) if since and until else None, row["missed"], told, second_look, unseen, wanted,
        )  # fmt: skip
    except ValueError:
        return Reading(key, name, None, None, 3, "its row in the database is damaged", "rejected", 0)

"""What has been silent too long. Pure: it is told the time and what was seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.incidents import KEPT, Event
from monitor.model import Severity

_AT_ONCE = ("credits",)  # waiting does not bring money back
_AFTER_A_FEW = ("credentials", "gone", "rejected")  # one-off storms of these happened
_FEW, _CONFIRMED = 3, 2
_UNSEEN = timedelta(minutes=1)  # that a newest post is named and not shown
_NAMES = "its profile names post"
_NAMED = re.compile(rf"{_NAMES} (\S+) as the newest")
_HALF = timedelta(minutes=3)  # without a poll while a stream tells
_GOOD = 2  # reads in a row before we say that we see again
_LATE, _VERY_LATE = 10.0, 60.0  # seconds
_UNLOOKED = 30.0  # seconds without a look at what is not being read
_LITTLE_DISK, _NO_DISK = 500.0, 100.0  # megabytes
_DEAF = 180.0  # seconds without a socket
_LONG_WITHOUT_SLACK = 1800.0
_SKEWED = 30.0  # seconds
_STREAM_GONE, _MISSED = 600.0, 3
_NOBODY_ON_CALL = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Reading:
    """How reading one account has gone."""

    key: str
    name: str
    last_ok: datetime | None
    failing_since: datetime | None
    failures: int
    error: str
    trouble: str
    good: int = 2  # reads in a row that succeeded
    gap: tuple[datetime, datetime] | None = None  # the last stretch that was not read in time
    missed: str = ""  # what of it is still to be read
    told: datetime | None = None  # when a stream or a search last proved that it would show a post
    second_look: str = ""  # what another endpoint says of an account that cannot be read: "seen", "gone", "failed" or nothing yet
    unseen: tuple[str, datetime] | None = None  # the newest post by its profile, which no read has shown since then
    wanted: datetime | None = None  # since when we have wanted to read it

    @property
    def platform(self) -> str:
        """The first part of the key."""
        return self.key.partition(":")[0]


def limit(poll_seconds: float) -> timedelta:
    """How long an account may stay unread before that is a finding."""
    return timedelta(seconds=max(60.0, 6 * poll_seconds))


def blind(reading: Reading, now: datetime, started: datetime, poll_seconds: float) -> str:
    """Why the account counts as unwatched, or an empty string. Fresh is what a poll, a stream or a search has proven."""
    since = max(t for t in (reading.last_ok, reading.told, reading.wanted, started) if t)
    at_once = reading.trouble in _AT_ONCE and reading.failures > 0
    often = reading.failures >= _FEW and (reading.second_look == "failed" or reading.trouble == "rejected")
    confirmed = reading.failures >= _CONFIRMED and reading.second_look == "gone"
    lasting = reading.trouble in _AFTER_A_FEW and (often or confirmed)
    if at_once or lasting or now - since > limit(poll_seconds):
        return _why(reading)
    if reading.unseen and now - reading.unseen[1] > _UNSEEN:
        return f"{_NAMES} {reading.unseen[0]} as the newest, and no read has shown it since {reading.unseen[1]:%H:%M:%S} UTC"
    return ""


def half_blind(reading: Reading, now: datetime, started: datetime) -> str:
    """Why only a stream or a search still shows what the account posts, or an empty string."""
    polled = max(t for t in (reading.last_ok, reading.wanted, started) if t)
    return _why(reading) if reading.failures and now - polled > _HALF else ""


def _why(reading: Reading) -> str:
    since = f" since {reading.failing_since:%H:%M:%S} UTC" if reading.failing_since else ""
    last = f"last read {reading.last_ok:%H:%M:%S} UTC" if reading.last_ok else "never read so far"
    seen = "; its profile can still be seen, so that it is X that fails, not the account" if reading.second_look == "seen" else ""
    return f"{reading.error or 'no poll has finished'}{since}{seen}; {last}"


@dataclass(frozen=True, slots=True)
class Blindness:
    """What nobody watches now, as one incident: a platform's accounts, or one by itself. A notice where a stream still tells.

    Of any other read than timelines (see `reads`) `headline` says what cannot be read, and `means` what that means for the reader.
    """

    subject: str
    names: tuple[str, ...]
    why: str
    severity: Severity = Severity.PAGE
    headline: str = ""
    means: str = ""

    def event(self, now: datetime) -> Event:
        """As something to page about. The names ride along as the incident's hosts."""
        name = self.names[0] if len(self.names) == 1 else f"{len(self.names)} of them" if self.headline else f"{len(self.names)} accounts"
        listed = ", ".join(self.names[:10]) + (" and others" if len(self.names) > 10 else "")
        if self.headline:
            return Event(self.subject, name, self.severity, self.headline, f"{self.means}. {listed}: {self.why}", now, self.names)
        if self.severity is Severity.PAGE:
            reason = f"{self.why}. Until this is mended a hijack of {listed} would page nobody"
            return Event(self.subject, name, Severity.PAGE, "Not being watched", reason, now, self.names)
        reason = f"{self.why}. Only a stream or a search still shows posts of {listed}: what is approved may be paged or told late"
        return Event(self.subject, name, Severity.NOTIFY, "Timelines cannot be read", reason, now, self.names)

    def in_words(self) -> str:
        """For whoever waits outside, and for figures."""
        more = f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        return f"{self.headline or 'not read'}: {', '.join(self.names[:3])}{more}"


def blindness(readings: tuple[Reading, ...], now: datetime, started: datetime, seconds: dict[str, float]) -> tuple[Blindness, ...]:
    """One for every platform that cannot be read, one for every account that cannot be read by itself.

    An outage of X with fifty accounts is one page, not fifty; so is a storm in which X says that most of them are gone.
    """
    found: dict[str, Blindness] = {}
    platforms = {
        r.platform: _Platform.of([o for o in readings if o.platform == r.platform]) for r in {r.platform: r for r in readings}.values()
    }
    for reading in readings:
        every = seconds.get(reading.platform, 5)
        why, severity = blind(reading, now, started, every), Severity.PAGE
        if not why:
            why, severity = half_blind(reading, now, started), Severity.NOTIFY
        alone = platforms[reading.platform].alone(reading)
        subject = f"blind:{reading.key}" if alone else f"blind:{reading.platform}"
        known = found.get(subject)
        if why and (known is None or severity > known.severity):
            names = (reading.name,) if alone else tuple(dict.fromkeys([reading.name, *platforms[reading.platform].together]))
            found[subject] = Blindness(subject, names, why, severity)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Platform:
    """How reading all accounts of one platform goes: how many there are, fail, and are said to be gone."""

    accounts: int
    failing: int
    gone: int
    together: tuple[str, ...] = ()  # names of those whose trouble is not their own

    @classmethod
    def of(cls, readings: list[Reading]) -> _Platform:
        failing = [r for r in readings if r.failures]
        made = cls(len(readings), len(failing), sum(r.trouble == "gone" for r in failing))
        return cls(made.accounts, made.failing, made.gone, tuple(r.name for r in failing if not made.alone(r)))

    def alone(self, reading: Reading) -> bool:
        """Whether this account has a trouble of its own: it is gone and most others are not, or all the others are being read."""
        if reading.trouble == "gone":
            return self.accounts < 4 or self.gone <= self.accounts / 2
        others_fail = self.failing - bool(reading.failures)
        return self.accounts > 1 and not others_fail and reading.trouble not in ("credits", "credentials")


def named_post(reason: str) -> str:
    """The id of the post because of which an account counted as not being watched; empty when that had another reason."""
    found = _NAMED.search(reason)
    return found[1] if found else ""


def recovered(
    subject: str, names: tuple[str, ...], opened_at: datetime, readings: tuple[Reading, ...], now: datetime, contents: str = "",
    unread: str = "", *, comes_and_goes: bool = False,
) -> str:  # fmt: skip
    """What to say when every account that is still configured has been read twice since, or an empty string: which gap was and was
    not checked, and what was in it. Of an account that is configured no longer nothing is claimed, nor of a post that nobody has read.
    """
    theirs = concerned(subject, names, readings)
    if not theirs:
        return f"No longer configured; not checked: {', '.join(names)}"
    if not all(r.last_ok and r.last_ok > opened_at and not r.failures and r.good >= _GOOD for r in theirs):
        return ""
    known = {r.name for r in theirs}
    gone = [] if _is_of(subject, theirs) else [n for n in names if n not in known]
    left = f"No longer configured; not checked: {', '.join(gone)}" if gone else ""
    gaps = gaps_of(theirs, opened_at)
    failed = "Reads failed again and again" if comes_and_goes else "Nothing was read"
    since = f" {failed} from {min(g[0] for g in gaps):%H:%M:%S} to {max(g[1] for g in gaps):%H:%M:%S} UTC." if gaps else ""
    missing = [f"{r.name}: {r.missed}" for r in theirs if r.missed]
    inside = f": {contents}" if contents else ""
    whose = f" of {', '.join(known)}" if gone else ""
    if missing:
        said = (
            f"Being read again since {now:%H:%M:%S} UTC.{since} Not yet checked: {'; '.join(missing)}. Read so far{inside or ': nothing'}"
        )
    elif unread:
        said = (
            f"Post {unread} was gone before anybody read it: nobody knows what it said. Being read again since {now:%H:%M:%S} UTC.{since}"
            f" What was still there has been read and judged{inside}"
        )
    else:
        said = (
            f"Being read again since {now:%H:%M:%S} UTC.{since} Everything posted in between{whose} that was not deleted again has"
            f" been read and judged{inside}"
        )
    return ". ".join(filter(None, (said, left)))


def gaps_of(readings: tuple[Reading, ...], opened_at: datetime) -> list[tuple[datetime, datetime]]:
    """What was not read in time, of this incident: an earlier gap has been told of before."""
    return [r.gap for r in readings if r.gap and r.gap[1] > opened_at]


def concerned(subject: str, names: tuple[str, ...], readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The accounts that an incident is about, of those that are configured: by its subject, by the names it kept, or, where it could
    not keep all of them, every one of its platform.
    """
    full = len(names) >= KEPT
    return tuple(r for r in readings if r.name in names or f"blind:{r.key}" == subject or (full and f"blind:{r.platform}" == subject))


def _is_of(subject: str, theirs: tuple[Reading, ...]) -> bool:
    """Whether it is about one account, and that is still configured, whatever it is called by now."""
    return any(f"blind:{r.key}" == subject for r in theirs)


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the monitor itself is. Times in seconds; empty words mean that nothing is known to be wrong: after a start that is little,
    so that only `well` closes an incident.
    """

    late: float = 0  # how late the pager last ran
    disk_free_mb: float = 1e9
    slack: str = ""  # why Slack cannot be used
    slack_seconds: float = 0  # for how long
    deaf_seconds: float = 0  # no click could have come through
    connections: int = 0  # sockets of our app token, as Slack counts them
    expected: int = 0  # of ours
    engine: str = ""  # why a known post was judged wrongly
    routes: tuple[tuple[str, float], ...] = ()  # (route, how long its oldest waking page has waited)
    drill: str = ""  # why the last drill is not good enough
    backup: str = ""  # why the last backup is not
    targets: str = ""  # whom a page is to wake and cannot, and why
    skew: float = 0  # by how much the platform's clock is ahead of ours
    canary: str = ""  # why the marked post was not seen as it should have been
    money: str = ""  # why somebody should look at what X costs
    money_urgent: bool = False
    stream: str = ""  # why nothing tells of posts by itself although something should
    stream_seconds: float = 0  # for how long
    missed_by_stream: int = 0  # posts of the last hour
    rules: str = ""  # why the configuration and rules in the files are not those in force
    chain: str = ""  # why the audit chain does not hold
    nobody_on_call_seconds: float = 0  # for how long the schedule has named nobody whom the channel knows
    step: float = 0  # by how much the clock was set a short while ago; forward also when the machine slept
    well: Mapping[str, datetime] = field(
        default_factory=dict
    )  # when each of these was last proven to be well, by its subject behind `blind:`
    gone: frozenset[str] = frozenset()  # of those, what is configured no longer


@dataclass(frozen=True, slots=True)
class Symptom:
    """Something wrong with the monitor itself, as an incident."""

    subject: str
    severity: Severity
    headline: str
    reason: str

    def event(self, now: datetime) -> Event:
        """As something to tell or page about."""
        return Event(self.subject, OURSELVES, self.severity, self.headline, self.reason, now)


OURSELVES = "the monitor itself"
UNCONFIGURED = "No longer configured; not checked"
OVER = {
    "blind:monitor": "It runs in time again",
    "blind:disk": "There is room again",
    "blind:slack": "Slack can be used again",
    "blind:buttons": "Buttons work again",
    "blind:connections": "All connections are ours again",
    "blind:rules": "The configuration and rules of the files are in force again",
    "blind:engine": "Known posts are judged rightly again",
    "blind:drill": "A drill was acknowledged",
    "blind:backup": "There is a good backup again",
    "blind:chain": "The whole audit chain holds again",
    "blind:targets": "Everybody whom a page is to wake can be reached again",
    "blind:clock": "The clocks agree again",
    "blind:step": "The clock has not been set for ten minutes",
    "blind:canary": "The canary was seen again",
    "blind:money": "There is enough money again",
    "blind:oncall": "The schedule names somebody again",
    "blind:stream": "The stream tells of posts again",
    "blind:misses": "The stream has missed hardly a post for an hour",
    "blind:self-check": "All checks run again",
    "blind:database": "The database can be written",
}


def said(name: str, why: str, now: datetime) -> dict[str, object]:
    """Of what is looked at anew each time: wrong for a reason, or proven to be well."""
    return {name: why, "well": {} if why else {name: now}}


def over(subject: str, opened_at: datetime, v: Vitals) -> str:
    """What to say of a trouble of ours that is over; an empty string until something has proven that since it began."""
    what = subject.removeprefix("blind:")
    if what in v.gone:
        return UNCONFIGURED
    return OVER.get(subject, "It is well again") if what in v.well and v.well[what] > opened_at else ""


def failing(checks: list[str], *, blind: bool) -> Symptom:
    """Checks and duties of ours. `blind`: the check of what is not being read is among them."""
    means = (
        "should accounts not be read, nobody is told. Look at them yourself until this is mended"
        if blind
        else "what they would do is not done, and what they would find is told to nobody"
    )
    reason = f"these checks and duties fail: {', '.join(checks)}; {means}. The journal says why: `journalctl -u hijack-monitor`"
    return Symptom("blind:self-check", Severity.PAGE if blind else Severity.NOTIFY, "The self-check fails", reason)


def unlooked(looked_at: datetime, now: datetime) -> tuple[str, ...]:
    """Why what is known to be wrong says too little."""
    silent = (now - looked_at).total_seconds()
    return (f"nobody has checked for {silent:.0f} s whether accounts are read",) if silent > _UNLOOKED else ()


def symptoms(v: Vitals) -> tuple[Symptom, ...]:
    """What is wrong with the monitor itself. Each sentence ends with what it means for the reader."""
    found = []

    def say(subject: str, headline: str, reason: str, *, worse: bool = False) -> None:
        found.append(Symptom(f"blind:{subject}", Severity.PAGE if worse else Severity.NOTIFY, headline, reason))

    if v.late > _LATE:
        reason = f"its pager ran {v.late:.0f} s late: pages left that much later"
        say("monitor", "The monitor runs late", reason, worse=v.late > _VERY_LATE)
    if v.disk_free_mb < _LITTLE_DISK:
        reason = f"{v.disk_free_mb:.0f} MB are left: when it is full the monitor stops"
        say("disk", "Little disk space", reason, worse=v.disk_free_mb < _NO_DISK)
    if v.slack:
        reason = f"{v.slack}: pages leave by other routes, later"
        say("slack", "Slack cannot be used", reason, worse=v.slack_seconds > _LONG_WITHOUT_SLACK)
    if v.expected and v.deaf_seconds > _DEAF and not v.slack:
        reason = "no button or command has come through for three minutes: reply `ack` in the threads instead"
        say("buttons", "Buttons do not work", reason)
    if v.connections > v.expected > 0:
        reason = f"Slack counts {v.connections} connections, {v.expected} are ours: another process with our app token takes clicks and loses them"
        say("connections", "Somebody else gets our clicks", reason)
    if v.engine:
        say(
            "engine",
            "Posts are judged wrongly",
            f"{v.engine}: do not rely on silence, look at the accounts yourself until this is mended",
            worse=True,
        )
    for route, seconds in v.routes:
        say(f"route-{route}", f"{route} takes no pages", f"a page has waited for {seconds:.0f} s; other routes carry it meanwhile")
    _say_of_records(v, say)
    _say_of_reading(v, say)
    _say_of_people(v, say)
    return tuple(found)


def _say_of_records(v: Vitals, say: Callable[..., None]) -> None:
    if v.chain:
        reason = (
            f"{v.chain}. Keep the database and its backups as they are, and compare anchors in pages of that time: docs/security-model.md"
        )
        say("chain", "The audit chain is broken", reason, worse=True)
    if v.backup:
        reason = f"{v.backup}: should the disk fail, registrations and incidents since then are lost. `systemctl status hijack-monitor-backup` says why"
        say("backup", "The last backup is old", reason)


def _say_of_people(v: Vitals, say: Callable[..., None]) -> None:
    if v.targets:
        say("targets", "Not everybody can be woken", f"{v.targets}. A page that would reach nobody escalates at once")
    if v.nobody_on_call_seconds >= _NOBODY_ON_CALL:
        reason = "for a day it has named nobody whom Slack knows: every page wakes the whole group. `hijack-monitor check --live` says why"
        say("oncall", "The schedule names nobody", reason)
    if v.drill:
        say("drill", "The drill is overdue", f"{v.drill}: nobody has proven that a page wakes somebody")


def _say_of_reading(v: Vitals, say: Callable[..., None]) -> None:
    if v.rules:
        say(
            "rules",
            "Configuration was not reloaded",
            f"the old one is still in force, rules included: mend the file and reload once more. {v.rules}",
        )
    if abs(v.skew) > _SKEWED:
        reason = f"it is {abs(v.skew):.0f} s {'behind' if v.skew > 0 else 'ahead of'} X's: whatever says when something happened is wrong by that. Mend NTP"
        say("clock", "The clock is wrong", reason)
    if v.step:
        how = f"forward by {v.step:.0f} s, or the machine slept" if v.step > 0 else f"back by {-v.step:.0f} s"
        say("step", "The clock was set", f"{how}: what was due meanwhile is done now; times told before are wrong by that")
    if v.canary:
        say("canary", "The canary was not seen", f"{v.canary}: either nobody posted it, or posts do not reach us", worse=True)
    if v.money:
        say("money", "X will cost too much", f"{v.money}: without credits X answers nothing and we are blind", worse=v.money_urgent)
    if v.stream and v.stream_seconds > _STREAM_GONE:
        reason = f"{v.stream}, for {v.stream_seconds / 60:.0f} min: posts are found by polling meanwhile, some seconds later"
        say("stream", "The stream is closed", reason)
    elif v.missed_by_stream >= _MISSED:
        reason = f"polls found {v.missed_by_stream} posts in an hour that it did not tell: those accounts are polled fast again"
        say("misses", "The stream misses posts", reason)


def audit(
    blind_now: tuple[Blindness, ...], next_steps: dict[int, datetime | None], overdue: int, vitals: Vitals, tick: datetime, now: datetime
) -> tuple[str, ...]:  # fmt: skip
    """Why whoever waits for our ping must not get it; empty when all is well.

    `next_steps` holds when each open, unsilenced incident that pages will be told of next.
    """
    wrong = [b.in_words() for b in blind_now if b.severity is Severity.PAGE]
    wrong += [f"INC-{number} has no next step" for number, due in next_steps.items() if due is None or due < now - timedelta(seconds=30)]
    wrong += [f"{overdue} page(s) overdue"] if overdue else []
    wrong += ["the pager does not run"] if now - tick > timedelta(seconds=30) else []
    wrong += ["no disk space"] if vitals.disk_free_mb < _NO_DISK else []
    return tuple(wrong) + ((f"engine: {vitals.engine}",) if vitals.engine else ())


def progressing(polls: dict[str, datetime], tick: datetime, overdue: int, now: datetime, poll_seconds: float) -> str:
    """Why the watchdog must not be fed, or an empty string.

    A poll counts when it has finished, well or badly: a restart cures a stuck program, not a
    platform that is down (that is an incident of its own).
    """
    stuck = [key for key, finished in polls.items() if now - finished > limit(poll_seconds)]
    if stuck:
        return f"no poll of {stuck[0]} has finished in time"
    if now - tick > timedelta(seconds=30):
        return "the pager has not run for 30 s"
    return f"{overdue} page(s) overdue and not being tried" if overdue else ""

"""Every kind of read, how long each may fail, and how each goes now. Pure: whoever reads says here how it went.

A read ages while it is wanted and fails. One that is due all the time (a profile, a schedule) ages from its last success, or
from when it became due; one that is made when something asks for it (a lookup by id) ages only from its first failed try to
its last: nobody is blind to what nobody needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from monitor import record
from monitor.health import Blindness
from monitor.model import Severity

_LIMIT = timedelta(minutes=10)  # of reads that need no shorter one
_BEFORE = timedelta(minutes=1)  # at most, between the last success and the first failure, that count as unread
_TWICE = 2  # one failed try is no finding
FORGOTTEN = timedelta(hours=1)  # without a try: nobody needs it
_MOST_KEPT = 100
_MOST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Read:
    """One kind of read. It becomes a notice `notice` after it began to fail, a page after `page`; without either, `elsewhere` names
    the rule that speaks of it.

    `name` stands in figures and subjects, `fails` is a headline, `means` says what it means for the reader while it fails, `after` what is
    not known when it works again. `methods` are those of the edges that make it. A `steady` one is due all the time, `every` so many seconds
    where nobody says otherwise. `by_platform`:
    what it is about begins with the platform, and a platform's failures are one incident. `excused` is said where a stream
    tells the same, which keeps it from paging. While the read that it is `under` is a finding, it is none of its own.
    """

    name: str
    fails: str
    means: str
    methods: tuple[str, ...] = ()
    notice: timedelta | None = _LIMIT
    page: timedelta | None = None
    steady: bool = False
    every: float = 0
    by_platform: bool = True
    after: str = ""
    excused: str = ""
    under: str = ""
    elsewhere: str = ""

    def group(self, about: str) -> str:
        """The subject of its incident."""
        return f"blind:read:{self.name}" + (f":{about.partition(':')[0]}" if self.by_platform else "")


TIMELINE = Read(
    "timeline", "Not being watched", "a hijack would page nobody", ("Source.read",), None, steady=True, elsewhere="health.blindness"
)  # fmt: skip
HANDLE = Read(
    "handle", "Not being watched", "a hijack would page nobody", ("Source.resolve",), None, elsewhere="health.blindness"
)  # fmt: skip
STREAM = Read(
    "stream", "The stream is closed", "posts are found by polling meanwhile, some seconds later",
    ("Stream.probe", "Stream.prepare", "Stream.connect"), None, steady=True, elsewhere="health.symptoms",
)  # fmt: skip
PROFILE = Read(
    "profile", "Profiles cannot be read", "Nobody would see a change of name, handle, bio or link", ("Source.profiles",),
    timedelta(minutes=2), timedelta(minutes=3), steady=True, every=60,
    after="What they showed in between is not known: the last profile before was compared with the first one after",
    excused="Only the stream still tells of changes of name, handle, bio and link",
)  # fmt: skip
LOOKUP = Read(
    "lookup", "Posts cannot be looked up by id", "Edited and deleted posts, and what a stream tells of only in part, are noticed late or not at all",
    ("Source.posts",), after="What was deleted or edited in between may have been missed",
)  # fmt: skip
EDITS = Read(
    "edits", "Edits cannot be looked for", "An approved post that is edited into a scam may page nobody",
    after="Posts that can still be edited have been read again; of older ones an edit in between may have been missed",
    under="lookup",
)  # fmt: skip
SEARCH = Read(
    "search", "Posts cannot be searched for", "Where timelines fail as well, nothing else shows a post", ("Source.search",),
)  # fmt: skip
AUTHOR = Read(
    "author", "Quoted authors cannot be read", "An approved quote pages, because nobody knows whom it quotes", ("Source.author",),
)  # fmt: skip
CREDITS = Read(
    "credits", "The credits left cannot be read", "X may stop answering when they are used up, without a warning", ("Source.balance",),
)  # fmt: skip
PICTURE = Read(
    "picture", "Pictures cannot be fetched", "An approved post with a picture pages, and words in pictures are not read",
    ("Pictures.bytes_of",), by_platform=False,
)  # fmt: skip
THREAD = Read(
    "thread", "Threads cannot be read", "A reply or a reaction acknowledges nothing: use the buttons, or `hijack-monitor incidents ack`",
    ("Notifier.humans",), steady=True, every=120, by_platform=False,
)  # fmt: skip
SCHEDULE = Read(
    "schedule", "The on-call schedule cannot be read", "Its last good copy is used for two days, then the whole group is paged",
    ("Schedule.now",), steady=True, every=300, by_platform=False,
)  # fmt: skip
BLOCK_LIST = Read(
    "block list", "A block list cannot be read", "Its last good content stays in use, and new entries accuse nobody",
    ("Blocklists.refresh",), steady=True, every=60, by_platform=False,
)  # fmt: skip
READS = {
    r.name: r for r in (TIMELINE, HANDLE, STREAM, PROFILE, LOOKUP, EDITS, SEARCH, AUTHOR, CREDITS, PICTURE, THREAD, SCHEDULE, BLOCK_LIST)
}


@dataclass(slots=True)
class State:
    """How one read goes. `about` is an account's key, a platform, an incident, a path; `name` what people call it.

    `since` is when it began to fail, None while it works; `read_at` its last success, `gap` the last stretch without one.
    """

    read: str
    about: str
    name: str
    tried_at: datetime
    since: datetime | None = None
    read_at: datetime | None = None
    failures: int = 0
    why: str = ""
    gap: tuple[datetime, datetime] | None = None


def age(state: State, now: datetime, every: float = 0) -> timedelta:
    """For how long it has not been read although it was wanted; zero while it works. `every`: a steady one is due again after so many seconds."""
    steady = READS[state.read].steady
    if state.since is None:
        late = now - state.tried_at - timedelta(seconds=2 * every) if steady and every else timedelta()
        return max(timedelta(), late)
    return max(timedelta(), (now if steady else state.tried_at) - state.since)


def why(state: State) -> str:
    """In words: the reason, since when, and when it was last read."""
    since = f" since {state.since:%H:%M:%S} UTC" if state.since else f" since {state.tried_at:%H:%M:%S} UTC"
    last = f"last read {state.read_at:%H:%M:%S} UTC" if state.read_at else "not read so far"
    return f"{state.why or 'it was not tried although it was due'}{since}; {last}"


def overdue(
    states: Iterable[State], now: datetime, every: Mapping[str, float], excused: Collection[str] = (),
    unwatched: Mapping[str, datetime] = MappingProxyType({}),
) -> tuple[Blindness, ...]:  # fmt: skip
    """One for every kind of read and platform that has failed for too long.

    `excused` are the accounts (keys) of which a stream tells the same. `unwatched` says when an account (by name) or a platform last
    counted as not being watched at all: one cause is one page, and afterwards every read gets its time again.
    """
    due = {name: timedelta(seconds=2 * seconds) for name, seconds in every.items() if seconds}
    late = {}
    for state in states:
        if state.since or (state.read in due and now - state.tried_at > due[state.read]):
            unread = _alone(state, now, every.get(state.read, 0), unwatched)
            if _is_late(state, unread, now):
                late[state.read, state.about] = state, unread
    found: dict[str, tuple[Severity, list[State]]] = {}
    for state, unread in sorted(late.values(), key=lambda s: s[0].since or now):
        read = READS[state.read]
        if (read.under, state.about) in late:
            continue
        pages = read.page is not None and unread >= read.page and state.about not in excused
        severity, group = Severity.PAGE if pages else Severity.NOTIFY, read.group(state.about)
        known = found.get(group)
        if known is None or severity > known[0]:
            found[group] = severity, [state]
        elif severity is known[0]:
            known[1].append(state)
    return tuple(_finding(group, severity, mine, excused) for group, (severity, mine) in found.items())


def _finding(subject: str, severity: Severity, states: list[State], excused: Collection[str]) -> Blindness:
    """The longest first; those of a lower severity are not named beside what pages."""
    read = READS[states[0].read]
    told = read.excused and not [s for s in states if s.about not in excused]
    return Blindness(subject, tuple(s.name for s in states), why(states[0]), severity, read.fails, read.excused if told else read.means)


def _alone(state: State, now: datetime, every: float, unwatched: Mapping[str, datetime]) -> timedelta:
    """Its age, without the time in which the account or the platform was not watched at all."""
    since = [now - t for name in (state.name, state.about) if (t := unwatched.get(name))]
    return min((age(state, now, every), *since))


def _is_late(state: State, unread: timedelta, now: datetime) -> bool:
    """Whether it has failed for longer than its kind may."""
    read = READS[state.read]
    rests = not read.steady and now - state.tried_at > FORGOTTEN
    once = state.since is not None and read.page is None and state.failures < _TWICE
    return read.notice is not None and unread >= read.notice and not rests and not once


class Reads:
    """How every read goes, in memory."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock, self._started = clock, clock()
        self._states: dict[tuple[str, str], State] = {}
        self._wanted: dict[str, dict[str, str]] = {}  # of each kind of read what, with its names
        self._before: dict[tuple[str, str], State] = {}  # what failed when an earlier process ended
        self.every = {r.name: r.every for r in READS.values() if r.every}  # seconds between two tries of a steady read, by its name

    def tried(self, read: Read, about: str, name: str = "", *, ok: bool, why: str = "") -> None:
        """A try has ended."""
        now, key = self._clock(), (read.name, about)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = State(read.name, about, name or about, now)
        if self._before and (before := self._before.pop(key, None)) and not state.since:
            state.since, state.read_at, state.failures = before.since, state.read_at or before.read_at, before.failures
        state.name, state.tried_at = name or state.name, now
        if ok:
            if state.since:
                state.gap = state.since, now
            state.since, state.read_at, state.failures, state.why = None, now, 0, ""
            return
        begun = max(state.read_at, now - _BEFORE) if read.steady and state.read_at else now
        state.since, state.failures, state.why = min(state.since or begun, now), state.failures + 1, why[:_MOST_WORDS] or "no answer"

    def only(self, read: Read, names: Mapping[str, str]) -> None:
        """What a steady read is wanted of, with what people call each; what is no longer wanted ages no more."""
        now = self._clock()
        if self._wanted.get(read.name) == names:
            return
        self._wanted[read.name] = dict(names)
        for key in [k for k in self._states if k[0] == read.name and k[1] not in names]:
            del self._states[key]
        for about, name in names.items():
            if (read.name, about) not in self._states:
                self._states[read.name, about] = State(read.name, about, name, now)

    def states(self) -> tuple[State, ...]:
        """All that are wanted or were tried."""
        return tuple(self._states.values())

    def stepped(self, by: timedelta) -> None:
        """The clock was set, or the machine slept: that time counts for nothing."""
        self._started += by
        for state in self._states.values():
            state.tried_at += by
            state.since, state.read_at = state.since and state.since + by, state.read_at and state.read_at + by

    def over(self, subject: str, names: tuple[str, ...], opened_at: datetime) -> str:
        """What to say when nothing of an incident is unread any more, or an empty string. Claims of each only what was seen."""
        read = READS.get(subject.split(":")[2])
        if read is None:
            return "This kind of read is no longer made; not checked"
        now, wanted = self._clock(), self._wanted.get(read.name)
        known = None if wanted is None else set(wanted.values())
        theirs = {s.name: s for s in self._states.values() if s.read == read.name}
        gone = [n for n in names if known is not None and n not in known]
        again, unneeded = [], []
        for name in [n for n in names if n not in gone]:
            state = theirs.get(name)
            tried_at = max(self._started, opened_at, *((state.tried_at,) if state else ()))
            if state and state.since is None and state.read_at and state.read_at > opened_at:
                again.append(state)
            elif not read.steady and now - tried_at > FORGOTTEN:
                unneeded.append(name)
            else:
                return ""
        return ". ".join(filter(None, (_read_again(read, again, now), _left_out(gone, unneeded)))) or "Nothing is named; not checked"

    # --- what other processes see, and the next start --------------------------------------------------

    def written(self) -> str:
        """As JSON: what fails, the longest first and at most a hundred, how many more do, and of each kind the one read longest ago."""
        failing = sorted((s for s in self._states.values() if s.since), key=lambda s: s.since or s.tried_at)
        oldest: dict[str, State] = {}
        for state in self._states.values():
            group = READS[state.read].group(state.about)
            if state.since is None and (group not in oldest or (state.read_at or state.tried_at) < oldest[group].tried_at):
                oldest[group] = state
        rows = [[s.read, s.about, s.name, *map(_stamp, (s.tried_at, s.since, s.read_at)), s.failures, s.why]
                for s in (*failing[:_MOST_KEPT], *oldest.values())]  # fmt: skip
        return json.dumps({"states": rows, "more": len(failing[_MOST_KEPT:])})

    def remember(self, text: str) -> None:
        """What failed when we were stopped has failed since then, if it still does."""
        self._before = {(s.read, s.about): s for s in told(text)[0] if s.since}


def told(text: str) -> tuple[tuple[State, ...], int]:
    """What `Reads.written` said: how reads went, and how many more failed."""
    none: tuple[tuple[State, ...], int] = ((), 0)
    return record.remembered(text, lambda data: (tuple(_state(r) for r in data["states"] if r[0] in READS), int(data["more"])), none)


def _state(row: list[Any]) -> State:
    read, about, name, tried_at, since, read_at, failures, said = row
    return State(read, about, str(name), record.utc(tried_at), _moment(since), _moment(read_at), int(failures), str(said))


def _read_again(read: Read, states: list[State], now: datetime) -> str:
    if not states:
        return ""
    gaps = [s.gap for s in states if s.gap]
    since = f"; unread from {min(g[0] for g in gaps):%H:%M:%S} to {max(g[1] for g in gaps):%H:%M:%S} UTC" if gaps else ""
    names = ", ".join(s.name for s in states[:10]) + (f" and {len(states) - 10} more" if len(states) > 10 else "")
    return f"Read again at {now:%H:%M:%S} UTC: {names}{since}" + (f". {read.after}" if read.after else "")


def _left_out(gone: list[str], unneeded: list[str]) -> str:
    said = [f"No longer configured or needed; not checked: {', '.join(gone)}"] if gone else []
    said += [f"Nobody has needed it for an hour; whether it works is not known: {', '.join(unneeded)}"] if unneeded else []
    return ". ".join(said)


def _stamp(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def _moment(text: str | None) -> datetime | None:
    return record.utc(text) if text else None

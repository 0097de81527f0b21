"""What is open, who has it, and what silences it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from monitor.model.kinds import Severity


class State(StrEnum):
    """Of an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Incident:
    """One per subject while it is not resolved. The subject is an account key, or `blind:<key>`."""

    id: int
    subject: str
    name: str
    severity: Severity
    headline: str
    reason: str
    opened_at: datetime
    last_at: datetime
    state: State = State.OPEN
    posts: int = 0
    hosts: tuple[str, ...] = ()
    skeletons: tuple[str, ...] = ()
    previous: int | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    resolved_by: str = ""
    resolved_at: datetime | None = None
    cause: str = ""
    last_paged_at: datetime | None = None
    pages: int = 0
    steps: int = 0  # escalation steps already paged
    since: datetime | None = None  # when the present call for help began: opened, reopened, an acknowledgement ran out
    held_until: datetime | None = None  # an acknowledgement counts until then
    holder: str = ""  # the channel's id of who has it, for asking them again
    outcome: str = ""  # one of CAUSES, "approved" or "over"; empty while it is open or nobody said
    silence: int | None = None  # the silence under which nobody is woken
    alone: bool = False  # whether the last page woke whoever is on call, and not the group yet


CAUSES = ("hijack", "insider", "tool bug", "false alarm")


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is woken for what it matches, until it ends; everything is still recorded and told.

    `account` is an account key or empty for all, `words` must stand in the post or its hosts (any case).
    """

    id: int
    account: str
    words: str
    reason: str
    who: str
    starts_at: datetime
    ends_at: datetime
    ended_by: str = ""
    waits: bool = False  # for a second person: nothing is silenced yet
    asker: str = ""  # the channel's id of whoever asked for it, where it waits
    told: tuple[tuple[str, int], ...] = ()  # how many posts that would have woken somebody it covered, by account


@dataclass(frozen=True, slots=True)
class Human:
    """What somebody did: `verb` is acknowledge, hold ("still on it"), escalate, resolve or reopen.

    A reply that did nothing is "unclear", "talk" or "refused", and `note` says why or what to write. "deleted": the first message is gone.

    `via` says where, `user` is the channel's id of them, `cause` one of CAUSES or what the monitor knows.
    """

    verb: str
    who: str
    via: str
    at: datetime
    note: str = ""
    user: str = ""
    cause: str = ""
    key: str = ""  # names the act for ever, where it may be seen again

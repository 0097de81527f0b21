"""What has to reach a channel, and whom it wakes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PageKind(StrEnum):
    """ROOT opens the thread, REPEAT wakes again, NOTE is said in the thread, SYNC edits the root.

    EVIDENCE and RUNBOOK are the first answers in the thread: what was seen, and what to do. REDACT takes what a message quotes out of it.
    """

    ROOT = "root"
    REPEAT = "repeat"
    NOTE = "note"
    SYNC = "sync"
    EVIDENCE = "evidence"
    RUNBOOK = "runbook"
    REDACT = "redact"


@dataclass(frozen=True, slots=True)
class Page:
    """One message that has to reach one channel. `key` names it for ever, also at the channel."""

    id: int
    key: str
    incident: int
    route: str
    kind: PageKind
    reason: str
    created_at: datetime
    mentions: tuple[str, ...] = ()
    state: str = "ready"
    attempts: int = 0
    next_at: datetime | None = None
    fallback_at: datetime | None = None
    receipt: str = ""
    plain: bool = False
    looks: int = 0  # how often we looked for it after an unknown outcome
    sent_at: datetime | None = None
    step: str = ""  # what is said; the same on every route, and once on each


@dataclass(frozen=True, slots=True)
class Paging:
    """Whom to page, where, and when again. Steps are (minutes after the call began, mentions).

    `routes` get every page; `fallback` are tried in this order when one of them does not accept a page. `nobody` are those of whom
    the channel says now that a mention reaches nobody.
    """

    mention: tuple[str, ...] = ()
    repeat_minutes: float = 5
    escalate: tuple[tuple[float, tuple[str, ...]], ...] = ()
    fallback_seconds: float = 60
    acknowledge_minutes: float = 30
    routes: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    nobody: frozenset[str] = frozenset()
    alone_minutes: float = 5  # that whoever is on call has to acknowledge before the group is woken as well

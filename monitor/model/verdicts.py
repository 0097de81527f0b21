"""What was decided about a post, and what was known then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.model.approvals import Match
from monitor.model.kinds import Severity


class Signal(StrEnum):
    """What is unusual about a post beside its text. Adds reasons and weight, excuses nothing."""

    OFF_HOURS = "off-hours"
    NEW_LANGUAGE = "new-language"
    NEW_DOMAIN = "new-domain"
    FIRST_CASHTAG = "first-cashtag"
    FIRST_ADDRESS = "first-address"
    FIRST_POLL = "first-poll"
    TEMPO = "tempo"
    REPOST_BURST = "repost-burst"
    REPLIES_LIMITED = "replies-limited"
    SEVERAL_ACCOUNTS = "several-accounts"


class Standing(StrEnum):
    """Of a post of ours that is shown again, by a repost or as the pinned post."""

    APPROVED = "approved"
    OLDER = "older"  # than our watch, and no rule accused it
    ACCUSED = "accused"  # older than our watch too
    UNAPPROVED = "unapproved"
    UNREAD = "unread"  # it is said to be ours, and nobody could look


@dataclass(frozen=True, slots=True)
class Context:
    """What else was known when a post was judged; stored beside the verdict, so that it can be recomputed.

    `signals` are (signal, why in our own words); `listed` are its hosts and addresses that stood on a block list, as "value (list)";
    `original` is the standing of the post that it shows again, if that is ours. `answered` counts the earlier replies under the
    registration that lets this one pass.
    """

    signals: tuple[tuple[Signal, str], ...] = ()
    listed: tuple[str, ...] = ()
    original: Standing | None = None
    answered: int = 0


NO_CONTEXT = Context()


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's accusation. `evidence` is untrusted text cut from the post."""

    rule: str
    version: int
    severity: Severity
    title: str
    evidence: tuple[str, ...] = ()
    why: str = ""
    do: str = ""
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Severity, the reason in one line of our own words, the match and the findings."""

    severity: Severity
    reason: str
    match: Match
    findings: tuple[Finding, ...] = ()
    hosts: tuple[str, ...] = ()  # foreign hosts a reader could reach

    @property
    def accusations(self) -> tuple[Finding, ...]:
        """The findings that count: shadow rules only record."""
        return tuple(f for f in self.findings if not f.shadow)

"""What was planned, and how a post compares with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitor.model.kinds import Kind


@dataclass(frozen=True, slots=True)
class ApprovedPost:
    """A registration: one planned post (or profile value, with `field`), used at most once.

    The window is compared with the platform's time. `media` is how many pictures or videos the post carries, `pictures` their PDQ hashes
    where they were given, `alt` their alt texts. `used_by` is the root id of the post that consumed it. Part `part` of `parts` of a
    thread comes after registration `after`. With `conversation` (answers below that post) or `author` (reposts or quotes of theirs) there
    is no text, and it is not used up; after `most` answers somebody is told. `shown` names what goes with the words, see
    `verdict.shown_parts`. `used_near` says that the post which consumed it was one slip away from it.
    """

    id: int
    account: str
    kind: Kind
    text: str
    not_before: datetime
    not_after: datetime
    links: tuple[str, ...] = ()
    media: int = 0
    field: str = ""
    approved_by: str = ""
    used_by: str = ""
    used_at: datetime | None = None
    withdrawn_at: datetime | None = None
    pictures: tuple[str, ...] = ()
    after: int = 0
    part: int = 0
    parts: int = 0
    conversation: str = ""
    author: str = ""
    alt: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()
    most: int = 0
    registered_at: datetime | None = None  # by our clock
    registered_by: str = ""  # in words, as it was recorded
    registrant: str = ""  # tells people apart, see `voters`
    via: str = ""  # where it was registered
    confirmed_at: datetime | None = None  # by a second person, or approved after the fact
    confirmed_by: str = ""
    used_near: bool = False
    external_id: str = ""  # what its plan calls the row; of the parts of a thread only the first has one
    source: str = ""  # the plan it belongs to; the external ids of a plan are its own
    replaces: int = 0  # the registration that was withdrawn for it
    redacted_at: datetime | None = None  # what it said is gone: nothing is ever compared with it


@dataclass(frozen=True, slots=True)
class Approving:
    """What one person's registration is worth: with `two_person` nothing until a second confirms it; a post that
    appears within `fresh_minutes` of it is a notice until then (0: never).
    """

    fresh_minutes: float = 0
    two_person: bool = False


ONE_IS_ENOUGH = Approving()


@dataclass(frozen=True, slots=True)
class Exact:
    """Equal after `canonical`, and everything else the registration names is equal too.

    Without `words` the registration named a conversation or an author: nobody has read this text. `caveats` say
    what nobody compared: with one of them it is not an alarm, and still a notice.
    """

    approved: int
    note: str = ""
    words: bool = True
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Near:
    """One slip in one word away from a registration, which it uses up. `words` is the version of the list that says that
    it is a slip and no other word.
    """

    approved: int
    differences: tuple[str, ...]
    words: str = ""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Nobody registered this. `nearest` explains the page, it excuses nothing."""

    reason: str
    nearest: int | None = None
    similarity: int = 0  # percent
    differences: tuple[str, ...] = ()


Match = Exact | Near | NoMatch

"""Who is watched and what was seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitor.model.kinds import Kind, Severity


@dataclass(frozen=True, slots=True)
class Account:
    """A watched profile. `unapproved` says what a post nobody registered is worth, by kind.

    `canary` is the text, but for a number or a time behind it, of posts that somebody publishes to prove that they are seen.
    """

    platform: str
    id: str
    handle: str
    realm: str = ""
    unapproved: tuple[tuple[Kind, Severity], ...] = ()
    canary: str = ""

    @property
    def key(self) -> str:
        """`platform:realm:id`; the realm is empty where a platform is one server."""
        return f"{self.platform}:{self.realm}:{self.id}"

    @property
    def name(self) -> str:
        """How people call it: `@acme on X`."""
        return f"@{self.handle} on {self.platform.upper() if self.platform == 'x' else self.platform}"

    def worth(self, kind: Kind) -> Severity:
        """The severity of an unregistered post of this kind; unlisted kinds page."""
        return dict(self.unapproved).get(kind, Severity.PAGE)


@dataclass(frozen=True, slots=True)
class Company:
    """What is ours: registrable domains, wallets we publish, handles (without @, any case).

    `shorteners` are hosts whose short links nobody else can make or change: such a link counts as what it leads to.
    """

    name: str
    domains: tuple[str, ...] = ()
    wallets: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    shorteners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Media:
    """One picture, video or GIF; `type` is the platform's word.

    `hash` is its PDQ hash, 64 hexadecimal digits, where it was fetched; `doubt` says why it could not be.
    """

    type: str
    url: str = ""
    alt_text: str = ""
    hash: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Original:
    """The post that a repost shows or a profile pins, as the platform gives it by its id.

    `account` is the key of the account of ours that wrote it, empty where that is somebody else.
    """

    account: str
    created_at: datetime
    text: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """Something published, as a reader sees it.

    `text` has HTML entities unescaped once, links expanded, and the platform's own trailing links to the post's media or quoted post
    removed. `root_id` is the first version's id; `version` counts from 1. `card` is the link card's target where the platform says it.
    `conversation` is the id of the post that began it. `unwound` are links and where they led when the platform followed them: that may
    accuse, and excuses nothing, for it can be changed afterwards. `forms` are other kinds that it has too, or whose look was typed by
    hand: none of them makes it worth less. `versions` are the ids of all its versions, oldest first; `unread` names what a reader sees
    and the platform does not give. `answers` is the post that a quote stands below; the first `automatic` characters are handles that the
    platform put before a reply; `shown` is whatever else a reader sees, see `verdict.shown_parts`.
    """

    account: str
    id: str
    kind: Kind
    text: str
    created_at: datetime
    root_id: str = ""
    version: int = 1
    links: tuple[str, ...] = ()
    media: tuple[Media, ...] = ()
    card: str = ""
    referenced_id: str = ""
    referenced_author: str = ""
    reply_settings: str = ""
    lang: str = ""
    url: str = ""
    conversation: str = ""
    poll: bool = False
    unwound: tuple[tuple[str, str], ...] = ()
    forms: tuple[Kind, ...] = ()
    versions: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    original: Original | None = None
    answers: str = ""
    automatic: int = 0
    shown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something was there and could not be parsed, or not be believed. It pages: it may be the hijack.

    `text` is what it says, where that much could be read. `version` is 0 where it is not known; one that came in place of
    something readable is kept under a number below 0, which no readable version ever has.
    """

    account: str
    id: str
    reason: str
    created_at: datetime
    text: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Profile:
    """What the account looks like. Absent values are empty strings; `link` is expanded."""

    account: str
    name: str = ""
    handle: str = ""
    bio: str = ""
    location: str = ""
    link: str = ""
    avatar: str = ""
    banner: str = ""
    pinned_post: str = ""
    verified_type: str = ""
    affiliation: str = ""
    protected: str = ""


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """One field of the profile, before and after, and when we saw it; of a pinned post that we asked for, `original`."""

    account: str
    field: str
    before: str
    after: str
    seen_at: datetime
    original: Original | None = None

    @property
    def root_id(self) -> str:
        """What consumes the registration of a profile value."""
        return f"{self.field}={self.after}"

    @property
    def id(self) -> str:
        """A change has no id of the platform's: the field and the moment name it."""
        return f"{self.field}@{self.seen_at.isoformat()}"

    @property
    def created_at(self) -> datetime:
        """The platform gives no time for a change of the profile: when we saw it."""
        return self.seen_at


Item = Post | Unreadable | ProfileChange


@dataclass(frozen=True, slots=True)
class Redacted:
    """What is left of an item whose content was removed: that it was there. Never judged, never a match, never to be approved.

    `sha256` is the digest of what stood there, the one that the audit chain has of it; `why` is in our own words.
    """

    account: str
    id: str
    kind: str  # the column's: of posts a `Kind`, else "profile" or "unreadable"
    created_at: datetime
    root_id: str
    version: int
    sha256: str
    redacted_at: datetime
    why: str

    def __str__(self) -> str:
        return f"redacted on {self.redacted_at:%Y-%m-%d}: {self.why}"


Stored = Item | Redacted

"""Every noun, frozen. Imports nothing of ours, does nothing.

Ids are opaque strings: only a source may order them. Times are timezone-aware UTC datetimes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """Named for its consequence."""

    CLEAR = 0
    RECORD = 1  # kept
    NOTIFY = 2  # a message, nobody woken
    PAGE = 3  # someone woken

    @property
    def word(self) -> str:
        """The lower-case name used in configuration, rules and JSON."""
        return self.name.lower()


class Kind(StrEnum):
    """What was published. PROFILE is a change of the profile, judged like a post; LIVE a broadcast or Space that
    began, by its title; DM a direct message that the account sent.
    """

    POST = "post"
    REPLY = "reply"
    QUOTE = "quote"
    REPOST = "repost"
    LIVE = "live"
    DM = "dm"
    PROFILE = "profile"


PROFILE_FIELDS = (
    "name", "handle", "bio", "location", "link", "avatar", "banner",
    "pinned_post", "verified_type", "affiliation", "protected",
)  # fmt: skip


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

    `text` is what it says, where that much could be read.
    """

    account: str
    id: str
    reason: str
    created_at: datetime
    text: str = ""


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
    batch: str = ""  # the act: what one command, form or import registered
    confirmed_at: datetime | None = None  # by a second person, or approved after the fact
    confirmed_by: str = ""
    used_near: bool = False


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


CAUSES = ("hijack", "insider", "tool bug", "false alarm")


class PageKind(StrEnum):
    """ROOT opens the thread, REPEAT wakes again, NOTE is said in the thread, SYNC edits the root.

    EVIDENCE and RUNBOOK are the first answers in the thread: what was seen, and what to do.
    """

    ROOT = "root"
    REPEAT = "repeat"
    NOTE = "note"
    SYNC = "sync"
    EVIDENCE = "evidence"
    RUNBOOK = "runbook"


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

    `routes` get every page; `fallback` are tried in this order when one of them does not accept a page.
    """

    mention: tuple[str, ...] = ()
    repeat_minutes: float = 5
    escalate: tuple[tuple[float, tuple[str, ...]], ...] = ()
    fallback_seconds: float = 60
    acknowledge_minutes: float = 30
    routes: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()


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

    A reply that did nothing is "unclear", "talk" or "refused", and `note` says why or what to write.

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

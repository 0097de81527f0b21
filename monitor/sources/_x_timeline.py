"""A walk over the pages of one timeline, newest first, that cannot step over a post. No I/O but through `fetch`.

X's tokens are opaque: posts that come or vanish between two pages may move what they stand for. So the next page is asked
for by id and has to show the oldest posts of the one before again. Tokens serve only where a page shows nothing new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from monitor.model import Account, Post, Unreadable
from monitor.sources._x_client import Answer, limit_of, next_token, posts_of
from monitor.sources._x_cut import own
from monitor.sources._x_payload import id_time, includes, is_id, time_id
from monitor.sources._x_truth import AHEAD, is_ahead, true_post, unshown
from monitor.sources.interface import Batch, Limit, SourceError

Fetch = Callable[[dict[str, str | None]], Awaitable[tuple[dict[str, Any], Answer, datetime]]]

SHARED = 20  # one in so many posts of a page is asked for again by the next one
MOST_BARREN = 20  # pages in a row without a new post: X leaves empty ones where posts were deleted
MOST_BYTES = 24 * 1024 * 1024  # of one walk; the rest is read by the next one


@dataclass(frozen=True, slots=True)
class Cursor:
    """The newest id seen, and an older stretch (since, until) that one read could not finish, with how much of it was read.

    `settled`: a read long after that post has found no late one before it, so that nothing there is read again but by a
    sweep of the last hour. `swept` is when that was done last, as an id; it goes back to `floor` at most, where our watch began.
    """

    newest: str
    gap: tuple[str, str] | None = None
    read: int = 0
    settled: bool = False
    swept: str = "0"
    floor: str = ""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The inverse of `str`; also of cursors without sweeps, whose watch is taken to begin there."""
        text, _, sweeps = text.partition("@")
        newest, _, gap = text.partition(";")
        since, until, read = [*gap.split("-"), "", "0"][:3] if gap else ("", "", "0")
        swept, _, floor = sweeps.partition("-")
        return cls(newest.removesuffix("!"), (since, until) if gap else None, int(read or 0), newest.endswith("!"), swept or "0", floor)

    def __str__(self) -> str:
        newest = f"{self.newest}!" if self.settled else self.newest
        gap = f";{self.gap[0]}-{self.gap[1]}-{self.read}" if self.gap else ""
        return f"{newest}{gap}@{self.swept}-{self.floor}"


@dataclass
class Walk:
    """What some pages of a timeline held. `ids` are those that may decide what is read next."""

    account: Account
    items: list[Post | Unreadable] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    complete: bool = False  # everything new was read
    exhausted: bool = False  # and everything down to `since`
    torn: str = ""  # why it ended before, where that was not for the number of pages
    reached: int | None = None  # the oldest id down to which no post can be missing
    theirs: datetime | None = None  # X's clock
    limit: Limit | None = None

    @property
    def newest(self) -> str:
        """The highest id, or an empty string."""
        return max(self.ids, key=int, default="")

    def rest(self, since: str, until: str | None = None) -> tuple[str, str] | None:
        """What lies between `since` and the oldest post of an unbroken row, when the walk did not come so far."""
        if self.complete:
            return None
        if not self.ids:
            return since, until or str(time_id((self.theirs or id_time(since)) + AHEAD))
        return since, str((self.reached if self.reached is not None else int(self.newest)) + 1)

    def add(self, page: dict[str, Any], answer: Answer, theirs: datetime) -> list[int]:
        """Take one page in; its ids as they came. Raises SourceError for a page that says nothing."""
        self.theirs, self.limit, more = theirs, limit_of(answer), includes(page, answer.unseen)
        given, wrong = posts_of(page)
        items = [true_post(d, self.account.key, self.account.id, more, theirs) for d in given]
        kept_back = unshown(page, self.account.key, theirs)
        self.items += [*items, *kept_back]
        if items or kept_back:
            self.bodies.append(own(page, answer.body, (self.account.id,)))
        if wrong:
            raise wrong
        ids = [i.id for i in items if is_id(i.id) and not is_ahead(i.id, theirs)]
        self.ids |= set(ids)
        return [int(i) for i in ids]

    def is_full(self) -> bool:
        """Whether more would be too much to hold."""
        return sum(map(len, self.bodies)) > MOST_BYTES


async def walk(fetch: Fetch, account: Account, since: str | None, until: str | None, most: int, known: int = -1) -> Walk:
    """Pages from newest to oldest, at most so many that show something new, until one reaches `known`.

    Reading on into what is known would starve an old gap while posts pour in. Raises SourceError, with what came all the
    same, when nothing was read; a later page that fails ends the walk.
    """
    found, step = Walk(account), _Step(until)
    for _ in range(most + MOST_BARREN):
        before = set(found.ids)
        try:
            page, answer, theirs = await fetch({"since_id": since, "until_id": step.until, "pagination_token": step.token})
            came = found.add(page, answer, theirs)
        except SourceError as error:
            if not before:
                error.seen = Batch(tuple(found.items), None, tuple(found.bodies)) if found.items else None
                raise
            found.torn = str(error)
            break
        fresh = [i for i in came if str(i) not in before]
        most -= bool(fresh)
        if not step.joins(came):
            found.torn = "X's pages do not join: what one showed is not in the next"
        if found.torn or step.ends(page, came, fresh, found, known) or not most or found.is_full():
            break
    return found


class _Step:
    """Where the next page begins, and what it has to show again."""

    def __init__(self, until: str | None) -> None:
        self.until = until
        self.token: str | None = None
        self._shared: frozenset[int] = frozenset()
        self._tokens: set[str] = set()
        self._barren = 0
        self._ordered = True
        self._by_id = False  # whether it was asked for what lies below the oldest post, without a token

    def joins(self, came: list[int]) -> bool:
        """Whether this page continues the one before. An empty one says nothing yet."""
        if came and self._shared and not self._shared & set(came):
            return False
        self._shared = frozenset() if came else self._shared
        return True

    def ends(self, page: dict[str, Any], came: list[int], fresh: list[int], found: Walk, known: int) -> bool:
        """Go on from this page; whether the walk is over."""
        token = next_token(page)
        self._barren = 0 if fresh else self._barren + 1
        self._ordered = self._ordered and came == sorted(came, reverse=True)
        if not token:
            if self._shared:
                found.torn = "X's pages do not join: the next one is empty"
            else:
                found.complete = found.exhausted = True
            return True
        if not fresh and token in self._tokens:  # it leads nowhere: whether there is more, only a question by id can say
            if self._by_id or not found.ids:
                found.torn = "X shows the same page again and again"
                return True
            self.until, self.token, self._by_id, self._tokens = min(found.ids, key=int), None, True, {token}
            return False
        self._tokens.add(token)
        if fresh and self._ordered:
            found.reached = min(fresh)
            if found.reached <= known:
                found.complete = True
                return True
            shared = sorted(set(came))[: max(1, len(came) // SHARED)]
            self.until, self.token, self._shared = str(shared[-1] + 1), None, frozenset(shared)
            self._tokens = set()
        elif self._barren >= MOST_BARREN:
            found.torn = f"X gave {MOST_BARREN} pages in a row without a post"
            return True
        else:  # ids that do not descend say nothing about what is not shown: only X knows where it was
            self.token = token
        return False

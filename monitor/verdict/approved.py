"""Was this post approved? Equality excuses, resemblance explains.

The queue is indexed by canonical text (exact), by critical tokens and initials (near), by word (nearest, for
the explanation only) and by conversation and author (registrations that name no text). Adding a
registration updates the index; forgetting those long over takes them out again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rapidfuzz import fuzz

from monitor.model import ONE_IS_ENOUGH, ApprovedPost, Approving, Exact, Kind, Match, Near, NoMatch, Post, ProfileChange
from monitor.verdict.confirmed import fresh, waits
from monitor.verdict.critical import bare, signature
from monitor.verdict.parts import caveats, doubt, unread_caveats
from monitor.verdict.resemblance import explained
from monitor.verdict.shown_pictures import media_note, unregistered_alt
from monitor.verdict.slips import reads_as_itself, slip
from monitor.verdict.text import canonical
from monitor.verdict.vocabulary import Vocabulary, reads_english

EXPLAINS = timedelta(days=90)  # a registration explains pages so long after its window; then it is as if it never was
_NEAREST_FROM = 40  # percent; below this a resemblance explains nothing
_COMPARED = 2_000  # characters of a text that resemblance looks at
_RARE = 12  # words of a post that are looked up, the rarest ones
_EXPECTED = {Kind.REPLY: ("answers",), Kind.QUOTE: ("quotes",), Kind.REPOST: ("reposts",)}  # allowed by an open registration
_BUDGET = 400  # registrations that the rare words of one post may lead to


@dataclass(frozen=True, slots=True)
class _Entry:
    approved: ApprovedPost
    text: str


class Queue:
    """The registrations, ready to be matched. `add` takes a changed registration again.

    Without a list of words no slip is told from another word, so that nothing is near.
    """

    def __init__(
        self, approved: Iterable[ApprovedPost] = (), approving: Approving = ONE_IS_ENOUGH, vocabulary: Vocabulary | None = None
    ) -> None:
        self.approving, self._vocabulary = approving, vocabulary
        self._entries: dict[int, _Entry] = {}
        self._by_text: dict[str, list[int]] = {}
        self._by_tokens: dict[int, list[int]] = {}
        self._by_word: dict[str, list[int]] = {}
        self._open: dict[tuple[str, str], list[int]] = {}
        self._ends: list[tuple[datetime, int]] = []
        for one in approved:
            self.add(one)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, approved: ApprovedPost) -> None:
        """Index a new registration, or take over the new state of a known one."""
        known = self._entries.get(approved.id)
        text = known.text if known else canonical(approved.text, approved.links)
        self._entries[approved.id] = _Entry(approved, text)
        if known and known.approved.account == approved.account:
            return
        if known:  # registered by handle, and now the account's id is known
            self._take_out(known)
        else:
            heapq.heappush(self._ends, (approved.not_after, approved.id))
        for index, key in self._places(approved, text):
            index.setdefault(key, []).append(approved.id)

    def forget(self, ended_before: datetime) -> None:
        """Take out the registrations whose window ended before then, as if they had never been."""
        while self._ends and self._ends[0][0] < ended_before:
            self._take_out(self._entries.pop(heapq.heappop(self._ends)[1]))

    def _take_out(self, entry: _Entry) -> None:
        for index, key in self._places(entry.approved, entry.text):
            index[key].remove(entry.approved.id)
            if not index[key]:
                del index[key]

    def _places(self, one: ApprovedPost, text: str) -> Iterator[tuple[dict, object]]:  # type: ignore[type-arg]
        """Every index and key under which a registration is found. One that was redacted never is."""
        if one.redacted_at:
            return
        if opened := _opened(one):
            yield self._open, (one.account, opened)
            return
        for form in _numbered(one, text):
            yield self._by_text, _as_shown(form)
        if one.kind is not Kind.PROFILE and text:
            words = text.split()
            yield self._by_tokens, hash(signature(words))
            for word in dict.fromkeys(bare(w).lower() for w in words):
                yield self._by_word, word

    def match(self, post: Post, names: frozenset[str] = frozenset()) -> Match:
        """Exact, Near or NoMatch with the reason in words for the person paged.

        A slip is never forgiven that makes one of `names`, the lower-case names of the company, or hits one.
        """
        text = canonical(post.text)
        same = [e for i in self._equal(post, text) if not _forgotten(e := self._entries[i], post)]
        doubts: list[tuple[int, int, str]] = []
        allowed = self._allowed(post, doubts)
        expected = _EXPECTED.get(post.kind, ()) if allowed else ()
        noticed = None
        for entry in sorted(same, key=lambda e: (e.approved.not_before, e.approved.id)):
            why = self._doubt(entry.approved, post)
            if why:
                doubts.append((why[0], entry.approved.id, why[1]))
                continue
            told = (*caveats(entry.approved, post, expected), *fresh(entry.approved, post.created_at, self.approving))
            found = Exact(entry.approved.id, media_note(entry.approved, post), caveats=told)
            if not found.caveats:
                return found
            noticed = noticed or found
        open_ended = noticed or allowed
        if open_ended or doubts:
            _, number, why_not = min(doubts, default=(0, 0, ""))
            return open_ended or (NoMatch(why_not, number, 100) if text else NoMatch(why_not))
        return self._near(text, post, names) or self._nearest(text, post)

    def match_change(self, change: ProfileChange) -> Match:
        """A profile value registered in advance: same account, field and canonical value."""
        for number in self._by_text.get(_as_shown(canonical(change.after)), ()):
            one = self._entries[number].approved
            if one.kind is Kind.PROFILE and (one.account, one.field) == (change.account, change.field):
                open_now = not one.withdrawn_at and (not one.used_by or one.used_by == change.root_id)
                if open_now and one.not_before <= change.seen_at <= one.not_after:
                    if why := waits(one, self.approving):
                        return NoMatch(why[1], one.id, 100)
                    return Exact(one.id, caveats=fresh(one, change.seen_at, self.approving))
        return NoMatch("nobody registered this change")

    def pictures_wanted(self, post: Post) -> bool:
        """Whether a registration of these words, or of words a slip away, says which pictures go with them."""
        text = canonical(post.text)
        numbers = (*self._equal(post, text), *self._by_tokens.get(hash(signature(text.split())), ()))
        return bool(post.media) and any(self._entries[n].approved.pictures for n in numbers)

    def unread(self, match: Match, post: Post) -> str:
        """What stands in a post beside the words that were registered: alt texts of its own."""
        one = self._entries[match.approved].approved if isinstance(match, Exact) else None
        return "\n".join(text for _, text in unregistered_alt(one, post)) if one else ""

    def author_wanted(self, post: Post) -> bool:
        """Whether quotes by this account are registered by their author."""
        return any(account == post.account and key.startswith(f"{Kind.QUOTE} ") for account, key in self._open)

    def _equal(self, post: Post, text: str) -> list[int]:
        """The registrations of these words, with or without the handles that the platform put before a reply."""
        typed = canonical(post.text[post.automatic :]) if post.automatic else ""
        forms = [text, typed] if typed else [text]
        return [number for form in forms for number in self._by_text.get(_as_shown(form), ())]

    def registration(self, number: int) -> ApprovedPost:
        """By number. Raises KeyError."""
        return self._entries[number].approved

    def open_to(self, post: Post, doubts: list[tuple[int, int, str]] | None = None) -> ApprovedPost | None:
        """A registration that names a conversation, an author or a reposted post instead of words; `doubts` learn of
        one that waits.
        """
        keys = [post.conversation, post.referenced_id] if post.kind is Kind.REPLY else []
        if post.kind is Kind.REPOST and post.referenced_id:
            keys = [f"{Kind.REPOST} of {post.referenced_id}"]
        if post.kind in (Kind.REPOST, Kind.QUOTE) and post.referenced_author:
            keys.append(f"{post.kind} {post.referenced_author.lower()}")
        for key in filter(None, keys):
            for number in sorted(self._open.get((post.account, key), ())):
                one = self._entries[number].approved
                if not one.withdrawn_at and one.not_before <= post.created_at <= one.not_after:
                    why = waits(one, self.approving)
                    if not why:
                        return one
                    if doubts is not None:
                        doubts.append((why[0], number, why[1].replace("has these words", "allows it")))
        return None

    def _allowed(self, post: Post, doubts: list[tuple[int, int, str]]) -> Exact | None:
        one = self.open_to(post, doubts)
        if one is None:
            return None
        what = "answers under a registered post" if one.conversation else f"{post.kind}s of @{one.author} are registered"
        what = what if one.conversation or one.author else "the repost of that post is registered"
        # a reply that nobody registered would not even be told: there a young registration excuses nothing
        told = (*unread_caveats(post), *fresh(one, post.created_at, self.approving)) if post.kind is not Kind.REPLY else ()
        return Exact(one.id, what, words=False, caveats=told)

    def _near(self, text: str, post: Post, names: frozenset[str]) -> Near | None:
        """The first registration, by its window, that this post is one slip away from and that nobody has used yet."""
        words = self._vocabulary
        numbers = self._by_tokens.get(hash(signature(text.split())), ()) if words else ()
        entries = sorted((self._entries[n] for n in numbers), key=lambda e: (e.approved.not_before, e.approved.id))
        for entry in entries:
            one = entry.approved
            pair = None if one.used_by else slip(entry.text, text)  # an edit of the post that used it is the next near post
            if not words or not pair or self._doubt(one, post):
                continue
            if self._is_slip(*pair, post, names, words) and reads_english(entry.text, words):
                return Near(one.id, (f"“{pair[0]}” became “{pair[1]}”",), words.version)
        return None

    def _is_slip(self, before: str, after: str, post: Post, names: frozenset[str], words: Vocabulary) -> bool:
        """Whether the posted word is no word: not of the language, not of the company, not of any other registration."""
        before, after = before.lower(), after.lower()
        ours = any(not _forgotten(self._entries[n], post) for n in self._by_word.get(after, ()))
        return not (ours or {before, after} & names) and reads_as_itself(before, after, words)

    def _nearest(self, text: str, post: Post) -> NoMatch:
        """Of the registrations that share most of the rarest words, the most alike. Explains, never excuses."""
        shared: Counter[int] = Counter()
        words = dict.fromkeys(bare(w) for w in text[:_COMPARED].lower().split()[:60])
        spent = 0
        for count, word in sorted((len(self._by_word[w]), w) for w in words if w in self._by_word)[:_RARE]:
            spent += count
            if spent > _BUDGET:
                break
            shared.update(self._by_word[word])
        best, score = None, 0.0
        most = max(shared.values(), default=0)
        for number in sorted(number for number, count in shared.items() if count == most)[:3]:
            entry = self._entries[number]
            ratio = fuzz.ratio(text[:_COMPARED], entry.text[:_COMPARED], score_cutoff=max(score, _NEAREST_FROM))
            if ratio > score and not _forgotten(entry, post):
                best, score = entry, ratio
        if best is None:
            return NoMatch("nobody registered this post")
        return explained(best.approved, best.text, text, post, int(score))

    def _doubt(self, one: ApprovedPost, post: Post) -> tuple[int, str] | None:
        """Why an equal text is not this registration's post: (rank, words), most telling first."""
        return doubt(one, post) or self._out_of_order(one, post) or waits(one, self.approving)

    def _out_of_order(self, one: ApprovedPost, post: Post) -> tuple[int, str] | None:
        before = self._entries.get(one.after)
        if not one.after:
            return None
        if before is None or not before.approved.used_by:
            return 1, f"part {one.part} of a thread (registered post #{one.id}), but part {one.part - 1} was not posted before it"
        if before.approved.used_by not in (post.referenced_id, post.conversation):
            first = before.approved
            while first.after in self._entries:
                first = self._entries[first.after].approved
            if not post.conversation or first.used_by != post.conversation:
                return 1, f"part {one.part} of a thread (registered post #{one.id}), but not below part {one.part - 1}"
        return None


def _opened(one: ApprovedPost) -> str:
    """The key of a registration that names no words; empty for every other one."""
    if one.conversation or one.author:
        return one.conversation or f"{one.kind} {one.author.lower()}"
    reposted = dict(one.shown).get("reposts")
    return f"{Kind.REPOST} of {reposted}" if reposted and not one.text else ""


def _numbered(one: ApprovedPost, text: str) -> Iterator[str]:
    """The text as tools lay it out: with its own links on the same line or below, in a thread with its number before or behind it."""
    bare_text = canonical(one.text) if one.links else text
    behind = text[len(bare_text) + 1 :]  # links that the text does not show
    forms = [text, *(f"{bare_text}{blank}{behind}" for blank in _BELOW if behind and bare_text)]
    yield from forms
    if one.parts > 1:
        for number in (f"{one.part}/{one.parts}", f"({one.part}/{one.parts})", f"[{one.part}/{one.parts}]", f"{one.part}/"):
            for blank in (" ", *_BELOW):
                for form in forms:
                    yield f"{number}{blank}{form}"
                    yield f"{form}{blank}{number}"


_BELOW = "\n", "\n\n"


def _forgotten(entry: _Entry, post: Post) -> bool:
    """Decided by stored values alone, so that the verdict is the same however long the queue was kept."""
    return entry.approved.not_after < post.created_at - EXPLAINS


def _as_shown(text: str) -> str:
    """A canonical text without schemes: X shows none, and links what was typed without one."""
    return text.replace("https://", "")

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
from datetime import UTC, datetime, timedelta

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from monitor.model import ApprovedPost, Exact, Kind, Match, Near, NoMatch, Post, ProfileChange
from monitor.verdict.critical import bare, critical_tokens, danger, signature, typos
from monitor.verdict.links import canonical_links, host_of, is_shortener
from monitor.verdict.text import canonical

EXPLAINS = timedelta(days=90)  # a registration explains pages so long after its window; then it is as if it never was
# Bits of 256 that may differ. Making a picture smaller and JPEG moves up to 4, another QR code in a corner 20 and
# more (60 pictures each, `make eval`); the 31 of PDQ's authors is for finding near copies, not for excusing.
SAME_PICTURE = 12
_NEAREST_FROM = 40  # percent; below this a resemblance explains nothing
_COMPARED = 2_000  # characters of a text that resemblance looks at
_RARE = 12  # words of a post that are looked up, the rarest ones
_BUDGET = 400  # registrations that the rare words of one post may lead to


@dataclass(frozen=True, slots=True)
class _Entry:
    approved: ApprovedPost
    text: str


class Queue:
    """The registrations, ready to be matched. `add` takes a changed registration again."""

    def __init__(self, approved: Iterable[ApprovedPost] = ()) -> None:
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
        if known:
            return
        heapq.heappush(self._ends, (approved.not_after, approved.id))
        for index, key in self._places(approved, text):
            index.setdefault(key, []).append(approved.id)

    def forget(self, ended_before: datetime) -> None:
        """Take out the registrations whose window ended before then, as if they had never been."""
        while self._ends and self._ends[0][0] < ended_before:
            entry = self._entries.pop(heapq.heappop(self._ends)[1])
            for index, key in self._places(entry.approved, entry.text):
                index[key].remove(entry.approved.id)
                if not index[key]:
                    del index[key]

    def _places(self, one: ApprovedPost, text: str) -> Iterator[tuple[dict, object]]:  # type: ignore[type-arg]
        """Every index and key under which a registration is found."""
        if one.conversation or one.author:
            yield self._open, (one.account, one.conversation or f"{one.kind} {one.author.lower()}")
            return
        for form in _numbered(one, text):
            yield self._by_text, _as_shown(form)
        if one.kind is not Kind.PROFILE:
            words = text.split(" ")
            yield self._by_tokens, hash(signature(words))
            for word in dict.fromkeys(w.lower() for w in words):
                yield self._by_word, word

    def match(self, post: Post) -> Match:
        """Exact, Near or NoMatch with the reason in words for the person paged."""
        text = canonical(post.text)
        same = [e for i in self._by_text.get(_as_shown(text), ()) if not _forgotten(e := self._entries[i], post)]
        doubts = []
        for entry in sorted(same, key=lambda e: (e.approved.not_before, e.approved.id)):
            doubt = self._doubt(entry.approved, post)
            if not doubt:
                return Exact(entry.approved.id, _media_note(entry.approved, post))
            doubts.append((doubt[0], entry.approved.id, doubt[1]))
        open_ended = self._allowed(post)
        if open_ended or doubts:
            return open_ended or NoMatch(min(doubts)[2], min(doubts)[1], 100)
        return self._near(text, post) or self._nearest(text, post)

    def match_change(self, change: ProfileChange) -> Match:
        """A profile value registered in advance: same account, field and canonical value."""
        for number in self._by_text.get(_as_shown(canonical(change.after)), ()):
            one = self._entries[number].approved
            if one.kind is Kind.PROFILE and (one.account, one.field) == (change.account, change.field):
                open_now = not one.withdrawn_at and (not one.used_by or one.used_by == change.root_id)
                if open_now and one.not_before <= change.seen_at <= one.not_after:
                    return Exact(one.id)
        return NoMatch("nobody registered this change")

    def pictures_wanted(self, post: Post) -> bool:
        """Whether a registration of these words says which pictures go with them."""
        numbers = self._by_text.get(_as_shown(canonical(post.text)), ())
        return bool(post.media) and any(self._entries[n].approved.pictures for n in numbers)

    def author_wanted(self, post: Post) -> bool:
        """Whether quotes by this account are registered by their author."""
        return any(account == post.account and key.startswith(f"{Kind.QUOTE} ") for account, key in self._open)

    def _allowed(self, post: Post) -> Exact | None:
        """A registration that names a conversation or an author instead of words."""
        keys = [post.conversation, post.referenced_id] if post.kind is Kind.REPLY else []
        if post.kind in (Kind.REPOST, Kind.QUOTE) and post.referenced_author:
            keys = [f"{post.kind} {post.referenced_author.lower()}"]
        for key in filter(None, keys):
            for number in self._open.get((post.account, key), ()):
                one = self._entries[number].approved
                if not one.withdrawn_at and one.not_before <= post.created_at <= one.not_after:
                    what = "answers under a registered post" if one.conversation else f"{post.kind}s of @{one.author} are registered"
                    return Exact(number, what, words=False)
        return None

    def _near(self, text: str, post: Post) -> Near | None:
        words = text.split(" ")
        mine = signature(words)
        for number in self._by_tokens.get(hash(mine), ()):
            entry = self._entries[number]
            registered = entry.text.split(" ")
            if signature(registered) != mine:
                continue  # two hashes may collide
            differences = typos(registered, words)
            if differences and not self._doubt(entry.approved, post):
                return Near(number, differences)
        return None

    def _nearest(self, text: str, post: Post) -> NoMatch:
        """Of the registrations that share most of the rarest words, the most alike. Explains, never excuses."""
        shared: Counter[int] = Counter()
        words = dict.fromkeys(text[:_COMPARED].lower().split(" ")[:60])
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
        return _explain(best, text, post, int(score))

    def _doubt(self, one: ApprovedPost, post: Post) -> tuple[int, str] | None:
        """Why an equal text is not this registration's post: (rank, words), most telling first."""
        return _doubt(one, post) or self._out_of_order(one, post) or _carries_more(one, post)

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


def _numbered(one: ApprovedPost, text: str) -> Iterator[str]:
    """The text, and as a thread tool numbers it: 2/5, (2/5), 2/ before or behind."""
    yield text
    if one.parts > 1:
        for number in (f"{one.part}/{one.parts}", f"({one.part}/{one.parts})", f"[{one.part}/{one.parts}]", f"{one.part}/"):
            yield f"{number} {text}"
            yield f"{text} {number}"


def _forgotten(entry: _Entry, post: Post) -> bool:
    """Decided by stored values alone, so that the verdict is the same however long the queue was kept."""
    return entry.approved.not_after < post.created_at - EXPLAINS


def _as_shown(text: str) -> str:
    """A canonical text without schemes: X shows none, and links what was typed without one."""
    return text.replace("https://", "")


def _doubt(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    if one.account != post.account:
        return 5, f"registered post #{one.id} has these words, but for another account"
    if one.kind is not post.kind:
        return 4, f"registered post #{one.id} has these words, but as a {one.kind}, and this is a {post.kind}"
    if one.withdrawn_at:
        return 3, f"registered post #{one.id} was withdrawn at {_time(one.withdrawn_at)}"
    if one.used_by and one.used_by != (post.root_id or post.id):
        return 0, f"registered post #{one.id} was already used at {_time(one.used_at)}"
    if not one.not_before <= post.created_at <= one.not_after:
        side = "before" if post.created_at < one.not_before else "after"
        window = f"{_time(one.not_before)} to {_time(one.not_after)}"
        return 2, f"registered post #{one.id} matches, but was posted {side} its window ({window})"
    return None


def _carries_more(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    if len(post.media) != one.media:
        seen, planned = _pictures(len(post.media)), _pictures(one.media)
        return 1, f"the words of registered post #{one.id}, but with {seen} where {planned} planned"
    shown = {host_of(link) for link in (*post.links, *one.links)}
    card = host_of(post.card) if "://" in post.card and post.card.startswith("http") else ""
    if card and card not in shown:
        return 1, f"the words of registered post #{one.id}, but with a link card to a page nobody registered"
    if _hidden_link(one, post):
        return 1, f"the words of registered post #{one.id}, but with a link that they do not show"
    return _other_pictures(one, post)


def _hidden_link(one: ApprovedPost, post: Post) -> bool:
    """A link one tap away that neither the text nor the registration names; a shortener of a link that is shown is none."""
    if not post.links:
        return False
    words = canonical(post.text).split(" ")
    known = {host_of(link) for link in one.links} | {host_of(w) for w in words if "://" in w}
    hidden = [host for link in post.links if canonical_links(link) not in words and (host := host_of(link)) not in known]
    return any(not (is_shortener(host) and known) for host in hidden)


def _other_pictures(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """The first picture that is not a registered one; each registered picture stands for one."""
    left = list(one.pictures)
    for number, picture in enumerate(post.media if one.pictures else (), 1):
        if not picture.hash:
            why = picture.doubt or "it was not fetched"
            return 1, f"the words of registered post #{one.id}, but picture {number} could not be compared: {why}"
        nearest = min(left, key=lambda known: distance(known, picture.hash), default="")
        apart = distance(nearest, picture.hash) if nearest else 256
        if apart > SAME_PICTURE or picture.type != "photo":
            return 1, f"the words of registered post #{one.id}, but picture {number} is not the registered one ({apart} of 256 bits differ)"
        left.remove(nearest)
    return None


def distance(one: str, other: str) -> int:
    """Bits that differ between two PDQ hashes, given as 64 hexadecimal digits."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _pictures(count: int) -> str:
    return {0: "no picture or video was", 1: "1 picture or video was"}.get(count, f"{count} pictures or videos were")


def _media_note(one: ApprovedPost, post: Post) -> str:
    if one.pictures:
        apart = max(min(distance(known, m.hash) for known in one.pictures) for m in post.media)
        return f"{len(post.media)} picture(s) compared, at most {apart} of 256 bits differ"
    return f"{len(post.media)} picture(s) counted, not compared" if post.media else ""


def _time(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else "an unknown time"


def _explain(entry: _Entry, text: str, post: Post, similarity: int) -> NoMatch:
    ours, theirs = Counter(critical_tokens(entry.text)), Counter(critical_tokens(text))
    gone, came = sorted((ours - theirs).elements(), key=_dangerous), sorted((theirs - ours).elements(), key=_dangerous)
    pairs = [f"“{a[:80]}” became “{b[:80]}”" for a, b in zip(gone, came, strict=False)]
    changed = [(min(danger(a), danger(b)), d) for a, b, d in zip(gone, came, pairs, strict=False)]
    changed += [(danger(word), f"“{word[:80]}” added") for word in came[len(gone) :]]
    changed += [(danger(word), f"“{word[:80]}” missing") for word in gone[len(came) :]]
    differences = [words for _, words in sorted(changed, key=lambda c: c[0])]
    differences += _word_differences(entry.text.split(" ")[:300], text.split(" ")[:300])
    where = "" if entry.approved.account == post.account else ", which is for another account"
    reason = f"nobody registered this post; {similarity} % like registered post #{entry.approved.id}{where}"
    return NoMatch(reason, entry.approved.id, similarity, tuple(dict.fromkeys(differences))[:5])


def _dangerous(word: str) -> tuple[int, str]:
    return danger(bare(word)), word


def _word_differences(registered: list[str], posted: list[str]) -> list[str]:
    out = []
    for code in Levenshtein.opcodes(registered, posted):
        before = " ".join(registered[code.src_start : code.src_end])[:80]
        after = " ".join(posted[code.dest_start : code.dest_end])[:80]
        if code.tag == "replace":
            out.append(f"“{before}” became “{after}”")
        elif code.tag != "equal":
            out.append(f"“{after}” added" if after else f"“{before}” missing")
    return out

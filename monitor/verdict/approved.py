"""Was this post approved? Equality excuses, resemblance explains.

The queue is indexed three ways: by canonical text (exact), by critical tokens (near) and by rare
words (nearest, for the explanation only). Adding a registration updates the index.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rapidfuzz import fuzz
from rapidfuzz.distance import DamerauLevenshtein, Levenshtein

from monitor.model import ApprovedPost, Exact, Kind, Match, Near, NoMatch, Post, ProfileChange
from monitor.verdict.links import host_of
from monitor.verdict.text import canonical

_EDGES = ".,;:!?()[]{}\"'*~|<>"
_NEGATIONS = frozenset(
    [
        "no",
        "not",
        "never",
        "none",
        "nothing",
        "nobody",
        "neither",
        "nor",
        "without",
        "cannot",
        "cant",
        "can't",
        "dont",
        "don't",
        "doesnt",
        "doesn't",
        "didnt",
        "didn't",
        "isnt",
        "isn't",
        "arent",
        "aren't",
        "wasnt",
        "wasn't",
        "wont",
        "won't",
        "shouldnt",
        "shouldn't",
        "stop",
        "unless",
        "except",
        "nicht",
        "kein",
        "keine",
        "nie",
        "pas",
        "jamais",
        "sans",
        "sin",
        "nunca",
        "jamás",
        "não",
        "nem",
        "без",
        "не",
        "нет",
    ]
)
_NUMBER_WORDS = frozenset(
    [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
        "thirty",
        "forty",
        "fifty",
        "sixty",
        "seventy",
        "eighty",
        "ninety",
        "hundred",
        "thousand",
        "million",
        "billion",
        "trillion",
        "half",
        "quarter",
        "double",
        "doubled",
        "triple",
        "first",
        "second",
        "third",
        "last",
        "today",
        "tomorrow",
        "tonight",
        "now",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ]
)
_CRITICAL_MARKS = re.compile(r"[\d@#$€£¥%]|://|^[A-Z]{2,6}$")
_MOST_TYPOS = 3
_POSTING_LIMIT = 60  # a word in more registrations than this says nothing about which is meant
EXPLAINS = timedelta(days=90)  # a registration explains pages so long after its window; then it is as if it never was
_NEAREST_FROM = 40  # percent; below this a resemblance explains nothing


@dataclass(frozen=True, slots=True)
class _Entry:
    approved: ApprovedPost
    text: str
    words: tuple[str, ...]


def critical_tokens(text: str) -> tuple[str, ...]:
    """Sorted words of a canonical text that may not differ at all: links, addresses, handles,
    hashtags, cashtags, numbers, tickers, number words, days and negations.
    """
    return tuple(sorted(w for w in map(_bare_word, text.split(" ")) if _is_critical(w)))


def _bare_word(word: str) -> str:
    return word.strip(_EDGES)


def _is_critical(word: str) -> bool:
    low = word.lower()
    return low in _NEGATIONS or low in _NUMBER_WORDS or bool(_CRITICAL_MARKS.search(word))


class Queue:
    """The registrations, ready to be matched. `add` takes a changed registration again."""

    def __init__(self, approved: Iterable[ApprovedPost] = ()) -> None:
        self._entries: dict[int, _Entry] = {}
        self._by_text: dict[str, list[int]] = {}
        self._by_tokens: dict[tuple[tuple[str, ...], int], list[int]] = {}
        self._by_word: dict[str, list[int]] = {}
        for one in approved:
            self.add(one)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, approved: ApprovedPost) -> None:
        """Index a new registration, or take over the new state of a known one."""
        known = self._entries.get(approved.id)
        if known:
            self._entries[approved.id] = _Entry(approved, known.text, known.words)
            return
        text = canonical(approved.text, approved.links)
        words = tuple(text.split(" "))
        self._entries[approved.id] = _Entry(approved, text, words)
        self._by_text.setdefault(_as_shown(text), []).append(approved.id)
        if approved.kind is Kind.PROFILE:
            return
        self._by_tokens.setdefault((critical_tokens(text), len(words)), []).append(approved.id)
        for word in {w.lower() for w in words}:
            self._by_word.setdefault(word, []).append(approved.id)

    def match(self, post: Post) -> Match:
        """Exact, Near or NoMatch with the reason in words for the person paged."""
        text = canonical(post.text)
        same = [e for i in self._by_text.get(_as_shown(text), ()) if not _forgotten(e := self._entries[i], post)]
        doubts = []
        for entry in sorted(same, key=lambda e: (e.approved.not_before, e.approved.id)):
            doubt = _doubt(entry.approved, post)
            if not doubt:
                return Exact(entry.approved.id, _media_note(post))
            doubts.append((doubt, entry.approved.id))
        if doubts:
            doubts.sort()
            return NoMatch(doubts[0][0][1], doubts[0][1], 100)
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

    def _near(self, text: str, post: Post) -> Near | None:
        words = text.split(" ")
        for number in self._by_tokens.get((critical_tokens(text), len(words)), ()):
            entry = self._entries[number]
            differences = _typos(entry.words, words)
            if differences and not _doubt(entry.approved, post):
                return Near(number, differences)
        return None

    def _nearest(self, text: str, post: Post) -> NoMatch:
        shared: Counter[int] = Counter()
        for word in dict.fromkeys(text[:2_000].lower().split(" ")[:60]):
            numbers = self._by_word.get(word, ())
            if len(numbers) <= _POSTING_LIMIT:
                shared.update(numbers)
        best, score = None, 0.0
        for number, _ in shared.most_common(3):
            entry = self._entries[number]
            ratio = fuzz.ratio(text[:2_000], entry.text[:2_000], score_cutoff=max(score, _NEAREST_FROM))
            if ratio > score and not _forgotten(entry, post):
                best, score = entry, ratio
        if best is None:
            return NoMatch("nobody registered this post")
        return _explain(best, text, post, int(score))


def _forgotten(entry: _Entry, post: Post) -> bool:
    """Decided by stored values alone, so that the verdict is the same however long the queue was kept."""
    return entry.approved.not_after < post.created_at - EXPLAINS


def _as_shown(text: str) -> str:
    """A canonical text without schemes: X shows none, and links what was typed without one."""
    return text.replace("https://", "")


def _doubt(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """Why an equal text is not this registration's post: (rank, words), most telling first."""
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
    return _carries_more(one, post)


def _carries_more(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    if len(post.media) != one.media:
        seen, planned = _pictures(len(post.media)), _pictures(one.media)
        return 1, f"the words of registered post #{one.id}, but with {seen} where {planned} planned"
    shown = {host_of(link) for link in (*post.links, *one.links)}
    card = host_of(post.card) if "://" in post.card and post.card.startswith("http") else ""
    if card and card not in shown:
        return 1, f"the words of registered post #{one.id}, but with a link card to a page nobody registered"
    return None


def _pictures(count: int) -> str:
    return {0: "no picture or video was", 1: "1 picture or video was"}.get(count, f"{count} pictures or videos were")


def _media_note(post: Post) -> str:
    return f"{len(post.media)} picture(s) counted, not compared" if post.media else ""


def _time(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if when else "an unknown time"


def _typos(registered: tuple[str, ...], posted: list[str]) -> tuple[str, ...] | None:
    """The differing words as "a" -> "b", or None when one of them is more than a typo."""
    if sum(a != b for a, b in zip(registered, posted, strict=True)) > _MOST_TYPOS:
        return None
    pairs = [(a, b) for a, b in zip(registered, posted, strict=True) if a != b]
    if not all(_is_typo(a, b) for a, b in pairs):
        return None
    return tuple(f"“{a}” became “{b}”" for a, b in pairs)


def _is_typo(registered: str, posted: str) -> bool:
    """One slip in a word of four letters or more (two from eight), the first letter kept."""
    a, b = _bare_word(registered), _bare_word(posted)
    if a.lower() == b.lower():
        return True
    if min(len(a), len(b)) < 4 or a[0].lower() != b[0].lower() or not (a.isalpha() and b.isalpha()):
        return False
    if _is_critical(a) or _is_critical(b) or a.isascii() != b.isascii():
        return False
    slips = 2 if min(len(a), len(b)) >= 8 else 1
    return DamerauLevenshtein.distance(a.lower(), b.lower(), score_cutoff=slips) <= slips


def _explain(entry: _Entry, text: str, post: Post, similarity: int) -> NoMatch:
    ours, theirs = Counter(critical_tokens(entry.text)), Counter(critical_tokens(text))
    gone, came = list((ours - theirs).elements()), list((theirs - ours).elements())
    came.sort(key=lambda w: ("://" not in w, w[0] not in "@$", w))
    differences = [f"“{a[:80]}” became “{b[:80]}”" for a, b in zip(sorted(gone, key=_links_first), came, strict=False)]
    differences += [f"“{word[:80]}” added" for word in came[len(gone) :]]
    differences += [f"“{word[:80]}” missing" for word in gone[len(came) :]]
    differences += _word_differences(entry.words[:300], tuple(text.split(" ")[:300]))
    where = "" if entry.approved.account == post.account else ", which is for another account"
    reason = f"nobody registered this post; {similarity} % like registered post #{entry.approved.id}{where}"
    return NoMatch(reason, entry.approved.id, similarity, tuple(dict.fromkeys(differences))[:5])


def _links_first(word: str) -> tuple[bool, str]:
    return "://" not in word, word


def _word_differences(registered: tuple[str, ...], posted: tuple[str, ...]) -> list[str]:
    out = []
    for code in Levenshtein.opcodes(registered, posted):
        before = " ".join(registered[code.src_start : code.src_end])[:80]
        after = " ".join(posted[code.dest_start : code.dest_end])[:80]
        if code.tag == "replace":
            out.append(f"“{before}” became “{after}”")
        elif code.tag != "equal":
            out.append(f"“{after}” added" if after else f"“{before}” missing")
    return out

"""What rules say of a text. A closed set of conditions, each one small class.

Phrases are found by the words they begin with, all in one pass of an Aho-Corasick automaton, patterns by
one re2 set over all of them: only the rules that could match are then asked. (A re2 set of the phrases
too was tried: building its states for words never seen before cost 200 µs to 3 ms a post, and posts
are mostly words never seen before.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

import re2
from ahocorasick_rs import AhoCorasick
from rapidfuzz import fuzz

from monitor.model import NO_CONTEXT, Company, Context, Finding, Severity
from monitor.verdict.addresses import Address
from monitor.verdict.links import Place
from monitor.verdict.text import Reading, comparable, skeleton

Evidence = tuple[str, ...]
_T = TypeVar("_T")
_MOST_COMPARED = 5_000  # characters: resemblance costs the product of both lengths
_WHOLE = 12  # letters of a phrase without its blanks that mean nothing else
ALWAYS = None  # a condition that cannot name what must occur for it to hold


@dataclass(slots=True)
class Subject:
    """A text as the conditions see it. `hits` are the regexes that may and the features that do occur; the rules set them."""

    text: str
    reading: Reading
    places: tuple[tuple[str, Place], ...]
    addresses: tuple[Address, ...]
    names: tuple[str, ...]
    company: Company
    field: str = ""
    context: Context = NO_CONTEXT
    hits: frozenset[str] = frozenset()


@lru_cache(maxsize=16_384)
def _regex(pattern: str) -> Any:
    return re2.compile(pattern, _options())


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    return options


def first_words(phrase: str) -> tuple[str, ...]:
    """The one to three words that must stand together wherever the phrase occurs."""
    return tuple(_spoken(phrase.split("*", maxsplit=1)[0]).split(" ")[:3])


@lru_cache(maxsize=16_384)
def _spoken(part: str) -> str:
    return comparable(skeleton(part))


def phrase_regex(phrase: str) -> str:
    """A phrase on the comparable words, whole words; `*` stands for up to three of them."""
    parts = [_spoken(part) for part in phrase.split("*")]
    return r"(?:^| )" + r"(?: [^ ]+){0,3} ".join(parts) + r"(?: |$)"


@lru_cache(maxsize=16_384)
def _unbroken(phrase: str) -> str:
    """A phrase without blanks (and nothing for `*`), where that is long enough to mean nothing else; else what nobody writes."""
    together = skeleton(phrase.replace("*", " ")).replace(" ", "")
    return together if len(together) >= _WHOLE else "\0"


@dataclass(frozen=True, slots=True)
class Phrases:
    """At least one phrase occurs in the words, or without blanks where words were taken apart."""

    phrases: tuple[str, ...]
    regexes: tuple[str, ...] = ()

    def needs(self) -> frozenset[str] | None:
        """The hits of which at least one is necessary."""
        return frozenset(f"s:{r}" for r in self.regexes)

    def evidence(self, subject: Subject) -> Evidence | None:
        """What was found, or None."""
        hit = [(p, r) for p, r in zip(self.phrases, self.regexes, strict=True) if f"s:{r}" in subject.hits]
        return tuple(found for p, r in hit if (found := _said(p, r, subject.reading))) or None


def _said(phrase: str, regex: str, reading: Reading) -> str:
    if "*" not in phrase:
        if f" {_spoken(phrase)} " in f" {reading.words} ":
            return skeleton(phrase)
    elif match := _regex(regex).search(reading.words):
        # Folded words of other scripts are not for reading: the rule's own words are.
        found = str(match.group(0)).strip()[:120]
        return found if found.isascii() and phrase.isascii() else phrase
    return phrase.replace(" *", "") if _occurs(_unbroken(phrase), reading) else ""


def _occurs(whole: str, reading: Reading) -> bool:
    """Whether a phrase without blanks occurs, from the beginning of a word to the end of one."""
    at = reading.unbroken.find(whole)
    while at >= 0 and not (at in reading.edges and at + len(whole) in reading.edges):
        at = reading.unbroken.find(whole, at + 1)
    return at >= 0


@dataclass(frozen=True, slots=True)
class Pattern:
    """At least one RE2 pattern occurs in the text as posted, or as it is read."""

    regexes: tuple[str, ...]

    def needs(self) -> frozenset[str] | None:
        """The hits of which at least one is necessary."""
        return frozenset(f"t:{r}" for r in self.regexes)

    def evidence(self, subject: Subject) -> Evidence | None:
        """What was found, or None."""
        regexes = [_regex(r) for r in self.regexes if f"t:{r}" in subject.hits]
        found = (r.search(subject.text) or r.search(subject.reading.plain) for r in regexes)
        return tuple(m.group(0).strip()[:120] for m in found if m) or None


@dataclass(frozen=True, slots=True)
class SimilarTo:
    """A stretch of the skeleton resembles one of the sentences, `at_least` percent."""

    sentences: tuple[str, ...]
    at_least: float = 85

    def needs(self) -> frozenset[str] | None:
        """A sentence of which two words occur exactly."""
        return frozenset(f"~:{sentence}" for sentence in self.sentences)

    def evidence(self, subject: Subject) -> Evidence | None:
        """The stretch that resembles, or None."""
        for sentence in self.sentences:
            if f"~:{sentence}" not in subject.hits:
                continue
            words = subject.reading.skeleton
            if len(words) * 10 < len(sentence) * 7:
                continue
            found = fuzz.partial_ratio_alignment(sentence, words[:_MOST_COMPARED], score_cutoff=self.at_least)
            if found:
                return (words[found.dest_start : found.dest_end].strip()[:120],)
        return None


@dataclass(frozen=True, slots=True)
class CryptoAddress:
    """A valid wallet address occurs; `foreign` means one that the company does not publish."""

    whose: str = "foreign"

    def needs(self) -> frozenset[str] | None:
        """The feature."""
        return frozenset({"address"})

    def evidence(self, subject: Subject) -> Evidence | None:
        """The addresses, or None."""
        ours = {w.lower() for w in subject.company.wallets} if self.whose == "foreign" else set()
        return tuple(a.value for a in subject.addresses if a.value.lower() not in ours)[:3] or None


@dataclass(frozen=True, slots=True)
class Link:
    """A host of this kind can be reached. `foreign` is every host not ours, not the platform's, and known."""

    kind: str

    def needs(self) -> frozenset[str] | None:
        """The feature."""
        return frozenset({f"link:{self.kind}"})

    def evidence(self, subject: Subject) -> Evidence | None:
        """The hosts, or None."""
        return tuple(h for h, p in subject.places if self.kind in link_kinds(p))[:3] or None


def link_kinds(place: Place) -> tuple[str, ...]:
    """The words of `link:` that hold for a host."""
    foreign = () if place in (Place.OURS, Place.PLATFORM, Place.WRAPPED) else ("foreign",)
    return ("any", *foreign, *((place.value,) if place is not Place.FOREIGN else ()))


@dataclass(frozen=True, slots=True)
class ProfileField:
    """The change is of one of these fields of the profile."""

    fields: tuple[str, ...]

    def needs(self) -> frozenset[str] | None:
        """The features."""
        return frozenset(f"field:{f}" for f in self.fields)

    def evidence(self, subject: Subject) -> Evidence | None:
        """The field, or None."""
        return (subject.field,) if subject.field in self.fields else None


@dataclass(frozen=True, slots=True)
class Disguise:
    """Words are written to be read by people and missed by filters, see `text.Reading.disguises`."""

    which: str

    def needs(self) -> frozenset[str] | None:
        """The feature."""
        return frozenset({f"disguise:{self.which}"})

    def evidence(self, subject: Subject) -> Evidence | None:
        """The words as posted, or None."""
        return tuple(word for kind, word in subject.reading.disguises if kind == self.which)[:3] or None


@dataclass(frozen=True, slots=True)
class WalletName:
    """A name that wallets resolve (`acme.eth`) occurs; `foreign` means one that the company does not publish."""

    whose: str = "foreign"

    def needs(self) -> frozenset[str] | None:
        """The feature."""
        return frozenset({"name"})

    def evidence(self, subject: Subject) -> Evidence | None:
        """The names, or None."""
        ours = {w.lower() for w in subject.company.wallets} if self.whose == "foreign" else set()
        return tuple(n for n in subject.names if n not in ours)[:3] or None


@dataclass(frozen=True, slots=True)
class Unusual:
    """One of these signals was up when the post was seen."""

    signals: tuple[str, ...]

    def needs(self) -> frozenset[str] | None:
        """The features."""
        return frozenset(f"unusual:{s}" for s in self.signals)

    def evidence(self, subject: Subject) -> Evidence | None:
        """Why, in our own words, or None."""
        return tuple(why for signal, why in subject.context.signals if signal in self.signals) or None


@dataclass(frozen=True, slots=True)
class Listed:
    """A host or an address stood on one of the operator's block lists."""

    def needs(self) -> frozenset[str] | None:
        """The feature."""
        return frozenset({"listed"})

    def evidence(self, subject: Subject) -> Evidence | None:
        """The values with their lists, or None."""
        return subject.context.listed[:3] or None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds; evidence of all that do."""

    of: tuple[Condition, ...]

    def needs(self) -> frozenset[str] | None:
        """Any part's needs, unless one is unknown."""
        needs = [c.needs() for c in self.of]
        known = [n for n in needs if n is not None]
        return frozenset().union(*known) if len(known) == len(needs) else ALWAYS

    def evidence(self, subject: Subject) -> Evidence | None:
        """The evidence of every part that holds."""
        found = [e for c in self.of if (e := c.evidence(subject)) is not None]
        return tuple(x for e in found for x in e) if found else None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    of: tuple[Condition, ...]

    def needs(self) -> frozenset[str] | None:
        """The narrowest part's needs: words before features."""
        known = [n for c in self.of if (n := c.needs()) is not None]
        return min(known, key=lambda n: (not all(x[1:2] == ":" for x in n), len(n)), default=ALWAYS)

    def evidence(self, subject: Subject) -> Evidence | None:
        """The evidence of all parts together."""
        out: Evidence = ()
        for condition in self.of:
            found = condition.evidence(subject)
            if found is None:
                return None
            out += found
        return out


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No condition holds. It has no evidence of its own."""

    of: tuple[Condition, ...]

    def needs(self) -> frozenset[str] | None:
        """Unknown: absence needs nothing."""
        return ALWAYS

    def evidence(self, subject: Subject) -> Evidence | None:
        """An empty tuple when nothing holds."""
        return None if any(c.evidence(subject) is not None for c in self.of) else ()


Condition = (
    AnyOf | AllOf | NoneOf | Phrases | SimilarTo | Pattern | CryptoAddress | WalletName | Link | ProfileField | Disguise | Unusual | Listed
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One accusation, as read from its file. `status` is live or shadow; drafts never get here."""

    id: str
    version: int
    title: str
    severity: Severity
    match: Condition
    status: str = "live"
    applies_to: tuple[str, ...] = ("post",)
    even_if_approved: bool = False
    why: str = ""
    do: str = ""


class _Words:
    """Many words or phrases looked for in one pass, with what each of them means."""

    def __init__(self, meaning: dict[str, list[str]]) -> None:
        self._hits = list(meaning.values())
        self._automaton = AhoCorasick(list(meaning)) if meaning else None

    def within(self, text: str) -> list[tuple[list[str], int, int]]:
        """(hits, start, end) of every occurrence, overlapping ones too."""
        found = self._automaton.find_matches_as_indexes(text, overlapping=True) if self._automaton else ()
        return [(self._hits[number], start, end) for number, start, end in found]


@dataclass
class Rules:
    """Compiled rules. `digest` names exactly this set; a verdict stores it."""

    rules: tuple[Rule, ...]
    digest: str = ""
    _always: list[Rule] = field(default_factory=list)
    _by_hit: dict[str, list[Rule]] = field(default_factory=dict)
    _begins: _Words | None = None
    _wholes: _Words | None = None
    _sentences: list[tuple[frozenset[str], str]] = field(default_factory=list)
    _patterns: tuple[Any, list[str]] = (None, [])

    def __post_init__(self) -> None:
        for rule in self.rules:
            needs = rule.match.needs()
            if needs is ALWAYS:
                self._always.append(rule)
            for need in needs or ():
                self._by_hit.setdefault(need, []).append(rule)
        begins: dict[str, list[str]] = {}
        wholes: dict[str, list[str]] = {}
        for similar in _of_type(self.rules, SimilarTo):
            self._sentences += [(frozenset(w for w in s.split(" ") if len(w) > 2), f"~:{s}") for s in similar.sentences]
        for phrases in _of_type(self.rules, Phrases):
            for phrase, regex in zip(phrases.phrases, phrases.regexes, strict=True):
                begins.setdefault(f" {' '.join(first_words(phrase))} ", []).append(f"s:{regex}")
                wholes.setdefault(_unbroken(phrase), []).append(f"s:{regex}")
        self._begins, self._wholes = _Words(begins), _Words(wholes)
        regexes = sorted({r for pattern in _of_type(self.rules, Pattern) for r in pattern.regexes})
        self._patterns = _compile_set(regexes), regexes

    def hits(self, subject: Subject) -> frozenset[str]:
        """Every regex that may and every feature that does occur: one pass over each text."""
        reading = subject.reading
        found: set[str] = set()
        if self._begins and self._wholes:
            for hits, _, _ in self._begins.within(f" {reading.words} "):
                found.update(hits)
            for hits, start, end in self._wholes.within(reading.unbroken):
                if start in reading.edges and end in reading.edges:
                    found.update(hits)
        if self._sentences:
            there = set(reading.words.split(" "))
            found.update(hit for sentence, hit in self._sentences if len(sentence & there) > 1)
        together, regexes = self._patterns
        if together:
            found.update([f"t:{regexes[i]}" for i in together.Match(subject.text) or ()])
            if reading.plain != subject.text:
                found.update([f"t:{regexes[i]}" for i in together.Match(reading.plain) or ()])
        found.update(_features(subject))
        return frozenset(found)

    def accuse(self, subject: Subject, about: str) -> tuple[Finding, ...]:
        """The findings on a subject whose `hits` are set; `about` is post or profile."""
        asked = {rule.id: rule for rule in self._always}
        for hit in subject.hits:
            asked.update((rule.id, rule) for rule in self._by_hit.get(hit, ()))
        found = [_ask(rule, subject) for rule in asked.values() if about in rule.applies_to]
        return tuple(sorted((f for f in found if f), key=lambda f: (-f.severity, f.rule)))


def _features(subject: Subject) -> list[str]:
    """What occurs beside words."""
    context, disguises = subject.context, subject.reading.disguises
    found = [f"link:{kind}" for _, place in subject.places for kind in link_kinds(place)] if subject.places else []
    if context.signals or disguises or subject.field or context.listed:
        found += [f"unusual:{signal}" for signal, _ in context.signals] + [f"disguise:{kind}" for kind, _ in disguises]
        found += [f"field:{subject.field}"] * bool(subject.field) + ["listed"] * bool(context.listed)
    if subject.addresses or subject.names:
        found += ["address"] * bool(subject.addresses) + ["name"] * bool(subject.names)
    return found


def alternatives(rule: Rule) -> tuple[str, ...]:
    """The phrases and patterns of a rule, in order."""
    words = [w for p in _of_type([rule], Phrases) for w in p.phrases] + [w for p in _of_type([rule], Pattern) for w in p.regexes]
    return tuple(dict.fromkeys(words))


def occurring(rule: Rule, subject: Subject) -> set[str]:
    """Those of them that occur in a subject whose `hits` are set."""
    found = set()
    for phrases in _of_type([rule], Phrases):
        pairs = zip(phrases.phrases, phrases.regexes, strict=True)
        found |= {p for p, r in pairs if f"s:{r}" in subject.hits and _said(p, r, subject.reading)}
    for pattern in _of_type([rule], Pattern):
        found |= {r for r in pattern.regexes if f"t:{r}" in subject.hits}
    return found


def _ask(rule: Rule, subject: Subject) -> Finding | None:
    """A rule that crashes accuses: a hostile post must not be able to switch a rule off."""
    try:
        evidence = rule.match.evidence(subject)
    except Exception as error:  # noqa: BLE001 - whatever it is, it fails toward the alarm
        crashed = f"the rule crashed on this text ({type(error).__name__})"
        return Finding(rule.id, rule.version, Severity.PAGE, rule.title, (crashed,), rule.why, rule.do)
    if evidence is None:
        return None
    shadow = rule.status == "shadow"
    return Finding(rule.id, rule.version, rule.severity, rule.title, tuple(dict.fromkeys(evidence))[:6], rule.why, rule.do, shadow)


def _of_type(rules: Iterable[Rule], kind: type[_T]) -> Iterator[_T]:
    """Every condition of one class, however deep it stands."""
    waiting: list[Condition] = [rule.match for rule in rules]
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, kind):
            yield condition
        if isinstance(condition, AnyOf | AllOf | NoneOf):
            waiting += condition.of


def _compile_set(regexes: list[str]) -> Any:
    """One automaton over all of them, or None when there are none.

    Raises ValueError when a pattern is not RE2's or the set is too large.
    """
    if not regexes:
        return None
    together = re2.Set.SearchSet(_options())
    for regex in regexes:
        try:
            together.Add(regex)
        except re2.error as error:
            raise ValueError(f"{regex!r} is not an RE2 pattern: {error}") from error
    together.Compile()
    return together

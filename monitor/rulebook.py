"""Reads and tests rules/: one YAML file a rule, its tests inside.

An error names the file, the key, what was found and the nearest known word. A set of rules is
taken whole or not at all.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from monitor.complaints import explain, nearest
from monitor.model import PROFILE_FIELDS, Company, Context, Severity, Signal
from monitor.verdict import examine
from monitor.verdict.rules import (
    AllOf,
    AnyOf,
    Condition,
    CryptoAddress,
    Disguise,
    Link,
    Listed,
    NoneOf,
    Pattern,
    Phrases,
    ProfileField,
    Rule,
    Rules,
    SimilarTo,
    Unusual,
    WalletName,
    phrase_regex,
)
from monitor.verdict.text import DISGUISES, skeleton

CONDITIONS = (
    "any", "all", "none", "rule", "phrases", "similar_to", "pattern", "crypto_address", "wallet_name", "link", "profile_field", "disguise",
    "unusual", "listed",
)  # fmt: skip
TEST_COMPANY = Company("Acme Exchange", ("acme.example",), ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT",), ("acme",))
LINKS = ("foreign", "lookalike", "shortener", "wrapped", "platform", "ours", "any")
_LISTS = ("phrases", "similar_to", "pattern", "profile_field", "unusual", "any")


class RuleError(ValueError):
    """A rule file that cannot be used; says where, what was found and what was expected."""


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class RuleTest(_Strict):
    """One example: a post's text or a profile's new value, and what the rule must say of it."""

    text: str
    field: str = ""
    links: list[str] = []
    unusual: list[Signal] = []
    listed: list[str] = []
    matches: bool
    severity: Literal["record", "notify", "page"] | None = None
    evidence: list[str] = []


class RuleFile(_Strict):
    """A rule as people write it."""

    id: str = pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    version: int = pydantic.Field(ge=1)
    title: str = pydantic.Field(min_length=3, max_length=80)
    status: Literal["draft", "shadow", "live"]
    severity: Literal["record", "notify", "page"]
    applies_to: list[Literal["post", "profile"]] = ["post"]
    even_if_approved: bool = False
    why: str = pydantic.Field(min_length=10)
    do: str = pydantic.Field(min_length=10)
    references: list[str] = []
    match: dict[str, Any]
    tests: list[RuleTest] = pydantic.Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Source:
    """A rule file, read: what people wrote, and the rule made of it."""

    path: Path
    file: RuleFile
    rule: Rule
    known: Mapping[str, Condition]  # rules it may refer to


@dataclass(frozen=True)
class Rulebook:
    """All rules that were read, and those that judge, compiled."""

    sources: tuple[Source, ...]
    rules: Rules

    @functools.cached_property
    def failures(self) -> tuple[str, ...]:
        """What the tests inside the rules say is wrong; empty when every rule keeps its word."""
        return tuple(wrong for source in self.sources for wrong in failures(source))


def packaged_rules() -> Path:
    """The folder of the rules we ship: in the wheel beside the modules, else in the checkout."""
    inside = Path(__file__).parent / "_rules"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "rules"


def load(folders: list[Path]) -> Rulebook:
    """Read every `*.yaml` of the packaged rules and of `folders`.

    Raises RuleError for the first file that cannot be used, naming the key in it.
    """
    files: dict[Path, bytes] = {}
    for folder in [packaged_rules(), *folders]:
        if not folder.is_dir():
            raise RuleError(f"{folder}: not a folder; `rules` in [monitor] must list folders of *.yaml files")
        for path in sorted(folder.glob("*.y*ml")):
            files[path] = _bytes(path)
    return _made_of(tuple(files.items()))


@functools.lru_cache(maxsize=2)
def _made_of(files: tuple[tuple[Path, bytes], ...]) -> Rulebook:
    """The same files make the same rules: a reload after which none of them differs costs nothing."""
    sources = parse_all({path: _yaml(path, content) for path, content in files})
    active = tuple(s.rule for s in sources if s.rule.status != "draft")
    return Rulebook(sources, Rules(active, hashlib.sha256(b"".join(content for _, content in files)).hexdigest()))


def parse_all(files: Mapping[Path, dict[str, Any]]) -> tuple[Source, ...]:
    """Rules from what YAML gave, in the order given; one may refer to another that refers to none. Raises RuleError."""
    sources: dict[Path, Source] = {}
    paths: dict[str, Path] = {}
    known: dict[str, Condition] = {}
    for path, data in sorted(files.items(), key=lambda item: _refers(item[1])):
        source = parse(data, path, known)
        if source.rule.id in paths:
            raise RuleError(f"{path}: id: {source.rule.id!r} is already the id of {paths[source.rule.id]}; choose another")
        sources[path], paths[source.rule.id] = source, path
        if not _refers(data):
            known[source.rule.id] = source.rule.match
    return tuple(sources[path] for path in files)


def _refers(data: Any) -> bool:
    """Whether a condition in here is `rule:`."""
    if isinstance(data, dict):
        return any(key == "rule" or _refers(value) for key, value in data.items() if key != "tests")
    return isinstance(data, list) and any(map(_refers, data))


def read(path: Path) -> Source:
    """One rule file that refers to no other. Raises RuleError."""
    return parse(_yaml(path, _bytes(path)), path, {})


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RuleError(f"{path}: cannot be read: {error}") from error


def _yaml(path: Path, content: bytes) -> dict[str, Any]:
    try:
        data = YAML(typ="safe").load(content.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RuleError(f"{path}: found {type(data).__name__}, expected keys like id, title, match, tests")
    return data


def parse(data: dict[str, Any], path: Path, known: Mapping[str, Condition]) -> Source:
    """A rule from what YAML gave; `known` are the rules it may refer to. Raises RuleError."""
    try:
        file = RuleFile.model_validate(data)
    except pydantic.ValidationError as error:
        raise RuleError(f"{path}: {explain(error, RuleFile)}") from error
    try:
        condition = _condition(file.match, "match", known)
    except ValueError as error:
        raise RuleError(f"{path}: {error}") from error
    rule = Rule(
        file.id, file.version, file.title, Severity[file.severity.upper()], condition, file.status,
        tuple(file.applies_to), file.even_if_approved, file.why, file.do,
    )  # fmt: skip
    if rule.severity is not Severity.RECORD and {t.matches for t in file.tests} != {True, False}:
        raise RuleError(f"{path}: tests: at least one must match and at least one must stay silent")
    return Source(path, file, rule, known)


def _condition(data: Any, where: str, known: Mapping[str, Condition]) -> Condition:
    """A mapping of conditions; several keys mean all of them."""
    if not isinstance(data, dict) or not data:
        raise ValueError(f"{where}: found {data!r:.60}, expected one of: {', '.join(CONDITIONS)}")
    # In order of their names: a rule read back from the store has its keys in another order and must say the same.
    parts = [_one(str(key), value, f"{where}.{key}", known) for key, value in sorted(data.items())]
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _one(key: str, value: Any, where: str, known: Mapping[str, Condition]) -> Condition:
    if key in _COMBINING:
        if not isinstance(value, list) or not value:
            raise ValueError(f"{where}: found {value!r:.60}, expected a list of conditions")
        return _COMBINING[key](tuple(_condition(item, f"{where}[{number}]", known) for number, item in enumerate(value)))
    if key == "rule":
        if value not in known:
            raise ValueError(
                f"{where}: found {value!r:.60}{nearest(str(value), known)}; a rule that refers to others cannot be referred to"
            )
        return known[value]
    if key not in _READERS:
        raise ValueError(f"{where}: unknown condition{nearest(key, CONDITIONS)}")
    return _READERS[key](value, where)


def _listed(_any: str) -> Condition:
    return Listed()


_COMBINING: dict[str, Callable[[tuple[Condition, ...]], Condition]] = {"any": AnyOf, "all": AllOf, "none": NoneOf}
_READERS: dict[str, Callable[[Any, str], Condition]] = {
    "phrases": lambda value, where: _phrases(_words(value, where), where),
    "pattern": lambda value, where: _pattern(_words(value, where), where),
    "similar_to": lambda value, where: SimilarTo(tuple(skeleton(w) for w in _words(value, where))),
    "crypto_address": lambda value, where: CryptoAddress(_choice(value, ("foreign", "any"), where)),
    "wallet_name": lambda value, where: WalletName(_choice(value, ("foreign", "any"), where)),
    "link": lambda value, where: Link(_choice(value, LINKS, where)),
    "disguise": lambda value, where: Disguise(_choice(value, DISGUISES, where)),
    "listed": lambda value, where: _listed(_choice(value, ("any",), where)),
    "unusual": lambda value, where: Unusual(tuple(_choice(w, tuple(Signal), where) for w in _words(value, where))),
    "profile_field": lambda value, where: ProfileField(tuple(_choice(w, PROFILE_FIELDS, where) for w in _words(value, where))),
}


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValueError(f"{where}: found {value!r:.60}, expected a list of texts (quote numbers)")
    return tuple(value)


def _phrases(words: tuple[str, ...], where: str) -> Phrases:
    return Phrases(words, tuple(_phrase(w, where) for w in words))


def _phrase(phrase: str, where: str) -> str:
    if any(not skeleton(part) for part in phrase.split("*")):
        raise ValueError(f"{where}: {phrase!r} has no word left once folded; write words, `*` only between them")
    return phrase_regex(phrase)


def _pattern(regexes: tuple[str, ...], where: str) -> Pattern:
    pattern = Pattern(regexes)
    try:
        Rules((Rule("probe", 1, "probe", Severity.PAGE, pattern),))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return pattern


def _choice(value: Any, known: Sequence[str], where: str) -> str:
    if value not in known:
        raise ValueError(f"{where}: found {value!r:.60}{nearest(str(value), known)}")
    return str(value)


# --- tests inside the rules ----------------------------------------------------------------------


def failures(source: Source) -> list[str]:
    """What the rule's own tests say is wrong; empty when it keeps its word."""
    return list(_failing(source))


def _failing(source: Source) -> Iterator[str]:
    rules = Rules((source.rule,))
    return (f"{source.path}: tests[{n}]: {wrong}" for n, t in enumerate(source.file.tests) if (wrong := _fails(t, rules)))


def _fails(test: RuleTest, rules: Rules) -> str:
    about = "profile" if test.field else "post"
    context = Context(tuple((signal, signal.value) for signal in test.unusual), tuple(test.listed))
    subject = examine(test.text, tuple(test.links), TEST_COMPANY, rules, test.field, context)
    found = rules.accuse(subject, about)
    if bool(found) != test.matches:
        return f"{test.text!r:.80} {'stays silent' if test.matches else f'matches: {found[0].evidence}'}"
    if not found:
        return ""
    if test.severity and found[0].severity.word != test.severity:
        return f"{test.text!r:.80}: severity is {found[0].severity.word}, expected {test.severity}"
    missing = [e for e in test.evidence if not any(skeleton(e) in skeleton(x) for x in found[0].evidence)]
    return f"{test.text!r:.80}: evidence {found[0].evidence} lacks {missing}" if missing else ""


def unneeded(source: Source) -> list[str]:
    """The listed alternatives that no test would miss: each is deleted in turn."""
    data = source.file.model_dump()
    out = []
    for path in list(_alternatives(data["match"])):
        thinner = data | {"match": copy.deepcopy(data["match"])}
        holder = thinner["match"]
        for step in path[:-1]:
            holder = holder[step]
        deleted = holder.pop(path[-1])
        if holder and not any(_failing(parse(thinner, source.path, source.known))):
            out.append(f"{source.path}: match.{'.'.join(map(str, path))}: no test needs {deleted!r:.60}")
    return out


def _alternatives(data: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """The place of every item of every list of alternatives below `data`."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in (*_LISTS, "all", "none") and isinstance(value, list):
                yield from ((*path, key, n) for n in range(len(value)))
            yield from _alternatives(value, (*path, key))
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _alternatives(value, (*path, number))

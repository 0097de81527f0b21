"""Rules carry their tests; the loader explains what is wrong; a crash accuses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor import rulebook
from monitor.model import Severity
from monitor.rulebook import RuleError
from monitor.verdict import examine
from monitor.verdict.rules import Rule, Rules, Subject

BOOK = rulebook.load([])
GOOD = """
id: test-rule
version: 1
title: A rule for tests
status: live
severity: page
why: Because tests need one.
do: Nothing, it is a test.
match:
  phrases: [buy now]
tests:
  - {text: buy now, matches: true}
  - {text: buy later, matches: false}
"""


@pytest.mark.parametrize("source", BOOK.sources, ids=lambda s: s.rule.id)
def test_a_packaged_rule_keeps_its_own_word(source: rulebook.Source) -> None:
    assert rulebook.failures(source) == []


@pytest.mark.parametrize("source", BOOK.sources, ids=lambda s: s.rule.id)
def test_every_listed_alternative_is_needed_by_a_test(source: rulebook.Source) -> None:
    assert rulebook.unneeded(source) == []


def test_the_pack_holds_the_rules_we_promise() -> None:
    live = {s.rule.id for s in BOOK.sources if s.file.status == "live"}
    assert len(live) >= 10
    assert live >= {
        "giveaway-doubling", "foreign-wallet", "panic-withdrawal", "fake-airdrop", "fake-token", "seed-phrase",
        "foreign-link-urgency", "lookalike-domain", "taunt", "profile-identity",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("severity: page", "severity: loud"), "severity: found 'loud', expected"),
        (("title:", "titel:"), "titel: unknown key; did you mean 'title'?"),
        (("phrases:", "phrase:"), "match.phrase: unknown condition; did you mean 'phrases'?"),
        (("phrases: [buy now]", "pattern: ['(']"), "match.pattern: '(' is not an RE2 pattern"),
        (("phrases: [buy now]", "pattern: ['a(?=b)']"), "is not an RE2 pattern"),
        (("phrases: [buy now]", "phrases: buy now"), "match.phrases: found 'buy now', expected a list of texts"),
        (("phrases: [buy now]", "phrases: ['!!']"), "has no word left once folded"),
        (("phrases: [buy now]", "link: foriegn"), "match.link: found 'foriegn'; did you mean 'foreign'?"),
        (("phrases: [buy now]", "profile_field: [nmae]"), "did you mean 'name'?"),
        (("matches: false", "matches: true"), "at least one must stay silent"),
        (("id: test-rule", "id: Test Rule"), "id: found 'Test Rule'"),
        (("status: live", "status: on"), "status: found 'on'"),
        (("tests:", "tests: ["), "cannot be read as YAML"),
    ],
)
def test_the_loader_names_file_key_and_the_nearest_known_word(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(RuleError) as raised:
        rulebook.load([tmp_path])
    assert str(raised.value).startswith(str(path))
    assert complaint in str(raised.value)


def test_two_rules_cannot_share_an_id(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("test-rule", "taunt"))
    with pytest.raises(RuleError, match="is already the id of"):
        rulebook.load([tmp_path])


def test_on_and_no_are_words_and_not_booleans(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("[buy now]", "[buy now, on and off, no]") + "  - {text: no, matches: true}\n")
    assert rulebook.load([tmp_path]).sources[-1].rule.match.needs()


def test_an_alternative_that_no_test_needs_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("[buy now]", "[buy now, never tested]"))
    assert "no test needs 'never tested'" in rulebook.unneeded(rulebook.load([tmp_path]).sources[-1])[0]


@dataclass(frozen=True)
class Crashing:
    """A condition with a bug."""

    def needs(self) -> None:
        return None

    def evidence(self, subject: Subject) -> tuple[str, ...]:
        raise ZeroDivisionError(subject.text)


def test_a_rule_that_crashes_accuses_and_the_others_still_speak() -> None:
    broken = Rule("broken", 1, "A broken rule", Severity.RECORD, Crashing())  # type: ignore[arg-type]
    rules = Rules((broken, *(s.rule for s in BOOK.sources)))
    found = rules.accuse(examine("Take your BTC and run", (), rulebook.TEST_COMPANY, rules), "post")
    assert {f.rule: f.severity for f in found} == {"broken": Severity.PAGE, "panic-withdrawal": Severity.PAGE}
    assert "ZeroDivisionError" in next(f for f in found if f.rule == "broken").evidence[0]


def test_a_shadow_rule_records_and_accuses_nobody() -> None:
    shadow = [s.rule for s in BOOK.sources if s.rule.id == "taunt"]
    rules = Rules(tuple(Rule(r.id, r.version, r.title, r.severity, r.match, "shadow") for r in shadow))
    (finding,) = rules.accuse(examine("Hacked by Zed", (), rulebook.TEST_COMPANY, rules), "post")
    assert finding.shadow

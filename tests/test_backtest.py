"""What a rule would have done, and which words of the rules ever occurred."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor import backtest, counters, rulebook
from monitor.model import Company
from tests import older
from tests.conftest import World, world
from tests.test_cli import run_in
from tests.verdict.test_rules import GOOD

NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def lived(w: World) -> None:
    for text in ("Take your BTC and run", "We open at nine.", "Buy now, dear friends", "Buy now again"):
        w.x.post("acme", text)
        await w.run(2)


def rule(folder: Path, status: str = "draft") -> rulebook.Source:
    (folder / "mine").mkdir()
    (folder / "mine" / "mine.yaml").write_text(
        GOOD.replace("status: live", f"status: {status}").replace("[buy now]", "[buy now, buy later today]")
    )
    return rulebook.load([folder / "mine"]).sources[-1]


async def test_a_draft_is_tried_on_everything_stored_before_it_wakes_anybody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await lived(w)
        draft = rule(tmp_path)
        looked = list(backtest.replay(w.service.store, draft, w.config.company, w.clock() - timedelta(days=1)))
        assert len(looked) == 5  # the baseline post is stored too
        assert [f.evidence for _, f in looked if f] == [("buy now",), ("buy now",)]
        later = list(backtest.replay(w.service.store, draft, w.config.company, w.clock() - timedelta(seconds=3)))
        assert [bool(f) for _, f in later] == [True]


async def test_coverage_names_what_fired_and_the_words_that_never_occurred(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await lived(w)
        sources, store, day = (*rulebook.load([]).sources, rule(tmp_path, "shadow")), w.service.store, w.clock() - timedelta(days=1)
        found = {c.rule: c for c in backtest.with_words(backtest.coverage(store, sources, day), store, sources, w.config.company, day)}
        panic = found["panic-withdrawal"]
        assert (panic.fired, panic.last) == (1, "2026-11-21")
        assert "take your * and run" not in panic.silent
        assert "we are insolvent" in panic.silent
        assert (found["test-rule"].fired, found["test-rule"].last) == (0, "")  # it did not judge then; its words occurred all the same
        assert found["test-rule"].silent == ("buy later today",)


async def test_coverage_is_counted_by_day_and_outlives_the_posts(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        sources, store, first = rulebook.load([]).sources, w.service.store, w.clock()

        def fired(since: datetime) -> tuple[int, str]:
            return next((c.fired, c.last) for c in backtest.coverage(store, sources, since) if c.rule == "panic-withdrawal")

        await lived(w)
        w.clock.move(2 * 86_400)
        await lived(w)
        await w.service.begin_drill("alice")
        await w.run(30)
        assert fired(first) == (2, "2026-11-23")
        assert fired(w.clock()) == (1, "2026-11-23")
        assert fired(w.clock() + timedelta(days=1)) == (0, "")
        counted = store.sql.execute("SELECT * FROM counted WHERE what = 'rule' ORDER BY 1, 3").fetchall()
        assert {row["label"]: sum(r["n"] for r in counted if r["label"] == row["label"]) for row in counted} == store.hits.by_rule()
        store.sql.execute("DELETE FROM counted WHERE what = 'rule'")
        older.unpack(store.sql)
        store.sql.execute("UPDATE posts SET verdict = 'damaged' WHERE baseline = 1")
        store.sql.executescript(counters.RULES_BY_DAY)
        assert store.sql.execute("SELECT * FROM counted WHERE what = 'rule' ORDER BY 1, 3").fetchall() == counted, "as an upgrade counts"
        store.sql.execute("DELETE FROM posts")
        assert fired(first) == (2, "2026-11-23"), "what was removed stays counted"


async def test_a_thousand_posts_of_one_moment_are_all_looked_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        draft = rule(tmp_path)
        for number in range(2_300):
            w.service.store.sql.execute(
                "INSERT INTO posts(account, id, version, kind, created_at, seen_at, severity, baseline, packed, rules, post, verdict, rulebook)"
                " SELECT account, ?, version, kind, CASE WHEN ? < 1500 THEN created_at ELSE ? END, seen_at, severity, baseline, packed, rules,"
                " post, verdict, rulebook FROM posts WHERE baseline = 1 LIMIT 1",
                [f"x{number}", number, f"2026-11-21T04:00:{number % 60:02d}.000000+00:00"],
            )
        looked = list(backtest.replay(w.service.store, draft, Company("Acme"), datetime(2026, 1, 1, tzinfo=UTC)))
        stored = w.service.store.sql.execute("SELECT count(*) FROM posts").fetchone()[0]
        assert len(looked) == stored == 2_301


@pytest.mark.parametrize(("text", "ago"), [("30d", timedelta(days=30)), ("12h", timedelta(hours=12)), ("2w", timedelta(days=14))])
def test_since_is_an_age_or_a_date(text: str, ago: timedelta) -> None:
    assert backtest.since(text, NOW) == NOW - ago
    assert backtest.since("2026-11-01", NOW) == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="expected 30d, 12h, 2w or a date"):
        backtest.since("yesterday", NOW)


def test_the_commands_say_it_in_a_table_and_in_json(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    assert "0 of 0 stored posts" in run("rules", "replay", "panic-withdrawal", "--since", "7d").output
    assert json.loads(run("rules", "replay", "panic-withdrawal", "--json").output) == []
    covered = json.loads(run("rules", "coverage", "--json").output)
    assert {c["fired"] for c in covered} == {0}
    assert "never occurred" not in covered[0]
    assert all(c["never occurred"] for c in json.loads(run("rules", "coverage", "--words", "--json").output) if c["words"])
    assert "did you mean 'panic-withdrawal'" in run("rules", "replay", "panic-withdrawel").output
    assert run("rules", "coverage", "--since", "ever").exit_code == 2

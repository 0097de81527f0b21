"""What a database costs that grows for years: no statement of judging, paging, `status`, lists or metrics reads a whole table of it.

Every test watches every statement that it makes the product run, see `scans`; here it is made sure that each of these is run by one.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest

from monitor import metrics
from monitor.cli import main
from monitor.model import Human
from monitor.store import Store
from tests import scans
from tests.conftest import World, world

MONITOR = Path(__file__).parent.parent / "monitor"


def plan_of(store: Store, statement: str) -> list[str]:
    return [row[3] for row in store.sql.execute(f"EXPLAIN QUERY PLAN {statement}", [1] * statement.count("?")).fetchall()]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM posts",
        "SELECT count(*) FROM posts WHERE kind = 'reply'",
        "SELECT * FROM posts p WHERE p.account = ? ORDER BY p.seen_at DESC LIMIT 1",
        "SELECT * FROM pages WHERE state IN ('ready', 'sending', 'unknown') ORDER BY id",
        "SELECT 1 FROM incidents i, pages WHERE pages.incident = i.id",
        "UPDATE pages SET state = 'dead' WHERE route = ?",
        "DELETE FROM audit WHERE at < ?",
        "SELECT * FROM approved WHERE id > ?",
        "SELECT (SELECT max(sent_at) FROM pages)",
    ],
)
def test_a_statement_that_reads_a_whole_table_is_found(tmp_path: Path, statement: str) -> None:
    store = Store(tmp_path / "monitor.db")
    assert scans.scans(statement, plan_of(store, statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM posts WHERE account = ? AND id = ?",
        "SELECT * FROM pages WHERE state IN ('ready', 'sending', 'unknown') ORDER BY +id",
        "WITH few(id) AS (SELECT ?) SELECT * FROM pages p JOIN few ON p.id = few.id",
        "SELECT * FROM accounts",
        "SELECT count(*) FROM posts WHERE account = ? AND created_at > ?",
    ],
)
def test_one_that_finds_what_it_needs_is_not(tmp_path: Path, statement: str) -> None:
    store = Store(tmp_path / "monitor.db")
    assert scans.scans(statement, plan_of(store, statement)) == []


# --- every statement is run by a test that watches it ---------------------------------------------------

BY_OTHERS = {  # functions whose statements other tests run, where `scans` watches them too
    "control of transactions and the connection": "store.Store._begin store.Store._wait store.Store.transaction store.Store.savepoint store.Store.malformed chain.at_once",
    "by a condition of whoever asks, where it is watched": "store.Store.posts store.Store.ids",
    "test_announcements": """announcements.Announcements.again announcements.Announcements.members announcements.Announcements.tells_of
        announcements.Announcements.untold announcements.act registrations.Registrations.act_of registrations.Registrations.confirm registrations.Registrations.get
        registrations.Registrations.withdraw store.Store.is_announcement""",
    "test_import": """registrations.Registrations.belongs registrations.Registrations.first registrations.Registrations.named
        registrations.Registrations.sources registrations.Registrations.thread registrations.Registrations.to_come registrations.Registrations.withdrawn""",
    "test_approvals": "approvals._votes registrations.Registrations.knows",
    "test_cli": "preflight._say_cost registrations.Registrations.count registrations.Registrations.next lists.count_baseline lists.count_incidents desk.redo_baseline drill.begin",
    "test_slack_app, test_slack_thread": """notifiers.slack.app.SlackApp._save_plan pages.Pages.count pages.Pages.named pages.Pages.proven pages.Pages.receipts
        store.Store.receive store.Store.done""",
    "test_pager, test_escalation": """pages.Pages._is_known pages.Pages.begins pages.Pages.forget_thread pages.Pages.handed_on pages.Pages.is_opening
        pages.Pages.is_there pages.Pages.took""",
    "test_silences": "silences.begin silences.confirm store.Store.end_silence store.Store.silence store.Store.silenced",
    "test_stories": """context.answered store.Store.deleted store.Store.is_replaced store.Store.tell_of store.Store.read_failed store.Store.tried
        store.Store._version selfcheck.SelfCheck._contents shown_again.is_older observed.Observed._keep""",
    "test_selfcheck, test_streams": "standing._last_canary standing.tell store.Store.comes_again hearing.Hearing._noticed",
    "test_versions": "versions._older versions.forget versions.notice",
    "test_vision": "store.Store.keep_words",
    "a backup and a restore, on connections of their own": "chain.repeats",
    "test_restore, test_after_restore": "first_sight.FirstSight._take pages.Pages.arrived pages.Pages.never_sent",
    "test_forget": "chain.bare chain.details chain.places pages.Pages.redact post_rows.redact",
    "test_sealed": "chain.count chain.newest chain.seal chain.stands sealed.about sealed.is_listed sealed.put",
    "test_bad_rows": "registrations.Registrations.change",
    "test_kept_rules": "kept_rules.every",
    "test_answers": "answers.Repacking._slice answers.get",
    "an upgrade, which stories begin without": "counters.create counters._fill",
    "tests, which look at all of a few": "store.Store.incidents",
}


def functions_with_statements(module: str) -> Iterator[str]:
    """By their names as `scans` writes them."""
    path = MONITOR.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse((path if path.exists() else path.with_suffix("") / "__init__.py").read_text(encoding="utf-8"))

    def within(node: ast.AST, name: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = f"{name}.{child.name}" if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else name
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr in ("execute", "executemany"):
                yield name
            yield from within(child, inner)

    return within(tree, module)


async def a_night(w: World) -> None:
    """A planned post, a hijack that nobody takes at first, a reply, an acknowledgement, a resolution, and it comes again."""
    w.register("Fees fall on Monday.")
    planned = w.x.post("acme", "Fees fall on Monday.")
    await w.run(3)
    w.x.post("acme", "Send 1 BTC and get double back")
    await w.run(700)
    w.x.post("acme", "It is all true", referenced_tweets=[{"type": "replied_to", "id": planned}])
    await w.run(60)
    act(w, "acknowledge")
    await w.run(60)
    act(w, "resolve")
    w.x.post("acme", "Here we are again")
    await w.run(60)


def act(w: World, verb: str) -> None:
    with w.service.store.transaction():
        assert not w.service.outbox.act(1, Human(verb, "alice", "a test", w.clock(), cause="hijack"))


async def test_the_statements_of_judging_paging_status_lists_and_metrics_are_watched(tmp_path: Path) -> None:
    scans.reached.clear()
    async with world(tmp_path) as w:
        await a_night(w)
        scrape(w)
        commands = (
            ["status"],
            ["incidents", "list", "--limit", "1"],
            ["posts", "list"],
            ["rules", "coverage"],
            ["accounts", "baseline"],
            ["incidents", "show", "1"],
        )
        for command in commands:
            said = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(tmp_path / "hijack-monitor.toml"), *command])
            assert said.exit_code in (0, 1), said.output
            assert not said.exception or isinstance(said.exception, SystemExit), said.output
    modules = (p.relative_to(MONITOR).with_suffix("").as_posix().replace("/", ".") for p in MONITOR.rglob("*.py"))
    every = {name for module in modules if module.split(".")[0] not in scans.OTHER_WORK for name in functions_with_statements(module)}
    by_others = {name for names in BY_OTHERS.values() for name in names.split()}
    assert sorted(every - scans.reached - by_others) == [], "let this story run its statements, or say here which test does"
    assert sorted(by_others - every) == [], "they are gone"


def scrape(w: World) -> str:
    registry = CollectorRegistry()
    registry.register(metrics.Figures(w.service.store, w.clock, w.service.check, w.service.reads))
    return generate_latest(registry).decode()

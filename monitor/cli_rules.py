"""`hijack-monitor rules`: what explains a page, and how it would have done."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from monitor.command import as_json, configured, open_store, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from monitor.config import Config
    from monitor.model import Finding
    from monitor.post_rows import Kept
    from monitor.rulebook import Source


@click.group()
def rules() -> None:
    """What explains a page, and accuses even approved posts."""


@rules.command("list")
@as_json
@configured
def list_rules(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Every rule."""
    from monitor import assembly, show

    columns = ("id", "version", "status", "severity", "even_if_approved", "title")
    show.listing(
        as_json, "Rules", columns, assembly.load_rules(config).sources,
        lambda s: (s.file.id, s.file.version, s.file.status, s.file.severity, s.file.even_if_approved, s.file.title),
    )  # fmt: skip


def _named(config: Config, rule: str) -> Source:
    from monitor import assembly, desk

    sources = assembly.load_rules(config).sources
    for source in sources:
        if source.file.id == rule:
            return source
    from monitor.complaints import nearest

    raise desk.DeskError(f"there is no rule {rule!r}{nearest(rule, [s.file.id for s in sources])}")


@rules.command("show")
@click.argument("rule")
@as_json
@configured
def show_rule(config: Config, rule: str, as_json: bool) -> None:  # noqa: FBT001
    """One rule: why, what to do, and the file."""
    import json

    source = _named(config, rule)
    click.echo(json.dumps(source.file.model_dump(), ensure_ascii=False, indent=1) if as_json else source.path.read_text(encoding="utf-8"))


@rules.command("test")
@configured
def test_rules(config: Config) -> None:
    """Run every rule's tests, then delete every alternative in turn: some test must notice."""
    from monitor import preflight

    sys.exit(preflight.test_rules(config))


@rules.command()
@click.argument("rule")
@click.option("--since", "start", default="30d", show_default=True, help="30d, 12h, 2w or a date.")
@as_json
@configured
def replay(config: Config, rule: str, start: str, as_json: bool) -> None:  # noqa: FBT001
    """What a rule, live or not, would have done to everything stored."""
    from monitor import backtest, show

    source, store, now = _named(config, rule), open_store(config), utc_now()
    seen = Counter[str]()

    def found() -> Iterator[tuple[Kept, Finding]]:
        for kept, finding in backtest.replay(store, source, config.company, _since(start)):
            seen["looked"] += 1
            if finding:
                seen["found"] += 1
                seen["new"] += kept.verdict.severity < finding.severity
                yield kept, finding

    columns = ("when", "account", "post", "rule says", "was", "incident", "evidence")
    show.listing(
        as_json, f"{rule} since {backtest.since(start, now):%Y-%m-%d}", columns, found(),
        lambda f: (show.when(f[0].post.created_at), f[0].post.account, f[0].post.id, f[1].severity.word, f[0].verdict.severity.word,
                   f[0].incident or "", ", ".join(f[1].evidence)[:120]),
    )  # fmt: skip
    if not as_json:
        click.echo(f"{seen['found']} of {seen['looked']} stored posts; louder than what was decided then: {seen['new']}")


@rules.command()
@click.option("--since", "start", default="90d", show_default=True, help="30d, 12h, 2w or a date; whole UTC days count.")
@click.option("--words", is_flag=True, help="Also which of their words never occurred: reads every stored post since then.")
@as_json
@configured
def coverage(config: Config, start: str, words: bool, as_json: bool) -> None:  # noqa: FBT001
    """Which rules ever fired, and which of their words never occurred."""
    from monitor import backtest, rulebook, show

    folders = [config.path.parent / folder for folder in config.file.monitor.rules]
    store, sources, since = open_store(config), rulebook.load(folders).sources, _since(start)
    found = backtest.coverage(store, sources, since)
    columns: tuple[str, ...] = ("rule", "status", "fired", "last")
    if words:
        found, columns = backtest.with_words(found, store, sources, config.company, since), (*columns, "words", "never occurred")
    show.listing(
        as_json, "Rules that fired", columns, found,
        lambda c: (c.rule, c.status, c.fired, c.last or "never", c.words,
                   c.silent if as_json else f"{len(c.silent)}: {', '.join(c.silent[:4])}" if c.silent else "")[: len(columns)],
    )  # fmt: skip


def _since(text: str) -> datetime:
    from monitor import backtest

    try:
        return backtest.since(text, utc_now())
    except ValueError as error:
        raise click.UsageError(str(error)) from error

"""The commands. Imports are lazy, so that `--help` answers at once.

Exit codes: 0 good, 1 found something or refused, 2 usage or configuration.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.planning import Plan, Reading
    from monitor.store import Store


class App(click.Group):
    """Turns our errors into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except Exception as error:
            code = _exit_code(error)
            if code is None:
                raise
            click.echo(f"error: {error}", err=True)
            ctx.exit(code)


def _exit_code(error: Exception) -> int | None:
    """2 for what the user must mend in files or words, 1 for what was refused, None for our bugs."""
    import sqlite3

    from monitor.config import ConfigError
    from monitor.desk import DeskError
    from monitor.planning import PlanError
    from monitor.rulebook import RuleError

    if isinstance(error, ConfigError | RuleError | PlanError):
        return 2
    return 1 if isinstance(error, DeskError | sqlite3.Error | OSError) else None


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_path", metavar="FILE", help="Configuration; else $HIJACK_MONITOR_CONFIG, else /etc/hijack-monitor/hijack-monitor.toml.")
@click.version_option(package_name="hijack-monitor")
@click.pass_context
def main(ctx: click.Context, config_path: str | None) -> None:
    """Wakes on-call when one of our official accounts says something nobody planned to say."""
    ctx.obj = config_path


def configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the configuration."""

    @click.pass_context
    @wraps(function)
    def wrapped(ctx: click.Context, *args: Any, **kwargs: Any) -> Any:
        from monitor import config

        return function(config.load(config.find(ctx.obj)), *args, **kwargs)

    return wrapped


as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
acting = click.option("--as", "who", metavar="NAME", help="Who does this; recorded. Default: the user logged in.")


def _store(config: Config) -> Store:
    from monitor.store import Store

    return Store(config.database)


def _now() -> datetime:
    return datetime.now(UTC)


def _who(given: str | None) -> str:
    return given or os.environ.get("SUDO_USER") or getpass.getuser()


# --- the daemon ------------------------------------------------------------------------------------


@main.command()
@configured
def run(config: Config) -> None:
    """Watch until told to stop (SIGTERM). SIGHUP reloads the rules."""
    import asyncio

    from monitor import journal, service
    from monitor.config import secrets

    journal.set_up()
    sys.exit(asyncio.run(service.run(config, secrets())))


@main.command()
@click.option("--live", is_flag=True, help="Also ask X and Slack whether they take the tokens.")
@configured
def check(config: Config, live: bool) -> None:  # noqa: FBT001 - the flag is the user's
    """Load everything, run every rule's tests, say what would page whom."""
    from monitor import preflight

    preflight.check(config, live=live)


@main.command()
@click.option("--story", default="bitmex-night", show_default=True, help="One of the stories, or a file.")
@click.option("--keep", is_flag=True, help="Stay up afterwards, with the channel page to look at.")
@click.option("--svg", metavar="FILE", help="Also record the terminal as a picture.")
def demo(story: str, keep: bool, svg: str | None) -> None:  # noqa: FBT001 - the flag is the user's
    """A hijack, caught: the real daemon against X and Slack stand-ins on this machine."""
    from monitor.simulator import demo as play

    sys.exit(play.main(story, keep=keep, svg=svg))


@main.command()
@click.option("--wait", default=300, show_default=True, help="Seconds to wait for the acknowledgement.")
@acting
@configured
def drill(config: Config, wait: int, who: str | None) -> None:
    """Page on-call with a marked drill through the running daemon, and wait for the acknowledgement."""
    from monitor import preflight

    sys.exit(preflight.drill(_store(config), config, _who(who), wait))


@main.command()
@as_json
@configured
def status(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """What is watched, last read, lag, open incidents, undelivered pages. Exit 1 if anything is wrong."""
    import json

    from monitor import show

    found = show.standing(_store(config), config, _now())
    if as_json:
        click.echo(json.dumps({"accounts": found.lines, "wrong": found.wrong}, ensure_ascii=False, indent=1))
    else:
        columns = ("account", "handle", "last_read", "lag", "error")
        show.table("Accounts", columns, [[line[c] for c in columns] for line in found.lines])
        for line in found.wrong or ["all is well"]:
            from monitor import safe

            click.echo(safe.for_terminal(line))
    sys.exit(1 if found.wrong else 0)


@main.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--rules-only", is_flag=True, help="Leave the queue out.")
@configured
def judge(config: Config, file: str, rules_only: bool) -> None:  # noqa: FBT001
    """Judge posts from JSON lines (- for standard input); a verdict a line. Exit 1 if one would page."""
    from monitor import preflight

    sys.exit(preflight.judge_file(config, file, rules_only=rules_only))


# --- registrations ---------------------------------------------------------------------------------


@main.group()
def posts() -> None:
    """Register what is planned: a registered post goes by in silence."""


def _reading(config: Config, account: str | None, zone: str | None, dates: str = "") -> Reading:
    from monitor import planning

    store = _store(config)
    accounts = [config.account(t, t.id or store.pinned(t.platform, t.handle) or "") for t in config.file.accounts]
    known = tuple(a for a in accounts if a.id or a.platform == "replay")
    if not known:
        raise click.ClickException("no account's id is known yet: start the monitor once, or give `id` in [[accounts]]")
    return planning.Reading(known, account or "", planning.zone_named(zone) if zone else None, dates)


@posts.command()
@click.argument("text", required=False)
@click.option("--file", type=click.Path(dir_okay=False), help="Read the text from a file (- for standard input).")
@click.option("--account", help="Handle; not needed when only one is watched.")
@click.option("--kind", default="post", show_default=True, help="post, reply, quote or repost.")
@click.option("--profile", "field", help="A profile field instead of a post; TEXT is its new value.")
@click.option("--from", "start", help="Not before (ISO 8601). Default: now.")
@click.option("--until", help="Not after. Default: a day after --from.")
@click.option("--zone", help="Time zone of times that name none, like Europe/Berlin.")
@click.option("--link", "links", multiple=True, help="A link the publishing tool will append.")
@click.option("--media", type=click.IntRange(0, 16), default=0, show_default=True, help="How many pictures or videos.")
@acting
@configured
def add(config: Config, text: str | None, file: str | None, who: str | None, **given: Any) -> None:
    """Register one planned post. The text is the argument, --file, or standard input."""
    from monitor import desk

    plan = _planned(config, _text(text, file), given)
    number = desk.register(_store(config), plan, _who(who), _now())
    _said(config, plan)
    click.echo(f"registered as #{number}: {plan.not_before:%Y-%m-%d %H:%M} to {plan.not_after:%Y-%m-%d %H:%M} UTC, once")


def _text(text: str | None, file: str | None) -> str:
    if text and file:
        raise click.UsageError("give the text as the argument or with --file, not both")
    if file and file != "-":
        text = Path(file).read_text(encoding="utf-8")
    elif not text:
        text = click.get_text_stream("stdin", encoding="utf-8").read()
    if not text.strip():
        raise click.UsageError("the text is empty")
    return text.rstrip("\n")


def _planned(config: Config, text: str, given: dict[str, Any]) -> Plan:
    from monitor import planning
    from monitor.model import PROFILE_FIELDS, Kind

    how = _reading(config, given["account"], given["zone"])
    if given["field"] and given["field"] not in PROFILE_FIELDS:
        raise click.UsageError(f"--profile: found {given['field']!r}, expected one of: {', '.join(PROFILE_FIELDS)}")
    try:
        kind = Kind.PROFILE if given["field"] else planning.kind_named(given["kind"])
        start = planning.moment(given["start"], how) if given["start"] else _now() - timedelta(minutes=1)
        end = planning.moment(given["until"], how) if given["until"] else start + timedelta(days=1)
        account = planning.account_named("", how)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return planning.Plan(account, kind, text, start, end, tuple(given["links"]), given["media"], given["field"] or "")


def _said(config: Config, plan: Plan) -> None:
    """The lint, for whoever registers."""
    from monitor import desk, safe, service

    for note in desk.lint(plan, config.company, service.load_rules(config).rules):
        click.echo(f"note: {safe.for_terminal(note, 300)}")


@posts.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--commit", is_flag=True, help="Really register; without it nothing is changed.")
@click.option("--account", help="For rows that name none.")
@click.option("--zone", help="Time zone of times that name none, like Europe/Berlin.")
@click.option("--dates", type=click.Choice(["dmy", "mdy"]), help="How 03/04/2026 is meant.")
@acting
@configured
def import_(config: Config, file: str, who: str | None, **given: Any) -> None:
    """Register many: JSON lines or CSV with a header. A dry run unless --commit."""
    from monitor import preflight

    how = _reading(config, given["account"], given["zone"], given["dates"] or "")
    sys.exit(preflight.import_file(_store(config), config, Path(file), how, _who(who), commit=given["commit"]))


@posts.command("list")
@as_json
@configured
def list_posts(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Every registration."""
    from monitor import desk, show

    now = _now()
    show.listing(as_json, "Registered posts", show.APPROVED, desk.registrations(_store(config)), lambda o: show.approved_row(o, now))


@posts.command("show")
@click.argument("number", type=int)
@as_json
@configured
def show_post(config: Config, number: int, as_json: bool) -> None:  # noqa: FBT001
    """One registration, with its lint."""
    from monitor import desk, planning, show

    one = desk.registration(_store(config), number)
    show.listing(as_json, f"Registered post #{number}", show.APPROVED, [one], lambda o: show.approved_row(o, _now()))
    if not as_json:
        _said(config, planning.Plan(one.account, one.kind, one.text, one.not_before, one.not_after, one.links, one.media, one.field))


@posts.command()
@click.argument("number", type=int)
@acting
@configured
def withdraw(config: Config, number: int, who: str | None) -> None:
    """Take a registration back."""
    from monitor import desk

    desk.withdraw(_store(config), number, _who(who), _now())
    click.echo(f"#{number} is withdrawn; that post would page now")


# --- incidents -------------------------------------------------------------------------------------


@main.group()
def incidents() -> None:
    """What happened, and saying that somebody has it."""


@incidents.command("list")
@as_json
@configured
def list_incidents(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """The newest first."""
    from monitor import show

    show.listing(as_json, "Incidents", show.INCIDENTS, _store(config).incidents(), show.incident_row)


@incidents.command("show")
@click.argument("number", type=int)
@as_json
@configured
def show_incident(config: Config, number: int, as_json: bool) -> None:  # noqa: FBT001
    """Posts, pages and acts of one incident, its verdicts recomputed."""
    from monitor import desk, show

    store = _store(config)
    one = store.incident(number)
    if one is None:
        raise desk.DeskError(f"there is no INC-{number}")
    show.incident(store, one, as_json=as_json)


def _act(config: Config, number: int, verb: str, who: str | None, note: str = "") -> None:
    from monitor import desk, preflight
    from monitor.model import Human

    store = _store(config)
    desk.act(store, preflight.outbox(store, config), number, Human(verb, _who(who), "the command line", _now(), note))
    click.echo(f"INC-{number}: {verb}d by {_who(who)}")


@incidents.command()
@click.argument("number", type=int)
@acting
@configured
def ack(config: Config, number: int, who: str | None) -> None:
    """Somebody has it: stop paging."""
    _act(config, number, "acknowledge", who)


@incidents.command()
@click.argument("number", type=int)
@click.option("--cause", default="", help="What it was.")
@acting
@configured
def resolve(config: Config, number: int, cause: str, who: str | None) -> None:
    """It is over."""
    _act(config, number, "resolve", who, cause)


@incidents.command("approve")
@click.argument("number", type=int)
@click.option("--post", default="", help="Only this post's id.")
@click.option("--reason", required=True, help="Why it is legitimate after all; recorded.")
@acting
@configured
def approve_incident(config: Config, number: int, post: str, reason: str, who: str | None) -> None:
    """It was us: approve exactly these posts, not similar ones."""
    from monitor import desk, preflight

    store = _store(config)
    made = desk.approve(store, preflight.outbox(store, config), number, post, _who(who), reason, _now())
    click.echo(f"INC-{number}: approved as " + ", ".join(f"#{n}" for n in made))


# --- accounts and rules ------------------------------------------------------------------------------


@main.group()
def accounts() -> None:
    """What is watched."""


@accounts.command("list")
@as_json
@configured
def list_accounts(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Every account, with its pinned id."""
    from monitor import show

    store = _store(config)
    columns = ("platform", "handle", "id", "post", "quote", "repost", "reply")
    show.listing(
        as_json, "Accounts", columns, config.file.accounts,
        lambda a: (a.platform, a.handle, a.id or store.pinned(a.platform, a.handle) or "not looked up yet", *a.unapproved.model_dump().values()),
    )  # fmt: skip


@accounts.command()
@click.option("--redo", metavar="HANDLE", help="Record what is there now as baseline at the next read.")
@acting
@as_json
@configured
def baseline(config: Config, redo: str | None, who: str | None, as_json: bool) -> None:  # noqa: FBT001
    """What was there at first sight, and what the rules say of it."""
    from monitor import desk, show

    store = _store(config)
    if redo:
        chosen = [a for a in _reading(config, None, None).accounts if a.handle.lower() == redo.lstrip("@").lower()]
        if not chosen:
            raise desk.DeskError(f"@{redo.lstrip('@')} is not watched")
        desk.redo_baseline(store, chosen[0], _who(who), _now())
        click.echo(f"the next read of @{chosen[0].handle} records a new baseline")
        return
    show.listing(as_json, "Baseline", show.POSTS, store.posts("baseline = 1"), show.kept_row)


@main.group()
def rules() -> None:
    """What explains a page, and accuses even approved posts."""


@rules.command("list")
@as_json
@configured
def list_rules(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Every rule."""
    from monitor import service, show

    columns = ("id", "version", "status", "severity", "even_if_approved", "title")
    show.listing(
        as_json, "Rules", columns, service.load_rules(config).sources,
        lambda s: (s.file.id, s.file.version, s.file.status, s.file.severity, s.file.even_if_approved, s.file.title),
    )  # fmt: skip


@rules.command("show")
@click.argument("rule")
@as_json
@configured
def show_rule(config: Config, rule: str, as_json: bool) -> None:  # noqa: FBT001
    """One rule: why, what to do, and the file."""
    import json

    from monitor import desk, service

    for source in service.load_rules(config).sources:
        if source.file.id == rule:
            click.echo(json.dumps(source.file.model_dump(), ensure_ascii=False, indent=1) if as_json else source.path.read_text(encoding="utf-8"))
            return
    raise desk.DeskError(f"there is no rule {rule!r}; `hijack-monitor rules list` shows them")


@rules.command("test")
@configured
def test_rules(config: Config) -> None:
    """Run every rule's tests, then delete every alternative in turn: some test must notice."""
    from monitor import preflight

    sys.exit(preflight.test_rules(config))

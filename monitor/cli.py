"""The commands. Imports are lazy, so that `--help` answers at once.

Exit codes: 0 good, 1 found something or refused, 2 usage or configuration.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from monitor.cli_posts import posts
from monitor.cli_rules import rules
from monitor.command import NUMBER, App, acting, actor, as_json, configured, open_store, paged, reading, refuse_root, starting, utc_now
from monitor.model import CAUSES

if TYPE_CHECKING:
    from monitor.command import Part
    from monitor.config import Config
    from monitor.model import Silence
    from monitor.store import Store


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    help="Configuration; else $HIJACK_MONITOR_CONFIG, else /etc/hijack-monitor/hijack-monitor.toml.",
)
@click.version_option(package_name="hijack-monitor")
@click.pass_context
def main(ctx: click.Context, config_path: str | None) -> None:
    """Wakes on-call when one of our official accounts says something nobody planned to say."""
    import os

    from monitor.private import UMASK

    os.umask(UMASK)
    ctx.obj = config_path


# --- the daemon ------------------------------------------------------------------------------------


@main.command()
@starting
def run(config: Config) -> None:
    """Watch until told to stop (SIGTERM). SIGHUP takes over the configuration and the rules."""
    import asyncio
    import faulthandler

    from monitor import daemon, journal
    from monitor.config import secrets

    faulthandler.enable()  # where a library was when it crashed; lines of code, never what they held
    journal.set_up()
    sys.exit(asyncio.run(daemon.run(config, secrets())))


@main.command()
@click.option("--live", is_flag=True, help="Also ask X and Slack whether they take the tokens.")
@configured
def check(config: Config, live: bool) -> None:  # noqa: FBT001 - the flag is the user's
    """Load everything, run every rule's tests, say what would page whom."""
    from monitor import preflight

    refuse_root(config)
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
    from monitor import desk, lock, preflight

    if not lock.is_locked(config.data_dir):
        raise desk.DeskError("the daemon does not run, and nothing else pages: `sudo systemctl start hijack-monitor`, then once more")
    sys.exit(preflight.drill(open_store(config), config, actor(who), wait))


@main.command()
@as_json
@configured
def status(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Whether the daemon runs, what is watched and read, open incidents, undelivered pages. Exit 1 if anything is wrong."""
    from monitor import status as standing

    lists: tuple[str, ...] = ()
    if config.file.monitor.block_lists:  # reading them takes half of our modules
        from monitor import preflight

        lists = preflight.list_notes(config, utc_now())
    sys.exit(standing.of_file(config, utc_now(), lists, lambda: open_store(config), as_json=as_json))


@main.command()
@as_json
@paged
@configured
def acts(config: Config, as_json: bool, part: Part) -> None:  # noqa: FBT001
    """Who did what, the newest first: the audit chain."""
    from monitor import chain, sealed, show

    sql = open_store(config).sql
    found, columns = chain.newest(sql, part.limit, part.before), ("id", *sealed.FIELDS)
    show.listing(as_json, "Acts", columns, found, lambda act: act, part=part, count=lambda: chain.count(sql))


@main.command()
@click.argument("target")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    help="How many backups stay in the folder: older ones of ours are deleted once this one has passed.",
)
@acting
@configured
def backup(config: Config, target: str, keep: int | None, who: str | None) -> None:
    """Copy the live database to TARGET, a file, a folder or - for a pipe, and check the copy. Exit 1 if there is no good one.

    The daemon goes on meanwhile. In a folder the file is named after the time. Nothing is ever overwritten, and a copy that
    is not good, or not whole, leaves no file; through a pipe nothing is sent before it has passed every check.
    """
    from monitor import backup as copying
    from monitor import safe

    refuse_root(config)
    made = copying.make(config, target, keep, actor(who), utc_now())
    for line in made.lines(config):
        click.echo(safe.clean(line, 2_000), err=target == copying.PIPE)  # whole: names of files are there to be copied
    for line in made.said:
        click.echo(f"warning: {safe.clean(line, 2_000)}", err=True)


@main.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", is_flag=True, help="Do it; without this it is only shown.")
@acting
@starting
def restore(config: Config, file: str, yes: bool, who: str | None) -> None:  # noqa: FBT001
    """Put the backup FILE in the database's place, and the database aside. Without --yes show both and change nothing.

    Exit 1 while a daemon or a command has the database open, and for a file that `backup` did not make, that is damaged or that a
    newer version wrote. Everything posted since the backup is read and judged at the next start.
    """
    from pathlib import Path

    from monitor import restore as putting
    from monitor import safe
    from monitor.config import secrets

    found = putting.plan(config, Path(file))
    for line in found.lines(config, secrets(), utc_now()):
        click.echo(safe.clean(line, 2_000))
    putting.refuse_held(config)
    said = (
        putting.put(config, found, actor(who), utc_now())
        if yes
        else ("Nothing was changed: with --yes it takes the place of the database.",)
    )
    for line in filter(None, said):
        click.echo(safe.clean(line, 2_000))


@main.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--rules-only", is_flag=True, help="Leave the queue out.")
@configured
def judge(config: Config, file: str, rules_only: bool) -> None:  # noqa: FBT001
    """Judge posts from JSON lines (- for standard input); a verdict a line. Exit 1 if one would page."""
    from monitor import preflight

    sys.exit(preflight.judge_file(config, None if rules_only else open_store(config), file))


main.add_command(posts)
main.add_command(rules)


# --- incidents -------------------------------------------------------------------------------------


@main.group()
def incidents() -> None:
    """What happened, and saying that somebody has it."""


@incidents.command("list")
@as_json
@paged
@configured
def list_incidents(config: Config, as_json: bool, part: Part) -> None:  # noqa: FBT001
    """The newest first."""
    from monitor import holds, lists, show

    store = open_store(config)
    found, held = lists.incidents(store, part.limit, part.before), holds.every(store)
    show.listing(
        as_json, "Incidents", show.INCIDENTS, found, lambda one: show.incident_row(one, held),
        part=part, count=lambda: lists.count_incidents(store),
    )  # fmt: skip


@incidents.command("show")
@click.argument("number", type=NUMBER)
@as_json
@configured
def show_incident(config: Config, number: int, as_json: bool) -> None:  # noqa: FBT001
    """Posts, pages and acts of one incident, its verdicts recomputed."""
    from monitor import desk, show

    store = open_store(config)
    one = store.incident(number)
    if one is None:
        raise desk.DeskError(desk.no_incident(store, number))
    show.incident(store, one, as_json=as_json)


def _act(config: Config, number: int, verb: str, who: str | None, note: str = "", cause: str = "") -> None:
    from monitor import desk, preflight
    from monitor.model import Human

    store = open_store(config)
    desk.act(store, preflight.outbox(store, config), number, Human(verb, actor(who), "the command line", utc_now(), note, cause=cause))
    click.echo(f"INC-{number}: {verb.rstrip('e')}ed by {actor(who)}")


@incidents.command()
@click.argument("number", type=NUMBER)
@acting
@configured
def ack(config: Config, number: int, who: str | None) -> None:
    """Somebody has it: stop paging."""
    _act(config, number, "acknowledge", who)


@incidents.command()
@click.argument("number", type=NUMBER)
@click.option("--cause", required=True, type=click.Choice(CAUSES), help="What it was.")
@click.option("--note", default="", help="What else there is to say of it; recorded.")
@acting
@configured
def resolve(config: Config, number: int, cause: str, note: str, who: str | None) -> None:
    """It is over."""
    _act(config, number, "resolve", who, note, cause)


@incidents.command()
@click.argument("number", type=NUMBER)
@acting
@configured
def escalate(config: Config, number: int, who: str | None) -> None:
    """Page the next step now."""
    _act(config, number, "escalate", who)


@incidents.command()
@click.argument("number", type=NUMBER)
@acting
@configured
def reopen(config: Config, number: int, who: str | None) -> None:
    """It was not over: page again. Within 24 hours of resolving."""
    _act(config, number, "reopen", who)


@incidents.command()
@click.argument("number", type=NUMBER)
@click.option("--reason", required=True, help="Why, for whoever asks years later; recorded and shown.")
@acting
@configured
def hold(config: Config, number: int, reason: str, who: str | None) -> None:
    """Keep everything of an incident, whatever [retention] and `posts forget` say, until `release`."""
    from monitor import holds

    holds.hold(open_store(config), number, actor(who), reason, utc_now(), via="the command line")
    click.echo(f"INC-{number}: held by {actor(who)}: nothing of it is removed until `incidents release {number}`")


@incidents.command()
@click.argument("number", type=NUMBER)
@click.option("--reason", required=True, help="Why it need not be kept any longer; recorded.")
@acting
@configured
def release(config: Config, number: int, reason: str, who: str | None) -> None:
    """End a hold: from now on [retention] counts again."""
    from monitor import holds

    holds.release(open_store(config), number, actor(who), reason, utc_now(), via="the command line")
    click.echo(f"INC-{number}: released by {actor(who)}")


@incidents.command()
@click.argument("number", type=NUMBER)
@click.option("--to", "folder", default=".", show_default=True, type=click.Path(file_okay=False, exists=True), help="Where to write.")
@configured
def export(config: Config, number: int, folder: str) -> None:
    """Write what happened as one HTML page, and a zip of evidence, hashes and acts that can be verified."""
    from pathlib import Path

    from monitor import report
    from monitor.command import signing_secret

    store = open_store(config)
    for path in report.export(store, number, Path(folder), utc_now(), signing_secret(config, store)):
        click.echo(str(path))


@incidents.command()
@click.argument("file", type=click.Path(dir_okay=False, exists=True))
@click.option("--anchor", default="", help="A chain head out of a page, a drill or a dead-man's ping: 32 hexadecimal digits or more.")
@click.option("--key", default="", help="The key's fingerprint out of the same message.")
def verify(file: str, anchor: str, key: str) -> None:
    """Check an exported zip: contents, signature, sums, posts, evidence, the chain of acts. Exit 1 when anything is wrong.

    Without --anchor and --key from a message of that time the result is "consistent, not proven": whoever has the
    monitor's host and secret could have made another export.
    """
    import zipfile
    from pathlib import Path

    from monitor import report_check, safe

    try:
        checked = report_check.verify(Path(file), anchor.strip().lower(), key.strip().lower())
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise click.ClickException(f"{file}: not an exported incident ({type(error).__name__})") from error
    for line in checked.wrong or checked.words():
        click.echo(safe.for_terminal(line))
    sys.exit(1 if checked.wrong else 0)


@incidents.command("approve")
@click.argument("number", type=NUMBER)
@click.option(
    "--post", "posts", multiple=True, help="Only the post with this id; may be given again. Default: all, after their texts were shown."
)
@click.option("--reason", required=True, help="Why it is legitimate after all; recorded.")
@acting
@configured
def approve_incident(config: Config, number: int, posts: tuple[str, ...], reason: str, who: str | None) -> None:
    """It was us: approve exactly these posts, not similar ones. Votes count by login; --as is a note."""
    from monitor import approvals, preflight, voters

    store = open_store(config)
    names = _named(store, number, posts) if posts else _shown_whole(store, number)
    word = approvals.Approval(
        actor(who), voters.of_host(), reason, "the command line", utc_now(), config.approving.two_person, config.file.approvals.logins
    )
    done = approvals.approve(store, preflight.outbox(store, config), number, names, word)
    click.echo(f"INC-{number}: {done.words()}")


def _named(store: Store, number: int, given: tuple[str, ...]) -> tuple[str, ...]:
    """The versions of posts that the ids on the command line mean."""
    from monitor import approvals, desk

    there = {approvals.name_of(k): k.post.id for k in approvals.posts_of(store, number)}
    strange = [one for one in given if one not in there.values() and one not in there]
    if strange:
        raise desk.DeskError(f"INC-{number} has no post {', '.join(strange)}")
    return tuple(name for name, identifier in there.items() if name in given or identifier in given)


def _shown_whole(store: Store, number: int) -> tuple[str, ...]:
    """Print every post that is not approved yet, whole, and ask; exactly these are approved, whatever is posted meanwhile."""
    from monitor import approvals, desk, safe, show

    found = approvals.unapproved(store, number)
    for kept in found:
        click.echo(f"--- post {approvals.name_of(kept)} of {show.when(kept.post.created_at)} UTC")
        click.echo(safe.for_terminal_lines(approvals.whole(kept)))
    try:
        agreed = bool(found) and click.confirm(f"--- approve {f'these {len(found)} posts' if len(found) > 1 else 'this post'}?")
    except click.Abort:
        raise desk.DeskError("nobody answered: nothing is approved; answer y, or name each post with --post") from None
    if not agreed:
        raise desk.DeskError(f"INC-{number}: {'nothing is approved' if found else 'it holds no post to approve'}")
    return tuple(map(approvals.name_of, found))


# --- silences --------------------------------------------------------------------------------------


@main.group()
def silence() -> None:
    """Wake nobody for a while; everything is still recorded and told. Planned posts need none: register them."""


class Hours(click.FloatRange):
    """Hours as a number, or as Slack's command takes them: 2h, 30m."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Raises click's own error for everything else."""
        found = re.fullmatch(r"(\d{1,4}(?:\.\d+)?)(h|m|min)", str(value).strip())
        return super().convert(float(found[1]) / (1 if found[2] == "h" else 60) if found else value, param, ctx)


@silence.command("begin")
@click.argument("hours", type=Hours(0.02, 8))
@click.argument("reason")
@click.option("--account", default="", help="Only this account.")
@click.option("--words", default="", help="Only posts that hold these words.")
@acting
@configured
def begin_silence(config: Config, hours: float, reason: str, account: str, words: str, who: str | None) -> None:
    """For up to 8 hours. A whole account is heard once more: its first post wakes. A new domain, the fifth post or another account page all the same."""
    from monitor import preflight

    preflight.silence(open_store(config), config, hours, reason, account, words, actor(who))


@silence.command("end")
@click.argument("number", type=NUMBER)
@acting
@configured
def end_silence(config: Config, number: int, who: str | None) -> None:
    """Before its time. What is still open pages now."""
    from monitor import preflight, silences

    store = open_store(config)
    silences.end(store, preflight.outbox(store, config), number, actor(who), utc_now())
    click.echo(f"silence {number} ended")


@silence.command("list")
@as_json
@configured
def list_silences(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Those in force, and those that wait for a second person."""
    from monitor import show

    def row(s: Silence) -> tuple[object, ...]:
        return s.id, s.account or "all", s.words, show.when(s.ends_at), f"{s.who}, waits for another" if s.waits else s.who, s.reason

    columns = ("id", "account", "words", "until", "by", "reason")
    found = open_store(config).silences(utc_now())
    show.listing(as_json, "Silences", columns, found, row)


# --- accounts ------------------------------------------------------------------------------


@main.group()
def accounts() -> None:
    """What is watched."""


@accounts.command("list")
@as_json
@configured
def list_accounts(config: Config, as_json: bool) -> None:  # noqa: FBT001
    """Every account, with its pinned id."""
    from monitor import show

    store = open_store(config)
    columns = ("platform", "handle", "id", "post", "quote", "repost", "reply", "live", "dm")
    show.listing(
        as_json, "Accounts", columns, config.file.accounts,
        lambda a: (a.platform, a.handle, a.id or store.pinned(a.platform, a.handle) or "not looked up yet", *a.unapproved.model_dump().values()),
    )  # fmt: skip


@accounts.command()
@click.option("--redo", metavar="HANDLE", help="Record what is there now as baseline at the next read.")
@acting
@as_json
@paged
@configured
def baseline(config: Config, redo: str | None, who: str | None, as_json: bool, part: Part) -> None:  # noqa: FBT001
    """What was there at first sight, and what the rules say of it."""
    from monitor import desk, show

    store = open_store(config)
    if redo:
        chosen = [a for a in reading(config, None, None).accounts if a.handle.lower() == redo.lstrip("@").lower()]
        if not chosen:
            raise desk.DeskError(f"@{redo.lstrip('@')} is not watched")
        desk.redo_baseline(store, chosen[0], actor(who), utc_now())
        click.echo(f"the next read of @{chosen[0].handle} records a new baseline")
        return
    show.baseline(store, part, as_json=as_json)

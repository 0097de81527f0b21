"""`hijack-monitor posts`: what comms do the day before."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.command import NUMBER, acting, actor, as_json, configured, open_store, paged, reading, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.command import Part
    from monitor.config import Config
    from monitor.planning import Plan


@click.group()
def posts() -> None:
    """Register what is planned: a registered post goes by in silence."""


@posts.command()
@click.argument("text", required=False)
@click.option("--file", type=click.Path(dir_okay=False), help="Read the text from a file (- for standard input).")
@click.option("--account", help="Handle; not needed when only one is watched.")
@click.option("--kind", default="post", show_default=True, help="post, reply, quote, repost, or live for a broadcast or Space.")
@click.option("--profile", "field", help="A profile field instead of a post; TEXT is its new value.")
@click.option("--from", "start", help="Not before, a time or a day. Default: now.")
@click.option("--until", help="Not after; a day ends at midnight. Default: a day after --from.")
@click.option("--zone", help="Time zone of times that name none, like Europe/Berlin.")
@click.option("--dates", type=click.Choice(["dmy", "mdy"]), help="How 03/04/2026 is meant.")
@click.option("--link", "links", multiple=True, help="A link the publishing tool will append.")
@click.option("--media", type=click.IntRange(0, 16), default=0, show_default=True, help="How many pictures or videos.")
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="A picture of the post, a file or an https address: another one will page.",
)
@click.option("--alt", "alts", multiple=True, help="The alt text of a picture, in their order: any other one is a notice.")
@click.option("--thread", is_flag=True, help="TEXT is a thread: its parts stand between lines of three dashes.")
@click.option("--quotes", help="The post that it quotes, by id or link.")
@click.option("--answers", help="The post that it answers, somebody's or our own, by id or link.")
@click.option("--reposts", help="The post that it reposts, by id or link; needs no TEXT.")
@click.option("--poll", multiple=True, help="A choice of its poll, two to four times.")
@click.option("--part", "parts", multiple=True, metavar="NAME=VALUE", help="What else it shows: community, place, replies, paid, audience.")
@click.option("--answers-under", "conversation", default="", help="Instead of TEXT: every reply below this post, by id or link.")
@click.option(
    "--most",
    type=click.IntRange(1, 1_000_000),
    help="With --answers-under: so many replies are expected; one notice when there are more.  [default: 50]",
)
@click.option("--author", default="", help="Instead of TEXT, with --kind repost or quote: every one of this handle's posts.")
@acting
@configured
def add(config: Config, text: str | None, file: str | None, who: str | None, **given: Any) -> None:
    """Register one planned post. The text is the argument, --file, or standard input."""
    from monitor import desk, plan_times, voters

    open_ended = given["conversation"] or given["author"]
    if open_ended and (text or file):
        raise click.UsageError("--answers-under and --author stand instead of a text: give one or the other")
    if given["most"] and not given["conversation"]:
        raise click.UsageError("--most counts replies: it goes with --answers-under")
    open_ended = open_ended or (given["reposts"] and not (text or file))
    plan = _planned(config, "" if open_ended else _text(text, file, pictured=bool(given["images"])), given)
    origin = desk.Origin(voters.of_host(), "the command line")
    twins = desk.twins(open_store(config), plan, utc_now())
    number = desk.register(open_store(config), plan, actor(who), utc_now(), origin)
    _said(config, plan, twins)
    parts = f" in {len(plan.more) + 1} parts, in order" if plan.more else ""
    window = plan_times.shown_window(plan.not_before, plan.not_after, plan_times.zone_named(given["zone"]) if given["zone"] else None)
    often = "as often as it happens" if open_ended else "once"
    click.echo(f"registered as #{number}{parts}: {window}, {often}")
    for note in desk.takes_effect(plan, number or 0, utc_now(), config.approving):
        click.echo(f"note: {note}")


def _text(text: str | None, file: str | None, *, pictured: bool) -> str:
    """Nothing is a text too, where a picture says which post is meant."""
    from monitor import text_files

    if text and file:
        raise click.UsageError("give the text as the argument or with --file, not both")
    try:
        if file and file != "-":
            text = text_files.read(Path(file))
        elif not text:
            text = "" if pictured and sys.stdin.isatty() else text_files.decode(sys.stdin.buffer.read())[0]
    except text_files.TextError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"{file}: cannot be read ({error.strerror})") from error
    if not text.strip() and not pictured:
        raise click.UsageError("the text is empty")
    return text.rstrip("\n")


def _planned(config: Config, text: str, given: dict[str, Any]) -> Plan:
    from monitor import planned_pictures, planning, references
    from monitor.model import PROFILE_FIELDS, Kind

    how = reading(config, given["account"], given["zone"], given["dates"] or "")
    if given["field"] and given["field"] not in PROFILE_FIELDS:
        raise click.UsageError(f"--profile: found {given['field']!r}, expected one of: {', '.join(PROFILE_FIELDS)}")
    try:
        kind = Kind.PROFILE if given["field"] else planning.kind_named("reply" if given["conversation"] else given["kind"])
        kind, shown = references.named(kind, given)
        conversation = references.post_named("--answers-under", given["conversation"]) if given["conversation"] else ""
        if given["author"] and kind not in (Kind.REPOST, Kind.QUOTE):
            raise ValueError(f"--author: found --kind {kind}, expected repost or quote")
        start = planning.span(given["start"], how)[0] if given["start"] else utc_now() - timedelta(minutes=1)
        end = planning.span(given["until"], how)[1] if given["until"] else start + timedelta(days=1)
        account = planning.account_named(how).key
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    text, *more = planning.parts_of(text) if given["thread"] else [text]
    if given["thread"] and not more:
        raise click.UsageError("--thread: found one part; put a line of three dashes between the parts")
    text = references.with_choices(text, given)
    plan = planning.Plan(
        account, kind, text, start, end, tuple(given["links"]), max(given["media"], len(given["images"])), given["field"] or "",
        more=tuple(more), conversation=conversation, author=given["author"].lstrip("@"), files=given["images"], alt=given["alts"],
        shown=shown, most=given["most"] or 0,
    )  # fmt: skip
    (compared,) = asyncio.run(planned_pictures.compared([plan], Path()))
    if isinstance(compared, planning.Bad):
        raise click.UsageError(compared.reason)
    return compared


def _said(config: Config, plan: Plan, twins: Iterable[str] = ()) -> None:
    """The lint, and what else has these words, for whoever registers."""
    from monitor import assembly, desk, safe

    for note in [*desk.lint(plan, config.company, assembly.load_rules(config).rules), *twins]:
        click.echo(f"note: {safe.for_terminal(note, 300)}")


@posts.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--commit", is_flag=True, help="Really register; without it nothing is changed.")
@click.option("--account", help="For rows that name none.")
@click.option("--zone", help="Time zone of times that name none, like Europe/Berlin.")
@click.option("--dates", type=click.Choice(["dmy", "mdy"]), help="How 03/04/2026 is meant.")
@click.option("--column", "columns", multiple=True, metavar="WHAT=NAME", help="What a column holds, like text=Copy or date='Go live'.")
@click.option("--ignore", multiple=True, metavar="NAME", help="Leave a column out.")
@click.option("--approved-status", "approved", multiple=True, metavar="WORD", help="One more word of a status that says yes.")
@click.option("--early", type=click.IntRange(0, 1440), default=5, show_default=True, help="Minutes that a post may come before its time.")
@click.option("--late", type=click.IntRange(0, 1440), default=60, show_default=True, help="Minutes that it may come after its time.")
@click.option(
    "--thread/--no-thread", default=None, help="Whether || parts a thread, or is text.  [default: refuse a row where it could be both]"
)
@click.option("--replace", "source", metavar="SOURCE", help="The file is all of this plan: what left it and is unused is withdrawn.")
@acting
@configured
def import_(config: Config, file: str, who: str | None, **given: Any) -> None:
    """Register many: CSV with a header, a JSON array or JSON lines. A dry run unless --commit."""
    from monitor import import_posts

    how = replace(
        reading(config, given["account"], given["zone"], given["dates"] or ""),
        columns=tuple(map(_what_and_name, given["columns"])), ignore=given["ignore"], approved=given["approved"],
        early=timedelta(minutes=given["early"]), late=timedelta(minutes=given["late"]), thread=given["thread"],
    )  # fmt: skip
    if not (how.early or how.late):
        raise click.UsageError("--early 0 and --late 0 leave a post no time to appear in: give one of them at least 1 minute")
    source = given["source"]
    if source is not None and not (0 < len(source := source.strip()) <= 80 and source.isprintable()):
        raise click.UsageError("--replace: expected the name of a plan, of at most 80 characters")
    act = import_posts.Act(actor(who), given["commit"], source or "")
    sys.exit(import_posts.import_file(open_store(config), config, Path(file), how, act))


def _what_and_name(pair: str) -> tuple[str, str]:
    what, equals, name = (piece.strip() for piece in pair.partition("="))
    if not (what and equals and name):
        raise click.UsageError(f"--column: found {pair!r}, expected WHAT=NAME, like text=Copy")
    return what, name


@posts.command("list")
@as_json
@paged
@configured
def list_posts(config: Config, as_json: bool, part: Part) -> None:  # noqa: FBT001
    """Every registration, the last registered first."""
    from monitor import show

    now, table, two = utc_now(), open_store(config).registrations, config.approving.two_person
    found = table.newest(part.limit, part.before)
    show.listing(
        as_json, "Registered posts", show.APPROVED, found, lambda o: show.approved_row(o, now, two_person=two), part=part, count=table.count
    )


@posts.command("show")
@click.argument("number")
@as_json
@configured
def show_post(config: Config, number: str, as_json: bool) -> None:  # noqa: FBT001
    """A registration by its number, or a judged post as x:ID or by its link: why nobody was paged."""
    from monitor import desk, planning, safe, show

    if not re.fullmatch("[1-9][0-9]{0,14}", number):
        _show_judged(config, number, as_json=as_json)
        return
    store = open_store(config)
    one = desk.registration(store, int(number))
    two = config.approving.two_person
    show.listing(as_json, f"Registered post #{number}", show.APPROVED, [one], lambda o: show.approved_row(o, utc_now(), two_person=two))
    if as_json:
        return
    click.echo(safe.for_terminal(show.whose(one)))
    plan = planning.Plan(one.account, one.kind, one.text, one.not_before, one.not_after, one.links, one.media, one.field)
    plan = replace(plan, conversation=one.conversation, author=one.author, shown=one.shown, most=one.most)
    _said(config, replace(plan, pictures=one.pictures, alt=one.alt))
    if one.used_by:
        show.judged(store, store.posts("account = ? AND id = ?", (one.account, one.used_by)), as_json=False)


def _show_judged(config: Config, given: str, *, as_json: bool) -> None:
    """What was decided of a post, named as platform:ID or by its link."""
    from monitor import desk, post_rows, references, safe, show

    platform, _, identifier = given.partition(":")
    if platform not in {table.platform for table in config.file.accounts} or not identifier:
        try:
            if given.isdigit():
                raise ValueError
            platform, identifier = "x", references.post_named("posts show", given)
        except ValueError as error:
            raise click.UsageError(
                f"found {safe.clean(given, 80)!r}, expected the number of a registration, x:ID, or a post's link"
            ) from error
    found = open_store(config).posts(f"{post_rows.OURS} AND account LIKE ?", (identifier, f"{platform}:%"))
    if not found:
        raise desk.DeskError(f"no post {platform}:{safe.clean(identifier, 40)} was judged")
    show.judged(open_store(config), found, as_json=as_json)


@posts.command()
@click.argument("identifier", metavar="ID")
@click.option("--reason", required=True, help="Who asked for it and why, without the words of the post; recorded.")
@click.option("--yes", is_flag=True, help="Really remove it; without it everything that holds the post is listed and nothing is changed.")
@acting
@configured
def forget(config: Config, identifier: str, reason: str, yes: bool, who: str | None) -> None:  # noqa: FBT001
    """Remove the content of a post, in all its versions, from everything that holds it, for ever. ID as the platform shows it.

    Digests, ids, times, severities and rules stay. Holds, open incidents and registrations in force refuse it.
    """
    from monitor import desk, safe
    from monitor import forget as forgetting

    store, now = open_store(config), utc_now()
    found = forgetting.forget(store, identifier, actor(who), reason, now) if yes else forgetting.find(store, identifier, now)
    for line in found.lines():
        click.echo(f"{'removed' if yes else 'holds it'}: {safe.for_terminal(line, 500)}")
    for line in (*found.beyond(), *forgetting.copies(store)):
        click.echo(f"out of reach: {safe.clean(line, 1_000)}")
    for line in found.refused:
        click.echo(f"refused: {safe.for_terminal(line, 500)}")
    if yes:
        try:
            forgetting.wipe(store.sql)
        except sqlite3.Error as error:
            raise desk.DeskError(
                f"no row holds it any more, but free parts of the file may. Give the same command again: {error}"
            ) from error
        click.echo(f"post {safe.for_terminal(identifier, 40)} is forgotten, and nothing of it is left in free parts of the database")
    else:
        click.echo(f"nothing was changed: {'--yes is refused until then' if found.refused else '--yes removes it'}")


@posts.command()
@click.argument("number", type=NUMBER)
@acting
@configured
def withdraw(config: Config, number: int, who: str | None) -> None:
    """Take a registration back."""
    from monitor import desk

    desk.withdraw(open_store(config), number, actor(who), utc_now())
    click.echo(f"#{number} is withdrawn; that post would page now")


@posts.command()
@click.argument("number", type=NUMBER)
@acting
@configured
def confirm(config: Config, number: int, who: str | None) -> None:
    """A second person's word for a registration, and for all that the same import brought. Votes count by login."""
    from monitor import desk, safe, voters

    store = open_store(config)
    for one in store.registrations.act_of(desk.registration(store, number)):
        click.echo(f"--- #{one.id}, {one.kind}, {one.not_before:%Y-%m-%d %H:%M} to {one.not_after:%Y-%m-%d %H:%M} UTC")
        click.echo(safe.for_terminal_lines("\n".join(desk.shown_of(one))))
    made = desk.confirm(store, number, actor(who), voters.of_host(), config.file.approvals.logins, utc_now())
    click.echo(f"confirmed: {', '.join(f'#{n}' for n in made[:20])}{f' and {len(made) - 20} more' if len(made) > 20 else ''}")

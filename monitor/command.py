"""What every command shares: errors as sentences, the configuration, who acts."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.model import Account
    from monitor.planning import Reading
    from monitor.store import Store

_SLOW_ROWS = 2_000
_GLANCE = 250  # milliseconds
_STORE = "monitor.store"


class App(click.Group):
    """Turns our errors into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):  # whoever reads has read enough
            raise
        except Exception as error:
            code = _exit_code(error)
            if code is None:
                raise
            from monitor import safe

            click.echo(f"error: {safe.clean(str(error), 2_000)}", err=True)  # a file's own words may be quoted in it
            ctx.exit(code)


def _exit_code(error: Exception) -> int | None:
    """2 for what the user must mend in files or words, 1 for what was refused, None for our bugs."""
    import sqlite3

    from monitor.config import ConfigError
    from monitor.copies import CopyError
    from monitor.desk import DeskError
    from monitor.planning import PlanError
    from monitor.rulebook import RuleError

    if isinstance(error, ConfigError | RuleError | PlanError):
        return 2
    return 1 if isinstance(error, CopyError | DeskError | sqlite3.Error | OSError) else None


def configured(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command the configuration. None does anything beside a database that a newer version wrote."""

    def checked(config: Config, *args: Any, **kwargs: Any) -> Any:
        _refuse_newer(config)
        return function(config, *args, **kwargs)

    return starting(wraps(function)(checked))


def starting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give `run` the configuration: of such a database it tells everybody first."""

    @click.pass_context
    @wraps(function)
    def wrapped(ctx: click.Context, *args: Any, **kwargs: Any) -> Any:
        from monitor import config

        return function(config.load(config.find(ctx.obj)), *args, **kwargs)

    return wrapped


def _refuse_newer(config: Config) -> None:
    """Raises UnsuitableDatabaseError. A file that cannot be looked at is met by whoever opens it."""
    import sqlite3

    from monitor import database

    shape = None
    with suppress(sqlite3.Error, OSError):
        shape = database.look(config.database, _GLANCE)
    database.refuse(config.database, shape)


NUMBER = click.IntRange(1, 2**63 - 1)  # of a registration, an incident or a silence: as far as the database counts
as_json = click.option("--json", "as_json", is_flag=True, help="For programs.")
LISTED = 50  # rows of a table, unless others are asked for


@dataclass(frozen=True, slots=True)
class Part:
    """Of a list: at most `limit` rows (-1: all), from the one after number `before` (0: from the first)."""

    limit: int = -1
    before: int = 0


def paged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command a `part`: fifty rows of a table, and all as JSON, unless it is asked for more or fewer."""

    def wrapped(*args: Any, limit: int | None, before: int | None, show_all: bool, **given: Any) -> Any:
        if limit and show_all:
            raise click.UsageError("--limit and --all: give one of them")
        most = -1 if show_all else limit or (-1 if given.get("as_json") else LISTED)
        return function(*args, part=Part(most, before or 0), **given)

    options = (
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"At most N rows.  [default: {LISTED}, with --json all]"),
        click.option("--before", type=NUMBER, metavar="NUMBER", help="Go on below this row, by its id: the last one that was shown."),
        click.option("--all", "show_all", is_flag=True, help="Every row, however many there are."),
    )
    made: Callable[..., Any] = wraps(function)(wrapped)
    for option in reversed(options):
        made = option(made)
    return made


acting = click.option("--as", "who", metavar="NAME", help="Who does this; recorded. Default: the user logged in.")


def open_store(config: Config) -> Store:
    """The one store of this command, closed at its end. Raises ConfigError, see `refuse_root`."""
    from monitor.store import Store

    command = click.get_current_context()
    if _STORE not in command.meta:
        refuse_root(config)
        command.meta[_STORE] = command.with_resource(closing(Store(config.database)))
    opened: Store = command.meta[_STORE]
    return opened


def refuse_root(config: Config) -> None:
    """Raises ConfigError for root where the data are somebody else's: files it made beside the daemon's would lock the daemon out."""
    from monitor.config import ConfigError

    there = next((path for path in (config.database, config.data_dir) if path.exists()), None)
    if os.geteuid() == 0 and there and there.stat().st_uid != 0:
        owner = there.owner()
        raise ConfigError(f"{there} belongs to {owner}: run this as that user, like `sudo -u {owner} hijack-monitor status`")


def signing_secret(config: Config, store: Store) -> bytes:
    """The secret that the daemon signs with. Raises ConfigError where this shell has another one, or none."""
    from monitor import assembly, signing
    from monitor.config import ConfigError, secrets

    known, given = store.kept("signing key"), secrets()
    here = bool(given.get("install_key")) or (config.data_dir / "install_key").exists()
    secret = assembly.load_key(config, given) if here or not known else b""
    if known and (not secret or signing.fingerprint(signing.public(secret)) != known):
        raise ConfigError(
            f"install_key: the daemon signs with key {known}, which this shell does not have: run this with the unit's "
            "credentials, as the README shows for `check --live`"
        )
    return secret


def utc_now() -> datetime:
    """The clock of the real world."""
    return datetime.now(UTC)


def actor(given: str | None) -> str:
    """Who does this."""
    name = given or os.environ.get("SUDO_USER") or getpass.getuser()
    return os.fsencode(name).decode("utf-8", "backslashreplace")  # it is kept in the audit chain


def watched(config: Config, store: Store | None) -> tuple[Account, ...]:
    """The accounts of the configuration, by handle where the daemon has not looked their ids up yet; what was registered by handle
    before is resolved.
    """
    from monitor.registrations import by_handle

    found = []
    for table in config.file.accounts:
        known = table.id or (store.pinned(table.platform, table.handle) if store else None)
        account = config.account(table, known or by_handle(table.handle))
        if known and store:
            store.registrations.resolve(config.account(table, by_handle(table.handle)).key, account.key)
        found.append(account)
    return tuple(found)


def reading(config: Config, account: str | None, zone: str | None, dates: str = "") -> Reading:
    """How to read plans."""
    from monitor import planning

    return planning.Reading(watched(config, open_store(config)), account or "", planning.zone_named(zone) if zone else None, dates)


@contextmanager
def progress(rows: list[Any], what: str) -> Iterator[Any]:
    """A bar on a terminal when there is enough to wait for."""
    if len(rows) < _SLOW_ROWS or not sys.stderr.isatty():
        yield rows
        return
    with click.progressbar(rows, label=what, file=sys.stderr) as bar:
        yield bar

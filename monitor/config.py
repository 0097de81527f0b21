"""The one TOML file. Unknown keys are errors with the nearest known key; secrets never stand in it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydantic

from monitor.complaints import explain
from monitor.model import Account, Approving, Company, Kind, Paging, Severity
from monitor.retention import Days
from monitor.spending import PRICES
from monitor.tables import FORMS, ROUTES, AccountPaging, AccountTable, File, Route, Step, fetchable
from monitor.verdict.links import own_domain

DEFAULT_PATH = "/etc/hijack-monitor/hijack-monitor.toml"
SECRETS = (
    "x_bearer_token", "slack_bot_token", "slack_app_token", "pagerduty_routing_key", "webhook_key", "alertmanager_token",
    "alertmanager_password",
    "smtp_password", "apprise_urls", "oncall_url", "deadman_url", "opsgenie_key", "x_user_tokens",
    "install_key",
)  # fmt: skip
ADDRESSES = ("oncall_url", "deadman_url")
OF_LINES = ("apprise_urls", "x_user_tokens")
IN_HEADERS = ("x_bearer_token", "slack_bot_token", "slack_app_token", "pagerduty_routing_key", "alertmanager_token", "opsgenie_key")


class ConfigError(Exception):
    """The configuration cannot be used; the message says where, what was found, what was expected."""


@dataclass(frozen=True)
class Config:
    """The file, read, in the words of `model`."""

    path: Path
    file: File
    data_dir: Path
    company: Company
    paging: Paging

    def poll_seconds(self, platform: str) -> float:
        """How often an account of a platform is read."""
        return self.file.replay.poll_seconds if platform == "replay" and self.file.replay else self.file.x.poll_seconds

    @property
    def prices(self) -> dict[str, float]:
        """Dollars for each kind of resource: the dated defaults, and what the file says otherwise."""
        return PRICES | self.file.x.prices

    @property
    def approving(self) -> Approving:
        """What one person's registration is worth."""
        return Approving(self.file.approvals.fresh_minutes, bool(self.file.slack and self.file.slack.two_person_approve))

    @property
    def retention(self) -> Days:
        """How long everything is kept."""
        return Days(**self.file.retention.model_dump())

    def account(self, table: AccountTable, identifier: str) -> Account:
        """An account whose id is known."""
        worth = table.unapproved.model_dump()
        unapproved = tuple((Kind(kind), Severity[value.upper()]) for kind, value in worth.items())
        return Account(table.platform, identifier, table.handle, table.realm, unapproved, table.canary.text if table.canary else "")

    def paging_of(self, table: AccountTable) -> Paging | None:
        """The account's own paging, or None when it has nothing of its own."""
        own = table.paging
        if own == AccountPaging():
            return None
        routes = (f"slack:{own.channel}",) if own.channel else self.paging.routes
        fallback = tuple(own.fallback) if own.fallback is not None else self.paging.fallback
        return replace(
            self.paging,
            mention=tuple(own.mention) if own.mention is not None else self.paging.mention,
            escalate=_steps(own.escalate) if own.escalate is not None else self.paging.escalate,
            routes=routes,
            fallback=tuple(r for r in fallback if r not in routes),
        )

    @property
    def routes(self) -> tuple[str, ...]:
        """Every route that any page may take."""
        special = [own for table in self.file.accounts if (own := self.paging_of(table))]
        return tuple(dict.fromkeys(r for p in (self.paging, *special) for r in (*p.routes, *p.fallback)))

    @property
    def database(self) -> Path:
        """Where everything is kept."""
        return self.data_dir / "monitor.db"


def find(given: str | None) -> Path:
    """`--config`, else `$HIJACK_MONITOR_CONFIG`, else the file in /etc."""
    return Path(given or os.environ.get("HIJACK_MONITOR_CONFIG") or DEFAULT_PATH)


def load(path: Path) -> Config:
    """Raises ConfigError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name another with --config or $HIJACK_MONITOR_CONFIG") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        file = File.model_validate(data)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, File, dict(FORMS.values()))}") from error
    return made(path, file)


def made(path: Path, file: File) -> Config:
    """The file in the words of `model`. Raises ConfigError for what the shapes of its tables alone cannot say."""
    _check(path, file)
    paging = _paging(file)
    ours, shorteners = (tuple(map(own_domain, written)) for written in (file.company.domains, file.company.shorteners))
    company = Company(file.company.name, ours, tuple(file.company.wallets), tuple(file.company.handles), shorteners)
    return Config(path, file, _data_dir(file), company, paging)


def _paging(file: File) -> Paging:
    """Whom, where and when, unless an account has its own."""
    routes = ("slack",) if file.slack else ()
    there = tuple(name for name in ROUTES if getattr(file, name) is not None)
    fallback = tuple(file.paging.fallback) if file.paging.fallback is not None else there
    return Paging(
        tuple(file.slack.mention) if file.slack else (),
        file.paging.repeat_minutes,
        _steps(file.paging.escalate),
        file.paging.fallback_seconds,
        file.paging.acknowledge_minutes,
        routes,
        tuple(r for r in dict.fromkeys(fallback) if r not in routes),
        alone_minutes=file.oncall.alone_minutes if file.oncall else file.paging.repeat_minutes,
    )


def _steps(steps: list[Step]) -> tuple[tuple[float, tuple[str, ...]], ...]:
    return tuple((s.after_minutes, tuple(s.mention)) for s in sorted(steps, key=lambda s: s.after_minutes))


def _check(path: Path, file: File) -> None:
    seen: set[tuple[str, str]] = set()
    for number, account in enumerate(file.accounts):
        key = (account.platform, account.handle.lower())
        if key in seen:
            raise ConfigError(f"{path}: accounts.{number}: @{account.handle} is listed twice")
        seen.add(key)
        if account.platform == "replay" and file.replay is None:
            raise ConfigError(f"{path}: accounts.{number}.platform: 'replay' needs a [replay] table with `file`")
        if account.platform == "replay" and account.handle.lower() == "drill":
            raise ConfigError(f"{path}: accounts.{number}.handle: 'drill' on 'replay' is the drill's own account; call it otherwise")
        if account.paging.channel and file.slack is None:
            raise ConfigError(f"{path}: accounts.{number}.paging.channel: found {account.paging.channel!r} without a [slack] table")
        _check_routes(f"{path}: accounts.{number}.paging.fallback", account.paging.fallback, file)
    if file.approvals.channel and file.slack is None:
        raise ConfigError(f"{path}: approvals.channel: found {file.approvals.channel!r} without a [slack] table")
    unknown = sorted(set(file.x.prices) - set(PRICES))
    if unknown:
        raise ConfigError(f"{path}: x.prices.{unknown[0]}: no such kind, expected one of: {', '.join(PRICES)}")
    _check_routes(f"{path}: paging.fallback", file.paging.fallback, file)
    if file.deadman and file.deadman.alertmanager and file.alertmanager is None:
        raise ConfigError(f"{path}: deadman.alertmanager: found true without an [alertmanager] table")
    if file.witness and file.slack is None:
        raise ConfigError(f"{path}: witness: a witness looks for the first monitor's pages in Slack: it needs a [slack] table")


def _check_routes(where: str, routes: list[Route] | None, file: File) -> None:
    for route in routes or ():
        table = route.split(":", maxsplit=1)[0]
        if getattr(file, table) is None:
            raise ConfigError(f"{where}: found {route!r}, expected a route with a table of its own: add [{table}]")


def _data_dir(file: File) -> Path:
    """As configured, else systemd's state directory, else the user's."""
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(file.monitor.data_dir or state or f"{home}/hijack-monitor")


def secrets(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tokens: systemd credentials first, then the environment. Absent ones are absent.

    Raises ConfigError when a credential file cannot be read.
    """
    env = os.environ if environment is None else environment
    found: dict[str, str] = {}
    for name in SECRETS:
        path = Path(env["CREDENTIALS_DIRECTORY"]) / name if env.get("CREDENTIALS_DIRECTORY") else None
        try:
            value = path.read_text(encoding="utf-8").strip() if path and path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the credential {name} cannot be read") from error
        if given := value or env.get(name.upper(), "").strip():  # the unit makes a blank one where a file is missing
            found[name] = given
    return found


def checked(found: Mapping[str, str]) -> dict[str, str]:
    """The secrets, addresses among them as they are fetched.

    Raises ConfigError for one that cannot be used. It names the secret and where it came from, never its value.
    """
    usable: dict[str, str] = {}
    for name, value in found.items():
        try:
            usable[name] = fetchable(value) if name in ADDRESSES and value else value
            if name not in OF_LINES and not value.isprintable():
                raise ValueError("it holds a line break or another control character")
            if name in IN_HEADERS and not re.fullmatch(r"[!-~]*", value):
                raise ValueError("it holds a blank or a letter that no token has")
        except ValueError as error:
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            source = f"{folder}/{name}" if folder and (Path(folder) / name).exists() else f"${name.upper()}"
            raise ConfigError(f"the secret {name} (from {source}) cannot be used: {error}") from None
    return usable


def options(config: Config, name: str) -> dict[str, Any]:
    """The table of a source or notifier as its `build` gets it. `slack:C0BRAND` is Slack in that channel."""
    table = getattr(config.file, name.split(":", maxsplit=1)[0], None)
    found: dict[str, Any] = table.model_dump() if table is not None else {}
    return found | {"channel": name.split(":", 1)[1]} if ":" in name else found

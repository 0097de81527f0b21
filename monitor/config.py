"""The one TOML file. Unknown keys are errors with the nearest known key; secrets never stand in it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from monitor.complaints import explain
from monitor.model import Account, Company, Kind, Paging, Severity

DEFAULT_PATH = "/etc/hijack-monitor/hijack-monitor.toml"
SECRETS = ("x_bearer_token", "slack_bot_token", "slack_app_token")
Worth = Literal["clear", "record", "notify", "page"]
Mention = Annotated[str, pydantic.Field(pattern=r"^(channel|[SUW][A-Z0-9]{1,20})$")]
Domain = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]
Handle = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_.]{1,64}$")]


class ConfigError(Exception):
    """The configuration cannot be used; the message says where, what was found, what was expected."""


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


class MonitorTable(_Strict):
    """`[monitor]`"""

    data_dir: str = ""
    rules: list[str] = []
    block_lists: list[str] = []
    block_list_stale_days: float = pydantic.Field(default=7, gt=0)


class CompanyTable(_Strict):
    """`[company]`"""

    name: str = pydantic.Field(min_length=1)
    domains: list[Domain] = []
    wallets: list[str] = []
    handles: list[Handle] = []


class XTable(_Strict):
    """`[x]`"""

    api_base: str = "https://api.x.com"
    poll_seconds: float = pydantic.Field(default=5, ge=0.2, le=3600)
    profile_seconds: float = pydantic.Field(default=60, ge=0.2, le=3600)
    media_hosts: list[str] = ["pbs.twimg.com", "video.twimg.com"]


class ReplayTable(_Strict):
    """`[replay]`: a recorded day instead of a platform."""

    file: str
    speed: float = pydantic.Field(default=1, gt=0)
    poll_seconds: float = pydantic.Field(default=1, ge=0.2, le=3600)


class UnapprovedTable(_Strict):
    """`[accounts.unapproved]`: what a post nobody registered is worth, by kind."""

    post: Worth = "page"
    quote: Worth = "page"
    repost: Worth = "page"
    reply: Worth = "record"


class AccountTable(_Strict):
    """`[[accounts]]`"""

    platform: Literal["x", "replay"]
    handle: Handle
    id: str = pydantic.Field(default="", pattern=r"^\d{0,20}$")
    realm: str = ""
    unapproved: UnapprovedTable = UnapprovedTable()


class SlackTable(_Strict):
    """`[slack]`"""

    api_base: str = "https://slack.com/api/"
    channel: str = pydantic.Field(pattern=r"^[CGD][A-Z0-9]{2,20}$")
    mention: list[Mention] = []
    thread_seconds: float = pydantic.Field(default=20, ge=0.5, le=600)


class Step(_Strict):
    """One step of `escalate`."""

    after_minutes: float = pydantic.Field(gt=0)
    mention: list[Mention] = pydantic.Field(min_length=1)


class PagingTable(_Strict):
    """`[paging]`"""

    repeat_minutes: float = pydantic.Field(default=5, gt=0, le=60)
    escalate: list[Step] = []
    fallback_seconds: float = pydantic.Field(default=60, gt=0, le=600)


class File(_Strict):
    """The whole file."""

    monitor: MonitorTable = MonitorTable()
    company: CompanyTable
    x: XTable = XTable()
    replay: ReplayTable | None = None
    accounts: list[AccountTable] = pydantic.Field(min_length=1)
    slack: SlackTable | None = None
    paging: PagingTable = PagingTable()


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

    def account(self, table: AccountTable, identifier: str) -> Account:
        """An account whose id is known."""
        worth = table.unapproved.model_dump()
        unapproved = tuple((Kind(kind), Severity[value.upper()]) for kind, value in worth.items())
        return Account(table.platform, identifier, table.handle, table.realm, unapproved)

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
        raise ConfigError(f"{path}: {explain(error, File)}") from error
    _check(path, file)
    paging = Paging(
        tuple(file.slack.mention) if file.slack else (),
        file.paging.repeat_minutes,
        tuple((s.after_minutes, tuple(s.mention)) for s in sorted(file.paging.escalate, key=lambda s: s.after_minutes)),
        file.paging.fallback_seconds,
    )
    company = Company(file.company.name, *(tuple(x) for x in (file.company.domains, file.company.wallets, file.company.handles)))
    return Config(path, file, _data_dir(file), company, paging)


def _check(path: Path, file: File) -> None:
    """What the shapes alone cannot say."""
    seen: set[tuple[str, str]] = set()
    for number, account in enumerate(file.accounts):
        key = (account.platform, account.handle.lower())
        if key in seen:
            raise ConfigError(f"{path}: accounts.{number}: @{account.handle} is listed twice")
        seen.add(key)
        if account.platform == "replay" and file.replay is None:
            raise ConfigError(f"{path}: accounts.{number}.platform: 'replay' needs a [replay] table with `file`")


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
            value = path.read_text(encoding="utf-8").strip() if path and path.exists() else env.get(name.upper(), "")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the credential {name} cannot be read") from error
        if value.strip():
            found[name] = value.strip()
    return found


def options(config: Config, name: str) -> dict[str, Any]:
    """The table of a source or notifier as its `build` gets it."""
    table = getattr(config.file, name, None)
    return table.model_dump() if table is not None else {}

"""The one TOML file. Unknown keys are errors with the nearest known key; secrets never stand in it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from monitor.complaints import explain
from monitor.model import Account, Approving, Company, Kind, Paging, Severity
from monitor.spending import PRICES

DEFAULT_PATH = "/etc/hijack-monitor/hijack-monitor.toml"
SECRETS = (
    "x_bearer_token", "slack_bot_token", "slack_app_token", "pagerduty_routing_key", "webhook_key", "alertmanager_token",
    "smtp_password", "apprise_urls", "oncall_url", "deadman_url", "opsgenie_key", "x_user_tokens",
    "install_key",
)  # fmt: skip
ROUTES = ("pagerduty", "alertmanager", "webhook", "smtp", "apprise")  # beside Slack, in the order they are tried
Worth = Literal["clear", "record", "notify", "page"]
_FORMS = {  # what a value has to look like, and how to say so to whoever wrote another one
    "mention": (r"^(channel|[SUW][A-Z0-9]{1,20})$", "the id of a Slack user group (S…) or user (U…), or channel"),
    "member": (r"^[UW][A-Z0-9]{2,20}$", "the id of a Slack user (U…): in their profile, ⋮, Copy member ID"),
    "allowed": (r"^[SUW][A-Z0-9]{1,20}$", "the id of a Slack user group (S…) or user (U…)"),
    "domain": (r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", "a host in small letters, like acme.example, without https:// and path"),
    "channel": (r"^[CGD][A-Z0-9]{2,20}$", "the id of a Slack channel (C…): open it, its name, at the very bottom"),
    "handle": (r"^[A-Za-z0-9_.]{1,64}$", "a handle without @"),
}
Mention = Annotated[str, pydantic.Field(pattern=_FORMS["mention"][0])]
Member = Annotated[str, pydantic.Field(pattern=_FORMS["member"][0])]
Allowed = Annotated[str, pydantic.Field(pattern=_FORMS["allowed"][0])]
Domain = Annotated[str, pydantic.Field(pattern=_FORMS["domain"][0])]
Channel = Annotated[str, pydantic.Field(pattern=_FORMS["channel"][0])]
Route = Annotated[str, pydantic.Field(pattern=r"^(slack(:[CGD][A-Z0-9]{2,20})?|" + "|".join(ROUTES) + ")$")]
Url = Annotated[str, pydantic.Field(pattern=r"^https?://[^\s@]+$")]
Handle = Annotated[str, pydantic.Field(pattern=_FORMS["handle"][0])]


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
    shorteners: list[Domain] = []


class XTable(_Strict):
    """`[x]`"""

    api_base: str = "https://api.x.com"
    poll_seconds: float = pydantic.Field(default=5, ge=0.2, le=3600)
    profile_seconds: float = pydantic.Field(default=60, ge=0.2, le=3600)
    media_hosts: list[str] = ["pbs.twimg.com", "video.twimg.com"]
    push: Literal["auto", "activity", "filtered", "none"] = "auto"
    search: bool = True
    slow_seconds: float = pydantic.Field(default=60, ge=1, le=3600)
    subscriptions: int = pydantic.Field(default=1_500, ge=1, le=150_000)
    budget: float = pydantic.Field(default=0, ge=0)
    prices: dict[str, Annotated[float, pydantic.Field(ge=0)]] = {}


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
    live: Worth = "page"
    dm: Worth = "record"


class CanaryTable(_Strict):
    """`[accounts.canary]`: somebody posts `text` and a number there at intervals; that it is seen proves the whole chain."""

    text: str = pydantic.Field(min_length=5, max_length=200)
    every_minutes: float = pydantic.Field(default=240, gt=0)
    within_seconds: float = pydantic.Field(default=60, gt=0)


class SlackTable(_Strict):
    """`[slack]`"""

    api_base: str = "https://slack.com/api/"
    channel: Channel
    mention: list[Mention] = []
    thread_seconds: float = pydantic.Field(default=20, ge=0.5, le=600)
    responders: list[Allowed] = []
    approvers: list[Allowed] = []
    two_person_approve: bool = False
    runbook_url: str = pydantic.Field(default="", pattern=r"^(https://[^\s|<>]+)?$")
    runbook_file: str = ""
    sockets: int = pydantic.Field(default=2, ge=1, le=10)
    broadcast: bool = True


class ApprovalsTable(_Strict):
    """`[approvals]`: where registrations are announced, how old they must be to be silent, who is who."""

    channel: Channel | None = None
    fresh_minutes: float = pydantic.Field(default=10, ge=0, le=1440)
    logins: dict[str, Member] = {}


class Step(_Strict):
    """One step of `escalate`."""

    after_minutes: float = pydantic.Field(gt=0)
    mention: list[Mention] = pydantic.Field(min_length=1)


class PagingTable(_Strict):
    """`[paging]`"""

    repeat_minutes: float = pydantic.Field(default=5, gt=0, le=60)
    escalate: list[Step] = []
    fallback_seconds: float = pydantic.Field(default=60, gt=0, le=600)
    acknowledge_minutes: float = pydantic.Field(default=30, gt=0, le=480)
    fallback: list[Route] | None = None


class AccountPaging(_Strict):
    """`[accounts.paging]`: where this account's pages go instead; absent keys are those of `[slack]` and `[paging]`."""

    channel: Channel | None = None
    mention: list[Mention] | None = None
    escalate: list[Step] | None = None
    fallback: list[Route] | None = None


class AccountTable(_Strict):
    """`[[accounts]]`"""

    platform: Literal["x", "replay"]
    handle: Handle
    id: str = pydantic.Field(default="", pattern=r"^\d{0,20}$")
    realm: str = ""
    unapproved: UnapprovedTable = UnapprovedTable()
    paging: AccountPaging = AccountPaging()
    canary: CanaryTable | None = None


class PagerDutyTable(_Strict):
    """`[pagerduty]`"""

    api_base: Url = "https://events.pagerduty.com"


class AlertmanagerTable(_Strict):
    """`[alertmanager]`: every member of the cluster."""

    urls: list[Url] = pydantic.Field(min_length=1)
    labels: dict[str, str] = {}


class WebhookTable(_Strict):
    """`[webhook]`"""

    url: Url


class SmtpTable(_Strict):
    """`[smtp]`"""

    host: str = pydantic.Field(min_length=1)
    port: int = pydantic.Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    sender: str = pydantic.Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$")
    recipients: list[Annotated[str, pydantic.Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$")]] = pydantic.Field(min_length=1)
    ca_file: str = ""


class AppriseTable(_Strict):
    """`[apprise]`: its URLs are the secret `apprise_urls`."""


class OncallTable(_Strict):
    """`[oncall]`: a schedule as iCalendar; its address is the secret `oncall_url`, or `url` where that is none."""

    url: str = pydantic.Field(default="", pattern=r"^(https?://\S+)?$")
    refresh_minutes: float = pydantic.Field(default=5, ge=0.1, le=1440)


class DeadmanTable(_Strict):
    """`[deadman]`: who notices when the monitor is gone. The secret `deadman_url` is pinged, with /start and /fail."""

    every_seconds: float = pydantic.Field(default=60, ge=1, le=3600)
    opsgenie_heartbeat: str = pydantic.Field(default="", pattern=r"^[A-Za-z0-9 _.-]*$")
    opsgenie_base: Url = "https://api.opsgenie.com"
    alertmanager: bool = False


class DrillTable(_Strict):
    """`[drill]`: a drill of its own accord, in UTC."""

    every_days: int = pydantic.Field(default=7, ge=1, le=90)
    weekday: Literal["", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = ""
    hour: int = pydantic.Field(default=10, ge=0, le=23)


class MetricsTable(_Strict):
    """`[metrics]`: /metrics and /healthz, on loopback only."""

    port: int = pydantic.Field(default=9464, ge=0, le=65535)


class WitnessTable(_Strict):
    """`[witness]`: this monitor pages only what the first one has not paged by then."""

    after_seconds: float = pydantic.Field(default=120, ge=1, le=900)


class File(_Strict):
    """The whole file."""

    monitor: MonitorTable = MonitorTable()
    company: CompanyTable
    x: XTable = XTable()
    replay: ReplayTable | None = None
    accounts: list[AccountTable] = pydantic.Field(min_length=1)
    slack: SlackTable | None = None
    approvals: ApprovalsTable = ApprovalsTable()
    pagerduty: PagerDutyTable | None = None
    alertmanager: AlertmanagerTable | None = None
    webhook: WebhookTable | None = None
    smtp: SmtpTable | None = None
    apprise: AppriseTable | None = None
    paging: PagingTable = PagingTable()
    oncall: OncallTable | None = None
    deadman: DeadmanTable | None = None
    drill: DrillTable | None = None
    metrics: MetricsTable | None = None
    witness: WitnessTable | None = None


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
        raise ConfigError(f"{path}: {explain(error, File, dict(_FORMS.values()))}") from error
    _check(path, file)
    paging = _paging(file)
    company = Company(
        file.company.name, *(tuple(x) for x in (file.company.domains, file.company.wallets, file.company.handles, file.company.shorteners))
    )
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
    )


def _steps(steps: list[Step]) -> tuple[tuple[float, tuple[str, ...]], ...]:
    return tuple((s.after_minutes, tuple(s.mention)) for s in sorted(steps, key=lambda s: s.after_minutes))


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
            value = path.read_text(encoding="utf-8").strip() if path and path.exists() else env.get(name.upper(), "")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: the credential {name} cannot be read") from error
        if value.strip():
            found[name] = value.strip()
    return found


def options(config: Config, name: str) -> dict[str, Any]:
    """The table of a source or notifier as its `build` gets it. `slack:C0BRAND` is Slack in that channel."""
    table = getattr(config.file, name.split(":", maxsplit=1)[0], None)
    found: dict[str, Any] = table.model_dump() if table is not None else {}
    return found | {"channel": name.split(":", 1)[1]} if ":" in name else found

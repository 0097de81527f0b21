"""The tables of the TOML file, and what a value of each has to look like."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import pydantic

from monitor.verdict.links import own_domain

ROUTES = ("pagerduty", "alertmanager", "webhook", "smtp", "apprise")  # beside Slack, in the order they are tried
Worth = Literal["clear", "record", "notify", "page"]
FORMS = {  # what a value has to look like, and how to say so to whoever wrote another one
    "mention": (r"^(channel|[SUW][A-Z0-9]{1,20})$", "the id of a Slack user group (S…) or user (U…), or channel"),
    "member": (r"^[UW][A-Z0-9]{2,20}$", "the id of a Slack user (U…): in their profile, ⋮, Copy member ID"),
    "allowed": (r"^[SUW][A-Z0-9]{1,20}$", "the id of a Slack user group (S…) or user (U…)"),
    "channel": (r"^[CGD][A-Z0-9]{2,20}$", "the id of a Slack channel (C…): open it, its name, at the very bottom"),
    "handle": (r"^[A-Za-z0-9_.]{1,64}$", "a handle without @"),
}
Mention = Annotated[str, pydantic.Field(pattern=FORMS["mention"][0])]
Member = Annotated[str, pydantic.Field(pattern=FORMS["member"][0])]
Allowed = Annotated[str, pydantic.Field(pattern=FORMS["allowed"][0])]
Channel = Annotated[str, pydantic.Field(pattern=FORMS["channel"][0])]
Route = Annotated[str, pydantic.Field(pattern=r"^(slack(:[CGD][A-Z0-9]{2,20})?|" + "|".join(ROUTES) + ")$")]


def fetchable(address: str) -> str:
    """An address that can be fetched: a calendar's webcal:// stands for https://.

    Raises ValueError in words that do not show the address: it may be a secret.
    """
    scheme, separator, rest = address.partition("://")
    scheme = {"webcal": "https", "webcals": "https"}.get(scheme.lower(), scheme.lower())
    if not separator or scheme not in ("https", "http"):
        raise ValueError("expected an address that begins with https://")
    if not rest.isprintable() or " " in rest:
        raise ValueError("expected an address without blanks and control characters")
    try:
        found = urlsplit(f"{scheme}://{rest}")
        there = bool(found.hostname) and found.port != 0
    except ValueError:  # its own words quote the address
        there = False
    if not there:
        raise ValueError("expected an address with a host, like https://acme.example/…")
    return f"{scheme}://{rest}"


def _public(address: str) -> str:
    """The same for an address in the file, which is no place for secrets."""
    found = fetchable(address)
    if "@" in urlsplit(found).netloc:
        raise ValueError("expected an address without a name and password before the host: the file is no place for secrets")
    return found


def _domain(written: str) -> str:
    own_domain(written)
    return written


def _zone(name: str) -> str:
    if name and name not in available_timezones():
        raise ValueError("expected the name of a time zone, like Europe/Berlin")
    return name


class Strict(pydantic.BaseModel):
    """A table in which an unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid")


Url = Annotated[str, pydantic.AfterValidator(_public)]
Domain = Annotated[str, pydantic.AfterValidator(_domain)]
Handle = Annotated[str, pydantic.Field(pattern=FORMS["handle"][0])]


class MonitorTable(Strict):
    """`[monitor]`"""

    data_dir: str = ""
    rules: list[str] = []
    block_lists: list[str] = []
    block_list_stale_days: float = pydantic.Field(default=7, gt=0)


class CompanyTable(Strict):
    """`[company]`"""

    name: str = pydantic.Field(min_length=1)
    domains: list[Domain] = []
    wallets: list[str] = []
    handles: list[Handle] = []
    shorteners: list[Domain] = []


class XTable(Strict):
    """`[x]`"""

    api_base: Url = "https://api.x.com"
    poll_seconds: float = pydantic.Field(default=5, ge=0.2, le=3600)
    profile_seconds: float = pydantic.Field(default=60, ge=0.2, le=3600)
    media_hosts: list[str] = ["pbs.twimg.com", "video.twimg.com"]
    push: Literal["auto", "activity", "filtered", "none"] = "auto"
    search: bool = True
    slow_seconds: float = pydantic.Field(default=60, ge=1, le=3600)
    subscriptions: int = pydantic.Field(default=1_500, ge=1, le=150_000)
    budget: float = pydantic.Field(default=0, ge=0)
    prices: dict[str, Annotated[float, pydantic.Field(ge=0)]] = {}


class ReplayTable(Strict):
    """`[replay]`: a recorded day instead of a platform."""

    file: str
    speed: float = pydantic.Field(default=1, gt=0)
    poll_seconds: float = pydantic.Field(default=1, ge=0.2, le=3600)


class UnapprovedTable(Strict):
    """`[accounts.unapproved]`: what a post nobody registered is worth, by kind."""

    post: Worth = "page"
    quote: Worth = "page"
    repost: Worth = "page"
    reply: Worth = "record"
    live: Worth = "page"
    dm: Worth = "record"


class CanaryTable(Strict):
    """`[accounts.canary]`: somebody posts `text` and a number there at intervals; that it is seen proves the whole chain."""

    text: Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=5, max_length=200)]
    every_minutes: float = pydantic.Field(default=240, gt=0)
    within_seconds: float = pydantic.Field(default=60, gt=0)


class SlackTable(Strict):
    """`[slack]`"""

    api_base: Url = "https://slack.com/api/"
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


class ApprovalsTable(Strict):
    """`[approvals]`: where registrations are announced, how old they must be to be silent, who is who."""

    channel: Channel | None = None
    fresh_minutes: float = pydantic.Field(default=10, ge=0, le=1440)
    logins: dict[str, Member] = {}


class Step(Strict):
    """One step of `escalate`."""

    after_minutes: float = pydantic.Field(gt=0)
    mention: list[Mention] = pydantic.Field(min_length=1)


class PagingTable(Strict):
    """`[paging]`"""

    repeat_minutes: float = pydantic.Field(default=5, gt=0, le=60)
    escalate: list[Step] = []
    fallback_seconds: float = pydantic.Field(default=60, gt=0, le=600)
    acknowledge_minutes: float = pydantic.Field(default=30, gt=0, le=480)
    fallback: list[Route] | None = None


class AccountPaging(Strict):
    """`[accounts.paging]`: where this account's pages go instead; absent keys are those of `[slack]` and `[paging]`."""

    channel: Channel | None = None
    mention: list[Mention] | None = None
    escalate: list[Step] | None = None
    fallback: list[Route] | None = None


class AccountTable(Strict):
    """`[[accounts]]`"""

    platform: Literal["x", "replay"]
    handle: Handle
    id: str = pydantic.Field(default="", pattern=r"^\d{0,20}$")
    realm: str = ""
    unapproved: UnapprovedTable = UnapprovedTable()
    paging: AccountPaging = AccountPaging()
    canary: CanaryTable | None = None


class PagerDutyTable(Strict):
    """`[pagerduty]`"""

    api_base: Url = "https://events.pagerduty.com"


class AlertmanagerTable(Strict):
    """`[alertmanager]`: every member of the cluster."""

    urls: list[Url] = pydantic.Field(min_length=1)
    labels: dict[str, str] = {}
    username: str = pydantic.Field(default="", pattern=r"^[^:\x00-\x1f]*$")


class WebhookTable(Strict):
    """`[webhook]`"""

    url: Url


class SmtpTable(Strict):
    """`[smtp]`"""

    host: str = pydantic.Field(min_length=1)
    port: int = pydantic.Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    sender: str = pydantic.Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$")
    recipients: list[Annotated[str, pydantic.Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$")]] = pydantic.Field(min_length=1)
    ca_file: str = ""


class AppriseTable(Strict):
    """`[apprise]`: its URLs are the secret `apprise_urls`."""


class OncallTable(Strict):
    """`[oncall]`: a schedule as iCalendar; its address is the secret `oncall_url`, or `url` where that is none."""

    url: Annotated[str, pydantic.AfterValidator(lambda url: url and _public(url))] = ""
    refresh_minutes: float = pydantic.Field(default=5, ge=0.1, le=1440)
    alone_minutes: float = pydantic.Field(default=1, gt=0, le=60)
    zone: Annotated[str, pydantic.AfterValidator(_zone)] = ""


class DeadmanTable(Strict):
    """`[deadman]`: who notices when the monitor is gone. The secret `deadman_url` is pinged."""

    every_seconds: float = pydantic.Field(default=60, ge=1, le=3600)
    opsgenie_heartbeat: str = pydantic.Field(default="", pattern=r"^[A-Za-z0-9 _.-]*$")
    opsgenie_base: Url = "https://api.opsgenie.com"
    alertmanager: bool = False


class DrillTable(Strict):
    """`[drill]`: a drill of its own accord, in UTC."""

    every_days: int = pydantic.Field(default=7, ge=1, le=90)
    weekday: Literal["", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = ""
    hour: int = pydantic.Field(default=10, ge=0, le=23)


class MetricsTable(Strict):
    """`[metrics]`: /metrics and /healthz, on loopback only."""

    port: int = pydantic.Field(default=9464, ge=0, le=65535)


class BackupTable(Strict):
    """`[backup]`: when somebody is told that the last one is old."""

    warn_hours: float = pydantic.Field(default=48, ge=0, le=87_600)


_Days = Annotated[int, pydantic.Field(strict=True, ge=0, le=36_500)]


class RetentionTable(Strict):
    """`[retention]`: how many days everything is kept; 0: without end. See `retention`."""

    deleted_days: _Days = 30
    evidence_days: _Days = 365
    posts_days: _Days = 1825
    registrations_days: _Days = 1825
    inbox_days: _Days = 90
    own_incidents_days: _Days = 365
    incidents_days: _Days = 0


class WitnessTable(Strict):
    """`[witness]`: this monitor pages only what the first one has not paged by then."""

    after_seconds: float = pydantic.Field(default=120, ge=1, le=900)


class File(Strict):
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
    backup: BackupTable = BackupTable()
    retention: RetentionTable = RetentionTable()
    witness: WitnessTable | None = None

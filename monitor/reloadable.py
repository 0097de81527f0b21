"""What of the configuration may change while the daemon runs. A key that is not named here waits for a restart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from monitor.tables import ROUTES, AccountTable, File, Strict

LIVE = {
    "monitor": {"rules", "block_lists", "block_list_stale_days"},
    "company": {"name", "domains", "wallets", "handles", "shorteners"},
    "x": {"poll_seconds", "profile_seconds", "slow_seconds", "search", "budget", "prices", "media_hosts"},
    "accounts": {"platform", "handle", "id", "realm", "unapproved", "paging", "canary"},
    "slack": {"mention", "responders", "approvers", "two_person_approve", "runbook_url", "runbook_file", "broadcast"},
    "approvals": {"channel", "fresh_minutes", "logins"},
    "paging": {"repeat_minutes", "escalate", "fallback_seconds", "acknowledge_minutes", "fallback"},
    "pagerduty": {"api_base"},
    "alertmanager": {"urls", "labels", "username"},
    "webhook": {"url"},
    "smtp": {"host", "port", "security", "username", "sender", "recipients", "ca_file"},
    "oncall": {"alone_minutes"},
    "drill": {"every_days", "weekday", "hour"},
    "backup": {"warn_hours"},
    "retention": {
        "deleted_days",
        "evidence_days",
        "posts_days",
        "registrations_days",
        "inbox_days",
        "own_incidents_days",
        "incidents_days",
    },
    "witness": {"after_seconds"},
}  # by table
COME_AND_GO = {*ROUTES, "drill", "witness"}  # tables that may appear and disappear
Table = TypeVar("Table", bound=Strict)


@dataclass(frozen=True)
class Change:
    """`file` is what is in force afterwards; `changed` and `waiting` name keys: those that it takes over and those that wait for a restart."""

    file: File
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def merged(running: File, wanted: File) -> Change:
    """The configuration that runs with everything of the wanted one that may change now."""
    values: dict[str, object] = {}
    changed: list[str] = []
    waiting: list[str] = []
    for name in File.model_fields:
        old, new = getattr(running, name), getattr(wanted, name)
        if name == "accounts":
            values[name] = _accounts(running, wanted, changed, waiting)
        elif isinstance(old, Strict) and isinstance(new, Strict):
            values[name] = _table(name, name, old, new, changed, waiting)
        elif old != new and name in COME_AND_GO:
            values[name] = new
            changed.append(name)
        elif old != new:
            waiting.append(name)
    return Change(running.model_copy(update=values), tuple(changed), tuple(waiting))


def _table(name: str, shown: str, old: Table, new: Table, changed: list[str], waiting: list[str]) -> Table:
    """One table; a key that waits keeps its value."""
    differ = [key for key in type(new).model_fields if getattr(old, key) != getattr(new, key)]
    live = [key for key in differ if key in LIVE.get(name, ())]
    changed += [f"{shown}.{key}" for key in live]
    waiting += [f"{shown}.{key}" for key in differ if key not in live]
    return old.model_copy(update={key: getattr(new, key) for key in live})


def _accounts(running: File, wanted: File, changed: list[str], waiting: list[str]) -> list[AccountTable]:
    """By platform and handle. What reads a platform is made at the start: the first account of another one waits."""
    before = {_name(table): table for table in running.accounts}
    platforms = {table.platform for table in running.accounts}
    found: list[AccountTable] = []
    for table in wanted.accounts:
        name = _name(table)
        if known := before.pop(name, None):
            found.append(_table("accounts", name, known, table, changed, waiting))
        elif table.platform in platforms:
            found.append(table)
            changed.append(f"{name} added")
        else:
            waiting.append(f"{name} (the first one on {table.platform})")
    changed += [f"{name} removed" for name in before]
    return found


def _name(table: AccountTable) -> str:
    return f"accounts.{table.platform}:{table.handle.lower()}"

"""Fits a changed configuration into the daemon while it runs: everything is made first, then all of it takes its place at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitor.assembly import block_lists, load_rules
from monitor.blocklists import Blocklists
from monitor.config import Config, ConfigError, options
from monitor.deadman import Alive
from monitor.judging import Basis
from monitor.model import Account, Paging
from monitor.notifiers.interface import Notifier
from monitor.notifiers.slack import SlackNotifier
from monitor.rulebook import Rulebook
from monitor.selfcheck import canary
from monitor.service import Service
from monitor.tables import AccountTable

Routes = Mapping[str, Any]  # a notifier each


@dataclass(frozen=True)
class Parts:
    """A configuration, and what was made of it. `renewed` are channels that stay, each with how it is configured now."""

    config: Config
    basis: Basis
    routes: Routes
    renewed: tuple[tuple[SlackNotifier, SlackNotifier], ...]
    lists: Blocklists
    accounts: Mapping[str, tuple[Account, Paging | None]]  # those that are watched already and stay, by key
    pending: tuple[AccountTable, ...]
    changed: tuple[str, ...]  # in files that the configuration names


class Fitting:
    """`build` makes every route of a configuration, with the secrets of the start. Raises ConfigError."""

    def __init__(self, made: Service, build: Callable[[Config], Routes]) -> None:
        self._made, self._build = made, build

    def prepare(self, config: Config, now: datetime) -> Parts:
        """Make everything anew; nothing of what runs is touched. Raises ConfigError, RuleError and whatever reading a file raises."""
        made, book = self._made, load_rules(config)
        routes, renewed = self._routes(config)
        accounts, pending = self._accounts(config)
        basis = Basis(config.company, book, config.approving, tuple(account for account, _ in accounts.values()))
        if why := canary(config.company, book.rules, now):
            raise ConfigError(f"{config.path}: with these rules and this company {why}")
        listed = block_lists(config)
        lists = made.judge.lists.moved(listed.paths, listed.stale_days)
        changed = _rules(made.judge.rulebook, book)
        changed += ("the text of slack.runbook_file",) if any(old.runbook != new.runbook for old, new in renewed) else ()
        return Parts(config, basis, routes, renewed, lists, accounts, pending, changed)

    def write(self, parts: Parts, now: datetime) -> None:
        """What verdicts will refer to. Inside the transaction that tells of the change."""
        self._made.judge.write(parts.basis, now)

    def adopt(self, parts: Parts) -> None:
        """All of it from now on. Assignments only: nothing here asks, waits or may fail."""
        made, config = self._made, parts.config
        made.config = made.emergency.config = config
        made.judge.use(parts.basis)
        made.judge.lists = parts.lists
        made.pictures.hosts = frozenset(config.file.x.media_hosts)
        for name, collector in made.collectors.items():
            collector.rounds.pace(config.poll_seconds(name), config.file.x.slow_seconds if name == "x" else 0, made.clock())
            collector.searches = config.file.x.search
        self._watch(parts)
        for old, new in parts.renewed:
            old.renew(new)
        made.pager.take(parts.routes)
        furnish(made, parts.routes)
        made.check.forget_engine()

    def _watch(self, parts: Parts) -> None:
        made = self._made
        for watch in made.watches:
            if watch.account.key in parts.accounts:
                watch.become(parts.accounts[watch.account.key][0])
            else:
                made.collectors[watch.account.platform].leave(watch.account.key)
        made.watches = [watch for watch in made.watches if watch.account.key in parts.accounts]
        made.await_ids(parts.pending)
        made.outbox.usual = parts.config.paging
        made.outbox.special = {key: own for key, (_, own) in parts.accounts.items() if own}

    def _routes(self, config: Config) -> tuple[Routes, tuple[tuple[SlackNotifier, SlackNotifier], ...]]:
        """Every route by its name: what is configured as before stays, and of Slack whatever is known of people and threads."""
        made, fresh = self._made, self._build(config)
        running, routes, renewed = made.pager.notifiers(), dict[str, Notifier](), list[tuple[SlackNotifier, SlackNotifier]]()
        for name, new in fresh.items():
            old = running.get(name)
            if isinstance(old, SlackNotifier) and isinstance(new, SlackNotifier):
                renewed.append((old, new))
                routes[name] = old
            else:
                routes[name] = old if old and options(made.config, name) == options(config, name) else new
        return routes, tuple(renewed)

    def _accounts(self, config: Config) -> tuple[dict[str, tuple[Account, Paging | None]], tuple[AccountTable, ...]]:
        """Those that are watched and stay, in the order of the watch, and the tables of those that have to be looked up."""
        made, found, pending = self._made, dict[str, tuple[Account, Paging | None]](), list[AccountTable]()
        watched = [watch.account.key for watch in made.watches]
        for table in config.file.accounts:
            identifier = table.id or made.store.pinned(table.platform, table.handle) or ""
            account = config.account(table, identifier)
            if identifier and account.key in watched:
                found[account.key] = account, config.paging_of(table)
            else:
                pending.append(table)
        return {key: found[key] for key in watched if key in found}, tuple(pending)


def furnish(made: Service, routes: Routes) -> None:
    """What else depends on the configuration, at the start and after a reload."""
    config, file = made.config, made.config.file
    channels = [route for route in routes.values() if isinstance(route, SlackNotifier)]
    slack = channels[0] if channels else None
    for other in channels[1:]:  # one workspace: who may, and what groups are called, is known once
        other.people = channels[0].people
    made.sight.after.channels = {name: route for name, route in routes.items() if isinstance(route, SlackNotifier)}
    made.outbox.runbook = len(slack.runbook) if slack and file.slack and file.slack.runbook_file else 0
    if made.office:
        made.office.company, made.office.approving, made.office.logins = config.company, config.approving, file.approvals.logins
    if made.pager.announcer and slack:
        made.pager.announcer.channel = slack.announcements(file.approvals.channel, made.store.install, config.approving, made.accounts)
    witness = file.witness if slack else None
    made.pager.witness = slack.covered if slack and witness else None
    made.outbox.delay = timedelta(seconds=witness.after_seconds) if witness else timedelta()
    if made.deadman:
        made.deadman.alive = alive(config, routes)


def alive(config: Config, routes: Routes) -> Alive | None:
    """Alertmanager's part in the dead-man's switch."""
    deadman = config.file.deadman
    return routes["alertmanager"].alive if deadman and deadman.alertmanager and "alertmanager" in routes else None


def _rules(before: Rulebook, after: Rulebook) -> tuple[str, ...]:
    """The files whose rules differ."""
    old, new = ({source.path.name: source.file for source in book.sources} for book in (before, after))
    return tuple(f"rules: {name}" for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name))

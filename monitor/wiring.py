"""Joins the parts of the daemon as the configuration wants them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import aiohttp

from monitor import backup, drill, signing, sources, standing
from monitor.announcer import Announcer
from monitor.assembly import block_lists, build_edge, build_routes, http_session, load_key, load_rules
from monitor.collector import Collector, rounds_of
from monitor.config import Config, ConfigError, checked, options
from monitor.deadman import Deadman
from monitor.fitting import Fitting, alive, furnish
from monitor.foreign.sandbox import Sandbox
from monitor.judging import Judge
from monitor.noted import Noted
from monitor.notifiers.slack.replies import Office
from monitor.observed import Observed
from monitor.oncall import Schedule
from monitor.outbox import Outbox
from monitor.pager import Pager
from monitor.pictures import Pictures
from monitor.pruning import Pruning
from monitor.reads import BLOCK_LIST, Reads
from monitor.reloading import Reloading
from monitor.retention import distrusted
from monitor.selfcheck import SelfCheck
from monitor.service import Service, utc_now
from monitor.sources import interface as incoming
from monitor.sources.interface import Source
from monitor.store import OF_THE_DAEMON, Store
from monitor.verifying import Verifying
from monitor.vision import installed as reads_pictures

log = logging.getLogger("monitor.wiring")


@contextlib.asynccontextmanager
async def opened(config: Config, secrets: Mapping[str, str], clock: Callable[[], datetime] = utc_now) -> Any:
    """A wired Service. Raises ConfigError and RuleError."""
    book = load_rules(config)
    secrets = _with_key(config, checked(secrets))
    async with http_session() as session:
        store = Store(config.database, OF_THE_DAEMON)
        try:
            outbox = Outbox(store, config.paging)
            seen, reads = Observed(store, outbox, clock), Reads(clock)
            built: dict[str, Source] = {
                name: Noted(build_edge(sources, name, incoming.Settings(options(config, name), session, clock, seen), secrets), name, reads)
                for name in {a.platform for a in config.file.accounts}
            }
            routes = build_routes(config, session, secrets, clock)
            judge = Judge(store, config.company, book, config.approving)
            judge.lists = block_lists(config)
            reads.only(BLOCK_LIST, {path: path for path in judge.lists.troubles()})
            sandbox = Sandbox()
            sandbox.note = lambda what, why: standing.note(store, what, why)
            pager = Pager(store, outbox, routes, clock, reads)
            pager.anchor = _anchor(store, secrets["install_key"].encode())
            pictures = Pictures(session, config.file.x.media_hosts, sandbox, reads)
            check = SelfCheck(store, outbox, pager, clock, clock(), reads)
            made = Service(
                config, store, judge, outbox, pager, built, clock, asyncio.Event(), pictures, check, seen, sandbox, reads, started=clock()
            )
            check.parts["the clock"] = made.steps.vitals
            check.tells_of_profile = made.tells_of_profile
            check.parts["backups"] = lambda now: backup.vitals(store, now, made.config.file.backup.warn_hours)
            check.parts["reading"] = lambda now: standing.vitals(made.config, store, seen, made.collectors, made.balance, made.started, now)
            check.parts["drills"] = partial(_drills, made)
            fitting = Fitting(made, lambda new: build_routes(new, session, secrets, clock))
            made.reloading = Reloading(store, lambda: made.config, fitting, made.emergency.halfway)
            held = made.emergency.cannot_write
            try:
                for name, source in built.items():
                    made.collectors[name] = Collector(
                        name, source, store, rounds_of(config, name), clock, held, reads, searches=config.file.x.search
                    )
                _furnish(made, routes, session, secrets)
                made.x_settings = incoming.Settings(options(config, "x") | {"install": store.install}, session, clock, seen)
                if "x" in built and config.file.x.push != "none":
                    build_edge(sources, "x_activity", made.x_settings, secrets)  # says now what is wrong with a secret of it
                yield made
            finally:
                await _close(made)
        finally:
            store.close()


async def _close(made: Service) -> None:
    """Whatever ended it: streams and polls, what X billed, messages on their way. One that cannot be closed holds up no other."""
    made.emergency.closing = True
    for collector in made.collectors.values():
        try:
            await collector.close()
        except Exception:
            log.exception("a stream was not closed")
    with contextlib.suppress(sqlite3.Error):
        made.observed.flush()
    with contextlib.suppress(TimeoutError):  # what is still being sent is looked for at the next start
        await asyncio.wait_for(asyncio.gather(made.pager.settle(), made.sight.settle(), made.catching_up.settle()), 3)


def pruning(made: Service) -> Pruning:
    """What removes what is old, by the configuration and the rules of the moment."""
    clock = lambda: distrusted(made.observed.skew, made.observed.since_dated(), made.steps.lately())  # noqa: E731 - one line says it
    return Pruning(made.store, lambda: made.config.retention, made.clock, clock, lambda: made.judge.digest, made.emergency.cannot_write)


def verifying(made: Service) -> Verifying:
    """What verifies the audit chain, and says how it is."""
    found = Verifying(made.store, made.clock, made.emergency.cannot_write)
    made.check.parts["the audit chain"] = found.vitals
    return found


def _with_key(config: Config, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets, and the installation's own among them. Raises ConfigError."""
    return {**secrets, "install_key": load_key(config, secrets).decode()}


def _furnish(made: Service, routes: dict[str, Any], session: aiohttp.ClientSession, secrets: Mapping[str, str]) -> None:
    """What only some configurations have: a front in Slack, a schedule, a dead-man's switch."""
    config, file = made.config, made.config.file
    made.outbox.reads_pictures = reads_pictures()
    channels = [routes[name] for name in routes if name.split(":")[0] == "slack"]
    slack = channels[0] if channels else None
    if file.slack and slack:
        made.office = _office(made)
        made.front = front = slack.front(made.office, secrets.get("slack_app_token", ""))
        made.check.parts["Slack"] = front.vitals
        home = file.slack.channel
        front.targets.wanted = lambda: _wanted(made)
        made.outbox.unreached = lambda names: front.targets.unreached(_channels(names, home))
    made.sight.channel = slack.standing() if slack else None
    made.pager.announcer = Announcer(made.store, made.clock, None)
    if file.oncall:
        url = secrets.get("oncall_url", "") or file.oncall.url
        if not url or not slack:
            raise ConfigError(f"{config.path}: oncall: needs a [slack] table and an address: the secret oncall_url or the key url")
        made.oncall = Schedule(url, made.store, session, slack.people.by_email, made.sandbox, file.oncall.zone)
    if file.deadman:
        try:
            made.deadman = Deadman(file.deadman.model_dump(), secrets, session, made.store.install, alive(config, routes))
        except ValueError as error:
            raise ConfigError(f"{config.path}: deadman: {error}") from error
    furnish(made, routes)


def _drills(made: Service, now: datetime) -> Mapping[str, Any]:
    table = made.config.file.drill
    return drill.vitals(made.store, now, table.every_days) if table else {"gone": ("drill",)}


def _channels(names: tuple[str, ...], home: str) -> list[str]:
    """The Slack channels among these routes."""
    return [name.partition(":")[2] or home for name in names if name.partition(":")[0] == "slack"]


def _wanted(made: Service) -> dict[str, dict[str, str]]:
    """Whom pages are to wake, in which channel, and where that is configured."""
    config, found = made.config, dict[str, dict[str, str]]()
    own = [(paging, f"{table.handle}'s ") for table in config.file.accounts if (paging := config.paging_of(table))]
    for paging, whose in ((config.paging, ""), *own):
        steps = [(who, f"{whose}escalate, after {after:g} min") for after, listed in paging.escalate for who in listed]
        named = [*((who, f"{whose}mention") for who in paging.mention), *steps, *((who, "the schedule") for who in made.outbox.oncall)]
        for channel in _channels((*paging.routes, *paging.fallback), config.file.slack.channel if config.file.slack else ""):
            for who, where in named:
                found.setdefault(channel, {}).setdefault(who, where)
    return found


def _anchor(store: Store, secret: bytes) -> Callable[[], str]:
    """What pages carry for auditors. The store remembers the key, so that a command with another one does not sign."""
    known = signing.fingerprint(signing.public(secret))
    if store.kept("signing key") != known:
        store.keep("signing key", known)
    return lambda: f"{store.audit_head()[:32]} key {known}"


def _office(made: Service) -> Office:
    """What people in Slack may reach."""
    return Office(
        made.store, made.outbox, made.clock, made.wake.set, made.config.company, lambda: made.judge.rulebook.rules,
        made.accounts, made.standing, lambda: drill.words(made.store), made.begin_drill,
        made.config.approving, made.config.file.approvals.logins,
    )  # fmt: skip

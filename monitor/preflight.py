"""Commands that do more than one line: check, judge, import, drill, rules test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from monitor import advice, assembly, backup, desk, record, retention, rulebook, safe, silences, spending, text_files, vision, wiring, words
from monitor import drill as drills
from monitor.collector import Collector
from monitor.command import progress, watched
from monitor.config import Config, ConfigError, secrets
from monitor.foreign.sandbox import Sandbox
from monitor.judging import Judge
from monitor.model import Account, Severity
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.targets import Targets
from monitor.outbox import Outbox
from monitor.service import Service
from monitor.sources.interface import SourceError
from monitor.sources.replay import line_post
from monitor.store import Store
from monitor.verdict import judge
from monitor.verdict.approved import Queue


def outbox(store: Store, config: Config) -> Outbox:
    """The outbox with the routes of the configuration, as the daemon has it."""
    special = {}
    for table in config.file.accounts:
        own, identifier = config.paging_of(table), table.id or store.pinned(table.platform, table.handle)
        if own and identifier:
            special[config.account(table, identifier).key] = own
    return Outbox(store, config.paging, special)


# --- check -----------------------------------------------------------------------------------------


def list_notes(config: Config, now: datetime) -> tuple[str, ...]:
    """What is wrong with the block lists, as they are now."""
    lists = assembly.block_lists(config)
    asyncio.run(lists.refresh(Sandbox()))
    return lists.notes(now)


def check(config: Config, *, live: bool) -> None:
    """Say what was loaded and what would page whom. Raises ConfigError or RuleError."""
    asyncio.run(_check(config, live=live))


async def _check(config: Config, *, live: bool) -> None:
    async with wiring.opened(config, secrets()) as built:
        click.echo(f"configuration  {config.path}")
        click.echo(f"data           {config.database}")
        found = built.judge.rulebook.sources
        tests = sum(len(s.file.tests) for s in found)
        click.echo(f"rules          {len(found)} loaded, {tests} tests passed, {sum(s.file.status == 'live' for s in found)} live")
        click.echo(f"pictures       {_readers()}")
        for name in config.file.monitor.block_lists:
            click.echo(f"block list     {name}")
        await built.look_at_lists()
        for note in built.judge.lists.notes(datetime.now(UTC)):
            click.echo(f"warning: block list {safe.for_terminal(note, 300)}")
        for table in config.file.accounts:
            worth = ", ".join(f"{k} {v}" for k, v in table.unapproved.model_dump().items())
            click.echo(f"account        @{table.handle} on {table.platform}: unapproved {worth}")
            if Severity[table.unapproved.quote.upper()] < Severity[table.unapproved.post.upper()]:
                click.echo(f"warning: @{table.handle}: a quote counts for what a post does: a pasted link makes a quote")
        _say_cost(config, built.store)
        click.echo(f"kept           {retention.described(config.retention)}")
        for line in backup.described(built.store, datetime.now(UTC), config.file.backup.warn_hours):
            click.echo(safe.clean(line, 500))
        _say_paging(config)
        for line in built.deadman.described() if built.deadman else ():
            click.echo(f"dead-man       {line}")
        _say_approving(config)
        if live:
            await _ask_everybody(built)
            await built.open_streams(secrets())
            for collector in built.collectors.values():
                click.echo(f"live           {collector.platform}: {collector.mode}")
                click.echo(f"live           {collector.platform}: {await _searched(collector)}")


async def _searched(collector: Collector) -> str:
    """Whether posts can be searched for. Of the last twelve seconds, so that it costs nothing."""
    some = Account(collector.platform, "1", "nobody")
    try:
        await collector.source.search((some,), datetime.now(UTC) - timedelta(seconds=12))
    except SourceError as error:
        return f"where timelines fail, posts cannot be searched for: {error}"
    return "where timelines fail, posts can be searched for" if collector.searches else "posts could be searched for, `search` is off"


def _readers() -> str:
    """What is made of pictures here."""
    read = vision.readers()
    missing = " and ".join(name for name in ("words", "codes") if name not in read)
    if not read:
        return "registered ones are compared; nothing in those of an incident is read: install hijack-monitor[vision]"
    what = f"{' and '.join(read)} in those of an incident are read"
    return f"registered ones are compared; {what}" + (f", {missing} are not: install hijack-monitor[vision]" if missing else "")


def _say_cost(config: Config, store: Store) -> None:
    """What reading X will cost in a month, by what was posted so far."""
    watched = sum(a.platform == "x" for a in config.file.accounts)
    if not watched:
        return
    since = record.stamp(datetime.now(UTC) - timedelta(days=30))
    row = store.sql.execute(
        "SELECT count(*), min(p.seen_at) FROM accounts a CROSS JOIN posts p ON p.account = a.key WHERE a.key LIKE 'x:%' AND p.created_at > ?1"
        " AND p.seen_at > ?1 AND p.baseline = 0 AND p.kind NOT IN ('profile', 'live', 'dm')",
        [since],
    ).fetchone()
    begun = record.moment(row[1])
    days = (datetime.now(UTC) - begun).total_seconds() / 86_400 if begun else 0.0
    a_day = row[0] / days / watched if days >= 3 else spending.ASSUMED
    how = f"as in the last {days:.0f} days" if days >= 3 else "assumed until three days were watched"
    dollars = spending.estimate(watched, a_day, config.prices)
    click.echo(
        f"cost           ${dollars:.2f} a month: {watched} account(s) with {a_day:.1f} posts a day each ({how}), prices of {spending.AS_OF}"
    )
    if config.file.x.budget and dollars > config.file.x.budget:
        click.echo(f"warning: that is more than the budget of ${config.file.x.budget:.2f}")
    told = {"auto": "whatever stream X lets this app use (`check --live` asks)", "none": "nothing: polling only"}
    click.echo(
        f"posts told by  {told.get(config.file.x.push, f'the {config.file.x.push} stream')}; polls every {config.file.x.poll_seconds:g} s without it"
    )


def _say_paging(config: Config) -> None:
    who = ", ".join(config.paging.mention) or "nobody by name"
    where = f"Slack channel {config.file.slack.channel}" if config.file.slack else "stderr only (no [slack] table)"
    click.echo(f"a page goes to {where}, waking {who}; again every {config.paging.repeat_minutes:g} min until acknowledged")
    for minutes, mentions in config.paging.escalate:
        click.echo(f"  after {minutes:g} min also {', '.join('the whole channel' if m == 'channel' else m for m in mentions)}")
    chain = ", then ".join([*config.paging.fallback, "the journal at level alert"])
    click.echo(f"  not accepted within {config.paging.fallback_seconds:g} s, or refused: to {chain}")
    click.echo(f"  an acknowledgement counts for {config.paging.acknowledge_minutes:g} min")
    for table in config.file.accounts:
        own = config.paging_of(table)
        if own:
            wakes = ", ".join(own.mention) or "nobody by name"
            click.echo(f"  @{table.handle}: to {', '.join(own.routes)}, waking {wakes}; else {', '.join(own.fallback) or 'the journal'}")
    if config.file.slack and not config.paging.fallback:
        click.echo(
            "warning: Slack is the only route that wakes anybody; the last resort is the journal. Add [pagerduty], [smtp] or another"
        )
    for line in advice.meant(config):
        click.echo(safe.for_terminal(line, 300))
    for line in advice.who_may(config):
        click.echo(line)
    for warning in advice.warnings(config, secrets()):
        click.echo(f"warning: {warning}")


def _say_approving(config: Config) -> None:
    """What one person's word is worth, and what to set so that it is enough for nothing."""
    one, table, slack = config.approving, config.file.approvals, config.file.slack
    if one.two_person:
        click.echo("approvals      a registration takes effect once a second person confirms it")
        if len(table.logins) < 2 and not (slack and slack.approvers):
            click.echo("warning: two_person_approve is true, and no second approver is known: name `approvers` in [slack]")
    if one.fresh_minutes:
        click.echo(
            f"approvals      a post registered less than {one.fresh_minutes:g} min before is a notice, unless a second person confirmed it"
        )
    else:
        click.echo(
            "warning: fresh_minutes = 0: whoever may register a text can post it at once, and nobody is told but by the announcement"
        )


async def _say_duty(built: Service) -> None:
    """Who is on call now, and what of the schedule was not understood."""
    if built.oncall is None:
        return
    await built.look_at_schedule()
    if built.oncall.trouble:
        click.echo(f"warning: the schedule: {safe.for_terminal(built.oncall.trouble, 300)}")
    click.echo(f"live           {safe.for_terminal(built.oncall.duty.words(), 500)}")
    for note in built.oncall.duty.notes:
        click.echo(f"warning: the schedule: {safe.for_terminal(note, 300)}")


async def _ask_whom_pages_reach(config: Config, targets: Targets) -> None:
    """Raises ConfigError for a target that wakes nobody; who may act and cannot is only said."""
    with contextlib.suppress(NotifierError):
        await targets.people.learn_names()
    wanted = targets.wanted()
    found = await targets.find(wanted)
    lost = [targets.sentence(who, why, wanted[channel][who]) for (channel, who), why in found.nobody.items()]
    if lost:
        said = safe.for_terminal("; ".join(lost), 1_000)
        raise ConfigError(f"{config.path}: a page would not wake everybody it should: {said}. Mend it in Slack, or name others")
    if slack := config.file.slack:
        may = dict.fromkeys(slack.responders, "responders") | dict.fromkeys(slack.approvers, "approvers")
        acting = await targets.find({"": may})
        for (_, who), why in acting.nobody.items():
            click.echo(f"warning: {safe.for_terminal(targets.sentence(who, why, may[who]), 300)}")
        found = replace(found, unknown={**found.unknown, **acting.unknown})
    for (_, who), why in found.unknown.items():
        click.echo(f"warning: Slack does not say whether {who} can be reached: {safe.for_terminal(why, 200)}")


async def _ask_everybody(built: Service) -> None:
    for name, notifier in built.pager.notifiers().items():
        try:
            click.echo(f"live           {await notifier.check()}")
        except NotifierError as error:
            raise ConfigError(f"{name}: {error}") from error
    if built.front:
        try:
            click.echo(f"live           {await built.front.check()}")
        except NotifierError as error:
            raise ConfigError(f"slack_app_token: {error}: it needs connections:write and Socket Mode switched on") from error
    await _say_duty(built)
    if built.front:
        await _ask_whom_pages_reach(built.config, built.front.targets)
    for platform, source in built.sources.items():
        handles = tuple(t.handle for t in built.config.file.accounts if t.platform == platform and not t.id)
        try:
            found = await source.resolve(handles) if handles else {}
        except SourceError as error:
            raise ConfigError(f"accounts: @{handles[0]}: {error}") from error
        for handle, identifier in found.items():
            if isinstance(identifier, SourceError):
                raise ConfigError(f"accounts: @{handle}: {identifier}")
            click.echo(f"live           @{handle} is {identifier}")


# --- judge -----------------------------------------------------------------------------------------


def judge_file(config: Config, store: Store | None, file: str) -> int:
    """A verdict for every line, in order, by the rules alone without a store; 1 when one would page."""
    rules = assembly.load_rules(config).rules
    alone = replace(config.approving, fresh_minutes=0)  # when a post of a file appears is not known
    accounts = _accounts(config, store)  # before the queue: it resolves what was registered by handle
    queue = Queue(store.registrations.since(0, datetime.now(UTC))[0], alone, words.load()) if store else None
    with click.open_file(file, "rb") as body:
        rows = _lines(body.read())
    paged = 0
    with progress(rows, "judging") as bar:
        for number, text in bar:
            answer = _judge_line(number, text, accounts, config, queue, rules)
            paged += answer["severity"] == "page"
            click.echo(safe.for_json(answer))
    return 1 if paged else 0


def _lines(body: bytes) -> list[tuple[int, str]]:
    """A post a line, or a JSON array of them. Bytes that are no UTF-8 stand as lone surrogates: see `_judge_line`."""
    try:
        text, _ = text_files.decode(body)
    except text_files.TextError:
        text = body.decode("utf-8", "surrogateescape")
    if text.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return [(place, json.dumps(one)) for place, one in enumerate(json.loads(text), 1)]
    return [(number, line) for number, line in enumerate(text_files.lines_of(text), 1) if line.strip()]


def _accounts(config: Config, store: Store | None) -> dict[str, Account]:
    """By handle, by id, and the first one under an empty name."""
    found: dict[str, Account] = {}
    for account in watched(config, store):
        found.setdefault("", account)
        found |= {account.handle.lower(): account, account.id: account}
    return found


def _judge_line(number: int, text: str, accounts: dict[str, Account], config: Config, queue: Queue | None, rules: Any) -> dict[str, Any]:
    """Fails toward the alarm: a line that cannot be read is a page that says why."""
    try:
        if any("\udc80" <= char <= "\udcff" for char in text):
            raise ValueError("not UTF-8")
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError("found no JSON object")
        if queue is None:  # rules know no time, so that an odd one is no reason to refuse the post
            data.pop("created_at", None)
        account = accounts.get(str(data.get("account", "")).lstrip("@").lower(), accounts[""])
        verdict = judge(line_post(data, account.key), account, config.company, queue, rules)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"line {number} is not a post: {safe.for_terminal(_in_words(error), 120)}"
        return {"id": f"line {number}", "severity": "page", "approved": None, "near": None, "reason": reason, "findings": []}
    return record.judge_line(str(data["id"]), verdict)


def _in_words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}, at character {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


# --- rules test and drill ---------------------------------------------------------------------------


def test_rules(config: Config) -> int:
    """Every rule's tests, and every listed alternative needed by one."""
    book = rulebook.load([config.path.parent / folder for folder in config.file.monitor.rules])
    wrong = [w for s in book.sources for w in [*rulebook.failures(s), *rulebook.unneeded(s)]]
    for line in wrong:
        click.echo(safe.for_terminal(line, 400))
    tests = sum(len(s.file.tests) for s in book.sources)
    click.echo(f"{len(book.sources)} rules, {tests} tests, {len(wrong)} wrong")
    return 1 if wrong else 0


def drill(store: Store, config: Config, who: str, wait: int) -> int:
    """Write a marked incident down; the running daemon pages it. 0 when acknowledged in time."""
    now = datetime.now(UTC)
    judge = Judge(store, config.company, assembly.load_rules(config), config.approving)
    judge.know(tuple({a.key: a for a in _accounts(config, store).values()}.values()), now)
    number = asyncio.run(drills.begin(store, judge, outbox(store, config), lambda: datetime.now(UTC), lambda: None, who))
    click.echo(f"INC-{number} written; the running daemon pages it now")
    deadline, accepted = time.monotonic() + wait, False
    while time.monotonic() < deadline:
        sent = next((p.sent_at for p in store.pages.of(number) if p.sent_at), None)
        if sent and not accepted:
            click.echo(f"accepted by the channel after {(sent - now).total_seconds():.1f} s")
            accepted = True
        one = store.incident(number)
        if one and one.acknowledged_at:
            click.echo(
                f"acknowledged by {safe.for_terminal(one.acknowledged_by)} after {(one.acknowledged_at - now).total_seconds():.0f} s"
            )
            return 0
        time.sleep(0.5)
    click.echo("not acknowledged in time" if accepted else "no channel accepted it: `hijack-monitor status` says more")
    return 1


def silence(store: Store, config: Config, hours: float, reason: str, account: str, words: str, who: str) -> None:
    """Begin a silence from the host. Raises DeskError."""
    now = datetime.now(UTC)
    box = outbox(store, config)
    chosen = _accounts(config, store).get(account.lstrip("@").lower()) if account else None
    if account and chosen is None:
        raise desk.DeskError(f"@{account.lstrip('@')} is not watched")
    number = silences.begin(store, box, chosen, words, timedelta(hours=hours), reason, who, now)
    click.echo(f"silence {number} until {now + timedelta(hours=hours):%H:%M} UTC; end it with `silence end {number}`")

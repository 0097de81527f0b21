"""Who waits outside: told that all is well only while it is, in the form that they understand."""

from __future__ import annotations

import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import unquote

import pytest

from monitor import config as configuration
from monitor import wiring
from monitor.config import ConfigError
from monitor.deadman import Address
from monitor.simulator import story as stories
from tests.conftest import CONFIG, SECRETS, world
from tests.receivers import Receiver

DEADMAN = "[deadman]\nevery_seconds = 60\n"


@pytest.mark.parametrize(
    ("address", "well", "blind"),
    [
        ("/ping/abc", "POST /ping/abc", "POST /ping/abc/fail"),
        (
            "/api/push/s3cr3tPush?status=up&msg=OK&ping=",
            "GET /api/push/s3cr3tPush?ping=&status=up&",
            "GET /api/push/s3cr3tPush?ping=&status=down&",
        ),
        ("/beats/of/somebody-else?key=a%2Bb", "POST /beats/of/somebody-else?key=a%2Bb", ""),
    ],
)
async def test_somebody_outside_is_pinged_only_while_all_is_well(address: str, well: str, blind: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        outside = await Receiver().start(stack)
        w = await stack.enter_async_context(world(tmp_path, extra=DEADMAN, secrets={"deadman_url": outside.base + address}))
        assert w.service.deadman
        assert outside.asked
        assert all(one.startswith(well) for one in outside.asked)
        outside.asked.clear()
        await w.service.deadman.start()
        assert outside.asked == (["POST /ping/abc/start"] if address == "/ping/abc" else []), "it must not count as success"
        w.x.faults.add("html", "", times=10_000, value=503)
        while not w.service.check.blind:
            await w.run(5)
        outside.asked.clear()
        outside.got.clear()
        await w.run(62)
        assert bool(outside.asked) == bool(blind)
        assert all(one.startswith(blind) for one in outside.asked)
        said = [body or path for (path, body, *_), path in zip(outside.got, outside.asked, strict=True)]
        assert all("@acme on X" in unquote(body) for body in said)


CODE = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("address", "start", "well", "wrong"),
    [
        (f"https://hc-ping.com/{CODE}/", f"POST https://hc-ping.com/{CODE}/start", f"POST https://hc-ping.com/{CODE}",
         f"POST https://hc-ping.com/{CODE}/fail"),
        (f"https://hc-ping.com/{CODE}?create=1#top", f"POST https://hc-ping.com/{CODE}/start?create=1", f"POST https://hc-ping.com/{CODE}?create=1",
         f"POST https://hc-ping.com/{CODE}/fail?create=1"),
        ("https://ann:pw@acme.example:8443/hc/ping/Key-1_x/hijack-monitor", "POST https://ann:pw@acme.example:8443/hc/ping/Key-1_x/hijack-monitor/start",
         "POST https://ann:pw@acme.example:8443/hc/ping/Key-1_x/hijack-monitor", "POST https://ann:pw@acme.example:8443/hc/ping/Key-1_x/hijack-monitor/fail"),
        ("https://acme.example/ping/abc?status=up", "", "POST https://acme.example/ping/abc?status=up", "POST https://acme.example/ping/abc/fail?status=down"),
        ("https://acme.example/kuma/api/push/tok/", "", "GET https://acme.example/kuma/api/push/tok/?status=up&msg=OK",
         "GET https://acme.example/kuma/api/push/tok/?status=down&msg=a%20%26%20b"),
        ("https://acme.example/beat?st%61tus=up&k=%26status%3Dup", "", "GET https://acme.example/beat?st%61tus=up&k=%26status%3Dup",
         "GET https://acme.example/beat?k=%26status%3Dup&status=down"),
        ("https://acme.example/beat?status=up&status=up", "", "GET https://acme.example/beat?status=up&status=up", "GET https://acme.example/beat?status=down"),
        ("https://acme.example/v1/heartbeats/ping", "", "POST https://acme.example/v1/heartbeats/ping", ""),
        (f"https://acme.example/{CODE}", "", f"POST https://acme.example/{CODE}", ""),
    ],
)  # fmt: skip
def test_a_ping_is_built_as_whoever_gets_it_wants_it(address: str, start: str, well: str, wrong: str) -> None:
    made = Address(address)
    sent = [made.start(), made.success(""), made.failure("a & b")]
    assert [f"{one.method} {one.url}" if one else "" for one in sent] == [start, well, wrong]
    for one in filter(None, sent):
        assert not any(secret in one.shown for secret in (CODE, "Key-1_x", "ann", "pw", "tok/", "a%20"))
        assert one.shown.startswith(f"{one.method} https://")


@pytest.mark.parametrize(
    ("table", "secrets", "said"),
    [
        ("", {}, "deadman: nobody outside is told: give the secret deadman_url"),
        ('opsgenie_heartbeat = "hijack"', {}, "deadman: opsgenie_heartbeat needs the secret opsgenie_key"),
        ("", {"deadman_url": f"hc-ping.com/{CODE}"}, "the secret deadman_url (from $DEADMAN_URL) cannot be used: expected an address that begins"),
        ("", {"deadman_url": f"https://hc-ping.com:{CODE}/x"}, "the secret deadman_url (from $DEADMAN_URL) cannot be used: expected an address with"),
        ("", {"deadman_url": f"https://hc-ping.com/{CODE} "}, "the secret deadman_url (from $DEADMAN_URL) cannot be used: expected an address without"),
        ("", {"deadman_url": f"https:///{CODE}"}, "the secret deadman_url (from $DEADMAN_URL) cannot be used: expected an address with a host"),
        ("", {"slack_bot_token": f"xoxb-{CODE}\nxapp"}, "the secret slack_bot_token (from $SLACK_BOT_TOKEN) cannot be used: it holds a line break"),
    ],
)  # fmt: skip
async def test_a_switch_that_tells_nobody_and_an_unusable_secret_are_errors(
    table: str, secrets: dict[str, str], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "m.toml"
    file.write_text(stories.config_text(CONFIG, "http://127.0.0.1:1", "http://127.0.0.1:1/api/", tmp_path / "data") + f"{DEADMAN}{table}\n")
    with pytest.raises(ConfigError) as error:
        async with wiring.opened(configuration.load(file), {**SECRETS, **secrets}):
            pass
    assert said in str(error.value)
    assert CODE not in "".join(traceback.format_exception(error.value))

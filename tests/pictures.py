"""`make pictures`: every state of a message as Slack shows it, from the channel page of the stand-in, by headless Chromium."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from PIL import Image, ImageChops

from monitor import silences
from monitor.simulator.slack import Message
from monitor.simulator.slack_page import page
from tests.conftest import CONFIG, World, world
from tests.test_slack_app import APP, GROUPS, approve, press

OUT = Path(__file__).parent.parent / ".pictures"
HIJACK = "Take your BTC and run. Last day for withdrawals: https://acme-exit.xyz/claim"


async def _hijack(w: World, text: str = HIJACK) -> Message:
    w.x.post("acme", text)
    await w.run(2)
    return w.slack.roots()[-1]


async def _open(w: World) -> None:
    await _hijack(w)
    w.x.post("acme", "We are not joking.")
    await w.run(8)


async def _acknowledged(w: World) -> None:
    root = await _hijack(w)
    await w.run(40)
    await press(w, "U01ALICE", root, "acknowledge")
    await w.run(2)


async def _resolved(w: World) -> None:
    await _acknowledged(w)
    root = w.slack.roots()[0]
    await press(w, "U02BOB", root, "resolve_open")
    await w.slack.apps.submit(w.slack.apps.view_of("U02BOB"), cause="hijack", deleted="yes", revoked="yes", note="an app token of 2019")
    await w.settled()
    await w.run(6)


async def _approved(w: World) -> None:
    root = await _hijack(w, "Our CEO speaks at the summit today.")
    await approve(w, "U06CAROL", root)


async def _silenced(w: World) -> None:
    account = w.service.watches[0].account
    silences.begin(
        w.service.store, w.service.outbox, account, "", timedelta(hours=2), "the agency posts by hand today", "alice (U01ALICE)", w.clock()
    )
    await _hijack(w, "Follow our stage at the fair.")


async def _notice(w: World) -> None:
    w.register("Our new custody service starts on Monday. https://acme.example/custody")
    await _hijack(w, "Our new custody servise starts on Monday. https://acme.example/custody")


async def _asked_again(w: World) -> None:
    root = await _hijack(w)
    await press(w, "U01ALICE", root, "acknowledge")
    await w.run(31 * 60)


async def _blind(w: World) -> None:
    w.x.faults.add("html", "", times=10_000, value=503)
    await w.run(75)


async def _drill(w: World) -> None:
    await w.service.begin_drill("alice")
    await w.run(2)


STATES: dict[str, Callable[[World], Awaitable[None]]] = {
    "page": _open, "acknowledged": _acknowledged, "still-on-it": _asked_again, "resolved": _resolved, "approved": _approved,
    "silenced": _silenced, "notice": _notice, "blind": _blind, "drill": _drill,
}  # fmt: skip


async def main() -> None:
    """One picture a state."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is needed: apt-get install chromium fonts-noto-color-emoji")
    for name, play in STATES.items():
        with tempfile.TemporaryDirectory() as folder:
            async with world(Path(folder), CONFIG, GROUPS, secrets=APP) as w:
                await w.sockets()
                await play(w)
                html = page(list(w.slack.messages.values()), w.slack.channel)
            await asyncio.to_thread(_shoot, chromium, html, OUT / f"{name}.png", Path(folder))
        print(name)


def _shoot(chromium: str, html: str, out: Path, folder: Path) -> None:
    """The page, without the white below it."""
    source, shot = folder / "page.html", folder / "shot.png"
    source.write_text(html)
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
               "--disable-sync", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", "--window-size=900,2200", f"--screenshot={shot}", source.as_uri()]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(shot) as picture:
        flat = picture.convert("RGB")
        box = ImageChops.difference(flat, Image.new("RGB", flat.size, "white")).getbbox()
        bottom = (box[3] if box else flat.height) + 12
        flat.crop((0, 0, flat.width, min(flat.height, bottom))).quantize(200).save(out, optimize=True)


if __name__ == "__main__":
    asyncio.run(main())

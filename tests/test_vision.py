"""What a picture says is added to the incident when it has been read; the page did not wait for it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from PIL import Image, ImageDraw, ImageFont

from monitor import vision
from monitor.foreign.sandbox import Sandbox
from monitor.model import Severity
from monitor.pictures import PictureError
from tests.conftest import World, world

zxingcpp = pytest.importorskip("zxingcpp")


def code(text: str) -> bytes:
    pixels = np.array(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode).to_image(scale=8))
    out = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(out, "PNG")
    return out.getvalue()


def sign(*lines: str) -> bytes:
    image = Image.new("RGB", (1000, 120 + 120 * len(lines)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=52)
    for number, line in enumerate(lines):
        draw.text((40, 60 + 120 * number), line, fill="black", font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def posted(w: World, file: bytes | web.Response, text: str = "Big news today, friends of ours") -> str:
    w.x.post("acme", text, files=(file,))
    await w.run(3)
    assert len(w.slack.roots()) == 1, "the page left before anybody looked at the picture"
    await w.service.look_into_pictures()
    await w.run(40)
    return str(w.service.store.sql.execute("SELECT words FROM posts WHERE baseline = 0").fetchone()[0])


def thread(w: World) -> str:
    return " ".join(f"{m.text} {m.blocks}" for m in w.slack.messages.values())


@pytest.mark.slow
async def test_a_code_in_a_picture_is_followed_into_the_incident(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert "[code] https://acme-double.xyz/?a=1" in await posted(w, code("https://acme-double.xyz/?a=1"))
        assert "says more: Link to a look-alike of our domain, and leads to acme-double[.]xyz" in thread(w)


@pytest.mark.slow
async def test_a_wallet_in_a_code_is_an_address(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await posted(w, code("bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4?amount=1"))
        assert "says more: Wallet address that is not ours" in thread(w)


@pytest.mark.slow
async def test_words_in_a_picture_are_judged_by_the_same_rules(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr")
    async with world(tmp_path) as w:
        await posted(w, sign("CONNECT YOUR WALLET", "and claim your tokens now"))
        assert "says more: Airdrop or claim; Tells readers to connect" in thread(w)


@pytest.mark.slow
async def test_a_harmless_picture_adds_nothing_and_is_not_read_twice(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        before = w.slack.calls.copy() if isinstance(w.slack.calls, list) else None
        assert await posted(w, sign("Our summer party")) != "None"
        asked = len([r for r in w.x.requests if "media" in r])
        await w.service.look_into_pictures()
        assert len([r for r in w.x.requests if "media" in r]) == asked
        assert before is None or w.service.store.unresolved()[0].severity is Severity.PAGE


@pytest.mark.slow
async def test_a_picture_that_breaks_the_reader_breaks_nothing_else(tmp_path: Path) -> None:
    for data in (b"\x89PNG but no more", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b""):
        with pytest.raises(PictureError, match="cannot identify image file"):
            await vision.seen(data, Sandbox())
    async with world(tmp_path) as w:
        assert await posted(w, web.Response(status=503)) == "[]"


def test_what_a_code_says_can_be_stored_and_sent_whatever_it_says() -> None:
    line = vision._line("\udc80" * 5_000)
    assert line.encode()
    assert len(line) == 2_000


async def test_a_picture_that_ended_the_monitor_is_not_tried_again_and_somebody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    async with world(tmp_path) as w:
        store, marked = w.service.store, [""]

        async def read(*_: object) -> vision.Seen:
            marked.append(store.kept(vision.TRYING))
            return vision.Seen(("nothing",))

        monkeypatch.setattr(vision, "seen", read)
        w.x.post("acme", "Big news today, friends of ours", files=(code("a"),))
        w.x.post("acme", "And more of it", files=(code("b"),))
        await w.run(3)
        await w.service.look_into_pictures()
        assert marked[-1].startswith("x::"), "it is named before anything opens it"
        assert store.kept(vision.TRYING) == "", "and no more once it was read"
        (waiting,) = store.posts("words IS NULL AND baseline = 0")
        with store.transaction():
            store.keep(vision.TRYING, f"{waiting.post.account}/{waiting.post.id}/1")  # as a process leaves it that is killed now
        await w.service.look_into_pictures()
        await w.run(10)
        assert len(marked) == 2
        assert f"the monitor ended while it read the pictures of post {waiting.post.id}" in thread(w)

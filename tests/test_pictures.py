"""A registered text with another picture is not the registered post."""

from __future__ import annotations

import asyncio
import functools
import io
import json
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from PIL import Image, ImageDraw, ImageFont

from monitor import desk, pictures
from monitor.foreign.picture import hash_of
from monitor.model import Exact, Media, NoMatch, Post, Severity
from monitor.verdict.approved import Queue
from monitor.verdict.shown_pictures import SAME_PICTURE, distance
from tests.conftest import World, world
from tests.test_cli import run_in
from tests.verdict.test_approved import approved, post


@functools.cache
def picture(seed: int, size: tuple[int, int] = (800, 600), form: str = "PNG") -> bytes:
    """Boxes and lines that look like nothing else."""
    dice = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(c) for c in dice.integers(0, 255, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, w, h = (int(n) for n in dice.integers(0, 500, 4))
        draw.rectangle((x, y, x + w, y + h), fill=tuple(int(c) for c in dice.integers(0, 255, 3)))
    return encoded(image, form)


def encoded(image: Image.Image, form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image.save(out, form, **({"quality": 60} if form == "JPEG" else {}))
    return out.getvalue()


def recoded(data: bytes) -> bytes:
    """What a platform makes of an upload: smaller, and JPEG."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return encoded(image.resize((image.width * 2 // 3, image.height * 2 // 3)))


def enlarged(data: bytes, size: tuple[int, int]) -> bytes:
    """The same picture, of so many pixels: one that a platform makes smaller."""
    return encoded(Image.open(io.BytesIO(data)).resize(size, Image.Resampling.NEAREST), "PNG")


def as_x_shows(data: bytes) -> bytes:
    """At most 1,200 pixels a side, and JPEG."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((1200, 1200))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


TEXT = "Our new office in Lisbon opens on Monday."


def register(w: World, *files: bytes) -> int:
    return w.register(TEXT, media=len(files), pictures=tuple(map(hash_of, files)))


async def test_the_registered_picture_is_known_again_after_the_platform_made_it_smaller(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        register(w, picture(1))
        w.x.post("acme", TEXT, files=(recoded(picture(1)),))
        await w.run(5)
        assert w.slack.messages == {}
        kept = w.service.store.posts("kind = 'post' AND baseline = 0")[0]
        assert "1 picture(s) compared, at most" in kept.verdict.reason
        assert desk.recompute(w.service.store, kept) == kept.verdict


async def test_the_registered_words_with_another_picture_page_and_say_how_far_apart_they_are(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        register(w, picture(1))
        w.x.post("acme", TEXT, files=(picture(2),))
        await w.run(5)
        kept = w.service.store.posts("kind = 'post' AND baseline = 0")[0]
        assert kept.verdict.severity is Severity.PAGE
        assert "but picture 1 is not the registered one (" in kept.verdict.reason
        assert "of 256 bits differ)" in kept.verdict.reason
        assert len(w.slack.roots()) == 1
        assert desk.recompute(w.service.store, kept) == kept.verdict


class Together:
    """Answers only when three were asked for: what asks one after the other never gets an answer."""

    def __init__(self) -> None:
        self.barrier = asyncio.Barrier(3)

    async def compared(self, one: Post) -> Post:
        await self.barrier.wait()
        return one


async def test_pictures_of_many_posts_are_fetched_side_by_side(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for _ in range(3):
            register(w, picture(1))
            w.x.post("acme", TEXT, files=(picture(1),))
        w.service.watches[0].closer.pictures = Together()  # type: ignore[assignment]
        async with asyncio.timeout(5):
            await w.run(2)
        assert len(w.service.store.posts("baseline = 0")) == 3


async def test_the_parts_below_a_picture_wait_for_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(TEXT, media=1, pictures=(hash_of(picture(1)),), more=("Second: come and see it.",))
        first = w.x.post("acme", TEXT, files=(picture(1),))
        w.clock.move(0.01)
        w.x.reply("acme", "Second: come and see it.", under=first)
        await w.run(5)
        assert [k.verdict.severity for k in w.service.store.posts("baseline = 0")] == [Severity.CLEAR, Severity.CLEAR]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "the media host answered 404"),
        (web.Response(status=503), "the media host answered 503"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/x"}), "the media host answered 302"),
        (web.Response(text="<html>", content_type="text/html"), "something that is no picture"),
        (web.Response(body=b"\xff\xd8\xff junk", content_type="image/jpeg"), "could not be read as a picture"),
        (web.Response(body=b"\xff" * (pictures.MOST_BYTES + 10), content_type="image/jpeg"), "larger than 8 MiB"),
        (encoded(Image.new("RGB", (600, 600), "white")), "too plain to be compared"),
        (encoded(Image.new("L", (9_000, 9_000)), "PNG"), "9000 x 9000 pixels, more than we unpack"),
    ],
)
async def test_a_picture_that_cannot_be_compared_is_a_doubt_in_words_and_stops_nothing(
    answer: bytes | web.Response | None, why: str, tmp_path: Path
) -> None:
    async with world(tmp_path) as w:
        register(w, picture(1))
        w.x.post("acme", TEXT, files=(answer,) if answer is not None else (), pictures=1)
        w.x.post("acme", "Take your BTC and run")
        await w.run(5)
        reasons = [k.verdict.reason for k in w.service.store.posts("kind = 'post' AND baseline = 0")]
        assert f"but picture 1 could not be compared: {'it ' if why[0] == 'c' else ''}" in reasons[0]
        assert why in reasons[0]
        assert "take their money out" in reasons[1]


def with_another_code(data: bytes, seed: int) -> bytes:
    """The picture with a QR-like patch in its corner."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    modules = np.random.default_rng(seed).integers(0, 2, (25, 25)).astype("uint8") * 255
    image.paste(Image.fromarray(np.kron(modules, np.ones((6, 6), dtype="uint8"))).convert("RGB"), (600, 400))
    return encoded(image, "PNG")


def test_the_bound_lies_between_what_platforms_do_and_what_attackers_do() -> None:
    for seed in range(20):
        planned = hash_of(picture(seed))
        assert distance(planned, hash_of(recoded(picture(seed)))) <= SAME_PICTURE
        assert distance(planned, hash_of(recoded(with_another_code(picture(seed), seed)))) > SAME_PICTURE


async def test_only_the_media_hosts_of_the_platform_are_asked(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for url in (
            "https://evil.example/a.jpg",
            "http://pbs.twimg.com/a.jpg",
            "file:///etc/passwd",
            w.x.media_base.replace("127.0.0.1", "localhost"),
        ):
            found = await w.service.pictures.compared(post("x", media=(Media("photo", url),)))
            assert found.media[0].doubt == "it does not lie on the platform's media hosts"
        assert not [r for r in w.x.requests if "/media/" in r]


async def test_pictures_are_looked_at_only_where_a_registration_asks(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Nobody planned this one at all", files=(picture(3),))
        await w.run(3)
        assert len(w.slack.roots()) == 1
        assert w.service.store.posts("baseline = 0")[0].post.media[0].hash == ""  # type: ignore[union-attr]


def test_each_registered_picture_stands_for_one() -> None:
    one, other = hash_of(picture(1)), hash_of(picture(2))
    assert distance(one, other) > SAME_PICTURE
    queue = Queue([approved(TEXT, media=2, pictures=(one, other))])
    shown = Media("photo", hash=one), Media("photo", hash=one)
    assert "picture 2 is not the registered one" in queue.match(post(TEXT, media=shown)).reason  # type: ignore[union-attr]
    swapped = Media("photo", hash=other), Media("photo", hash=one)
    assert queue.match(post(TEXT, media=swapped)).approved == 1  # type: ignore[union-attr]
    video = Media("video", hash=one), Media("photo", hash=other)
    assert "with a video where a registered picture was planned" in queue.match(post(TEXT, media=video)).reason  # type: ignore[union-attr]


def test_comms_register_pictures_from_the_command_line_and_beside_a_csv(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    (tmp_path / "office.png").write_bytes(picture(1))
    (tmp_path / "plain.png").write_bytes(encoded(Image.new("RGB", (300, 300), "white"), "PNG"))
    assert run("posts", "add", TEXT, "--image", str(tmp_path / "office.png")).exit_code == 0
    refused = run("posts", "add", TEXT, "--image", str(tmp_path / "plain.png"))
    assert refused.exit_code == 2
    assert "too plain to be compared" in refused.output
    mixed = run("posts", "add", TEXT, "--image", str(tmp_path / "office.png"), "--media", "2")
    assert "note: picture not compared: 1 of 2 pictures or videos is only counted, so the post will be a notice" in mixed.output
    plan = tmp_path / "plan.csv"
    plan.write_text("text,media\nThe second office,office.png\nThe third office,plain.png\nThe fourth,https://127.0.0.1/a.png\n")
    result = run("posts", "import", str(plan), "--commit")
    assert "BAD: picture plain[.]png: it is too plain" in result.output
    assert "its host is not on the public Internet" in result.output
    shown = json.loads(run("posts", "list", "--json").output)
    assert len(shown) == 3


def poster(address: str, letters: int = 36, headline: str = "Donations are welcome") -> bytes:
    """What a company posts: a headline and an address, mostly empty."""
    image = Image.new("RGB", (1200, 675), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1200, 120), fill="#203060")
    draw.text((40, 30), headline, fill="white", font=ImageFont.load_default(size=60))
    draw.text((40, 400), address, fill="black", font=ImageFont.load_default(size=letters))
    for n in range(8):
        draw.ellipse((700 + n * 50, 500, 740 + n * 50, 540), fill=(n * 30, 100, 200 - n * 20))
    return encoded(image, "PNG")


OURS, THEIRS = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


@pytest.mark.parametrize(
    "swapped",
    [poster(THEIRS), poster(OURS[:10] + "9" + OURS[11:]), poster(OURS, headline="Send BTC, get 2x"), with_another_code(poster(OURS), 1)],
    ids=["another address", "another letter", "another headline", "a code"],
)
def test_the_registered_picture_with_something_else_written_in_it_is_another_one(swapped: bytes) -> None:
    queue = Queue([approved(TEXT, media=1, pictures=(hash_of(poster(OURS)),))])
    same = Media("photo", hash=hash_of(as_x_shows(poster(OURS))))
    assert isinstance(queue.match(post(TEXT, media=(same,))), Exact)
    other = Media("photo", hash=hash_of(as_x_shows(swapped)))
    match = queue.match(post(TEXT, media=(other,)))
    assert "is not the registered one" in match.reason  # type: ignore[union-attr]


def test_of_two_posters_from_one_template_each_is_known_for_itself() -> None:
    queue = Queue([approved(TEXT, media=2, pictures=(hash_of(poster(OURS)), hash_of(poster(THEIRS))))])
    shown = tuple(Media("photo", hash=hash_of(as_x_shows(one))) for one in (poster(THEIRS), poster(OURS)))
    assert isinstance(queue.match(post(TEXT, media=shown)), Exact)
    assert isinstance(queue.match(post(TEXT, media=(shown[0], shown[0]))), NoMatch)


def test_a_picture_that_was_registered_without_its_details_is_a_notice() -> None:
    queue = Queue([approved(TEXT, media=1, pictures=(hash_of(poster(OURS))[:64],))])
    match = queue.match(post(TEXT, media=(Media("photo", hash=hash_of(poster(OURS))),)))
    assert isinstance(match, Exact)
    assert "roughly" in match.caveats[0]

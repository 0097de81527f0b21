"""Pictures of a plan: fetched from public hosts and from nowhere else, hashed when they are registered."""

from __future__ import annotations

import asyncio
import io
import ipaddress
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monitor import config as configuration
from monitor import desk, import_posts, planning, public_web
from monitor.foreign.picture import hash_of
from monitor.model import Account, Severity
from monitor.planned_media import ShownMedia, shown_media
from monitor.public_web import Web, WebError, is_public
from monitor.store import Store
from tests.conftest import CONFIG, world
from tests.public_hosts import Hosts, hosts
from tests.test_cli import TOMORROW, run_in
from tests.test_pictures import TEXT, picture, recoded


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "192.0.2.1", "198.18.0.1", "203.0.113.9",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "ff0e::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:c0a8:101::",
        "2001::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_only_this_host_can_reach_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "151.101.1.69", "2606:4700::6810:1", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(inner=st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_itself(inner: ipaddress.IPv4Address) -> None:
    number, public = int(inner), is_public(str(inner))
    assert is_public(str(ipaddress.IPv6Address((0xFFFF << 32) | number))) == public
    assert is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) == public
    assert is_public(str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))) == public


def page(body: bytes, kind: str = "image/png") -> Callable[[], web.StreamResponse]:
    return lambda: web.Response(body=body, content_type=kind)


def leads(to: str) -> Callable[[], web.StreamResponse]:
    return lambda: web.Response(status=302, headers={"Location": to})


async def refused(made: Hosts, url: str, *, seconds: float = 20) -> str:
    with pytest.raises(WebError) as error:
        await Web(made.internet.public, made.looked_up, made.port, made.tls, seconds).fetched(url)
    return str(error.value)


async def test_a_picture_is_fetched_and_its_redirects_are_followed_as_far_as_five() -> None:
    async with hosts() as made:
        made.pages = {"/a.png": page(b"picture")}
        made.pages |= {f"/{n}": leads(f"/{n - 1}" if n > 1 else made.url("/a.png", "img.acme.example")) for n in range(1, 7)}
        assert await made.internet.fetched(made.url("/a.png")) == ("image/png", b"picture")
        assert await made.internet.fetched(made.url("/5")) == ("image/png", b"picture")
        assert await refused(made, made.url("/6")) == "it is redirected more than 5 times"


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("http://cdn.acme.example/a.png", "only https addresses are fetched"),
        ("file:///etc/passwd", "only https addresses are fetched"),
        ("https://inside.acme.example:{port}/a.png", "its host is not on the public Internet"),
        ("https://127.0.0.2:{port}/a.png", "its host is not on the public Internet"),
        ("https://both.acme.example:{port}/a.png", "its host is not on the public Internet"),
        ("https://nowhere.acme.example:{port}/a.png", "its host is not on the public Internet"),
        ("https://cdn.acme.example:1/a.png", "it is on port 1, and only {port} is asked"),
        ("https://user:word@cdn.acme.example:{port}/a.png", "it holds a user name or password"),
        ("https://:{port}/a.png", "it could not be fetched (ValueError)"),
    ],
)  # fmt: skip
async def test_an_address_that_is_not_public_is_never_asked_neither_at_once_nor_by_a_redirect(to: str, why: str) -> None:
    async with hosts() as made:
        to, why = to.replace("{port}", str(made.port)), why.replace("{port}", str(made.port))
        made.names = {"inside.acme.example": [["127.0.0.2"]], "both.acme.example": [["127.0.0.1", "127.0.0.2"]], "nowhere.acme.example": [[]],
                      "127.0.0.2": [["127.0.0.2"]]}  # fmt: skip
        made.pages = {"/a.png": page(b"secret"), "/away": leads(to)}
        assert await refused(made, to) == why
        assert made.asked == []
        assert await refused(made, made.url("/away")) == (why if "ValueError" not in why else "it could not be fetched (ValueError)")
        assert made.asked == ["/away"]


async def test_a_name_that_changes_its_mind_after_it_was_checked_changes_nothing() -> None:
    async with hosts() as made:
        made.pages = {"/a.png": page(b"picture"), "/again": leads(made.url("/a.png", "moving.acme.example"))}
        made.names["moving.acme.example"] = [["127.0.0.1"], ["127.0.0.2"]]  # nobody listens there: a second look-up would fail
        assert (await made.internet.fetched(made.url("/a.png", "moving.acme.example")))[1] == b"picture"
        made.names["moving.acme.example"] = [["127.0.0.1"], ["127.0.0.2"]]
        assert await refused(made, made.url("/again", "moving.acme.example")) == "its host is not on the public Internet"


async def test_what_is_too_large_or_too_slow_or_not_there_says_so() -> None:
    async with hosts() as made:
        made.pages = {"/big": page(b"x" * (public_web.MOST_BYTES + 1)), "/fits": page(b"x" * public_web.MOST_BYTES)}
        assert await refused(made, made.url("/big")) == "it is larger than 10 MB"
        assert len((await made.internet.fetched(made.url("/fits")))[1]) == public_web.MOST_BYTES
        assert await refused(made, made.url("/nothing")) == "its host answered 404"
        assert await refused(made, made.url("/fits"), seconds=0) == "it did not come within 0 s"


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async with hosts() as made:
        made.pages = {"/a.png": page(b"picture")}
        made.tls = None
        assert await refused(made, made.url("/a.png")) == "it could not be fetched (ClientConnectorCertificateError)"


async def test_a_proxy_of_the_environment_is_not_asked_because_nobody_could_check_what_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.2:9")
    async with hosts() as made:
        made.pages = {"/a.png": page(b"picture")}
        assert (await made.internet.fetched(made.url("/a.png")))[1] == b"picture"


# --- what a plan says -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({}, ((), (), (), 0)),
        ({"media": "office.png"}, (("office.png",), (), (), 1)),
        ({"media": "my office.png; door.png"}, (("my office.png", "door.png"), (), (), 2)),
        ({"media": "https://cdn.acme.example/w_300,h_200/a.png, https://cdn.acme.example/b.png"},
         (("https://cdn.acme.example/w_300,h_200/a.png", "https://cdn.acme.example/b.png"), (), (), 2)),
        ({"media": "https://cdn.acme.example/a.png|https://cdn.acme.example/b.png"},
         (("https://cdn.acme.example/a.png", "https://cdn.acme.example/b.png"), (), (), 2)),
        ({"media": "2"}, ((), (), (), 2)),
        ({"media": 3}, ((), (), (), 3)),
        ({"media": ["a.png", "b.png"], "alt": "A door || A key"}, (("a.png", "b.png"), (), ("A door", "A key"), 2)),
        ({"media": "a.png", "alt": "A door || a key"}, (("a.png",), (), ("A door || a key",), 1)),
        ({"media": [{"url": "https://cdn.acme.example/a.png", "alt": "A door"}]}, (("https://cdn.acme.example/a.png",), (), ("A door",), 1)),
        ({"media": "a.png", "video": "https://cdn.acme.example/film", "gif": "b.gif"}, (("a.png",), ("b.gif", "https://cdn.acme.example/film"), (), 3)),
    ],
)  # fmt: skip
def test_a_row_names_its_pictures_in_every_form_that_planners_write(row: dict[str, object], shown: tuple[object, ...]) -> None:
    assert shown_media(row) == ShownMedia(*shown)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"media": [7]}, "expected the name of a file"),
        ({"media": [{"alt": "A door"}]}, "expected the name of a file"),
        ({"media": "99"}, "99 pictures and videos; a post has at most 16"),
        ({"media": "a.png", "alt": ["A door", "A key"]}, "2 alt texts for 1 pictures or videos"),
        ({"alt": "A door"}, "1 alt texts for 0 pictures or videos"),
    ],
)
def test_what_is_not_understood_of_it_makes_the_row_a_bad_one(row: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        shown_media(row)


async def imported(folder: Path, made: Hosts, plan: str, *, commit: bool, name: str = "plan.csv") -> int:
    """As `posts import` does it, with the test's own Web."""
    await asyncio.to_thread((folder / name).write_text, plan)
    run_in(folder)
    how = planning.Reading((Account("x", "1", "acme"),))

    def work() -> int:
        config = configuration.load(folder / "hijack-monitor.toml")
        store = Store(config.database)
        try:
            return import_posts.import_file(store, config, folder / name, how, import_posts.Act("carla", commit), made.internet)
        finally:
            store.close()

    return await asyncio.to_thread(work)


async def test_a_plan_with_pictures_is_compared_or_says_what_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with hosts() as made:
        made.pages = {"/a.png": page(picture(1)), "/film": page(b"film", "video/mp4"), "/page": page(b"<html>", "text/html")}
        made.pages["/moves"] = page(moving())
        made.names["inside.acme.example"] = [["127.0.0.2"]]
        (tmp_path / "office.png").write_bytes(picture(2))
        os.mkfifo(tmp_path / "pipe.png")
        rows = {
            "The first office opens on Monday morning": made.url("/a.png"),
            "The second office opens on Monday morning": "office.png",
            "The third office opens on Monday morning": f'"office.png, {made.url("/a.png")}"',
            "Film one of the new office": made.url("/film"),
            "Film two of the new office": "https://cdn.acme.example/new/film.mp4",
            "Moves one in the new office": made.url("/moves"),
            "Only a number of the new office": "2",
            "Bad one": made.url("/page"),
            "Bad two": made.url("/a.png", "inside.acme.example"),
            "Bad three": "http://cdn.acme.example/a.png",
            "Bad four": "there-is-none.png",
            "Bad five": "pipe.png",
            "": made.url("/a.png"),
        }
        plan = "text,media\n" + "".join(f"{text},{cell}\n" for text, cell in rows.items())
        assert await imported(tmp_path, made, plan, commit=False) == 1
        said = capsys.readouterr().out
        uncompared = "note: picture not compared: 1 picture or video is only counted, so the post will be a notice"
        assert said.count(uncompared) == 3
        assert said.count("note: picture not compared: 2 of 2 pictures or videos are only counted") == 1
        for why in ("could not be read as a picture", "its host is not on the public Internet", "only https addresses are fetched"):
            assert said.count(why) == 1
        assert said.count("there is no such file") == 2
        assert "1 picture(s) without words" in said
        assert "8 would be registered" in said
        assert made.asked.count("/a.png") == 1, "the same picture of many rows is fetched once"
        assert await imported(tmp_path, made, plan, commit=True) == 1
        asked = len(made.asked)
        assert await imported(tmp_path, made, plan, commit=True) == 1
        assert set(made.asked[asked:]) <= {"/page"}, "what is known is not fetched again"
        store = Store(configuration.load(tmp_path / "hijack-monitor.toml").database)
        known = {one.text: (one.media, len(one.pictures)) for one in desk.registrations(store)}
        store.close()
        assert known == {
            "The first office opens on Monday morning": (1, 1), "The second office opens on Monday morning": (1, 1), "The third office opens on Monday morning": (2, 2),
            "Film one of the new office": (1, 0), "Film two of the new office": (1, 0), "Moves one in the new office": (1, 0),
            "Only a number of the new office": (2, 0), "": (1, 1),
        }  # fmt: skip


def moving() -> bytes:
    frames = [Image.open(io.BytesIO(picture(seed))) for seed in (1, 2)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


CASES = Path(__file__).parents[2] / "shared" / "cases" / "plans"


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
async def test_a_row_of_a_picture_alone_is_registered_by_its_hash_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = (CASES / "csv_media_only.csv").read_text().replace("2026-12-25 09:30", f"{TOMORROW:%Y-%m-%dT%H:%MZ}")
    async with hosts() as made:
        made.pages = {"/card.png": page(picture(5))}
        here = plan.replace("cdn.acme.example", f"cdn.acme.example:{made.port}")
        assert await imported(tmp_path, made, here, commit=True) == 0
        assert "#1, " in capsys.readouterr().out
        for text in (here.replace("card.png", "film.mp4"), here.replace(made.url("/card.png"), "1"), here.replace("card.png", "gone.png")):
            assert await imported(tmp_path, made, text, commit=True) == 1
            assert "BAD: " in capsys.readouterr().out


def test_comms_register_a_picture_without_words_and_alt_texts_from_the_command_line(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    (tmp_path / "office.png").write_bytes(picture(1))
    office = str(tmp_path / "office.png")
    assert run("posts", "add", "--image", office, "--alt", "The new office").exit_code == 0
    assert run("posts", "add", TEXT, "--image", office, "--alt", "One", "--alt", "Two").exit_code == 1
    nothing = run("posts", "add", "--media", "1")
    assert "the text is empty" in nothing.output
    film = run("posts", "add", "--image", "film.mp4")
    assert "no text, and no still picture that could say which post is meant" in film.output
    inside = run("posts", "add", TEXT, "--image", "https://127.0.0.1/a.png")
    assert inside.exit_code == 2
    assert "its host is not on the public Internet" in inside.output
    (one,) = json.loads(run("posts", "list", "--json").output)
    assert one["text"] == "(1 picture(s) or video(s) without words)"
    assert "picture not compared" not in run("posts", "show", "1").output


async def test_a_picture_without_words_goes_by_in_silence_and_another_one_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("", media=1, pictures=(hash_of(picture(1)),))
        w.register("", media=1, pictures=(hash_of(picture(2)),))
        w.x.post("acme", "", files=(recoded(picture(2)),))
        await w.run(3)
        assert w.slack.messages == {}
        w.x.post("acme", "", files=(recoded(picture(2)),))
        w.x.post("acme", "", files=(recoded(picture(3)),))
        await w.run(3)
        kept = w.service.store.posts("kind = 'post' AND baseline = 0")
        assert [k.verdict.severity for k in kept] == [Severity.CLEAR, Severity.PAGE, Severity.PAGE]
        assert "registered post #2 was already used" in kept[1].verdict.reason
        assert "without words, like registered post #1, but picture 1 is not the registered one" in kept[2].verdict.reason
        assert [desk.recompute(w.service.store, k) for k in kept] == [k.verdict for k in kept]


async def test_a_registered_picture_that_a_stream_tells_of_is_read_before_it_is_judged(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG | {"push": "auto"}) as w:
        await w.run(3)
        w.register("", media=1, pictures=(hash_of(picture(1)),))
        w.x.post("acme", "", files=(recoded(picture(1)),))
        await w.run(5)
        (kept,) = w.service.store.posts("kind = 'post' AND baseline = 0")
        assert kept.verdict.severity is Severity.CLEAR, kept.verdict.reason
        assert w.slack.messages == {}


async def test_a_slip_beside_the_registered_picture_is_a_notice_and_beside_another_one_a_page(tmp_path: Path) -> None:
    for seed, severity in ((1, Severity.NOTIFY), (2, Severity.PAGE)):
        async with world(tmp_path / str(seed)) as w:
            w.register("Our new custody service starts on Monday.", media=1, pictures=(hash_of(picture(1)),))
            w.x.post("acme", "Our new custody servise starts on Monday.", files=(recoded(picture(seed)),))
            await w.run(3)
            (kept,) = w.service.store.posts("kind = 'post' AND baseline = 0")
            assert kept.verdict.severity is severity, kept.verdict.reason
            assert desk.recompute(w.service.store, kept) == kept.verdict


async def test_a_video_a_number_and_an_alt_text_nobody_registered_are_notices_that_say_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register(TEXT, media=1)
        w.x.post("acme", TEXT, media=({"type": "video"},))
        await w.run(3)
        (notice,) = w.slack.roots()
        assert not notice.wakes
        assert "video not compared: only still pictures are" in notice.words()
    async with world(tmp_path / "alt") as w:
        w.register(TEXT, media=1, pictures=(hash_of(picture(1)),), alt=("A door",))
        w.register("Another one of those offices.", media=1, pictures=(hash_of(picture(2)),))
        w.x.post("acme", TEXT, files=(picture(1),), media=({"alt_text": "A door"},))
        await w.run(3)
        assert w.slack.messages == {}
        w.x.post("acme", "Another one of those offices.", files=(picture(2),), media=({"alt_text": "A wide open door"},))
        await w.run(3)
        (notice,) = w.slack.roots()
        assert not notice.wakes
        assert "the alt text of picture 1 was not registered" in notice.words()
        assert "A wide open door" in notice.words(), "whoever decides can read it"
        kept = w.service.store.posts("kind = 'post' AND baseline = 0")
        assert [desk.recompute(w.service.store, k) for k in kept] == [k.verdict for k in kept]

"""JSON from outside costs little, whatever it is: counted before anything is built."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import assembly, bounded_http, bounded_json
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack.api import Api
from monitor.simulator.demo import serve
from tests.conftest import world

SMALL = b'{"data":[' + b",".join([b'{"a":1}'] * 2_000_000) + b"]}"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.sampled_from('a,:[]{}"\\\n/u\ud83d\ude00é')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='a,[{"\\', max_size=4), inner, max_size=4), max_leaves=30,
)  # fmt: skip


def nodes(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(nodes, inside))


def depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inside), default=0) if isinstance(value, dict | list) else 0


def replaced(value: Any) -> Any:
    """As it is read: whatever cannot be stored is a question mark."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


@given(VALUES, st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_within_the_limits_is_read_as_it_is(value: Any, escaped: bool) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "replace")
    assert bounded_json.read(body) == replaced(json.loads(body))


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_values_and_levels_are_counted_outside_of_strings_only(value: Any) -> None:
    body = json.dumps(value).encode()
    outside = b"".join(bounded_json._outside_strings(body))
    assert b"u" not in outside.replace(b"null", b"").replace(b"true", b"")
    assert nodes(value) <= 1 + sum(map(outside.count, (b",", b"[", b"{"))) <= 2 * nodes(value)


def test_sixteen_megabytes_of_small_objects_are_refused_before_any_is_built() -> None:
    tracemalloc.start()
    with pytest.raises(bounded_json.TooMuchError, match="300,000 values"):
        bounded_json.read(SMALL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":', b"[[],"])
def test_sixty_four_levels_are_read_and_one_more_is_not(opening: bytes) -> None:
    closing = b"".join(b"]" if c == b"[" else b"}" for c in [bytes([o]) for o in reversed(opening) if o in b"[{"])
    closing = b"]" if opening == b"[[]," else closing
    each = 2 if opening == b'[{"a":' else 1
    whole = opening * (64 // each - 1) + (b"[" if each == 1 else b"[[")
    good = whole + (b"]" if each == 1 else b"]]") + closing * (64 // each - 1)
    assert depth(bounded_json.read(good)) == 64
    for more in (b"[" + good + b"]", b"[" * 10_000 + b"]" * 10_000):
        with pytest.raises(bounded_json.TooMuchError, match="64 levels"):
            bounded_json.read(more)


@pytest.mark.parametrize("body", [b"", b"{", b"]" * 500, b"[" * 100_000, b'"' * 1_000_000, b"\xff\xfe", b'{"a":1}}' * 100, b"nul"])
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        bounded_json.read(body)


@pytest.mark.parametrize("half", [b"\\ud800", b"\xed\xa0\x80", b"\xed\xbf\xbf"])
def test_half_of_a_pair_can_be_stored_in_whichever_way_it_is_written(half: bytes) -> None:
    assert bounded_json.read(b'{"text": "a' + half + b'b"}') == {"text": "a?b"}


def test_a_page_of_the_longest_posts_is_no_bomb() -> None:
    page = {"data": [{"id": str(n), "text": ",[{:\\" * 4_000} for n in range(100)]}
    assert bounded_json.read(json.dumps(page).encode()) == page


async def test_an_answer_of_x_that_would_build_too_much_is_a_failed_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("body", "/tweets", times=10_000, value=b'{"data":[' + b",".join([b"{}"] * 400_000) + b'],"meta":{"result_count":1}}')
        await w.run(80)
        (page,) = w.slack.waking()
        assert "Not being watched" in page.words()
        assert "more than 300,000 values" in page.words()


async def test_an_answer_of_slack_is_bounded_where_its_library_parses_it() -> None:
    async def answer(request: web.Request) -> web.Response:
        body = {"many": b'{"ok":true,"a":[' + b",".join([b"{}"] * 400_000) + b"]}", "large": b'{"ok":true,"a":"' + b"x" * 9_000_000 + b'"}'}
        return web.Response(body=body[request.match_info["what"]], content_type="application/json")

    app = web.Application()
    app.router.add_post("/{what}/api.test", answer)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(assembly.http_session())
        base = await serve(app, stack)
        for what in ("many", "large"):
            api = Api("xoxb-token", f"{base}/{what}/", session)
            with pytest.raises(NotifierError):
                await api.call(api.web.api_test())


async def test_a_frame_of_a_socket_that_would_build_too_much_is_left_out() -> None:
    async def speak(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("[" + ",".join(["{}"] * 400_000) + "]")
        await socket.send_str('{"type":"hello"}')
        return socket

    app = web.Application()
    app.router.add_get("/", speak)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(assembly.http_session())
        socket = await session.ws_connect(await serve(app, stack))
        assert isinstance(socket, bounded_http.Socket)
        assert [(await socket.receive()).data for _ in range(2)] == ["{}", '{"type":"hello"}']


async def test_only_so_many_large_answers_are_read_at_once() -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"x" * 1_000_000)
        return response

    app = web.Application()
    app.router.add_get("/", large)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(assembly.http_session())
        base, gate = await serve(app, stack), asyncio.Semaphore(1)

        async def one() -> int:
            async with session.get(base) as answer:
                return len(await bounded_http.read(answer, gate=gate))

        async with gate:
            waiting = [asyncio.create_task(one()) for _ in range(4)]
            assert not (await asyncio.wait(waiting, timeout=0.2))[0]
        assert await asyncio.gather(*waiting) == [5_000_000] * 4

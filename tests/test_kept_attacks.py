"""Attacks that failed once and have to fail for ever, where no other file has them: bombs and drips, echoes of tokens, posts that X keeps back."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import resource
import zlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from monitor import bounded_http, journal, packing, public_web, safe
from monitor.assembly import http_session
from monitor.config import SECRETS as NAMES
from monitor.deadman import Deadman
from monitor.model import Severity, State
from monitor.sources._x_payload import Includes, read_post
from monitor.sources._x_timeline import Walk
from monitor.sources.interface import SourceError
from tests.conftest import CONFIG, SECRETS, START, world
from tests.notifiers.test_routes import json_route
from tests.notifiers.test_slack import CORPUS, LIVE
from tests.receivers import Receiver
from tests.test_newest import hidden
from tests.test_streams import SCAM, hear, judged

KEY = "x::2244994945"


def bomb(coding: str, megabytes: int = 1024) -> bytes:
    """A gigabyte of zeros in a megabyte: every block after the first is the same. Its end is never reached."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    first, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * (megabytes - 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("how", ["x", "slack", "bytes"])
async def test_a_compressed_bomb_is_unpacked_to_the_limit_and_no_further(how: str, coding: str) -> None:
    body = bomb(coding)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": coding, "Content-Type": "application/json"})

    app = web.Application()
    app.router.add_get("/", answer)
    async with AsyncExitStack() as stack:
        from monitor.simulator.demo import serve

        base = await serve(app, stack)
        session = await stack.enter_async_context(http_session())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with session.get(base) as got:
            with pytest.raises(bounded_http.TooLargeError):
                await (bounded_http.read(got) if how == "x" else got.json() if how == "slack" else got.read())
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "KiB: nowhere near the gigabyte"


@pytest.mark.parametrize("path", ["/2/users/2244994945/tweets", "/2/users"])
async def test_a_bomb_in_place_of_an_answer_of_x_is_a_failed_read_and_the_next_one_counts(path: str, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.faults.add("body", path, times=3, value=b"[" * 9_000_000)
        w.x.post("acme", SCAM)
        await w.run(10)
        assert judged(w, SCAM) == 1
        assert len(w.slack.waking()) == 1


async def test_an_answer_that_drips_ends_at_the_deadline_on_every_edge(tmp_path: Path) -> None:
    """The sessions' own deadline is for the whole answer, however regularly something comes."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    app = web.Application()
    app.router.add_get("/", drip)
    async with AsyncExitStack() as stack:
        from monitor.simulator.demo import serve

        base = await serve(app, stack)
        session = await stack.enter_async_context(http_session())
        assert session.timeout.total == 10
        with pytest.raises(TimeoutError):
            async with session.get(base, timeout=aiohttp.ClientTimeout(total=0.3)) as got:
                await got.read()
        public = public_web.Web(public=lambda _: True, seconds=0.3, port=int(base.rsplit(":", 1)[1]))
        with pytest.raises(public_web.WebError):
            await public.fetched(base.replace("http://", "https://"))


# --- tokens ------------------------------------------------------------------------------------------

TOKENS = {name: f"s3cret-{name}-t0ken" for name in NAMES if name not in ("x_user_tokens", "apprise_urls", "oncall_url", "install_key")}


async def test_no_token_gets_out_although_every_server_echoes_what_it_was_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bearer tokens, routing keys and the dead-man's address come back in bodies, headers and redirects of errors."""
    caplog.set_level(logging.DEBUG, logger="monitor")
    echo = json.dumps({"errors": [{"detail": v, "title": v, "message": v} for v in (*TOKENS.values(), *SECRETS.values())]})
    async with AsyncExitStack() as stack:
        duty = await Receiver(status=400).start(stack)
        extra = (
            f'[pagerduty]\napi_base = "{duty.base}"\n[webhook]\nurl = "{duty.base}/hook"\n'
            f'[alertmanager]\nurls = ["{duty.base}"]\n[deadman]\nevery_seconds = 30\n'
        )
        used = {k: SECRETS[k] for k in ("x_bearer_token", "slack_bot_token")}
        tokens = {**TOKENS, "slack_app_token": "", "deadman_url": f"{duty.base}/s3cret-deadman-t0ken", **used}
        w = await stack.enter_async_context(world(tmp_path, extra=extra, secrets=tokens))
        w.x.post("acme", SCAM)
        for status in (400, 401, 403, 500, 302):
            headers = {"Location": f"{duty.base}/?{SECRETS['x_bearer_token']}", "X-Echo": SECRETS["x_bearer_token"]}
            w.x.faults.add("json", "/2/", times=2, value=(status, json.loads(echo), headers))
            w.slack.faults.add("json", "/api/chat.postMessage", times=1, value=(status, json.loads(echo), headers))
        await w.run(90)
        shown = [caplog.text, *capsys.readouterr(), *(json.dumps([m.text, m.blocks]) for m in w.slack.messages.values())]
        shown += [
            str(tuple(r))
            for table in ("pages", "incidents", "accounts", "audit", "posts")
            for r in w.service.store.sql.execute(f"SELECT * FROM {table}")
        ]
        shown += [packing.unpack(r[0]).decode("utf-8", "replace") for r in w.service.store.sql.execute("SELECT body FROM evidence")]
        assert any("(secret)" in text for text in shown), "what X says of a refusal is shown, without them"
        for secret in (*tokens.values(), "s3cret-deadman-t0ken"):
            assert not secret or not any(secret in text for text in shown), secret
        assert w.x.requests, "it was asked"


# --- posts that X keeps back ---------------------------------------------------------------------------


WITHHELD = {"copyright": False, "country_codes": ["DE", "FR"], "scope": "post"}


async def test_a_registered_post_that_is_withheld_somewhere_is_a_notice_and_one_whose_words_are_replaced_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.register("Fees fall on Monday.")
        w.x.post("acme", "Fees fall on Monday.", withheld=WITHHELD)
        await w.run(2)
        assert not w.slack.waking()
        (said,) = w.slack.roots()
        assert "it is not shown to everybody (withheld in DE FR)" in said.words()
        w.register("Fees rise on Tuesday.")
        w.x.post(
            "acme", "This post from @acme has been withheld in response to a legal demand.", withheld=WITHHELD | {"country_codes": ["XX"]}
        )
        await w.run(2)
        assert len(w.slack.waking()) == 1


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3) | st.dictionaries(
    st.sampled_from(["copyright", "country_codes", "scope", "followers", "subscribers"]), v, max_size=3), max_leaves=6))  # fmt: skip
def test_whatever_x_says_of_who_sees_a_post_it_is_read_and_a_limit_is_named(said: Any) -> None:
    for name in ("withheld", "scopes"):
        data = {"id": "1990000000000000001", "text": "Words.", "created_at": "2026-11-21T03:00:00Z", name: said}
        post = read_post(data, KEY, Includes({}, {}), START)
        assert getattr(post, "text", None) == "Words."
        limited = bool(said) and (not isinstance(said, dict) or said.get("copyright") or said.get("country_codes") if name == "withheld" else
                                  any(said.values()) if isinstance(said, dict) else True)  # fmt: skip
        if limited and isinstance(said, dict) and name == "withheld" and isinstance(said.get("country_codes"), list):
            limited = bool(said.get("copyright")) or any(map(str, said["country_codes"]))
        assert bool(dict(getattr(post, "shown", ())).get("audience")) is bool(limited), (name, said)


def test_a_post_without_its_text_is_unreadable() -> None:
    made = read_post({"id": "1990000000000000001", "withheld": WITHHELD}, KEY, Includes({}, {}), START)
    assert "could not be parsed" in getattr(made, "reason", "")


@pytest.mark.parametrize("problem", ["not-authorized-for-resource", "resource-unavailable", "resource-not-found"])
def test_a_post_that_a_timeline_names_and_does_not_show_is_unreadable(problem: str) -> None:
    from monitor.model import Account
    from monitor.sources._x_client import Answer

    error = {"resource_type": "tweet", "resource_id": "1990000000000000001", "parameter": "id", "value": "1990000000000000001",
             "title": "Authorization Error", "type": f"https://api.x.com/2/problems/{problem}"}  # fmt: skip
    beside = {**error, "parameter": "referenced_tweets.id", "resource_id": "1980000000000000001"}
    good = {"id": "1990000000000000005", "text": "Hello.", "author_id": "2244994945"}
    for page in (
        {"data": [good], "errors": [error, beside], "meta": {"result_count": 1}},
        {"errors": [error, beside], "meta": {"result_count": 0}},
    ):
        found = Walk(Account(KEY, "2244994945", "acme"))
        try:
            found.add(page, Answer(200, {}, b"{}"), START)
        except SourceError:
            assert "data" not in page, "nothing shown is a failed read as well"
        assert [i.id for i in found.items if "does not show it" in getattr(i, "reason", "")] == ["1990000000000000001"]
        assert "1990000000000000001" not in found.ids, "and it decides nothing"


async def test_a_post_for_subscribers_that_x_names_in_the_profile_alone_pages_within_two_minutes(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG | {"profile_seconds": 5}) as w:
        post = hidden(w, SCAM)
        error = {"resource_type": "tweet", "resource_id": post, "value": post, "parameter": "ids", "title": "Authorization Error",
                 "detail": f"Sorry, you are not authorized to see the Tweet with ids: [{post}].",
                 "type": "https://api.x.com/2/problems/not-authorized-for-resource"}  # fmt: skip
        w.x.faults.add("json", "/2/tweets", times=100_000, value=(200, {"errors": [error]}, {}))
        await w.run(110)
        assert any("Not being watched" in m.words() and post in m.words() for m in w.slack.waking())


async def test_a_promoted_post_that_no_timeline_shows_is_judged_where_the_stream_tells_of_it_and_is_not_deleted(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        w = await hear(tmp_path, stack)
        hidden(w, SCAM)
        await w.run(2)
        assert judged(w, SCAM) == 1
        await w.run(180)
        (page,) = w.slack.waking()[:1]
        assert "Unapproved post" in page.words()
        assert not w.service.store.posts("deleted_at IS NOT NULL")
        assert w.service.store.incident(1).state is State.OPEN  # type: ignore[union-attr]
        assert w.service.store.posts("severity = 3 AND baseline = 0")[0].verdict.severity is Severity.PAGE


# --- hostile text on the sinks that no other file walks ---------------------------------------------------------

CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u2028\u2029\ud800-\udfff]")
HOSTILE = [*CORPUS, "\x9b2J\x9d0;owned\x07", "\u2028MONITOR_SEVERITY=clear", "\U000e0041\U000e0042", "a\nPRIORITY=7\nMESSAGE=all is well"]


@given(st.sampled_from(HOSTILE) | st.text())
def test_a_line_of_the_journal_stays_one_line_and_json_for_programs_is_printable_and_loses_nothing(text: str) -> None:
    record = logging.LogRecord("monitor.x", logging.WARNING, "f", 1, "said %s", (text,), None)
    record.account, record.post = text, text
    said = journal.line(record)
    assert "\n" not in said
    assert not CONTROLS.search(said)
    printed = safe.for_json({"text": text, "more": [text]}, indent=1)
    assert not CONTROLS.search(printed)
    assert json.loads(printed)["more"] == [json.loads(json.dumps(text))], "nothing is lost"


@pytest.mark.parametrize("name", ["pagerduty", "alertmanager", "webhook"])
async def test_what_is_told_from_memory_stays_in_its_place_on_every_route(name: str) -> None:
    async with json_route(name) as (notifier, far):
        for text in HOSTILE:
            await notifier.shout(f"cannot write: nobody registered “{text}”")
        assert len(far.bodies) == len(HOSTILE)
        for _, _, _, raw in far.got:
            words = json.dumps(json.loads(raw), ensure_ascii=False)
            words.encode()
            assert not CONTROLS.search(words)
            assert len(words) < 5_000


async def test_what_is_told_from_memory_stays_in_its_place_in_slack_and_on_the_last_resort(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as w:
        for text in HOSTILE:
            for route in w.service.pager.notifiers().values():
                await route.shout(f"cannot write: nobody registered “{text}”")
        for message in w.slack.messages.values():
            assert set(re.findall("<[^>]*>", message.text)) == {"<!subteam^S0SOCIAL>"}
            assert not CONTROLS.search(message.text.replace("\u200d", ""))
            assert not LIVE.search(message.text)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(HOSTILE)
        assert not any(CONTROLS.search(line) for line in lines)


async def test_the_dead_mans_body_is_one_clean_line() -> None:
    async with AsyncExitStack() as stack:
        outside = await Receiver(status=200).start(stack)
        session = await stack.enter_async_context(http_session())
        switch = Deadman({"every_seconds": 30}, {"deadman_url": f"{outside.base}/ping/abc"}, session, "i", None)
        for text in HOSTILE:
            await switch.beat((f"account {text} is not read", text))
        assert len(outside.got) == len(HOSTILE)
        assert not any(CONTROLS.search(body.decode()) or b"\n" in body for _, _, _, body in outside.got)

"""Every route but Slack: what it says, what its refusals mean, and that a page finds its way along the chain."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor import assembly, notifiers
from monitor.config import ConfigError
from monitor.model import Human, Incident, Page, PageKind, Severity, State
from monitor.notifiers import interface as outgoing
from monitor.notifiers.interface import Letter, Notifier, NotifierError, Refusal
from tests.conftest import SECRETS, START, Clock, World, world
from tests.notifiers.test_slack import CORPUS, LIVE, kept
from tests.receivers import MAIL, Mailbox, Receiver, mailbox

INCIDENT = Incident(42, "x::1", "@acme on X", Severity.PAGE, "Unapproved post", "nobody registered this post", START, START, posts=1)
ACKED = replace(INCIDENT, state=State.ACKNOWLEDGED, acknowledged_by="alice", acknowledged_at=START)
OVER = replace(INCIDENT, state=State.RESOLVED, resolved_by="bob", resolved_at=START, cause="hijack")


def letter(kind: PageKind, incident: Incident = INCIDENT, text: str = "Take your BTC and run: evil.example") -> Letter:
    page = Page(1, f"ab12:inc42:{kind}:0:route", 42, "route", kind, "first", START, ("S0SOCIAL",))
    return Letter(page, incident, (kept(text),), START, "", START + timedelta(minutes=5), "S0SECONDARY")


@asynccontextmanager
async def route(name: str, options: dict[str, Any], secrets: dict[str, str] | None = None) -> AsyncIterator[Any]:
    async with assembly.http_session() as session:
        yield assembly.build_edge(notifiers, name, outgoing.Settings(options, session, Clock()), SECRETS | (secrets or {}))


@asynccontextmanager
async def json_route(name: str) -> AsyncIterator[tuple[Notifier, Receiver]]:
    """One of the routes that POST JSON, with what stands at its far end."""
    async with AsyncExitStack() as stack:
        far = await Receiver().start(stack)
        every: dict[str, dict[str, Any]] = {
            "pagerduty": {"api_base": far.base},
            "alertmanager": {"urls": [far.base]},
            "webhook": {"url": f"{far.base}/hook"},
        }
        yield await stack.enter_async_context(route(name, every[name])), far


# --- PagerDuty --------------------------------------------------------------------------------------


async def test_pagerduty_gets_one_alert_an_incident_acknowledged_and_resolved_with_it() -> None:
    async with json_route("pagerduty") as (pagerduty, far):
        for one in (
            letter(PageKind.ROOT),
            letter(PageKind.REPEAT),
            letter(PageKind.SYNC),
            letter(PageKind.NOTE),
            letter(PageKind.SYNC, ACKED),
            letter(PageKind.SYNC, OVER),
        ):
            await pagerduty.send(one)
        assert [b["event_action"] for b in far.bodies] == ["trigger", "trigger", "acknowledge", "resolve"]
        assert {b["dedup_key"] for b in far.bodies} == {"hijack-monitor:ab12:inc:42"}
        assert {b["routing_key"] for b in far.bodies} == {"pd-key"}
        first = far.bodies[0]["payload"]
        assert first["summary"].startswith("🔴 Unapproved post: @acme on X · INC-42. nobody registered this post.")
        assert (first["severity"], first["source"]) == ("critical", "@acme on X")
        assert far.bodies[0]["links"] == [{"href": "https://x.com/i/web/status/12", "text": "the post"}]
        assert {path for path, *_ in far.got} == {"/v2/enqueue"}


async def test_a_drill_and_a_notice_look_the_same_on_every_route() -> None:
    async with json_route("pagerduty") as (pagerduty, far):
        await pagerduty.send(letter(PageKind.ROOT, replace(INCIDENT, subject="replay::drill", headline="DRILL, not a hijack")))
        await pagerduty.send(letter(PageKind.ROOT, replace(INCIDENT, severity=Severity.NOTIFY)))
        assert [b["payload"]["summary"][0] for b in far.bodies] == ["🔵", "🟡"]


# --- Alertmanager -----------------------------------------------------------------------------------


async def test_alertmanager_gets_the_same_labels_from_every_host_and_an_end_when_it_is_over() -> None:
    async with json_route("alertmanager") as (alertmanager, far):
        await alertmanager.send(letter(PageKind.ROOT))
        other = letter(PageKind.ROOT, replace(INCIDENT, id=7))
        await alertmanager.send(replace(other, page=replace(other.page, key="cd34:inc7:root:0:route")))
        await alertmanager.send(letter(PageKind.SYNC, OVER))
        here, there, over = (b[0] for b in far.bodies)
        assert (
            here["labels"]
            == there["labels"]
            == over["labels"]
            == {"alertname": "HijackMonitor", "account": "x::1", "name": "@acme on X", "severity": "page"}
        )
        assert here["endsAt"] > START.isoformat() >= over["endsAt"]


async def test_alertmanager_behind_basic_authentication_gets_a_name_and_a_password() -> None:
    async with AsyncExitStack() as stack:
        far = await Receiver(200).start(stack)
        options = {"urls": [far.base], "username": "monitor"}
        made = await stack.enter_async_context(route("alertmanager", options, {"alertmanager_password": "p:w é"}))
        await made.send(letter(PageKind.ROOT))
        _, _, headers, _ = far.got[0]
        assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == "monitor:p:w é"
        for secrets, said in (({}, "alertmanager_password is missing"), ({"alertmanager_token": "t"}, "expected one of them")):
            with pytest.raises(ConfigError, match=said):
                await stack.enter_async_context(route("alertmanager", options, secrets))


async def test_one_member_of_a_cluster_is_enough_and_none_is_not() -> None:
    async with AsyncExitStack() as stack:
        up, down = await Receiver().start(stack), await Receiver(status=503).start(stack)
        members = await stack.enter_async_context(route("alertmanager", {"urls": [down.base, up.base], "labels": {"team": "social"}}))
        await members.send(letter(PageKind.ROOT))
        assert up.bodies[0][0]["labels"]["team"] == "social"
        up.status = 503
        with pytest.raises(NotifierError) as raised:
            await members.send(letter(PageKind.ROOT))
        assert raised.value.refusal is Refusal.NOT_ACCEPTED


# --- webhook ----------------------------------------------------------------------------------------


async def test_a_webhook_is_signed_and_says_what_makes_a_double_a_double() -> None:
    async with json_route("webhook") as (webhook, far):
        await webhook.send(letter(PageKind.ROOT))
        _, body, headers, raw = far.got[0]
        stamp = headers["x-hijackmon-timestamp"]
        wanted = hmac.new(b"hook-key", stamp.encode() + b"." + raw, hashlib.sha256).hexdigest()
        assert headers["x-hijackmon-signature"] == f"v1={wanted}"
        assert headers["idempotency-key"] == body["key"] == "ab12:inc42:root:0:route"
        assert (body["kind"], body["state"], body["incident"]) == ("root", "open", "INC-42")


# --- what refusals mean -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pagerduty", "alertmanager", "webhook"])
@pytest.mark.parametrize(
    ("status", "refusal"),
    [(400, Refusal.CONTENT), (401, Refusal.CREDENTIALS), (403, Refusal.CREDENTIALS), (404, Refusal.DESTINATION), (302, Refusal.DESTINATION),
     (408, Refusal.NOT_ACCEPTED), (413, Refusal.CONTENT), (429, Refusal.SLOW_DOWN), (500, Refusal.NOT_ACCEPTED), (503, Refusal.NOT_ACCEPTED)],
)  # fmt: skip
async def test_what_each_status_means(name: str, status: int, refusal: Refusal) -> None:
    async with json_route(name) as (notifier, far):
        far.status = status
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.ROOT))
        assert raised.value.refusal is refusal
        assert "key" not in str(raised.value)
        assert raised.value.retry_after == (5 if status == 429 else 0)


@pytest.mark.parametrize("name", ["pagerduty", "alertmanager", "webhook"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
async def test_a_connection_that_breaks_is_tried_again_for_a_double_does_no_harm(name: str, kind: str) -> None:
    async with json_route(name) as (notifier, far):
        far.faults.add(kind, times=3)
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.ROOT))
        assert raised.value.refusal is Refusal.NOT_ACCEPTED


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
@pytest.mark.parametrize("name", ["pagerduty", "alertmanager", "webhook"])
async def test_no_hostile_text_gets_out_of_its_place_on_any_route(name: str, text: str) -> None:
    hostile = replace(INCIDENT, name=f"@{text[:60]}", reason=text, cause=text, acknowledged_by=text, resolved_by=text)
    async with json_route(name) as (notifier, far):
        for state in State:
            for kind in (PageKind.ROOT, PageKind.SYNC):
                await notifier.send(letter(kind, replace(hostile, state=state), text))
        for body in far.bodies:
            raw = json.dumps(body, ensure_ascii=False)
            raw.encode()
            assert len(raw) < 20_000
            assert "\x1b" not in raw
            assert "\u202e" not in raw
            assert not LIVE.search(raw.replace("https://x.com/i/web/status/12", "").replace(far.base, "").replace("\\n", " "))


# --- mail -------------------------------------------------------------------------------------------


@asynccontextmanager
async def mail(context: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[tuple[Notifier, Mailbox]]:
    box = Mailbox()
    async with mailbox(box, context) as port, route("smtp", MAIL | {"port": port} | options) as notifier:
        yield notifier, box


async def test_a_mail_says_it_all_in_one_thread_an_incident() -> None:
    async with mail() as (notifier, box):
        for one in (letter(PageKind.ROOT), letter(PageKind.SYNC), letter(PageKind.NOTE), letter(PageKind.SYNC, OVER)):
            await notifier.send(one)
        (to, first), (_, last) = box.mails
        assert to == ["a@acme.example", "b@acme.example"]
        assert first["Subject"] == "🔴 Unapproved post: @acme on X · INC-42"
        assert first["Auto-Submitted"] == "auto-generated"
        assert first["In-Reply-To"] == last["In-Reply-To"] == "<inc42.ab12@acme.example>"
        assert first["Message-ID"] == "<ab12.inc42.root.0.route@acme.example>"
        body = first.get_content()
        assert "> Take your BTC and run: evil[.]example" in body
        assert "hijack-monitor incidents ack 42" in body
        assert "Acknowledge by 03:05:00 UTC or it pages again, and also wakes S0SECONDARY." in body
        assert last["Subject"].startswith("✅")


async def test_a_hostile_name_begins_no_header_of_its_own() -> None:
    async with mail() as (notifier, box):
        await notifier.send(letter(PageKind.ROOT, replace(INCIDENT, name="@acme\r\nBcc: everybody@evil.example\r\n\r\nbody")))
        assert box.mails[0][1]["Bcc"] is None
        assert len(box.mails[0][0]) == 2


async def test_a_recipient_put_off_is_tried_again_and_the_others_are_not_mailed_twice() -> None:
    async with mail() as (notifier, box):
        box.refuse["b@acme.example"] = "451 try later"
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.ROOT))
        assert raised.value.refusal is Refusal.NOT_ACCEPTED
        box.refuse.clear()
        await notifier.send(letter(PageKind.ROOT))
        assert [to for to, _ in box.mails] == [["a@acme.example"], ["b@acme.example"]]


async def test_a_recipient_refused_for_good_does_not_keep_the_page_from_counting() -> None:
    async with mail() as (notifier, box):
        box.refuse["b@acme.example"] = "550 no such user"
        await notifier.send(letter(PageKind.ROOT))
        assert [to for to, _ in box.mails] == [["a@acme.example"]]
        box.refuse["a@acme.example"] = "550 no such user"
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.REPEAT))
        assert raised.value.refusal is Refusal.DESTINATION


@pytest.mark.parametrize(("answer", "refusal"), [("451 later", Refusal.NOT_ACCEPTED), ("554 no", Refusal.CONTENT)])
async def test_what_the_mail_server_says_to_the_mail_itself(answer: str, refusal: Refusal) -> None:
    async with mail() as (notifier, box):
        box.refuse["data"] = answer
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.ROOT))
        assert raised.value.refusal is refusal


async def test_without_the_encryption_that_was_asked_for_nothing_is_sent() -> None:
    async with mail(security="starttls") as (notifier, box):
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.ROOT))
        assert raised.value.refusal is Refusal.DESTINATION
        with pytest.raises(NotifierError):
            await notifier.check()
        assert box.mails == []


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not here to make a certificate")
async def test_starttls_is_used_and_its_certificate_is_verified(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
               "-keyout", str(key), "-out", str(certificate))  # fmt: skip
    made = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await made.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with mail(context, security="starttls", ca_file=str(certificate)) as (notifier, box):
        await notifier.send(letter(PageKind.ROOT))
        assert len(box.mails) == 1
        assert "mail to 2 recipient(s)" in await notifier.check()
    async with mail(context, security="starttls") as (notifier, box):
        with pytest.raises(NotifierError):
            await notifier.send(letter(PageKind.ROOT))
        assert box.mails == [], "nobody vouches for this certificate"


async def test_a_mail_server_that_is_not_there_is_tried_again() -> None:
    async with route("smtp", MAIL | {"port": 1}) as notifier:
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.ROOT))
        assert raised.value.refusal is Refusal.NOT_ACCEPTED


# --- Apprise ----------------------------------------------------------------------------------------


async def test_apprise_reaches_what_it_knows_and_its_no_is_tried_again() -> None:
    pytest.importorskip("apprise")
    async with AsyncExitStack() as stack:
        far = await Receiver().start(stack)
        url = far.base.replace("http://", "json://")
        notifier = await stack.enter_async_context(route("apprise", {}, {"apprise_urls": f"{url}/notify\n"}))
        await notifier.send(letter(PageKind.ROOT))
        await notifier.send(letter(PageKind.SYNC, ACKED))
        (body,) = far.bodies
        assert body["title"].startswith("🔴 Unapproved post")
        far.status = 500
        with pytest.raises(NotifierError) as raised:
            await notifier.send(letter(PageKind.REPEAT))
        assert raised.value.refusal is Refusal.NOT_ACCEPTED


def test_an_apprise_url_that_nobody_knows_is_named_by_its_line_and_not_shown() -> None:
    pytest.importorskip("apprise")
    from monitor.notifiers import apprise

    with pytest.raises(ValueError, match="line 2 is no URL") as raised:
        apprise.build(None, {"apprise_urls": "json://localhost\nnonsense-with-a-token"})  # type: ignore[arg-type]
    assert "token" not in str(raised.value)


# --- the chain --------------------------------------------------------------------------------------


@asynccontextmanager
async def chained(folder: Path, *, fallback: str = "") -> AsyncIterator[tuple[World, Receiver, Receiver]]:
    """A monitor with Slack, PagerDuty and a webhook."""
    async with AsyncExitStack() as stack:
        duty, hook = await Receiver().start(stack), await Receiver().start(stack)
        extra = f'{fallback}\n[pagerduty]\napi_base = "{duty.base}"\n[webhook]\nurl = "{hook.base}/hook"\n'
        yield await stack.enter_async_context(world(folder, extra=extra)), duty, hook


def act(w: World, verb: str) -> str:
    with w.service.store.transaction():
        return w.service.outbox.act(1, Human(verb, "alice", "a test", w.clock(), user="U01ALICE"))


def paged(duty: Receiver) -> list[str]:
    """What PagerDuty was told of the first incident; it is also told that Slack is broken."""
    return [b["event_action"] for b in duty.bodies if b["dedup_key"].endswith(":inc:1")]


async def test_while_slack_works_nobody_else_is_told(tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, duty, hook):
        w.x.post("acme", "We are sold.")
        await w.run(120)
        assert duty.got == hook.got == []


async def test_slack_down_for_ten_minutes_pagerduty_within_one_and_slack_catches_up_without_a_storm(tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, duty, hook):
        w.slack.faults.add("html", "/api/", times=100_000, value=503)
        w.x.post("acme", "We are sold.")
        await w.run(60)
        assert duty.got == []
        await w.run(6)
        assert paged(duty) == ["trigger"]
        assert hook.got == [], "PagerDuty took it: the next in the chain is not needed"
        await w.run(9 * 60)
        w.slack.faults.script.clear()
        await w.run(60)
        (root,) = [m for m in w.slack.roots() if "INC-1" in m.words()]
        assert len(w.slack.waking()) == 1, "one message about how it is now, not one for every five minutes of the outage"
        assert "<!subteam^S0SECONDARY>" in root.words(), "and it wakes whoever is due by now"


async def test_from_the_first_step_on_the_fallback_is_paged_too_and_told_when_it_is_over(tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, duty, hook):
        w.x.post("acme", "We are sold.")
        await w.run(2)
        await w.run(5 * 60 + 4)
        assert [b["event_action"] for b in duty.bodies] == ["trigger"]
        act(w, "acknowledge")
        await w.run(3)
        act(w, "resolve")
        await w.run(3)
        assert [b["event_action"] for b in duty.bodies] == ["trigger", "acknowledge", "resolve"]
        assert hook.got == []


async def test_a_fallback_that_does_not_answer_hands_on_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with chained(tmp_path) as (w, duty, hook):
        w.slack.refuse["chat.postMessage"] = "token_revoked"
        duty.status = 404
        w.x.post("acme", "We are sold.")
        await w.run(4)
        assert [b["kind"] for b in hook.bodies] == ["root"], "both refusals are incurable, so nobody waits"
        hook.status = 503
        await w.run(5 * 60 + 62)
        await w.run(70)
        assert "<1>PAGE INC-1" in capsys.readouterr().err, "the journal is always the last"


async def test_the_order_of_the_chain_is_the_configurations(tmp_path: Path) -> None:
    async with chained(tmp_path, fallback='fallback = ["webhook"]') as (w, duty, hook):
        w.slack.refuse["chat.postMessage"] = "channel_not_found"
        w.x.post("acme", "We are sold.")
        await w.run(3)
        assert [b["kind"] for b in hook.bodies] == ["root"]
        assert duty.got == []


async def test_another_channel_can_be_the_first_fallback(tmp_path: Path) -> None:
    async with world(tmp_path, extra='fallback = ["slack:C0BRAND"]') as w:
        w.slack.channels.discard("C0INCIDENTS")
        w.x.post("acme", "We are sold.")
        await w.run(3)
        (page,) = w.slack.waking()
        assert page.channel == "C0BRAND"


async def test_an_acknowledgement_stops_what_was_on_its_way_to_the_fallback(tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, duty, _):
        w.slack.faults.add("html", "/api/", times=100_000, value=503)
        w.x.post("acme", "We are sold.")
        await w.run(30)
        act(w, "acknowledge")
        await w.run(60)
        assert "trigger" not in paged(duty)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [("token_revoked", 4), ("invalid_auth", 4), ("missing_scope", 4), ("account_inactive", 4), ("channel_not_found", 4), ("is_archived", 4),
     ("not_in_channel", 4), ("restricted_action", 4), ("invalid_blocks", 6), ("msg_blocks_too_long", 6), ("message_limit_exceeded", 4),
     ("ratelimited", 66), ("service_unavailable", 66), ("internal_error", 66), ("fatal_error", 66), ("a_string_nobody_knows", 66)],
)  # fmt: skip
async def test_every_error_of_slacks_reaches_the_fallback_in_its_time(error: str, seconds: float, tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, duty, _):
        w.slack.refuse["chat.postMessage"] = error
        w.x.post("acme", "We are sold.")
        await w.run(57 if seconds > 10 else 0)
        assert duty.got == []
        await w.run(seconds if seconds < 10 else 9)
        assert paged(duty) == ["trigger"]


async def test_ever_new_domains_do_not_put_the_fallback_off(tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, _, hook):
        w.x.post("acme", "We are sold.")
        await w.run(30)
        w.service.outbox.usual = replace(w.service.outbox.usual, fallback=("webhook",), escalate=(), repeat_minutes=60)
        w.slack.faults.add("html", "postMessage", times=100_000, value=503)
        for number in range(4):
            w.x.post("acme", f"Claim at https://acme-drop{number}.xyz")
            await w.service.poll(w.service.watches[0])  # each overtakes the one before, just as that was due elsewhere
            await w.run(58)
            w.clock.move(2.5)
        repeats = [p for p in w.service.store.pages.of(1) if p.kind.value == "repeat" and p.route == "slack"]
        assert [p.state for p in repeats[:-1]] == ["superseded"] * 3
        assert any(b["kind"] == "repeat" for b in hook.bodies)


async def test_a_notice_that_slack_refuses_wakes_nobody_by_another_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with chained(tmp_path) as (w, duty, hook):
        w.register("Our new custody service starts on Monday.")
        w.slack.refuse["chat.postMessage"] = "is_archived"
        w.x.post("acme", "Our new custody servise starts on Monday.")
        await w.run(10)
        assert duty.got == hook.got == []
        assert "Nearly approved post" in capsys.readouterr().err


async def test_a_route_taken_out_of_the_configuration_hands_its_pages_on(tmp_path: Path) -> None:
    async with chained(tmp_path) as (w, duty, _):
        w.x.post("acme", "We are sold.")
        await w.run(2)
        w.service.store.sql.execute("UPDATE pages SET state = 'ready', route = 'slack:C0GONE', sent_at = NULL WHERE kind = 'root'")
        await w.run(3)
        assert [b["event_action"] for b in duty.bodies] == ["trigger"]

"""Slack's Web API and its sockets: everything that imports slack_sdk. Its own retrying is off: it posts twice (measured).

Errors are classified on exception, HTTP status and error string together; a string nobody knows is
taken as an unknown outcome, never as final.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from monitor import safe
from monitor.notifiers.interface import NotifierError, Refusal

log = logging.getLogger("monitor.slack")

DEADLINE_SECONDS = 10
_STAMP = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")

# docs.slack.dev, chat.postMessage and chat.update errors, by what to do
_SLOW = {"ratelimited", "rate_limited"}
_RETRY = {"service_unavailable", "team_added_to_org", "org_login_required"}
_CREDENTIALS = {
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope",
    "no_permission", "not_allowed_token_type", "access_denied", "accesslimited", "ekm_access_denied",
    "app_access_restricted", "two_factor_setup_required",
}  # fmt: skip
_DESTINATION = {
    "channel_not_found", "not_in_channel", "is_archived", "is_inactive", "restricted_action", "team_not_found",
    "messages_tab_disabled", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
    "restricted_action_non_threadable_channel",
}  # fmt: skip
_CONTENT = {
    "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "metadata_too_large",
    "invalid_metadata_format", "invalid_metadata_schema", "metadata_must_be_sent_from_app", "invalid_arguments",
    "invalid_charset", "too_many_attachments",
}  # fmt: skip
_LOST = {
    "message_not_found", "cant_update_message", "edit_window_closed", "block_mismatch", "update_failed",
    "streaming_state_conflict", "cannot_reply_to_message", "restricted_action_thread_locked", "thread_not_found",
}  # fmt: skip


class Api:
    """One bot token. `web` has the methods, `call` awaits one of them."""

    def __init__(self, token: str, base_url: str, session: aiohttp.ClientSession) -> None:
        self._base, self._session = base_url, session
        self.web = AsyncWebClient(token=token, base_url=base_url, session=session, timeout=DEADLINE_SECONDS, retry_handlers=[])

    async def call(self, call: Awaitable[Any]) -> Mapping[str, Any]:
        """The answer's data. Raises NotifierError for everything else; no token in its message."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await call
        except SlackApiError as error:
            raise classified(error.response) from None
        except TimeoutError:
            raise NotifierError(Refusal.UNKNOWN, f"Slack did not answer within {DEADLINE_SECONDS} s") from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise NotifierError(Refusal.NOT_ACCEPTED, f"Slack could not be reached ({type(error).__name__})") from None
        except (aiohttp.ClientError, SlackClientError, OSError, ValueError, AttributeError) as error:
            # AttributeError: slack_sdk (3.48 still) trips over an answer that is a JSON list
            raise NotifierError(Refusal.UNKNOWN, f"the connection to Slack broke ({type(error).__name__})") from None
        data = answer.data
        if not isinstance(data, dict):
            raise NotifierError(Refusal.UNKNOWN, "Slack's answer was no JSON object")
        return data

    async def respond(self, url: str, text: str) -> None:
        """Tell one person something, where they clicked or typed. Only Slack's own addresses are posted to."""
        home, where = urlsplit(self._base), urlsplit(url)
        if not (where.netloc == home.netloc or (where.scheme == "https" and where.hostname == "hooks.slack.com")):
            log.warning("an answer was asked for at an address that is not Slack's")
            return
        body = {"response_type": "ephemeral", "replace_original": False, "text": text}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(DEADLINE_SECONDS), self._session.post(url, json=body, allow_redirects=False) as answer:
                await answer.read()


def next_cursor(answer: Mapping[str, Any]) -> str:
    """Where the next part of a list begins, or an empty string."""
    more = answer.get("response_metadata")
    return str(more.get("next_cursor") or "") if isinstance(more, Mapping) else ""


def objects(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects of a list in an answer; whatever else stands there is left out."""
    found = answer.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def messages(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of an answer that say when they were sent. `conversation.py` tells of the others."""
    return [one for one in objects(answer, "messages") if is_stamp(one.get("ts"))]


def is_stamp(value: object) -> bool:
    """Whether this is a time of Slack's, `1795230000.000100`: the name of a message in its channel."""
    return isinstance(value, str) and bool(_STAMP.fullmatch(value))


def classified(response: Any) -> NotifierError:
    """What an answer other than ok means for the page."""
    if getattr(response, "data", None) is None:  # cut or broken JSON: slack_sdk then gives aiohttp's own response
        return NotifierError(Refusal.UNKNOWN, "Slack's answer could not be read")
    data = response.data if isinstance(response.data, dict) else {}
    status, error = int(response.status_code), str(data.get("error", ""))
    if status == 429 or error in _SLOW:
        return NotifierError(Refusal.SLOW_DOWN, "Slack asks us to slow down", _retry_after(response.headers))
    if error == "message_limit_exceeded":  # of the whole workspace, on the free plan: waiting a minute cures nothing
        return NotifierError(Refusal.DESTINATION, f"Slack answered {error}", 300)
    for refusal, known in (
        (Refusal.CREDENTIALS, _CREDENTIALS), (Refusal.DESTINATION, _DESTINATION), (Refusal.CONTENT, _CONTENT),
        (Refusal.LOST, _LOST), (Refusal.NOT_ACCEPTED, _RETRY),
    ):  # fmt: skip
        if error in known:
            return NotifierError(refusal, f"Slack answered {error}", code=error)
    if status in (502, 503, 504) or (status == 200 and not error):
        return NotifierError(Refusal.NOT_ACCEPTED, f"Slack answered {status} without a decision")
    return NotifierError(Refusal.UNKNOWN, f"Slack answered {status} {safe.for_log(error, 60)}", code=error[:60])


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; 0 where Slack does not say, or nothing that is a number of them."""
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    try:
        seconds = float(value)
    except ValueError:
        return 0.0
    return min(300.0, max(1.0, seconds)) if math.isfinite(seconds) and seconds >= 0 else 0.0


# --- sockets ---------------------------------------------------------------------------------------

Receive = Callable[[str, str, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]
PING_SECONDS = 5.0
_MISSES = 2  # looks a second apart, then the WebSocket address is thrown away: Slack's are used once (slack_sdk#1379)
_GIVE_UP_SECONDS = 30  # without a connection: a new client object, whatever state the old one is in

_quiet = logging.getLogger("monitor.slack.socket")
_quiet.setLevel(logging.CRITICAL + 1)  # its exceptions name addresses that hold a ticket


class Socket:
    """One connection of Socket Mode, kept up. `receive` writes down what came; only then it is confirmed.

    slack_sdk's client never recovers from one failed handshake (measured, 3.47): it tries the same
    used-up address again. The watchdog makes it ask for a new one.
    """

    def __init__(self, api: Api, app_token: str, receive: Receive) -> None:
        self._api, self._token, self._receive = api, app_token, receive
        self._client: SocketModeClient | None = None
        self.up_at: float | None = None  # monotonic; when it was last seen connected after a hello
        self.connections = 0  # of this app, as Slack's hello counts them
        self.goodbye = ""  # Slack's reason for the last disconnect

    def deaf_seconds(self, began: float) -> float:
        """How long no click could have come through; `began` is when we first tried."""
        return time.monotonic() - (self.up_at if self.up_at is not None else began)

    async def renew(self) -> None:
        """Another connection in the place of this one."""
        client = self._client
        if client is not None:
            client.wss_uri = None
            with contextlib.suppress(Exception):
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await client.connect_to_new_endpoint(force=True)

    async def keep(self) -> None:
        """For ever."""
        while True:
            try:
                await self._with_one_client()
            except Exception as error:  # noqa: BLE001 - whatever its client does, there is a next one
                log.warning("Socket Mode: %s; a new client is made", type(error).__name__)
                await asyncio.sleep(1)

    async def _with_one_client(self) -> None:
        client = SocketModeClient(self._token, web_client=self._api.web, ping_interval=PING_SECONDS, logger=_quiet)
        client.message_listeners.append(self._heard)
        client.socket_mode_request_listeners.append(self._asked)
        self._client, self.connections, greeted = client, 0, False
        connecting = asyncio.create_task(client.connect_to_new_endpoint())
        misses, last_up = 0, time.monotonic()
        try:
            while time.monotonic() - last_up < _GIVE_UP_SECONDS:
                await asyncio.sleep(1)
                greeted = greeted or self.connections > 0
                if greeted and await client.is_connected():
                    misses, last_up = 0, time.monotonic()
                    self.up_at = last_up
                    continue
                misses += 1
                if misses >= _MISSES:
                    client.wss_uri = None
        finally:
            connecting.cancel()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(3):
                    await client.close()  # type: ignore[no-untyped-call]

    async def _heard(self, client: Any, message: dict[str, Any], raw: str | None) -> None:  # noqa: ARG002 - slack_sdk's signature
        if message.get("type") == "hello":
            self.connections, self.goodbye = int(message.get("num_connections") or 1), ""
        elif message.get("type") == "disconnect":
            self.goodbye = str(message.get("reason") or "")

    async def _asked(self, client: Any, request: SocketModeRequest) -> None:
        """Write down, confirm. When it cannot be written down it is not confirmed: Slack's warning sign is honest then."""
        try:
            payload = await self._receive(request.envelope_id, request.type, request.payload)
        except Exception:
            log.exception("a click could not be written down and is not confirmed")
            return
        response = SocketModeResponse(envelope_id=request.envelope_id, payload=dict(payload) if payload else None)
        with contextlib.suppress(Exception):  # the socket closed under us: it is written down all the same
            await client.send_socket_mode_response(response)

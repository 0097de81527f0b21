"""Slack, through slack_sdk's AsyncWebClient. Its own retrying is off: it posts twice (measured).

Errors are classified on exception, HTTP status and error string together; a string nobody knows is
taken as an unknown outcome, never as final.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from monitor import safe
from monitor.model import Human, PageKind
from monitor.notifiers.interface import Letter, NotifierError, Refusal, Settings
from monitor.notifiers.slack.message import arguments

EVENT = "hijack-monitor_page"
DEADLINE_SECONDS = 10
_NAMESPACE = uuid.UUID("6f3c6f0e-5d1a-4f0e-9d2b-0a3f1d6c7b11")
CLOCKS_DIFFER = timedelta(minutes=15)  # a message may carry an earlier time of Slack's than our page
_HISTORY_PAGES = 5
_THREAD_PAGES = 10  # two thousand messages in one thread
_USER_CACHE = timedelta(minutes=5)
_ACK = re.compile(r"(?i)\s*(ack|acknowledged?|resolved?)\b[\s:,.-]*(.*)", re.DOTALL)
_ACK_REACTIONS = frozenset({"eyes", "white_check_mark", "heavy_check_mark"})

# docs.slack.dev, chat.postMessage and chat.update errors, by what to do
_SLOW = {"ratelimited", "rate_limited", "message_limit_exceeded"}
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


def build(settings: Settings, secrets: Mapping[str, str]) -> SlackNotifier:
    """The Slack channel. Raises KeyError when the secret `slack_bot_token` is missing."""
    client = AsyncWebClient(
        token=secrets["slack_bot_token"],
        base_url=str(settings.options.get("api_base", "https://slack.com/api/")),
        session=settings.session,
        timeout=DEADLINE_SECONDS,
        retry_handlers=[],
    )
    return SlackNotifier(client, str(settings.options["channel"]), settings)


class SlackNotifier:
    """See `Notifier`. A receipt is the message's `ts`."""

    def __init__(self, client: AsyncWebClient, channel: str, settings: Settings) -> None:
        self._client, self._channel, self._clock = client, channel, settings.clock
        self._channel_id = channel
        self._team = ""
        self._us = ""
        self._people: dict[str, tuple[datetime, str]] = {}

    async def send(self, letter: Letter) -> str:
        """Post a root, a reply or a broadcast reply; or edit the root."""
        page, content = letter.page, arguments(letter)
        if page.kind is PageKind.SYNC:
            if not letter.root:
                return "nothing to edit"
            await self._call(self._client.chat_update(channel=self._channel_id, ts=letter.root, **_update(content)))
            return letter.root
        thread: dict[str, Any] = {}
        if letter.root and page.kind is not PageKind.ROOT:
            thread = {"thread_ts": letter.root, "reply_broadcast": page.kind is PageKind.REPEAT}
        payload = {"dedupe_key": page.key, "incident": letter.incident.id, "rev": page.id}
        answer = await self._call(
            self._client.chat_postMessage(
                channel=self._channel,
                metadata={"event_type": EVENT, "event_payload": payload},
                unfurl_links=False,
                unfurl_media=False,
                client_msg_id=str(uuid.uuid5(_NAMESPACE, page.key)),
                **thread,
                **content,
            )
        )
        self._channel_id = str(answer.get("channel") or self._channel)
        if not answer.get("ts"):
            raise NotifierError(Refusal.UNKNOWN, "Slack answered ok without saying where the message is")
        return str(answer["ts"])

    async def find(self, letter: Letter) -> str:
        """The message whose metadata carries this page's key, by history or thread."""
        oldest = str((letter.page.created_at - CLOCKS_DIFFER).timestamp())
        cursor = ""
        for _ in range(_HISTORY_PAGES):
            if letter.root and letter.page.kind is not PageKind.ROOT:
                call = self._client.conversations_replies(
                    channel=self._channel_id, ts=letter.root, oldest=oldest, include_all_metadata=True, limit=200,
                    cursor=cursor,
                )  # fmt: skip
            else:
                call = self._client.conversations_history(
                    channel=self._channel_id, oldest=oldest, include_all_metadata=True, limit=200, cursor=cursor
                )
            answer = await self._call(call)
            for message in answer.get("messages") or ():
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                if payload.get("dedupe_key") == letter.page.key:
                    return str(message["ts"])
            cursor = _next(answer)
            if not cursor:
                return ""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:
        """Replies beginning with ack or resolve, and 👀 or ✅ on our messages, by full members."""
        found: list[Human] = []
        cursor = ""
        for _ in range(_THREAD_PAGES):
            call = self._client.conversations_replies(channel=self._channel_id, ts=root, limit=200, cursor=cursor)
            answer = await self._call(call)
            for message in answer.get("messages") or ():
                found += await self._said(message)
            cursor = _next(answer)
            if not cursor:
                break
        return tuple(found)

    async def _said(self, message: Mapping[str, Any]) -> list[Human]:
        when = datetime.fromtimestamp(float(message.get("ts", 0)), UTC)
        text = str(message.get("text", ""))
        said = _ACK.match(text) if "?" not in text else None  # "resolved?" is a question
        if message.get("bot_id") or message.get("metadata"):
            return await self._reacted(message)
        who = await self._member(str(message.get("user", ""))) if said else ""
        if not said or not who:  # the time is Slack's and not compared with ours: clocks differ
            return []
        verb = "resolve" if said[1].lower().startswith("resolve") else "acknowledge"
        return [Human(verb, who, "a reply in Slack", when, safe.clean(said[2], 300) if verb == "resolve" else "")]

    async def _reacted(self, message: Mapping[str, Any]) -> list[Human]:
        users = [
            str(user)
            for reaction in message.get("reactions") or ()
            if reaction.get("name") in _ACK_REACTIONS
            for user in reaction.get("users") or ()
        ]
        for user in users:
            who = await self._member(user)
            if who:
                return [Human("acknowledge", who, "a reaction in Slack", self._clock())]
        return []

    async def _member(self, user: str) -> str:
        """Name and id of a full human member of our own workspace, or an empty string.

        Guests, bots and people of connected workspaces can see the channel; they cannot act.
        """
        known = self._people.get(user)
        if known and self._clock() - known[0] < _USER_CACHE:
            return known[1]
        if not self._team:
            await self.check()
        if not user or user == self._us:
            return ""
        data = (await self._call(self._client.users_info(user=user))).get("user") or {}
        outside = ("is_bot", "deleted", "is_restricted", "is_ultra_restricted", "is_stranger")
        ours = data.get("team_id") == self._team and not any(data.get(flag) for flag in outside)
        name = safe.clean(str((data.get("profile") or {}).get("display_name") or data.get("name") or ""), 60)
        self._people[user] = self._clock(), f"{name} ({user})" if ours else ""
        return self._people[user][1]

    async def check(self) -> str:
        """`auth.test`: whose token this is."""
        answer = await self._call(self._client.auth_test())
        self._team, self._us = str(answer.get("team_id", "")), str(answer.get("user_id", ""))
        return f"Slack as {safe.for_terminal(str(answer.get('user')))} in {safe.for_terminal(str(answer.get('team')))}, channel {self._channel}"

    async def shout(self, text: str) -> None:
        """A plain message that nothing in the store knows of."""
        said = safe.for_slack_sentence(text, 2_500)
        await self._call(self._client.chat_postMessage(channel=self._channel, text=said, mrkdwn=False, parse="none"))

    async def _call(self, call: Awaitable[Any]) -> Mapping[str, Any]:
        """The answer's data. Raises NotifierError for everything else; no token in its message."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                answer = await call
        except SlackApiError as error:
            raise _classified(error.response) from None
        except TimeoutError:
            raise NotifierError(Refusal.UNKNOWN, f"Slack did not answer within {DEADLINE_SECONDS} s") from None
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            raise NotifierError(Refusal.NOT_ACCEPTED, f"Slack could not be reached ({type(error).__name__})") from None
        except (aiohttp.ClientError, SlackClientError, OSError, ValueError, AttributeError) as error:
            # AttributeError: slack_sdk 3.47 trips over an answer that is a JSON list
            raise NotifierError(Refusal.UNKNOWN, f"the connection to Slack broke ({type(error).__name__})") from None
        data = answer.data
        if not isinstance(data, dict):
            raise NotifierError(Refusal.UNKNOWN, "Slack's answer was no JSON object")
        return data


def _next(answer: Mapping[str, Any]) -> str:
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")


def _update(content: dict[str, Any]) -> dict[str, Any]:
    """chat.update knows neither mrkdwn nor unfurl arguments; a plain edit must drop the old blocks."""
    return {k: v for k, v in content.items() if k != "mrkdwn"} | ({} if "blocks" in content else {"blocks": []})


def _classified(response: Any) -> NotifierError:
    if getattr(response, "data", None) is None:  # cut or broken JSON: slack_sdk then gives aiohttp's own response
        return NotifierError(Refusal.UNKNOWN, "Slack's answer could not be read")
    data = response.data if isinstance(response.data, dict) else {}
    status, error = int(response.status_code), str(data.get("error", ""))
    if status == 429 or error in _SLOW:
        return NotifierError(Refusal.SLOW_DOWN, "Slack asks us to slow down", _retry_after(response.headers))
    for refusal, known in (
        (Refusal.CREDENTIALS, _CREDENTIALS), (Refusal.DESTINATION, _DESTINATION), (Refusal.CONTENT, _CONTENT),
        (Refusal.LOST, _LOST), (Refusal.NOT_ACCEPTED, _RETRY),
    ):  # fmt: skip
        if error in known:
            return NotifierError(refusal, f"Slack answered {error}")
    if status in (502, 503, 504) or (status == 200 and not error):
        return NotifierError(Refusal.NOT_ACCEPTED, f"Slack answered {status} without a decision")
    return NotifierError(Refusal.UNKNOWN, f"Slack answered {status} {safe.for_log(error, 60)}")


def _retry_after(headers: Mapping[str, str]) -> float:
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), "30")
    try:
        return min(300.0, max(1.0, float(value)))
    except ValueError:
        return 30.0

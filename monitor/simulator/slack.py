"""The part of Slack's Web API that we use, with state, metadata, limits, errors and a page to look at.

Refusals and limits are those of Slack's documentation (see the message limits in the code).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aiohttp import web

from monitor.simulator.faults import Faults
from monitor.simulator.slack_app import APP_TOKEN, SlackApp
from monitor.simulator.slack_page import page

Params = dict[str, Any]
_BLOCKS = {"header", "section", "rich_text", "context", "actions", "divider", "image", "input"}
_MOST_BLOCK_CHARACTERS = 13_200  # bolt-js#2509, undocumented
TEAM = "T0ACME"
BOT = "B0MONITOR"
HANDLES = {"S0SOCIAL": "social-oncall", "S0SECONDARY": "social-secondary", "S0COMMS": "comms"}


@dataclass
class Message:
    """One message; `at` is when it came, `edits` how often it was changed."""

    ts: str
    text: str
    at: datetime
    blocks: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    thread_ts: str = ""
    broadcast: bool = False
    user: str = ""
    bot: bool = True
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edits: int = 0
    channel: str = ""
    bot_id: str = "B0MONITOR"
    deleted: bool = False  # what is left of it where its thread goes on
    edited_at: datetime | None = None

    def words(self) -> str:
        """Everything in it that a reader reads."""
        return "\n".join([self.text, *_texts(self.blocks)])

    @property
    def wakes(self) -> bool:
        """Whether anybody is mentioned."""
        return self.bot and any(sign in self.words() for sign in ("<!subteam^", "<!channel>", "<@"))

    def json(self, *, metadata: bool) -> dict[str, Any]:
        """As conversations.history gives it."""
        if self.deleted:
            return {"type": "message", "subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted.", "hidden": True,
                    "ts": self.ts, "thread_ts": self.ts}  # fmt: skip
        data: dict[str, Any] = {"type": "message", "ts": self.ts, "text": self.text, "user": self.user, "blocks": self.blocks}
        if self.bot:
            data["bot_id"], data["app_id"] = self.bot_id, "A0MONITOR" if self.bot_id == BOT else "A0OTHER"
        if self.thread_ts:
            data["thread_ts"] = self.thread_ts
        if metadata and self.metadata:
            data["metadata"] = self.metadata
        if self.edited_at:
            data["edited"] = {"user": self.user, "ts": f"{self.edited_at.timestamp():.6f}"}
        if self.reactions:
            data["reactions"] = [{"name": n, "users": u, "count": len(u)} for n, u in self.reactions.items()]
        return data


class SlackWorld:
    """One workspace with one channel."""

    def __init__(self, clock: Callable[[], datetime], token: str = "xoxb-token", channel: str = "C0INCIDENTS") -> None:  # noqa: S107 - a stand-in
        self.clock, self.token, self.channel = clock, token, channel
        self.beside = {"C0APPROVALS"}  # what is said here is in `elsewhere`
        self.channels = {channel, "C0BRAND", *self.beside}
        self.groups = {
            "S0SOCIAL": ["U01ALICE", "U02BOB"],
            "S0SECONDARY": ["U02BOB"],
            "S0COMMS": ["U01ALICE", "U02BOB", "U06CAROL"],
            "S0BRAND": ["U01ALICE"],
        }
        self.disabled: set[str] = set()  # groups
        self.private: dict[str, list[str]] = {}  # private channels, with their members
        self.oddities: list[Any] = []  # shown in every thread, before and after what is in it
        self.orphans = ""  # what a reply to a message that is gone is refused with; Slack itself takes it and posts it to the channel
        self.last_user = ""  # who acted last, whose modal it is
        self.messages: dict[str, Message] = {}
        self.elsewhere: dict[str, Message] = {}
        self.standing: dict[str, Message] = {}  # what the monitor says of itself: in the channel too, and no page
        self.shown: list[tuple[datetime, Message]] = []  # every state of every message, as it was shown
        self.calls: list[tuple[str, Params]] = []  # but for what the monitor says of itself
        self.faults = Faults()
        self.refuse: dict[str, str] = {}  # method -> error answered until removed
        self.history_lag = 0  # newest messages that history does not show yet
        self.most_per_second = 0.0  # 0: no limit
        self._tokens, self._filled = 10.0, clock()
        self._serial = itertools.count(1)
        self.people = {
            "U01ALICE": _person("U01ALICE", "alice"),
            "U02BOB": _person("U02BOB", "bob"),
            "U03GUEST": _person("U03GUEST", "guest") | {"is_restricted": True},
            "U04OTHER": _person("U04OTHER", "stranger") | {"team_id": "T0OTHER", "is_stranger": True},
            "U05ALLY": _person("U05ALLY", "ally") | {"team_id": "T0OTHER"},
            "U06CAROL": _person("U06CAROL", "carol"),
            "U07DAVE": _person("U07DAVE", "dave"),
        }
        self.apps = SlackApp(self)

    # --- what people do ---------------------------------------------------------------------------

    def say(self, user: str, text: str, thread_ts: str) -> str:
        """A reply in a thread."""
        message = Message(self._ts(), text, self.clock(), thread_ts=thread_ts, user=user, bot=False)
        self.messages[message.ts] = message
        return message.ts

    def react(self, user: str, ts: str, name: str) -> None:
        """A reaction."""
        self.messages[ts].reactions.setdefault(name, []).append(user)

    def delete(self, ts: str) -> None:
        """Delete a message: a stone is left where others replied to it."""
        if self.thread(ts):
            self.messages[ts].deleted = True
        else:
            del self.messages[ts]

    def post_as_bot(self, text: str, metadata: dict[str, Any], thread_ts: str = "", *, ours: bool = False) -> Message:
        """Another app writes into the channel; or whoever stole our bot token does, `ours`. Metadata is readable, so copied."""
        user, bot = ("U0MONITOR", BOT) if ours else ("U0OTHERAPP", "B0OTHER")
        message = Message(
            self._ts(), text, self.clock(), metadata=metadata, thread_ts=thread_ts, user=user, channel=self.channel, bot_id=bot
        )
        self.messages[message.ts] = message
        return message

    def roots(self) -> list[Message]:
        """The monitor's messages that are no replies, oldest first."""
        return [m for m in self.messages.values() if m.bot and not m.thread_ts and not m.deleted]

    def thread(self, ts: str) -> list[Message]:
        """Everything said in a thread."""
        return [m for m in self.messages.values() if m.thread_ts == ts]

    def waking(self) -> list[Message]:
        """Messages that mentioned somebody when they came; an edit never notifies."""
        woke = {m.ts for _, m in self.shown if m.wakes and not m.edits}
        return [m for m in self.messages.values() if m.ts in woke]

    # --- the API ----------------------------------------------------------------------------------

    def app(self) -> web.Application:
        """The aiohttp application; the channel page is at `/`."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/api/{method}", self._handle)
        app.router.add_get("/", self._page)
        app.router.add_get("/link", self.apps.link)
        app.router.add_post("/respond/{user}/{number}", self.apps.respond)
        return app

    async def _page(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp's signature
        return web.Response(
            text=page(sorted([*self.messages.values(), *self.standing.values()], key=lambda m: m.ts), self.channel),
            content_type="text/html",
        )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        method, params = request.match_info["method"], await _params(request)
        self.apps.base = f"http://{request.host}"
        if not _is_standing(params):
            self.calls.append((method, params))

        async def answer() -> web.StreamResponse:
            token = APP_TOKEN if method == "apps.connections.open" else self.token
            if request.headers.get("Authorization") != f"Bearer {token}":
                return web.json_response({"ok": False, "error": "invalid_auth"})
            if method in self.refuse:
                return web.json_response({"ok": False, "error": self.refuse[method]})
            if method == "chat.postMessage" and self._too_fast():
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "1"})
            return web.json_response(self._answer(method, params))

        return await (answer() if _is_standing(params) else self.faults.around(request, answer))  # faults are planned for pages

    def _too_fast(self) -> bool:
        if not self.most_per_second:
            return False
        now = self.clock()
        self._tokens = min(10.0, self._tokens + (now - self._filled).total_seconds() * self.most_per_second)
        self._filled = now
        self._tokens -= 1
        return self._tokens < 0

    def _answer(self, method: str, params: Params) -> dict[str, Any]:
        handlers: dict[str, Callable[[Params], dict[str, Any]]] = {
            "auth.test": lambda _: {"user": "hijack-monitor", "user_id": "U0MONITOR", "bot_id": BOT, "team": "Acme", "team_id": TEAM},
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "conversations.info": self._info,
            "reactions.get": self._reactions,
            "chat.getPermalink": lambda p: {"permalink": f"https://acme.slack.com/archives/{self.channel}/p{p.get('message_ts')}"},
            "users.info": self._user,
            "users.lookupByEmail": self._by_email,
            "conversations.members": self._members,
            "usergroups.list": self._groups,
            "usergroups.users.list": self._group,
            **self.apps.answers(),
        }
        handler = handlers.get(method)
        if handler is None:
            return {"ok": False, "error": "unknown_method"}
        answer = handler(params)
        return {"ok": "error" not in answer, **answer}

    def _post(self, p: Params) -> dict[str, Any]:
        if p.get("channel") not in self.channels:
            return {"error": "channel_not_found"}
        refused = _refused(p, 40_000)
        if refused:
            return {"error": refused}
        thread = str(p.get("thread_ts") or "")
        if thread and thread not in self.messages:
            if self.orphans:
                return {"error": self.orphans}
            thread = ""
        message = Message(
            self._ts(), "\n".join(filter(None, [str(p.get("text") or ""), *_texts(p.get("attachments") or [])])), self.clock(), p.get("blocks") or [], p.get("metadata") or {}, thread,
            bool(p.get("reply_broadcast")), "U0MONITOR", channel=str(p["channel"]),
        )  # fmt: skip
        if _is_standing(p):
            self.standing[message.ts] = message
        elif message.channel in self.beside:
            self.elsewhere[message.ts] = message
        else:
            self.messages[message.ts] = message
            self.shown.append((self.clock(), replace(message)))
        return {"channel": message.channel, "ts": message.ts, "message": message.json(metadata=True)}

    def _update(self, p: Params) -> dict[str, Any]:
        message = {**self.messages, **self.elsewhere, **self.standing}.get(str(p.get("ts")))
        if message is None or message.deleted or p.get("channel") != (message.channel or self.channel):
            return {"error": "message_not_found"}
        refused = _refused(p, 4_000)
        if refused:
            return {"error": refused}
        message.text, message.blocks = str(p.get("text", "")), p.get("blocks") or []
        message.metadata = p.get("metadata") or message.metadata
        message.edits, message.edited_at = message.edits + 1, self.clock()
        if message.channel not in self.beside and message.ts not in self.standing:
            self.shown.append((self.clock(), replace(message)))
        return {"channel": message.channel or self.channel, "ts": message.ts, "text": message.text}

    def _history(self, p: Params) -> dict[str, Any]:
        there = sorted([*self.messages.values(), *self.standing.values()], key=lambda m: m.ts)
        shown = [m for m in there if (not m.thread_ts or m.broadcast) and p.get("channel") == (m.channel or self.channel)]
        shown = shown[: len(shown) - self.history_lag] if self.history_lag else shown
        return self._listed(p, list(reversed(shown)))

    def _replies(self, p: Params) -> dict[str, Any]:
        ts = str(p.get("ts"))
        if ts not in self.messages:
            return {"error": "thread_not_found"}
        answer = self._listed(p, [self.messages[ts], *self.thread(ts)])
        return answer | {"messages": [*self.oddities, *answer["messages"], *self.oddities]}

    def _listed(self, p: Params, messages: list[Message]) -> dict[str, Any]:
        oldest, latest, size = float(p.get("oldest") or 0), float(p.get("latest") or 4e9), int(p.get("limit") or 100)
        inclusive = str(p.get("inclusive", "")).lower() in ("1", "true")
        start = int(p.get("cursor") or 0)
        found = [m for m in messages if oldest < float(m.ts) < latest or (inclusive and float(m.ts) in (oldest, latest))]
        metadata = str(p.get("include_all_metadata", "")).lower() in ("1", "true")
        more = start + size < len(found)
        return {
            "messages": [m.json(metadata=metadata) for m in found[start : start + size]],
            "has_more": more,
            "response_metadata": {"next_cursor": str(start + size) if more else ""},
        }

    def _info(self, p: Params) -> dict[str, Any]:
        if p.get("channel") not in self.channels:
            return {"error": "channel_not_found"}
        private = p["channel"] in self.private
        return {"channel": {"id": p["channel"], "name": "incidents", "is_member": True, "is_archived": False, "is_private": private}}

    def _members(self, p: Params) -> dict[str, Any]:
        there = self.private.get(str(p.get("channel")), list(self.people))
        return self._paged(p, "members", [*there, "U0MONITOR"], 100)

    def _paged(self, p: Params, key: str, found: list[Any], most: int) -> dict[str, Any]:
        start, size = int(p.get("cursor") or 0), min(most, int(p.get("limit") or most))
        more = start + size < len(found)
        return {key: found[start : start + size], "response_metadata": {"next_cursor": str(start + size) if more else ""}}

    def _groups(self, p: Params) -> dict[str, Any]:
        """Disabled ones and members only where they are asked for."""
        every, members = (str(p.get(key, "")).lower() in ("1", "true") for key in ("include_disabled", "include_users"))
        return {
            "usergroups": [
                {"id": g, "handle": HANDLES.get(g, g.lower()), "date_delete": 1_795_000_000 if g in self.disabled else 0}
                | ({"users": users} if members else {})
                for g, users in self.groups.items()
                if every or g not in self.disabled
            ]
        }

    def _reactions(self, p: Params) -> dict[str, Any]:
        message = self.messages.get(str(p.get("timestamp")))
        return {"message": message.json(metadata=False)} if message else {"error": "message_not_found"}

    def _user(self, p: Params) -> dict[str, Any]:
        person = self.people.get(str(p.get("user")))
        return {"user": person} if person else {"error": "user_not_found"}

    def _by_email(self, p: Params) -> dict[str, Any]:
        found = [one for one in self.people.values() if p.get("email") in (f"{one['name']}@acme.example", one["profile"].get("email"))]
        return {"user": found[0]} if found else {"error": "users_not_found"}

    def _group(self, p: Params) -> dict[str, Any]:
        members = None if p.get("usergroup") in self.disabled else self.groups.get(str(p.get("usergroup")))
        return {"users": members} if members is not None else {"error": "no_such_subteam"}

    def _ts(self) -> str:
        return f"{int(self.clock().timestamp())}.{next(self._serial):06d}"


def _person(identifier: str, name: str) -> dict[str, Any]:
    return {"id": identifier, "name": name, "team_id": TEAM, "is_bot": False, "deleted": False, "profile": {"display_name": name}}


def _is_standing(p: Params) -> bool:
    """Whether the monitor speaks of itself: no page, and nothing that a page could be mistaken for."""
    return ((p.get("metadata") or {}).get("event_payload") or {}).get("kind") == "standing"


async def _params(request: web.Request) -> Params:
    """Arguments as JSON, as a form or in the query: slack_sdk uses all three."""
    if request.content_type == "application/json":
        return dict(await request.json())
    form = dict(await request.post()) if request.method == "POST" else {}
    raw = {**request.query, **form}
    return {k: json.loads(v) if k in ("blocks", "metadata", "view") and isinstance(v, str) else v for k, v in raw.items()}


def _size(text: str) -> int:
    """In UTF-16: by the strictest reading of Slack's limits."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _refused(p: Params, most_text: int) -> str:
    """Why Slack would refuse this message, or an empty string."""
    blocks = p.get("blocks") or []
    if not p.get("text") and not blocks and not p.get("attachments"):
        return "no_text"
    if _size(str(p.get("text", ""))) > most_text:
        return "msg_too_long"
    identifiers = [b.get("block_id") for b in blocks if isinstance(b, dict)]
    if len(blocks) > 50 or len(set(identifiers)) != len(identifiers) or not all(_good(b) for b in blocks):
        return "invalid_blocks"
    return "msg_blocks_too_long" if _size(json.dumps(blocks, ensure_ascii=False)) > _MOST_BLOCK_CHARACTERS else ""


def _good(block: Any) -> bool:  # noqa: PLR0911 - one arm per type
    if not isinstance(block, dict) or block.get("type") not in _BLOCKS or len(str(block.get("block_id", ""))) > 255:
        return False
    match block["type"]:
        case "header":
            return block["text"].get("type") == "plain_text" and 1 <= _size(block["text"]["text"]) <= 150
        case "section":
            fields = block.get("fields") or []
            body = [block["text"]] if "text" in block else []
            fit = all(1 <= _size(f["text"]) <= 2_000 for f in fields) and all(1 <= _size(t["text"]) <= 3_000 for t in body)
            return bool(fields or body) and len(fields) <= 10 and fit
        case "context":
            return 1 <= len(block["elements"]) <= 10 and all(e.get("text") for e in block["elements"])
        case "actions":
            return 1 <= len(block["elements"]) <= 25 and all(map(_good_button, block["elements"])) and _unique(block["elements"])
        case "rich_text":
            return bool(block["elements"]) and all(_texts([e]) and all(_texts([e])) for e in block["elements"])
        case _:
            return True


def _good_button(element: Any) -> bool:
    """Slack's limits of a button."""
    text, confirm = element.get("text") or {}, element.get("confirm")
    fits = (
        text.get("type") == "plain_text"
        and 1 <= _size(text["text"]) <= 75
        and len(element.get("value", "")) <= 2_000
        and len(element.get("url", "")) <= 3_000
    )
    asks = confirm is None or (_size(confirm["title"]["text"]) <= 100 and _size(confirm["text"]["text"]) <= 300)
    return element.get("type") == "button" and fits and asks and element.get("style", "primary") in ("primary", "danger")


def _unique(elements: list[Any]) -> bool:
    names = [e.get("action_id") for e in elements]
    return len(set(names)) == len(names)


def _texts(value: Any) -> list[str]:
    """Every string under a key `text`, in reading order."""
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [t for k, v in value.items() if not (k == "text" and isinstance(v, str)) for t in _texts(v)]
    return [t for v in value for t in _texts(v)] if isinstance(value, list) else []

"""The interactive half of the Slack stand-in: Socket Mode, views, groups, and people who click.

As nasty as the real thing: tickets are good for one handshake, a click is good for three seconds and goes to one
socket chosen at random, what is not confirmed in time is not delivered again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

if TYPE_CHECKING:
    from monitor.simulator.slack import Message, SlackWorld

Params = dict[str, Any]
ACK_SECONDS = 3.0
MOST_SOCKETS = 10
PING_SECONDS = 5
APP_TOKEN = "xapp-token"  # noqa: S105 - a stand-in's
_SAMPLE_LIFE_SECONDS = 18_060
_ELEMENTS = {"plain_text_input", "checkboxes", "radio_buttons", "static_select", "datetimepicker", "number_input"}


@dataclass
class View:
    """A modal or a Home tab as somebody sees it."""

    id: str
    user: str
    body: dict[str, Any]
    hash: int = 1
    open: bool = True


@dataclass
class SlackApp:
    """Sockets, triggers, views, and what only one person sees."""

    world: SlackWorld
    base: str = ""
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    ephemeral: list[tuple[str, str]] = field(default_factory=list)
    warned: int = 0  # how often somebody saw ⚠ because nobody confirmed in time
    refuse_handshakes: int = 0
    muted: bool = False  # half-open: connected, and nothing is answered
    disabled: bool = False
    extra_connections: int = 0  # a forgotten process with the same token
    opened: int = 0
    lose_next: bool = False  # the socket is cut when the next click has been sent, before it is confirmed
    _tickets: set[str] = field(default_factory=set)
    _triggers: dict[str, float] = field(default_factory=dict)
    _acks: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _serial: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _dice: random.Random = field(default_factory=lambda: random.Random(3))  # noqa: S311 - repeatable, not secret

    # --- what people do ---------------------------------------------------------------------------

    async def click(self, user: str, message: Message | View, action: str) -> dict[str, Any] | None:
        """Press a button of a message or a view; None when nobody confirmed and the user sees ⚠."""
        blocks = message.body["blocks"] if isinstance(message, View) else message.blocks
        found = [e for e in _actions(blocks) if e.get("action_id") == action]
        if not found:
            raise LookupError(f"there is no button {action!r} among {[e.get('action_id') for e in _actions(blocks)]}")
        payload = self._who(user) | {"type": "block_actions", "trigger_id": self._trigger(), "actions": [
            {"type": "button", "action_id": action, "value": found[0].get("value", ""), "action_ts": f"{time.time():.6f}", "block_id": "b"}
        ]}  # fmt: skip
        if isinstance(message, View):
            payload |= {"container": {"type": "view", "view_id": message.id}, "view": self._shown(message)}
        else:
            channel = message.channel or self.world.channel
            payload |= {
                "container": {"type": "message", "message_ts": message.ts, "channel_id": channel, "is_ephemeral": False},
                "channel": {"id": channel, "name": "incidents"}, "message": message.json(metadata=False), "response_url": self._response_url(user),
            }  # fmt: skip
        return await self.deliver("interactive", payload)

    async def submit(self, view: View, **filled: Any) -> dict[str, Any] | None:
        """Fill in and send a modal; Slack itself insists on required fields and offered options."""
        values = {b["block_id"]: {b["element"]["action_id"]: _filled(b, filled)} for b in view.body["blocks"] if b["type"] == "input"}
        state = {"values": values}
        payload = self._who(view.user) | {
            "type": "view_submission",
            "trigger_id": self._trigger(),
            "view": self._shown(view) | {"state": state},
        }
        answer = await self.deliver("interactive", payload)
        if answer is None:
            return None
        match answer.get("response_action"):
            case "errors":
                pass
            case "update":
                _check_view(answer["view"])
                view.body, view.hash = answer["view"], view.hash + 1
            case _:
                view.open = False
        return answer

    async def command(self, user: str, text: str) -> dict[str, Any] | None:
        """`/hijack` something."""
        person = self.world.people[user]
        return await self.deliver("slash_commands", {
            "command": "/hijack", "text": text, "user_id": user, "user_name": person["name"], "team_id": "T0ACME",
            "channel_id": self.world.channel, "trigger_id": self._trigger(), "response_url": self._response_url(user),
        })  # fmt: skip

    async def open_home(self, user: str) -> dict[str, Any] | None:
        """Look at the app's Home tab."""
        event = {"type": "app_home_opened", "user": user, "tab": "home", "channel": "D0HOME"}
        return await self.deliver(
            "events_api", {"type": "event_callback", "team_id": "T0ACME", "event_id": f"Ev{next(self._serial)}", "event": event}
        )

    def view_of(self, user: str) -> View:
        """The modal that somebody has open."""
        return [v for v in self.views.values() if v.user == user and v.open][-1]

    def _who(self, user: str) -> dict[str, Any]:
        person = self.world.people.get(user, {"name": user, "team_id": "T0ACME"})
        return {"user": {"id": user, "username": person["name"], "name": person["name"], "team_id": person["team_id"]},
                "team": {"id": "T0ACME", "domain": "acme"}, "api_app_id": "A0MONITOR"}  # fmt: skip

    def _trigger(self) -> str:
        trigger = f"{next(self._serial)}.{self._dice.getrandbits(64):x}"
        self._triggers[trigger] = time.monotonic()
        return trigger

    def _response_url(self, user: str) -> str:
        return f"{self.base}/respond/{user}/{next(self._serial)}"

    def _shown(self, view: View) -> dict[str, Any]:
        return {"id": view.id, "hash": str(view.hash), "state": {"values": {}}} | view.body

    # --- sockets ----------------------------------------------------------------------------------

    async def deliver(self, kind: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """To one socket, arbitrarily; the confirmation's payload, or None when none came within three seconds."""
        there = [s for s in self.sockets if not s.closed]
        if not there:
            self.warned += 1
            return None
        self.world.last_user = str((payload.get("user") or {}).get("id") or payload.get("user_id") or "")
        envelope, socket = f"e{next(self._serial)}-{self._dice.getrandbits(32):x}", self._dice.choice(there)
        self._acks[envelope] = asyncio.get_running_loop().create_future()
        with contextlib.suppress(ConnectionError):  # then nobody gets it, and nobody confirms
            await socket.send_json({"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": True})
        if self.lose_next:
            self.lose_next = False
            self.cut()
        try:
            async with asyncio.timeout(ACK_SECONDS):
                return await self._acks[envelope]
        except TimeoutError:
            self.warned += 1
            return None
        finally:
            del self._acks[envelope]

    async def link(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket behind a ticket, which is good for one try."""
        ticket = request.query.get("ticket", "")
        good = ticket in self._tickets
        self._tickets.discard(ticket)
        if not good or self.refuse_handshakes > 0:
            self.refuse_handshakes -= 1 if good else 0
            return web.Response(status=500 if good else 403, text="no")
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        if len(self.sockets) + self.extra_connections >= MOST_SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        self.sockets.append(socket)
        self.opened += 1
        try:
            await self._talk(socket)
        finally:
            self.sockets.remove(socket)
        return socket

    async def _talk(self, socket: web.WebSocketResponse) -> None:
        hello = {"type": "hello", "num_connections": len(self.sockets) + self.extra_connections, "connection_info": {"app_id": "A0MONITOR"},
                 "debug_info": {"host": "applink-7", "build_number": 4, "approximate_connection_time": _SAMPLE_LIFE_SECONDS}}  # fmt: skip
        if not self.muted:
            await socket.send_json(hello)
        pinging = asyncio.create_task(self._ping(socket))
        try:
            await self._hear(socket)
        finally:
            pinging.cancel()

    async def _ping(self, socket: web.WebSocketResponse) -> None:
        """Slack pings, too."""
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                await asyncio.sleep(PING_SECONDS)
                if not self.muted:
                    await socket.ping(b"Ping from applink-7")

    async def _hear(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if self.muted:
                continue
            if message.type == WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                answer = json.loads(message.data)
                waiting = self._acks.get(str(answer.get("envelope_id")))
                if waiting and not waiting.done():
                    waiting.set_result(answer.get("payload") or {})

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Slack recycles every socket after a few hours."""
        for socket in list(self.sockets):
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-7"}})
            await socket.close(code=WSCloseCode.GOING_AWAY)

    def cut(self) -> None:
        """The network drops every socket without a word."""
        for socket in self.sockets:
            transport = socket._req.transport if socket._req else None  # noqa: SLF001 - aiohttp has no public way to be rude
            if transport:
                transport.abort()

    # --- the API ----------------------------------------------------------------------------------

    def answers(self) -> dict[str, Any]:
        """The Web API methods of this half."""
        return {
            "apps.connections.open": self._open_connection,
            "views.open": self._view_open,
            "views.update": self._view_update,
            "views.publish": self._view_publish,
            "chat.postEphemeral": self._whisper,
        }

    def _open_connection(self, p: Params) -> Params:  # noqa: ARG002
        if self.disabled:
            return {"error": "link_disabled"}
        ticket = f"{self._dice.getrandbits(64):x}"
        self._tickets.add(ticket)
        return {"url": f"{self.base.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id=A0MONITOR"}

    def _view_open(self, p: Params) -> Params:
        began = self._triggers.pop(str(p.get("trigger_id")), None)
        if began is None:
            return {"error": "invalid_trigger_id"}
        if time.monotonic() - began > ACK_SECONDS:
            return {"error": "expired_trigger_id"}
        refused = _refused_view(p.get("view"))
        if refused:
            return {"error": refused}
        view = View(f"V{next(self._serial)}", self.world.last_user, p["view"])
        self.views[view.id] = view
        return {"view": {"id": view.id, "hash": str(view.hash)} | view.body}

    def _view_update(self, p: Params) -> Params:
        view, refused = self.views.get(str(p.get("view_id"))), _refused_view(p.get("view"))
        if view is None or refused:
            return {"error": refused or "not_found"}
        view.body, view.hash = p["view"], view.hash + 1
        return {"view": {"id": view.id, "hash": str(view.hash)} | view.body}

    def _view_publish(self, p: Params) -> Params:
        refused = _refused_view(p.get("view"))
        if refused or p["view"].get("type") != "home":
            return {"error": refused or "invalid_arguments"}
        view = View(f"H{next(self._serial)}", str(p.get("user_id")), p["view"])
        self.homes[view.user] = view
        return {"view": {"id": view.id} | view.body}

    def _whisper(self, p: Params) -> Params:
        if p.get("channel") not in self.world.channels:
            return {"error": "channel_not_found"}
        self.ephemeral.append((str(p.get("user")), str(p.get("text"))))
        return {"message_ts": f"{next(self._serial)}.0"}

    async def respond(self, request: web.Request) -> web.Response:
        """A `response_url`."""
        body = await request.json()
        self.ephemeral.append((request.match_info["user"], str(body.get("text"))))
        return web.Response(text="ok")


def _actions(blocks: list[Any]) -> list[dict[str, Any]]:
    found = [e for b in blocks if b.get("type") == "actions" for e in b["elements"]]
    return found + [b["accessory"] for b in blocks if "accessory" in b]


def _filled(block: dict[str, Any], filled: dict[str, Any]) -> dict[str, Any]:
    """The state of one input, as Slack sends it. Raises ValueError for what Slack's own form would not let through."""
    element, given = block["element"], filled.get(block["block_id"])
    kind = element["type"]
    if given is None and not block.get("optional") and not any(k.startswith("initial") for k in element):
        raise ValueError(f"{block['block_id']} is required")
    offered = {o["value"]: o for o in element.get("options", ())}
    if kind == "checkboxes":
        return {"type": kind, "selected_options": [offered[v] for v in given or ()]}
    if kind in ("radio_buttons", "static_select"):
        return {"type": kind, "selected_option": offered[given] if given else element.get("initial_option")}
    if kind == "datetimepicker":
        return {"type": kind, "selected_date_time": given if given is not None else element.get("initial_date_time")}
    return {"type": kind, "value": given if given is not None else element.get("initial_value")}


def _check_view(view: dict[str, Any]) -> None:
    refused = _refused_view(view)
    if refused:
        raise ValueError(f"Slack would refuse this view: {refused}")


def _refused_view(view: Any) -> str:
    """Why Slack would refuse a view, or an empty string."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        return "invalid_arguments"
    blocks = view.get("blocks") or []
    if len(blocks) > 100 or len(json.dumps(view)) > 250_000 or len(view.get("private_metadata", "")) > 3_000:
        return "view_too_large"
    if view["type"] == "modal":
        texts = [view.get("title"), view.get("submit"), view.get("close")]
        if not view.get("title") or any(t is not None and not 1 <= len(t["text"]) <= 24 for t in texts):
            return "invalid_arguments"
        if any(b["type"] == "input" for b in blocks) and not view.get("submit"):
            return "invalid_arguments"
    return "" if all(_good_block(b) for b in blocks) else "invalid_blocks"


def _good_block(block: dict[str, Any]) -> bool:
    if block["type"] != "input":
        return True
    element = block["element"]
    options = element.get("options", [])
    fits = all(1 <= len(o["text"]["text"]) <= 75 and 1 <= len(o["value"]) <= 75 for o in options)
    needed = bool(options) if element["type"] in ("checkboxes", "radio_buttons", "static_select") else True
    most = {"checkboxes": 10, "radio_buttons": 10}.get(element["type"], 100)
    return element["type"] in _ELEMENTS and 1 <= len(block["label"]["text"]) <= 2_000 and fits and needed and len(options) <= most

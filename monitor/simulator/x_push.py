"""What X tells by itself, played: the Activity stream and its subscriptions, the filtered stream and its rules.

Shapes and limits are those of X's documentation (x-api/activity, x-api/posts/filtered-stream, rate limits). Time is the
world's clock: `tick` writes the keep-alives that are due, and a clock of the real world ticks by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

BEAT = timedelta(seconds=20)
PUBLIC = (
    "post.create", "post.delete", "broadcast.start", "broadcast.end", "spaces.start", "spaces.end", "profile.update.bio",
    "profile.update.profile_picture", "profile.update.banner_picture", "profile.update.screenname", "profile.update.geo",
    "profile.update.url", "profile.update.verified_badge", "profile.update.affiliate_badge", "profile.update.handle",
)  # fmt: skip
UPDATES = {
    "description": "bio", "profile_image_url": "profile_picture", "profile_banner_url": "banner_picture", "name": "screenname",
    "location": "geo", "url": "url", "username": "handle", "verified_type": "verified_badge", "affiliation": "affiliate_badge",
}  # fmt: skip
TOO_MANY = {
    "title": "ConnectionException", "detail": "This stream is currently at the maximum allowed connection limit.",
    "connection_issue": "TooManyConnections", "type": "https://api.x.com/2/problems/streaming-connection",
}  # fmt: skip
FORBIDDEN = {
    "title": "Client Forbidden", "reason": "client-not-enrolled", "type": "https://api.x.com/2/problems/client-forbidden",
    "detail": "Your client is not enrolled for this endpoint.", "status": 403,
}  # fmt: skip


@dataclass
class Connection:
    """One open stream. `late`: its headers wait for the next keep-alive, as X's do."""

    number: int
    endpoint: str
    connected_at: str
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    sent: int = 0  # bytes
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    transport: Any = None


@dataclass
class Push:
    """Subscriptions, rules, connections; and everything a stream does to whoever reads it."""

    clock: Callable[[], datetime]
    bill: Callable[[str, str], None]
    users: dict[str, Any]
    connections: list[Connection] = field(default_factory=list)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: dict[str, dict[str, str]] = field(default_factory=dict)
    activity: bool = True  # provisioned for this app
    filtered: bool = True
    most_subscriptions: int = 1_500
    most_connections: dict[str, int] = field(default_factory=lambda: {"activity_stream": 2, "filtered_stream": 1})
    connects: list[datetime] = field(default_factory=list)
    answer: str = "spec"  # the shape of an answer to a new subscription: spec, list or flat
    unknown_types: tuple[str, ...] = ()  # event types it refuses to subscribe to
    late_headers: bool = False
    closes_at_once: bool = False
    stalled: bool = False
    lossy: float = 0.0  # shares of events that are lost, told twice, or told after the next one
    twice: float = 0.0
    swapped: float = 0.0
    untagged: bool = False
    dice: random.Random = field(default_factory=lambda: random.Random(5))  # noqa: S311 - repeatable, not secret
    told: int = 0
    _beat_at: datetime | None = None
    _held: bytes = b""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # --- what happens on X ------------------------------------------------------------------------

    def posted(self, post: dict[str, Any], user: Any) -> None:
        """A post, to everybody who asked for it. The profile comes with it; media and long text do not."""
        data = {k: v for k, v in post.items() if k not in ("attachments", "note_tweet")}
        data["edit_controls"] = {
            "edits_remaining": 5,
            "edits_remaining_str": "5",
            "is_edit_eligible": True,
            "editable_until": post["created_at"],
        }
        author = {k: v for k, v in user.profile.items() if v != ""} | {
            "id": user.id,
            "most_recent_tweet_id": post["id"],
            "protected": False,
        }
        self.emit("post.create", user.id, data, {"tweets": [data], "users": [author]}, ("post", post["id"]))
        matching = [{"id": n, "tag": r["tag"]} for n, r in self.rules.items() if f"from:{user.id}" in r["value"].split(" OR ")]
        if matching:
            for rule in matching if self.untagged else ():
                rule.pop("tag")
            self._tell("filtered_stream", {"data": post, "matching_rules": matching}, ("post", post["id"]))

    def deleted(self, identifier: str, user: Any) -> None:
        """post.delete: the user is nested, and half of what is known of it is left out."""
        seen = {k: v for k, v in user.profile.items() if k in ("name", "username", "id", "verified_type")}
        self.emit("post.delete", user.id, {"id": identifier, "author_id": user.id}, {"users": [{"data": seen}]})

    def changed(self, name: str, before: str, after: str, user: Any) -> None:
        """profile.update.*, without a time."""
        if name in UPDATES and before != after:
            event = f"profile.update.{UPDATES[name]}"
            self.emit(
                event, user.id, {"before": str(before or ""), "after": str(after or "")}, cost=("profile update", str(next(self._numbers)))
            )

    def began(self, user: Any, kind: str, title: str = "") -> None:
        """`kind` is broadcast or spaces: somebody speaks live."""
        payload: dict[str, Any] = {"user": {"data": user.profile | {"id": user.id}}, "broadcast_id": f"1b{next(self._numbers)}QnZ"}
        if kind == "broadcast":
            at = int(self.clock().timestamp() * 1000)
            payload |= {
                "title": title,
                "broadcast_state": "Running",
                "created_timestamp_ms": at,
                "created_timestamp_ms_str": str(at),
                "language": "en",
            }
        else:
            payload["event_type"] = "spaces_start"
        self.emit(f"{kind}.start", user.id, payload)

    def emit(
        self, event: str, user: str, payload: dict[str, Any], includes: dict[str, Any] | None = None, cost: tuple[str, str] | None = None
    ) -> None:  # fmt: skip
        """An event, to everybody who subscribed to it."""
        wanted = next((s for s in self.subscriptions.values() if s["event_type"] == event and s["filter"].get("user_id") == user), None)
        if wanted is None:
            return
        number = next(self._numbers)
        uuid = str(number * 7_919 * (-1) ** number)  # half of them are negative, as X's are
        data = {"event_uuid": uuid, "filter": {"user_id": user}, "event_type": event, "tag": wanted.get("tag", ""), "payload": payload}
        self._tell("activity_stream", {"data": data | ({"includes": includes} if includes else {})}, cost)

    def _tell(self, endpoint: str, event: dict[str, Any], cost: tuple[str, str] | None) -> None:
        if self.stalled or self.dice.random() < self.lossy:
            return
        line = json.dumps(event).encode() + b"\r\n"
        self.told += 1
        if cost and any(c.endpoint == endpoint for c in self.connections):
            self.bill(*cost)
        if self.dice.random() < self.twice:
            line += line
        if self._held:
            line, self._held = line + self._held, b""
        elif self.dice.random() < self.swapped:
            self._held, line = line, b""
        self.raw(line, endpoint)

    def raw(self, line: bytes, endpoint: str = "activity_stream") -> None:
        """These very bytes."""
        for one in self.connections:
            if line and one.endpoint == endpoint:
                one.lines.put_nowait(line)

    def endpoint(self, module: str) -> str:
        """What a module of ours connects to."""
        return {"x_activity": "activity_stream", "x_stream": "filtered_stream"}[module]

    def tick(self) -> None:
        """Keep-alives that are due, and what they free."""
        now = self.clock()
        if self._beat_at is None or now - self._beat_at >= BEAT or now < self._beat_at:
            self._beat_at = now
            if self._held:
                self.raw(self._held)
                self._held = b""
            for one in self.connections if not self.stalled else ():
                one.ready.set()
                one.lines.put_nowait(b"\r\n")

    def close(self) -> None:
        """A clean end of every stream."""
        for one in self.connections:
            one.ready.set()
            one.lines.put_nowait(None)

    def cut(self, last: bytes = b"") -> None:
        """Every connection is gone, in the middle of a line if there is one."""
        for one in list(self.connections):
            if one.transport is not None:
                if last:
                    one.transport.write(b"%x\r\n%b\r\n" % (len(last), last))
                one.transport.abort()
            self.connections.remove(one)

    # --- the API ----------------------------------------------------------------------------------

    def routes(self, app: web.Application, wrap: Callable[..., Any]) -> None:
        """Everything under its path; `wrap` looks after tokens, limits and faults."""
        router = app.router
        router.add_get("/2/activity/subscriptions", wrap(self._list, "subscriptions"))
        router.add_post("/2/activity/subscriptions", wrap(self._subscribe, "subscriptions"))
        router.add_delete("/2/activity/subscriptions", wrap(self._unsubscribe, "subscriptions"))
        router.add_get("/2/tweets/search/stream/rules", wrap(self._rules, "rules"))
        router.add_post("/2/tweets/search/stream/rules", wrap(self._change_rules, "rules"))
        router.add_get("/2/activity/stream", wrap(lambda r: self._stream(r, "activity_stream"), "activity"))
        router.add_get("/2/tweets/search/stream", wrap(lambda r: self._stream(r, "filtered_stream"), "filtered"))
        router.add_get("/2/connections", wrap(self._connections, "connections"))
        router.add_delete("/2/connections/all", wrap(self._end_all, "connections"))
        app.cleanup_ctx.append(self._ticking)

    async def _ticking(self, app: web.Application) -> Any:  # noqa: ARG002 - aiohttp's signature
        async def forever() -> None:
            while True:
                await asyncio.sleep(1)
                self.tick()

        task = asyncio.create_task(forever())
        yield
        task.cancel()
        self.cut()

    def _list(self, request: web.Request) -> Any:
        if not self.activity:
            return web.json_response(FORBIDDEN, status=403)
        size, start = int(request.query.get("max_results", 100)), int(request.query.get("pagination_token", "0").lstrip("A") or 0)
        found = list(self.subscriptions.values())
        meta: dict[str, Any] = {"total_subscriptions": len(found)}
        if start + size < len(found):
            meta["next_token"] = f"AAAAAAAAAAAAAAAA{start + size}"
        return {"data": found[start : start + size], "meta": meta}

    async def _subscribe(self, request: web.Request) -> Any:
        asked = await request.json()
        event, where = asked["event_type"], asked["filter"]
        own = request.headers["Authorization"] != "Bearer x-token"
        if not self.activity or event in self.unknown_types or (event not in PUBLIC and not own):
            return web.json_response(FORBIDDEN, status=403)
        if any(s["event_type"] == event and s["filter"] == where for s in self.subscriptions.values()):
            problem = {"title": "DuplicateSubscription", "detail": "A subscription like it exists.", "type": "about:blank"}
            return {"errors": [problem]}
        if len(self.subscriptions) >= self.most_subscriptions:
            problem = {"title": "SubscriptionLimitExceeded", "detail": "The most subscriptions exist.", "type": "about:blank"}
            return web.json_response({"errors": [problem]}, status=400)
        number = str(1_146_654_567_674_912_700 + next(self._numbers))
        at = f"{self.clock():%Y-%m-%dT%H:%M:%S.000Z}"
        one = {
            "subscription_id": number,
            "event_type": event,
            "filter": where,
            "tag": asked.get("tag", ""),
            "created_at": at,
            "updated_at": at,
        }
        self.subscriptions[number] = one
        shapes: dict[str, Any] = {"spec": {"data": {"subscription": one}}, "list": {"data": [one]}, "flat": {"data": one}}
        return shapes[self.answer]

    def _unsubscribe(self, request: web.Request) -> Any:
        ids = request.query["ids"].split(",")
        gone = [i for i in ids if self.subscriptions.pop(i, None)]
        return {"data": [{"subscription_id": i, "deleted": True} for i in gone], "meta": {"total_subscriptions": len(self.subscriptions)}}

    def _rules(self, request: web.Request) -> Any:  # noqa: ARG002
        if not self.filtered:
            return web.json_response(FORBIDDEN, status=403)
        return {"data": [{"id": n, **r} for n, r in self.rules.items()], "meta": {"result_count": len(self.rules)}}

    async def _change_rules(self, request: web.Request) -> Any:
        asked = await request.json()
        for rule in asked.get("add", ()):
            if len(rule["value"]) > 1_024:
                return web.json_response({"title": "Invalid Request", "type": "https://api.x.com/2/problems/invalid-request"}, status=400)
            self.rules[str(1_600_000_000_000_000_000 + next(self._numbers))] = {"value": rule["value"], "tag": rule.get("tag", "")}
        for number in (asked.get("delete") or {}).get("ids", ()):
            self.rules.pop(number, None)
        return {"data": [{"id": n, **r} for n, r in self.rules.items()], "meta": {"sent": f"{self.clock():%Y-%m-%dT%H:%M:%S.000Z}"}}

    async def _stream(self, request: web.Request, endpoint: str) -> web.StreamResponse:
        if not (self.activity if endpoint == "activity_stream" else self.filtered):
            return web.json_response(FORBIDDEN, status=403)
        if endpoint == "filtered_stream" and not self.rules:
            return web.json_response({"title": "ConnectionException", "connection_issue": "RulesConfigurationIssue"}, status=409)
        if sum(c.endpoint == endpoint for c in self.connections) >= self.most_connections[endpoint]:
            return web.json_response(TOO_MANY, status=429)
        self.connects.append(self.clock())
        one = Connection(next(self._numbers), endpoint, f"{self.clock():%Y-%m-%dT%H:%M:%S.000Z}", transport=request.transport)
        self.connections.append(one)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            if self.late_headers:
                await one.ready.wait()
            await response.prepare(request)
            while not self.closes_at_once and (line := await one.lines.get()) is not None:
                await response.write(line)
                one.sent += len(line)
        except ConnectionError:
            return response  # whoever read has gone
        finally:
            with contextlib.suppress(ValueError):
                self.connections.remove(one)
        return response

    def _connections(self, request: web.Request) -> Any:  # noqa: ARG002
        data = [
            {"id": str(c.number), "endpoint_name": c.endpoint, "connected_at": c.connected_at, "client_ip": "127.0.0.1"}
            for c in self.connections
        ]
        return {"data": data, "meta": {"result_count": len(data)}}

    def _end_all(self, request: web.Request) -> Any:  # noqa: ARG002
        ended = len(self.connections)
        self.close()
        return {"data": {"successful_kills": ended, "failed_kills": 0}}

"""The part of X API v2 that we use, with state, time and every error shape of the documentation.

Good answers validate against X's OpenAPI description (a test does it).
"""

from __future__ import annotations

import html
import inspect
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from monitor.simulator.faults import Faults
from monitor.simulator.x_fields import Fields
from monitor.simulator.x_pages import Paging
from monitor.simulator.x_push import Push
from monitor.sources._x_payload import time_id

_URL = re.compile(r"https?://[^\s]+")
_PROBLEMS = "https://api.x.com/2/problems/"
WINDOW = timedelta(minutes=15)
LIMIT = 10_000  # of timelines, in fifteen minutes
LIMITS = {
    "users": 300,
    "tweets": 3_500,
    "search": 450,
    "subscriptions": 500,
    "rules": 100,
    "activity": 450,
    "filtered": 50,
    "connections": 25,
    "usage": 50,
}
MOST_SHOWN = 3_200  # of a timeline
UNFUNDED = {
    "account_id": 1553086854915936256, "title": "CreditsDepleted", "type": "https://api.twitter.com/2/problems/credits",
    "detail": "Your enrolled account [1553086854915936256] does not have any credits to fulfill this request.",
}  # fmt: skip
RATE_LIMITED = {"title": "Too Many Requests", "detail": "Too Many Requests", "type": "about:blank", "status": 429}
USAGE_CAPPED = {
    "account_id": 1, "product_name": "standard-basic", "title": "UsageCapExceeded", "period": "Monthly",
    "scope": "Product", "detail": "Usage cap exceeded: Monthly product cap", "type": _PROBLEMS + "usage-capped",
}  # fmt: skip
UNAUTHORIZED = {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}


@dataclass
class User:
    """An account on the stand-in; `profile` holds API v2 user fields, `state` its visibility."""

    id: str
    profile: dict[str, Any]
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    state: str = "active"
    token: str = ""  # of its own, where it lets the app see more


class XWorld:
    """What happens on X. Times come from `clock`; ids are real snowflakes."""

    def __init__(self, clock: Callable[[], datetime], token: str = "x-token") -> None:  # noqa: S107 - a stand-in
        self.clock, self.token = clock, token
        self.users: dict[str, User] = {}
        self.faults = Faults()
        self.media: dict[str, dict[str, Any]] = {}
        self.polls: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes | web.Response] = {}  # what the media host answers, by path
        self.media_base = "https://pbs.twimg.com/media"
        self.beside: dict[str, list[dict[str, Any]]] = {}  # of others, that come along with posts
        self.requests: list[str] = []
        self.limit, self.used, self.window = LIMIT, 0, clock()
        self.other_used: dict[str, int] = {}
        self.bills: dict[str, dict[str, set[str]]] = {}  # by UTC day and kind, what was billed: each resource once
        self.skew = timedelta()  # of X's clock against the world's
        self.balance: float | None = None  # dollars; None: this app may not ask
        self.push = Push(clock, self.bill, self.users)
        self.dialect, self.paging, self.fields = "tweet", Paging(), Fields()
        self._serial, self._short = itertools.count(1), itertools.count(1)

    # --- what people do ---------------------------------------------------------------------------

    def user(self, handle: str, identifier: str, **profile: Any) -> User:
        """A new account."""
        fields = {"id": identifier, "username": handle, "name": handle.title(), "verified_type": "business"}
        self.users[identifier] = User(identifier, fields)
        self.change(handle, **profile)
        return self.users[identifier]

    def named(self, handle: str) -> User:
        """By handle."""
        return next(u for u in self.users.values() if u.profile["username"] == handle)

    def change(self, handle: str, **profile: Any) -> None:
        """Change the profile; `link` makes the url entity, None clears a field."""
        user = self.named(handle)
        before = dict(user.profile)
        link = profile.pop("link", None)
        if link:
            short = f"https://t.co/{next(self._short):010d}"
            user.profile["url"] = short
            urls = [{"start": 0, "end": len(short), "url": short, "expanded_url": link, "display_url": link[:25]}]
            user.profile["entities"] = {"url": {"urls": urls}}
        user.profile.update(profile)
        user.profile = {k: v for k, v in user.profile.items() if v is not None}
        for name in {**before, **user.profile}:
            self.push.changed(name, before.get(name, ""), user.profile.get(name, ""), user)

    def bill(self, kind: str, resource: str) -> None:
        """A resource was read: X counts it once a UTC day."""
        day = f"{self.clock().astimezone(UTC):%Y-%m-%d}"
        self.bills.setdefault(day, {}).setdefault(kind, set()).add(resource)

    def post(
        self, handle: str, text: str, *, pictures: int = 0, files: tuple[bytes | web.Response, ...] = (),
        media: tuple[dict[str, Any], ...] = (), poll: tuple[str, ...] = (), **fields: Any,
    ) -> str:  # fmt: skip
        """Publish; returns the id. Links become t.co entities, `&<>` are escaped, long text moves to
        note_tweet. `files` are pictures the media host has, `media` what their objects say beside the usual (`type`,
        `alt_text`), `poll` its choices. `fields` override anything.
        """
        user = self.named(handle)
        now = self.clock() + self.skew  # X's ids and times are those of its own clock
        identifier = str(time_id(now) + next(self._serial) % 4_194_304)
        shown, urls = self._shorten(html.escape(text, quote=False))
        data: dict[str, Any] = {
            "id": identifier, "text": shown, "author_id": user.id, "edit_history_tweet_ids": [identifier],
            "created_at": _time(now), "conversation_id": identifier, "lang": "en",
            "reply_settings": "everyone", "possibly_sensitive": False,
        }  # fmt: skip
        if urls:
            data["entities"] = {"urls": urls}
        if len(shown) > 280:
            data["note_tweet"] = {"text": shown} | ({"entities": {"urls": urls}} if urls else {})
            data["text"] = shown[:275] + "…"
        if pictures or files or media:
            self._attach(data, user, pictures or len(files) or len(media))
            keys = data["attachments"]["media_keys"]
            self.files |= {f"{key}.jpg": file for file, key in zip(files, keys, strict=False)}
            for said, key in zip(media, keys, strict=False):
                self.media[key] |= said
        if poll:
            options = [{"position": n, "label": label, "votes": 0} for n, label in enumerate(poll, 1)]
            self.polls[f"7{identifier}"] = {"id": f"7{identifier}", "options": options}
            data["attachments"] = {"poll_ids": [f"7{identifier}"]}
        user.posts[identifier] = data | fields
        self.push.posted(user.posts[identifier], user)
        return identifier

    def _shorten(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        urls: list[dict[str, Any]] = []

        def short(match: re.Match[str]) -> str:
            target = html.unescape(match[0])
            short_url = f"https://t.co/{next(self._short):010d}"
            urls.append({"start": match.start(), "end": match.start() + len(short_url), "url": short_url,
                         "expanded_url": target, "display_url": target.split("://")[1][:25]})  # fmt: skip
            return short_url

        return _URL.sub(short, text), urls

    def _attach(self, data: dict[str, Any], user: User, pictures: int) -> None:
        """Pictures as X sends them: media keys, an include, and a link at the end of the text."""
        keys = [f"3_{data['id']}{n}" for n in range(pictures)]
        for key in keys:
            self.media[key] = {"media_key": key, "type": "photo", "url": f"{self.media_base}/{key}.jpg"}
        short = f"https://t.co/{next(self._short):010d}"
        target = f"https://x.com/{user.profile['username']}/status/{data['id']}/photo/1"
        entity = {"start": 0, "end": 23, "url": short, "expanded_url": target, "display_url": "pic.x.com/a", "media_key": keys[0]}
        data["text"] = f"{data['text']} {short}".lstrip()
        data.setdefault("entities", {}).setdefault("urls", []).append(entity)
        data["attachments"] = {"media_keys": keys}

    def repost(self, handle: str, of: str, text: str, identifier: str = "") -> str:
        """A repost: `RT @of: text`, cut at 140. Of the post with this id, else of one of theirs that begins with the text,
        else of one that they published an hour ago.
        """
        other = next((u for u in self.users.values() if u.profile["username"] == of), None) or self.user(of, f"9{len(self.users):06d}")
        shown = html.escape(text, quote=False)
        known = identifier or next((i for i, p in reversed(other.posts.items()) if p["text"].startswith(shown)), "")
        if not known:
            known, at = str(time_id(self.clock() - timedelta(hours=1)) + next(self._serial) % 4_194_304), self.clock() - timedelta(hours=1)
            other.posts[known] = {
                "id": known, "text": shown, "author_id": other.id, "edit_history_tweet_ids": [known], "created_at": _time(at),
                "conversation_id": known, "lang": "en", "reply_settings": "everyone",
            }  # fmt: skip
        cut = f"RT @{of}: {text}" if len(text) <= 130 else f"RT @{of}: {text[:120]}…"
        return self.post(handle, cut, referenced_tweets=[{"type": "retweeted", "id": known}])

    def reply(self, handle: str, text: str, to: str = "777", under: str = "", **fields: Any) -> str:
        """A reply to somebody's post; below one of our own it is a part of a thread. A handle at its beginning is X's own."""
        under = under or str(time_id(self.clock() - timedelta(hours=1)))
        mine = self.named(handle)
        to, root = (mine.id, mine.posts[under]["conversation_id"]) if under in mine.posts else (to, under)
        refs = [{"type": "replied_to", "id": under}]
        prefix = re.match(r"(?:@\w+ +)*", text)
        shown = [prefix.end() if prefix else 0, len(text)]
        fields = {"referenced_tweets": refs, "in_reply_to_user_id": to, "conversation_id": root, "display_text_range": shown} | fields
        return self.post(handle, text, **fields)

    def quote(self, handle: str, text: str, of: str, identifier: str = "1700000000000000000", **fields: Any) -> str:
        """A quote of a post by `of`, known to whoever asks for that post by id."""
        other = next((u for u in self.users.values() if u.profile["username"] == of), None) or self.user(of, f"9{len(self.users):06d}")
        other.posts.setdefault(
            identifier, {"id": identifier, "text": "Something", "author_id": other.id, "edit_history_tweet_ids": [identifier]}
        )
        return self.post(handle, text, **({"referenced_tweets": [{"type": "quoted", "id": identifier}]} | fields))

    def edit(self, handle: str, identifier: str, text: str) -> str:
        """A new version: a new id, the history in both, only the newest on the timeline."""
        user = self.named(handle)
        old = user.posts[identifier]
        history = [*old["edit_history_tweet_ids"]]
        new = self.post(handle, text, edit_history_tweet_ids=history)
        history.append(new)  # in every version: they share it
        for version in history:
            user.posts[version]["edit_history_tweet_ids"] = history
        user.replaced.add(identifier)
        return new

    def delete(self, handle: str, identifier: str) -> None:
        """Gone without a trace."""
        user = self.named(handle)
        for version in user.posts[identifier]["edit_history_tweet_ids"]:  # deleting one deletes them all
            user.posts.pop(version, None)
        self.push.deleted(identifier, user)

    # --- the API ----------------------------------------------------------------------------------

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_get("/2/users/{id}/tweets", self._wrap(self._timeline, "timelines"))
        app.router.add_get("/2/users/by", self._wrap(self._by_name, "users"))
        app.router.add_get("/2/users", self._wrap(self._users, "users"))
        app.router.add_get("/2/tweets", self._wrap(self._tweets, "tweets"))
        app.router.add_get("/2/tweets/search/recent", self._wrap(self._search, "search"))
        app.router.add_get("/2/usage/tweets", self._wrap(self._usage, "usage"))
        app.router.add_get("/2/usage/credits", self._wrap(self._credits, "usage"))
        self.push.routes(app, self._wrap)
        app.router.add_get("/media/{name}", self._file)
        return app

    def _wrap(self, handler: Callable[[web.Request], Any], family: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests.append(request.path_qs)

            async def answer() -> web.StreamResponse:
                if request.headers.get("Authorization") not in self.tokens():
                    return web.json_response(UNAUTHORIZED, status=401)
                refused = self._limited(family) or self.fields.refusal(request)
                if refused:
                    return refused
                found = handler(request)
                found = await found if inspect.isawaitable(found) else found
                return found if isinstance(found, web.StreamResponse) else self._good(found, family)

            made = await self.faults.around(request, answer)
            if not made.prepared:
                made.headers["x-transaction-id"] = "0"
                made.headers["Date"] = format_datetime((self.clock() + self.skew).astimezone(UTC), usegmt=True)
            return made

        return handle

    def tokens(self) -> tuple[str, ...]:
        """The app's own, and those of accounts that let the app see more."""
        return (f"Bearer {self.token}", *(f"Bearer {u.token}" for u in self.users.values() if u.token))

    def _good(self, page: dict[str, Any], family: str) -> web.Response:
        data, more = page.get("data") or [], page.get("includes") or {}
        for one in [*(data if isinstance(data, list) else [data]), *more.get("users", ())]:
            if "id" in one and ("username" in one or "text" in one):
                self.bill("user" if "username" in one else "post", one["id"])
        return web.json_response(page, headers=self._headers(family))

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """The media host: no token, whatever the story put there."""

        async def answer() -> web.StreamResponse:
            found = self.files.get(request.match_info["name"])
            if isinstance(found, bytes):
                return web.Response(body=found, content_type="image/png" if found[:4] == b"\x89PNG" else "image/jpeg")
            return found or web.Response(status=404)

        return await self.faults.around(request, answer)

    def _limited(self, family: str) -> web.Response | None:
        if self.clock() - self.window >= WINDOW:
            self.used, self.window, self.other_used = 0, self.clock(), {}
        if family == "timelines":
            self.used += 1
        else:
            self.other_used[family] = self.other_used.get(family, 0) + 1
        over = self.used > self.limit if family == "timelines" else self.other_used[family] > LIMITS[family]
        return web.json_response(RATE_LIMITED, status=429, headers=self._headers(family)) if over else None

    def _headers(self, family: str = "timelines") -> dict[str, str]:
        reset = int((self.window + WINDOW).timestamp())
        whole, used = (self.limit, self.used) if family == "timelines" else (LIMITS[family], self.other_used.get(family, 0))
        return {"x-rate-limit-limit": str(whole), "x-rate-limit-remaining": str(max(0, whole - used)), "x-rate-limit-reset": str(reset),
                "api-version": "2.166"}  # fmt: skip

    def _timeline(self, request: web.Request) -> dict[str, Any]:
        identifier, query = request.match_info["id"], request.query
        user = self.users.get(identifier)
        problem = self._hidden(user, identifier, "id")
        if problem or user is None:
            return {"errors": [problem]}
        since, until = int(query.get("since_id", 0)), int(query.get("until_id", 1 << 63))
        shown = (i for i in user.posts if i not in user.replaced and i not in self.paging.hidden)
        ids = [i for i in sorted(map(int, shown), reverse=True)[:MOST_SHOWN] if since < i < until]
        page, meta = self.paging.cut(ids, query.get("pagination_token", ""), int(query.get("max_results", 10)))
        posts = [user.posts[str(i)] for i in page]
        self.paging.between()
        return (
            ({"data": [self.fields.given(p, request, self.dialect) for p in posts]} if posts else {})
            | {"meta": meta}
            | self._includes(posts)
        )

    def _includes(self, posts: list[dict[str, Any]]) -> dict[str, Any]:
        keys = [k for p in posts for k in (p.get("attachments") or {}).get("media_keys", ())]
        ids = [i for p in posts for i in (p.get("attachments") or {}).get("poll_ids", ()) if i in self.polls]
        found = ({"media": [self.media[k] for k in keys]} if keys else {}) | ({"polls": [self.polls[i] for i in ids]} if ids else {})
        found = self.beside | found
        return {"includes": found} if found else {}

    def _hidden(self, user: User | None, value: str, parameter: str) -> dict[str, Any] | None:
        common = {"value": value, "parameter": parameter, "resource_type": "user", "resource_id": value}
        if user is None or user.state == "gone":
            detail, title, kind = f"Could not find user with {parameter}: [{value}].", "Not Found Error", "resource-not-found"
        elif user.state == "suspended":
            detail, title, kind = f"User has been suspended: [{value}].", "Forbidden", "resource-not-found"
        elif user.profile.get("protected") and parameter == "id":
            detail = f"Sorry, you are not authorized to see the user with id: [{value}]."
            title, kind = "Authorization Error", "not-authorized-for-resource"
        else:
            return None
        return common | {"detail": detail, "title": title, "type": _PROBLEMS + kind}

    def _users(self, request: web.Request) -> dict[str, Any]:
        asked = request.query.get("ids", "").split(",")
        seen = [(i, self.users.get(i)) for i in asked]
        errors = [e for i, u in seen if (e := self._hidden(u, i, "ids"))]
        data = [self.fields.given(self._shown(u), request, "tweet") for i, u in seen if u and not self._hidden(u, i, "ids")]
        return ({"data": data} if data else {}) | ({"errors": errors} if errors else {})

    def _shown(self, user: User) -> dict[str, Any]:
        """What is seen of a user; of no posts there is no newest one."""
        newest = max((i for i in user.posts if i not in user.replaced), key=int, default="")
        metrics = {"public_metrics": {"followers_count": 0, "following_count": 0, "tweet_count": len(user.posts), "listed_count": 0}}
        return {"protected": False} | metrics | ({"most_recent_tweet_id": newest} if newest else {}) | user.profile | {"id": user.id}

    def _by_name(self, request: web.Request) -> dict[str, Any]:
        asked = request.query["usernames"].split(",")
        known = {u.profile["username"].lower(): u for u in self.users.values()}
        seen = [(name, known.get(name.lower())) for name in asked]
        errors = [e for name, user in seen if (e := self._hidden(user, name, "usernames"))]
        data = [self._shown(user) for name, user in seen if user and not self._hidden(user, name, "usernames")]
        return ({"data": data} if data else {}) | ({"errors": errors} if errors else {})

    def _search(self, request: web.Request) -> dict[str, Any]:
        """The posts of these authors but for their reposts, up to the end that was asked for."""
        authors = {term.removeprefix("from:") for term in request.query["query"].split(" OR ")}
        start, end = request.query.get("start_time", ""), request.query.get("end_time", _time(self.clock() - timedelta(seconds=30)))
        found = [
            p for u in self.users.values() if u.id in authors and u.state == "active" for i, p in u.posts.items() if i not in u.replaced
        ]
        found = [p for p in found if start <= p["created_at"] < end and "RT @" not in p["text"][:4]]
        found = sorted(found, key=lambda p: int(p["id"]), reverse=True)[: int(request.query.get("max_results", 10))]
        return (
            ({"data": [self.fields.given(p, request, self.dialect) for p in found]} if found else {})
            | {"meta": {"result_count": len(found)}}
            | self._includes(found)
        )

    def _usage(self, request: web.Request) -> dict[str, Any]:  # noqa: ARG002
        used = sum(len(kinds.get("post", ())) for kinds in self.bills.values())
        return {"data": {"project_id": "1", "project_cap": "3000000", "project_usage": str(used), "cap_reset_day": 1}}

    def _credits(self, request: web.Request) -> Any:  # noqa: ARG002
        return web.Response(status=404) if self.balance is None else {"data": {"total_balance": self.balance}}

    def _tweets(self, request: web.Request) -> dict[str, Any]:
        asked = request.query.get("ids", "").split(",")
        known = {i: p for u in self.users.values() for i, p in u.posts.items()}
        errors = [
            {"value": i, "parameter": "ids", "resource_type": "tweet", "resource_id": i, "title": "Not Found Error",
             "detail": f"Could not find tweet with ids: [{i}].", "type": _PROBLEMS + "resource-not-found"}
            for i in asked if i not in known
        ]  # fmt: skip
        data = [self.fields.given(known[i], request, self.dialect) for i in asked if i in known]
        answer: dict[str, Any] = ({"data": data} if data else {}) | ({"errors": errors} if errors else {})
        expanded = request.query.get("expansions", "")
        if "attachments.media_keys" in expanded:
            answer |= self._includes([known[i] for i in asked if i in known])
        if "author_id" in expanded:
            authors = {known[i]["author_id"] for i in asked if i in known}
            answer.setdefault("includes", {})["users"] = [self.users[a].profile | {"id": a} for a in sorted(authors)]
        return answer


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"

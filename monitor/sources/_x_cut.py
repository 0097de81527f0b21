"""Of an answer of X what is kept as evidence: what is ours, and of others only what a verdict uses. No I/O.

Kept are the posts that we asked for, our own profile, and the post that one of ours reposts or quotes with its author's handle. An
allow-list: whatever else an answer carries is left out, and the kept answer lists it under `cut`, by place and count. One of which
nothing is cut stays byte for byte as it came; what is no JSON never comes here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

_ANSWER = frozenset({"data", "includes", "meta", "errors", "title", "detail", "type", "status", "matching_rules"})
_EVENT = frozenset({"event_uuid", "filter", "event_type", "tag", "payload", "includes"})
_SHOWN_POST = frozenset({
    "id", "text", "author_id", "created_at", "edit_history_tweet_ids", "edit_history_post_ids", "note_tweet", "note_post", "entities",
    "attachments", "article", "card_uri", "lang", "display_text_range", "media_metadata",
})  # fmt: skip
_AUTHOR = frozenset({"id", "username"})
_ATTACHED = {"media": ("media_keys", "media_key"), "polls": ("poll_ids", "id")}
_SHOWS = ("retweeted", "quoted")


def own(page: Mapping[str, Any], body: bytes, ours: Collection[str]) -> bytes:
    """An answer, `page` as it was read from `body`; `ours` are X's ids of the accounts that it was asked about."""
    return _Cut(ours).answer(page, body)


def own_event(page: Mapping[str, Any], line: bytes, ours: Collection[str], *, understood: bool) -> bytes:
    """A line of a stream. Of an event that is somebody else's, or that nobody understood, the payload is left out."""
    return _Cut(ours).event(page, line, understood=understood)


class _Cut:
    def __init__(self, ours: Collection[str]) -> None:
        self._ours = frozenset(ours)
        self._left_out: Counter[str] = Counter()

    def answer(self, page: Mapping[str, Any], body: bytes) -> bytes:
        kept = self._known(page, _ANSWER, "")
        if "includes" in kept:
            kept["includes"] = self._includes(kept["includes"], _dicts(kept.get("data")), "includes")
        return self._written(kept, body)

    def event(self, page: Mapping[str, Any], line: bytes, *, understood: bool) -> bytes:
        data = page.get("data")
        if not isinstance(data, dict) or "event_type" not in data:
            return self.answer(page, line)
        kept = self._known(page, _ANSWER, "")
        event = kept["data"] = self._known(data, _EVENT, "data.")
        payload = event.get("payload")
        author = str(payload.get("author_id") or "") if isinstance(payload, dict) else ""
        if "payload" in event and (not understood or (author and author not in self._ours)):
            del event["payload"]
            self._left_out["data.payload"] += 1
        elif isinstance(payload, dict) and "users" in payload:
            users = payload["users"]
            event["payload"] = payload | {"users": {k: v for k, v in users.items() if k in self._ours} if isinstance(users, dict) else {}}
            self._left_out["data.payload.users"] += len(users) - len(event["payload"]["users"]) if isinstance(users, dict) else 1
        if "includes" in event:
            event["includes"] = self._includes(event["includes"], _dicts(event.get("payload")), "data.includes")
        return self._written(kept, line)

    def _known(self, given: Mapping[str, Any], names: frozenset[str], where: str) -> dict[str, Any]:
        self._left_out.update(f"{where}{name}" for name in given if name not in names)
        return {name: value for name, value in given.items() if name in names}

    def _includes(self, given: Any, posts: list[dict[str, Any]], where: str) -> dict[str, Any]:
        if not isinstance(given, dict):
            self._left_out[where] += 1
            return {}
        references = [r for p in posts for n in ("referenced_tweets", "referenced_posts") for r in _dicts(p.get(n))]
        shown = {str(r.get("id")) for r in references if r.get("type") in _SHOWS}
        unnamed = {str(r.get("id")) for p in posts if not p.get("in_reply_to_user_id") for r in _dicts(p.get("referenced_tweets"))}
        kept = {}
        for name in ("tweets", "posts"):
            if name in given:
                kept[name] = [f for p in _dicts(given[name]) if (f := self._post(p, shown, unnamed, f"{where}.{name}"))]
        beside = [p for name in kept for p in kept[name]]
        authors = {str(p.get("author_id")) for p in beside if str(p.get("id")) in shown}
        if "users" in given:
            kept["users"] = [f for u in _dicts(given["users"]) if (f := self._user(u, authors, f"{where}.users"))]
        for name, (listed, key) in _ATTACHED.items():
            if name in given:
                wanted = {str(k) for p in (*posts, *beside) for k in _attached(p, listed)}
                kept[name] = [one for one in _dicts(given[name]) if str(one.get(key)) in wanted]
                self._left_out[f"{where}.{name}"] += len(_dicts(given[name])) - len(kept[name])
        self._left_out.update(f"{where}.{name}" for name in given if name not in kept)
        return {name: found for name, found in kept.items() if found}

    def _post(self, post: dict[str, Any], shown: set[str], unnamed: set[str], where: str) -> dict[str, Any]:
        """Ours whole; of one that ours show, what is shown; of one that ours answers, whom it answers where nothing else says so."""
        if str(post.get("author_id")) in self._ours:
            return post
        if str(post.get("id")) in shown:
            return self._known(post, _SHOWN_POST, f"{where}[].")
        self._left_out[where] += 1
        return {n: post[n] for n in ("id", "author_id") if n in post} if str(post.get("id")) in unnamed else {}

    def _user(self, user: dict[str, Any], authors: set[str], where: str) -> dict[str, Any]:
        inner = user["data"] if isinstance(user.get("data"), dict) else user  # nested in some events
        if str(inner.get("id")) in self._ours:
            return user
        if str(inner.get("id")) in authors:
            return self._known(inner, _AUTHOR, f"{where}[].")
        self._left_out[where] += 1
        return {}

    def _written(self, kept: dict[str, Any], body: bytes) -> bytes:
        left_out = {place: count for place, count in sorted(self._left_out.items()) if count}
        if not left_out:
            return body
        return json.dumps({**kept, "cut": left_out}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _dicts(given: Any) -> list[dict[str, Any]]:
    items: Iterable[Any] = given if isinstance(given, list) else (given,)
    return [one for one in items if isinstance(one, dict)]


def _attached(post: dict[str, Any], listed: str) -> list[Any]:
    attachments = post.get("attachments")
    found = attachments.get(listed) if isinstance(attachments, dict) else None
    return found if isinstance(found, list) else []

"""X's stream lines into what they tell. No I/O; both dialects; what is not understood is said, never raised.

Shapes: docs.x.com, x-api/activity and x-api/posts/filtered-stream. Presence of media and long text in an event is not
documented, so that a post which may lack a part is marked `partial`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor import bounded_json
from monitor.model import PROFILE_FIELDS, Kind, Post
from monitor.sources._x_cut import own_event
from monitor.sources._x_payload import includes, is_id, read_profile
from monitor.sources._x_truth import true_post
from monitor.sources.interface import SourceError, Told, Trouble

UPDATES = {
    "bio": "bio", "profile_picture": "avatar", "banner_picture": "banner", "screenname": "name", "geo": "location", "url": "link",
    "handle": "handle",
}  # fmt: skip
_KEYS = {
    "name": "name", "handle": "username", "bio": "description", "location": "location", "link": "url", "avatar": "profile_image_url",
    "banner": "profile_banner_url", "pinned_post": "pinned_tweet_id", "verified_type": "verified_type", "affiliation": "affiliation",
    "protected": "protected",
}  # fmt: skip
_TCO = re.compile(r"https?://t\.co/[A-Za-z0-9]+")
ENCRYPTED = "(an encrypted message: X does not show its text)"
SPACE = "Space"  # what a Space without a title is called, so that one can be registered


def read_event(line: bytes, keys: Mapping[str, str], now: datetime) -> Told:
    """One line of either stream; `keys` are account keys by X's ids, `now` is X's clock as far as it is known."""
    if not line.strip():
        return Told()
    try:
        page = bounded_json.read(line)
        data = page["data"] if isinstance(page, dict) and isinstance(page.get("data"), dict) else None
        if data is None:
            return _without_data(page, line)
        told = _activity(data, keys, now, line) if "event_type" in data else _filtered(page, data, keys, now, line)
        return replace(told, line=own_event(page, line, keys, understood=not told.odd))
    except Exception as error:  # noqa: BLE001 - no line may end the stream
        return Told(odd=f"a line that could not be read ({type(error).__name__})", line=line[:100_000])


def _without_data(page: Any, line: bytes) -> Told:
    errors = [e for e in page.get("errors") or () if isinstance(e, dict)] if isinstance(page, dict) else []
    for error in errors:
        kind = str(error.get("type", "")).rsplit("/", 1)[-1]
        if "disconnect" in kind or "disconnect_type" in error:
            reason = f"X ended the stream ({str(error.get('disconnect_type') or kind)[:40]!r})"
            return Told(trouble=SourceError(Trouble.UNAVAILABLE, reason))
        if "credits" in kind or "usage-capped" in kind:
            return Told(trouble=SourceError(Trouble.CREDITS, "X ended the stream: the credits are used up"))
    return Told(odd="a message without data", line=line[:100_000])


def _filtered(page: dict[str, Any], data: dict[str, Any], keys: Mapping[str, str], now: datetime, line: bytes) -> Told:
    """A post of the filtered stream, asked for with every field."""
    key = keys.get(str(data.get("author_id")))
    if key is None:
        return Told(odd="a post of an account that we do not watch", line=line)
    item = true_post(data, key, str(data["author_id"]), includes(page), now)
    return Told(f"post {item.id}", "post.create", key, item, partial=not isinstance(item, Post), line=line)


def _activity(data: dict[str, Any], keys: Mapping[str, str], now: datetime, line: bytes) -> Told:  # noqa: PLR0911 - one return per event
    event, key = str(data["event_type"]), str(data.get("event_uuid") or "")
    payload = data.get("payload") if isinstance(data.get("payload"), dict) else {}
    where = data.get("filter") if isinstance(data.get("filter"), dict) else {}
    account = keys.get(str((where or {}).get("user_id") or (payload or {}).get("user_id") or ""), "")
    base = Told(key or f"line {hash(line)}", event, account, line=line)
    if not account:
        return _with(base, odd=f"{event[:40]}: an event of an account that we do not watch")
    payload = payload or {}
    match event:
        case "post.create":
            return _post(base, data, payload, keys, now)
        case "post.delete" if is_id(str(payload.get("id", ""))):
            return _with(base, deleted=str(payload["id"]))
        case "broadcast.start" | "spaces.start":
            return _with(base, item=_live(base.account, event, payload, now))
        case "dm.sent":
            return _with(base, item=_sent(base.account, payload, now))
        case "chat.sent" if payload.get("id"):
            ours = keys.get(str(payload.get("sender_id") or (where or {}).get("user_id"))) == base.account
            return (
                _with(base, item=_encrypted(base.account, payload, now))
                if ours
                else _with(base, odd="chat.sent: a message of somebody else")
            )
        case "oauth.revoke":
            return _with(base, notice=f"its authorisation of the app {str(payload.get('app_id', ''))[:20]!r} was revoked")
    if event.startswith("profile.update."):
        return _with(base, changed=_changed(event, payload))
    known = event.startswith(_UNTOLD)
    return base if known else _with(base, odd=f"the unknown event {event[:40]!r}")


_UNTOLD = ("like.", "block.", "mute.", "follow.", "broadcast.", "spaces.", "dm.", "chat.", "post.", "news.")


def _with(base: Told, **more: Any) -> Told:
    return Told(**({n: getattr(base, n) for n in ("key", "kind", "account", "line")} | more))


def _post(base: Told, data: dict[str, Any], payload: dict[str, Any], keys: Mapping[str, str], now: datetime) -> Told:
    """A post and, with it, what its author looks like."""
    owner, author = next(i for i, k in keys.items() if k == base.account), str(payload.get("author_id") or "")
    if author not in ("", owner):
        return _with(base, odd="post.create: a post of somebody else")
    more = data.get("includes") if isinstance(data.get("includes"), dict) else {}
    item = true_post(payload, base.account, owner, includes(data), now)
    user = next((u for u in _users(more or {}) if keys.get(str(u.get("id"))) == base.account), None)
    profile, shown = None, tuple[str, ...]()
    if user:
        profile = read_profile({"name": "", "username": ""} | user, base.account)
        shown = tuple(f for f in PROFILE_FIELDS if _KEYS[f] in user and not (f == "link" and user.get("url") and not profile_link(user)))
    return _with(base, item=item, partial=not isinstance(item, Post) or _lacks(payload), profile=profile, shown=shown)


def profile_link(user: Mapping[str, Any]) -> bool:
    """Whether the link of a profile came with where it leads to: a t.co address alone says nothing."""
    return bool((user.get("entities") or {}).get("url"))


def _users(more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The users of an event: flat in some, nested under `data` in others."""
    found = more.get("users")
    users = [u for u in found if isinstance(u, dict)] if isinstance(found, list) else []
    return [u["data"] if isinstance(u.get("data"), dict) else u for u in users]


def _lacks(payload: dict[str, Any]) -> bool:
    """Whether the post may have more than the event shows: media, a long text, a reference, a link whose target did not come."""
    text = str(payload.get("text") or "")
    urls = (payload.get("entities") or {}).get("urls") or ()
    known = {str(u.get("url")) for u in urls if isinstance(u, dict) and u.get("expanded_url")}
    media = any(isinstance(u, dict) and ("media_key" in u or re.search(r"/(photo|video)/\d+$", str(u.get("expanded_url")))) for u in urls)
    reaches = payload.get("display_text_range")
    longer = isinstance(reaches, list) and len(reaches) == 2 and isinstance(reaches[1], int) and reaches[1] > len(text)
    long = bool(payload.get("note_tweet") or payload.get("note_post"))
    cut = text.rstrip().endswith("…") or (re.search(r"…\s*https?://t\.co/[A-Za-z0-9]+$", text) is not None)
    refs = payload.get("referenced_tweets") or payload.get("referenced_posts")
    typed = not refs and (text.startswith("RT @") or bool(payload.get("in_reply_to_user_id")))  # or the reference did not come
    attached = bool(payload.get("attachments")) or media or typed or payload.get("article") is not None
    return attached or longer or (cut and not long) or any(t not in known for t in _TCO.findall(text))


def _live(account: str, event: str, payload: dict[str, Any], now: datetime) -> Post:
    """A broadcast or Space that began, as something published: hijackers show fake give-aways live."""
    number, at = str(payload.get("broadcast_id") or f"{event} {now:%Y-%m-%dT%H:%M:%S}"), payload.get("created_timestamp_ms")
    when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at) if isinstance(at, int) else now
    title = str(payload.get("title") or SPACE)
    path = "broadcasts" if event.startswith("broadcast") else "spaces"
    return Post(
        account, number, Kind.LIVE, title, when, number, lang=str(payload.get("language") or ""), url=f"https://x.com/i/{path}/{number}"
    )


def _sent(account: str, payload: dict[str, Any], now: datetime) -> Post:
    """A direct message that the account sent: the shape of the old Account Activity API."""
    event = payload["direct_message_events"][0]
    message = event["message_create"]["message_data"]
    at = event.get("created_timestamp")
    when = datetime.fromtimestamp(int(at) / 1000, UTC) if at else now
    urls = [u.get("expanded_url") for u in (message.get("entities") or {}).get("urls") or () if isinstance(u, dict)]
    return Post(account, str(event["id"]), Kind.DM, str(message["text"]), when, str(event["id"]), links=tuple(str(u) for u in urls if u))


def _encrypted(account: str, payload: dict[str, Any], now: datetime) -> Post:
    """A message of X's encrypted chat: that it was sent is all there is to know."""
    at, number = str(payload.get("created_at_msec") or ""), str(payload["id"])[:100]
    when = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(at)) if re.fullmatch(r"[0-9]{1,14}", at) else now
    return Post(account, number, Kind.DM, ENCRYPTED, when, number)


def _changed(event: str, payload: dict[str, Any]) -> tuple[str, str, str]:
    """(field, before, after); the field is empty where the values are not those of a profile we read."""
    name = UPDATES.get(event.removeprefix("profile.update."), "")
    return name, str(payload.get("before") or ""), str(payload.get("after") or "")

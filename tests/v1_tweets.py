"""Tweets of the old API (v1.1) in the form of API v2, and what must become of them. A tool of the tests.

What is wanted is worked out here in another way than the product does it: by the positions of the entities.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.model import Kind

_TYPES = {"photo": "photo", "video": "video", "animated_gif": "animated_gif"}


@dataclass(frozen=True)
class Wanted:
    """What a reader sees."""

    kind: Kind
    text: str
    links: tuple[str, ...]
    media: list[str]


def to_v2(old: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], Wanted]:
    """(the post, its includes, what is wanted of it)."""
    number, author = old["id_str"], old["user"]["id_str"]
    when = datetime.strptime(old["created_at"], "%a %b %d %H:%M:%S %z %Y")
    media = (old.get("extended_entities") or old.get("entities") or {}).get("media") or []
    urls = [_url(u) for u in old["entities"].get("urls") or []]
    shown = {m["url"]: m for m in media}
    data: dict[str, Any] = {
        "id": number, "text": old["text"], "author_id": author, "created_at": f"{when:%Y-%m-%dT%H:%M:%S}.000Z", "lang": old.get("lang", "und"),
        "edit_history_tweet_ids": [number], "conversation_id": number,
    }  # fmt: skip
    refs = _references(old)
    if refs:
        data["referenced_tweets"] = refs
    if old.get("in_reply_to_user_id_str"):
        data["in_reply_to_user_id"] = old["in_reply_to_user_id_str"]
    keys = [f"3_{m['id_str']}" for m in media]
    entities = urls + [
        {
            "start": m["indices"][0],
            "end": m["indices"][1],
            "url": m["url"],
            "expanded_url": m["expanded_url"],
            "media_key": f"3_{m['id_str']}",
        }
        for m in shown.values()
    ]
    if entities:
        data["entities"] = {"urls": entities}
    if media:
        data["attachments"] = {"media_keys": keys}
    more = {"media": [{"media_key": k, "type": _TYPES[m["type"]], "url": m["media_url_https"]} for k, m in zip(keys, media, strict=True)]}
    return data, more if media else {}, _wanted(old, urls, list(shown.values()), [m["type"] for m in media])


def _url(old: dict[str, Any]) -> dict[str, Any]:
    start, end = old["indices"]
    return {"start": start, "end": end, "url": old["url"], "expanded_url": old["expanded_url"], "display_url": old["display_url"]}


def _references(old: dict[str, Any]) -> list[dict[str, str]]:
    refs = []
    if "retweeted_status" in old:
        refs.append({"type": "retweeted", "id": old["retweeted_status"]["id_str"]})
    elif old.get("quoted_status_id_str"):
        refs.append({"type": "quoted", "id": old["quoted_status_id_str"]})
    if old.get("in_reply_to_status_id_str"):
        refs.append({"type": "replied_to", "id": old["in_reply_to_status_id_str"]})
    return refs


def _wanted(old: dict[str, Any], urls: list[dict[str, Any]], media: list[dict[str, Any]], types: list[str]) -> Wanted:
    quoted = old.get("quoted_status_id_str") if "retweeted_status" not in old else None
    pieces, links, text, at = [], [], old["text"], 0
    spans = [(u["start"], u["end"], u["expanded_url"]) for u in urls] + [(*m["indices"], "") for m in media]
    for start, end, target in sorted(spans):
        own = not target or (quoted and target.rstrip("/").endswith(f"/status/{quoted}"))
        pieces += [_unescaped(text[at:start]), "" if own else target]
        links += [] if own else [target]
        at = end
    pieces.append(_unescaped(text[at:]))
    return Wanted(_kind(old, quoted), "".join(pieces).strip(), tuple(links), types)


def _kind(old: dict[str, Any], quoted: str | None) -> Kind:
    if "retweeted_status" in old:
        return Kind.REPOST
    if quoted:
        return Kind.QUOTE
    if old.get("in_reply_to_status_id_str"):
        return Kind.POST if old.get("in_reply_to_user_id_str") == old["user"]["id_str"] else Kind.REPLY
    return Kind.POST


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

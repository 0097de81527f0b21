"""What a reader of a post on X sees beside its words, links and pictures, as (name, value). No I/O.

Fields: X's OpenAPI 2.166 and 2.167. Values are X's own ids and words. An attachment or a limit of which that description
says nothing is named all the same, so that no registration excuses it.
"""

from __future__ import annotations

import re
from typing import Any

from monitor.verdict.shown_parts import UNREAD

_MENTIONS = re.compile(r"(?:@[A-Za-z0-9_]{1,20}\s+)+")
_KNOWN = ("media_keys", "poll_ids")
_REFERENCES = ("retweeted", "quoted", "replied_to")


def shown(data: dict[str, Any], polls: dict[str, dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Community, poll, place, paid label, limited audience and whatever else is attached."""
    attached = data.get("attachments") or {}
    found = [("community", str(data.get("community_id") or "")), ("place", _place(data.get("geo")))]
    if attached.get("poll_ids"):
        found.append(("poll", _poll(attached["poll_ids"], polls)))
    found.append(("paid", "yes" if data.get("paid_partnership") else ""))
    found.append(("audience", _audience(data.get("scopes"), data.get("withheld"))))
    found += [("attached", f"{name} {' '.join(map(str, of)) if isinstance(of, list) else of}") for name, of in attached.items()
              if of and name not in _KNOWN]  # fmt: skip
    found += [("attached", f"reference {r.get('type')} {r.get('id')}") for r in _references(data) if r.get("type") not in _REFERENCES]
    return tuple((name, value[:100]) for name, value in found if value)


def answered(data: dict[str, Any]) -> str:
    """The post that a quote stands below; where X does not name it, the one that began the conversation."""
    above = next((str(r.get("id", "")) for r in _references(data) if r.get("type") == "replied_to"), "")
    return above or (str(data.get("conversation_id") or "another post") if data.get("in_reply_to_user_id") else "")


def _references(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [*(data.get("referenced_tweets") or data.get("referenced_posts") or ())]


def automatic(data: dict[str, Any], text: str) -> int:
    """How many characters of a reply X put before it: the handles of those answered, outside of the displayed range.

    Before what answers no post it puts none: such a handle was typed, and X names its owner as answered all the same.
    """
    leading = _MENTIONS.match(text)
    named = data.get("in_reply_to_tweet_id") or data.get("in_reply_to_post_id")
    if leading is None or not (named or any(r.get("type") == "replied_to" for r in _references(data))):
        return 0
    reaches = data.get("display_text_range")
    begins = reaches[0] if isinstance(reaches, list) and reaches and isinstance(reaches[0], int) else leading.end()
    return max(0, min(begins, leading.end()))


def _poll(ids: Any, polls: dict[str, dict[str, Any]]) -> str:
    """How many choices; they are lines of the text."""
    choices = [polls.get(str(i), {}).get("options") or () for i in ids]
    return f"{sum(map(len, choices))} choices" if all(choices) else UNREAD


def _place(geo: Any) -> str:
    if not isinstance(geo, dict) or not any(geo.values()):
        return ""
    point = geo.get("coordinates")
    at = point.get("coordinates") if isinstance(point, dict) else None
    return str(geo.get("place_id") or (",".join(map(str, at)) if isinstance(at, list) else "") or "somewhere")


def _audience(scopes: Any, withheld: Any) -> str:
    """Those to whom X shows the post: `followers`, the only limit that X documents, or what else it says; where it shows it to nobody."""
    limits = [str(name) for name, limited in scopes.items() if limited] if isinstance(scopes, dict) else [str(scopes or "")]
    return " ".join(filter(None, [*limits, _withheld(withheld)]))


def _withheld(said: Any) -> str:
    """In which countries (XX and XY stand for all), and whether for a claim of copyright."""
    if not isinstance(said, dict):
        return "withheld" if said else ""
    codes = said.get("country_codes")
    where = list(filter(None, map(str, codes))) if isinstance(codes, list) else [str(codes)] if codes else []
    why = ["for copyright"] if said.get("copyright") else []
    return " ".join(["withheld", *(["in", *where] if where else []), *why]) if where or why else ""

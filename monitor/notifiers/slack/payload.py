"""What Slack sends when somebody acts, read. Nothing in it is trusted to be there or to be of its type."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

Payload = Mapping[str, Any]


def typed(text: str) -> str:
    """What somebody typed, as they typed it: Slack escapes it and turns names that it knows into ids."""
    named = re.sub(r"<[@#][A-Z0-9]+\|([^>]*)>", r"@\1", text)
    linked = re.sub(r"<(?:[^|>]*\|)?([^>]*)>", r"\1", named)
    return html.unescape(linked).replace("“", '"').replace("”", '"').strip()


def user_of(payload: Payload) -> str:
    """Who did it, by id."""
    return str((payload.get("user") or {}).get("id") or payload.get("user_id") or "")


def team_of(payload: Payload) -> str:
    """The workspace of whoever clicked, as the click names it; a command names only the one it was given in."""
    user = payload.get("user")
    return str(user.get("team_id") or "") if isinstance(user, Mapping) else ""


def read_json(text: object) -> dict[str, Any]:
    """The JSON of a button's value or a view's metadata; anything else is empty."""
    try:
        found = json.loads(str(text or "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def dedupe(envelope: str, kind: str, payload: Payload) -> str:
    """What makes the same click the same, should Slack send it in two envelopes."""
    if payload.get("type") == "block_actions":
        action, where = (payload.get("actions") or [{}])[0], payload.get("container") or {}
        return f"{user_of(payload)}:{action.get('action_id')}:{where.get('message_ts') or where.get('view_id')}:{action.get('action_ts')}"
    if kind == "events_api":
        return f"event:{payload.get('event_id') or envelope}"
    return f"{kind}:{envelope}"

"""Which column of a plan means what, by an alias table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Column names of publishing tools, letters and digits only. Source: their help pages.
ALIASES = {
    "text": ("messagetext", "content", "text", "post", "message", "caption", "captions"),
    "when": ("postatspecifictime", "scheduledate", "scheduledat", "scheduleddate", "scheduledtime", "postingtime",
             "notbefore", "from", "date", "datetime", "schedule", "when"),
    "time": ("time24hr", "scheduledtime", "time"),
    "until": ("notafter", "until"),
    "link": ("link", "linkurl", "links", "ogmetaurl"),
    "media": ("mediaurls", "mediaurl", "imageurls", "imageurl", "picture", "image", "media", "images"),
    "gif": ("gifurls", "gifurl", "gif"),
    "video": ("videourls", "videourl", "videos", "video"),
    "alt": ("alttexts", "alttext", "alt", "imagealttext", "mediaalttext"),
    "account": ("account", "accounts", "platforms", "platformids", "network", "handle"),
    "status": ("approved", "status"),
    "kind": ("kind",),
    "by": ("approvedby",),
    "external": ("externalid",),
    "quotes": ("quotes",), "answers": ("answers",), "reposts": ("reposts",), "poll": ("poll",), "parts": ("parts",),
}  # fmt: skip


def bare(name: str) -> str:
    """A column name without case, blanks and remarks: `Media URL(s)` and `media_urls` are one."""
    name = re.sub(r"\((?!s\))[^)]*\)", "", name.lower())
    return re.sub(r"[^a-z0-9]", "", name)


def aliased(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under our names; of several columns for one thing, the first that is filled."""
    found: dict[str, Any] = {}
    names = {bare(str(k)): v for k, v in row.items()}
    for ours, theirs in ALIASES.items():
        value = next((names[n] for n in theirs if names.get(n) not in (None, "", [])), None)
        if value is not None:
            found[ours] = value
    return found

"""Whom a reader is told to write to without a link to a foreign page: an account of X by its address, an e-mail address."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import re2

from monitor.model import Company
from monitor.verdict.links import Place, place
from monitor.verdict.text import MAX_LENGTH, without_form

_MOST = 20
_LOOKED_AT = 200  # in one post: whoever hides one behind so many is told of for their number
_X = r"(?i)(?:^|[^\w.@/-]|//)(?:www\.|mobile\.|m\.)?(?:x|twitter)\.com/"
_ACCOUNT = re2.compile(_X + r"(?:#!/)?@?([a-z0-9_]{1,30})(?:[^a-z0-9_]|$)")
_NAMED = re2.compile(r"(?i)[?&](?:screen_name|recipient_id|user_id)=@?([a-z0-9_]{1,30})(?:[^a-z0-9_]|$)")
_MAIL = re2.compile(r"[0-9A-Za-z._%+-]@([^\s@<>(),;:\"'/\[\]{}!?]+)")  # any script: a counted repetition would cost a hundred times as much
# The first part of addresses that are no account's: X's own pages, and posts by their number.
_PAGES = frozenset(
    [
        "i",
        "home",
        "search",
        "hashtag",
        "intent",
        "share",
        "messages",
        "settings",
        "explore",
        "login",
        "signup",
        "privacy",
        "tos",
        "rules",
        "about",
        "en",
        "de",
        "es",
        "fr",
        "ja",
        "ko",
        "pt",
        "download",
        "jobs",
    ]
)


def foreign_contacts(text: str, links: tuple[str, ...], company: Company, *own: str) -> tuple[str, ...]:
    """Each once: accounts of X that are not ours, `own` being an id or a handle of ours, and e-mail addresses that do not end at us."""
    ours = {h.lower() for h in (*company.handles, *own)}
    shown = "\n".join((without_form(text[:MAX_LENGTH]), *links[:_MOST]))
    names, hosts = (list(itertools.islice(found, _LOOKED_AT)) for found in (_accounts(shown), _mail(shown)))
    foreign = [name for name in names if name.lower() not in ours]
    foreign += [f"@{host}" for host in dict.fromkeys(hosts) if place(host, company) is not Place.OURS]
    foreign += ["more than anybody names"] if _LOOKED_AT in (len(names), len(hosts)) else []
    return tuple(dict.fromkeys(foreign))[:_MOST]


def _accounts(text: str) -> Iterator[str]:
    for match in _ACCOUNT.finditer(text):
        if match.group(1).lower() not in _PAGES:
            yield match.group(1)
    if "=" in text and _PLACED.search(text):
        yield from (m.group(1) for m in _NAMED.finditer(text))


def _mail(text: str) -> Iterator[str]:
    found = (m.group(1).lower().rstrip(".") for m in _MAIL.finditer(text))
    yield from (host for host in found if "." in host)


_PLACED = re2.compile(_X)

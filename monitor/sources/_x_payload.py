"""X API v2 answers into Posts and Profiles. Both dialects (tweet and post fields), no I/O.

Facts: X's OpenAPI 2.166 and 2.167. Entity offsets index the escaped text, so links are replaced
by their t.co string and the rest is unescaped piece by piece.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.model import Company, Kind, Media, Original, Post, Profile, Unreadable
from monitor.sources._x_parts import answered, automatic, shown
from monitor.verdict.links import Place, host_of, place

_EPOCH_MS = 1288834974657  # of X's ids
_TCO = re.compile(r"https?://t\.co/[A-Za-z0-9]+")  # a text in Japanese goes on right behind it
_RT = re.compile(r"RT @(\w{1,20}): ")
_STATUS = re.compile(r"https?://(?:mobile\.)?(?:x|twitter)\.com/\w+/status/(\d+)(?:/(?:photo|video)/\d+)?$")
_ARTICLE = re.compile(r"https?://(?:mobile\.)?(?:x|twitter)\.com/\w+/article/(\d+)$")
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_NOBODY = Company("")
_NO_PREVIEW = "tombstone://card"  # whoever posted took the preview away: a reader sees none


def is_id(text: str) -> bool:
    """Whether this is a number as X gives it: ASCII digits, up to nineteen."""
    return text.isascii() and text.isdigit() and len(text) < 20


def id_time(identifier: str) -> datetime:
    """When X made this id. Ids are snowflakes: milliseconds in the upper bits."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=(int(identifier) >> 22) + _EPOCH_MS)


def time_id(when: datetime) -> int:
    """The smallest id that could have been made at a time."""
    since = int((when - datetime.fromtimestamp(0, UTC)) / timedelta(milliseconds=1))
    return max(0, since - _EPOCH_MS) << 22


@dataclass(frozen=True, slots=True)
class Includes:
    """What a page carries beside its posts, by key."""

    media: dict[str, dict[str, Any]]
    polls: dict[str, dict[str, Any]]
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()  # what of each post was not asked for


def includes(page: dict[str, Any], unseen: tuple[str, ...] = ()) -> Includes:
    """The expansions of a page, whatever of them is usable."""
    given = page.get("includes")
    given = given if isinstance(given, dict) else {}
    posts = _keyed(given.get("tweets") or given.get("posts"), "id")
    return Includes(_keyed(given.get("media"), "media_key"), _keyed(given.get("polls"), "id"), posts, unseen)


def _keyed(items: Any, key: str) -> dict[str, dict[str, Any]]:
    return {str(i[key]): i for i in items or () if isinstance(i, dict) and key in i}


def read_post(data: Any, account: str, more: Includes, now: datetime) -> Post | Unreadable:
    """One element of `data`. What cannot be parsed becomes Unreadable, never an exception."""
    try:
        return _post(data, account, more)
    except Exception as error:  # noqa: BLE001 - fails toward the alarm: an unreadable post pages
        return _unreadable(data, account, error, now)


def newest_version(data: Any) -> str:
    """The id of a post's newest version, or an empty string where it does not say."""
    return next(reversed(_history(data)), "") if isinstance(data, dict) else ""


def _history(data: dict[str, Any]) -> tuple[str, ...]:
    """The ids of all versions, oldest first; none where there are none: X itself has sent `[""]`."""
    given = _first(data, "edit_history_tweet_ids", "edit_history_post_ids")
    return tuple(dict.fromkeys(i for i in map(str, given) if is_id(i))) if isinstance(given, list) else ()


def _unreadable(data: Any, account: str, error: Exception, now: datetime) -> Unreadable:
    raw = json.dumps(data, sort_keys=True, default=str)
    known = data.get("id") if isinstance(data, dict) else None
    identifier = known if isinstance(known, str) and is_id(known) else "unreadable-" + hashlib.sha256(raw.encode()).hexdigest()[:16]
    return Unreadable(account, str(identifier), f"X's answer could not be parsed ({type(error).__name__})", now)


def _post(data: dict[str, Any], account: str, more: Includes) -> Post:
    identifier = str(data["id"])
    if not is_id(identifier):
        raise ValueError("id")
    history = tuple(dict.fromkeys((*_history(data), identifier)))
    kind, referenced, author, forms = _kind(data, account, more)
    note = _first(data, "note_tweet", "note_post") or {}
    escaped = str(note.get("text") or data["text"])
    entities = note.get("entities") or data.get("entities") or {}
    urls = entities.get("urls") or ()
    own = {*history, *_own_article(data, urls)} | ({referenced} if kind is Kind.QUOTE else set())
    text, links = _expanded(escaped, urls, own)
    created = data.get("created_at")
    return Post(
        account=account,
        id=identifier,
        kind=kind,
        text="\n".join(part for part in (_article(data), text, *_options(data, more)) if part),
        created_at=datetime.fromisoformat(created) if created else id_time(identifier),
        root_id=history[0],
        version=history.index(identifier) + 1,
        links=links,
        media=_media(data, more) or _shown_media(urls, own),
        card=_card(data, urls),
        referenced_id=referenced,
        referenced_author=author,
        reply_settings=str(data.get("reply_settings") or ""),
        lang=str(data.get("lang") or ""),
        conversation=str(data.get("conversation_id") or ""),
        poll=bool((data.get("attachments") or {}).get("poll_ids")),
        forms=forms,
        versions=history,
        unread=_unread(data, more),
        original=_original(referenced, account, more) if kind is Kind.REPOST else None,
        url=f"https://x.com/i/web/status/{identifier}",
        unwound=_unwound(urls),
        answers=answered(data) if kind in (Kind.QUOTE, Kind.REPOST) else "",
        automatic=automatic(data, text),
        shown=shown(data, more.polls),
    )


def _first(data: dict[str, Any], *names: str) -> Any:
    """The value under the first of the names that is there: the two dialects."""
    return next((data[n] for n in names if data.get(n)), None)


def _kind(data: dict[str, Any], account: str, more: Includes) -> tuple[Kind, str, str, tuple[Kind, ...]]:
    """Kind, referenced id, referenced author, and other kinds that it has or whose look was typed.

    Only a reference of X's makes a repost, a quote or a reply: `RT @` and a leading `@name`, for which X names
    somebody answered too, can be typed. A reply to oneself is a post: it stands on the timeline like one, and replies are
    judged more gently; so is one where X does not say to whom. And a reply that quotes is a quote, and a reply besides.
    """
    refs = {r.get("type"): str(r.get("id", "")) for r in _first(data, "referenced_tweets", "referenced_posts") or ()}
    reposted = _RT.match(str(data.get("text", "")))
    if "retweeted" in refs:
        return Kind.REPOST, refs["retweeted"], reposted[1] if reposted else "", ()
    to, above = str(data.get("in_reply_to_user_id") or ""), _first(data, "in_reply_to_tweet_id", "in_reply_to_post_id")
    answered = refs.get("replied_to", str(above) if above else None)  # events name it beside the references
    if answered and not to:
        to = str(more.posts.get(answered, {}).get("author_id") or account.rsplit(":", 1)[-1])
    itself = bool(to) and to in (str(data.get("author_id") or ""), account.rsplit(":", 1)[-1])
    if "quoted" in refs:
        return Kind.QUOTE, refs["quoted"], "", (Kind.REPLY,) if answered is not None and not itself else ()
    if answered is not None:
        return (Kind.POST if itself else Kind.REPLY), answered, "", ()
    return Kind.POST, "", "", (*([Kind.REPOST] if reposted else []), *([Kind.REPLY] if to and not itself else []))


def _original(identifier: str, account: str, more: Includes) -> Original | None:
    """The reposted post, where it came along: the text of a repost ends after 140 characters."""
    data = more.posts.get(identifier)
    if data is None:
        return None
    found = read_post(data, account, Includes(more.media, more.polls), datetime.fromtimestamp(0, UTC))
    ours = str(data.get("author_id") or "") == account.rsplit(":", 1)[-1]
    return Original(account if ours else "", found.created_at, found.text, found.links) if isinstance(found, Post) else None


def _expanded(escaped: str, urls: Any, own: set[str]) -> tuple[str, tuple[str, ...]]:
    """The text as read, t.co links replaced by their targets; and those targets."""
    targets = {str(u.get("url")): u for u in urls if isinstance(u, dict)}
    pieces, links, end, there = [], [], 0, set[str]()
    for match in _TCO.finditer(escaped):
        entity = targets.get(match[0])
        pieces.append(_unescape(escaped[end : match.start()]))
        end = match.end()
        target = _target(entity) if entity else match[0]
        there.add(match[0])
        if not (entity and _is_own(entity, target, own)):
            pieces.append(target)
            links.append(target)
    pieces.append(_unescape(escaped[end:]))
    hidden = (u for u in targets.values() if str(u.get("url")) not in there)  # what the text does not show is still one tap away
    links += [_target(u) for u in hidden if not _is_own(u, _target(u), own)]
    return "".join(pieces).strip(), tuple(dict.fromkeys(link for link in links if link))


def _target(entity: dict[str, Any]) -> str:
    """Where a link leads as it was posted. Where a shortener led when X looked is `_unwound`'s: it can be pointed elsewhere."""
    return str(entity.get("expanded_url") or entity.get("url") or "")


def _unwound(urls: Any) -> tuple[tuple[str, str], ...]:
    """(a short link, where it led when X looked), for each that X followed."""
    found = ((_target(u), str(u.get("unwound_url") or "")) for u in urls if isinstance(u, dict))
    return tuple(dict.fromkeys((short, led) for short, led in found if led and led != short))


def _card(data: dict[str, Any], urls: Any) -> str:
    """The target of the link card; of a card that X names by a link of the post, that link's. Without a preview, nothing."""
    card = str(data.get("card_uri") or "")
    own = next((_target(u) for u in urls if isinstance(u, dict) and u.get("url") == card), card)
    return "" if card == _NO_PREVIEW else own


def _is_own(entity: dict[str, Any], target: str, own: set[str]) -> bool:
    """X's own link to the post's pictures, to the post it quotes or to the article it shows."""
    page = _STATUS.fullmatch(target) or _ARTICLE.fullmatch(target)
    return bool(entity.get("media_key")) or bool(page and page[1] in own)


def _unescape(text: str) -> str:
    for escape, char in _ESCAPES:
        text = text.replace(escape, char)
    return text


def _article(data: dict[str, Any]) -> str:
    article = data.get("article") or {}
    return "\n".join(str(article[k]) for k in ("title", *_BODIES) if article.get(k))


def _own_article(data: dict[str, Any], urls: Any) -> set[str]:
    """The id of the article that the post shows, by its only link to one: a second link may lead to anybody's."""
    found = {a[1] for u in urls if isinstance(u, dict) and (a := _ARTICLE.fullmatch(_target(u)))}
    return found if data.get("article") is not None and len(found) == 1 else set()


_BODIES = ("text", "plain_text")  # of an article, where X gives one: by default it gives the title alone


def _unread(data: dict[str, Any], more: Includes) -> tuple[str, ...]:
    """What a reader of this post sees and X does not give."""
    article = data.get("article")
    if article is None or (isinstance(article, dict) and any(article.get(k) for k in _BODIES)):
        return more.unseen
    return ("the body of its article", *more.unseen)


def _options(data: dict[str, Any], more: Includes) -> list[str]:
    """The poll's choices, a line each: a reader reads them too."""
    ids = (data.get("attachments") or {}).get("poll_ids") or ()
    polls = (more.polls.get(str(i), {}) for i in ids)
    return [f"- {_unescape(str(o.get('label', '')))}" for p in polls for o in p.get("options") or ()]


def _media(data: dict[str, Any], more: Includes) -> tuple[Media, ...]:
    keys = (data.get("attachments") or {}).get("media_keys") or ()
    beside = _keyed(data.get("media_metadata"), "media_key")
    found = ((more.media.get(k, {}), beside.get(k, {})) for k in map(str, keys))
    return tuple(
        Media(str(m.get("type", "unknown")), str(m.get("url") or m.get("preview_image_url") or ""), _said_of(m, of_post))
        for m, of_post in found
    )


def _said_of(media: dict[str, Any], of_post: dict[str, Any]) -> str:
    """Every word about a picture or video that a reader can be shown; the post's `media_metadata` has them too."""
    given = (media.get("alt_text"), *(of_post.get(k) for k in ("alt_text", "title", "description")))
    return "\n".join(dict.fromkeys(str(words) for words in given if words))


def _shown_media(urls: Any, own: set[str]) -> tuple[Media, ...]:
    """Pictures of which only the link came: dropped from the text, they must not vanish altogether."""
    shown = [u for u in urls if isinstance(u, dict) and _is_own(u, _target(u), own)]
    return tuple(Media("unknown") for u in shown if u.get("media_key") or re.search(r"/(photo|video)/\d+$", _target(u)))


def read_profile(user: dict[str, Any], account: str) -> Profile:
    """A user object as a Profile; absent values are empty. Raises KeyError, TypeError, ValueError."""
    urls = ((user.get("entities") or {}).get("url") or {}).get("urls") or ()
    link = next((str(u.get("expanded_url") or u.get("url")) for u in urls if isinstance(u, dict)), user.get("url"))
    affiliation = user.get("affiliation") or {}
    return Profile(
        account=account,
        name=_unescape(str(user["name"])),
        handle=str(user["username"]),
        bio=_bio(user),
        location=str(user.get("location") or ""),
        link=str(link or ""),
        avatar=str(user.get("profile_image_url") or ""),
        banner=str(user.get("profile_banner_url") or ""),
        pinned_post=str(_first(user, "pinned_tweet_id", "pinned_post_id") or ""),
        verified_type=str(user.get("verified_type") or ""),
        affiliation=str(affiliation.get("description") or "") if isinstance(affiliation, dict) else "",
        protected="yes" if user.get("protected") else "",
    )


def _bio(user: dict[str, Any]) -> str:
    """With short links as what they lead to: a bio is compared with itself, and shows where its reader ends."""
    urls = ((user.get("entities") or {}).get("description") or {}).get("urls") or ()
    text = _expanded(str(user.get("description") or ""), urls, set())[0]
    for short, led in _unwound(urls):
        text = text.replace(short, led) if place(host_of(short), _NOBODY) is Place.SHORTENER else text
    return text

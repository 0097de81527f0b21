"""In which words X is asked for fields: the forms of a question, what a refusal names, what an answer leaves out. No I/O.

X renamed `tweet.fields` to `post.fields` between its OpenAPI 2.166 and 2.167, endpoint by endpoint, and turned some fields into
expansions. So every endpoint has a ladder of forms, best first; a form loses the values that X refuses. Shapes of a refusal:
twittercommunity.com/t/151746 (`parameters` and `message`), the descriptions (`parameter` and `value`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from monitor import safe

AGAIN = timedelta(hours=1)  # after so long the best form is tried again: what refused a field may have been a fault that passed
Value = tuple[str, str]  # (parameter, value)

_BOTH = (
    "created_at,entities,attachments,article,card_uri,edit_controls,conversation_id,reply_settings,community_id,lang,"
    "possibly_sensitive,withheld,scopes,display_text_range,media_metadata,geo,paid_partnership"
)
_MEDIA = {"media.fields": "type,url,preview_image_url,alt_text", "poll.fields": "options"}
_ATTACHED = "attachments.media_keys,attachments.poll_ids"
_USER = "name,username,description,location,url,entities,profile_image_url,profile_banner_url,verified_type,protected,public_metrics"


@dataclass(frozen=True)
class Form:
    """One way to ask: what each parameter lists."""

    name: str
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, name: str, lists: Mapping[str, str]) -> Form:
        """From comma-separated lists."""
        return cls(name, tuple((parameter, tuple(values.split(","))) for parameter, values in lists.items()))

    @property
    def params(self) -> dict[str, str]:
        """As they stand in the request."""
        return {parameter: ",".join(values) for parameter, values in self.lists if values}

    @cached_property
    def values(self) -> frozenset[Value]:
        """Everything that is asked for."""
        return frozenset((parameter, value) for parameter, values in self.lists for value in values)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(value for _, value in self.values)

    def without(self, refused: frozenset[Value]) -> Form:
        """The same but for these values."""
        if not refused:
            return self
        return replace(self, lists=tuple((p, tuple(v for v in values if (p, v) not in refused)) for p, values in self.lists))

    def asks(self, *names: str) -> bool:
        """Whether one of these fields or expansions is asked for, under whatever parameter."""
        return not self._names.isdisjoint(names)


_TWEET = Form.of(
    "tweet",
    {"tweet.fields": f"{_BOTH},author_id,edit_history_tweet_ids,in_reply_to_user_id,note_tweet,referenced_tweets",
     "expansions": _ATTACHED} | _MEDIA,
)  # fmt: skip
# The description of 2.167 has no field for these references, only expansions, which are billed as what they bring.
_POST = Form.of(
    "post",
    {"post.fields": f"{_BOTH},note_post",
     "expansions": f"{_ATTACHED},author_id,edit_history_post_ids,in_reply_to_user_id,referenced_posts"} | _MEDIA,
)  # fmt: skip
_AUTHOR, _BARE = Form.of("author", {"expansions": "author_id"}), Form("bare")
LADDERS: dict[str, tuple[Form, ...]] = {
    "timelines": (_TWEET, _POST, _BARE),
    "posts by id": (_TWEET, _POST, _AUTHOR, _BARE),
    "search": (_TWEET, _POST, _AUTHOR, _BARE),
    "the filtered stream": (_TWEET, _POST, _AUTHOR, _BARE),
    "profiles": (
        Form.of("tweet", {"user.fields": f"{_USER},pinned_tweet_id,affiliation,most_recent_tweet_id"}),
        Form.of("post", {"user.fields": _USER, "expansions": "pinned_post_id,most_recent_post_id,affiliation"}),  # as 2.167 spells it
        Form.of("post, dotted", {"user.fields": _USER, "expansions": "pinned_post_id,most_recent_post_id,affiliation.user_id"}),
        _BARE,
    ),
}

# Each part that a registration is compared with, and what it takes to see it: one of each row.
_PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "where its links lead": (("entities",),),
    "the rest of a long text": (("note_tweet", "note_post"),),
    "what it answers, quotes or reposts": (("referenced_tweets", "referenced_posts"), ("in_reply_to_user_id",)),
    "which pictures it has": (("attachments",), ("attachments.media_keys",), ("type",), ("url",), ("preview_image_url",)),
    "what its alt texts say": (("alt_text",), ("media_metadata",)),
    "whether it has a poll": (("attachments",), ("attachments.poll_ids",), ("options",)),
    "whether it shows an article": (("article",),),
    "its link card": (("card_uri",),),
    "whether it stands in a community": (("community_id",),),
    "who may reply": (("reply_settings",),),
    "whether it shows a place": (("geo",),),
    "whether it has a paid label": (("paid_partnership",),),
    "who is shown it": (("scopes",), ("withheld",)),
}
EVERYTHING_ELSE = "everything beside its words"
_DROPPED = {"posts without created_at", "posts without conversation_id"}
_PROFILE_PARTS = {
    "bio": ("description", "entities"), "location": ("location",), "link": ("url", "entities"), "avatar": ("profile_image_url",),
    "banner": ("profile_banner_url",), "verified_type": ("verified_type",), "protected": ("protected",),
}  # fmt: skip
_PROFILE_EXPANDED = {"pinned_post": ("pinned_tweet_id", "pinned_post_id"), "affiliation": ("affiliation", "affiliation.user_id")}


def unseen_parts(form: Form, left_out: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What of a post this form does not ask for, in words that go before "was not compared". Where something that every post
    has was `left_out`, X may have dropped anything else too.
    """
    lost = _lost(form)
    return (EVERYTHING_ELSE,) if len(lost) == len(_PARTS) or set(left_out) & _DROPPED else lost


def _lost(form: Form) -> tuple[str, ...]:
    return tuple(part for part, rows in _PARTS.items() if not all(form.asks(*row) for row in rows))


def unseen_fields(form: Form, left_out: tuple[str, ...] = ()) -> frozenset[str]:
    """The fields of a Profile that this form does not ask for; all but the names where X `left_out` what every user has."""
    dropped = bool(left_out)
    lost = {field for field, needed in _PROFILE_PARTS.items() if dropped or not all(form.asks(n) for n in needed)}
    return frozenset(lost | {field for field, names in _PROFILE_EXPANDED.items() if dropped or not form.asks(*names)})


def loss(form: Form) -> int:
    """How much this form leaves out, to choose between two."""
    if form.asks("username"):
        return len(unseen_fields(form)) + (not form.asks("most_recent_tweet_id", "most_recent_post_id"))
    return len(_lost(form)) + (not form.asks("author_id"))


# --- what an answer leaves out ---------------------------------------------------------------------


def missing(form: Form, page: Mapping[str, Any]) -> tuple[str, ...]:
    """What every post or user of this answer should have by this form, and some have not: in words, the same for the same lack."""
    data = page.get("data")
    items = [d for d in (data if isinstance(data, list) else [data]) if isinstance(d, dict)]
    posts = [d for d in items if "text" in d]
    if form.asks("username"):
        users = [d for d in items if "username" in d]
        return tuple(f"users without {n}" for n in ("protected", "public_metrics") if form.asks(n) and any(n not in u for u in users))
    return tuple(_missing(form, posts))


def _missing(form: Form, posts: list[dict[str, Any]]) -> Iterator[str]:
    for name in ("author_id", "created_at", "conversation_id"):
        if form.asks(name) and any(name not in d for d in posts):
            yield f"posts without {name}"
    if form.lists and any("edit_history_tweet_ids" not in d and "edit_history_post_ids" not in d for d in posts):
        yield "posts without their edit history"
    if form.asks("entities") and any(not d.get("entities") and "https://t.co/" in str(d["text"]) for d in posts):
        yield "posts with links and without where they lead"


# --- refusals --------------------------------------------------------------------------------------

_OF_VALUE = re.compile(r"`([\w.]+)` query parameter value \[([^\]]*)\]")
_OF_NAME = re.compile(r"query parameters? \[([^\]]+)\] (?:is|are) not")
_NONE_OF = re.compile(r"None of \[([^\]]+)\] may be provided")
_ALLOWED = re.compile(r"(?:is|are) not one of \[([^\]]*)\]?")
_QUOTED = re.compile(r"[\[`'\"]([\w.,\s]+)[\]`'\"]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What X named when it refused a question: values we asked for, and whether it named something else besides."""

    values: frozenset[Value] = frozenset()
    elsewhere: bool = False


def refusal(page: Mapping[str, Any], form: Form) -> Refusal:
    """What of this form the errors of an answer name. Nothing at all is named where `values` is empty and `elsewhere` false."""
    errors = page.get("errors")
    found: set[Value] = set()
    elsewhere = False
    for error in [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []:
        named, other = _named(error, form)
        found |= named
        elsewhere |= other
    if not found and not elsewhere:
        found, elsewhere = _named(page, form)
    return Refusal(frozenset(found), elsewhere)


def _named(error: Mapping[str, Any], form: Form) -> tuple[set[Value], bool]:
    said = " ".join(str(error.get(key) or "") for key in ("message", "detail"))[:20_000]
    given = _parameters(error)
    ours = {parameter: given[parameter] for parameter in given if parameter in dict(form.lists)}
    found = _by_words(said, form) or {v for parameter, values in ours.items() for v in _by_values(parameter, values, said, form)}
    return found, bool(given) and not ours and not found


def _parameters(error: Mapping[str, Any]) -> dict[str, list[str]]:
    """The parameters that an error names, each with the values it shows."""
    many, one = error.get("parameters"), error.get("parameter")
    found = {str(k): _split(v) for k, v in many.items()} if isinstance(many, dict) else {}
    return found | ({one: _split(error.get("value"))} if isinstance(one, str) and one else {})


def _split(values: Any) -> list[str]:
    given = values if isinstance(values, list) else [values]
    return [part.strip() for value in given if isinstance(value, str) for part in value.split(",") if part.strip()]


def _by_words(said: str, form: Form) -> set[Value]:
    """What a message names by itself: values in brackets behind their parameter, parameters that X does not know."""
    asked, found = dict(form.lists), set[Value]()
    for parameter, values in _OF_VALUE.findall(said):
        found |= {(parameter, v) for v in _split(values)} & form.values
    for names in (*_OF_NAME.findall(said), *_NONE_OF.findall(said)):
        found |= {(p, v) for p in _split(names) for v in asked.get(p, ())}
    return found


def _by_values(parameter: str, shown: list[str], said: str, form: Form) -> set[Value]:
    """The refused values of a parameter that is named: X may show the one, or echo all of them."""
    asked = dict(form.lists)[parameter]
    some = set(shown) & set(asked)
    if some and len(some) < len(asked):
        return {(parameter, v) for v in some}
    words = _ALLOWED.split(said, maxsplit=1)[0]
    quoted = {v for match in _QUOTED.findall(words) for v in _split(match)} & set(asked)
    allowed = next((set(_split(match)) for match in _ALLOWED.findall(said)), set())
    some = (quoted if len(quoted) < len(asked) else set()) or (set(asked) - allowed if allowed & set(asked) else set())
    return {(parameter, v) for v in some or asked}


def words_of(page: Mapping[str, Any], limit: int = 200) -> str:
    """X's own words about a refusal, on one line and safe to show; empty where it has none. Its lists of what is allowed are left out."""
    errors = page.get("errors")
    entries = [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    said = [str(e.get("message") or e.get("detail") or e.get("title") or "") for e in (*entries[:3], *([] if entries else [page]))]
    short = [_ALLOWED.sub("is not one that it knows", words[:2_000]) for words in dict.fromkeys(said) if words]
    return " ".join(safe.clean("; ".join(short), limit).split())


# --- where on its ladder an endpoint stands -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """The form that an endpoint is asked in: a rung of its ladder and the values that X refused there, and since when."""

    rung: str = ""
    refused: frozenset[Value] = frozenset()
    since: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """The inverse of `str`. Whatever is not one is the top."""
        try:
            kept = json.loads(text)
            refused = frozenset((str(p), str(v)) for p, v in kept["refused"])
            return cls(str(kept["rung"]), refused, datetime.fromisoformat(kept["since"]).astimezone(UTC))
        except (ValueError, TypeError, KeyError):
            return cls()

    def __str__(self) -> str:
        since = self.since.isoformat() if self.since else None
        return json.dumps({"rung": self.rung, "refused": sorted(self.refused), "since": since})

    def form(self, ladder: tuple[Form, ...]) -> Form:
        """What to ask."""
        rung = next((form for form in ladder if form.name == self.rung), ladder[0])
        return rung.without(self.refused)

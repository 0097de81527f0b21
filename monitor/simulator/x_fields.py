"""Which fields X gives, refuses or drops, by endpoint and dialect: as its OpenAPI 2.166 (tweet) and 2.167 (post) describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_POST_NAMES = {
    "edit_history_tweet_ids": "edit_history_post_ids", "note_tweet": "note_post", "referenced_tweets": "referenced_posts",
    "pinned_tweet_id": "pinned_post_id", "most_recent_tweet_id": "most_recent_post_id",
}  # fmt: skip
_POST_EXPANSIONS = ("edit_history_post_ids", "referenced_posts", "author_id", "in_reply_to_user_id")
_DEFAULT = {"id", "text", "name", "username", "edit_history_tweet_ids"}
_LISTS = ("tweet.fields", "post.fields", "user.fields", "expansions", "media.fields", "poll.fields")
_KNOWN = {
    "tweet": {"post.fields": (), "expansions": ("pinned_post_id", "most_recent_post_id", "affiliation", *_POST_EXPANSIONS[:2])},
    "post": {
        "tweet.fields": (),
        "user.fields": ("pinned_tweet_id", "most_recent_tweet_id", "affiliation"),
        "expansions": ("affiliation.user_id",),
    },
}  # what a dialect does not know: no value of a parameter, or these


@dataclass
class Fields:
    """`refused` are (part of a path, parameter, value); an empty value refuses the whole parameter. `only` is the one dialect
    that X understands, `ignores` the parts of paths where it drops what it is asked for without a word.
    """

    refused: set[tuple[str, str, str]] = field(default_factory=set)
    ignores: set[str] = field(default_factory=set)
    only: str = ""
    refusals: int = 0  # sent so far

    def refusal(self, request: web.Request) -> web.Response | None:
        """X's 400, which names the first value of each parameter that it does not take."""
        if not self.only and not self.refused:
            return None
        errors = []
        for parameter in [p for p in _LISTS if p in request.query]:
            asked = request.query[parameter].split(",")
            bad = [v for v in ("", *asked) if self._is_refused(request.path, parameter, v)]
            if bad:
                one = f"The `{parameter}` query parameter value [{bad[0]}] is not one of [{','.join(v for v in asked if v not in bad)},id]"
                whole = f"The query parameter [{parameter}] is not one of [id,ids,max_results,expansions]"
                errors.append({"parameters": {parameter: [",".join(asked)]}, "message": one if bad[0] else whole})
        if not errors:
            return None
        self.refusals += 1
        body = {"errors": errors, "title": "Invalid Request", "detail": "One or more parameters to your request was invalid."}
        return web.json_response(body | {"type": "https://api.x.com/2/problems/invalid-request"}, status=400)

    def _is_refused(self, path: str, parameter: str, value: str) -> bool:
        unknown = _KNOWN.get(self.only, {}).get(parameter)
        by_dialect = unknown is not None and (value == "" if not unknown else value in unknown)
        return by_dialect or any(part in path and (p, v) == (parameter, value) for part, p, v in self.refused)

    def given(self, one: Mapping[str, Any], request: web.Request, dialect: str) -> dict[str, Any]:
        """A post or user as X would give it: all of it, unless X has been told to be particular."""
        query = request.query
        spoken = "post" if "post.fields" in query or "post" in (dialect, self.only) else "tweet"
        if self.refused or self.only or self.ignores:
            ignores = any(part in request.path for part in self.ignores) and spoken != self.only
            asked = set() if ignores else {v for p in _LISTS for v in query.get(p, "").split(",")}
            one = {k: v for k, v in one.items() if k in _DEFAULT or k in asked or _POST_NAMES.get(k, k) in asked}
        return {_POST_NAMES.get(k, k): v for k, v in one.items()} if spoken == "post" else dict(one)

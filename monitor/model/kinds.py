"""How much it matters, and what was published."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """Named for its consequence."""

    CLEAR = 0
    RECORD = 1  # kept
    NOTIFY = 2  # a message, nobody woken
    PAGE = 3  # someone woken

    @property
    def word(self) -> str:
        """The lower-case name used in configuration, rules and JSON."""
        return self.name.lower()


class Kind(StrEnum):
    """What was published. PROFILE is a change of the profile, judged like a post; LIVE a broadcast or Space that
    began, by its title; DM a direct message that the account sent.
    """

    POST = "post"
    REPLY = "reply"
    QUOTE = "quote"
    REPOST = "repost"
    LIVE = "live"
    DM = "dm"
    PROFILE = "profile"


PROFILE_FIELDS = (
    "name", "handle", "bio", "location", "link", "avatar", "banner",
    "pinned_post", "verified_type", "affiliation", "protected",
)  # fmt: skip

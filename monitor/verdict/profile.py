"""What changed in a profile."""

from __future__ import annotations

from datetime import datetime

from monitor.model import PROFILE_FIELDS, Profile, ProfileChange


def changes(before: Profile, after: Profile, seen_at: datetime) -> tuple[ProfileChange, ...]:
    """One change for each field that differs, in the order of `PROFILE_FIELDS`."""
    return tuple(
        ProfileChange(after.account, name, old, new, seen_at)
        for name in PROFILE_FIELDS
        if (old := getattr(before, name)) != (new := getattr(after, name))
    )

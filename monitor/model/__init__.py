"""Every noun, frozen. Imports nothing else of ours, does nothing.

Ids are opaque strings: only a source may order them. Times are timezone-aware UTC datetimes.
"""

from monitor.model.approvals import ONE_IS_ENOUGH, ApprovedPost, Approving, Exact, Match, Near, NoMatch
from monitor.model.incidents import CAUSES, Human, Incident, Silence, State
from monitor.model.kinds import PROFILE_FIELDS, Kind, Severity
from monitor.model.pages import Page, PageKind, Paging
from monitor.model.posts import Account, Company, Item, Media, Original, Post, Profile, ProfileChange, Redacted, Stored, Unreadable
from monitor.model.verdicts import NO_CONTEXT, Context, Finding, Signal, Standing, Verdict

__all__ = [
    "CAUSES",
    "NO_CONTEXT",
    "ONE_IS_ENOUGH",
    "PROFILE_FIELDS",
    "Account",
    "ApprovedPost",
    "Approving",
    "Company",
    "Context",
    "Exact",
    "Finding",
    "Human",
    "Incident",
    "Item",
    "Kind",
    "Match",
    "Media",
    "Near",
    "NoMatch",
    "Original",
    "Page",
    "PageKind",
    "Paging",
    "Post",
    "Profile",
    "ProfileChange",
    "Redacted",
    "Severity",
    "Signal",
    "Silence",
    "Standing",
    "State",
    "Stored",
    "Unreadable",
    "Verdict",
]

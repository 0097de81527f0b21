"""Verdicts again, from what is stored: the same a year later. What the posts of an incident share is read once for all of them."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from monitor import kept_rules, rulebook, words
from monitor.model import Account, Approving, Company, Kind, NoMatch, Post, ProfileChange, Redacted, Severity, Unreadable, Verdict
from monitor.post_rows import Kept
from monitor.registrations import Past
from monitor.retention import REMEMBERED
from monitor.rulebook import Rulebook
from monitor.store import Store
from monitor.verdict import judge, judge_change, judge_unreadable
from monitor.verdict.approved import Queue
from monitor.verdict.rules import Rules
from monitor.verdict.vocabulary import MissingVersionError, Vocabulary


class LostError(Exception):
    """A verdict that cannot be computed again; the message says why."""


class Recomputing:
    """For these posts."""

    def __init__(self, store: Store, posts: Sequence[Kept]) -> None:
        self._store = store
        seen = [kept.seen_at for kept in posts]
        self._past = store.registrations.past(min(seen), max(seen)) if seen else []
        self._contexts: dict[str, _Context] = {}
        self._standing: dict[str | None, _Standing] = {}  # by the version of the list of words

    def verdict(self, kept: Kept) -> Verdict:
        """Raises LostError when the post was redacted since, the rules of that day are not in the store, or it depends on a list of words
        that is not here any more.
        """
        if isinstance(kept.post, Redacted):
            raise LostError(str(kept.post))
        context = self._context(kept.rulebook)
        version = context.words
        if version not in self._standing:
            self._standing[version] = _Standing(self._past, words.as_of(version))
        standing = self._standing[version]
        queue = standing.at(kept.seen_at, self._row(kept))
        queue.approving = context.approving
        account = context.account(kept.post.account)
        try:
            match kept.post:
                case Post():
                    return judge(kept.post, account, context.company, queue, context.book.rules, kept.context)
                case ProfileChange():
                    return judge_change(kept.post, context.company, queue, context.book.rules, kept.context)
                case Unreadable():
                    return judge_unreadable(kept.post)
        except MissingVersionError as error:
            raise LostError(f"this verdict cannot be computed again: {error}") from error

    def in_words(self, posts: Sequence[Kept]) -> list[str]:
        """Of each whether the verdict comes out the same today. Gone through as they were judged: the queue went on so too."""
        found: dict[int, str] = {}
        for n in sorted(range(len(posts)), key=lambda n: self._row(posts[n])):
            found[n] = self._said(posts[n])
        return [found[n] for n in range(len(posts))]

    def _said(self, kept: Kept) -> str:
        try:
            again = self.verdict(kept)
        except LostError as error:
            return str(error)
        if again == kept.verdict:
            return "the same"
        return self._lost(kept.verdict) or f"DIFFERENT: {again.severity.word}, {again.reason}"

    def _lost(self, verdict: Verdict) -> str:
        """Whether the registration that a verdict names was redacted since, in words; or an empty string."""
        number = verdict.match.nearest if isinstance(verdict.match, NoMatch) else verdict.match.approved
        one = self._store.registrations.get(number) if number else None
        gone = one.redacted_at if one else None
        return f"registered post #{number}, which it was compared with, was redacted on {gone:%Y-%m-%d}" if gone else ""

    def _row(self, kept: Kept) -> int:
        key = [kept.post.account, kept.post.id, getattr(kept.post, "version", 1)]
        found = self._store.sql.execute("SELECT rowid FROM posts WHERE account = ? AND id = ? AND version = ?", key).fetchone()
        return int(found[0])

    def _context(self, digest: str) -> _Context:
        if digest not in self._contexts:
            context = kept_rules.get(self._store.sql, digest)
            if context is None:
                raise LostError("the rules this post was judged by are not in the store")
            self._contexts[digest] = _Context(json.loads(context))
        return self._contexts[digest]


class _Context:
    """Rules, company and account policies as they were stored."""

    def __init__(self, stored: dict[str, object]) -> None:
        files: dict[str, dict[str, object]] = stored["rules"]  # type: ignore[assignment]
        found = rulebook.parse_all({Path(name): data for name, data in sorted(files.items())})
        self.book = Rulebook(tuple(found), Rules(tuple(s.rule for s in found if s.rule.status != "draft")))
        who: dict[str, object] = stored["company"]  # type: ignore[assignment]
        self.company = Company(str(who["name"]), *(tuple(who.get(k, ())) for k in ("domains", "wallets", "handles", "shorteners")))  # type: ignore[arg-type]
        self.approving = Approving(**stored.get("approvals", {}))  # type: ignore[arg-type]
        self.words: str | None = stored.get("words")  # type: ignore[assignment]
        self._accounts: list[dict[str, object]] = stored["accounts"]  # type: ignore[assignment]

    def account(self, key: str) -> Account:
        """As it was configured."""
        platform, _, identifier = key.split(":", 2)
        mine = next((a for a in self._accounts if a["id"] == identifier and a["platform"] == platform), None)
        if mine is None:  # a drill
            return Account(platform, identifier, identifier)
        worth = tuple((Kind(k), Severity(v)) for k, v in mine["unapproved"])  # type: ignore[attr-defined]
        return Account(platform, identifier, str(mine["handle"]), unapproved=worth, canary=str(mine.get("canary", "")))


class _Standing:
    """The queue as it stood when posts were judged. Going on to another post costs only what changed in between."""

    def __init__(self, past: Sequence[Past], vocabulary: Vocabulary | None) -> None:
        self._past, self._vocabulary = past, vocabulary
        self._changes = sorted((when, n) for n, one in enumerate(past) for when in one.changes())
        self._uses = sorted((one.user, n) for n, one in enumerate(past) if one.user)
        self._at: tuple[datetime, int] | None = None
        self._begin()

    def _begin(self) -> None:
        self._queue, self._there = Queue((), vocabulary=self._vocabulary), set[int]()

    def at(self, seen_at: datetime, row: int) -> Queue:
        """When the post in this row was judged."""
        touched = self._between(seen_at, row) if self._at else range(len(self._past))
        standing = {n: self._past[n].at(seen_at, row) for n in touched}
        if any(one is None and n in self._there for n, one in standing.items()):  # the clock was set back: some were not made then
            self._begin()
            standing = {n: one.at(seen_at, row) for n, one in enumerate(self._past)}
        for n, one in sorted(standing.items()):
            if one:
                self._queue.add(one)
                self._there.add(n)
        self._queue.forget(seen_at - REMEMBERED)
        self._at = seen_at, row
        return self._queue

    def _between(self, seen_at: datetime, row: int) -> set[int]:
        """Those that may have stood otherwise at the last post."""
        assert self._at
        (first, last), (low, high) = sorted((self._at[0], seen_at)), sorted((self._at[1], row))
        times = self._changes[bisect_left(self._changes, (first, -1)) : bisect_right(self._changes, (last, len(self._past)))]
        uses = self._uses[bisect_left(self._uses, (low, -1)) : bisect_right(self._uses, (high, len(self._past)))]
        return {n for _, n in (*times, *uses)}

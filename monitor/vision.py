"""Words and QR codes in the pictures of an incident: an extra, `hijack-monitor[vision]`.

Off the hot path: the page has left when this looks, and what it finds is added to the incident. Each
picture is read in a process of its own (foreign/codes.py, foreign/words.py): a decoder that a hostile picture breaks is not in the daemon.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor import safe
from monitor.foreign.bounds import ForeignError
from monitor.foreign.sandbox import Sandbox
from monitor.incidents import Event, Request, account_of
from monitor.judging import Judge
from monitor.model import Finding, Incident, Kind, PageKind, Post, Severity
from monitor.outbox import Outbox
from monitor.pictures import PictureError, Pictures
from monitor.post_rows import PICTURED, Kept
from monitor.record import stamp
from monitor.store import Store
from monitor.verdict import examine, foreign_links

log = logging.getLogger("monitor.vision")

_READERS = {"words": ("rapidocr", "onnxruntime"), "codes": ("zxingcpp",)}  # what each form needs, by its name
_MOST_LINES = 100
_MOST_LETTERS = 2_000  # of one line or code
TRYING = "pictures being read"  # under which the store names the post whose pictures are
LATE = timedelta(hours=24)  # a thread about replies closes after an hour, whether their pictures were read or not


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture shows: lines of words, and what its codes say."""

    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


def readers() -> tuple[str, ...]:
    """What of pictures can be read here: "words", "codes", both or nothing."""
    return tuple(form for form, libraries in _READERS.items() if all(map(importlib.util.find_spec, libraries)))


def installed() -> bool:
    """Whether anything that reads pictures is there; either of the two is enough."""
    return bool(readers())


@dataclass
class Vision:
    """Looks at the pictures of open incidents, one at a time."""

    store: Store
    pictures: Pictures
    judge: Judge
    outbox: Outbox
    clock: Callable[[], datetime]
    wake: Callable[[], None]

    async def look(self) -> None:
        """The oldest post of an incident that is open, or was closed by the monitor itself, whose pictures nobody looked at.
        Never raises but for the store.
        """
        waiting = self.store.posts(
            f"{PICTURED} AND kind NOT IN ('profile', 'unreadable') AND incident IN"  # noqa: S608 - ours
            " (SELECT id FROM incidents WHERE state != 'resolved' UNION ALL SELECT id FROM incidents WHERE resolved_at > ? AND outcome = 'over')",
            (stamp(self.clock() - LATE),), 1,
        )  # fmt: skip
        for kept in waiting:
            if isinstance(kept.post, Post) and not self._ended_us(kept, kept.post):
                try:
                    self._add(kept, kept.post, await self._seen(kept.post))
                except sqlite3.Error:
                    raise
                except Exception:  # one picture that nobody foresaw must not keep us from all the others
                    log.exception("pictures not looked at", extra={"post": kept.post.id})
                    with self.store.transaction():
                        self.store.keep_words(kept.post, [])
                finally:
                    with contextlib.suppress(sqlite3.Error), self.store.transaction():
                        self.store.keep(TRYING, "")

    def _ended_us(self, kept: Kept, post: Post) -> bool:
        """Whether an earlier process ended while it read them: then they are not tried again. Else they are marked as being tried."""
        name = f"{post.account}/{post.id}/{post.version}"
        if self.store.kept(TRYING) != name:
            with self.store.transaction():
                self.store.keep(TRYING, name)
            return False
        with self.store.transaction():
            self.store.keep(TRYING, "")
            self.store.keep_words(post, [])
            said = f"the monitor ended while it read the pictures of post {post.id}, so nobody has read them: look at them yourself"
            self.outbox.mention(kept.incident or 0, said, self.clock())
        self.wake()
        return True

    async def _seen(self, post: Post) -> Seen:
        words: list[str] = []
        codes: list[str] = []
        for media in post.media:
            if media.type != "photo":
                continue
            try:
                found = await seen(await self.pictures.bytes_of(media), self.pictures.sandbox)
            except PictureError as error:
                log.info("a picture of post %s was not read: %s", post.id, error)
                continue
            words += found.words
            codes += found.codes
        return Seen(tuple(words[:_MOST_LINES]), tuple(dict.fromkeys(codes))[:_MOST_LINES])

    def _add(self, kept: Kept, post: Post, shown: Seen) -> None:
        """Write down what was read; say what the rules make of it."""
        now = self.clock()
        rules = self.judge.rulebook.rules
        subject = examine("\n".join([*shown.words, *shown.codes]), shown.codes, self.judge.company, rules)
        known = {f.rule for f in kept.verdict.findings}
        findings = tuple(f for f in rules.accuse(subject, "post") if not f.shadow and f.rule not in known)
        if post.kind is Kind.REPLY:
            findings += foreign_links(subject)
        with self.store.transaction():
            self.store.keep_words(post, [*shown.words, *(f"[code] {c}" for c in shown.codes)])
            incident = self.store.incident(kept.incident or 0)
            if incident and (findings or shown.codes):
                self._tell(incident, kept, findings, tuple(h for h, _ in subject.places), now)
        self.wake()

    def _tell(self, incident: Incident, kept: Kept, findings: tuple[Finding, ...], hosts: tuple[str, ...], now: datetime) -> None:
        said = "; ".join([*dict.fromkeys(f.title for f in findings)] or ["it carries a code"])
        leads = f", and leads to {', '.join(safe.clean(h, 80) for h in hosts[:3])}" if hosts else ""
        sentence = f"a picture of post {kept.post.id} says more: {said}{leads}"
        worst = max((f.severity for f in findings), default=Severity.RECORD)
        if findings and isinstance(kept.post, Post) and kept.post.kind is Kind.REPLY:
            worst = Severity.PAGE  # its words were recorded and nobody woken: what the picture says is all of it
        if worst is not Severity.PAGE or incident.severity is Severity.PAGE:
            self.outbox.say(incident, (Request(PageKind.NOTE, sentence), Request(PageKind.SYNC, sentence)), now)
            return
        subject = account_of(incident.subject)
        number = self.outbox.happened(Event(subject, incident.name, worst, incident.headline, sentence, now, hosts), now)
        self.store.tell_of(kept, number)
        if subject != incident.subject:
            self.outbox.mention(incident.id, f"{sentence}: that pages, see INC-{number}", now)


async def seen(data: bytes, sandbox: Sandbox) -> Seen:
    """What one picture shows, by whichever readers are installed, each in another process. Raises PictureError when none could."""
    said: dict[str, list[str]] = {"codes": [], "words": []}
    why: ForeignError | None = None
    able = set(readers())
    for form in tuple(able):
        try:
            said[form] = [_line(one) for one in await sandbox.read(form, f"the {form} of a picture", data)]
        except ForeignError as error:  # without one of them the other still says something
            why = error
            able.discard(form)
    if why and not able:
        raise PictureError(str(why))
    return Seen(tuple(said["words"]), tuple(said["codes"]))


def _line(text: object) -> str:
    """As a picture gave it: bounded, and without lone surrogates, which nothing can store or send."""
    return str(text)[:_MOST_LETTERS].encode("utf-8", "replace").decode()

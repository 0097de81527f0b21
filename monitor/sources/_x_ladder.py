"""Asks an endpoint of X in the best form that it takes, and finds that form when X refuses or drops a field. No read is lost by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.sources._x_client import Answer
from monitor.sources._x_cut import own
from monitor.sources._x_dialect import AGAIN, LADDERS, Form, Place, loss, missing, refusal, unseen_fields, unseen_parts, words_of
from monitor.sources.interface import Settings, SourceError, Trouble

log = logging.getLogger("monitor.sources.x")

Send = Callable[[Mapping[str, str]], Awaitable[tuple[dict[str, Any], Answer]]]

MOST_REFUSALS = 24  # of one form: X names a field at a time
_PAUSE = timedelta(seconds=30)  # after every form was refused: then it is not for the fields
_LEFT_OUT = 100  # a field that was asked for and did not come weighs more than any that is not asked for


@dataclass(frozen=True, slots=True)
class _Try:
    """A form that X answered, and how much is not seen by it."""

    form: Form
    page: dict[str, Any]
    answer: Answer

    @property
    def cost(self) -> int:
        return loss(self.form) + _LEFT_OUT * len(missing(self.form, self.page))


class Ladder:
    """One endpoint, for as long as the daemon lives; where it stands survives a restart.

    `patience` is how many answers in a row may leave out what was asked for before another form is looked for.
    """

    def __init__(self, endpoint: str, settings: Settings, patience: int = 1) -> None:
        self._endpoint, self._forms, self._patience = endpoint, LADDERS[endpoint], patience
        self._clock, self._observer = settings.clock, settings.observer
        self._key = f"X dialect: {endpoint}"
        self._place = Place.parse(self._observer.recall(self._key))
        self._lock = asyncio.Lock()
        self._unnamed = 0  # refusals in a row that name nothing
        self._short = 0  # answers in a row that left something out
        self._failed_at: datetime | None = None  # when every form was refused
        self._doubted_at: datetime | None = None  # when a form was looked for that leaves out less

    @property
    def form(self) -> Form:
        """In which X is asked now."""
        return self._place.form(self._forms)

    async def ask(self, send: Send) -> tuple[dict[str, Any], Answer, Form]:
        """The answer to what `send` asks with such parameters, and the form it came in. Raises SourceError."""
        form = self._next()
        try:
            found = _Try(form, *await send(form.params))
        except SourceError as error:
            if not self._is_about_fields(error, form):
                raise
            self._unnamed = 0 if refusal(error.page, form).values else self._unnamed + 1
            if self._unnamed == 1:  # X says why it refuses; what it does not explain may be over with the next read
                raise
            found = await self._another(send, form, error)
        else:
            self._unnamed = 0
            found = await self._complete(send, found)
        left_out = missing(found.form, found.page)
        for what in left_out:
            self._observer.odd(what, own(found.page, found.answer.body, ()))
        return found.page, replace(found.answer, unseen=unseen_parts(found.form, left_out)), found.form

    def _next(self) -> Form:
        """The form that X takes; now and then the best one, as if nothing had been refused."""
        now = self._clock()
        if self._place.since is None or timedelta() <= now - self._place.since < AGAIN:
            return self.form
        self._settle(replace(self._place, since=now))
        return self._forms[0]

    def _is_about_fields(self, error: SourceError, form: Form) -> bool:
        if error.trouble is not Trouble.REJECTED:
            return False
        found = refusal(error.page, form)
        return bool(found.values) or not found.elsewhere

    # --- another form ---------------------------------------------------------------------------

    async def _another(self, send: Send, refused: Form, error: SourceError) -> _Try:
        async with self._lock:
            if self.form != refused:  # found by another read meanwhile, or known before the best one was tried again
                known = await self._tried(send, self.form)
                if known:
                    self._move(known, error)
                    return known
            if _within(self._failed_at, self._clock(), _PAUSE):
                raise error
            best = await self._best(send, None)
            if best is None:
                self._failed_at = self._clock()
                raise error
            self._move(best, error)
            return best

    async def _complete(self, send: Send, found: _Try) -> _Try:
        """The same, or a form that leaves out less, where something was asked for and did not come."""
        left_out = missing(found.form, found.page)
        self._short = self._short + 1 if left_out else 0
        if not left_out:
            if found.form == self._forms[0] and self._place != Place():
                log.info("X takes the whole question for %s again", self._endpoint)
                self._settle(Place())
            return found
        async with self._lock:
            if self._short < self._patience or _within(self._doubted_at, self._clock(), AGAIN):
                return found
            self._doubted_at = self._clock()
            best = await self._best(send, found) or found
            if best is not found:
                self._move(best, None)
            return best

    async def _best(self, send: Send, known: _Try | None) -> _Try | None:
        """The form by which most is seen, the most telling forms first; `known` is one that is answered already."""
        best = known
        for rung in self._forms:
            if known and rung.name == known.form.name:
                continue
            if best and (best.cost == 0 or rung.name in ("author", "bare")):
                break
            try:
                found = await self._tried(send, rung)
            except SourceError:
                if best is None:
                    raise
                break
            if found and (best is None or found.cost < best.cost):
                best = found
        return best

    async def _tried(self, send: Send, form: Form) -> _Try | None:
        """This form, without what X refuses of it; None where X refuses it whole. Raises SourceError for everything else."""
        for _ in range(MOST_REFUSALS):
            try:
                return _Try(form, *await send(form.params))
            except SourceError as error:
                named = refusal(error.page, form).values
                if not self._is_about_fields(error, form):
                    raise
                form = form.without(named)
                if not named or not form.values:
                    return None
        return None

    # --- what is remembered, what is told ---------------------------------------------------------

    def _move(self, found: _Try, error: SourceError | None) -> None:
        rung = next(form for form in self._forms if form.name == found.form.name)
        refused = rung.values - found.form.values
        top = rung is self._forms[0] and not refused
        place = Place() if top else Place(rung.name, refused, self._clock())
        if (place.rung, place.refused) == (self._place.rung, self._place.refused):
            return
        self._settle(place)
        if not top:
            said = words_of(error.page) if error else ""
            why = "a refusal of fields" if error else "answers without fields"
            what = f"{why} that we ask of {self._endpoint}{f' ({said})' if said else ''}; {_instead(self._endpoint, found.form, refused)}"
            log.warning("X: %s", what)
            self._observer.odd(what, error.body if error else own(found.page, found.answer.body, ()))

    def _settle(self, place: Place) -> None:
        self._place = place
        self._observer.remember(self._key, str(place))


def _instead(endpoint: str, form: Form, refused: frozenset[tuple[str, str]]) -> str:
    """How X is asked from now on, and what is not seen by that."""
    names = sorted(f"{parameter}={value}" for parameter, value in refused)
    without = f" without {', '.join(names[:6])}{' and others' if len(names) > 6 else ''}" if names else ""
    names_of = {"tweet": "by its older field names", "post": "by its newer field names"}
    how = names_of.get(form.name.split(",", maxsplit=1)[0], "for ids and texts only")
    lost = ", ".join(sorted(unseen_fields(form)) if endpoint == "profiles" else unseen_parts(form)).replace("_", " ")
    return f"from now on it is asked {how}{without}" + (f". Not seen until it takes the whole question again: {lost}" if lost else "")


def _within(since: datetime | None, now: datetime, span: timedelta) -> bool:
    return since is not None and timedelta() <= now - since < span

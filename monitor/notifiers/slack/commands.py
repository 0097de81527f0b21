"""`/hijack` and the Home tab: how things are, what is planned, silences, drills."""

from __future__ import annotations

import re
from datetime import timedelta

from monitor import holds, safe, silences
from monitor.desk import DeskError
from monitor.incidents import is_wide
from monitor.model import ApprovedPost
from monitor.notifiers.interface import NotifierError
from monitor.notifiers.slack import views
from monitor.notifiers.slack.api import Api
from monitor.notifiers.slack.message import headline
from monitor.notifiers.slack.payload import Payload, team_of, typed, user_of
from monitor.notifiers.slack.people import People
from monitor.notifiers.slack.replies import Office, Replies

_SILENCE = re.compile(
    r"(?:(?P<account>@\S+)\s+)?(?P<number>\d{1,3})\s*(?P<unit>m|min|h)\s+(?:[\"“](?P<words>[^\"”]{1,80})[\"”]\s+)?(?P<reason>.+)", re.DOTALL
)
_HOLD = re.compile(r"(?:INC-)?(?P<number>[0-9]{1,15})\s+(?P<reason>.+)", re.DOTALL | re.IGNORECASE)
HELP = (
    "*/hijack status* how the monitor is · *incidents* what is open · *plan* register a post · *planned* what is registered\n"
    '*/hijack silence [@account] 2h ["words"] reason* wake nobody for up to 8 h (a whole account: an approver, or two people) · *silence end 3* · *test* a drill: pages on-call\n'
    "*/hijack hold 3 reason* keep everything of an incident, for approvers · *release 3 reason*\n"
    "Without this command: reply `ack`, `still on it` or `resolve: hijack` (`insider`, `tool bug`, `false alarm`) in an incident's thread, or"
    " react with 👀"
)

_SILENCED = "Silenced; it is announced in the channel, with a button that ends it."
_ASKED = (
    "Nothing is silenced yet: that would cover a whole account, and you are no approver. It is announced in the channel; it begins when"
    " an approver or a second responder confirms it there."
)


class Commands:
    """What `/hijack` does, and what the Home tab shows."""

    def __init__(self, api: Api, people: People, replies: Replies, office: Office) -> None:
        self._api, self._people, self._replies, self._office = api, people, replies, office
        self._store = office.store

    async def run(self, payload: Payload) -> str:
        """One command; returns what came of it, for the record."""
        verb, _, rest = typed(str(payload.get("text", ""))).partition(" ")
        _, stranger = await self._people.may(user_of(payload), "look", team_of(payload))
        if stranger:
            await self._replies.answer(payload, stranger)
            return f"refused: {stranger}"
        match verb.lower():
            case "" | "help":
                said = HELP
            case "status":
                lines = self._office.standing()
                said = "\n".join([*(safe.for_slack_sentence(line, 300) for line in lines[:40]), *views.more(len(lines) - 40, "status")])
            case "incidents":
                said = self._incidents()
            case "planned" | "plan":
                return await self._open_planning(payload, verb.lower())
            case "silence":
                said = await self._silence(payload, rest.strip())
            case "hold" | "release":
                said = await self._keep(payload, verb.lower(), rest.strip())
            case "test":
                said = await self._test(payload)
            case _:
                said = f"I do not know “{safe.for_slack_markup(verb, 40)}”.\n{HELP}"
        await self._replies.answer(payload, said)
        return safe.clean(said, 300)

    def _incidents(self) -> str:
        found = self._store.unresolved()
        lines = [
            safe.for_slack_sentence(f"{headline(i)}, {i.state.value}, since {i.opened_at:%H:%M} UTC: {i.reason}", 300) for i in found[:20]
        ]
        return "\n".join([*lines, *views.more(len(found) - 20, "incidents list")]) or "No open incident."

    async def _open_planning(self, payload: Payload, what: str) -> str:
        title = "Plan a post" if what == "plan" else "Planned posts"
        opened = await self._api.call(self._api.web.views_open(trigger_id=str(payload.get("trigger_id", "")), view=views.waiting(title)))
        _, why = await self._people.may(user_of(payload), "plan", team_of(payload))
        accounts = self._office.accounts()
        if not why and not accounts:
            why = "No account is watched yet."
        made = (
            views.refusal(title, why)
            if why
            else views.plan(accounts, self._office.clock())
            if what == "plan"
            else views.planned(*self.planned())
        )
        await self._api.call(self._api.web.views_update(view_id=str((opened.get("view") or {}).get("id", "")), view=made))
        return f"refused: {why}" if why else f"opened {what}"

    def planned(self) -> tuple[list[tuple[ApprovedPost, str]], int]:
        """What is registered and not over, used or withdrawn, the soonest first, as much as a view holds; and how much there is."""
        names = {a.key: a.name for a in self._office.accounts()}
        found, count = self._store.registrations.next(self._office.clock(), views.MOST_PLANNED)
        return [(r, names.get(r.account, r.account)) for r in found], count

    async def _silence(self, payload: Payload, rest: str) -> str:
        ends = re.fullmatch(r"end\s+([0-9]{1,15})\s*", rest)
        who, why = await self._people.may(user_of(payload), "unsilence" if ends else "silence", team_of(payload))
        if why:
            return why
        office, now = self._office, self._office.clock()
        if ends:
            return self._replies.tried(payload, lambda: silences.end(self._store, office.outbox, int(ends[1]), who, now)) or "Ended."
        asked = _SILENCE.fullmatch(rest)
        if asked is None:
            return f"I did not understand that.\n{HELP}"
        account = next((a for a in office.accounts() if f"@{a.handle.lower()}" == (asked["account"] or "").lower()), None)
        if asked["account"] and account is None:
            return f"{safe.for_slack_markup(asked['account'], 60)} is not watched."
        lasts = timedelta(hours=int(asked["number"])) if asked["unit"] == "h" else timedelta(minutes=int(asked["number"]))
        words, reason = asked["words"] or "", safe.clean(asked["reason"], 200)
        try:
            asker = await self._asker(payload) if is_wide(words) else ""
        except NotifierError:
            return "Slack cannot say now who may do that alone; try again soon. On the host `hijack-monitor silence begin` works."
        done = lambda: silences.begin(self._store, office.outbox, account, words, lasts, reason, who, now, asker=asker)  # noqa: E731 - the one line says it
        return self._replies.tried(payload, done) or (_ASKED if asker else _SILENCED)

    async def _asker(self, payload: Payload) -> str:
        """Whoever may not silence a whole account alone, by id; empty for an approver. Raises NotifierError."""
        user = user_of(payload)
        who, _ = await self._people.judged(user, "silence alone", team_of(payload))
        return "" if who else user

    async def _keep(self, payload: Payload, verb: str, rest: str) -> str:
        """A legal hold of an incident, or its end."""
        who, why = await self._people.may(user_of(payload), "legal hold", team_of(payload))
        if why:
            return why
        asked = _HOLD.fullmatch(rest)
        if asked is None:
            return f"I did not understand that.\n{HELP}"
        number, reason = int(asked["number"]), safe.clean(asked["reason"], 300)
        change = holds.hold if verb == "hold" else holds.release
        done = lambda: change(self._store, number, who, reason, self._office.clock(), via="Slack", user=user_of(payload))  # noqa: E731 - the one line says it
        return (
            self._replies.tried(payload, done) or f"INC-{number}: {'nothing of it is removed any more' if verb == 'hold' else 'released'}."
        )

    async def _test(self, payload: Payload) -> str:
        who, why = await self._people.may(user_of(payload), "test", team_of(payload))
        if why:
            return why
        try:
            return f"INC-{await self._office.drill(who)} is a drill: it pages on-call now."
        except DeskError as error:
            return safe.for_slack_sentence(str(error))

    async def show_home(self, user: str) -> str:
        """Publish the Home tab for somebody of our own workspace."""
        _, why = await self._people.may(user, "look")
        office = self._office
        made = (
            views.home([why], (), "", (), 0)
            if why
            else views.home(office.standing(), self._store.unresolved(), office.last_drill(), *self.planned())
        )
        await self._api.call(self._api.web.views_publish(user_id=user, view=made))
        return "home shown"

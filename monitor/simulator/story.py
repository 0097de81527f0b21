"""Stories are data: what happens on X, what people do, and what must be in Slack by when.

A story runs on any clock: `due(seconds)` makes happen what is due, `broken(seconds)` says which
expectations do not hold. The demo plays it in real time, the tests on a clock they move.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from monitor.foreign.picture import hash_of
from monitor.simulator import drawings
from monitor.simulator.slack import Message, SlackWorld
from monitor.simulator.x import XWorld

FOLDER = Path(__file__).parent / "stories"


@dataclass
class Story:
    """One YAML file, and how far it has been played. Seconds count from `began`."""

    data: dict[str, Any]
    x: XWorld
    slack: SlackWorld
    began: datetime
    told: list[tuple[float, str]] = field(default_factory=list)
    posted: dict[str, tuple[str, str, float]] = field(default_factory=dict)  # name -> handle, id, second
    _next: int = 0

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return float(self.data["lasts"])

    def set_up(self) -> None:
        """The accounts with their earlier posts, before the monitor first looks."""
        for account in self.data["accounts"]:
            profile = {k: v for k, v in account.items() if k not in ("handle", "id", "earlier", "paging")}
            self.x.user(account["handle"], str(account["id"]), **profile)
            for text in account.get("earlier", ()):
                self.x.post(account["handle"], text)

    def due(self, second: float) -> list[str]:
        """Make everything happen whose time has come; returns it in words."""
        said = []
        timeline = self.data["timeline"]
        while self._next < len(timeline) and float(timeline[self._next]["at"]) <= second:
            said.append(self._happen(timeline[self._next], second))
            self._next += 1
        self.told += [(second, s) for s in said]
        return said

    def _happen(self, event: dict[str, Any], second: float) -> str:
        """One event of the timeline."""
        for kind in ("post", "reply", "quote", "repost"):
            if kind in event:
                return self._publish(kind, event[kind], second)
        if "delete" in event:
            handle, identifier, _ = self.posted[event["delete"]]
            self.x.delete(handle, identifier)
            return f"@{handle}: the post “{event['delete']}” is deleted"
        if "edit" in event:
            handle, identifier, _ = self.posted[event["edit"]["post"]]
            new = self.x.edit(handle, identifier, event["edit"]["text"])
            self.posted[event["edit"]["post"]] = handle, new, second
            return f"@{handle} edits: {event['edit']['text']}"
        if "profile" in event:
            changed = {k: v for k, v in event["profile"].items() if k != "account"}
            self.x.change(event["profile"]["account"], **changed)
            return f"@{event['profile']['account']}: profile changed: " + ", ".join(f"{k} = {v}" for k, v in changed.items())
        if "slack" in event:
            return self._answer(event["slack"])
        if "fault" in event:
            return self._break(event["fault"])
        raise ValueError(f"the story knows no such event: {sorted(event)}")

    def _publish(self, kind: str, what: dict[str, Any], second: float) -> str:
        handle, text = what["account"], what["text"]
        for number in range(int(what.get("times", 1))):
            words = text.replace("{n}", str(number + 1))
            if kind == "reply":
                identifier = self.x.reply(handle, words)
            elif kind == "repost":
                identifier = self.x.repost(handle, what["of"], words)
            elif kind == "quote":
                refs = [{"type": "quoted", "id": "1700000000000000000"}]
                identifier = self.x.post(handle, words, referenced_tweets=refs)
            else:
                shown = tuple(map(drawings.published, what.get("shows", ())))
                identifier = self.x.post(handle, words, pictures=int(what.get("pictures", 0)), files=shown)
            self.posted[what.get("as", words)] = handle, identifier, second
        many = f" ({what['times']} times)" if int(what.get("times", 1)) > 1 else ""
        verb = {"post": "posts", "reply": "replies", "quote": "quotes", "repost": f"reposts @{what.get('of')}"}[kind]
        pictured = f" with a picture ({', '.join(what['shows'])})" if "shows" in what else ""
        return f"@{handle} {verb}{pictured}{many}: {text}"

    def _answer(self, what: dict[str, Any]) -> str:
        """Somebody answers in the thread of the newest message."""
        root = self.slack.roots()[-1].ts if self.slack.roots() else ""
        if not root:
            return f"{what['user']} has no message to answer"
        if "react" in what:
            self.slack.react(what["user"], root, what["react"])
            return f"{what['user']} reacts with :{what['react']}:"
        self.slack.say(what["user"], what["reply"], root)
        return f"{what['user']} replies: {what['reply']}"

    def _break(self, what: dict[str, Any]) -> str:
        world: XWorld | SlackWorld = self.x if what["where"] == "x" else self.slack
        world.faults.add(what["kind"], what.get("path", ""), int(what.get("times", 1)), what.get("value"))
        return f"{what['where']} breaks: {what['kind']}, {what.get('times', 1)} time(s)"

    # --- what must be true --------------------------------------------------------------------------

    def broken(self, second: float) -> list[str]:
        """Expectations whose time has come and which do not hold."""
        return [w for e in self.data["expect"] if float(e.get("by", self.seconds)) <= second and (w := self._wrong(e))]

    def _wrong(self, expected: dict[str, Any]) -> str:
        limit = self.began + timedelta(seconds=float(expected.get("by", self.seconds)))
        messages = [m for at, m in self.slack.shown if at <= limit]
        if "silent" in expected:
            return f"a message although all was quiet: {messages[0].text[:120]}" if messages else ""
        if "pages" in expected:
            count = len([m for m in messages if m.wakes and not m.edits])
            return "" if count == expected["pages"] else f"{count} pages by {expected['by']} s, expected {expected['pages']}"
        if "never" in expected:
            found = [m for m in messages if expected["never"] in m.words()]
            return f"Slack shows {expected['never']!r}" if found else ""
        words = expected.get("page") or expected["says"]
        wanted = [m for m in messages if all(w in m.words() for w in words) and (m.wakes or "page" not in expected)]
        return "" if wanted else f"no {'page' if 'page' in expected else 'message'} with {words} by {expected.get('by', self.seconds)} s"

    def delay(self) -> float | None:
        """Seconds from the post named `hijack` to the first page that shows it."""
        if "hijack" not in self.posted:
            return None
        _, identifier, second = self.posted["hijack"]
        shown = ((at - self.began).total_seconds() for at, m in self.slack.shown if m.wakes and identifier in json.dumps(m.blocks))
        first = next((at for at in shown if at >= second), None)
        return first - second if first is not None else None

    def slack_said(self, known: int) -> list[Message]:
        """What Slack showed after the first `known` states."""
        return [message for _, message in self.slack.shown[known:]]


def names() -> list[str]:
    """The stories we ship."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load(name: str) -> dict[str, Any]:
    """A story by name or path. Raises FileNotFoundError naming the known ones."""
    path = FOLDER / f"{name}.yaml" if name in names() else Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"no story {name!r}; there are: {', '.join(names())}")
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    data["timeline"].sort(key=lambda e: float(e["at"]))
    return data


def config_text(data: dict[str, Any], x_base: str, slack_base: str, data_dir: Path) -> str:
    """The configuration a monitor needs for this story, as TOML."""
    company, paging = data["company"], data.get("paging", {})
    lines = [
        "[monitor]", f"data_dir = {json.dumps(str(data_dir))}",
        "[company]", *(f"{k} = {json.dumps(v)}" for k, v in company.items()),
        "[x]", f'api_base = "{x_base}"', f'media_hosts = ["{x_base.removeprefix("http://")}"]', f"poll_seconds = {data.get('poll_seconds', 1)}", f'push = "{data.get("push", "none")}"', f"profile_seconds = {data.get('profile_seconds', 2)}",
        *(f'[[accounts]]\nplatform = "x"\nhandle = "{a["handle"]}"\n{a.get("paging", "")}' for a in data["accounts"]),
        "[approvals]", f"fresh_minutes = {data.get('fresh_minutes', 0)}", f'channel = "{data.get("approvals", "C0APPROVALS")}"',
        *(f'logins.{json.dumps(login)} = "{user}"' for login, user in data.get("logins", {}).items()),
        "[slack]", f'api_base = "{slack_base}"', 'channel = "C0INCIDENTS"', 'mention = ["S0SOCIAL"]',
        f"thread_seconds = {data.get('thread_seconds', 1)}",
        *(f"responders = {json.dumps(who)}" for who in [data.get("responders")] if who),
        "[paging]", f"repeat_minutes = {paging.get('repeat_minutes', 5)}",
        'escalate = [{after_minutes = 5, mention = ["S0SECONDARY"]}, {after_minutes = 15, mention = ["channel"]}]',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def hashes(one: dict[str, Any]) -> tuple[str, ...]:
    """Of the pictures that a registration names by `shows`."""
    return tuple(hash_of(drawings.planned(name)) for name in one.get("shows", ()))


def plans(data: dict[str, Any], began: datetime) -> list[tuple[str, dict[str, Any], datetime, datetime]]:
    """(handle, registration, window start, window end) for what comms registered in advance."""
    out = []
    for one in data.get("registered", ()):
        start, end = one.get("window", [-60, data["lasts"] + 600])
        out.append((one["account"], one, began + timedelta(seconds=start), began + timedelta(seconds=end)))
    return out

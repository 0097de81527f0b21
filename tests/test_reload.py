"""A new configuration while the daemon runs: completely or not at all, with incidents open, pages due and reads on their way."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import desk, status
from monitor.model import Severity
from monitor.reloadable import COME_AND_GO, LIVE, merged
from monitor.simulator.x import XWorld
from monitor.tables import AccountTable, File, Strict
from tests.conftest import CONFIG, World, world
from tests.receivers import Receiver
from tests.test_service import OWN_RULE
from tests.test_streams import PUSH

HELP = '[[accounts]]\nplatform = "x"\nhandle = "acmehelp"\n'
ACME = '[[accounts]]\nplatform = "x"\nhandle = "acme"\n'


def other_account(x: XWorld) -> None:
    x.user("acmehelp", "777")
    x.post("acmehelp", "We are here to help.")


def write(w: World, *pairs: tuple[str, str], more: str = "") -> None:
    """Change the file: each of these pairs, and some lines more at its end."""
    text = w.config.path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    w.config.path.write_text(text + more)


async def reload(w: World) -> bool:
    w.service.reload()
    await w.service.catching_up.settle()
    return not w.service.reloading.why


def rows(w: World, action: str) -> list[dict[str, Any]]:
    found = w.service.store.sql.execute("SELECT detail FROM audit WHERE action = ? ORDER BY id", [action])
    return [json.loads(row[0]) for row in found]


def said(w: World) -> str:
    """What `status` says."""
    found = status.standing(w.service.store, w.service.config, w.clock())
    return "\n".join([*found.wrong, *found.notes])


async def test_an_account_that_came_with_a_reload_is_read_recorded_and_watched(tmp_path: Path) -> None:
    async with world(tmp_path, before=other_account) as w:
        write(w, more=HELP)
        assert await reload(w)
        await w.run(10)
        assert [k.baseline for k in w.service.store.posts("account = 'x::777'")] == [True], "what was there before us wakes nobody"
        assert not w.slack.waking()
        w.x.post("acmehelp", "We are sold.")
        await w.run(3)
        assert "We are sold." in w.slack.waking()[0].words()
        assert rows(w, "configuration reloaded")[-1] == {"changed": ["accounts.x:acmehelp added"], "waiting": []}
        assert all(desk.recomputed(w.service.store, k) == "the same" for k in w.service.store.posts("baseline = 0"))


async def test_what_an_account_posts_that_nobody_can_look_up_yet_is_judged_later(tmp_path: Path) -> None:
    async with world(tmp_path, before=other_account) as w:
        w.x.faults.add("html", "/2/users/by", times=100, value=503)
        write(w, more=HELP)
        assert await reload(w)
        await w.run(1)
        w.x.post("acmehelp", "We are sold.")
        await w.run(40)
        assert await reload(w), "a reload again and again does not make it wait from the beginning"
        await w.run(40)
        assert any("@acmehelp" in page.words() for page in w.slack.waking()), "and it counts as not being watched"
        w.x.faults.script.clear()
        await w.service.look_up()
        await w.run(5)
        assert any("We are sold." in page.words() for page in w.slack.waking())


async def test_an_account_taken_out_is_judged_no_more_and_its_incident_goes_on(tmp_path: Path) -> None:
    async with world(tmp_path, CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "777"}]}) as w:
        w.x.post("acmehelp", "We are sold.")
        await w.run(3)
        (watch,) = [one for one in w.service.watches if one.account.handle == "acmehelp"]
        going = asyncio.ensure_future(w.service.poll(watch))
        await asyncio.sleep(0)
        w.x.post("acmehelp", "Sold again.")
        write(w, (HELP, ""))
        assert await reload(w)
        await going
        await watch.sight(await w.service.sources["x"].read(watch.account, None, 1))
        w.x.post("acme", "We are sold too.")
        await w.run(6 * 60)
        texts = [getattr(k.post, "text", "") for k in w.service.store.posts("baseline = 0")]
        assert sorted(texts) == ["We are sold too.", "We are sold."], "a verdict refers to the accounts that are watched"
        assert all(desk.recomputed(w.service.store, k) == "the same" for k in w.service.store.posts("baseline = 0"))
        assert [i.pages > 1 for i in w.service.store.unresolved()] == [True, True], "nobody has acknowledged either of them"
        assert "no longer configured" in str(status.standing(w.service.store, w.service.config, w.clock()).lines)
        write(w, more=HELP)
        assert await reload(w)
        await w.run(5)
        assert any("Sold again." in page.words() for page in w.slack.waking()), "what was posted meanwhile is judged when it is back"


async def test_what_a_kind_of_post_is_worth_changes_for_the_next_post(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo hello")
        await w.run(3)
        assert not w.slack.roots()
        write(w, (ACME, f'{ACME}unapproved = {{reply = "page"}}\n'))
        assert await reload(w)
        w.x.reply("acme", "@jo hello again")
        await w.run(3)
        assert [k.verdict.severity for k in w.service.store.posts("kind = 'reply'")] == [Severity.RECORD, Severity.PAGE]
        assert all(desk.recomputed(w.service.store, k) == "the same" for k in w.service.store.posts("kind = 'reply'"))


async def test_people_thresholds_and_the_runbook_change_in_an_open_incident(tmp_path: Path) -> None:
    async with world(tmp_path, extra='slack: responders = ["U01ALICE"]') as w:
        w.x.post("acme", "We are sold.")
        await w.run(3)
        (tmp_path / "runbook.md").write_text("Call the bank.")
        write(
            w, ('mention = ["S0SOCIAL"]', f'mention = ["S0SECONDARY"]\nrunbook_file = "{tmp_path / "runbook.md"}"'), ("U01ALICE", "U02BOB"),
            ("repeat_minutes = 5", "repeat_minutes = 1"), ("poll_seconds = 1", "poll_seconds = 3"), ("fresh_minutes = 0", "fresh_minutes = 7"),
        )  # fmt: skip
        assert await reload(w)
        await w.run(65)
        assert len(w.slack.waking()) == 2
        assert "<!subteam^S0SECONDARY>" in w.slack.waking()[1].words()
        root = w.slack.roots()[0]
        w.slack.say("U01ALICE", "ack", root.ts)
        await w.run(3)
        assert w.service.store.unresolved()[0].acknowledged_by == "", "she may no more"
        w.slack.say("U02BOB", "ack", root.ts)
        await w.run(3)
        assert w.service.store.unresolved()[0].acknowledged_by
        assert w.service.collectors["x"].interval() == 3
        assert w.service.judge.basis.approving.fresh_minutes == 7
        (tmp_path / "runbook.md").write_text("Call the other bank.")
        assert await reload(w)
        assert rows(w, "configuration reloaded")[-1]["changed"] == ["the text of slack.runbook_file"]


async def test_pages_of_a_route_that_is_no_more_go_to_another_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        duty, hook = await Receiver().start(stack), await Receiver().start(stack)
        pagerduty = f'[pagerduty]\napi_base = "{duty.base}"\n'
        own = f'{ACME}paging = {{channel = "C0BRAND"}}\n'
        w = await stack.enter_async_context(world(tmp_path, extra=f'{pagerduty}[webhook]\nurl = "{hook.base}/hook"\n'))
        write(w, (ACME, own))
        assert await reload(w)
        w.slack.faults.add("html", "/api/", times=100_000, value=503)
        duty.status = 500
        w.x.post("acme", "We are sold.")
        await w.run(70)
        assert not hook.bodies
        write(w, (pagerduty, ""), (own, ACME))
        assert await reload(w)
        w.slack.faults.script.clear()
        await w.run(20)
        assert "We are sold." in w.slack.waking()[0].words()
        assert w.slack.waking()[0].channel == "C0INCIDENTS"
        assert not [p for p in w.service.store.pages.undelivered() if p.route not in w.service.pager.notifiers()]


async def test_what_cannot_be_used_is_refused_whole_and_told(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        good, running, rules = w.config.path.read_text(), w.service.config, tmp_path / "rules"
        rules.mkdir()
        (rules / "own.yaml").write_text(
            OWN_RULE.replace("bananas", "maintenance").replace("status: live", "status: live\neven_if_approved: true")
        )
        for text, words in (
            (good[: len(good) // 2], "hijack-monitor.toml"),
            (good + "[slack]\n", "not TOML"),
            (good.replace("repeat_minutes = 5", "repeat_minutes = 1\nrepet = 2"), "repet"),
            (good.replace("repeat_minutes = 5", "repeat_minutes = 1") + "[alertmanager]\nurls = []\n", "alertmanager"),
            (good.replace("repeat_minutes = 5", "repeat_minutes = 1") + "[smtp]\nhost = 'mail'\nusername = 'u'\nsender = 'a@b'\nrecipients = ['c@d']\n", "the secret smtp_password is missing"),
            (good.replace("[company]", f'rules = ["{rules}"]\n[company]'), "a registered post was not taken for it"),
            (good.replace("[company]", f'rules = ["{tmp_path / "nowhere"}"]\n[company]'), "nowhere: not a folder"),
        ):  # fmt: skip
            w.config.path.write_text(text)
            assert not await reload(w), words
            assert words in w.service.reloading.why
            assert w.service.config is running
            assert rows(w, "reload refused")[-1]["reason"] == w.service.reloading.why
            assert words in said(w)
            assert "configuration NOT reloaded" in w.service.status()
            assert ("systemctl restart" in said(w)) == ("secret" in words), "systemd copies credentials at the start"
        w.config.path.unlink()
        assert not await reload(w)
        assert "cannot be read" in said(w)
        await w.run(6)
        (notice,) = w.slack.roots()
        assert "Configuration was not reloaded" in notice.words()
        assert w.service.outbox.usual.repeat_minutes == 5
        w.config.path.write_text(good)
        assert await reload(w)
        await w.run(6)
        assert w.service.store.unresolved() == ()
        assert "not reloaded" not in said(w)


async def test_what_waits_for_a_restart_is_named_until_then(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        write(w, ("repeat_minutes = 5", "repeat_minutes = 2"), ('push = "none"', 'push = "filtered"'), more="[metrics]\nport = 0\n")
        assert await reload(w)
        assert rows(w, "configuration reloaded")[-1] == {"changed": ["paging.repeat_minutes"], "waiting": ["x.push", "metrics"]}
        assert "wait for a restart: x.push, metrics" in said(w)
        assert w.service.config.file.x.push == "none"
        assert w.service.outbox.usual.repeat_minutes == 2
        assert await reload(w)
        assert "wait for a restart: x.push, metrics" in said(w), "it goes on waiting"
        assert len(rows(w, "configuration reloaded")) == 1, "and nothing else changed"
        write(w, ('push = "filtered"', 'push = "none"'))
        assert await reload(w)
        assert "wait for a restart: metrics" in said(w)
        await w.service.watch_accounts()
        assert "restart" not in said(w)


async def test_a_reload_that_changes_nothing_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with world(tmp_path) as w:
        digest = w.service.judge.digest
        assert await reload(w)
        assert await reload(w)
        assert caplog.messages.count("configuration reloaded: nothing changed") == 2
        assert w.service.judge.digest == digest
        assert not rows(w, "configuration reloaded")


async def test_rules_who_we_are_and_when_that_was_take_the_same_road(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.yaml").write_text(OWN_RULE)
    async with world(tmp_path) as w:
        w.x.reply("acme", "@jo bananas at https://acme-shop.example")
        await w.run(2)
        write(w, ("[company]", f'rules = ["{tmp_path / "rules"}"]\n[company]'), ('"acme.example"', '"acme.example", "acme-shop.example"'))
        assert await reload(w)
        assert rows(w, "configuration reloaded")[-1]["changed"] == ["monitor.rules", "company.domains", "rules: own.yaml"]
        w.x.reply("acme", "@jo bananas at https://acme-shop.example again")
        await w.run(2)
        before, after = w.service.store.posts("kind = 'reply'")
        assert "Our own" not in [f.title for f in before.verdict.findings]
        assert "Our own" in [f.title for f in after.verdict.findings]
        assert before.rulebook != after.rulebook
        assert [desk.recomputed(w.service.store, k) for k in (before, after)] == ["the same"] * 2


async def test_a_stream_tells_of_the_account_that_took_the_place_of_another(tmp_path: Path) -> None:
    def both(x: XWorld) -> None:
        other_account(x)

    async with world(tmp_path, PUSH, before=other_account) as w:
        await w.run(3)
        write(w, (ACME, HELP))
        assert await reload(w)
        await w.run(35)
        assert {s["filter"]["user_id"] for s in w.x.push.subscriptions.values()} == {"777"}
        w.x.post("acme", "We are sold.")
        w.x.post("acmehelp", "We are sold as well.")
        await w.run(2)
        assert [k.post.account for k in w.service.store.posts("baseline = 0")] == ["x::777"]


async def test_a_message_on_its_way_while_everything_changes_is_sent_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.slack.faults.add("hang", "postMessage", times=1, value=0.3)
        w.x.post("acme", "We are sold.")
        for _ in range(6):
            await asyncio.wait(w.service.round() or [asyncio.ensure_future(asyncio.sleep(0))])
            w.service.tick()
            w.clock.move(0.5)
        write(w, ('mention = ["S0SOCIAL"]', 'mention = ["S0SECONDARY"]'), more="[pagerduty]\n")
        assert await reload(w)
        await w.run(20)
        assert len(w.slack.waking()) == 1


def test_every_key_of_the_file_either_changes_while_running_or_waits_on_purpose() -> None:
    """A new key waits until somebody has looked at who keeps its value."""
    waits = {
        "monitor": {"data_dir"}, "x": {"api_base", "push", "subscriptions"}, "replay": {"file", "speed", "poll_seconds"},
        "slack": {"api_base", "channel", "thread_seconds", "sockets"}, "oncall": {"url", "refresh_minutes", "zone"},
        "deadman": {"every_seconds", "opsgenie_heartbeat", "opsgenie_base", "alertmanager"}, "metrics": {"port"},
    }  # fmt: skip
    there = {name: set(_table(name).model_fields) for name in File.model_fields}
    assert {name: LIVE.get(name, set()) | waits.get(name, set()) for name in there} == there
    assert not any(LIVE.get(name, set()) & waits.get(name, set()) for name in there)
    assert there.keys() >= COME_AND_GO


def _table(name: str) -> type[Strict]:
    if name == "accounts":
        return AccountTable
    kinds = [kind for kind in (File.model_fields[name].annotation, *getattr(File.model_fields[name].annotation, "__args__", ()))
             if isinstance(kind, type) and issubclass(kind, Strict)]  # fmt: skip
    return kinds[0]


def test_the_first_account_of_another_platform_waits() -> None:
    company = {"name": "Acme"}
    running = File.model_validate({"company": company, "accounts": [{"platform": "x", "handle": "acme"}]})
    both = [{"platform": "x", "handle": "acme", "canary": {"text": "Our canary"}}, {"platform": "replay", "handle": "acme"}]
    change = merged(running, File.model_validate({"company": company, "accounts": both, "replay": {"file": "day"}}))
    assert change.waiting == ("replay", "accounts.replay:acme (the first one on replay)")
    assert change.changed == ("accounts.x:acme.canary",)
    assert [a.platform for a in change.file.accounts] == ["x"]


STEPS = st.lists(
    st.sampled_from(
        ["post", "help posts", "reply", "reload", "reload", "without help", "with help", "rule", "no rule", "worth", "broken", "run"]
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=8)
@given(STEPS)
def test_whatever_is_reloaded_when_every_post_is_judged_once_by_the_rules_that_it_names(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        asyncio.run(_lived(Path(folder), steps))


async def _lived(folder: Path, steps: list[str]) -> None:
    (folder / "rules").mkdir()
    two = CONFIG | {"accounts": [*CONFIG["accounts"], {"handle": "acmehelp", "id": "777"}]}
    async with world(folder, two) as w:
        write(w, ("[company]", f'rules = ["{folder / "rules"}"]\n[company]'))
        whole = w.config.path.read_text()
        rule, file = folder / "rules" / "own.yaml", w.config.path
        acts: dict[str, Callable[[int], object]] = {
            "post": lambda n: w.x.post("acme", f"We are sold {n}."),
            "help posts": lambda n: w.x.post("acmehelp", f"We are sold {n}."),
            "reply": lambda n: w.x.reply("acme", f"@jo bananas {n}"),
            "without help": lambda _: file.write_text(whole.replace(HELP, "")),
            "with help": lambda _: file.write_text(whole),
            "rule": lambda _: rule.write_text(OWN_RULE),
            "no rule": lambda _: rule.unlink(missing_ok=True),
            "worth": lambda _: file.write_text(whole.replace(ACME, f'{ACME}unapproved = {{reply = "notify"}}\n')),
            "broken": lambda _: file.write_text(whole[:-9]),
        }
        for number, step in enumerate(steps):
            if step == "reload":
                going = [asyncio.ensure_future(w.service.poll(watch)) for watch in w.service.watches]
                await asyncio.sleep(0.002 * (number % 3))
                await reload(w)
                await asyncio.gather(*going)
            elif act := acts.get(step):
                act(number)
            await w.run(1)
        (folder / "rules" / "own.yaml").unlink(missing_ok=True)
        w.config.path.write_text(whole)
        assert await reload(w)
        await w.run(5)
        kept = w.service.store.posts("baseline = 0")
        assert sorted(getattr(k.post, "text", "") for k in kept) == sorted(_posted(steps))
        assert {desk.recomputed(w.service.store, k) for k in kept} <= {"the same"}
        assert w.service.store.broken_audit() is None


def _posted(steps: list[str]) -> list[str]:
    words = {"post": "We are sold {}.", "help posts": "We are sold {}.", "reply": "@jo bananas {}"}
    return [words[step].format(number) for number, step in enumerate(steps) if step in words]

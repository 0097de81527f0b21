"""Lists of others' losses: read in the forms they come in, never a reason to stop."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.blocklists import Blocklists
from monitor.foreign.sandbox import Sandbox
from monitor.model import Severity
from tests.conftest import world
from tests.test_cli import run_in

NOW = datetime.now(UTC)
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
FORMS = {
    "feed.txt": "# comment\nhttps://evil.xyz/path\n0.0.0.0 worse.xyz\n*.worst.xyz\n||adblock.xyz^\n",
    "polkadot.json": json.dumps({"allow": ["evil-not.xyz"], "deny": ["evil.xyz", "worse.xyz"], "denySub": ["worst.xyz", "adblock.xyz"]}),
    "metamask.json": json.dumps(
        {"version": 2, "tolerance": 1, "fuzzylist": ["acme.example"], "whitelist": ["evil-not.xyz"],
         "blacklist": ["evil.xyz", "worse.xyz", "worst.xyz", "adblock.xyz"]}
    ),
    "combined.json": json.dumps({"evil.xyz": [ADDRESS], "worse.xyz": [], "worst.xyz": [], "adblock.xyz": []}),
    "array.json": json.dumps(["evil.xyz", "worse.xyz", "worst.xyz", "adblock.xyz"]),
    "phantom.yaml": "- url: evil.xyz\n- url: worse.xyz\n- url: '*.worst.xyz'\n- url: adblock.xyz\n",
    "month.csv": "2026-11-01,someone,url,https://evil.xyz/x,#phish,https://x.com/a\n2026-11-01,a,domain,worse.xyz,,\n2026-11-01,a,domain,worst.xyz,,\n2026-11-01,a,url,http://adblock.xyz/a,,\n",
}  # fmt: skip


async def lists(folder: Path, **files: str) -> Blocklists:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    found = Blocklists(tuple(folder / name.replace("__", ".") for name in files))
    await found.refresh(Sandbox())
    return found


@pytest.mark.parametrize("name", FORMS)
async def test_every_form_is_read(name: str, tmp_path: Path) -> None:
    found = await lists(tmp_path, **{name.replace(".", "__"): FORMS[name]})
    assert found.notes(NOW) == ()
    listed = f"({Path(name).stem})"
    assert found.named(["evil.xyz", "www.worse.xyz", "a.b.worst.xyz", "adblock.xyz"], ()) == tuple(
        f"{host} {listed}" for host in ("evil.xyz", "www.worse.xyz", "a.b.worst.xyz", "adblock.xyz")
    )
    assert found.named(["acme.example", "xyz", "devil.xyz", "evil.xyz.example"], ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",)) == ()


async def test_addresses_are_listed_whatever_their_case_and_an_allowed_host_is_not(tmp_path: Path) -> None:
    found = await lists(tmp_path, combined__json=FORMS["combined.json"], own__json=json.dumps({"allow": ["evil.xyz"], "deny": []}))
    assert found.named((), (ADDRESS.lower(),)) == (f"{ADDRESS.lower()} (combined)",)
    assert found.named(["evil.xyz"], ()) == ()


async def test_a_broken_list_keeps_its_last_good_content_and_is_a_note(tmp_path: Path) -> None:
    found = await lists(tmp_path, array__json='["evil.xyz"]')
    path = tmp_path / "array.json"
    path.write_text("[broken")
    os.utime(path, (1, 1))
    await found.refresh(Sandbox())
    assert "array.json: cannot be read" in found.notes(NOW)[0]
    assert "its last good content stays in use" in found.notes(NOW)[0]
    assert found.named(["evil.xyz"], ())
    path.write_text('["other.xyz"]')
    await found.refresh(Sandbox())
    assert found.notes(NOW) == ()
    assert found.named(["evil.xyz"], ()) == ()
    path.unlink()
    await found.refresh(Sandbox())
    assert found.named(["other.xyz"], ())


async def test_a_stale_or_empty_list_is_a_note(tmp_path: Path) -> None:
    found = await lists(tmp_path, feed__txt="evil.xyz\n", none__txt="# nothing\n")
    notes = found.notes(NOW + timedelta(days=8))
    assert any("feed.txt: unchanged for" in n for n in notes)
    assert any("none.txt: holds no host and no address" in n for n in notes)


async def test_a_listed_host_pages_even_in_a_registered_post_and_is_decided_the_same_a_year_later(tmp_path: Path) -> None:
    from monitor import desk

    (tmp_path / "feed.txt").write_text("partner.example\n")
    async with world(tmp_path) as w:
        w.service.judge.lists = Blocklists((tmp_path / "feed.txt",))
        await w.service.look_at_lists()
        text = "We work with https://shop.partner.example/x now"
        w.register(text)
        w.x.post("acme", text)
        await w.run(3)
        kept = w.service.store.posts("baseline = 0")[0]
        assert kept.verdict.severity is Severity.PAGE
        assert "Host or address on a block list" in kept.verdict.reason
        assert kept.context.listed == ("shop.partner.example (feed)",)
        (tmp_path / "feed.txt").write_text("other.example\n")
        await w.service.look_at_lists()
        assert desk.recompute(w.service.store, kept) == kept.verdict


def test_check_and_status_say_what_is_wrong_with_a_list(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    config = tmp_path / "hijack-monitor.toml"
    config.write_text(config.read_text().replace("[company]", 'block_lists = ["feed.txt", "gone.json"]\n[company]'))
    (tmp_path / "feed.txt").write_text("evil.xyz\n")
    os.utime(tmp_path / "feed.txt", (1, 1))
    said = run("status").output
    assert "feed[.]txt: unchanged for" in said
    assert "gone[.]json: cannot be read" in said

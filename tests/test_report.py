"""A year later an auditor asks: one page that tells it, and a zip that can be checked without us."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from monitor import report
from monitor.desk import DeskError
from monitor.model import Human
from tests.conftest import World, world
from tests.notifiers.test_slack import CORPUS


async def story(w: World, text: str = "Claim your share at https://acme-share.xyz") -> None:
    w.x.post("acme", text)
    await w.run(3)
    for verb in ("acknowledge", "resolve"):
        with w.service.store.transaction():
            w.service.outbox.act(1, Human(verb, "alice", "a test", w.clock(), "an old token", cause="hijack" if verb == "resolve" else ""))
        await w.run(40)


async def test_the_page_tells_what_happened_and_needs_nothing_else(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        page, _ = report.export(w.service.store, 1, tmp_path, w.clock())
        said = page.read_text()
        for words in (
            "INC-1: Unapproved post",
            "hxxps://acme-share[.]xyz",
            "alice",
            "hijack: an old token",
            "resolved after",
            "recomputed: the same",
        ):
            assert words in said
        assert "<script" not in said
        assert "src=" not in said
        assert "http://" not in said.replace("https://acme", "")
        timeline = said[said.index("Timeline") :]
        assert timeline.index("post seen") < timeline.index("acknowledge") < timeline.index("resolve")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not here")
async def test_the_zip_holds_the_evidence_and_can_be_checked_by_anybody(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock())
        assert report.verify(archive) == []
        out = tmp_path / "out"
        with zipfile.ZipFile(archive) as box:
            box.extractall(out)
        done = await asyncio.to_thread(
            subprocess.run, ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "")
        (evidence,) = (out / "evidence").iterdir()
        assert hashlib.sha256(evidence.read_bytes()).hexdigest() == evidence.stem
        assert "acme-share.xyz" in evidence.read_text()
        acts = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]
        assert {a["action"] for a in acts if "action" in a} >= {"incident opened", "acknowledge", "resolve"}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("report.html", b"alice", b"nobody", "report.html: changed"),
        ("audit.jsonl", b'"actor": "alice"', b'"actor": "bob"', "was changed"),
        ("incident.json", b"hijack", b"joke", "incident.json: changed"),
    ],
)
async def test_whatever_is_changed_afterwards_is_found_even_with_new_sums(
    name: str, old: bytes, new: bytes, said: str, tmp_path: Path
) -> None:
    async with world(tmp_path) as w:
        await story(w)
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock())
        with zipfile.ZipFile(archive) as box:
            files = {n: box.read(n) for n in box.namelist()}
        assert old in files[name]
        files[name] = files[name].replace(old, new)
        if name == "audit.jsonl":  # whoever changes it makes new sums, too
            del files["SHA256SUMS"]
            files["SHA256SUMS"] = "".join(f"{hashlib.sha256(b).hexdigest()}  {n}\n" for n, b in files.items()).encode()
        with zipfile.ZipFile(archive, "w") as box:
            for n, body in files.items():
                box.writestr(n, body)
        assert any(said in line for line in report.verify(archive))


async def test_an_act_left_out_of_the_middle_is_found(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        lines = report._chain(w.service.store, "INC-1").splitlines(keepends=True)
        assert report._broken_chain(b"".join(lines)) == []
        assert "does not follow" in report._broken_chain(b"".join(lines[:1] + lines[2:]))[0]


class Reader(HTMLParser):
    """Which elements a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert not [name for name, _ in attrs if name not in ("lang", "charset")], attrs


@pytest.mark.parametrize(
    "text", [*CORPUS[:12], "<script>alert(1)</script><img src=x onerror=alert(1)>", '"><svg onload=alert(1)>'], ids=lambda t: repr(t)[:16]
)
async def test_no_hostile_text_becomes_markup(text: str, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w, text.replace("\ud800", "?") or "empty")
        page, archive = report.export(w.service.store, 1, tmp_path, w.clock())
        reader = Reader()
        reader.feed(page.read_text())
        assert reader.found <= {
            "html",
            "meta",
            "title",
            "style",
            "h1",
            "h2",
            "h3",
            "table",
            "tr",
            "td",
            "th",
            "blockquote",
            "p",
            "br",
            "code",
        }
        assert report.verify(archive) == []


async def test_an_incident_that_is_not_there_is_said(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(DeskError, match="there is no INC-9"):
            report.export(w.service.store, 9, tmp_path, w.clock())

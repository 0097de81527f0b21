"""A year later an auditor asks: one page that tells it, and a zip that can be checked without us."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor import desk, install_key, private, record, report, signing
from monitor.cli import main
from monitor.desk import DeskError
from monitor.lock import locked
from monitor.model import Human
from monitor.recomputing import Recomputing
from monitor.report import CONTENTS, SIGNATURE
from monitor.report_check import verify
from monitor.store import Store
from tests import older
from tests.conftest import World, world
from tests.notifiers.test_slack import CORPUS

SECRET = b"s" * 64


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
        page, _ = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
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
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
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


async def test_an_export_of_every_kind_of_thing_that_is_judged_holds(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        first = w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        w.x.post("acme", "No time stands here.", created_at="soon")
        w.x.change("acme", name="Acme (closing)", description="Join t.me/acme_rescue")
        await w.run(70)
        w.x.edit("acme", first, "Claim your share at https://acme-share.xyz now")
        w.x.post("acme", "@jo write to t.me/acme_help", in_reply_to_user_id="9")
        await w.run(70)
        w.x.delete("acme", w.x.post("acme", "Hurry: https://acme-share.xyz"))
        await w.run(70)
        nouns: set[str] = set()
        for one in w.service.store.incidents():
            _, archive = report.export(w.service.store, one.id, tmp_path, w.clock(), SECRET)
            assert verify(archive).wrong == ()
            files = opened(archive)
            nouns |= {p["post"]["noun"] for p in json.loads(files["posts.json"])}
            files["posts.json"] = files["posts.json"].replace(b"acme_rescue", b"acme_office")
            summed(files)
            signed(files, SECRET)
            packed(archive, files)
            assert bool(verify(archive).wrong) == (b"acme_office" in files["posts.json"])
        assert nouns == {"Post", "ProfileChange", "Unreadable"}


Files = dict[str, bytes]


def opened(archive: Path) -> Files:
    with zipfile.ZipFile(archive) as box:
        return {n: box.read(n) for n in box.namelist()}


def packed(archive: Path, files: Files) -> None:
    with zipfile.ZipFile(archive, "w") as box:
        for name, body in files.items():
            box.writestr(name, body)


def summed(files: Files) -> None:
    """Whoever changes something makes new sums, too."""
    rest = sorted((n, b) for n, b in files.items() if n not in ("SHA256SUMS", report.CONTENTS, report.SIGNATURE))
    files["SHA256SUMS"] = "".join(f"{hashlib.sha256(b).hexdigest()}  {n}\n" for n, b in rest).encode()


def signed(files: Files, secret: bytes) -> None:
    """And a new list of contents, signed by a secret: the attacker's own, or ours."""
    said = json.loads(files[report.CONTENTS])
    rest = sorted((n, b) for n, b in files.items() if n not in (report.CONTENTS, report.SIGNATURE))
    said["files"] = [{"name": n, "bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for n, b in rest]
    rows = [json.loads(line) for line in files["audit.jsonl"].splitlines()]
    said |= {"acts": len(rows), "chain_head": rows[-1]["hash"] if rows else "", "posts": len(json.loads(files["posts.json"]))}
    said |= {"public_key": signing.public(secret).hex(), "key": signing.fingerprint(signing.public(secret))}
    files[report.CONTENTS] = json.dumps(said).encode()
    files[report.SIGNATURE] = signing.sign(secret, files[report.CONTENTS])


def rechained(files: Files, change: Callable[[dict[str, object]], None]) -> None:
    """Change acts, and make the chain hold again from there on; acts that are only links are rewritten as links."""
    previous, lines = "", []
    for line in files["audit.jsonl"].splitlines():
        row = json.loads(line)
        change(row)
        row["previous"] = previous
        fields = [row.get(c) for c in ("at", "actor", "action", "subject", "detail")]
        previous = row["hash"] = record.link(previous, fields) if "action" in row else hashlib.sha256(previous.encode()).hexdigest()
        lines.append(json.dumps(row))
    files["audit.jsonl"] = ("\n".join(lines) + "\n").encode()


def without_posts(files: Files) -> None:
    files["posts.json"] = b"[]"
    lines = [json.loads(line) for line in files["audit.jsonl"].splitlines()]
    short = [{k: r[k] for k in ("id", "previous", "hash")} if r.get("action") == "post judged" else r for r in lines]
    files["audit.jsonl"] = "".join(json.dumps(r) + "\n" for r in short).encode()


def other_text(files: Files) -> None:
    files["posts.json"] = files["posts.json"].replace(b"Claim your share", b"Good morning all")


def bob(row: dict[str, object]) -> None:
    if row.get("action") == "acknowledge":
        row["actor"] = "bob"


ATTACKS: dict[str, Callable[[Files], object]] = {
    "the page": lambda f: f.update({"report.html": f["report.html"].replace(b"alice", b"nobody")}),
    "an act": lambda f: f.update({"audit.jsonl": f["audit.jsonl"].replace(b'"actor": "alice"', b'"actor": "bob"')}),
    "the last two acts": lambda f: f.update({"audit.jsonl": b"".join(f["audit.jsonl"].splitlines(keepends=True)[:-2])}),
    "the first act": lambda f: f.update({"audit.jsonl": b"".join(f["audit.jsonl"].splitlines(keepends=True)[1:])}),
    "an act of the middle": lambda f: f.update({"audit.jsonl": b"".join(f["audit.jsonl"].splitlines(keepends=True)[:1] + f["audit.jsonl"].splitlines(keepends=True)[2:])}),
    "every act": lambda f: f.update({"audit.jsonl": b""}),
    "the chain, made anew": lambda f: rechained(f, bob),
    "all posts": lambda f: f.update({"posts.json": b"[]"}),
    "all posts and their acts": without_posts,
    "what was posted": other_text,
    "the verdict": lambda f: f.update({"posts.json": f["posts.json"].replace(b'"severity": 3', b'"severity": 0')}),
    "the evidence": lambda f: f.pop(next(n for n in f if n.startswith("evidence/"))),
    "the rules": lambda f: f.pop(next(n for n in f if n.startswith("rulebooks/"))),
    "a file more": lambda f: f.update({"evidence/note.json": b"{}"}),
    "the cause": lambda f: f.update({"incident.json": f["incident.json"].replace(b"hijack", b"joke")}),
    "the sums": lambda f: f.update({"SHA256SUMS": b""}),
    "the list of contents": lambda f: f.pop(report.CONTENTS),
    "the signature": lambda f: f.pop(report.SIGNATURE),
    "one bit of the signature": lambda f: f.update({report.SIGNATURE: bytes([f[report.SIGNATURE][0] ^ 1]) + f[report.SIGNATURE][1:]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One export for everybody who changes a copy of it, and the anchor that went out with the pages."""
    folder = tmp_path_factory.mktemp("exported")

    async def export() -> tuple[Path, str]:
        async with world(folder) as w:
            await story(w)
            return report.export(w.service.store, 1, folder, w.clock(), SECRET)[1], w.service.store.audit_head()

    return asyncio.run(export())


@pytest.mark.parametrize("what", ATTACKS)
def test_whatever_is_changed_afterwards_is_found_even_with_new_sums(what: str, exported: tuple[Path, str], tmp_path: Path) -> None:
    before, archive = opened(exported[0]), tmp_path / exported[0].name
    for again in (False, True):
        files = dict(before)
        ATTACKS[what](files)
        assert files != before
        if again and what != "the sums":
            summed(files)
        packed(archive, files)
        assert verify(archive).wrong, (what, again)


@pytest.mark.parametrize("what", [w for w in ATTACKS if "signature" not in w and "contents" not in w and "sums" not in w])
def test_a_forger_with_a_key_of_his_own_is_given_away_by_the_key_and_one_with_ours_by_the_anchor(
    what: str, exported: tuple[Path, str], tmp_path: Path
) -> None:
    (archive, anchor), key = exported, signing.fingerprint(signing.public(SECRET))
    for secret in (b"f" * 64, SECRET):
        files = opened(archive)
        ATTACKS[what](files)
        summed(files)
        signed(files, secret)
        forged = tmp_path / "forged.zip"
        packed(forged, files)
        checked = verify(forged, anchor, key)
        # With our secret one can leave out, which the security model says, and change nothing that the chain holds.
        if secret != SECRET or (("act" in what or "chain" in what) and what != "all posts and their acts"):
            assert checked.wrong


async def test_only_anchor_and_key_together_prove_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Claim your share at https://acme-share.xyz")
        await w.run(3)
        (page,) = w.slack.waking()
        anchor, key = re.findall(r"anchor ([0-9a-f]{32}) key ([0-9a-f]{32})", page.words())[0]
        await story(w, "And again: https://acme-share.xyz")
        secret = install_key.load(w.config.data_dir, {})
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock(), secret)
        assert "proven" in verify(archive, anchor, key).words()[1]
        assert "not proven" not in verify(archive, anchor, key).words()[1]
        for given in ((anchor, ""), ("", key), ("", "")):
            assert verify(archive, *given).wrong == ()
            assert "consistent, not proven" in verify(archive, *given).words()[1]
        for wrong in (("0" * 32, key), (anchor, "0" * 32), (anchor[:31], key), ("", key[:8])):
            assert verify(archive, *wrong).wrong


async def test_the_anchor_stands_in_the_details_and_never_in_the_first_lines(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.x.post("acme", "Take your BTC and run.")
        await w.run(400)
        for message in w.slack.waking():
            blocks = message.blocks
            assert "anchor" in json.dumps(blocks[-1])
            assert "anchor" not in json.dumps(blocks[:-1])
            assert "anchor" not in message.text


async def test_an_edit_of_a_page_carries_an_anchor_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        (root,) = w.slack.roots()
        assert "resolved" in root.words()
        anchor, key = re.findall(r"anchor ([0-9a-f]{32}) key ([0-9a-f]{32})", json.dumps(root.blocks[-1]))[0]
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock(), install_key.load(w.config.data_dir, {}))
        assert verify(archive, anchor, key).words()[1].startswith("proven")


@pytest.mark.parametrize(
    "body", [b"", b"PK", b"not a zip"], ids=["empty", "begun", "text"]
)  # fmt: skip
def test_what_is_no_zip_is_said(body: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_bytes(body)
    with pytest.raises(zipfile.BadZipFile):
        verify(file)


def test_a_bomb_a_name_twice_and_json_of_another_shape_are_said_and_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as box, box.open("audit.jsonl", "w", force_zip64=True) as out:
        for _ in range(1_100):
            out.write(b"\0" * (1 << 20))
    assert "more than an export holds" in verify(file).wrong[0]
    with zipfile.ZipFile(file, "w") as box:
        box.writestr("posts.json", b"[]")
        with pytest.warns(UserWarning, match="Duplicate"):
            box.writestr("posts.json", b"[1]")
    assert "twice" in verify(file).wrong[0]
    for odd in (b"[]", b"7", b"{}", b'{"public_key": 7}', b'{"public_key": "zz"}', b"[" * 100_000, b"\xff"):
        packed(file, dict.fromkeys((report.CONTENTS, report.SIGNATURE, "SHA256SUMS", "audit.jsonl", "posts.json", "incident.json"), odd))
        assert verify(file).wrong


def test_an_export_follows_no_link_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    (tmp_path / "INC-1.zip").symlink_to(victim)
    private.write(tmp_path / "INC-1.zip", b"ours")
    assert victim.read_text() == "keep me"
    assert not (tmp_path / "INC-1.zip").is_symlink()
    assert (tmp_path / "INC-1.zip").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["INC-1.zip", "victim"]


async def test_everything_the_monitor_makes_is_its_owners_alone_whatever_the_shell_allows(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = tmp_path / "state" / "monitor"
        Store(folder / "monitor.db").close()
        store = Store(folder / "monitor.db")
        store.keep("a", "b")
        with locked(folder):
            made = list(folder.rglob("*"))
        install_key.load(folder, {})
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {p.name: oct(p.stat().st_mode & 0o777) for p in made} == {p.name: "0o600" for p in made}
        store.close()
    finally:
        os.umask(before)


def test_a_lock_that_somebody_made_a_link_of_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("keep me")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), locked(tmp_path):
        pass
    assert (tmp_path / "elsewhere").read_text() == "keep me"


async def test_the_command_signs_with_the_daemons_key_or_not_at_all_and_its_exit_code_says_what_verify_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        await story(w)
        config, out = str(w.config.path), str(tmp_path)
    invoke = CliRunner().invoke
    assert invoke(main, ["--config", config, "incidents", "export", "1", "--to", out]).exit_code == 0
    archive = tmp_path / "INC-1.zip"
    good = invoke(main, ["incidents", "verify", str(archive)])
    assert (good.exit_code, "consistent, not proven" in good.output) == (0, True)
    files = opened(archive)
    files["audit.jsonl"] = b"".join(files["audit.jsonl"].splitlines(keepends=True)[:-2])
    summed(files)
    packed(archive, files)
    assert invoke(main, ["incidents", "verify", str(archive)]).exit_code == 1
    monkeypatch.setenv("INSTALL_KEY", "another" * 10)
    other = invoke(main, ["--config", config, "incidents", "export", "1", "--to", out])
    assert (other.exit_code, "the daemon signs with key" in other.output) == (2, True)
    monkeypatch.delenv("INSTALL_KEY")
    (w.config.data_dir / "install_key").unlink()
    assert invoke(main, ["--config", config, "incidents", "export", "1", "--to", out]).exit_code == 2
    assert not (w.config.data_dir / "install_key").exists()  # a new one would sign what nobody can compare


async def test_posts_judged_before_they_were_part_of_the_chain_are_taken_over_and_export(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        store = w.service.store
        with store.transaction():
            older.unpack(store.sql)
            store.sql.execute("UPDATE posts SET post = json_remove(post, '$.unwound')")  # an older version knew fewer fields
            store.sql.execute("DELETE FROM audit WHERE action = 'post judged'")
            store.sql.execute("UPDATE audit SET previous = '', hash = ''")
            previous = ""
            for row in store.sql.execute("SELECT * FROM audit ORDER BY id").fetchall():
                linked = record.link(previous, [row[c] for c in ("at", "actor", "action", "subject", "detail")])
                store.sql.execute("UPDATE audit SET previous = ?, hash = ? WHERE id = ?", [previous, linked, row["id"]])
                previous = linked
            store.sql.execute("DELETE FROM _sqlite_migrations WHERE name LIKE '0013%'")
        older.upgrade(store.path)
        again = Store(store.path)
        assert again.broken_audit() is None
        _, archive = report.export(again, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive).wrong == ()
        again.close()


class Reader(HTMLParser):
    """Which elements a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        allowed = ("lang", "charset") if tag != "meta" else ("charset", "http-equiv", "content", "name")
        assert not [name for name, _ in attrs if name not in allowed], attrs


@pytest.mark.parametrize(
    "text", [*CORPUS[:12], "<script>alert(1)</script><img src=x onerror=alert(1)>", '"><svg onload=alert(1)>'], ids=lambda t: repr(t)[:16]
)
async def test_no_hostile_text_becomes_markup(text: str, tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w, text.replace("\ud800", "?") or "empty")
        page, archive = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
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
        assert verify(archive).wrong == ()


async def test_an_incident_that_is_not_there_is_said(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        with pytest.raises(DeskError, match="there is no INC-9"):
            report.export(w.service.store, 9, tmp_path, w.clock(), SECRET)


async def test_verdicts_come_out_the_same_in_whatever_order_they_are_computed_again(tmp_path: Path) -> None:
    """What the posts of an incident share is read once, and the queue goes from one post to the next."""
    async with world(tmp_path) as w:
        for number in range(8):
            w.register(f"Listing number {number} opens today.")
            await w.run(2)
            w.x.post("acme", f"Listing number {number} opens today.")
            w.x.post("acme", f"Listing number {number} opens today, claim at https://acme-share.xyz")
            await w.run(2)
            taken_back = w.register(f"Our new custody service {number} starts on Monday.")
            w.x.post("acme", f"Our new custody servise {number} starts on Monday.") if number % 2 else None
            await w.run(2)
            desk.withdraw(w.service.store, taken_back, "comms", w.clock()) if number % 2 == 0 else None
            w.x.post("acme", f"Our new custody service {number} starts on Monday.")
            w.clock.move(-60 if number == 5 else 20 * 86_400 if number in (3, 6) else 1)
            await w.run(4)
        posts = w.service.store.posts("baseline = 0", (), -1)
        assert {type(k.verdict.match).__name__ for k in posts} == {"Exact", "Near", "NoMatch"}
        dice = random.Random(2026)
        for _ in range(8):
            dice.shuffle(posts)
            again = Recomputing(w.service.store, posts)
            assert [again.verdict(k) for k in posts] == [k.verdict for k in posts]
            assert again.in_words(posts) == ["the same"] * len(posts)


async def test_how_a_registration_was_used_is_found_by_an_index(tmp_path: Path) -> None:
    """Five years of posts would be read for every registration otherwise."""
    async with world(tmp_path) as w:
        asked: list[str] = []
        w.service.store.sql.set_trace_callback(asked.append)
        w.service.store.registrations.past(w.clock(), w.clock())
        w.service.store.sql.set_trace_callback(None)
        (query,) = asked
        plan = [row[3] for row in w.service.store.sql.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert "SEARCH posts USING COVERING INDEX posts_root (account=? AND root=?)" in plan, plan
        assert any(step.startswith("SEARCH posts USING COVERING INDEX") and step.endswith("(account=? AND id=?)") for step in plan), plan


async def test_members_of_an_export_are_compressed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        _, archive = report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
        with zipfile.ZipFile(archive) as box:
            members = [i for i in box.infolist() if i.filename != SIGNATURE]
        assert all(i.compress_type == zipfile.ZIP_DEFLATED and i.compress_size < i.file_size for i in members)


async def test_an_export_of_a_changed_database_is_written_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await story(w)
        w.service.store.sql.execute("UPDATE audit SET actor = 'bob' WHERE id = 3")
        with pytest.raises(desk.DeskError, match="the audit chain is broken at row 3"):
            report.export(w.service.store, 1, tmp_path, w.clock(), SECRET)
        assert json.loads(opened(tmp_path / "INC-1.zip")[CONTENTS])["chain_broken_at"] == 3


async def test_a_database_of_both_forms_verifies_and_exports(tmp_path: Path) -> None:
    """Acts of earlier versions repeat the hash before them and say each digest by itself."""
    async with world(tmp_path) as w:
        await story(w)
        store, previous = w.service.store, ""
        with store.transaction():
            older.unpack(store.sql)
            for number, row in enumerate(store.sql.execute("SELECT * FROM audit ORDER BY id").fetchall()):
                detail, older_form = row["detail"], number % 2 == 0
                if row["action"] == "post judged" and older_form:
                    account, _, identifier = row["subject"].rpartition("/")
                    post = store.sql.execute("SELECT * FROM posts WHERE account = ? AND id = ?", [account, identifier]).fetchone()
                    said = record.digests(post["post"], post["verdict"], post["evidence"], post["rulebook"])
                    detail = json.dumps({"version": 1, **said}, sort_keys=True)
                linked = record.link(previous, [*(row[c] for c in ("at", "actor", "action", "subject")), detail])
                values = [detail, previous if older_form else "", linked, row["id"]]
                store.sql.execute("UPDATE audit SET detail = ?, previous = ?, hash = ? WHERE id = ?", values)
                previous = linked
        assert store.broken_audit() is None
        _, archive = report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert verify(archive, previous).wrong == ()
        store.sql.execute("DELETE FROM audit WHERE id = (SELECT min(id) + 2 FROM audit)")
        assert store.broken_audit() is not None
        with pytest.raises(DeskError, match="chain is broken"):
            report.export(store, 1, tmp_path, w.clock(), SECRET)
        assert any("does not follow" in line for line in verify(archive).wrong), "an export does not make it whole"

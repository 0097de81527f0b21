"""Whether an exported incident is what the monitor wrote. Needs nothing but the zip, and an anchor to prove it by.

A hostile zip is expected: sizes are bounded before anything is unpacked, a name counts once, and what is not as it has to
be is said and never raised.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor import record, redaction, signing
from monitor.chain import Excuses
from monitor.report import ACT, CONTENTS, SIGNATURE

MOST_BYTES = 1 << 30  # unpacked
MOST_FILES = 20_000
LEAST_ANCHOR = 32  # hexadecimal digits: 128 bits, as messages carry them


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong; and when nothing is, what the export holds and whether anchor and key prove it."""

    wrong: tuple[str, ...]
    posts: int = 0
    acts: int = 0
    head: str = ""
    key: str = ""
    anchored: bool = False
    known: bool = False

    def words(self) -> tuple[str, ...]:
        """For whoever asked."""
        holds = f"{self.posts} of {self.posts} posts, {self.acts} acts: contents, signature, every sum, all evidence and the chain hold"
        ends = f"chain head {self.head}, key {self.key}"
        if self.anchored and self.known:
            return holds, "proven: the anchor stands in the chain and the key is the one you gave", ends
        missing = " and ".join(n for n, given in (("--anchor", self.anchored), ("--key", self.known)) if not given)
        return holds, f"consistent, not proven: give {missing} from a page, a drill or a dead-man's ping of that time", ends


def verify(archive: Path, anchor: str = "", key: str = "") -> Checked:
    """Raises OSError and zipfile.BadZipFile."""
    try:
        return _verify(_unpacked(archive), anchor, key)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        return Checked((f"not as the monitor writes it: {error}",))


def _unpacked(archive: Path) -> dict[str, bytes]:
    """Every file by its name. Raises ValueError for what no export of ours is."""
    with zipfile.ZipFile(archive) as box:
        entries = box.infolist()
        if len(entries) > MOST_FILES or sum(e.file_size for e in entries) > MOST_BYTES:
            raise ValueError("more than an export holds")
        names = [e.filename for e in entries]
        if len(set(names)) < len(names):
            raise ValueError("a name stands in it twice")
        files: dict[str, bytes] = {}
        for entry in entries:
            with box.open(entry) as file:  # what it says of its size need not be true
                files[entry.filename] = file.read(entry.file_size + 1)
            if len(files[entry.filename]) != entry.file_size:
                raise ValueError(f"{entry.filename}: not as large as the zip says")
        return files


def _verify(files: dict[str, bytes], anchor: str, key: str) -> Checked:
    wanted = [n for n in (CONTENTS, SIGNATURE, "SHA256SUMS", "audit.jsonl", "posts.json", "incident.json") if not files.get(n)]
    if wanted:
        return Checked(tuple(f"{name}: missing or empty" for name in wanted))
    contents = json.loads(files[CONTENTS])
    public = bytes.fromhex(contents["public_key"])
    fingerprint = signing.fingerprint(public)
    if not signing.holds(public, files[CONTENTS], files[SIGNATURE]):
        return Checked(("contents.json: not signed by the key that it names",))
    rows = [json.loads(line) for line in files["audit.jsonl"].decode().splitlines()]
    wrong = [*_listed(files, contents), *_summed(files), *_broken_chain(rows, contents), *_posts(files, rows, contents)]
    head = str(contents["chain_head"])
    anchored = len(anchor) >= LEAST_ANCHOR and any(str(row["hash"]).startswith(anchor) for row in rows)
    if anchor and not anchored:
        short = len(anchor) < LEAST_ANCHOR
        wrong.append(
            f"--anchor: {f'at least {LEAST_ANCHOR} digits are needed' if short else 'the chain does not hold it: it was rewritten, or is older'}"
        )
    known = len(key) >= LEAST_ANCHOR and fingerprint == key
    if key and not known:
        wrong.append(f"--key: signed by {fingerprint}, not by {key}")
    return Checked(tuple(wrong), len(json.loads(files["posts.json"])), len(rows), head, fingerprint, anchored, known)


def _listed(files: dict[str, bytes], contents: dict[str, Any]) -> Iterator[str]:
    """Every file as the contents say, and no other."""
    said = {str(f["name"]): f for f in contents["files"]}
    rest = {n: body for n, body in files.items() if n not in (CONTENTS, SIGNATURE)}
    yield from (f"{name}: not in the list of contents" for name in rest if name not in said)
    yield from (f"{name}: missing" for name in said if name not in rest)
    for name, body in rest.items():
        if name in said and (len(body), hashlib.sha256(body).hexdigest()) != (said[name]["bytes"], said[name]["sha256"]):
            yield f"{name}: changed"
        folder, _, file = name.partition("/")
        if folder in ("evidence", "rulebooks") and hashlib.sha256(body).hexdigest() != file.removesuffix(".json"):
            yield f"{name}: is not what its name says"


def _summed(files: dict[str, bytes]) -> Iterator[str]:
    """SHA256SUMS names every file, for whoever checks without us."""
    parted = (line.partition("  ") for line in files["SHA256SUMS"].decode().splitlines())
    sums = {name: digest for digest, _, name in parted}
    for name, body in files.items():
        if name not in (CONTENTS, SIGNATURE, "SHA256SUMS") and sums.get(name) != hashlib.sha256(body).hexdigest():
            yield f"SHA256SUMS: does not have {name} as it is"


def _broken_chain(rows: list[dict[str, Any]], contents: dict[str, Any]) -> Iterator[str]:
    """From the first act to the last, none changed, none left out, none cut off."""
    if contents["chain_broken_at"] is not None:
        yield f"audit.jsonl: the chain was broken at act {contents['chain_broken_at']} when this was written"
    previous, excuses = "", Excuses()
    for number, row in enumerate(rows, 1):
        if row["previous"] != previous:
            yield f"audit.jsonl: line {number} does not follow the one before"
            return
        if any(name in row for name in ACT):
            fits = row["hash"] == (fitting := record.link(previous, [row[c] for c in ACT]))
            if not (fits or excuses.waits(row["id"], row["hash"], fitting, row["action"], row["detail"])):
                yield f"audit.jsonl: line {number} was changed"
                return
            if fits:
                excuses.heard(row["action"], row["detail"])
        previous = row["hash"]
    if excuses.missing() is not None:
        yield f"audit.jsonl: act {excuses.missing()} was changed, and no later act says why"
    if previous != contents["chain_head"] or len(rows) != contents["acts"]:
        yield f"audit.jsonl: ends after {len(rows)} acts, the contents say {contents['acts']}"


def _digests(item: dict[str, Any], verdict: dict[str, Any], *, bare: bool) -> tuple[str, str]:
    """What was seen and decided; of what was redacted since, as it says of itself."""
    return (item["sha256"], verdict["sha256"]) if bare else (record.digest(item), record.digest(verdict))


def _differs(act: dict[str, Any], said: tuple[str, str], one: dict[str, Any]) -> Iterator[str]:
    """Where a post is not what its act in the chain says; acts of earlier versions say each part by itself."""
    evidence, rules = one["evidence_sha256"], one["rulebook_sha256"]
    if "sha256" in act:
        if act["sha256"] != record.digest([*said, evidence, rules]):
            yield "is not what was judged, or its evidence or rules are others than were written down"
        return
    if (act["post"], act["verdict"]) != said:
        yield "is not what was judged"
    if evidence != act["evidence"]:
        yield "evidence is another one than was written down"
    if rules != act["rulebook"]:
        yield "rulebooks is another one than was written down"


def _posts(files: dict[str, bytes], rows: list[dict[str, Any]], contents: dict[str, Any]) -> Iterator[str]:
    """Each post with its act in the chain, each such act with its post, each with its evidence and rules."""
    posts = json.loads(files["posts.json"])
    if len(posts) != contents["posts"]:
        yield f"posts.json: holds {len(posts)} of {contents['posts']} posts"
    judged = {(r["subject"], d["version"]): d for r in rows if r.get("action") == "post judged" for d in [json.loads(r["detail"])]}
    removed = {place for r in rows if "action" in r for place in redaction.removed(r["action"], r["detail"])}
    here = set()
    for one in posts:
        item = one["post"]
        known = record.stored(item).id  # a change of the profile is named by its field and its moment
        place = f"{item['account']}/{known}", int(item.get("version", 1))
        here.add(place)
        act, name = judged.get(place), f"posts.json: {known}"
        if act is None:
            yield f"{name}: the chain has no act of judging it"
            continue
        bare = item["noun"] == "Redacted"
        yield from (f"{name}: {why}" for why in _differs(act, _digests(item, one["verdict"], bare=bare), one))
        if bare and redaction.place(item["account"], known, place[1]) not in removed:
            yield f"{name}: has no content, and the chain has no act of removing it"
        for folder, digest in (("evidence", one["evidence_sha256"]), ("rulebooks", one["rulebook_sha256"])):
            excused = bare or digest[: redaction.SHORT] in removed if digest else True
            if not excused and f"{folder}/{digest}.json" not in files:
                yield f"{name}: {folder}/{digest}.json is missing"
    yield from (
        f"posts.json: {subject}, version {version}, was judged and is not in it"
        for subject, version in judged
        if (subject, version) not in here
    )

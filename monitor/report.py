"""What happened, for an auditor: one page of HTML, and a zip with everything it rests on that can be checked without us.

`SHA256SUMS` in the zip is in the format of sha256sum(1). `audit.jsonl` holds the whole chain of hashes: this incident's
acts in full, of all others only the links, so that nothing can be left out of the middle unseen.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor import desk, record, safe
from monitor.incidents import durations
from monitor.model import Incident, Page, Post
from monitor.store import Kept, Store, link

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d1c1d}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #ddd;padding:4px 8px;text-align:left;vertical-align:top;overflow-wrap:anywhere}
blockquote{border-left:4px solid #ddd;margin:.5rem 0;padding:.2rem 0 .2rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere}code{font-size:12px;overflow-wrap:anywhere}"""


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything that is stored of one incident."""

    incident: Incident
    posts: list[Kept]
    pages: list[Page]
    acts: list[dict[str, Any]]
    same: list[str]  # of each post: whether the verdict comes out the same today


def gather(store: Store, number: int) -> Dossier:
    """Raises DeskError when there is no such incident."""
    incident = store.incident(number)
    if incident is None:
        raise desk.DeskError(f"there is no INC-{number}")
    posts = store.posts("incident = ?", (number,))
    rows = store.sql.execute("SELECT at, actor, action, subject, detail FROM audit WHERE subject = ? ORDER BY id", [f"INC-{number}"])
    return Dossier(incident, posts, store.pages.of(number), [dict(r) for r in rows], [desk.recomputed(store, k) for k in posts])


def export(store: Store, number: int, folder: Path, now: datetime) -> tuple[Path, Path]:
    """Write INC-<number>.html and INC-<number>.zip; returns both. Raises DeskError and OSError."""
    dossier = gather(store, number)
    page = html(dossier, now)
    files: dict[str, bytes] = {
        "report.html": page.encode(),
        "incident.json": _json(record.incident_row(dossier.incident) | {"id": number}),
        "posts.json": _json([_post(k, s) for k, s in zip(dossier.posts, dossier.same, strict=True)]),
        "pages.json": _json([{name: getattr(p, name) for name in p.__slots__} for p in dossier.pages]),
        "audit.jsonl": _chain(store, f"INC-{number}"),
    }
    for digest in sorted({k.evidence for k in dossier.posts if k.evidence}):
        row = store.sql.execute("SELECT body FROM evidence WHERE sha256 = ?", [digest]).fetchone()
        if row:
            files[f"evidence/{digest}.json"] = row[0]
    for digest in sorted({k.rulebook for k in dossier.posts}):
        row = store.sql.execute("SELECT context FROM rulebooks WHERE digest = ?", [digest]).fetchone()
        if row:
            files[f"rulebooks/{digest}.json"] = str(row[0]).encode()
    sums = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in sorted(files.items()))
    readable, archive = folder / f"INC-{number}.html", folder / f"INC-{number}.zip"
    readable.write_bytes(files["report.html"])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for name, body in [*files.items(), ("SHA256SUMS", sums.encode())]:
            out.writestr(zipfile.ZipInfo(name, now.timetuple()[:6]), body)
    return readable, archive


def verify(archive: Path) -> list[str]:
    """What is wrong with an exported zip; empty when every sum, every name and the chain of acts hold.

    Raises OSError and zipfile.BadZipFile.
    """
    wrong = []
    with zipfile.ZipFile(archive) as box:
        files = {name: box.read(name) for name in box.namelist()}
    listed = (line.partition("  ") for line in files.pop("SHA256SUMS", b"").decode().splitlines())
    said = {name: digest for digest, _, name in listed}
    wrong += [f"{name}: not in SHA256SUMS" for name in files if name not in said]
    wrong += [f"{name}: missing" for name in said if name not in files]
    wrong += [f"{name}: changed" for name, body in files.items() if name in said and hashlib.sha256(body).hexdigest() != said[name]]
    for name, body in files.items():
        folder, _, file = name.partition("/")
        if folder in ("evidence", "rulebooks") and hashlib.sha256(body).hexdigest() != file.removesuffix(".json"):
            wrong.append(f"{name}: is not what its name says")
    return wrong + _broken_chain(files.get("audit.jsonl", b""))


def _broken_chain(body: bytes) -> list[str]:
    previous = ""
    for number, text in enumerate(body.decode().splitlines(), 1):
        row = json.loads(text)
        if row["previous"] != previous:
            return [f"audit.jsonl: line {number} does not follow the one before"]
        if "action" in row and row["hash"] != link(previous, [row[c] for c in ("at", "actor", "action", "subject", "detail")]):
            return [f"audit.jsonl: line {number} was changed"]
        previous = row["hash"]
    return []


def _chain(store: Store, subject: str) -> bytes:
    lines = []
    for row in store.sql.execute("SELECT * FROM audit ORDER BY id"):
        kept = dict(row) if row["subject"] == subject else {"id": row["id"], "previous": row["previous"], "hash": row["hash"]}
        lines.append(json.dumps(kept, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()


def _post(kept: Kept, same: str) -> dict[str, Any]:
    return {
        "post": json.loads(record.dump(kept.post)), "verdict": json.loads(record.dump_verdict(kept.verdict)), "seen_at": record.stamp(kept.seen_at),
        "deleted_at": record.stamp(kept.deleted_at), "evidence_sha256": kept.evidence, "rulebook_sha256": kept.rulebook, "recomputed": same,
    }  # fmt: skip


# --- the page --------------------------------------------------------------------------------------


def html(dossier: Dossier, now: datetime) -> str:
    """One page that needs nothing else: no script, no style or picture from elsewhere."""
    one = dossier.incident
    e = safe.for_html
    sent = min((p.sent_at for p in dossier.pages if p.sent_at), default=None)
    took = f"{(sent - one.opened_at).total_seconds():.1f} s" if sent else "never"
    rows = [("State", f"{one.state.value} {one.outcome}"), ("Account", one.name), ("Why", one.reason), ("Opened", _when(one.opened_at)),
            ("First page accepted after", took), ("Then", durations(one) or "nobody acknowledged or resolved it"),
            ("Acknowledged by", one.acknowledged_by), ("Resolved by", one.resolved_by), ("Cause", one.cause)]  # fmt: skip
    facts = _table(("", ""), rows)
    posts = "".join(_shown(k, s) for k, s in zip(dossier.posts, dossier.same, strict=True)) or "<p>None.</p>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>INC-{one.id}</title><style>{_STYLE}</style>'
        f"<h1>INC-{one.id}: {e(one.headline)}</h1>{facts}<h2>Posts, as received</h2>{posts}"
        f"<h2>Timeline</h2>{_table(('at', 'who', 'what', 'more'), _timeline(dossier))}"
        f"<p>Written {_when(now)}. To check it: <code>hijack-monitor incidents verify INC-{one.id}.zip</code>, or unzip it and run "
        f"<code>sha256sum -c SHA256SUMS</code>. Links are defanged.</p></html>\n"
    )


def _shown(kept: Kept, same: str) -> str:
    e = safe.for_html
    item = kept.post
    text = item.text if isinstance(item, Post) else record.dump(item)
    gone = f", gone {_when(kept.deleted_at)}" if kept.deleted_at else ""
    return (
        f"<h3>{e(item.id)}, created {_when(item.created_at)}, seen {_when(kept.seen_at)}{gone}</h3><blockquote>{e(text)}</blockquote>"
        f"<p>{e(kept.verdict.severity.word)}: {e(kept.verdict.reason)} (recomputed: {e(same)})<br>evidence <code>{e(kept.evidence or 'none')}</code></p>"
    )


def _timeline(dossier: Dossier) -> list[tuple[str, ...]]:
    """Posts, pages and acts in one order."""
    lines = [(k.seen_at.isoformat(), _when(k.seen_at), "the platform", "post seen", k.post.id) for k in dossier.posts]
    lines += [
        (
            p.created_at.isoformat(),
            _when(p.sent_at) if p.sent_at else f"{_when(p.created_at)} (written)",
            p.route,
            f"{p.kind.value} {p.state}",
            p.reason,
        )
        for p in dossier.pages
    ]
    lines += [(a["at"], _when(datetime.fromisoformat(a["at"])), a["actor"], a["action"], a["detail"]) for a in dossier.acts]
    return [line[1:] for line in sorted(lines)]


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    top = f"<tr>{''.join(f'<th>{safe.for_html(h)}</th>' for h in head)}</tr>" if any(head) else ""
    return f"<table>{top}{''.join('<tr>' + ''.join(f'<td>{safe.for_html(str(c))}</td>' for c in row) + '</tr>' for row in rows)}</table>"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

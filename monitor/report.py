"""What happened, for an auditor: one page of HTML, and a zip with everything it rests on that can be checked without us.

`contents.json` lists every file with its hash, how many posts and acts there are and where the chain ends; `contents.sig`
is its Ed25519 signature. `SHA256SUMS` is in the format of sha256sum(1). `audit.jsonl` holds the whole chain of hashes:
this incident's acts in full, of all others only the links, so that nothing can be left out unseen. `report_check` reads it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor import answers, chain, desk, holds, kept_rules, post_rows, private, record, redaction, safe, sealed, signing
from monitor.holds import Hold
from monitor.incidents import durations
from monitor.model import Exact, Incident, Near, Page, Post, Redacted
from monitor.post_rows import Kept
from monitor.recomputing import Recomputing
from monitor.store import Store

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d1c1d}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #ddd;padding:4px 8px;text-align:left;vertical-align:top;overflow-wrap:anywhere}
blockquote{border-left:4px solid #ddd;margin:.5rem 0;padding:.2rem 0 .2rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere}code{font-size:12px;overflow-wrap:anywhere}"""
# Nothing of a post can run, load or lead anywhere in this page, whatever a browser makes of it: only our one style is let in.
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'"
)
ACT = sealed.FIELDS  # of a row of the audit chain
CONTENTS, SIGNATURE = "contents.json", "contents.sig"


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything that is stored of one incident."""

    incident: Incident
    posts: list[Kept]
    pages: list[Page]
    acts: list[dict[str, Any]]
    same: list[str]  # of each post: whether the verdict comes out the same today
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class _Chain:
    """The audit chain as JSON lines, how many, the hash of the last, and the first row that does not hold, or None."""

    lines: bytes
    acts: int
    head: str
    broken: int | None


def gather(store: Store, number: int) -> Dossier:
    """Raises DeskError when there is no such incident."""
    incident = store.incident(number)
    if incident is None:
        raise desk.DeskError(desk.no_incident(store, number))
    posts = store.posts("incident = ?", (number,), -1)
    acts = chain.acts(store.sql, number)
    return Dossier(
        incident,
        posts,
        store.pages.of(number),
        acts,
        Recomputing(store, posts).in_words(posts),
        holds.every(store).get(number),
    )


def export(store: Store, number: int, folder: Path, now: datetime, secret: bytes) -> tuple[Path, Path]:
    """Write INC-<number>.html and INC-<number>.zip; returns both. All of the audit chain is verified. `secret` is the installation's. Raises DeskError and OSError."""
    dossier = gather(store, number)
    acts = _chain(store, dossier)
    files = _files(store, dossier, acts, now)
    files["SHA256SUMS"] = _sums(files)
    contents = _contents(dossier, acts, files, now, signing.public(secret))
    files |= {CONTENTS: contents, SIGNATURE: signing.sign(secret, contents)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for name, body in files.items():
            out.writestr(zipfile.ZipInfo(name, now.timetuple()[:6]), body, zipfile.ZIP_DEFLATED)
    readable, archive = folder / f"INC-{number}.html", folder / f"INC-{number}.zip"
    private.write(readable, files["report.html"])
    private.write(archive, packed.getvalue())
    if acts.broken is not None:
        raise desk.DeskError(f"{archive} is written, but the audit chain is broken at row {acts.broken}: somebody changed the database")
    return readable, archive


def _files(store: Store, dossier: Dossier, acts: _Chain, now: datetime) -> dict[str, bytes]:
    """What an export holds, by name; each evidence and each rulebook under its hash."""
    files: dict[str, bytes] = {
        "report.html": html(dossier, now).encode(),
        "incident.json": _json(
            record.incident_row(dossier.incident) | {"id": dossier.incident.id, "hold": dossier.hold.row() if dossier.hold else None}
        ),
        "posts.json": _json([_post(store, k, s) for k, s in zip(dossier.posts, dossier.same, strict=True)]),
        "pages.json": _json([{name: getattr(p, name) for name in p.__slots__} for p in dossier.pages]),
        "audit.jsonl": acts.lines,
    }
    for digest in sorted({k.evidence for k in dossier.posts if k.evidence}):
        if (body := store.evidence(digest)) is not None:
            files[f"evidence/{digest}.json"] = body
    for digest in sorted({k.rulebook for k in dossier.posts}):
        if (context := kept_rules.get(store.sql, digest)) is not None:
            files[f"rulebooks/{digest}.json"] = context.encode()
    return files


def _sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in sorted(files.items())).encode()


def _contents(dossier: Dossier, acts: _Chain, files: dict[str, bytes], now: datetime, public: bytes) -> bytes:
    """What is signed: every file with its size and hash, how many posts and acts there are, and where the chain ends."""
    listed = [{"name": n, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()} for n, body in sorted(files.items())]
    return _json(
        {
            "form": 1,
            "incident": dossier.incident.id,
            "written_at": record.stamp(now),
            "posts": len(dossier.posts),
            "acts": acts.acts,
            "chain_head": acts.head,
            "chain_broken_at": acts.broken,
            "public_key": public.hex(),
            "key": signing.fingerprint(public),
            "files": listed,
        }
    )


def _chain(store: Store, dossier: Dossier) -> _Chain:
    """The whole chain: what concerns this incident, its posts and the registrations they matched in full, of the rest the links."""
    ours = {f"INC-{dossier.incident.id}"} | {f"{k.post.account}/{k.post.id}" for k in dossier.posts}
    ours |= {f"#{k.verdict.match.approved}" for k in dossier.posts if isinstance(k.verdict.match, Exact | Near)}
    ours |= {answers.act_of(k.evidence) for k in dossier.posts if k.evidence}
    bare = {redaction.place(k.post.account, k.post.id, k.post.version) for k in dossier.posts if isinstance(k.post, Redacted)}
    bare |= {k.evidence[: redaction.SHORT] for k in dossier.posts if k.evidence}
    versions = {(f"{k.post.account}/{k.post.id}", getattr(k.post, "version", 1)) for k in dossier.posts}

    def whole(action: str, subject: str, detail: str) -> bool:
        if action == chain.FORGOTTEN:  # it excuses what other rows lack
            return True
        mine = subject in ours and not (action == "post judged" and (subject, json.loads(detail)["version"]) not in versions)
        return mine or not bare.isdisjoint(redaction.removed(action, detail))

    encode, lines, walk = json.JSONEncoder(ensure_ascii=False).encode, list[str](), chain.Walk()
    while rows := walk.next(store.sql):
        for row in rows:
            number, previous, linked, _, _, action, subject, detail = row
            if whole(action, subject, detail):
                lines.append(encode(dict(zip(("id", "previous", "hash", *ACT), row, strict=True))))
            elif previous.isalnum() and linked.isalnum():  # as they should be; there are half a million of them
                lines.append(f'{{"id": {number}, "previous": "{previous}", "hash": "{linked}"}}')
            else:
                lines.append(encode({"id": number, "previous": previous, "hash": linked}))
    return _Chain("".join(f"{line}\n" for line in lines).encode(), len(lines), walk.mark.hash, walk.broken())


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str).encode()


def _post(store: Store, kept: Kept, same: str) -> dict[str, Any]:
    """A post with its stored values as they stand: what the chain's hashes are of, whichever version wrote them."""
    key = [kept.post.account, kept.post.id, getattr(kept.post, "version", 1)]
    query = f"SELECT {post_rows.COLUMNS} FROM posts WHERE account = ? AND id = ? AND version = ?"  # noqa: S608 - ours
    said = post_rows.said(store.sql.execute(query, key).fetchone())
    return {
        "post": said.post, "verdict": said.verdict, "seen_at": record.stamp(kept.seen_at),
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
            ("Legal hold", str(dossier.hold or "none")), ("Acknowledged by", one.acknowledged_by), ("Resolved by", one.resolved_by), ("Cause", one.cause)]  # fmt: skip
    facts = _table(("", ""), rows)
    posts = "".join(_shown(k, s) for k, s in zip(dossier.posts, dossier.same, strict=True)) or "<p>None.</p>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="referrer" content="no-referrer"><title>INC-{one.id}</title><style>{_STYLE}</style>'
        f"<h1>INC-{one.id}: {e(one.headline)}</h1>{facts}<h2>Posts, as received</h2>{posts}"
        f"<h2>Timeline</h2>{_table(('at', 'who', 'what', 'more'), _timeline(dossier))}"
        f"<p>Written {_when(now)}. To check it: <code>hijack-monitor incidents verify INC-{one.id}.zip --anchor … --key …</code> with the "
        f"anchor of a page of that time, or unzip it and run <code>sha256sum -c SHA256SUMS</code>. Links are defanged.</p></html>\n"
    )


def _shown(kept: Kept, same: str) -> str:
    e = safe.for_html
    item = kept.post
    text = item.text if isinstance(item, Post) else str(item) if isinstance(item, Redacted) else record.dump(item)
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
    lines += [
        (a["at"], _when(datetime.fromisoformat(a["at"])) if a["at"] else "", a["actor"], a["action"], a["detail"]) for a in dossier.acts
    ]
    return [line[1:] for line in sorted(lines)]


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    top = f"<tr>{''.join(f'<th>{safe.for_html(h)}</th>' for h in head)}</tr>" if any(head) else ""
    return f"<table>{top}{''.join('<tr>' + ''.join(f'<td>{safe.for_html(str(c))}</td>' for c in row) + '</tr>' for row in rows)}</table>"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

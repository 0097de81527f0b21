"""The database's shape, and every step by which it came to be.

Times are ISO 8601 in UTC with microseconds, so that they sort as text.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from collections.abc import Callable

from monitor import counters, post_rows, record, sealed

Step = str | Callable[[sqlite3.Connection], None]


def take(connection: sqlite3.Connection, step: Step) -> None:
    """Inside a transaction: all steps that a database lacks are one."""
    if isinstance(step, str):
        run(connection, step)
    else:
        step(connection)


def run(connection: sqlite3.Connection, statements: str) -> None:
    """Each ends with a semicolon at the end of its line. Not `executescript`, which commits before it begins."""
    for statement in statements.split(";\n"):
        if statement.strip():
            connection.execute(statement)


_FIRST = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE accounts(
  key TEXT PRIMARY KEY, handle TEXT NOT NULL, cursor TEXT, first_seen TEXT, profile TEXT,
  last_ok TEXT, failing_since TEXT, failures INT NOT NULL DEFAULT 0, last_error TEXT, error_kind TEXT
) STRICT;
CREATE TABLE evidence(sha256 TEXT PRIMARY KEY, received_at TEXT NOT NULL, body BLOB NOT NULL) STRICT;
CREATE TABLE posts(
  account TEXT NOT NULL, id TEXT NOT NULL, version INT NOT NULL, kind TEXT NOT NULL, created_at TEXT NOT NULL,
  seen_at TEXT NOT NULL, post TEXT NOT NULL, severity INT NOT NULL, verdict TEXT NOT NULL,
  rulebook TEXT NOT NULL, evidence TEXT, baseline INT NOT NULL DEFAULT 0, incident INT,
  note INT, deleted_at TEXT, PRIMARY KEY(account, id, version)
) STRICT;
CREATE INDEX posts_incident ON posts(incident);
CREATE INDEX posts_recent ON posts(account, created_at);
CREATE TABLE rulebooks(digest TEXT PRIMARY KEY, loaded_at TEXT NOT NULL, context TEXT NOT NULL) STRICT;
CREATE TABLE approved(
  id INTEGER PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, field TEXT NOT NULL DEFAULT '',
  text TEXT NOT NULL, links TEXT NOT NULL DEFAULT '[]', media INT NOT NULL DEFAULT 0,
  not_before TEXT NOT NULL, not_after TEXT NOT NULL, approved_by TEXT NOT NULL, created_at TEXT NOT NULL,
  external_id TEXT UNIQUE, used_by TEXT NOT NULL DEFAULT '', used_at TEXT, withdrawn_by TEXT,
  withdrawn_at TEXT, revision INT NOT NULL
) STRICT;
CREATE INDEX approved_revision ON approved(revision);
CREATE TABLE incidents(
  id INTEGER PRIMARY KEY, subject TEXT NOT NULL, name TEXT NOT NULL, severity INT NOT NULL,
  headline TEXT NOT NULL, reason TEXT NOT NULL, opened_at TEXT NOT NULL, last_at TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN ('open', 'acknowledged', 'resolved')), posts INT NOT NULL,
  hosts TEXT NOT NULL, skeletons TEXT NOT NULL, previous INT, acknowledged_by TEXT NOT NULL,
  acknowledged_at TEXT, resolved_by TEXT NOT NULL, resolved_at TEXT, cause TEXT NOT NULL,
  last_paged_at TEXT, pages INT NOT NULL, steps INT NOT NULL
) STRICT;
CREATE UNIQUE INDEX incident_one_open ON incidents(subject) WHERE state != 'resolved';
CREATE TABLE pages(
  id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, incident INT NOT NULL REFERENCES incidents,
  route TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, mentions TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'ready'
    CHECK(state IN ('ready', 'sending', 'unknown', 'sent', 'superseded', 'dead')),
  attempts INT NOT NULL DEFAULT 0, looks INT NOT NULL DEFAULT 0, plain INT NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL, next_at TEXT NOT NULL, fallback_at TEXT, sent_at TEXT,
  receipt TEXT NOT NULL DEFAULT '', last_error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX pages_unfinished ON pages(incident, route, id) WHERE state IN ('ready', 'sending', 'unknown');
CREATE INDEX pages_incident ON pages(incident, route, kind);
CREATE TABLE audit(
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
  subject TEXT NOT NULL, detail TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
"""


def _first(db: sqlite3.Connection) -> None:
    run(db, _FIRST)
    db.execute("INSERT INTO meta VALUES('install', ?), ('revision', '0')", [secrets.token_hex(4)])


def _post_digests(db: sqlite3.Connection) -> None:
    """From now on the chain says of each post what was seen and decided; of those that are there, as they are now."""
    last = db.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    previous = last[0] if last else ""
    columns = "account, id, version, post, verdict, evidence, rulebook, seen_at"
    for account, identifier, version, post, verdict, evidence, rulebook, seen_at in db.execute(
        f"SELECT {columns} FROM posts ORDER BY rowid"  # noqa: S608 - ours
    ):  # row by row: years of posts are more than a small machine has memory
        said = {"version": version, "upgraded": True, **record.digests(post, verdict, evidence, rulebook)}
        row = [seen_at, "monitor", "post judged", f"{account}/{identifier}", json.dumps(said, ensure_ascii=False, sort_keys=True)]
        linked = record.link(previous, row)
        db.execute(
            "INSERT INTO audit(at, actor, action, subject, detail, previous, hash) VALUES(?, ?, ?, ?, ?, ?, ?)", [*row, previous, linked]
        )
        previous = linked


_REPLACING = """
ALTER TABLE approved ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN replaces INT NOT NULL DEFAULT 0;
"""
_IN_FORCE = """
CREATE UNIQUE INDEX approved_in_force ON approved(external_id, source, account) WHERE withdrawn_at IS NULL AND after = 0;
CREATE INDEX approved_external ON approved(external_id);
CREATE INDEX approved_after ON approved(after) WHERE after != 0;
"""


def _replacing(db: sqlite3.Connection) -> None:
    """An external id is unique among what is in force of one plan, no longer for ever: what was withdrawn may be registered again.

    SQLite takes a constraint away only with its table: https://sqlite.org/lang_altertable.html#otheralter.
    """
    run(db, _REPLACING)
    made = db.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'approved'").fetchone()[0]
    indexes = db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'approved' AND sql IS NOT NULL").fetchall()
    for old, new in (("CREATE TABLE approved(", "CREATE TABLE approved_anew("), ("external_id TEXT UNIQUE", "external_id TEXT")):
        assert old in made
        made = made.replace(old, new)
    db.execute(made)
    db.execute("INSERT INTO approved_anew SELECT * FROM approved")
    db.execute("DROP TABLE approved")
    db.execute("ALTER TABLE approved_anew RENAME TO approved")
    for (index,) in indexes:
        db.execute(index)
    run(db, _IN_FORCE)


def _own_ids(db: sqlite3.Connection) -> None:
    """Each account of a row is registered by the row's own id; all but the first had their account glued behind it.

    Where that id is already in force for the account, the older registration keeps what it was called.
    """
    query = "SELECT id, external_id, account FROM approved WHERE external_id LIKE '%@%:%:%'"
    for number, external_id, account in db.execute(query).fetchall():
        platform, realm, _ = account.split(":", 2)
        if own := external_id.rpartition(f"@{platform}:{realm}:")[0]:  # behind it the account's id, or its handle
            db.execute("UPDATE OR IGNORE approved SET external_id = ? WHERE id = ?", [own, number])


_NAMED_STEP = re.compile(r"[^:]*:inc[0-9]+:[a-z]+:([0-9]{1,15}):")  # how a page's key begins


def _counted_steps(db: sqlite3.Connection) -> None:
    """What is said of an incident is counted on it, from behind the highest number that one of its pages has."""
    db.execute("ALTER TABLE incidents ADD COLUMN next_step INT NOT NULL DEFAULT 0")
    behind: dict[int, int] = {}
    for incident, key in db.execute("SELECT incident, key FROM pages"):
        if found := _NAMED_STEP.match(key):
            behind[incident] = max(behind.get(incident, 0), int(found[1]) + 1)
    db.executemany("UPDATE incidents SET next_step = ? WHERE id = ?", [(number, incident) for incident, number in behind.items()])


OF_OURSELVES = (  # incidents about the monitor itself, word for word as whoever looks for them writes it: else SQLite does not use the index
    "(subject = 'replay::drill' OR (subject >= 'blind:' AND subject < 'blind;') OR (subject >= 'drift:' AND subject < 'drift;')"
    " OR (subject >= 'gap:' AND subject < 'gap;') OR (subject >= 'silence:' AND subject < 'silence;'))"
)
_RETENTION = f"""
ALTER TABLE posts ADD COLUMN redacted_at TEXT;
CREATE INDEX posts_gone ON posts(deleted_at) WHERE deleted_at IS NOT NULL AND redacted_at IS NULL AND incident IS NULL;
CREATE INDEX posts_incident_evidence ON posts(evidence) WHERE incident IS NOT NULL AND redacted_at IS NULL;
CREATE INDEX posts_incident_rulebook ON posts(rulebook) WHERE incident IS NOT NULL AND redacted_at IS NULL;
CREATE INDEX posts_incident_kept ON posts(seen_at) WHERE incident IS NOT NULL AND redacted_at IS NULL;
ALTER TABLE approved ADD COLUMN redacted_at TEXT;
ALTER TABLE approved ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
CREATE INDEX approved_ended ON approved(not_after, id) WHERE redacted_at IS NULL;
ALTER TABLE rulebooks ADD COLUMN used_at TEXT;
CREATE INDEX rulebooks_used ON rulebooks(used_at);
CREATE INDEX inbox_done ON inbox(done_at) WHERE done_at IS NOT NULL;
CREATE INDEX incidents_own_over ON incidents(resolved_at) WHERE state = 'resolved' AND {OF_OURSELVES};
CREATE INDEX incidents_over ON incidents(resolved_at) WHERE state = 'resolved' AND NOT {OF_OURSELVES};
CREATE TABLE holds(incident INTEGER PRIMARY KEY, who TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE forgotten(
  account TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY(account, id)
) STRICT, WITHOUT ROWID;
"""


def _retention(db: sqlite3.Connection) -> None:
    """What finds what is old. Rules were in use for as long as posts were judged by them."""
    run(db, _RETENTION)
    used = db.execute("SELECT rulebook, max(seen_at) FROM posts GROUP BY rulebook").fetchall()
    db.execute("UPDATE rulebooks SET used_at = loaded_at")
    db.executemany("UPDATE rulebooks SET used_at = max(used_at, ?2) WHERE digest = ?1", used)


_INDEXES = """
CREATE INDEX posts_baseline ON posts(created_at) WHERE baseline = 1;
CREATE INDEX posts_untold ON posts(incident) WHERE note IS NULL AND incident IS NOT NULL;
CREATE INDEX posts_note ON posts(note) WHERE note IS NOT NULL;
CREATE INDEX posts_profile ON posts(account, seen_at) WHERE kind = 'profile';
CREATE INDEX approved_by_handle ON approved(account) WHERE instr(account, ':@') > 0;
CREATE INDEX incidents_subject ON incidents(subject);
CREATE INDEX incidents_resolved ON incidents(resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX pages_accepted ON pages(route, sent_at) WHERE state = 'sent';
CREATE INDEX silences_running ON silences(ends_at) WHERE ended_by = '';
CREATE INDEX silences_begun ON silences(starts_at);
CREATE INDEX announcements_receipt ON announcements(receipt) WHERE receipt != '';
CREATE INDEX announcements_unsent ON announcements(created_at) WHERE receipt = '';
"""

_PACKED_REGISTRATIONS = """
ALTER TABLE approved ADD COLUMN packed BLOB;
ALTER TABLE approved ADD COLUMN opens INT;
ALTER TABLE approved ADD COLUMN used INT;
ALTER TABLE announcements ADD COLUMN batch TEXT NOT NULL DEFAULT '';
UPDATE announcements SET batch = coalesce((SELECT batch FROM approved WHERE announcement = announcements.id LIMIT 1), '');
CREATE INDEX announcements_batch ON announcements(batch) WHERE batch != '';
DROP INDEX approved_batch;
DROP INDEX approved_ended;
CREATE INDEX approved_last_day ON approved(substr(not_after, 1, 10)) WHERE redacted_at IS NULL;
DROP INDEX approved_in_force;
CREATE UNIQUE INDEX approved_unused ON approved(external_id, source, account) WHERE withdrawn_at IS NULL AND after = 0 AND used_by = '';
DELETE FROM meta WHERE key = 'pruned:registrations';
"""


# In the order in which a database takes those that it lacks. What a step does stays as it is once it was released under its name.
STEPS: dict[str, Step] = {
    "0001_first": _first,
    "0002_pictures_threads_context": """
ALTER TABLE approved ADD COLUMN pictures TEXT NOT NULL DEFAULT '[]';
ALTER TABLE approved ADD COLUMN after INT NOT NULL DEFAULT 0;
ALTER TABLE approved ADD COLUMN part INT NOT NULL DEFAULT 0;
ALTER TABLE approved ADD COLUMN parts INT NOT NULL DEFAULT 0;
ALTER TABLE approved ADD COLUMN conversation TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE posts ADD COLUMN context TEXT NOT NULL DEFAULT '{}';
ALTER TABLE posts ADD COLUMN words TEXT;
ALTER TABLE accounts ADD COLUMN habits TEXT;
""",
    "0003_people_routes_silences": """
ALTER TABLE incidents ADD COLUMN since TEXT;
ALTER TABLE incidents ADD COLUMN held_until TEXT;
ALTER TABLE incidents ADD COLUMN holder TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN silence INT;
ALTER TABLE pages ADD COLUMN step TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN good INT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN gap_from TEXT;
ALTER TABLE accounts ADD COLUMN gap_to TEXT;
ALTER TABLE accounts ADD COLUMN missed TEXT NOT NULL DEFAULT '';
CREATE TABLE inbox(
  envelope TEXT PRIMARY KEY, dedupe TEXT UNIQUE NOT NULL, received_at TEXT NOT NULL, kind TEXT NOT NULL,
  body TEXT NOT NULL, done_at TEXT, outcome TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX inbox_waiting ON inbox(received_at) WHERE done_at IS NULL;
CREATE TABLE silences(
  id INTEGER PRIMARY KEY, account TEXT NOT NULL, words TEXT NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL,
  starts_at TEXT NOT NULL, ends_at TEXT NOT NULL, ended_by TEXT NOT NULL DEFAULT '', announced INT NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE votes(
  incident INT NOT NULL REFERENCES incidents, account TEXT NOT NULL, post TEXT NOT NULL, version INT NOT NULL,
  who TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY(incident, account, post, version, who)
) STRICT;
CREATE INDEX audit_subject ON audit(subject);
CREATE INDEX incidents_unresolved ON incidents(id) WHERE state != 'resolved';
""",
    "0004_streams_spending_oddities": """
CREATE TABLE billed(
  day TEXT NOT NULL, kind TEXT NOT NULL, resource TEXT NOT NULL, PRIMARY KEY(day, kind, resource)
) STRICT, WITHOUT ROWID;
CREATE TABLE spending(day TEXT NOT NULL, kind TEXT NOT NULL, resources INT NOT NULL, PRIMARY KEY(day, kind)) STRICT;
CREATE TABLE oddities(
  what TEXT PRIMARY KEY, seen INT NOT NULL, first_at TEXT NOT NULL, last_at TEXT NOT NULL, sample TEXT
) STRICT;
ALTER TABLE accounts ADD COLUMN told_by TEXT NOT NULL DEFAULT '';
CREATE INDEX posts_edited ON posts(account, json_extract(post, '$.root_id'));
""",
    "0007_posts": """
CREATE TABLE unseen_versions(
  account TEXT NOT NULL, id TEXT NOT NULL, version INT NOT NULL, versions INT NOT NULL, root TEXT NOT NULL, noticed_at TEXT NOT NULL,
  PRIMARY KEY(account, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX posts_id ON posts(id);
""",
    "0008_pictures": "ALTER TABLE approved ADD COLUMN alt TEXT NOT NULL DEFAULT '[]'",
    "0010_approvals": """
ALTER TABLE approved ADD COLUMN registered_by TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN registrant TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN via TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN batch TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN confirmed_at TEXT;
ALTER TABLE approved ADD COLUMN confirmed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE approved ADD COLUMN announcement INT;
UPDATE approved SET announcement = 0;
UPDATE approved SET confirmed_at = created_at, confirmed_by = approved_by WHERE external_id LIKE 'approved:%';
CREATE INDEX approved_unannounced ON approved(batch) WHERE announcement IS NULL;
CREATE INDEX approved_announcement ON approved(announcement);
CREATE INDEX approved_batch ON approved(batch);
CREATE TABLE announcements(
  id INTEGER PRIMARY KEY, created_at TEXT NOT NULL, next_at TEXT NOT NULL, attempts INT NOT NULL DEFAULT 0,
  plain INT NOT NULL DEFAULT 0, channel TEXT NOT NULL DEFAULT '', receipt TEXT NOT NULL DEFAULT '',
  revision INT NOT NULL DEFAULT 0, stale INT NOT NULL DEFAULT 1, last_error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX announcements_due ON announcements(next_at) WHERE stale = 1;
""",
    "0013_posts_in_the_audit_chain": _post_digests,
    "0011_slack": """
ALTER TABLE silences ADD COLUMN waits INT NOT NULL DEFAULT 0;
ALTER TABLE silences ADD COLUMN asker TEXT NOT NULL DEFAULT '';
ALTER TABLE silences ADD COLUMN told TEXT NOT NULL DEFAULT '{}';
""",
    "0005_words": "ALTER TABLE approved ADD COLUMN used_near INT NOT NULL DEFAULT 0",
    "0006_context": """
ALTER TABLE approved ADD COLUMN shown TEXT NOT NULL DEFAULT '[]';
ALTER TABLE approved ADD COLUMN most INT NOT NULL DEFAULT 0;
""",
    "0014_rule_hits": """
CREATE TABLE rule_hits(rule TEXT PRIMARY KEY, posts INT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO rule_hits SELECT json_extract(f.value, '$.rule'), count(*) FROM posts, json_each(posts.verdict, '$.findings') f
  WHERE baseline = 0 AND account != 'replay::drill' GROUP BY 1;
""",
    "0016_first_sight": """
ALTER TABLE accounts ADD COLUMN known_since TEXT;
CREATE TABLE first_sights(
  account TEXT NOT NULL, at TEXT NOT NULL, posts INT NOT NULL, accused TEXT NOT NULL, told INT NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX first_sights_untold ON first_sights(account) WHERE told = 0;
""",
    "0020_replacing": _replacing,
    "0019_alone": "ALTER TABLE incidents ADD COLUMN alone INT NOT NULL DEFAULT 0",
    "0021_rows_of_several_accounts": _own_ids,
    "0022_counted_steps": _counted_steps,
    "0025_retention": _retention,
    "0023_counters": counters.create,
    "0024_lean": """
DROP INDEX audit_subject;
CREATE INDEX audit_of_incidents ON audit(subject) WHERE subject >= 'INC-' AND subject < 'INC.';
""",
    "0027_indexes": _INDEXES,
    "0028_rules_by_day": counters.RULES_BY_DAY,
    "0030_packed_registrations": _PACKED_REGISTRATIONS,
    "0032_packed_rules": "ALTER TABLE rulebooks ADD COLUMN packed BLOB",
    "0029_packed_posts": post_rows.STEP,
    "0031_sealed_acts": sealed.TABLES,
}

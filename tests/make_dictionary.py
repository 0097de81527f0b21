"""`python -m tests.make_dictionary answers|rows`: trains the dictionary that platform answers are packed with, or the one for posts and
registrations, on answers of our own stand-in and what becomes of them.

What is stored names its dictionary by its number: a new one gets a new number in `monitor.packing` and a new file, the old ones stay.
Tests measure on others than these, made with another seed.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from backports import zstd

from monitor import packing
from monitor.store import Store
from tests import years

SIZE = 24 << 10  # bytes: larger ones gained less than a hundredth
SEED = 5


class _Collecting(Store):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.bodies: list[bytes] = []

    def keep_evidence(self, body: bytes, now: datetime) -> str:
        """Packs nothing: there may be no dictionary yet."""
        self.bodies.append(body)
        return hashlib.sha256(body).hexdigest()

    def rows(self) -> list[bytes]:
        """Posts and registrations, as they are packed."""
        posts = self.sql.execute("SELECT packed FROM posts").fetchall()
        planned = self.sql.execute("SELECT packed FROM approved").fetchall()
        return [packing.unpack(row[0]) for row in (*posts, *planned)]


FORMS = {packing.ANSWERS: lambda store: store.bodies, packing.ROWS: _Collecting.rows}


def main(number: int) -> None:
    """Write it down."""
    with tempfile.TemporaryDirectory() as folder:
        store = _Collecting(Path(folder) / "monitor.db")
        years._Years(store, years.Size(1 / 120, evidence_days=0, seed=SEED)).live()
        bodies = FORMS[number](store)
        store.close()
    trained = zstd.train_dict(bodies, SIZE).dict_content
    named = trained[:4] + number.to_bytes(4, "little") + trained[8:]
    file = packing._FOLDER / f"{number}.zdict"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(named)
    packed = sum(len(packing.pack(body, number)) for body in bodies)
    print(f"{file}: {len(named):,} bytes, {len(bodies):,} bodies of {sum(map(len, bodies)):,} bytes in {packed:,}")


if __name__ == "__main__":
    main({"answers": packing.ANSWERS, "rows": packing.ROWS}[sys.argv[1]])

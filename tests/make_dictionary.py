"""`python -m tests.make_dictionary`: trains the dictionary that platform answers are packed with, on answers of our own stand-in.

Bodies that are stored name their dictionary by its number: a new one gets a new number in `monitor.packing` and a new file, the old
ones stay. Tests measure on other answers than these, made with another seed.
"""

from __future__ import annotations

import hashlib
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


def main() -> None:
    """Write it down."""
    with tempfile.TemporaryDirectory() as folder:
        store = _Collecting(Path(folder) / "monitor.db")
        years._Years(store, years.Size(1 / 120, evidence_days=0, seed=SEED)).live()
        store.close()
    trained = zstd.train_dict(store.bodies, SIZE).dict_content
    named = trained[:4] + packing.DICTIONARY.to_bytes(4, "little") + trained[8:]
    file = packing._FOLDER / f"{packing.DICTIONARY}.zdict"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(named)
    packed = sum(len(packing.pack(body)) for body in store.bodies)
    print(f"{file}: {len(named):,} bytes, {len(store.bodies):,} answers of {sum(map(len, store.bodies)):,} bytes in {packed:,}")


if __name__ == "__main__":
    main()

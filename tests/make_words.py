"""Writes monitor/_words/english.zz from SCOWL as Debian packs it, and from tests/words_beside_scowl.txt.

    apt-get download scowl && dpkg-deb -x scowl_*.deb /tmp/scowl
    make words FROM=/tmp/scowl/usr/share

Everything goes in: every size, American, British, Canadian and Australian spelling with their variants, names, short
forms, hackers' words, and each word of a longer entry. A real word that is missing here is a change of meaning that wakes
nobody. Marks on letters and apostrophes are dropped, as people drop them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path

from monitor.verdict.vocabulary import COMMON, SIZES

HERE = Path(__file__).parent
TARGET = HERE.parent / "monitor" / "_words"
_NAME = re.compile(r"(?P<spelling>.+?)-(?P<kind>words|contractions|upper|proper-names|abbreviations|hacker|roman-numerals)\.(?P<size>\d\d)")
_MAIN = re.compile("english|american|british|british_z|canadian|australian")
_NOTE = """The list of English words in english.zz was made from SCOWL 2020.12.07 by tests/make_words.py. It is a modified version: the lists
are merged, letters are lower-case and without marks, and words of the field were added. What follows is SCOWL's copyright
as Debian gives it.

"""


def plain(word: str) -> str:
    """Lower-case, without marks on letters."""
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).casefold()


def forms(word: str) -> Iterator[str]:
    """An entry as it is posted: without its apostrophe, without its possessive, and each part of a longer one."""
    word = plain(word)
    yield word.replace("'", "")
    yield word.removesuffix("'s")
    yield from re.split(r"[^a-z]+", word)


def sized(folder: Path) -> dict[str, int]:
    """Each word with the smallest of our sizes it has; only ordinary words of the main spellings are common ones."""
    found: dict[str, int] = {}

    def put(word: str, size: int) -> None:
        if re.fullmatch("[a-z]{2,}", word):
            found[word] = min(size, found.get(word, size))

    for path in sorted(folder.iterdir()):
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise SystemExit(f"{path.name} is no file of SCOWL's that this script knows")
        size = next(s for s in SIZES if int(name["size"]) <= s)
        ordinary = name["kind"] == "words" and _MAIN.fullmatch(name["spelling"])
        for word in path.read_text(encoding="utf-8").split("\n"):
            for form in forms(word):
                put(form, size if ordinary and form == word else SIZES[-1])
    usual, names = re.sub("(?m)^#.*", "", (HERE / "words_beside_scowl.txt").read_text()).strip().split("\n\n")
    for text, size in ((usual, COMMON), (names, SIZES[-1])):
        for word in text.split():
            put(word, size)
    return found


def main() -> None:
    """Write the list and its licence."""
    share = Path(sys.argv[1])
    found = sized(share / "dict" / "scowl")
    parts = ["\n".join(sorted(w for w, s in found.items() if s == size)).encode("ascii") for size in SIZES]
    packed = [zlib.compress(part, 9) for part in parts]
    lengths = " ".join(f"{len(small)} {len(part)}" for small, part in zip(packed, parts, strict=True))
    TARGET.mkdir(exist_ok=True)
    (TARGET / "english.zz").write_bytes(lengths.encode("ascii") + b"\n" + b"".join(packed))
    (TARGET / "LICENSE").write_text(_NOTE + (share / "doc" / "scowl" / "copyright").read_text(encoding="utf-8"), encoding="utf-8")
    by_size = {size: len(part.split()) for size, part in zip(SIZES, parts, strict=True)}
    print(f"{len(found)} words, by size {by_size}; {(TARGET / 'english.zz').stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""What a post resembles. Resemblance explains a page; it never excuses one."""

from __future__ import annotations

from collections import Counter

from rapidfuzz.distance import Levenshtein

from monitor.model import ApprovedPost, NoMatch, Post
from monitor.verdict.critical import bare, critical_tokens, danger


def explained(one: ApprovedPost, registered: str, text: str, post: Post, similarity: int) -> NoMatch:
    """Nobody registered this post, and what makes it differ from the registration nearest to it, the most dangerous first."""
    ours, theirs = Counter(critical_tokens(registered)), Counter(critical_tokens(text))
    gone, came = sorted((ours - theirs).elements(), key=_dangerous), sorted((theirs - ours).elements(), key=_dangerous)
    pairs = [f"“{a[:80]}” became “{b[:80]}”" for a, b in zip(gone, came, strict=False)]
    changed = [(min(danger(a), danger(b)), d) for a, b, d in zip(gone, came, pairs, strict=False)]
    changed += [(danger(word), f"“{word[:80]}” added") for word in came[len(gone) :]]
    changed += [(danger(word), f"“{word[:80]}” missing") for word in gone[len(came) :]]
    differences = [words for _, words in sorted(changed, key=lambda c: c[0])]
    differences += _word_differences(registered.split(" ")[:300], text.split(" ")[:300])
    where = "" if one.account == post.account else ", which is for another account"
    reason = f"nobody registered this post; {similarity} % like registered post #{one.id}{where}"
    return NoMatch(reason, one.id, similarity, tuple(dict.fromkeys(differences))[:5])


def _dangerous(word: str) -> tuple[int, str]:
    return danger(bare(word)), word


def _word_differences(registered: list[str], posted: list[str]) -> list[str]:
    out = []
    for code in Levenshtein.opcodes(registered, posted):
        before = " ".join(registered[code.src_start : code.src_end])[:80]
        after = " ".join(posted[code.dest_start : code.dest_end])[:80]
        if code.tag == "replace":
            out.append(f"“{before}” became “{after}”")
        elif code.tag != "equal":
            out.append(f"“{after}” added" if after else f"“{before}” missing")
    return out

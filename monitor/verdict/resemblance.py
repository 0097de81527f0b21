"""What a post resembles. Resemblance explains a page; it never excuses one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC

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
    before, after = registered.split(), text.split()
    differences += _word_differences(before[:300], after[:300]) if before != after else ["the words are the same, lines or blanks are not"]
    where = "" if one.account == post.account else ", which is for another account"
    used = f", which was {used_up(one)}" if one.used_by and not where else ""
    reason = f"nobody registered this post; {similarity} % like registered post #{one.id}{where}{used}"
    return NoMatch(reason, one.id, similarity, tuple(dict.fromkeys(differences))[:5])


def used_up(one: ApprovedPost) -> str:
    """When a registration was used, and whether by its own post."""
    when = f"{one.used_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if one.used_at else "an unknown time"
    by = " by a post that was one slip away from it; a corrected post needs a new registration" if one.used_near else ""
    return f"already used at {when}{by}"


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

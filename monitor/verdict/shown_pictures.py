"""The pictures of a post and their alt texts, compared with those that its registration names."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator

from monitor.model import ApprovedPost, Media, Post
from monitor.verdict.text import canonical

# Bits of 256 that may differ. Making a picture smaller and JPEG moves up to 4, another QR code in a corner 20 and
# more (60 pictures each, `make eval`); the 31 of PDQ's authors is for finding near copies, not for excusing.
SAME_PICTURE = 12
# Of 255 that the colour of one spot may differ. What X makes of an upload (JPEG, at most 1,200 pixels a side) moves up to 28;
# another address of 36 pixels' letters in a picture 1,200 wide 90, of 24 pixels' 55, a single letter 7 to 60 (`make eval`).
SAME_SPOT, SPOTS = 32, 64
MOVING = ("video", "animated_gif")


def other_pictures(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """Why the pictures of a post with these words are not the registered ones: (rank, words), or None."""
    why = _other(one, post)
    if not why:
        return None
    if one.text.strip():
        return 1, f"the words of registered post #{one.id}, but {why}"
    return 6, f"without words, like registered post #{one.id}, but {why}"  # of many such registrations any other doubt says more


def _other(one: ApprovedPost, post: Post) -> str:
    if len(post.media) != one.media:
        return f"with {_many(len(post.media))} where {_many(one.media)} planned"
    if one.pictures:
        return _another_picture(one, post)
    return "" if one.text.strip() or not post.media else "the registration names no picture to compare"


def _another_picture(one: ApprovedPost, post: Post) -> str:
    """The first picture that is not a registered one; each registered picture stands for one. Videos take the places
    that the registration only counts, pictures do not.
    """
    left = list(one.pictures)
    for number, picture in _photos(post):
        if not picture.hash:
            return f"picture {number} could not be compared: {picture.doubt or 'it was not fetched'}"
        if not left:
            return f"with one picture more than the {len(one.pictures)} registered"
        nearest = min(left, key=lambda known: (bool(unlike(known, picture.hash)), distance(known, picture.hash)))
        if why := unlike(nearest, picture.hash):
            return f"picture {number} is not the registered one ({why})"
        left.remove(nearest)
    return "with a video where a registered picture was planned" if left else ""


def unlike(known: str, posted: str) -> str:
    """What makes it another picture, or an empty string."""
    apart = distance(known, posted)
    if apart > SAME_PICTURE:
        return f"{apart} of 256 bits differ"
    most = spot(known, posted)
    return f"a detail differs, by {most} of 255" if most and most > SAME_SPOT else ""


def picture_caveats(one: ApprovedPost, post: Post) -> Iterator[str]:
    """What of the pictures and their alt texts nobody compared."""
    photos = len(list(_photos(post)))
    if photos and not one.pictures:
        yield f"{_counted(photos, 'picture')} not compared: the registration says only how many"
    if any("." not in known for known in one.pictures) and any("." in m.hash for _, m in _photos(post)):
        yield "picture compared roughly, without its details: it was registered with an older version"
    if len(post.media) > photos:
        yield f"{_counted(len(post.media) - photos, 'video')} not compared: only still pictures are"
    unread = unregistered_alt(one, post)
    if unread:
        where = ", ".join(str(number) for number, _ in unread)
        yield f"the alt text of picture {where} {'is not the registered one' if one.alt else 'was not registered'}"


def unregistered_alt(one: ApprovedPost, post: Post) -> list[tuple[int, str]]:
    """(number, alt text) of each picture whose alt text the registration does not name; each one named stands for one."""
    left = Counter(canonical(text) for text in one.alt)
    out = []
    for number, media in enumerate(post.media, 1):
        text = canonical(media.alt_text)
        if text and not left[text]:
            out.append((number, media.alt_text))
        left[text] -= 1
    return out


def media_note(one: ApprovedPost, post: Post) -> str:
    """How near the pictures came, for the reason of a verdict."""
    if not one.pictures:
        return ""
    apart = [min(distance(known, m.hash) for known in one.pictures) for _, m in _photos(post)]
    return f"{len(apart)} picture(s) compared, at most {max(apart)} of 256 bits differ"


def not_compared(media: int, pictures: int) -> str:
    """What whoever registers so many, with so many hashes, should know; empty when all of it is compared."""
    if media <= pictures:
        return ""
    which = (
        "1 picture or video is"
        if media == 1
        else f"{media - pictures} of {media} pictures or videos {'is' if media - pictures == 1 else 'are'}"
    )
    return f"picture not compared: {which} only counted, so the post will be a notice"


def distance(one: str, other: str) -> int:
    """Bits that differ between two PDQ hashes: the 64 hexadecimal digits that each of the two begins with."""
    return (int(one[:64], 16) ^ int(other[:64], 16)).bit_count()


def spot(one: str, other: str) -> int | None:
    """By how much of 255 the most different spot of two pictures differs; None where one of them has no spots."""
    mine, theirs = (base64.b64decode(hashed.partition(".")[2]) for hashed in (one, other))
    return max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) if mine and theirs else None


def _photos(post: Post) -> Iterator[tuple[int, Media]]:
    """The still pictures, by their place among all media; what the platform gives no type for counts as one."""
    return ((number, media) for number, media in enumerate(post.media, 1) if media.type not in MOVING)


def _many(count: int) -> str:
    return {0: "no picture or video was", 1: "1 picture or video was"}.get(count, f"{count} pictures or videos were")


def _counted(count: int, what: str) -> str:
    return what if count == 1 else f"{count} {what}s"

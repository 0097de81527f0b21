"""The pictures of a post, compared with those that its registration names."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.model import ApprovedPost, Post

# Bits of 256 that may differ. Making a picture smaller and JPEG moves up to 4, another QR code in a corner 20 and
# more (60 pictures each, `make eval`); the 31 of PDQ's authors is for finding near copies, not for excusing.
SAME_PICTURE = 12


def other_pictures(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """Why the pictures of a post with these words are not the registered ones: (rank, words), or None."""
    if len(post.media) != one.media:
        seen, planned = _pictures(len(post.media)), _pictures(one.media)
        return 1, f"the words of registered post #{one.id}, but with {seen} where {planned} planned"
    return _another_picture(one, post)


def picture_caveats(one: ApprovedPost, post: Post) -> Iterator[str]:
    """What of the pictures nobody compared."""
    if post.media and not one.pictures:
        yield f"{len(post.media)} picture(s) or video(s) not compared: the registration says only how many"


def _another_picture(one: ApprovedPost, post: Post) -> tuple[int, str] | None:
    """The first picture that is not a registered one; each registered picture stands for one."""
    left = list(one.pictures)
    for number, picture in enumerate(post.media if one.pictures else (), 1):
        if not picture.hash:
            why = picture.doubt or "it was not fetched"
            return 1, f"the words of registered post #{one.id}, but picture {number} could not be compared: {why}"
        nearest = min(left, key=lambda known: distance(known, picture.hash), default="")
        apart = distance(nearest, picture.hash) if nearest else 256
        if apart > SAME_PICTURE or picture.type != "photo":
            return 1, f"the words of registered post #{one.id}, but picture {number} is not the registered one ({apart} of 256 bits differ)"
        left.remove(nearest)
    return None


def distance(one: str, other: str) -> int:
    """Bits that differ between two PDQ hashes, given as 64 hexadecimal digits."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _pictures(count: int) -> str:
    return {0: "no picture or video was", 1: "1 picture or video was"}.get(count, f"{count} pictures or videos were")


def media_note(one: ApprovedPost, post: Post) -> str:
    """How near the pictures came, for the reason of a verdict."""
    if not one.pictures:
        return ""
    apart = max(min(distance(known, m.hash) for known in one.pictures) for m in post.media)
    return f"{len(post.media)} picture(s) compared, at most {apart} of 256 bits differ"

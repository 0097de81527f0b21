"""Untrusted text, made safe for each place it can reach. The only functions that do this.

Every string that came from a platform, a file or a person's keyboard passes through here on its
way out; the tests walk the finished output rather than trusting the call sites.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata

_LINK = re.compile(r"(?i)(?:https?|ftp)://")
_DOT = re.compile(r"(?<=[^\s.])\.(?=[^\W\d_]{2,}|xn--)")
_LINES = re.compile(r"\n{3,}")
_KEEP = {"\n", "\u200d"}  # line breaks; the joiner inside emoji
_MARKS_IN_A_ROW = 4
_JOINED = ("Mn", "Me")  # what belongs to the sign before it
_SKINS = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_SIGN = 12  # characters of the longest emoji, a family
_ALL = 200_000  # characters: more than any post has


def clean(text: str, limit: int) -> str:
    """Readable characters only: no control, bidi, zero-width, private or unassigned ones; combining
    marks bounded; at most `limit` units of UTF-16, as Slack counts, with "…" where it was cut.
    """
    out: list[str] = []
    marks = 0
    for char in text[: limit * 4]:
        category = unicodedata.category(char)
        if category in ("Mn", "Me"):
            marks += 1
            if marks > _MARKS_IN_A_ROW:
                continue
        else:
            marks = 0
        if char in _KEEP or category[0] != "C":
            out.append(char if category not in ("Zl", "Zp") else "\n")
    done = _LINES.sub("\n\n", "".join(out)).strip()
    return done if units(done) <= limit and len(text) <= limit * 4 else _head(done, limit - 1) + "…"


def units(text: str) -> int:
    """The length of a text in UTF-16, in which Slack's limits count: an emoji is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _head(text: str, limit: int) -> str:
    """The first `limit` units, without half a sign at their end."""
    head = text.encode("utf-16-le", "surrogatepass")[: 2 * limit].decode("utf-16-le", "ignore")
    for _ in range(_SIGN):
        after = text[len(head) : len(head) + 1]
        if (
            not head
            or not after
            or not (head[-1] == "\u200d" or after == "\u200d" or unicodedata.category(after) in _JOINED or after in _SKINS)
        ):
            break
        head = head[:-1]
    return head.rstrip("\u200d")


def defang(text: str) -> str:
    """No link that a sleepy thumb could follow: hxxps://evil[.]example."""
    text = _LINK.sub(lambda m: m[0].lower().replace("tt", "xx", 1).replace("ftp", "fxp"), text)
    return _DOT.sub("[.]", text)


def for_slack_literal(text: str, limit: int = 2_000) -> str:
    """For a rich_text text leaf, which Slack shows as it is: no markup, no mentions, no escaping.

    Never empty: Slack refuses empty text.
    """
    return clean(defang(clean(text, limit)), limit) or "(no text in this post)"


def for_slack_whole(text: str, limit: int) -> str:
    """The same when all of it fits, else an empty string: what cannot be read whole is not decided on in Slack."""
    shown = for_slack_literal(text, _ALL)
    return shown if units(shown) <= limit and len(text) <= _ALL else ""


def for_slack_markup(text: str, limit: int = 300) -> str:
    """For mrkdwn and top-level text: escaped as Slack documents, `&` first, and without the signs
    that make bold, code, quotes, emoji or names of it.
    """
    plain = " ".join(for_slack_literal(text, limit).split())
    for sign, twin in (("*", "∗"), ("_", "＿"), ("~", "∼"), ("`", "ˋ"), (":", "∶"), ("@", "＠"), ("#", "＃")):
        plain = plain.replace(sign, twin)
    return _escaped(plain)


def for_slack_sentence(text: str, limit: int = 600) -> str:
    """For a sentence of ours in mrkdwn that may quote something untrusted: cleaned, defanged and
    escaped, our own punctuation kept.
    """
    return _escaped(" ".join(for_slack_literal(text, limit).split()))


def for_slack_lines(text: str, limit: int = 3_000) -> str:
    """For an operator's own text in mrkdwn, lines and its bold and code kept: cleaned and escaped."""
    return _escaped(clean(text, limit))


def cut_markup(text: str, limit: int) -> str:
    """Finished mrkdwn, cut without leaving half an entity or half a control sequence."""
    return text if units(text) <= limit else re.sub(r"(?:&[a-z]{0,3}|<[^>]*)$", "", _head(text, limit - 1)) + "…"


def pieces(text: str, limit: int) -> list[str]:
    """Escaped text without control sequences in pieces of at most `limit` units, at ends of lines where there are any. Joined they are the text."""
    found = []
    while units(text) > limit:
        head = re.sub(r"&[a-z]{0,3}$", "", _head(text, limit))
        ends = (head.rfind("\n") + 1, head.rfind(" ") + 1, len(head))
        at = next((end for end in ends if head[:end].strip()), len(head))  # Slack refuses a blank text
        found.append(text[:at])
        text = text[at:]
    return [*found, text] if text else found


def _escaped(text: str) -> str:
    for char, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(char, entity)
    return text


def for_html(text: str, limit: int = 5_000) -> str:
    """For the text of an HTML element or a quoted attribute."""
    return html.escape(defang(clean(text, limit)), quote=True)


def for_terminal(text: str, limit: int = 500) -> str:
    """One line without escape sequences or anything that reorders it; links defanged."""
    return " ".join(defang(clean(text, limit)).split())


def for_terminal_lines(text: str) -> str:
    """All of a text, its lines kept, without escape sequences or anything that reorders it; links defanged."""
    return clean(defang(clean(text, _ALL)), _ALL) or "(no text)"


def for_mail(text: str, limit: int = 2_000) -> str:
    """For the plain text of a mail or another program's text field: lines kept, links defanged."""
    return clean(defang(clean(text, limit)), limit) or "(no text)"


def for_header(text: str, limit: int = 300) -> str:
    """For a mail header or a title: one line, so that nothing can begin a header of its own."""
    return " ".join(for_mail(text, limit).split())


def for_log(text: str, limit: int = 200) -> str:
    """One line of a log: like a terminal, which is where logs are read."""
    return for_terminal(text, limit)


def for_json(value: object, indent: int | None = None) -> str:
    """JSON for programs, which may end up on a terminal all the same: what would control or reorder it, and what no encoding
    holds, is escaped. Nothing is lost.
    """
    raw = json.dumps(value, ensure_ascii=False, default=str, indent=indent)
    return raw if raw.isprintable() else "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in raw)

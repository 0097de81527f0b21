"""Where a reader could end up, and whose place that is."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from functools import cache, lru_cache
from urllib.parse import urlsplit

import re2
from publicsuffixlist import PublicSuffixList
from rapidfuzz.distance import DamerauLevenshtein

from monitor.model import Company
from monitor.verdict.confusables import confusables

_SCHEME = re2.compile(r"(?i)\b(?:https?|hxxps?|ftp)://([^\s<>\"'`\x{201C}\x{201D}]+)")
# What follows is looked at by `ends`: a sign consumed here could not also stand before the next name.
_BARE = re2.compile(r"(?:^|[^\p{L}\p{N}_@./:\-])((?:[\p{L}\p{N}_\-]+\.)+(?:\p{L}+|(?i:xn--)[a-zA-Z0-9\-]+))")
_DEFANGED = re2.compile(r"(?i)\s?[\[({]\s?(?:\.|dot|punkt|punto)\s?[\])}]\s?|(\w)(?: dot |\s\.\s?|\\\.)([a-z]{2,})\b")
_CANONICAL_URL = re.compile(r"(?i)(?<![A-Za-z0-9_])https?://([^\s/?#]+)([^\s?#]*)(\?[^\s#]*)?(#\S*)?")
_CANONICAL_BARE = re.compile(r"(?<![\w@./:#?&=%-])((?:[A-Za-z0-9-]{1,63}\.){1,5}([A-Za-z]{2,24}))(?![\w.@-])(?=[\s/?]|$)")
_PLAIN_URL = re.compile(r"https?://([A-Za-z0-9.-]+)(?=[/?#]|$)")
# What publishing tools and X add behind a link, each by its name (Google Analytics 4, Hootsuite, Mailchimp, HubSpot,
# Adobe), and only with a value that can lead nowhere: a page of ours may follow whatever stands in its query.
_TRACKING = re.compile(
    r"(?i)(?:utm_(?:source|medium|campaign|term|content|id|source_platform|creative_format|marketing_tactic)"
    r"|gclid|fbclid|dclid|msclkid|twclid|igshid|mc_[ce]id|ref_src|_hs(?:enc|mi)|s_cid)(?:=(?:[\w.~+-]|%20)*)?",
    re.ASCII,
)
_NESTED = re2.compile(r"(?i)(?:h|%68)(?:t|%74){2}(?:p|%70)(?:s|%73)?(?::|%3a|%253a)(?:/|\\|%2f|%5c|%252f){2}([^\s/\\?#&%\"'<>]+)")
_TAGGED = re.compile(r"https?://\S+")
# Signs of scripts without blanks between words. No link of X's goes on with one; a host may, in its own name.
_UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]")
_SUFFIX = re.compile("[a-z0-9-]+")
_TAIL = re.compile(r"[.,;:!?)\]'\"*_~]+$")
_NOT_HOSTS = frozenset({"asp.net", "vb.net", "ado.net"})
_FILES = frozenset({"md", "zip", "py", "sh", "rs", "mov", "pl", "ps", "so", "app"})  # suffixes of files too: links only with a path
_RESERVED = frozenset({"example", "onion"})  # suffixes that no registry lists (RFC 2606, RFC 7686)
_DOTS = str.maketrans("。．｡․", "....")
_MAY_BE_DOT = re.compile("(?i)dot|punkt|punto")
_DOT = re.compile("[。．｡․]")
# Unicode's format characters (category Cf), and the ranges whose compatibility forms hide letters.
_INVISIBLE = re.compile(
    "[\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]+"
)
_FORMED = re.compile("[\uff01-\uffef\U0001d400-\U0001d7ff\U0001f100-\U0001f1ff]+")
_MOST = 500  # different hosts taken from one post; more of them are an attack of their own
_MOST_NAMES = 1_000  # words with dots looked at in one post
TOO_MANY = "more-hosts-than-anybody-links-to.invalid"


class Place(StrEnum):
    """Whose a host is."""

    OURS = "ours"
    PLATFORM = "platform"
    SHORTENER = "shortener"
    FOREIGN = "foreign"
    LOOKALIKE = "lookalike"
    WRAPPED = "wrapped"


# The platform itself, where a link is another post. Chat platforms are foreign: scams end there.
_PLATFORM = frozenset({"x.com", "twitter.com", "pic.x.com", "pic.twitter.com"})
# X wraps every link in one of these and says beside it where it leads. Alone it says nothing.
_WRAPPER = "t.co"
_SHORTENERS = frozenset(
    [
        "bit.ly",
        "ow.ly",
        "buff.ly",
        "tinyurl.com",
        "is.gd",
        "goo.gl",
        "lnkd.in",
        "fb.me",
        "rebrand.ly",
        "cutt.ly",
        "shorturl.at",
        "t.ly",
        "rb.gy",
        "dlvr.it",
        "trib.al",
        "ift.tt",
        "spr.ly",
        "hubs.ly",
    ]
)


def canonical_links(text: str) -> str:
    """Links in `text` with one scheme, a lower-case host and no tracking tags. Idempotent."""
    if "." not in text:
        return text
    text = _CANONICAL_BARE.sub(lambda m: f"https://{m[1].lower()}" if _is_suffix(m[2]) else m[0], text)
    return _CANONICAL_URL.sub(_one_link, text) if "://" in text else text


def _one_link(match: re.Match[str]) -> str:
    """One link and the punctuation behind it. Removing a tag can bare more to remove: until nothing is."""
    tail = _TAIL.search(match[0])
    punctuation = tail[0] if tail else ""
    link = match[0][: tail.start()] if tail else match[0]
    while (shorter := _bare_link(link)) != link:
        link = shorter
    return link + punctuation


def _bare_link(link: str) -> str:
    """Scheme, host, path and what is left of the query; never ends with punctuation of a sentence."""
    parts = _CANONICAL_URL.fullmatch(link)
    if parts is None:
        return link
    host, path, query, fragment = (part or "" for part in parts.groups())
    host = host.lower()
    host = host.removesuffix(":443").removesuffix(":80") if ":" in host else host
    kept = [p for p in query[1:].split("&") if p and not _TRACKING.fullmatch(p)]
    query = "?" + "&".join(kept) if kept else ""
    path = "" if path == "/" and not query and not fragment else path
    return _TAIL.sub("", f"https://{host}{path}{query}{fragment}")


def links_in(text: str) -> frozenset[str]:
    """The links of a canonical text, whole, as `canonical_links` writes them; where the text goes on behind one without a
    blank, as in Japanese, also as X takes them.
    """
    if "://" not in text:
        return frozenset()
    found = [match[0] for match in _TAGGED.finditer(text)]
    found += [canonical_links(_UNSPACED.split(link, maxsplit=1)[0]) for link in found if not link.isascii()]
    return frozenset(_TAIL.sub("", link) for link in found)


def host_of(url: str) -> str:
    """The host a browser would open, lower-case, or an empty string."""
    plain = _PLAIN_URL.match(url)
    if plain:  # the usual case, twelve times faster than urlsplit
        return plain[1].lower().strip(".")
    url = url.replace("\\", "/")  # as browsers do: https://evil.io\\@ours leads to evil.io
    try:
        host = urlsplit(url if "://" in url else f"https://{url}").hostname or ""
    except ValueError:
        return ""
    return host.strip(".")


def hosts(text: str, links: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Every host a reader could reach: given links first, then the text itself.

    Beyond five hundred the last one is `TOO_MANY`, which is foreign to everybody: whoever hides a
    host behind so many others is caught by their number.
    """
    found: dict[str, None] = {}
    for host in itertools.chain(map(host_of, links), _hosts_in(text[:100_000])):
        if "." in host or ":" in host:
            found[host] = None
        if len(found) >= _MOST:
            found[TOO_MANY] = None
            break
    return tuple(found)


def sent_on(text: str, links: tuple[str, ...], company: Company) -> tuple[str, ...]:
    """The hosts of addresses that stand inside a link to us or to the platform, encoded up to twice: a page that sends its
    reader on (`https://ours.example/?u=https://evil.example`) is as good as the page it sends them to.
    """
    found: dict[str, None] = {}
    for link in (*links, *(_TAGGED.findall(text[:100_000]) if "://" in text else ())):
        inner = link.partition("://")[2]
        match = _NESTED.search(inner)
        if match and place(host_of(link), company) in (Place.OURS, Place.PLATFORM):
            found |= dict.fromkeys(host_of(f"https://{m.group(1)}") for m in itertools.islice(_NESTED.finditer(inner), _MOST))
    return tuple(host for host in found if host)[:_MOST]


def _hosts_in(text: str) -> Iterator[str]:
    if not text.isascii():
        text = _fold_dots(text)
    if "." not in text and "://" not in text and not _MAY_BE_DOT.search(text):
        return
    text = refanged(text)
    pieces, end = [], 0
    for match in _SCHEME.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        host = _ended(host_of("https://" + match.group(1).rstrip("….,;:!?)]}»")))
        if "." in host:
            yield host
    rest = " ".join([*pieces, text[end:]])
    for number, match in enumerate(_BARE.finditer(rest)):
        if number >= _MOST_NAMES:
            yield TOO_MANY
            return
        if ends(rest, match.end()) and _bare(match.group(1), rest[match.end() : match.end() + 1]):
            yield match.group(1).lower()


def _ended(host: str) -> str:
    """A host without the words that follow it without a blank: no browser opens one whose last label is no public suffix."""
    while not host.isascii() and not _is_suffix(last := host.rpartition(".")[2]):
        name, begins = host.rpartition(".")[0], _SUFFIX.match(last)
        shorter = f"{name}.{begins[0]}" if begins and begins[0] != last and _is_suffix(begins[0]) else name
        if "." not in shorter:
            break
        host = shorter
    return host


def refanged(text: str) -> str:
    """`name[.]eth`, `name (dot) com` and `name dot com` with their dots back."""
    return str(_DEFANGED.sub(lambda m: f"{m.group(1) or ''}.{m.group(2) or ''}", text))


def ends(text: str, at: int) -> bool:
    """Whether a name ends here: at the end, before a sign that no name has, or before the dot of a sentence."""
    after = text[at : at + 2]
    if after[:1] == ".":
        return not (after[1:].isalnum() or after[1:] == "_")
    return not after or not (after[0].isalnum() or after[0] in "_@-")


def _bare(name: str, after: str) -> bool:
    """Whether a reader takes `name` for a link: not a missing blank ("news.Read"), not ASP.NET."""
    first, _, suffix = name.rpartition(".")
    if not _is_suffix(suffix) or (suffix.lower() in _FILES and after != "/"):
        return False
    missing_blank = suffix.istitle() and not first.istitle()
    number = first.replace(".", "").isdigit()
    return not (missing_blank or number or name.lower() in _NOT_HOSTS or (len(first) < 2 and after != "/"))


@lru_cache(maxsize=4096)
def _is_suffix(label: str) -> bool:
    """Whether a label alone is a public suffix: `com`, not `js`."""
    label = label.lower()
    if not label.isascii():
        label = "xn--" + label.encode("punycode").decode()
    return label in _RESERVED or _suffixes().is_public(label)


@cache
def _suffixes() -> PublicSuffixList:
    """Mozilla's list as bundled with publicsuffixlist; read at first use (35 ms)."""
    return PublicSuffixList(accept_unknown=False)


def _fold_dots(text: str) -> str:
    """Dots of other scripts as dots, wide and mathematical letters as letters, invisible signs gone."""
    text = _INVISIBLE.sub("", text.translate(_DOTS) if _DOT.search(text) else text)
    return _FORMED.sub(lambda m: "".join([unicodedata.normalize("NFKC", c)[:3] for c in m[0]]), text)


def own_domain(written: str) -> str:
    """A domain of ours as hosts are compared with it: the bare name, Unicode as punycode.

    Raises ValueError, which says what to write, for what is no host, or one below which anybody may have a name.
    """
    name = unicodedata.normalize("NFKC", _fold_dots(written.strip()).lower())
    bare = host_of(name.removeprefix("*."))
    if bare and name != bare and own_domain(bare):
        why = "its subdomains are ours anyway" if name == f"*.{bare}" else "only the host counts"
        raise ValueError(f"write {bare!r}: {why}")
    host = ".".join(map(_in_ascii, name.split(".")))
    if re.fullmatch(r"[0-9.]+", host) or not all(map(_LABEL.fullmatch, host.split("."))):
        raise ValueError("expected the name of a host, like acme.example")
    if "." not in host or _suffixes().publicsuffix(host) == host:
        raise ValueError(f"expected a name that is yours, like acme.{host}: anybody may have one below {host}")
    shorter = host.removeprefix("www.")
    return shorter if "." in shorter and _suffixes().publicsuffix(shorter) != shorter else host


_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")


def is_shortener(host: str) -> bool:
    """Whether a host only leads elsewhere."""
    return host == _WRAPPER or host.removeprefix("www.") in _SHORTENERS


def place(host: str, company: Company) -> Place:
    """Whose `host` is, seen from `company`."""
    if not host.isascii():
        written = ".".join(map(_in_ascii, host.split(".")))
        if any(written == d or written.endswith(f".{d}") for d in company.domains):
            return Place.OURS
    if any(host == d or host.endswith(f".{d}") for d in company.domains):
        return Place.OURS
    bare = host.removeprefix("www.")
    if bare in _PLATFORM or bare.removeprefix("mobile.") in _PLATFORM:
        return Place.PLATFORM
    if bare == _WRAPPER:
        return Place.WRAPPED
    if bare in _SHORTENERS:
        return Place.SHORTENER
    return Place.LOOKALIKE if any(_looks_like(bare, d) for d in company.domains) else Place.FOREIGN


def _looks_like(host: str, domain: str) -> bool:
    """Ours as a subdomain of theirs, our name in theirs, one edit away, folded to ours, or under another suffix."""
    if f".{domain}." in f".{host}.":
        return True
    ours, name, above = _drawn(_own(domain)), *_registered(host)
    if not ours:
        return False
    theirs = _drawn(name)
    if len(ours) < _SHORT:  # "ftx" is inside too much: only whole words of the name
        return any(ours in map(_drawn, label.split("-")) for label in (name, *above))
    if ours in theirs or any(ours in map(_drawn, label.split("-")) for label in above):
        return True
    if len(ours) > _SHORT and any(ours in _drawn(label) for label in above):
        return True
    # Only the name that was registered can be a slip of ours: finance.yahoo.com is no slip of "binance".
    return len(ours) > _SHORT and DamerauLevenshtein.distance(ours, theirs, score_cutoff=1) <= 1


_SHORT = 4


@lru_cache(maxsize=64)
def _own(domain: str) -> str:
    """The name we registered: `acme` of `acme.co.uk`."""
    return _registered(domain)[0]


def registered_name(host: str) -> str:
    """The name somebody registered, with its suffix: `acme.co.uk` of `www.acme.co.uk`; the host itself where there is none."""
    name, above = _registered(host)
    labels = host.lower().split(".")
    return ".".join(labels[len(above) :]) if len(labels) > 1 and name else host.lower()


def _registered(host: str) -> tuple[str, tuple[str, ...]]:
    """The name left of the public suffix, and the labels above it, nearest first."""
    labels = host.lower().split(".")
    known = ".".join(_in_ascii(label) for label in labels)
    suffix = _suffixes().publicsuffix(known) or labels[-1]
    kept = labels[: len(labels) - suffix.count(".") - 1]
    return (kept[-1], tuple(reversed(kept[:-1]))) if kept else (labels[0], ())


def _in_ascii(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode").decode()


@lru_cache(maxsize=4096)
def _drawn(label: str) -> str:
    """A host label as a hasty eye takes it: look-alikes, digits and joined strokes folded, hyphens gone."""
    if label.startswith("xn--"):
        try:
            label = label[4:].encode("ascii").decode("punycode")
        except UnicodeError:
            return label
    plain = unicodedata.normalize("NFKD", label)
    folded = "".join(_alike().get(c, c) for c in plain if not unicodedata.combining(c)).casefold()
    folded = folded.translate(_DIGITS).replace("-", "").replace("_", "")
    return folded.replace("rn", "m").replace("vv", "w")


_DIGITS = str.maketrans("01345i", "oleasl")  # an i, an l and a 1 are one stroke


@cache
def _alike() -> dict[str, str]:
    return confusables()

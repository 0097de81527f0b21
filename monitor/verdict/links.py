"""Where a reader could end up, and whose place that is."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from enum import StrEnum
from urllib.parse import urlsplit

import re2
from rapidfuzz.distance import DamerauLevenshtein

from monitor.model import Company

# Suffixes under which a bare `name.suffix` is read as a link. Words that end sentences and
# begin the next one ("news.Read", "Monday.It is") are kept out by case, see `_bare`.
_SUFFIXES = (
    "com|net|org|info|biz|io|co|ai|app|dev|xyz|me|gg|fi|fun|lol|live|world|online|site|store|shop|"
    "tech|cc|tv|ly|to|us|uk|eu|de|fr|es|it|nl|ru|cn|jp|kr|in|br|tr|ch|at|be|se|no|pl|ca|au|nz|za|"
    "finance|exchange|claims|claim|money|cash|trade|trading|market|markets|network|cloud|digital|"
    "link|click|top|vip|pro|icu|club|space|website|win|bet|gift|gifts|events|event|foundation|"
    "fund|capital|ventures|one|zone|wtf|art|games|game|bio|page|pages|today|news|media|social|"
    "support|help|center|systems|solutions|services|gl|gd|is|im|ws|st|sh|so|la|pw|su|ga|tk|ml|cf|"
    "gq|agency|company|group|global|international|land|life|rocks|run|best|bond|cyou|monster|quest|"
    "rest|sbs|cfd|beauty|hair|skin|makeup|lat|mom|pics|boats|yachts|homes|autos|dad|phd|prof|"
    "bot|day|ing|meme|new|nexus|plus|promo|reviews|sale|software|studio|token|tools|university|vet|"
    "video|vin|watch|webcam|wiki|works|example|crypto|pizza|energy|earth|email|exposed|express|"
    "farm|fyi|gold|golf|guru|health|host|house|ink|jobs|legal|lease|ltd|marketing|mobi|name|"
    "party|photo|photos|press|property|pub|red|rent|report|review|school|science|security|sex|"
    "show|singles|sucks|supply|surf|team|tips|town|toys|travel|cards|care|careers|chat|cheap|city|"
    "codes|coffee|community|computer|cool|credit|deals|delivery|direct|directory|domains|download"
)
_SCHEME = re2.compile(r"(?i)\b(?:https?|hxxps?|ftp)://([^\s<>\"'`\x{201C}\x{201D}]+)")
_BARE = re2.compile(r"(?:^|[^\p{L}\p{N}_@./:\-])((?:[\p{L}\p{N}_\-]+\.)+(?i:" + _SUFFIXES + r"))(?:[^\p{L}\p{N}_.@\-]|\.(?:\W|$)|$)")
_DEFANGED = re2.compile(r"(?i)\s?[\[({]\s?(?:\.|dot)\s?[\])}]\s?|(\w) dot (" + _SUFFIXES + r")\b")
_CANONICAL_URL = re.compile(r"(?i)(?<!\w)https?://([^\s/?#]+)([^\s?#]*)(\?[^\s#]*)?(#\S*)?")
_CANONICAL_BARE = re.compile(r"(?<![\w@./:#?&=%-])((?:[A-Za-z0-9-]{1,63}\.){1,5}(?:" + _SUFFIXES + r"))(?![\w.@-])(?=[\s/?]|$)")
_PLAIN_URL = re.compile(r"https?://([A-Za-z0-9.-]+)(?=[/?#]|$)")
_TRACKING = re.compile(r"(?i)(?:utm_[a-z_]+|gclid|fbclid|dclid|msclkid|twclid|igshid|mc_[ce]id|ref_src|_hs(?:enc|mi)|s_cid)(?:=.*)?")
_TAIL = re.compile(r"[.,;:!?)\]'\"*_~]+$")
_NOT_HOSTS = frozenset({"asp.net", "vb.net", "ado.net"})
_DOTS = str.maketrans("。．｡․", "....")
# What stands for a Latin letter in a host name: digits and the Cyrillic and Greek twins.
_LETTERS = str.maketrans("015асеорхуіјѕԁһӏκνοαιυ", "olsaceopxyijsdhlkvoaiu")
_MOST = 500  # different hosts taken from one post; more of them are an attack of their own
TOO_MANY = "more-hosts-than-anybody-links-to.invalid"


class Place(StrEnum):
    """Whose a host is."""

    OURS = "ours"
    PLATFORM = "platform"
    SHORTENER = "shortener"
    FOREIGN = "foreign"
    LOOKALIKE = "lookalike"


# The platform itself, where a link is another post. Chat platforms are foreign: scams end there.
_PLATFORM = frozenset({"x.com", "twitter.com", "pic.x.com", "pic.twitter.com"})
_SHORTENERS = frozenset(
    [
        "t.co",
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
    text = _CANONICAL_BARE.sub(lambda m: f"https://{m[1].lower()}", text)
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
        if host:
            found[host] = None
        if len(found) >= _MOST:
            found[TOO_MANY] = None
            break
    return tuple(found)


def _hosts_in(text: str) -> Iterator[str]:
    if not text.isascii():
        text = _fold_dots(text)
    elif "." not in text and "ot" not in text.lower():
        return
    text = _DEFANGED.sub(lambda m: f"{m.group(1) or ''}.{m.group(2) or ''}", text)
    pieces, end = [], 0
    for match in _SCHEME.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        host = host_of("https://" + match.group(1).rstrip("….,;:!?)]}»"))
        if "." in host:
            yield host
    rest = " ".join([*pieces, text[end:]])
    for match in _BARE.finditer(rest):
        if _bare(match.group(1), rest[match.end() - 1 : match.end()]):
            yield match.group(1).lower()


def _bare(name: str, after: str) -> bool:
    """Whether a reader takes `name` for a link: not a missing blank ("news.Read"), not ASP.NET."""
    first, _, suffix = name.rpartition(".")
    missing_blank = suffix.istitle() and not first.istitle()
    number = first.replace(".", "").isdigit()
    return not (missing_blank or number or name.lower() in _NOT_HOSTS or (len(first) < 2 and after != "/"))


def _fold_dots(text: str) -> str:
    text = text.translate(_DOTS)
    kept = (c for c in text if unicodedata.category(c) != "Cf")
    return "".join(unicodedata.normalize("NFKC", c)[:3] if c > "\uff00" or c > "\U0001d000" else c for c in kept)


def place(host: str, company: Company) -> Place:
    """Whose `host` is, seen from `company`."""
    if any(host == d or host.endswith(f".{d}") for d in company.domains):
        return Place.OURS
    if any(_looks_like(host, d) for d in company.domains):
        return Place.LOOKALIKE
    bare = host.removeprefix("www.")
    if bare in _PLATFORM or bare.removeprefix("mobile.") in _PLATFORM:
        return Place.PLATFORM
    return Place.SHORTENER if bare in _SHORTENERS else Place.FOREIGN


def _looks_like(host: str, domain: str) -> bool:
    """Ours as a subdomain of theirs, our name inside theirs, one edit away, or folded to ours."""
    name = _registrable_label(domain)
    if f".{domain}." in f".{host}." and not host.endswith(domain):
        return True
    labels = host.split(".")[:-1]
    if len(name) < 4:
        return any(name in re.split(r"-", label) for label in labels)
    folded = [_plain(label) for label in labels]
    if any(name in label for label in folded):
        return True
    return len(name) >= 5 and any(DamerauLevenshtein.distance(name, f, score_cutoff=1) <= 1 for f in folded)


def _registrable_label(domain: str) -> str:
    labels = domain.split(".")
    second = len(labels) > 2 and labels[-2] in ("co", "com", "org", "net", "gov", "ac") and len(labels[-1]) == 2
    return labels[-3] if second else labels[-2] if len(labels) > 1 else labels[0]


def _plain(label: str) -> str:
    """A host label with look-alike letters and digits folded."""
    if label.startswith("xn--"):
        try:
            label = label.encode("ascii").decode("idna")
        except UnicodeError:
            return label
    folded = unicodedata.normalize("NFKD", label).translate(_LETTERS)
    return "".join(c for c in folded if not unicodedata.combining(c))

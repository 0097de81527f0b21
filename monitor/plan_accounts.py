"""Which watched accounts a row of a plan is for: handles, ids, links, names of networks, and lists of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from monitor.model import Account
from monitor.plan import Reading
from monitor.plan_names import fold

# Names of networks in planning tools, letters and digits only.
NETWORKS = {
    "x": "x twitter xtwitter twitterx xformerlytwitter twitterprofile xprofile xcom twittercom",
    "facebook": "facebook fb facebookpage facebookpages facebookgroup facebookprofile facebookcom",
    "instagram": "instagram ig insta instagrambusiness instagramstory instagramstories instagramreel instagramreels reels instagramcom",
    "linkedin": "linkedin li linkedincompany linkedinpage linkedinpages linkedinprofile linkedincompanypage linkedincom",
    "threads": "threads threadsnet threadscom", "tiktok": "tiktok tiktokbusiness tiktokcom", "pinterest": "pinterest pinterestcom",
    "youtube": "youtube yt youtubeshorts youtubechannel shorts youtubecom", "bluesky": "bluesky bsky bskyapp", "mastodon": "mastodon",
    "telegram": "telegram tg tme", "reddit": "reddit redditcom", "snapchat": "snapchat", "tumblr": "tumblr", "whatsapp": "whatsapp",
    "google": "google googlebusiness googlebusinessprofile googlemybusiness gmb gbp googleplus", "discord": "discord", "medium": "medium",
    "wordpress": "wordpress", "vimeo": "vimeo", "twitch": "twitch", "vk": "vk vkontakte", "xing": "xing", "weibo": "weibo",
    "wechat": "wechat weixin", "line": "line", "lemon8": "lemon8", "nostr": "nostr", "farcaster": "farcaster warpcast",
    "newsletter": "newsletter email mail", "blog": "blog website", "slack": "slack",
}  # fmt: skip
_NETWORK = {word: network for network, words in NETWORKS.items() for word in words.split()}
_SOCIAL = NETWORKS.keys() - {"google", "line", "medium", "newsletter", "blog", "slack"}  # those are words as well
_SEVERAL = re.compile(r"[,;|\n+&]+|\s(?:and|und|et)\s")
_PROFILE = re.compile(r"(?:https?://)?(?:www\.|mobile\.|m\.)?([a-z0-9-]+\.[a-z.]{2,12})/@?([\w.-]+)/?(?:\?.*)?", re.IGNORECASE)
_BEFORE = re.compile(r"([^@:–—/-]+?)\s*(?:[:–—/-]\s*|(?=@))@?([^\s,;|+&]+)")  # Twitter: acme, X - @acme
_BEHIND = re.compile(r"@?([^\s,;|+&]+)\s*[(\[]([^)\]]+)[)\]]")  # @acme (X), X (@acme)
_BESIDE = re.compile(r"\s*[/·•]\s*")  # between networks only: LinkedIn / X


@dataclass(slots=True)
class _Named:
    """What one column names: accounts, networks of ours, and what is not watched."""

    accounts: list[Account] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def possible(self, how: Reading) -> list[Account]:
        """A network without an account of it means whichever is watched there."""
        open_ = [network for network in self.networks if not any(a.platform == network for a in self.accounts)]
        return [a for a in how.accounts if a in self.accounts or a.platform in open_]


def network_of(word: str) -> str:
    """Our name of the network that a word means, or an empty string. An `@x` is a handle."""
    return "" if word.strip().startswith("@") else _NETWORK.get(fold(word), "")


def names_a_network(words: Iterable[str]) -> bool:
    """Whether a column of that name, by words, says what goes out there: `On X`, `LinkedIn`."""
    return any(network in _SOCIAL for word in words if (network := network_of(word)))


def accounts_named(cells: Iterable[Any], how: Reading) -> tuple[list[Account], list[str], list[str]]:
    """(the accounts that a row is for, other networks and unknown names beside them), from its columns for accounts and networks.

    Several names in a column are all meant; a second column narrows the first one down. No accounts and names of other networks
    mean that the row is for those only. Raises ValueError where it is not said, or not known, which account is meant.
    """
    columns = [named for cell in cells if (named := _named(cell, how)) is not None]
    if not columns:
        return [_chosen(list(how.accounts), how)], [], []
    elsewhere = [word for one in columns for word in one.elsewhere]
    unknown = [word for one in columns for word in one.unknown]
    possible = [one.possible(how) for one in columns]
    found = [a for a in how.accounts if all(a in accounts for accounts in possible)]
    if not found and any(one.elsewhere and not accounts for one, accounts in zip(columns, possible, strict=True)):
        return [], elsewhere, unknown
    if not found:
        what = "account " + ", ".join(repr(word) for word in unknown) if unknown else "what its columns name together"
        raise ValueError(_not_watched(what, how))
    said = [a for a in found if any(a in one.accounts for one in columns)]
    silent = dict.fromkeys(a.platform for a in found if not any(a.platform == b.platform for b in said))
    return said + [_chosen([a for a in found if a.platform == platform], how) for platform in silent], elsewhere, unknown


def account_named(how: Reading) -> Account:
    """The one account that `--account` names, or the only one. Raises ValueError."""
    return accounts_named((), how)[0][0]


def _chosen(among: list[Account], how: Reading) -> Account:
    """The one that `--account` names, or the only one. Raises ValueError."""
    if how.account:
        named = [a for a in how.accounts if _is(a, how.account)]
        if not named:
            raise ValueError(_not_watched(f"account {how.account!r}", how))
        among = [a for a in among if a in named] or among
    if len(among) == 1:
        return among[0]
    raise ValueError(_not_said(how))


def _named(cell: Any, how: Reading) -> _Named | None:
    """None when the cell says nothing."""
    words = [str(one) for one in cell] if isinstance(cell, list) else [str(cell)]
    words = [word.strip() for word in words if word.strip()]
    if not words:
        return None
    found = _Named()
    for word in words:
        if not _one(word, how, found):
            for piece in _pieces(word):
                if not _one(piece, how, found):
                    if not any(network in _platforms(how) for network, _ in _pairs(piece)):
                        _clear(piece, how)
                    found.unknown.append(piece)
    return found


def _pieces(cell: str) -> list[str]:
    pieces = [piece.strip() for piece in _SEVERAL.split(cell) if piece.strip()]
    return [word for piece in pieces for word in (piece.split() if all(w.startswith("@") for w in piece.split()) else [piece])]


def _one(word: str, how: Reading, found: _Named) -> bool:
    """Whether one name is understood; it is added to what was found. Raises ValueError where it can be two things."""
    if network := network_of(word):
        ours = any(a.platform == network for a in how.accounts)
        if not ours and any(_is(a, word) for a in how.accounts):
            raise ValueError(f"“{word}” is a network and a handle that is watched; write @{word} for the handle")
        (found.networks if ours else found.elsewhere).append(network if ours else word)
        return True
    if len(names := [one for one in _BESIDE.split(word) if one]) > 1 and all(map(network_of, names)):
        return all(_one(name, how, found) for name in names)
    for network, name in _pairs(word):
        here = [a for a in how.accounts if a.platform == network]
        if not here:
            _clear(word, how)
            found.elsewhere.append(word)
            return True
        if named := [a for a in here if _is(a, name)]:
            return _add(found, named)
    return _add(found, [a for a in how.accounts if _is(a, word)])


def _clear(word: str, how: Reading) -> None:
    """Raises ValueError where what would be nobody, or another network alone, holds the name of a network that is watched."""
    if ours := next((one for one in re.findall(r"@?\w+", word) if network_of(one) in _platforms(how)), ""):
        raise ValueError(
            f"“{word[:60]}” names {ours} beside what is not understood; write a list, like LinkedIn, {ours}; watched: {_watched(how)}"
        )


def _platforms(how: Reading) -> set[str]:
    return {a.platform for a in how.accounts}


def _add(found: _Named, named: list[Account]) -> bool:
    if len(named) > 1:
        raise ValueError(
            f"@{named[0].handle} is watched on {len(named)} platforms; write it with one, like {named[0].platform}: {named[0].handle}"
        )
    found.accounts += [a for a in named if a not in found.accounts]
    return bool(named)


def _pairs(word: str) -> list[tuple[str, str]]:
    """(network, name) as a link, `Twitter: acme` and `@acme (X)` say them."""
    out = []
    if link := _PROFILE.fullmatch(word):
        out.append((network_of(link[1]), link[2]))
    if before := _BEFORE.fullmatch(word):
        out.append((network_of(before[1]), before[2]))
    if behind := _BEHIND.fullmatch(word):
        out += [(network_of(behind[2]), behind[1]), (network_of(behind[1]), behind[2].removeprefix("@"))]
    return [pair for pair in out if pair[0]]


def _is(account: Account, word: str) -> bool:
    """By handle in any case, by id and key as they are: an id may differ from another in its case alone."""
    word = word.strip()
    return word.removeprefix("@").lower() == account.handle.lower() or word in (account.id, account.key)


def _not_watched(what: str, how: Reading) -> str:
    return f"{what} is not watched; watched: {_watched(how)}; name one in the row or with --account"


def _not_said(how: Reading) -> str:
    return f"which account is meant is not said; watched: {_watched(how)}; name one in the row or with --account"


def _watched(how: Reading) -> str:
    return ", ".join(f"@{a.handle}" for a in how.accounts)

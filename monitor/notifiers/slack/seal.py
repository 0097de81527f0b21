"""Our own messages, known again when they are read back.

Whoever has our bot token can post as us, and any app in the channel can copy what it reads. So the metadata of what we
post carries a MAC, made with a key that never leaves our hosts, of itself, the channel and the thread. Without it a
message of our own bot id proves only that an install existed.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any

from monitor import install_key
from monitor.install_key import derived

EVENT = "hijack-monitor_page"
_MAC_CHARACTERS = 32  # 128 bits: Slack shows metadata to every app of the workspace, nobody has to type it


class Seal:
    """Makes and checks the MAC. `given` is the install key; without one nothing that is read back counts."""

    def __init__(self, given: str = "") -> None:
        self._key = derived((given or secrets.token_hex(32)).encode(), "slack metadata")

    def metadata(self, payload: Mapping[str, str | int], channel: str) -> dict[str, Any]:
        """The metadata of a message in this channel."""
        return {"event_type": EVENT, "event_payload": {**payload, "mac": self._mac(payload, channel)}}

    def payload(self, message: Mapping[str, Any], channel: str) -> Mapping[str, Any]:
        """What a message of ours in this channel says of itself; empty when it is not provably ours."""
        metadata = message.get("metadata")
        found = metadata.get("event_payload") if isinstance(metadata, Mapping) else None
        if not isinstance(found, Mapping) or not all(isinstance(v, str | int) for v in found.values()):
            return {}
        said = {str(k): v for k, v in found.items() if k != "mac"}
        return said if hmac.compare_digest(self._mac(said, channel).encode(), str(found.get("mac", "")).encode()) else {}

    def mark(self, key: str) -> str:
        """For the buttons of a page: whoever presses one shows that a message of ours with this page is there."""
        return hmac.digest(self._key, f"button {key}".encode(), "sha256").hex()[:_MAC_CHARACTERS]

    def marks(self, key: str, mark: object) -> bool:
        """Whether this is the mark of that page."""
        return hmac.compare_digest(self.mark(key).encode(), str(mark).encode())

    def _mac(self, payload: Mapping[str, str | int], channel: str) -> str:
        """Of every value as text: it must survive Slack's reading and writing of JSON."""
        said = json.dumps([channel, {k: str(v) for k, v in payload.items()}], sort_keys=True, separators=(",", ":"))
        return hmac.digest(self._key, said.encode(), "sha256").hex()[:_MAC_CHARACTERS]


def of(secrets_: Mapping[str, str]) -> Seal:
    """The seal of an installation."""
    return Seal(secrets_.get(install_key.NAME, ""))

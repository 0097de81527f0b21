"""Which id an account has: asked for by its handle, and pinned."""

from __future__ import annotations

from datetime import datetime

from monitor.config import Config
from monitor.model import Account
from monitor.registrations import by_handle
from monitor.sources.interface import Source, SourceError
from monitor.store import Store
from monitor.tables import AccountTable


async def ids(source: Source, handles: tuple[str, ...]) -> dict[str, str | SourceError]:
    """The ids behind handles, or why they are not known."""
    try:
        return await source.resolve(handles)
    except SourceError as error:
        return dict.fromkeys(handles, error)


def pinned(store: Store, config: Config, table: AccountTable, identifier: str, now: datetime) -> Account:
    """The account by its id, for ever; what was registered for its handle before is registered for it."""
    account, unknown = (config.account(table, one) for one in (identifier, by_handle(table.handle)))
    with store.transaction():
        if not table.id and not store.pinned(table.platform, table.handle):
            store.pin(table.platform, table.handle, identifier)
        if found := store.registrations.resolve(unknown.key, account.key):
            store.audit(now, "monitor", "account resolved", account.key, handle=table.handle, registrations=found)
    return account

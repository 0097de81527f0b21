"""What a configuration leaves open: who may do what, and what it names that cannot be right. Sentences for `check`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from monitor import install_key, retention, text_files
from monitor.config import Config
from monitor.model import Company
from monitor.tables import SlackTable
from monitor.verdict.addresses import addresses, wallet_names
from monitor.verdict.links import is_shortener

_LIST_THEM = "List groups (S…) or users (U…)"
_APP_TOKEN = "slack_app_token"  # noqa: S105 - the secret's name


def who_may(config: Config) -> Iterator[str]:
    """Who may acknowledge, and who may approve, in Slack and on the host."""
    slack = config.file.slack
    host = "whoever may run this command here"
    if slack:
        responders, approvers = (", ".join(names) for names in (slack.responders, slack.approvers))
        both = ", ".join(filter(None, (responders, approvers)))
        yield f"acknowledge    {both if responders else 'every full member of the workspace'}; {host}"
        yield f"approve        {approvers or 'nobody in Slack'}; {host}"
    else:
        yield f"acknowledge    {host}"
        yield f"approve        {host}"


def meant(config: Config) -> Iterator[str]:
    """Hosts that are compared otherwise than they are written."""
    table, company = config.file.company, config.company
    for written, used in zip((*table.domains, *table.shorteners), (*company.domains, *company.shorteners), strict=True):
        if written != used:
            yield f"note: [company] {written} is taken as {used}: its subdomains, www among them, are ours too"


def warnings(config: Config, secrets: Mapping[str, str]) -> Iterator[str]:
    """What is missing or cannot be right, with what to do."""
    yield from _of_company(config.company)
    if config.file.slack:
        yield from _of_slack(config.file.slack, secrets)
        if not config.paging.mention and not config.paging.escalate:
            yield (
                "[slack] mention and [paging] escalate are empty: a page names nobody, and whoever sleeps is not woken."
                " List a user group (S…), a user (U…) or channel"
            )
    if config.file.witness and not secrets.get(install_key.NAME):
        yield (
            f"[witness] needs the secret {install_key.NAME}, the same on both hosts: without it this monitor does not know the first one's"
            " messages and pages everything too"
        )
    yield from retention.warnings(config.retention, watches_x=any(a.platform == "x" for a in config.file.accounts))
    yield from _moved_aside(config.database)
    if not config.file.deadman:
        yield "nobody outside notices when this monitor is gone: add [deadman]"


def _moved_aside(database: Path) -> Iterator[str]:
    """What restores left, with the journals of it."""
    try:
        sizes = {left.name: left.lstat().st_size for left in database.parent.glob(f"{database.name}.before-restore-*")}
    except OSError:
        return
    if sizes:
        yield (
            f"{database.parent} holds what `restore` moved aside, {sum(sizes.values()) / 1e6:,.0f} MB: {', '.join(sorted(sizes))}. Nothing deletes"
            " it, and nothing that [retention] or `posts forget` removes leaves it: delete what you no longer need"
        )


def _of_company(company: Company) -> Iterator[str]:
    if not company.domains:
        yield "[company] domains is empty: every link is foreign, and look-alikes of yours are not recognized"
    if not company.handles:
        yield "[company] handles is empty: a handle of yours in a post or a profile counts as somebody else's. List them without @"
    for wallet in company.wallets:
        if not (wallet in {a.value for a in addresses(wallet)} or wallet.lower() in wallet_names(wallet)):
            yield (
                f"[company] wallets: found {wallet!r}, which is no address or wallet name that we know, or its checksum is wrong: it excuses"
                " nothing. Copy it again from the wallet"
            )
    for key, hosts in (("domains", company.domains), ("shorteners", company.shorteners)):
        if shared := [host for host in hosts if is_shortener(host)]:
            yield (
                f"[company] {key}: {', '.join(shared)} makes links for anybody, who may change where they lead later."
                " List only hosts whose links nobody else can make"
            )


def _of_slack(slack: SlackTable, secrets: Mapping[str, str]) -> Iterator[str]:
    if slack.runbook_file:
        try:
            text_files.read(Path(slack.runbook_file))
        except text_files.TextError as error:
            yield f"[slack] runbook_file {error}; until then letters of it are lost in Slack"
    if not slack.responders:
        who = "only approvers silence and resolve there" if slack.approvers else "nobody can silence or resolve there"
        yield f"[slack] responders is empty: every full member of the workspace may acknowledge, {who}. {_LIST_THEM}"
    if not slack.approvers:
        yield f"[slack] approvers is empty: nobody can approve or plan posts in Slack. {_LIST_THEM}"
    if not secrets.get(_APP_TOKEN):
        yield (
            f"the secret {_APP_TOKEN} is not there: pages have no buttons, and there is no /hijack and no Home tab. Replies and"
            " reactions in the threads still acknowledge"
        )

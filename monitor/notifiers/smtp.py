"""Mail, through the standard library's smtplib in a thread: STARTTLS with a verified certificate, one thread an incident.

`send_message` returns refused recipients without raising when at least one was accepted: those are
tried again, the others are not mailed twice by us.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from monitor.model import Human, PageKind, State
from monitor.notifiers import _words
from monitor.notifiers.interface import Letter, NotifierError, Refusal, Settings

DEADLINE_SECONDS = 10


def build(settings: Settings, secrets: Mapping[str, str]) -> SmtpNotifier:
    """The secret `smtp_password` is needed when `username` is set (KeyError)."""
    password = secrets["smtp_password"] if settings.options.get("username") else ""
    return SmtpNotifier(settings, password)


class SmtpNotifier:
    """See `Notifier`. A receipt is the Message-ID."""

    def __init__(self, settings: Settings, password: str) -> None:
        self._options, self._password, self._clock = dict(settings.options), password, settings.clock
        self._accepted: dict[str, set[str]] = {}

    async def send(self, letter: Letter) -> str:
        """A mail for what wakes, and one when it is acknowledged or resolved. Further posts are not mailed."""
        if letter.page.kind is PageKind.NOTE or (letter.page.kind is PageKind.SYNC and letter.incident.state is State.OPEN):
            return "nothing to mail"
        mail = self._mail(letter)
        await self._deliver(mail, letter.page.key)
        return str(mail["Message-ID"])

    def _mail(self, letter: Letter) -> EmailMessage:
        install = letter.page.key.split(":", 1)[0]
        host = str(self._options["sender"]).rpartition("@")[2].rstrip(">") or "hijack-monitor"
        thread = f"<inc{letter.incident.id}.{install}@{host}>"
        mail = self._bare(_words.headline(letter), _words.body(letter))
        mail["Message-ID"] = f"<{letter.page.key.replace(':', '.')}@{host}>"
        mail["In-Reply-To"] = mail["References"] = thread  # one thread, though the first mail of it may be on another route
        return mail

    def _bare(self, subject: str, body: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self._options["sender"], ", ".join(self._options["recipients"])
        mail["Subject"], mail["Date"] = subject, format_datetime(self._clock())
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Priority"] = "1"
        mail.set_content(body)
        return mail

    async def _deliver(self, mail: EmailMessage, key: str) -> None:
        """To everybody who does not have it yet. Raises NotifierError when somebody who may still get it did not."""
        have = self._accepted.setdefault(key, set())
        wanted = [r for r in self._options["recipients"] if r not in have]
        refused = await self._in_thread(mail, wanted)
        have.update(r for r in wanted if r not in refused)
        later = [r for r, (code, _) in refused.items() if code < 500]
        if later:
            raise NotifierError(Refusal.NOT_ACCEPTED, f"the mail server put off {len(later)} of {len(wanted)} recipients")
        if not have:
            raise NotifierError(Refusal.DESTINATION, "the mail server refused every recipient")
        self._accepted.pop(key, None)

    async def _in_thread(self, mail: EmailMessage, recipients: list[str]) -> dict[str, tuple[int, Any]]:
        try:
            async with asyncio.timeout(3 * DEADLINE_SECONDS):
                return await asyncio.to_thread(self._submit, mail, recipients)
        except smtplib.SMTPRecipientsRefused as error:
            return dict(error.recipients)
        except smtplib.SMTPException as error:
            raise _classified(error) from None
        except ssl.SSLError as error:
            raise NotifierError(Refusal.DESTINATION, f"no secure connection to the mail server ({type(error).__name__})") from None
        except (TimeoutError, OSError) as error:
            raise NotifierError(Refusal.NOT_ACCEPTED, f"the mail server could not be reached ({type(error).__name__})") from None

    def _submit(self, mail: EmailMessage, recipients: list[str]) -> dict[str, tuple[int, bytes]]:
        """The dialogue. Returns who was refused and why."""
        with self._connected() as server:
            return dict(server.send_message(mail, to_addrs=recipients))

    def _connected(self) -> smtplib.SMTP:
        o = self._options
        context = ssl.create_default_context(cafile=o.get("ca_file") or None)
        if o["security"] == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(o["host"], o["port"], timeout=DEADLINE_SECONDS, context=context)
        else:
            server = smtplib.SMTP(o["host"], o["port"], timeout=DEADLINE_SECONDS)
        try:
            if o["security"] == "starttls":
                server.starttls(context=context)
            if o.get("username"):
                server.login(o["username"], self._password)
        except BaseException:
            server.close()
            raise
        return server

    async def find(self, letter: Letter) -> str:  # noqa: ARG002
        """Mail cannot be looked for; the Message-ID stays the same, so that mail programs may fold doubles."""
        return ""

    async def humans(self, root: str) -> tuple[Human, ...]:  # noqa: ARG002
        """Answers to mail are not read."""
        return ()

    async def check(self) -> str:
        """Connect, secure, log in, and go."""
        try:
            async with asyncio.timeout(3 * DEADLINE_SECONDS):
                await asyncio.to_thread(lambda: self._connected().quit())
        except smtplib.SMTPException as error:
            raise _classified(error) from None
        except (TimeoutError, OSError) as error:
            raise NotifierError(Refusal.NOT_ACCEPTED, f"the mail server could not be reached ({type(error).__name__})") from None
        return f"mail to {len(self._options['recipients'])} recipient(s) over {self._options['host']}"

    async def shout(self, text: str) -> None:
        """A mail that nothing in the store knows of."""
        await self._deliver(self._bare(_words.line(text, 150), _words.line(text, 1_000) + "\n"), f"shout {text}")


def _classified(error: smtplib.SMTPException) -> NotifierError:
    code = int(getattr(error, "smtp_code", 0) or 0)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return NotifierError(Refusal.CREDENTIALS if code >= 500 else Refusal.NOT_ACCEPTED, f"the mail server refused the login ({code})")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return NotifierError(Refusal.DESTINATION, "the mail server offers no STARTTLS or no login")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return NotifierError(Refusal.UNKNOWN, "the mail server hung up")
    if code >= 500:
        refusal = Refusal.CONTENT if isinstance(error, smtplib.SMTPDataError) else Refusal.DESTINATION
        return NotifierError(refusal, f"the mail server refused the mail ({code})")
    return NotifierError(Refusal.NOT_ACCEPTED, f"the mail server put the mail off ({code or type(error).__name__})")

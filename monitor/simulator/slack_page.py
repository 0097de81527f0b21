"""The channel as Slack would show it, for looking at: blocks, threads, edits, mentions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from monitor import safe

if TYPE_CHECKING:
    from monitor.simulator.slack import Message

_STYLE = """
body{font:15px/1.46 Lato,system-ui,sans-serif;color:#1d1c1d;margin:0;background:#fff}
h1{font-size:18px;border-bottom:1px solid #ddd;padding:12px 20px;margin:0}
.m{padding:8px 20px 8px 64px;position:relative;max-width:780px}.m:before{content:"";position:absolute;left:20px;top:12px;
width:36px;height:36px;border-radius:4px;background:#7a1420}.m.h:before{background:#2b6cb0}
.m>div{white-space:pre-line}.n{font-weight:900}.t{color:#616061;font-size:12px;margin-left:6px}.r{margin-left:44px;border-left:3px solid #eee}
.hd{font-size:18px;font-weight:900;margin:4px 0}blockquote{border-left:4px solid #ddd;margin:6px 0;padding:2px 0 2px 12px;
white-space:pre-wrap;overflow-wrap:anywhere}.f{display:grid;grid-template-columns:1fr 1fr;gap:8px 16px;margin:6px 0;white-space:pre-wrap}
.c{color:#616061;font-size:13px}.at{background:#fff3c4;color:#8a6100;border-radius:3px;padding:0 2px}code{background:#f4f4f4;
border:1px solid #ddd;border-radius:3px;color:#e01e5a;padding:1px 3px}.x{border:1px solid #ccc;border-radius:12px;padding:1px 8px}
.a{margin:8px 0}.b{display:inline-block;border:1px solid #bbb;border-radius:4px;padding:4px 12px;margin:0 8px 6px 0;font-weight:700;font-size:14px}
.b.primary{background:#007a5a;border-color:#007a5a;color:#fff}.b.danger{background:#e01e5a;border-color:#e01e5a;color:#fff}
pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:6px 8px;margin:6px 0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px}
"""
_MENTION = re.compile(r"&lt;(!channel|!subteam\^\w+|@\w+)&gt;")
_LINK = re.compile(r"&lt;(https://x\.com/i/web/status/\d+)\|([^&]+)&gt;")
_NAMES = {"!channel": "@channel", "!subteam^S0SOCIAL": "@social-oncall", "!subteam^S0SECONDARY": "@social-secondary"}


def page(messages: list[Message], channel: str) -> str:
    """The whole channel as HTML; threads stand below their first message."""
    tops = [m for m in messages if not m.thread_ts]
    parts = [_message(m) + "".join(_message(r) for r in messages if r.thread_ts == m.ts) for m in tops]
    body = "".join(parts) or '<p class="m">Nothing here: a quiet day.</p>'
    return (
        f'<!doctype html><meta charset="utf-8"><title>#{safe.for_html(channel)}</title><style>{_STYLE}</style>'
        f"<h1># incidents <span class=t>{safe.for_html(channel)}, as Slack would show it</span></h1>{body}"
    )


def _message(message: Message) -> str:
    name = "hijack-monitor" if message.bot else message.user
    body = "".join(_block(b) for b in message.blocks) or f"<div>{_markup(message.text)}</div>"
    edited = " (edited)" if message.edits else ""
    broadcast = " · also sent to the channel" if message.broadcast else ""
    reactions = "".join(f"<span class=x>:{safe.for_html(n)}: {len(u)}</span>" for n, u in message.reactions.items())
    kind = ("m r" if message.thread_ts else "m") + ("" if message.bot else " h")
    return (
        f'<div class="{kind}"><span class=n>{safe.for_html(name)}</span>'
        f"<span class=t>{message.at:%H:%M:%S}{edited}{broadcast}</span>{body}{reactions}</div>"
    )


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<div class=hd>{_escape(block['text']['text'])}</div>"
        case "section":
            text = f"<div>{_markup(block['text']['text'])}</div>" if "text" in block else ""
            fields = "".join(f"<div>{_markup(f['text'])}</div>" for f in block.get("fields") or ())
            return text + (f"<div class=f>{fields}</div>" if fields else "")
        case "rich_text":
            return "".join(_rich(e) for e in block["elements"])
        case "context":
            return "".join(f"<div class=c>{_markup(e['text'])}</div>" for e in block["elements"])
        case "actions":
            return f"<div class=a>{''.join(_button(e) for e in block['elements'])}</div>"
    return ""


def _rich(element: dict[str, Any]) -> str:
    said = "".join(_escape(leaf["text"]) for leaf in element["elements"])
    return f"<pre>{said}</pre>" if element["type"] == "rich_text_preformatted" else f"<blockquote>{said}</blockquote>"


def _button(element: dict[str, Any]) -> str:
    return f'<span class="b {element.get("style", "")}">{_escape(element["text"]["text"])}</span>'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _markup(text: str) -> str:
    """Slack's mrkdwn, as far as our messages use it. The text is already escaped as Slack wants it."""
    shown = text.replace("<", "&lt;").replace(">", "&gt;")
    shown = re.sub(r"&lt;!date\^\d+\^[^|]*\|([^&]*)&gt;", r"\1", shown)
    shown = _LINK.sub(r'<a href="\1">\2</a>', shown)
    shown = _MENTION.sub(lambda m: f"<span class=at>{_NAMES.get(m[1], m[1])}</span>", shown)
    shown = re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", shown)
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", shown)

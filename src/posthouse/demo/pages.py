"""Texts as plain mail and as HTML: wrapping, quoting, newsletters, postcards."""

from __future__ import annotations

import html
import textwrap

__all__ = ["newsletter", "paragraphs", "postcard", "quote", "reply", "wrap"]

_COLOURS = (("#7a3b1d", "#fbf3ea"), ("#1f4f6b", "#eef5f9"), ("#3d5a2a", "#f2f7ee"), ("#5c2f52", "#f8f0f6"))


def wrap(body: str) -> str:
    """Every line at most 76 characters long; lines that are short stay as they are."""
    return "".join(
        "\n".join(textwrap.wrap(line, 76, drop_whitespace=True)) + "\n" if len(line) > 76 else line + "\n"
        for line in body.rstrip("\n").split("\n")
    )


def quote(body: str, name: str) -> str:
    """What is put under a reply."""
    return f"\n{name} wrote:\n" + "".join(f"> {line}\n" for line in wrap(body).rstrip("\n").split("\n"))


def paragraphs(body: str) -> str:
    """Plain text as a simple HTML document."""
    blocks = "".join(
        f"<p>{html.escape(block).replace(chr(10), '<br>')}</p>\n" for block in body.strip().split("\n\n")
    )
    return f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head>\n<body>\n{blocks}</body></html>\n'


def reply(body: str, previous: str) -> str:
    """A reply in HTML with the earlier message in a block quote."""
    inner = paragraphs(body).removesuffix("</body></html>\n")
    quoted = html.escape(previous).replace("\n", "<br>\n")
    return f'{inner}<blockquote style="border-left:2px solid #999;padding-left:8px">{quoted}</blockquote></body></html>\n'


def newsletter(shop: str, title: str, items: list[tuple[str, str]], number: int) -> str:
    """A newsletter as they are: tables, inline styles, a preheader, links that lead nowhere (.example)."""
    dark, light = _COLOURS[number % len(_COLOURS)]
    rows = "".join(
        f'<tr><td style="padding:12px 24px"><h2 style="font:bold 18px Georgia,serif;color:{dark};margin:0">'
        f'{html.escape(head)}</h2><p style="font:14px/1.5 Arial,sans-serif;margin:6px 0">{html.escape(text)} '
        f'<a href="https://news.example/{number}/{index}" style="color:{dark}">Read&nbsp;on&nbsp;&rarr;</a></p></td></tr>\n'
        for index, (head, text) in enumerate(items)
    )
    return f"""<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8" />
<title>{html.escape(title)}</title>
<style type="text/css">@media (max-width:600px) {{ .w {{ width:100% !important }} }}</style></head>
<body style="margin:0;background:{light}">
<div style="display:none;max-height:0;overflow:hidden">{html.escape(items[0][1])}&zwnj;&nbsp;</div>
<table class="w" width="600" align="center" cellpadding="0" cellspacing="0" bgcolor="#ffffff">
<tr><td bgcolor="{dark}" style="padding:24px;color:#fff;font:bold 24px Georgia,serif">{html.escape(shop)}</td></tr>
{rows}<tr><td style="padding:24px;font:11px Arial;color:#777">You get this letter because you like small good things.
<a href="https://news.example/leave">Leave</a></td></tr>
</table></body></html>
"""


def postcard(caption: str, cid: str) -> str:
    """A picture inside the text, by its Content-ID (RFC 2392)."""
    return (
        '<html><body style="font-family:sans-serif">\n'
        f'<p>{html.escape(caption)}</p>\n<p><img src="cid:{cid}" alt="a dial" width="200" height="150"></p>\n</body></html>\n'
    )

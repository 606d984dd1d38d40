"""Markdown to safe HTML: tables, MathML for $...$, links to phases, labs and calculators; cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import nh3
from django.core.cache import caches
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

from problems.schema import anchor

VERSION = 1  # raise it when the same text means other HTML
Resolve = Callable[[str], str]
# fmt: off
MATH_TAGS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "ms", "mfrac", "msqrt", "mroot", "mstyle", "merror", "mpadded",
    "mphantom", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mtable", "mtr", "mtd",
    "mlabeledtr", "semantics", "annotation",
}
# fmt: on
MATH_ATTRIBUTES = {
    "xmlns",
    "display",
    "stretchy",
    "fence",
    "form",
    "separator",
    "lspace",
    "rspace",
    "accent",
    "linethickness",
    "columnalign",
}
TAGS = nh3.ALLOWED_TAGS | MATH_TAGS | {"section"}
ATTRIBUTES: dict[str, set[str]] = {
    **nh3.ALLOWED_ATTRIBUTES,
    **dict.fromkeys(MATH_TAGS, MATH_ATTRIBUTES),
    "a": {"href", "title"},
    "div": {"class", "tabindex", "role", "aria-label"},
    **{heading: {"id"} for heading in ("h2", "h3", "h4", "h5")},
}


def render(text: str, resolve: Resolve | None = None, scope: str = "") -> SafeString:
    """HTML of Markdown `text`.

    resolve   turns a link's target into a URL ("lab:index_tradeoffs?preset=x" -> "/labs/..."); None leaves targets alone
    scope     names what `resolve` depends on, for the cache (the problem's slug)
    """
    key = hashlib.sha256(f"{VERSION}\0{scope}\0{text}".encode()).hexdigest()
    cache = caches["markdown"]
    html: str | None = cache.get(key)
    if html is None:
        html = _render(text, resolve)
        cache.set(key, html, None)
    return mark_safe(html)  # noqa: S308 - cleaned by nh3


def _render(text: str, resolve: Resolve | None) -> str:
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open" and resolve:
                child.attrSet("href", resolve(str(child.attrGet("href") or "")))
    html = parser.renderer.render(tokens, parser.options, {})
    return nh3.clean(html, tags=TAGS, attributes=ATTRIBUTES, url_schemes={"http", "https", "mailto"}, link_rel="noopener")


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table").enable("strikethrough")
    parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, renderer=_math)
    parser.add_render_rule("heading_open", _heading_open)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def _math(content: str, options: dict[str, Any]) -> str:
    try:
        return str(convert(content, display="block" if options.get("display_mode") else "inline"))
    except Exception:  # noqa: BLE001 - the converter raises bare exceptions of its own; the source is then shown
        return f"<code>{escape(content)}</code>"


def _heading_open(self: Any, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """Headings get an id from their words, so that `phase:deep_dive#filters` finds its place."""
    token = tokens[index]
    return f'<{token.tag} id="{anchor(tokens[index + 1].content)}">'


def _table_open(self: Any, tokens: list[Token], index: int, options: Any, env: Any) -> str:
    """A table scrolls by itself; its column heads name the region, so that no two regions of a page are called the same."""
    heads = [tokens[at + 1].content for at in range(index, _end_of_head(tokens, index)) if tokens[at].type == "th_open"]
    label = escape("Table: " + ", ".join(filter(None, heads)))
    return f'<div class="table-scroll" tabindex="0" role="region" aria-label="{label}"><table>\n'


def _end_of_head(tokens: list[Token], start: int) -> int:
    return next(at for at in range(start, len(tokens)) if tokens[at].type == "thead_close")

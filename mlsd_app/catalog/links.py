"""Turns the addresses that content uses (`lab:`, `phase:`, `calc:`, `problem:`) into URLs."""

from __future__ import annotations

import re
from functools import cache, partial
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from mlsd_app.core import markdown
from problems.markdown import parse_link
from problems.schema import Problem

_HREF = re.compile(r'href="([^"]+)"')


def url_of(slug: str, href: str) -> str:
    """The URL of an address in the content of problem `slug`; an ordinary address stays as it is."""
    link = parse_link(href)
    if link is None:
        return href
    match link.kind:
        case "lab":
            path = reverse("runs:lab", args=[slug, link.target])
        case "phase":
            path = reverse("catalog:phase", args=[slug, link.target])
        case "calc":
            return f"{reverse('catalog:phase', args=[slug, 'capacity'])}#calc-{link.target}"
        case _:
            path = reverse("catalog:problem", args=[link.target])
    query = f"?{urlencode(link.query)}" if link.query else ""
    return f"{path}{query}{'#' + link.fragment if link.fragment else ''}"


def prose(text: str, problem: Problem) -> SafeString:
    """The problem's Markdown as HTML."""
    return markdown.render(text, partial(url_of, problem.slug), scope=problem.slug)


def diagram(problem: Problem) -> SafeString:
    """The reference architecture, to be inlined so that its links and colours work."""
    return _linked(problem.slug, problem.diagram_svg)


@cache
def _linked(slug: str, svg: str) -> SafeString:
    body = svg[svg.find("<svg") :]
    return mark_safe(_HREF.sub(lambda found: f'href="{escape(url_of(slug, found[1]))}"', body))  # noqa: S308 - a file of ours

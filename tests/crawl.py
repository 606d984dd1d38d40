"""Walks a site the way a reader does: from link to link, never outside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import requests

LINK_ATTRIBUTES = {"a": "href", "link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src"}


@dataclass
class Visit:
    """One address: where it was found, what it answered."""

    url: str
    found_on: str
    status: int
    seconds: float
    body: str = field(repr=False)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = LINK_ATTRIBUTES.get(tag)
        self.found += [value for name, value in attrs if name == wanted and value]


def links_of(url: str, html: str) -> list[str]:
    """Addresses the page leads to, fragments cut off."""
    parser = _Links()
    parser.feed(html)
    return [urldefrag(urljoin(url, link)).url for link in parser.found]


def crawl(session: requests.Session, start: str, *, avoid: tuple[str, ...] = (), limit: int = 2000) -> Iterator[Visit]:
    """Every address of the site that can be reached from `start`, each once; paths that begin with one of `avoid` are left out.

    Of addresses that differ only in their query string the first few are enough: a filter form has endlessly many.
    """
    waiting: deque[tuple[str, str]] = deque([(start, "")])
    seen, queries = {start}, dict[str, int]()
    host = urlsplit(start).netloc
    while waiting and len(seen) <= limit:
        url, found_on = waiting.popleft()
        answer = session.get(url, timeout=60)
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        yield Visit(url, found_on, answer.status_code, answer.elapsed.total_seconds(), answer.text if is_page else "")
        for link in links_of(answer.url, answer.text) if is_page else ():
            parts = urlsplit(link)
            if link in seen or parts.netloc != host or parts.path.startswith(avoid) or not _worth(parts.path, parts.query, queries):
                continue
            seen.add(link)
            waiting.append((link, url))


def _worth(path: str, query: str, queries: dict[str, int], most: int = 3) -> bool:
    if not query:
        return True
    queries[path] = queries.get(path, 0) + 1
    return queries[path] <= most

"""Server time of every page, asked for over one connection without pause, by a signed-in candidate.

Pages are found by following links from the front page, so a new page is measured without being listed here.
"""

from __future__ import annotations

from collections import defaultdict
from urllib.parse import urlsplit

import requests
from django.urls import Resolver404, resolve

from benchmarks._measure import own_site, percentile_ms, setup_django, table
from mlsd_app.core.demo import PEOPLE
from tests.crawl import Visit, crawl
from tests.live import sign_in

AVOID = ("/static/", "/account/logout", "/staff/")
REPEATS = 20
PAGES_A_VIEW = 8


def view_of(url: str) -> str:
    try:
        return resolve(urlsplit(url).path).view_name
    except Resolver404:
        return ""


def pages_by_view(visits: list[Visit]) -> dict[str, list[Visit]]:
    """HTML pages by the view that makes them, at most PAGES_A_VIEW each."""
    found: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        view = view_of(visit.url)
        if view and visit.body and visit.status == 200 and len(found[view]) < PAGES_A_VIEW:
            found[view].append(visit)
    return {view: pages for view, pages in found.items() if pages}


def times_s(session: requests.Session, pages: list[Visit]) -> list[float]:
    """Seconds until the head of the answer is there, which for a page made in one piece is the server's time."""
    return [session.get(page.url).elapsed.total_seconds() for _ in range(REPEATS) for page in pages]


def main() -> None:
    setup_django()
    candidate = PEOPLE[0]
    with own_site() as site, requests.Session() as session:
        sign_in(session, site.url, candidate.username, candidate.password)
        views = pages_by_view(list(crawl(session, f"{site.url}/", avoid=AVOID)))
        rows = [
            (
                view,
                len(pages),
                f"{percentile_ms(seconds, 50):.1f}",
                f"{percentile_ms(seconds, 95):.1f}",
                f"{max(len(p.body) for p in pages) / 1e3:.0f}",
            )
            for view, pages in sorted(views.items())
            for seconds in [times_s(session, pages)]
        ]
    print(table(["view", "pages", "p50 (ms)", "p95 (ms)", "largest page (kB)"], rows))


if __name__ == "__main__":
    main()

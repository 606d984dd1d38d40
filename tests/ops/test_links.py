"""No link of the site leads nowhere, whoever follows it."""

from __future__ import annotations

import pytest
import requests

from mlsd_app.core.demo import PEOPLE
from tests.crawl import crawl
from tests.live import LiveSite, sign_in

SIGN_OUT = "/account/logout"
MIN_PAGES = 15


@pytest.mark.slow
@pytest.mark.parametrize("role", ["Guest", *[person.role for person in PEOPLE]])
def test_every_link_leads_somewhere(live_site: LiveSite, role: str) -> None:
    with requests.Session() as session:
        for person in PEOPLE:
            if person.role == role:
                sign_in(session, live_site.url, person.username, person.password)
        visits = list(crawl(session, f"{live_site.url}/", avoid=(SIGN_OUT, "/staff/")))
    broken = [f"{visit.status} {visit.url} (linked from {visit.found_on})" for visit in visits if visit.status >= 400]
    assert broken == []
    assert len([visit for visit in visits if visit.body]) >= MIN_PAGES, "the crawl saw too little to mean anything"

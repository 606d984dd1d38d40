"""The site on servers it did not start: PostgreSQL and Redis as DATABASE_URL and REDIS_URL name them (CI starts both)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from mlsd_app.core.demo import PEOPLE
from tests.live import running_site, sign_in

SERVERS = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if name in os.environ}


@pytest.mark.database
@pytest.mark.skipif(len(SERVERS) < 2, reason="runs where DATABASE_URL and REDIS_URL name servers: tools/servers make test")
def test_the_site_runs_on_servers_it_did_not_start(tmp_path: Path) -> None:
    with running_site(tmp_path / "var", **SERVERS) as site, requests.Session() as session:
        assert not (site.var / "redis.sock").exists() and not (site.var / "log" / "redis.log").exists()
        assert not list(site.var.glob("*.sqlite3"))
        sign_in(session, site.url, PEOPLE[0].username, PEOPLE[0].password)
        assert site.health() == {"status": "ok", "database": True, "redis": True, "queues": dict.fromkeys(site.health()["queues"], True)}
        site.restart("web")
        site.wait_until_ready()
        assert session.get(f"{site.url}/account/", allow_redirects=False).status_code == 200, "the session lives in the database"

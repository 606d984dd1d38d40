"""The production settings, as a process of their own sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {"LOOP45_ENV": "production", "LOOP45_SECRET_KEY": "k7" * 10 + "Xq-9_w!" * 6, "LOOP45_HOSTS": "loop45.example.org"}


def manage(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LOOP45_", "DATABASE_", "REDIS_", "DJANGO_"))}
    environment = {**inherited, "LOOP45_VAR": str(tmp_path), **variables}
    return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_production_has_no_issue(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_wants_a_secret_and_hosts(tmp_path: Path) -> None:
    for missing in ("LOOP45_SECRET_KEY", "LOOP45_HOSTS"):
        done = manage(tmp_path, "check", **{name: value for name, value in PRODUCTION.items() if name != missing})
        assert done.returncode != 0
        assert missing in done.stderr


def test_demo_accounts_are_for_development(tmp_path: Path) -> None:
    done = manage(tmp_path, "seed_demo", **PRODUCTION)
    assert done.returncode != 0
    assert "LOOP45_DEMO" in done.stderr

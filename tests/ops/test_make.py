"""The two commands on machines that lack something: they install it, or say in a sentence what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live import ROOT


def script(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def run(command: list[str], cwd: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(path), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=30)


def test_a_python_too_old_is_a_sentence(tmp_path: Path) -> None:
    script(tmp_path, "python3", 'if [ "$1" = --version ]; then echo "Python 3.9.2"; else exit 1; fi')
    refused = run([str(ROOT / "tools" / "install"), "requirements.txt"], tmp_path, tmp_path)
    assert refused.returncode == 1
    assert "needs Python 3.11 or newer" in refused.stderr and "Python 3.9.2" in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_is_a_sentence_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    rm = shutil.which("rm")
    script(tmp_path, "rm", f'exec {rm} "$@"')
    script(tmp_path, "python3", f'case "$1" in --version) echo "Python 3.12.1";; -m) {shutil.which("mkdir")} .venv; exit 1;; esac')
    refused = run([str(ROOT / "tools" / "install"), "requirements.txt"], tmp_path, tmp_path)
    assert refused.returncode == 1 and "apt-get install python3-venv" in refused.stderr
    assert not (tmp_path / ".venv").exists(), "the next try would take it for a whole one"


def test_a_missing_program_is_named_where_it_cannot_be_installed(tmp_path: Path) -> None:
    script(tmp_path, "id", "echo 1000")
    script(tmp_path, "ls", "exit 2")
    refused = run([str(ROOT / "tools" / "need"), "chromium", "chromium"], tmp_path, tmp_path)
    assert refused.returncode == 1 and "apt-get install chromium" in refused.stderr


def test_a_program_that_is_there_is_enough(tmp_path: Path) -> None:
    script(tmp_path, "chromium", "exit 0")
    assert run([str(ROOT / "tools" / "need"), "chromium", "chromium"], tmp_path, tmp_path).returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which everything is installed, as far as make can tell."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "tools/install"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    (tmp_path / ".venv" / ".installed-dev").touch()
    return tmp_path


def planned(checkout: Path, target: str) -> str:
    return subprocess.run(["make", "-n", target], cwd=checkout, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["run", "test"])
def test_installation_happens_once_and_again_when_the_pins_change(checkout: Path, target: str) -> None:
    assert "tools/install" not in planned(checkout, target)
    (checkout / "requirements.txt").touch()
    os.utime(checkout / ".venv" / ".installed", (2, 2))
    os.utime(checkout / ".venv" / ".installed-dev", (2, 2))
    assert "tools/install" in planned(checkout, target)


def test_help_names_every_command() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {name}" in said for name in ("run", "test", "check", "bench", "format", "clean", "help"))

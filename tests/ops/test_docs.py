"""The documents keep their word: their examples run, their links and paths exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from mlsd_app.core.processes import read_procfile
from problems.schema import ProblemHead
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.lab import Context, Lab
from tests.live import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
GUIDE = ROOT / "docs" / "where-things-go.md"
# `folder/file` in code font; placeholders and what only a running site has are left out
PATH = re.compile(r"`([a-z_.]+/[\w./-]*)`")
MADE_BY_RUNNING = ("var/", ".venv/", "/")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    links = [document.parent / link for link in re.findall(r"\]\((?![a-z]+:)([^)#]+)", text)]
    paths = [ROOT / path for path in PATH.findall(text) if not path.startswith(MADE_BY_RUNNING) and "<" not in path]
    assert [str(path) for path in [*links, *paths] if not path.exists()] == []


@pytest.fixture
def example_lab() -> type[Lab]:
    module = ModuleType("simulators.vector_search.coin_flips")
    sys.modules[module.__name__] = module  # pydantic looks the annotations' names up here
    exec(compile(block("python"), "coin_flips.py", "exec"), module.__dict__)
    del sys.modules[module.__name__]
    labs: list[Any] = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Lab) and value is not Lab]
    assert len(labs) == 1
    return labs[0]


@pytest.mark.parametrize("heads", [0.1, 0.5, 0.9])
def test_the_example_lab_works(example_lab: type[Lab], heads: float) -> None:
    def run(flips: int, seed: int) -> Any:
        return run_lab(example_lab, {"flips": flips, "heads": heads}, Context(seed=seed, assets=CachedAssets(None)))

    def width(result: Any) -> float:
        low, high = result.metrics[0].ci
        return float(high - low)

    assert run(10_000, 1) == run(10_000, 1) != run(10_000, 2)
    assert width(run(40_000, 1)) == pytest.approx(width(run(10_000, 1)) / 2, rel=0.1), "four times the flips halve the interval"
    covered = sum(low <= heads <= high for low, high in (run(1_000, seed).metrics[0].ci for seed in range(100)))
    assert 87 <= covered <= 100


def test_the_example_problem_is_valid() -> None:
    assert ProblemHead.model_validate(yaml.safe_load(block("yaml"))).state == "labs_only"


def test_the_readme_describes_every_process() -> None:
    variables = dict.fromkeys(("LOOP45_VAR", "LOOP45_BIND", "LOOP45_PORT", "LOOP45_SLOTS", "REDIS_SOCKET"), "x")
    described = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert described == set(read_procfile((ROOT / "Procfile").read_text(), variables))


def test_every_setting_from_the_environment_is_described() -> None:
    sources = [ROOT / "mlsd_app" / "settings.py", ROOT / "mlsd_app" / "core" / "processes.py"]
    used = {name for source in sources for name in re.findall(r"\b(LOOP45_[A-Z_]+|DATABASE_URL|REDIS_URL)\b", source.read_text())}
    assert [name for name in sorted(used) if name not in (ROOT / "docs" / "deploy.md").read_text()] == []

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from simulators.lab import Lab
from simulators.registry import labs
from tests.contract.running import Recording, record, smallest

ALL = [pytest.param(lab, id=f"{problem}/{slug}") for (problem, slug), lab in labs().items()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever asks for `lab` runs once a lab."""
    if "lab" in metafunc.fixturenames:
        metafunc.parametrize("lab", ALL)


@pytest.fixture(scope="session")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> Callable[[type[Lab]], Recording]:
    """The recording of a lab's default run, made once, in a process made ready as a worker's is, with a cold cache of assets."""

    @cache
    def of(lab: type[Lab]) -> Recording:
        lab.warm_up()
        return record(lab, {}, tmp_path_factory.mktemp("assets"))

    return of


class SmallRun(NamedTuple):
    recording: Recording
    folder: Path  # its cache, now warm


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[type[Lab]], SmallRun]:
    """A lab's run at its smallest, made once, with a cold cache."""

    @cache
    def of(lab: type[Lab]) -> SmallRun:
        folder = tmp_path_factory.mktemp("assets")
        return SmallRun(record(lab, smallest(lab), folder), folder)

    return of

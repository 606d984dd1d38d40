"""Runs a lab the way a worker does and keeps what it said, when, and what it cost in CPU time."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulators.assets import CachedAssets
from simulators.driver import drive
from simulators.encoding import plain
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Lab, LabParams, Progress, Result
from simulators.params import parse_params
from tests.contract.parameters import numbers_of

SEED = 7


@dataclass
class Recording:
    result: Result | None = None
    steps: list[Progress | Frame] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)  # CPU seconds of this thread between two yields: nothing else of the machine counts

    @property
    def finished(self) -> Result:
        assert self.result is not None
        return self.result


def record(lab: type[Lab], values: Mapping[str, Any], folder: Path | None, *, seed: int = SEED, budget_s: float = 60.0) -> Recording:
    """A whole run with a cold cache in `folder`; fails when it takes longer than its budget of CPU time."""
    recording = Recording()
    started = last = time.thread_time()

    def emit(step: Progress | Frame) -> None:
        nonlocal last
        now = time.thread_time()
        recording.gaps_s.append(now - last)
        recording.steps.append(step)
        last = now

    def over_budget() -> bool:
        return time.thread_time() - started > budget_s

    context = Context(seed=seed, assets=CachedAssets(folder))
    with _without_collection():
        recording.result = drive(lab(), parse_params(lab, values), context, emit=emit, cancelled=over_budget)
    recording.gaps_s.append(time.thread_time() - last)
    return recording


@contextmanager
def _without_collection() -> Iterator[None]:
    """The garbage of thousands of other tests is not the lab's work."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def smallest(lab: type[Lab]) -> dict[str, Any]:
    """The lab at its smallest: every number on a log scale (sizes, mostly) at its lower bound, the rest at the default.

    So the bound of an expensive parameter is tried beside small others. Empty where the lab does not allow that combination.
    """
    values = {number.name: number.low for number in numbers_of(lab) if number.log}
    return values if allowed(lab, values) is not None else {}


def allowed(lab: type[Lab], values: Mapping[str, Any]) -> LabParams | None:
    try:
        return parse_params(lab, values)
    except InvalidInput:
        return None


def repeatable(result: Result, *, exclusive: bool) -> Any:
    """What the same seed must repeat: everything but measured metrics; of a lab that measures, its figures and words hold readings too."""
    said = plain(result)
    said["metrics"] = [{**metric, "value": None, "ci": None} if metric["measured"] else metric for metric in said["metrics"]]
    if not exclusive:
        return said
    for metric in said["metrics"]:
        if metric["measured"]:
            metric["note"] = ""
    return {
        "metrics": said["metrics"],
        "figures": [item["key"] for item in said["figures"]],
        "tables": [t["columns"] for t in said["tables"]],
    }

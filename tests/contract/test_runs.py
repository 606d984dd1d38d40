"""What every lab does when it runs: finishes everywhere, repeats itself, speaks often, says units, and leaves nothing behind."""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import Cancelled, drive
from simulators.encoding import dumps, rounded
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Lab
from simulators.params import parse_params
from tests.contract.conftest import SmallRun
from tests.contract.parameters import bound_cases
from tests.contract.running import SEED, Recording, record, repeatable, smallest

Defaults = Callable[[type[Lab]], Recording]
SmallRuns = Callable[[type[Lab]], SmallRun]
PHASES = {"clarify", "capacity", "architecture", "deep_dive", "evaluation", None}
BOUND_BUDGET_S = 30.0  # CPU time of a run with one parameter at its bound and the others small
TYPICAL_GAP_S, LONGEST_GAP_S = 0.06, 0.5


# --- the default run -------------------------------------------------------------------------------------------------


def test_result_is_finite_json(lab: type[Lab], defaults: Defaults) -> None:
    recording = defaults(lab)
    for said in (recording.finished, *recording.steps):
        assert all(math.isfinite(number) for number in numbers_in(json.loads(dumps(said))))
        assert json.loads(dumps(rounded(said)))


def test_metrics_have_units_and_names(lab: type[Lab], defaults: Defaults) -> None:
    metrics = defaults(lab).finished.metrics
    assert metrics
    assert len({metric.key for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.label and metric.unit, f"{metric.key} has no label or unit"
        assert ("@" in metric.key) == bool(metric.series), f"{metric.key}: a design's metric is quantity@design and names its series"
        if metric.ci and metric.value is not None:
            assert metric.ci[0] <= metric.value <= metric.ci[1], f"{metric.key} lies outside its own interval"


def test_frames_announce_metrics_of_the_result(lab: type[Lab], defaults: Defaults) -> None:
    """A tile or figure that appears while the lab works must not vanish at its end."""
    recording = defaults(lab)
    frames = [step for step in recording.steps if isinstance(step, Frame)]
    assert {m.key for frame in frames for m in frame.metrics} <= {m.key for m in recording.finished.metrics}
    assert {f.key for frame in frames for f in frame.figures} <= {f.key for f in recording.finished.figures}


def test_axes_have_titles_with_units(lab: type[Lab], defaults: Defaults) -> None:
    for figure in defaults(lab).finished.figures:
        assert figure.title and figure.summary, figure.key
        for name, axis in figure.plot["layout"].items():
            if name.startswith(("xaxis", "yaxis")):
                title = axis.get("title", {}).get("text", "")
                assert title, f"{figure.key} {name} has no title"
                assert "(" in title or of_categories(figure.plot, name), f"{figure.key}: {title} has no unit"


def of_categories(plot: dict[str, Any], axis: str) -> bool:
    values = [value for trace in plot["data"] for value in trace.get(axis[0], [])]
    return bool(values) and all(isinstance(value, str) for value in values)


def test_tables_are_rectangular_and_name_units(lab: type[Lab], defaults: Defaults) -> None:
    for table in defaults(lab).finished.tables:
        assert table.title and table.rows
        assert all(len(row) == len(table.columns) for row in table.rows)
        for heading, cells in zip(table.columns, zip(*table.rows, strict=True), strict=True):
            numbers = [cell for cell in cells if isinstance(cell, float)]
            coefficient = all(-1 <= number <= 1 for number in numbers)
            assert coefficient or "(" in heading, f"{table.key}: {heading} has no unit"


def test_insights_are_sentences(lab: type[Lab], defaults: Defaults) -> None:
    insights = defaults(lab).finished.insights
    assert insights
    for insight in insights:
        assert insight.text.endswith(".") and "nan" not in insight.text.lower().split()
        assert insight.phase in PHASES


def test_map_axes_are_quantities_of_the_result(lab: type[Lab], defaults: Defaults) -> None:
    known = {metric.key.partition("@")[0] for metric in defaults(lab).finished.metrics}
    assert set(lab.map_axes or ()) <= known


def test_it_speaks_often(lab: type[Lab], defaults: Defaults) -> None:
    gaps = defaults(lab).gaps_s[1:]  # the first holds imports
    assert np.percentile(gaps, 95) <= TYPICAL_GAP_S, f"95 % of the gaps are below {np.percentile(gaps, 95):.3f} s of work"
    assert max(gaps) <= LONGEST_GAP_S, f"it was silent for {max(gaps):.2f} s of work"


def test_it_shows_something_before_the_end(lab: type[Lab], defaults: Defaults) -> None:
    recording = defaults(lab)
    if sum(recording.gaps_s) > 1:
        assert any(isinstance(step, Frame) for step in recording.steps[: len(recording.steps) // 2])


# --- bounds, repetition, presets ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_bound_runs_or_is_refused_in_a_sentence(lab: type[Lab], tmp_path: Path) -> None:
    """Each number at both bounds and each choice, one at a time, the other sizes small; what a rule over several fields forbids says so."""
    small, ran = smallest(lab), 0
    for name, value in bound_cases(lab):
        try:
            record(lab, {**small, name: value}, tmp_path, budget_s=BOUND_BUDGET_S)
            ran += 1
        except InvalidInput as refused:
            assert refused.message.endswith(".") or "expected" in refused.message, f"{name}={value}: {refused.message}"
        except Cancelled:
            pytest.fail(f"{name}={value} takes more than {BOUND_BUDGET_S:.0f} s of CPU time though the other sizes are small")
    assert ran >= 0.7 * len(bound_cases(lab)), "most bounds can be reached by moving one parameter"


def test_same_seed_same_result(lab: type[Lab], small_runs: SmallRuns, tmp_path: Path) -> None:
    once, folder = small_runs(lab)
    for again in (record(lab, smallest(lab), tmp_path), record(lab, smallest(lab), folder)):  # with a cold cache and with a warm one
        assert repeatable(again.finished, exclusive=lab.exclusive) == repeatable(once.finished, exclusive=lab.exclusive)


@pytest.mark.slow
def test_every_preset_runs(lab: type[Lab], tmp_path: Path) -> None:
    for preset in lab.presets:
        result = record(lab, preset.values, tmp_path).finished
        assert result.insights, f"{preset.key} tells nothing"


# --- closing half-way ------------------------------------------------------------------------------------------------


@pytest.fixture
def own_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_closing_half_way_leaks_nothing(lab: type[Lab], share: float, small_runs: SmallRuns, tmp_path: Path, own_temp: Path) -> None:
    small, whole = smallest(lab), small_runs(lab).recording
    before = held()
    stop_after(lab, small, tmp_path / "cut", int(share * len(whole.steps)))
    assert held() == before
    assert not [path for path in own_temp.iterdir() if not path.match("torchinductor_*")]  # torch makes that folder once a process
    assert not [path for path in (tmp_path / "cut").glob("*") if path.suffix in (".lock", ".part")]
    after = record(lab, small, tmp_path / "cut").finished
    assert repeatable(after, exclusive=lab.exclusive) == repeatable(whole.finished, exclusive=lab.exclusive)


def stop_after(lab: type[Lab], values: dict[str, Any], folder: Path, steps: int) -> None:
    left = [steps]

    def cancelled() -> bool:
        left[0] -= 1
        return left[0] < 0

    context = Context(seed=SEED, assets=CachedAssets(folder))
    with pytest.raises(Cancelled):
        drive(lab(), parse_params(lab, values), context, emit=lambda step: None, cancelled=cancelled)


def held() -> tuple[int, int]:
    """Threads and open file descriptors of this process."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


# --- helpers ---------------------------------------------------------------------------------------------------------


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value

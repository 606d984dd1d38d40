"""The driver: pulls, shows, cancels, closes, and lets nothing unfinished or undefined through. The registry: finds labs."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import simulators
from simulators import registry
from simulators.assets import CachedAssets
from simulators.driver import Cancelled, drive, run_lab
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Lab, LabParams, Metric, Progress, Result, Steps, param
from simulators.params import InvalidParams

GOOD = Metric("heads", "Share of heads", 0.5, "share")


class Counting(Lab):
    """How far does it count?"""

    class Params(LabParams):
        upto: int = param(3, title="Up to", unit="steps", ge=1, le=10, group="world", help="How far.")

    closed = False

    def run(self, params: Params, ctx: Context) -> Steps:
        try:
            for i in range(params.upto):
                yield Progress(i, params.upto, "counting")
            return self.result()
        finally:
            self.closed = True

    def result(self) -> Any:
        return Result([GOOD])


def context() -> Context:
    return Context(seed=1, assets=CachedAssets(None))


def driven(lab: Lab, emit: Callable[[Any], None] = lambda step: None, cancelled: Callable[[], bool] = lambda: False) -> Result:
    return drive(lab, lab.Params(), context(), emit=emit, cancelled=cancelled)


def returning(value: Any) -> Lab:
    lab = Counting()
    lab.result = lambda: value  # type: ignore[method-assign]
    return lab


def test_every_step_is_emitted_and_the_result_returned() -> None:
    seen: list[Progress] = []
    assert driven(Counting(), emit=seen.append).metrics == [GOOD]
    assert [step.done for step in seen] == [0, 1, 2]


def test_cancelling_closes_the_generator() -> None:
    lab, seen = Counting(), []
    with pytest.raises(Cancelled):
        driven(lab, emit=seen.append, cancelled=lambda: len(seen) == 2)
    assert len(seen) == 2 and lab.closed


def test_an_error_while_emitting_closes_the_generator() -> None:
    lab = Counting()
    with pytest.raises(ZeroDivisionError):
        driven(lab, emit=lambda step: 1 / 0)
    assert lab.closed


def test_a_lab_must_return_a_result() -> None:
    with pytest.raises(TypeError, match="returns a Result, not NoneType"):
        driven(returning(None))


@pytest.mark.parametrize(
    ("metric", "complaint"),
    [
        (Metric("m", "M", math.nan, "s"), "m is nan"),
        (Metric("m", "M", math.inf, "s"), "m is inf"),
        (Metric("m", "M", 1.0, "s", limit=math.nan), "m limit"),
        (Metric("m", "M", 1.0, "s", ci=(0.0, math.inf)), "m interval"),
        (Metric("m", "M", None, "s"), "undefined without a note"),
        (GOOD, "heads stands twice"),
    ],
)
def test_metrics_that_cannot_be_shown_are_refused(metric: Metric, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        driven(returning(Result([GOOD, metric])))


def test_frames_are_checked_too() -> None:
    class Framing(Counting):
        def run(self, params: LabParams, ctx: Context) -> Steps:  # type: ignore[override]
            yield Frame([Metric("m", "M", math.nan, "s")])
            return Result([GOOD])

    with pytest.raises(ValueError, match="m is nan"):
        driven(Framing())


def test_an_undefined_metric_passes_with_a_note() -> None:
    assert driven(returning(Result([Metric("m", "M", None, "s", note="nothing matched")]))).metrics


def test_run_lab_refuses_bad_parameters_in_a_sentence() -> None:
    assert run_lab(Counting, {"upto": 2}, context()).metrics == [GOOD]
    with pytest.raises(InvalidParams, match=r"Up to: 11 was given; expected 10 or less steps"):
        run_lab(Counting, {"upto": 11}, context())


def test_random_streams_do_not_depend_on_one_another() -> None:
    one, other = context(), context()
    one.rng("world").random(100)
    assert one.rng("queries").random() == other.rng("queries").random()
    assert one.rng("world").random() != one.rng("queries").random()


# --- registry --------------------------------------------------------------------------------------------------------


def test_labs_know_their_place() -> None:
    for (problem, slug), lab in registry.labs().items():
        assert (lab.problem, lab.slug) == (problem, slug)
        assert registry.get_lab(problem, slug) is lab
        assert lab in registry.labs_of(problem)
        assert problem in registry.problems()


def test_engines_are_no_problem() -> None:
    assert "engines" not in registry.problems()


def test_an_unknown_lab_is_refused_with_the_known_ones() -> None:
    known = "/".join(next(iter(registry.labs())))
    with pytest.raises(InvalidInput, match=f"There is no lab no/where; the labs are .*{known}"):
        registry.get_lab("no", "where")


MODULE = '''
from simulators.lab import Lab
class {name}(Lab):
    """Which?"""
'''


def _discovered(folder: Path) -> str:
    """Labs a fresh process finds in a problem package `extra` that lies in `folder`."""
    code = (
        f"import simulators; simulators.__path__.append({str(folder)!r});"
        "from simulators.registry import labs_of; print([lab.slug for lab in labs_of('extra')])"
    )
    root = Path(simulators.__path__[0]).parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    return done.stdout + done.stderr


def test_a_new_module_is_a_new_lab(tmp_path: Path) -> None:
    package = tmp_path / "extra"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "coin.py").write_text(MODULE.format(name="Coin"))
    (package / "_helper.py").write_text(MODULE.format(name="Hidden"))
    assert "['coin']" in _discovered(tmp_path)
    (package / "coin.py").write_text(MODULE.format(name="Coin") + MODULE.format(name="Dice"))
    assert "defines 2 labs; one module holds one lab" in _discovered(tmp_path)

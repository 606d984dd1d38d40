"""Judging designs: what a verdict follows from, and how often it is right. No lab is needed: seeds come with their values."""

from __future__ import annotations

import hmac
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.challenge import (
    STAGE_1,
    STAGE_2,
    Grade,
    SeedResult,
    alone,
    clearly_missed,
    design_checked,
    design_hash,
    hidden_seeds,
    judge,
    run_design,
    world_of,
)
from simulators.lab import Assertion, Challenge, Context, Lab, LabParams, Metric, Progress, Result, Steps, param
from simulators.params import InvalidParams


def challenge(*assertions: Assertion, **changes: Any) -> Challenge:
    designs: dict[str, Any] = dict.fromkeys(("reference", "alternative", "naive", "maxed"), {})
    return Challenge("c", "C", "", assertions=assertions, **{"world": {}, "design": (), **designs, **changes})


CEILING = Assertion("cost", "<=", 100.0, "USD", "ceiling")
TARGET = Assertion("recall", ">=", 0.5, "share", "target")
SAFE = Assertion("leaks", "<=", 0.0, "rows", "safety")


def seeds(*values: float | None, metric: str = "cost", **other: float) -> list[SeedResult]:
    return [SeedResult(number, {metric: value, **other}) for number, value in enumerate(values)]


def verdict_of(task: Challenge, stage1: list[SeedResult], stage2: list[SeedResult]) -> Grade:
    return judge(task, stage1, None if clearly_missed(task, stage1) else stage2)


# --- verdicts ----------------------------------------------------------------------------------------------------------


def test_a_pass_a_narrow_pass_and_a_fail() -> None:
    task = challenge(CEILING)
    clear, scattered = seeds(*[90.0, 91.0] * 5), seeds(*[60.0, 139.0] * 5)
    assert judge(task, clear[:5], clear).verdict == "pass"
    assert judge(task, clear[:5], scattered).verdict == "narrow_pass", "half a unit inside, with an error of thirteen"
    grade = judge(task, clear[:5], seeds(*[100.1] * 10))
    assert (grade.verdict, grade.stage) == ("fail", 2)
    assert grade.assertions[0].margin == pytest.approx(-0.1) and grade.assertions[0].margin_percent == pytest.approx(-0.1)


def test_stage_1_decides_only_what_it_clearly_missed() -> None:
    task = challenge(CEILING)
    with pytest.raises(ValueError, match="stage 2"):
        judge(task, seeds(99, 101, 102, 103, 96), None)
    grade = judge(task, seeds(*[101.0] * 5), None)  # without scatter a hair outside is outside
    assert (grade.verdict, grade.stage, grade.pass_rate) == ("fail", 1, 0.0)


def test_the_bound_of_stage_1_is_students_t() -> None:
    """With 4 degrees of freedom the 90 % quantile is 1.5332."""
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    error = values.std(ddof=1) / math.sqrt(5)
    for factor, missed in ((1.5, False), (1.57, True)):
        assert clearly_missed(challenge(CEILING), seeds(*(100 + factor * error + values))) is missed


@given(
    st.lists(st.floats(0, 200), min_size=STAGE_2, max_size=STAGE_2),
    st.floats(0, 50),
    st.sampled_from([CEILING, TARGET]),
)
def test_more_margin_never_turns_a_pass_into_a_fail(values: list[float], more: float, assertion: Assertion) -> None:
    task, name = challenge(assertion), assertion.metric
    sign = -1 if assertion.op == "<=" else 1
    better = [value + sign * more for value in values]
    before = verdict_of(task, seeds(*values[:STAGE_1], metric=name), seeds(*values, metric=name))
    after = verdict_of(task, seeds(*better[:STAGE_1], metric=name), seeds(*better, metric=name))
    assert before.verdict == "fail" or after.verdict != "fail"


@given(st.permutations([99.0, 98.0, 103.0, 97.5, 96.0, 95.0, 101.0, 99.5, 94.0, 93.0]))
def test_the_order_of_seeds_does_not_matter(values: list[float]) -> None:
    task, first = challenge(CEILING), seeds(90, 91, 92, 93, 94)
    one, other = judge(task, first, seeds(*values)), judge(task, first, seeds(*sorted(values)))
    assert one.verdict == other.verdict
    assert one.assertions[0].mean == pytest.approx(other.assertions[0].mean, rel=1e-12)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("place", [0, 4])
def test_one_breach_of_safety_always_fails(stage: int, place: int) -> None:
    first, second = [0.0] * STAGE_1, [0.0] * STAGE_2
    (first if stage == 1 else second)[place] = 1.0
    grade = verdict_of(challenge(SAFE), seeds(*first, metric="leaks"), seeds(*second, metric="leaks"))
    assert grade.verdict == "fail" and grade.stage == stage
    assert verdict_of(challenge(SAFE), seeds(*[0.0] * 5, metric="leaks"), seeds(*[0.0] * 10, metric="leaks")).verdict == "pass"


def test_rounding_of_a_computer_is_no_breach() -> None:
    task = challenge(Assertion("x", "<=", 5.0, "%", "safety"))
    assert judge(task, seeds(*[5.000000000000001] * 5, metric="x"), seeds(*[5.000000000000001] * 10, metric="x")).verdict == "pass"


def test_what_is_undefined_does_not_hold() -> None:
    first = [SeedResult(1, {"cost": None}, notes={"cost": "Nobody answered."}), *seeds(1, 2, 3, 4)]
    grade = verdict_of(challenge(CEILING), first, [])
    assert grade.verdict == "fail" and grade.assertions[0].note == "Nobody answered." and grade.assertions[0].margin is None


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        clearly_missed(challenge(CEILING), seeds(1, 2, math.nan, 3, 4))


def test_the_worst_seed_is_one_of_those_that_are_told() -> None:
    second = [SeedResult(999, {"cost": 99.9}) for _ in range(10)]
    found = judge(challenge(CEILING), seeds(90, 95, 91, 92, 93), second).assertions[0]
    assert (found.worst_seed, found.worst_value) == (1, 95)


def test_cost_and_slack() -> None:
    rows = [SeedResult(number, {"cost": 50.0, "recall": 0.55}) for number in range(10)]
    grade = judge(challenge(TARGET, CEILING), rows[:5], rows)
    assert (grade.cost, grade.cost_unit) == (50.0, "USD")
    assert grade.slack == pytest.approx(10.0), "recall is 10 % inside, the cost 50 %"


def test_measured_values_are_judged_beside_the_reference() -> None:
    """A machine three times as slow reads three times as much for everybody."""
    timed = Assertion("ms", "<=", 2.0, "ms", "target", reference_value=1.0)

    def on(machine: float, own: float) -> Grade:
        rows = [SeedResult(number, {"ms": own * machine}, {"ms": machine}) for number in range(10)]
        return verdict_of(challenge(timed), rows[:5], rows)

    for machine in (0.5, 1.0, 3.0):
        assert on(machine, 1.9).verdict == "pass" and on(machine, 2.1).verdict == "fail"
    assert on(3.0, 1.9).assertions[0].as_measured == pytest.approx(5.7)
    with pytest.raises(ValueError, match="reference"):
        verdict_of(challenge(timed), [SeedResult(1, {"ms": 1.0})] * 5, [])


# --- how often it is right ---------------------------------------------------------------------------------------------


def passes(offset_sd: float, tries: int, rng: np.random.Generator, *, stage2: np.ndarray | None = None) -> bool:
    """Whether one of `tries` designs passes whose means lie `offset_sd` inside the target; values scatter by 1."""
    task = challenge(CEILING)
    fixed = rng.standard_normal(STAGE_2) if stage2 is None else stage2  # the secret seeds are the same at each try
    for _ in range(tries):
        first = seeds(*(100 - offset_sd + rng.standard_normal(STAGE_1)))
        small = 0.05 * rng.standard_normal(STAGE_2)  # a small change of the design shifts each world's value a little
        if verdict_of(task, first, seeds(*(100 - offset_sd + fixed + small))).verdict != "fail":
            return True
    return False


@pytest.mark.slow
def test_verdicts_are_right_as_often_as_the_design_of_the_seeds_promises() -> None:
    rng = np.random.default_rng(5)

    def share(offset_sd: float, tries: int, people: int) -> float:
        return sum(passes(offset_sd, tries, rng) for _ in range(people)) / people

    assert share(1.0, 1, 2000) >= 0.995, "one standard deviation clear"
    assert 0.89 <= share(0.5, 1, 2000) <= 0.97, "half of one clear"
    assert share(-1.0, 1, 2000) <= 0.005, "one short"
    assert share(-0.5, 30, 300) <= 0.11, "half of one short, with thirty tries"


# --- seeds and designs -------------------------------------------------------------------------------------------------


def test_hidden_seeds_are_hmac_and_differ_by_scope_and_secret() -> None:
    found = hidden_seeds(b"key", "a", 3)
    expected = [int.from_bytes(hmac.new(b"key", f"a#{n}".encode(), "sha256").digest()[:4], "big") >> 1 for n in range(3)]
    assert found == expected and all(0 <= seed < 2**31 for seed in found)
    assert len({*found, *hidden_seeds(b"key", "b", 3), *hidden_seeds(b"other", "a", 3)}) == 9
    assert hidden_seeds(b"key", "a", 10)[:3] == found


class Boxes(Lab):
    """How many boxes?

    It multiplies."""

    slug, problem, title, why = "boxes", "vector_search", "Boxes", ""

    class Params(LabParams):
        size: int = param(2, title="Size", unit="items", ge=1, le=100, help="")
        price: float = param(1.0, title="Price", unit="USD", ge=0.0, le=9.0, help="")
        load: float = param(1.0, title="Load", unit="x", ge=0.1, le=9.0, help="")

    def run(self, params: Any, ctx: Context) -> Steps:
        noise = float(ctx.rng("noise").normal(0, 0.01))
        yield Progress(1, 1, "counting")
        per_design = [Metric(f"cost@{name}", "Cost", params.price * params.load * factor, "USD") for name, factor in (("a", 1), ("b", 2))]
        return Result([*per_design, Metric("held", "Held", params.size + noise, "items")])


BOXES = challenge(
    Assertion("cost", "<=", 10.0, "USD", "ceiling"),
    Assertion("held", ">=", 3.0, "items", "target"),
    world={"load": 1.0},
    design=("size", "price"),
    variations=({"load": 2.0}, {"load": 3.0}),
)


def test_designs_are_checked_and_named() -> None:
    assert design_checked(Boxes, BOXES, {"size": 4.0}) == {"size": 4, "price": 1.0}
    one, other = ({"size": 64, "price": 2}, {"price": 2.0, "size": 64.0})
    hashes = [design_hash(Boxes, BOXES, design_checked(Boxes, BOXES, given)) for given in (one, other, {**one, "size": 65})]
    assert hashes[0] == hashes[1] != hashes[2]
    with pytest.raises(InvalidParams) as caught:
        design_checked(Boxes, BOXES, {"load": 0.1, "size": 3})
    assert "load is fixed by the brief" in caught.value.errors["load"]
    with pytest.raises(InvalidParams, match="Size: 0 was given"):
        design_checked(Boxes, BOXES, {"size": 0})


def test_a_design_is_run_in_the_worlds_that_the_seeds_draw() -> None:
    progress: list[tuple[int, int]] = []
    found = run_design(Boxes, BOXES, {"size": 4, "price": 1.5}, [10, 11], lambda *at: progress.append(at))
    assert [world_of(BOXES, seed)["load"] for seed in (10, 11)] == [2.0, 3.0]
    assert [row.values["cost"] for row in found] == [6.0, 9.0], "the dearer of the two designs that the run compares"
    assert progress == [(1, 2), (2, 2)]
    again = run_design(Boxes, BOXES, {"size": 4, "price": 1.5}, [10, 11], drive=alone)
    assert again == found


def test_a_figure_the_lab_does_not_give_is_undefined() -> None:
    task = challenge(Assertion("nothing", ">=", 1.0, "x", "target"), CEILING, design=("size",))
    found = run_design(Boxes, task, {}, [1])
    assert found[0].values["nothing"] is None and "no such figure" in found[0].notes["nothing"]

"""Off-policy estimates against the formulas written out, on worlds whose true value is known, and on two real logs."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.engines.ranking import data, ope
from simulators.engines.ranking.worlds import BanditWorld, bandit_world
from simulators.engines.ranking.worlds.bandit import bandit_policies, log_blocks, values
from simulators.errors import InvalidInput

SEEDS = (0, 1, 2)
DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
ALL = ("ips", "clipped", "snips", "dm", "dr", "dr_clipped")


def small(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "reward": rng.random(40),
        "propensity": np.where(rng.random(40) < 0.1, 0.0, rng.uniform(0.02, 1, 40)),
        "target": rng.random(40),
        "q_logged": rng.random(40),
        "q_target": rng.random(40),
    }


# --- the formulas -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_estimates_are_the_published_formulas(seed: int) -> None:
    log = small(seed)
    n, clip = 40, 3.0
    w = [t / p if p > 0 else 0.0 for t, p in zip(log["target"], log["propensity"], strict=True)]
    cut = [min(each, clip) for each in w]
    r, ql, qt = log["reward"], log["q_logged"], log["q_target"]
    expected = {
        "ips": sum(w[i] * r[i] for i in range(n)) / n,
        "clipped": sum(cut[i] * r[i] for i in range(n)) / n,
        "snips": sum(w[i] * r[i] for i in range(n)) / sum(w),
        "dm": sum(qt) / n,
        "dr": sum(qt[i] + w[i] * (r[i] - ql[i]) for i in range(n)) / n,
        "dr_clipped": sum(qt[i] + cut[i] * (r[i] - ql[i]) for i in range(n)) / n,
    }
    for method, value in expected.items():
        found = ope.estimate(**log, method=method, clip=clip)  # type: ignore[arg-type]
        assert found.value == pytest.approx(value, abs=1e-12)
        assert (found.lo + found.hi) / 2 == pytest.approx(value) and found.hi - found.lo == pytest.approx(2 * 1.959964 * found.se, rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_standard_errors_are_those_of_a_mean_and_of_a_ratio(seed: int) -> None:
    log = small(seed)
    w = np.divide(log["target"], log["propensity"], out=np.zeros(40), where=log["propensity"] > 0)
    terms = w * log["reward"]
    assert ope.estimate(**log, method="ips").se == pytest.approx(terms.std(ddof=1) / np.sqrt(40))
    snips = ope.estimate(**log, method="snips")
    assert snips.se == pytest.approx(np.sqrt(((terms - snips.value * w) ** 2).sum() / 39 / 40) / w.mean())


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_bootstrap_agrees_with_the_normal_approximation(method: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    log = {
        "reward": rng.random(2_000),
        "propensity": rng.uniform(0.3, 1, 2_000),
        "target": rng.random(2_000),
        "q_logged": rng.random(2_000),
        "q_target": rng.random(2_000),
    }
    normal, resampled = ope.estimate(**log, method=method), ope.estimate(**log, method=method, bootstrap=400, seed=seed)  # type: ignore[arg-type]
    assert resampled.value == normal.value and resampled.se == pytest.approx(normal.se, rel=0.15)
    assert resampled.lo == pytest.approx(normal.lo, abs=0.5 * normal.se) and resampled.hi == pytest.approx(normal.hi, abs=0.5 * normal.se)
    assert ope.estimate(**log, method=method, bootstrap=400, seed=seed) == resampled  # type: ignore[arg-type]


def test_on_the_own_policy_every_weight_is_one() -> None:
    rng = np.random.default_rng(0)
    reward, propensity = rng.random(100), rng.uniform(0.1, 1, 100)
    for method in ("ips", "snips", "clipped"):
        assert ope.estimate(reward, propensity, propensity, method=method).value == pytest.approx(reward.mean())  # type: ignore[arg-type]
    assert ope.diagnose(propensity, propensity) == ope.Diagnosis(pytest.approx(1), pytest.approx(1), pytest.approx(1), 0)


def test_a_perfect_model_leaves_doubly_robust_nothing_to_correct() -> None:
    log = small(0) | {"q_logged": small(0)["reward"]}
    assert ope.estimate(**log, method="dr").value == pytest.approx(ope.estimate(**log, method="dm").value)


def test_diagnosis() -> None:
    found = ope.diagnose([0.5, 0.25, 0.0, 1.0], [0.5, 0.5, 0.9, 0.0])
    assert (found.mean_weight, found.max_weight, found.zero_propensity) == (0.75, 2.0, 1)
    assert found.ess_fraction == pytest.approx(9 / (4 * 5))
    nothing = ope.diagnose([0.0, 0.5], [1.0, 0.0])
    assert nothing.mean_weight == 0 and np.isnan(nothing.ess_fraction)


def test_what_is_undefined_is_not_a_number() -> None:
    assert np.isnan(ope.estimate([1.0, 0.0], [0.5, 0.5], [0.0, 0.0], method="snips").value)
    one = ope.estimate([1.0], [0.5], [0.25])
    assert one.value == 0.5 and np.isnan([one.se, one.lo, one.hi]).all()


HALF = [0.5, 0.5]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ope.estimate([1.0], HALF, HALF), "propensity has 2 rows"),
        (lambda: ope.estimate([1.0, 0.0], HALF, [0.5]), "target has 1 rows"),
        (lambda: ope.estimate([1.0, np.nan], HALF, HALF), "reward holds 1"),
        (lambda: ope.estimate([1.0, 0.0], [0.5, 1.5], HALF), "propensity holds 1.5"),
        (lambda: ope.estimate([1.0, 0.0], HALF, [-0.5, 0.5]), "target holds -0.5"),
        (lambda: ope.estimate([1.0, 0.0], HALF, HALF, method="dm"), "q_target is missing"),
        (lambda: ope.estimate([1.0, 0.0], HALF, HALF, method="dr", q_target=HALF), "q_logged is missing"),
        (lambda: ope.estimate([1.0, 0.0], HALF, HALF, method="dm", q_target=[0.5]), "q_target has 1 rows"),
        (lambda: ope.estimate([1.0, 0.0], HALF, HALF, method="magic"), "method is 'magic'"),  # type: ignore[arg-type]
        (lambda: ope.estimate([1.0, 0.0], HALF, HALF, method="clipped", clip=0.0), "clip is 0"),
        (lambda: ope.estimate([1.0, 0.0], HALF, HALF, bootstrap=-1), "bootstrap is -1"),
        (lambda: ope.estimate([], [], []), "reward has no rows"),
        (lambda: ope.diagnose([], []), "propensity has no rows"),
        (lambda: ope.diagnose([[0.5]], [[0.5]]), "propensity has 2 dimensions"),
        (lambda: bandit_world(0, eps=1.5), "eps is 1.5"),
        (lambda: bandit_world(0, overlap=2.0), "overlap is 2"),
        (lambda: bandit_world(0, actions=2), "actions is 2"),
    ],
)
def test_wrong_arguments_are_named(call: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()


# --- the world --------------------------------------------------------------------------------------------------------------------


@cache
def world(seed: int, **knobs: Any) -> BanditWorld:
    return bandit_world(seed, **knobs)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_world_is_as_described(seed: int) -> None:
    found = world(seed, n=40_000, eps=0.1)
    at = np.arange(40_000)
    assert found.q.shape == found.target_policy.shape == (40_000, 20) and found.context.shape == (40_000, 5)
    np.testing.assert_allclose(found.target_policy.sum(axis=1), 1)
    np.testing.assert_allclose(found.target, found.target_policy[at, found.action])
    assert found.propensity.min() >= 0.1 / 20 and abs(found.reward.mean() - found.q[at, found.action].mean()) < 0.006
    assert found.reward.mean() == pytest.approx(found.logging_value, abs=0.006)
    assert (found.target_policy * found.q).sum(axis=1).mean() == pytest.approx(found.true_value, abs=0.006)
    shown = np.bincount(found.action, minlength=20) / 40_000
    np.testing.assert_allclose(shown, found.policies.logged(found.context).mean(axis=0), atol=0.008)
    weights, reward = found.policies.logging.ravel(), found.policies.reward.ravel()
    assert np.corrcoef(weights, reward)[0, 1] == pytest.approx(0.3, abs=1e-9)


def test_a_knob_leaves_the_other_draws_alone() -> None:
    a, b = world(5, n=500), bandit_world(5, n=500, logging_strength=0.5, overlap=0.8)
    np.testing.assert_array_equal(a.context, b.context)
    np.testing.assert_array_equal(a.q, b.q)
    assert a.true_value == b.true_value and (a.action != b.action).any()
    np.testing.assert_array_equal(bandit_world(5, n=500).reward, a.reward)


@cache
def repeated(seed: int, eps: float, strength: float = 2.0, n: int = 5_000, runs: int = 40) -> dict[str, Any]:
    """Relative error (runs,) by method and whether the interval holds the truth; the model is the truth's linear part."""
    policies = bandit_policies(seed, eps=eps, logging_strength=strength)
    truth, logged = values(policies, seed)
    found: dict[str, list[tuple[float, bool]]] = {}
    mean_weight = []
    for run in range(runs):
        parts = [np.concatenate(part) for part in zip(*log_blocks(policies, np.random.default_rng([seed, run]), n), strict=True)]
        x, action, reward, propensity, target, _, wanted = parts
        mean_weight.append(ope.diagnose(propensity, target).mean_weight)
        q = np.stack([reward.mean() + x @ ridge(x[action == a], reward[action == a] - reward.mean()) for a in range(20)], axis=1)
        logs = {"q_logged": q[np.arange(n), action.astype(int)], "q_target": (wanted * q).sum(axis=1)}
        for method in ALL:
            made = ope.estimate(reward, propensity, target, method=method, **logs)  # type: ignore[arg-type]
            found.setdefault(method, []).append((made.value / truth - 1, made.lo <= truth <= made.hi))
    errors = {method: np.array([error for error, _ in each]) for method, each in found.items()}
    covered = {method: float(np.mean([inside for _, inside in each])) for method, each in found.items()}
    return {"errors": errors, "covered": covered, "mean_weight": np.array(mean_weight), "log": logged / truth - 1}


def ridge(x: Any, y: Any) -> Any:
    return np.linalg.solve(x.T @ x + np.eye(5), x.T @ y)


def rmse(found: dict[str, Any], method: str) -> float:
    return float(np.sqrt((found["errors"][method] ** 2).mean()))


@pytest.mark.parametrize("seed", SEEDS)
def test_without_exploration_no_estimate_can_be_trusted(seed: int) -> None:
    found = repeated(seed, 0.0)
    assert -0.65 < found["log"] < -0.40, "the log's mean is the old policy's"
    assert found["errors"]["clipped"].mean() < -0.5 and found["covered"]["clipped"] < 0.05, "tight and wrong"
    assert found["errors"]["dm"].mean() < -0.1
    assert found["covered"]["ips"] < 0.75 and np.median(found["mean_weight"]) < 0.9, "the weights say so"
    assert rmse(found, "snips") > 0.18


@pytest.mark.parametrize("seed", SEEDS)
def test_two_percent_random_halves_the_error_and_ten_percent_makes_it_usable(seed: int) -> None:
    none, little, more = repeated(seed, 0.0), repeated(seed, 0.02), repeated(seed, 0.1)
    for method in ("ips", "snips", "dr"):
        assert abs(little["errors"][method].mean()) < 0.2
        assert rmse(more, method) < 0.8 * min(rmse(none, method), rmse(little, method) + 0.05)
    assert rmse(more, "dr") < 0.18 and rmse(more, "snips") < 0.18 and rmse(more, "dr") < rmse(more, "ips")
    assert more["covered"]["dr"] >= 0.8 and more["covered"]["snips"] >= 0.8 and little["covered"]["ips"] > none["covered"]["ips"] + 0.15
    assert abs(np.mean(little["mean_weight"]) - 1) < 0.15


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sharper_logging_policy_leaves_the_mean_weight_short_of_one(seed: int) -> None:
    found = repeated(seed, 0.0, 4.0, runs=20)
    assert np.median(found["mean_weight"]) < 0.8 and found["covered"]["ips"] < 0.5 and found["covered"]["dr"] < 0.75


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_times_the_rows_cut_the_error(seed: int) -> None:
    assert rmse(repeated(seed, 0.05, n=20_000, runs=15), "dr") < 0.75 * rmse(repeated(seed, 0.05, n=2_000, runs=30), "dr")


# --- files ------------------------------------------------------------------------------------------------------------------------


def log_file(tmp_path: Path, lines: list[str]) -> Path:
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_log_is_read_by_its_names(tmp_path: Path) -> None:
    path = log_file(
        tmp_path,
        ["item_id,click,propensity_score,position,age,city,new", "10,1,0.5,1,30,Rome,0.2", "9,0,0.25,2,,Oslo,0.4", "10,0,1,3,41,Rome,0"],
    )
    log = data.read_bandit_log(path, target="new")
    assert log.actions == ("9", "10") and log.action.tolist() == [1, 0, 1] and log.reward.tolist() == [1, 0, 0]
    assert log.propensity.tolist() == [0.5, 0.25, 1] and log.position is not None and log.position.tolist() == [1, 2, 3]
    assert log.features == ("age", "city = Rome") and log.context.tolist() == [[30, 1], [0, 0], [41, 1]]
    assert log.target is not None and log.target.tolist() == [0.2, 0.4, 0]
    bare = data.read_bandit_log(log_file(tmp_path, ["action,reward,propensity", "a,0.5,0.1", "b,2,0.9"]))
    assert bare.position is None and bare.target is None and bare.context.shape == (2, 0) and bare.actions == ("a", "b")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["action,reward", "a,1"], "no column for the propensity; expected one named propensity or propensity_score"),
        (["action,click,propensity", *["a,1,0.5"] * 7, "a,0,0"], "propensity 0 at line 9 for a shown ad"),
        (["action,click,propensity", "a,1,1.5"], "propensity 1.5 at line 2; expected a probability"),
        (["action,click,propensity", "a,1,"], "propensity is empty at line 2"),
        (["action,click,propensity", "a,,0.5"], "click is empty at line 2"),
        (["action,click,propensity", "a,yes,0.5"], "Line 2, column click: 'yes' is not a number"),
        (["action,click,propensity", "a,1,0.5", ",1,0.5"], "Line 3: action is empty"),
        (["action,click,propensity", "a,1,0.5"], "no column 'new'"),
        (["action,click,propensity,new", "a,1,0.5,1.1"], "new 1.1 at line 2; expected a probability from 0 to 1"),
    ],
)
def test_bad_logs_are_refused_with_the_line(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=said):
        data.read_bandit_log(log_file(tmp_path, lines), target="new" if "new" in said else "")


@pytest.mark.validation
def test_the_open_bandit_logs_agree_with_each_other() -> None:
    """What the uniform policy earned in its own log, estimated from that of the Bernoulli Thompson sampler (10,000 rows each)."""
    folder = DATA / "ranking" / "obd"
    if not folder.exists():
        pytest.skip(f"{folder} is absent; set LOOP45_DATA to the folder that holds ranking/obd")
    bts, random = (data.read_bandit_log(folder / name / "men" / "men.csv") for name in ("bts", "random"))
    assert len(bts.reward) == len(random.reward) == 10_000 and len(bts.actions) == len(random.actions) == 34
    np.testing.assert_allclose(random.propensity, 1 / 34, atol=1e-6)
    assert len(bts.features) > 5 and not any("affinity" in name for name in bts.features)
    uniform = np.full(10_000, 1 / 34)
    weights = ope.diagnose(bts.propensity, uniform)
    assert abs(weights.mean_weight - 1) < 0.2 and 0.05 < weights.ess_fraction < 0.10 and weights.max_weight > 100
    seen = ope.estimate(random.reward, random.propensity, uniform)
    assert seen.value == pytest.approx(random.reward.mean())
    for method in ("ips", "snips"):
        found = ope.estimate(bts.reward, bts.propensity, uniform, method=method)  # type: ignore[arg-type]
        assert abs(found.value - seen.value) < 2.5 * np.hypot(found.se, seen.se)
        assert found.value < bts.reward.mean() - found.se, "the sampler earned more than chance would"

"""The readout lab: the effects it must show, on worlds whose truth is known, and the public Cookie Cats test."""

import os
from pathlib import Path

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.encoding import dumps
from simulators.engines.experiment.stats import Moments, compare, summary
from simulators.engines.experiment.worlds import ClicksWorld, RevenueWorld, chunk_sizes
from simulators.experimentation.readout import ReadoutLab
from simulators.lab import Context, Data, DataFile, Frame, Progress
from simulators.params import parse_params

SEEDS = (1, 2, 3)
DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def context(seed=1, data=None, assets=None):
    return Context(seed=seed, assets=assets or CachedAssets(None), data=data)


def metrics(values, seed=1, data=None):
    return {metric.key: metric for metric in run_lab(ReadoutLab, values, context(seed, data)).metrics}


def effects(values, seed=1, data=None):
    return {insight.effect for insight in run_lab(ReadoutLab, values, context(seed, data)).insights}


def arms_of(world, users, seed, *extra):
    rng = context(seed).rng
    parts = [world.chunk(i, n, rng, *extra).assigned for i, n in enumerate(chunk_sizes(users))]
    control, treatment = parts[0]
    for a, b in parts[1:]:
        control, treatment = control + a, treatment + b
    return control, treatment


# --- worlds keep their promises ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("users", [10_000, 65_536, 200_001])
def test_chunks_add_up(users):
    assert sum(chunk_sizes(users)) == users


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.9])
def test_history_removes_rho_squared_of_skewed_revenue(rho):
    for seed in SEEDS:
        world = RevenueWorld(0.02, "amount", rho, 0.0)
        control, treatment = arms_of(world, 200_000, seed, {})
        removed = compare(control, treatment, covariates=("x", "new")).variance_reduction
        assert removed == pytest.approx(rho**2, abs=0.01)


@pytest.mark.parametrize("new_users", [0.0, 0.2, 0.6])
def test_users_without_history_keep_their_variance(new_users):
    for seed in SEEDS:
        found = metrics({"metric": "clicks_per_view", "rho": 0.9, "new_users": 100 * new_users}, seed)
        assert found["variance_left"].value == pytest.approx(1 - (1 - new_users) * 0.81, abs=0.012)
        revenue = metrics({"rho": 0.9, "new_users": 100 * new_users, "lift_kind": "amount"}, seed)["variance_left"]
        assert revenue.value == pytest.approx(revenue.limit, abs=0.01)


def test_two_covariates_remove_less_than_their_sum():
    """39 % and 34 % alone, 49 % together."""
    rho = 0.39**0.5
    for seed in SEEDS:
        control, treatment = arms_of(RevenueWorld(0.0, "amount", rho, 0.0), 200_000, seed, {})
        alone = [compare(control, treatment, covariates=(name,)).variance_reduction for name in ("x", "s")]
        both = compare(control, treatment, covariates=("x", "s")).variance_reduction
        assert (alone[0], alone[1], both) == pytest.approx((0.39, 0.34, 0.49), abs=0.012)


@pytest.mark.parametrize(("kind", "lift"), [("conversion", 0.2), ("amount", 0.2), ("conversion", -0.2)])
def test_true_lift_of_the_capped_metric(kind, lift):
    """The exact lift against two million users; the cap makes their mean precise."""
    world = RevenueWorld(lift, kind, 0.5, 0.0)
    cap = {"0.99": {"y": 38.0}}
    found = compare(*arms_of(world, 2_000_000, 5, cap), "y_0.99", difference="relative")
    assert abs(found.estimate - world.true_lift(38.0)) < 4 * found.se
    assert found.se < 0.012
    if kind == "amount":
        assert world.true_lift(38.0) < 0.5 * lift


@pytest.mark.parametrize("lift", [0.1, -0.1])
def test_true_lift_of_clicks_per_view(lift):
    found = compare(*arms_of(ClicksWorld(lift, 0.5, 0.0), 1_000_000, 5), "clicks", denominator="views", difference="relative")
    assert abs(found.estimate - lift) < 4 * found.se
    assert found.se < 0.004


# --- effects of the specification -------------------------------------------------------------------------------------------------


def test_covariate_from_the_test_swallows_the_effect():
    for seed in SEEDS:
        values = {"metric": "clicks_per_view", "lift": 5.0, "covariates": "post_period", "users": 400_000}
        found = metrics(values, seed)
        assert found["effect_raw"].value == pytest.approx(5.0, abs=1.5)
        assert abs(found["effect"].value) < 1.2
        assert "users_needed" not in found
        assert {"post_period", "moved_covariate"} <= effects(values, seed)


@pytest.mark.slow
def test_views_as_units_find_differences_in_a_a_tests():
    """Naive 16 %, delta 5 %: 1,200 A/A tests of 4,000 users drawn from one population."""
    world, rng = ClicksWorld(0.0, 0.0, 0.0), np.random.default_rng(3)
    draws, users, hits = 1_200, 4_000, np.zeros(2)
    for _ in range(draws):
        rate = rng.beta(*world.BETA, users)
        views = rng.geometric(1 / (1 + world.MEAN_EXTRA_VIEWS), users)
        columns = {"clicks": rng.binomial(views, rate), "views": views}
        from_arrays = [Moments.from_arrays({k: v[half] for k, v in columns.items()}) for half in (slice(0, 2000), slice(2000, None))]
        naive = compare(*(summary(int(m.sums[1]), float(m.sums[0])) for m in from_arrays), method="z")
        honest = compare(*from_arrays, "clicks", denominator="views")
        hits += (naive.p_value < 0.05, honest.p_value < 0.05)
    naive_rate, honest_rate = hits / draws
    assert naive_rate == pytest.approx(0.16, abs=0.035)
    assert honest_rate == pytest.approx(0.05, abs=0.02)


def test_the_lab_says_how_often_views_as_units_cry_wolf():
    for seed in SEEDS:
        found = metrics({"metric": "clicks_per_view", "ratio_variance": "naive", "lift": 0.0, "covariates": "none"}, seed)
        honest = metrics({"metric": "clicks_per_view", "lift": 0.0, "covariates": "none"}, seed)
        assert 1.3 < honest["ci_width"].value / found["ci_width"].value < 1.5
        assert "naive_ratio" in effects({"metric": "clicks_per_view", "ratio_variance": "naive", "lift": 0.0}, seed)


def test_winsorising_helps_conversion_and_hides_amounts():
    for seed in SEEDS:
        base = {"users": 200_000, "lift": 8.0, "covariates": "none"}
        plain, capped = metrics(base, seed), metrics({**base, "winsorise": "0.99"}, seed)
        assert capped["power_at_truth"].value > 2 * plain["power_at_truth"].value
        amount = metrics({**base, "winsorise": "0.99", "lift_kind": "amount"}, seed)
        assert amount["effect"].limit == pytest.approx(3.2, abs=0.4)
    assert "winsorise" in effects({**base, "winsorise": "0.99"})
    assert "winsorise_shrinks" in effects({**base, "winsorise": "0.99", "lift_kind": "amount"})


def test_history_saves_the_days_that_it_promises():
    for seed in SEEDS:
        found = metrics({"metric": "clicks_per_view", "new_users": 0.0, "rho": 0.7}, seed)
        days = found["days_needed"].value + found["days_saved"].value
        assert found["days_needed"].value / days == pytest.approx(found["variance_left"].value, abs=0.01)
        assert found["variance_left"].value == pytest.approx(0.51, abs=0.012)


def test_intervals_cover_the_truth():
    """95 % intervals over 200 small worlds; the adjusted one is no less honest than the other."""
    inside = np.zeros(2)
    for seed in range(200):
        found = metrics({"metric": "clicks_per_view", "users": 10_000, "lift": 5.0}, 100 + seed)
        inside += [found[key].ci[0] <= 5.0 <= found[key].ci[1] for key in ("effect", "effect_raw")]
    assert (inside >= 0.90 * 200).all()
    assert (inside < 200).all()


# --- manners of a lab -----------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_result():
    for values in ({}, {"metric": "clicks_per_view", "covariates": "several"}):
        runs = [dumps(run_lab(ReadoutLab, values, context(seed))) for seed in (4, 4, 5)]
        assert runs[0] == runs[1] != runs[2]


def test_an_analysis_knob_reads_no_user_again(monkeypatch):
    assets = CachedAssets(None)
    first = run_lab(ReadoutLab, {"covariates": "none"}, context(assets=assets))
    monkeypatch.setattr(RevenueWorld, "chunk", lambda *args: pytest.fail("users were drawn again"))
    for values in ({"alpha": 1.0}, {"covariates": "several"}, {"winsorise": "0.99"}, {"difference": "absolute", "alternative": "greater"}):
        again = run_lab(ReadoutLab, values, context(assets=assets))
        assert again.metrics[-1] == first.metrics[-1]


def test_more_users_extend_the_same_experiment_and_the_interval_narrows():
    steps = []
    drive(ReadoutLab(), parse_params(ReadoutLab, {"users": 500_000}), context(), emit=steps.append, cancelled=lambda: False)
    frames = [step for step in steps if isinstance(step, Frame)]
    assert len(frames) >= 5
    assert any(isinstance(step, Progress) for step in steps)
    widths = [next(metric.value for metric in frame.metrics if metric.key == "ci_width") for frame in frames]
    assert widths[-1] < 0.4 * widths[0]


@pytest.mark.parametrize("preset", ReadoutLab.presets, ids=lambda preset: preset.key)
def test_presets_run_and_say_something(preset):
    result = run_lab(ReadoutLab, preset.values, context())
    assert result.insights
    assert result.figures
    assert all(figure.summary for figure in result.figures)


@pytest.mark.parametrize(
    "values",
    [
        {"rho": 0.0, "new_users": 100.0, "users": 10_000},
        {"rho": 0.95, "new_users": 0.0, "lift": -20.0, "users": 10_000, "covariates": "several"},
        {"lift": 20.0, "lift_kind": "amount", "winsorise": "0.99", "covariates": "post_period", "users": 10_000},
        {"metric": "clicks_per_view", "new_users": 100.0, "covariates": "one", "users": 10_000},
        {"metric": "clicks_per_view", "new_users": 100.0, "covariates": "several", "difference": "relative_fixed", "users": 10_000},
        {"metric": "clicks_per_view", "ratio_variance": "naive", "alternative": "less", "alpha": 20.0, "users": 10_000},
        {"alternative": "greater", "difference": "absolute", "power": 99.0, "alpha": 0.1, "users": 10_000},
    ],
)
def test_corners_of_the_parameters(values):
    result = run_lab(ReadoutLab, values, context())
    assert result.metrics
    dumps(result)


# --- the user's own file ----------------------------------------------------------------------------------------------------------------


def own(tmp_path, text, **options):
    path = tmp_path / "own.csv"
    path.write_text(text)
    file = DataFile("own.csv", path)
    options = {"arm": "arm", "metric": "y", **options}
    ReadoutLab.data.check({"results": file}, options)
    return Data("digest", {"results": file}, options)


def synthetic_rows(arms, n=3000, seed=0):
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        arm = i % len(arms)
        x = rng.normal(10, 3)
        y = x + rng.normal(0, 2) + 0.5 * arm
        lines.append(f"u{i},{arms[arm]},{y:.4f},{x:.4f}")
    return "unit,arm,y,x\n" + "\n".join(lines) + "\n"


def test_own_file_with_three_arms_compares_each_with_the_control(tmp_path):
    data = own(tmp_path, synthetic_rows(("No E-Mail", "Mens E-Mail", "Womens E-Mail")), control="No E-Mail", covariates="x", unit="unit")
    found = metrics({"difference": "absolute"}, data=data)
    assert found["effect@Mens E-Mail"].ci[0] < 0.5 < found["effect@Mens E-Mail"].ci[1]
    assert found["effect@Womens E-Mail"].ci[0] < 1.0 < found["effect@Womens E-Mail"].ci[1]
    assert found["variance_left@Mens E-Mail"].value == pytest.approx(4 / 13, abs=0.05)


def test_a_significant_result_far_from_the_truth_is_called_misleading():
    """With 7 % power a win is an accident; with ample power it is not. Said exactly when sign or size is wrong."""
    said = 0
    for seed in range(8):
        result = run_lab(ReadoutLab, {}, context(seed))
        found = {metric.key: metric for metric in result.metrics}
        effect, p_value = found["effect"].value, found["p_value"].value
        wrong = p_value < 0.05 and (effect < 0 or effect > 2 * 2.0)
        assert ("misled" in {insight.effect for insight in result.insights}) == wrong
        said += wrong
    assert said, "no seed shows the error this test is about"
    assert "misled" not in effects({"metric": "clicks_per_view", "lift": 5, "users": 1_000_000})


def test_red_sample_ratio_hides_the_verdict_until_it_is_accepted(tmp_path):
    rows = synthetic_rows(("a", "b")).splitlines()
    kept = [row for i, row in enumerate(rows) if ",b," not in row or i % 5]
    data = own(tmp_path, "\n".join(kept) + "\n")
    assert "verdict" not in effects({}, data=data)
    assert "srm" in effects({}, data=data)
    assert "verdict" in effects({"accept_srm": True}, data=data)
    planned = own(tmp_path, "\n".join(kept) + "\n", shares="a=5, b=4")
    assert "verdict" in effects({}, data=planned)


def test_own_file_is_read_once(tmp_path, monkeypatch):
    data, assets = own(tmp_path, synthetic_rows(("a", "b")), covariates="x"), CachedAssets(None)
    before = run_lab(ReadoutLab, {}, context(data=data, assets=assets))
    monkeypatch.setattr("simulators.experimentation._readout_data.read_parts", lambda *args: pytest.fail("the file was read again"))
    after = run_lab(ReadoutLab, {"alpha": 1.0, "covariates": "none"}, context(data=data, assets=assets))
    assert after.metrics[-1] == before.metrics[-1]


@pytest.mark.parametrize(
    ("rows", "options", "sentence"),
    [
        ("a,5,1\na,5,2\nb,5,1\nb,5,3\n", {}, "has no variance"),
        ("a,-1,1\na,1,2\nb,4,1\nb,5,3\n", {}, "control arm's mean is zero"),
        ("a,1,1\na,2,-1\nb,4,1\nb,5,3\n", {"denominator": "x"}, "mean 0"),
    ],
)
def test_own_file_without_an_answer_says_why(tmp_path, rows, options, sentence):
    data = own(tmp_path, "arm,y,x\n" + rows, **options)
    result = run_lab(ReadoutLab, {}, context(data=data))
    assert next(metric for metric in result.metrics if metric.key == "effect").value is None
    assert any(sentence in insight.text for insight in result.insights)


def test_own_ratio_with_views_as_units(tmp_path):
    rng = np.random.default_rng(8)
    views = rng.geometric(0.1, 4000)
    clicks = rng.binomial(views, rng.beta(0.5, 4.5, 4000))
    rows = "".join(f"{'ab'[i % 2]},{clicks[i]},{views[i]}\n" for i in range(4000))
    data = own(tmp_path, "arm,y,views\n" + rows, denominator="views")
    assert metrics({}, data=data)["ci_width"].value > 1.5 * metrics({"ratio_variance": "naive"}, data=data)["ci_width"].value


def test_unused_history_is_pointed_out():
    assert "could_save" in effects({"covariates": "none"})
    assert "could_save" not in effects({"covariates": "one"})
    assert "could_save" not in effects({"covariates": "none", "rho": 0.05})


def test_totals_file(tmp_path):
    data = own(tmp_path, "arm,day,n,sum\nA,1,1000,90\nA,2,1000,110\nB,1,1000,130\nB,2,1000,120\n")
    found = metrics({"difference": "absolute"}, data=data)
    assert found["effect"].value == pytest.approx(2.5)
    assert found["effect"].unit == "pp"


@pytest.mark.validation
def test_cookie_cats():
    path = DATA / "experiments" / "cookie_cats.csv"
    if not path.exists():
        pytest.skip(f"{path} is absent; set LOOP45_DATA to the folder that holds experiments/cookie_cats.csv")
    files = {"results": DataFile(path.name, path)}
    retention = {"arm": "version", "metric": "retention_7", "unit": "userid"}
    info = ReadoutLab.data.check(files, retention)
    assert dict(info.facts)["Arms"] == "gate_30 (control) 44,700, gate_40 45,489"
    result = run_lab(ReadoutLab, {"difference": "absolute"}, context(data=Data("r", files, retention)))
    found = {metric.key: metric.value for metric in result.metrics}
    assert found["effect"] == pytest.approx(-0.82, abs=0.005)
    assert found["p_value"] == pytest.approx(0.0016, abs=0.0001)
    assert found["srm_p"] == pytest.approx(0.009, abs=0.0005)
    assert any("yellow" in insight.text for insight in result.insights)
    assert any("no pre-period column" in note for note in result.notes)
    rounds = run_lab(ReadoutLab, {}, context(data=Data("g", files, {**retention, "metric": "sum_gamerounds"})))
    assert any("49,854" in insight.text for insight in rounds.insights)

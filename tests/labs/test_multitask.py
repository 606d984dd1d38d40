"""The multi-task lab: effects of sharing on the page, its verdicts, the challenge, and the user's own labels."""

import re
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ranking.multitask import fit_multitask
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Frame
from simulators.params import parse_params
from simulators.youtube_recs._multitask_challenge import ONE_NET
from simulators.youtube_recs._multitask_data import SPEC, split_rows
from simulators.youtube_recs._multitask_insights import verdict
from simulators.youtube_recs._multitask_own import row_loss
from simulators.youtube_recs._multitask_params import KINDS, MultitaskParams
from simulators.youtube_recs._multitask_study import Side
from simulators.youtube_recs._multitask_trials import Outcome
from simulators.youtube_recs._multitask_views import turning_point
from simulators.youtube_recs.multitask import MultitaskLab

SEEDS = (0, 1, 2)
SMALL = {"rows": 5_000, "epochs": 2}
ASSETS = CachedAssets(None)  # nets of the same data and design are trained once for all tests


@cache
def result(seed, **values):
    return run_lab(MultitaskLab, values, Context(seed=seed, assets=ASSETS))


def metrics(seed, **values):
    return {metric.key: metric for metric in result(seed, **values).metrics}


def value(seed, key, **values):
    return metrics(seed, **values)[key].value


def figures(seed, **values):
    return {figure.key: figure for figure in result(seed, **values).figures}


def effects(seed, **values):
    return {insight.effect: insight.text for insight in result(seed, **values).insights}


# --- what sharing does -----------------------------------------------------------------------------------------------------------


def of_challenge(design):
    """The run of a challenge's design, and the mean of each assertion's metric over the seeds."""
    values = {name: given for name, given in (ONE_NET.world | design).items() if given != MultitaskParams.model_fields[name].default}
    (kind,) = design["kinds"]
    return values, {a.metric: np.mean([value(seed, f"{a.metric}@{kind}", **values) for seed in SEEDS]) for a in ONE_NET.assertions}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "missed"),
    [(ONE_NET.reference, set()), (ONE_NET.alternative, set()), (ONE_NET.naive, {"xll_b_apart"})],
    ids=["mmoe", "ple", "bottom"],
)
def test_gates_pass_the_challenge_and_one_bottom_fails_among_strangers(design, missed):
    values, means = of_challenge(dict(design))
    assert {a.metric for a in ONE_NET.assertions if means[a.metric] > a.target} == missed and set(design) <= set(ONE_NET.design)
    assert ONE_NET.maxed["experts"] == 32 and ONE_NET.reference["kinds"] != ONE_NET.alternative["kinds"]
    for seed in SEEDS:
        found = metrics(seed, **values)
        assert all(found[f"{a.metric}@{design['kinds'][0]}"].unit == a.unit for a in ONE_NET.assertions)
        apart, same = (found[f"xll_b_{end}@{design['kinds'][0]}"].value for end in ("apart", "same"))
        assert f"{apart:.0f} and {same:.0f}" in effects(seed, **values)["sweep"]
        if design is ONE_NET.naive:
            assert same < 0.5 * apart
            assert figures(seed, **values)["sweep"].title == f"One bottom for both: {same:.0f} for twins, {apart:.0f} for strangers"


def test_too_many_experts_break_the_ceiling():
    design = MultitaskParams(**ONE_NET.maxed).design("mmoe")
    assert design.n_params == 11_106 > 3_000
    assert MultitaskParams(**ONE_NET.reference).design("mmoe").n_params == 2_898


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_known_before_training(kind):
    values = {**SMALL, "kinds": (kind,), "experts": 5, "expert_width": 7}
    assert value(0, f"params@{kind}", **values) == MultitaskParams(**values).design(kind).n_params


def test_a_hundredth_of_the_labels_is_learned_by_heart():
    values = {"label_rate": 0.02, "rows": 20_000, "kinds": ("mmoe",), "rho": 0.8}
    for seed in SEEDS:
        assert "overfit" in effects(seed, **values)
        y = figures(seed, **values)["learning"].plot["data"][0]["y"]
        assert y[-1] > 1.2 * min(y) and len(y) == 10


# --- the page --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_and_table_show_the_metrics_and_the_truth(seed):
    found, shown = metrics(seed, **SMALL), figures(seed, **SMALL)
    bars = {trace["name"]: trace["y"] for trace in shown["excess"].plot["data"]}
    assert list(bars) == ["a net a task", "shared bottom", "MMoE", "PLE"]
    assert [y[1] for y in bars.values()] == pytest.approx([found[f"xll_b@{kind}"].value for kind in KINDS], rel=1e-3)
    assert all(found[f"auc_{task}@{kind}"].value < found[f"auc_{task}@{kind}"].limit for kind in KINDS for task in "ab")
    truth = [trace["y"][0] for trace in shown["auc"].plot["data"] if trace["name"].startswith("truth")]
    assert truth == pytest.approx([found["auc_a@mmoe"].limit, found["auc_b@mmoe"].limit], rel=1e-3)
    table = result(seed, **SMALL).tables[0]
    assert [row[0] for row in table.rows][-1] == "truth" and table.rows[-1][1:3] == (0.0, 0.0)
    assert table.rows[2][5] == 2_898 and table.rows[0][6] is None
    assert "heatmap" not in str([trace["type"] for figure in shown.values() for trace in figure.plot["data"]])


def test_squares_are_as_large_as_the_weights():
    gates = figures(0, **SMALL)["gates"].plot["data"]
    for trace in gates:
        area = np.array(trace["marker"]["size"]).reshape(2, 8) ** 2
        weight = np.array([float(re.search(r"(\d+)%", text)[1]) for text in trace["text"]]).reshape(2, 8) / 100
        assert trace["marker"]["symbol"] == "square" and np.allclose(area / area.sum(axis=1, keepdims=True), weight, atol=0.012)
    ple = np.array(gates[1]["marker"]["size"]).reshape(2, 8)
    assert ple[0, 1] == ple[1, 0] == 1.0  # the other task's private expert
    shares = figures(0, **SMALL)["utilisation"].plot["data"][0]["y"]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-3)


def test_the_sweep_covers_its_points_and_the_chosen_one():
    values = {**SMALL, "sweep": "five", "rho": 0.3, "kinds": ("single", "shared_bottom"), "epochs": 1}
    trace = figures(0, **values)["sweep"].plot["data"][0]
    assert trace["x"] == [-1, -0.5, 0, 0.3, 0.5, 1] and trace["y"][3] == pytest.approx(value(0, "xll_b@single", **values), rel=1e-3)
    assert "sweep" not in figures(0, **SMALL)
    assert "xll_b_apart@single" in metrics(0, **values) and "xll_b_apart@single" not in metrics(0, **SMALL)


def test_frames_stream_curves_nets_and_the_sweep():
    seen = []
    params = parse_params(MultitaskLab, {**SMALL, "sweep": "ends", "kinds": ("single", "mmoe")})
    drive(MultitaskLab(), params, Context(seed=5, assets=CachedAssets(None)), emit=seen.append, cancelled=lambda: False)
    frames = [step for step in seen if isinstance(step, Frame)]
    learning = [f for frame in frames for f in frame.figures if f.key == "learning"]
    assert [[len(trace["x"]) for trace in f.plot["data"]] for f in learning[:5]] == [[1], [2], [2], [2, 1], [2, 2]]
    assert [f.key for f in frames[-1].figures][-1] == "sweep"
    assert all(step.metrics for step in frames if len(step.figures) > 1)


def test_repeats_give_means_intervals_and_other_nets():
    values = {**SMALL, "kinds": ("shared_bottom",)}
    once, thrice = metrics(0, **values)["xll_b@shared_bottom"], metrics(0, **values, repeats=3)["xll_b@shared_bottom"]
    assert once.ci is None and thrice.ci[0] < thrice.value < thrice.ci[1]
    assert once.value != thrice.value
    assert "two standard errors" in result(0, **values, repeats=3).notes[0] and "once" in result(0, **values).notes[0]


def side(*excess):
    return Side(tuple(Outcome(1, np.eye(2), np.array([0.0, e]), np.zeros(2), (e,)) for e in excess))


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (side(30), side(90), "better"),
        (side(90), side(30), "worse"),
        (side(90), side(110), "unclear"),
        (side(90, 92, 91), side(110, 113, 112), "better"),  # paired: the difference hardly varies
        (side(70, 110, 100), side(110, 90, 104), "unclear"),
    ],
)
def test_a_verdict_needs_a_difference_beyond_the_noise(one, other, found):
    assert verdict({"mmoe": one, "shared_bottom": other}, "mmoe", "shared_bottom") == found


def test_overfitting_is_more_than_a_ripple():
    assert turning_point([50, 40, 41, 44]) is None and turning_point([50, 40, 41, 49]) == 2 and turning_point([50.0]) is None


def test_what_is_too_much_or_nothing_is_refused():
    with pytest.raises(ValidationError, match="none was chosen"):
        MultitaskParams(kinds=())
    with pytest.raises(ValidationError, match="take fewer rows"):
        MultitaskParams(rows=200_000, epochs=30, experts=64, expert_width=64)


# --- own data ----------------------------------------------------------------------------------------------------------------------

OPTIONS = {"labels": "click,survey", "features": "", "split": "last"}


def written(tmp_path, columns, name="mine.csv"):
    path = tmp_path / name
    rows = zip(*columns.values(), strict=True)
    lines = [",".join("" if v is None or v != v else f"{v:g}" for v in row) for row in rows]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return DataFile(name, path)


def columns_of(seed=0, n=2_400):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    click = (rng.random(n) < 1 / (1 + np.exp(-2 * x))).astype(float)
    survey = np.where(rng.random(n) < 0.5, (rng.random(n) < 0.3).astype(float), np.nan)
    return {"x": x, "z": z, "click": click, "survey": survey}


def own(file, options=OPTIONS, **values):
    return run_lab(MultitaskLab, values, Context(seed=0, assets=CachedAssets(None), data=Data("digest", {"rows": file}, options)))


def test_own_labels_are_scored_on_held_out_rows(tmp_path):
    columns = columns_of()
    found = own(written(tmp_path, columns), kinds=("single", "shared_bottom"), epochs=20)
    shown = {metric.key: metric.value for metric in found.metrics}
    X, Y = (np.column_stack([np.round(columns[a], 10), columns[b]]) for a, b in (("x", "z"), ("click", "survey")))
    X = np.array([[float(f"{v:g}") for v in row] for row in X])
    model = fit_multitask(X[:1_800], Y[:1_800], kind="single", epochs=20, seed=0)
    p, y = model.predict(X[1_800:]), Y[1_800:]
    rate = y[:, 0].mean()
    loss = -np.mean(np.log(np.where(y[:, 0] == 1, p[:, 0], 1 - p[:, 0])))
    assert shown["ne_1@single"] == pytest.approx(loss / -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)), rel=1e-6)
    assert shown["auc_1@single"] == pytest.approx(roc_auc_score(y[:, 0], p[:, 0]), abs=1e-9)
    assert shown["ne_1@single"] < 0.8 and shown["ne_2@single"] > 0.98  # the survey depends on nothing
    table = {(row[0], row[1]): row for row in found.tables[0].rows}
    assert table["a net a task", "click"][3:6] == (None, None, "") and table["shared bottom", "click"][5] in {
        "within noise",
        "better",
        "worse",
    }
    apart = table["shared bottom", "survey"][3]
    assert apart == pytest.approx(shown["ne_2@shared_bottom"] - shown["ne_2@single"], abs=1e-9)
    assert {"own_base", "own_difference"} <= {insight.effect for insight in found.insights}
    assert {figure.key for figure in found.figures} == {"entropy", "auc"}
    assert "Hardest is survey" in found.insights[0].text


def test_a_difference_is_judged_by_its_own_noise(tmp_path):
    """A net that cannot see what it needs is worse beyond noise: the survey is x, on few rows, the click a coin."""
    rng = np.random.default_rng(1)
    n = 6_000
    x = rng.normal(size=(n, 2))
    columns = {
        "x": x[:, 0],
        "z": x[:, 1],
        "click": (rng.random(n) < 0.5) * 1.0,
        "survey": (rng.random(n) < 1 / (1 + np.exp(-3 * x[:, 0]))) * 1.0,
    }
    file = written(tmp_path, columns)
    rows = {(row[0], row[1]): row for row in own(file, kinds=("single", "mmoe"), epochs=12).tables[0].rows}
    assert rows["MMoE", "survey"][2] < 0.7 and rows["MMoE", "click"][2] > 0.99
    assert rows["MMoE", "click"][4] > 0 and abs(rows["MMoE", "click"][3]) < 10 * rows["MMoE", "click"][4]


def test_rows_are_split_as_time_goes_or_at_random():
    train, test = split_rows(100, "last")
    assert train.tolist() == list(range(75)) and test.tolist() == list(range(75, 100))
    train, test = split_rows(100, "random")
    assert len(test) == 25 and sorted([*train, *test]) == list(range(100)) and test.tolist() != list(range(75, 100))


def test_row_losses_are_empty_where_there_is_no_label():
    loss = row_loss(np.array([[1.0, np.nan], [0.0, 1.0]]), np.array([[0.5, 0.5], [0.25, 1.0]]))
    assert (
        loss[0, 0] == pytest.approx(np.log(2)) and np.isnan(loss[0, 1]) and loss[1, 0] == pytest.approx(-np.log(0.75)) and loss[1, 1] < 1e-6
    )


def test_parquet_means_the_same_as_csv(tmp_path):
    columns = {name: np.round(values, 3) for name, values in columns_of(n=1_200).items()}
    as_text = written(tmp_path, columns)
    survey = pa.array([None if np.isnan(v) else bool(v) for v in columns["survey"]])
    pq.write_table(pa.table({**columns, "survey": survey}), tmp_path / "mine.parquet")
    as_parquet = DataFile("mine.parquet", tmp_path / "mine.parquet")
    assert SPEC.check({"rows": as_text}, OPTIONS) == SPEC.check({"rows": as_parquet}, OPTIONS)
    assert SPEC.columns(as_text) == SPEC.columns(as_parquet) == tuple(columns)


def test_what_a_file_holds_is_said(tmp_path):
    columns = {**columns_of(), "always": np.ones(2_400)}
    info = SPEC.check({"rows": written(tmp_path, columns)}, OPTIONS)
    facts = dict(info.facts)
    assert facts["Rows"] == "2,400" and facts["Features"] == "3"
    assert facts["Task click"].startswith("labelled on 100.0% of the rows") and "positive" in facts["Task survey"]
    assert info.warnings == ("Constant columns say nothing: always.",)
    few = {**columns_of(), "survey": np.where(np.arange(2_400) < 1_800, np.arange(2_400) % 2, 0.0)}
    assert "fewer than 50 positives of survey" in SPEC.check({"rows": written(tmp_path, few)}, OPTIONS).warnings[0]
    two = SPEC.check({"rows": written(tmp_path, columns)}, {**OPTIONS, "features": "x, z"})
    assert dict(two.facts)["Features"] == "2"


def changed(**changes):
    return {**columns_of(), **changes}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (changed(survey=np.r_[np.ones(12), np.zeros(2_388)]), {}, "Task survey has 12 positives: at least 50 needed."),
        (changed(survey=np.r_[np.zeros(12), np.ones(2_388)]), {}, "Task survey has 12 negatives: at least 50 needed."),
        (changed(survey=np.r_[np.ones(60), 2, np.zeros(2_339)]), {}, "Line 62, column survey: 2 was given; expected 0, 1, or nothing"),
        (changed(x=np.r_[np.ones(7), np.nan, np.ones(2_392)]), {}, "Line 9, column x is empty; expected a number in every feature."),
        (columns_of(), {"labels": "click"}, "1 label columns were chosen; expected 2 to 4 of x, z, click, survey"),
        (columns_of(), {"labels": "click,opinion"}, "There is no column 'opinion'; mine.csv has x, z, click, survey."),
        (columns_of(), {"features": "x,click"}, "Column click was chosen as a label and as a feature"),
        ({name: columns_of()[name] for name in ("click", "survey")}, {}, "mine.csv has no column besides the labels"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, columns, options, message):
    with pytest.raises(InvalidInput) as refused:
        SPEC.check({"rows": written(tmp_path, columns)}, {**OPTIONS, **options})
    assert refused.value.message.startswith(message)


def test_text_in_a_feature_names_the_line(tmp_path):
    file = written(tmp_path, columns_of())
    file.path.write_text(file.path.read_text().replace("\n", "\nhigh,", 1))
    with pytest.raises(InvalidInput, match="Line 2"):
        SPEC.check({"rows": file}, OPTIONS)


def test_too_many_rows_are_refused(tmp_path):
    n = 200_001
    pq.write_table(pa.table({"x": np.zeros(n), "click": np.arange(n) % 2, "survey": np.arange(n) % 2}), tmp_path / "big.parquet")
    with pytest.raises(InvalidInput, match="more than 200,000 rows"):
        SPEC.check({"rows": DataFile("big.parquet", tmp_path / "big.parquet")}, OPTIONS)


def test_an_own_run_says_what_does_not_fit(tmp_path):
    columns = {**columns_of(), "c": columns_of(1)["click"]}
    file = written(tmp_path, columns)
    with pytest.raises(InvalidInput, match="2 experts were given; PLE needs one for each of your 3 tasks") as refused:
        own(file, {**OPTIONS, "labels": "click,survey,c"}, kinds=("ple",), experts=2)
    assert refused.value.field == "experts"
    sorted_rows = {**columns_of(), "survey": np.r_[np.arange(1_800) % 2, np.zeros(600)]}
    with pytest.raises(InvalidInput, match="one kind of label among the test rows; try the random split"):
        own(written(tmp_path, sorted_rows, "sorted.csv"), epochs=1)
    mixed = own(written(tmp_path, sorted_rows, "sorted.csv"), {**OPTIONS, "split": "random"}, epochs=1)
    assert {f"ne_2@{kind}" for kind in KINDS} <= {metric.key for metric in mixed.metrics}
    three = own(file, {**OPTIONS, "labels": "click,survey,c"}, kinds=("ple",), experts=4, epochs=1)
    assert len([t for t in three.figures if t.key == "gates"][0].plot["data"][0]["y"]) == 12


def test_the_example_of_the_page_is_well_formed(tmp_path):
    path = tmp_path / "example.csv"
    path.write_text(SPEC.example)
    with pytest.raises(InvalidInput, match="Task clicked has 2 positives: at least 50 needed"):  # three rows are too few, and well formed
        SPEC.check({"rows": DataFile("example.csv", path)}, {"labels": "clicked,subscribed"})

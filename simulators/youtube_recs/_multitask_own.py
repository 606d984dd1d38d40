"""The nets on the user's own rows: held-out log loss, with the noise of every difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table, Working
from simulators.youtube_recs._multitask_data import OwnTasks, read_steps, split_rows
from simulators.youtube_recs._multitask_params import GATED, LABELS, MOST_WORK, Design, Kind, MultitaskParams
from simulators.youtube_recs._multitask_study import Side
from simulators.youtube_recs._multitask_trials import CURVE_ROWS, OnPass, Outcome, net_seeds, predicted_steps, trained_steps
from simulators.youtube_recs._multitask_views import COLOURS, gate_figures, net_metrics

if TYPE_CHECKING:
    from simulators.engines.ranking.multitask import MultiTask

Floats = NDArray[np.float64]
CLIP = 1e-7
ENTROPY = "of the base rate's"


class Parts(NamedTuple):
    """The user's rows split; `known` (M, T) where a test row has a label, `entropy` (T,) of a constant prediction, in nats."""

    tasks: tuple[str, ...]
    X: Floats
    Y: Floats
    X_test: Floats
    Y_test: Floats
    entropy: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.Y_test)


class OwnSide(NamedTuple):
    """One kind; `quality` of its trials is the normalised entropy, `loss` (M, T) the mean log loss of each test row, NaN unlabelled."""

    side: Side
    loss: Floats


def run_own(params: MultitaskParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    file, options = ctx.data.files["rows"], ctx.data.options
    own = yield from ctx.asset_steps(f"multitask/own/{ctx.data.digest}", lambda: read_steps(file, options), disk=False)
    parts = _parts(own, options.get("split", "last"))
    _refuse_too_much(params, parts)
    sides: dict[Kind, OwnSide] = {}
    for kind in params.kinds:
        sides[kind] = yield from _side(params, parts, kind, ctx)
        yield Frame(_metrics(parts, sides), _figures(parts, sides))
    return Result(_metrics(parts, sides), _figures(parts, sides), [_table(parts, sides)], _insights(parts, sides), _notes(parts, params))


def _parts(own: OwnTasks, split: str) -> Parts:
    train, test = split_rows(len(own.X), split)
    for rows, words in ((train, "training"), (test, "test")):
        for task, name in enumerate(own.tasks):
            if len(np.unique(own.Y[rows, task][~np.isnan(own.Y[rows, task])])) < 2:
                raise InvalidInput(f"Task {name} has one kind of label among the {words} rows; try the random split.", field="split")
    Y_test = own.Y[test]
    rate = np.nanmean(Y_test, axis=0)
    entropy = -(xlogy(rate, rate) + xlogy(1 - rate, 1 - rate))
    return Parts(own.tasks, own.X[train], own.Y[train], own.X[test], Y_test, entropy)


def _refuse_too_much(params: MultitaskParams, parts: Parts) -> None:
    widths = sum(params.design(kind).experts or len(parts.tasks) for kind in params.kinds)
    work = params.repeats * params.epochs * len(parts.X) * widths * params.expert_width * (parts.X.shape[1] + 10)
    if work > MOST_WORK:
        raise InvalidInput(
            f"This asks for {work / 1e9:,.0f} billion weight updates by row; expected at most {MOST_WORK / 1e9:,.0f}: "
            "take fewer passes, experts or rows.",
            field="epochs",
        )
    if "ple" in params.kinds and params.experts < len(parts.tasks):
        raise InvalidInput(
            f"{params.experts} experts were given; PLE needs one for each of your {len(parts.tasks)} tasks.", field="experts"
        )


# --- training -----------------------------------------------------------------------------------------------------------------


def _side(params: MultitaskParams, parts: Parts, kind: Kind, ctx: Context) -> Working[OwnSide]:
    design, trials, losses = params.design(kind), [], np.zeros_like(parts.Y_test)
    for seed in net_seeds(ctx.seed, params.repeats):
        outcome, loss = yield from _trial(parts, design, seed)
        trials.append(outcome)
        losses += loss / params.repeats
    return OwnSide(Side(tuple(trials)), losses)


def _trial(parts: Parts, design: Design, seed: int) -> Working[tuple[Outcome, Floats]]:
    from simulators.engines.ranking import metrics

    few = slice(CURVE_ROWS)

    def judge(model: MultiTask) -> float:
        return float(np.nanmean(row_loss(parts.Y_test[few], model.predict(parts.X_test[few]))))

    model, curve = yield from trained_steps(parts.X, parts.Y, design, seed, judge, _telling(design))
    found = yield from predicted_steps(model, parts.X_test)
    loss = row_loss(parts.Y_test, found)
    yield Progress(1, 1, "scoring")
    auc = [metrics.auc(y[known], p[known]) for y, p, known in zip(parts.Y_test.T, found.T, parts.known.T, strict=True)]
    return Outcome(model.n_params, model.gates(parts.X_test), np.nanmean(loss, axis=0) / parts.entropy, np.array(auc), curve), loss


def _telling(design: Design) -> OnPass:
    return lambda curve: Progress(len(curve), design.epochs, LABELS[design.kind])


def row_loss(y: Floats, p: Floats) -> Floats:
    """Log loss of each row and task in nats, NaN where y is."""
    p = np.clip(p, CLIP, 1 - CLIP)
    loss: Floats = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    return loss


def difference(parts: Parts, one: OwnSide, other: OwnSide, task: int) -> tuple[float, float]:
    """Normalised entropy of one minus the other's on the same rows, and its standard error."""
    return _mean_and_error((one.loss - other.loss)[parts.known[:, task], task] / parts.entropy[task])


def _mean_and_error(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


# --- what the page gets ---------------------------------------------------------------------------------------------------------


def _metrics(parts: Parts, sides: dict[Kind, OwnSide]) -> list[Metric]:
    made = []
    for kind, own in sides.items():
        name = LABELS[kind]
        for task, words in enumerate(parts.tasks):
            quality, auc = float(own.side.quality[task]), float(own.side.auc[task])
            made.append(Metric(f"ne_{task + 1}@{kind}", f"Log loss, {words}", quality, ENTROPY, "down", series=name))
            made.append(Metric(f"auc_{task + 1}@{kind}", f"AUC, {words}", auc, "AUC", "up", series=name))
        made += net_metrics(kind, own.side)
    return made


def _figures(parts: Parts, sides: dict[Kind, OwnSide]) -> list[Figure]:
    by_kind = {kind: own.side for kind, own in sides.items()}
    return [_entropy_figure(parts, sides), _auc_figure(parts, sides), *gate_figures(by_kind, parts.tasks)]


def _entropy_figure(parts: Parts, sides: dict[Kind, OwnSide]) -> Figure:
    """Held-out log loss as a share of what predicting the base rate loses, with two standard errors."""
    best = ", ".join(f"{LABELS[_best(sides, task)]} on {name}" for task, name in enumerate(parts.tasks))
    said = "; ".join(f"{LABELS[kind]}: " + ", ".join(f"{value:.3f}" for value in own.side.quality) for kind, own in sides.items())
    figure = line_figure(
        "entropy",
        f"Lowest log loss: {best}",
        f"{said}. 1 is what the base rate alone scores.",
        [_entropies(parts, kind, own) for kind, own in sides.items()],
        Axis("Task"),
        Axis("Held-out log loss", ENTROPY),
    )
    return with_line(figure, label="base rate", y=1.0)


def _best(sides: dict[Kind, OwnSide], task: int) -> Kind:
    return min(sides, key=lambda kind: float(sides[kind].side.quality[task]))


def _entropies(parts: Parts, kind: Kind, own: OwnSide) -> Series:
    found = [_mean_and_error(own.loss[parts.known[:, task], task] / parts.entropy[task]) for task in range(len(parts.tasks))]
    low, high = ([value + side * error for value, error in found] for side in (-2, 2))
    return Series(LABELS[kind], list(parts.tasks), [value for value, _ in found], "markers", COLOURS[kind], low=low, high=high)


def _auc_figure(parts: Parts, sides: dict[Kind, OwnSide]) -> Figure:
    series = [
        Series(
            LABELS[kind], list(parts.tasks), own.side.auc.tolist(), colour=COLOURS[kind], text=[f"{value:.3f}" for value in own.side.auc]
        )
        for kind, own in sides.items()
    ]
    said = "; ".join(f"{item.name}: {', '.join(item.text or ())}" for item in series)
    title = f"Ranking on held-out rows: AUC from {min(min(item.y) for item in series):.3f} to {max(max(item.y) for item in series):.3f}"
    figure = bar_figure("auc", title, f"{said}.", series, Axis("Task"), Axis("Area under the ROC curve", "AUC", range=(0.4, 1.0)))
    return with_line(figure, label="chance", y=0.5)


def _table(parts: Parts, sides: dict[Kind, OwnSide]) -> Table:
    first = next(iter(sides))
    columns = (
        "Net",
        "Task",
        f"Log loss ({ENTROPY})",
        f"Against {LABELS[first]} ({ENTROPY})",
        f"Standard error ({ENTROPY})",
        "Judgement",
        "AUC (AUC)",
        "Parameters (weights)",
    )
    rows = [
        (
            LABELS[kind],
            name,
            float(own.side.quality[task]),
            *_judged(parts, own, sides[first], task),
            float(own.side.auc[task]),
            own.side.n_params,
        )
        for kind, own in sides.items()
        for task, name in enumerate(parts.tasks)
    ]
    return Table("nets", "The nets on your rows", columns, tuple(rows))


def _judged(parts: Parts, own: OwnSide, first: OwnSide, task: int) -> tuple[float | None, float | None, str]:
    if own is first:
        return None, None, ""
    apart, error = difference(parts, own, first, task)
    return apart, error, "within noise" if abs(apart) < 2 * error else "better" if apart < 0 else "worse"


def _insights(parts: Parts, sides: dict[Kind, OwnSide]) -> list[Insight]:
    first, *others = sides
    said = [_base_insight(parts, sides)]
    for kind in others:
        for task, name in enumerate(parts.tasks):
            apart, error, judged = _judged(parts, sides[kind], sides[first], task)
            assert apart is not None and error is not None
            said.append(
                Insight(
                    f"{name}: {LABELS[kind]} against {LABELS[first]} {apart:+.4f} (standard error {error:.4f}) of the base rate's log "
                    f"loss: {judged}.",
                    "evaluation",
                    "own_difference",
                )
            )
    said += [_gates_insight(parts, kind, sides[kind].side) for kind in sides if kind in GATED]
    return said


def _gates_insight(parts: Parts, kind: Kind, side: Side) -> Insight:
    first, last = parts.tasks[0], parts.tasks[-1]
    return Insight(
        f"{LABELS[kind]} puts {side.overlap:.0%} of the weight of {first} and {last} on the same experts.", "deep_dive", "own_gates"
    )


def _base_insight(parts: Parts, sides: dict[Kind, OwnSide]) -> Insight:
    lowest = [float(sides[_best(sides, task)].side.quality[task]) for task in range(len(parts.tasks))]
    best = max(lowest)
    worst = lowest.index(best)
    words = "no net beats the base rate" if best >= 1 else f"the best net leaves {best:.1%} of the base rate's log loss"
    return Insight(f"Hardest is {parts.tasks[worst]}: {words}.", "evaluation", "own_base")


def _notes(parts: Parts, params: MultitaskParams) -> list[str]:
    notes = [
        f"Trained on {len(parts.X):,} rows, tested on {len(parts.X_test):,}; similarity, label rate, rows and the sweep belong to the "
        "synthetic world."
    ]
    if params.repeats == 1:
        notes.append("Standard errors are those of the test rows; train each net more than once to see what its first weights are worth.")
    return notes

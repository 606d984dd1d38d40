"""Tiles, figures and the table of the multi-task lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulators.figures import PALETTE, Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Frame, Metric, Table
from simulators.youtube_recs._multitask_params import EXCESS, GATED, KINDS, LABELS, Kind
from simulators.youtube_recs._multitask_study import Side, Study
from simulators.youtube_recs._multitask_trials import Floats

COLOURS: dict[Kind, int] = {kind: index for index, kind in enumerate(KINDS)}
TASK_COLOURS = (4, 5)
TASK_NAMES = ("Task A", "Task B")
APART, SAME = 0.0, 1.0  # similarities that a challenge asks about
LARGEST_SQUARE = 30.0  # px, of an expert that gets all the weight


# --- tiles --------------------------------------------------------------------------------------------------------------------


def metrics(study: Study) -> list[Metric]:
    return [item for kind, side in study.here.items() for item in _side_metrics(study, kind, side)]


def _side_metrics(study: Study, kind: Kind, side: Side) -> list[Metric]:
    name = LABELS[kind]
    made = [
        Metric(
            f"xll_{letter}@{kind}",
            f"Excess log loss, task {letter.upper()}",
            float(side.quality[task]),
            EXCESS,
            "down",
            side.interval(task),
            limit=0.0,
            limit_label="truth",
            series=name,
        )
        for task, letter in ((1, "b"), (0, "a"))
    ]
    made += [
        Metric(
            f"auc_{letter}@{kind}",
            f"AUC, task {letter.upper()}",
            float(side.auc[task]),
            "AUC",
            "up",
            limit=float(study.oracle_auc[task]),
            limit_label="truth",
            series=name,
        )
        for task, letter in ((1, "b"), (0, "a"))
    ]
    return [*made, *net_metrics(kind, side), *_ends(study, kind)]


def net_metrics(kind: Kind, side: Side) -> list[Metric]:
    name = LABELS[kind]
    made = [Metric(f"params@{kind}", "Parameters", side.n_params, "weights", "down", series=name)]
    if kind in GATED:
        made += [
            Metric(f"overlap@{kind}", "Gate weight in common", side.overlap, "share", series=name),
            Metric(f"experts_used@{kind}", "Experts in use", side.experts_used, "experts", series=name),
        ]
    return made


def _ends(study: Study, kind: Kind) -> list[Metric]:
    ends = ((APART, "apart", "strangers"), (SAME, "same", "twins"))
    swept = study.swept(kind)
    return [
        Metric(f"xll_b_{key}@{kind}", f"Task B as {words}", float(swept[rho].quality[1]), EXCESS, "down", series=LABELS[kind])
        for rho, key, words in ends
        if study.params.sweep != "off" and rho in swept
    ]


# --- figures ------------------------------------------------------------------------------------------------------------------


def picture(study: Study) -> Frame:
    """After each net."""
    figures = [excess_figure(study), learning_figure(study), auc_figure(study), *gate_figures(study.here, TASK_NAMES)]
    return Frame(metrics(study), [*figures, *sweep_figures(study)])


def curve(study: Study) -> Frame:
    """After each pass."""
    return Frame(figures=[learning_figure(study)])


def excess_figure(study: Study) -> Figure:
    here, rate = study.here, study.params.label_rate
    names = ["Task A, on every row", f"Task B, on {100 * rate:.3g}% of the rows" if rate < 1 else "Task B, on every row"]
    series = [
        Series(LABELS[kind], names, side.quality.tolist(), colour=COLOURS[kind], text=[f"{value:.0f}" for value in side.quality])
        for kind, side in here.items()
    ]
    best = min(here, key=lambda kind: here[kind].quality[1])
    said = "; ".join(f"{LABELS[kind]}: A {side.quality[0]:.0f}, B {side.quality[1]:.0f}" for kind, side in here.items())
    title = f"The rare task: {LABELS[best]} loses {here[best].quality[1]:.0f}"
    if len(here) > 1:
        worst = max(here, key=lambda kind: here[kind].quality[1])
        title = f"{title}, the least; {LABELS[worst]} {here[worst].quality[1]:.0f}, the most"
    axis = Axis("Log loss above the truth's", EXCESS)
    return bar_figure("excess", title, f"Excess log loss over the truth, which is 0. {said}.", series, Axis("Task"), axis)


def learning_figure(study: Study) -> Figure:
    """Excess of task B after each pass, on the first test rows."""
    curves = {kind: values for kind, values in study.curves.items() if values}
    series = [Series(LABELS[kind], list(range(1, len(values) + 1)), list(values), colour=COLOURS[kind]) for kind, values in curves.items()]
    said = "; ".join(f"{LABELS[kind]}: {values[-1]:.0f} after pass {len(values)}" for kind, values in curves.items())
    figure = line_figure(
        "learning",
        _learning_title(curves),
        f"Excess log loss of task B while learning. {said}.",
        series,
        Axis("Passes over the training rows", "passes"),
        Axis("Excess log loss, task B", EXCESS),
    )
    return with_line(figure, label="truth", y=0.0)


def _learning_title(curves: Mapping[Kind, Sequence[float]]) -> str:
    turned = [LABELS[kind] for kind, values in curves.items() if turning_point(values) is not None]
    if turned:
        return f"On task B {turned[0]} gets worse before training ends: it overfits the few labels"
    return "Task B while the nets learn"


def turning_point(values: Sequence[float]) -> int | None:
    """The best pass, where the last is a fifth worse than it: overfitting, not a ripple."""
    best = min(range(len(values)), key=values.__getitem__)
    return best + 1 if values[-1] > 1.2 * values[best] else None


def auc_figure(study: Study) -> Figure:
    here = study.here
    names = [LABELS[kind] for kind in here]
    series = [
        Series(name, names, [float(side.auc[task]) for side in here.values()], "markers", colour)
        for task, (name, colour) in enumerate(zip(TASK_NAMES, TASK_COLOURS, strict=True))
    ]
    series += [
        Series(f"truth, {name}", names, [float(best)] * len(names), "lines+markers", truth=True)
        for name, best in zip(TASK_NAMES, study.oracle_auc, strict=True)
    ]
    said = "; ".join(f"{LABELS[kind]}: A {side.auc[0]:.3f}, B {side.auc[1]:.3f}" for kind, side in here.items())
    lost = min(float(study.oracle_auc[1] - side.auc[1]) for side in here.values())
    return line_figure(
        "auc",
        f"Ranking of task B: the best net stays {lost:.3f} below what the truth itself would score",
        f"{said}. The truth scores A {study.oracle_auc[0]:.3f}, B {study.oracle_auc[1]:.3f}.",
        series,
        Axis("Net"),
        Axis("Area under the ROC curve", "AUC"),
    )


def gate_figures(sides: Mapping[Kind, Side], tasks: Sequence[str]) -> list[Figure]:
    gated = {kind: side for kind, side in sides.items() if kind in GATED}
    return [_gates(gated, tasks), _utilisation(gated)] if gated else []


def _gates(gated: Mapping[Kind, Side], tasks: Sequence[str]) -> Figure:
    """A square for each task and expert, its area the weight."""
    series = []
    for kind, side in gated.items():
        experts, count = list(range(1, side.gates.shape[1] + 1)), len(tasks)
        rows = [f"{LABELS[kind]}, {task}" for task in tasks for _ in experts]
        text = [
            f"{task}, expert {e}: {weight:.0%}"
            for task, row in zip(tasks, side.gates, strict=True)
            for e, weight in zip(experts, row, strict=True)
        ]
        series.append(Series(LABELS[kind], experts * count, rows, "markers", COLOURS[kind], text=text))
    said = "; ".join(f"{LABELS[kind]}: {side.overlap:.0%} of the weight in common" for kind, side in gated.items())
    title = f"Gates: the tasks put {_listed(gated)} of their weight on the same experts"
    figure = line_figure("gates", title, f"Mean gate weights. {said}.", series, Axis("Expert", "number"), Axis("Net and task"))
    for trace, (kind, side) in zip(figure.plot["data"], gated.items(), strict=True):
        sizes = [round(max(LARGEST_SQUARE * float(weight) ** 0.5, 1.0), 2) for weight in side.gates.ravel()]
        trace["marker"] = {"symbol": "square", "color": PALETTE[COLOURS[kind]], "size": sizes, "line": {"width": 0}}
    figure.plot["layout"]["yaxis"] |= {"automargin": True, "autorange": "reversed"}
    return figure


def _listed(gated: Mapping[Kind, Side]) -> str:
    return " and ".join(f"{side.overlap:.0%} ({LABELS[kind]})" for kind, side in gated.items())


def _utilisation(gated: Mapping[Kind, Side]) -> Figure:
    """Mean weight of each expert over the tasks, most used first."""
    series, fair = [], 1 / max(side.gates.shape[1] for side in gated.values())
    for kind, side in gated.items():
        shares = sorted(side.gates.mean(axis=0).tolist(), reverse=True)
        series.append(Series(LABELS[kind], list(range(1, len(shares) + 1)), shares, colour=COLOURS[kind]))
    used = " and ".join(f"{side.experts_used:.1f} of {side.gates.shape[1]} ({LABELS[kind]})" for kind, side in gated.items())
    idle = " and ".join(f"{side.idle} of {side.gates.shape[1]} ({LABELS[kind]})" for kind, side in gated.items())
    figure = bar_figure(
        "utilisation",
        f"Experts with less than half an equal share of the weight: {idle}",
        f"Mean weight of each expert over the tasks, sorted. The weight is spread as over {used} equal experts.",
        series,
        Axis("Expert by weight", "rank"),
        Axis("Mean gate weight", percent=True),
    )
    return with_line(figure, label="equal shares", y=fair)


def sweep_figures(study: Study) -> list[Figure]:
    """Excess of task B over the similarities tried, once there are two."""
    kinds = [kind for kind in study.here if len(study.swept(kind)) > 1]
    if not kinds:
        return []
    series = [_swept(kind, study.swept(kind)) for kind in kinds]
    said = "; ".join(f"{item.name}: " + ", ".join(f"{y:.0f} at {x:g}" for x, y in zip(item.x, item.y, strict=True)) for item in series)
    figure = line_figure(
        "sweep",
        _sweep_title(study),
        f"Excess log loss of task B by similarity. {said}.",
        series,
        Axis("Task similarity", "cosine"),
        Axis("Excess log loss, task B", EXCESS),
    )
    return [with_line(figure, label="truth", y=0.0)]


def _swept(kind: Kind, swept: Mapping[float, Side]) -> Series:
    return Series(LABELS[kind], list(swept), [float(side.quality[1]) for side in swept.values()], colour=COLOURS[kind])


def _sweep_title(study: Study) -> str:
    shared = study.swept("shared_bottom")
    if APART in shared and SAME in shared:
        return f"One bottom for both: {shared[SAME].quality[1]:.0f} for twins, {shared[APART].quality[1]:.0f} for strangers"
    return "What task B loses depends on how alike the tasks are"


# --- table --------------------------------------------------------------------------------------------------------------------


def sides_table(study: Study) -> Table:
    columns = (
        "Net",
        f"Excess A ({EXCESS})",
        f"Excess B ({EXCESS})",
        "AUC A (AUC)",
        "AUC B (AUC)",
        "Parameters (weights)",
        "Gate weight in common (share)",
        "Experts in use (experts)",
    )
    rows = [_row(LABELS[kind], side, kind in GATED) for kind, side in study.here.items()]
    truth = ("truth", 0.0, 0.0, float(study.oracle_auc[0]), float(study.oracle_auc[1]), None, None, None)
    return Table("nets", "The nets side by side", columns, (*rows, truth))


def _row(name: str, side: Side, gated: bool) -> tuple[str | float | int | None, ...]:
    quality: Floats = side.quality
    gates = (side.overlap, side.experts_used) if gated else (None, None)
    return (name, float(quality[0]), float(quality[1]), float(side.auc[0]), float(side.auc[1]), side.n_params, *gates)

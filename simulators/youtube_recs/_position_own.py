"""The five models on the user's own log, where nobody knows the truth: judged on held-out pages at equal positions."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking import metrics, position
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.position import PositionModel, Rows
from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, bar_figure
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table, Working
from simulators.youtube_recs import _position_views as views
from simulators.youtube_recs._position_data import FEW_SHUFFLED, OwnLog, read_steps
from simulators.youtube_recs._position_params import KINDS, LABELS, Kind, PositionParams
from simulators.youtube_recs._position_study import NEEDS_SHUFFLED, train_steps

HELD_OUT = 5  # every fifth slate, drawn
RESAMPLES = 100


class Judged(NamedTuple):
    """AUC among the held-out rows at the same position, with its standard error over slates, and predicted clicks by position."""

    kind: Kind
    auc: float
    se: float
    curve: Floats | None
    predicted: Floats  # (K,)
    cpu_s: float


class Own(NamedTuple):
    log: OwnLog
    train: Rows
    test: Rows
    test_slate: NDArray[np.int64]
    judged_on_shuffled: bool
    estimate: Floats | None
    actual: Floats  # (K,) click rate of the held-out rows, 0 where there is none


def run_own(params: PositionParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    file, digest = ctx.data.files["log"], ctx.data.digest
    log = yield from ctx.asset_steps(f"position/own/{digest}", lambda: read_steps(file), disk=False)
    if params.serve_position > log.positions:
        raise InvalidInput(
            f"Position when serving: {params.serve_position} was given; {log.name} has positions 1 to {log.positions}.",
            field="serve_position",
        )
    own = _split(ctx, log)
    judged: dict[Kind, Judged] = {}
    for kind in params.models:
        if kind in NEEDS_SHUFFLED and own.estimate is None:
            continue
        judged[kind] = yield from _judge(ctx, params, own, kind)
        yield Frame(figures=_figures(own, judged))
    if not judged:
        raise InvalidInput(f"{log.name} has no shuffled slate with a click at position 1; choose another model.", field="models")
    return Result(_metrics(own, judged), _figures(own, judged), [_table(judged)], _insights(own, judged), _notes(own, params))


def _split(ctx: Context, log: OwnLog) -> Own:
    """Every fifth slate is held out; where enough of those were shuffled, only they judge."""
    held = ctx.rng("held-out slates").permutation(log.slates) % HELD_OUT == 0
    test, rows = held[log.slate], log.rows
    on_shuffled = rows.randomised is not None and len(np.unique(log.slate[test & rows.randomised])) >= FEW_SHUFFLED // HELD_OUT
    judging = test & rows.randomised if on_shuffled and rows.randomised is not None else test
    train = _only(rows, ~test)
    usable = train.randomised is not None and bool(train.click[train.randomised & (train.position == 0)].any())
    chosen = _only(rows, judging)
    shown = np.bincount(chosen.position, minlength=log.positions)
    actual = np.bincount(chosen.position, chosen.click, minlength=log.positions) / np.maximum(shown, 1)
    estimate = position.row_propensity(train, log.positions) if usable else None
    return Own(log, train, chosen, log.slate[judging], on_shuffled, estimate, actual)


def _only(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    return Rows(rows.x[kept], rows.position[kept], rows.click[kept], None if rows.randomised is None else rows.randomised[kept])


def _judge(ctx: Context, params: PositionParams, own: Own, kind: Kind) -> Working[Judged]:
    started = time.thread_time()
    model = yield from train_steps(ctx, params, own.train, own.log.positions, kind)
    cpu_s = time.thread_time() - started
    score = model.relevance(own.test.x)
    auc = metrics.gauc(own.test.click, score, own.test.position)
    again = list[float]()
    draws, slates = ctx.rng("resamples"), np.unique(own.test_slate, return_inverse=True)[1]
    order = np.argsort(slates, kind="stable")
    starts = np.r_[np.flatnonzero(np.r_[True, np.diff(slates[order]) > 0]), len(order)]
    for number in range(RESAMPLES):
        picked = draws.integers(0, len(starts) - 1, len(starts) - 1)
        rows = order[_spans(starts[picked], starts[picked + 1])]
        again.append(metrics.gauc(own.test.click[rows], score[rows], own.test.position[rows]))
        yield Progress(number, RESAMPLES, f"judging: {LABELS[kind]}")
    return Judged(kind, auc, float(np.nanstd(again)), model.examination, _predicted(model, own), cpu_s)


def _spans(first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    """All places of the ranges [first, last), one after the other."""
    lengths = last - first
    return np.repeat(first - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(lengths.sum())


def _predicted(model: PositionModel, own: Own) -> Floats:
    found = np.zeros(own.log.positions)
    for k in np.unique(own.test.position):
        found[k] = model.click_probability(own.test.x[own.test.position == k], int(k) + 1).mean()
    return found


# --- what the page gets -----------------------------------------------------------------------------------------------------------


def _metrics(own: Own, judged: dict[Kind, Judged]) -> list[Metric]:
    made = [
        Metric("slates", "Slates", own.log.slates, "slates"),
        Metric("shuffled", "Shuffled slates", own.log.shuffled, "slates"),
        Metric("click_rate", "Click rate", 100 * float(own.log.rows.click.mean()), "%"),
    ]
    for found in judged.values():
        at, name, known = f"@{found.kind}", LABELS[found.kind], not np.isnan(found.auc)
        made += [
            Metric(f"auc{at}", "AUC at equal position", found.auc if known else None, "AUC", "up",
                   (found.auc - 2 * found.se, found.auc + 2 * found.se) if known else None, series=name,
                   note="" if known else "No position has both clicks and none."),
            Metric(f"cpu_s{at}", "Processor time of training", found.cpu_s, "s", "down", measured=True, series=name),
        ]  # fmt: skip
    return made


def _figures(own: Own, judged: dict[Kind, Judged]) -> list[Figure]:
    kinds = [kind for kind in KINDS if kind in judged and not np.isnan(judged[kind].auc)]
    names, aucs = [LABELS[kind] for kind in kinds], [judged[kind].auc for kind in kinds]
    made = []
    if kinds:
        best = max(kinds, key=lambda kind: judged[kind].auc)
        made.append(
            bar_figure(
                "auc",
                f"At equal position {LABELS[best]} tells clicks apart best, AUC {judged[best].auc:.3f}",
                "; ".join(f"{name}: {auc:.3f}" for name, auc in zip(names, aucs, strict=True)) + ". 0.5 is chance.",
                [Series("AUC", names[::-1], aucs[::-1], text=[f"{auc:.3f}" for auc in aucs[::-1]])],
                Axis("Model"),
                Axis("AUC at equal position", "AUC", range=(min(0.5, *aucs) - 0.01, max(aucs) + 0.05)),
                horizontal=True,
            )
        )
    pal = judged["pal"].curve if "pal" in judged else None
    if pal is not None or own.estimate is not None:
        made.append(views.curve_figure(None, own.estimate, pal, _curve_title(own, pal), own.log.shuffled))
    predicted = {kind: found.predicted for kind, found in judged.items()}
    if predicted and own.actual.any():
        made.append(views.calibration_figure(predicted, own.actual, views.calibration_title(predicted, own.actual)))
    return made


def _curve_title(own: Own, pal: Floats | None) -> str:
    if pal is not None and own.estimate is not None:
        return f"The tower and the shuffled slates differ by {np.abs(pal - own.estimate).max():.2f} at most"
    curve = pal if pal is not None else own.estimate
    assert curve is not None
    return f"The last position is looked at {curve[-1]:.2f} times as often as the first"


def _table(judged: dict[Kind, Judged]) -> Table:
    rows = tuple((LABELS[kind], None if np.isnan(found.auc) else found.auc, 2 * found.se) for kind, found in judged.items())
    return Table("models", "Each model on held-out slates", ("Model", "AUC at equal position (AUC)", "Two standard errors (AUC)"), rows)


def _insights(own: Own, judged: dict[Kind, Judged]) -> list[Insight]:
    known = [found for found in judged.values() if not np.isnan(found.auc)]
    if not known:
        return [
            Insight("No position of the held-out slates has both clicks and none, so no model can be judged.", "evaluation", "own_none")
        ]
    best, said = max(known, key=lambda found: found.auc), list[Insight]()
    worst = min(known, key=lambda found: found.auc)
    clear = best.auc - worst.auc > 2 * max(best.se, worst.se)
    said.append(
        Insight(
            f"At equal position {LABELS[best.kind]} scores an AUC of {best.auc:.3f} and {LABELS[worst.kind]} {worst.auc:.3f}, a difference "
            + ("beyond two standard errors." if clear else "within two standard errors: this log cannot tell them apart."),
            "evaluation",
            "own_auc",
        )
    )
    pal = judged["pal"].curve if "pal" in judged else None
    if pal is not None and own.estimate is not None:
        gap = float(np.abs(pal - own.estimate).max())
        said.append(
            Insight(
                f"The tower's curve and the one of the {own.log.shuffled:,} shuffled slates differ by {gap:.2f} at most; where they part, "
                "trust the shuffled ones, which assume nothing about relevance.",
                "deep_dive",
                "own_curve",
            )
        )
    elif pal is not None:
        said.append(
            Insight(
                f"The tower says that the last position is looked at {pal[-1]:.2f} times as often as the first; without shuffled slates "
                "nothing else confirms it.",
                "deep_dive",
                "own_tower",
            )
        )
    return said


def _notes(own: Own, params: PositionParams) -> list[str]:
    notes = ["The world's sliders do nothing here: clicks, order and features come from the file."]
    if own.judged_on_shuffled:
        notes.append("Judged on held-out shuffled slates, where position says nothing about the item.")
    else:
        notes.append("Judged on all held-out slates: at equal position, but the old policy chose who stood there.")
    if own.estimate is None and set(params.models) & set(NEEDS_SHUFFLED):
        notes.append("Models that need shuffled slates are left out.")
    elif 0 < own.log.shuffled < FEW_SHUFFLED:
        notes.append(f"Only {own.log.shuffled} slates are shuffled; an estimate of propensities wants at least {FEW_SHUFFLED}.")
    return notes

"""Each model trained on the same rows and judged on the later ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.ads_ctr._ctr_case import NEW, YOUNG, Case
from simulators.ads_ctr._ctr_params import KINDS, CtrParams, Design, short
from simulators.engines.ranking import calibration, metrics
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.steps import relay
from simulators.lab import Context, Frame, Progress, Working

if TYPE_CHECKING:
    from simulators.engines.ranking.models import CtrModel

FRAME_STEPS = 4  # reports of the training between two pictures
AGES = ((0, NEW), (NEW, YOUNG), (YOUNG, 500), (500, 10**9))  # training impressions of an ad
LEAST_ROWS = 200  # of a slice worth a figure


class Quality(NamedTuple):
    """Of predictions on the test rows. `closed`, `excess` (10^-3 nats) and the slices are None where the truth is not known."""

    auc: float
    log_loss: float
    entropy: float
    ratio: float
    ece: float
    gauc: float | None
    closed: float | None
    excess: float | None


class Judged(NamedTuple):
    p: Floats  # (test rows,)
    quality: Quality
    by_age: tuple[float | None, ...]  # share of the gap closed on ads of AGES; None: too few rows
    young: float | None  # the same on ads below YOUNG
    table_params: int
    macs_per_row: int
    rows_seen: int
    cpu_s: float


@dataclass
class Study:
    params: CtrParams
    case: Case
    judged: dict[Design, Judged] = field(default_factory=dict)
    curves: dict[Design, list[tuple[int, float]]] = field(default_factory=dict)  # rows seen, loss of the next ones (10^-3 nats)
    notes: list[str] = field(default_factory=list)

    @property
    def mine(self) -> Judged | None:
        return self.judged.get(self.params.model)

    @property
    def designs(self) -> list[Design]:
        """In the order given, without those that the missing history makes the same."""
        found: dict[tuple[str, bool], Design] = {}
        for design in self.params.designs:
            found.setdefault((KINDS[design].kind, KINDS[design].history and self.history is not None), design)
        return list(found.values())

    @property
    def history(self) -> str | None:
        return None if self.params.history == "none" or self.case.train.history is None else self.params.history

    @property
    def excess_known(self) -> bool:
        """Whether the training curve is an excess over the truth; of a sampled log it is a plain loss."""
        return not self.case.own and self.params.keep_negatives == 1


def quality(case: Case, p: Floats) -> Quality:
    truth, gap = case.test.p, case.gap
    excess = None if truth is None else metrics.excess_log_loss(truth, p)
    within = metrics.gauc(case.test.y, p, case.test.group) if case.test.cards else float("nan")
    return Quality(
        metrics.auc(case.test.y, p) if truth is None else metrics.expected_auc(truth, p),
        metrics.log_loss(case.target, p),
        metrics.normalized_entropy(case.target, p),
        metrics.calibration_ratio(case.target, p),
        metrics.ece(case.target, p),
        within if np.isfinite(within) else None,
        None if excess is None or not gap else 1 - excess / gap,
        None if excess is None else 1000 * excess,
    )


def closed_on(case: Case, p: Floats, rows: Ints) -> float | None:
    """Share of the gap closed on some test rows; None for too few of them."""
    if case.test.p is None or len(rows) < LEAST_ROWS:
        return None
    truth = case.test.p[rows]
    gap = metrics.excess_log_loss(truth, np.full(len(rows), case.base))
    return 1 - metrics.excess_log_loss(truth, p[rows]) / gap if gap > 0 else None


def judge(case: Case, model: CtrModel, p: Floats) -> Judged:
    seen = case.seen
    slices = [np.flatnonzero((seen >= low) & (seen < high)) for low, high in AGES] if seen is not None else []
    young = closed_on(case, p, np.flatnonzero(seen < YOUNG)) if seen is not None else None
    return Judged(
        p,
        quality(case, p),
        tuple(closed_on(case, p, rows) for rows in slices),
        young,
        model.table_params,
        model.macs_per_row,
        model.rows_seen,
        model.cpu_seconds,
    )


def study_steps(params: CtrParams, case: Case, ctx: Context, picture: Callable[[Study], Frame]) -> Working[Study]:
    """The model in production first; a picture every few reports of a training and after each model."""
    study = Study(params, case, notes=list(case.notes))
    for design in study.designs:
        model = yield from _trained(study, design, ctx.seed, picture)
        p = yield from _predicted(study, design, model)
        study.judged[design] = judge(case, model, p)
        yield picture(study)
    return study


def _trained(study: Study, design: Design, seed: int, picture: Callable[[Study], Frame]) -> Working[CtrModel]:
    from simulators.engines.ranking.models import iter_ctr

    params, kind = study.params, KINDS[design]
    steps = iter_ctr(
        study.case.train,
        kind.kind,  # type: ignore[arg-type]
        dim=params.dim,
        history=study.history if kind.history else None,  # type: ignore[arg-type]
        candidate_field=study.case.candidate,
        cross_rank=params.cross_rank or None,
        epochs=params.epochs,
        batch=params.batch,
        table_lr=params.table_lr,
        dense_lr=params.dense_lr,
        keep_negatives=params.keep_negatives,
        bf16=params.bf16,
        seed=seed % 2**31,
    )
    reports, wanted = 0, "excess_log_loss" if study.excess_known else "log_loss"
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if wanted in step.metrics:
            study.curves.setdefault(design, []).append((step.done, 1000 * step.metrics[wanted]))
            reports += 1
            if reports % FRAME_STEPS == 1:
                yield picture(study)
                continue
        yield Progress(step.done, step.total, f"{short(design)}: {step.label}")


def _predicted(study: Study, design: Design, model: CtrModel) -> Working[Floats]:
    """Corrected and recalibrated as asked for."""
    params, case = study.params, study.case

    def told(data: object) -> Working[Floats]:
        steps = model.predict_steps(data)  # type: ignore[arg-type]
        p = yield from relay(steps, lambda step: Progress(step.done, step.total, f"{short(design)}: scoring"))
        corrected = params.correct_sampling and params.keep_negatives < 1
        return calibration.undo_downsampling(p, params.keep_negatives) if corrected else p

    p = yield from told(case.test)
    if case.held is None:
        return p
    if not 0 < case.held.y.sum() < len(case.held):
        note = "The latest tenth of the training rows holds one label only: nothing was recalibrated."
        study.notes += [note] if note not in study.notes else []
        return p
    held = yield from told(case.held)
    return calibration.Platt().fit(held, case.held.y).predict(p)

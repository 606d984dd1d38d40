"""What a run of `calibration_auction` computes: prices under the model, under each calibrator and under the truth, and days of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from simulators.ads_ctr._calib_params import FITTED, GROUPINGS, CalibrationParams, Grouping, Method, distortion_of
from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.auction import Day, Pacing, iter_day, second_price
from simulators.engines.ranking.calibration import Calibrator, Histogram, Isotonic, Platt, Temperature
from simulators.engines.ranking.worlds.auction import AuctionWorld, CalibrationLog, auction_world, with_model
from simulators.engines.steps import relay
from simulators.lab import Context, Progress, Working

DAY = 1.6  # auctions of the day for each one before budgets
TEST_ROWS = 40_000  # impressions on which probabilities are judged
CURVE_ROWS = (500, 2_000, 5_000, 10_000, 20_000, 50_000, 150_000)
LEAST = 1e-4  # an isotonic map or a histogram may say 0 or 1, which any click to the contrary makes infinitely wrong
PACINGS: tuple[Pacing, ...] = get_args(Pacing)
Design = tuple[Method, Grouping]
CALIBRATORS: dict[str, type[Calibrator]] = {"platt": Platt, "isotonic": Isotonic, "temperature": Temperature, "histogram": Histogram}


class Outcome(NamedTuple):
    """What the auctions sold on some probabilities are worth beside the same auctions sold on the true ones.

    `each` (N,) is the value each auction was expected to give, `test` (TEST_ROWS,) the probabilities of the first impressions.
    """

    welfare: float
    revenue: float
    lost: float  # share of the truth's welfare
    overcharged: float  # revenue over the truth's, less 1
    wrong_winners: float  # share of the auctions another ad won, or none
    winner_ratio: float | None  # predicted over true clicks of the winners
    ratio: float  # and of all ads
    sold: float  # share of the auctions
    excess: float
    each: NDArray[np.float32]
    test: Floats


class Setting(NamedTuple):
    """The world and the model: what does not depend on calibration or pacing."""

    world: AuctionWorld
    day: AuctionWorld
    clicks: Floats  # (TEST_ROWS,) drawn on the first impressions

    @property
    def p(self) -> Floats:
        return self.world.p.ravel()[:TEST_ROWS]

    @property
    def segment(self) -> Ints:
        return self.world.segment.ravel()[:TEST_ROWS]


@dataclass
class Study:
    """Grows while the run goes on. `days` are of the chosen probabilities, but for `true_day`: the chosen pacing on the true ones."""

    params: CalibrationParams
    setting: Setting
    truth: Outcome
    raw: Outcome
    chosen: Outcome
    pooled: int  # segments or slices without a map of their own
    others: dict[Design, Outcome] = field(default_factory=dict)
    days: dict[Pacing, Day] = field(default_factory=dict)
    true_day: Day | None = None
    curves: dict[Method, list[float]] = field(default_factory=dict)  # excess log loss at CURVE_ROWS, in 1,000 nats

    @property
    def day(self) -> Day:
        return self.days[self.params.pacing]

    def lost_se(self, of: Outcome, than: Outcome | None = None) -> float:
        """Standard error of what `of` loses against the truth, or against another design, from the differences auction by auction."""
        apart = (than or self.truth).each.astype(np.float64) - of.each
        return float(apart.std() * math.sqrt(len(apart)) / self.truth.welfare) if self.truth.welfare else 0.0

    def ratio(self, of: Outcome, segment: int) -> float:
        """Predicted over true clicks in a segment, on the test impressions."""
        rows = self.setting.segment == segment
        return float(of.test[rows].sum() / self.setting.p[rows].sum())


def excess(p: Floats, p_hat: Floats) -> float:
    """1,000 x mean KL in nats."""
    return 1000 * metrics.excess_log_loss(p, np.clip(p_hat, LEAST, 1 - LEAST))


# --- the setting --------------------------------------------------------------------------------------------------------------


def setting_steps(ctx: Context, params: CalibrationParams) -> Working[Setting]:
    model = distortion_of(params)
    yield Progress(0, 4, "auctions")
    sizes = params.auctions, round(DAY * params.auctions)
    world = ctx.asset(f"calibration/world/{sizes[0]}/seed={ctx.seed}", lambda: _world(ctx.seed, sizes[0]), disk=False)
    yield Progress(1, 4, "auctions of a day")
    day = ctx.asset(f"calibration/world/{sizes[1]}/day/seed={ctx.seed}", lambda: _world(ctx.seed, sizes[1], log_rows=1), disk=False)
    yield Progress(2, 4, "predictions")
    world = with_model(world, model)
    yield Progress(3, 4, "predictions of a day")
    day = with_model(day, model)
    p = world.p.ravel()[:TEST_ROWS]
    clicks = (ctx.rng("test clicks").random(TEST_ROWS) < p).astype(np.float64)
    return Setting(world, replace(day, budget=params.tightness * day.budget), clicks)


def _world(seed: int, auctions: int, log_rows: int = 150_000) -> AuctionWorld:
    """Predicted without error, with budgets as large as what would be spent anyway; both are put on afterwards."""
    return auction_world(seed, slope=1, intercept=0, segment_shift=0, noise=0, tightness=1, auctions=auctions, log_rows=log_rows)


# --- prices -------------------------------------------------------------------------------------------------------------------


def outcome(world: AuctionWorld, p_hat: Floats, reserve: float, truth: Outcome | None = None) -> Outcome:
    """`truth` None: this is the truth itself."""
    found = second_price(world.value, p_hat, world.p, reserve)
    rows, sold = np.arange(len(found.winner)), found.winner >= 0
    each = np.where(sold, (world.value * world.p)[rows, found.winner], 0.0).astype(np.float32)
    best = truth.each if truth else each
    test = np.array(p_hat.ravel()[:TEST_ROWS])
    return Outcome(
        found.welfare,
        found.revenue,
        lost=1 - found.welfare / truth.welfare if truth and truth.welfare else 0.0,
        overcharged=found.revenue / truth.revenue - 1 if truth and truth.revenue else 0.0,
        wrong_winners=float((each != best).mean()),
        winner_ratio=found.winner_ratio if sold.any() else None,
        ratio=float(p_hat.sum() / world.p.sum()),
        sold=float(sold.mean()),
        excess=excess(world.p.ravel()[:TEST_ROWS], test),
        each=each,
        test=test,
    )


class Fitted(NamedTuple):
    """A calibrator that learned from the first rows of the log; `by` says which labels its maps go by."""

    calibrator: Calibrator | None
    by: Grouping

    @property
    def pooled(self) -> int:
        return len(self.calibrator.pooled_) if self.calibrator else 0

    def apply(self, world: AuctionWorld) -> Floats:
        if self.calibrator is None:
            return world.p_hat
        return self.calibrator.predict(world.p_hat, _labels(world, self.by))


def fitted(log: CalibrationLog, method: Method, by: Grouping, rows: int) -> Fitted:
    if method == "none":
        return Fitted(None, "global")
    labels = _labels(log, by)
    return Fitted(CALIBRATORS[method]().fit(log.p_hat[:rows], log.y[:rows], None if labels is None else labels[:rows]), by)


def _labels(of: AuctionWorld | CalibrationLog, by: Grouping) -> Ints | None:
    return {"global": None, "segment": of.segment, "slice": of.slice}[by]


def study_steps(ctx: Context, params: CalibrationParams) -> Working[tuple[Study, Floats]]:
    """The study before any day, and the chosen probabilities of the day's auctions."""
    setting = yield from setting_steps(ctx, params)
    world = setting.world
    truth = outcome(world, world.p, params.reserve)
    yield Progress(0, 3, "auctions on the model's probabilities")
    raw = outcome(world, world.p_hat, params.reserve, truth)
    yield Progress(1, 3, "fitting the calibrator")
    chosen = fitted(world.log, params.calibrator, params.by, params.cal_rows)
    yield Progress(2, 3, "calibrating")
    mine = raw if params.calibrator == "none" else outcome(world, chosen.apply(world), params.reserve, truth)
    yield Progress(3, 3, "calibrating the day")
    return Study(params, setting, truth, raw, mine, chosen.pooled), chosen.apply(setting.day)


def day_steps(study: Study, p_hat: Floats) -> Working[None]:
    """Each pacing, and the chosen one on the true probabilities."""
    params, world = study.params, study.setting.day
    for pacing in PACINGS:
        study.days[pacing] = yield from _day(world, p_hat, pacing, params)
    study.true_day = yield from _day(world, world.p, params.pacing, params)


def _day(world: AuctionWorld, p_hat: Floats, pacing: Pacing, params: CalibrationParams) -> Working[Day]:
    day = yield from relay(
        iter_day(world, p_hat, pacing, params.gain, params.reserve), lambda step: Progress(step.done, step.total, step.label)
    )
    yield Progress(1, 1, "a day of auctions")
    return day


# --- every calibrator beside the chosen one -----------------------------------------------------------------------------------


def others_steps(ctx: Context, study: Study) -> Working[None]:
    """Each method and grouping at the chosen length of the log, and each method at all lengths for the chosen grouping."""
    params = study.params
    key = f"calibration/{distortion_of(params)}/seed={ctx.seed}"
    study.others = yield from ctx.asset_steps(
        f"{key}/auctions={params.auctions}/rows={params.cal_rows}/reserve={params.reserve}", lambda: _other_designs(study), disk=False
    )
    study.curves = yield from ctx.asset_steps(f"{key}/auctions={params.auctions}/curves/{params.by}", lambda: _curves(study), disk=False)


def _other_designs(study: Study) -> Working[dict[Design, Outcome]]:
    world, made = study.setting.world, dict[Design, Outcome]()
    designs: list[Design] = [(method, by) for by in GROUPINGS for method in FITTED]
    for done, (method, by) in enumerate(designs):
        yield Progress(done, len(designs), "the other calibrators")
        calibrator = fitted(world.log, method, by, study.params.cal_rows)
        yield Progress(done + 0.4, len(designs), "the other calibrators")
        p_hat = calibrator.apply(world)
        yield Progress(done + 0.8, len(designs), "the other calibrators")
        made[method, by] = outcome(world, p_hat, study.params.reserve, study.truth)
    return made


def _curves(study: Study) -> Working[dict[Method, list[float]]]:
    world, by = study.setting.world, study.params.by
    labels = _labels(world, by)
    groups = None if labels is None else labels.ravel()[:TEST_ROWS]
    curves: dict[Method, list[float]] = {method: [] for method in FITTED}
    for done, (method, rows) in enumerate(product(FITTED, CURVE_ROWS)):
        yield Progress(done, len(FITTED) * len(CURVE_ROWS), "rows a calibrator needs")
        made = fitted(world.log, method, by, rows).calibrator
        assert made is not None
        curves[method].append(excess(study.setting.p, made.predict(study.raw.test, groups)))
    return curves

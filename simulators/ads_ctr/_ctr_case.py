"""What the models are trained on and judged by: a world, or the user's log, after hashing and the handling of new ads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from simulators.ads_ctr._ctr_data import positives, read_steps
from simulators.ads_ctr._ctr_params import CtrParams
from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.data import CtrData, hash_ids, split
from simulators.engines.ranking.worlds.ctr import AD, ADVERTISER, CATEGORY, CtrWorld, iter_ctr_world
from simulators.engines.steps import relay
from simulators.errors import InvalidInput
from simulators.lab import Context, Progress, Working

HELD_OUT = 0.1  # latest share of the training rows that calibrates
MOST_TABLE = 60_000_000  # numbers
NEW, YOUNG = 20, 100  # impressions of an ad
TEST_SHARE = 0.2
LEAST_TEST = 5  # test rows of either label


@dataclass(frozen=True)
class Case:
    """`held` calibrates and is not trained on; `seen` (test rows,) are the training impressions of each test row's ad, None without ads."""

    train: CtrData
    held: CtrData | None
    test: CtrData
    seen: Ints | None
    candidate: int  # field the history is matched with
    notes: tuple[str, ...]
    collisions: float  # ids a row of the table in the field that is hashed most

    @property
    def own(self) -> bool:
        return self.test.p is None

    @property
    def target(self) -> Floats:
        """What predictions are compared with: the known probability, or what happened."""
        return self.test.y if self.test.p is None else self.test.p

    @cached_property
    def base(self) -> float:
        """What the constant predicts."""
        return float(np.nanmean(self.train.y))

    @cached_property
    def gap(self) -> float | None:
        """Excess log loss of the constant, nats; None where the truth is not known, as below."""
        return None if self.test.p is None else metrics.excess_log_loss(self.test.p, np.full(len(self.test), self.base))

    @cached_property
    def oracle_auc(self) -> float | None:
        return None if self.test.p is None else metrics.expected_auc(self.test.p, self.test.p)

    @cached_property
    def oracle_loss(self) -> float | None:
        return None if self.test.p is None else metrics.log_loss(self.test.p, self.test.p)


def case_steps(params: CtrParams, ctx: Context) -> Working[Case]:
    case = yield from (_own(params, ctx) if ctx.data is not None else _world(params, ctx))
    table = sum(case.train.cards) * (params.dim + 1)
    if table > MOST_TABLE:
        raise InvalidInput(
            f"The table would hold {table:,} numbers; expected {MOST_TABLE:,} or fewer: take narrower embeddings or hash into fewer "
            f"buckets.",
            field="buckets",
        )
    if not params.recalibrate:
        return case
    train, held = split(case.train, "time", HELD_OUT)
    return replace(case, train=train, held=held)


# --- the world -----------------------------------------------------------------------------------------------------------


def _world(params: CtrParams, ctx: Context) -> Working[Case]:
    knobs = {"rows": params.rows, "base_logit": params.base_logit, "truth": params.truth}
    key = "/".join(f"{name}={value}" for name, value in knobs.items())

    def build() -> Working[CtrWorld]:
        steps = iter_ctr_world(ctx.seed, rows=params.rows, base_logit=params.base_logit, truth=params.truth)
        return (yield from relay(steps, lambda step: Progress(step.done, step.total, step.label)))

    world = yield from ctx.asset_steps(f"ctr/world/v1/seed={ctx.seed}/{key}", build, disk=False)
    if params.truth == "wide":
        train, test, ratio = _hashed(world.train, world.test, params.buckets)
        return Case(train, None, test, None, 0, (), ratio)
    train, test = world.train, world.test
    impressions = np.bincount(train.fields[:, AD], minlength=train.cards[AD])
    seen = impressions[test.fields[:, AD]]
    if params.share_id_below:
        train, test = (_shared(data, impressions < params.share_id_below) for data in (train, test))
    notes: tuple[str, ...] = ()
    if not params.ad_content:
        train, test = (_without_content(data) for data in (train, test))
        notes = ("Without the category of the ad its match with the history cannot be learned: the history is left out.",)
    train, test, ratio = _hashed(train, test, params.buckets)
    return Case(train, None, test, seen, CATEGORY, notes, ratio)


def _shared(data: CtrData, rare: np.ndarray) -> CtrData:
    """Rare ads as one id more."""
    fields = data.fields.copy()
    fields[:, AD] = np.where(rare[fields[:, AD]], data.cards[AD], fields[:, AD])
    cards = tuple(card + (field == AD) for field, card in enumerate(data.cards))
    return replace(data, fields=fields, cards=cards)


def _without_content(data: CtrData) -> CtrData:
    kept = [field for field in range(len(data.cards)) if field not in (ADVERTISER, CATEGORY)]
    names = tuple(name for field, name in enumerate(data.names) if field not in (ADVERTISER, CATEGORY))
    return replace(data, fields=data.fields[:, kept], cards=tuple(data.cards[field] for field in kept), history=None, names=names)


def _hashed(train: CtrData, test: CtrData, buckets: int) -> tuple[CtrData, CtrData, float]:
    """Both logs with large fields hashed, and the ids a used bucket of the largest field holds."""
    large = [field for field, card in enumerate(train.cards) if buckets and card > buckets]
    if not large:
        return train, test, 1.0
    maps = {field: hash_ids(np.arange(train.cards[field]), buckets, seed=field) for field in large}
    cards = tuple(buckets if field in maps else card for field, card in enumerate(train.cards))
    most = max(large, key=lambda field: train.cards[field])
    return _mapped(train, maps, cards), _mapped(test, maps, cards), train.cards[most] / len(np.unique(maps[most]))


def _mapped(data: CtrData, maps: dict[int, Ints], cards: tuple[int, ...]) -> CtrData:
    columns = [maps[field][ids] if field in maps else ids for field, ids in enumerate(data.fields.T)]
    history = data.history
    if history is not None and CATEGORY in maps:
        history = np.where(history >= 0, maps[CATEGORY][history], -1)
    return replace(data, fields=np.column_stack(columns), cards=cards, history=history)


# --- the user's log ------------------------------------------------------------------------------------------------------


def _own(params: CtrParams, ctx: Context) -> Working[Case]:
    assert ctx.data is not None
    files, options = ctx.data.files, ctx.data.options
    read = yield from ctx.asset_steps(
        f"ctr/own/v1/{ctx.data.digest}/{params.buckets}", lambda: read_steps(files, options, params.buckets), disk=False
    )
    positives(read, files["log"].name)
    labelled = read.data.take(~np.isnan(read.data.y))
    _affordable(params, len(labelled))
    by: Literal["random", "time"] = "random" if options.get("split") == "random" else "time"
    train, test = split(labelled, by, TEST_SHARE, seed=ctx.seed)
    for part, data in (("training", train), ("test", test)):
        if not LEAST_TEST <= data.y.sum() <= len(data) - LEAST_TEST:
            raise InvalidInput(
                f"{files['log'].name}: {int(data.y.sum())} of the {len(data):,} {part} rows are positive; expected at least {LEAST_TEST} "
                f"of "
                "either label: choose the random split or a longer file."
            )
    notes = ("The world's knobs, the history and the cold start are not used with your own file.", *read.notes)
    flattered = "Rows of the test are drawn at random: a model that learned from later rows is flattered."
    return Case(train, None, test, None, 0, (*notes, *((flattered,) if by == "random" else ())), 1.0)


def _affordable(params: CtrParams, rows: int) -> None:
    cost, most = params.cost_s(rows), 120.0
    if cost > most:
        raise InvalidInput(
            f"{rows:,} rows x {params.epochs} passes in batches of {params.batch} take about {cost:.0f} s of one core; expected "
            f"{most:.0f} s or "
            "less: take fewer passes or models, or a larger batch.",
            field="epochs",
        )

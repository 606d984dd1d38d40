"""One run: the page of this design, and of the designs it is held against."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulators.engines.ranking import rerank
from simulators.lab import Context, Progress, Working
from simulators.youtube_recs._blend_front import SLATES, Cloud, cloud_steps, random_weights
from simulators.youtube_recs._blend_heads import Heads, heads_key
from simulators.youtube_recs._blend_pages import (
    Audience,
    Floats,
    Ints,
    Served,
    arranged,
    explored,
    scales_of,
    scored,
    serve,
    weights_of,
)
from simulators.youtube_recs._blend_params import HEADS, PLACES, ObjectiveBlendParams

CURVE_SLATES = 200
CURVES: dict[str, tuple[float, ...]] = {
    "mmr": (0.95, 0.9, 0.8, 0.7, 0.5, 0.3),
    "dpp": (0.98, 0.95, 0.9, 0.8, 0.6),
    "cap": (1, 2, 3),
}
STRENGTHS = {"mmr": "lam", "dpp": "theta", "cap": "cap"}
BOUNDED = ("click", "minutes", "like", "subscribe")  # outcomes one may want as many of as there are


class Point(NamedTuple):
    strength: float
    topics: float
    value: float  # points a page


class Backdrop(NamedTuple):
    """What does not depend on weights or re-ranking: random weightings, pages ranked by one head, the most that a page can bring."""

    chosen: Cloud
    truth: Cloud
    single: dict[str, Served]  # clicks, minutes
    bounds: dict[str, float]


@dataclass
class Study:
    """`served` by name: mine, plain (by score alone), truth (this design on true heads), ceiling, clicks and minutes (by one head)."""

    params: ObjectiveBlendParams
    audience: Audience
    heads: Heads
    scores: Floats  # (S, K), as the blend sees them
    backdrop: Backdrop
    served: dict[str, Served] = field(default_factory=dict)
    curves: dict[str, list[Point]] = field(default_factory=dict)

    @property
    def mine(self) -> Served:
        return self.served["mine"]

    @property
    def weights(self) -> Floats:
        return weights_of(self.params)

    def value(self, name: str, slates: int | None = None) -> float:
        """Points a page, by what truly happens."""
        return float(self.served[name].values(self.weights)[:slates].mean())

    def share(self, name: str) -> float | None:
        """Of the ceiling's points; None where the ceiling has none to share."""
        ceiling = self.value("ceiling")
        return self.value(name) / ceiling if ceiling > 0 else None

    @cached_property
    def ratios(self) -> dict[str, tuple[float, float]]:
        """Predicted over true of each head, its scale included: over all candidates, and over those on the page."""
        predicted, rows = self.heads.predicted * scales_of(self.params), np.arange(len(self.scores))[:, None]
        pages = self.served["plain"].pages
        parts = [(predicted, self.audience.truth), (predicted[rows, pages], self.audience.truth[rows, pages])]
        sums = [seen.sum(axis=(0, 1)) / true.sum(axis=(0, 1)) for seen, true in parts]
        return {head: (float(sums[0][i]), float(sums[1][i])) for i, head in enumerate(HEADS)}

    @cached_property
    def spread(self) -> dict[str, float]:
        """Share of each head's term in the spread of scores, by standard deviations."""
        spread = self.heads.predicted.std(axis=(0, 1)) * scales_of(self.params) * np.abs(self.weights)
        return dict(zip(HEADS, (spread / spread.sum()).tolist(), strict=True))


class Difference(NamedTuple):
    """Mean of paired differences and their standard error."""

    mean: float
    se: float

    @property
    def clear(self) -> bool:
        return abs(self.mean) > 2 * self.se


def paired(a: Floats, b: Floats) -> Difference:
    gap = a - b
    return Difference(float(gap.mean()), float(gap.std(ddof=1) / np.sqrt(len(gap))))


def backdrop_steps(ctx: Context, params: ObjectiveBlendParams, audience: Audience, heads: Heads) -> Working[Backdrop]:
    viewers = f"likeness={params.likeness}/gamma={params.gamma}"
    weightings, few = random_weights(ctx.rng("weightings")), audience.first(SLATES)
    true_key, key = (f"{heads_key(ctx, which)}/{viewers}" for which in (params.model_copy(update={"heads": "oracle"}), params))

    def cloud(key: str, predicted: Floats, label: str) -> Working[Cloud]:
        return ctx.asset_steps(f"blend/cloud/{key}", lambda: cloud_steps(few, predicted[:SLATES], weightings, label))

    truth = yield from cloud(true_key, audience.truth, "weighing true heads at random")
    chosen = yield from cloud(key, heads.predicted, "weighing these heads at random")
    single = yield from ctx.asset_steps(f"blend/single/{key}", lambda: _single(audience, heads))
    bounds = yield from ctx.asset_steps(f"blend/bounds/{true_key}", lambda: _bounds(audience))
    return Backdrop(chosen, truth, single, bounds)


def _single(audience: Audience, heads: Heads) -> Working[dict[str, Served]]:
    found = {}
    for name, head in (("clicks", "click"), ("minutes", "minutes")):
        found[name] = serve(audience, rerank.ranked(heads.predicted[..., HEADS.index(head)], PLACES))
        yield Progress(len(found), 2, "ranking by a single head")
    return found


def _bounds(audience: Audience) -> Working[dict[str, float]]:
    found = {}
    for head in BOUNDED:
        true = audience.truth[..., HEADS.index(head)]
        found[head] = serve(audience, rerank.satiated_pages(true, audience.emb, PLACES, audience.gamma)).mean(head)
        yield Progress(len(found), len(BOUNDED), "what a page can bring at most")
    return found


def begun(params: ObjectiveBlendParams, audience: Audience, heads: Heads, backdrop: Backdrop) -> Study:
    scores = scored(heads.predicted * scales_of(params), weights_of(params))
    return Study(params, audience, heads, scores, backdrop, dict(backdrop.single))


def page_steps(study: Study, ctx: Context) -> Working[None]:
    """The page of this design."""
    pages = arranged(study.audience, study.scores, study.params)
    yield Progress(1, 2, "making pages")
    pages = explored(pages, study.scores.shape[1], study.params.explore_slots, ctx.rng("explore"))
    study.served["mine"] = serve(study.audience, pages)
    yield Progress(2, 2, "making pages")


def comparison_steps(study: Study) -> Working[None]:
    """Pages of the designs it is held against."""
    audience, true_scores = study.audience, scored(study.audience.truth, study.weights)
    made: dict[str, Callable[[], Ints]] = {
        "plain": lambda: rerank.ranked(study.scores, PLACES),
        "truth": lambda: arranged(audience, true_scores, study.params),
        "ceiling": lambda: rerank.satiated_pages(true_scores, audience.emb, PLACES, audience.gamma),
    }
    for done, (name, make) in enumerate(made.items(), 1):
        study.served[name] = serve(audience, make())
        yield Progress(done, len(made), "making the pages to compare with")


def curve_steps(study: Study) -> Working[None]:
    """Worth and topics of a page at each strength of each kind of diversity, on the first slates."""
    few, scores = study.audience.first(CURVE_SLATES), study.scores[:CURVE_SLATES]
    for method, strengths in CURVES.items():
        points = []
        for strength in strengths:
            params = study.params.model_copy(update={"diversity": method, STRENGTHS[method]: strength})
            found = serve(few, arranged(few, scores, params))
            points.append(Point(strength, float(found.topics.mean()), float(found.values(study.weights).mean())))
        study.curves[method] = points
        yield Progress(len(study.curves), len(CURVES), "what diversity costs")

"""One run on the synthetic world: the merged lists, each source alone, and what they catch of what is watched next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.retrieval import Health, Merged, merge_sources, tower_health
from simulators.engines.ranking.worlds.retrieval import NewcomerWorld, RetrievalWorld
from simulators.lab import Context, Progress, Working
from simulators.youtube_recs import _retrieval_world as built
from simulators.youtube_recs._retrieval_index import Found, search_steps
from simulators.youtube_recs._retrieval_params import RetrievalParams

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
LENGTHS = (0, 1, 2, 3, 5, 10, 20)  # items known of a newcomer
HEAD, TAIL = 0.01, 0.2  # the most popular items; everything below this share of the ranks


@dataclass(frozen=True)
class Slots:
    """Lists (T, k) of ids, -1 for none, and what the world says of each slot."""

    world: RetrievalWorld
    ids: Ints

    @cached_property
    def p(self) -> Floats:
        """(T, k) chance that the item is watched next."""
        return np.where(self.ids >= 0, np.take_along_axis(self.world.p, np.maximum(self.ids, 0), axis=1), 0.0)

    @cached_property
    def mass(self) -> Floats:
        """(T,) chance that the next choice is in a viewer's list."""
        return np.asarray(self.p.sum(axis=1))

    def mass_of(self, items: Flags) -> float:
        """The part of the choices of `items` (I,) that is in the lists; 0 where nobody chooses them."""
        return float((self.p * items[self.ids]).sum() / max(self.world.p[:, items].sum(), 1e-12))

    def share_of(self, items: Flags) -> float:
        """Slots that hold `items`."""
        return float((items[self.ids] & (self.ids >= 0)).sum() / max(1, (self.ids >= 0).sum()))

    @cached_property
    def counts(self) -> Ints:
        """(I,) lists that hold an item."""
        return np.bincount(self.ids[self.ids >= 0], minlength=self.world.n_items)

    @property
    def coverage(self) -> float:
        return float((self.counts > 0).mean())

    @property
    def overlap(self) -> float:
        """Mean share of one viewer's list that stands in another's too."""
        lists, k = self.ids.shape
        return float((self.counts * (self.counts - 1.0)).sum() / (lists * (lists - 1) * k))


class Lost(NamedTuple):
    """What the lists lose without a source, in % of the best lists; `noise` is the standard error over viewers."""

    points: float
    noise: float


@dataclass
class Study:
    params: RetrievalParams
    world: RetrievalWorld
    trained: built.Trained
    vectors: NDArray[np.float32]  # (T, d) of the viewers served
    found: Found
    ranked: dict[str, Ints]  # sources with their lists, best first
    merged: Merged
    mine: Slots
    best: Slots
    alone: dict[str, Slots]  # k of popularity, co-watch and the towers
    lost: dict[str, Lost] = field(default_factory=dict)
    by_history: dict[int, float] = field(default_factory=dict)  # items known to % of the best lists, of the towers

    def of_oracle(self, slots: Slots) -> float:
        """% of what the best lists catch."""
        return 100 * float(slots.mass.mean() / self.best.mass.mean())

    @property
    def sources(self) -> list[str]:
        """Those with slots, in the order of merging."""
        return [name for name in self.ranked if self.params.quotas.get(name, 0)]

    def slots_of(self, source: str) -> Flags:
        return np.asarray(self.merged.source == list(self.ranked).index(source))

    @cached_property
    def head(self) -> Flags:
        return np.asarray(self.world.rank <= HEAD * self.world.n_items)

    @cached_property
    def tail(self) -> Flags:
        return np.asarray(self.world.rank > TAIL * self.world.n_items)

    @cached_property
    def trends(self) -> Flags:
        return np.isin(np.arange(self.world.n_items), self.world.trending)

    @cached_property
    def user_health(self) -> Health:
        return tower_health(self.vectors)

    @cached_property
    def item_health(self) -> Health:
        return tower_health(self.trained.model.item_vectors())

    @property
    def viewer(self) -> int:
        """Row of the viewer shown."""
        return self.params.viewer % len(self.mine.ids)


def study_steps(ctx: Context, params: RetrievalParams) -> Working[Study]:
    """Everything but what `lost_steps` and `history_steps` add."""
    world = yield from built.world_steps(ctx, params)
    trained = yield from built.model_steps(ctx, params, world)
    vectors = built.queries(params, world, trained.model)
    yield Progress(0, 1, "ranking items")
    found = yield from ctx.asset_steps(_search_key(ctx, params), lambda: search_steps(params, trained.model, vectors), disk=False)
    co_watch = yield from built.co_watch_steps(ctx, params, world)
    best = Slots(world, (yield from built.best_steps(ctx, params, world)))
    ranked = {
        "two_tower": found.ids,
        "co_watch": co_watch,
        "fresh": built.fresh(world, params.k),
        "trending": built.trending(world, params.k),
    }
    yield Progress(0, 1, "merging sources")
    merged = merge_sources(ranked, params.quotas, params.k)
    alone = {"popularity": np.broadcast_to(built.popular(world, params.k), co_watch.shape), "co_watch": co_watch, "two_tower": found.ids}
    return Study(
        params,
        world,
        trained,
        vectors,
        found,
        ranked,
        merged,
        Slots(world, merged.ids),
        best,
        {name: Slots(world, ids) for name, ids in alone.items()},
    )


def _search_key(ctx: Context, params: RetrievalParams) -> str:
    known = params.history_len if params.user_tower == "history" else ""
    return f"{built.model_key(ctx, params)}/{params.k}/{params.index}/{known}/lists"


def lost_steps(study: Study) -> Iterator[Progress]:
    """Takes each source away in turn; its slots go to the others."""
    quotas, best = study.params.quotas, study.best.mass.mean()
    for done, name in enumerate(study.sources, 1):
        left = {source: slots for source, slots in quotas.items() if source != name}
        without = _mass_without(study, left)
        difference = 100 * (study.mine.mass - without) / best
        study.lost[name] = Lost(float(difference.mean()), float(difference.std() / np.sqrt(len(difference))))
        yield Progress(done, len(study.sources), "taking sources away")


def _mass_without(study: Study, quotas: Mapping[str, int]) -> Floats:
    if not any(quotas.values()):
        return np.zeros(len(study.mine.ids))
    return Slots(study.world, merge_sources(study.ranked, quotas, study.params.k).ids).mass


def history_steps(ctx: Context, study: Study) -> Working[None]:
    """What the towers make of the first items of a newcomer's history."""
    world = study.world
    if not isinstance(world, NewcomerWorld):
        return
    key = f"{built.model_key(ctx, study.params)}/{study.params.k}/by_history"
    study.by_history = yield from ctx.asset_steps(key, lambda: _by_history(study, world), disk=False)


def _by_history(study: Study, world: NewcomerWorld) -> Working[dict[int, float]]:
    found = dict[int, float]()
    for length in LENGTHS:
        params = study.params.model_copy(update={"history_len": length, "index": "exact"})
        vectors = built.queries(params, world, study.trained.model)
        lists = yield from search_steps(params, study.trained.model, vectors)
        found[length] = study.of_oracle(Slots(world, lists.ids))
    return found

"""The lab on the user's own ratings: lists against what was held out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.data.ratings import Ratings, iter_read_ratings
from simulators.engines.ranking.retrieval import TwoTower, iter_co_watch, iter_two_tower, merge_sources, tower_health, watched_matrix
from simulators.engines.steps import relay
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Progress, Result, Steps, Working
from simulators.youtube_recs import _retrieval_own_views as views
from simulators.youtube_recs._retrieval_data import Split, split_of
from simulators.youtube_recs._retrieval_params import MOST_PAIRS, RetrievalParams
from simulators.youtube_recs._retrieval_world import Trained, curve_figure, ranked_steps, told, training_options, watched_training

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]
MOST_VIEWERS = 2_000  # judged; more would hardly narrow the intervals
CO_WATCHED_ITEMS = 5_000  # most popular ones between which co-watch counts
DEPTH, CUTS = 100, (10, 50, 100)
HISTORY = 20


@dataclass(frozen=True)
class Lists:
    """Lists (T, depth) of the viewers judged, -1 for none."""

    ids: Ints
    held: NDArray[np.bool_]  # (T, depth) whether a slot holds a held-out positive
    wanted: Ints  # (T,) held-out positives of each viewer

    def hits(self, k: int) -> NDArray[np.bool_]:
        """(T,) viewers with a held-out positive among the first k."""
        return np.asarray(self.held[:, :k].any(axis=1))

    def recall(self, k: int) -> float:
        """Mean share of a viewer's held-out positives among the first k."""
        return float((self.held[:, :k].sum(axis=1) / self.wanted).mean())

    def counts(self, k: int, n_items: int) -> Ints:
        top = self.ids[:, :k]
        return np.bincount(top[top >= 0], minlength=n_items)

    def coverage(self, k: int, n_items: int) -> float:
        return float((self.counts(k, n_items) > 0).mean())


@dataclass
class Own:
    params: RetrievalParams
    split: Split
    trained: Trained
    viewers: Ints  # (T,) users judged
    left_out: int  # others with held-out positives
    lists: dict[str, Lists]
    source: Ints  # (T, k) of the merged lists
    sources: list[str]

    @cached_property
    def cold(self) -> NDArray[np.bool_]:
        """(T,) viewers without a row to learn from."""
        return ~np.isin(self.viewers, self.split.train_user)

    @cached_property
    def unseen(self) -> float:
        """Share of held-out positives whose item has no row to learn from: no list finds them on purpose."""
        return float((~np.isin(self.split.item[self.split.held], self.split.train_item)).mean())

    @cached_property
    def popularity(self) -> Ints:
        return np.bincount(self.split.train_item, minlength=self.split.n_items)

    @cached_property
    def health(self) -> tuple[float, float]:
        found = tower_health(self.trained.model.user_vectors())
        return found.mean_cosine, found.effective_rank


def run_own(params: RetrievalParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    file, key = ctx.data.files["ratings"], f"retrieval/own/{ctx.data.digest}"
    quotas = {name: slots for name, slots in params.quotas.items() if name in ("two_tower", "co_watch")}
    if not any(quotas.values()):
        raise InvalidInput(
            "Ratings say nothing of upload times or views of the last hour: only two towers and co-watch can fill slots; expected a quota "
            "above 0 for one of them.",
            field="quota_two_tower",
        )
    ratings: Ratings = yield from ctx.asset_steps(
        f"{key}/rows", lambda: relay(iter_read_ratings(file.path, name=file.name), told), disk=False
    )
    yield Progress(0, 1, "splitting")
    split = split_of(ratings, params, ctx.rng("held out"), file.name)
    _check_work(params, len(split.train_item))
    key += f"/{params.split}/{params.positive_at}/{ctx.seed}"
    trained = yield from ctx.asset_steps(f"{key}/{_training_key(params)}", lambda: _train(params, split, ctx.seed), disk=False)
    own = yield from _judged(params, ctx, key, split, trained, quotas)
    yield Frame(views.metrics(own), [views.hits_figure(own)])
    return Result(
        views.metrics(own),
        [views.hits_figure(own), views.popularity_figure(own), views.viewer_figure(own), curve_figure(trained.curve)],
        [views.lists_table(own)],
        views.insights(own),
        views.notes(own, ratings),
    )


def _check_work(params: RetrievalParams, rows: int) -> None:
    columns = params.batch + (params.n_uniform if params.negatives == "mixed" else 0)
    if rows * params.epochs * columns * (params.dim + 16) > 32 * MOST_PAIRS:
        raise InvalidInput(
            f"{rows:,} positives in {params.epochs} passes at a batch of {params.batch:,} are too many pairs; expected less of one."
        )


def _training_key(p: RetrievalParams) -> str:
    return "/".join(str(value) for value in training_options(p).values())


def _train(params: RetrievalParams, split: Split, seed: int) -> Working[Trained]:
    steps = iter_two_tower(
        split.train_user,
        split.train_item,
        split.n_users,
        split.n_items,
        history=_histories(split) if params.user_tower == "history" else None,
        seed=seed,
        **training_options(params),
    )
    return (yield from watched_training(steps, len(split.train_item) * params.epochs))


def _histories(split: Split) -> Ints:
    """(n, 20) what each training row's user had chosen before it, the last one last."""
    user, item = split.train_user, split.train_item
    first = np.searchsorted(user, user)  # rows stand by user
    at = np.arange(len(user))[:, None] - np.arange(HISTORY, 0, -1)
    return np.where(at >= first[:, None], item[np.maximum(at, 0)], -1)


def _last_histories(split: Split, viewers: Ints, known: int) -> Ints:
    """(T, 20) the last training choices of each viewer."""
    end = np.searchsorted(split.train_user, viewers, side="right")
    at = end[:, None] - np.arange(HISTORY, 0, -1)
    inside = (at >= np.searchsorted(split.train_user, viewers)[:, None]) & (np.arange(HISTORY, 0, -1) <= known)
    return np.where(inside, split.train_item[np.maximum(at, 0)], -1)


# --- lists ------------------------------------------------------------------------------------------------------------


def _judged(params: RetrievalParams, ctx: Context, key: str, split: Split, trained: Trained, quotas: dict[str, int]) -> Working[Own]:
    everybody = np.unique(split.user[split.held])
    viewers = everybody
    if len(everybody) > MOST_VIEWERS:
        viewers = np.sort(ctx.rng("viewers").choice(everybody, MOST_VIEWERS, replace=False))
    depth = min(max(DEPTH, params.k), split.n_items)
    watched = watched_matrix(split.train_user, split.train_item, split.n_users, split.n_items)
    seen, known = watched[viewers], np.diff(watched.indptr)[viewers] > 0
    counts = np.bincount(split.train_item, minlength=split.n_items)
    yield Progress(0, 1, "ranking popular items")
    popular = yield from _popular(counts, seen, depth)
    found = yield from _towers(params, split, trained.model, viewers, seen, depth)
    if params.user_tower == "id":
        found[~known] = popular[~known]
    co_watched = yield from ctx.asset_steps(f"{key}/co_watch/{depth}", lambda: _co_watch(watched, viewers, counts, depth), disk=False)
    co_watched = np.where(known[:, None], co_watched, popular)
    merged = merge_sources({"two_tower": found, "co_watch": co_watched}, quotas, min(params.k, depth))
    ranked = {"popularity": popular, "co_watch": co_watched, "two_tower": found, "mine": merged.ids}
    judged = {name: _lists(split, viewers, ids) for name, ids in ranked.items()}
    return Own(params, split, trained, viewers, len(everybody) - len(viewers), judged, merged.source, ["two_tower", "co_watch"])


def _popular(counts: Ints, seen: Any, depth: int) -> Working[Ints]:
    return (yield from _ranked(np.broadcast_to(counts.astype(np.float32), seen.shape), seen, depth))


def _ranked(scores: NDArray[np.float32], seen: Any, depth: int) -> Working[Ints]:
    """(T, depth) best first without what was chosen before; -1 where nothing is left."""
    hidden = np.array(scores, dtype=np.float32)
    hidden[seen.nonzero()] = -np.inf
    ids = yield from ranked_steps(hidden, depth)
    return np.where(np.isneginf(np.take_along_axis(hidden, ids, axis=1)), -1, ids)


def _towers(params: RetrievalParams, split: Split, model: TwoTower, viewers: Ints, seen: Any, depth: int) -> Working[Ints]:
    vectors = (
        model.encode(_last_histories(split, viewers, params.history_len))
        if params.user_tower == "history"
        else model.user_vectors()[viewers]
    )
    indptr, indices = seen.indptr, seen.indices
    exclude = np.split(indices, indptr[1:-1])
    return (yield from relay(model.iter_topk_of(vectors, depth, exclude), told))


def _co_watch(watched: Any, viewers: Ints, counts: Ints, depth: int) -> Working[Ints]:
    """By cosines between the most popular items; what is less popular comes after them, by popularity."""
    top = np.argsort(-counts, kind="stable")[:CO_WATCHED_ITEMS]
    log = watched[:, top]
    some = yield from relay(iter_co_watch(log, log[viewers]), told)
    scores = np.tile((counts / (counts.max() + 1.0) - 1).astype(np.float32), (len(viewers), 1))  # below every cosine
    scores[:, top] = np.where(some > 0, some, scores[:, top])
    return (yield from _ranked(scores, watched[viewers], depth))


def _lists(split: Split, viewers: Ints, ids: Ints) -> Lists:
    held = watched_matrix(split.user[split.held], split.item[split.held], split.n_users, split.n_items)[viewers]
    keys = np.repeat(np.arange(len(viewers)), np.diff(held.indptr)) * np.int64(split.n_items) + held.indices
    found = np.isin(np.arange(len(viewers))[:, None] * np.int64(split.n_items) + ids, keys) & (ids >= 0)
    return Lists(ids, found, np.diff(held.indptr))

"""What a run stands on: the world, the trained towers, and everything a viewer's list is made from. All of it is kept for the next run."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.retrieval import TwoTower, iter_co_watch, iter_two_tower, watched_matrix
from simulators.engines.ranking.retrieval.two_tower import top_ids
from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.retrieval import (
    GROUPS,
    NewcomerWorld,
    RetrievalWorld,
    iter_newcomer_world,
    iter_retrieval_world,
)
from simulators.engines.steps import blocks, relay
from simulators.figures import Axis, Series, line_figure
from simulators.lab import Context, Figure, Frame, Progress, Working
from simulators.youtube_recs._retrieval_params import RetrievalParams

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]
FRAME_EVERY = 5  # reports of the training
_CELLS = 500_000  # of a table viewers x items, ranked between two reports


class Trained(NamedTuple):
    """`curve`: (rows seen, loss in nats) at each report."""

    model: TwoTower
    curve: tuple[tuple[float, float], ...]


def told(step: Step) -> Progress:
    return Progress(step.done, step.total, step.label)


# --- the world --------------------------------------------------------------------------------------------------------


def world_key(ctx: Context, params: RetrievalParams) -> str:
    users = "newcomers" if params.user_tower == "history" else "viewers"
    sizes = f"{params.rows}/{params.viewers}"
    return f"retrieval/{users}/{sizes}/{params.zipf}/{params.fresh_share}/{params.trend_share}/{ctx.seed}"


def world_steps(ctx: Context, params: RetrievalParams) -> Working[RetrievalWorld]:
    def build() -> Working[RetrievalWorld]:
        return (yield from relay(_drawn(params, ctx.seed), told))

    return (yield from ctx.asset_steps(f"{world_key(ctx, params)}/world", build, disk=False))


def _drawn(p: RetrievalParams, seed: int) -> Generator[Step, None, RetrievalWorld]:
    """Of newcomers there are two for three viewers, and four times as many train the model."""
    known: dict[str, Any] = {"zipf": p.zipf, "fresh_share": p.fresh_share, "trend_share": p.trend_share}
    if p.user_tower == "history":
        newcomers = p.viewers * 2 // 3
        return iter_newcomer_world(seed, n_users=5 * newcomers, n_newcomers=newcomers, rows=p.rows, **known)
    return iter_retrieval_world(seed, n_users=p.viewers, rows=p.rows, **known)


# --- the towers -------------------------------------------------------------------------------------------------------


def model_key(ctx: Context, params: RetrievalParams) -> str:
    """What the towers depend on, and nothing else: a quota moved does not train again."""
    p = params
    own = {"uniform": p.n_uniform, "mixed": p.n_uniform, "hard": p.n_hard}.get(p.negatives, 0)
    history = f"{p.history_dropout}/{p.demographics}" if p.user_tower == "history" else ""
    return f"{world_key(ctx, p)}/{p.negatives}/{own}/{p.logq}/{p.batch}/{p.epochs}/{p.dim}/{p.user_tower}/{history}/{p.item_content}"


def model_steps(ctx: Context, params: RetrievalParams, world: RetrievalWorld) -> Working[Trained]:
    def build() -> Working[Trained]:
        history = world.history if isinstance(world, NewcomerWorld) else None
        steps = iter_two_tower(
            world.users,
            world.items,
            world.n_users,
            world.n_items,
            item_features=world.content if params.item_content else None,
            history=history,
            user_features=demographics(params, world),
            seed=ctx.seed,
            **training_options(params),
        )
        return (yield from watched_training(steps, params.rows * params.epochs))

    return (yield from ctx.asset_steps(f"{model_key(ctx, params)}/model", build))


def training_options(params: RetrievalParams) -> dict[str, Any]:
    return {
        "negatives": params.negatives,
        "n_uniform": params.n_uniform,
        "n_hard": params.n_hard,
        "logq": float(params.logq),
        "dim": params.dim,
        "batch": params.batch,
        "epochs": params.epochs,
        "user_tower": params.user_tower,
        "history_dropout": params.user_tower == "history" and params.history_dropout,
    }


def demographics(params: RetrievalParams, world: RetrievalWorld) -> Floats32 | None:
    """(U, 12) which group a user belongs to."""
    if not isinstance(world, NewcomerWorld) or not params.demographics:
        return None
    return np.eye(GROUPS, dtype=np.float32)[world.group]


def watched_training(steps: Generator[Step, None, TwoTower], rows: int) -> Working[Trained]:
    """The training with its curve on the page as it grows."""
    curve: list[tuple[float, float]] = []

    def tell(step: Step) -> Progress | Frame:
        if "loss" not in step.metrics:
            return told(step)
        curve.append((rows * step.done / step.total, step.metrics["loss"]))
        return Frame(figures=[curve_figure(curve)]) if len(curve) % FRAME_EVERY == 1 else told(step)

    model = yield from relay(steps, tell)
    return Trained(model, tuple(curve))


def curve_figure(curve: tuple[tuple[float, float], ...] | list[tuple[float, float]]) -> Figure:
    rows, loss = zip(*curve, strict=True) if curve else ((0.0,), (0.0,))
    return line_figure(
        "training",
        f"The loss falls from {loss[0]:.2f} to {loss[-1]:.2f} nats",
        f"Sampled softmax loss over {rows[-1]:,.0f} rows of training; losses of different negatives cannot be compared.",
        [Series("loss", rows, loss, "lines")],
        Axis("Choices seen", "rows"),
        Axis("Mean loss since the last report", "nats a row"),
    )


# --- who is served ----------------------------------------------------------------------------------------------------


def queries(params: RetrievalParams, world: RetrievalWorld, model: TwoTower) -> Floats32:
    """(T, d) vectors of the viewers served."""
    if not isinstance(world, NewcomerWorld):
        return model.user_vectors()
    features = demographics(params, world)
    return model.encode(known_history(world, params.history_len), None if features is None else features[world.newcomers])


def known_history(world: NewcomerWorld, items: int) -> Ints:
    """(T, L) the last `items` of each newcomer's history, -1 before."""
    history = world.history[world.newcomers].copy()
    history[:, : history.shape[1] - items] = -1
    return history


# --- sources ----------------------------------------------------------------------------------------------------------


def popular(world: RetrievalWorld, k: int) -> Ints:
    """(k,) the items most chosen in the log."""
    counts = np.bincount(world.items, minlength=world.n_items)
    return np.argsort(-counts, kind="stable")[:k]


def fresh(world: RetrievalWorld, k: int) -> Ints:
    """(T, .) items under a day old: those of subscribed channels first, then by views of the last hour."""
    young = np.flatnonzero(world.fresh)
    subscribed = world.subscribed[:, world.channel[young]]
    scores = world.last_hour[young] + subscribed * float(world.last_hour.sum() + 1)
    return np.asarray(young[top_ids(scores, min(k, len(young)))], dtype=np.int64)


def trending(world: RetrievalWorld, k: int) -> Ints:
    """(T, .) for everybody the older items whose views stand out most from what the log expects, in standard deviations of a count."""
    older = np.flatnonzero(~world.fresh)
    views = float(world.last_hour.sum())
    expected = views * np.bincount(world.items, minlength=world.n_items)[older] / len(world.items)
    surplus = (world.last_hour[older] - expected) / np.sqrt(expected + 1)
    best = older[np.argsort(-surplus, kind="stable")[:k]]
    return np.broadcast_to(best, (len(world.p), len(best)))


def co_watch_steps(ctx: Context, params: RetrievalParams, world: RetrievalWorld) -> Working[Ints]:
    """(T, k) by what was watched with what each viewer watched; a viewer of whom nothing is known gets popular items."""

    def build() -> Working[Ints]:
        log = watched_matrix(world.users, world.items, world.n_users, world.n_items)
        watchers = log
        if isinstance(world, NewcomerWorld):
            history = known_history(world, params.history_len)
            who, place = np.nonzero(history >= 0)
            watchers = watched_matrix(who, history[who, place], len(history), world.n_items)
        scores = yield from relay(iter_co_watch(log, watchers), told)
        ids = yield from ranked_steps(scores, params.k)
        ids[np.diff(watchers.indptr) == 0] = popular(world, params.k)
        return ids

    length = params.history_len if isinstance(world, NewcomerWorld) else ""
    return (yield from ctx.asset_steps(f"{world_key(ctx, params)}/co_watch/{params.k}/{length}", build, disk=False))


def best_steps(ctx: Context, params: RetrievalParams, world: RetrievalWorld) -> Working[Ints]:
    """(T, k) what a list would hold that knew every probability."""
    return (yield from ctx.asset_steps(f"{world_key(ctx, params)}/best/{params.k}", lambda: ranked_steps(world.p, params.k), disk=False))


def ranked_steps(scores: NDArray[np.floating[Any]], k: int) -> Working[Ints]:
    """(T, k) the best k of each row."""
    ids = np.empty((len(scores), k), np.int64)
    for part in blocks(len(scores), max(1, _CELLS // scores.shape[1])):
        ids[part] = top_ids(scores[part], k)
        yield Progress(part.stop, len(scores), "ranking items")
    return ids

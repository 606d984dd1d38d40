"""Two towers, co-watch, merging and health: against brute force, autograd, and a world whose next choices are known."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from simulators.engines.ranking import metrics, retrieval
from simulators.engines.ranking.retrieval import training
from simulators.engines.ranking.retrieval.negatives import Negatives
from simulators.engines.ranking.retrieval.settings import Log, Settings
from simulators.engines.ranking.retrieval.towers import ItemTower, user_tower
from simulators.engines.ranking.retrieval.two_tower import TwoTower, top_ids
from simulators.engines.ranking.worlds import NewcomerWorld, RetrievalWorld, newcomer_world, retrieval_world
from simulators.engines.steps import finish

SEEDS = (0, 1, 2)
USERS, ITEMS, K, ROWS = 200, 1_000, 20, 25_000


@cache
def world(seed: int) -> RetrievalWorld:
    return retrieval_world(seed, fresh_share=0, trend_share=0, n_users=USERS, n_items=ITEMS, rows=ROWS)


@cache
def towers(seed: int, **options: Any) -> TwoTower:
    seen = world(seed)
    options = {"item_features": seen.content, "batch": 256, "seed": seed} | options
    return retrieval.fit_two_tower(seen.users, seen.items, USERS, ITEMS, **options)


def of_oracle(seed: int, ids: np.ndarray) -> float:
    return metrics.mass_at_k(world(seed).p, ids).of_oracle


def share(seed: int, **options: Any) -> float:
    return of_oracle(seed, towers(seed, **options).topk(np.arange(USERS), K))


def popular(seed: int) -> np.ndarray:
    counts = np.bincount(world(seed).items, minlength=ITEMS)
    return np.tile(np.argsort(-counts, kind="stable")[:K], (USERS, 1))


# --- effects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_correction_decides_what_in_batch_negatives_are_worth(seed: int) -> None:
    right, none, wrong = (share(seed, logq=value) for value in (1, 0, -1))
    popularity = of_oracle(seed, popular(seed))
    assert right > 0.9 > popularity + 0.1
    assert none < popularity - 0.1, "uncorrected towers lose to no model at all"
    assert wrong < 0.5 * none, "and the wrong sign to uncorrected ones"
    head = world(seed).rank <= ITEMS // 100
    slots = {value: head[towers(seed, logq=value).topk(np.arange(USERS), K)].mean() for value in (1, 0, -1)}
    best = head[top_ids(world(seed).p, K)].mean()
    assert abs(slots[1] - best) < 0.05 and slots[0] < 0.25 * best and slots[-1] < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_other_sources_of_negatives_come_close(seed: int) -> None:
    right = share(seed)
    assert right - 0.03 < share(seed, negatives="uniform") < right + 0.01
    assert abs(share(seed, negatives="mixed") - right) < 0.02
    assert abs(share(seed, negatives="hard") - right) < 0.02, "hard negatives gain nothing here"
    assert towers(seed, negatives="hard").scored_pairs > towers(seed).scored_pairs


@pytest.mark.parametrize("seed", SEEDS)
def test_co_watch_lies_between_popularity_and_towers(seed: int) -> None:
    seen = world(seed)
    found = of_oracle(seed, top_ids(retrieval.co_watch(seen.users, seen.items, USERS, ITEMS), K))
    assert of_oracle(seed, popular(seed)) + 0.05 < found < share(seed) - 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_without_user_features_everybody_gets_the_popular_items(seed: int) -> None:
    model = towers(seed, user_tower="none", item_features=None)
    lists = model.topk(np.arange(USERS), K)
    assert (lists == lists[0]).all()
    assert of_oracle(seed, lists) == pytest.approx(of_oracle(seed, popular(seed)), abs=0.02)
    health = retrieval.tower_health(model.user_vectors())
    assert health.mean_cosine == pytest.approx(1) and health.effective_rank == pytest.approx(1)
    assert retrieval.tower_health(towers(seed).user_vectors()).effective_rank > 5


@cache
def newcomers(seed: int) -> NewcomerWorld:
    return newcomer_world(seed, fresh_share=0, trend_share=0, n_users=900, n_newcomers=300, n_items=ITEMS, rows=ROWS, history=20)


def cold(seed: int, items: int, *, demographics: bool, dropout: bool) -> float:
    seen = newcomers(seed)
    model = _cold_model(seed, demographics, dropout)
    shown = np.full((len(seen.newcomers), 20), -1)
    shown[:, 20 - items :] = seen.history[seen.newcomers][:, 20 - items :]
    features = np.eye(12)[seen.group[seen.newcomers]] if demographics else None
    return metrics.mass_at_k(seen.p, model.topk_of(model.encode(shown, features), K)).of_oracle


@cache
def _cold_model(seed: int, demographics: bool, dropout: bool) -> TwoTower:
    seen = newcomers(seed)
    return retrieval.fit_two_tower(
        seen.users,
        seen.items,
        seen.n_users,
        ITEMS,
        item_features=seen.content,
        history=seen.history,
        user_tower="history",
        user_features=np.eye(12)[seen.group] if demographics else None,
        history_dropout=dropout,
        batch=256,
        seed=seed,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_newcomers_need_dropout_in_training_and_what_is_known_of_them(seed: int) -> None:
    seen = newcomers(seed)
    counts = np.bincount(seen.items, minlength=ITEMS)
    popularity = metrics.mass_at_k(seen.p, np.tile(np.argsort(-counts)[:K], (len(seen.p), 1))).of_oracle
    told = [cold(seed, n, demographics=True, dropout=True) for n in (0, 5, 20)]
    assert told == sorted(told) and told[0] > popularity + 0.02
    assert told[0] > cold(seed, 0, demographics=True, dropout=False) + 0.01
    assert abs(told[-1] - cold(seed, 20, demographics=True, dropout=False)) < 0.02
    silent = [cold(seed, n, demographics=False, dropout=True) for n in (0, 5)]
    assert silent[0] < popularity + 0.02 < silent[1] and silent[0] < told[0]


# --- the training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("negatives", ["in_batch", "uniform", "mixed", "hard"])
@pytest.mark.parametrize("logq", [1.0, 0.0, -1.0])
def test_gradients_agree_with_autograd(negatives: str, logq: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few items, so that the batch repeats its positives, and candidates hold the chosen item by chance."""
    rng = np.random.default_rng(3)
    log = Log(rng.integers(0, 6, 40), rng.integers(0, 9, 40) ** 2 // 9, 6, 9, None, None, None)
    settings = Settings(negatives, 7, 5, logq, 3, 16, 1, None, "id", 0, False)
    random = torch.Generator().manual_seed(1)
    items, users = finish(ItemTower.steps(log, settings, random)), finish(user_tower(log, settings, random))
    sampled = Negatives(log, settings, random)
    if negatives == "hard":
        assert list(sampled.mine(users, items))[-1] == 1
    rows = torch.arange(16)
    chosen = torch.from_numpy(log.items)[rows]
    drawn = {"shared": sampled.shared(chosen), "own": sampled.own(rows)}
    monkeypatch.setattr(sampled, "shared", lambda chosen: drawn["shared"] if negatives in ("uniform", "mixed") else chosen)
    monkeypatch.setattr(sampled, "own", lambda rows: drawn["own"])
    steps: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(users, "step", lambda rows, grad: steps.update(u=grad.clone()))
    v, b = torch.zeros(9, 3), torch.zeros(9)
    monkeypatch.setattr(items, "step", lambda ids, gv, gb: (v.index_add_(0, ids, gv), b.index_add_(0, ids, gb)))
    told = list(training._descend(users, items, rows, chosen, sampled))

    u = users.vectors(rows).clone().requires_grad_()
    all_v, all_b = (torch.from_numpy(array).clone().requires_grad_() for array in items.all())
    total = torch.zeros(())
    correction = sampled.correction(torch.arange(9))
    for r in range(16):
        candidates = [int(i) for i in chosen] if negatives != "uniform" else []
        candidates += [int(i) for i in drawn["shared"]] if negatives in ("uniform", "mixed") else []
        candidates += [int(i) for i in drawn["own"][r]] if negatives == "hard" else []
        listed = [int(chosen[r])] + [c for c in candidates if c != int(chosen[r])]
        logits = all_v[listed] @ u[r] + all_b[listed] - correction[listed]
        total = total + torch.nn.functional.cross_entropy(logits[None], torch.zeros(1, dtype=torch.long))
    total.backward()
    torch.testing.assert_close(steps["u"], u.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(v, all_v.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(b, all_b.grad, atol=1e-5, rtol=1e-4)
    assert sum(found.loss for found in told) == pytest.approx(total.item(), rel=1e-5)


def test_slices_of_a_batch_change_nothing_but_the_order_of_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, whole = world(0), towers(0, epochs=1)
    monkeypatch.setattr(training, "_WORK", 60 * 256 * 24)
    cut = retrieval.fit_two_tower(seen.users, seen.items, USERS, ITEMS, item_features=seen.content, batch=256, epochs=1, seed=0)
    assert cut.scored_pairs == whole.scored_pairs
    np.testing.assert_allclose(cut.item_vectors(), whole.item_vectors(), atol=0.02)


def test_pairs_are_counted() -> None:
    seen = world(0)
    rows = len(seen.users)
    full, rest = divmod(rows, 256)
    assert towers(0, epochs=1).scored_pairs == full * 256**2 + rest**2
    assert towers(0, epochs=1, negatives="uniform", n_uniform=100).scored_pairs == rows * 100
    assert towers(0, epochs=1, negatives="mixed", n_uniform=100).scored_pairs == full * 256**2 + rest**2 + rows * 100
    assert towers(0, epochs=1).rows_seen == rows


def test_a_temperature_makes_items_unit_vectors() -> None:
    model = towers(0, temperature=0.2)
    np.testing.assert_allclose(np.linalg.norm(model.item_vectors(), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(model.user_vectors(), axis=1), 5, rtol=1e-5)
    assert share(0, temperature=0.2) > of_oracle(0, popular(0)) + 0.1


def test_the_same_seed_gives_the_same_model_and_touches_no_global_state() -> None:
    seen = world(1)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    for options in ({}, {"negatives": "mixed"}, {"negatives": "hard"}):
        once, again = (
            retrieval.fit_two_tower(seen.users[:5_000], seen.items[:5_000], USERS, ITEMS, seed=4, epochs=1, **options) for _ in range(2)
        )
        np.testing.assert_array_equal(once.user_vectors(), again.user_vectors())
        np.testing.assert_array_equal(once.item_bias, again.item_bias)
    other = retrieval.fit_two_tower(seen.users[:5_000], seen.items[:5_000], USERS, ITEMS, seed=5, epochs=1, negatives="hard")
    assert not np.array_equal(again.user_vectors(), other.user_vectors())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "options",
    [{}, {"negatives": "hard"}, {"batch": 4096, "dim": 128, "negatives": "mixed", "n_uniform": 4096}, {"dim": 64, "user_tower": "none"}],
    ids=str,
)
def test_it_speaks_often_and_falls_in_loss(options: dict[str, Any]) -> None:
    seen = world(0)
    steps, gaps, last = [], [], time.thread_time()
    running = retrieval.iter_two_tower(seen.users[:16_000], seen.items[:16_000], USERS, ITEMS, **options)
    for step in running:
        gaps.append(time.thread_time() - last)
        steps.append(step)
        last = time.thread_time()
        if len(steps) >= 90:
            running.close()
    assert np.percentile(gaps[1:], 90) < 0.05 and max(gaps[1:]) < 0.3
    assert len(steps) >= 2 and all(step.done <= step.total for step in steps)
    told = [step for step in steps if "loss" in step.metrics]
    assert [step.done for step in told] == sorted(step.done for step in told)
    if options.get("batch") is None:
        assert len(told) >= 10 and told[-1].metrics["loss"] < told[0].metrics["loss"]


def test_the_loss_is_reported_at_the_same_rows_every_time() -> None:
    seen = world(0)

    def reports() -> list[tuple[int, float]]:
        steps = retrieval.iter_two_tower(seen.users, seen.items, USERS, ITEMS, epochs=1)
        return [(step.done, step.metrics["loss"]) for step in steps if "loss" in step.metrics]

    once = reports()
    assert once == reports() and 40 <= len(once) <= 50


def test_a_history_a_row_reads_as_a_history_a_user_where_they_agree() -> None:
    seen = newcomers(0)
    rows = slice(0, 4_000)
    users, items = seen.users[rows], seen.items[rows]
    by_user, by_row = (
        retrieval.fit_two_tower(users, items, seen.n_users, ITEMS, history=history, user_tower="history", epochs=1)
        for history in (seen.history, seen.history[users])
    )
    np.testing.assert_array_equal(by_user.item_vectors(), by_row.item_vectors())
    known = np.unique(users)
    np.testing.assert_array_equal(by_user.user_vectors()[known], by_row.user_vectors()[known])
    np.testing.assert_allclose(by_user.encode(seen.history), by_user.user_vectors(), atol=1e-6)


# --- lists ------------------------------------------------------------------------------------------------------------


def test_topk_is_the_best_by_inner_product_and_bias() -> None:
    model, who = towers(0, epochs=1), np.array([5, 0, 5, 199])
    scores = model.user_vectors()[who] @ model.item_vectors().T + model.item_bias
    found = model.topk(who, 7)
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1, kind="stable")[:, :7])
    assert found.dtype == np.int64 and found.shape == (4, 7)


def test_topk_leaves_out_what_it_is_told_to() -> None:
    model, who = towers(0, epochs=1), np.array([5, 0, 199])
    best = model.topk(who, 10)
    flags = np.zeros((3, ITEMS), bool)
    np.put_along_axis(flags, best[:, ::2], True, axis=1)
    for exclude in (flags, best[:, ::2], [list(row[::2]) for row in best], np.c_[best[:, ::2], [-1, -1, -1]]):
        np.testing.assert_array_equal(model.topk(who, 5, exclude=exclude)[:, :5], best[:, 1::2])
    nearly_all = np.ones(ITEMS, bool)
    nearly_all[[3, 8]] = False
    found = model.topk(who, 4, exclude=nearly_all)
    assert all(set(row) == {3, 8, -1} and (row[2:] == -1).all() for row in found)
    assert (model.topk(who, ITEMS + 5)[:, ITEMS:] == -1).all()


def slow_merge(ranked: dict[str, np.ndarray], quotas: dict[str, int], k: int) -> tuple[list[list[int]], list[list[int]]]:
    ids, sources = [], []
    for user in range(len(next(iter(ranked.values())))):
        mine: list[int] = []
        source: list[int] = []
        for filling in (False, True):
            for place, name in enumerate(ranked):
                room = (k if filling else quotas.get(name, 0)) if quotas.get(name, 0) else 0
                for item in ranked[name][user]:
                    if room and len(mine) < k and item >= 0 and item not in mine:
                        mine.append(int(item))
                        source.append(place)
                        room -= 1
        ids.append(mine + [-1] * (k - len(mine)))
        sources.append(source + [-1] * (k - len(source)))
    return ids, sources


@pytest.mark.parametrize("seed", range(5))
def test_merging_agrees_with_a_slow_merge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranked = {name: np.argsort(rng.random((20, 30)), axis=1)[:, :depth] for name, depth in (("a", 30), ("b", 12), ("c", 4))}
    ranked["c"][:, 2] = -1
    for quotas in ({"a": 6, "b": 4, "c": 2}, {"a": 0, "b": 5}, {"c": 1}, {"b": 10, "c": 2}):
        merged = retrieval.merge_sources(ranked, quotas, 12)
        ids, sources = slow_merge(ranked, quotas, 12)
        assert merged.ids.tolist() == ids and merged.source.tolist() == sources
        for row in merged.ids:
            kept = row[row >= 0]
            assert len(np.unique(kept)) == len(kept), "nothing stands twice"
    exact = retrieval.merge_sources(ranked, {"a": 6, "b": 6}, 12)
    assert ((exact.source == 0).sum(axis=1) == 6).all() and ((exact.source == 1).sum(axis=1) == 6).all()


def test_co_watch_is_the_sum_of_shrunk_cosines() -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 8, 60), rng.integers(0, 10, 60)
    watched = np.zeros((8, 10))
    watched[users, items] = 1
    cosine = np.zeros((10, 10))
    for i in range(10):
        for j in range(10):
            if i != j:
                both = (watched[:, i] * watched[:, j]).sum()
                cosine[i, j] = both / (np.sqrt(watched[:, i].sum() * watched[:, j].sum()) + 5)
    found = retrieval.co_watch(users, items, 8, 10)
    assert found.dtype == np.float32 and found.shape == (8, 10)
    np.testing.assert_allclose(found, watched @ cosine, atol=1e-5)
    assert not retrieval.co_watch(users[:1], items[:1], 8, 10).any()


def test_health_of_towers_that_are_known() -> None:
    rng = np.random.default_rng(1)
    same = retrieval.tower_health(np.tile(rng.normal(size=4), (50, 1)))
    assert same.mean_cosine == pytest.approx(1) and same.effective_rank == pytest.approx(1) and same.norm_cv == pytest.approx(0)
    axes = retrieval.tower_health(np.eye(5))
    assert (axes.mean_cosine, axes.norm_cv) == (0, 0) and axes.effective_rank == pytest.approx(5)
    assert retrieval.tower_health([[1, 0], [-3, 0]])[0] == pytest.approx(-1)
    assert retrieval.tower_health([[1, 0], [-3, 0]]).norm_cv == pytest.approx(0.5)
    free = rng.normal(size=(300, 6)) * rng.exponential(size=(300, 1))
    unit = free / np.linalg.norm(free, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[~np.eye(300, dtype=bool)]
    values = np.linalg.svd(free, compute_uv=False)
    values /= values.sum()
    found = retrieval.tower_health(free)
    assert found.mean_cosine == pytest.approx(pairs.mean(), abs=1e-12)
    assert found.effective_rank == pytest.approx(np.exp(-(values * np.log(values)).sum()))
    zero = retrieval.tower_health(np.zeros((3, 2)))
    assert np.isnan(zero.mean_cosine) and zero.effective_rank == 0 and np.isnan(zero.norm_cv)


# --- the world --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_world_keeps_its_promises(seed: int) -> None:
    seen = retrieval_world(seed, n_users=200, n_items=3_000, rows=30_000)
    np.testing.assert_allclose(seen.p.sum(axis=1), 1)
    np.testing.assert_allclose(seen.p[:, seen.fresh].sum(axis=1), 0.12)
    np.testing.assert_allclose(seen.p[:, seen.trending].sum(axis=1), 0.10)
    assert len(seen.trending) == 20 and (seen.rank[seen.trending] > 300).all() and not seen.fresh[seen.trending].any()
    assert seen.fresh[seen.items].mean() == pytest.approx(0.03 * 0.12, abs=0.002)
    assert (seen.subscribed.sum(axis=1) == 6).all() and seen.last_hour.sum() == 3_000
    popularity = np.bincount(seen.items, minlength=3_000)
    assert np.corrcoef(np.log(seen.rank), np.log(popularity + 1))[0, 1] < -0.6
    ages = seen.age_days.mean()
    assert 36 < ages < 44


def test_one_knob_leaves_the_other_draws_alone() -> None:
    small = {"n_users": 50, "n_items": 600, "rows": 2_000}
    base, moved = retrieval_world(3, **small), retrieval_world(3, trend_share=0.3, **small)
    for name in ("users", "content", "age_days", "channel", "rank", "subscribed", "trending"):
        np.testing.assert_array_equal(getattr(base, name), getattr(moved, name))
    np.testing.assert_array_equal(base.items, moved.items)
    assert len(retrieval_world(3, trend_share=0.0, **small).trending) == 0
    assert retrieval_world(3, fresh_share=0.0, **small).p[:, base.fresh].sum() == 0
    assert not np.array_equal(base.items, retrieval_world(3, zipf=0.5, **small).items)


def test_newcomers_are_not_in_the_log() -> None:
    seen = newcomers(0)
    assert not np.isin(seen.users, seen.newcomers).any() and seen.users.max() < 600
    assert seen.history.shape == (900, 20) and seen.p.shape == (300, ITEMS) and seen.n_users == 900
    of_group = [seen.p[seen.group[seen.newcomers] == g].mean(axis=0) for g in (0, 1)]
    assert np.abs(of_group[0] - of_group[1]).sum() > 0.3, "groups differ in taste"


# --- arguments --------------------------------------------------------------------------------------------------------

THREE = {"users": np.array([0, 1, 1]), "items": np.array([0, 1, 2]), "n_users": 2, "n_items": 3}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"users": [0, 1, 2]}, "users"),
        ({"items": [0.5, 1, 2]}, "items"),
        ({"users": [0, 1]}, "items"),
        ({"users": np.zeros(0, int), "items": np.zeros(0, int)}, "users"),
        ({"negatives": "random"}, "negatives"),
        ({"user_tower": "mean"}, "user_tower"),
        ({"user_tower": "history"}, "history"),
        ({"user_tower": "history", "history": np.zeros((5, 2), int)}, "history"),
        ({"user_tower": "history", "history": np.full((2, 2), 3)}, "history"),
        ({"item_features": np.full((3, 2), np.nan)}, "item_features"),
        ({"item_features": np.zeros((2, 2))}, "item_features"),
        ({"user_features": np.zeros((2, 2))}, "user_features"),
        ({"dim": 0}, "dim"),
        ({"batch": 0}, "batch"),
        ({"epochs": 0}, "epochs"),
        ({"n_hard": -1}, "n_hard"),
        ({"negatives": "uniform", "n_uniform": 0}, "n_uniform"),
        ({"temperature": 0}, "temperature"),
        ({"logq": float("nan")}, "logq"),
    ],
)
def test_wrong_arguments_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{named} "):
        retrieval.fit_two_tower(**{**THREE, **wrong})


def test_other_wrong_arguments_are_refused_by_name() -> None:
    model = retrieval.fit_two_tower(**THREE)
    ranked = {"a": np.array([[0, 1]]), "b": np.array([[2, 1]])}
    for call, said in (
        (lambda: model.topk([2], 1), "users"),
        (lambda: model.topk([0], 0), "k is 0"),
        (lambda: model.topk([0], 1, exclude=np.ones((2, 3), bool)), "exclude"),
        (lambda: model.topk([0], 1, exclude=[[5]]), "exclude"),
        (lambda: model.topk([0], 1, exclude=[[0], [1]]), "exclude"),
        (lambda: model.encode([[0]]), "user_tower"),
        (lambda: retrieval.co_watch([0], [0, 1], 2, 2), "items"),
        (lambda: retrieval.co_watch([3], [0], 2, 2), "users"),
        (lambda: retrieval.co_watch([0], [0], 2, 2, shrink=-1), "shrink"),
        (lambda: retrieval.merge_sources(ranked, {"a": 2, "b": 1}, 2), "quotas sum to 3, k is 2"),
        (lambda: retrieval.merge_sources(ranked, {"c": 1}, 2), "quotas"),
        (lambda: retrieval.merge_sources(ranked, {"a": -1}, 2), "quotas"),
        (lambda: retrieval.merge_sources(ranked, {}, 2), "quotas"),
        (lambda: retrieval.merge_sources({}, {}, 2), "sources"),
        (lambda: retrieval.merge_sources({"a": np.zeros(3)}, {"a": 1}, 2), "ranked"),
        (lambda: retrieval.merge_sources({**ranked, "b": np.array([[0], [1]])}, {"a": 1}, 2), "ranked"),
        (lambda: retrieval.tower_health([1.0, 2.0]), "vectors"),
        (lambda: retrieval.tower_health([[np.inf, 0.0]]), "vectors"),
        (lambda: retrieval_world(0, fresh_share=0.6, trend_share=0.5), "fresh_share"),
        (lambda: retrieval_world(0, n_items=100), "n_items"),
        (lambda: newcomer_world(0, n_users=10, n_newcomers=10), "n_newcomers"),
    ):
        with pytest.raises(ValueError, match=said):
            call()

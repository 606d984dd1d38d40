"""The table's update against a plain loop, the nets against what they are said to be, and what training must and must not do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from simulators.engines.ranking import metrics
from simulators.engines.ranking.data import CtrData
from simulators.engines.ranking.models import KINDS, CtrModel, FusedTable, fit_ctr, iter_ctr
from simulators.engines.ranking.models.layers import Attention, PairDots
from simulators.engines.ranking.models.nets import FactorisationMachine, Shape
from simulators.engines.ranking.step import Step

SEEDS = (1, 2, 3)
NETS = tuple(kind for kind in KINDS if kind != "lightgbm")


def crossed(seed: int, rows: int = 6000, heads: int = 1) -> CtrData:
    """Clicks by whether two fields agree, and by a number; the history holds the second field half of the time."""
    draws = np.random.default_rng(seed)
    fields = draws.integers(0, 6, (rows, 4))
    dense = draws.normal(size=(rows, 2)).astype(np.float32) * 5 + 3
    logit = np.where(fields[:, 0] == fields[:, 1], 1.5, -1.5) + 0.2 * (dense[:, 0] - 3)
    p = 1 / (1 + np.exp(-logit))
    history = np.where(draws.random((rows, 3)) < 0.5, fields[:, 1:2], draws.integers(-1, 6, (rows, 3)))
    y = (draws.random(rows) < p).astype(float)
    if heads > 1:
        y, p = np.column_stack([y] + [1 - y] * (heads - 1)), np.column_stack([p] + [1 - p] * (heads - 1))
    return CtrData(fields, (6, 6, 6, 60), dense, history, y, p)


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_update_is_row_wise_adagrad(seed: int) -> None:
    draws = np.random.default_rng(seed)
    table = FusedTable(7, 3, lr=0.1, acc0=0.01, seed=seed)
    weights, squares = table.lookup(np.arange(7)).astype(float), np.full(7, 0.01)
    ids, grad = draws.integers(0, 5, (8, 2)), draws.normal(size=(8, 2, 3)).astype(np.float32) / 8
    table.apply(ids, grad)
    steps = 8.0 * grad.reshape(-1, 3)  # per-sample gradients times the batch
    for row, step in zip(ids.ravel(), steps, strict=True):
        squares[row] += (step**2).mean()
    for row, step in zip(ids.ravel(), steps, strict=True):
        weights[row] -= 0.1 * step / np.sqrt(squares[row])
    np.testing.assert_allclose(table.lookup(np.arange(7)), weights, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(table.lookup(np.array([5, 6])), FusedTable(7, 3, seed=seed).lookup(np.array([5, 6])))


def test_tensors_give_tensors_and_shapes_are_kept() -> None:
    table = FusedTable(10, 4, init_sd=0.5, seed=3)
    ids = np.arange(6).reshape(2, 3)
    found = table.lookup(torch.from_numpy(ids))
    assert isinstance(found, torch.Tensor) and found.shape == (2, 3, 4) == table.lookup(ids).shape
    np.testing.assert_array_equal(found.numpy(), table.lookup(ids))
    large = FusedTable(20_000, 4, init_sd=0.5, seed=3).lookup(np.arange(20_000))
    assert large.std() == pytest.approx(0.5, rel=0.02) and abs(large.mean()) < 0.02


def test_the_table_refuses_ids_outside_it() -> None:
    table = FusedTable(5, 2)
    with pytest.raises(ValueError, match="^ids "):
        table.lookup(np.array([5]))
    with pytest.raises(ValueError, match="^grad "):
        table.apply(np.array([[1, 2]]), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="^rows "):
        FusedTable(0, 2)
    with pytest.raises(ValueError, match="^lr "):
        FusedTable(2, 2, acc0=0)


# --- parts -----------------------------------------------------------------------------------------------------------


def test_pairs_are_inner_products_with_their_gradient() -> None:
    vectors = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    dots = PairDots(4, 2)
    expected = torch.stack([(vectors[:, i] * vectors[:, j]).sum(1) for i in range(4) for j in range(i + 1, 4)], 1)
    torch.testing.assert_close(dots(vectors), expected)
    assert torch.autograd.gradcheck(dots, (vectors,))


def test_the_machine_sums_all_pairs() -> None:
    generator = torch.Generator().manual_seed(1)
    machine = FactorisationMachine(Shape(5, 3, 0, 1, (), None), generator)
    vectors = torch.randn(4, 5, 4, generator=generator)
    pairs = sum((vectors[:, i, 1:] * vectors[:, j, 1:]).sum(1) for i in range(5) for j in range(i + 1, 5))
    torch.testing.assert_close(machine(vectors, torch.zeros(4, 0))[:, 0], vectors[..., 0].sum(1) + pairs)


def test_attention_leaves_out_what_is_not_there() -> None:
    generator = torch.Generator().manual_seed(1)
    attention = Attention(4, 3, generator)
    history, candidate = torch.randn(2, 3, 4, generator=generator), torch.randn(2, 4, generator=generator)
    known = torch.tensor([[1.0, 1, 0], [0, 0, 0]]).unsqueeze(2)
    pooled = attention(history, known, candidate)
    torch.testing.assert_close(pooled[:1], attention(history[:1, :2], known[:1, :2], candidate[:1]))
    assert (pooled[1] == 0).all()


# --- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("history", (None, "mean", "din"))
def test_every_kind_learns_and_repeats(kind: Any, history: Any) -> None:
    data, later = crossed(1), crossed(2)
    given: dict[str, Any] = {"history": history, "candidate_field": 1, "epochs": 1 if kind == "lightgbm" else 3}
    model = fit_ctr(data, kind, **given)
    p = model.predict(later)
    assert p.shape == (len(later),) and p.dtype == np.float64 and ((p > 0) & (p < 1)).all()
    assert metrics.auc(later.y, p) > (0.55 if kind == "lr" else 0.68)
    np.testing.assert_array_equal(p, fit_ctr(data, kind, **given).predict(later))
    assert model.rows_seen == given["epochs"] * len(data) and model.cpu_seconds > 0 and model.macs_per_row > 0
    assert model.table_params == {"lr": 78, "fm": 78 * 9, "deepfm": 78 * 9, "lightgbm": 0}.get(kind, 78 * 8)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_need_more_than_a_sum(seed: int) -> None:
    data, later = crossed(seed), crossed(seed + 10)
    assert later.p is not None
    models = {kind: fit_ctr(data, kind, epochs=1 if kind == "lightgbm" else 6, seed=seed) for kind in KINDS}  # type: ignore[arg-type]
    loss = {kind: metrics.excess_log_loss(later.p, model.predict(later)) for kind, model in models.items()}
    assert all(loss[kind] < 0.7 * loss["lr"] for kind in KINDS if kind != "lr"), loss


def test_the_seed_matters_and_torchs_own_is_left_alone() -> None:
    data, before, threads = crossed(1), torch.get_rng_state(), torch.get_num_threads()
    one, other = (fit_ctr(data, seed=seed).predict(data) for seed in (1, 2))
    assert not np.allclose(one, other)
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", ("lr", "fm", "deepfm", "dlrm", "dcnv2", "masknet", "lightgbm"))
def test_a_head_a_label(kind: Any) -> None:
    """The second label opposes the first and is known on a third of the rows."""
    data = crossed(1, heads=2)
    y = data.y.copy()
    y[np.random.default_rng(1).random(len(y)) < 2 / 3, 1] = np.nan
    p = fit_ctr(replace(data, y=y), kind, epochs=1 if kind == "lightgbm" else 3).predict(data)
    assert p.shape == (len(data), 2)
    assert np.corrcoef(p.T)[0, 1] < (0 if kind == "lr" else -0.3)
    assert metrics.auc(data.y[:, 1], p[:, 1]) > (0.5 if kind == "lr" else 0.65)


def test_unlabelled_rows_teach_nothing() -> None:
    data = crossed(1)
    some = np.random.default_rng(1).random(len(data)) < 0.5
    y = np.where(some, data.y, np.nan)
    model, alone = fit_ctr(replace(data, y=y), "fm"), fit_ctr(data.take(some), "fm")
    assert model.rows_seen == alone.rows_seen == some.sum()
    # the same rows in the same order; only the numbers' mean and spread are those of all rows
    assert np.corrcoef(model.predict(data), alone.predict(data))[0, 1] > 0.999


@pytest.mark.parametrize("seed", SEEDS)
def test_dropped_negatives_raise_the_probability_by_what_the_formula_undoes(seed: int) -> None:
    data, keep = crossed(seed, 20_000), 0.2
    model = fit_ctr(data, "dlrm", keep_negatives=keep, seed=seed)
    p = model.predict(data)
    assert metrics.calibration_ratio(data.y, p) > 1.4
    assert metrics.calibration_ratio(data.y, p / (p + (1 - p) / keep)) == pytest.approx(1, abs=0.12)
    positives = data.y.sum()
    assert model.rows_seen == pytest.approx(positives + keep * (len(data) - positives), rel=0.05)
    two = crossed(seed, 4000, heads=2)
    assert fit_ctr(two, "lr", keep_negatives=[1.0, keep], seed=seed).predict(two)[:, 1].mean() > two.y[:, 1].mean() * 1.2


def test_numbers_of_any_scale_are_taken() -> None:
    data = crossed(1)
    shifted = replace(data, dense=data.dense * 1000 - 5)
    np.testing.assert_allclose(fit_ctr(data).predict(data), fit_ctr(shifted).predict(shifted), atol=1e-3)
    constant = replace(data, dense=np.ones_like(data.dense))
    assert np.isfinite(fit_ctr(constant).predict(constant)).all()


@pytest.mark.parametrize("columns", ("fields", "dense"))
def test_a_log_of_ids_alone_or_numbers_alone(columns: str) -> None:
    data = crossed(1)
    if columns == "fields":
        data = replace(data, dense=np.zeros((len(data), 0), np.float32))
    else:
        data = replace(data, fields=np.zeros((len(data), 0), np.int64), cards=(), history=None)
    for kind in KINDS:
        assert metrics.auc(data.y, fit_ctr(data, kind, epochs=1 if kind == "lightgbm" else 2).predict(data)) > 0.53, kind


def test_steps_tell_of_learning_and_closing_them_ends_it() -> None:
    data = crossed(1, 40_000)
    steps = iter_ctr(data, "dlrm", epochs=2)
    seen: list[Step] = []
    for step in steps:
        seen.append(step)
    done = [step.done for step in seen if step.label == "training dlrm"]
    assert done == sorted(done) and all(step.done <= step.total for step in seen)
    told = [step.metrics for step in seen if step.metrics]
    assert told[-1]["excess_log_loss"] < told[0]["excess_log_loss"] and told[-1]["log_loss"] < 0.6
    early = iter_ctr(data, "dlrm", epochs=2)
    next(early)
    early.close()


def test_bf16_is_close_and_refused_when_misspelt() -> None:
    data = crossed(1)
    single, half = (fit_ctr(data, "dcnv2", cross_rank=None, bf16=bf16).predict(data) for bf16 in ("off", "on"))  # type: ignore[arg-type]
    assert abs(metrics.auc(data.y, single) - metrics.auc(data.y, half)) < 0.01 and not np.array_equal(single, half)
    with pytest.raises(ValueError, match="^bf16 "):
        fit_ctr(data, bf16="yes")  # type: ignore[arg-type]


def test_a_full_cross_costs_more_than_a_narrow_one() -> None:
    data = crossed(1, 600)
    wide, narrow = (fit_ctr(data, "dcnv2", cross_rank=rank, dim=16) for rank in (None, 4))
    width = 4 * 16 + 2
    assert wide.macs_per_row - narrow.macs_per_row == 2 * (width**2 - 2 * 4 * width)


@pytest.fixture(scope="module")
def small() -> CtrModel:
    return fit_ctr(crossed(1, 500), "fm")


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("^kind ", {"kind": "svm"}),
    ("^dim ", {"dim": 0}),
    ("^epochs ", {"epochs": 0}),
    ("^batch ", {"batch": 0}),
    ("^table_lr ", {"table_lr": -1}),
    ("^dense_lr ", {"dense_lr": float("nan")}),
    ("^history ", {"history": "sum"}),
    ("^candidate_field ", {"history": "mean", "candidate_field": 4}),
    ("^cross_rank ", {"cross_rank": 0}),
    ("^keep_negatives ", {"keep_negatives": 0}),
    ("^keep_negatives ", {"keep_negatives": [1, 1]}),
)


@pytest.mark.parametrize(("message", "given"), REFUSED)
def test_bad_options_are_named(message: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        fit_ctr(crossed(1, 100), **given)


def test_bad_data_is_named(small: CtrModel) -> None:
    data = crossed(1, 100)
    with pytest.raises(ValueError, match="^data has cards"):
        small.predict(replace(data, cards=(6, 6, 6, 61)))
    with pytest.raises(ValueError, match="^history "):
        fit_ctr(replace(data, history=None), history="din")
    with pytest.raises(ValueError, match="^y "):
        fit_ctr(replace(data, y=np.full(100, np.nan)))
    with pytest.raises(ValueError, match="history holds 5"):
        fit_ctr(replace(data, cards=(6, 5, 6, 60), fields=np.minimum(data.fields, 4)), history="din", candidate_field=1)

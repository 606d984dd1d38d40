"""Cost models against arithmetic by hand, published shapes, and scipy's interpolation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.cost_files import BY_TOKENS
from simulators.engines.serving.cost_roofline import A100_MBU_KV, A100_MFU, ridge_tokens
from simulators.engines.serving.gpus import find_gpu
from simulators.engines.serving.models import MODELS, find_model
from simulators.engines.serving.tokens import expected_tokens
from simulators.errors import InvalidInput

KV_BYTES = {
    "Llama-2-7B": 524_288,
    "Llama-3.1-8B": 131_072,
    "CodeLlama-34B": 196_608,
    "Qwen3-32B": 262_144,
    "Llama-3.1-70B": 327_680,
    "Llama-3.1-405B": 516_096,
    "Qwen3-30B-A3B": 98_304,
    "gpt-oss-120b": 73_728,
    "DeepSeek-V3": 70_272,
}


def by_hand(decodes: list[int], prefills: list[tuple[int, int]], t: int = 8) -> float:
    """Llama-3.1-70B in BF16 on H100, written out."""
    tokens = len(decodes) + sum(chunk for chunk, _ in prefills)
    seconds = max(2 * 70.55e9 * tokens / (989e12 * 0.6 * t), 141.1e9 / (3.35e12 * 0.75 * t))
    seconds += 4 * 64 * 128 * 80 * sum(chunk * (kv + chunk / 2) for chunk, kv in prefills) / (989e12 * 0.35 * t)
    seconds += 327_680 * sum(decodes) / (3.35e12 * 0.6 * min(t, 8))
    if t > 1:
        seconds += 160 * 10e-6 + 160 * tokens * 8192 * 2 * 2 * (t - 1) / t / (0.8 * 450e9)
    return seconds + 1e-3 + 4e-6 * (len(decodes) + len(prefills))


@given(
    st.lists(st.integers(0, 100_000), max_size=20),
    st.lists(st.tuples(st.integers(1, 8192), st.integers(0, 100_000)), max_size=4),
    st.sampled_from([2, 4, 8, 16]),
)
@settings(max_examples=60, deadline=None)
def test_roofline_is_the_sum_written_out(decodes: list[int], prefills: list[tuple[int, int]], tp: int) -> None:
    if not decodes and not prefills:
        prefills = [(1, 0)]
    assert CostModel.roofline("70B", "H100", tp=tp).step_s(decodes, prefills) == pytest.approx(by_hand(decodes, prefills, tp), rel=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_shapes_give_the_published_kv_size(name: str) -> None:
    assert set(KV_BYTES) == set(MODELS)
    assert find_model(name).kv_bytes_per_token() == KV_BYTES[name]
    assert find_model(name).kv_bytes_per_token("fp8") == KV_BYTES[name] / 2


def test_ridges() -> None:
    model = find_model("70B")
    ridges = [ridge_tokens(find_gpu(gpu), model, w) for gpu, w in [("H100", "bf16"), ("H100", "fp8"), ("H100", "int4"), ("A100", "bf16")]]
    assert [round(ridge) for ridge in ridges] == [295, 295, 74, 153]
    assert round(ridge_tokens(find_gpu("H200 SXM"), model)) == 206


def test_int4_helps_only_below_its_ridge() -> None:
    bf16, int4 = (CostModel.roofline("70B", "H100", tp=8, weights=w) for w in ("bf16", "int4"))
    assert int4.step_s([100] * 8, []) < 0.7 * bf16.step_s([100] * 8, [])
    assert int4.step_s([], [(2048, 0)]) == bf16.step_s([], [(2048, 0)])


def test_a_long_prompt_takes_as_long_as_the_arithmetic_says() -> None:
    assert CostModel.roofline("70B", "H100", tp=8).step_s([], [(100_000, 0)]) == pytest.approx(9.0, abs=0.1)
    assert CostModel.roofline("70B", "H100", tp=8, weights="fp8").step_s([], [(100_000, 0)]) == pytest.approx(7.5, abs=0.1)


def test_decode_throughput_a_gpu() -> None:
    fp8, bf16 = (CostModel.roofline("70B", "H100", tp=tp, weights=w) for tp, w in ((2, "fp8"), (8, "bf16")))
    steps = fp8.step_s([1500] * 128, []), bf16.step_s([1500] * 128, [])
    assert [round(1000 * step) for step in steps] == [34, 16]
    assert 128 / steps[0] / 2 == pytest.approx(1897, abs=5) and 128 / steps[1] / 8 == pytest.approx(1020, abs=5)


def test_blocks_are_what_memory_leaves() -> None:
    model = CostModel.roofline("70B", "H100", tp=8)
    assert model.num_blocks() == 84_948
    assert model.num_blocks(32) == 42_474 and model.kv_bytes_per_token == 327_680
    by_hand_tp2 = (160 * 2**30 * 0.9 - 141.1e9 - 8e9) / (327_680 * 16)
    assert CostModel.roofline("70B", "H100", tp=2).num_blocks() == int(by_hand_tp2)
    # KV heads are kept twice on 16 GPUs, the latent of MLA on all of them.
    wide = CostModel.roofline("70B", "H100", tp=16)
    assert wide.num_blocks() == int((1280 * 2**30 * 0.9 - 141.1e9 - 64e9) / (2 * 327_680 * 16))
    assert CostModel.roofline("70B", "H100", tp=8, kv="fp8").num_blocks() // model.num_blocks() == 2


def test_experts_are_read_as_far_as_they_are_touched() -> None:
    model = CostModel.roofline("Qwen3-30B-A3B", "H100")
    fixed = 1e-3 + 4e-6
    one = model.step_s([0], []) - fixed
    read = (30.53e9 - 28.99e9 + 28.99e9 * 8 / 128) * 2 / (3.35e12 * 0.75)
    assert one == pytest.approx(read, rel=1e-9)
    all_read = 2 * 30.53e9 / (3.35e12 * 0.75)
    assert model.step_s([0] * 128, []) - 1e-3 - 128 * 4e-6 == pytest.approx(all_read, rel=1e-3)
    assert model.step_s([], [(8192, 0)]) > 2 * 3.35e9 * 8192 / (989e12 * 0.6)


def test_stages_save_memory_not_time() -> None:
    whole, split = CostModel.roofline("70B", "H100", tp=8), CostModel.roofline("70B", "H100", tp=4, pp=2)
    assert split.step_s([1000] * 64, []) > whole.step_s([1000] * 64, [])
    tokens, m = 64 / 2, 2
    part = max(2 * 70.55e9 * tokens / (989e12 * 0.6 * 4), 141.1e9 / (3.35e12 * 0.75 * 4)) + 327_680 * 64_000 / (3.35e12 * 0.6 * 4) / 2
    part += 160 * (10e-6 + tokens * 8192 * 2 * 2 * 3 / 4 / (0.8 * 450e9))
    expected = part / 2 * (m + 1) + 10e-6 + tokens * 8192 * 2 / 450e9 + 1e-3 + 64 * 4e-6
    assert split.step_s([1000] * 64, []) == pytest.approx(expected, rel=1e-12)
    assert split.num_blocks() == whole.num_blocks()


def test_efficiency_curves() -> None:
    curved = CostModel.roofline("8B", "A100", mfu=A100_MFU, mbu_kv=A100_MBU_KV)
    at_68 = CostModel.roofline("8B", "A100", mfu=0.68)
    assert curved.step_s([], [(1024, 0)]) == at_68.step_s([], [(1024, 0)])
    batch, kv = 64, 4000
    flat = CostModel.roofline("8B", "A100", mfu=0.68, mbu_kv=0.54)
    assert curved.step_s([kv] * batch, []) == pytest.approx(flat.step_s([kv] * batch, []), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "70B", "gpu": "H100"}, "70B bf16 needs 141 GB.*1 x H100 has 80 GiB: use tp >= 2 or fp8"),
        ({"model": "70B", "gpu": "H100", "tp": 3}, "tp 3 does not divide the 64 query heads"),
        ({"model": "9000B", "gpu": "H100"}, "model '9000B' is unknown; expected one of Llama-2-7B"),
        ({"model": "8B", "gpu": "TPU"}, "gpu 'tpu' is unknown; expected one of A100"),
        ({"model": "8B", "gpu": "H100", "weights": "fp3"}, "weights format 'fp3' is unknown"),
        ({"model": "8B", "gpu": "H100", "mfu": 1.5}, "mfu is 1.5; expected a share"),
        ({"model": "8B", "gpu": "H100", "speed": 2}, "knows no speed"),
    ],
)
def test_what_cannot_run_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        CostModel.roofline(**arguments)  # type: ignore[arg-type]


def test_bad_steps_are_refused() -> None:
    model = CostModel.roofline("8B", "H100")
    for step in (([], []), ([-1], []), ([], [(0, 5)]), ([], [(5, -1)])):
        with pytest.raises(InvalidInput):
            model.step_s(*step)


def test_speculation_pays_at_small_batches() -> None:
    model = CostModel.roofline("70B", "H100", tp=8)
    gains = [model.spec_speedup(batch, 1000, 0.8, 3, 0.03) for batch in (1, 64, 128, 256)]
    assert gains == pytest.approx([2.7, 2.2, 1.5, 1.08], abs=0.03)
    assert model.spec_speedup(256, 1000, 0.8, 5, 0.03) == pytest.approx(0.94, abs=0.01)
    assert model.spec_speedup(128, 1000, 0.6, 5, 0.03) == pytest.approx(0.85, abs=0.01)
    assert model.spec_speedup(8, 1000, 0.5, 0, 0.03) == 1.0


def test_expected_tokens() -> None:
    assert expected_tokens(0.8, 3) == pytest.approx((1 - 0.8**4) / 0.2) and round(expected_tokens(0.8, 5), 2) == 3.69
    assert expected_tokens(1, 4) == 5 and expected_tokens(0, 4) == 1 and expected_tokens(0.5, 0) == 1
    for seed in range(3):
        accepted = np.random.default_rng(seed).random((40_000, 4)) < 0.7
        assert np.cumprod(accepted, axis=1).sum(axis=1).mean() + 1 == pytest.approx(expected_tokens(0.7, 4), rel=0.01)
    for alpha, k in ((1.1, 2), (-0.1, 2), (0.5, -1)):
        with pytest.raises(InvalidInput):
            expected_tokens(alpha, k)


def vidur_file(path: Path, **changed: object) -> Path:
    """Tables in which every operator costs what its place in the list says."""
    arrays: dict[str, object] = {name: np.full(65, float(i + 1)) for i, name in enumerate(BY_TOKENS)}
    arrays |= {"all_reduce": np.arange(65.0), "attn_decode__bs_x_kv64": np.ones((9, 5)), "attn_prefill__kv64_x_chunk": np.ones((5, 65))}
    arrays |= changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})  # type: ignore[arg-type]
    return path


def test_vidur_tables_add_up_and_end(tmp_path: Path) -> None:
    model = CostModel.from_vidur(vidur_file(tmp_path / "t.npz"), 10)
    ops = sum(range(1, len(BY_TOKENS) + 1))
    reduces = 2 * (16 + 0.02)  # 9 tokens are looked up at 16
    assert model.step_s([100] * 2, [(7, 0)]) == pytest.approx((ops + reduces + 1.1 + 1) * 10 * 1e-3)
    for decodes, prefills, axis, limit in (
        ([64] * 9, [], "decoding sequences", "8"),
        ([400], [], "mean KV length", "256"),
        ([], [(10, 300)], "KV length before the prefill", "256"),
        ([], [(80, 0)], "tokens in the iteration", "64"),
    ):
        with pytest.raises(InvalidInput, match=f"end at {limit} on the axis '{axis}"):
            model.step_s(decodes, prefills)
    assert CostModel.from_vidur(tmp_path / "t.npz", 10, extrapolate=True).step_s([400], []) > 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"attn_rope": None}, "has no attn_rope; found add"),
        ({"attn_rope": np.zeros(9)}, r"array attn_rope.*expected numbers of shape \(65,\)"),
        ({"add": np.full(65, -1.0)}, "array add: holds a negative"),
        ({"attn_decode__bs_x_kv64": np.ones(9)}, "two dimensions"),
        ({"mlp_act": np.array([{}] * 65, dtype=object)}, "no .npz of plain arrays"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        CostModel.from_vidur(vidur_file(tmp_path / "t.npz", **changed), 10)


def profile(folder: Path, seed: int = 0) -> tuple[np.ndarray, ...]:
    """A random kernel profile; its attention grids in microseconds a layer."""
    rng = np.random.default_rng(seed)
    (folder / "dense.csv").write_text("layer,tokens,time_us\nproj,1,10\nproj,100,110\nembedding,1,5\nembedding,100,5\n")
    (folder / "per_sequence.csv").write_text("layer,sequences,time_us\nlm_head,1,7\nlm_head,64,70\n")
    chunks, befores, decodes, kvs = [16, 64, 100], [0, 500, 2000], [1, 8, 64], [16, 300, 4000]
    prefill, decode = np.sort(rng.uniform(1, 99, (3, 3))), np.sort(rng.uniform(1, 99, (3, 3)))
    rows = [f"{c},{b},0,0,{prefill[i, j]}" for i, c in enumerate(chunks) for j, b in enumerate(befores)]
    rows += [f"0,0,{d},{k},{decode[i, j]}" for i, d in enumerate(decodes) for j, k in enumerate(kvs)]
    (folder / "attention.csv").write_text("\n".join(["prefill_chunk,kv_prefill,n_decode,kv_decode,time_us", *rows, "16,0,1,16,999"]))
    return np.array(chunks), np.array(befores), prefill, np.array(decodes), np.array(kvs), decode


@pytest.mark.parametrize("seed", range(3))
def test_profiles_are_interpolated_as_scipy_does(tmp_path: Path, seed: int) -> None:
    chunks, befores, prefill, decodes, kvs, decode = profile(tmp_path, seed)
    model = CostModel.from_profiles(tmp_path, "8B", gpu="H100")
    prefill_us = RegularGridInterpolator((chunks, befores), prefill)
    decode_us = RegularGridInterpolator((decodes, kvs), decode)
    for chunk, before, batch, kv in ((20, 100, 1, 50), (64, 2000, 30, 3000), (33, 750, 5, 299)):
        tokens, layers = chunk + batch, 32
        expected = layers * (10 + (tokens - 1) * 100 / 99) + 5 + 7 + batch  # lm_head: 7 us at 1 sequence, 1 us each more
        expected += layers * float(prefill_us([chunk, before])[0] + decode_us([batch, kv])[0])
        assert model.step_s([kv] * batch, [(chunk, before)]) == pytest.approx(expected * 1e-6, rel=1e-9)
    with pytest.raises(InvalidInput, match="end at 100 on the axis 'tokens"):
        model.step_s([], [(101, 0)])
    assert model.num_blocks() == CostModel.roofline("8B", "H100").num_blocks()
    assert CostModel.from_profiles(tmp_path, "8B", tp=2).error_band[0] < model.error_band[0] < 0


def test_profiles_with_holes_are_refused(tmp_path: Path) -> None:
    profile(tmp_path)
    text = (tmp_path / "attention.csv").read_text()
    (tmp_path / "attention.csv").write_text("\n".join(row for row in text.split("\n") if not row.startswith("64,500")))
    with pytest.raises(InvalidInput, match="no row with prefill_chunk 64 and kv_prefill 500"):
        CostModel.from_profiles(tmp_path, "8B")
    (tmp_path / "attention.csv").write_text(text.replace("999", "fast"))
    with pytest.raises(InvalidInput, match="attention.csv, line 20, column time_us: 'fast'"):
        CostModel.from_profiles(tmp_path, "8B")
    (tmp_path / "dense.csv").write_text("layer,time_us\n")
    with pytest.raises(InvalidInput, match="dense.csv has no column tokens; found layer, time_us"):
        CostModel.from_profiles(tmp_path, "8B")
    (tmp_path / "dense.csv").unlink()
    with pytest.raises(InvalidInput, match="dense.csv is missing"):
        CostModel.from_profiles(tmp_path, "8B")

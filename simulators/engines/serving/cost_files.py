"""Measured costs from files: Vidur's predictor tables and LLMServingSim's kernel profiles. Nothing is unpickled."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np

from simulators.engines.serving.cost_table import PROFILE, CostTables, Floats, make_tables
from simulators.errors import InvalidInput

BY_TOKENS = (
    "attn_pre_proj",
    "attn_post_proj",
    "attn_rope",
    "attn_kv_cache_save",
    "mlp_up_proj",
    "mlp_act",
    "mlp_down_proj",
    "input_layernorm",
    "post_attention_layernorm",
    "add",
)
BY_TWO = ("attn_decode__bs_x_kv64", "attn_prefill__kv64_x_chunk")
ALL_REDUCE = "all_reduce"  # may be absent: tensor parallelism 1
# Once an iteration; every other layer runs in each of the model's decoder layers.
ONCE = frozenset({"embedding", "final_layernorm", "lm_head", "sampler"})
US = 1e-6

Row = dict[str, float | str]


def read_vidur(path: Path) -> dict[str, Floats]:
    """The arrays of a .npz, float64, milliseconds a layer and GPU.

    1-D by tokens in the iteration: attn_pre_proj, attn_post_proj, attn_rope, attn_kv_cache_save, mlp_up_proj, mlp_act, mlp_down_proj,
    input_layernorm, post_attention_layernorm, add and, for tensor parallelism, all_reduce. 2-D: attn_decode__bs_x_kv64 [decodes, mean KV
    / 64], attn_prefill__kv64_x_chunk [KV before / 64, chunk]. Raises InvalidInput for a file that is none, a missing array, a shape
    that does not fit, a negative or not finite number.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except FileNotFoundError as error:
        raise InvalidInput(f"{path.name} does not exist; expected a .npz with cost tables.") from error
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidInput(f"{path.name} is no .npz of plain arrays: {error}.") from error
    missing = [name for name in (*BY_TOKENS, *BY_TWO) if name not in arrays]
    if missing:
        raise InvalidInput(f"{path.name} has no {', '.join(missing)}; found {', '.join(sorted(arrays))}.")
    reduces = [ALL_REDUCE] if ALL_REDUCE in arrays else []
    length = arrays[BY_TOKENS[0]].shape
    return {name: _sound(path, name, arrays[name], None if name in BY_TWO else length) for name in (*BY_TOKENS, *reduces, *BY_TWO)}


def _sound(path: Path, name: str, array: Floats, shape: tuple[int, ...] | None) -> Floats:
    fits = array.ndim == 2 if shape is None else array.ndim == 1 and array.shape == shape
    if not fits or min(array.shape) < 2 or array.dtype.kind not in "fiu":
        expected = "numbers in two dimensions" if shape is None else f"numbers of shape {shape}"
        raise InvalidInput(f"{path.name}, array {name}: {array.dtype} of shape {array.shape}; expected {expected}.", field=name)
    used = array[1:] if shape is not None or name == BY_TWO[0] else array[:, 1:]  # entry 0 (no tokens) is never looked up
    if not np.all(np.isfinite(used)) or np.any(used < 0):
        raise InvalidInput(f"{path.name}, array {name}: holds a negative or not finite time; expected milliseconds.", field=name)
    return array.astype(np.float64)


def profile_tables(folder: Path, layers: int, *, extrapolate: bool = False) -> CostTables:
    """Kernel times in microseconds from LLMServingSim (MIT; Cho et al., IISWC 2024), the folder of one model and tensor parallelism.

    dense.csv (layer, tokens, time_us), per_sequence.csv (layer, sequences, time_us), attention.csv (prefill_chunk, kv_prefill, n_decode,
    kv_decode, time_us; kv_prefill is the KV before the chunk, kv_decode each decode's). Of attention, rows with prefills alone and with
    decodes alone are used; each must fill a whole grid. Raises InvalidInput naming file, line and column.
    """
    dense_tokens, dense_s = _summed(folder / "dense.csv", "tokens", layers)
    sequence_knots, sequence_s = _summed(folder / "per_sequence.csv", "sequences", layers)
    path = folder / "attention.csv"
    attention = _read(path, ("prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"))
    prefills = [row for row in attention if row["prefill_chunk"] and not row["n_decode"]]
    decodes = [row for row in attention if row["n_decode"] and not row["prefill_chunk"]]
    chunk_knots, chunk_kv_knots, chunk_s = _grid(path, prefills, "prefill_chunk", "kv_prefill", layers)
    decode_knots, decode_kv_knots, decode_s = _grid(path, decodes, "n_decode", "kv_decode", layers)
    return make_tables(
        PROFILE,
        num_layers=layers,
        extrapolate=extrapolate,
        dense_tokens=dense_tokens,
        dense_s=dense_s,
        sequence_knots=sequence_knots,
        sequence_s=sequence_s,
        chunk_knots=chunk_knots,
        chunk_kv_knots=chunk_kv_knots,
        chunk_s=chunk_s,
        decode_knots=decode_knots,
        decode_kv_knots=decode_kv_knots,
        decode_s=decode_s,
    )


def _summed(path: Path, axis: str, layers: int) -> tuple[Floats, Floats]:
    """All layers' seconds at the knots of all of them; each layer is linear between its own knots."""
    rows = _read(path, ("layer", axis, "time_us"))
    knots = np.array(sorted({float(row[axis]) for row in rows}))
    total = np.zeros(len(knots))
    for layer in sorted({str(row["layer"]) for row in rows}):
        points = sorted((float(row[axis]), float(row["time_us"])) for row in rows if row["layer"] == layer)
        if points[-1][0] < knots[-1]:
            raise InvalidInput(f"{path.name}: layer {layer} ends at {points[-1][0]:g} {axis}, others at {knots[-1]:g}.", field=axis)
        total += np.interp(knots, *np.array(points).T) * US * (1 if layer in ONCE else layers)
    return knots, total


def _grid(path: Path, rows: list[Row], first: str, second: str, layers: int) -> tuple[Floats, Floats, Floats]:
    """Seconds of all layers [first, second]; raises InvalidInput for a grid with holes."""
    if not rows:
        raise InvalidInput(f"{path.name} has no rows with {first} above 0 alone; expected a grid over {first} and {second}.", field=first)
    one, two = (sorted({float(row[axis]) for row in rows}) for axis in (first, second))
    seconds = np.full((len(one), len(two)), np.nan)
    for row in rows:
        seconds[one.index(float(row[first])), two.index(float(row[second]))] = float(row["time_us"]) * US * layers
    hole = np.argwhere(np.isnan(seconds))
    if len(hole):
        i, j = hole[0]
        raise InvalidInput(f"{path.name} has no row with {first} {one[i]:g} and {second} {two[j]:g}; expected a whole grid.", field=first)
    return np.array(one), np.array(two), seconds


def _read(path: Path, columns: tuple[str, ...]) -> list[Row]:
    if not path.exists():
        raise InvalidInput(f"{path.name} is missing; a kernel profile has dense.csv, per_sequence.csv and attention.csv.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        found = reader.fieldnames or ()
        missing = [column for column in columns if column not in found]
        if missing:
            message = f"{path.name} has no column {', '.join(missing)}; found {', '.join(found) or 'none'}; expected {', '.join(columns)}."
            raise InvalidInput(message, field=missing[0])
        rows = [{column: _cell(path, reader.line_num, column, row[column]) for column in columns} for row in reader]
    if not rows:
        raise InvalidInput(f"{path.name} has no rows.")
    return rows


def _cell(path: Path, line: int, column: str, text: str | None) -> float | str:
    if column == "layer":
        return text or ""
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not (np.isfinite(value) and value >= 0):
        raise InvalidInput(f"{path.name}, line {line}, column {column}: {text!r}; expected a number of 0 or more.", field=column)
    return value

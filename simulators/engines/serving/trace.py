"""A trace: which requests come when, how long they are, and which prompt blocks they share. Struct of arrays, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK_TOKENS = 512  # of Mooncake's public traces
LARGEST = 2**53  # beyond it float64 no longer counts one by one
COARSE_SHARE = 0.2  # fewer distinct arrival times than this share of the requests is a coarse grid


@dataclass(frozen=True, eq=False)
class Trace:
    """n requests in order of arrival (stable: equal times keep their order).

    arrival_s: float64[n] seconds >= 0. prompt_tokens, output_tokens: int64[n] >= 1.
    tenant, session: int64[n] codes or None; `tenant_names[code]` is the name. Names may be given instead of codes.
    priority: float64[n], higher goes first. ttft_slo_s: float64[n] seconds > 0, infinite where there is none.
    hash_ids, hash_ptr: prompt i consists of blocks hash_ids[hash_ptr[i]:hash_ptr[i + 1]] of `block_tokens` tokens, the last perhaps not
        full; equal ids mean equal prefixes up to and including that block (Mooncake, FAST 2025).
    row: int64[n], the place of a request in what was given. notes: sentences on what was mended.

    Requests that come unsorted are sorted, outputs of 0 tokens become 1, and `notes` says so. Raises InvalidInput, naming the row
    (the first is 1) and the column, for what cannot be mended.
    """

    arrival_s: Any
    prompt_tokens: Any
    output_tokens: Any
    tenant: Any = None
    priority: Any = None
    ttft_slo_s: Any = None
    hash_ids: Any = None
    hash_ptr: Any = None
    block_tokens: int = BLOCK_TOKENS
    session: Any = None
    tenant_names: tuple[str, ...] = ()
    row: Any = None
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        arrays = _Columns(self)
        arrays.check()
        arrays.sort()
        for name, value in arrays.made.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def duration_s(self) -> float:
        """From the first arrival to the last."""
        return float(self.arrival_s[-1] - self.arrival_s[0])

    @property
    def rate_rps(self) -> float:
        """Mean requests a second; infinite if all come at once."""
        return (len(self) - 1) / self.duration_s if self.duration_s > 0 else float("inf")

    def stretched(self, factor: float) -> Trace:
        """The same requests on a clock `factor` times as slow: half the rate at 2."""
        if not (np.isfinite(factor) and factor > 0):
            raise InvalidInput(f"time_scale is {factor:g}; expected a number above 0.", field="time_scale")
        return replace(self, arrival_s=self.arrival_s * factor)

    def at_rate(self, rate_rps: float) -> Trace:
        """The same requests, their arrivals stretched to a mean of `rate_rps` requests a second. All at once stays all at once."""
        if not rate_rps > 0:
            raise InvalidInput(f"rate_rps is {rate_rps:g}; expected requests a second above 0.", field="rate_rps")
        return self if not self.duration_s else self.stretched(self.rate_rps / rate_rps)

    def jittered(self, seed: int) -> Trace:
        """Arrivals spread evenly over the step of a coarse grid of times; each request keeps its step.

        A log written every few seconds makes bursts that never were, and their waiting time would be read as the scheduler's.
        """
        steps = np.diff(np.unique(self.arrival_s))
        width = float(np.median(steps)) if len(steps) else 0.0
        moved = self.arrival_s + np.random.default_rng(seed).uniform(0.0, width, len(self))
        return replace(self, arrival_s=moved, notes=(*self.notes, f"Arrivals were spread evenly over their steps of {width:g} s."))

    def rows(self, keep: Any) -> Trace:
        """The requests chosen by a slice, a mask or positions, in order of arrival."""
        chosen = np.arange(len(self))[keep]
        columns: dict[str, Any] = {name: None if getattr(self, name) is None else getattr(self, name)[chosen] for name in ROW_COLUMNS}
        return replace(self, **columns, **_gathered(self.hash_ids, self.hash_ptr, chosen))


ROW_COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens", "tenant", "priority", "ttft_slo_s", "session", "row")


class _Columns:
    """The arrays of a trace on their way from what was given to what is kept."""

    def __init__(self, trace: Trace) -> None:
        self.given = trace
        self.notes = list(trace.notes)
        self.made: dict[str, Any] = {}

    def check(self) -> None:
        given, made = self.given, self.made
        made["arrival_s"] = _numbers("arrival_s", given.arrival_s, None)
        n = len(made["arrival_s"])
        if n == 0:
            raise InvalidInput("the trace has no requests; expected at least one.")
        refuse("arrival_s", made["arrival_s"], made["arrival_s"] < 0, "a time of 0 s or later")
        made["prompt_tokens"] = _whole("prompt_tokens", given.prompt_tokens, n)
        refuse("prompt_tokens", made["prompt_tokens"], made["prompt_tokens"] < 1, "at least 1 token")
        made["output_tokens"] = self._outputs(_whole("output_tokens", given.output_tokens, n))
        made["row"] = np.arange(n) if given.row is None else _whole("row", given.row, n)
        self._check_optional(n)
        self._check_hashes(n)

    def _outputs(self, tokens: Ints) -> Ints:
        refuse("output_tokens", tokens, tokens < 0, "at least 1 token")
        empty = int((tokens == 0).sum())
        if empty:
            self.notes.append(f"{empty:,} requests ask for 0 output tokens; they were given 1.")
        return np.maximum(tokens, 1)

    def _check_optional(self, n: int) -> None:
        given, made = self.given, self.made
        if given.tenant is not None:
            made["tenant"], made["tenant_names"] = _coded("tenant", given.tenant, n, given.tenant_names)
        if given.session is not None:
            made["session"], _ = _coded("session", given.session, n, ())
        if given.priority is not None:
            made["priority"] = _numbers("priority", given.priority, n)
        if given.ttft_slo_s is not None:
            slo = np.array(given.ttft_slo_s, dtype=np.float64)
            made["ttft_slo_s"] = _sized("ttft_slo_s", np.where(np.isnan(slo), np.inf, slo), n)
            refuse("ttft_slo_s", made["ttft_slo_s"], made["ttft_slo_s"] <= 0, "seconds above 0")

    def _check_hashes(self, n: int) -> None:
        given, made = self.given, self.made
        if given.block_tokens < 1:
            raise InvalidInput(f"block_tokens is {given.block_tokens}; expected at least 1.", field="block_tokens")
        if (given.hash_ids is None) != (given.hash_ptr is None):
            raise InvalidInput("hash_ids and hash_ptr belong together; only one was given.", field="hash_ids")
        if given.hash_ids is None:
            return
        made["hash_ids"] = _whole("hash_ids", given.hash_ids, None)
        ptr = made["hash_ptr"] = _whole("hash_ptr", given.hash_ptr, n + 1)
        if ptr[0] != 0 or ptr[-1] != len(made["hash_ids"]) or np.any(np.diff(ptr) < 0):
            message = f"hash_ptr must rise from 0 to the {len(made['hash_ids'])} hash_ids; it goes from {ptr[0]} to {ptr[-1]}."
            raise InvalidInput(message, field="hash_ptr")
        short = short_of_hashes(made["prompt_tokens"], np.diff(ptr), given.block_tokens)
        if short is not None:
            raise InvalidInput(f"row {short[0] + 1}, column hash_ids: {short[1]}", field="hash_ids")

    def sort(self) -> None:
        """Order of arrival. Whoever simulates relies on it."""
        arrival = self.made["arrival_s"]
        late = int((np.diff(arrival) < 0).sum())
        if late:
            self.notes.append(f"{late:,} requests come before the one in the row above; the requests were sorted by arrival.")
            order = np.argsort(arrival, kind="stable")
            for name in ROW_COLUMNS:
                if name in self.made:
                    self.made[name] = self.made[name][order]
            self.made |= _gathered(self.made.get("hash_ids"), self.made.get("hash_ptr"), order)
        self.made["notes"] = tuple(self.notes)


def short_of_hashes(prompt_tokens: Ints, blocks: Ints, block_tokens: int) -> tuple[int, str] | None:
    """The first request with fewer hash ids than blocks of prompt: its position and the rest of the sentence."""
    needed = -(-prompt_tokens // block_tokens)
    bad = np.flatnonzero(blocks < needed)
    if not len(bad):
        return None
    i = int(bad[0])
    said = f"{blocks[i]} ids for {prompt_tokens[i]} prompt tokens; expected at least {needed[i]}, one for every {block_tokens} tokens."
    return i, said


def coarse_grid_note(arrival_s: Floats) -> str | None:
    """A sentence if the arrivals lie on a coarse grid of times, as in logs stamped every few seconds."""
    stamps = np.unique(arrival_s)
    if len(stamps) < 3 or len(stamps) > COARSE_SHARE * len(arrival_s):
        return None
    step = float(np.median(np.diff(stamps)))
    return (
        f"{len(arrival_s):,} requests share {len(stamps):,} arrival times about {step:g} s apart; "
        "waiting times within a step are an artefact of the log unless the arrivals are spread (jitter)."
    )


def refuse(column: str, values: Any, bad: NDArray[np.bool_], expected: str) -> None:
    """Raises InvalidInput for the first bad row."""
    rows = np.flatnonzero(bad)
    if len(rows):
        raise InvalidInput(f"row {rows[0] + 1}, column {column}: {values[rows[0]]:g}; expected {expected}.", field=column)


def _sized(column: str, values: Any, n: int | None) -> Any:
    if values.ndim != 1 or (n is not None and len(values) != n):
        raise InvalidInput(f"{column} has shape {values.shape}; expected {'one dimension' if n is None else f'({n},)'}.", field=column)
    return values


def _numbers(column: str, given: ArrayLike, n: int | None) -> Floats:
    try:
        values = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"column {column} holds something that is no number; expected numbers.", field=column) from error
    _sized(column, values, n)
    refuse(column, values, ~np.isfinite(values), "a finite number")
    return values


def _whole(column: str, given: ArrayLike, n: int | None) -> Ints:
    array = np.asarray(given)
    if array.dtype.kind in "iu":
        return np.array(_sized(column, array, n), dtype=np.int64)
    values = _numbers(column, given, n)
    refuse(column, values, (values != np.floor(values)) | (np.abs(values) > LARGEST), "a whole number")
    return values.astype(np.int64)


def _coded(column: str, given: Any, n: int, names: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """Whole numbers are codes already, names are numbered in their sorted order."""
    array = np.asarray(given)
    if array.dtype.kind in "iuf":
        codes = _whole(column, given, n)
        refuse(column, codes, codes < 0, "a code of 0 or more")
        return codes, tuple(names) or tuple(str(code) for code in range(int(codes.max()) + 1 if column == "tenant" else 0))
    known, codes = np.unique(_sized(column, array.astype(str), n), return_inverse=True)
    return codes.astype(np.int64), tuple(str(name) for name in known)


def _gathered(ids: Ints | None, ptr: Ints | None, order: Ints) -> dict[str, Any]:
    """hash_ids and hash_ptr of the requests in `order`."""
    if ids is None or ptr is None:
        return {"hash_ids": None, "hash_ptr": None}
    sizes = np.diff(ptr)[order]
    new_ptr = np.concatenate([[0], np.cumsum(sizes)])
    source = np.arange(new_ptr[-1]) + np.repeat(ptr[:-1][order] - new_ptr[:-1], sizes)
    return {"hash_ids": ids[source], "hash_ptr": new_ptr}

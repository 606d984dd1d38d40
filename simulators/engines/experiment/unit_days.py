"""Rows of unit x day become one row a unit: the unit was randomised, so the unit is what a test may count.

Metric and denominator are added up over the days, covariates keep their first value, a unit has triggered if it did on any day, and
its day is the first on which it was seen. A unit in two arms is refused: its metric belongs to neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from simulators.engines.experiment.tabular import Batch
from simulators.errors import InvalidInput

_ROWS = 65_536


def units_of_days(
    batches: Sequence[Batch], *, unit: str, day: str, arm: str, added: Sequence[str], kept: Sequence[str], triggers: Sequence[str]
) -> Iterator[Batch]:
    """Batches of one row a unit; rows without a unit are units of their own. `added`, `kept`, `triggers` name number columns.

    Raises InvalidInput that names a unit seen in two arms, or twice on one day.
    """
    texts = {name: _joined([batch.texts[name] for batch in batches]) for name in batches[0].texts}
    codes, units = _codes(texts[unit])
    _refuse_two_arms(texts, codes, unit, arm)
    _refuse_same_day(texts, codes, unit, day)
    day_order = _day_order(texts[day])
    first = _first_rows(codes, day_order, units)
    numbers: dict[str, NDArray[np.float64]] = {}
    for name in batches[0].numbers:
        values = np.concatenate([batch.numbers[name] for batch in batches])
        numbers[name] = _per_unit(values, codes, units, first, "add" if name in added else "any" if name in triggers else "first")
    assert set(numbers) == {*added, *kept, *triggers}
    for start in range(0, units, _ROWS):
        rows = slice(start, min(start + _ROWS, units))
        taken = pa.array(first[rows])
        yield Batch(
            start, rows.stop - start, {name: v[rows] for name, v in numbers.items()}, {name: pc.take(t, taken) for name, t in texts.items()}
        )


def _joined(parts: Sequence[pa.Array]) -> pa.Array:
    return pa.concat_arrays([part.cast(pa.string()) for part in parts])


def _codes(unit: pa.Array) -> tuple[NDArray[np.int64], int]:
    """A number a unit; each row without a unit gets its own."""
    encoded = unit.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    nameless = np.flatnonzero(codes < 0)
    codes[nameless] = len(encoded.dictionary) + np.arange(len(nameless))
    return codes, len(encoded.dictionary) + len(nameless)


def _refuse_two_arms(texts: dict[str, pa.Array], codes: NDArray[np.int64], unit: str, arm: str) -> None:
    arms = pc.fill_null(texts[arm].dictionary_encode().indices, -1).to_numpy(zero_copy_only=False)
    last = np.full(int(codes.max(initial=0)) + 1, -2, dtype=np.int64)
    last[codes] = arms
    wrong = np.flatnonzero(last[codes] != arms)
    if len(wrong):
        who = texts[unit][int(wrong[0])].as_py()
        raise InvalidInput(f"Data row {wrong[0] + 1:,}, column {arm}: unit {who!r} is in two arms; a unit belongs to one.", field=arm)


def _refuse_same_day(texts: dict[str, pa.Array], codes: NDArray[np.int64], unit: str, day: str) -> None:
    encoded = pc.fill_null(texts[day], "").dictionary_encode()
    pairs = codes * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(pairs, kind="stable")
    again = order[1:][pairs[order][1:] == pairs[order][:-1]]
    if len(again):
        row = int(again.min())
        who, when = texts[unit][row].as_py(), texts[day][row].as_py()
        raise InvalidInput(
            f"Data row {row + 1:,}, column {unit}: unit {who!r} has two rows on day {when!r}; expected one a day.", field=unit
        )


def day_key(text: str) -> tuple[int, float, str]:
    """Order of days: numbers as numbers, ISO dates and other words as text."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def _day_order(day: pa.Array) -> NDArray[np.int64]:
    """(rows,) place of each row's day in time."""
    encoded = pc.fill_null(day, "").dictionary_encode()
    words = encoded.dictionary.to_pylist()
    place = np.empty(len(words), dtype=np.int64)
    place[sorted(range(len(words)), key=lambda i: day_key(words[i]))] = np.arange(len(words))
    return np.asarray(place[encoded.indices.to_numpy(zero_copy_only=False)])


def _first_rows(codes: NDArray[np.int64], day_order: NDArray[np.int64], units: int) -> NDArray[np.int64]:
    """(units,) row of each unit's first day."""
    order = np.argsort(day_order, kind="stable")[::-1]
    first = np.empty(units, dtype=np.int64)
    first[codes[order]] = order  # of several rows the last assignment stays: the earliest day
    return first


def _per_unit(values: NDArray[np.float64], codes: NDArray[np.int64], units: int, first: NDArray[np.int64], how: str) -> NDArray[np.float64]:
    if how == "first":
        return values[first]
    seen = ~np.isnan(values)
    if how == "any":
        return (np.bincount(codes, weights=np.where(seen, values, 0.0), minlength=units) > 0).astype(float)
    total = np.bincount(codes, weights=np.where(seen, values, 0.0), minlength=units)
    return np.where(np.bincount(codes[seen], minlength=units) > 0, total, np.nan)

"""Timestamps as int64 microseconds UTC, whatever form they come in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Times = NDArray[np.int64]
US_PER_S = 1_000_000
NEVER = np.iinfo(np.int64).min  # an unknown time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(value: Any) -> int:
    """One timestamp: a datetime or ISO 8601 text (any offset; none means UTC), a numpy datetime, or whole microseconds (3.0 is whole).

    None, NaT and NaN, the marks of a missing value in a data frame, are `NEVER`.
    """
    if value is None or bool(value != value):
        return int(NEVER)
    if isinstance(value, np.datetime64):
        return int(_of_datetimes(np.array([value]))[0])
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, datetime):
        return _since_epoch(value)
    whole = isinstance(value, int | np.integer) or (isinstance(value, float | np.floating) and float(value).is_integer())
    if whole and not isinstance(value, bool):
        return int(value)
    raise InvalidInput(f"{value!r} was given as a time; expected a datetime, ISO 8601 text or whole microseconds since 1970.")


def times_of(values: ArrayLike) -> Times:
    """Timestamps (n,) as int64 microseconds; None, NaT and NaN become `NEVER`."""
    array = np.asarray(values)
    if array.dtype.kind == "M":
        return _of_datetimes(array)
    if array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    return np.array([microseconds(value) for value in array.tolist()], dtype=np.int64)


def span(seconds: float | None) -> int | None:
    """A duration in microseconds; None and 0 mean without end. Raises InvalidInput below 0."""
    if seconds is None or seconds == 0:
        return None
    if not seconds > 0:
        raise InvalidInput(f"A time to live of {seconds} s was given; expected 0 (without end) or more.", field="ttl_s")
    return min(round(seconds * US_PER_S), 2**61)


def _parsed(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"'{text}' is not a time; expected ISO 8601, as in 2026-03-04T05:06:07+00:00.") from None


def _since_epoch(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return (since.days * 86_400 + since.seconds) * US_PER_S + since.microseconds


def _of_datetimes(array: NDArray[Any]) -> Times:
    return array.astype("datetime64[us]").astype(np.int64)  # NaT is the smallest int64, which is NEVER

"""Long work in short steps: a generator that yields the share done and returns the value.

Whoever drives it may stop between two steps; `finish` drives it to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Step = TypeVar("Step")
Told = TypeVar("Told")
Steps = Generator[float, None, T]


def finish(steps: Generator[Any, None, T]) -> T:
    """The value, for a caller who does not want to look in between."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def finished(name: str, iterate: Callable[P, Generator[Any, None, T]]) -> Callable[P, T]:
    """A function `name` with the parameters of `iterate` that drives it to the end and returns its value."""

    @wraps(iterate)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return finish(iterate(*args, **kwargs))

    run.__name__ = run.__qualname__ = name
    return run


def relay(steps: Generator[Step, None, T], tell: Callable[[Step], Told]) -> Generator[Told, None, T]:
    """The same work with the same value, each step told in other words."""
    while True:
        try:
            step = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        yield tell(step)


def scaled(steps: Steps[T], low: float, high: float) -> Steps[T]:
    """The same steps, reported as the part from low to high of a longer work."""
    return relay(steps, lambda share: low + (high - low) * share)


def timed(steps: Steps[T]) -> Steps[tuple[T, float]]:
    """The same steps; the value comes with the seconds of work, without what the caller did between two steps."""
    seconds = 0.0
    while True:
        started = time.perf_counter()
        try:
            share = next(steps)
        except StopIteration as stop:
            return stop.value, seconds + time.perf_counter() - started
        seconds += time.perf_counter() - started
        yield share


def blocks(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `total` rows."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))

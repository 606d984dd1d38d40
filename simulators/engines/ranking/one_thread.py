"""Training on one thread of torch: two threads on two busy cores cost several times the CPU time."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TypeVar

import torch

from simulators.engines.ranking.step import Step

T = TypeVar("T")


def on_one_thread(work: Generator[Step, None, T]) -> Generator[Step, None, tuple[T, float]]:
    """The same steps on one thread of torch; the value comes with the CPU seconds of the work."""
    cpu_s = 0.0
    while True:
        threads, start = torch.get_num_threads(), time.process_time()
        torch.set_num_threads(1)
        try:
            step = next(work)
        except StopIteration as stop:
            return stop.value, cpu_s + time.process_time() - start
        finally:
            torch.set_num_threads(threads)
        cpu_s += time.process_time() - start
        yield step

"""Drives a lab: pulls its generator, asks between two yields whether to stop, closes it, checks what it returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulators.lab import Context, Frame, Lab, LabParams, Metric, Progress, Result, finite
from simulators.params import parse_params


class Cancelled(Exception):
    """The run was stopped between two yields; the generator is closed, nothing is held."""


def drive(lab: Lab, params: LabParams, ctx: Context, *, emit: Callable[[Progress | Frame], None], cancelled: Callable[[], bool]) -> Result:
    """The lab's Result.

    `emit` receives every Progress and Frame. `cancelled` is asked after each; True raises Cancelled. Whatever the lab raises passes
    through. The generator is closed in every case.
    """
    steps = lab.run(params, ctx)
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                return checked(stop.value)
            emit(checked_frame(step) if isinstance(step, Frame) else step)
            if cancelled():
                raise Cancelled
    finally:
        steps.close()


def run_lab(lab: type[Lab], values: Mapping[str, Any], ctx: Context) -> Result:
    """Runs to the end without anyone watching: for tests, notebooks and benchmarks. InvalidInput for bad parameters."""
    return drive(lab(), parse_params(lab, values), ctx, emit=lambda step: None, cancelled=lambda: False)


def checked(result: Result) -> Result:
    if not isinstance(result, Result):
        raise TypeError(f"a lab returns a Result, not {type(result).__name__}")
    _check_metrics(result.metrics)
    return result


def checked_frame(frame: Frame) -> Frame:
    _check_metrics(frame.metrics)
    return frame


def _check_metrics(metrics: Sequence[Metric]) -> None:
    twice = [key for key, count in Counter(metric.key for metric in metrics).items() if count > 1]
    if twice:
        raise ValueError(f"metric key {twice[0]} stands twice; a page finds a metric by its key")
    for metric in metrics:
        _check_metric(metric)


def _check_metric(metric: Metric) -> None:
    finite(metric.value, metric.key)
    finite(metric.limit, f"{metric.key} limit")
    for bound in metric.ci or ():
        finite(bound, f"{metric.key} interval")
    if metric.value is None and not metric.note:
        raise ValueError(f"{metric.key} is undefined without a note that says why")

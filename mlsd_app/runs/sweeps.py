"""Sweeping one numeric parameter: the values, a run for each, fanned out over the workers by Celery."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import redis
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.core.presence import queue_alive
from mlsd_app.runs import channel
from mlsd_app.runs.models import ACTIVE, Dataset, Run, RunState, Sweep
from mlsd_app.runs.selectors import cached_result
from mlsd_app.runs.services import NO_REDIS, RUN_TASK, SWEEP_PRIORITY, RunRefused, cache_key, queue_of, run_inputs
from mlsd_app.runs.upkeep import run_settle
from simulators.errors import InvalidInput
from simulators.lab import Lab, LabParams
from simulators.params import InvalidParams, parse_params

EXPIRES_S = 1800
MAX_ACTIVE_SWEEPS = 2


@dataclass(frozen=True)
class SweepProgress:
    total: int
    done: int
    failed: int
    active: int


def sweepable(lab: type[Lab]) -> list[str]:
    """Numeric parameters, in the order of the form."""
    return [name for name, field in lab.Params.model_fields.items() if field.annotation in (int, float)]


def sweep_values(*, lab: type[Lab], field: str, low: float, high: float, points: int, scale: str) -> list[float]:
    """`points` values from low to high, evenly or by ratio; whole numbers, each once, for an integer parameter."""
    if field not in sweepable(lab):
        raise InvalidInput(f"{field!r} cannot be swept; the numeric parameters are {', '.join(sweepable(lab))}.", field="field")
    most = settings.RUN_LIMITS["sweep_points"]
    if not 2 <= points <= most:
        raise InvalidInput(f"Points: {points} was given; expected 2 to {most}.", field="points")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInput(f"The sweep goes from {low:g} to {high:g}; the first value must be below the last.", field="low")
    if scale == "log" and low <= 0:
        raise InvalidInput(f"A logarithmic sweep begins above 0; {low:g} was given.", field="low")
    steps = [i / (points - 1) for i in range(points)]
    values = [low * (high / low) ** t if scale == "log" else low + (high - low) * t for t in steps]
    if lab.Params.model_fields[field].annotation is int:
        return [float(value) for value in dict.fromkeys(round(value) for value in values)]
    return [float(f"{value:.6g}") for value in values]


def sweep_start(
    *, user: User, lab: type[Lab], values: Mapping[str, Any], field: str, over: list[float], dataset: Dataset | None = None, seed: int = 0
) -> Sweep:
    """A sweep with one run a value; known results are taken over, the rest is queued.

    Raises InvalidParams naming the first value that the lab refuses, RunRefused when nothing could work on it. All or nothing.
    """
    params = {value: _params_at(lab, values, field, value) for value in over}
    client = channel.connection()
    try:
        _admit(client, user, lab)
        with transaction.atomic():
            sweep = Sweep.objects.create(
                user=user,
                problem=lab.problem,
                lab=lab.slug,
                params=parse_params(lab, values).model_dump(mode="json"),
                field=field,
                values=over,
            )
            runs = [_point(sweep, lab, value, point, dataset, seed) for value, point in params.items()]
            Run.objects.bulk_create(runs)
        for run in runs:
            if run.active:
                app.send_task(
                    RUN_TASK, args=[str(run.pk), False], queue=queue_of(lab, sweep=True), expires=EXPIRES_S, priority=SWEEP_PRIORITY
                )
    except (redis.RedisError, OperationalError) as error:
        raise NO_REDIS from error
    return sweep


def _params_at(lab: type[Lab], values: Mapping[str, Any], field: str, value: float) -> LabParams:
    whole = lab.Params.model_fields[field].annotation is int
    try:
        return parse_params(lab, {**values, field: int(value) if whole else value})
    except InvalidParams as error:
        raise InvalidInput(f"At {field} = {value:g}: {error.message}", field="field") from error


def _admit(client: redis.Redis, user: User, lab: type[Lab]) -> None:
    if not queue_alive(client, queue_of(lab, sweep=True)):
        raise RunRefused("No worker is running for this sweep. Try again in a few seconds.", "no_worker", 503)
    if Sweep.objects.filter(user=user, runs__state__in=ACTIVE).distinct().count() >= MAX_ACTIVE_SWEEPS:
        raise RunRefused(
            f"You have {MAX_ACTIVE_SWEEPS} sweeps under way, the most allowed at once. Cancel one or wait for it.", "limit", 429
        )


def _point(sweep: Sweep, lab: type[Lab], value: float, params: LabParams, dataset: Dataset | None, seed: int) -> Run:
    key = cache_key(lab=lab, params=params, seed=seed, dataset=dataset)
    known = cached_result(cache_key=key, user=sweep.user)
    now = timezone.now()
    return Run(
        **run_inputs(lab, params, seed, dataset, key),
        user=sweep.user,
        sweep=sweep,
        sweep_value=value,
        state=RunState.DONE if known else RunState.QUEUED,
        result=known,
        expires_at=now + timedelta(seconds=EXPIRES_S),
        finished_at=now if known else None,
    )


def sweep_cancel(*, sweep: Sweep) -> None:
    """Stops what is left: waiting points at once, running ones at their next yield."""
    waiting = list(Run.objects.filter(sweep=sweep, state__in=ACTIVE))
    sweep.cancelled = True
    sweep.save(update_fields=["cancelled"])
    Run.objects.filter(sweep=sweep, state=RunState.QUEUED).update(
        state=RunState.CANCELLED, error="Cancelled with its sweep.", finished_at=timezone.now()
    )
    try:
        for run in waiting:
            channel.request_cancel(channel.connection(), run.pk)
    except redis.RedisError as error:
        raise NO_REDIS from error


def sweep_points(*, sweep: Sweep) -> list[Run]:
    """The sweep's runs in order of their value, each settled if its worker is gone."""
    runs = list(Run.objects.filter(sweep=sweep).select_related("result").defer("result__body").order_by("sweep_value"))
    for run in runs:
        if run.active:
            run_settle(run=run)
    return runs


def sweep_progress(runs: list[Run]) -> SweepProgress:
    done = sum(run.state == RunState.DONE for run in runs)
    active = sum(run.active for run in runs)
    return SweepProgress(total=len(runs), done=done, failed=len(runs) - done - active, active=active)


def field_extra(lab: type[Lab], field: str) -> dict[str, Any]:
    """What `param` declared about a field beyond its bounds: unit, scale, soft bounds, group."""
    return cast(dict[str, Any], (lab.Params.model_fields[field].json_schema_extra or {})["lab"])  # type: ignore[index]

"""Starting, stopping and finishing runs. Pages and the REST API call the same functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from kombu.exceptions import OperationalError

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.runs import channel
from mlsd_app.runs.models import ACTIVE, Baseline, Dataset, Run, RunState, StoredResult
from mlsd_app.runs.selectors import active_runs, cached_result
from simulators.encoding import plain, rounded
from simulators.lab import Lab, LabParams, Result
from simulators.params import parse_params

RUN_TASK = "runs.run"
INTERACTIVE_PRIORITY, SWEEP_PRIORITY = 0, 6  # 0 is taken first


@dataclass
class RunRefused(Exception):
    """A run cannot start now. `status` is the HTTP status that fits, `kind` one of limit, busy, no_worker, no_redis."""

    message: str
    kind: str
    status: int

    def __str__(self) -> str:
        return self.message


NO_REDIS = RunRefused(
    "The live engines cannot be reached right now. Pages, notes and finished runs still work; try again in a few seconds.", "no_redis", 503
)


def queue_of(lab: type[Lab], *, sweep: bool = False) -> str:
    """A lab that measures wall-clock time runs alone on its queue; points of a sweep leave the interactive workers free."""
    if lab.exclusive:
        return "measure"
    return "batch" if sweep else "interactive"


def cache_key(*, lab: type[Lab], params: LabParams, seed: int, dataset: Dataset | None) -> str:
    """Names a result by everything that goes into it."""
    inputs = [lab.problem, lab.slug, lab.version, params.model_dump(mode="json"), seed, dataset.digest if dataset else None]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def run_cached(
    *, user: User | AnonymousUser, lab: type[Lab], params: LabParams, dataset: Dataset | None = None, seed: int = 0
) -> Run | None:
    """A finished run for these inputs, or None. A visitor without an account gets one that is not kept."""
    key = cache_key(lab=lab, params=params, seed=seed, dataset=dataset)
    result = cached_result(cache_key=key, user=user)
    if result is None:
        return None
    if user.is_authenticated:
        own = Run.objects.filter(user_id=user.pk, cache_key=key, result=result, state=RunState.DONE).first()
        if own:
            return own
    now = timezone.now()
    run = Run(**run_inputs(lab, params, seed, dataset, key), state=RunState.DONE, result=result, started_at=now, finished_at=now)
    if isinstance(user, User):
        run.user = user
        run.save()
    return run


def run_start(
    *,
    user: User,
    lab: type[Lab],
    values: Mapping[str, Any],
    dataset: Dataset | None = None,
    seed: int = 0,
    slot: str = "",
    fresh: bool = False,
    attended: bool = False,
) -> Run:
    """A new run, queued; or a finished one when the result is known and `fresh` is not asked for.

    values     parameters, validated here
    slot       a browser tab: its newest run cancels the one before
    attended   stop the run when nobody watches its events any more
    Raises InvalidParams (bad values) and RunRefused (limits, no worker, no Redis); then nothing was stored.
    """
    params = parse_params(lab, values)
    if not fresh and (known := run_cached(user=user, lab=lab, params=params, dataset=dataset, seed=seed)):
        _take_slot_quietly(user, slot, known)
        return known
    key = cache_key(lab=lab, params=params, seed=seed, dataset=dataset)
    expires = timezone.now() + timedelta(seconds=settings.RUN_LIMITS["expires_s"])
    run = Run(**run_inputs(lab, params, seed, dataset, key), user=user, slot=slot, expires_at=expires)
    try:
        client = channel.connection()
        _admit(client, user, lab, slot)
        if slot:
            channel.take_slot(client, user.pk, slot, run.pk)
        run.save(force_insert=True)
        _enqueue(client, run, lab, attended)
    except (redis.RedisError, OperationalError) as error:
        Run.objects.filter(pk=run.pk).delete()
        raise NO_REDIS from error
    return run


def run_inputs(lab: type[Lab], params: LabParams, seed: int, dataset: Dataset | None, key: str) -> dict[str, Any]:
    """The fields of a Run that say what goes in."""
    shown = params.model_dump(mode="json")
    return {
        "problem": lab.problem,
        "lab": lab.slug,
        "lab_version": lab.version,
        "params": shown,
        "seed": seed,
        "dataset": dataset,
        "cache_key": key,
    }


def _take_slot_quietly(user: User, slot: str, run: Run) -> None:
    """An answer from the cache also replaces what the tab had under way; without Redis there is nothing to replace."""
    if slot:
        try:
            channel.take_slot(channel.connection(), user.pk, slot, run.pk)
        except redis.RedisError:
            return


def _admit(client: redis.Redis, user: User, lab: type[Lab], slot: str) -> None:
    limits = settings.RUN_LIMITS
    state = channel.admission(client, queue=queue_of(lab), user_id=user.pk, minute=int(timezone.now().timestamp()) // 60)
    if not state.worker:
        raise RunRefused("No worker is running for this lab. Pages and notes still work; try again in a few seconds.", "no_worker", 503)
    if state.waiting >= limits["queue_length"]:
        raise RunRefused(f"All workers are busy: {limits['queue_length']} runs are waiting. Try again in a moment.", "busy", 503)
    if state.starts > limits["starts_per_minute"]:
        raise RunRefused(f"You have started {limits['starts_per_minute']} runs within a minute. Wait until the next minute.", "limit", 429)
    if active_runs(user=user, but_slot=slot) >= limits["active_per_user"]:
        raise RunRefused(
            f"You have {limits['active_per_user']} runs waiting or running, the most allowed at once. Cancel one or wait for it.",
            "limit",
            429,
        )


def _enqueue(client: redis.Redis, run: Run, lab: type[Lab], attended: bool) -> None:
    expires_s = settings.RUN_LIMITS["expires_s"]
    if attended:
        client.set(channel.watched_key(run.pk), "1", ex=expires_s + channel.WATCHED_S)
    app.send_task(RUN_TASK, args=[str(run.pk), attended], queue=queue_of(lab), expires=expires_s, priority=INTERACTIVE_PRIORITY)


def run_cancel(*, run: Run) -> None:
    """Asks the run to stop at its next yield. A run that has not begun is stopped by the worker that picks it up."""
    if not run.active:
        return
    try:
        channel.request_cancel(channel.connection(), run.pk)
    except redis.RedisError as error:
        raise NO_REDIS from error


def run_finish(*, run: Run, result: Result) -> None:
    """Stores the result: from here on it cannot be lost."""
    run.result = result_store(cache_key=run.cache_key, result=result, owner=run.user if run.dataset_id else None)
    run_close(run=run, state=RunState.DONE)


def result_store(*, cache_key: str, result: Result, owner: User | None = None) -> StoredResult:
    """Keeps a finished Result under the key that names its inputs; `owner` where the user's own data went in."""
    body = plain(result)
    return StoredResult.objects.create(cache_key=cache_key, owner=owner, metrics=body.pop("metrics"), body=rounded(body))


def run_close(*, run: Run, state: RunState, error: str = "") -> bool:
    """Ends an active run; False when it had ended already (then nothing changes)."""
    run.state, run.error, run.finished_at = state, error, timezone.now()
    changed = Run.objects.filter(pk=run.pk, state__in=ACTIVE).update(
        state=state, error=error, finished_at=run.finished_at, result_id=run.result_id
    )
    return changed > 0


def baseline_pin(*, user: User, lab: type[Lab], run: Run | None) -> None:
    """Makes `run` what the lab's numbers are compared with; None unpins."""
    if run is None:
        Baseline.objects.filter(user=user, problem=lab.problem, lab=lab.slug).delete()
        return
    Baseline.objects.update_or_create(user=user, problem=lab.problem, lab=lab.slug, defaults={"run": run})

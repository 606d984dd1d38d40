"""The one Celery task behind every lab, and the housekeeping of runs.

Runs are acknowledged early and never retried: a second measurement nobody asked for helps nobody. Cancellation is cooperative; a
worker that dies is noticed by its lease.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import redis
from celery import shared_task
from celery.signals import worker_process_init
from django.conf import settings
from django.utils import timezone

from mlsd_app.core.presence import pool_process_up
from mlsd_app.runs import channel, upkeep
from mlsd_app.runs.datasets import dataset_data
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import run_close, run_finish
from simulators.assets import CachedAssets
from simulators.driver import Cancelled, drive
from simulators.encoding import rounded
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Progress, Result
from simulators.registry import get_lab, labs

logger = logging.getLogger(__name__)
PROGRESS_EVERY_S = 0.05
UNWATCHED_S = 3.0  # how long nobody may watch; a Redis that restarts takes the lease with it until the watcher renews it
NO_REDIS = "Redis stopped answering while the lab was using it. Run it again in a moment."
FAILED = "The lab stopped with an error of its own. It has been logged; run it again or change a parameter."


@worker_process_init.connect
def warm_up(**_: Any) -> None:
    """Imports every lab, and lets it compile what it must, before the first run needs one.

    One process goes ahead; the others wait for it, and then read from disk what it has compiled.
    """
    found = labs().values()
    with (settings.VAR_DIR / "compile.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        for lab in found:
            lab.warm_up()
    pool_process_up()


@cache
def assets() -> CachedAssets:
    return CachedAssets(settings.ASSETS_DIR)


@shared_task(name="runs.run")
def run_lab_task(run_id: str, attended: bool = False) -> None:
    run = Run.objects.select_related("dataset", "user").get(pk=run_id)
    if not run.active:
        return
    line = Line(run_id, attended=attended)
    if line.cancelled():
        return _close(run, line, RunState.CANCELLED, "cancelled", "Cancelled before it began.")
    with line.leased():
        line.emit("started", {"run": run_id})
        run.state, run.started_at = RunState.RUNNING, timezone.now()
        run.save(update_fields=["state", "started_at"])
        _run_to_an_end(run, line)


def _run_to_an_end(run: Run, line: Line) -> None:
    try:
        result = _drive(run, line)
    except Cancelled:
        _close(run, line, RunState.CANCELLED, "cancelled", "Cancelled.")
    except InvalidInput as error:
        _close(run, line, RunState.FAILED, "failed", error.message)
    except redis.RedisError as error:  # of the lab's own reads and writes: the line to the watcher never raises
        logger.warning("run %s lost its Redis: %s", run.pk, error)
        _close(run, line, RunState.FAILED, "failed", NO_REDIS)
    except Exception:
        logger.exception("run %s of %s/%s failed", run.pk, run.problem, run.lab)
        _close(run, line, RunState.FAILED, "failed", FAILED)
    else:
        run_finish(run=run, result=result)
        line.emit("done", {"run": str(run.pk)})


def _drive(run: Run, line: Line) -> Result:
    lab = get_lab(run.problem, run.lab)
    ctx = Context(
        seed=run.seed,
        assets=assets(),
        data=dataset_data(run.dataset) if run.dataset else None,
        key_space=partial(channel.key_space, run.pk),
    )
    return drive(lab(), lab.Params.model_validate(run.params), ctx, emit=line.step, cancelled=line.cancelled)


def _close(run: Run, line: Line, state: RunState, kind: str, message: str) -> None:
    run_close(run=run, state=state, error=message)
    line.emit(kind, {"message": message})


class Line:
    """A run's line to whoever watches. A Redis that goes away silences it and does not stop the run."""

    def __init__(self, run_id: str, *, attended: bool) -> None:
        self._run_id, self._attended = run_id, attended
        self._client = channel.connection()
        self._last_progress = 0.0
        self._last_watched = time.monotonic()

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        try:
            channel.emit(self._client, self._run_id, kind, data)
        except redis.RedisError as error:
            logger.warning("run %s: event %s not sent: %s", self._run_id, kind, error)

    def step(self, step: Progress | Frame) -> None:
        if isinstance(step, Frame):
            return self.emit("frame", rounded(step))
        now = time.monotonic()
        if now - self._last_progress >= PROGRESS_EVERY_S or step.done >= step.total:
            self._last_progress = now
            self.emit("progress", rounded(step))

    def cancelled(self) -> bool:
        """Whether somebody asked the run to stop, or nobody watches a run that is only for watching."""
        try:
            pipe = self._client.pipeline(transaction=False)
            pipe.exists(channel.cancel_key(self._run_id))
            pipe.exists(channel.watched_key(self._run_id))
            asked, watched = pipe.execute()
        except redis.RedisError:
            asked, watched = 0, 1
        now = time.monotonic()
        if watched:
            self._last_watched = now
        return bool(asked) or (self._attended and now - self._last_watched > UNWATCHED_S)

    @contextmanager
    def leased(self) -> Iterator[None]:
        """Keeps the lease that says "this run has a worker" for as long as the process lives."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep_lease, args=(ended,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _keep_lease(self, ended: threading.Event) -> None:
        while True:
            try:
                self._client.set(channel.alive_key(self._run_id), "1", ex=channel.ALIVE_S)
            except redis.RedisError as error:
                logger.warning("run %s: lease not renewed: %s", self._run_id, error)
            if ended.wait(1.0):
                return


@shared_task(name="runs.reap")
def reap_task() -> None:
    """Ends runs whose worker or queue place is gone and that nobody watches."""
    upkeep.runs_reap()


@shared_task(name="runs.prune")
def prune_task() -> None:
    """Deletes what no history needs: ended runs without a result, orphaned results and files."""
    upkeep.runs_prune()

"""A stand-in for the pipeline of runs: the parameters are checked by the real lab, the metrics come from the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mlsd_app.accounts.models import User
from mlsd_app.runs.models import Run, RunState, StoredResult
from mlsd_app.runs.services import RunRefused, cache_key, run_inputs
from simulators.lab import Lab
from simulators.params import parse_params

Metrics = Callable[[dict[str, Any]], dict[str, float]]


@dataclass
class Bench:
    """`metrics` says what a run of given parameters measures; `refuse` stands for a queue without workers, `hold` for a slow one."""

    metrics: Metrics = lambda params: {"recall": 1.0}
    refuse: bool = False
    hold: bool = False
    finished_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)  # when runs end; before they were asked for: at once
    asked: list[dict[str, Any]] = field(default_factory=list)

    def run_start(self, *, user: User, lab: type[Lab], values: Mapping[str, Any], **options: Any) -> Run:
        params = parse_params(lab, values)
        if self.refuse:
            raise RunRefused("No worker is running for this lab.", "no_worker", 503)
        key = cache_key(lab=lab, params=params, seed=0, dataset=None)
        known = Run.objects.filter(user=user, cache_key=key, state=RunState.DONE).first()
        self.asked.append(params.model_dump(mode="json"))
        if known:
            return known
        run = Run.objects.create(**run_inputs(lab, params, 0, None, key), user=user)
        if not self.hold:
            self.finish(run)
        return run

    def finish(self, run: Run) -> None:
        metrics = [{"key": name, "label": name, "value": value, "unit": ""} for name, value in self.metrics(run.params).items()]
        run.result = StoredResult.objects.create(cache_key=run.cache_key, metrics=metrics, body={"figures": []})
        run.state, run.finished_at = RunState.DONE, self.finished_at
        run.save()

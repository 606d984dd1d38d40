"""Mock interviews a development site starts with: one finished and graded, one that runs. `demo.yaml` says what happened in them.

Everything goes through the services, as if the candidate had sat there: times are given, runs are computed here, marks are the rules'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.answers import answer_save, answers_of
from mlsd_app.interviews.debrief.own import result_reveal
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.interviewer.questions import constraints_confirm, question_ask
from mlsd_app.interviews.interviewer.speaking import prompts_due
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.runs import attempt_run_start, run_pin
from mlsd_app.interviews.scoring import self_assess
from mlsd_app.interviews.scoring.claim_rows import claim_add
from mlsd_app.interviews.selectors import live_attempt, state_of
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.selectors import cached_result
from mlsd_app.runs.services import cache_key, result_store, run_inputs
from problems.loader import load_problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.lab import Context
from simulators.params import parse_params
from simulators.registry import get_lab

SCRIPTS = Path(__file__).with_name("demo.yaml")
Step = Mapping[str, Any]


def demo_interviews(*, candidate: User, now: datetime) -> list[Attempt]:
    """The candidate's demo interviews that were not there yet."""
    scripts = yaml.safe_load(SCRIPTS.read_text(encoding="utf-8"))
    made = []
    for script in scripts.values():
        there = Attempt.objects.filter(user=candidate, problem=script["problem"], seed=script["seed"]).exists()
        if not there and live_attempt(user=candidate, problem=script["problem"]) is None:
            made.append(_played(candidate, script, now))
    return made


def _played(candidate: User, script: Mapping[str, Any], now: datetime) -> Attempt:
    begun = now - timedelta(days=script.get("days_ago", 0), minutes=script.get("minutes_ago", 0))
    problem = load_problem(script["problem"])
    chosen = {name: script[name] for name in ("seed", "mode", "show") if name in script}
    attempt = lifecycle.attempt_create(user=candidate, problem=problem, now=begun - timedelta(seconds=60), **chosen)
    Attempt.objects.filter(pk=attempt.pk).update(created_at=begun - timedelta(seconds=60))
    attempt = lifecycle.attempt_start(attempt=attempt, actor=candidate, now=begun)
    for known in script.get("known", ()):
        _run_known(candidate, problem.slug, known, begun)
    sitting = Sitting(attempt, begun)
    for step in script["steps"]:
        sitting.take(step)
    if "submit" in script:
        _end(attempt, begun + timedelta(seconds=script["submit"]), script["own"])
    return attempt


def _end(attempt: Attempt, now: datetime, own: Mapping[str, int]) -> None:
    """Submitted, judged by the candidate, graded by the rules, looked at."""
    lifecycle.attempt_submit(attempt=attempt, actor=attempt.user, now=now)
    self_assess(attempt=attempt, levels={f"signal:{key}": level for key, level in own.items()}, before_reveal=True, now=now)
    attempt_grade(attempt_id=str(attempt.pk), now=now)
    attempt.refresh_from_db()
    result_reveal(attempt=attempt, now=now)


def _run_known(user: User, problem: str, known: Mapping[str, Any], at: datetime) -> None:
    """A finished run of a lab, computed here and now, that the services then find instead of asking a worker."""
    lab = get_lab(problem, known["lab"])
    params = parse_params(lab, known["values"])
    key = cache_key(lab=lab, params=params, seed=0, dataset=None)
    result = cached_result(cache_key=key, user=user)
    if result is None:
        ctx = Context(seed=0, assets=CachedAssets(settings.ASSETS_DIR))
        result = result_store(cache_key=key, result=run_lab(lab, known["values"], ctx))
    ended = {"state": RunState.DONE, "result": result, "started_at": at, "finished_at": at}
    Run.objects.create(**run_inputs(lab, params, 0, None, key), user=user, **ended)


@dataclass
class Sitting:
    """The candidate at the keyboard, at given seconds after the start."""

    attempt: Attempt
    begun: datetime

    def take(self, step: Step) -> None:
        now = self.begun + timedelta(seconds=step["at"])
        action = next(name for name in ("ask", "confirm", "move", "listen", "run", "pin", "claim", "text", "row") if name in step)
        getattr(self, f"_{action}")(step, now)

    def _ask(self, step: Step, now: datetime) -> None:
        question_ask(attempt=self.attempt, text=step["ask"], now=now)

    def _confirm(self, step: Step, now: datetime) -> None:
        constraints_confirm(attempt=self.attempt, now=now)

    def _move(self, step: Step, now: datetime) -> None:
        lifecycle.attempt_move(attempt=self.attempt, to_phase=step["move"], actor=self.attempt.user, now=now)

    def _listen(self, step: Step, now: datetime) -> None:
        prompts_due(attempt=self.attempt, now=now, state=state_of(self.attempt, now))

    def _run(self, step: Step, now: datetime) -> None:
        asked = step["run"]
        lab = get_lab(self.attempt.problem, asked["lab"])
        attempt_run_start(attempt=self.attempt, lab=lab, values=asked["values"], now=now, prediction=asked.get("predict"))

    def _pin(self, step: Step, now: datetime) -> None:
        run_pin(link=self.attempt.runlinks.get(number=step["pin"]), pinned=True, label=step["label"], now=now)

    def _claim(self, step: Step, now: datetime) -> None:
        claim_add(attempt=self.attempt, now=now, start=0, **step["claim"])

    def _text(self, step: Step, now: datetime) -> None:
        self._save(f"text/{step['text']}", step["value"], step, now)

    def _row(self, step: Step, now: datetime) -> None:
        self._save(f"row/{step['row']}", json.dumps(step["value"]), step, now)

    def _save(self, field: str, content: str, step: Step, now: datetime) -> None:
        standing = answers_of(self.attempt).get(field)
        reply = answer_save(
            attempt=self.attempt,
            field=field,
            content=content,
            base_rev=standing.rev if standing else 0,
            op_id=f"demo-{step['at']}",
            client_id="demo",
            client_label="Demo",
            lease_epoch=None,
            now=now,
        )
        if reply.status != 200:
            raise ValueError(f"the demo's {field} at {step['at']} s was not kept: {reply.body}")

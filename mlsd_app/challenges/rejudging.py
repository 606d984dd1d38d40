"""Every night some stored passes are judged again by the labs as they are now, the longest unjudged first.

A pass keeps its verdict and its version. One that would fail now says that the lab, or what it stands on, has changed what it computes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import redis
from django.db.models import F, Max, QuerySet
from kombu.exceptions import OperationalError

from mlsd_app.celery import app
from mlsd_app.challenges.judging import seed_drive
from mlsd_app.challenges.models import Rejudgement, State, Submission, Verdict
from mlsd_app.challenges.services import seeds_of
from mlsd_app.runs.services import SWEEP_PRIORITY, queue_of
from mlsd_app.runs.tasks import Line
from simulators.challenge import challenge_of, design_checked, judge, run_design
from simulators.errors import InvalidInput
from simulators.lab import Challenge, Lab
from simulators.registry import get_lab

logger = logging.getLogger(__name__)
ONE_TASK = "challenges.rejudge_pass"
A_NIGHT = 40  # passes, of at most a minute each
EXPIRES_S = 6 * 3600  # what the night did not get to waits for the next one
PASSED = (Verdict.PASS, Verdict.NARROW_PASS)


def passes_due() -> QuerySet[Submission]:
    """Stored passes: those never judged again first, then by how long ago that was."""
    passed = Submission.objects.filter(state=State.DONE, verdict__in=PASSED)
    return passed.annotate(rejudged_at=Max("rejudgements__at")).order_by(F("rejudged_at").asc(nulls_first=True), "pk")


def rejudging_send(*, now: datetime) -> int:
    """Sends the night's passes to the workers, one task each and behind everything a person waits for; how many."""
    sent = 0
    for row in passes_due()[:A_NIGHT]:
        try:
            queue = queue_of(get_lab(row.problem, row.lab), sweep=True)
        except InvalidInput as error:  # the lab is gone: its passes stay as they are
            _store(row, row.lab_version, now, error=error.message)
            continue
        try:
            app.send_task(ONE_TASK, args=[str(row.pk)], queue=queue, priority=SWEEP_PRIORITY, expires=EXPIRES_S)
        except (redis.RedisError, OperationalError) as error:
            logger.warning("passes are not judged again tonight: %s", error)
            break
        sent += 1
    return sent


def pass_rejudge(*, submission_id: str, now: datetime) -> Rejudgement | None:
    """Judges one stored pass by the lab as it is now, on the seeds of that version; None when it is no pass, or there no more."""
    row = Submission.objects.filter(pk=submission_id, state=State.DONE, verdict__in=PASSED).first()
    if row is None:
        return None
    version = row.lab_version
    try:
        lab = get_lab(row.problem, row.lab)
        version = lab.version
        challenge = challenge_of(lab, row.challenge)
        found = _store(row, version, now, **_judged(row, lab, challenge))
    except InvalidInput as error:  # the lab or the challenge is gone, or the design is none any more
        return _store(row, version, now, error=error.message)
    except Exception:
        logger.exception("pass %s could not be judged again", row.pk)
        return _store(row, version, now, error="The lab stopped with an error of its own.")
    if found.flipped:
        logger.warning("%s passed under version %s and fails under %s", row, row.lab_version, version)
    return found


def _judged(row: Submission, lab: type[Lab], challenge: Challenge) -> Mapping[str, Any]:
    design = design_checked(lab, challenge, row.design)
    drive = partial(seed_drive, row, Line(str(row.pk), attended=False))
    stages = [run_design(lab, challenge, design, seeds_of(row, stage, lab_version=lab.version), drive=drive) for stage in (1, 2)]
    grade = judge(challenge, stages[0], stages[1])
    return {"verdict": grade.verdict, "grade": grade.plain()}


def _store(row: Submission, version: int, now: datetime, **values: Any) -> Rejudgement:
    fresh = {"verdict": "", "grade": {}, "error": "", "at": now, **values}
    return Rejudgement.objects.update_or_create(submission=row, lab_version=version, defaults=fresh)[0]

"""From a queued design to its verdict, seed by seed. Every step can be repeated: what a seed gave is stored once and never run again."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import redis
from kombu.exceptions import OperationalError

from mlsd_app.challenges.models import ACTIVE, State, Submission, SubmissionSeed
from mlsd_app.challenges.services import CANCELLED, seeds_of, step_send, submission_close
from mlsd_app.core.presence import queue_alive
from mlsd_app.runs import channel
from mlsd_app.runs.services import queue_of
from mlsd_app.runs.tasks import NO_REDIS, Line, assets
from simulators.challenge import STAGE_1, STAGE_2, SeedResult, challenge_of, clearly_missed, judge, run_seed
from simulators.driver import Cancelled, drive
from simulators.errors import InvalidInput
from simulators.lab import Challenge, Context, Lab, Result
from simulators.params import parse_params
from simulators.registry import get_lab

logger = logging.getLogger(__name__)
SILENT = timedelta(seconds=60)  # without a worker's lease, after which a step is sent again
MOST_REQUEUED = 5
UPDATED = "The lab was updated while this waited. Submit the design again; it is judged by the new version."
FAILED = "The lab stopped with an error of its own, so there is no verdict. It has been logged, and this does not count."
LOST = "The workers stopped several times while they judged this. It does not count; submit it again."


def submission_step(*, submission_id: str, now: datetime) -> None:
    """Runs the next seed, and sends for the one after it; or says the verdict."""
    row = Submission.objects.filter(pk=submission_id).first()
    if row is None or not row.active:
        return
    line = Line(submission_id, attended=False)
    if line.cancelled():
        submission_close(submission=row, state=State.CANCELLED, error=CANCELLED, now=now)
        return
    with line.leased():
        Submission.objects.filter(pk=row.pk, state__in=ACTIVE).update(state=State.RUNNING, touched_at=now)
        _step_to_an_end(row, line, now)


def _step_to_an_end(row: Submission, line: Line, now: datetime) -> None:
    end = partial(submission_close, submission=row, now=now)
    try:
        lab = get_lab(row.problem, row.lab)
        if lab.version != row.lab_version:
            end(state=State.CANCELLED, error=UPDATED)
        elif _step(row, lab, challenge_of(lab, row.challenge), line, now):
            step_send(row, lab)
    except Cancelled:
        end(state=State.CANCELLED, error=CANCELLED)
    except InvalidInput as error:  # the lab, or the challenge, is gone; or the lab refuses this world
        end(state=State.FAILED, error=error.message)
    except OperationalError as error:  # the broker is away: `submissions_reap` sends again
        logger.warning("submission %s: next step not sent: %s", row.pk, error)
    except redis.RedisError as error:
        logger.warning("submission %s lost its Redis: %s", row.pk, error)
        end(state=State.FAILED, error=NO_REDIS)
    except Exception:
        logger.exception("submission %s to %s/%s/%s failed", row.pk, row.problem, row.lab, row.challenge)
        end(state=State.FAILED, error=FAILED)


def _step(row: Submission, lab: type[Lab], challenge: Challenge, line: Line, now: datetime) -> bool:
    """Whether there is more to do."""
    seeds_reuse(row, challenge)
    place = next_seed(row, challenge)
    if place is not None:
        first = _seed_run(row, lab, challenge, place, line, now)
        if next_seed(row, challenge) is not None:
            return first  # who ran a seed that somebody else had stored meanwhile leaves the rest to them
    _verdict_say(row, challenge, now)
    return False


def next_seed(row: Submission, challenge: Challenge) -> tuple[int, int] | None:
    """(stage, number) of the first that is missing; None when all that is needed is there."""
    for stage, count in ((1, STAGE_1), (2, STAGE_2)):
        there = set(row.seeds.filter(stage=stage).values_list("number", flat=True))
        for number in range(count):
            if number not in there:
                return stage, number
        if stage == 1 and clearly_missed(challenge, results_of(row, 1)):
            return None
    return None


def _seed_run(row: Submission, lab: type[Lab], challenge: Challenge, place: tuple[int, int], line: Line, now: datetime) -> bool:
    """Runs one seed and stores it; False when it was stored meanwhile."""
    stage, number = place
    begun = time.monotonic()
    found = run_seed(lab, challenge, row.design, seeds_of(row, stage)[number], drive=partial(seed_drive, row, line))
    values = {
        "values": dict(found.values),
        "reference": dict(found.reference),
        "notes": dict(found.notes),
        "ms": round(1000 * (time.monotonic() - begun)),
    }
    _, created = SubmissionSeed.objects.get_or_create(submission=row, stage=stage, number=number, defaults=values)
    Submission.objects.filter(pk=row.pk).update(touched_at=now, requeued=0)
    return created


def seed_drive(row: Submission, line: Line, lab: type[Lab], values: Mapping[str, Any], seed: int) -> Result:
    ctx = Context(seed=seed, assets=assets(), key_space=partial(channel.key_space, row.pk))
    return drive(lab(), parse_params(lab, values), ctx, emit=lambda step: None, cancelled=line.cancelled)


def seeds_reuse(row: Submission, challenge: Challenge) -> None:
    """Takes over what another submission of the very same design has found on the same seeds. Nothing that is measured."""
    if any(assertion.reference_value is not None for assertion in challenge.assertions):
        return
    same = SubmissionSeed.objects.filter(
        submission__design_hash=row.design_hash, submission__lab_version=row.lab_version, submission__challenge=row.challenge
    ).exclude(submission=row)
    known = [*same.filter(stage=1), *same.filter(stage=2, submission__scope=row.scope)]
    there = set(row.seeds.values_list("stage", "number"))
    fresh = {(entry.stage, entry.number): entry for entry in known if (entry.stage, entry.number) not in there}
    SubmissionSeed.objects.bulk_create(
        [
            SubmissionSeed(submission=row, stage=stage, number=number, values=entry.values, notes=entry.notes, ms=0)
            for (stage, number), entry in fresh.items()
        ],
        ignore_conflicts=True,
    )


def results_of(row: Submission, stage: int) -> list[SeedResult]:
    seeds = seeds_of(row, stage)
    return [SeedResult(seeds[entry.number], entry.values, entry.reference, entry.notes) for entry in row.seeds.filter(stage=stage)]


def _verdict_say(row: Submission, challenge: Challenge, now: datetime) -> None:
    grade = judge(challenge, results_of(row, 1), results_of(row, 2) or None)
    submission_close(submission=row, state=State.DONE, now=now, verdict=grade.verdict, grade=grade.plain())


# --- what a lost worker leaves ----------------------------------------------------------------------------------------


def submissions_reap(*, now: datetime) -> int:
    """Sends again for submissions on which nothing happens and whose worker is gone; gives up after a few times. How many it touched.

    While Redis is away, or no worker consumes the queue, nothing is decided: they wait.
    """
    silent = Submission.objects.filter(state__in=ACTIVE, touched_at__lt=now - SILENT)
    try:
        return sum(_reaped(row, now) for row in silent)
    except (redis.RedisError, OperationalError) as error:
        logger.warning("submissions not looked after: %s", error)
        return 0


def _reaped(row: Submission, now: datetime) -> bool:
    client = channel.connection()
    try:
        lab = get_lab(row.problem, row.lab)
    except InvalidInput as error:
        return submission_close(submission=row, state=State.FAILED, error=error.message, now=now)
    if client.exists(channel.alive_key(row.pk)) or not queue_alive(client, queue_of(lab, sweep=True)):
        return False
    if row.requeued >= MOST_REQUEUED:
        return submission_close(submission=row, state=State.FAILED, error=LOST, now=now)
    Submission.objects.filter(pk=row.pk).update(touched_at=now, requeued=row.requeued + 1)
    step_send(row, lab)
    return True

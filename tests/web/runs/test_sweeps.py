from __future__ import annotations

from typing import Any

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.runs import channel
from mlsd_app.runs.models import Run, RunState, Sweep
from mlsd_app.runs.services import RunRefused, run_start
from mlsd_app.runs.sweeps import sweep_cancel, sweep_points, sweep_progress, sweep_start, sweep_values, sweepable
from simulators.errors import InvalidInput
from simulators.lab import Lab
from tests.web.runs.conftest import Queue

pytestmark = pytest.mark.django_db


def over(lab: type[Lab], **options: Any) -> list[float]:
    return sweep_values(lab=lab, **{"field": "n", "low": 1, "high": 9, "points": 5, "scale": "linear", **options})


def test_values_are_spaced_as_asked_and_whole_for_whole_parameters(counter: type[Lab]) -> None:
    assert sweepable(counter) == ["n", "rate"]
    assert over(counter) == [1, 3, 5, 7, 9]
    assert over(counter, high=3) == [1, 2, 3], "each whole number once"
    ratio = over(counter, field="rate", low=0.1, high=100, points=4, scale="log")
    assert ratio == pytest.approx([0.1, 1, 10, 100], rel=1e-5)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"field": "trap"}, "cannot be swept"),
        ({"points": 1}, "expected 2 to"),
        ({"points": 1000}, "expected 2 to"),
        ({"low": 9, "high": 1}, "must be below"),
        ({"low": float("nan")}, "must be below"),
        ({"low": 0, "scale": "log"}, "above 0"),
    ],
)
def test_bad_sweeps_are_refused_in_words(counter: type[Lab], bad: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        over(counter, **bad)


def test_each_value_is_a_run_and_known_ones_are_not_run_again(queue: Queue, user: User, counter: type[Lab]) -> None:
    run_start(user=user, lab=counter, values={"n": 3})
    queue.work()
    sweep = sweep_start(user=user, lab=counter, values={}, field="n", over=over(counter))
    assert [item["queue"] for item in queue.sent] == ["batch"] * 4 and all(item["priority"] == 6 for item in queue.sent)
    progress = sweep_progress(sweep_points(sweep=sweep))
    assert (progress.total, progress.done, progress.active) == (5, 1, 4)
    queue.work()
    points = sweep_points(sweep=sweep)
    assert [run.sweep_value for run in points] == [1, 3, 5, 7, 9]
    assert [run.result.metrics[0]["value"] for run in points if run.result] == [1, 3, 5, 7, 9]


def test_a_value_the_lab_refuses_stops_the_sweep_before_it_begins(queue: Queue, user: User, counter: type[Lab]) -> None:
    with pytest.raises(InvalidInput, match="At n = 2000"):
        sweep_start(user=user, lab=counter, values={}, field="n", over=[1, 2000])
    assert not Sweep.objects.exists() and not Run.objects.exists() and not queue.sent


def test_cancel_stops_waiting_points_at_once_and_keeps_finished_ones(queue: Queue, user: User, counter: type[Lab]) -> None:
    sweep = sweep_start(user=user, lab=counter, values={}, field="n", over=over(counter))
    from mlsd_app.runs.tasks import run_lab_task

    run_lab_task(*queue.sent.pop(0)["args"])
    sweep_cancel(sweep=sweep)
    queue.work()
    states = [run.state for run in sweep_points(sweep=sweep)]
    assert states.count(RunState.DONE) == 1 and states.count(RunState.CANCELLED) == 4


def test_sweeps_are_bounded_and_refused_without_a_worker(queue: Queue, user: User, counter: type[Lab]) -> None:
    for n in (10, 20):
        sweep_start(user=user, lab=counter, values={}, field="n", over=[n, n + 1])
    with pytest.raises(RunRefused, match="most allowed"):
        sweep_start(user=user, lab=counter, values={}, field="n", over=[30, 31])
    channel.connection().delete("loop45:worker:batch")
    with pytest.raises(RunRefused, match="No worker"):
        sweep_start(user=user, lab=counter, values={}, field="n", over=[40, 41])

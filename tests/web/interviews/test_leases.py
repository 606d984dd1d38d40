"""One tab writes at a time; another has to wait 20 s or to take over."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest
from django.test import Client

from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.leases import Lease, Sender, lease_renew, lease_take
from mlsd_app.interviews.models import AnswerOp, Attempt, Event
from mlsd_app.interviews.writes import Reply
from tests.web.interviews.conftest import at

A, B = Sender("a", "Firefox on Linux"), Sender("b", "Safari on iPad")


def take(attempt: Attempt, sender: Sender, seconds: float, *, over: bool = False) -> Lease:
    return lease_take(attempt=attempt, sender=sender, take_over=over, now=at(seconds))


def renew(attempt: Attempt, sender: Sender, epoch: int, seconds: float) -> Lease:
    return lease_renew(attempt=attempt, sender=sender, epoch=epoch, now=at(seconds))


def save(attempt: Attempt, sender: Sender, epoch: int | None, seconds: float, op_id: str) -> Reply:
    return answer_save(
        attempt=attempt,
        field="text/clarify",
        content=f"from {sender.client_id}, {op_id}",
        base_rev=AnswerOp.objects.filter(rev__isnull=False).count(),
        op_id=op_id,
        client_id=sender.client_id,
        client_label=sender.label,
        lease_epoch=epoch,
        now=at(seconds),
    )


def test_the_first_tab_has_it_and_the_second_learns_who(running: Attempt) -> None:
    first = take(running, A, 10)
    second = take(running, B, 29.9)
    assert first.held and not second.held and second.label == A.label and second.epoch == first.epoch


def test_it_runs_out_after_20_s_unless_it_is_renewed(running: Attempt) -> None:
    epoch = take(running, A, 10).epoch
    assert renew(running, A, epoch, 25).held and not take(running, B, 44).held
    assert take(running, B, 45).held


def test_a_save_renews_it(running: Attempt) -> None:
    epoch = take(running, A, 10).epoch
    assert save(running, A, epoch, 25, "1").status == 200 and not take(running, B, 44).held


def test_taking_over_raises_the_epoch_and_locks_the_other_out(running: Attempt) -> None:
    first = take(running, A, 10)
    second = take(running, B, 11, over=True)
    assert second.held and second.epoch > first.epoch and not renew(running, A, first.epoch, 12).held
    reply = save(running, A, first.epoch, 13, "late")
    assert (reply.status, reply.body["code"], reply.body["client_label"]) == (423, "lease_lost", B.label)
    assert list(AnswerOp.objects.values_list("kind", "keyframe")) == [("conflict", "from a, late")]
    assert save(running, B, second.epoch, 14, "2").status == 200


def test_a_copied_tab_goes_by_the_same_name_and_still_only_one_writes(running: Attempt) -> None:
    original, copied = take(running, A, 10), take(running, A, 12)
    assert copied.held and copied.epoch > original.epoch
    assert save(running, A, original.epoch, 13, "1").body["code"] == "lease_lost"
    assert save(running, A, copied.epoch, 13, "2").status == 200


def test_a_tab_whose_lease_ran_out_while_nobody_came_goes_on(running: Attempt) -> None:
    epoch = take(running, A, 10).epoch
    assert renew(running, A, epoch, 500).epoch == epoch  # a laptop that slept
    take(running, B, 600)
    assert save(running, A, epoch, 610, "1").status == 423
    reply = save(running, A, epoch, 700, "2")
    assert reply.status == 200 and reply.body["lease_epoch"] > epoch


def test_a_program_needs_no_epoch_but_waits_for_its_turn(running: Attempt) -> None:
    assert save(running, A, None, 10, "1").status == 200 and save(running, A, None, 11, "2").status == 200
    assert save(running, B, None, 12, "3").status == 423 and save(running, B, None, 40, "4").status == 200


def test_the_log_says_when_another_device_writes(running: Attempt) -> None:
    take(running, A, 10)
    take(running, A, 11)
    take(running, B, 12, over=True)
    labels = [event.data["label"] for event in Event.objects.filter(kind="lease")]
    assert labels == [A.label, B.label]


def test_over_http(mine: Client, running: Attempt) -> None:
    def post(path: str, **body: Any) -> Any:
        return mine.post(f"/interviews/{running.pk}/{path}", json.dumps(body), content_type="application/json").json()

    with patch("django.utils.timezone.now", lambda: at(60)):
        first = post("lease", client_id="a")
        assert first["held"] and first["clock"]["state"] == "running"
        assert post("lease/heartbeat", client_id="a", lease_epoch=first["lease_epoch"])["held"]
        assert not post("lease", client_id="b")["held"] and post("lease", client_id="b", take_over=True)["held"]
        assert not post("lease/heartbeat", client_id="a", lease_epoch=first["lease_epoch"])["held"]
        assert post("lease", client_id="")["code"] == "invalid"


@pytest.mark.parametrize("epoch", [0, 7])
def test_a_heartbeat_with_an_epoch_nobody_gave_gets_nothing_while_the_lease_runs(running: Attempt, epoch: int) -> None:
    take(running, A, 10)
    assert not renew(running, A, epoch, 11).held

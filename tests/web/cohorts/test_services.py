"""Join codes, versions, and beginning what was assigned."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from mlsd_app.accounts.deletion import account_delete
from mlsd_app.accounts.services import guest_create
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.models import AssignedAttempt, Cohort, Membership, Role
from mlsd_app.cohorts.policies import policy_for
from mlsd_app.cohorts.services import accommodations, assignments, begin, codes, cohorts, members
from mlsd_app.cohorts.services.assignments import AssignmentFields, fields_of
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, client_of, mock_fields, person, quiz_fields, reading_fields

HOUR = timedelta(hours=1)


def refused(call: Any, **given: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        call(**given)
    return caught.value


def join(user: Any, code: str, now: Any = NOW, address: str = "") -> Membership:
    return codes.cohort_join(by=By(user, address=address), code=code, now=now)


# --- join codes ------------------------------------------------------------------------------------------------------


def test_codes_are_forty_bits_without_look_alikes() -> None:
    made = {codes.new_code() for _ in range(500)}
    assert len(made) == 500 and all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{8}", code) for code in made)
    assert len(codes.ALPHABET) ** codes.LENGTH == 2**40


def test_a_code_is_read_as_people_write_it(house: House) -> None:
    house.cohort.join_code = "01ABCDEF"
    house.cohort.save()
    for number, text in enumerate(["01abcdef", "01AB-CDEF", " oiab cdef ", "OLab-cdef"]):
        assert join(person(f"p{number}"), text).cohort == house.cohort


def test_wrong_expired_off_and_archived_codes_are_told_apart_for_nobody(house: House) -> None:
    code, stranger = house.cohort.join_code or "", person("p")
    said = [refused(join, user=stranger, code="00000000")]
    for changes in ({"join_expires_at": NOW}, {"join_enabled": False}, {"archived_at": NOW}):
        Cohort.objects.filter(pk=house.cohort.pk).update(**{"join_expires_at": None, "join_enabled": True, "archived_at": None, **changes})
        said.append(refused(join, user=stranger, code=code))
    assert len({(found.code, found.message, found.status) for found in said}) == 1


def test_uses_run_out(house: House) -> None:
    codes.code_edit(by=house.by, cohort=house.cohort, enabled=True, uses_left=1, expires_at=None, now=NOW)
    code, first = house.cohort.join_code or "", person("first")
    join(first, code)
    assert refused(join, user=person("second"), code=code).status == 410
    codes.code_edit(by=house.by, cohort=house.cohort, enabled=True, uses_left=5, expires_at=None, now=NOW)
    assert join(first, code) == Membership.objects.get(cohort=house.cohort, user=first)  # twice is once
    house.cohort.refresh_from_db()
    assert house.cohort.join_uses_left == 5


def test_an_old_code_stops_at_once(house: House) -> None:
    old = house.cohort.join_code or ""
    new = codes.code_rotate(by=house.by, cohort=house.cohort, now=NOW).join_code or ""
    assert refused(join, user=person("p"), code=old).code == "unknown_code"
    assert join(person("q"), new).role == Role.LEARNER


def test_removed_people_and_guests_do_not_join(house: House) -> None:
    code = house.cohort.join_code or ""
    assert refused(join, user=house.people["removed"], code=code).code == "removed"
    assert refused(join, user=guest_create(), code=code).code == "guest"


def test_wrong_codes_are_limited_for_a_person(house: House) -> None:
    user, code = person("p"), house.cohort.join_code or ""
    said = [refused(join, user=user, code="00000000").status for _ in range(6)]
    assert said == [422] * 5 + [429]
    assert refused(join, user=user, code=code).status == 429  # the right one as well: a guess must not pay
    assert join(user, code, now=NOW + timedelta(minutes=1)).user == user


def test_the_address_of_a_refused_code_may_be_opened_again(house: House) -> None:
    client = client_of(person("p"))
    assert client.post("/cohorts/join/", {"code": "00000000"}).status_code == 422
    assert client.get("/cohorts/join/")["Location"] == "/cohorts/"


def test_wrong_codes_are_limited_for_a_network(house: House) -> None:
    for number in range(20):
        refused(join, user=person(f"p{number}"), code="00000000", address="203.0.113.0/24")
    code = house.cohort.join_code or ""
    assert refused(join, user=person("late"), code=code, address="203.0.113.0/24").status == 429
    assert join(person("elsewhere"), code, address="198.51.100.0/24")


def test_right_codes_count_nothing(house: House) -> None:
    for number in range(30):
        join(person(f"p{number}"), house.cohort.join_code or "", address="203.0.113.0/24")
    assert Membership.objects.filter(cohort=house.cohort, joined_via="code").count() == 30


# --- people ----------------------------------------------------------------------------------------------------------


def test_there_is_one_owner(house: House) -> None:
    heir = house.member(house.people["instructor"])
    cohorts.cohort_transfer(by=house.by, cohort=house.cohort, to=heir, now=NOW)
    owners = Membership.objects.filter(cohort=house.cohort, role=Role.OWNER)
    assert [row.user for row in owners] == [house.people["instructor"]]
    assert house.member(house.owner).role == Role.INSTRUCTOR
    with pytest.raises(InvalidInput):
        members.member_role(by=house.by, member=house.member(house.learner), role=Role.OWNER, now=NOW)
    assert refused(members.member_remove, by=house.by, member=house.member(house.people["instructor"]), now=NOW).code == "owner"


def test_a_deleted_owner_leaves_the_cohort_to_be_handed_on(house: House) -> None:
    account_delete(user=house.owner)
    page = client_of(house.people["instructor"]).get(f"/cohorts/{house.cohort.pk}/")
    assert b"Nobody owns this cohort" in page.content
    staff = By(house.people["staff"])
    cohorts.cohort_transfer(by=staff, cohort=house.cohort, to=house.member(house.people["instructor"]), now=NOW)
    assert house.member(house.people["instructor"]).role == Role.OWNER


# --- versions --------------------------------------------------------------------------------------------------------


def test_two_editors_of_an_assignment(house: House) -> None:
    row = house.assignment()
    given = {"by": house.by, "assignment": row, "base_version": 1, "now": NOW}
    assignments.assignment_edit(**given, fields=mock_fields(title="Mine"))
    stale = refused(assignments.assignment_edit, **given, fields=mock_fields(title="Yours"))
    assert (stale.status, stale.extra["version"]) == (409, 2)
    assert stale.extra["diff"] == [{"field": "title", "stored": "Mine", "yours": "Yours"}]


def test_the_page_of_a_conflict_keeps_what_was_typed(house: House) -> None:
    row = house.assignment(reading_fields())
    assignments.assignment_edit(by=house.by, assignment=row, fields=reading_fields(title="First"), base_version=1, now=NOW)
    typed = {"title": "Second", "attempts_allowed": "1", "counts": "best", "audience": "everyone", "show_when": "release", "version": "1"}
    url, client = f"/cohorts/{house.cohort.pk}/assignments/{row.pk}/edit/", client_of(house.owner)
    answer = client.post(url, {**typed, "show_questions": "on", "show_score": "on", "say_present": "on"})
    assert answer.status_code == 409 and b"First" in answer.content and b'value="Second"' in answer.content
    assert b'name="version" value="2"' in answer.content
    assert client.post(url, {**typed, "version": "2"}).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.version) == ("Second", 3)


def test_an_edit_after_the_first_start_is_shown_before_it_is_saved(house: House) -> None:
    row = house.assignment(reading_fields())
    begin.assignment_begin(user=house.learner, assignment=row, now=NOW)
    typed = {"title": "Second", "attempts_allowed": "2", "counts": "best", "audience": "everyone", "show_when": "release", "version": "1"}
    url, client = f"/cohorts/{house.cohort.pk}/assignments/{row.pk}/edit/", client_of(house.owner)
    answer = client.post(url, {**typed, "show_questions": "on", "show_score": "on", "say_present": "on"})
    assert b"Somebody has begun already" in answer.content
    row.refresh_from_db()
    assert row.title == "A text"
    assert client.post(url, {**typed, "confirmed": "1"}).status_code == 302


@pytest.mark.parametrize(
    "changes",
    [
        {"opens_at": NOW, "due_at": NOW - HOUR},
        {"due_at": NOW, "closes_at": NOW - HOUR},
        {"show_questions": False},
        {"everyone": False},
        {"attempts_allowed": 0},
        {"late_steps": [{"until_h": 5, "credit": 1}, {"until_h": 4, "credit": 1}]},
    ],
)
def test_fields_that_do_not_fit_together(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        mock_fields(**changes)


def test_a_copy_moves_every_date_and_is_a_draft(house: House) -> None:
    row = house.assignment(mock_fields(opens_at=NOW, due_at=NOW + HOUR, everyone=False, people=[house.member(house.learner).pk]))
    made = assignments.assignment_copy(by=house.by, assignment=row, to=house.elsewhere, shift_days=7, now=NOW)
    assert (made.opens_at, made.due_at) == (NOW + timedelta(days=7), NOW + HOUR + timedelta(days=7))
    assert made.published_at is None and made.everyone and made.salt != row.salt


# --- beginning -------------------------------------------------------------------------------------------------------


def begun(house: House, fields: AssignmentFields | None = None, now: Any = NOW) -> AssignedAttempt:
    return begin.assignment_begin(user=house.learner, assignment=house.assignment(fields), now=now)


def test_a_mock_is_begun_with_what_holds_for_the_person(house: House) -> None:
    label = cohorts.label_add(by=house.by, cohort=house.cohort, name="Day", now=NOW)
    members.member_labels(by=house.by, member=house.member(house.learner), labels=[label], now=NOW)
    row = house.assignment(mock_fields(closes_at=NOW + 9 * HOUR, settings={"mode": "strict", "overdue": "grace", "level": "staff"}))
    set_for = {"by": house.by, "now": NOW}
    accommodations.accommodation_set(**set_for, cohort=house.cohort, label=label, fields={"multiplier": 1.5, "hide_timer": True})
    accommodations.accommodation_set(**set_for, cohort=house.cohort, user=house.learner, fields={"multiplier": 2, "break_s": 300})
    accommodations.override_set(**set_for, assignment=row, label=label, fields={"multiplier": 3, "extra_time_min": 5})
    made = begin.assignment_begin(user=house.learner, assignment=row, now=NOW)
    attempt = made.attempt
    assert attempt is not None
    assert (attempt.multiplier, attempt.extra_s, attempt.pause_policy["break_s"]) == (2, 300, 300)
    assert attempt.accommodation["hide_timer"] is True
    assert (attempt.kind, attempt.mode, attempt.level, attempt.overdue_policy) == ("assigned", "strict", "staff", "grace")
    assert (attempt.board, attempt.closes_at) == (f"cohort:{house.cohort.pk}", NOW + 9 * HOUR)
    assert made.policy["sources"]["multiplier"] == "accommodation of the person"
    assert made.policy["sources"]["extra_s"] == "label Day"


def test_hidden_facts_are_the_same_for_all_or_drawn(house: House) -> None:
    same, own = house.assignment(), house.assignment(mock_fields(problem="rag", settings={"facts_seed": "person"}))
    people = (house.learner, house.other_learner)
    seeds = [[begin.assignment_begin(user=user, assignment=row, now=NOW).attempt.seed for user in people] for row in (same, own)]  # type: ignore[union-attr]
    assert seeds[0][0] == seeds[0][1] and seeds[1][0] != seeds[1][1]


def test_beginning_twice_is_once_until_it_is_over(house: House) -> None:
    row = house.assignment(mock_fields(attempts_allowed=2))
    first = begin.assignment_begin(user=house.learner, assignment=row, now=NOW)
    assert begin.assignment_begin(user=house.learner, assignment=row, now=NOW) == first
    Attempt.objects.filter(pk=first.attempt_id).update(status=Status.GRADED, closed_at=NOW)
    second = begin.assignment_begin(user=house.learner, assignment=row, now=NOW + HOUR)
    assert (second.number, second.attempt_id != first.attempt_id) == (2, True)
    Attempt.objects.filter(pk=second.attempt_id).update(status=Status.GRADED, closed_at=NOW)
    assert refused(begin.assignment_begin, user=house.learner, assignment=row, now=NOW + HOUR).code == "no_attempts_left"
    Attempt.objects.filter(pk=second.attempt_id).update(status=Status.VOID)  # a void try is given back
    assert begin.assignment_begin(user=house.learner, assignment=row, now=NOW + HOUR).number == 3


def test_the_window_is_the_persons_own(house: House) -> None:
    row = house.assignment(mock_fields(opens_at=NOW + HOUR, closes_at=NOW + 2 * HOUR))
    early = refused(begin.assignment_begin, user=house.learner, assignment=row, now=NOW)
    assert (early.code, early.status, early.extra["opens_at"]) == ("window", 403, NOW + HOUR)
    assert refused(begin.assignment_begin, user=house.learner, assignment=row, now=NOW + 3 * HOUR).code == "window"
    fields = {"closes_at": NOW + 4 * HOUR}
    accommodations.override_set(by=house.by, assignment=row, user=house.learner, fields=fields, now=NOW)
    assert begin.assignment_begin(user=house.learner, assignment=row, now=NOW + 3 * HOUR).attempt is not None
    assert refused(begin.assignment_begin, user=house.other_learner, assignment=row, now=NOW + 3 * HOUR).code == "window"


def test_an_accommodation_holds_in_its_time_only(house: House) -> None:
    row = house.assignment()
    given = {"by": house.by, "cohort": house.cohort, "user": house.learner, "fields": {"multiplier": 2}, "now": NOW}
    accommodations.accommodation_set(**given, valid_from=NOW, valid_to=NOW + HOUR)
    held = [policy_for(assignment=row, user=house.learner, now=now).multiplier for now in (NOW - HOUR, NOW, NOW + HOUR)]
    assert held == [1, 2, 1]


def test_a_quiz_is_the_same_for_all_and_counts_its_tries(house: House) -> None:
    row = house.assignment(quiz_fields())
    first, second = (begin.assignment_begin(user=user, assignment=row, now=NOW) for user in (house.learner, house.other_learner))
    asked = [[item["item"] for item in made.sitting.items] for made in (first, second)]  # type: ignore[union-attr]
    assert asked[0] == asked[1] and len(asked[0]) == 3
    assert first.sitting and first.sitting.kind == "assigned" and not first.sitting.schedules


def test_nothing_is_begun_in_an_archived_cohort(house: House) -> None:
    row = house.assignment()
    cohorts.cohort_archive(by=house.by, cohort=house.cohort, archived=True, now=NOW)
    row.refresh_from_db()
    assert refused(begin.assignment_begin, user=house.learner, assignment=row, now=NOW).code == "archived"


def test_an_edit_leaves_what_is_begun_alone(house: House) -> None:
    row = house.assignment(mock_fields(settings={"mode": "strict"}))
    made = begin.assignment_begin(user=house.learner, assignment=row, now=NOW)
    fields = AssignmentFields.model_validate({**fields_of(row), "settings": {"mode": "soft"}})
    assignments.assignment_edit(by=house.by, assignment=row, fields=fields, base_version=1, now=NOW)
    assert Attempt.objects.get(pk=made.attempt_id).mode == "strict"


def test_deletion_archives_what_was_begun(house: House) -> None:
    empty, used = house.assignment(), begun(house, reading_fields()).assignment
    assert assignments.assignment_delete(by=house.by, assignment=empty, now=NOW) is None
    kept = assignments.assignment_delete(by=house.by, assignment=used, now=NOW)
    assert kept is not None and kept.archived_at == NOW
    assert refused(cohorts.cohort_delete, by=house.by, cohort=house.cohort, now=NOW).code == "has_attempts"


def test_a_deleted_learner_takes_the_tries_along(house: House) -> None:
    made = begun(house)
    account_delete(user=house.learner)
    assert not AssignedAttempt.objects.filter(pk=made.pk).exists()
    assert not Attempt.objects.filter(pk=made.attempt_id).exists()


def test_handing_in_closes_a_reading(house: House) -> None:
    made = begun(house, reading_fields())
    done = begin.assignment_hand_in(user=house.learner, row=made, now=NOW + HOUR)
    assert done.finished_at == NOW + HOUR
    assert begin.assignment_hand_in(user=house.learner, row=made, now=NOW + 2 * HOUR).finished_at == NOW + HOUR

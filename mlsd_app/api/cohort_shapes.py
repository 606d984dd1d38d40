"""Shapes of requests and answers about cohorts."""

from __future__ import annotations

from rest_framework import serializers as s

from mlsd_app.api.serializers import Page, whole
from mlsd_app.cohorts.models import Assignment, Kind, Role
from mlsd_app.cohorts.services.csv_import import MOST_BYTES

LAST_ID = 2**63 - 1
ROLES = [(role.value, role.label) for role in Role if role != Role.OWNER]


class Paged(s.Serializer):  # type: ignore[type-arg]
    count = s.IntegerField()
    next = s.CharField(allow_null=True)
    previous = s.CharField(allow_null=True)


class CohortRequest(s.Serializer):  # type: ignore[type-arg]
    name = s.CharField(max_length=120)
    timezone = s.CharField(max_length=64, default="UTC", help_text="Such as Europe/Berlin.")


class CohortPatch(s.Serializer):  # type: ignore[type-arg]
    version = whole(1, LAST_ID, help_text="As you read it; 409 when somebody saved since.")
    name = s.CharField(max_length=120, required=False)
    timezone = s.CharField(max_length=64, required=False)
    archived = s.BooleanField(required=False)


class JoinRequest(s.Serializer):  # type: ignore[type-arg]
    code = s.CharField(max_length=20)


class CohortAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    name = s.CharField()
    timezone = s.CharField()
    version = s.IntegerField()
    role = s.CharField(help_text="Yours in it; staff for site staff who are no member.")
    learners = s.IntegerField()
    archived_at = s.DateTimeField(allow_null=True)
    join_code = s.CharField(allow_null=True, help_text="Only for owner and instructors.")


class CohortPage(Paged):
    results = CohortAnswer(many=True)


# --- people ----------------------------------------------------------------------------------------------------------


class MemberRequest(s.Serializer):  # type: ignore[type-arg]
    person = s.CharField(max_length=254, help_text="User name or e-mail address.")
    role = s.ChoiceField(choices=ROLES, default=Role.LEARNER.value, help_text="Others than learner only by the owner.")
    labels = s.ListField(child=s.CharField(max_length=40), max_length=50, default=list, help_text="Names of labels of the cohort.")


class MemberPatch(s.Serializer):  # type: ignore[type-arg]
    role = s.ChoiceField(choices=ROLES, required=False, help_text="Only by the owner.")
    labels = s.ListField(child=s.CharField(max_length=40), max_length=50, required=False, help_text="Exactly these from now on.")


class MemberAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    user = s.IntegerField()
    name = s.CharField()
    role = s.CharField()
    labels = s.ListField(child=s.CharField())
    joined_at = s.DateTimeField()
    removed_at = s.DateTimeField(allow_null=True)


class MemberPage(Paged):
    results = MemberAnswer(many=True)


class ImportRequest(s.Serializer):  # type: ignore[type-arg]
    csv = s.CharField(max_length=MOST_BYTES, trim_whitespace=False, help_text="email,name,labels; labels parted by semicolons.")
    dry_run = s.BooleanField(default=True, help_text="Only says what would be done.")


class ImportRow(s.Serializer):  # type: ignore[type-arg]
    line = s.IntegerField()
    email = s.CharField()
    name = s.CharField()
    labels = s.ListField(child=s.CharField())


class ImportAnswer(s.Serializer):  # type: ignore[type-arg]
    written = s.BooleanField()
    new = ImportRow(many=True)
    already_in = ImportRow(many=True)
    new_labels = s.ListField(child=s.CharField())


# --- assignments -----------------------------------------------------------------------------------------------------


class LateStep(s.Serializer):  # type: ignore[type-arg]
    until_h = s.FloatField(help_text="Hours after due.")
    credit = s.FloatField(help_text="What the score is multiplied by, 0 to 1.")


class AssignmentPatch(s.Serializer):  # type: ignore[type-arg]
    """Values are checked by the service; here stand their types."""

    title = s.CharField(max_length=120, required=False)
    brief = s.CharField(max_length=10_000, required=False, allow_blank=True, trim_whitespace=False, help_text="Markdown.")
    kind = s.ChoiceField(choices=Kind.choices, required=False)
    problem = s.CharField(max_length=64, required=False)
    settings = s.DictField(required=False, help_text="What the kind lets one choose; see the panel's documentation.")
    opens_at = s.DateTimeField(required=False, allow_null=True)
    due_at = s.DateTimeField(required=False, allow_null=True)
    closes_at = s.DateTimeField(required=False, allow_null=True)
    late_steps = LateStep(many=True, required=False)
    attempts_allowed = whole(1, 20, required=False)
    counts = s.ChoiceField(choices=Assignment._meta.get_field("counts").choices or (), required=False)
    everyone = s.BooleanField(required=False)
    group_labels = s.ListField(child=whole(1, LAST_ID), required=False, help_text="Ids of labels.")
    people = s.ListField(child=whole(1, LAST_ID), required=False, help_text="Ids of memberships.")
    show_questions = s.BooleanField(required=False)
    show_score = s.BooleanField(required=False)
    show_when = s.ChoiceField(choices=Assignment._meta.get_field("show_when").choices or (), required=False)
    say_present = s.BooleanField(required=False)


class AssignmentRequest(AssignmentPatch):
    title = s.CharField(max_length=120)
    kind = s.ChoiceField(choices=Kind.choices)
    problem = s.CharField(max_length=64)


class AssignmentEdit(AssignmentPatch):
    version = whole(1, LAST_ID, help_text="As you read it; 409, with what differs, when somebody saved since.")
    published = s.BooleanField(required=False)


class AssignmentAnswer(AssignmentRequest):
    id = s.IntegerField()
    cohort = s.IntegerField()
    version = s.IntegerField()
    state = s.CharField(help_text="draft, scheduled, open, due, closed or archived.")
    published_at = s.DateTimeField(allow_null=True)
    archived_at = s.DateTimeField(allow_null=True)


class AssignmentPage(Paged):
    results = AssignmentAnswer(many=True)


class CopyRequest(s.Serializer):  # type: ignore[type-arg]
    to = whole(1, LAST_ID, help_text="Id of the cohort; a draft is made there.")
    shift_days = whole(-3650, 3650, default=0)


class OverrideRequest(s.Serializer):  # type: ignore[type-arg]
    user = whole(1, LAST_ID, required=False, allow_null=True, help_text="Id of a user who is in the cohort, or")
    label = s.CharField(max_length=40, required=False, allow_null=True, help_text="the name of a label.")  # type: ignore[assignment]
    set = s.DictField(help_text="extra_time_min, multiplier, extra_attempts, opens_at, due_at, closes_at; an empty one takes it away.")


class OverrideAnswer(s.Serializer):  # type: ignore[type-arg]
    user = s.IntegerField(allow_null=True)
    label = s.CharField(allow_null=True)  # type: ignore[assignment]
    set = s.DictField()


class AccommodationRequest(OverrideRequest):
    set = s.DictField(
        help_text="multiplier, extra_s, break_s, extra_attempts, hide_timer, no_low_time_alerts, reduced_motion, keyboard_canvas; "
        "an empty one takes it away."
    )
    valid_from = s.DateTimeField(required=False, allow_null=True)
    valid_to = s.DateTimeField(required=False, allow_null=True)


class AccommodationAnswer(OverrideAnswer):
    valid_from = s.DateTimeField(allow_null=True)
    valid_to = s.DateTimeField(allow_null=True)


# --- log -------------------------------------------------------------------------------------------------------------


class AuditFilter(Page):
    limit = whole(1, 100, default=100, help_text="How many entries to answer with.")
    action = s.CharField(max_length=40, default="", help_text="Only these, such as member.add.")


class AuditAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    at = s.DateTimeField()
    actor = s.IntegerField(allow_null=True, help_text="null: the account was deleted.")
    role = s.CharField()
    action = s.CharField()
    object_type = s.CharField()
    object_id = s.CharField()
    before = s.DictField()
    after = s.DictField()
    reason = s.CharField()
    request_id = s.CharField()
    address = s.CharField(help_text="The network only.")


class AuditPage(Paged):
    results = AuditAnswer(many=True)

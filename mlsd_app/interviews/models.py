"""What is kept of timed mock interviews. Times are UTC; `active_ms` counts milliseconds of active time since the start.

What happens inside an open attempt (phase, pause, overtime) is not stored: `clock.phase_at` says it from stops, adjusts and moves.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Status(models.TextChoices):
    READY = "ready", "Not started"
    OPEN = "open", "Running"
    CLOSED = "closed", "Closed"
    GRADING = "grading", "Being graded"
    GRADED = "graded", "Graded"
    RELEASED = "released", "Released"
    VOID = "void", "Void"


class Reason(models.TextChoices):
    SUBMITTED = "submitted", "Submitted"
    TIMED_OUT = "timed_out", "Time was up"
    WINDOW = "window", "The window closed"
    ABANDONED = "abandoned", "Abandoned"
    STAFF = "staff", "Ended by staff"


LIVE = (Status.READY, Status.OPEN)
SCORE_IS_OUT = models.Q(attempt__status=Status.RELEASED, attempt__show_score=True)


class Attempt(models.Model):
    """One person's sitting of one problem."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="attempts")
    problem = models.CharField(max_length=64)
    reattempt_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reattempts")
    kind = models.CharField(max_length=16, choices=[("mock", "Mock"), ("assigned", "Assigned")], default="mock")
    show = models.CharField(max_length=16, choices=[("study", "Study"), ("real", "Real")], default="real")
    level = models.CharField(max_length=16, choices=[("mid", "Mid"), ("senior", "Senior"), ("staff", "Staff")], default="senior")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.READY)
    reason = models.CharField(max_length=16, choices=Reason.choices, blank=True)

    # the plan, frozen at start
    preset = models.CharField(max_length=32, default="five_phase")
    phases = models.JSONField()  # [{"key", "title", "budget_s", "tags": [...]}]
    plan_stated = models.BooleanField(default=False)  # edited or confirmed in the lobby
    mode = models.CharField(max_length=8, choices=[("soft", "Soft"), ("strict", "Strict"), ("free", "Free")], default="soft")
    multiplier = models.FloatField(default=1.0)
    extra_s = models.PositiveIntegerField(default=0)
    pause_policy = models.JSONField(default=dict, blank=True)  # {"count": n | null, "cap_s": s | null, "hide_text": bool, "break_s": s}
    overdue_policy = models.CharField(
        max_length=16, choices=[("autosubmit", "Submit"), ("grace", "Late text"), ("abandon", "Abandon")], default="autosubmit"
    )
    overtime_s = models.PositiveIntegerField(default=0)
    net_grace_s = models.PositiveIntegerField(default=30)
    accommodation = models.JSONField(default=dict, blank=True)  # resolved and frozen: hide_timer, no_low_time_alerts, ...
    seed = models.PositiveIntegerField(default=0)

    # the content as it was at start
    content = models.JSONField(default=dict, blank=True)  # {"interviewer": ..., "rubric": ..., "values": {fact: value}}
    content_hash = models.CharField(max_length=64, blank=True)
    rubric_version = models.PositiveIntegerField(default=0)
    lab_versions = models.JSONField(default=dict, blank=True)  # {lab: version}

    # when
    opens_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)  # the true moment, never the sweep's
    processed_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    next_check_at = models.DateTimeField(null=True, blank=True, db_index=True)  # null: nothing due
    grading_needed = models.BooleanField(default=False)
    grading_claimed_at = models.DateTimeField(null=True, blank=True)
    accepted_late = models.BooleanField(default=False)  # staff lets an abandoned attempt, or late text, be graded
    clock_seq = models.PositiveIntegerField(default=0)  # rises with every stop, adjust and move

    # the tab that may write
    lease_client = models.CharField(max_length=40, blank=True)
    lease_label = models.CharField(max_length=80, blank=True)
    lease_epoch = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)

    # set by whoever assigned it
    board = models.CharField(max_length=64, blank=True)  # Redis stream a live board reads, such as "cohort:<id>"
    curveballs = models.CharField(
        max_length=16, choices=[("auto", "Automatic"), ("staff", "Sent by staff"), ("both", "Both")], default="both"
    )
    show_questions = models.BooleanField(default=True)  # after closing
    show_score = models.BooleanField(default=True)

    export_exclude = ("content",)  # holds what the interviewer tells only when asked

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["user", "problem", "status"], name="attempt_by_user"),
            models.Index(fields=["grading_needed", "grading_claimed_at"], name="attempt_to_grade"),
        ]

    def __str__(self) -> str:
        return f"{self.problem} {self.id}"

    @property
    def live(self) -> bool:
        return self.status in LIVE


# --- the clock -------------------------------------------------------------------------------------------------------


class Stop(models.Model):
    """An interval in which the clock stands: it may lie in the past (a credited outage) and may be open."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="stops")
    kind = models.CharField(max_length=16)  # clock.StopKind
    begin = models.DateTimeField()
    end = models.DateTimeField(null=True, blank=True)
    cap_s = models.PositiveIntegerField(null=True, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["begin", "pk"]

    def __str__(self) -> str:
        return f"{self.kind} from {self.begin:%H:%M:%S}"


class Adjust(models.Model):
    """Seconds given or taken from a phase on; `seconds` is what was effective when it was granted."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="adjusts")
    from_phase = models.PositiveIntegerField(default=0)
    seconds = models.IntegerField()
    asked = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.seconds:+d} s from phase {self.from_phase}"


class Move(models.Model):
    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="moves")
    at = models.DateTimeField()
    from_phase = models.PositiveIntegerField()
    to_phase = models.PositiveIntegerField()
    by = models.CharField(max_length=8, choices=[("user", "Candidate"), ("staff", "Staff")], default="user")

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.from_phase} to {self.to_phase}"


# --- what the candidate writes ---------------------------------------------------------------------------------------


class Answer(models.Model):
    """One field as it stands: `text/<phase key>` holds Markdown, `row/<list>/<key>` canonical JSON; deleted is None."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="answers")
    field = models.CharField(max_length=120)
    rev = models.PositiveIntegerField(default=0)
    content = models.TextField(null=True, blank=True)  # noqa: DJ001 - None is a deleted row, "" an emptied text
    late = models.CharField(max_length=8, choices=[("no", "In time"), ("net", "In the net grace"), ("late", "Late")], default="no")
    late_content = models.TextField(blank=True)  # arrived after the close; graded only if staff accept it
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["field"]
        constraints = [models.UniqueConstraint(fields=["attempt", "field"], name="answer_once_per_field")]

    def __str__(self) -> str:
        return f"{self.field} at revision {self.rev}"


class AnswerOp(models.Model):
    """One write that reached the server, also one that lost. `splice` is [position, deleted, inserted] on the revision before;
    `keyframe` the whole text, every 25 revisions and where no splice applies."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="ops")
    field = models.CharField(max_length=120)
    op_id = models.CharField(max_length=40)
    client_id = models.CharField(max_length=40, blank=True)
    client_label = models.CharField(max_length=80, blank=True)
    after = models.CharField(max_length=40, blank=True)  # op_id of an earlier write of the same page that this one replaces
    base_rev = models.PositiveIntegerField()
    rev = models.PositiveIntegerField(null=True, blank=True)  # None: it did not become the text
    code = models.PositiveSmallIntegerField(default=200)  # HTTP status it was answered with
    reply = models.JSONField(default=dict, blank=True)
    digest = models.CharField(max_length=64)  # SHA-256 of what was sent
    kind = models.CharField(max_length=16)  # save, conflict, dropped, late, restore
    at = models.DateTimeField()
    active_ms = models.PositiveBigIntegerField(default=0)
    splice = models.JSONField(null=True, blank=True)
    keyframe = models.TextField(null=True, blank=True)  # noqa: DJ001 - None: see splice

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["attempt", "op_id"], name="answer_op_once")]
        indexes = [models.Index(fields=["attempt", "field", "rev"], name="answer_op_by_rev")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.field} on {self.base_rev}"


class Event(models.Model):
    """What happened, in order; never changed afterwards."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    active_ms = models.PositiveBigIntegerField(default=0)
    phase = models.CharField(max_length=32, blank=True)
    kind = models.CharField(max_length=40)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    online = models.BooleanField(default=True)  # False: found by the sweep
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["attempt", "seq"]
        constraints = [models.UniqueConstraint(fields=["attempt", "seq"], name="event_seq_once")]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"


class RunLink(models.Model):
    """An ordinary run made inside an attempt. `number` is what the text calls it: [run 7]."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="runlinks")
    run = models.ForeignKey("runs.Run", on_delete=models.CASCADE, related_name="+")
    number = models.PositiveIntegerField()
    phase = models.CharField(max_length=32)
    active_ms = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField()
    pinned = models.BooleanField(default=False)
    pinned_ms = models.PositiveBigIntegerField(null=True, blank=True)
    label = models.CharField(max_length=80, blank=True)
    curveball = models.ForeignKey("Curveball", null=True, blank=True, on_delete=models.SET_NULL, related_name="runlinks")
    prediction = models.JSONField(null=True, blank=True)  # {"metric", "lower", "upper"} said before the run

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["attempt", "run"], name="runlink_once"),
            models.UniqueConstraint(fields=["attempt", "number"], name="runlink_number_once"),
        ]

    def __str__(self) -> str:
        return f"run {self.number} of {self.attempt_id}"


class Claim(models.Model):
    """A marked sentence and the run that should bear it out. `verdict` is kept from the start and shown when the mode allows."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="claims")
    field = models.CharField(max_length=120)
    quote = models.TextField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    metric = models.CharField(max_length=120, blank=True)
    op = models.CharField(max_length=8, blank=True)  # <=, >=, =, about
    value = models.FloatField(null=True, blank=True)
    unit = models.CharField(max_length=32, blank=True)
    conditions = models.JSONField(default=dict, blank=True)
    run = models.ForeignKey(RunLink, null=True, blank=True, on_delete=models.SET_NULL, related_name="claims")
    verdict = models.CharField(max_length=24, default="untested")
    reason = models.TextField(blank=True)
    by = models.CharField(max_length=8, choices=[("user", "Candidate"), ("auto", "Found in the text")], default="user")
    at = models.DateTimeField()

    export_when = SCORE_IS_OUT

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.verdict}: {self.quote[:40]}"


class Curveball(models.Model):
    """One event of the interview and how the design came through it. `content` is the curveball as the problem declares it."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="curveball_rows")
    key = models.CharField(max_length=64)
    phase = models.CharField(max_length=32)
    text = models.TextField()
    shown_at = models.DateTimeField()
    active_ms = models.PositiveBigIntegerField(default=0)
    lab = models.CharField(max_length=64, blank=True)  # "": argued, not run
    base = models.ForeignKey(RunLink, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    broken = models.ForeignKey(RunLink, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    recovery = models.ForeignKey(RunLink, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    params = models.JSONField(default=dict, blank=True)  # parameters after the patch
    locked = models.JSONField(default=dict, blank=True)  # {param: value} that stay
    within_s = models.FloatField(default=0)
    recovered_at = models.DateTimeField(null=True, blank=True)
    recovered_ms = models.PositiveBigIntegerField(null=True, blank=True)
    runs_used = models.PositiveIntegerField(default=0)
    state = models.CharField(
        max_length=12, choices=[("active", "Active"), ("recovered", "Recovered"), ("missed", "Missed")], default="active"
    )
    sent_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["shown_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["attempt", "key"], name="curveball_once")]

    def __str__(self) -> str:
        return f"{self.key}: {self.state}"


# --- the score -------------------------------------------------------------------------------------------------------


class ScoreState(models.TextChoices):
    AUTO = "auto", "Graded by rule"
    HUMAN = "human", "Graded by a person"
    AI = "ai", "Graded by a model"
    UNGRADED = "ungraded", "Not graded"


class ItemScore(models.Model):
    """One mark of one rubric item by one judge. All rows stay; `superseded_by` points to the one that holds instead."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="item_scores")
    item_id = models.CharField(max_length=80)
    rubric_version = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=ScoreState.choices)
    points = models.FloatField(null=True, blank=True)
    max = models.FloatField()
    grader = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    evidence = models.JSONField(default=list, blank=True)  # [{"kind": "quote" | "run" | "event" | "row", "ref", "text", "active_ms"}]
    comment = models.TextField(blank=True)
    error = models.TextField(blank=True)  # for staff: why the rule could not say
    superseded_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="supersedes")
    at = models.DateTimeField(auto_now_add=True)

    export_when = SCORE_IS_OUT

    class Meta:
        ordering = ["item_id", "pk"]
        indexes = [models.Index(fields=["attempt", "rubric_version"], name="item_score_by_attempt")]

    def __str__(self) -> str:
        return f"{self.item_id}: {self.points} of {self.max} ({self.state})"


class SignalLevel(models.Model):
    """0 "not shown", 1 weak to 4 strong; None is not judged."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="signal_levels")
    signal = models.CharField(max_length=40)
    rubric_version = models.PositiveIntegerField(default=0)
    level = models.PositiveSmallIntegerField(null=True, blank=True)
    state = models.CharField(max_length=12, choices=ScoreState.choices)
    grader = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    evidence = models.JSONField(default=list, blank=True)
    comment = models.TextField(blank=True)
    superseded_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="supersedes")
    at = models.DateTimeField(auto_now_add=True)

    export_when = SCORE_IS_OUT

    class Meta:
        ordering = ["signal", "pk"]

    def __str__(self) -> str:
        return f"{self.signal}: {self.level}"


class SelfAssessment(models.Model):
    """The candidate's own level of a signal, or of a text item; `before_reveal` says that the scorecard was still closed."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="self_assessments")
    subject = models.CharField(max_length=80)  # "signal:<key>" or "item:<id>"
    level = models.PositiveSmallIntegerField()
    before_reveal = models.BooleanField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["subject"]
        constraints = [models.UniqueConstraint(fields=["attempt", "subject"], name="self_assessment_once")]

    def __str__(self) -> str:
        return f"{self.subject}: {self.level}"


class Verdict(models.Model):
    """The outcome under one rubric and one rule version; the newest is the one that counts."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="verdicts")
    rubric_version = models.PositiveIntegerField(default=0)
    rule_version = models.PositiveIntegerField()
    level = models.CharField(max_length=16)
    verdict = models.CharField(max_length=24, blank=True)  # "": not enough graded
    score = models.FloatField(null=True, blank=True)
    graded_weight = models.FloatField(default=0)
    state = models.CharField(max_length=12, choices=ScoreState.choices)
    gates = models.JSONField(default=list, blank=True)  # caps that bit, in words
    by_tag = models.JSONField(default=dict, blank=True)  # {tag: {"points", "max", "weight", "graded_weight"}}
    at = models.DateTimeField(auto_now=True)

    export_when = SCORE_IS_OUT

    class Meta:
        ordering = ["-rubric_version", "-pk"]
        constraints = [models.UniqueConstraint(fields=["attempt", "rubric_version", "rule_version"], name="verdict_once")]

    def __str__(self) -> str:
        return self.verdict or "not enough graded"

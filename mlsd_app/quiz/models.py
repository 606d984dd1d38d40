"""What the quiz keeps. Items live in problems/<slug>/quiz.yaml; rows name them by (problem_slug, item_id, rev)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Instance(models.Model):
    """One lab question with its numbers: the settings asked about and the truth that runs of the lab gave for them.

    Never changed after it was made. It serves as long as `rev` is the item's and `lab_version` the lab's; an answer keeps the
    instance it was given to. Rows with `usable` False say in `reason` why these settings make no question, so that they are not
    run again.
    """

    key = models.CharField(max_length=64, unique=True)  # SHA-256 of item, rev, lab, version, params and seeds
    problem_slug = models.CharField(max_length=64)
    item_id = models.CharField(max_length=128)
    rev = models.PositiveIntegerField()
    lab = models.CharField(max_length=64)
    lab_version = models.PositiveIntegerField()
    params = models.JSONField()  # the drawn values: of a direction or value question one setting, else what all settings share
    seeds = models.JSONField()  # the lab's seeds the truth was computed with
    options = models.JSONField(default=list)  # [{"label", "params"}]: the settings, in the order they were drawn
    truth = models.JSONField(default=dict)  # see mlsd_app.quiz.instances
    run_keys = models.JSONField(default=list)  # cache keys of the runs, one a setting, first seed
    usable = models.BooleanField()
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["problem_slug", "item_id", "lab_version", "usable"], name="instance_by_item")]

    def __str__(self) -> str:
        return f"{self.item_id} {self.key[:12]}"


# --- a person's plan and cards ---------------------------------------------------------------------------------------


class Plan(models.Model):
    """How much somebody wants to do until when. `scope` [] means the problems they have started."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quiz_plan")
    interview_date = models.DateField(null=True, blank=True)  # in `timezone`
    minutes_a_day = models.PositiveSmallIntegerField(default=20)
    new_limit = models.PositiveSmallIntegerField(null=True, blank=True)  # new cards a day; None: what the date asks for
    desired_retention = models.FloatField(default=0.9)
    scope = models.JSONField(default=list, blank=True)  # problem slugs
    timezone = models.CharField(max_length=64, default="UTC")
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"quiz plan of user {self.user_id}"


class CardState(models.TextChoices):
    NEW = "new", "Not seen yet"
    ACTIVE = "active", "In review"
    SUSPENDED = "suspended", "Suspended"
    RETIRED = "retired", "No longer in the bank"


class Source(models.TextChoices):
    BANK = "bank", "From the problem's questions"
    MOCK = "mock", "Missed in a mock"
    PREDICTION = "prediction", "Mispredicted in a lab"
    DRILL = "drill", "A drill that failed"
    READINESS = "readiness", "From the readiness check"
    INSTRUCTOR = "instructor", "Given by an instructor"


CARD_PROGRESS = (
    *("state", "fsrs", "due", "due_effective", "last_review", "stability"),
    *("learning", "reviews", "last_mark", "sure_and_wrong"),
)


class Card(models.Model):
    """One item as one person knows it. `fsrs` is the library's card; the columns beside it are what queries need of it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quiz_cards")
    problem_slug = models.CharField(max_length=64)
    item_id = models.CharField(max_length=128)
    state = models.CharField(max_length=16, choices=CardState.choices, default=CardState.NEW)
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.BANK)
    source_ref = models.CharField(max_length=120, blank=True)  # "attempt:<id>", "run:<id>", ...
    fsrs = models.JSONField(default=dict, blank=True)  # {} until the first review
    due = models.DateTimeField(db_index=True)
    due_effective = models.DateTimeField(db_index=True)  # `due`, or earlier so that it is seen before the interview
    last_review = models.DateTimeField(null=True, blank=True)
    stability = models.FloatField(null=True, blank=True)  # days, as in `fsrs`
    learning = models.BooleanField(default=False)  # in the steps of minutes, not yet of days
    reviews = models.PositiveIntegerField(default=0)
    last_mark = models.FloatField(null=True, blank=True)
    sure_and_wrong = models.BooleanField(default=False)  # at the last answer
    buried_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["user", "problem_slug", "item_id"], name="quiz_card_once_per_user")]

    def __str__(self) -> str:
        return f"{self.item_id} of user {self.user_id}"

    @property
    def key(self) -> tuple[str, str]:
        return self.problem_slug, self.item_id

    def merge_guest_row(self, existing: Card) -> None:
        """The card that got further stays; of two equally far ones the one that was seen last. A new card knows nothing."""
        existing.buried_until = None
        if (self.reviews, self.last_review or self.created_at) > (existing.reviews, existing.last_review or existing.created_at):
            for name in CARD_PROGRESS:
                setattr(existing, name, getattr(self, name))
        if existing.source in (Source.BANK, Source.READINESS) and self.source not in (Source.BANK, Source.READINESS):
            existing.source, existing.source_ref = self.source, self.source_ref
        existing.save()


# --- sittings and what is answered in them ---------------------------------------------------------------------------


class SittingKind(models.TextChoices):
    DAILY = "daily", "Today's cards"
    PROBLEM = "problem", "Practice"
    READINESS = "readiness", "Readiness check"
    ASSIGNED = "assigned", "Assigned"
    DRILL = "drill", "Drill"


class SittingStatus(models.TextChoices):
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"


class Sitting(models.Model):
    """One run through a list of items, fixed when it began: `items` says which in what order, `content` how they read then."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quiz_sittings")
    kind = models.CharField(max_length=16, choices=SittingKind.choices)
    problem_slug = models.CharField(max_length=64, blank=True)  # of a problem sitting
    items = models.JSONField()  # [{"problem", "item", "rev", "seed", "instance": id | null, "new": bool}]
    content = models.JSONField()  # {"problem/item": the item as it was}
    seed = models.PositiveIntegerField()
    schedules = models.BooleanField(default=True)  # whether answers move the cards
    feedback = models.BooleanField(default=True)  # whether the result is shown after each answer, or only at the end
    revealed = models.JSONField(default=dict, blank=True)  # {place: {"text", "at"}}: model answers that were looked at
    hints = models.JSONField(default=list, blank=True)  # places whose hint was looked at
    status = models.CharField(max_length=8, choices=SittingStatus.choices, default=SittingStatus.OPEN)
    started_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)  # the true moment, never the sweep's
    limit_s = models.PositiveIntegerField(null=True, blank=True)
    multiplier = models.FloatField(default=1.0)
    extra_s = models.PositiveIntegerField(default=0)
    closes_at = models.DateTimeField(null=True, blank=True)  # the window of whoever assigned it

    export_exclude = ("content",)  # holds answers to what is still open

    class Meta:
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["user", "kind", "status"], name="quiz_sitting_by_user")]

    def __str__(self) -> str:
        return f"{self.kind} sitting {self.id}"


class ResponseKind(models.TextChoices):
    ANSWER = "answer", "Answer"
    RATING = "rating", "Rating of an answer"  # replaces the rating of the answer in `of`
    UNDO = "undo", "Answer taken back"  # cancels the answer in `of`


class ResponseState(models.TextChoices):
    AUTO = "auto", "Marked by rule"
    SELF = "self", "Marked by yourself"
    UNGRADED = "ungraded", "Not marked"


class Response(models.Model):
    """What was answered. Rows are only ever added: a later row cancels an answer or changes its rating."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quiz_responses")
    sitting = models.ForeignKey(Sitting, on_delete=models.CASCADE, related_name="responses")
    kind = models.CharField(max_length=8, choices=ResponseKind.choices, default=ResponseKind.ANSWER)
    of = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="amendments")
    place = models.PositiveIntegerField()  # in the sitting, from 0
    problem_slug = models.CharField(max_length=64)
    item_id = models.CharField(max_length=128)
    rev = models.PositiveIntegerField()
    instance = models.ForeignKey(Instance, null=True, blank=True, on_delete=models.SET_NULL, related_name="responses")
    draw_seed = models.PositiveIntegerField()
    given = models.JSONField(default=dict, blank=True)
    mark = models.FloatField(null=True, blank=True)
    state = models.CharField(max_length=8, choices=ResponseState.choices, default=ResponseState.AUTO)
    rating = models.PositiveSmallIntegerField(null=True, blank=True)  # 1 again, 2 hard, 3 good, 4 easy
    confidence = models.CharField(max_length=8, blank=True)  # sure, think, guess
    hints_used = models.PositiveSmallIntegerField(default=0)
    ms = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()
    due_before = models.DateTimeField(null=True, blank=True)
    retrievability_before = models.FloatField(null=True, blank=True)
    card_before = models.JSONField(null=True, blank=True)  # columns of the card, so that undo gives them back
    op_id = models.CharField(max_length=40)

    export_exclude = ("card_before",)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["user", "op_id"], name="quiz_response_op_once"),
        ]
        indexes = [
            models.Index(fields=["user", "at"], name="quiz_response_by_time"),
            models.Index(fields=["user", "problem_slug", "item_id"], name="quiz_response_by_item"),
            models.Index(fields=["problem_slug", "item_id", "rev"], name="quiz_response_of_item"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.item_id} at {self.at:%Y-%m-%d %H:%M}"


class Flag(models.Model):
    """Somebody finds a question wrong or unclear."""

    class Kind(models.TextChoices):
        WRONG = "wrong", "The answer is wrong"
        UNCLEAR = "unclear", "The question is unclear"
        TYPO = "typo", "A typing mistake"
        AMBIGUOUS = "ambiguous", "More than one answer fits"
        OTHER = "other", "Something else"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        ANSWERED = "answered", "Answered"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quiz_flags")
    problem_slug = models.CharField(max_length=64)
    item_id = models.CharField(max_length=128)
    rev = models.PositiveIntegerField()
    kind = models.CharField(max_length=12, choices=Kind.choices)
    text = models.TextField(blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPEN)
    answer = models.TextField(blank=True)
    created_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.item_id}"

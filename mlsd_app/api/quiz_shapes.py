"""Shapes of requests and answers about the quiz. No logic lives here."""

from __future__ import annotations

from zoneinfo import available_timezones

from rest_framework import serializers as s

from mlsd_app.api.serializers import whole
from mlsd_app.quiz.bank import PHASE_NAMES, TYPE_NAMES
from mlsd_app.quiz.models import Flag, SittingKind, SittingStatus
from mlsd_app.quiz.responses import CONFIDENCES

FLAG_KINDS = Flag.Kind.choices
FORMS = [(form, form) for form in ("reveal", "free", "choice", "number", "order")]
CONFIDENCE_CHOICES = [(word, word) for word in CONFIDENCES]
TYPES, PHASES = list(TYPE_NAMES.items()), list(PHASE_NAMES.items())
OWN_KINDS = [(kind.value, kind.label) for kind in (SittingKind.DAILY, SittingKind.PROBLEM, SittingKind.READINESS)]
OP_ID = r"^[A-Za-z0-9_-]{8,40}$"
OP_ID_HELP = "Names this attempt to send it: sent again, it changes nothing and is answered alike."
LAST_PLACE = 10_000


class QuizPlan(s.Serializer):  # type: ignore[type-arg]
    interview_date = s.DateField(allow_null=True, default=None, help_text="Day of the interview in `timezone`; today or later.")
    minutes_a_day = whole(5, 240, default=20)
    new_limit = whole(0, 100, allow_null=True, default=None, help_text="New cards a day; null: as many as the date asks for.")
    desired_retention = s.FloatField(min_value=0.80, max_value=0.95, default=0.9, help_text="Recall to aim at.")
    scope = s.ListField(
        child=s.CharField(max_length=64), max_length=50, default=list, help_text="Slugs of problems; empty: those you started."
    )
    timezone = s.CharField(max_length=64, default="UTC", help_text=f"One of {len(available_timezones())} names such as Europe/Berlin.")


class QuizItemSummary(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField()
    item = s.CharField()
    rev = s.IntegerField()
    type = s.ChoiceField(choices=TYPES)
    phase = s.ChoiceField(choices=PHASES)
    tags = s.ListField(child=s.CharField())
    level = s.IntegerField(help_text="1 recall, 2 apply, 3 diagnose.")
    expect_s = s.IntegerField(help_text="Seconds it takes.")
    stem = s.CharField(help_text="Markdown; {n} stands for a number that is drawn when it is asked.")
    readiness = s.IntegerField(allow_null=True, help_text="Its number in the readiness check.")


class QuizDueItem(QuizItemSummary):
    new = s.BooleanField(help_text="Not answered before.")


class QuizDueQuery(s.Serializer):  # type: ignore[type-arg]
    limit = whole(1, 100, default=20, help_text="How many to answer with.")


class QuizDue(s.Serializer):  # type: ignore[type-arg]
    due = s.IntegerField(help_text="Cards due now.")
    new = s.IntegerField(help_text="Cards to begin today.")
    minutes = s.IntegerField()
    items = QuizDueItem(many=True)


class QuizChange(s.Serializer):  # type: ignore[type-arg]
    title = s.CharField()
    to = s.CharField()

    def get_fields(self) -> dict[str, s.Field]:  # type: ignore[type-arg]
        return {**super().get_fields(), "from": s.CharField()}


class QuizLab(s.Serializer):  # type: ignore[type-arg]
    slug = s.CharField()
    title = s.CharField()


class QuizQuestion(s.Serializer):  # type: ignore[type-arg]
    place = s.IntegerField(help_text="In the sitting, from 0.")
    problem = s.CharField()
    item = s.CharField()
    rev = s.IntegerField()
    type = s.ChoiceField(choices=TYPES)
    form = s.ChoiceField(
        choices=FORMS, help_text="What is done: reveal and rate; write, compare and tick; pick; type a number; put in order."
    )
    phase = s.ChoiceField(choices=PHASES)
    tags = s.ListField(child=s.CharField())
    level = s.IntegerField()
    expect_s = s.IntegerField()
    stem = s.CharField(help_text="Markdown.")
    has_hint = s.BooleanField()
    options = s.ListField(child=s.CharField(), required=False, help_text="Of a choice, in the order of this sitting.")
    multiple = s.BooleanField(required=False)
    lines = s.ListField(child=s.CharField(), required=False, help_text="Of an order, mixed.")
    axis = s.CharField(required=False)
    expect = s.CharField(required=False, help_text="What a typed number is read as.")
    lab = QuizLab(required=False)
    settings = s.ListField(child=s.ListField(child=s.CharField()), required=False, help_text="[parameter, value] pairs of a lab question.")
    metric = s.CharField(required=False)
    change = QuizChange(required=False)


class QuizSittingRequest(s.Serializer):  # type: ignore[type-arg]
    kind = s.ChoiceField(choices=OWN_KINDS, default=SittingKind.DAILY.value)
    problem = s.CharField(max_length=64, default="", help_text="Of a problem sitting.")
    items = s.ListField(child=s.CharField(max_length=128), max_length=100, default=list, help_text="Of a problem sitting; empty: all.")
    counts = s.BooleanField(default=False, help_text="Of a problem sitting: answers move the schedule.")
    timed = s.BooleanField(default=False, help_text="Of the readiness check: in the time its parts are expected to take.")


class QuizSitting(s.Serializer):  # type: ignore[type-arg]
    id = s.UUIDField()
    kind = s.ChoiceField(choices=SittingKind.choices)
    status = s.ChoiceField(choices=SittingStatus.choices)
    started_at = s.DateTimeField()
    closed_at = s.DateTimeField(allow_null=True)
    time_left_s = s.FloatField(allow_null=True, help_text="null where nothing is timed.")
    total = s.IntegerField()
    answered = s.ListField(child=s.IntegerField(), help_text="Places answered.")
    question = QuizQuestion(allow_null=True, help_text="The next one; null when all are answered, or it is closed.")


class QuizRevealRequest(s.Serializer):  # type: ignore[type-arg]
    place = whole(0, LAST_PLACE)
    text = s.CharField(max_length=10_000, allow_blank=True, default="", help_text="Of a free answer: what you wrote before looking.")


class QuizRevealed(s.Serializer):  # type: ignore[type-arg]
    back = s.CharField(required=False, help_text="Of a flashcard.")
    points = s.ListField(child=s.CharField(), required=False, help_text="Of a free answer: tick those yours has.")
    model = s.CharField(required=False)


class QuizHintRequest(s.Serializer):  # type: ignore[type-arg]
    place = whole(0, LAST_PLACE)


class QuizHint(s.Serializer):  # type: ignore[type-arg]
    hint = s.CharField(allow_blank=True)


class QuizResponseRequest(s.Serializer):  # type: ignore[type-arg]
    sitting = s.UUIDField()
    place = whole(0, LAST_PLACE)
    given = s.DictField(
        child=s.JSONField(),
        default=dict,
        help_text='{"picked": [places]}, {"text": "80 GB"}, {"order": [places]} or {"points": [places]}, by the form of the question.',
    )
    confidence = s.ChoiceField(choices=CONFIDENCE_CHOICES, allow_blank=True, default="")
    ms = whole(0, 86_400_000, default=0, help_text="Milliseconds on the question.")
    rating = whole(1, 4, allow_null=True, default=None, help_text="1 again to 4 easy: of flashcards and free answers.")
    op_id = s.RegexField(OP_ID, help_text=OP_ID_HELP)


class QuizReason(s.Serializer):  # type: ignore[type-arg]
    text = s.CharField()
    correct = s.BooleanField()
    picked = s.BooleanField()
    why = s.CharField(allow_blank=True)


class QuizLink(s.Serializer):  # type: ignore[type-arg]
    words = s.CharField()
    url = s.CharField()


class QuizAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    sitting = s.UUIDField()
    place = s.IntegerField()
    shown = s.BooleanField(help_text="Whether the result is shown yet; otherwise everything after it is null or empty.")
    mark = s.FloatField(allow_null=True, help_text="0 to 1.")
    verdict = s.CharField(allow_blank=True)
    rating = s.IntegerField(allow_null=True)
    echo = s.CharField(allow_blank=True, help_text="How the answer was read.")
    correct = s.CharField(allow_blank=True)
    explanation = s.CharField(allow_blank=True)
    notes = s.ListField(child=s.CharField())
    reasons = QuizReason(many=True)
    formula = s.CharField(allow_blank=True)
    line = s.CharField(allow_blank=True, help_text="The formula with the numbers put in.")
    wrong_path = s.CharField(allow_blank=True)
    links = QuizLink(many=True)
    next_due = s.DateTimeField(allow_null=True)


class QuizUndoRequest(s.Serializer):  # type: ignore[type-arg]
    op_id = s.RegexField(OP_ID, help_text=OP_ID_HELP)


class QuizParseRequest(s.Serializer):  # type: ignore[type-arg]
    text = s.CharField(max_length=200, allow_blank=True, trim_whitespace=False)
    expect = s.CharField(max_length=64, default="", allow_blank=True, help_text="As a question states it.")


class QuizParsed(s.Serializer):  # type: ignore[type-arg]
    read = s.CharField(help_text="How it was read: 13.9 requests/s.")
    value = s.FloatField()
    unit = s.CharField(allow_blank=True)
    dimension = s.CharField()
    note = s.CharField(allow_null=True)


class QuizPart(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    weight = s.IntegerField()
    value = s.FloatField(allow_null=True, help_text="0 to 100; null while it is not known.")
    missing = s.CharField(allow_blank=True, help_text="What would make it known.")


class QuizScore(s.Serializer):  # type: ignore[type-arg]
    low = s.FloatField()
    high = s.FloatField(help_text="Higher than low while a part is not known.")


class QuizProblemScore(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField()
    score = QuizScore()
    parts = QuizPart(many=True)
    items = s.IntegerField()
    seen = s.IntegerField()
    due = s.IntegerField()


class QuizStep(s.Serializer):  # type: ignore[type-arg]
    kind = s.CharField()
    problem = s.CharField()
    words = s.CharField()
    gain = s.FloatField(help_text="Points of the overall score it is expected to bring.")


class QuizReadiness(s.Serializer):  # type: ignore[type-arg]
    overall = QuizScore()
    problems = QuizProblemScore(many=True)
    next_step = QuizStep(allow_null=True)


class QuizDay(s.Serializer):  # type: ignore[type-arg]
    day = s.DateField()
    reviews = s.IntegerField()
    minutes = s.FloatField()


class QuizAccuracy(s.Serializer):  # type: ignore[type-arg]
    name = s.CharField()
    mark = s.FloatField()
    n = s.IntegerField()


class QuizForecast(s.Serializer):  # type: ignore[type-arg]
    day = s.DateField()
    due = s.IntegerField()


class QuizHard(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField()
    item = s.CharField()
    again = s.IntegerField()
    n = s.IntegerField()


class QuizRetention(s.Serializer):  # type: ignore[type-arg]
    value = s.FloatField(allow_null=True)
    interval = s.ListField(child=s.FloatField(), allow_null=True, help_text="Wilson's, 95 %.")
    n = s.IntegerField()
    desired = s.FloatField()


class QuizStats(s.Serializer):  # type: ignore[type-arg]
    answers = s.IntegerField()
    retention = QuizRetention()
    days = QuizDay(many=True)
    by_type = QuizAccuracy(many=True)
    by_tag = QuizAccuracy(many=True)
    forecast = QuizForecast(many=True)
    hardest = QuizHard(many=True)


class QuizFlagRequest(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField(max_length=64)
    item = s.CharField(max_length=128)
    kind = s.ChoiceField(choices=FLAG_KINDS)
    text = s.CharField(max_length=2000, allow_blank=True, default="")


class QuizFlag(s.ModelSerializer[Flag]):
    problem = s.CharField(source="problem_slug")
    item = s.CharField(source="item_id")

    class Meta:
        model = Flag
        fields = ("id", "problem", "item", "rev", "kind", "text", "status", "answer", "created_at")

"""Shapes of what an interview is looked back at with: claims, scorecard, debrief, one's own judgement. No logic lives here."""

from __future__ import annotations

from rest_framework import serializers as s

from mlsd_app.api.serializers import Number
from mlsd_app.interviews.models import ScoreState
from mlsd_app.interviews.scoring.claim_rows import MAX_NAME, MAX_QUOTE, MAX_UNIT, OP_WORDS
from mlsd_app.interviews.scoring.people import MAX_LEVEL

OPS = list(OP_WORDS.items())
VERDICTS = ["supported", "contradicted", "wrong_conditions", "unclear", "untested", "pending"]
LAST = 2**31 - 1


# --- claims ----------------------------------------------------------------------------------------------------------


class ClaimChange(s.Serializer):  # type: ignore[type-arg]
    metric = s.CharField(max_length=MAX_NAME, allow_blank=True, required=False, help_text="Key of a metric of the run.")
    op = s.ChoiceField(choices=OPS, required=False)
    value = Number(allow_null=True, required=False)
    unit = s.CharField(max_length=MAX_UNIT, allow_blank=True, required=False)
    conditions = s.DictField(child=s.JSONField(), required=False, help_text="Parameters the claim holds for; read from the words without.")
    run = s.IntegerField(min_value=1, max_value=LAST, allow_null=True, required=False, help_text="Number of the run that bears it out.")


class ClaimRequest(ClaimChange):
    field = s.CharField(max_length=120, help_text="text/<phase key>.")
    quote = s.CharField(max_length=MAX_QUOTE, trim_whitespace=False, help_text="The words as they stand in the saved text.")
    start = s.IntegerField(min_value=0, max_value=LAST, default=0, help_text="About where they begin, in characters.")


class ClaimAnswer(s.Serializer):  # type: ignore[type-arg]
    id = s.IntegerField()
    field = s.CharField()
    quote = s.CharField()
    start = s.IntegerField()
    end = s.IntegerField()
    metric = s.CharField(allow_blank=True)
    op = s.CharField(allow_blank=True)
    value = s.FloatField(allow_null=True)
    unit = s.CharField(allow_blank=True)
    conditions = s.DictField(child=s.JSONField())
    run = s.IntegerField(allow_null=True)
    verdict = s.ChoiceField(choices=VERDICTS, help_text="pending in a real round until its result is released.")
    reason = s.CharField(allow_blank=True)


class ReadBackRow(s.Serializer):  # type: ignore[type-arg]
    row = s.CharField(help_text="Key of the row of the constraints.")
    how = s.ChoiceField(choices=["confirmed", "corrected", "open"])
    fact = s.CharField(allow_blank=True)
    text = s.CharField(allow_blank=True)


class ReadBack(s.Serializer):  # type: ignore[type-arg]
    text = s.CharField(allow_blank=True)
    rows = ReadBackRow(many=True)


# --- the scorecard ---------------------------------------------------------------------------------------------------


class Evidence(s.Serializer):  # type: ignore[type-arg]
    kind = s.CharField()
    ref = s.CharField(help_text="text/<phase>, row/<list>/<key>, run/<number>, event/<seq>.")
    text = s.CharField(allow_blank=True)
    share = s.FloatField(help_text="When, of your own limit.")
    active_ms = s.IntegerField(allow_null=True)


class Judgement(s.Serializer):  # type: ignore[type-arg]
    state = s.ChoiceField(choices=ScoreState.choices)
    points = s.FloatField(allow_null=True)
    max = s.FloatField(help_text="What the mark is out of; 4 for a signal.")
    comment = s.CharField(allow_blank=True)
    version = s.IntegerField()
    holds = s.BooleanField(help_text="Whether it is the one that counts.")
    evidence = Evidence(many=True)


class ScoredItem(s.Serializer):  # type: ignore[type-arg]
    id = s.CharField()
    text = s.CharField()
    tag = s.CharField()
    signal = s.CharField()
    grade = s.CharField(help_text="What judges it: a rule by its name, or text for a person.")
    points = s.FloatField(allow_null=True, help_text="null: nobody graded it.")
    max = s.FloatField()
    weight = s.FloatField(help_text="Of 100.")
    judgements = Judgement(many=True)


class ScoredTopic(s.Serializer):  # type: ignore[type-arg]
    tag = s.CharField()
    title = s.CharField()
    points = s.FloatField()
    max = s.FloatField(help_text="Points of what was graded.")
    weight = s.FloatField()
    graded_weight = s.FloatField()
    earned_weight = s.FloatField()
    items = ScoredItem(many=True)


class ScoredSignal(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    group = s.CharField()
    level = s.IntegerField(allow_null=True, help_text="0 not shown to 4 strong; null: nobody graded it.")
    sentence = s.CharField()
    own_level = s.IntegerField(allow_null=True)
    judgements = Judgement(many=True)


class ScorecardAnswer(s.Serializer):  # type: ignore[type-arg]
    attempt = s.UUIDField()
    problem = s.CharField()
    level = s.CharField()
    rubric_version = s.IntegerField()
    rule_version = s.IntegerField()
    state = s.ChoiceField(choices=ScoreState.choices)
    verdict = s.CharField(allow_blank=True, help_text="Empty: not enough of it was graded.")
    score = s.FloatField(allow_null=True, help_text="Percent of what was graded.")
    graded_weight = s.FloatField(help_text="Of 100.")
    gates = s.ListField(child=s.CharField(), help_text="What held the verdict down.")
    tags = ScoredTopic(many=True)
    signals = ScoredSignal(many=True)


# --- one's own judgement ---------------------------------------------------------------------------------------------


class OwnLevels(s.Serializer):  # type: ignore[type-arg]
    levels = s.DictField(
        child=s.IntegerField(min_value=0, max_value=MAX_LEVEL),
        help_text="By subject: signal:<key>, or item:<id> of an item for a person; 0 not shown to 4 strong.",
    )


class OwnLevel(s.Serializer):  # type: ignore[type-arg]
    subject = s.CharField()
    level = s.IntegerField()
    before_reveal = s.BooleanField(help_text="Said before the scorecard was opened; such a level stays.")


# --- the debrief -----------------------------------------------------------------------------------------------------


class PhaseTime(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    planned_s = s.FloatField()
    actual_s = s.FloatField()
    words = s.IntegerField()


class First(s.Serializer):  # type: ignore[type-arg]
    title = s.CharField()
    active_ms = s.IntegerField(allow_null=True, help_text="null: never.")


class Fact(s.Serializer):  # type: ignore[type-arg]
    id = s.CharField()
    how = s.ChoiceField(choices=["asked", "confirmed", "corrected", "assumed", "assumed_wrong", "missed"])
    needed = s.BooleanField()
    answer = s.CharField(allow_blank=True)
    would_ask = s.CharField(allow_blank=True, help_text="A question that gets a missed fact.")


class NumberLine(s.Serializer):  # type: ignore[type-arg]
    title = s.CharField()
    calculator = s.CharField()
    given = s.FloatField(allow_null=True)
    given_unit = s.CharField(allow_blank=True)
    expected = s.FloatField()
    unit = s.CharField()
    note = s.CharField(allow_blank=True)
    ratio = s.FloatField(allow_null=True)
    formula = s.CharField()
    worked = s.CharField()


class BallMetric(s.Serializer):  # type: ignore[type-arg]
    label = s.CharField()  # type: ignore[assignment]
    unit = s.CharField(allow_blank=True)
    before = s.FloatField(allow_null=True)
    broken = s.FloatField(allow_null=True)
    after = s.FloatField(allow_null=True)


class BallLine(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    text = s.CharField()
    lab = s.CharField(allow_blank=True)
    outcome = s.CharField()
    active_ms = s.IntegerField()
    took_s = s.FloatField(allow_null=True)
    runs_used = s.IntegerField()
    metrics = BallMetric(many=True)


class Check(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    ok = s.BooleanField(allow_null=True)
    detail = s.CharField()


class DebriefAnswer(s.Serializer):  # type: ignore[type-arg]
    active_s = s.FloatField()
    limit_s = s.FloatField(help_text="0: none.")
    debt_s = s.FloatField()
    phases = PhaseTime(many=True)
    firsts = First(many=True)
    absolutes = s.ListField(child=s.CharField(), help_text="Sentences that name neither a cost nor an exception; not scored.")
    facts = Fact(many=True, help_text="Empty until the result is released, as are numbers.")
    numbers = NumberLine(many=True)
    claims = ClaimAnswer(many=True)
    untested = s.ListField(child=s.CharField(), help_text="Sentences with a number that no claim marks; they lower nothing.")
    events = BallLine(many=True)
    checks = Check(many=True)

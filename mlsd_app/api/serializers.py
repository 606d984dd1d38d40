"""The shapes of requests and answers. They check requests and describe answers in the schema; no logic lives here."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from mlsd_app.accounts.models import ApiToken
from mlsd_app.runs.models import Dataset, Run, RunState
from problems.base import PHASES

MAX_LIMIT, MAX_OFFSET = 100, 10_000
PHASE_CHOICES = list(PHASES.items())
LAST_SEED = 2**31 - 1


def whole(low: int, high: int, **options: Any) -> s.IntegerField:
    """A whole number within bounds, with one sentence for whatever else is given."""
    sentence = f"expected a whole number from {low} to {high}."
    messages: dict[str, Any] = dict.fromkeys(("invalid", "min_value", "max_value", "max_string_length"), sentence)
    return s.IntegerField(min_value=low, max_value=high, error_messages=messages, **options)


class Error(s.Serializer):  # type: ignore[type-arg]
    detail = s.CharField(help_text="What was given, what is expected, where.")
    errors = s.DictField(child=s.CharField(), help_text="A sentence for each field that is wrong.")  # type: ignore[assignment]
    code = s.CharField(required=False, help_text="Which refusal it is, where a program may act on it.")


class Page(s.Serializer):  # type: ignore[type-arg]
    limit = whole(1, MAX_LIMIT, default=20, help_text="How many items to answer with.")
    offset = whole(0, MAX_OFFSET, default=0, help_text="How many to leave out before.")


# --- problems --------------------------------------------------------------------------------------------------------


class LabLink(s.Serializer):  # type: ignore[type-arg]
    lab = s.CharField()
    phase = s.ChoiceField(choices=PHASE_CHOICES)
    preset = s.CharField(help_text="Preset to open it with; may be empty.")
    why = s.CharField()


class ProblemSummary(s.Serializer):  # type: ignore[type-arg]
    slug = s.CharField()
    title = s.CharField()
    tagline = s.CharField(help_text="The hard part in one line.")
    theme = s.CharField()
    difficulty = s.CharField()
    state = s.CharField(help_text="complete, or labs_only while the walkthrough is being written.")
    minutes = s.IntegerField(help_text="Of all five phases together.")
    engines = s.ListField(child=s.CharField())
    tags = s.ListField(child=s.CharField())
    labs = LabLink(many=True)


class Probe(s.Serializer):  # type: ignore[type-arg]
    question = s.CharField()
    answer = s.CharField(help_text="Markdown.")


class CheckItem(s.Serializer):  # type: ignore[type-arg]
    id = s.CharField()
    text = s.CharField()


class Phase(s.Serializer):  # type: ignore[type-arg]
    key = s.ChoiceField(choices=PHASE_CHOICES)
    title = s.CharField()
    minutes = s.IntegerField()
    prompt = s.CharField(help_text="Markdown, as are the next three.")
    strong = s.CharField(help_text="What a strong candidate does in these minutes.")
    answer = s.CharField(help_text="The worked answer.")
    tradeoffs = s.CharField(help_text="A table: pick X because Y, even though Z.")
    probes = Probe(many=True)
    checklist = CheckItem(many=True)


class CalculatorInput(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    unit = s.CharField()
    default = s.FloatField()
    min = s.FloatField()
    max = s.FloatField()
    scale = s.CharField()
    help = s.CharField()


class CalculatorLine(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    unit = s.CharField()
    formula = s.CharField()
    assumption = s.CharField()


class Calculator(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    summary = s.CharField()
    inputs = CalculatorInput(many=True)
    outputs = CalculatorLine(many=True)


class Source(s.Serializer):  # type: ignore[type-arg]
    title = s.CharField()
    authors = s.CharField()
    year = s.IntegerField()
    arxiv = s.CharField()
    url = s.CharField()


class Problem(ProblemSummary):
    related = s.ListField(child=s.CharField())
    phases = Phase(many=True)
    calculators = Calculator(many=True)
    sources = Source(many=True)


class Number(s.FloatField):
    """A JSON number: true is not 1."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class CalculatorRequest(s.Serializer):  # type: ignore[type-arg]
    inputs = s.DictField(child=Number(), default=dict, help_text="Inputs by key; those left out stand at their defaults.")


class CalculatorOutput(CalculatorLine):
    value = s.FloatField()


class CalculatorResult(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    inputs = s.DictField(child=s.FloatField())
    outputs = CalculatorOutput(many=True)
    dominating = s.CharField(help_text="Key of the output that decides the design.")
    constraint = s.CharField(help_text="The same in words.")


# --- labs ------------------------------------------------------------------------------------------------------------


class LabSummary(s.Serializer):  # type: ignore[type-arg]
    problem = s.CharField()
    slug = s.CharField()
    title = s.CharField()
    question = s.CharField(help_text="What one finds out with it.")
    phase = s.CharField()
    version = s.IntegerField(help_text="Raised when the same parameters mean another result.")
    exclusive = s.BooleanField(help_text="Measures wall-clock time and therefore runs alone.")
    takes_data = s.BooleanField()


class Param(s.Serializer):  # type: ignore[type-arg]
    name = s.CharField()
    title = s.CharField()
    help = s.CharField()
    unit = s.CharField()
    group = s.CharField()
    kind = s.CharField(help_text="number, switch, segmented, select, chips, text or numbers.")
    default = s.JSONField(allow_null=True)
    minimum = s.FloatField(allow_null=True, help_text="Of a number, or of each number of a list.")
    maximum = s.FloatField(allow_null=True)
    soft = s.ListField(child=s.FloatField(), allow_null=True, help_text="What the slider shows, inside the bounds.")
    scale = s.CharField()
    step = s.FloatField(allow_null=True)
    choices = s.ListField(child=s.JSONField(), help_text="Values of a choice, with their words in labels.")
    labels = s.DictField(child=s.CharField())
    max_items = s.IntegerField(allow_null=True)
    shown_when = s.DictField(child=s.ListField(child=s.JSONField()), help_text="The fields and values under which it matters.")


class Preset(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    story = s.CharField()
    values = s.DictField(child=s.JSONField(allow_null=True))


class DataSlot(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField(help_text="Name of the file in the upload form.")
    title = s.CharField()
    help = s.CharField()
    formats = s.ListField(child=s.CharField())
    required = s.BooleanField()  # type: ignore[assignment]
    max_bytes = s.IntegerField()


class DataOption(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField(help_text="Its name in the upload form is option-<key>.")
    title = s.CharField()
    help = s.CharField()
    choices = s.ListField(child=s.CharField())
    required = s.BooleanField()  # type: ignore[assignment]
    default = s.CharField()


class DataSpec(s.Serializer):  # type: ignore[type-arg]
    title = s.CharField()
    help = s.CharField()
    slots = DataSlot(many=True)
    options = DataOption(many=True)
    example = s.CharField()


class Lab(LabSummary):
    why = s.CharField()
    explanation = s.CharField(help_text="How it works, Markdown.")
    sources = s.ListField(child=s.CharField())
    params = Param(many=True)
    params_schema = s.DictField(help_text="JSON schema of the params of a run.")
    presets = Preset(many=True)
    data = DataSpec(allow_null=True)  # type: ignore[assignment]


# --- runs ------------------------------------------------------------------------------------------------------------


class RunRequest(s.Serializer):  # type: ignore[type-arg]
    params = s.DictField(child=s.JSONField(allow_null=True), default=dict, help_text="By name; those left out stand at their defaults.")
    seed = whole(0, LAST_SEED, default=0)
    dataset = s.UUIDField(allow_null=True, default=None, help_text="One of your own data sets for this lab.")
    fresh = s.BooleanField(default=False, help_text="Run again although the result is known, for new wall-clock readings.")


class RunLinks(s.Serializer):  # type: ignore[type-arg]
    self = s.CharField()
    events = s.CharField()
    result = s.CharField()
    cancel = s.CharField()
    page = s.CharField(help_text="The run on the site.")


class RunAnswer(s.ModelSerializer[Run]):
    params = s.DictField()
    state = s.ChoiceField(choices=RunState.choices)
    dataset = s.UUIDField(allow_null=True, source="dataset_id")
    links = RunLinks()

    class Meta:
        model = Run
        fields = (
            *("id", "problem", "lab", "lab_version", "params", "seed", "dataset", "state", "error"),
            *("created_at", "started_at", "finished_at", "links"),
        )
        extra_kwargs = {"error": {"help_text": "Why it ended without a result; empty otherwise."}}


class RunPage(s.Serializer):  # type: ignore[type-arg]
    count = s.IntegerField()
    next = s.CharField(allow_null=True)
    previous = s.CharField(allow_null=True)
    results = RunAnswer(many=True)


class RunFilter(Page):
    problem = s.CharField(max_length=64, default="", help_text="Only runs of this problem.")
    lab = s.CharField(max_length=64, default="", help_text="Only runs of this lab.")
    state = s.ChoiceField(choices=RunState.choices, default=None, help_text="Only runs in this state.")


class Metric(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    label = s.CharField()  # type: ignore[assignment]
    value = s.FloatField(allow_null=True, help_text="null where it is undefined; note says why.")
    unit = s.CharField()
    better = s.ChoiceField(choices=["up", "down"], allow_null=True)
    ci = s.ListField(child=s.FloatField(), allow_null=True, help_text="Interval in the same unit, for an estimate.")
    measured = s.BooleanField(help_text="Wall-clock or memory reading: the same seed does not repeat it.")
    limit = s.FloatField(allow_null=True, help_text="Oracle or physical bound.")
    limit_label = s.CharField()
    series = s.CharField()
    note = s.CharField()


class Figure(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    plot = s.DictField(help_text="A Plotly figure: data and layout.")
    summary = s.CharField()


class Table(s.Serializer):  # type: ignore[type-arg]
    key = s.CharField()
    title = s.CharField()
    columns = s.ListField(child=s.CharField())
    rows = s.ListField(child=s.ListField(child=s.JSONField(allow_null=True)))


class Insight(s.Serializer):  # type: ignore[type-arg]
    text = s.CharField()
    phase = s.CharField(allow_null=True)
    effect = s.CharField()


class Result(s.Serializer):  # type: ignore[type-arg]
    metrics = Metric(many=True)
    figures = Figure(many=True)
    tables = Table(many=True)
    insights = Insight(many=True)
    notes = s.ListField(child=s.CharField())
    measured_at = s.DateTimeField(help_text="When it was computed; earlier than the run where the answer was known.")


# --- data sets, tokens -----------------------------------------------------------------------------------------------


class DatasetFile(s.Serializer):  # type: ignore[type-arg]
    slot = s.CharField()
    name = s.CharField()
    sha256 = s.CharField()
    bytes = s.IntegerField()


class DatasetAnswer(s.ModelSerializer[Dataset]):
    files = DatasetFile(many=True)
    options = s.DictField(child=s.CharField())
    facts = s.ListField(child=s.ListField(child=s.CharField()), help_text="[label, value] pairs: what was found in the files.")
    warnings = s.ListField(child=s.CharField())

    class Meta:
        model = Dataset
        fields = ("id", "problem", "lab", "name", "files", "options", "facts", "warnings", "bytes", "created_at")


class TokenRequest(s.Serializer):  # type: ignore[type-arg]
    name = s.CharField(max_length=80, help_text="What it is for.")


class Token(s.ModelSerializer[ApiToken]):
    class Meta:
        model = ApiToken
        fields = ("id", "name", "prefix", "created_at", "last_used_at")


class TokenCreated(Token):
    token = s.CharField(help_text="Shown this once.")

    class Meta(Token.Meta):
        fields = (*Token.Meta.fields, "token")  # type: ignore[assignment]

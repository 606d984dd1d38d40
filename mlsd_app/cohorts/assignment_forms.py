"""The form of an assignment: what all kinds share, and the part of each kind. Kind and problem are chosen on the page before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from mlsd_app.cohorts.forms import PanelForm, labels_field, moment_field, optional_choices
from mlsd_app.cohorts.models import Assignment, Cohort, Kind, Role
from mlsd_app.cohorts.services.assignments import MOST_BRIEF
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.presets import PRESETS, TAGS
from mlsd_app.quiz.bank import items_of
from problems.schema import Problem
from simulators.errors import InvalidInput
from simulators.registry import labs_of


class AssignmentForm(PanelForm):
    title = forms.CharField(label="Title", max_length=120)
    brief = forms.CharField(
        label="Brief",
        required=False,
        max_length=MOST_BRIEF,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Markdown. Learners read it before they begin.",
    )
    opens_at = moment_field("Opens", "Empty: at once.")
    due_at = moment_field("Due")
    closes_at = moment_field("Closes", "Nothing can be begun afterwards, and what runs is closed.")
    late = forms.CharField(
        label="Late work",
        required=False,
        max_length=300,
        help_text="Hours after due and a factor, such as 24: 0.9, 72: 0.5. After the last step work counts 0; empty: no deduction.",
    )
    attempts_allowed = forms.IntegerField(label="Tries", min_value=1, max_value=20, initial=1)
    counts = forms.ChoiceField(label="Of several tries counts", choices=Assignment._meta.get_field("counts").choices or ())
    audience = forms.ChoiceField(
        label="For",
        choices=[("everyone", "Every learner"), ("some", "Only the labels and people below")],
        widget=forms.RadioSelect,
        initial="everyone",
    )
    show_when = forms.ChoiceField(
        label="Results are shown", choices=Assignment._meta.get_field("show_when").choices or (), initial="release"
    )
    show_questions = forms.BooleanField(label="With questions and answers", required=False, initial=True)
    show_score = forms.BooleanField(label="With the score", required=False, initial=True, help_text="Needs the questions to be shown.")
    say_present = forms.BooleanField(label="Tell a candidate when somebody follows the attempt", required=False, initial=True)
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, cohort: Cohort, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["group_labels"] = labels_field(cohort)
        learners = cohort.memberships.filter(role=Role.LEARNER, removed_at=None).select_related("user")
        self.fields["people"] = forms.MultipleChoiceField(
            label="People",
            required=False,
            choices=[(str(member.pk), member.user.shown_name) for member in learners],
            widget=forms.SelectMultiple(attrs={"size": 6}),
        )

    def values(self) -> dict[str, Any]:
        """What `AssignmentFields` takes, apart from kind, problem and settings. Raises InvalidInput for late steps it cannot read."""
        given = {name: value for name, value in self.cleaned_data.items() if name not in ("audience", "version", "late")}
        return {
            **given,
            "late_steps": late_steps(self.cleaned_data["late"]),
            "everyone": self.cleaned_data["audience"] == "everyone",
            "group_labels": [label.pk for label in given["group_labels"]],
            "people": [int(pk) for pk in given["people"]],
        }

    @staticmethod
    def initial_of(assignment: Assignment) -> dict[str, Any]:
        names = ("title", "brief", "opens_at", "due_at", "closes_at", "attempts_allowed", "counts", "version")
        shown = ("show_when", "show_questions", "show_score", "say_present")
        return {
            **{name: getattr(assignment, name) for name in (*names, *shown)},
            "late": ", ".join(f"{step['until_h']:g}: {step['credit']:g}" for step in assignment.late_steps),
            "audience": "everyone" if assignment.everyone else "some",
            "group_labels": list(assignment.group_labels.all()),
            "people": [str(pk) for pk in assignment.people.values_list("pk", flat=True)],
        }


def late_steps(text: str) -> list[dict[str, float]]:
    """ "24: 0.9, 72: 0.5" as steps. Raises InvalidInput."""
    steps = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        hours, _, credit = part.partition(":")
        try:
            steps.append({"until_h": float(hours), "credit": float(credit)})
        except ValueError:
            raise InvalidInput(f"{part[:40]!r} was given; expected hours and a factor, such as 24: 0.9.", field="late") from None
    return steps


# --- the part of each kind -------------------------------------------------------------------------------------------


class KindForm(PanelForm):
    def __init__(self, *args: Any, problem: Problem, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.problem = problem

    def settings(self) -> dict[str, Any]:
        """What the kind's model in `kinds.py` takes: the fields, without those left empty."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}

    @classmethod
    def initial_of(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return dict(settings)


class MockForm(KindForm):
    preset = forms.ChoiceField(
        label="Pacing", choices=[*((key, preset.title) for key, preset in PRESETS.items()), ("custom", "Own phases")]
    )
    total_min = forms.IntegerField(
        label="Minutes in all", required=False, min_value=10, max_value=120, help_text="Only Compact can be stretched: 27 to 45."
    )
    phases = forms.CharField(
        label="Own phases",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="One a line: title, minutes, topics. Each of the nine topics in one phase: " + " ".join(TAGS) + ".",
    )
    mode = forms.ChoiceField(
        label="Clock",
        choices=[("soft", "Soft: free to move between phases"), ("strict", "Strict: phases end by themselves"), ("free", "Free: no limit")],
    )
    show = forms.ChoiceField(label="Hints", choices=[("real", "Real: none until the debrief"), ("study", "Study: shown at once")])
    level = forms.ChoiceField(label="Level", choices=Attempt._meta.get_field("level").choices or (), initial="senior")
    pauses = forms.IntegerField(label="Own pauses", min_value=0, max_value=5, initial=0, help_text="Of at most three minutes each.")
    overdue = forms.ChoiceField(
        label="When time is up",
        choices=[("autosubmit", "Hand in"), ("grace", "Two minutes more, marked late"), ("abandon", "Close without grading")],
    )
    facts_seed = forms.ChoiceField(
        label="Hidden facts", choices=[("same", "The same for all: comparable"), ("person", "Drawn for each person")]
    )
    curveballs = forms.ChoiceField(
        label="Curveballs", choices=[("both", "Automatic, and you can send more"), ("auto", "Automatic"), ("staff", "Only those you send")]
    )

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "phases": phases_of(self.cleaned_data["phases"])}

    @classmethod
    def initial_of(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        lines = [f"{phase['title']}, {phase['budget_s'] / 60:g}, {' '.join(phase['tags'])}" for phase in settings.get("phases", [])]
        return {**settings, "phases": "\n".join(lines)}


def phases_of(text: str) -> list[dict[str, Any]]:
    """Lines "title, minutes, topics" as phases. Raises InvalidInput."""
    phases = []
    for number, line in enumerate(filter(str.strip, text.splitlines()), 1):
        cells = [cell.strip() for cell in line.rsplit(",", 2)]
        try:
            title, minutes, tags = cells[0], float(cells[1]), cells[2].split()
        except (IndexError, ValueError):
            raise InvalidInput(f"Line {number} is {line[:60]!r}; expected title, minutes, topics.", field="phases") from None
        phases.append({"key": f"phase_{number}", "title": title, "budget_s": round(minutes * 60), "tags": tags})
    return phases


class QuizForm(KindForm):
    count = forms.IntegerField(
        label="Questions",
        min_value=1,
        max_value=100,
        initial=10,
        help_text="Drawn from the problem's questions, unless you choose them below.",
    )
    draw = forms.ChoiceField(label="Drawn", choices=[("same", "The same for all"), ("person", "For each person and try anew")])
    limit_min = forms.IntegerField(label="Minutes", required=False, min_value=1, max_value=240, help_text="Empty: no limit.")
    feedback = forms.BooleanField(label="Show the answer after each question", required=False)
    items = forms.MultipleChoiceField(label="These questions", required=False, widget=forms.SelectMultiple(attrs={"size": 8}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        entries = items_of(self.problem.slug)
        self.fields["items"].choices = [(entry.item.id, f"{entry.item.id} ({entry.item.type})") for entry in entries]  # type: ignore[attr-defined]


class ChallengeForm(KindForm):
    which = forms.ChoiceField(label="Challenge")
    submissions = forms.IntegerField(
        label="Designs a learner may submit",
        min_value=1,
        max_value=50,
        initial=10,
        help_text="Over all tries; the best of a try counts. The secret seeds are the same for all, and told after the close.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = [(f"{lab.slug}/{task.slug}", f"{lab.title}: {task.title}") for lab in labs_of(self.problem.slug) for task in lab.challenges]
        self.fields["which"].choices = found  # type: ignore[attr-defined]

    def settings(self) -> dict[str, Any]:
        lab, _, challenge = self.cleaned_data["which"].partition("/")
        return {"lab": lab, "challenge": challenge, "submissions": self.cleaned_data["submissions"]}

    @classmethod
    def initial_of(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**settings, "which": f"{settings['lab']}/{settings['challenge']}"} if settings else {}


class PredictionForm(KindForm):
    which = forms.ChoiceField(label="Lab")
    metrics = forms.CharField(
        label="Figures to foretell",
        max_length=400,
        help_text="Their keys, parted by commas, such as recall, p99_ms. The lab runs with exactly what is chosen above.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labs = labs_of(self.problem.slug)
        presets = [(f"{lab.slug}/{preset.key}", f"{lab.title}: {preset.title}") for lab in labs for preset in lab.presets]
        self.fields["which"].choices = [*((f"{lab.slug}/", lab.title) for lab in labs), *presets]  # type: ignore[attr-defined]

    def settings(self) -> dict[str, Any]:
        lab, _, preset = self.cleaned_data["which"].partition("/")
        return {"lab": lab, "preset": preset, "metrics": _names(self.cleaned_data["metrics"])}

    @classmethod
    def initial_of(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        if not settings:
            return {}
        return {"which": f"{settings['lab']}/{settings['preset']}", "metrics": ", ".join(settings["metrics"])}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


class ReadingForm(KindForm):
    phases = forms.MultipleChoiceField(label="Phases", required=False, widget=forms.CheckboxSelectMultiple, help_text="None: all of them.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["phases"].choices = [(phase.key, phase.title) for phase in self.problem.phases]  # type: ignore[attr-defined]


KIND_FORMS: Mapping[str, type[KindForm]] = {
    Kind.MOCK: MockForm,
    Kind.QUIZ: QuizForm,
    Kind.CHALLENGE: ChallengeForm,
    Kind.PREDICTION: PredictionForm,
    Kind.READING: ReadingForm,
}
KIND_WORDS: Sequence[tuple[str, str, str]] = (
    (Kind.MOCK, "Mock interview", "A timed round with interviewer, labs and grading."),
    (Kind.QUIZ, "Quiz", "Questions on one problem, timed if you like."),
    (Kind.CHALLENGE, "Challenge", "A design that must meet targets under a ceiling."),
    (Kind.PREDICTION, "Prediction", "Say what a lab will show before it runs."),
    (Kind.READING, "Reading", "Phases of a walkthrough, with notes."),
)


def problem_choices(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    return optional_choices([(problem.slug, problem.title) for problem in problems], "Choose a problem")

"""Forms of the panel. What they collect is checked again by the services, which the API calls too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.http import QueryDict

from mlsd_app.cohorts.exports.kinds import CSV, JSONL, KINDS
from mlsd_app.cohorts.models import Assignment, Cohort, Label, Role
from mlsd_app.cohorts.policy import FLAGS, MOST_EXTRA_S

MINUTES = MOST_EXTRA_S // 60
ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix/", "right/", "SystemV/")))


class PanelForm(forms.Form):
    def refuse(self, field: str | None, message: str) -> None:
        """Puts the sentence beside its field; above the form when the form has no such field."""
        self.add_error(field if field in self.fields else None, message)

    def rebase(self, version: int) -> None:
        """Shown again after a conflict, the form saves over what it was told of."""
        data = cast(QueryDict, self.data).copy()
        data["version"] = str(version)
        self.data = data


def moment_field(label: str, help_text: str = "") -> forms.DateTimeField:
    """A date and time in the zone the page is in."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=label, required=False, widget=widget, help_text=help_text)


def labels_field(cohort: Cohort, label: str = "Labels") -> forms.ModelMultipleChoiceField[Label]:
    return forms.ModelMultipleChoiceField(cohort.labels.all(), required=False, label=label, widget=forms.CheckboxSelectMultiple)


def optional_choices(choices: Iterable[tuple[str, str]], nothing: str) -> list[tuple[str, str]]:
    return [("", nothing), *choices]


class CohortForm(PanelForm):
    name = forms.CharField(label="Name", max_length=120, help_text="Learners see it: the course and the term, for example.")
    timezone = forms.ChoiceField(
        label="Time zone",
        choices=[(zone, zone.replace("_", " ")) for zone in ["UTC", *ZONES]],
        help_text="You type dates in it, and learners see it beside their own time.",
    )


class CohortEditForm(CohortForm):
    version = forms.IntegerField(widget=forms.HiddenInput)


class JoinForm(PanelForm):
    code = forms.CharField(
        label="Join code",
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
        help_text="Eight letters and digits from your instructor, such as 7KQ2-M4XA.",
    )


class CodeForm(PanelForm):
    enabled = forms.BooleanField(label="The code works", required=False)
    uses_left = forms.IntegerField(label="Uses left", required=False, min_value=0, max_value=2000, help_text="Empty: no limit.")
    expires_at = moment_field("Works until", "Empty: until you switch it off.")


class MemberAddForm(PanelForm):
    person = forms.CharField(label="User name or e-mail", max_length=254)
    role = forms.ChoiceField(label="Role", choices=[(role.value, role.label) for role in reversed(Role) if role != Role.OWNER])

    def __init__(self, *args: Any, cohort: Cohort, any_role: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["labels"] = labels_field(cohort)
        if not any_role:
            self.fields["role"] = forms.ChoiceField(label="Role", choices=[(Role.LEARNER.value, Role.LEARNER.label)])


class LabelForm(PanelForm):
    name = forms.CharField(label="Name", max_length=40)


TRI = [("", "As elsewhere"), ("true", "Yes"), ("false", "No")]
FLAG_WORDS = {
    "hide_timer": "Timer hidden",
    "no_low_time_alerts": "No low-time alerts",
    "reduced_motion": "No motion",
    "keyboard_canvas": "Diagram by keyboard",
}


class AccommodationForm(PanelForm):
    multiplier = forms.FloatField(
        label="Time multiplied by", required=False, min_value=1, max_value=4, widget=forms.NumberInput(attrs={"step": "0.05"})
    )
    extra_min = forms.IntegerField(label="Extra minutes", required=False, min_value=0, max_value=MINUTES)
    break_min = forms.IntegerField(
        label="Break minutes", required=False, min_value=0, max_value=MINUTES, help_text="In which the clock stands by the person's wish."
    )
    extra_attempts = forms.IntegerField(label="Extra tries", required=False, min_value=0, max_value=20)
    valid_from = moment_field("From")
    valid_to = moment_field("Until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for flag in FLAGS:
            self.fields[flag] = forms.ChoiceField(label=FLAG_WORDS[flag], choices=TRI, required=False)

    def said(self) -> dict[str, Any]:
        """The fields of `policy.Accommodations` that were filled in."""
        given = self.cleaned_data
        seconds = {name: given[f"{name[:-2]}_min"] for name in ("extra_s", "break_s")}
        times = {name: None if minutes is None else minutes * 60 for name, minutes in seconds.items()}
        flags = {flag: given[flag] == "true" for flag in FLAGS if given[flag]}
        numbers = {"multiplier": given["multiplier"], "extra_attempts": given["extra_attempts"], **times}
        return {**{name: value for name, value in numbers.items() if value is not None}, **flags}

    @staticmethod
    def initial_of(fields: dict[str, Any]) -> dict[str, Any]:
        flags = {flag: str(fields[flag]).lower() for flag in FLAGS if flag in fields}
        minutes = {f"{name[:-2]}_min": fields[name] // 60 for name in ("extra_s", "break_s") if name in fields}
        numbers: dict[str, Any] = {name: fields[name] for name in ("multiplier", "extra_attempts") if name in fields}
        return {**numbers, **minutes, **flags}


class OverrideForm(PanelForm):
    target = forms.ChoiceField(label="For")
    extra_time_min = forms.IntegerField(label="Extra minutes", required=False, min_value=0, max_value=MINUTES)
    multiplier = forms.FloatField(
        label="Time multiplied by", required=False, min_value=1, max_value=4, widget=forms.NumberInput(attrs={"step": "0.05"})
    )
    extra_attempts = forms.IntegerField(label="Extra tries", required=False, min_value=0, max_value=20)
    opens_at = moment_field("Opens")
    due_at = moment_field("Due")
    closes_at = moment_field("Closes")

    def __init__(self, *args: Any, cohort: Cohort, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = cohort.memberships.filter(removed_at=None, role=Role.LEARNER).select_related("user")
        choices = [
            ("Labels", [(f"label:{label.pk}", label.name) for label in cohort.labels.all()]),
            ("People", [(f"user:{member.user_id}", member.user.shown_name) for member in people]),
        ]
        self.fields["target"].choices = [group for group in choices if group[1]]  # type: ignore[attr-defined]

    def said(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "target" and value is not None}

    def chosen(self) -> tuple[str, int]:
        """("label" or "user", id)."""
        kind, _, number = self.cleaned_data["target"].partition(":")
        return kind, int(number)


class ReasonForm(PanelForm):
    reason = forms.CharField(label="Reason", max_length=500, required=False)


class CopyForm(PanelForm):
    to = forms.ModelChoiceField(Cohort.objects.none(), label="Into")
    shift_days = forms.IntegerField(label="Move every date by days", min_value=-3650, max_value=3650, initial=0)

    def __init__(self, *args: Any, cohorts: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].queryset = cohorts  # type: ignore[attr-defined]


class ExportForm(PanelForm):
    """`clean` gives the arguments of `services.exports.export_create`."""

    kind = forms.ChoiceField(label="What", choices=[(kind.key, f"{kind.title}: {kind.words}") for kind in KINDS.values()])
    format = forms.ChoiceField(label="As", choices=[(CSV, "CSV"), (JSONL, "JSON Lines")], help_text="Events come as JSON Lines only.")
    assignment = forms.ModelChoiceField(Assignment.objects.none(), required=False, label="Assignment", empty_label="All")
    names = forms.BooleanField(
        required=False, label="Real names", help_text="Only beside scores that are out; everybody else keeps a code name."
    )
    bom = forms.BooleanField(required=False, label="Mark as UTF-8", help_text="Some spreadsheets misread accents without it.")

    def __init__(self, *args: Any, cohort: Cohort, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["assignment"].queryset = cohort.assignments.filter(published_at__isnull=False)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        kind = KINDS.get(given.get("kind", ""))
        if kind and given.get("format") not in kind.formats:
            self.refuse("format", f"{kind.title} come as JSON Lines only.")
        if kind and given.get("assignment") and not kind.by_assignment:
            self.refuse("assignment", f"The {kind.title.lower()} is of the whole cohort.")
        return given

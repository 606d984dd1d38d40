"""The form of a proctor's operation: its own arguments, and the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from mlsd_app.cohorts.forms import PanelForm
from mlsd_app.cohorts.live.operations import MOST_MIN
from mlsd_app.interviews.interviewer.throwing import MAX_MESSAGE
from mlsd_app.interviews.staff_ops import MAX_REASON
from problems.interview_schema import Curveball


def _minutes(label: str, least: float, most: float) -> forms.FloatField:
    return forms.FloatField(label=label, min_value=least, max_value=most, widget=forms.NumberInput(attrs={"step": "any"}))


def _moment(label: str, help_text: str = "") -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": 1}, format="%Y-%m-%dT%H:%M:%S")
    return forms.DateTimeField(label=label, widget=widget, help_text=help_text)


def _fields(op: str, events: Iterable[Curveball]) -> Mapping[str, forms.Field]:
    made: dict[str, dict[str, forms.Field]] = {
        "add": {"minutes": _minutes("Minutes", -MOST_MIN, MOST_MIN)},
        "percent": {"percent": _minutes("Per cent", -100, 100)},
        "set_remaining": {"minutes": _minutes("Minutes left", 0, MOST_MIN)},
        "set_total": {"minutes": _minutes("Minutes in all", 1, 2 * MOST_MIN)},
        "outage": {"begin": _moment("From"), "end": _moment("To", "Neither before the first of them was started nor in the future.")},
        "reopen": {"minutes": _minutes("Minutes more", 0, MOST_MIN)},
        "curveball": {"key": forms.ChoiceField(label="Event", choices=[(ball.key, _shortened(ball.text)) for ball in events])},
        "message": {"text": forms.CharField(label="Message", max_length=MAX_MESSAGE, widget=forms.Textarea(attrs={"rows": 3}))},
    }
    return made.get(op, {})


def _shortened(text: str) -> str:
    return text if len(text) <= 110 else f"{text[:107]}..."


class OperationForm(PanelForm):
    """`events`: those of the problem that can be sent."""

    def __init__(self, op: str, *args: Any, events: Iterable[Curveball] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.op = op
        self.fields.update(_fields(op, events))
        self.fields["reason"] = forms.CharField(
            label="Reason", max_length=MAX_REASON, help_text="Kept in the log with what you do. Candidates do not see it."
        )

    @property
    def args(self) -> dict[str, Any]:
        """The arguments of the operation, once the form is valid."""
        return {name: value for name, value in self.cleaned_data.items() if name != "reason"}


class NoteForm(PanelForm):
    text = forms.CharField(label="Note", max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))
    visible_to_learner = forms.BooleanField(label="The learner reads it once scores are out", required=False)

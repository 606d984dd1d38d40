"""What holds for one person: person over label over assignment, field by field. No database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.cohorts.policy import (
    Accommodations,
    LateSteps,
    Layer,
    OverrideFields,
    Resolved,
    checked,
    late_credit,
    resolve,
    window_refusal,
)
from simulators.errors import InvalidInput

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
moments = st.integers(-5000, 5000).map(lambda minutes: NOW + timedelta(minutes=minutes))
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "multiplier": st.floats(1, 4),
    "extra_s": st.integers(0, 7200),
    "break_s": st.integers(0, 7200),
    "hide_timer": st.booleans(),
    "opens_at": moments,
    "due_at": moments,
    "closes_at": moments,
}
said = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in FIELDS.items()})
layers = st.lists(said, max_size=6).map(lambda found: [Layer(f"layer {number}", fields) for number, fields in enumerate(found)])
bases = st.fixed_dictionaries(
    {name: st.none() | moments for name in ("opens_at", "due_at", "closes_at")} | {"attempts": st.integers(1, 20)}  # type: ignore[arg-type]
)


@given(bases, layers)
def test_each_field_is_the_strongest_that_says_something(base: dict[str, Any], above: list[Layer]) -> None:
    resolved = resolve(base=base, layers=above)
    for name in FIELDS:
        speakers = [layer for layer in above if layer.fields.get(name) is not None]
        wanted = speakers[-1].fields[name] if speakers else base.get(name, getattr(Resolved(), name))
        if name == "closes_at" and resolved.due_at and wanted and wanted < resolved.due_at:
            wanted = resolved.due_at
        assert getattr(resolved, name) == wanted
        if speakers and not (name == "closes_at" and resolved.closes_at == resolved.due_at):
            assert (resolved.sources or {})[name] == speakers[-1].source


@given(bases, layers)
def test_nothing_in_time_is_shut_out(base: dict[str, Any], above: list[Layer]) -> None:
    resolved = resolve(base=base, layers=above)
    assert not (resolved.due_at and resolved.closes_at) or resolved.due_at <= resolved.closes_at


@given(bases, layers)
def test_a_layer_that_says_nothing_changes_nothing(base: dict[str, Any], above: list[Layer]) -> None:
    silent = Layer("silent", dict.fromkeys(FIELDS))
    for place in range(len(above) + 1):
        assert resolve(base=base, layers=[*above[:place], silent, *above[place:]]) == resolve(base=base, layers=above)


@given(bases, layers, said)
def test_only_fields_a_stronger_layer_names_change(base: dict[str, Any], above: list[Layer], more: dict[str, Any]) -> None:
    before, after = resolve(base=base, layers=above), resolve(base=base, layers=[*above, Layer("more", more)])
    for name in ("multiplier", "extra_s", "break_s", "hide_timer", "opens_at", "due_at"):
        if more.get(name) is None:
            assert getattr(after, name) == getattr(before, name)


def test_extra_tries_are_added_and_minutes_are_seconds() -> None:
    fields = OverrideFields(extra_attempts=2, extra_time_min=10).said()
    resolved = resolve(base={"attempts": 1}, layers=[Layer("label A", {"extra_attempts": 5, "extra_s": 60}), Layer("person", fields)])
    assert (resolved.attempts, resolved.extra_s) == (3, 600)
    assert (resolved.sources or {})["attempts"] == "person"


def test_times_survive_storage() -> None:
    fields = OverrideFields(due_at=NOW).said()
    assert isinstance(fields["due_at"], str)
    assert resolve(base={"attempts": 1}, layers=[Layer("person", fields)]).due_at == NOW


@pytest.mark.parametrize(
    "model, given_fields, field",
    [
        (Accommodations, {"multiplier": 0.5}, "multiplier"),
        (Accommodations, {"multiplier": 4.1}, "multiplier"),
        (Accommodations, {"extra_s": -1}, "extra_s"),
        (Accommodations, {"why": "ill"}, "why"),
        (OverrideFields, {"extra_time_min": 121}, "extra_time_min"),
        (OverrideFields, {"due_at": "2026-03-02T12:00:00"}, "due_at"),
        (LateSteps, {"steps": [{"until_h": 24, "credit": 0.9}, {"until_h": 24, "credit": 0.5}]}, ""),
        (LateSteps, {"steps": [{"until_h": 24, "credit": 1.5}]}, "steps.0.credit"),
    ],
)
def test_values_out_of_range_are_named(model: Any, given_fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(model, given_fields)
    assert (caught.value.field or "") == field


STEPS = [{"until_h": 24, "credit": 0.9}, {"until_h": 72, "credit": 0.5}]


@given(st.integers(-100, 100 * 60))
def test_late_credit_falls_in_steps(minutes: int) -> None:
    credit = late_credit(at=NOW + timedelta(minutes=minutes), due_at=NOW, steps=STEPS)
    assert credit == (1 if minutes <= 0 else 0.9 if minutes <= 24 * 60 else 0.5 if minutes <= 72 * 60 else 0)


def test_without_steps_or_due_date_nothing_is_deducted() -> None:
    assert late_credit(at=NOW, due_at=NOW - timedelta(days=9), steps=[]) == late_credit(at=NOW, due_at=None, steps=STEPS) == 1


def test_the_window_is_open_from_its_first_moment_and_shut_from_its_last() -> None:
    opens, closes = NOW, NOW + timedelta(hours=1)
    tick = timedelta(microseconds=1)
    said = [bool(window_refusal(now=now, opens_at=opens, closes_at=closes)) for now in (NOW - tick, NOW, closes - tick, closes)]
    assert said == [True, False, False, True]

"""The figures of a lab question after the answer: what the runs found, with what was answered marked on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlsd_app.quiz.questions.base import ChoiceQuestion, LabFacts, OrderQuestion, Question
from mlsd_app.quiz.questions.numbers import NumberQuestion
from problems.quiz_schema import LabQuestion
from simulators.figures import Axis, Series, bar_figure, with_line
from simulators.lab import Figure
from simulators.units import comparable, parse_quantity, parse_unit


def truth_figures(question: Question, instance: LabFacts, given: Mapping[str, Any]) -> list[Figure]:
    """One figure a quantity that was asked for; none of a question that no lab answered. `given` is the answer as it was stored."""
    truth = instance.truth
    if not isinstance(question.item, LabQuestion):
        return []
    if isinstance(question, NumberQuestion):
        return [_value(question, truth, given)]
    if isinstance(question, OrderQuestion):
        ranked = sorted(truth["means"])
        return [_bars(truth, question.lines, [ranked[rank] for rank in question.rank])]
    if question.item.ask == "direction":
        return [_bars(truth, [option["label"] for option in instance.options], (truth["before"], truth["after"]))]
    assert isinstance(question, ChoiceQuestion)
    return _pick(question, instance, {question.options[place].text for place in given.get("picked", ())})


def _value(question: NumberQuestion, truth: Mapping[str, Any], given: Mapping[str, Any]) -> Figure:
    figure = _bars(truth, [f"seed {seed}" for seed in range(len(truth["values"]))], truth["values"])
    figure = with_line(figure, label="mean", y=truth["mean"])
    quantity = parse_quantity(given["text"], question.expect)
    if comparable(quantity.dimension, question.solution.truth.dimension):
        figure = with_line(figure, label="your answer", y=quantity.base / parse_unit(truth["unit"]).factor)
    return figure


def _pick(question: ChoiceQuestion, instance: LabFacts, chosen: set[str]) -> list[Figure]:
    """Of each quantity of the target, what every setting reached; a setting of several designs shows its first."""
    found: dict[str, tuple[Mapping[str, Any], dict[str, float]]] = {}
    for option, metrics in zip(instance.options, instance.truth["metrics"], strict=True):
        for row in metrics:
            found.setdefault(row["key"].partition("@")[0], (row, {}))[1].setdefault(option["label"], row["mean"])
    return [_bars(row, list(means), list(means.values()), chosen) for row, means in found.values()]


def _bars(about: Mapping[str, Any], names: Sequence[str], means: Sequence[float], chosen: Sequence[str] | set[str] = ()) -> Figure:
    """A bar a setting; what was chosen has a colour of its own."""
    label, unit = about["label"].partition(" (")[0], about["unit"]
    rows = list(zip(names, means, strict=True))
    yours = [(name, mean) for name, mean in rows if name in chosen]
    others = [(name, mean) for name, mean in rows if name not in chosen]
    series = [
        Series(title, [name for name, _ in part], [mean for _, mean in part], colour=colour)
        for colour, (title, part) in enumerate([("settings", others), ("your choice", yours)])
        if part
    ]
    told = "; ".join(f"{name} {mean:.3g}" for name, mean in rows)
    key = f"truth-{about.get('metric', about.get('key', '')).partition('@')[0]}"
    return bar_figure(key, f"{label}, mean of the runs", f"{label} ({unit}): {told}.", series, Axis("Setting"), Axis(label, unit))

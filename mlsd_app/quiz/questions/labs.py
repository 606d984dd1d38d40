"""Questions whose truth a lab computed: the settings in words, the options, and what the runs said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlsd_app.quiz.questions.base import ChoiceQuestion, LabFacts, OrderQuestion, Question, Shown, shuffled
from mlsd_app.quiz.questions.numbers import DIGITS, NumberQuestion, Solution, grouped, shown
from mlsd_app.runs.templatetags.quantities import quantity
from problems.quiz_schema import LabQuestion
from problems.schema import Problem
from simulators.lab import Lab
from simulators.registry import get_lab
from simulators.units import Rule, UnitError, quantity_of

DIRECTIONS = {"rise": "It rises", "fall": "It falls", "same": "It hardly moves"}


def lab_question(item: LabQuestion, problem: Problem, seed: int, instance: LabFacts) -> Question:
    lab = get_lab(problem.slug, instance.lab)
    extra = {"lab": {"slug": lab.slug, "title": lab.title}, "settings": settings_text(lab, instance.params)}
    match item.ask:
        case "value":
            return _value(item, problem, seed, instance, extra)
        case "direction":
            return _direction(item, problem, seed, instance, lab, extra)
        case "order":
            return _order(item, problem, seed, instance, extra)
        case "pick":
            return _pick(item, problem, seed, instance, extra)


def _value(item: LabQuestion, problem: Problem, seed: int, instance: LabFacts, extra: dict[str, Any]) -> NumberQuestion:
    truth = instance.truth
    low, high = truth["ci"]
    interval = f"Runs with {len(truth['values'])} seeds put it between {reading(low, truth['unit'])} and {reading(high, truth['unit'])}."
    return NumberQuestion(
        item,
        problem,
        seed,
        solution=Solution(quantity_of(truth["mean"], truth["unit"]), truth["unit"], digits=DIGITS["estimate"]),
        rule=Rule("estimate"),
        asked=item.stem,
        notes=(interval,),
        extra={**extra, "metric": truth["label"]},
    )


def _direction(item: LabQuestion, problem: Problem, seed: int, instance: LabFacts, lab: type[Lab], extra: dict[str, Any]) -> ChoiceQuestion:
    truth, change = instance.truth, item.change
    assert change is not None, "the schema asks for it"
    moved = (
        f"{truth['label']} goes from {reading(truth['before'], truth['unit'])} to {reading(truth['after'], truth['unit'])}: "
        f"a difference of {reading(truth['difference'], truth['unit'])}, standard error {reading(truth['se'], truth['unit'])}."
    )
    options = tuple(Shown(text, key == truth["answer"], moved if key == truth["answer"] else "") for key, text in DIRECTIONS.items())
    steps = {
        "title": title_of(lab, change.param),
        "from": value_text(lab, change.param, change.frm),
        "to": value_text(lab, change.param, change.to),
    }
    return ChoiceQuestion(item, problem, seed, options, extra={**extra, "metric": truth["label"], "change": steps})


def _order(item: LabQuestion, problem: Problem, seed: int, instance: LabFacts, extra: dict[str, Any]) -> OrderQuestion:
    """Settings from the lowest to the highest mean, shown in an order that is not the right one."""
    truth, count = instance.truth, len(instance.options)
    rank_of = {place: rank for rank, place in enumerate(sorted(range(count), key=lambda place: truth["means"][place]))}
    order = shuffled(count, seed, item.id)
    if [rank_of[place] for place in order] == list(range(count)):
        order = order[1:] + order[:1]
    return OrderQuestion(
        item,
        problem,
        seed,
        tuple(instance.options[place]["label"] for place in order),
        tuple(rank_of[place] for place in order),
        f"{truth['label']}, lowest first",
        tuple(reading(truth["means"][place], truth["unit"]) for place in order),
        {**extra, "metric": truth["label"]},
    )


def _pick(item: LabQuestion, problem: Problem, seed: int, instance: LabFacts, extra: dict[str, Any]) -> ChoiceQuestion:
    truth = instance.truth
    order = shuffled(len(instance.options), seed, item.id)
    options = tuple(Shown(instance.options[i]["label"], i == truth["correct"], told(truth["metrics"][i])) for i in order)
    return ChoiceQuestion(item, problem, seed, options, extra=extra)


def told(metrics: Sequence[Mapping[str, Any]]) -> str:
    """What the runs of one setting said of the quantities that were asked for."""
    return "; ".join(f"{entry['label']} {reading(entry['mean'], entry['unit'])}" for entry in metrics) + "."


# --- parameters and metrics in words ---------------------------------------------------------------------------------


def settings_text(lab: type[Lab], values: Mapping[str, Any]) -> list[list[str]]:
    """[title, value] of each parameter, in the order of the lab's form."""
    return [[title_of(lab, name), value_text(lab, name, values[name])] for name in lab.Params.model_fields if name in values]


def title_of(lab: type[Lab], name: str) -> str:
    return lab.Params.model_fields[name].title or name


def value_text(lab: type[Lab], name: str, value: Any) -> str:
    extra: Any = lab.Params.model_fields[name].json_schema_extra
    declared = extra["lab"]
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(lab, name, entry) for entry in value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return number(value, declared["unit"])
    return str(declared["labels"].get(value, str(value).replace("_", " ")))


def number(value: float, unit: str) -> str:
    """A number of a lab with its unit, as the pages print it."""
    try:
        return shown(quantity_of(value, unit)) if unit else grouped(value)
    except UnitError:
        return f"{grouped(value)} {unit}"


def reading(value: float, unit: str) -> str:
    """What a run found, as the lab's own page prints it: three significant digits."""
    return quantity(value, unit)

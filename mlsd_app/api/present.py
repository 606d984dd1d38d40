"""Answers as plain dicts, in the shapes of `serializers.py`."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from mlsd_app.runs.forms import Field, fields_of
from mlsd_app.runs.models import Dataset, Run
from mlsd_app.runs.present import explanation, question
from problems.calculators import Calculator, CalculatorResult
from problems.schema import Problem
from simulators.encoding import plain
from simulators.lab import DataSpec, Lab

# --- problems --------------------------------------------------------------------------------------------------------


def problem_summary(problem: Problem) -> dict[str, Any]:
    head = problem.model_dump(mode="json", include={"slug", "title", "tagline", "theme", "difficulty", "state", "engines", "tags", "labs"})
    return {**head, "minutes": problem.minutes.total}


def problem_detail(problem: Problem) -> dict[str, Any]:
    body = problem.model_dump(mode="json", include={"related", "phases", "sources"})
    return {**problem_summary(problem), **body, "calculators": [calculator(item) for item in problem.calculators]}


def calculator(item: Calculator) -> dict[str, Any]:
    return item.model_dump(mode="json", include={"key": True, "title": True, "summary": True, "inputs": True, "outputs": True})


def calculator_result(result: CalculatorResult) -> dict[str, Any]:
    names = ("key", "title", "unit", "formula", "assumption", "value")
    return {
        "key": result.key,
        "inputs": result.inputs,
        "outputs": [{name: getattr(output, name) for name in names} for output in result.outputs],
        "dominating": result.dominating,
        "constraint": result.constraint,
    }


# --- labs ------------------------------------------------------------------------------------------------------------


def lab_summary(lab: type[Lab]) -> dict[str, Any]:
    return {
        "problem": lab.problem,
        "slug": lab.slug,
        "title": lab.title,
        "question": question(lab),
        "phase": lab.phase,
        "version": lab.version,
        "exclusive": lab.exclusive,
        "takes_data": lab.data is not None,
    }


def lab_detail(lab: type[Lab]) -> dict[str, Any]:
    return {
        **lab_summary(lab),
        "why": lab.why,
        "explanation": explanation(lab).body,
        "sources": list(lab.sources),
        "params": [param_summary(field) for field in fields_of(lab)],
        "params_schema": lab.Params.model_json_schema(),
        "presets": plain(lab.presets),
        "data": _data_spec(lab.data) if lab.data else None,
    }


def param_summary(field: Field) -> dict[str, Any]:
    extra, (low, high) = field.extra, field.hard if field.kind in ("number", "numbers") else (None, None)
    return {
        "name": field.name,
        "title": field.info.title or field.name,
        "help": field.info.description or "",
        "unit": extra.get("unit", ""),
        "group": extra.get("group", ""),
        "kind": field.kind,
        "default": plain(field.default),
        "minimum": low,
        "maximum": high,
        "soft": plain(extra.get("soft")),
        "scale": extra.get("scale", "linear"),
        "step": extra.get("step"),
        "choices": plain(field.choices),
        "labels": {str(value): field.label(value) for value in field.choices},
        "max_items": field.max_items,
        "shown_when": plain(extra.get("shown_when", {})),
    }


def _data_spec(spec: DataSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "help": spec.help,
        "slots": [slot._asdict() for slot in spec.slots],
        "options": [
            {name: getattr(option, name) for name in ("key", "title", "help", "choices", "required", "default")} for option in spec.options
        ],
        "example": spec.example,
    }


# --- runs and data ---------------------------------------------------------------------------------------------------


def run_answer(run: Run) -> dict[str, Any]:
    names = ("id", "problem", "lab", "lab_version", "params", "seed", "state", "error", "created_at", "started_at", "finished_at")
    links = {
        "self": reverse("api:run", args=[run.pk]),
        "events": reverse("api:run_events", args=[run.pk]),
        "result": reverse("api:run_result", args=[run.pk]),
        "cancel": reverse("api:run_cancel", args=[run.pk]),
        "page": reverse("runs:run", args=[run.pk]),
    }
    return {**{name: getattr(run, name) for name in names}, "dataset": run.dataset_id, "links": links}


def dataset_answer(dataset: Dataset) -> dict[str, Any]:
    names = ("id", "problem", "lab", "name", "options", "facts", "warnings", "bytes", "created_at")
    files = [{name: item[name] for name in ("slot", "name", "sha256", "bytes")} for item in dataset.files]
    return {**{name: getattr(dataset, name) for name in names}, "files": files}

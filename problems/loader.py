"""Reads problem folders. A folder of `problems/` that contains problem.yaml is a problem; nothing is listed by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from problems.base import PHASES
from problems.calculators import Calculator
from problems.errors import InvalidInput
from problems.interview_schema import Interviewer, Rubric
from problems.markdown import phase_parts
from problems.quiz_schema import Quiz
from problems.schema import CoveredFact, Phase, Problem, ProblemHead

ROOT = Path(__file__).parent
Model = TypeVar("Model", bound=BaseModel)


@cache
def all_problems() -> tuple[Problem, ...]:
    """Every problem, complete ones first, then by title."""
    problems = [load_problem(folder.parent.name) for folder in ROOT.glob("*/problem.yaml")]
    return tuple(sorted(problems, key=lambda problem: (not problem.complete, problem.title)))


@cache
def load_problem(slug: str) -> Problem:
    """The problem, or InvalidInput: unknown slug, or a sentence that names the file and the key or line that is wrong."""
    known = sorted(path.parent.name for path in ROOT.glob("*/problem.yaml"))
    if slug not in known:
        raise InvalidInput(f"There is no problem {slug!r}; the problems are {', '.join(known)}.", field="problem")
    return read_problem(ROOT / slug)


def read_problem(folder: Path) -> Problem:
    """A problem from any folder (tests use their own), uncached."""
    head = _validated(ProblemHead, _yaml(folder / "problem.yaml"), folder / "problem.yaml")
    if head.slug != folder.name:
        raise InvalidInput(f"{_name(folder / 'problem.yaml')}, slug: {head.slug!r} was given; expected the folder's name {folder.name!r}.")
    parts = _walkthrough(folder, head) if head.state == "complete" else {}
    return Problem(**dict(head), **parts)


def folder_faults(folder: Path) -> list[str]:
    """Everything that keeps the folder from being read, a sentence for each file that is wrong; empty when it can be read."""
    try:
        head = _validated(ProblemHead, _yaml(folder / "problem.yaml"), folder / "problem.yaml")
        if head.slug != folder.name or head.state != "complete":
            read_problem(folder)
            return []
    except InvalidInput as error:
        return [error.message]
    found = []
    for read in _readers(folder, head).values():
        try:
            read()
        except InvalidInput as error:
            found.append(error.message)
    return found


def _walkthrough(folder: Path, head: ProblemHead) -> dict[str, Any]:
    parts = {name: read() for name, read in _readers(folder, head).items()}
    phases = tuple(parts.pop(key) for key in PHASES)
    return {"phases": phases, **parts}


def _readers(folder: Path, head: ProblemHead) -> dict[str, Callable[[], Any]]:
    """{part: how it is read}, one a file."""
    readers: dict[str, Callable[[], Any]] = {key: partial(_phase, folder / f"{key}.md", key, head) for key in PHASES}
    models: dict[str, type[BaseModel]] = {"rubric": Rubric, "interviewer": Interviewer, "quiz": Quiz}
    for name, model in models.items():
        readers[name] = partial(_one, model, folder / f"{name}.yaml")
    return readers | {
        "calculators": partial(_many, Calculator, folder / "calculators.yaml"),
        "coverage": partial(_many, CoveredFact, folder / "coverage.yaml"),
        "diagram_svg": partial(_text, folder / "diagram.svg"),
    }


def _one(model: type[Model], path: Path) -> Model:
    return _validated(model, _yaml(path), path)


def _phase(path: Path, key: Any, head: ProblemHead) -> Phase:
    parts = phase_parts(_text(path), _name(path))
    fields = {"key": key, "title": PHASES[key], "minutes": getattr(head.minutes, key), **parts}
    return _validated(Phase, fields, path)


def _many(model: type[Model], path: Path) -> tuple[Model, ...]:
    content = _yaml(path)
    try:
        return TypeAdapter(tuple[model, ...]).validate_python(content)  # type: ignore[valid-type]
    except ValidationError as error:
        raise InvalidInput(_sentence(error, path)) from error


def _validated(model: type[Model], content: Any, path: Path) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InvalidInput(_sentence(error, path)) from error


def _sentence(error: ValidationError, path: Path) -> str:
    """The first fault: file, key path, what is wrong."""
    item = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in item["loc"]) or "whole file"
    if item["type"] == "value_error":
        return f"{_name(path)}, {key}: {str(item['ctx']['error']).rstrip('.')}."
    given = "" if item["type"] == "missing" else f"; {str(item['input'])[:60]!r} was given"
    return f"{_name(path)}, {key}: {item['msg']}{given}."


def _yaml(path: Path) -> Any:
    try:
        return yaml.load(_text(path), Loader=_StrictLoader)  # noqa: S506  a SafeLoader, see below
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"{_name(path)}, line {line}: {error.problem or error.context}.") from error


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML in which a key may stand only once: a repeated one would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is repeated", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidInput(f"{_name(path)} is missing; a problem with state 'complete' has it.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{_name(path)} is not UTF-8 text.") from None


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"

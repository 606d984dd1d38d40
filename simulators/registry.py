"""Finds labs. A lab is a subclass of `Lab` in a module `simulators/<problem>/<lab>.py`; nothing is listed by hand."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

import simulators
from simulators.errors import InvalidInput
from simulators.lab import Lab

_NOT_PROBLEMS = {"engines"}


@cache
def labs() -> dict[tuple[str, str], type[Lab]]:
    """Every lab by (problem, lab slug), in alphabetical order."""
    return {
        (problem, module.__name__.rpartition(".")[2]): lab
        for problem in problems()
        for module in _modules(problem)
        if (lab := _lab_in(module, problem))
    }


def problems() -> list[str]:
    """Packages of `simulators` that hold labs."""
    return sorted(info.name for info in pkgutil.iter_modules(simulators.__path__) if info.ispkg and info.name not in _NOT_PROBLEMS)


def labs_of(problem: str) -> list[type[Lab]]:
    return [lab for (owner, _), lab in labs().items() if owner == problem]


def get_lab(problem: str, slug: str) -> type[Lab]:
    """The lab, or InvalidInput that lists what the problem has."""
    try:
        return labs()[problem, slug]
    except KeyError:
        known = ", ".join(f"{p}/{s}" for p, s in labs())
        raise InvalidInput(f"There is no lab {problem}/{slug}; the labs are {known}.", field="lab") from None


def _modules(problem: str) -> list[ModuleType]:
    package = importlib.import_module(f"simulators.{problem}")
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_"))
    return [importlib.import_module(f"simulators.{problem}.{name}") for name in names]


def _lab_in(module: ModuleType, problem: str) -> type[Lab] | None:
    """The one Lab subclass defined in the module, named by its place; None for a helper module."""
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Lab) and value.__module__ == module.__name__
    ]
    if len(found) > 1:
        raise TypeError(f"{module.__name__} defines {len(found)} labs; one module holds one lab")
    if not found:
        return None
    found[0].slug, found[0].problem = module.__name__.rpartition(".")[2], problem
    return found[0]

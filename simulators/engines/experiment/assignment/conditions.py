"""Targeting conditions in the manner of MongoDB queries, as the public GrowthBook SDK specification 0.7 has them.

A condition is a dict of attribute paths ("account.plan") and of the connectives $and, $or, $nor, $not. A value is either compared for
equality or, when all its keys begin with $, read as operators that must all hold:

    $eq $ne $lt $lte $gt $gte           $eq and $ne never convert; the ordering ones count a missing value as 0 and read "8" as 8
    $veq $vne $vlt $vlte $vgt $vgte     versions: "1.10.0" after "1.9.2", "1.0.0-rc.1" before "1.0.0"
    $in $nin $all                       lists; of an attribute that is a list, $in asks whether they share an element
    $ini $nini $alli                    the same without regard to case
    $inGroup $notInGroup                the list is a saved group; an unknown group has no members
    $regex $regexi $notRegex $notRegexi $elemMatch $size $exists $type $not

Unknown operators, unreadable patterns and operands of the wrong type match nothing. Nothing here raises for a condition that is JSON.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Groups = Mapping[str, Any]
Test = Callable[[Any, Any, Groups], bool]
NUMBER = re.compile(r"\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)?\s*")
ORDER = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


def evaluate_condition(condition: dict[str, Any], attributes: dict[str, Any], saved_groups: dict[str, Any] | None = None) -> bool:
    """Whether a unit with these attributes is targeted. An empty condition targets everybody."""
    return _holds(condition, attributes, saved_groups or {})


def _holds(condition: Any, attributes: Any, groups: Groups) -> bool:
    if not isinstance(condition, dict):
        return False
    return all(_part(key, wanted, attributes, groups) for key, wanted in condition.items())


def _part(key: str, wanted: Any, attributes: Any, groups: Groups) -> bool:
    if key in ("$or", "$nor"):
        return _any(wanted, attributes, groups) is (key == "$or")
    if key == "$and":
        return isinstance(wanted, list) and all(_holds(item, attributes, groups) for item in wanted)
    if key == "$not":
        return not _holds(wanted, attributes, groups)
    return _value_holds(wanted, _at(attributes, key), groups)


def _any(conditions: Any, attributes: Any, groups: Groups) -> bool:
    """An empty list of alternatives holds."""
    return isinstance(conditions, list) and (not conditions or any(_holds(item, attributes, groups) for item in conditions))


def _at(attributes: Any, path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    for name in path.split("."):
        if not isinstance(attributes, dict) or name not in attributes:
            return None
        attributes = attributes[name]
    return attributes


def _value_holds(wanted: Any, value: Any, groups: Groups, fold: bool = False) -> bool:
    if _has_operators(wanted):
        return all(name in OPERATORS and OPERATORS[name](value, operand, groups) for name, operand in wanted.items())
    if fold and isinstance(wanted, str) and isinstance(value, str):
        return value.lower() == wanted.lower()
    return _same(value, wanted)


def _has_operators(wanted: Any) -> bool:
    return isinstance(wanted, dict) and bool(wanted) and all(key.startswith("$") for key in wanted)


# --- values -----------------------------------------------------------------------------------------------------------------------


def _type(value: Any) -> str:
    """The name JSON gives the type; a boolean is no number."""
    if value is None:
        return "null"
    kinds = ((bool, "boolean"), ((int, float), "number"), (str, "string"), ((list, tuple), "array"), (dict, "object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "unknown")


def _same(one: Any, other: Any) -> bool:
    """Equal in value and in type, all the way down."""
    kind = _type(one)
    if kind != _type(other):
        return False
    if kind == "array":
        return len(one) == len(other) and all(map(_same, one, other))
    if kind == "object":
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _same_scalar(one: Any, other: Any) -> bool:
    """As `_same`, but lists and objects are never the same one."""
    return not isinstance(one, (list, tuple, dict)) and _same(one, other)


def _ordered(name: str) -> Test:
    """Two texts by their characters, all else as numbers; what is no number is neither smaller nor larger."""
    test = ORDER[name]

    def holds(value: Any, operand: Any, groups: Groups) -> bool:
        if isinstance(value, str) and isinstance(operand, str):
            return bool(test(value, operand))
        return bool(test(_number(value), _number(operand)))

    return holds


def _number(value: Any) -> float:
    if value is None:
        return 0.0
    if isinstance(value, str):
        return float(value.strip() or 0) if NUMBER.fullmatch(value) else math.nan
    return value if isinstance(value, (bool, int, float)) else math.nan


# --- versions ---------------------------------------------------------------------------------------------------------------------


def _version(compare: Callable[[str, str], Any]) -> Test:
    return lambda value, operand, groups: bool(compare(padded_version(value), padded_version(operand)))


def padded_version(version: Any) -> str:
    """A text that sorts as the version does: numbers padded to five places, a final release after its pre-releases."""
    if isinstance(version, (int, float)) and not isinstance(version, bool):
        version = f"{version:g}" if isinstance(version, float) else str(version)
    text = version if isinstance(version, str) and version else "0"
    parts = re.split(r"[-.]", re.sub(r"^v|\+.*$", "", text))
    if len(parts) == 3:
        parts.append("~")
    return "-".join(part.rjust(5) if part.isascii() and part.isdigit() else part for part in parts)


# --- lists ------------------------------------------------------------------------------------------------------------------------


def _among(value: Any, items: list[Any], fold: bool = False) -> bool:
    values = value if isinstance(value, (list, tuple)) else [value]
    return any(_same_scalar(_folded(one, fold), _folded(item, fold)) for one in values for item in items)


def _folded(value: Any, fold: bool) -> Any:
    return value.lower() if fold and isinstance(value, str) else value


def _in(wanted: bool, fold: bool = False) -> Test:
    return lambda value, operand, groups: isinstance(operand, list) and _among(value, operand, fold) is wanted


def _in_group(wanted: bool) -> Test:
    def holds(value: Any, operand: Any, groups: Groups) -> bool:
        members = groups.get(operand, []) if isinstance(operand, str) else None
        return isinstance(members, list) and _among(value, members) is wanted

    return holds


def _all_in(fold: bool) -> Test:
    def holds(value: Any, operand: Any, groups: Groups) -> bool:
        if not isinstance(operand, list) or not isinstance(value, list):
            return False
        return all(any(_value_holds(wanted, item, groups, fold) for item in value) for wanted in operand)

    return holds


def _element_matches(value: Any, operand: Any, groups: Groups) -> bool:
    if not isinstance(value, list) or not isinstance(operand, dict):
        return False
    holds = _value_holds if _has_operators(operand) else _holds
    return any(holds(operand, item, groups) for item in value if item is not None)


def _size(value: Any, operand: Any, groups: Groups) -> bool:
    return isinstance(value, list) and _value_holds(operand, len(value), groups)


# --- the rest ---------------------------------------------------------------------------------------------------------------------


def _regex(wanted: bool, fold: bool) -> Test:
    def holds(value: Any, operand: Any, groups: Groups) -> bool:
        try:
            pattern = re.compile(operand, re.IGNORECASE if fold else 0)
            return (pattern.search(value) is not None) is wanted
        except (re.error, TypeError, RecursionError, OverflowError):
            return not wanted

    return holds


OPERATORS: dict[str, Test] = {
    "$eq": lambda value, operand, groups: _same_scalar(value, operand),
    "$ne": lambda value, operand, groups: not _same_scalar(value, operand),
    **{f"${name}": _ordered(name) for name in ORDER},
    "$veq": _version(operator.eq),
    "$vne": _version(operator.ne),
    **{f"$v{name}": _version(compare) for name, compare in ORDER.items()},
    "$in": _in(True),
    "$nin": _in(False),
    "$ini": _in(True, fold=True),
    "$nini": _in(False, fold=True),
    "$inGroup": _in_group(True),
    "$notInGroup": _in_group(False),
    "$all": _all_in(False),
    "$alli": _all_in(True),
    "$elemMatch": _element_matches,
    "$size": _size,
    "$exists": lambda value, operand, groups: (value is not None) is bool(operand),
    "$type": lambda value, operand, groups: _type(value) == operand,
    "$regex": _regex(True, fold=False),
    "$regexi": _regex(True, fold=True),
    "$notRegex": _regex(False, fold=False),
    "$notRegexi": _regex(False, fold=True),
    "$not": lambda value, operand, groups: not _value_holds(operand, value, groups),
}

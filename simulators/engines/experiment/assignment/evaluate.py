"""Which arm one unit gets, in the order of the public GrowthBook SDK specification 0.7, and why.

Experiments, contexts and stored sticky buckets are dicts with that specification's keys:

    experiment  key, variations, weights, coverage, ranges, seed, hashVersion (default 1), hashAttribute (default "id"), fallbackAttribute,
                filters, namespace, condition, parentConditions, active, status, force, meta, bucketVersion, minBucketVersion,
                disableStickyBucketing
    context     attributes, enabled, qaMode, url, forcedVariations, overrides, features, savedGroups
    sticky      {"attributeName", "attributeValue", "assignments": {"<experiment key>__<bucketVersion>": "<key of the variation>"}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from simulators.engines.experiment.assignment.conditions import evaluate_condition
from simulators.engines.experiment.assignment.hashing import bucket_ranges, choose_variation, hash_unit, in_namespace

Document = Mapping[str, Any]
CYCLE, GATE, FAIL = "cycle", "gate", "fail"


@dataclass(frozen=True)
class Assignment:
    """Outside the experiment `variation` is 0 and `value` that of the first variation, which is what the unit is shown.

    hash_used  the hash, or a bucket remembered from it, decided; False for overrides, forced arms and units outside
    bucket     the unit's number in [0, 1), None unless the hash was used
    reason     "assigned" or "sticky_bucket" where the hash decided; else the step that did: invalid, disabled, override, inactive,
               hash_attribute, sticky_bucket (stored under a blocked version), filters, namespace, condition, prerequisite, hash_version,
               coverage, force, qa_mode
    """

    variation: int
    value: Any
    in_experiment: bool
    hash_used: bool
    bucket: float | None
    reason: str


def assign(experiment: dict[str, Any], context: dict[str, Any], sticky: Sequence[Document] = ()) -> Assignment:
    """The arm of the unit whom `context` describes.

    Steps in order: override (address, then forcedVariations), inactive, hash attribute, sticky bucket, filters or namespace, condition,
    prerequisites, coverage, force, QA mode. A unit found in `sticky` keeps its arm and skips filters, condition and prerequisites.
    fallbackAttribute stands in for a missing hash attribute unless disableStickyBucketing is set.
    """
    return _assign(experiment, context, sticky, frozenset())


def _assign(experiment: Mapping[str, Any], context: Mapping[str, Any], sticky: Sequence[Document], seen: frozenset[str]) -> Assignment:
    experiment = {**experiment, **(context.get("overrides") or {}).get(experiment.get("key"), {})}
    early = _before_hashing(experiment, context)
    if early is not None:
        return early
    unit = _unit(experiment, context)
    if unit is None:
        return _outside(experiment, "hash_attribute")
    arm, blocked = _remembered(experiment, context, sticky)
    remembered = arm >= 0
    excluded = "" if remembered else _excluded(experiment, context, sticky, unit, seen)
    if excluded:
        return _outside(experiment, excluded)
    bucket = hash_unit(unit, str(experiment.get("seed") or experiment.get("key", "")), experiment.get("hashVersion") or 1)
    if bucket is None:
        return _outside(experiment, "hash_version")
    if blocked:
        return _outside(experiment, "sticky_bucket")
    arm = arm if remembered else choose_variation(bucket, _ranges(experiment))
    return _after_hashing(experiment, context, arm, bucket, "sticky_bucket" if remembered else "assigned")


def _before_hashing(experiment: Mapping[str, Any], context: Mapping[str, Any]) -> Assignment | None:
    if len(experiment.get("variations") or ()) < 2:
        return _outside(experiment, "invalid")
    if context.get("enabled") is False:
        return _outside(experiment, "disabled")
    override = _override(experiment, context)
    if override is not None:
        return _given(experiment, override, "override")
    if experiment.get("active") is False or experiment.get("status") == "draft":
        return _outside(experiment, "inactive")
    return None


def _after_hashing(experiment: Mapping[str, Any], context: Mapping[str, Any], arm: int, bucket: float, reason: str) -> Assignment:
    variations = experiment["variations"]
    if not 0 <= arm < len(variations):
        return _outside(experiment, "coverage")
    if experiment.get("force") is not None:
        return _given(experiment, experiment["force"], "force")
    if context.get("qaMode"):
        return _outside(experiment, "qa_mode")
    if experiment.get("status") == "stopped":
        return _outside(experiment, "inactive")
    return Assignment(arm, variations[arm], True, True, bucket, reason)


def _outside(experiment: Mapping[str, Any], reason: str) -> Assignment:
    return Assignment(0, next(iter(experiment.get("variations") or ()), None), False, False, None, reason)


def _given(experiment: Mapping[str, Any], arm: Any, reason: str) -> Assignment:
    """An arm that somebody named; one that does not exist is no arm."""
    known = isinstance(arm, int) and 0 <= arm < len(experiment["variations"])
    return Assignment(arm, experiment["variations"][arm], True, False, None, reason) if known else _outside(experiment, reason)


def _override(experiment: Mapping[str, Any], context: Mapping[str, Any]) -> int | None:
    key = experiment.get("key", "")
    asked = parse_qs(urlsplit(context.get("url") or "").query).get(key, [""])[0]
    if asked.isascii() and asked.isdigit() and int(asked) < len(experiment["variations"]):
        return int(asked)
    forced: int | None = (context.get("forcedVariations") or {}).get(key)
    return forced


def _ranges(experiment: Mapping[str, Any]) -> Sequence[tuple[float, float]]:
    coverage = experiment.get("coverage")
    given: Sequence[tuple[float, float]] | None = experiment.get("ranges")
    return given or bucket_ranges(len(experiment["variations"]), 1.0 if coverage is None else coverage, experiment.get("weights"))


# --- who the unit is ----------------------------------------------------------------------------------------------------------------


def _unit(experiment: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """The value to hash: that of the hash attribute, else of the fallback."""
    named = _attribute(context, experiment.get("hashAttribute") or "id")
    if named is None and experiment.get("fallbackAttribute") and not experiment.get("disableStickyBucketing"):
        return _attribute(context, experiment["fallbackAttribute"])
    return named


def _attribute(context: Mapping[str, Any], name: str) -> str | None:
    """As the text that is hashed; None for what is missing, null or empty."""
    value = (context.get("attributes") or {}).get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _remembered(experiment: Mapping[str, Any], context: Mapping[str, Any], sticky: Iterable[Document]) -> tuple[int, bool]:
    """The stored arm (-1: none), and whether one is stored under a version that may no longer enter."""
    if experiment.get("disableStickyBucketing"):
        return -1, False
    stored = _stored(experiment, context, sticky)
    key = experiment.get("key", "")
    if any(f"{key}__{version}" in stored for version in range(experiment.get("minBucketVersion") or 0)):
        return -1, True
    wanted = stored.get(f"{key}__{experiment.get('bucketVersion') or 0}")
    names = [(item or {}).get("key") for item in experiment.get("meta") or ()]
    return (names.index(wanted) if wanted is not None and wanted in names else -1), False


def _stored(experiment: Mapping[str, Any], context: Mapping[str, Any], sticky: Iterable[Document]) -> dict[str, Any]:
    """What is stored for the unit; the hash attribute's document wins over the fallback's."""
    documents = {(item.get("attributeName"), str(item.get("attributeValue"))): item.get("assignments") or {} for item in sticky}
    found: dict[str, Any] = {}
    for name in (experiment.get("fallbackAttribute"), experiment.get("hashAttribute") or "id"):
        value = _attribute(context, name) if name else None
        found |= documents.get((name, value), {}) if value is not None else {}
    return found


# --- who may enter ------------------------------------------------------------------------------------------------------------------


def _excluded(
    experiment: Mapping[str, Any], context: Mapping[str, Any], sticky: Sequence[Document], unit: str, seen: frozenset[str]
) -> str:
    """The step that keeps the unit out, "" for none."""
    if experiment.get("filters"):
        if _filtered_out(experiment["filters"], context):
            return "filters"
    elif experiment.get("namespace") and not in_namespace(unit, experiment["namespace"]):
        return "namespace"
    if experiment.get("condition") and not _condition_holds(experiment["condition"], context):
        return "condition"
    return "prerequisite" if _missed_prerequisite(experiment.get("parentConditions"), context, sticky, seen) else ""


def _filtered_out(filters: Iterable[Mapping[str, Any]], context: Mapping[str, Any]) -> bool:
    """Every filter must let the unit pass; one who lacks the filter's attribute does not."""
    for item in filters:
        unit = _attribute(context, item.get("attribute") or "id")
        u = None if unit is None else hash_unit(unit, str(item.get("seed", "")), item.get("hashVersion") or 2)
        if u is None or choose_variation(u, item.get("ranges") or ()) < 0:
            return True
    return False


def _condition_holds(condition: dict[str, Any], context: Mapping[str, Any]) -> bool:
    return evaluate_condition(condition, context.get("attributes") or {}, context.get("savedGroups"))


def _missed_prerequisite(
    parents: Iterable[Mapping[str, Any]] | None, context: Mapping[str, Any], sticky: Sequence[Document], seen: frozenset[str]
) -> str:
    """CYCLE, GATE or FAIL for the first feature that is not as it must be, "" where all are."""
    for parent in parents or ():
        value, cyclic = _feature(str(parent.get("id")), context, sticky, seen)
        if cyclic:
            return CYCLE
        if not evaluate_condition(parent.get("condition") or {}, {"value": value}, context.get("savedGroups")):
            return GATE if parent.get("gate") else FAIL
    return ""


def _feature(name: str, context: Mapping[str, Any], sticky: Sequence[Document], seen: frozenset[str]) -> tuple[Any, bool]:
    """Value of a feature for this unit (None where it is unknown or gated), and whether it depends on itself."""
    feature = (context.get("features") or {}).get(name)
    if name in seen:
        return None, True
    for rule in (feature or {}).get("rules") or ():
        missed = _missed_prerequisite(rule.get("parentConditions"), context, sticky, seen | {name})
        if missed in (CYCLE, GATE):
            return None, missed == CYCLE
        found = None if missed else _rule_value(name, rule, context, sticky, seen | {name})
        if found is not None:
            return found[0], False
    return (feature or {}).get("defaultValue"), False


def _rule_value(
    name: str, rule: Mapping[str, Any], context: Mapping[str, Any], sticky: Sequence[Document], seen: frozenset[str]
) -> tuple[Any] | None:
    """What a rule gives the unit, in a tuple of one; None where the rule does not concern it."""
    if "force" not in rule:
        experiment = {"key": name, **{key: value for key, value in rule.items() if key != "parentConditions"}}
        result = _assign(experiment, context, sticky, seen)
        passed_on = result.in_experiment and ((experiment.get("meta") or [{}] * 99)[result.variation] or {}).get("passthrough")
        return (result.value,) if result.in_experiment and not passed_on else None
    if rule.get("filters") and _filtered_out(rule["filters"], context):
        return None
    if rule.get("condition") and not _condition_holds(rule["condition"], context):
        return None
    return (rule["force"],) if _rolled_out(name, rule, context) else None


def _rolled_out(name: str, rule: Mapping[str, Any], context: Mapping[str, Any]) -> bool:
    coverage, given = rule.get("coverage"), rule.get("range")
    if coverage is None and given is None:
        return True
    unit = _unit(rule, context)
    u = None if unit is None else hash_unit(unit, str(rule.get("seed") or name), rule.get("hashVersion") or 1)
    if u is None or (given is None and coverage == 0):
        return False
    return choose_variation(u, [given]) == 0 if given is not None else u <= float(coverage or 0.0)

"""Arms of a whole array of units: one experiment, or all experiments of a traffic plan.

Layers (Tang, Agarwal, O'Brien & Meyer 2010, Overlapping experiment infrastructure): each layer hashes the unit with a seed of its own, and
the experiments of a layer take disjoint parts of that one number line. So two experiments of one layer never share a unit, and two of
different layers share units as chance has it. A domain is a part of the traffic that only its own layers may use; the holdout is cut off
before everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment.assignment.hashing import bucket_ranges, choose_many, hash_many
from simulators.errors import InvalidInput

Arms = NDArray[np.int8]
NEEDS_ATTRIBUTES = ("condition", "parentConditions")
HOLDOUT_SEED, DOMAIN_SEED = "holdout", "domains"


def assign_many(unit_ids: NDArray[Any], experiment: dict[str, Any]) -> Arms:
    """Index of the arm of every unit (n,), -1 where it is not in the experiment: `assign` of a context that holds nothing but the id.

    Raises InvalidInput for what ids alone cannot answer: a condition, a prerequisite, a filter on another attribute.
    """
    _check_ids_suffice(experiment)
    arms = len(experiment.get("variations") or ())
    version = experiment.get("hashVersion") or 1
    running = experiment.get("active") is not False and experiment.get("status") not in ("draft", "stopped")
    if arms < 2 or not running or version not in (1, 2):
        return np.full(len(unit_ids), -1, dtype=np.int8)
    coverage = experiment.get("coverage")
    ranges = experiment.get("ranges") or bucket_ranges(arms, 1.0 if coverage is None else coverage, experiment.get("weights"))
    found = choose_many(hash_many(unit_ids, str(experiment.get("seed") or experiment.get("key", "")), version), ranges)
    found[(found >= arms) | ~_admitted(unit_ids, experiment)] = -1
    force = experiment.get("force")
    if force is not None:
        found[found >= 0] = force if 0 <= force < arms else -1
    return found


def _check_ids_suffice(experiment: Mapping[str, Any]) -> None:
    key, attribute = experiment.get("key", ""), experiment.get("hashAttribute") or "id"
    for name in NEEDS_ATTRIBUTES:
        if experiment.get(name):
            raise InvalidInput(f"Experiment {key} has a {name}, which ids alone cannot answer; use assign for each unit.", field=name)
    for item in experiment.get("filters") or ():
        if (item.get("attribute") or "id") != attribute:
            raise InvalidInput(f"Experiment {key} filters by {item.get('attribute') or 'id'}; only {attribute} is known.", field="filters")


def _admitted(unit_ids: NDArray[Any], experiment: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Who passes the filters, or else the namespace."""
    admitted = np.ones(len(unit_ids), dtype=bool)
    if experiment.get("filters"):
        for item in experiment["filters"]:
            u = hash_many(unit_ids, str(item.get("seed", "")), item.get("hashVersion") or 2)
            admitted &= choose_many(u, [tuple(part) for part in item.get("ranges") or ()]) >= 0
    elif experiment.get("namespace"):
        name, low, high = experiment["namespace"]
        u = hash_many(unit_ids, f"__{name}", 1)
        admitted = (u >= low) & (u < high)
    return admitted


# --- layers -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerPlan:
    """Which experiments share out which layer.

    layers   {"key", "experiments", "seed" (default: the key), "hashVersion" (default 2), "domain" (default: all traffic)}; an experiment
             has GrowthBook's "key", "variations" (default [0, 1]), "weights" (default equal) and "coverage", here the share of the
             layer's units it takes (default 1); a domain is a tuple (name, low, high) on one number line that all domains share
    holdout  share of the units, cut first, that enter no experiment
    Raises InvalidInput when a layer is asked for more than all of its units, weights do not sum to 1, a key stands twice or two domains
    overlap.
    """

    layers: list[dict[str, Any]]
    holdout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.holdout <= 1:
            raise InvalidInput(f"A holdout of {self.holdout:g} was given; expected a share from 0 to 1.", field="holdout")
        _check_keys([experiment["key"] for layer in self.layers for experiment in layer["experiments"]])
        _check_domains([tuple(layer["domain"]) for layer in self.layers if layer.get("domain")])
        for layer in self.layers:
            _check_layer(layer)

    def assign_many(self, unit_ids: NDArray[Any]) -> dict[str, Arms]:
        """{experiment key: arm (n,)}, -1 where the unit is not in it."""
        held = self.held_out(unit_ids)
        return {key: arms for layer in self.layers for key, arms in self.layer_arms(layer, unit_ids, held).items()}

    def held_out(self, unit_ids: NDArray[Any]) -> NDArray[np.bool_]:
        """Which units (n,) belong to the holdout."""
        return hash_many(unit_ids, HOLDOUT_SEED) < self.holdout if self.holdout else np.zeros(len(unit_ids), dtype=bool)

    def layer_arms(self, layer: Mapping[str, Any], unit_ids: NDArray[Any], held_out: NDArray[np.bool_]) -> dict[str, Arms]:
        """The part of `assign_many` that one layer decides."""
        u = hash_many(unit_ids, str(layer.get("seed") or layer["key"]), layer.get("hashVersion") or 2)
        away = held_out | ~_in_domain(unit_ids, layer)
        found, start = {}, 0.0
        for experiment in layer["experiments"]:
            share = _share(experiment)
            found[experiment["key"]] = choose_many(u, _slots(experiment, start, share))
            found[experiment["key"]][away] = -1
            start = round(start + share, 12)
        return found


def _share(experiment: Mapping[str, Any]) -> float:
    coverage = experiment.get("coverage")
    return 1.0 if coverage is None else float(coverage)


def _slots(experiment: Mapping[str, Any], start: float, share: float) -> list[tuple[float, float]]:
    """Arms side by side on the experiment's part of the layer; the number line has steps, so edges are rounded far below one."""
    ranges = bucket_ranges(len(experiment.get("variations") or (0, 1)), 1.0, experiment.get("weights"))
    return [(round(start + share * low, 12), round(start + share * high, 12)) for low, high in ranges]


def _in_domain(unit_ids: NDArray[Any], layer: Mapping[str, Any]) -> NDArray[np.bool_]:
    if not layer.get("domain"):
        return np.ones(len(unit_ids), dtype=bool)
    _, low, high = layer["domain"]
    u = hash_many(unit_ids, DOMAIN_SEED)
    return np.asarray((u >= low) & (u < high))


def _check_layer(layer: Mapping[str, Any]) -> None:
    needed = sum(_share(experiment) for experiment in layer["experiments"])
    if needed > 1 + 1e-9:
        raise InvalidInput(f"Layer {layer['key']} needs {100 * needed:.4g} % of its units.", field="layers")
    for experiment in layer["experiments"]:
        weights = experiment.get("weights")
        if _share(experiment) < 0:
            raise InvalidInput(f"Experiment {experiment['key']} has coverage {_share(experiment):g}; expected 0 to 1.", field="coverage")
        if weights is not None:
            check_weights(weights, len(experiment.get("variations") or (0, 1)))


def check_weights(weights: Sequence[float], arms: int) -> None:
    """Raises InvalidInput unless there is one positive weight an arm and their sum is 1."""
    if len(weights) != arms:
        raise InvalidInput(f"{len(weights)} weights were given for {arms} arms.", field="weights")
    if min(weights) < 0 or abs(sum(weights) - 1) > 1e-6:
        raise InvalidInput(f"Weights sum to {sum(weights):g}, expected 1.", field="weights")


def _check_keys(keys: list[str]) -> None:
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InvalidInput(f"Plan names experiment {twice} twice.", field="layers")


def _check_domains(domains: list[tuple[str, float, float]]) -> None:
    known = sorted(set(domains), key=lambda domain: domain[1])
    for one, other in zip(known, known[1:], strict=False):
        if other[1] < one[2]:
            raise InvalidInput(f"Domains {one[0]} and {other[0]} overlap.", field="domain")

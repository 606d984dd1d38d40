"""Which experiment goes to which layer, and how much of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulators.engines.experiment.assignment import LayerPlan
from simulators.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.experimentation._assignment_params import AssignmentParams

EXPERIMENTS = tuple(f"E{i}" for i in range(1, 13))
CONFLICTS = (("E1", "E2"), ("E3", "E4"), ("E5", "E6"))
NEED = 0.20  # of the units outside the holdout, without CUPED
HASH_VERSIONS: dict[str, int | str] = {"fnv_v1": 1, "fnv_v2": 2, "splitmix64": "splitmix64", "unsalted": 2}
EVEN_PLAN = ", ".join(f"E{i}=L{(i - 1) // 4 + 1}:20" for i in range(1, 13))
_ITEM = re.compile(r"(E\d+)\s*=\s*L(\d+)\s*:\s*(\d+(?:\.\d+)?)\s*%?")
Layers = dict[str, dict[str, float]]  # {layer: {experiment: share of the layer's units}}


@dataclass(frozen=True)
class Packing:
    """The layers as dealt; `wanted` is what the fullest one would need, above 1 where shares had to be cut to fit."""

    layers: Layers
    need: float
    wanted: float
    plan: LayerPlan

    @property
    def shares(self) -> dict[str, float]:
        return {key: share for layer in self.layers.values() for key, share in layer.items()}

    @property
    def traffic_met(self) -> float:
        """Of what the worst served experiment needs, the share it gets; at most 1."""
        return min(1.0, min(self.shares.get(key, 0.0) for key in EXPERIMENTS) / self.need)

    @property
    def free(self) -> float:
        """Share of the layers' number lines that no experiment uses."""
        return max(0.0, 1 - sum(self.shares.values()) / len(self.layers))

    def layer_of(self, key: str) -> str | None:
        return next((name for name, layer in self.layers.items() if key in layer), None)

    def apart(self) -> list[tuple[str, str]]:
        """Conflicting pairs that no layer keeps apart."""
        return [pair for pair in CONFLICTS if all(map(self.layer_of, pair)) and self.layer_of(pair[0]) != self.layer_of(pair[1])]


def packing_of(params: AssignmentParams) -> Packing:
    need = NEED * (1 - params.cuped_rho**2)
    dealt = parse_plan(params.custom) if params.packing == "custom" else _dealt(params, need)
    wanted = max(sum(layer.values()) for layer in dealt.values())
    layers = {name: {key: share / max(1.0, sum(layer.values())) for key, share in layer.items()} for name, layer in dealt.items()}
    return Packing(layers, need, wanted, _plan(layers, params))


def _dealt(params: AssignmentParams, need: float) -> Layers:
    if params.packing == "one_layer":
        groups = [list(EXPERIMENTS)]
    elif params.packing == "all_overlap":
        groups = [[key] for key in EXPERIMENTS]
    else:
        groups = _together(params.layers)
    return {f"L{i}": dict.fromkeys(group, need) for i, group in enumerate(groups, start=1)}


def _together(layers: int) -> list[list[str]]:
    """Conflicting pairs as one piece, the pieces one by one to the emptiest layer."""
    paired = {key for pair in CONFLICTS for key in pair}
    groups: list[list[str]] = [[] for _ in range(layers)]
    for piece in (*map(list, CONFLICTS), *([key] for key in EXPERIMENTS if key not in paired)):
        min(groups, key=len).extend(piece)
    return [group for group in groups if group]


def parse_plan(text: str) -> Layers:
    """Layers from a text such as "E1=L1:20, E2=L2:12.5". Raises InvalidInput for what cannot be read, repeats itself or does not fit."""
    found: Layers = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise InvalidInput(f"Plan: {item!r} was given; expected experiment=layer:percent, such as E1=L1:20.", field="custom")
        key, layer, percent = match[1], int(match[2]), float(match[3])
        if key not in EXPERIMENTS:
            raise InvalidInput(f"Plan names unknown experiment {key}.", field="custom")
        if not 1 <= layer <= len(EXPERIMENTS):
            raise InvalidInput(f"Plan names layer L{layer}; expected L1 to L{len(EXPERIMENTS)}.", field="custom")
        if any(key in others for others in found.values()):
            raise InvalidInput(f"Plan names experiment {key} twice.", field="custom")
        found.setdefault(f"L{layer}", {})[key] = percent / 100
    if not found:
        raise InvalidInput("The plan is empty; expected experiment=layer:percent, such as E1=L1:20.", field="custom")
    LayerPlan(_layer_dicts(found))
    return found


def _plan(layers: Layers, params: AssignmentParams) -> LayerPlan:
    common = {"seed": "shared"} if params.hash == "unsalted" else {}
    version = HASH_VERSIONS[params.hash]
    made = [{**layer, **(common or {"seed": f"layer-{layer['key']}"}), "hashVersion": version} for layer in _layer_dicts(layers)]
    return LayerPlan(made, params.holdout / 100)


def _layer_dicts(layers: Layers) -> list[dict[str, Any]]:
    return [{"key": name, "experiments": list(_experiments(layer.items()))} for name, layer in layers.items()]


def _experiments(shares: Iterable[tuple[str, float]]) -> Iterable[dict[str, Any]]:
    return ({"key": key, "variations": [0, 1], "coverage": share} for key, share in shares)

"""Which figures of a lab can be foretold: those a finished run has shown, and those its challenges name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib.auth.models import AnonymousUser

from mlsd_app.runs.selectors import cached_result
from mlsd_app.runs.services import cache_key
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.params import parse_params

MOST_NAMED = 12  # in a sentence


class FigureName(NamedTuple):
    label: str
    unit: str


def preset_values(lab: type[Lab], preset: str) -> Mapping[str, Any]:
    """What the preset sets; nothing for the lab as it opens, or for a preset it has no more."""
    return next((item.values for item in lab.presets if item.key == preset), {})


def known_figures(lab: type[Lab], preset: str) -> dict[str, FigureName]:
    """{key: name}. Of what is measured by the clock nothing: no two runs agree on it.

    A run of this preset, by anybody, tells exactly what there is. Until there is one, the challenges' quantities are known.
    """
    key = cache_key(lab=lab, params=parse_params(lab, preset_values(lab, preset)), seed=0, dataset=None)
    result = cached_result(cache_key=key, user=AnonymousUser())
    if result is not None:
        found = [metric for metric in result.metrics if not metric["measured"] and metric["value"] is not None]
        return {metric["key"]: FigureName(metric["label"], metric["unit"]) for metric in found}
    named = [item for challenge in lab.challenges for item in challenge.assertions if item.reference_value is None]
    return {item.metric: FigureName(item.label or item.metric, item.unit) for item in named}


def check_figures(lab: type[Lab], preset: str, keys: Sequence[str]) -> None:
    """Raises InvalidInput for a key that the lab is not known to give there."""
    known = known_figures(lab, preset)
    for key in keys:
        if key not in known:
            names = ", ".join(list(known)[:MOST_NAMED]) or "none yet"
            raise InvalidInput(
                f"{lab.title} is not known to give {key[:60]!r} there. Known are {names}. Run the preset once in the lab with seed 0 "
                "to have all of its figures known; what is measured by the clock cannot be foretold.",
                field="metrics",
            )


def value_in(metrics: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """The figure of that key; of a quantity, where one system alone gives it."""
    exact = [metric for metric in metrics if metric["key"] == key]
    found = exact or [metric for metric in metrics if metric["key"].partition("@")[0] == key]
    return found[0]["value"] if len(found) == 1 else None

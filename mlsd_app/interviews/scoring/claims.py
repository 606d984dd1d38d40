"""Claims: what a marked sentence says about a metric, and whether a run bears it out. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlsd_app.interviews.scoring.figures import Figure, Op, figures, same_measure
from mlsd_app.interviews.scoring.words import content_words, stems
from simulators.unit_terms import UnitError, parse_unit
from simulators.units import quantity_of

Verdict = Literal["supported", "contradicted", "wrong_conditions", "unclear", "untested"]
Metric = Mapping[str, Any]  # as stored with a run: key, label, value, unit, ci, measured, series
OPS: tuple[Op, ...] = ("<=", ">=", "=", "about")
WITHIN, WITHIN_MEASURED, EXACT = 0.10, 0.25, 0.02  # relative, for "about", "about" of wall-clock figures, and "="
SAME = 0.005  # relative, of a parameter


@dataclass(frozen=True)
class Parsed:
    """What a span says; fields that could not be read are empty, for a person to fill in."""

    metric: str = ""
    op: Op = "about"
    value: float | None = None
    unit: str = ""
    conditions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Param:
    """A parameter of a lab. `choices`: {value: words} where it is no number."""

    key: str
    title: str
    choices: Mapping[str, str] = field(default_factory=dict)


# --- parser ----------------------------------------------------------------------------------------------------------


def parse(span: str, metrics: Sequence[Metric], params: Sequence[Param]) -> Parsed:
    """The first metric the span gives a value of, and the parameters it names with theirs.

    metrics, params  of the labs that may be meant; without a match the fields stay empty
    """
    found = figures(span)
    conditions, used = _conditions(span, found, params)
    rest = [figure for figure in found if figure not in used]
    pairs = [(score, figure, metric) for figure in rest for metric in metrics if (score := _fit(span, figure, metric)) > 0]
    if not pairs:
        first = next((figure for figure in rest if figure.quantity), None)
        return (
            Parsed("", first.op, first.quantity.value, first.quantity.unit, conditions)
            if first and first.quantity
            else Parsed(conditions=conditions)
        )
    best = max(score for score, *_ in pairs)
    _, figure, metric = next(pair for pair in pairs if pair[0] == best)
    unit = figure.quantity.unit if figure.quantity else str(metric["unit"])
    value = figure.quantity.value if figure.quantity else figure.value
    return Parsed(_key(span, metric, metrics), figure.op, value, unit, conditions)


def _without_metric(found: Sequence[Figure], conditions: dict[str, Any]) -> Parsed:
    for figure in found:
        if figure.quantity:
            return Parsed("", figure.op, figure.quantity.value, figure.quantity.unit, conditions)
    return Parsed(conditions=conditions)


def _fit(span: str, figure: Figure, metric: Metric) -> float:
    """How well a number fits a metric: words of its name near the number, and a unit that measures the same. 0: not at all."""
    try:
        wanted = parse_unit(str(metric["unit"])).dimension
    except UnitError:
        return 0.0
    if figure.quantity is not None and not same_measure(figure.quantity.dimension, wanted):
        return 0.0
    if figure.quantity is None and (wanted != "ratio" or metric["unit"] == "share" and figure.value > 1):
        return 0.0
    named = set(content_words(f"{_base(metric)} {metric['label']}".replace("_", " ")))
    near = _window(span, figure)
    shared = [word for word in named if word in near]
    return sum(1 / (1 + near[word]) for word in shared) / (1 + 0.1 * len(named)) + (0.02 if figure.quantity else 0.0) if shared else 0.0


def _window(span: str, figure: Figure) -> dict[str, int]:
    """{stem: words between it and the number}."""
    before, after = stems(span[: figure.start]), stems(span[figure.digits_end :])
    found: dict[str, int] = {}
    for words in (reversed(before), iter(after)):
        for distance, word in enumerate(words):
            found[word] = min(distance, found.get(word, distance))
    return found


def _base(metric: Metric) -> str:
    return str(metric["key"]).partition("@")[0]


def _key(span: str, metric: Metric, metrics: Sequence[Metric]) -> str:
    """The metric of the design the span names; without one the quantity alone, which every design of a run may have."""
    base, said = _base(metric), set(stems(span))
    series = [entry for entry in metrics if _base(entry) == base and "@" in str(entry["key"])]
    named = [entry for entry in series if set(stems(str(entry["key"]).partition("@")[2].replace("_", " "))) <= said]
    return str(max(named, key=lambda entry: len(str(entry["key"])))["key"]) if named else base if series else str(metric["key"])


def _conditions(span: str, found: Sequence[Figure], params: Sequence[Param]) -> tuple[dict[str, Any], list[Figure]]:
    """Parameters named in the span with their values, and the numbers that were used up by them."""
    conditions: dict[str, Any] = {}
    used: list[Figure] = []
    for param in params:
        if param.choices:
            said = [value for value, words in param.choices.items() if _says(span, value) or _says(span, words)]
            conditions |= {param.key: max(said, key=len)} if said else {}
        elif figure := _value_of(span, _aliases(param, params), [figure for figure in found if figure not in used]):
            conditions[param.key] = figure.value
            used.append(figure)
    return conditions, used


def _says(span: str, words: str) -> bool:
    wanted, said = stems(words.replace("_", " ")), stems(span)
    return bool(wanted) and any(said[start : start + len(wanted)] == wanted for start in range(len(said) - len(wanted) + 1))


def _value_of(span: str, aliases: Sequence[str], found: Sequence[Figure]) -> Figure | None:
    """The number behind a name of the parameter: "ef 64", "ef_search = 64"; "64 probes" is left to the metric."""
    for alias in aliases:
        pattern = re.compile(rf"\b{alias}\b(?:\s*[=:]\s*|(?:\s+(?:of|is|at|set|to|was))*\s+)", re.IGNORECASE)
        for match in pattern.finditer(span):
            after = next((figure for figure in found if figure.start == match.end()), None)
            if after:
                return after
    return None


def _aliases(param: Param, params: Sequence[Param]) -> list[str]:
    """Ways to write a parameter: its key with any separator, its title, and a short first word of its key.

    A first word that several share means the one of the search: "ef 64" is efSearch, not efConstruction.
    """
    parts = param.key.split("_")
    rivals = [other.key for other in params if other.key.split("_")[0] == parts[0]]
    short = len(parts) == 2 and len(parts[0]) <= 3 and (len(rivals) == 1 or parts[1] == "search")
    ways = [r"[ _-]?".join(map(re.escape, parts)), r"\s+".join(map(re.escape, param.title.split())), re.escape(parts[0]) if short else ""]
    return [way for way in ways if way]


# --- verdict ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    reason: str


def judge(claim: Parsed, params: Mapping[str, Any] | None, metrics: Sequence[Metric]) -> Judged:
    """Whether a run bears the claim out.

    params   of the run; None: there is no run
    metrics  of the run, with intervals where it has them
    """
    if params is None:
        return Judged("untested", "No run is linked.")
    if claim.value is None or not claim.metric:
        return Judged("unclear", "The claim names no metric with a value.")
    wrong = [
        f"{key} is {_shown(params.get(key))}, not {_shown(value)}"
        for key, value in claim.conditions.items()
        if not _meets(params.get(key), value)
    ]
    if wrong:
        return Judged("wrong_conditions", f"In the run {'; '.join(wrong)}.")
    found = [metric for metric in metrics if claim.metric in (metric["key"], _base(metric))]
    exact = [metric for metric in found if metric["key"] == claim.metric]
    if not found:
        return Judged("unclear", f"The run has no metric {claim.metric!r}.")
    if len(found) > 1 and not exact:
        return Judged("unclear", f"The run has {claim.metric} of {len(found)} designs; say which.")
    return _against((exact or found)[0], claim)


def _meets(had: Any, said: Any) -> bool:
    """Whether a parameter of the run is what the claim says; a choice of several has to hold it."""
    if isinstance(had, list | tuple):
        return any(_meets(entry, said) for entry in had)
    if isinstance(had, bool) or isinstance(said, bool) or had is None:
        return had is said
    if isinstance(had, int | float) and isinstance(said, int | float):
        return abs(had - said) <= SAME * max(abs(had), abs(said))
    return str(had).casefold() == str(said).casefold()


def _against(metric: Metric, claim: Parsed) -> Judged:
    if metric["value"] is None:
        return Judged("unclear", f"{metric['label']} is undefined in this run.")
    try:
        said, unit = quantity_of(float(claim.value or 0), claim.unit or str(metric["unit"])), parse_unit(str(metric["unit"]))
    except UnitError as error:
        return Judged("unclear", error.message)
    if not same_measure(said.dimension, unit.dimension):
        return Judged("unclear", f"{claim.unit or 'No unit'} does not measure {metric['label']}, which is in {metric['unit']}.")
    stated = said.base / unit.factor
    value, (low, high) = float(metric["value"]), metric.get("ci") or (metric["value"], metric["value"])
    verdict = _compared(claim.op, stated, value, (low, high), bool(metric.get("measured")))
    interval = f", between {low:.4g} and {high:.4g}" if metric.get("ci") else ""
    return Judged(verdict, f"{metric['label']} is {value:.4g} {metric['unit']}{interval}; {claim.op} {stated:.4g} was claimed.")


def _compared(op: Op, stated: float, value: float, interval: tuple[float, float], measured: bool) -> Verdict:
    low, high = interval
    slack = 1e-9 * max(abs(stated), abs(value))
    if op == "<=":
        return "supported" if high <= stated + slack else "contradicted" if low > stated + slack else "unclear"
    if op == ">=":
        return "supported" if low >= stated - slack else "contradicted" if high < stated - slack else "unclear"
    share = WITHIN_MEASURED if measured else EXACT if op == "=" else WITHIN
    return "supported" if abs(value - stated) <= max(share * abs(stated), (high - low) / 2) + slack else "contradicted"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return "not set" if value is None else f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)

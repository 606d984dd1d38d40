"""The truth of a lab question: which settings to run, what the runs say, and whether that makes a question at all.

A setting is run with several seeds. `Runs` is [setting][seed] -> the metrics of that run as stored. What is too close to call makes no
question: three standard errors for a difference, a tenth for a value, two standard errors on each side of a target.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import t as student

from mlsd_app.quiz.questions.labs import title_of, value_text
from problems.conditions import holds
from problems.expressions import names_in
from problems.quiz_schema import LabQuestion
from simulators.lab import Lab
from simulators.params import parse_params

CLEAR_SE = 3.0  # standard errors that make a difference clear
MARGIN_SE = 2.0  # on each side of a target
HARDLY = 0.01  # of the larger value: less than this is no movement
MEASURED_RATIO = 2.0  # between neighbours where the metric is a reading of this machine
VALUE_WITHIN = 1.1  # the 95 % interval of a value, as a ratio
MOST_OPTIONS = 5
MetricRow = Mapping[str, Any]
Runs = Sequence[Sequence[Sequence[MetricRow]]]


@dataclass(frozen=True)
class Draw:
    """One question to be: `params` all settings share, `options` what differs ([{"label", "params"}]), `seeds` of the lab."""

    params: dict[str, Any]
    options: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]

    @property
    def settings(self) -> tuple[dict[str, Any], ...]:
        return tuple({**self.params, **option["params"]} for option in self.options)

    def key(self, slug: str, item: LabQuestion, lab: type[Lab]) -> str:
        """Names the question by everything its truth depends on."""
        inputs = [slug, item.id, item.rev, lab.slug, lab.version, self.params, [option["params"] for option in self.options], self.seeds]
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """`reason` says why an unusable one is no question."""

    usable: bool
    truth: dict[str, Any]
    reason: str = ""


def draws(item: LabQuestion, lab: type[Lab]) -> list[Draw]:
    """Every question the template can make, in an order without pattern. Seed 0 is the one a lab's page opens with."""
    preset = next((dict(entry.values) for entry in lab.presets if entry.key == item.preset), {})
    fixed, seeds = _plain({**preset, **item.base}), tuple(range(item.seeds))
    if item.ask in ("value", "direction"):
        options = _changed(item, lab) if item.change else ({"label": "", "params": {}},)
        made = [Draw({**fixed, **varied}, options, seeds) for varied in _combinations(item.vary)]
    else:
        made = [Draw({**fixed, **world}, chosen, seeds) for world in _combinations(item.world) for chosen in _choices(item, lab)]
    return sorted(made, key=lambda draw: hashlib.sha256(json.dumps([draw.params, draw.options], sort_keys=True).encode()).digest())


def _changed(item: LabQuestion, lab: type[Lab]) -> tuple[dict[str, Any], ...]:
    """Before and after, by the value of what changes: "Lists visited 16", "Lists visited 64"."""
    assert item.change is not None
    param = item.change.param
    values = (_plain(item.change.frm), _plain(item.change.to))
    return tuple({"label": f"{title_of(lab, param)} {value_text(lab, param, value)}", "params": {param: value}} for value in values)


def _choices(item: LabQuestion, lab: type[Lab]) -> list[tuple[dict[str, Any], ...]]:
    """The settings to choose among; of many, each in turn among its neighbours of the list."""
    every = [{"label": _label(lab, params), "params": params} for params in _combinations(item.vary)]
    if len(every) <= MOST_OPTIONS:
        return [tuple(every)]
    return [tuple(every[start : start + MOST_OPTIONS - 1]) for start in range(len(every) - MOST_OPTIONS + 2)]


def _label(lab: type[Lab], params: Mapping[str, Any]) -> str:
    words = [(title_of(lab, name), value_text(lab, name, value)) for name, value in params.items()]
    return words[0][1] if len(words) == 1 else ", ".join(f"{title} {value}" for title, value in words)


def _combinations(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(axes, _plain(values), strict=True)) for values in itertools.product(*axes.values())]


def _plain(value: Any) -> Any:
    """As JSON gives it back, so that a key computed before storing is the key computed after."""
    return json.loads(json.dumps(value))


def checked_draws(item: LabQuestion, lab: type[Lab]) -> list[Draw]:
    """`draws`, each setting validated; InvalidInput for the first the lab refuses."""
    made = draws(item, lab)
    for draw in made:
        for setting in draw.settings:
            parse_params(lab, setting)
    return made


# --- what the runs say -----------------------------------------------------------------------------------------------


def truth_of(item: LabQuestion, runs: Runs) -> Verdict:
    """The verdict on runs[setting][seed]; the settings in the order of the draw's options."""
    if item.ask == "pick":
        return _pick(item, runs)
    rows = [[_row(metrics, item.metric) for metrics in setting] for setting in runs]
    if any(row is None or row["value"] is None for setting in rows for row in setting):
        return Verdict(False, {}, f"{item.metric} is undefined at some of these settings")
    values = [[float(row["value"]) for row in setting if row] for setting in rows]
    first = rows[0][0] or {}
    about = {"metric": item.metric, "label": first["label"], "unit": first["unit"], "measured": bool(first["measured"])}
    judge = {"value": _value, "direction": _direction, "order": _order}[item.ask]
    return judge(values, about)


def _row(metrics: Sequence[MetricRow], key: str) -> MetricRow | None:
    return next((row for row in metrics if row["key"] == key), None)


def _value(values: Sequence[Sequence[float]], about: dict[str, Any]) -> Verdict:
    found = values[0]
    if about["measured"]:
        return Verdict(False, {}, "a reading of this machine is no fact to ask for")
    if min(found) <= 0:
        return Verdict(False, {}, "the value is not above zero with every seed")
    logs = [math.log(value) for value in found]
    half = float(student.ppf(0.975, len(logs) - 1)) * _se(logs) if len(logs) > 1 else math.inf
    if half > math.log(VALUE_WITHIN):
        return Verdict(False, {}, "seeds differ by more than a tenth")
    middle = mean(found)
    return Verdict(True, {**about, "mean": middle, "values": list(found), "ci": [middle * math.exp(-half), middle * math.exp(half)]})


def _direction(values: Sequence[Sequence[float]], about: dict[str, Any]) -> Verdict:
    """Paired over seeds: the same world before and after."""
    apart = [after - before for before, after in zip(*values, strict=True)]
    before, after, moved, se = mean(values[0]), mean(values[1]), mean(apart), _se(apart)
    truth = {**about, "before": before, "after": after, "difference": moved, "se": se, "values": [list(row) for row in values]}
    least = HARDLY * max(abs(before), abs(after))
    if about["measured"]:
        return Verdict(False, truth, "a reading of this machine moves by itself")
    if abs(moved) + MARGIN_SE * se < least or moved == se == 0:
        return Verdict(True, {**truth, "answer": "same"})
    same_way = all(math.copysign(1, value) == math.copysign(1, moved) for value in apart)
    if same_way and abs(moved) > max(CLEAR_SE * se, least + MARGIN_SE * se):
        return Verdict(True, {**truth, "answer": "rise" if moved > 0 else "fall"})
    return Verdict(False, truth, "the difference is too close to call")


def _order(values: Sequence[Sequence[float]], about: dict[str, Any]) -> Verdict:
    means = [mean(row) for row in values]
    ranked = sorted(range(len(means)), key=means.__getitem__)
    truth = {**about, "means": means, "values": [list(row) for row in values], "order": ranked}
    for low, high in itertools.pairwise(ranked):
        apart = [b - a for a, b in zip(values[low], values[high], strict=True)]
        if about["measured"]:
            clear = means[low] > 0 and means[high] / means[low] >= MEASURED_RATIO
        else:
            clear = min(apart) > 0 and mean(apart) > max(CLEAR_SE * _se(apart), HARDLY * abs(means[high]))
        if not clear:
            return Verdict(False, truth, "two settings are too close to call")
    return Verdict(True, truth)


def _pick(item: LabQuestion, runs: Runs) -> Verdict:
    asked = names_in(item.target)
    shown = [_asked(setting, asked) for setting in runs]
    if any(row["measured"] for setting in runs for row in setting[0] if _name(row) in asked):
        return Verdict(False, {}, "a reading of this machine decides it")
    calls = [_call(item.target, setting, asked) for setting in runs]
    truth = {"target": item.target, "metrics": shown, "passes": [call is True for call in calls]}
    if None in calls:
        return Verdict(False, truth, "a setting is too close to the target to call")
    if calls.count(True) != 1:
        return Verdict(False, truth, f"{calls.count(True)} settings meet the target")
    return Verdict(True, {**truth, "correct": calls.index(True)})


def _call(target: str, runs: Sequence[Sequence[MetricRow]], asked: frozenset[str]) -> bool | None:
    """Whether a setting meets the target with every quantity moved two standard errors either way; None if that changes the answer."""
    values: dict[str, list[float | None]] = {}
    for metrics in runs:
        for row in metrics:
            if _name(row) in asked:
                values.setdefault(row["key"], []).append(row["value"])
    known = {key: [v for v in found if v is not None] for key, found in values.items() if None not in found and len(found) == len(runs)}
    names = sorted(asked)
    calls = set()
    for signs in itertools.product((-1, 1), repeat=len(names)):
        shift = dict(zip(names, signs, strict=True))
        moved = {key: _moved(found, shift[key.partition("@")[0]]) for key, found in known.items()}
        calls.add(holds(target, moved))
    return calls.pop() if len(calls) == 1 else None


def _moved(values: Sequence[float], sign: int) -> float:
    """The mean, two standard errors up or down; of what is above zero by ratio, so that a wild spread far off does not blur it."""
    if min(values) > 0:
        logs = [math.log(value) for value in values]
        return math.exp(mean(logs) + sign * MARGIN_SE * _se(logs))
    return mean(values) + sign * MARGIN_SE * _se(values)


def _asked(runs: Sequence[Sequence[MetricRow]], asked: frozenset[str]) -> list[dict[str, Any]]:
    """The mean of each quantity the target names, for the explanation."""
    shown = []
    for row in runs[0]:
        found = [value for metrics in runs if (other := _row(metrics, row["key"])) and (value := other["value"]) is not None]
        if _name(row) in asked and found:
            label = f"{row['label']} ({row['series']})" if row["series"] else row["label"]
            shown.append({"key": row["key"], "label": label, "unit": row["unit"], "mean": mean(found)})
    return shown


def _name(row: MetricRow) -> str:
    return str(row["key"]).partition("@")[0]


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _se(values: Sequence[float]) -> float:
    """Standard error of the mean; 0 for one value or equal ones."""
    if len(values) < 2:
        return 0.0
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1) / len(values))

"""Challenges of a group: which assertion fails, how many designs it takes, and whether the seed decides the outcome.

A design is what a learner set, whatever the seed; it is judged on the metrics of its runs between beginning and handing in.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.analytics.small import Share, Spread, share, spread
from mlsd_app.cohorts.models import Assignment
from mlsd_app.cohorts.worlds import AssignedRun, challenge_of, in_world, labs_in, runs_in, set_world
from mlsd_app.runs.compare import base_key
from mlsd_app.runs.models import Run
from simulators.lab import Assertion, Challenge, Lab


@dataclass(frozen=True)
class Design:
    """`held`: per assertion, over the seeds it was run with. `flips`: single seeds disagree on whether it passes."""

    params: Mapping[str, Any]
    held: tuple[bool, ...]
    seeds: int
    runs: int
    flips: bool

    @property
    def passes(self) -> bool:
        return all(self.held)


@dataclass(frozen=True)
class AssertionRow:
    """`passed`: people with a design that holds it. `first`: people whose first design failed here before anything else."""

    words: str
    kind: str
    passed: Share
    first: int


@dataclass(frozen=True)
class ChallengePage:
    n: int
    passed: Share
    assertions: tuple[AssertionRow, ...]
    designs_to_pass: Spread
    runs_used: Spread
    kinds: tuple[tuple[str, int], ...]  # passing designs by their choices, with people
    flipping: int  # designs whose outcome the seed decides: a fault of the challenge
    repeated: int  # designs that were run with more than one seed


def challenge_page(assignment: Assignment, population: Population) -> ChallengePage | None:
    """None when the lab has lost the challenge."""
    for lab in labs_in(assignment):
        if challenge := challenge_of(assignment, lab):
            runs = runs_in(assignment, lab, population.tries)
            return _page(lab, challenge, population, runs)
    return None


def _page(lab: type[Lab], challenge: Challenge, population: Population, runs: Sequence[AssignedRun]) -> ChallengePage:
    world = set_world(lab, challenge)
    by_user: dict[int, list[Run]] = {row.user_id: [] for row in population.tries}
    for item in runs:
        if in_world(item.run, world) and item.run.lab_version == lab.version:
            by_user[item.user].append(item.run)
    designs = {user: designs_of(challenge, own) for user, own in by_user.items()}
    whole = [design for own in designs.values() for design in own]
    to_pass = [_to_pass(own) for own in designs.values()]
    return ChallengePage(
        n=population.n,
        passed=share(sum(count is not None for count in to_pass), population.n),
        assertions=tuple(_assertions(challenge, list(designs.values()))),
        designs_to_pass=spread(count for count in to_pass if count is not None),
        runs_used=spread(len(own) for own in by_user.values()),
        kinds=_kinds(lab, challenge, designs),
        flipping=sum(design.flips for design in whole),
        repeated=sum(design.seeds > 1 for design in whole),
    )


def designs_of(challenge: Challenge, runs: Sequence[Run]) -> list[Design]:
    """In the order in which they were first run."""
    grouped: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        grouped[json.dumps(run.params, sort_keys=True)].append(run)
    return [_design(challenge, own) for own in grouped.values()]


def _design(challenge: Challenge, runs: Sequence[Run]) -> Design:
    by_seed: dict[int, list[dict[str, float]]] = {}
    for run in runs:
        by_seed[run.seed] = _systems(run)
    alone = {all(judged(challenge, [systems])) for systems in by_seed.values()}
    return Design(runs[0].params, judged(challenge, list(by_seed.values())), len(by_seed), len(runs), len(alone) > 1)


def _systems(run: Run) -> list[dict[str, float]]:
    """{quantity: value} of each design the run compares; what belongs to none counts for all."""
    common: dict[str, float] = {}
    named: dict[str, dict[str, float]] = defaultdict(dict)
    for metric in run.result.metrics if run.result else []:
        if metric["value"] is not None:
            place = named[metric["series"]] if metric["series"] else common
            place[base_key(metric["key"])] = metric["value"]
    return [{**common, **own} for own in named.values()] or [common]


def judged(challenge: Challenge, seeds: Sequence[Sequence[Mapping[str, float]]]) -> tuple[bool, ...]:
    """Which assertions hold, for the system of the run that holds most of them. A quantity that is missing does not hold."""
    count = min((len(systems) for systems in seeds), default=0)
    found = [
        tuple(_holds(assertion, [systems[place] for systems in seeds]) for assertion in challenge.assertions) for place in range(count)
    ]
    return max(found, key=sum, default=(False,) * len(challenge.assertions))


def _holds(assertion: Assertion, seeds: Sequence[Mapping[str, float]]) -> bool:
    values = [system[assertion.metric] for system in seeds if assertion.metric in system]
    if len(values) < len(seeds):
        return False
    over = [fmean(values)] if assertion.over == "mean" else values
    return all(value <= assertion.target if assertion.op == "<=" else value >= assertion.target for value in over)


def _to_pass(designs: Sequence[Design]) -> int | None:
    return next((number for number, design in enumerate(designs, start=1) if design.passes), None)


def _assertions(challenge: Challenge, people: Sequence[Sequence[Design]]) -> list[AssertionRow]:
    first = Counter(next((i for i, held in enumerate(own[0].held) if not held), None) for own in people if own)
    return [
        AssertionRow(
            words_of(assertion),
            assertion.kind,
            share(sum(any(design.held[place] for design in own) for own in people), len(people)),
            first[place],
        )
        for place, assertion in enumerate(challenge.assertions)
    ]


def words_of(assertion: Assertion) -> str:
    name = assertion.label or assertion.metric.replace("_", " ")
    return f"{name} {bound_words(assertion)}"


def bound_words(assertion: Assertion) -> str:
    """at most 80,000 numbers"""
    return f"{'at most' if assertion.op == '<=' else 'at least'} {assertion.target:,g} {assertion.unit}".strip()


def _kinds(lab: type[Lab], challenge: Challenge, designs: Mapping[int, Sequence[Design]]) -> tuple[tuple[str, int], ...]:
    """Passing designs told apart by their choices and switches, not by their numbers; most people first."""
    defaults = lab.Params().model_dump(mode="json")
    choices = [name for name in challenge.design if not isinstance(defaults[name], int | float) or isinstance(defaults[name], bool)]
    people: dict[str, set[int]] = defaultdict(set)
    for user, own in designs.items():
        for design in own:
            if design.passes:
                people[", ".join(f"{name.replace('_', ' ')}: {_value(design.params.get(name))}" for name in choices)].add(user)
    return tuple(sorted(((words, len(who)) for words, who in people.items()), key=lambda pair: (-pair[1], pair[0])))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)

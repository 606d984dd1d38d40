"""Challenges of a group: which assertion fails, how many designs it takes, and what those that pass have in common.

What is counted are the designs submitted within a try, as they were judged; runs in the lab before that are a learner's own business.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsd_app.challenges.models import State, Submission, SubmissionSeed, Verdict
from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.analytics.small import Share, Spread, share, spread
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, TrySubmission
from mlsd_app.cohorts.worlds import challenge_of, labs_in, runs_in
from simulators.challenge import SeedResult, clearly_missed
from simulators.lab import Assertion, Challenge, Lab

PASSED = (Verdict.PASS, Verdict.NARROW_PASS)
ByUser = Mapping[int, Sequence[Submission]]


@dataclass(frozen=True)
class AssertionRow:
    """`passed`: people with a design that held it, of those judged by it. `first`: people whose first design failed here before
    anything else."""

    words: str
    kind: str
    passed: Share
    first: int


@dataclass(frozen=True)
class ChallengePage:
    """`n` people have handed in, `judged` of them had a design judged. Spreads are over people."""

    n: int
    judged: int
    passed: Share
    assertions: tuple[AssertionRow, ...]
    submissions_to_pass: Spread
    submissions: Spread
    runs_used: Spread  # in the lab, between beginning and handing in
    kinds: tuple[tuple[str, int], ...]  # passing designs by their choices, with people
    flipping: int  # of `designs`, those that hold on some seeds and miss on others, each seed taken alone
    designs: int  # judged by the lab as it is now


def challenge_page(assignment: Assignment, population: Population) -> ChallengePage | None:
    """None when the lab has lost the challenge."""
    for lab in labs_in(assignment):
        if challenge := challenge_of(assignment, lab):
            runs = Counter(item.user for item in runs_in(assignment, lab, population.tries))
            return _page(lab, challenge, population, runs)
    return None


def _page(lab: type[Lab], challenge: Challenge, population: Population, runs: Mapping[int, int]) -> ChallengePage:
    people = judged_in(population.tries)
    to_pass = [count for own in people.values() if (count := _to_pass(own)) is not None]
    current = {row.pk for own in people.values() for row in own if row.lab_version == lab.version}
    return ChallengePage(
        n=population.n,
        judged=len(people),
        passed=share(len(to_pass), population.n),
        assertions=tuple(_assertion_row(assertion, people) for assertion in challenge.assertions),
        submissions_to_pass=spread(to_pass),
        submissions=spread(len(own) for own in people.values()),
        runs_used=spread(runs.get(row.user_id, 0) for row in population.tries),
        kinds=_kinds(lab, challenge, people),
        flipping=_flipping(challenge, current),
        designs=len(current),
    )


def judged_in(tries: Sequence[AssignedAttempt]) -> dict[int, list[Submission]]:
    """{user: what was submitted in these tries and was judged, in that order}; nobody without any. Stopped ones are nobody's design."""
    links = TrySubmission.objects.filter(assigned__in=[row.pk for row in tries], submission__state=State.DONE)
    found: dict[int, list[Submission]] = defaultdict(list)
    for link in links.select_related("assigned", "submission").order_by("pk"):
        found[link.assigned.user_id].append(link.submission)
    return dict(found)


def _to_pass(own: Sequence[Submission]) -> int | None:
    return next((number for number, row in enumerate(own, start=1) if row.verdict in PASSED), None)


# --- assertions ------------------------------------------------------------------------------------------------------


def _assertion_row(assertion: Assertion, people: ByUser) -> AssertionRow:
    """A design judged by an earlier version of the lab says nothing of an assertion that read otherwise then."""
    held = {user: [held for row in own if (held := _held(row, assertion)) is not None] for user, own in people.items()}
    first = sum(_first_miss(own[0]) == _key(assertion) for own in people.values())
    passed = share(sum(any(one) for one in held.values()), sum(bool(one) for one in held.values()))
    return AssertionRow(words_of(assertion), assertion.kind, passed, first)


def _key(assertion: Assertion) -> tuple[str, str, float]:
    return assertion.metric, assertion.op, assertion.target


def _checks(row: Submission) -> dict[tuple[str, str, float], bool]:
    return {(item["metric"], item["op"], item["target"]): item["passed"] for item in row.grade["assertions"]}


def _held(row: Submission, assertion: Assertion) -> bool | None:
    """None: it was not judged by this."""
    return _checks(row).get(_key(assertion))


def _first_miss(row: Submission) -> tuple[str, str, float] | None:
    return next((key for key, passed in _checks(row).items() if not passed), None)


def words_of(assertion: Assertion) -> str:
    name = assertion.label or assertion.metric.replace("_", " ")
    return f"{name} {bound_words(assertion)}"


def bound_words(assertion: Assertion) -> str:
    """at most 80,000 numbers"""
    return f"{'at most' if assertion.op == '<=' else 'at least'} {assertion.target:,g} {assertion.unit}".strip()


# --- seeds -----------------------------------------------------------------------------------------------------------


def _flipping(challenge: Challenge, submissions: set[Any]) -> int:
    alone: dict[Any, set[bool]] = defaultdict(set)
    for seed in SubmissionSeed.objects.filter(submission__in=submissions).iterator(chunk_size=2000):
        if (missed := _missed_alone(challenge, seed)) is not None:
            alone[seed.submission_id].add(missed)
    return sum(len(outcomes) > 1 for outcomes in alone.values())


def _missed_alone(challenge: Challenge, seed: SubmissionSeed) -> bool | None:
    """None where one seed tells nothing: no reading of an assertion added since, or none of the reference design beside it."""
    try:
        return clearly_missed(challenge, [SeedResult(0, seed.values, seed.reference, seed.notes)])
    except (KeyError, ValueError):
        return None


# --- designs ---------------------------------------------------------------------------------------------------------


def _kinds(lab: type[Lab], challenge: Challenge, people: ByUser) -> tuple[tuple[str, int], ...]:
    """Passing designs told apart by their choices and switches, not by their numbers; most people first."""
    defaults = lab.Params().model_dump(mode="json")
    choices = [name for name in challenge.design if not isinstance(defaults[name], int | float) or isinstance(defaults[name], bool)]
    found = Counter(words for own in people.values() for words in {_choices(row, choices) for row in own if row.verdict in PASSED})
    return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _choices(row: Submission, names: Sequence[str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {_value(row.design.get(name))}" for name in names)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)

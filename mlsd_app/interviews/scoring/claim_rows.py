"""Claims in the database: marked by the candidate while the interview runs, judged against a run of the same attempt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from mlsd_app.interviews.answers import texts_of
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.events import event_add
from mlsd_app.interviews.lifecycle import open_attempt
from mlsd_app.interviews.models import Attempt, Claim, RunLink, Status
from mlsd_app.interviews.refusals import LOCKED, Refused
from mlsd_app.interviews.scoring import claims
from mlsd_app.interviews.scoring.figures import Statement, unlinked
from mlsd_app.interviews.scoring.reading import finished_links
from mlsd_app.runs.forms import fields_of
from simulators.errors import InvalidInput
from simulators.registry import get_lab

MAX_CLAIMS = 40
MAX_QUOTE, MAX_NAME, MAX_UNIT, MAX_CONDITIONS = 600, 120, 32, 12
OP_WORDS = {"about": "about", "<=": "at most", ">=": "at least", "=": "exactly"}
CHANGEABLE = frozenset({"metric", "op", "value", "unit", "conditions", "run"})


# --- reading ---------------------------------------------------------------------------------------------------------


def claims_of(attempt: Attempt) -> QuerySet[Claim]:
    """What the candidate marked, in order."""
    return attempt.claims.filter(by="user").select_related("run").order_by("pk")


def verdicts_visible(attempt: Attempt) -> bool:
    """Study shows verdicts at once, Real once the interview is released to its owner."""
    return attempt.show == "study" or attempt.status == Status.RELEASED


def claim_dict(claim: Claim, *, visible: bool) -> dict[str, Any]:
    """A claim as JSON; its verdict is "pending" while it is hidden."""
    kept = {name: getattr(claim, name) for name in ("field", "quote", "start", "end", "metric", "op", "value", "unit", "conditions")}
    judged = {"verdict": claim.verdict, "reason": claim.reason} if visible else {"verdict": "pending", "reason": ""}
    return {"id": claim.pk, **kept, "run": claim.run.number if claim.run else None, **judged}


def unlinked_statements(attempt: Attempt) -> dict[str, list[Statement]]:
    """{field: sentences with a number and a unit that no claim marks}: listed as untested, which lowers nothing."""
    found: dict[str, list[Statement]] = {}
    marked = list(claims_of(attempt))
    for phase, text in texts_of(attempt).items():
        field = f"text/{phase}"
        spans = [(claim.start, claim.end) for claim in marked if claim.field == field]
        found[field] = unlinked(text, spans)
    return {field: statements for field, statements in found.items() if statements}


@dataclass(frozen=True)
class Draft:
    """What a form is filled in with: the span as read, and what may be chosen."""

    field: str
    quote: str
    start: int
    end: int
    run: int | None
    parsed: claims.Parsed
    metrics: Sequence[Mapping[str, Any]]
    runs: Sequence[RunLink]


def claim_draft(*, attempt: Attempt, field: str, quote: str, start: int, run: int | None = None) -> Draft:
    """The form for a marked span; without a run the newest pinned one is suggested. Raises InvalidInput for a span that is not there."""
    start, end = _place(attempt, field, quote, start)
    runs = sorted(finished_links(attempt), key=lambda link: (link.pinned, link.number), reverse=True)
    link = next((link for link in runs if link.number == run), None) if run else next((link for link in runs if link.pinned), None)
    metrics = _metrics(link) if link else _all_metrics(runs)
    parsed = claims.parse(quote, metrics, _params(attempt, [link] if link else runs))
    return Draft(field, quote, start, end, link.number if link else None, parsed, metrics, runs)


def _metrics(link: RunLink) -> list[Mapping[str, Any]]:
    return list(link.run.result.metrics) if link.run.result else []


def _all_metrics(links: Sequence[RunLink]) -> list[Mapping[str, Any]]:
    return list({str(metric["key"]): metric for link in links for metric in _metrics(link)}.values())


def _params(attempt: Attempt, links: Sequence[RunLink]) -> list[claims.Param]:
    """Parameters of the labs of these runs, choices with their words."""
    fields = [field for slug in dict.fromkeys(link.run.lab for link in links) for field in fields_of(get_lab(attempt.problem, slug))]
    return [
        claims.Param(field.name, str(field.info.title or field.name), {str(value): field.label(value) for value in field.choices})
        for field in fields
        if field.choices or field.kind == "number"
    ]


# --- writing ---------------------------------------------------------------------------------------------------------


def claim_add(
    *,
    attempt: Attempt,
    field: str,
    quote: str,
    start: int,
    now: datetime,
    metric: str = "",
    op: str = "about",
    value: float | None = None,
    unit: str = "",
    conditions: Mapping[str, Any] | None = None,
    run: int | None = None,
) -> Claim:
    """Marks a span of a text as a claim and judges it.

    quote, start  the words and about where they stand in the field as saved
    conditions    {parameter: value} the claim holds for; None reads them from the words
    run           number of the run that should bear it out
    Raises InvalidInput for what does not fit, Refused 409 when the interview is over or `claim_limit`, 423 in a pause.
    """
    with open_attempt(attempt=attempt, now=now) as (row, state):
        _refuse_paused(state)
        if row.claims.filter(by="user").count() >= MAX_CLAIMS:
            raise Refused("claim_limit", f"You have marked {MAX_CLAIMS} claims, the most that are kept; delete one first.", 409)
        begin, end = _place(row, field, quote, start)
        link = _link(row, run)
        claim = Claim(attempt=row, field=field, quote=quote, start=begin, end=end, at=now, run=link)
        _fill(claim, {"metric": metric, "op": op, "value": value, "unit": unit, "conditions": _conditions(row, quote, link, conditions)})
        claim_judge(claim)
        claim.save()
        _tell(row, claim, "added", now, state)
    return claim


def claim_change(*, claim: Claim, now: datetime, **changes: Any) -> Claim:
    """Changes metric, op, value, unit, conditions or run (a number, or None) and judges anew. Raises as `claim_add`."""
    if unknown := sorted(changes.keys() - CHANGEABLE):
        raise InvalidInput(f"A claim has no {unknown[0][:40]!r} to change; it has {', '.join(sorted(CHANGEABLE))}.", field=unknown[0])
    with open_attempt(attempt=claim.attempt, now=now) as (row, state):
        _refuse_paused(state)
        kept = Claim.objects.select_related("run__run__result").get(pk=claim.pk)
        if "run" in changes:
            kept.run = _link(row, changes.pop("run"))
        _fill(kept, changes)
        claim_judge(kept)
        kept.save()
        _tell(row, kept, "changed", now, state)
    return kept


def claim_delete(*, claim: Claim, now: datetime) -> None:
    with open_attempt(attempt=claim.attempt, now=now) as (row, state):
        _refuse_paused(state)
        _tell(row, claim, "deleted", now, state)
        claim.delete()


def claims_settle(attempt: Attempt) -> None:
    """Judges all claims once more: runs that were under way when they were linked have ended since."""
    for claim in claims_of(attempt).select_related("run__run__result"):
        claim_judge(claim)
        claim.save(update_fields=["verdict", "reason"])


def claim_judge(claim: Claim) -> None:
    """Writes verdict and reason into the row, unsaved."""
    said = claims.Parsed(claim.metric, claim.op or "about", claim.value, claim.unit, claim.conditions)  # type: ignore[arg-type]
    result = claim.run.run.result if claim.run else None
    if claim.run and result is None:
        claim.verdict, claim.reason = "untested", f"Run {claim.run.number} has not ended."
        return
    judged = claims.judge(said, claim.run.run.params if claim.run else None, result.metrics if result else [])
    claim.verdict, claim.reason = judged.verdict, judged.reason


def _refuse_paused(state: ClockState) -> None:
    if state.state == "paused":
        raise Refused("paused", "The interview is paused; go on first.", LOCKED)


def _tell(attempt: Attempt, claim: Claim, how: str, now: datetime, state: ClockState) -> None:
    data = {"how": how, "claim": claim.pk, "quote": claim.quote[:200], "run": claim.run.number if claim.run else None}
    event_add(attempt=attempt, kind="claim", now=now, actor=attempt.user, data=data, state=state)


# --- checks of what was sent -----------------------------------------------------------------------------------------


def _place(attempt: Attempt, field: str, quote: str, start: int) -> tuple[int, int]:
    """Where the words stand, the place nearest to `start`: browsers count characters otherwise, and the text may have moved."""
    if not quote.strip() or len(quote) > MAX_QUOTE:
        raise InvalidInput(f"Mark 1 to {MAX_QUOTE} characters; {len(quote)} were marked.", field="quote")
    text = texts_of(attempt).get(field.removeprefix("text/"), "") if field.startswith("text/") else ""
    places = [number for number in range(len(text)) if text.startswith(quote, number)]
    if not places:
        raise InvalidInput("These words do not stand in the text as it is saved. Wait for the save, then mark them again.", field="quote")
    begin = min(places, key=lambda number: abs(number - start))
    return begin, begin + len(quote)


def _link(attempt: Attempt, number: int | None) -> RunLink | None:
    if number is None:
        return None
    found = attempt.runlinks.select_related("run__result").filter(number=number).first()
    if found is None:
        raise InvalidInput(f"This interview has no run {number}.", field="run")
    return found


def _conditions(attempt: Attempt, quote: str, link: RunLink | None, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if given is not None or link is None:
        return given or {}
    return claims.parse(quote, _metrics(link), _params(attempt, [link])).conditions


def _fill(claim: Claim, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(claim, name, _CHECKS[name](value))


def _checked_op(value: Any) -> str:
    if value not in claims.OPS:
        raise InvalidInput(f"{str(value)[:10]!r} was given; expected one of {', '.join(claims.OPS)}.", field="op")
    return str(value)


def _checked_value(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e30:
        raise InvalidInput(f"{str(value)[:40]!r} was given; expected a number.", field="value")
    return float(value)


def _checked_conditions(value: Any) -> dict[str, Any]:
    good = isinstance(value, Mapping) and len(value) <= MAX_CONDITIONS
    if not good or not all(isinstance(key, str) and len(key) <= MAX_NAME and _is_scalar(entry) for key, entry in value.items()):
        raise InvalidInput(
            f"Conditions are at most {MAX_CONDITIONS} parameters, each with a number, a word or yes and no.", field="conditions"
        )
    return dict(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float) and math.isfinite(value) or isinstance(value, str) and len(value) <= MAX_NAME


def _short(name: str, limit: int) -> Any:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise InvalidInput(f"At most {limit} characters are kept.", field=name)
        return value.strip()

    return check


_CHECKS = {
    "metric": _short("metric", MAX_NAME),
    "op": _checked_op,
    "value": _checked_value,
    "unit": _short("unit", MAX_UNIT),
    "conditions": _checked_conditions,
}

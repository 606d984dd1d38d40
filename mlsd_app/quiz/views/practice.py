"""The questions of a problem, and the readiness check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from mlsd_app.quiz import plans, queue
from mlsd_app.quiz import readiness as ready
from mlsd_app.quiz.bank import NUMBERS_TO_COME, PHASE_NAMES, TYPE_NAMES, BankItem, items_of, quiz_problems, readiness_items
from mlsd_app.quiz.models import Card, CardState, SittingKind, SittingStatus
from mlsd_app.quiz.sittings import readiness_entries, readiness_limit_s, sittings_of
from problems.schema import Problem

STATES = [("new", "Not seen"), ("due", "Due"), ("active", "In review"), ("suspended", "Suspended")]


@dataclass(frozen=True)
class ItemRow:
    """One question in the list, with what the user knows of it. `words` names it without giving the answer away."""

    entry: BankItem
    card: Card | None
    due: bool

    @property
    def state(self) -> str:
        if self.card is None or self.card.state == CardState.NEW:
            return "new"
        if self.card.state == CardState.SUSPENDED:
            return "suspended"
        return "due" if self.due else "active"

    @property
    def state_name(self) -> str:
        return dict(STATES)[self.state]

    @property
    def words(self) -> str:
        item = self.entry.item
        return NUMBERS_TO_COME.sub("…", item.front if item.type == "flashcard" else item.stem)

    @property
    def type_name(self) -> str:
        return TYPE_NAMES[self.entry.item.type]

    @property
    def phase_name(self) -> str:
        return PHASE_NAMES[self.entry.item.phase]


def quiz_problem_or_404(slug: str) -> Problem:
    for problem in quiz_problems():
        if problem.slug == slug:
            return problem
    raise Http404(f"There are no questions on {slug[:64]!r}.")


@require_GET
@ensure_csrf_cookie
def problem(request: HttpRequest, slug: str) -> HttpResponse:
    """All questions of a problem; `?type=`, `?phase=` and `?state=` choose among them."""
    found = quiz_problem_or_404(slug)
    now = timezone.now()
    plan = plans.plan_of(request.user)
    cards = {card.item_id: card for card in queue.cards_of(request.user).filter(problem_slug=slug)}
    due = set(queue.cards_of(request.user).filter(queue.due_filter(plan, now), problem_slug=slug).values_list("item_id", flat=True))
    rows = [ItemRow(entry, cards.get(entry.item.id), entry.item.id in due) for entry in items_of(slug)]
    chosen = {name: request.GET.get(name, "") for name in ("type", "phase", "state")}
    context = {
        "problem": found,
        "plan": plan,
        "rows": _filtered(rows, chosen),
        "all_rows": rows,
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "types": [(key, name) for key, name in TYPE_NAMES.items() if any(row.entry.item.type == key for row in rows)],
        "phases": [(key, name) for key, name in PHASE_NAMES.items() if any(row.entry.item.phase == key for row in rows)],
        "states": STATES,
        "counts": ", ".join(f"{count} {name.lower()}" for key, name in STATES if (count := sum(row.state == key for row in rows))),
    }
    return render(request, "quiz/problem.html", context)


def _filtered(rows: Sequence[ItemRow], chosen: dict[str, str]) -> list[ItemRow]:
    return [
        row
        for row in rows
        if chosen["type"] in ("", row.entry.item.type)
        and chosen["phase"] in ("", row.entry.item.phase)
        and chosen["state"] in ("", row.state)
    ]


@require_GET
@ensure_csrf_cookie
def readiness(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    plan = plans.plan_of(request.user)
    checks = ready.checks_of(plan.user_id)
    open_check = sittings_of(request.user).filter(kind=SittingKind.READINESS, status=SittingStatus.OPEN).first()
    context = {
        "plan": plan,
        "ready": ready.readiness_of(plan=plan, now=now),
        "checks": checks,
        "table": ready.check_table(checks),
        "open": open_check,
        "questions": len(readiness_items()),
        "parts": len(readiness_entries()),
        "minutes": readiness_limit_s() // 60,
        "weights": ready.WEIGHTS,
    }
    return render(request, "quiz/readiness.html", context)

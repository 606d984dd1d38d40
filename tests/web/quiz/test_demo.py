from __future__ import annotations

from mlsd_app.accounts.models import User
from mlsd_app.quiz.demo import CARDS, MISSED, demo_quiz
from mlsd_app.quiz.models import Card, Response
from mlsd_app.quiz.plans import plan_of
from mlsd_app.quiz.queue import due_cards
from tests.web.quiz.conftest import NOW


def test_the_demo_candidate_has_a_day_behind_them_and_making_it_again_changes_nothing(user: User) -> None:
    assert demo_quiz(user=user, now=NOW)
    assert not demo_quiz(user=user, now=NOW)
    assert Response.objects.count() == Card.objects.count() == CARDS
    assert Response.objects.filter(mark=0).count() == len(MISSED)
    assert Card.objects.filter(sure_and_wrong=True).count() == 1
    assert due_cards(plan=plan_of(user), now=NOW)

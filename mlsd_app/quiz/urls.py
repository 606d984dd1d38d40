from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from mlsd_app.quiz.views import overview, practice, session, writing

app_name = "quiz"
SESSION = "session/<uuid:sitting_id>/"
PLACE = f"{SESSION}<int:place>/"
PROBLEM = "problems/<slug:slug>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.today, name="today"),
    path("plan/", overview.plan, name="plan"),
    path("stats/", overview.stats, name="stats"),
    path("start", writing.daily, name="start"),
    path("readiness/", practice.readiness, name="readiness"),
    path("readiness/start", writing.readiness, name="readiness_start"),
    path(PROBLEM, practice.problem, name="problem"),
    path(f"{PROBLEM}practise", writing.practise, name="practise"),
    path(f"{PROBLEM}card", writing.card, name="card"),
    path(SESSION, session.session, name="session"),
    path(f"{SESSION}question", session.question, name="question"),
    path(f"{SESSION}done/", session.done, name="done"),
    path(f"{SESSION}close", writing.close, name="close"),
    path(f"{PLACE}answer", writing.answer, name="answer"),
    path(f"{PLACE}reveal", writing.reveal, name="reveal"),
    path(f"{PLACE}hint", writing.hint, name="hint"),
    path(f"{PLACE}read", session.read, name="read"),
    path("answers/<int:response_id>/undo", writing.undo, name="undo"),
    path("answers/<int:response_id>/easy", writing.easy, name="easy"),
    path("flags", writing.flag, name="flag"),
    path("from-attempt/<uuid:attempt_id>", writing.from_attempt, name="from_attempt"),
]

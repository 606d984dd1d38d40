from __future__ import annotations

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from mlsd_app.api.views import attempt_work, attempts, datasets, labs, problems, quiz, reference, runs, tokens

app_name = "api"
LAB = "v1/labs/<slug:problem>/<slug:lab>"
ATTEMPT = "v1/attempts/<uuid:attempt_id>"
urlpatterns = [
    path("", reference.docs, name="docs"),
    path("v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("v1/problems", problems.problems, name="problems"),
    path("v1/problems/<slug:problem>", problems.problem, name="problem"),
    path("v1/problems/<slug:problem>/calculators/<slug:key>", problems.calculator, name="calculator"),
    path("v1/labs", labs.labs, name="labs"),
    path(LAB, labs.lab, name="lab"),
    path(f"{LAB}/runs", labs.start, name="start"),
    path(f"{LAB}/datasets", datasets.upload, name="upload"),
    path("v1/runs", runs.runs, name="runs"),
    path("v1/runs/<uuid:run_id>", runs.run, name="run"),
    path("v1/runs/<uuid:run_id>/events", runs.events, name="run_events"),
    path("v1/runs/<uuid:run_id>/result", runs.result, name="run_result"),
    path("v1/runs/<uuid:run_id>/cancel", runs.cancel, name="run_cancel"),
    path("v1/datasets", datasets.datasets, name="datasets"),
    path("v1/datasets/<uuid:dataset_id>", datasets.dataset, name="dataset"),
    path("v1/tokens", tokens.tokens, name="tokens"),
    path("v1/tokens/<int:token_id>", tokens.token, name="token"),
    path("v1/interview-presets", attempts.interview_presets, name="interview_presets"),
    path("v1/problems/<slug:problem>/interview", attempts.intro, name="problem_interview"),
    path("v1/attempts", attempts.attempts, name="attempts"),
    path(ATTEMPT, attempts.attempt, name="attempt"),
    path(f"{ATTEMPT}/clock", attempts.clock, name="attempt_clock"),
    path(f"{ATTEMPT}/start", attempts.start, name="attempt_start"),
    path(f"{ATTEMPT}/submit", attempts.submit, name="attempt_submit"),
    path(f"{ATTEMPT}/moves", attempts.moves, name="attempt_moves"),
    path(f"{ATTEMPT}/pauses", attempts.pauses, name="attempt_pauses"),
    path(f"{ATTEMPT}/pauses/current", attempts.current_pause, name="attempt_pause"),
    path(f"{ATTEMPT}/answers/<path:field>/history", attempt_work.answer_history, name="attempt_answer_history"),
    path(f"{ATTEMPT}/answers/<path:field>", attempt_work.answer, name="attempt_answer"),
    path(f"{ATTEMPT}/lease", attempt_work.lease, name="attempt_lease"),
    path(f"{ATTEMPT}/questions", attempt_work.questions, name="attempt_questions"),
    path(f"{ATTEMPT}/runs", attempt_work.runs, name="attempt_runs"),
    path(f"{ATTEMPT}/runs/<int:number>", attempt_work.run, name="attempt_run"),
    path(f"{ATTEMPT}/events", attempt_work.events, name="attempt_events"),
    path(f"{ATTEMPT}/stream", attempt_work.stream, name="attempt_stream"),
    path(f"{ATTEMPT}/replay", attempt_work.replay, name="attempt_replay"),
    path("v1/problems/<slug:problem>/quiz", quiz.problem_quiz, name="problem_quiz"),
    path("v1/quiz/plan", quiz.plan, name="quiz_plan"),
    path("v1/quiz/due", quiz.due, name="quiz_due"),
    path("v1/quiz/sittings", quiz.sittings_start, name="quiz_sittings"),
    path("v1/quiz/sittings/<uuid:sitting_id>", quiz.sitting, name="quiz_sitting"),
    path("v1/quiz/sittings/<uuid:sitting_id>/reveal", quiz.reveal, name="quiz_reveal"),
    path("v1/quiz/sittings/<uuid:sitting_id>/hint", quiz.hint, name="quiz_hint"),
    path("v1/quiz/responses", quiz.responses_give, name="quiz_responses"),
    path("v1/quiz/responses/<int:response_id>/undo", quiz.response_undo, name="quiz_undo"),
    path("v1/quiz/parse", quiz.parse, name="quiz_parse"),
    path("v1/quiz/readiness", quiz.readiness_read, name="quiz_readiness"),
    path("v1/quiz/stats", quiz.stats, name="quiz_stats"),
    path("v1/quiz/flags", quiz.flags_create, name="quiz_flags"),
    re_path(r"^v1/", reference.nothing_here),
]

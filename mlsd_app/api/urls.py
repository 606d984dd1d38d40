from __future__ import annotations

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView

from mlsd_app.api.views import datasets, labs, problems, reference, runs, tokens

app_name = "api"
LAB = "v1/labs/<slug:problem>/<slug:lab>"
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
    re_path(r"^v1/", reference.nothing_here),
]

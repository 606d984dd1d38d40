from __future__ import annotations

from django.urls import path

from mlsd_app.challenges import views

app_name = "challenges"
TASK = "<slug:problem>/<slug:lab>/<slug:slug>/"
SUBMISSION = "submissions/<uuid:submission_id>/"
urlpatterns = [
    path("", views.listing, name="list"),
    path(SUBMISSION, views.submission, name="submission"),
    path(f"{SUBMISSION}progress", views.progress, name="progress"),
    path(f"{SUBMISSION}cancel", views.cancel, name="cancel"),
    path(TASK, views.challenge, name="challenge"),
    path(f"{TASK}submissions", views.submit, name="submit"),
]

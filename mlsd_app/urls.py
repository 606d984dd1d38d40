"""URLs: each app brings its own file and is mounted here."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from mlsd_app.core.views import healthz

urlpatterns = [
    path("", include("mlsd_app.catalog.urls")),
    path("", include("mlsd_app.runs.urls")),
    path("challenges/", include("mlsd_app.challenges.urls")),
    path("interviews/", include("mlsd_app.interviews.urls")),
    path("quiz/", include("mlsd_app.quiz.urls")),
    path("cohorts/", include("mlsd_app.cohorts.urls")),
    path("authoring/", include("mlsd_app.cohorts.authoring_urls")),
    path("account/", include("mlsd_app.accounts.urls")),
    path("api/", include("mlsd_app.api.urls")),
    path("healthz", healthz, name="healthz"),
    path("staff/", admin.site.urls),
]

from __future__ import annotations

from django.urls import path

from mlsd_app.cohorts.views import authoring

app_name = "authoring"
urlpatterns = [
    path("", authoring.index, name="index"),
    path("<slug:slug>/", authoring.problem, name="problem"),
]

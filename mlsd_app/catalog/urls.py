from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from mlsd_app.catalog import views, work_views

app_name = "catalog"
PROBLEM = "problems/<slug:slug>/"
PHASE = f"{PROBLEM}<slug:key>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("problems/", views.problems, name="problems"),
    path("method/", views.method, name="method"),
    path("method/<slug:key>/", views.method, name="method_page"),
    path(PROBLEM, views.problem, name="problem"),
    path(f"{PROBLEM}clock", work_views.clock, name="clock"),
    path(f"{PROBLEM}clock/press", work_views.clock_press, name="clock_press"),
    path(f"{PROBLEM}calculators/<slug:key>", views.calculator, name="calculator"),
    path(PHASE, views.phase, name="phase"),
    path(f"{PHASE}note", work_views.note_save, name="note_save"),
    path(f"{PHASE}set-aside/<int:set_aside_id>/delete", work_views.set_aside_delete, name="set_aside_delete"),
    path(f"{PHASE}reveal", work_views.reveal, name="reveal"),
    path(f"{PHASE}check", work_views.check, name="check"),
    path(f"{PHASE}done", work_views.done, name="done"),
]

from __future__ import annotations

from django.urls import path

from mlsd_app.runs import compare_views, data_views, views

app_name = "runs"
LAB = "labs/<slug:problem>/<slug:slug>/"
urlpatterns = [
    path("labs/", views.labs, name="labs"),
    path(LAB, views.lab, name="lab"),
    path(f"{LAB}runs", views.start, name="start"),
    path(f"{LAB}baseline", compare_views.baseline, name="baseline"),
    path(f"{LAB}map", compare_views.tradeoff_map, name="map"),
    path(f"{LAB}sweeps", compare_views.sweep_start, name="sweep_start"),
    path(f"{LAB}data", data_views.upload, name="data"),
    path(f"{LAB}data/columns", data_views.columns, name="data_columns"),
    path("data/<uuid:dataset_id>/delete", data_views.delete, name="data_delete"),
    path("sweeps/<uuid:sweep_id>/", compare_views.sweep, name="sweep"),
    path("sweeps/<uuid:sweep_id>/cancel", compare_views.sweep_cancel, name="sweep_cancel"),
    path("runs/", views.history, name="history"),
    path("runs/<uuid:run_id>/", views.run, name="run"),
    path("runs/<uuid:run_id>/events", views.events, name="events"),
    path("runs/<uuid:run_id>/cancel", views.cancel, name="cancel"),
    path("runs/<uuid:run_id>/result.json", views.result_json, name="result_json"),
    path("runs/<uuid:run_id>/result.csv", views.result_csv, name="result_csv"),
]

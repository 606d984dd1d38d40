from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from mlsd_app.interviews.views import clock, start

app_name = "interviews"
ATTEMPT = "<uuid:attempt_id>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", start.start, name="start"),
    path("new", start.create, name="create"),
    path("check-stream", start.check_stream, name="check_stream"),
    path(f"{ATTEMPT}lobby/", start.lobby, name="lobby"),
    path(f"{ATTEMPT}plan", start.plan, name="plan"),
    path(f"{ATTEMPT}begin", start.begin, name="begin"),
    path(f"{ATTEMPT}cancel", start.cancel, name="cancel"),
    path(f"{ATTEMPT}check", start.check, name="check"),
    path(f"{ATTEMPT}clock", clock.clock, name="clock"),
    path(f"{ATTEMPT}start", clock.start, name="attempt_start"),
    path(f"{ATTEMPT}submit", clock.submit, name="submit"),
    path(f"{ATTEMPT}move", clock.move, name="move"),
    path(f"{ATTEMPT}pause", clock.pause, name="pause"),
    path(f"{ATTEMPT}resume", clock.resume, name="resume"),
    path(f"{ATTEMPT}stream", clock.stream, name="stream"),
]

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, register_converter

from mlsd_app.interviews.views import after, answers, claims, clock, labs, replay, room, start, talk

app_name = "interviews"
register_converter(answers.FieldConverter, "answer_field")
ATTEMPT = "<uuid:attempt_id>/"
FIELD = f"{ATTEMPT}answers/<answer_field:field>"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", start.start, name="start"),
    path("new", start.create, name="create"),
    path("check-stream", start.check_stream, name="check_stream"),
    path(f"{ATTEMPT}lobby/", start.lobby, name="lobby"),
    path(f"{ATTEMPT}plan", start.plan, name="plan"),
    path(f"{ATTEMPT}begin", start.begin, name="begin"),
    path(f"{ATTEMPT}cancel", start.cancel, name="cancel"),
    path(f"{ATTEMPT}check", start.check, name="check"),
    path(ATTEMPT, room.show, name="room"),
    path(f"{ATTEMPT}feed", room.feed, name="feed"),
    path(f"{ATTEMPT}ask", talk.ask, name="ask"),
    path(f"{ATTEMPT}assume", talk.assume, name="assume"),
    path(f"{ATTEMPT}confirm", talk.confirm, name="confirm"),
    path(f"{ATTEMPT}hand", talk.hand, name="hand"),
    path(f"{ATTEMPT}preview", room.preview, name="preview"),
    path(f"{ATTEMPT}diagram", room.diagram, name="diagram"),
    path(f"{ATTEMPT}calculators/<slug:key>", room.calculator, name="calculator"),
    path(f"{ATTEMPT}labs/<slug:lab>", labs.form, name="lab"),
    path(f"{ATTEMPT}labs/<slug:lab>/runs", labs.start, name="run_start"),
    path(f"{ATTEMPT}runs/", labs.runs, name="runs"),
    path(f"{ATTEMPT}runs/<int:number>", labs.pin, name="run_pin"),
    path(f"{ATTEMPT}runs/<int:number>/events", labs.events, name="run_events"),
    path(f"{ATTEMPT}claims/", claims.add, name="claim_add"),
    path(f"{ATTEMPT}claims/form", claims.form, name="claim_form"),
    path(f"{ATTEMPT}claims/<int:claim_id>", claims.one, name="claim"),
    path(f"{ATTEMPT}curveball", labs.curveball, name="curveball"),
    path(f"{ATTEMPT}debrief/", after.debrief, name="debrief"),
    path(f"{ATTEMPT}debrief/graded", after.graded, name="graded"),
    path(f"{ATTEMPT}debrief/own", after.assess, name="assess"),
    path(f"{ATTEMPT}debrief/scorecard", after.reveal, name="reveal"),
    path(f"{ATTEMPT}again", after.again, name="again"),
    path(f"{ATTEMPT}print/", after.print_page, name="print"),
    path(f"{ATTEMPT}export.md", after.export_md, name="export_md"),
    path(f"{ATTEMPT}export.jsonl", after.export_jsonl, name="export_jsonl"),
    path(f"{ATTEMPT}clock", clock.clock, name="clock"),
    path(f"{ATTEMPT}start", clock.start, name="attempt_start"),
    path(f"{ATTEMPT}submit", clock.submit, name="submit"),
    path(f"{ATTEMPT}move", clock.move, name="move"),
    path(f"{ATTEMPT}pause", clock.pause, name="pause"),
    path(f"{ATTEMPT}resume", clock.resume, name="resume"),
    path(f"{ATTEMPT}stream", clock.stream, name="stream"),
    path(f"{ATTEMPT}answers/", answers.all_fields, name="answers"),
    path(FIELD, answers.answer, name="answer"),
    path(f"{FIELD}/dropped", answers.dropped, name="answer_dropped"),
    path(f"{FIELD}/restore", answers.restore, name="answer_restore"),
    path(f"{FIELD}/history", answers.versions, name="answer_history"),
    path(f"{FIELD}/history/<int:version_id>", answers.version, name="answer_version"),
    path(f"{ATTEMPT}replay/", replay.replay, name="replay"),
    path(f"{ATTEMPT}replay/moment", replay.moment, name="moment"),
    path(f"{ATTEMPT}lease", answers.lease, name="lease"),
    path(f"{ATTEMPT}lease/heartbeat", answers.heartbeat, name="lease_heartbeat"),
]

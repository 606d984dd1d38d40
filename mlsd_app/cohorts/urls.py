from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from mlsd_app.cohorts.views import (
    accommodations,
    analytics,
    assignments,
    cohorts,
    designs,
    exports,
    follow,
    grading,
    live,
    people,
    release,
    settings,
)

app_name = "cohorts"
COHORT = "<int:cohort_id>/"
PERSON = f"{COHORT}people/<int:member_id>/"
ASSIGNMENT = f"{COHORT}assignments/<int:assignment_id>/"
TASK = f"{COHORT}grading/<int:task_id>/"
LIVE = f"{COHORT}live/<uuid:attempt_id>/"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", cohorts.listing, name="list"),
    path("new/", cohorts.create, name="create"),
    path("join/", cohorts.join, name="join"),
    path("join/<str:code>/", cohorts.join_link, name="join_link"),
    path(COHORT, cohorts.front, name="cohort"),
    path(f"{COHORT}leave", cohorts.leave, name="leave"),
    # people
    path(f"{COHORT}people/", people.people, name="people"),
    path(f"{COHORT}people/add", people.add, name="member_add"),
    path(f"{COHORT}people/import/", people.import_csv, name="import"),
    path(PERSON, people.person, name="person"),
    path(f"{PERSON}remove", people.remove, name="member_remove"),
    path(f"{PERSON}role", people.role, name="member_role"),
    path(f"{PERSON}labels", people.labels, name="member_labels"),
    # the live board
    path(f"{COHORT}live/", live.board, name="live"),
    path(f"{COHORT}live/rows", live.rows, name="live_rows"),
    path(f"{COHORT}live/stream", live.stream, name="live_stream"),
    path(f"{COHORT}live/operate", live.operate, name="live_operate"),
    path(LIVE, follow.follow, name="follow"),
    path(f"{LIVE}work", follow.work, name="follow_work"),
    path(f"{LIVE}stream", follow.stream, name="follow_stream"),
    path(f"{LIVE}notes", follow.note, name="note"),
    # accommodations
    path(f"{COHORT}accommodations/", accommodations.listing, name="accommodations"),
    path(f"{COHORT}accommodations/save", accommodations.save, name="accommodation_save"),
    path(f"{COHORT}accommodations/<int:accommodation_id>/clear", accommodations.clear, name="accommodation_clear"),
    # settings and log
    path(f"{COHORT}settings/", settings.settings, name="settings"),
    path(f"{COHORT}settings/code", settings.code_save, name="code_save"),
    path(f"{COHORT}settings/code/rotate", settings.code_rotate, name="code_rotate"),
    path(f"{COHORT}settings/labels", settings.label_add, name="label_add"),
    path(f"{COHORT}settings/labels/<int:label_id>", settings.label_save, name="label_save"),
    path(f"{COHORT}settings/transfer", settings.transfer, name="transfer"),
    path(f"{COHORT}settings/archive", settings.archive, name="archive"),
    path(f"{COHORT}settings/delete", settings.delete, name="delete"),
    path(f"{COHORT}audit/", settings.audit, name="audit"),
    # grading
    path(f"{COHORT}grading/", grading.overview, name="grading"),
    path(TASK, grading.show, name="task"),
    path(f"{TASK}draft", grading.draft, name="task_draft"),
    path(f"{TASK}submit", grading.submit, name="task_submit"),
    path(f"{TASK}act", grading.act, name="task_act"),
    path(f"{COHORT}gradebook/", release.show_gradebook, name="gradebook"),
    path(f"{ASSIGNMENT}grading/", grading.show_queue, name="queue"),
    path(f"{ASSIGNMENT}grading/next", grading.take_next, name="task_next"),
    path(f"{ASSIGNMENT}rubric/", release.rubric, name="rubric"),
    path(f"{ASSIGNMENT}rubric/regrade", release.regrade, name="regrade"),
    path(f"{ASSIGNMENT}release/", release.release, name="release"),
    path(f"{ASSIGNMENT}results/<int:result_id>/override", release.override, name="result_override"),
    path(f"{ASSIGNMENT}tries/<int:try_id>/accept", release.accept, name="try_accept"),
    # figures and files
    path(f"{COHORT}analytics/", analytics.cohort, name="analytics"),
    path(f"{ASSIGNMENT}analytics/", analytics.assignment, name="assignment_analytics"),
    path(f"{ASSIGNMENT}map/", analytics.tradeoff_map, name="map"),
    path(f"{COHORT}exports/", exports.listing, name="exports"),
    path("exports/", exports.own, name="own_exports"),
    path("exports/<int:export_id>/file", exports.file, name="export_file"),
    # assignments
    path(f"{COHORT}assignments/new/", assignments.create, name="assignment_create"),
    path(ASSIGNMENT, assignments.show, name="assignment"),
    path(f"{ASSIGNMENT}edit/", assignments.edit, name="assignment_edit"),
    path(f"{ASSIGNMENT}preview/", assignments.preview, name="assignment_preview"),
    path(f"{ASSIGNMENT}publish", assignments.publish, name="assignment_publish"),
    path(f"{ASSIGNMENT}copy", assignments.copy, name="assignment_copy"),
    path(f"{ASSIGNMENT}delete", assignments.delete, name="assignment_delete"),
    path(f"{ASSIGNMENT}restore", assignments.restore, name="assignment_restore"),
    path(f"{ASSIGNMENT}overrides", accommodations.override_save, name="override_save"),
    path(f"{ASSIGNMENT}overrides/<int:override_id>/clear", accommodations.override_clear, name="override_clear"),
    path(f"{ASSIGNMENT}begin", assignments.begin, name="begin"),
    path(f"{ASSIGNMENT}tries/<int:try_id>/hand-in", assignments.hand_in, name="hand_in"),
    # challenges and predictions
    path(f"{ASSIGNMENT}tries/<int:try_id>/challenge/", designs.challenge, name="try_challenge"),
    path(f"{ASSIGNMENT}tries/<int:try_id>/predict", designs.predict, name="try_predict"),
    path(f"{ASSIGNMENT}tries/<int:try_id>/prediction", designs.prediction, name="try_prediction"),
    path(f"{ASSIGNMENT}submissions/<uuid:submission_id>/", designs.submission, name="submission"),
]

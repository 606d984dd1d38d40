"""Grading in a real browser: five pieces by keyboard alone, a draft that comes back, and every page of grading as axe sees it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_accessibility import faults
from tests.live import LiveSite

PIECES = 5
MADE = """
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from mlsd_app.accounts.models import User
from mlsd_app.cohorts.demo import demo_cohort
from mlsd_app.cohorts.models import Task, TaskDraft
def person(name):
    return User.objects.get_or_create(username=name, defaults={"password": "!"})[0]
owner = person("grading-owner")
cohort = demo_cohort(instructor=owner, candidate=person("grading-candidate"), now=timezone.now())
store = SessionStore()
store["_auth_user_id"], store["_auth_user_backend"] = str(owner.pk), "django.contrib.auth.backends.ModelBackend"
store["_auth_user_hash"] = owner.get_session_auth_hash()
store.save()
assignment = cohort.assignments.get(title__startswith="First mock")
TaskDraft.objects.all().delete()
Task.objects.filter(state="in_progress").update(state="ungraded", lease_user=None)
print(cohort.pk, assignment.pk, store.session_key)
"""
NASTY = """
import json, uuid
from django.utils import timezone
from mlsd_app.cohorts.grading.marks import MarkGiven, draft_save
from mlsd_app.cohorts.grading.queue import task_claim
from mlsd_app.cohorts.grading.sections import BY_KEY, subjects_in
from mlsd_app.cohorts.models import Assignment, Comment, Task
from mlsd_app.interviews.models import Answer, Claim, Curveball, Event, RunLink
from mlsd_app.runs.models import Run, RunState, StoredResult
now, word = timezone.now(), "index_of_everything_" * 9
assignment = Assignment.objects.get(pk={assignment})
owner = assignment.cohort.memberships.get(role="owner").user
code = "    for shard in shards: " + "merge(shard) + " * 30 + "\\n|" + " a | b |" * 40 + "\\n" + word
task = Task.objects.select_related("assigned__attempt").filter(assigned__assignment=assignment, section="craft").order_by("-pk").first()
Task.objects.filter(pk=task.pk).update(state="ungraded", lease_user=None, lease_until=None, tagged_to=None)
task.refresh_from_db()
attempt = task.assigned.attempt
def row(place, key, **values):
    Answer.objects.update_or_create(attempt=attempt, field=f"row/{{place}}/{{key}}",
        defaults={{"content": json.dumps(values), "rev": 1, "updated_at": now}})
for phase in attempt.phases:
    Answer.objects.update_or_create(attempt=attempt, field=f"text/{{phase['key']}}",
        defaults={{"content": code + "\\n\\n" + word * 3, "rev": 1, "updated_at": now}})
for n in range(9):
    row("components", f"c{{n}}", kind="", name=word[:60], why=word, order=n)
    row("edges", f"e{{n}}", to=f"c{{(n + 1) % 9}}", carries=word[:60], order=n, **{{"from": f"c{{n}}"}})
row("constraints", "k", name=word[:60], value="9" * 40, unit="vectors", source="asked", order=0)
result = StoredResult.objects.create(cache_key=uuid.uuid4().hex, body={{}}, metrics=[
    {{"key": f"m{{n}}", "label": word, "value": 1e9 / 7, "unit": "comparisons/query", "series": word, "better": "up"}} for n in range(9)])
run = Run.objects.create(user=attempt.user, problem="vector_search", lab="index_tradeoffs", lab_version=1, seed=1, state=RunState.DONE,
    cache_key=result.cache_key, result=result, params={{word: [word, word], "nprobe": 7}})
link = RunLink.objects.create(attempt=attempt, run=run, number=77, phase="deep_dive", at=now, pinned=True, label=word[:80])
said = {{"field": "text/deep_dive", "quote": word, "start": 0, "end": 1, "reason": word}}
Claim.objects.create(attempt=attempt, verdict="supported", run=link, at=now, **said)
Curveball.objects.create(attempt=attempt, key="k", phase="deep_dive", text=word, shown_at=now, state="active")
last = Event.objects.filter(attempt=attempt).order_by("-seq").first().seq
Event.objects.create(attempt=attempt, seq=last + 1, at=now, kind="question", phase="deep_dive", data={{"text": word, "answer": word}})
task_claim(user=owner, task=task, now=now)
wanted = subjects_in(attempt, "craft").required
evidence = [{{"kind": "quote", "ref": "text/deep_dive", "text": word}}]
marks = {{key: MarkGiven.model_validate({{"level": 3, "evidence": evidence, "comment": word}}) for key in wanted}}
Task.objects.filter(pk=task.pk).update(flag=word)
for key in wanted:
    Comment.objects.create(assignment=assignment, item_id=key, author=owner, text=word)
draft_save(user=owner, task=task, marks=marks, now=now)
others = Task.objects.filter(assigned=task.assigned).exclude(pk=task.pk).values_list("pk", flat=True)
print(task.pk, *others)
"""
STICKING_OUT = """() => {
  const wide = document.documentElement.clientWidth, found = [], range = document.createRange();
  if (document.documentElement.scrollWidth <= wide) return found;
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_ALL);
  for (let node = walker.currentNode; node; node = walker.nextNode()) {
    range.selectNode(node);
    const { right } = range.getBoundingClientRect(), parent = node.parentElement;
    if (right > wide + 1 && !parent.closest(".table-scroll")) found.push(`${parent.tagName} ${Math.round(right - wide)}`);
  }
  return ["the page", ...found.slice(0, 12)];
}"""
LEFT = """
from mlsd_app.cohorts.models import Task
print(Task.objects.filter(assigned__assignment={assignment}, state="graded").count())
"""


class Grading:
    """An owner with the demo cohort: some interviews are graded, twelve pieces wait."""

    def __init__(self, page: Page, site: LiveSite, cohort: str, assignment: str) -> None:
        self.page, self.site = page, site
        self.cohort = f"/cohorts/{cohort}/"
        self.assignment, self.pk = f"{self.cohort}assignments/{assignment}/", assignment

    def graded(self) -> int:
        return int(self.site.manage("shell", "-v", "0", "-c", LEFT.format(assignment=self.pk)))

    def begin(self) -> None:
        self.page.goto(f"{self.assignment}grading/")
        self.page.get_by_role("button", name="Grade next").focus()
        self.page.keyboard.press("Enter")
        self.ready()

    def ready(self) -> None:
        """A piece is shown and its script listens to keys."""
        expect(self.page.locator("[data-grading] [data-subject].is-current")).to_have_count(1)

    def points(self) -> int:
        return self.page.locator("[data-subject]").count()


@pytest.fixture
def browser_options() -> dict[str, Any]:
    return {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def grading(page: Page, browser_context: BrowserContext, live_site: LiveSite) -> Grading:
    """The demo cohort is made once for the site; what an earlier test held goes back."""
    cohort, assignment, session = live_site.manage("shell", "-v", "0", "-c", MADE).split()
    browser_context.add_cookies([{"name": "sessionid", "value": session, "url": live_site.url}])
    return Grading(page, live_site, cohort, assignment)


def test_five_pieces_by_keyboard_alone(grading: Grading) -> None:
    """Each point gets a level, and each level its evidence; then n."""
    page, before = grading.page, grading.graded()
    grading.begin()
    for _ in range(PIECES):
        address = page.url
        for place in range(grading.points()):
            if place:
                page.keyboard.press("j")
            page.keyboard.press("]")
            page.keyboard.press("e")
            page.keyboard.press("2")
        expect(page.locator("[data-subject].is-current input:checked")).to_have_value("2")
        page.keyboard.press("n")
        expect(page).not_to_have_url(address)
        grading.ready()
    assert grading.graded() == before + PIECES


def test_without_evidence_it_is_refused_and_nothing_is_lost(grading: Grading, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    page = grading.page
    grading.begin()
    for _ in range(grading.points()):
        page.keyboard.press("0")
        page.keyboard.press("j")
    page.keyboard.press("3")
    page.keyboard.press("c")
    page.keyboard.type("worth more, but why")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.get_by_role("alert")).to_contain_text("needs evidence")
    wrong = page.locator("[data-subject].is-wrong")
    expect(wrong.locator("textarea")).to_have_value("worth more, but why")
    expect(wrong.locator("input:checked")).to_have_value("3")
    expect(wrong).to_be_focused()


def test_what_was_selected_is_cited_and_the_draft_comes_back(grading: Grading) -> None:
    page = grading.page
    grading.begin()
    cited = page.locator("[data-subject].is-current [data-part=cited] li")
    before = cited.count()  # a piece that was graded once begins with what was cited then
    page.locator("[data-passage][data-kind=quote]").first.select_text()
    page.keyboard.press("e")
    expect(cited).to_have_count(before + 1)
    page.keyboard.press("4")
    expect(page.locator("[data-part=saved]")).to_have_text("Draft kept.")
    page.reload()
    expect(cited).to_have_count(before + 1)
    expect(page.locator("[data-subject].is-current input:checked")).to_have_value("4")
    cited.last.get_by_role("button", name=re.compile("Remove")).click()
    expect(cited).to_have_count(before)


def test_axe_on_every_page(grading: Grading) -> None:
    page = grading.page
    places = [f"{grading.cohort}grading/", f"{grading.cohort}gradebook/"]
    places += [f"{grading.assignment}{name}/" for name in ("grading", "rubric", "release")]
    found = {}
    for place in places:
        page.goto(place)
        found[place] = faults(page)
    grading.begin()
    page.keyboard.press("]")
    page.keyboard.press("e")
    page.keyboard.press("3")
    found["a piece"] = faults(page)
    assert {place: complaints for place, complaints in found.items() if complaints} == {}


def test_nothing_sticks_out_on_a_phone(grading: Grading) -> None:
    """Words without an end, code, tables, a large drawing, runs with long names: the page stays as wide as the screen."""
    page = grading.page
    tasks = grading.site.manage("shell", "-v", "0", "-c", NASTY.format(assignment=grading.pk)).split()
    places = [f"{grading.cohort}grading/{task}/" for task in tasks]
    places += [f"{grading.cohort}{name}/" for name in ("grading", "gradebook", "audit")]
    places += [f"{grading.assignment}{name}/" for name in ("grading", "rubric", "release", "analytics")]
    found = {}
    for width in (360, 390, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        for place in places:
            page.goto(place)
            page.locator("main details").evaluate_all("all => all.forEach(one => { one.open = true; })")
            found[f"{width} {place}"] = page.evaluate(STICKING_OUT)
    assert {place: what for place, what in found.items() if what} == {}

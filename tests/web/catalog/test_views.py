"""The pages of the catalog: what they show, what they refuse, whose work they show, and how often they ask the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.catalog.models import PhaseWork, PracticeClock
from mlsd_app.catalog.selectors import all_labs
from mlsd_app.catalog.services import NOTE_CHARACTERS
from mlsd_app.challenges.selectors import all_challenges
from mlsd_app.core.content import labs_taught
from problems.base import PHASES
from problems.loader import all_problems, load_problem
from problems.method import method_pages
from problems.schema import Phase, Problem

QUERIES_SIGNED_IN = 6  # session, user and at most four of the page's own
JSON = {"HTTP_ACCEPT": "application/json"}
HTMX = {"HTTP_HX_REQUEST": "true"}


def phase_url(problem: Problem, phase: Phase | str) -> str:
    return reverse("catalog:phase", args=[problem.slug, phase if isinstance(phase, str) else phase.key])


def url(name: str, problem: Problem, phase: Phase) -> str:
    return reverse(f"catalog:{name}", args=[problem.slug, phase.key])


def every_page() -> list[str]:
    pages = ["/", "/problems/", "/problems/?theme=platforms&state=new", *(f"/method/{page.key}/" for page in method_pages())]
    for problem in all_problems():
        pages += [reverse("catalog:problem", args=[problem.slug]), *(phase_url(problem, phase) for phase in problem.phases)]
    return pages


@contextmanager
def at_most(queries: int) -> Iterator[None]:
    with CaptureQueriesContext(connection) as seen:
        yield
    assert len(seen) <= queries, "\n".join(query["sql"][:120] for query in seen)


def note(client: Client, problem: Problem, phase: Phase, text: str, revision: int = 0, **more: Any) -> Any:
    return client.post(url("note_save", problem, phase), {"text": text, "revision": revision, "writer": "tab", **more}, **JSON)


# --- every page --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", every_page())
def test_a_visitor_reads_every_page_without_a_query(client: Client, db: None, address: str) -> None:
    with at_most(0):
        response = client.get(address)
    assert response.status_code == 200
    assert User.objects.count() == 0, "reading makes no guest"


@pytest.mark.parametrize("address", every_page())
def test_pages_ask_the_database_little(mine: Client, user: User, problem: Problem, address: str) -> None:
    for phase in problem.phases:
        PhaseWork.objects.create(user=user, problem=problem.slug, phase=phase.key, text="x", revealed_at="2026-03-02T14:00Z")
    PracticeClock.objects.create(user=user, problem=problem.slug)
    with at_most(QUERIES_SIGNED_IN):
        assert mine.get(address).status_code == 200


@pytest.mark.parametrize("address", every_page())
def test_no_page_holds_inline_script_or_style(client: Client, db: None, address: str) -> None:
    page = client.get(address).content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", page)


@pytest.mark.parametrize("address", ["/problems/nope/", "/problems/vector_search/nope/", "/problems/{unwritten}/clarify/", "/nothing/here"])
def test_unknown_addresses_are_404_in_the_sites_own_page(client: Client, db: None, unwritten: Problem, address: str) -> None:
    response = client.get(address.format(unwritten=unwritten.slug))
    assert response.status_code == 404 and b"site-header" in response.content and b"All problems" in response.content


# --- the list ----------------------------------------------------------------------------------------------------------


def test_every_problem_is_listed_with_its_hard_part(client: Client, db: None) -> None:
    for address in ("/", "/problems/"):
        page = client.get(address).content.decode()
        for problem in all_problems():
            assert problem.title in page and problem.tagline in page and reverse("catalog:problem", args=[problem.slug]) in page


def test_a_problem_without_walkthrough_says_so(client: Client, db: None, unwritten: Problem) -> None:
    assert "being written" in client.get(f"/problems/{unwritten.slug}/").content.decode()


def test_the_filter_narrows_the_list_and_htmx_gets_the_grid_alone(mine: Client, user: User, problem: Problem) -> None:
    PhaseWork.objects.create(user=user, problem=problem.slug, phase="clarify")
    started = mine.get("/problems/?state=started", **HTMX).content.decode()
    assert problem.title in started and "<html" not in started
    assert problem.title not in mine.get("/problems/?state=new").content.decode().split("</form>", 1)[1]
    nothing = mine.get("/problems/?state=done&theme=platforms").content.decode()
    assert "No problem fits" in nothing


def test_a_filter_that_is_not_on_offer_filters_nothing(client: Client, db: None) -> None:
    page = client.get("/problems/?theme=<script>&state=%00").content.decode()
    assert all(problem.title in page for problem in all_problems()) and "<script>" not in page.split("</head>")[1]


def test_progress_is_counted_in_phases(mine: Client, user: User, problem: Problem) -> None:
    for phase in problem.phases[:2]:
        mine.post(url("done", problem, phase), {"done": "1"})
    assert f"2 of {len(problem.phases)} phases" in mine.get("/problems/").content.decode()


# --- notes -------------------------------------------------------------------------------------------------------------


def test_a_visitors_first_note_makes_a_guest_who_keeps_it(client: Client, db: None, problem: Problem, phase: Phase) -> None:
    answer = note(client, problem, phase, "What is the recall target?")
    assert answer.status_code == 200 and answer.json()["revision"] == 1
    assert User.objects.get().is_guest
    assert "What is the recall target?" in client.get(phase_url(problem, phase)).content.decode()


def test_notes_are_escaped(mine: Client, problem: Problem, phase: Phase) -> None:
    note(mine, problem, phase, "</textarea><script>alert(1)</script>")
    page = mine.get(phase_url(problem, phase)).content.decode()
    assert "<script>alert" not in page and "&lt;/textarea&gt;&lt;script&gt;" in page


def test_a_conflict_answers_with_the_other_version_and_both_survive(mine: Client, problem: Problem, phase: Phase) -> None:
    note(mine, problem, phase, "first tab")
    answer = note(mine, problem, phase, "second tab", writer="other")
    assert answer.status_code == 409 and answer.json()["text"] == "first tab" and answer.json()["revision"] == 1
    page = mine.get(phase_url(problem, phase)).content.decode()
    assert "first tab" in page and "second tab" in page


def test_a_conflict_without_javascript_is_a_page_with_both_versions(mine: Client, problem: Problem, phase: Phase) -> None:
    note(mine, problem, phase, "first tab")
    form = {"text": "second tab", "revision": 0}
    page = mine.post(url("note_save", problem, phase), form)
    assert page.status_code == 409 and b"first tab" in page.content and b"second tab" in page.content
    kept = mine.post(url("note_save", problem, phase), {"text": "second tab", "revision": 1, "over": "1"})
    assert kept.status_code == 302
    page_after = mine.get(phase_url(problem, phase)).content.decode()
    assert "second tab" in page_after and "first tab" in page_after


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"text": "x" * (NOTE_CHARACTERS + 1)}, "20,001 characters"),
        ({"text": "x", "revision": "one"}, "expected the whole number"),
        ({"text": "x", "revision": "-1"}, "expected the whole number"),
    ],
)
def test_notes_that_cannot_be_saved_are_refused_in_a_sentence(
    mine: Client, problem: Problem, phase: Phase, fields: dict[str, str], words: str
) -> None:
    form = {"revision": "0", **fields}
    assert words in str(mine.post(url("note_save", problem, phase), form, **JSON).json()["errors"])
    page = mine.post(url("note_save", problem, phase), form)
    assert page.status_code == 422 and words in page.content.decode()


def test_a_refused_note_makes_no_guest(client: Client, db: None, problem: Problem, phase: Phase) -> None:
    assert note(client, problem, phase, "x", revision="nonsense").status_code == 422  # type: ignore[arg-type]
    assert User.objects.count() == 0


# --- whose it is -------------------------------------------------------------------------------------------------------


def test_one_user_never_sees_anothers_work(mine: Client, other: User, problem: Problem, phase: Phase) -> None:
    theirs = Client()
    theirs.force_login(other)
    note(theirs, problem, phase, "the secret of grace")
    theirs.post(url("reveal", problem, phase))
    theirs.post(reverse("catalog:clock_press", args=[problem.slug]), {"action": "start", "phase": phase.key})
    for address in every_page():
        assert "the secret of grace" not in mine.get(address).content.decode()
    assert "Reveal the worked answer" in mine.get(phase_url(problem, phase)).content.decode()
    assert mine.get(reverse("catalog:clock", args=[problem.slug])).json()["untouched"] is True
    note(mine, problem, phase, "of ada")
    assert PhaseWork.objects.get(user=other).text == "the secret of grace"


@pytest.mark.parametrize("name", ["note_save", "reveal", "check", "done"])
def test_writes_need_the_token_and_a_post(user: User, problem: Problem, phase: Phase, name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    refused = strict.post(url(name, problem, phase), {"text": "x", "revision": 0})
    assert refused.status_code == 403 and b"older than your session" in refused.content
    assert strict.get(url(name, problem, phase)).status_code == 405
    assert not PhaseWork.objects.exists()


# --- answer, checklist, done --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["clarify", "capacity", "architecture", "deep_dive", "evaluation"])
def test_the_answer_shows_once_it_is_revealed_and_stays(mine: Client, problem: Problem, key: str) -> None:
    phase = problem.phase(key)
    assert phase is not None
    hidden = mine.get(phase_url(problem, phase)).content.decode()
    assert "answer-title" not in hidden and all(item.text not in hidden for item in phase.checklist)
    fragment = mine.post(url("reveal", problem, phase), **HTMX).content.decode()
    shown = mine.get(phase_url(problem, phase)).content.decode()
    for place in (fragment, shown):
        assert "answer-title" in place and "<html" not in fragment
        assert not re.search(r'href="(lab|phase|calc|problem):', place), "addresses of content are resolved"
        assert all(f'value="{item.id}"' in place for item in phase.checklist)
    assert mine.post(url("reveal", problem, phase)).headers["Location"].endswith("#answer")


def test_links_in_answers_and_diagram_lead_to_pages(mine: Client, problem: Problem) -> None:
    for phase in problem.phases:
        mine.post(url("reveal", problem, phase))
        page = mine.get(phase_url(problem, phase)).content.decode()
        for address in set(re.findall(r'href="(/(?:labs|problems)/[^"#]*)', page)):
            assert mine.get(address.replace("&amp;", "&")).status_code == 200, address


def test_the_checklist_is_kept_and_counted(mine: Client, problem: Problem, phase: Phase) -> None:
    mine.post(url("reveal", problem, phase))
    first = phase.checklist[0].id
    assert f"1 of {len(phase.checklist)}" in mine.post(url("check", problem, phase), {"item": first}, **HTMX).content.decode()
    assert re.search(rf'value="{first}"[^>]*checked', mine.get(phase_url(problem, phase)).content.decode())
    assert mine.post(url("check", problem, phase), {"item": "no.such"}, **JSON).status_code == 422


def test_done_leads_to_the_next_phase_and_back(mine: Client, problem: Problem) -> None:
    for phase, following in zip(problem.phases, problem.phases[1:], strict=False):
        assert mine.post(url("done", problem, phase), {"done": "1"}).headers["Location"] == phase_url(problem, following)
    assert mine.post(url("done", problem, problem.phases[-1]), {"done": "1"}).headers["Location"] == f"/problems/{problem.slug}/"
    assert mine.post(url("done", problem, problem.phases[0]), {"done": "0"}).headers["Location"] == phase_url(problem, problem.phases[0])
    assert PhaseWork.objects.filter(done_at=None).count() == 1


# --- clock -------------------------------------------------------------------------------------------------------------


def test_the_clock_works_as_a_plain_form_and_survives_a_reload(mine: Client, problem: Problem, phase: Phase) -> None:
    press = reverse("catalog:clock_press", args=[problem.slug])
    assert mine.post(press, {"action": "start", "phase": phase.key}).headers["Location"] == phase_url(problem, phase)
    assert 'aria-label="Pause the clock"' in mine.get(phase_url(problem, phase)).content.decode()
    state = mine.get(reverse("catalog:clock", args=[problem.slug])).json()
    assert state["running"] and state["phase"] == phase.key and 0 < state["phase_remaining_s"] <= 300
    assert mine.post(press, {"action": "explode", "phase": phase.key}, **JSON).status_code == 422
    assert mine.post(press, {"action": "start", "phase": "nope"}).status_code == 422


def test_debt_names_the_phase_it_is_taken_from(mine: Client, user: User, problem: Problem, phase: Phase) -> None:
    started_at = timezone.now().timestamp() - 60 * phase.minutes - 100
    PracticeClock.objects.create(user=user, problem=problem.slug, presses=[[started_at, "start", phase.key]])
    page = re.sub(r"<[^>]+>", "", mine.get(phase_url(problem, phase)).content.decode())
    assert re.search(rf"1:4\d over, taken from {problem.phases[1].title}", page)


def test_a_problem_without_phases_has_no_clock(mine: Client, unwritten: Problem) -> None:
    assert mine.get(reverse("catalog:clock", args=[unwritten.slug])).status_code == 404
    assert mine.post(reverse("catalog:clock_press", args=[unwritten.slug]), {"action": "start", "phase": "clarify"}).status_code == 404


# --- calculators -------------------------------------------------------------------------------------------------------


def calculator_url(problem: Problem, key: str) -> str:
    return reverse("catalog:calculator", args=[problem.slug, key])


@pytest.mark.parametrize("key", [calculator.key for calculator in load_problem("vector_search").calculators])
def test_a_calculator_shows_every_line_with_its_assumption_and_what_decides(client: Client, db: None, problem: Problem, key: str) -> None:
    calculator = problem.calculator(key)
    assert calculator is not None
    page = client.get(calculator_url(problem, key)).content.decode().replace("&#x27;", "'").replace("&quot;", '"')
    assert "The dominating constraint is" in page
    for output in calculator.outputs:
        assert output.title in page and output.assumption in page
        if output.source:
            assert output.source.text in page and output.source.verdict in page


def test_doubling_the_vectors_doubles_the_bytes(client: Client, db: None, problem: Problem) -> None:
    page = client.get(calculator_url(problem, "raw_vectors"), {"n": "2e9"}).content.decode()
    assert "6.14" in page and "3.07" not in page.split("calc-verdict")[0]


@pytest.mark.parametrize("given", ["", "x", "nan", "inf", "-1", "1e99", "1e400", "0"])
def test_a_bad_input_is_422_beside_its_field_with_and_without_javascript(client: Client, db: None, problem: Problem, given: str) -> None:
    fragment = client.get(calculator_url(problem, "raw_vectors"), {"n": given})
    page = client.get(phase_url(problem, "capacity"), {"calc": "raw_vectors", "n": given})
    for answer in (fragment, page):
        assert answer.status_code == 422
        error = re.search(r'id="raw_vectors-n-error"[^>]*>([^<]+)<', answer.content.decode())
        assert error and "given" in error[1] and "expected" in error[1]
    assert b'aria-invalid="true"' in page.content


def test_the_address_opens_the_calculator_as_it_was(client: Client, db: None, problem: Problem) -> None:
    page = client.get(phase_url(problem, "capacity"), {"calc": "raw_vectors", "n": "2e9"}).content.decode()
    assert re.search(r'id="raw_vectors-n"[^>]*value="2e9"', page) and "6.14" in page


def test_an_unknown_calculator_is_404(client: Client, db: None, problem: Problem) -> None:
    assert client.get(calculator_url(problem, "nope")).status_code == 404


# --- error pages -------------------------------------------------------------------------------------------------------


def test_the_500_page_needs_no_database(settings: Any) -> None:
    """No `db` fixture here: any query would fail the test."""
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False
    client = Client(raise_request_exception=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlsd_app.catalog.selectors.cards", lambda **_: 1 / 0)
        response = client.get("/")
    assert response.status_code == 500 and b"Something broke on our side" in response.content and b"base.css" in response.content


def test_labs_stand_in_the_order_in_which_the_round_opens_them(client: Client) -> None:
    """As the problem's page lists its labs, so do the page of all labs and the challenges; a lab it does not name comes last."""
    problem = load_problem("vector_search")
    opened = list(dict.fromkeys(link.lab for phase in PHASES for link in problem.labs_in(phase)))
    assert opened != sorted(opened), "the alphabet would do"
    assert [lab.slug for lab in labs_taught(problem.slug)] == opened
    assert [card.lab.slug for card in all_labs(problem=problem)] == opened
    page = client.get(reverse("runs:labs")).content.decode()
    assert re.findall(r'href="/labs/vector_search/(\w+)/"', page) == opened
    assert [lab.slug for lab, _ in all_challenges() if lab.problem == problem.slug] == opened

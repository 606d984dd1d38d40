"""Notes are never lost, marks are a set, the clock keeps to its plan; and work is its owner's alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from mlsd_app.accounts.merge import guest_merge
from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import guest_create
from mlsd_app.catalog import selectors, services
from mlsd_app.catalog.models import PhaseWork, PracticeClock, SetAsideText
from problems.loader import load_problem
from problems.schema import Phase, Problem
from simulators.errors import InvalidInput
from tests.web.catalog.conftest import NOW


def save(user: User, problem: Problem, phase: Phase, text: str, base: int = 0, writer: str = "a", **more: Any) -> PhaseWork:
    return services.note_save(user=user, problem=problem, phase=phase, text=text, base_revision=base, writer=writer, now=NOW, **more)


def work(user: User, problem: Problem, phase: Phase) -> PhaseWork:
    return selectors.work_by_phase(user=user, problem=problem)[phase.key]


# --- notes -----------------------------------------------------------------------------------------------------------


def test_each_save_raises_the_revision_and_repeating_it_changes_nothing(user: User, problem: Problem, phase: Phase) -> None:
    first = save(user, problem, phase, "one")
    again = save(user, problem, phase, "one", base=0)
    second = save(user, problem, phase, "two", base=first.revision)
    assert (first.revision, again.revision, second.revision) == (1, 1, 2) and second.saved_at == NOW


def test_a_second_tab_does_not_overwrite_and_its_text_is_set_aside(user: User, problem: Problem, phase: Phase) -> None:
    save(user, problem, phase, "from a", writer="a")
    with pytest.raises(services.NoteConflict) as conflict:
        save(user, problem, phase, "from b", base=0, writer="b")
    assert conflict.value.work.text == "from a"
    assert work(user, problem, phase).text == "from a"
    assert [kept.text for kept in SetAsideText.objects.all()] == ["from b"]


def test_keeping_mine_sets_theirs_aside(user: User, problem: Problem, phase: Phase) -> None:
    save(user, problem, phase, "from a", writer="a")
    with pytest.raises(services.NoteConflict) as conflict:
        save(user, problem, phase, "from b", base=0, writer="b")
    save(user, problem, phase, "from b", base=conflict.value.work.revision, writer="b", over=True)
    assert work(user, problem, phase).text == "from b"
    assert [kept.text for kept in SetAsideText.objects.all()] == ["from a"]


def test_keeping_mine_over_a_version_nobody_has_seen_is_a_conflict_again(user: User, problem: Problem, phase: Phase) -> None:
    save(user, problem, phase, "one")
    save(user, problem, phase, "two", base=1)
    with pytest.raises(services.NoteConflict):
        save(user, problem, phase, "mine", base=1, writer="b", over=True)
    assert work(user, problem, phase).text == "two"


def test_a_tab_whose_answer_was_lost_is_not_in_conflict_with_itself(user: User, problem: Problem, phase: Phase) -> None:
    save(user, problem, phase, "one")  # stored, but the answer never arrived
    assert save(user, problem, phase, "one and more", base=0).revision == 2
    with pytest.raises(services.NoteConflict):
        save(user, problem, phase, "other", base=1, writer="b")


def test_the_limit_is_named_and_counts_characters(user: User, problem: Problem, phase: Phase) -> None:
    at_limit = "ü" * services.NOTE_CHARACTERS
    assert save(user, problem, phase, at_limit).text == at_limit
    with pytest.raises(InvalidInput, match=r"20,001 characters; a phase holds 20,000"):
        save(user, problem, phase, at_limit + "x", base=1)


def test_lines_are_stored_with_one_kind_of_break_and_without_nulls(user: User, problem: Problem, phase: Phase) -> None:
    assert save(user, problem, phase, "a\r\nb\0").text == "a\nb"


def test_texts_set_aside_are_kept_once_each_and_bounded(user: User, problem: Problem, phase: Phase) -> None:
    save(user, problem, phase, "kept")
    for number in range(services.SET_ASIDE_TEXTS + 5):
        for _ in range(2):
            with pytest.raises(services.NoteConflict):
                save(user, problem, phase, f"loser {number}", base=7, writer="b")
    texts = [kept.text for kept in SetAsideText.objects.all()]
    assert len(texts) == len(set(texts)) == services.SET_ASIDE_TEXTS and texts[0] == f"loser {number}"


class TwoTabs(TestCase):
    """Whatever two tabs type and however their saves interleave, every text either saved stands in the notes or is set aside."""

    @settings(max_examples=40)
    @given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["type", "save", "mine", "theirs"])), max_size=16))
    def test_no_text_is_lost(self, steps: list[tuple[str, str]]) -> None:
        problem = load_problem("vector_search")
        phase, user = problem.phases[0], guest_create()
        tabs = {name: {"text": "", "revision": 0, "conflict": None} for name in "ab"}
        sent: set[str] = set()
        superseded: set[str] = set()  # typed over in the very tab that wrote them, which is no loss
        for number, (name, step) in enumerate(steps):
            tab: dict[str, Any] = tabs[name]
            if step == "type" and not tab["conflict"]:
                if tab["text"] in sent and tab.get("current"):
                    superseded.add(tab["text"])
                tab["text"], tab["current"] = f"{name}{number}", False
            elif step == "theirs" and tab["conflict"]:
                tab.update(text=tab["conflict"].text, revision=tab["conflict"].revision, conflict=None, current=True)
            elif step in ("save", "mine") and tab["text"] and (step == "mine") == bool(tab["conflict"]):
                sent.add(tab["text"])
                base = tab["conflict"].revision if tab["conflict"] else tab["revision"]
                try:
                    saved = save(user, problem, phase, tab["text"], base=base, writer=name, over=bool(tab["conflict"]))
                    tab.update(revision=saved.revision, conflict=None, current=True)
                except services.NoteConflict as conflict:
                    tab["conflict"] = conflict.work
        kept = {work(user, problem, phase).text, *SetAsideText.objects.filter(work__user=user).values_list("text", flat=True)}
        assert sent - superseded <= kept | {""}


# --- marks -----------------------------------------------------------------------------------------------------------


def test_the_checklist_holds_exactly_what_is_marked_in_its_own_order(user: User, problem: Problem, phase: Phase) -> None:
    first, second, *_ = [item.id for item in phase.checklist]
    assert services.checklist_mark(user=user, problem=problem, phase=phase, items=[second, first, first]).checked == [first, second]
    assert services.checklist_mark(user=user, problem=problem, phase=phase, items=[]).checked == []
    with pytest.raises(InvalidInput, match="is not on the checklist"):
        services.checklist_mark(user=user, problem=problem, phase=phase, items=["clarify.no_such"])


def test_a_revealed_answer_stays_revealed_since_the_first_time(user: User, problem: Problem, phase: Phase) -> None:
    services.answer_reveal(user=user, problem=problem, phase=phase, now=NOW)
    services.answer_reveal(user=user, problem=problem, phase=phase, now=NOW + timedelta(hours=1))
    assert work(user, problem, phase).revealed_at == NOW


def test_marking_a_phase_done_moves_a_clock_that_runs_in_it(user: User, problem: Problem) -> None:
    first, second = problem.phases[:2]
    services.clock_press(user=user, problem=problem, action="start", phase=first.key, now=NOW)
    services.phase_mark(user=user, problem=problem, phase=first, done=True, now=NOW + timedelta(seconds=100))
    clock = selectors.clock_of(user=user, problem=problem)
    state = selectors.clock_state(clock=clock, problem=problem, now=NOW + timedelta(seconds=130))
    assert state.phase == second.key and state.spent_s[first.key] == pytest.approx(100) and state.spent_s[second.key] == pytest.approx(30)


def test_marking_another_phase_leaves_the_clock_alone(user: User, problem: Problem) -> None:
    services.clock_press(user=user, problem=problem, action="start", phase="capacity", now=NOW)
    services.phase_mark(user=user, problem=problem, phase=problem.phases[3], done=True, now=NOW)
    assert len(selectors.clock_of(user=user, problem=problem).events) == 1


# --- clock -----------------------------------------------------------------------------------------------------------


def test_a_reset_forgets_everything_and_hiding_forgets_nothing(user: User, problem: Problem) -> None:
    services.clock_press(user=user, problem=problem, action="start", phase="clarify", now=NOW)
    hidden = services.clock_press(user=user, problem=problem, action="hide", phase="clarify", now=NOW)
    assert hidden.hidden and len(hidden.events) == 1
    assert services.clock_press(user=user, problem=problem, action="reset", phase="clarify", now=NOW).events == []


@pytest.mark.parametrize(("action", "phase"), [("explode", "clarify"), ("start", "no_such_phase"), ("", "clarify")])
def test_what_the_clock_does_not_know_is_refused(user: User, problem: Problem, action: str, phase: str) -> None:
    with pytest.raises(InvalidInput):
        services.clock_press(user=user, problem=problem, action=action, phase=phase, now=NOW)
    assert not PracticeClock.objects.exists()


# --- whose it is -----------------------------------------------------------------------------------------------------


def test_the_filter_and_the_boolean_agree(user: User, other: User, problem: Problem, phase: Phase) -> None:
    owned = [save(owner, problem, phase, f"of {owner}") for owner in (user, other)]
    for person in (user, other):
        shown = set(selectors.work_of(user=person))
        assert shown == {row for row in owned if selectors.work_visible(user=person, work=row)} and len(shown) == 1


def test_a_guest_who_signs_in_keeps_both_notes_and_all_marks(user: User, problem: Problem, phase: Phase) -> None:
    guest = guest_create()
    first, second, *_ = [item.id for item in phase.checklist]
    save(user, problem, phase, "written at home")
    save(guest, problem, phase, "written on the train")
    services.checklist_mark(user=user, problem=problem, phase=phase, items=[first])
    services.checklist_mark(user=guest, problem=problem, phase=phase, items=[second])
    services.answer_reveal(user=guest, problem=problem, phase=phase, now=NOW)
    with pytest.raises(services.NoteConflict):
        save(guest, problem, phase, "set aside by the guest", base=9, writer="b")

    guest_merge(guest=guest, into=user)

    row = work(user, problem, phase)
    assert row.text == "written at home\n\nwritten on the train"
    assert set(row.checked) == {first, second} and row.revealed_at == NOW
    assert [kept.text for kept in row.set_aside.all()] == ["set aside by the guest"]
    with pytest.raises(services.NoteConflict):  # a page still open on the text of before cannot overwrite the joined one
        save(user, problem, phase, "old page", base=1)


def test_a_guests_clock_comes_along(user: User, problem: Problem) -> None:
    guest = guest_create()
    services.clock_press(user=guest, problem=problem, action="start", phase="clarify", now=NOW)
    guest_merge(guest=guest, into=user)
    assert len(selectors.clock_of(user=user, problem=problem).events) == 1

"""A guest's work moves into the account they sign in to; what cannot stand twice becomes one, and no text is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.accounts.merge import _joined_text, guest_merge
from mlsd_app.accounts.models import User
from mlsd_app.accounts.ownership import owns_nothing
from mlsd_app.catalog.models import PhaseWork, SetAsideText
from mlsd_app.runs.models import Baseline, Dataset, Run
from tests.web.accounts.conftest import dataset_of, pin, run_of


def test_everything_moves_and_the_guest_is_gone(guest: User, user: User) -> None:
    run, dataset = run_of(guest), dataset_of(guest)
    guest_merge(guest=guest, into=user)
    run.refresh_from_db()
    dataset.refresh_from_db()
    assert (run.user, dataset.user) == (user, user)
    assert not User.objects.filter(pk=guest.pk).exists()


def test_what_the_account_has_stays(guest: User, user: User) -> None:
    own, added = run_of(user), run_of(guest)
    guest_merge(guest=guest, into=user)
    assert set(Run.objects.filter(user=user)) == {own, added}


def test_the_same_data_set_becomes_one_and_its_runs_stay(guest: User, user: User) -> None:
    kept, twin = dataset_of(user), dataset_of(guest)
    run = run_of(guest, dataset=twin)
    guest_merge(guest=guest, into=user)
    run.refresh_from_db()
    assert run.dataset == kept
    assert list(Dataset.objects.all()) == [kept]


def test_one_baseline_a_lab_remains(guest: User, user: User) -> None:
    mine, theirs = pin(run_of(user)), pin(run_of(guest))
    elsewhere = pin(run_of(guest, lab="another"))
    guest_merge(guest=guest, into=user)
    assert set(Baseline.objects.filter(user=user)) == {mine, elsewhere}
    assert Run.objects.filter(pk=theirs.run_id, user=user).exists(), "the run itself is kept in the history"


def test_a_model_may_say_how_it_merges(guest: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = pin(run_of(user)), pin(run_of(guest))

    def merge_guest_row(self: Baseline, existing: Baseline) -> None:
        existing.run = self.run
        existing.save()

    monkeypatch.setattr(Baseline, "merge_guest_row", merge_guest_row, raising=False)
    guest_merge(guest=guest, into=user)
    mine.refresh_from_db()
    assert mine.run_id == theirs.run_id


def test_newer_values_win_without_a_rule(guest: User, user: User) -> None:
    older = dataset_of(user, name="older")
    dataset_of(guest, name="newer")
    guest_merge(guest=guest, into=user)
    older.refresh_from_db()
    assert older.name == "newer"


@pytest.mark.parametrize("swap", [False, True])
def test_only_a_guest_moves_and_only_into_another(guest: User, user: User, swap: bool) -> None:
    pair = {"guest": user, "into": guest} if swap else {"guest": guest, "into": guest}
    with pytest.raises(ValueError, match="only a guest"):
        guest_merge(**pair)


def test_nothing_moves_when_something_fails(guest: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(guest)
    pin(run_of(user))
    pin(run_of(guest))

    def fail(self: Any, existing: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(Baseline, "merge_guest_row", fail, raising=False)
    with pytest.raises(RuntimeError):
        guest_merge(guest=guest, into=user)
    run.refresh_from_db()
    assert run.user == guest
    assert not owns_nothing(guest)


words = st.text(min_size=1).filter(str.strip)


@given(words, words)
def test_joined_text_holds_both(kept: str, added: str) -> None:
    joined = _joined_text(kept, added)
    assert kept.strip() in joined
    assert added.strip() in joined
    assert len(joined) <= len(kept) + len(added) + 2


@given(words, words)
def test_joining_twice_adds_nothing(kept: str, added: str) -> None:
    joined = _joined_text(kept, added)
    assert _joined_text(joined, added) == joined


# --- notes: what people typed ----------------------------------------------------------------------------------------------


def note(user: User, text: str, **changes: Any) -> PhaseWork:
    return PhaseWork.objects.create(user=user, problem="vector_search", phase="clarify", text=text, **changes)


def test_notes_on_the_same_phase_are_joined(guest: User, user: User) -> None:
    kept = note(user, "Mine.", checked=["a"])
    note(guest, "Theirs.", checked=["b"])
    guest_merge(guest=guest, into=user)
    kept.refresh_from_db()
    assert kept.text == "Mine.\n\nTheirs."
    assert kept.checked == ["a", "b"]
    assert PhaseWork.objects.count() == 1


def test_notes_are_joined_also_where_a_model_has_no_rule(guest: User, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(PhaseWork, "merge_guest_row")
    kept = note(user, "Mine.", checked=["a"], revision=3)
    note(guest, "Theirs.", checked=["b"], revision=1)
    guest_merge(guest=guest, into=user)
    kept.refresh_from_db()
    assert kept.text == "Mine.\n\nTheirs."
    assert (kept.checked, kept.revision) == (["b"], 1), "the guest's row is the newer one"


def test_what_hangs_on_a_joined_note_moves_along(guest: User, user: User) -> None:
    kept, added = note(user, "Mine."), note(guest, "Theirs.")
    aside = SetAsideText.objects.create(work=added, text="An older text.")
    guest_merge(guest=guest, into=user)
    aside.refresh_from_db()
    assert aside.work == kept

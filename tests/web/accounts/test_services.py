"""Guests, tokens, export and deletion, below the pages."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.utils import timezone

from mlsd_app.accounts.deletion import account_delete
from mlsd_app.accounts.models import ApiToken, User
from mlsd_app.accounts.ownership import owned_models, owns_nothing
from mlsd_app.accounts.selectors import token_by_secret, token_visible, tokens_of
from mlsd_app.accounts.services import (
    demo_user_create,
    guest_create,
    guests_delete_stale,
    token_create,
    token_mark_used,
    token_revoke,
)
from mlsd_app.runs.models import Baseline, Dataset, Run, StoredResult, Sweep, stored_path
from simulators.errors import InvalidInput
from tests.web.accounts.conftest import PASSWORD, dataset_of, exported, pin, run_of

# --- ownership -----------------------------------------------------------------------------------------------------------


def test_every_table_that_names_a_user_is_found() -> None:
    found = {owned.model for owned in owned_models()}
    assert {Run, Dataset, Sweep, Baseline, StoredResult, ApiToken} <= found
    assert User not in found


def test_ownership_follows_cascades_only(user: User) -> None:
    """Whatever is deleted with a user, and names one or has a parent that does, is found; nothing else."""
    shared = run_of(user).result
    assert shared is not None
    owned = next(owned for owned in owned_models() if owned.model is StoredResult)
    assert not owned.rows(user).exists(), "a result from synthetic data belongs to nobody"


def test_rows_that_name_a_user_are_not_reached_through_a_parent() -> None:
    paths = {owned.model: owned.paths for owned in owned_models()}
    assert paths[Run] == ("user",)
    assert paths[Baseline] == ("user",)


# --- guests --------------------------------------------------------------------------------------------------------------


def _age(user: User, days: int) -> None:
    User.objects.filter(pk=user.pk).update(date_joined=timezone.now() - timedelta(days=days))


def test_only_old_guests_without_work_are_deleted(user: User) -> None:
    old_empty, old_busy, young = guest_create(), guest_create(), guest_create()
    run_of(old_busy)
    for person in (old_empty, old_busy, user):
        _age(person, 8)
    assert guests_delete_stale() == 1
    assert set(User.objects.all()) == {user, old_busy, young}


def test_the_command_does_the_same(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    _age(guest_create(), 8)
    call_command("guests_delete_stale")
    assert "Deleted 1 guests" in capsys.readouterr().out
    assert not User.objects.exists()


def test_a_guest_cannot_sign_in_by_password(guest: User) -> None:
    assert not guest.has_usable_password()
    assert guest.shown_name == "Guest"


def test_a_demo_account_is_made_once(db: None) -> None:
    made = demo_user_create(username="candidate", password=PASSWORD)
    made.set_password("changed by its user")
    made.save()
    again = demo_user_create(username="candidate", password=PASSWORD)
    assert again == made
    assert again.check_password("changed by its user")


# --- tokens --------------------------------------------------------------------------------------------------------------


def test_the_secret_is_kept_nowhere(user: User) -> None:
    token, secret = token_create(user=user, name="notebook")
    stored = [str(value) for value in ApiToken.objects.values_list().get()]
    assert not any(secret in value for value in stored)
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret.startswith(token.prefix)
    assert token_by_secret(secret) == token


@pytest.mark.parametrize("change", [lambda secret: secret[:-1], lambda secret: secret + "a", lambda secret: "", lambda secret: "\udcff"])
def test_another_secret_finds_nothing(user: User, change: Any) -> None:
    _, secret = token_create(user=user, name="notebook")
    assert token_by_secret(change(secret)) is None


def test_a_revoked_token_and_one_of_a_closed_account_find_nothing(user: User) -> None:
    token, secret = token_create(user=user, name="a")
    token_revoke(token=token)
    assert token_by_secret(secret) is None
    _, secret = token_create(user=user, name="b")
    user.is_active = False
    user.save()
    assert token_by_secret(secret) is None


def test_ten_tokens_are_the_most(user: User, settings: Any) -> None:
    for number in range(settings.API_TOKENS_PER_USER):
        token_create(user=user, name=f"n{number}")
    with pytest.raises(InvalidInput, match="Revoke one first"):
        token_create(user=user, name="one more")


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\x00b"])
def test_a_token_needs_a_name(user: User, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        token_create(user=user, name=name)
    assert caught.value.field == "name"


def test_a_guest_gets_no_token(guest: User) -> None:
    with pytest.raises(InvalidInput, match="Sign up first"):
        token_create(user=guest, name="a")


def test_use_is_written_at_most_once_a_minute(user: User, django_assert_num_queries: Any) -> None:
    token, _ = token_create(user=user, name="a")
    token_mark_used(token=token)
    token.refresh_from_db()
    assert token.last_used_at is not None
    with django_assert_num_queries(0):
        token_mark_used(token=token)


def test_tokens_are_seen_by_their_owner_only(user: User, other: User) -> None:
    token, _ = token_create(user=user, name="a")
    assert token_visible(user=user, token=token)
    assert not token_visible(user=other, token=token)
    assert list(tokens_of(user=user)) == [token]
    assert not tokens_of(user=other).exists()


# --- export --------------------------------------------------------------------------------------------------------------


def test_export_holds_every_row_and_no_secret(user: User, other: User) -> None:
    run, dataset = run_of(user), dataset_of(user, files=[{"slot": "numbers", "name": "a.txt", "sha256": "0" * 64, "bytes": 3}])
    pinned = pin(run)
    token, secret = token_create(user=user, name="notebook")
    run_of(other)
    document = exported(user)
    data = document["data"]
    assert document["account"]["username"] == "ada"
    assert [row["id"] for row in data["runs.run"]] == [str(run.pk)]
    assert data["runs.run"][0]["params"] == {"n": 3}
    assert data["runs.run"][0]["result"]["metrics"] == [{"key": "score", "value": 1.0}]
    assert data["runs.dataset"][0]["files"][0]["name"] == "a.txt"
    assert data["runs.dataset"][0]["id"] == str(dataset.pk)
    assert [row["id"] for row in data["runs.baseline"]] == [pinned.pk]
    assert [row["name"] for row in data["accounts.apitoken"]] == ["notebook"]
    text = str(document)
    assert user.password not in text
    assert token.digest not in text
    assert secret not in text
    assert set(data) == {owned.model._meta.label_lower for owned in owned_models()}


def test_export_of_many_rows_is_complete(user: User) -> None:
    runs = {str(run_of(user).pk) for _ in range(205)}
    assert {row["id"] for row in exported(user)["data"]["runs.run"]} == runs


def test_export_of_nothing_is_well_formed(guest: User) -> None:
    assert not any(exported(guest)["data"].values())


# --- deletion ------------------------------------------------------------------------------------------------------------


def _rows_naming(user: User) -> dict[str, int]:
    """Counted without the code under test: every foreign key column to users, in every table."""
    found: dict[str, int] = {}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if field.related_model is User:
                count = model._base_manager.filter(**{field.name: user.pk}).count()
                found |= {f"{model._meta.label}.{field.name}": count} if count else {}
    return found


def test_deletion_leaves_no_row_and_no_file(user: User, other: User, queue: Any, settings: Any) -> None:
    item = {"slot": "numbers", "name": "a.txt", "sha256": "ab" * 32, "suffix": ".txt", "bytes": 3}
    path: Path = stored_path(item)
    path.parent.mkdir(parents=True)
    path.write_text("1\n2")
    dataset = dataset_of(user, files=[item])
    pin(run_of(user, dataset=dataset))
    run_of(user, state="running", result=None)
    token_create(user=user, name="a")
    kept = run_of(other)
    assert _rows_naming(user)
    before = user.pk
    account_delete(user=user)
    assert not User.objects.filter(pk=before).exists()
    user.pk = before
    assert not _rows_naming(user)
    assert not path.exists()
    assert list(Run.objects.all()) == [kept]


def test_deletion_keeps_bytes_that_someone_else_has_too(user: User, other: User, queue: Any) -> None:
    item = {"slot": "numbers", "name": "a.txt", "sha256": "cd" * 32, "suffix": ".txt", "bytes": 3}
    path = stored_path(item)
    path.parent.mkdir(parents=True)
    path.write_text("1\n2")
    dataset_of(user, files=[item])
    dataset_of(other, files=[item])
    account_delete(user=user)
    assert path.exists()


def test_deletion_works_without_redis(user: User) -> None:
    run_of(user, state="queued", result=None)
    account_delete(user=user)
    assert not Run.objects.exists()


def test_owns_nothing(user: User, other: User) -> None:
    run_of(user)
    assert not owns_nothing(user)
    assert owns_nothing(other)

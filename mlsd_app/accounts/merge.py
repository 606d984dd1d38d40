"""A guest signs in to an account they have already: their work moves into it.

Rows move by having their foreign key changed. Where the account has a row that a unique constraint allows only once (a note on the
same phase, the baseline of the same lab), the two become one. A model may say how with a method

    def merge_guest_row(self, existing: Self) -> None

on the guest's row; it changes `existing` and saves it. Without one, the newer row's values win and texts that differ are joined, so
that nothing anybody wrote is lost. What hangs on the guest's row moves to the one that stays, by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.db.models import Field, ForeignKey, Model, TextField, UniqueConstraint

from mlsd_app.accounts.models import User
from mlsd_app.accounts.ownership import links_to

SEPARATOR = "\n\n"
AGE_FIELDS = ("updated_at", "modified_at", "saved_at", "created_at")  # the first that a model has tells which row is newer


@transaction.atomic
def guest_merge(*, guest: User, into: User) -> None:
    """Moves everything of `guest` to `into` and deletes the guest. Raises ValueError when `guest` is none, or both are the same."""
    if not guest.is_guest or guest.pk == into.pk:
        raise ValueError(f"user {guest.pk} cannot be merged into user {into.pk}; only a guest moves into another account")
    _repoint_all(User, guest, into)
    guest.delete()


def _repoint_all(model: type[Model], old: Model, new: Model) -> None:
    for linked, field in links_to(model):
        for row in linked._base_manager.filter(**{field.name: old}).order_by("pk"):
            _repoint(row, field, new)


def _repoint(row: Model, field: ForeignKey[Any, Any], new: Model) -> None:
    """Makes `row` point to `new`, or joins it with the row that stands there already."""
    setattr(row, field.attname, getattr(new, field.target_field.attname))
    existing = _conflicting(row, field)
    if existing is None:
        type(row)._base_manager.filter(pk=row.pk).update(**{field.attname: getattr(row, field.attname)})
        return
    if hasattr(row, "merge_guest_row"):
        row.merge_guest_row(existing)
    else:
        _join(row, existing)
    _repoint_all(type(row), row, existing)
    type(row)._base_manager.filter(pk=row.pk).delete()


def _conflicting(row: Model, field: ForeignKey[Any, Any]) -> Model | None:
    """The row that some unique constraint over `field` would set against `row` as it is now."""
    for names in _unique_sets(type(row)):
        if field.name not in names:
            continue
        wanted = {name: getattr(row, row._meta.get_field(name).attname) for name in names}  # type: ignore[union-attr]
        if None in wanted.values():
            continue  # NULL differs from NULL
        if found := type(row)._base_manager.filter(**wanted).exclude(pk=row.pk).first():
            return found
    return None


def _unique_sets(model: type[Model]) -> Iterator[tuple[str, ...]]:
    """Names of fields that are unique together. A constraint with a condition is taken as if it held for every row."""
    for field in model._meta.local_fields:
        if field.unique and not field.primary_key:
            yield (field.name,)
    yield from map(tuple, model._meta.unique_together)
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.fields:
            yield tuple(constraint.fields)


def _join(row: Model, existing: Model) -> None:
    newer = _is_newer(row, existing)
    changes: dict[str, Any] = {}
    for field in row._meta.local_fields:
        if not field.primary_key and (value := _joined(field, row, existing, newer)) != getattr(existing, field.attname):
            changes[field.attname] = value
    if changes:
        type(existing)._base_manager.filter(pk=existing.pk).update(**changes)


def _is_newer(row: Model, existing: Model) -> bool:
    for name in AGE_FIELDS:
        ours, theirs = getattr(row, name, None), getattr(existing, name, None)
        if ours is not None and theirs is not None:
            return bool(ours > theirs)
    return False


def _joined(field: Field[Any, Any], row: Model, existing: Model, newer: bool) -> Any:
    ours, theirs = getattr(row, field.attname), getattr(existing, field.attname)
    if isinstance(field, TextField) and ours and theirs:
        return _joined_text(str(theirs), str(ours))
    if _is_empty(ours) or _is_empty(theirs):
        return theirs if _is_empty(ours) else ours
    return ours if newer else theirs


def _is_empty(value: Any) -> bool:
    """Nothing written: False and 0 are answers."""
    return value is None or value in ("", [], {})


def _joined_text(kept: str, added: str) -> str:
    """Both texts, once each: a text that contains the other already is the whole."""
    if added.strip() in kept:
        return kept
    if kept.strip() in added:
        return added
    return f"{kept.rstrip()}{SEPARATOR}{added}"

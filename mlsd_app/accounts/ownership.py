"""What belongs to a user, found through the models themselves, so that a new model needs no line here.

A row that names a user belongs to that user. A row that names none belongs to whoever owns the row it would be deleted with:
an answer to its interview, an event to its run. Links that merely mention a user (`on_delete=SET_NULL`) own nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from django.apps import apps
from django.db.models import CASCADE, ForeignKey, Model, Q, QuerySet

from mlsd_app.accounts.models import User


@dataclass(frozen=True)
class Owned:
    """A model whose rows belong to users, and the lookups that lead from it to them ("user", "interview__user")."""

    model: type[Model]
    paths: tuple[str, ...]

    def rows(self, user: User) -> QuerySet[Any]:
        wanted = Q()
        for path in self.paths:
            wanted |= Q(**{path: user})
        return self.model._base_manager.filter(wanted).order_by("pk")


def links_to(model: type[Model]) -> Iterator[tuple[type[Model], ForeignKey[Any, Any]]]:
    """Every foreign key to `model`, also those of the tables behind many-to-many fields."""
    for other in _tables():
        for field in _foreign_keys(other):
            if _target(field) is model:
                yield other, field


def _tables() -> list[type[Model]]:
    found = apps.get_models(include_auto_created=True)
    return [model for model in found if model._meta.managed and not model._meta.proxy]


def _foreign_keys(model: type[Model]) -> list[ForeignKey[Any, Any]]:
    return [field for field in model._meta.local_fields if isinstance(field, ForeignKey)]


def owned_models() -> list[Owned]:
    """Every model with rows that belong to users."""
    return [Owned(model, paths) for model in _tables() if (paths := _paths(model, ()))]


def _paths(model: type[Model], below: tuple[type[Model], ...]) -> tuple[str, ...]:
    """Lookups from `model` to its users; through its parents only when it names no user itself. `below` stops at circles."""
    links = [field for field in _foreign_keys(model) if field.remote_field.on_delete is CASCADE]
    direct = tuple(field.name for field in links if _target(field) is User)
    if direct:
        return direct
    seen = (*below, model)
    parents = [(field.name, _target(field)) for field in links]
    return tuple(f"{name}__{path}" for name, parent in parents if parent not in seen for path in _paths(parent, seen))


def _target(field: ForeignKey[Any, Any]) -> type[Model]:
    return cast(type[Model], field.related_model)  # "self" is resolved once the models are loaded


def owns_nothing(user: User) -> bool:
    return not any(owned.rows(user).exists() for owned in owned_models())

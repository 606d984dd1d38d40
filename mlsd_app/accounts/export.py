"""Everything the site keeps about a user, as one JSON document that is written while it is read.

A model may leave fields out (`export_exclude`, names), add what its foreign keys point to (`export_extra(self) -> dict`), and leave out
rows that are not the user's to see, at least not yet (`export_when`, a Q).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.accounts.ownership import Owned, owned_models

CHUNK_ROWS = 100


async def export_document(user: User) -> AsyncIterator[str]:
    """{"format", "exported_at", "account", "data": {"runs.run": [row, ...], ...}} in pieces of at most CHUNK_ROWS rows."""
    head = {"format": "loop45-export-1", "exported_at": timezone.now(), "account": _row(user)}
    yield f"{_dumps(head)[:-1]},\n" + '"data": {'
    for number, owned in enumerate(owned_models()):
        yield f"{',' if number else ''}\n{_dumps(owned.model._meta.label_lower)}: ["
        async for piece in _rows(owned, user):
            yield piece
        yield "]"
    yield "\n}}\n"


async def _rows(owned: Owned, user: User) -> AsyncIterator[str]:
    last, separator = None, "\n"
    while True:
        texts, last = await sync_to_async(_page)(owned, user, last)
        if not texts:
            return
        yield separator + ",\n".join(texts)
        separator = ",\n"


def _page(owned: Owned, user: User, last: Any) -> tuple[list[str], Any]:
    """The next rows after primary key `last`, encoded, and the key of the last of them."""
    found = owned.rows(user).filter(getattr(owned.model, "export_when", Q()))
    rows = list((found.filter(pk__gt=last) if last is not None else found)[:CHUNK_ROWS])
    return [_dumps(_row(row)) for row in rows], rows[-1].pk if rows else last


def _row(row: Model) -> dict[str, Any]:
    excluded = getattr(row, "export_exclude", ())
    values = {field.name: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in excluded}
    extra = row.export_extra() if hasattr(row, "export_extra") else {}
    return {**values, **extra}


class _Encoder(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        """Dates, decimals and ids as Django writes them; anything else (a file, bytes) by its name."""
        try:
            return super().default(o)
        except TypeError:
            return str(o)


def _dumps(value: Any) -> str:
    return json.dumps(value, cls=_Encoder, ensure_ascii=False)

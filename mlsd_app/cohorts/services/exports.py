"""Files that somebody asked for: asked for here, written by a worker, kept for seven days."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, cast

from django.core.files.storage import FileSystemStorage, default_storage
from django.db import transaction
from kombu.exceptions import OperationalError

from mlsd_app.celery import app
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.exports.kinds import JSONL, KINDS, OWN_KINDS, ZIP, ExportKind, kind_named
from mlsd_app.cohorts.exports.scope import Scope
from mlsd_app.cohorts.models import Assignment, Cohort, Export
from mlsd_app.interviews.live import redis_answers
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

WRITE_TASK = "cohorts.export_write"
KEPT = timedelta(days=7)
GIVEN_UP = timedelta(hours=1)  # a worker that has not finished by then is gone
MOST_WAITING = 5
OWN = "own"
log = logging.getLogger(__name__)


def export_create(
    *,
    by: By,
    cohort: Cohort,
    kind: str,
    format: str,
    now: datetime,
    assignment: Assignment | None = None,
    names: bool = False,
    bom: bool = False,
) -> Export:
    """Asks for a file of the cohort. InvalidInput for an unknown kind or form; Refused (429) with five files on their way."""
    found = kind_named(kind, format)
    if assignment is not None and (assignment.cohort_id != cohort.pk or not found.by_assignment):
        raise InvalidInput(f"{found.title} cannot be narrowed to this assignment.", field="assignment")
    params = {"names": names, "bom": bom, "assignment": assignment.pk if assignment else None}
    with transaction.atomic():
        export = _made(by, cohort, kind, format, params, now)
        audited(by=by, action="export.create", thing=export, cohort=cohort, now=now, after={"kind": kind, "format": format, **params})
    _send(export)
    return export


def export_own(*, by: By, now: datetime) -> Export:
    """Asks for everything of the user's own, in one zip."""
    with transaction.atomic():
        export = _made(by, None, OWN, ZIP, {}, now)
        audited(by=by, action="export.own", thing=export, cohort=None, now=now, after={"kind": OWN})
    _send(export)
    return export


def _made(by: By, cohort: Cohort | None, kind: str, format: str, params: Mapping[str, object], now: datetime) -> Export:
    if Export.objects.filter(user=by.user, status__in=["queued", "running"]).count() >= MOST_WAITING:
        raise Refused("too_many_exports", f"{MOST_WAITING} files of yours are being written; wait until one is there.", 429)
    return Export.objects.create(user=by.user, cohort=cohort, kind=kind, format=format, params=dict(params), expires_at=now + KEPT)


def _send(export: Export) -> None:
    """To a worker, after the row is there for it. Without one the row says so; nothing waits for ever."""
    try:
        if redis_answers():
            transaction.on_commit(lambda: app.send_task(WRITE_TASK, [export.pk], retry=False))
            return
    except OperationalError:
        log.warning("the broker did not take export %s", export.pk)
    Export.objects.filter(pk=export.pk).update(status="failed", error="No worker could be reached. Ask again in a moment.")
    export.refresh_from_db()


# --- writing ---------------------------------------------------------------------------------------------------------


def export_write(*, export: Export) -> Export:
    """Writes the file, row by row. Does nothing for one that is written or being written already."""
    if not Export.objects.filter(pk=export.pk, status="queued").update(status="running"):
        return export
    name = f"exports/{export.pk}-{export.kind}.{export.format}"
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f"{path.suffix}.part")
    try:
        with part.open("wb") as file:
            rows = _write_zip(export, file) if export.format == ZIP else _write_one(export, file)
        os.replace(part, path)
    except Exception:
        log.exception("export %s failed", export.pk)
        part.unlink(missing_ok=True)
        Export.objects.filter(pk=export.pk).update(status="failed", error="The file could not be written; the fault was logged.")
    else:
        Export.objects.filter(pk=export.pk).update(status="done", file=name, rows=rows)
    export.refresh_from_db()
    return export


def scope_of(export: Export) -> Scope:
    assignment = Assignment.objects.filter(pk=export.params.get("assignment"), cohort=export.cohort).first()
    return Scope(export.user, export.cohort, assignment, bool(export.params.get("names")))


def _write_one(export: Export, file: IO[bytes]) -> int:
    return _poured(KINDS[export.kind], export.format, scope_of(export), file, bom=bool(export.params.get("bom")))


def _poured(kind: ExportKind, format: str, scope: Scope, file: IO[bytes], *, bom: bool = False) -> int:
    """How many rows went into the file; the header of a CSV is none."""
    lines = -1 if format != JSONL else 0
    for piece in kind.pieces(scope, format, bom=bom):
        file.write(piece)
        lines += 1
    return lines


def _write_zip(export: Export, file: IO[bytes]) -> int:
    rows = 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in OWN_KINDS:
            kind = KINDS[key]
            with archive.open(f"{key}.{kind.formats[0]}", "w") as inner:
                rows += _poured(kind, kind.formats[0], Scope(export.user), inner)
    return rows


# --- reading and clearing away ---------------------------------------------------------------------------------------


def file_pieces(export: Export, size: int = 1 << 16) -> Iterator[bytes]:
    with _path(export.file).open("rb") as file:
        yield from iter(lambda: file.read(size), b"")


def ready(export: Export, now: datetime) -> bool:
    return export.status == "done" and (export.expires_at is None or export.expires_at > now) and _path(export.file).exists()


def exports_prune(*, now: datetime) -> int:
    """Deletes files past their time, and says of those whose worker is gone that they failed; how many were deleted."""
    waiting = Export.objects.filter(status__in=["queued", "running"], created_at__lt=now - GIVEN_UP)
    waiting.update(status="failed", error="The worker stopped before the file was written. Ask again.")
    return sum(_deleted(export) for export in Export.objects.filter(expires_at__lte=now))


def files_delete(exports: Iterable[Export]) -> None:
    for export in exports:
        if export.file:
            _path(export.file).unlink(missing_ok=True)


def _deleted(export: Export) -> int:
    files_delete([export])
    export.delete()
    return 1


def _path(name: str) -> Path:
    return Path(cast(FileSystemStorage, default_storage).path(name))

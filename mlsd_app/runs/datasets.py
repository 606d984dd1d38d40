"""The user's own files: checked by the lab's DataSpec before anything is stored, then kept by their SHA-256."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.db.models import Sum

from mlsd_app.accounts.models import User
from mlsd_app.runs.models import Dataset, Run, StoredResult, stored_path
from simulators.errors import InvalidInput
from simulators.lab import Data, DataFile, DataSlot, DataSpec, Lab

CHUNK = 1 << 20
ORPHAN_AGE_S = 3600


def dataset_create(*, user: User, lab: type[Lab], files: Mapping[str, UploadedFile], options: Mapping[str, str], name: str = "") -> Dataset:
    """Checks the files and keeps them; InvalidInput with a sentence, and nothing stored, when they cannot be used."""
    spec = _spec(lab)
    chosen = _chosen_options(spec, options)
    given = {slot.key: _on_disk(slot, files[slot.key]) for slot in spec.slots if slot.key in files}
    _require(spec, given)
    if not given:
        raise InvalidInput(f"No file was given; choose a file ending in {', '.join(spec.slots[0].formats)}.", field=spec.slots[0].key)
    _check_room(user, sum(file.path.stat().st_size for file in given.values()))
    info = spec.check(given, chosen)
    items = [_store(key, file) for key, file in given.items()]
    digest = hashlib.sha256(
        json.dumps([sorted((item["slot"], item["sha256"]) for item in items), chosen], sort_keys=True).encode()
    ).hexdigest()
    made, _ = Dataset.objects.update_or_create(
        user=user,
        problem=lab.problem,
        lab=lab.slug,
        digest=digest,
        defaults={
            "name": (name or next(iter(given.values())).name)[:200],
            "files": items,
            "options": chosen,
            "facts": [list(fact) for fact in info.facts],
            "warnings": list(info.warnings),
            "bytes": sum(item["bytes"] for item in items),
        },
    )
    return made


def dataset_columns(*, lab: type[Lab], file: UploadedFile) -> tuple[str, ...]:
    """Column names of the head of a tabular file, for the mapping form."""
    spec = _spec(lab)
    if spec.columns is None:
        raise InvalidInput("This lab takes files without named columns.")
    return spec.columns(_on_disk(spec.slots[0], file))


def dataset_delete(*, dataset: Dataset) -> None:
    """Deletes the data set, the runs and results made from it, and its bytes unless another data set has the same."""
    items = list(dataset.files)
    results = list(Run.objects.filter(dataset=dataset, result__isnull=False).values_list("result_id", flat=True))
    dataset.delete()
    StoredResult.objects.filter(pk__in=results, runs=None).delete()
    kept = _kept_hashes()
    for item in items:
        if item["sha256"] not in kept:
            stored_path(item).unlink(missing_ok=True)


def dataset_data(dataset: Dataset) -> Data:
    """The data set as a lab receives it."""
    files = {item["slot"]: DataFile(item["name"], stored_path(item)) for item in dataset.files}
    return Data(digest=dataset.digest, files=files, options=dataset.options)


def files_delete_orphans(*, folder: Path) -> None:
    """Deletes stored bytes that no data set names (left by the deletion of an account); young files may still be on their way in."""
    kept = _kept_hashes()
    for path in folder.glob("*/*"):
        if path.name.partition(".")[0] not in kept and time.time() - path.stat().st_mtime > ORPHAN_AGE_S:
            path.unlink(missing_ok=True)


def _kept_hashes() -> set[str]:
    return {item["sha256"] for items in Dataset.objects.values_list("files", flat=True) for item in items}


def _spec(lab: type[Lab]) -> DataSpec:
    if lab.data is None:
        raise InvalidInput(f"{lab.title} takes no files; it runs on its synthetic world.")
    return lab.data


def _chosen_options(spec: DataSpec, options: Mapping[str, str]) -> dict[str, str]:
    known = {option.key: option for option in spec.options}
    for key in options:
        if key not in known:
            raise InvalidInput(f"There is no option {key!r}; this data takes {', '.join(known) or 'none'}.", field=key)
    chosen = {}
    for option in spec.options:
        value = str(options.get(option.key, "")).strip() or option.default
        if option.required and not value:
            raise InvalidInput(f"{option.title} is missing.", field=option.key)
        if option.choices and value and value not in option.choices:
            raise InvalidInput(f"{option.title}: {value[:80]!r} was given; expected one of {', '.join(option.choices)}.", field=option.key)
        if len(value) > 2000:
            raise InvalidInput(f"{option.title} has {len(value):,} characters; at most 2,000 are accepted.", field=option.key)
        chosen[option.key] = value
    return chosen


def _on_disk(slot: DataSlot, upload: UploadedFile) -> DataFile:
    name = Path(upload.name or slot.key).name
    size = upload.size or 0
    if Path(name).suffix.lower() not in slot.formats:
        raise InvalidInput(f"{name}: expected a file ending in {', '.join(slot.formats)} as {slot.title.lower()}.", field=slot.key)
    if size > slot.max_bytes:
        raise InvalidInput(f"{name} has {size / 2**20:,.0f} MB; at most {slot.max_bytes / 2**20:,.0f} MB are accepted.", field=slot.key)
    if not isinstance(upload, TemporaryUploadedFile):
        raise TypeError("uploads go through TemporaryFileUploadHandler")
    return DataFile(name, Path(upload.temporary_file_path()))


def _require(spec: DataSpec, given: Mapping[str, DataFile]) -> None:
    for slot in spec.slots:
        if slot.required and slot.key not in given:
            raise InvalidInput(f"{slot.title} is missing; choose a file ending in {', '.join(slot.formats)}.", field=slot.key)


def _check_room(user: User, size: int) -> None:
    limits = settings.RUN_LIMITS
    own = Dataset.objects.filter(user=user)
    if own.count() >= limits["datasets_per_user"]:
        raise InvalidInput(f"You keep {limits['datasets_per_user']} data sets, the most allowed. Delete one first.")
    used = own.aggregate(total=Sum("bytes"))["total"] or 0
    if used + size > limits["dataset_bytes_per_user"]:
        room = (limits["dataset_bytes_per_user"] - used) / 2**20
        raise InvalidInput(f"This data has {size / 2**20:,.0f} MB; {room:,.0f} MB of your space are free. Delete a data set first.")


def _store(slot: str, file: DataFile) -> dict[str, Any]:
    """Copies the bytes to their place; a reader never sees half a file."""
    digest = hashlib.sha256()
    with file.path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
    item = {
        "slot": slot,
        "name": file.name,
        "sha256": digest.hexdigest(),
        "suffix": Path(file.name).suffix.lower(),
        "bytes": file.path.stat().st_size,
    }
    target = stored_path(item)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f"{target.suffix}.part")
        shutil.copyfile(file.path, part)
        part.rename(target)
    return item

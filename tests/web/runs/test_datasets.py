from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile

from mlsd_app.accounts.models import User
from mlsd_app.runs import datasets, upkeep
from mlsd_app.runs.datasets import dataset_create, dataset_data, dataset_delete
from mlsd_app.runs.models import Dataset, Run, StoredResult, stored_path
from mlsd_app.runs.services import run_start
from simulators.errors import InvalidInput
from simulators.lab import Lab
from tests.web.runs.conftest import Queue

pytestmark = pytest.mark.django_db


def upload(text: str = "1\n2\n", name: str = "n.txt") -> TemporaryUploadedFile:
    file = TemporaryUploadedFile(name, "text/plain", len(text), None)
    file.write(text.encode())
    file.flush()
    return file


def create(user: User, lab: type[Lab], text: str = "1\n2\n", **options: Any) -> Dataset:
    return dataset_create(user=user, lab=lab, files={"numbers": upload(text)}, options=options)


def stored(settings: Any) -> list[Path]:
    return [path for path in Path(settings.UPLOADS_DIR).glob("*/*") if path.is_file()]


def test_a_good_file_is_checked_kept_and_given_to_the_lab(queue: Queue, user: User, counter: type[Lab], settings: Any) -> None:
    made = create(user, counter, unit="ms")
    assert made.facts == [["Numbers", "2"]] and made.options == {"unit": "ms"} and made.bytes == 4
    data = dataset_data(made)
    assert data.files["numbers"].name == "n.txt" and data.files["numbers"].path.read_text() == "1\n2\n"
    assert create(user, counter, unit="ms").pk == made.pk, "the same file and options are one data set"
    assert create(user, counter, unit="s").digest != made.digest
    assert len(stored(settings)) == 1, "the same bytes are kept once"


@pytest.mark.parametrize(
    ("file", "options", "words"),
    [
        (upload("1\nx\n"), {}, "expected whole numbers"),
        (upload(name="n.npy"), {}, "expected a file ending in .txt"),
        (upload("1\n" * 600), {}, "at most"),
        (None, {}, "is missing"),
        (upload(), {"colour": "red"}, "no option 'colour'"),
        (upload(), {"unit": "m" * 3000}, "at most 2,000"),
    ],
)
def test_a_bad_file_is_refused_in_words_and_nothing_is_kept(
    queue: Queue, user: User, counter: type[Lab], settings: Any, file: Any, options: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        dataset_create(user=user, lab=counter, files={"numbers": file} if file else {}, options=options)
    assert not Dataset.objects.exists() and not stored(settings)


def test_space_is_bounded(queue: Queue, user: User, counter: type[Lab], settings: Any) -> None:
    settings.RUN_LIMITS = {**settings.RUN_LIMITS, "dataset_bytes_per_user": 6}
    create(user, counter)
    with pytest.raises(InvalidInput, match="of your space are free"):
        create(user, counter, "3\n4\n")
    settings.RUN_LIMITS = {**settings.RUN_LIMITS, "datasets_per_user": 1}
    with pytest.raises(InvalidInput, match="most allowed"):
        create(user, counter, "5\n")


def test_results_from_own_data_answer_only_their_owner(queue: Queue, user: User, other: User, counter: type[Lab]) -> None:
    mine, theirs = create(user, counter), create(other, counter)
    assert mine.digest == theirs.digest
    run_start(user=user, lab=counter, values={}, dataset=mine)
    queue.work()
    assert run_start(user=user, lab=counter, values={}, dataset=mine).result is not None
    assert run_start(user=other, lab=counter, values={}, dataset=theirs).result is None


def test_deleting_a_data_set_deletes_what_came_of_it(queue: Queue, user: User, other: User, counter: type[Lab], settings: Any) -> None:
    mine, shared = create(user, counter), create(other, counter)
    run_start(user=user, lab=counter, values={}, dataset=mine)
    queue.work()
    dataset_delete(dataset=mine)
    assert not Run.objects.exists() and not StoredResult.objects.exists()
    assert stored(settings), "another user keeps the same bytes"
    dataset_delete(dataset=shared)
    assert not stored(settings)


def test_files_of_a_deleted_account_are_cleared_away(queue: Queue, user: User, counter: type[Lab], settings: Any) -> None:
    path = stored_path(create(user, counter).files[0])
    user.delete()
    upkeep.runs_prune()
    assert path.exists(), "a young file may belong to an upload under way"
    old = time.time() - datasets.ORPHAN_AGE_S - 1
    os.utime(path, (old, old))
    upkeep.runs_prune()
    assert not path.exists()

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.test import AsyncClient

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import guest_create
from mlsd_app.runs.models import Baseline, Dataset, Run, RunState, StoredResult
from tests.web.runs.conftest import counter, other, queue, user  # noqa: F401

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def no_counts_of_other_tests(db: None) -> Iterator[None]:
    """Rate limits count in the cache."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def guest(db: None) -> User:
    return guest_create()


def run_of(owner: User, **changes: Any) -> Run:
    """A finished run with a result of its own."""
    result = StoredResult.objects.create(
        cache_key="k", metrics=[{"key": "score", "value": 1.0}], body={"tables": [], "insights": [], "notes": [], "figures": []}
    )
    values = {"problem": "vector_search", "lab": "counter", "lab_version": 1, "params": {"n": 3}, "cache_key": "k"}
    return Run.objects.create(**{**values, "user": owner, "state": RunState.DONE, "result": result, **changes})


def dataset_of(owner: User, digest: str = "d" * 64, **changes: Any) -> Dataset:
    return Dataset.objects.create(
        **{"user": owner, "problem": "vector_search", "lab": "counter", "name": "a.txt", "digest": digest, **changes}
    )


def pin(run: Run) -> Baseline:
    return Baseline.objects.create(user=run.user, problem=run.problem, lab=run.lab, run=run)


def exported(owner: User) -> Any:
    """The export as the browser of `owner` gets it."""

    async def read() -> bytes:
        client = AsyncClient()
        await client.aforce_login(owner)
        response = await client.get("/account/export")
        assert response.status_code == 200, response
        return b"".join([piece async for piece in response.streaming_content])

    return json.loads(async_to_sync(read)())

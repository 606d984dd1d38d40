from __future__ import annotations

import pytest

from mlsd_app.core import checks
from problems.errors import InvalidInput


def test_content_of_the_site_can_be_read() -> None:
    assert checks.content_can_be_read() == []


def test_content_that_cannot_be_read_stops_the_site_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise InvalidInput("vector_search/quiz.yaml, items.3.stem: nothing was given.")

    monkeypatch.setattr(checks, "all_problems", broken)
    (found,) = checks.content_can_be_read()
    assert "quiz.yaml, items.3.stem" in found.msg

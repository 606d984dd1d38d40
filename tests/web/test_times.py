"""Times on pages: written in UTC whatever zone a cohort's page has switched to."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.utils import timezone

MOMENT = datetime(2026, 3, 1, 23, 5, 9, tzinfo=UTC)


def written(tag: str) -> str:
    return Template("{% load site %}" + tag).render(Context({"moment": MOMENT.astimezone(ZoneInfo("Asia/Tokyo"))}))


@pytest.mark.parametrize(
    ("tag", "kind", "text"),
    [
        ("{% utc moment %}", "minute", "1 Mar 2026, 23:05 UTC"),
        ("{% utc moment seconds=True %}", "second", "1 Mar 2026, 23:05:09 UTC"),
        ("{% utc moment zone=False %}", "minute", "1 Mar 2026, 23:05"),
    ],
)
def test_a_moment_is_written_in_utc(tag: str, kind: str, text: str) -> None:
    with timezone.override("America/New_York"):
        assert written(tag) == f'<time datetime="2026-03-02T08:05:09+09:00" data-utc="{kind}">{text}</time>'

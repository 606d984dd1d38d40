"""System checks: `manage.py check`, and so every start of the site, refuses content that cannot be read, in words, before a page does."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register

from problems.errors import InvalidInput
from problems.loader import all_problems


@register()
def content_can_be_read(**_: Any) -> list[CheckMessage]:
    try:
        all_problems()
    except InvalidInput as error:
        return [Error(f"A problem cannot be read. {error}", hint="docs/content.md describes the files of a problem.", id="core.E001")]
    return []

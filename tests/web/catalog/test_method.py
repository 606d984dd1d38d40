"""The pages on the method, and the readiness check."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from problems.errors import InvalidInput
from problems.method import ORDER, method_page, method_pages, readiness_questions


@pytest.mark.parametrize("key", ORDER)
def test_each_page_is_read_and_leads_to_the_others(client: Client, db: None, key: str) -> None:
    response = client.get(reverse("catalog:method_page", args=[key]))
    assert response.status_code == 200
    text = response.content.decode()
    assert f"<h1>{method_page(key).title}</h1>" in text
    assert all(reverse("catalog:method_page", args=[page.key]) in text for page in method_pages())


def test_the_address_without_a_page_is_the_first(client: Client, db: None) -> None:
    assert method_pages()[0].title in client.get(reverse("catalog:method")).content.decode()


def test_the_readiness_check_hides_points_behind_each_question(client: Client, db: None) -> None:
    text = client.get(reverse("catalog:method_page", args=["readiness"])).content.decode()
    assert text.count("<details") == len(readiness_questions()) == 15
    assert readiness_questions()[0].item.points[0] in text


def test_an_unknown_page_is_named(client: Client, db: None) -> None:
    with pytest.raises(InvalidInput, match="the pages are round, signals"):
        method_page("nonsense")
    assert client.get("/method/nonsense/").status_code == 404

"""A file of ratings in MovieLens' layouts, uploaded as its owner would, and judged by what was held out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from simulators.engines.ranking.worlds import retrieval_world
from tests.e2e.conftest import Complaints

LAB = "/labs/youtube_recs/retrieval/"


def write(path: Path, separator: str) -> Path:
    """12,000 ratings of 300 users with tastes, in order of time, two of three above 3."""
    world = retrieval_world(5, fresh_share=0, trend_share=0, n_users=300, n_items=800, rows=12_000)
    rating = np.random.default_rng(5).choice([2, 3, 4, 4, 5, 5], len(world.users))
    rows = zip(world.users + 1, world.items + 1, rating, 880_000_000 + 60 * np.arange(len(world.users)), strict=True)
    path.write_text("".join(separator.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def upload(page: Page, path: Path) -> None:
    page.goto(f"{LAB}?rows=20000")
    done(page)
    page.locator(".lab-upload > summary").click()
    page.locator(".lab-upload input[type=file]").first.set_input_files(path)
    page.get_by_role("button", name="Upload and check").click()


def done(page: Page) -> None:
    """A worker that still loads its labs lets a run expire; it is then asked again."""
    status = page.locator("[data-status]")
    for _ in range(6):
        expect(status).to_have_attribute("data-state", re.compile("done|trouble"), timeout=60_000)
        if status.get_attribute("data-state") == "done":
            return
        page.get_by_role("button", name="Run again").click()
        expect(status).not_to_have_attribute("data-state", "trouble")
    pytest.fail("No worker took the run.")


@pytest.mark.parametrize(("name", "separator"), [("u.data", "\t"), ("ratings.dat", "::")])
def test_ratings_load_and_lists_are_compared_with_popular_items(page: Page, tmp_path: Path, name: str, separator: str) -> None:
    upload(page, write(tmp_path / name, separator))
    expect(page).to_have_url(re.compile("dataset="), timeout=30_000)
    done(page)
    expect(page.locator("[data-metric='hit_rate_100']")).to_contain_text("%")
    said = page.locator("main")
    for words in ("popular items", "co-watch alone", "two towers alone", "held out and never trained on"):
        expect(said).to_contain_text(words)


def test_a_rating_that_is_no_number_is_refused_with_its_line(page: Page, tmp_path: Path, complaints: Complaints) -> None:
    complaints.expect("status of 4")
    path = write(tmp_path / "u.data", "\t")
    lines = path.read_text().splitlines()
    lines[39] = "1\t2\tfive\t880000000"
    path.write_text("\n".join(lines) + "\n")
    upload(page, path)
    expect(page.locator("main")).to_contain_text("line 40: rating 'five' is not a number", timeout=30_000)

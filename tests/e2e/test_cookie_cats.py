"""A public experiment, uploaded as its owner would: Cookie Cats, 90,189 players, a gate at level 30 or 40."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
READOUT = "/labs/experimentation/readout/?difference=absolute"

pytestmark = pytest.mark.validation


@pytest.fixture
def read_out(page: Page) -> Callable[[str], None]:
    """Uploads the file with a metric chosen and waits for the readout."""
    path = DATA / "experiments" / "cookie_cats.csv"
    if not path.exists():
        pytest.skip(f"{path} is absent; set LOOP45_DATA to the folder that holds experiments/cookie_cats.csv")

    def read(metric: str) -> None:
        page.goto(READOUT)
        done(page)
        page.locator(".lab-upload > summary").click()
        page.locator(".lab-upload input[type=file]").first.set_input_files(path)
        for option, column in {"arm": "version", "metric": metric, "unit": "userid"}.items():
            page.locator(f"select[name=option-{option}]").select_option(column, timeout=10_000)
        page.get_by_role("button", name="Upload and check").click()
        expect(page).to_have_url(re.compile("dataset="), timeout=30_000)
        done(page)

    return read


def done(page: Page) -> None:
    expect(page.locator("[data-status]")).to_have_attribute("data-state", "done", timeout=60_000)


def test_retention_falls_and_the_sample_ratio_is_flagged(page: Page, read_out: Callable[[str], None]) -> None:
    read_out("retention_7")
    cell = "[data-metric='{}']"
    expect(page.locator(cell.format("effect"))).to_contain_text(re.compile(r"[-\u2212]0\.82"))
    expect(page.locator(cell.format("p_value"))).to_contain_text("0.00156")
    expect(page.locator(cell.format("srm_p"))).to_contain_text("0.0086")
    said = page.locator("[data-place=insights], [data-place=result], main").first
    expect(said).to_contain_text("yellow")
    expect(said).to_contain_text("no pre-period column")


def test_the_player_with_49_854_rounds_is_pointed_out(page: Page, read_out: Callable[[str], None]) -> None:
    read_out("sum_gamerounds")
    expect(page.locator("main")).to_contain_text("49,854")

"""Markdown becomes safe HTML, formulas become MathML, and content's own links become addresses."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from django.core.cache import caches
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.core.markdown import render

MATHML = "{http://www.w3.org/1998/Math/MathML}"


def parsed(html: str) -> ElementTree.Element:
    """Well-formed, whatever went in."""
    return ElementTree.fromstring(f"<div>{html}</div>".replace("<br>", "<br/>").replace("<hr>", "<hr/>"))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "[click](vbscript:x)",
    "<a href='javascript:alert(1)'>x</a>",
    '[x](https://example.org "\\" onmouseover=\\"alert(1)")',
    "<style>body{display:none}</style>",
    "<iframe src=/></iframe>",
    "$\\text{<script>alert(1)</script>}$",
    "$\\href{javascript:alert(1)}{x}$",
    "### <img src=x onerror=alert(1)>",
    "| a | <b onclick=x>b</b> |\n|---|---|\n| <script>1</script> | 2 |",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_becomes_markup(text: str) -> None:
    for element in parsed(render(text)).iter():
        assert element.tag.removeprefix(MATHML) not in {"script", "style", "iframe", "object", "embed", "form"}
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on") and name != "style"
            assert not value.lower().strip().startswith(("javascript:", "data:", "vbscript:"))


@given(st.text(alphabet=st.sampled_from(list("<>\"'&`*_[]()#|-$\\{}^ \nabcjs:/=")), max_size=120))
def test_any_text_gives_well_formed_html_without_handlers(text: str) -> None:
    for element in parsed(render(text).replace("&nbsp;", " ")).iter():
        assert element.tag != "script" and not any(name.startswith("on") for name in element.attrib)


def test_raw_html_is_shown_as_typed() -> None:
    assert "&lt;b&gt;" in render("a <b>bold</b> word")


def test_formulas_become_mathml() -> None:
    inline, block = render("cost $s \\times N$ here"), render("$$\\frac{c(1-t)}{t}$$")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">' in inline and "<mi>N</mi>" in inline
    assert 'display="block"' in block and "<mfrac>" in block


@pytest.mark.parametrize("formula", ["a^", "\\left(", "}{"])
def test_a_formula_that_cannot_be_read_is_shown_as_its_source(formula: str) -> None:
    assert f"<code>{formula}</code>" in render(f"so ${formula}$ it is")


def test_amounts_of_money_are_no_formulas() -> None:
    assert "<math" not in render("from $5 to $10 a day, or $1.20/GB and $3/h")


def test_headings_are_anchors_and_tables_scroll_under_their_own_names() -> None:
    html = render("### Filters and deletes\n\n| Pick | Because |\n|---|---|\n| a | b |\n\n| Ask | Why |\n|---|---|\n| c | d |")
    root = parsed(html)
    assert root.find(".//h3").attrib["id"] == "filters-and-deletes"  # type: ignore[union-attr]
    regions = root.findall(".//div[@role='region']")
    assert [region.attrib["aria-label"] for region in regions] == ["Table: Pick, Because", "Table: Ask, Why"]
    assert all(region.attrib["tabindex"] == "0" for region in regions)


def test_links_are_resolved_each_for_its_own_scope() -> None:
    def resolver(prefix: str):  # type: ignore[no-untyped-def]
        return lambda target: f"{prefix}/{target.removeprefix('lab:')}" if target.startswith("lab:") else target

    assert 'href="/one/x"' in render("[a](lab:x) [b](https://example.org)", resolver("/one"), scope="one")
    assert 'href="/two/x"' in render("[a](lab:x) [b](https://example.org)", resolver("/two"), scope="two")


def test_a_link_cannot_be_resolved_into_script() -> None:
    assert "javascript" not in render("[a](lab:x)", lambda target: "javascript:alert(1)", scope="hostile")


def test_the_same_text_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    caches["markdown"].clear()
    first = render("once **only**")
    monkeypatch.setattr("mlsd_app.core.markdown._render", lambda *_: pytest.fail("rendered again"))
    assert render("once **only**") == first

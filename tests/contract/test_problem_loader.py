"""The loader refuses a faulty folder with a sentence that names the file and the key, heading or line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from problems.errors import InvalidInput
from problems.loader import ROOT, load_problem, read_problem
from problems.markdown import Link, parse_link
from problems.schema import anchor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "vector_search", tmp_path / "vector_search"))


def replaced(old: str, new: str) -> Callable[[str], str]:
    def edit(text: str) -> str:
        assert old in text, "the fault would not be planted"
        return text.replace(old, new, 1)

    return edit


def test_a_copied_folder_reads_as_the_original(folder: Path) -> None:
    assert read_problem(folder) == load_problem("vector_search")


def test_a_folder_without_walkthrough_says_so(folder: Path) -> None:
    head = (folder / "problem.yaml").read_text(encoding="utf-8")
    for path in folder.iterdir():
        path.unlink()
    (folder / "problem.yaml").write_text(head.replace("state: complete", "state: labs_only"), encoding="utf-8")
    problem = read_problem(folder)
    assert not problem.complete
    assert (problem.phases, problem.calculators, problem.rubric, problem.quiz) == ((), (), None, None)


@pytest.mark.parametrize(
    ("file", "edit", "said"),
    [
        ("problem.yaml", replaced("slug: vector_search", "slug: other"), "expected the folder's name 'vector_search'"),
        ("problem.yaml", replaced("tagline:", "tag_line:"), "problem.yaml, tagline: Field required"),
        ("problem.yaml", replaced("difficulty: staff", "difficulty: hard"), "problem.yaml, difficulty"),
        ("problem.yaml", replaced("title: Vector", "title: [Vector"), "problem.yaml, line "),
        ("problem.yaml", replaced("slug: vector_search", "slug: vector_search\nslug: again"), "line 2: the key 'slug' is repeated"),
        ("problem.yaml", lambda text: text + "extra: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        (
            "clarify.md",
            replaced("## Worked answer", "## Answer"),
            "line 9: the heading is '## Answer'; expected '## Worked answer'",
        ),
        ("clarify.md", lambda text: text.partition("## Checklist")[0], "the heading '## Checklist' is missing"),
        ("clarify.md", lambda text: text + "\n## More\n", "'## More'; expected the end of the file"),
        ("clarify.md", lambda text: "Words\n" + text, "line 1: 'Words' stands before the first"),
        ("clarify.md", replaced("- [clarify.scale]", "* clarify.scale"), "expected '- [phase.point] text'"),
        ("clarify.md", replaced("### What if", "What if"), "stands before the first '###' heading"),
        ("calculators.yaml", replaced("min: 1.0e+3", "min: 1.0e+30"), "expected min <= default <= max"),
        ("calculators.yaml", replaced("n * d * bytes_per_dim", "n * d * bites"), "bites, which is neither an input nor an earlier output"),
        ("calculators.yaml", replaced("n * d * bytes_per_dim", "open('x')"), "open('x')"),
        ("calculators.yaml", replaced("output: ram_nodes", "output: raw_tb"), "different units"),
        ("calculators.yaml", replaced("output: ram_nodes", "output: missing"), "missing, which is not an output"),
        ("quiz.yaml", replaced("correct: true", "correct: false"), "has 0 correct options"),
        ("quiz.yaml", replaced("wrong: 3", "wrong: 9"), "step 9 is called wrong"),
        ("rubric.yaml", replaced("grade: close", "grade: fact"), "graded by fact"),
        ("interviewer.yaml", replaced("{value} dimensions", "Some dimensions"), "says {value} exactly when there are choices"),
        ("interviewer.yaml", replaced("set: 0.75", "set: 0.75, mul: 2"), "exactly one of set, mul, add"),
    ],
)
def test_a_fault_is_named(folder: Path, file: str, edit: Callable[[str], str], said: str) -> None:
    path = folder / file
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        read_problem(folder)
    assert said in refused.value.message
    assert f"vector_search/{file}" in refused.value.message


@pytest.mark.parametrize("file", ["deep_dive.md", "rubric.yaml", "diagram.svg"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(InvalidInput, match=f"vector_search/{file} is missing"):
        read_problem(folder)


def test_a_file_that_is_not_text_is_named(folder: Path) -> None:
    (folder / "clarify.md").write_bytes(b"## Prompt\n\xff\xfe")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_problem(folder)


def test_an_unknown_problem_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"no problem '\.\./x'; the problems are .*vector_search"):
        load_problem("../x")


@pytest.mark.parametrize(
    ("href", "link"),
    [
        ("lab:index_tradeoffs?preset=pq_plateau&nprobe=8", Link("lab", "index_tradeoffs", {"preset": "pq_plateau", "nprobe": "8"}, "")),
        ("phase:deep_dive#probes", Link("phase", "deep_dive", {}, "probes")),
        ("calc:shard_count", Link("calc", "shard_count", {}, "")),
        ("problem:experimentation", Link("problem", "experimentation", {}, "")),
        ("https://example.org", None),
        ("javascript:alert(1)", None),
        ("lab:", None),
    ],
)
def test_links_have_four_forms(href: str, link: Link | None) -> None:
    assert parse_link(href) == link


def test_headings_become_anchors() -> None:
    assert anchor("Option A: HNSW in memory") == "option-a-hnsw-in-memory"
    assert "filters" in load_problem("vector_search").phases[3].anchors

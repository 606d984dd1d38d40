"""Reports on content: each broken folder gives its one error at its line, and nothing that is sent in can do harm."""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from mlsd_app.cohorts.authoring import folder as folders
from mlsd_app.cohorts.authoring import sent
from mlsd_app.cohorts.authoring.folder import checked_folder
from mlsd_app.cohorts.authoring.health import bank_health
from mlsd_app.cohorts.authoring.report import Finding
from mlsd_app.cohorts.authoring.sent import checked_files, checked_zip
from mlsd_app.quiz.models import Flag
from problems.loader import ROOT
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, client_of, quiz_fields
from tests.web.cohorts.group import STATIC, learners, quiz_taken

SLUG = "vector_search"
Edit = Callable[[str], str]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Drawing every question twenty times takes seconds; only tests of the bank's own faults wait for it."""
    if "real_bank" not in request.fixturenames:
        monkeypatch.setattr(folders, "quiz_faults", lambda problem: [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / SLUG, tmp_path / SLUG))


def swap(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text, "the fault would not be planted"
        return text.replace(old, new, 1)

    return edit


def errors(found: list[Finding]) -> list[Finding]:
    return [one for one in found if one.level == "error"]


def test_a_sound_folder_has_no_error(folder: Path) -> None:
    assert errors(checked_folder(folder)) == []


def first(path: str, start: str) -> str:
    """The first line of a file that begins so, without its indentation."""
    lines = (ROOT / SLUG / path).read_text(encoding="utf-8").splitlines()
    return next(line.strip() for line in lines if line.strip().startswith(start))


FACT = first("interviewer.yaml", "- id: ").removeprefix("- id: ")
RUBRIC = first("rubric.yaml", "- {id: ") if "- {id: " in (ROOT / SLUG / "rubric.yaml").read_text() else first("rubric.yaml", "- id: ")
CALCULATOR = first("calculators.yaml", "- key: ").removeprefix("- key: ")

# file, the defect, a piece of what is said, whether a line is named
BROKEN: list[tuple[str, Edit, str, bool]] = [
    ("problem.yaml", swap("tagline:", "tag_line:"), "tagline: Field required", True),
    ("problem.yaml", swap("difficulty: staff", "difficulty: hard"), "difficulty", True),
    ("problem.yaml", swap("title: Vector", "title: [Vector"), "expected", True),
    ("problem.yaml", swap("slug: vector_search", "slug: vector_search\nslug: again"), "is repeated", True),
    ("problem.yaml", lambda text: text + "minutes: {clarify: 6}\n", "46 minutes", True),
    ("problem.yaml", lambda text: text + "nonsense: 1\n", "nonsense", True),
    ("clarify.md", swap("## Worked answer", "## Answer"), "expected '## Worked answer'", True),
    ("clarify.md", lambda text: text.partition("## Checklist")[0], "'## Checklist' is missing", False),
    ("clarify.md", lambda text: "Words\n" + text, "stands before the first", True),
    ("clarify.md", lambda text: text + "- [clarify.invented] A point nobody marks\n", "has no item in rubric.yaml", True),
    ("clarify.md", swap("## Worked answer\n", "## Worked answer\n\n[x](lab:no_such_lab)\n"), "no_such_lab", True),
    ("capacity.md", swap("## Worked answer\n", "## Worked answer\n\n[x](calc:no_such)\n"), "There is no calculator 'no_such'", True),
    ("deep_dive.md", swap("## Worked answer\n", "## Worked answer\n\n[x](phase:clarify#nowhere)\n"), "leads nowhere", True),
    ("deep_dive.md", swap("## Worked answer\n", "## Worked answer\n\n[x](problem:nothing)\n"), "There is no problem 'nothing'", True),
    ("evaluation.md", swap("## Worked answer\n", "## Worked answer\n\n![](x.png)\n"), "no words for those who cannot see", True),
    ("evaluation.md", swap("## Worked answer\n", "## Worked answer\n\n$$ x\n"), "is not closed", True),
    ("coverage.yaml", lambda text: text + "- {id: invented, phase: clarify, terms: [zebra crossing]}\n", "'zebra crossing'", True),
    ("calculators.yaml", swap("min: 1.0e+3", "min: 1.0e+30"), "expected min <= default <= max", True),
    ("calculators.yaml", swap("n * d * bytes_per_dim", "n * d * bites"), "bites", True),
    ("calculators.yaml", swap("n * d * bytes_per_dim", "n * d * bytes_per_dim / 0"), "cannot be evaluated", True),
    ("calculators.yaml", swap("output: ram_nodes", "output: missing"), "missing, which is not an output", True),
    ("rubric.yaml", swap("grade: close", "grade: fact"), "graded by fact", True),
    ("rubric.yaml", swap("needs: [", "needs: [no_such_thing, "), "no_such_thing", True),
    ("interviewer.yaml", swap("{value} dimensions", "Some dimensions"), "exactly when there are choices", True),
    ("interviewer.yaml", swap("set: 0.75", "set: 0.75, mul: 2"), "exactly one of set, mul, add", True),
    (
        "interviewer.yaml",
        swap("off_topic:\n", "off_topic:\n  - How many queries per second at peak?\n"),
        "is off the topic",
        True,
    ),
    ("quiz.yaml", swap("correct: true", "correct: false"), "has 0 correct options", True),
    ("quiz.yaml", swap("wrong: 3", "wrong: 9"), "step 9 is called wrong", True),
    ("diagram.svg", swap("</title>", "</title><script>1</script>"), "<script> may not stand", True),
    ("diagram.svg", lambda text: text.replace("</svg>", ""), "not well formed", True),
    ("diagram.svg", lambda text: '<!DOCTYPE x [<!ENTITY a "b">]>' + text, "document type", True),
    ("diagram.d2", lambda text: text + '\nextra: "Extra" {link: "phase:clarify"}\n', "extra is not in the drawing", True),
]


@pytest.mark.parametrize(("file", "edit", "said", "lined"), BROKEN, ids=[f"{n}-{row[0]}" for n, row in enumerate(BROKEN)])
def test_a_defect_is_the_one_error_at_its_file_and_line(folder: Path, file: str, edit: Edit, said: str, lined: bool) -> None:
    path = folder / file
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    found = errors(checked_folder(folder))
    assert len(found) == 1, found
    assert found[0].file == file and said in found[0].message and found[0].remedy
    lines = path.read_text(encoding="utf-8").count("\n") + 1
    assert (found[0].line is not None) == lined and 1 <= (found[0].line or 1) <= lines


@pytest.mark.parametrize("file", sorted(sent.FILES - {"problem.yaml"}))
def test_a_missing_file_is_the_one_error(folder: Path, file: str) -> None:
    (folder / file).unlink()
    found = errors(checked_folder(folder))
    assert [(one.file, "is missing" in one.message) for one in found] == [(file, True)]


def test_several_unreadable_files_are_all_named(folder: Path) -> None:
    for file in ("quiz.yaml", "rubric.yaml", "clarify.md"):
        (folder / file).write_text("nonsense", encoding="utf-8")
    assert {one.file for one in errors(checked_folder(folder))} == {"quiz.yaml", "rubric.yaml", "clarify.md"}


@pytest.fixture
def real_bank() -> None:
    """The test waits for the checks of every question."""


@pytest.mark.usefixtures("real_bank")
def test_faults_of_questions_are_at_their_line(folder: Path) -> None:
    path = folder / "quiz.yaml"
    text = path.read_text(encoding="utf-8")
    place = text.index("explain:")
    end = text.index("\n", place)
    path.write_text(text[:place] + "explain: Too short." + text[end:], encoding="utf-8")
    found = errors(checked_folder(folder))
    assert [one for one in found if "the explanation has 2 words" in one.message and one.line]


def test_too_many_combinations_are_refused_before_they_are_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST_DRAWS", 1)
    assert [one for one in errors(checked_folder(folder)) if "combinations of settings" in one.message]


def test_the_command_says_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("content_check", "feature_store")
    assert "no error" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no problem 'nothing'"):
        call_command("content_check", "nothing")


def test_the_command_fails_on_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from mlsd_app.cohorts.management.commands import content_check

    monkeypatch.setattr(content_check, "checked_problem", lambda slug: (Finding("error", "quiz.yaml", 7, "Wrong.", "Mend."),))
    with pytest.raises(CommandError, match="1 errors"):
        call_command("content_check", "feature_store")
    assert "feature_store/quiz.yaml:7: error: Wrong. Mend." in capsys.readouterr().out


# --- what is sent in -------------------------------------------------------------------------------------------------


def packed(files: dict[str, bytes | str], *, method: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    file.seek(0)
    return file


def whole(prefix: str = "") -> dict[str, bytes | str]:
    return {prefix + path.name: path.read_bytes() for path in (ROOT / SLUG).iterdir() if path.name in sent.FILES}


def check(file: io.BytesIO) -> tuple[str, list[Finding]]:
    return checked_zip(file, size=file.getbuffer().nbytes)


@pytest.mark.parametrize("prefix", ["", f"{SLUG}/"])
def test_a_sound_folder_in_a_zip(prefix: str) -> None:
    slug, found = check(packed(whole(prefix)))
    assert slug == SLUG and errors(found) == []


def _link() -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo("quiz.yaml")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return io.BytesIO(file.getvalue())


def _lying() -> io.BytesIO:
    """Says that it unpacks to little."""
    data = bytearray(packed({"quiz.yaml": b"\0" * (2 * sent.MOST_A_FILE)}).getvalue())
    size = (2 * sent.MOST_A_FILE).to_bytes(4, "little")
    return io.BytesIO(bytes(data).replace(size, (100).to_bytes(4, "little")))


REFUSED: list[tuple[str, Callable[[], io.BytesIO], str]] = [
    ("path out of the folder", lambda: packed({"../quiz.yaml": "a"}), "leads out"),
    ("absolute path", lambda: packed({"/etc/passwd": "a"}), "leads out"),
    ("path out of an inner folder", lambda: packed({"x/../../quiz.yaml": "a"}), "leads out"),
    ("symbolic link", _link, "is a link"),
    ("bomb", lambda: packed({"quiz.yaml": b"\0" * (sent.MOST_A_FILE + 1)}), "a file may have"),
    ("many large files", lambda: packed({f"{n}.yaml": b"\0" * 2**20 for n in range(11)}), "larger than"),
    ("a bomb that says it is small", _lying, "zip"),
    ("many files", lambda: packed({f"{n}.md": "" for n in range(41)}), "at most 40"),
    ("program", lambda: packed({"problem.yaml": "slug: a", "setup.py": "import os"}), "is no file of a problem"),
    ("zip in a zip", lambda: packed({"problem.yaml": "slug: a", "inner.zip": packed({"a": "b"}).getvalue()}), "is no file of a problem"),
    ("no zip", lambda: io.BytesIO(b"PK nonsense"), "not a zip"),
    ("nothing", lambda: packed({}), "no name of a problem"),
]


@pytest.mark.parametrize(("what", "make", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_a_zip_may_not_hold(what: str, make: Callable[[], io.BytesIO], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        check(make())


def test_a_zip_above_five_megabytes_is_not_opened() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        checked_zip(io.BytesIO(b"not even a zip"), size=5 * 2**20 + 1)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "Anchors and aliases"),
        ("slug: !!python/object/apply:os.getcwd []\n", "Tags are not read"),
        ("slug: !include secret\n", "Tags are not read"),
        ("a: " + "[" * 60 + "]" * 60, "levels deep"),
        ("a: [", "expected"),
        ("a: \x07", "Not YAML"),
    ],
)
def test_yaml_that_could_do_harm_is_refused_before_it_is_built(text: str, said: str) -> None:
    found = checked_files(slug=SLUG, files={"coverage.yaml": text})
    assert len(found) == 1 and found[0].file == "coverage.yaml" and said in found[0].message


def test_nothing_of_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent.tempfile, "tempdir", str(tmp_path))
    before = {path.name: path.read_bytes() for path in (ROOT / SLUG).iterdir() if path.is_file()}
    checked_files(slug=SLUG, files={"clarify.md": "nonsense"})
    assert list(tmp_path.iterdir()) == []
    assert before == {path.name: path.read_bytes() for path in (ROOT / SLUG).iterdir() if path.is_file()}


@pytest.mark.parametrize(("slug", "name"), [("../x", "quiz.yaml"), (SLUG, "../quiz.yaml"), (SLUG, "loader.py"), ("Ä", "quiz.yaml")])
def test_other_names_are_refused(slug: str, name: str) -> None:
    with pytest.raises(InvalidInput):
        checked_files(slug=slug, files={name: ""})


# --- pages and API ---------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_counts(request: pytest.FixtureRequest) -> None:
    if "db" in request.fixturenames or "house" in request.fixturenames:
        request.getfixturevalue("db")
        cache.clear()


@pytest.mark.parametrize("path", ["/authoring/", "/authoring/feature_store/"])
def test_owners_and_staff_only(house: House, path: str) -> None:
    for role, status in [("owner", 200), ("staff", 200), ("stranger", 200), ("instructor", 403), ("grader", 403), ("learner", 403)]:
        assert client_of(house.people[role]).get(path).status_code == status, role


def test_a_file_is_pasted_and_a_folder_sent(house: House) -> None:
    client = client_of(house.owner)
    pasted = client.post(f"/authoring/{SLUG}/", {"name": "coverage.yaml", "text": BOMB})
    assert pasted.status_code == 200 and "Anchors and aliases" in pasted.content.decode()
    file = SimpleUploadedFile("x.zip", packed({**whole(), "coverage.yaml": "- nonsense"}).getvalue())
    assert "Report of vector_search, as sent in" in client.post("/authoring/", {"file": file}).content.decode()
    bad = client.post(f"/authoring/{SLUG}/", {"file": SimpleUploadedFile("x.zip", b"no zip")})
    assert bad.status_code == 422 and "not a zip" in bad.content.decode()
    assert client.get("/authoring/nothing/").status_code == 404


def test_the_api_checks_without_touching_anything(house: House) -> None:
    client = client_of(house.owner)
    body: dict[str, Any] = {"slug": SLUG, "files": {"coverage.yaml": BOMB}}
    answer = client.post("/api/v1/content/check", body, content_type="application/json").json()
    assert answer["errors"] == 1 and answer["findings"][0]["line"] == 1
    refused = client.post("/api/v1/content/check", {"slug": SLUG, "files": {"x.py": ""}}, content_type="application/json")
    assert refused.status_code == 422


def test_checks_are_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlsd_app.cohorts.views import authoring

    monkeypatch.setattr(authoring, "AN_HOUR", 2)
    client, body = client_of(house.owner), {"name": "coverage.yaml", "text": BOMB}
    assert [client.post(f"/authoring/{SLUG}/", body).status_code for _ in range(3)] == [200, 200, 429]


def test_health_of_a_bank(house: House) -> None:
    """Thirty people get the first item wrong and take long; three reports are open on the second; nobody met the third."""
    hard, flagged, unmet = STATIC[:3]
    quiz, people = house.assignment(quiz_fields()), learners(house, 30)
    taken = quiz_taken(quiz, people, [[0.0, float(n % 2)] for n in range(30)], [hard, flagged])
    for row in taken:
        assert row.sitting
        row.sitting.responses.filter(place=0).update(ms=10_000_000)
    Flag.objects.bulk_create(
        Flag(user=user, problem_slug=SLUG, item_id=flagged, rev=1, kind="unclear", created_at=NOW) for user in people[:3]
    )
    found = {row.item: row for row in bank_health(SLUG)}
    assert found[hard].facility == 0 and len(found[hard].warnings) == 2
    assert found[flagged].facility == 0.5 and found[flagged].warnings == ("3 open reports",)
    assert (found[unmet].answers, found[unmet].facility, found[unmet].discrimination) == (0, None, None)


def test_health_shows_no_figure_that_few_people_cannot_carry(house: House) -> None:
    quiz_taken(house.assignment(quiz_fields()), learners(house, 4), [[1.0]] * 4, STATIC[:1])
    row = next(row for row in bank_health(SLUG) if row.item == STATIC[0])
    assert (row.answers, row.facility, row.discrimination, row.median_s, row.hidden_reason) == (4, None, None, None, "n<30")

"""A folder or a file that somebody sends to be checked: unpacked with distrust, read, and thrown away. Nothing is kept or executed."""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import yaml

from mlsd_app.cohorts.authoring.folder import checked_folder
from mlsd_app.cohorts.authoring.report import Finding
from problems.base import PHASES
from problems.loader import ROOT
from simulators.errors import InvalidInput

MOST_BYTES = 5 * 2**20  # of the zip
MOST_UNPACKED = 10 * 2**20
MOST_A_FILE = 2**20
MOST_FILES = 40
MOST_DEPTH = 40  # of YAML
FILES = frozenset(
    {
        "problem.yaml",
        *(f"{phase}.md" for phase in PHASES),
        *(f"{name}.yaml" for name in ("calculators", "rubric", "interviewer", "quiz", "coverage")),
        "diagram.d2",
        "diagram.svg",
    }
)
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,59}\Z")


def checked_zip(file: IO[bytes], *, size: int, slug: str = "") -> tuple[str, list[Finding]]:
    """(slug, report) of a folder in a zip: its files at the top, or all in one folder. InvalidInput for a zip that is refused."""
    if size > MOST_BYTES:
        raise InvalidInput(f"The zip has {size:,} bytes; at most {MOST_BYTES:,} are taken.", field="file")
    try:
        with zipfile.ZipFile(file) as archive:
            contents = {entry.filename: entry for entry in archive.infolist() if not entry.is_dir()}
            root = _root(list(contents))
            texts = {_inside(name, root): _text(archive, entry) for name, entry in _accepted(contents).items()}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, zipfile.LargeZipFile) as error:
        raise InvalidInput(f"The file is not a zip that can be read: {error}", field="file") from error
    slug = slug or root or _slug_said(texts.get("problem.yaml", b""))
    return slug, checked_texts(_slug(slug), texts)


def _root(names: list[str]) -> str:
    """The one folder everything lies in; "" when the files lie at the top."""
    tops = {PurePosixPath(name).parts[0] for name in names if len(PurePosixPath(name).parts) > 1}
    return tops.pop() if len(tops) == 1 and all("/" in name for name in names) else ""


def _accepted(contents: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(contents) > MOST_FILES:
        raise InvalidInput(f"The zip has {len(contents)} files; at most {MOST_FILES} are taken.", field="file")
    if sum(entry.file_size for entry in contents.values()) > MOST_UNPACKED:
        raise InvalidInput(f"Unpacked the zip is larger than {MOST_UNPACKED:,} bytes.", field="file")
    for name, entry in contents.items():
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts or ":" in name:
            raise InvalidInput(f"{name[:80]!r} leads out of the folder.", field="file")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InvalidInput(f"{name[:80]!r} is a link; only files are taken.", field="file")
        if entry.flag_bits & 1:
            raise InvalidInput(f"{name[:80]!r} is encrypted.", field="file")
        if entry.file_size > MOST_A_FILE:
            raise InvalidInput(f"{name[:80]!r} has {entry.file_size:,} bytes; a file may have {MOST_A_FILE:,}.", field="file")
    return contents


def _inside(name: str, root: str) -> str:
    inner = name.removeprefix(f"{root}/") if root else name
    if inner not in FILES:
        raise InvalidInput(f"{name[:80]!r} is no file of a problem; those are {', '.join(sorted(FILES))}.", field="file")
    return inner


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """What is really there, whatever the directory says of its size."""
    with archive.open(entry) as inner:
        data = inner.read(MOST_A_FILE + 1)
    if len(data) > MOST_A_FILE:
        raise InvalidInput(f"{entry.filename[:80]!r} unpacks to more than {MOST_A_FILE:,} bytes.", field="file")
    return data


def _slug_said(head: bytes) -> str:
    found = re.search(rb"^slug:\s*([a-z0-9_]+)", head, re.MULTILINE)
    return found[1].decode() if found else ""


def _slug(given: str) -> str:
    if not _SLUG.match(given):
        raise InvalidInput(f"{given[:60]!r} is no name of a problem; expected small letters, digits and _.", field="slug")
    return given


def checked_paste(*, slug: str, name: str, text: str) -> list[Finding]:
    """The report of a problem of the site with one file replaced by `text`. Raises as `checked_files`."""
    return checked_files(slug=slug, files={name: text})


def checked_files(*, slug: str, files: Mapping[str, str]) -> list[Finding]:
    """The report of the site's folder with `files` put into it; of a new problem, of these files alone.

    InvalidInput for what is no file of a problem, and for a file above 1 MB.
    """
    folder = ROOT / _slug(slug)
    for name, text in files.items():
        if name not in FILES:
            raise InvalidInput(f"{name[:60]!r} is no file of a problem; those are {', '.join(sorted(FILES))}.", field="name")
        if len(text.encode(errors="surrogatepass")) > MOST_A_FILE:
            raise InvalidInput(f"{name} has more than {MOST_A_FILE:,} bytes.", field="text")
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES} if folder.is_dir() else {}
    return checked_texts(slug, {**kept, **{name: text.encode(errors="replace") for name, text in files.items()}})


def checked_texts(slug: str, texts: dict[str, bytes]) -> list[Finding]:
    """Files by name. YAML with aliases, tags or deep nesting is refused before anything is built from it."""
    refused = [finding for name, data in texts.items() if name.endswith(".yaml") for finding in _yaml_refusals(name, data)]
    if refused:
        return refused
    with _folder(slug, texts) as folder:
        return checked_folder(folder)


@contextmanager
def _folder(slug: str, texts: dict[str, bytes]) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="authoring-"))
    try:
        folder = place / slug
        folder.mkdir()
        for name, data in texts.items():
            (folder / name).write_bytes(data)
        yield folder
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _yaml_refusals(name: str, data: bytes) -> Iterator[Finding]:
    depth = 0
    try:
        for token in yaml.scan(data.decode("utf-8"), Loader=yaml.SafeLoader):
            line = token.start_mark.line + 1
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
                yield Finding("error", name, line, "Anchors and aliases are not read.", "Write the value out.")
                return
            if isinstance(token, yaml.TagToken):
                yield Finding("error", name, line, "Tags are not read.", "Write plain values.")
                return
            depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
            if depth > MOST_DEPTH:
                yield Finding("error", name, line, f"Nested more than {MOST_DEPTH} levels deep.", "Write it flatter.")
                return
    except UnicodeDecodeError:
        yield Finding("error", name, None, "Not UTF-8 text.", "Save the file as UTF-8.")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        yield Finding("error", name, line, f"{error.problem or error.context}.", "Mend this line; the rest of the file is read after it.")
    except yaml.YAMLError as error:
        yield Finding("error", name, None, f"Not YAML: {error}", "Remove what is no text.")


_OPENING = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)

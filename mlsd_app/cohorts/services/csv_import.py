"""People from a CSV file: `email,name,labels`, labels parted by semicolons. Read, shown, and only then written, all or nothing."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models.functions import Lower

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.models import Cohort, Role
from mlsd_app.cohorts.services.codes import MEMBERS_PER_COHORT
from mlsd_app.cohorts.services.cohorts import LABELS_PER_COHORT, label_add, label_name
from mlsd_app.cohorts.services.members import member_add
from simulators.errors import InvalidInput

MOST_BYTES, MOST_ROWS = 2**20, 2000
COLUMNS = ("email", "name", "labels")


@dataclass(frozen=True)
class CsvRow:
    line: int
    email: str
    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class CsvFault:
    line: int
    column: str
    message: str

    @property
    def place(self) -> str:
        return f"line {self.line}, {self.column}" if self.column else f"line {self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass
class CsvPlan:
    """What an import would do. Nothing is written while there are faults."""

    new: list[CsvRow] = field(default_factory=list)  # not in the cohort
    already_in: list[CsvRow] = field(default_factory=list)
    faults: list[CsvFault] = field(default_factory=list)
    new_labels: list[str] = field(default_factory=list)


# --- reading, without the database -----------------------------------------------------------------------------------


def csv_read(data: bytes) -> tuple[list[CsvRow], list[CsvFault]]:
    """Rows and everything that is wrong. UTF-8 with or without BOM, comma or semicolon, at most 1 MB and 2,000 rows."""
    if len(data) > MOST_BYTES:
        return [], [CsvFault(1, "", f"the file has {len(data) / 2**20:.1f} MB; at most 1 MB is read")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return [], [CsvFault(line, "", "not UTF-8; save the file as CSV in UTF-8")]
    if "\x00" in text:
        return [], [CsvFault(text[: text.index("\x00")].count("\n") + 1, "", "has a NUL character; this is not a CSV file")]
    lines = list(_records(text))
    if not lines:
        return [], [CsvFault(1, "", "the file is empty; expected a first line email,name,labels")]
    return _parsed(lines)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line it begins on, cells), blank lines left out; a record that csv cannot read ends the file as one faulty cell."""
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if _is_semicolon(head) else ",", strict=True)
    begins = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield begins, [f"\x00{error}"]
            return
        if any(cell.strip() for cell in cells):
            yield begins, [cell.strip() for cell in cells]
        begins = reader.line_num + 1


def _is_semicolon(head: str) -> bool:
    return ";" in head and "," not in head


def _parsed(lines: Sequence[tuple[int, list[str]]]) -> tuple[list[CsvRow], list[CsvFault]]:
    header, faults = [cell.lower() for cell in lines[0][1]], list(_header_faults(lines[0]))
    if faults:
        return [], faults
    if len(lines) - 1 > MOST_ROWS:
        return [], [CsvFault(lines[MOST_ROWS + 1][0], "", f"the file has {len(lines) - 1:,} rows; at most {MOST_ROWS:,} are read at once")]
    if len(lines) == 1:
        return [], [CsvFault(lines[0][0], "", "there are no people below the first line")]
    rows: list[CsvRow] = []
    seen: dict[str, int] = {}
    for line, cells in lines[1:]:
        found = list(_row_faults(line, cells, header, seen))
        faults += found
        if not found:
            rows.append(_row(line, cells, header))
            seen[rows[-1].email.lower()] = line
    return rows, faults


def _header_faults(line: tuple[int, list[str]]) -> Iterator[CsvFault]:
    number, cells = line
    names = [cell.lower() for cell in cells]
    if cells[0].startswith("\x00"):
        yield CsvFault(number, "", cells[0][1:])
    elif "email" not in names:
        yield CsvFault(number, "email", f"the first line must name the columns email,name,labels; it has {', '.join(cells)[:80]!r}")
    else:
        for name in names:
            if name not in COLUMNS:
                yield CsvFault(number, name[:40], "not a column that is read; expected email, name and labels")
            elif names.count(name) > 1:
                yield CsvFault(number, name, "this column is there twice")


def _row_faults(line: int, cells: Sequence[str], header: Sequence[str], seen: dict[str, int]) -> Iterator[CsvFault]:
    if cells[0].startswith("\x00"):
        yield CsvFault(line, "", f"cannot be read: {cells[0][1:]}")
        return
    if len(cells) > len(header):
        yield CsvFault(line, "", f"has {len(cells)} cells; the first line has {len(header)} columns")
        return
    row = _row(line, cells, header)
    if message := _email_fault(row.email):
        yield CsvFault(line, "email", message)
    elif row.email.lower() in seen:
        yield CsvFault(line, "email", f"the same address as in line {seen[row.email.lower()]}")
    if len(row.name) > 150 or not row.name.isprintable():
        yield CsvFault(line, "name", "expected at most 150 printable characters")
    for label in row.labels:
        try:
            label_name(label)
        except InvalidInput as error:
            yield CsvFault(line, "labels", error.message)


def _email_fault(email: str) -> str:
    if not email:
        return "empty"
    if "@" not in email:
        return "no @"
    try:
        validate_email(email)
    except ValidationError:
        return f"{email[:80]!r} is not an address"
    return "" if len(email) <= 254 else "longer than 254 characters"


def _row(line: int, cells: Sequence[str], header: Sequence[str]) -> CsvRow:
    values = dict(zip(header, cells, strict=False))
    labels = dict.fromkeys(" ".join(label.split()) for label in values.get("labels", "").split(";"))
    return CsvRow(line, values.get("email", ""), " ".join(values.get("name", "").split()), tuple(label for label in labels if label))


# --- planning and writing --------------------------------------------------------------------------------------------


def import_plan(*, cohort: Cohort, data: bytes) -> CsvPlan:
    """What the file would change in this cohort."""
    rows, faults = csv_read(data)
    plan = CsvPlan(faults=faults)
    members = {member.user_id: member for member in cohort.memberships.all()}
    accounts = _accounts([row.email for row in rows])
    for row in rows:
        found = accounts.get(row.email.lower(), [])
        inside = members.get(found[0].pk) if len(found) == 1 else None
        if len(found) > 1:
            plan.faults.append(CsvFault(row.line, "email", "more than one account has this address; add the person by user name"))
        elif inside is not None and inside.removed_at is None:
            plan.already_in.append(row)
        else:
            plan.new.append(row)
    _limits(cohort, plan)
    return plan


def _limits(cohort: Cohort, plan: CsvPlan) -> None:
    known = {name.lower() for name in cohort.labels.values_list("name", flat=True)}
    wanted = dict.fromkeys(label for row in (*plan.new, *plan.already_in) for label in row.labels)
    first_spelling = {label.lower(): label for label in reversed(wanted) if label.lower() not in known}
    plan.new_labels = list(reversed(first_spelling.values()))
    if len(known) + len(plan.new_labels) > LABELS_PER_COHORT:
        plan.faults.append(CsvFault(1, "labels", f"together with those of the cohort more than {LABELS_PER_COHORT} labels"))
    if cohort.memberships.filter(removed_at=None).count() + len(plan.new) > MEMBERS_PER_COHORT:
        plan.faults.append(CsvFault(1, "", f"with these people the cohort would have more than {MEMBERS_PER_COHORT:,} members"))


def _accounts(emails: Sequence[str]) -> dict[str, list[User]]:
    """Accounts by address in lower case. Asked for in pieces: databases bound the parameters of a statement."""
    found: dict[str, list[User]] = {}
    people = User.objects.filter(is_guest=False, is_active=True).annotate(address=Lower("email"))
    wanted = sorted({email.lower() for email in emails})
    for begin in range(0, len(wanted), 200):
        for user in people.filter(address__in=wanted[begin : begin + 200]):
            found.setdefault(user.email.lower(), []).append(user)
    return found


@transaction.atomic
def people_import(*, by: By, cohort: Cohort, data: bytes, now: datetime) -> CsvPlan:
    """Writes what `import_plan` shows. Whoever has no account gets one without a password: they set it through "forgot password",
    which proves that the address is theirs. Raises InvalidInput, and writes nothing, when anything is wrong."""
    Cohort.objects.select_for_update().get(pk=cohort.pk)
    plan = import_plan(cohort=cohort, data=data)
    if plan.faults:
        raise InvalidInput(str(plan.faults[0]), field="file")
    accounts = _accounts([row.email for row in plan.new + plan.already_in])
    labels = {label.name.lower(): label for label in cohort.labels.all()}
    for name in plan.new_labels:
        labels[name.lower()] = label_add(by=by, cohort=cohort, name=name, now=now)
    for row in plan.new + plan.already_in:
        known = accounts.get(row.email.lower())
        user = known[0] if known else _account_made(row)
        member_add(
            by=by, cohort=cohort, user=user, role=Role.LEARNER, labels=[labels[name.lower()] for name in row.labels], via="csv", now=now
        )
    after = {"new": len(plan.new), "already_in": len(plan.already_in), "labels": len(plan.new_labels)}
    audited(by=by, action="member.import", thing=cohort, cohort=cohort, now=now, after=after)
    return plan


def _account_made(row: CsvRow) -> User:
    stem = re.sub(r"[^a-z0-9._-]", "", row.email.split("@")[0].lower())[:100] or "learner"
    taken = set(User.objects.filter(username__startswith=stem).values_list("username", flat=True))
    username = next(name for name in (stem, *(f"{stem}{number}" for number in range(2, len(taken) + 3))) if name not in taken)
    first, _, last = row.name.partition(" ")
    user = User(username=username, email=row.email, first_name=first[:150], last_name=last[:150])
    user.set_unusable_password()
    user.save()
    return user

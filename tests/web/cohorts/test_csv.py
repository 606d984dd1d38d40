"""Lists of people: what is read, and what is said about what cannot be."""

from __future__ import annotations

import pytest

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Audit, Membership
from mlsd_app.cohorts.services.csv_import import MOST_BYTES, MOST_ROWS, csv_read, import_plan, people_import
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, person

GOOD = [
    ("email,name,labels\na@x.org,Ann,One\n", [("a@x.org", "Ann", ("One",))]),
    ("email\na@x.org\nb@x.org\n", [("a@x.org", "", ()), ("b@x.org", "", ())]),
    ("email;name;labels\na@x.org;Ann;One\n", [("a@x.org", "Ann", ("One",))]),
    ('email;name;labels\na@x.org;Ann;"One;Two"\n', [("a@x.org", "Ann", ("One", "Two"))]),
    ("email,name,labels\na@x.org,Ann,One; Two ;One\n", [("a@x.org", "Ann", ("One", "Two"))]),
    ("\ufeffemail,name\na@x.org,Ann\n", [("a@x.org", "Ann", ())]),
    ("email,name\r\na@x.org,Ann\r\n", [("a@x.org", "Ann", ())]),
    ("Name,EMAIL\nAnn,a@x.org\n", [("a@x.org", "Ann", ())]),
    ('email,name\na@x.org,"Ann, the first"\n', [("a@x.org", "Ann, the first", ())]),
    ('email,name\na@x.org,"Ann\nLee"\nb@x.org,Bo\n', [("a@x.org", "Ann Lee", ()), ("b@x.org", "Bo", ())]),
    ("email,name\n\n  ,  \na@x.org,Ann\n", [("a@x.org", "Ann", ())]),
    ("email,name\na@x.org\n", [("a@x.org", "", ())]),
    ("email,name\n a@x.org ,  Ann   Lee \n", [("a@x.org", "Ann Lee", ())]),
    ("email,name\na@x.org,Zoë Ångström", [("a@x.org", "Zoë Ångström", ())]),
]


@pytest.mark.parametrize("text, wanted", GOOD)
def test_read(text: str, wanted: list[tuple[str, str, tuple[str, ...]]]) -> None:
    rows, faults = csv_read(text.encode())
    assert not faults
    assert [(row.email, row.name, row.labels) for row in rows] == wanted


BAD = [
    (b"", "line 1: the file is empty"),
    (b"\n\n", "line 1: the file is empty"),
    (b"name\nAnn\n", "line 1, email: the first line must name"),
    (b"a@x.org,Ann\n", "line 1, email: the first line must name"),
    (b"email,age\na@x.org,3\n", "line 1, age: not a column"),
    (b"email,email\na@x.org,b@x.org\n", "line 1, email: this column is there twice"),
    (b"email\n", "line 1: there are no people"),
    (b"email,name\na.x.org,Ann\n", "line 2, email: no @"),
    (b"email,name\n,Ann\n", "line 2, email: empty"),
    (b"email,name\na@,Ann\n", "line 2, email: 'a@' is not an address"),
    (b"email\na@x.org\nA@X.org\n", "line 3, email: the same address as in line 2"),
    (b"email,name\na@x.org,Ann,Lee\n", "line 2: has 3 cells"),
    (b"email,name\na@x.org," + b"n" * 151 + b"\n", "line 2, name: expected at most 150"),
    (b"email,labels\na@x.org," + b"l" * 41 + b"\n", "line 2, labels: The label has 41 characters"),
    (b'email,name\na@x.org,"Ann\nLee"\nbad,Bo\n', "line 4, email: no @"),
    (b'email,name\na@x.org,"Ann\n', "line 2: cannot be read"),
    (b"email,name\na@x.org,\xff\n", "line 2: not UTF-8"),
    (b"email,name\na@x.org,A\x00\n", "line 2: has a NUL"),
    (b"email\n" + b"".join(b"a%d@x.org\n" % number for number in range(MOST_ROWS + 1)), f"line {MOST_ROWS + 2}: the file has 2,001 rows"),
    (b"email\n" + b"a" * MOST_BYTES, "line 1: the file has 1.0 MB"),
]


@pytest.mark.parametrize("data, wanted", BAD, ids=[wanted for _, wanted in BAD])
def test_refused(data: bytes, wanted: str) -> None:
    _, faults = csv_read(data)
    assert faults and str(faults[0]).startswith(wanted)


def test_every_fault_is_listed() -> None:
    _, faults = csv_read(b"email,name\nbad,Ann\na@x.org,Bo\n@,Cy\n")
    assert [fault.line for fault in faults] == [2, 4]


def test_a_preview_writes_nothing(house: House) -> None:
    before = (User.objects.count(), Membership.objects.count(), Audit.objects.count())
    plan = import_plan(cohort=house.cohort, data=b"email,labels\nnew@x.org,Fresh\nlearner@example.org,\nremoved@example.org,\n")
    assert (User.objects.count(), Membership.objects.count(), Audit.objects.count()) == before
    assert ([row.email for row in plan.new], [row.email for row in plan.already_in]) == (
        ["new@x.org", "removed@example.org"],
        ["learner@example.org"],
    )
    assert plan.new_labels == ["Fresh"]


def test_an_import_writes_what_the_preview_said(house: House) -> None:
    data = b"email,name,labels\nNew@x.org,Ann Lee,Fresh\nINSTRUCTOR@example.org,,fresh\nremoved@example.org,,\n"
    people_import(by=house.by, cohort=house.cohort, data=data, now=NOW)
    made = Membership.objects.select_related("user").get(cohort=house.cohort, user__email="New@x.org")
    assert (made.role, made.user.get_full_name(), made.joined_via) == ("learner", "Ann Lee", "csv")
    assert not made.user.has_usable_password()
    known = house.member(house.people["instructor"])
    assert known.role == "instructor"  # keeps the role, gets the label
    assert [label.name for label in known.labels.all()] == ["Fresh"]
    assert house.member(house.people["removed"]).removed_at is None


def test_all_or_nothing(house: House) -> None:
    before = (User.objects.count(), Membership.objects.count(), Audit.objects.count())
    with pytest.raises(InvalidInput, match="line 3, email: no @"):
        people_import(by=house.by, cohort=house.cohort, data=b"email\nnew@x.org\nbad\n", now=NOW)
    assert (User.objects.count(), Membership.objects.count(), Audit.objects.count()) == before


def test_two_accounts_with_one_address_are_not_guessed_between(house: House) -> None:
    person("one", email="same@x.org"), person("two", email="SAME@x.org")
    plan = import_plan(cohort=house.cohort, data=b"email\nsame@x.org\n")
    assert [str(fault) for fault in plan.faults] == ["line 2, email: more than one account has this address; add the person by user name"]


def test_user_names_made_from_addresses_do_not_collide(house: House) -> None:
    people_import(by=house.by, cohort=house.cohort, data=b"email\nowner@x.org\nowner@y.org\n!@z.org\n", now=NOW)
    names = User.objects.filter(memberships__joined_via="csv").values_list("username", flat=True)
    assert sorted(names) == ["learner2", "owner2", "owner3"]

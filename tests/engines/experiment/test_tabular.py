"""Files people really have: what is read, and the sentence for what is not."""

import csv
import io
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from simulators.engines.experiment.results_file import METRIC, Part, Roles, read_parts, read_totals
from simulators.engines.experiment.stats import Moments, compare
from simulators.engines.experiment.tabular import open_table
from simulators.errors import InvalidInput
from simulators.experimentation.readout import ReadoutLab
from simulators.lab import DataFile

GOOD = "user,arm,y,x\n1,a,1.5,2\n2,b,,3\n3,b,2.5,\n4,a,0.5,1\n5,b,-1e-1,7\n6,a,2,2\n"
OPTIONS = {"arm": "arm", "metric": "y"}


def written(tmp_path, content, name="results.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return DataFile(name, path)


def check(file, **options):
    return ReadoutLab.data.check({"results": file}, {**OPTIONS, **options})


def read(file, roles, cap=None):
    table = open_table(file.path, file.name)
    return sum(read_parts(table, roles, cap), Part())


def test_missing_values_are_counted_by_arm_and_covariates_keep_their_rows(tmp_path):
    part = read(written(tmp_path, GOOD), Roles("arm", "y", "user", covariates=("x",)))
    assert part.missing == {"a": 0, "b": 1}
    assert {arm: moments.n for arm, moments in part.arms.items()} == {"a": 3, "b": 2}
    assert part.arms["b"].sums[part.arms["b"].index("x0_missing")] == 1
    assert (part.largest.value, part.largest.unit) == (2.5, "3")
    assert read(written(tmp_path, GOOD), Roles("arm", "y"), cap=1.0).arms["a"].sums[0] == pytest.approx(2.5)


def test_fixed_value_and_flag_equal_mean_imputation_and_flag(tmp_path):
    rng = np.random.default_rng(2)
    x = rng.normal(50, 3, 400)
    y = x + rng.normal(0, 3, 400)
    gone = rng.random(400) < 0.3
    arm = np.arange(400) % 2
    rows = "".join(f"{'ab'[k]},{v!r},{'' if g else repr(w)}\n" for k, v, w, g in zip(arm, y.tolist(), x.tolist(), gone, strict=True))
    roles = Roles("arm", "y", covariates=("x",))
    arms = read(written(tmp_path, "arm,y,x\n" + rows), roles).arms
    columns = {"y": y, "x": np.where(gone, x[~gone].mean(), x), "flag": gone.astype(float)}
    direct = compare(*(Moments.from_arrays(columns, where=arm == k) for k in (0, 1)), covariates=("x", "flag"))
    ours = compare(arms["a"], arms["b"], METRIC, covariates=roles.covariate_names())
    assert (ours.estimate, ours.se) == pytest.approx((direct.estimate, direct.se), rel=1e-9)


def test_byte_order_mark_crlf_quoted_newlines_and_flags(tmp_path):
    text = '\ufeffarm,y,note\r\na,True,"two\r\nlines"\r\nb,False,x\r\na,FALSE,""\r\nb,TRUE,y\r\n'
    info = check(written(tmp_path, text))
    assert dict(info.facts)["Rows"] == "4"
    assert read(written(tmp_path, text), Roles("arm", "y")).arms["a"].kinds == ("proportion",)


def test_parquet_reads_like_csv(tmp_path):
    table = pa.table(
        {"arm": [1, 2, 1, 2, 1, 2], "y": [1.0, 2.0, None, 4.0, 5.0, float("nan")], "x": pa.array([1, 2, 3, 4, 5, 6], pa.int8())}
    )
    pq.write_table(table, tmp_path / "r.parquet")
    file = DataFile("r.parquet", tmp_path / "r.parquet")
    check(file, covariates="x")
    part = read(file, Roles("arm", "y", covariates=("x",)))
    assert part.missing == {"1": 1, "2": 1}
    assert part.arms["2"].sums[0] == 6.0


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ("", {}, "is empty"),
        ("\n\n", {}, "has no header"),
        ("arm,y\n", {}, "a header and no rows"),
        ("arm;y\na;1\n", {}, "separated by commas"),
        ("arm,y,y\na,1,2\n", {}, "'y' appears more than once"),
        (GOOD.replace("2.5", "n/a"), {}, "Line 4, column y: 'n/a' is not a number."),
        (GOOD.replace("2.5", "nan"), {}, "Line 4, column y: 'nan' is not a number."),
        (GOOD.replace("2.5", "inf"), {}, "Line 4, column y: 'inf' is not a number."),
        (GOOD.replace("2.5", "1_000"), {}, "Line 4, column y: '1_000' is not a number."),
        ('arm,y,note\na,1,"two\nlines"\nb,oops,z\n', {}, "Line 4, column y: 'oops' is not a number."),
        ("arm,y\na,True\nb,maybe\n", {}, "Line 3, column y: 'maybe' is not True or False."),
        ("arm,y\na,1\nb,2,3\n", {}, "Line 3 has 3 fields; the header has 2."),
        ("arm,y\na,1\nb\n", {}, "Line 3 has 1 field; the header has 2."),
        (b"arm,y\na,1\n\xe9t\xe9,2\n", {}, "Line 3: byte 0xe9 is not UTF-8"),
        ("arm,y\na,1\na,2\n", {}, "Column arm has 1 value; an arm has 2 to 10."),
        ("arm,y\n" + "".join(f"v{i},1\n" for i in range(14)), {}, "Column arm has 14 values; an arm has 2 to 10."),
        ("arm,y\n" + "".join(f"v{i},1\n" for i in range(400)), {}, "Column arm has"),
        ("arm,y\na,1\na,2\nb,3\n", {}, "Arm b has 1 row"),
        (GOOD.replace("5,b", "3,b"), {"unit": "user"}, "Line 6, column user: unit '3' was on line 4 already"),
        (GOOD, {"covariates": "z"}, "There is no column 'z'; results.csv has user, arm, y, x."),
        (GOOD, {"covariates": "y"}, "Column y was given two roles"),
        (GOOD, {"metric": ""}, "Choose the column that holds the metric"),
        (GOOD, {"control": "c"}, "There is no arm 'c'; the arms are a, b."),
        (GOOD, {"shares": "a=90"}, "Planned shares 'a=90' were given"),
        ("arm,y,x\na,1,5\na,2,5\nb,3,5\nb,4,5\n", {"covariates": "x"}, "Column x, a covariate, has no variance"),
        ("arm,y,x\na,1,\na,2,\nb,3,\nb,4,\n", {"covariates": "x"}, "Column x, a covariate, has no variance"),
        ("arm,n,sum,sum_squares\nA,100,50,80\nB,100,50,10\n", {}, "Line 3, arm B: sum_squares is smaller than sum²/n."),
        ("arm,n,sum\nA,100,50\nB,100,500\n", {}, "Line 3, arm B: sum 500 of 100 units"),
        ("arm,n,sum\nA,100,50\nB,1.5,1\n", {}, "Line 3, column n: 1.5 is not a whole number"),
    ],
)
def test_bad_files_are_refused_with_the_place(tmp_path, content, options, sentence):
    with pytest.raises(InvalidInput) as refused:
        check(written(tmp_path, content), **options)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("row", ["," * 5_000_000, '"' + "x\n" * 2_000_000, '","\n' * 2_000_000])
def test_a_row_without_end_is_refused_without_holding_it(tmp_path, row):
    for content in (f"arm,y\na,1\n{row}\n", row):
        tracemalloc.start()
        with pytest.raises(InvalidInput):
            check(written(tmp_path, content))
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert held < 120 * 2**20


@pytest.mark.parametrize(("content", "sentence"), [(b"PAR1 no", "is not a Parquet file"), (None, "column y has type string")])
def test_bad_parquet(tmp_path, content, sentence):
    path = tmp_path / "r.parquet"
    if content is None:
        pq.write_table(pa.table({"arm": ["a", "b"], "y": ["1", "2"]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=sentence):
        check(DataFile("r.parquet", path))


def test_limits(tmp_path, monkeypatch):
    with pytest.raises(InvalidInput, match="has 101 columns"):
        check(written(tmp_path, ",".join(f"c{i}" for i in range(101)) + "\n" + ",".join(["1"] * 101) + "\n"))
    monkeypatch.setattr("simulators.engines.experiment.tabular.MAX_ROWS", 5)
    with pytest.raises(InvalidInput, match="more than 5 rows"):
        check(written(tmp_path, GOOD))
    monkeypatch.setattr("simulators.engines.experiment.tabular.MAX_BYTES", 10)
    with pytest.raises(InvalidInput, match="MB"):
        check(written(tmp_path, GOOD))


def test_totals_give_the_same_answer_as_rows(tmp_path):
    rng = np.random.default_rng(5)
    arm, day, y = rng.integers(0, 2, 600), rng.integers(1, 4, 600), rng.normal(4, 2, 600)
    lines = []
    for a in (0, 1):
        for d in (1, 2, 3):
            cell = y[(arm == a) & (day == d)]
            lines.append(f"{'AB'[a]},{d},{len(cell)},{float(cell.sum())!r},{float((cell**2).sum())!r}")
    info = check(written(tmp_path, "arm,day,n,sum,sum_squares\n" + "\n".join(lines) + "\n"))
    assert dict(info.facts)["Arms"] == f"A (control) {(arm == 0).sum()}, B {(arm == 1).sum()}"
    totals = read_totals(open_table(tmp_path / "results.csv", "results.csv"))
    theirs = ttest_ind(y[arm == 1], y[arm == 0], equal_var=False)
    assert compare(totals.arms["A"], totals.arms["B"]).p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_the_fault_is_found_behind_many_blocks(tmp_path):
    rows = [f"{'ab'[i % 2]},{i}.5,some text to fill the line {i}" for i in range(150_000)]
    rows[140_000] = "a,oops,x"
    file = written(tmp_path, "arm,y,note\n" + "\n".join(rows) + "\n")
    with pytest.raises(InvalidInput, match="Line 140002, column y: 'oops'"):
        check(file)
    rows[140_000] = "a,1,x"
    assert dict(check(written(tmp_path, "arm,y,note\n" + "\n".join(rows) + "\n")).facts)["Rows"] == "150,000"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_sentence(tmp_path_factory, content):
    file = written(tmp_path_factory.mktemp("any"), b"arm,y\n" + content)
    try:
        check(file)
    except InvalidInput as refused:
        assert refused.message.endswith((".", "?"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(-1e9, 1e9), st.text(alphabet='x",\n\r ', max_size=6)), min_size=1, max_size=30),
    st.data(),
)
def test_the_named_line_is_the_line_of_the_fault(tmp_path_factory, rows, data):
    """Whatever is quoted around it: the line that is named holds the bad value."""
    bad = data.draw(st.integers(0, len(rows) - 1))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["arm", "note", "y"])
    for i, (arm, y, note) in enumerate(rows):
        line = out.getvalue().replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
        if i == bad:
            expected = line
        writer.writerow([arm, note, "oops" if i == bad else y])
    with pytest.raises(InvalidInput, match=f"Line {expected}, column y: 'oops'"):
        check(written(tmp_path_factory.mktemp("line"), out.getvalue()))

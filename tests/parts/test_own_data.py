"""Tables of one's own: whatever pandas writes is read, exactly, and with types decided once."""

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import runner
from runner.engine.draws import Draws
from runner.errors import ConfigError

pytestmark = pytest.mark.usefixtures("here")
PARQUET = ("dataset=parquet", "dataset.path=t.parquet", "dataset.target=y", "model=linear")
CSV = ("dataset=csv", "dataset.path=t.csv", "dataset.target=y")
CLASSES = ("model=softmax", "loss=cross_entropy")
RAW = ("dataset.standardize=false", "dtype=float64")


@pytest.fixture
def dataset(composer, here):
    """What is fitted, as a run of these words takes it."""
    return lambda *words: Draws().dataset(composer.cell(list(words)).spec)


def frame(**columns):
    """Six rows: two features and a target."""
    a, b = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0], [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]
    return pd.DataFrame({"a": a, "b": b, "y": np.arange(6.0), **columns})


WRITTEN = {
    "after a filter": lambda t: t[t.a > 1],
    "shuffled": lambda t: t.sample(frac=1, random_state=0),
    "every second": lambda t: t.iloc[::2],
    "backwards": lambda t: t.iloc[::-1],
    "set_index": lambda t: t.assign(id=[*"fedcba"]).set_index("id"),
    "of dates": lambda t: t.set_index(pd.date_range("2020-01-01", periods=6, name="day")),
    "unnamed": lambda t: t.set_index(pd.Index([9, 7, 5, 3, 1, 2])),
    "several levels": lambda t: t.set_index(pd.MultiIndex.from_product([[1, 2], [*"abc"]])),
    "named levels": lambda t: t.assign(k=1, l=range(6)).set_index(["k", "l"]),
    "named as a column": lambda t: t.set_index(pd.Index(range(6), name="a")),
    "even steps": lambda t: t.set_index(pd.RangeIndex(10, 22, 2, name="row")),
    "twice the same": lambda t: t.set_index(pd.Index([1, 1, 1, 2, 2, 2])),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_whatever_pandas_writes_is_read(name, dataset):
    """Row by row as it stands there; an index that is not named is no feature."""
    table = WRITTEN[name](frame())
    table.to_parquet("t.parquet")
    made = dataset(*PARQUET, *RAW)
    assert made.names == ("a", "b")
    np.testing.assert_array_equal(made.x, table[["a", "b"]].to_numpy())
    np.testing.assert_array_equal(made.y, table.y.to_numpy())


INDEXES = {
    # the index: what is typed, what the feature holds
    "numbers": (pd.Index([9, 7, 5, 3, 1, 2], name="id"), "[id,a]", [9, 7, 5, 3, 1, 2]),
    "even steps": (pd.RangeIndex(10, 22, 2, name="id"), "[id,a]", [10, 12, 14, 16, 18, 20]),
    "unnamed": (pd.Index([9, 7, 5, 3, 1, 2]), "[__index_level_0__,a]", [9, 7, 5, 3, 1, 2]),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_that_features_names_is_one(name, dataset):
    index, typed, expected = INDEXES[name]
    frame().set_index(index).to_parquet("t.parquet")
    made = dataset(*PARQUET, *RAW, f"dataset.features={typed}")
    assert made.names[1] == "a"
    np.testing.assert_array_equal(made.x[:, 0], expected)


def test_an_index_is_a_target_or_a_category_as_well(dataset):
    frame(y=[*"pqpqpq"]).set_index("y").to_parquet("t.parquet")
    made = dataset(*PARQUET[:3], *CLASSES)
    assert made.classes == ("p", "q")
    words = ("dataset.target=b", "dataset.features=[y,a]", "dataset.categorical=[y]")
    made = dataset(*PARQUET[:2], "model=linear", *words)
    assert made.names == ("y=p", "y=q", "a")


NESTED = {
    "list": [[1.0, 2.0]] * 6,
    "list of no fixed length": [[1.0], [1.0, 2.0], [], [1.0], [1.0], [1.0]],
    "struct": [{"p": 1, "q": 2}] * 6,
}


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("where", ["features", "target"])
def test_nested_columns_are_refused_by_name(name, where, dataset):
    column = {"features": "b", "target": "y"}[where]
    pq.write_table(pa.table(frame(**{column: NESTED[name]}).to_dict("list")), "t.parquet")
    with pytest.raises(ConfigError, match=f"dataset.{where}: the column {column} holds (list|str)"):
        dataset(*PARQUET)
    if where == "features":
        assert dataset(*PARQUET, "dataset.features=[a]").names == ("a",)


def test_a_dataframe_with_lists_is_refused_by_name():
    table = frame(b=NESTED["list"])
    with pytest.raises(ConfigError, match=r"dataset.x: the column b holds \[1.0, 2.0\] in row 1"):
        runner.run("model=linear", "tracking=off", dataset=(table[["a", "b"]], table.y))


def test_misaligned_rows_are_refused_with_what_to_do():
    """X and y that are given apart: by position or by index nobody can know."""
    table = frame()
    shuffled = table.y.sample(frac=1, random_state=1)
    for y in (shuffled, table.y.iloc[1:], table.y.set_axis(range(1, 7))):
        with pytest.raises(ConfigError, match=r"indexes of their rows differ.*y.loc\[x"):
            runner.run("model=linear", "tracking=off", dataset=(table[["a"]], y))
    words = ("model=linear", "tracking=off", "epochs=1", "print_every=0")
    taken = runner.run(*words, dataset=(table[["a"]], shuffled.loc[table.index]))
    assert taken.final_loss == runner.run(*words, dataset=(table[["a"]], table.y)).final_loss


def test_validation_data_have_an_index_of_their_own():
    table = frame()
    own, other = table.iloc[:4], table.iloc[4:].sample(frac=1, random_state=0)
    words = ("model=linear", "tracking=off", "epochs=1", "print_every=0")
    made = runner.run(*words, dataset=(own[["a"]], own.y), validation_data=(other[["a"]], other.y))
    assert made.epochs == 1


FEATURES = {
    "nullable": (pd.array([1, 2, 3, 4, 5, 7], "Int64"), [1, 2, 3, 4, 5, 7]),
    "nullable truth": (pd.array([True, False] * 3, "boolean"), [1, 0] * 3),
    "decimals": ([Decimal("1.25")] * 3 + [Decimal(2)] * 3, [1.25] * 3 + [2] * 3),
    "unsigned": (np.array([2**63] * 3 + [0] * 3, np.uint64), [2.0**63] * 3 + [0] * 3),
    "half": (np.array([0.5, 1, 2, 3, 4, 5], np.float16), [0.5, 1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("way", ["file", "object"])
def test_numbers_of_any_type_are_features(name, way, dataset):
    column, expected = FEATURES[name]
    table = frame(b=column)
    if way == "file":
        table.to_parquet("t.parquet")
        x = dataset(*PARQUET, *RAW).x
    else:
        from runner.dataset.prepare import Wishes, prepare

        x = prepare((table[["a", "b"]], table.y), Wishes("float64", "numbers"), None).x
    np.testing.assert_array_equal(x[:, 1], expected)


@pytest.mark.parametrize("column", ["Int64", "boolean"])
@pytest.mark.parametrize("where", ["b", "y"])
def test_pandas_own_gaps_are_gaps(column, where, dataset):
    gap = pd.array([1, 0, pd.NA, 1, 0, 1], column)
    table = frame(**{where: gap})
    table.to_parquet("t.parquet")
    with pytest.raises(ConfigError, match="nothing stands in row 3"):
        dataset(*PARQUET)
    with pytest.raises(ConfigError, match="nothing stands in row 3"):
        runner.run("model=linear", "tracking=off", dataset=(table[["a", "b"]], table.y))
    assert len(dataset(*PARQUET, "dataset.missing=drop").x) == 5


@pytest.mark.parametrize(
    "y",
    [pd.date_range("2020", periods=6), pd.to_timedelta(range(6)), [datetime.date.min] * 6],
)
def test_times_are_no_numbers(y, dataset):
    frame(y=y).to_parquet("t.parquet")
    with pytest.raises(ConfigError, match=r"dataset.y: expected numbers, got .* in row 1"):
        dataset(*PARQUET)


BIG = 2**53
WHOLE = {
    "beside 2**53": [BIG, BIG + 1, BIG + 2],
    "beyond int64": [2**63, 2**63 + 1, 10**19],
    "far beyond": [10**30, 10**30 + 1, 10**30 + 2],
    "negative": [-BIG - 1, -BIG, 0],
}


def written(way, values):
    """Words for a run of a file with that target."""
    values = values * 4
    if way == "csv":
        lines = [f"{a},{y}" for a, y in enumerate(values)]
        Path("t.csv").write_text("\n".join(["a,y", *lines]))
        return CSV
    if way == "npz":
        np.savez("t.npz", x=np.arange(12.0), y=np.array(values))
        return ("dataset=npz", "dataset.path=t.npz")
    gaps = [*values, None] if way == "parquet, a gap" else values
    a = np.arange(float(len(gaps)))
    pq.write_table(pa.table({"a": a, "y": pa.array(gaps)}), "t.parquet")
    return (*PARQUET[:3], "dataset.missing=drop")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *((name, way) for name in WHOLE for way in ("csv", "object")),
        *((name, way) for name in [*WHOLE][:2] for way in ("npz", "parquet", "parquet, a gap")),
        ("negative", "parquet, a gap"),
    ],
)
def test_classes_of_whole_numbers_are_exact(way, name, dataset):
    """No two are one, and none overflows."""
    values = WHOLE[name]
    if max(values) >= 2**63 and way not in ("csv", "object"):
        values = [np.uint64(value) for value in values]
    if way == "object":
        from runner.dataset.prepare import Wishes, prepare

        made = prepare((np.arange(12.0), values * 4), Wishes("float64", "classes"), None)
    else:
        made = dataset(*written(way, values), *CLASSES)
    assert made.classes == tuple(map(str, sorted(map(int, values))))
    np.testing.assert_array_equal(made.y, np.argsort(np.argsort(values)).tolist() * 4)


def csv(name, column, values):
    lines = [f"{number},{value}" for number, value in enumerate(values)]
    Path(name).write_text("\n".join([f"a,{column}", *lines]) + "\n")


UNSEEN = ("+dataset@validation_data=csv", "validation_data.path=v.csv", "validation_data.target=y")
BOTH = (*CSV, *UNSEEN, *CLASSES)


TOGETHER = {
    # of the training file and of the validation file: their classes
    "truth": (["true", "false", "maybe"] * 2, ["true", "false"], ("false", "maybe", "true")),
    "the other way": (["01", "1", "x"] * 2, ["01", "1"], ("01", "1", "x")),
    "points": (["1.0", "1", "x"] * 2, ["1.0", "1"], ("1", "1.0", "x")),
    "dates": (["2020-01-01", "never"] * 2, ["2020-01-01"], ("2020-01-01", "never")),
    "alike": (["true", "false"] * 2, ["true"], ("False", "True")),
    "numbers": (["1", "2.0"] * 2, ["2"], ("1", "2")),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_a_targets_type_is_decided_on_all_files(name, dataset):
    own, other, classes = TOGETHER[name]
    csv("t.csv", "y", own)
    csv("v.csv", "y", other)
    made = dataset(*BOTH)
    assert made.classes == classes
    number = {text: classes.index(text) for text in other if text in classes}
    if len(number) == len({*other}):
        assert made.validation.y.tolist() == [number[text] for text in other]


def test_files_that_do_not_fit_together_are_refused(dataset):
    csv("t.csv", "y", ["0", "1"] * 3)
    csv("v.csv", "y", ["true", "false"])
    with pytest.raises(ConfigError, match=r"validation_data.y: (true|false) is none of"):
        dataset(*BOTH)


def test_a_parquet_file_for_validation_may_hold_truth_where_the_table_has_text(dataset):
    csv("t.csv", "y", ["true", "false", "maybe"] * 2)
    pq.write_table(pa.table({"a": [1.0, 2.0], "y": [True, False]}), "v.parquet")
    unseen = ("+dataset@validation_data=parquet", "validation_data.path=v.parquet")
    made = dataset(*CSV, *unseen, "validation_data.target=y", *CLASSES)
    assert made.validation.y.tolist() == [2, 0]


STATED = {
    # what is typed: of 007, 7, NA and 8 the classes, or words of the message
    "text": ("007", "7", "8", "NA"),
    "number": "nothing stands in row 3",
    "null": "nothing stands in row 3",
}


@pytest.mark.parametrize("kind", STATED)
def test_a_targets_type_can_be_stated(kind, dataset):
    csv("t.csv", "y", ["007", "7", "NA", "8"] * 3)
    expected = STATED[kind]
    words = (*CSV, *CLASSES, f"dataset.target_type={kind}")
    if isinstance(expected, tuple):
        assert dataset(*words).classes == expected
        return
    with pytest.raises(ConfigError, match=expected):
        dataset(*words)
    assert dataset(*words, "dataset.missing=drop").classes == ("7", "8")


def test_text_among_stated_numbers_is_told_by_its_row(dataset):
    csv("t.csv", "y", ["1", "2", "x", "4"])
    with pytest.raises(ConfigError, match=r"target_type: expected numbers in y, got 'x' in row 3"):
        dataset(*CSV, "dataset.target_type=number", "model=linear")
    with pytest.raises(ConfigError, match=r"target_type: expected number, text or null, got"):
        dataset(*CSV, "dataset.target_type=date", "model=linear")


def test_stated_text_is_classes_of_typed_columns_as_well(dataset):
    pq.write_table(pa.table({"a": np.arange(6.0), "y": [BIG, BIG + 1, 10] * 2}), "t.parquet")
    made = dataset(*PARQUET[:3], *CLASSES, "dataset.target_type=text")
    assert made.classes == ("10", str(BIG), str(BIG + 1))
    with pytest.raises(ConfigError, match="the loss takes numbers, and here are 3 classes"):
        dataset(*PARQUET, "dataset.target_type=text")


def test_na_is_a_category_and_an_empty_field_a_gap(dataset):
    """The message names the column that was typed."""
    Path("t.csv").write_text("land,a,y\nNA,1,1\nDE,2,2\nNA,3,3\nUS,5,4\n")
    made = dataset(*CSV, "dataset.categorical=[land]", "model=linear")
    assert made.names == ("land=DE", "land=NA", "land=US", "a")
    Path("t.csv").write_text("land,a,y\nNA,1,1\n,2,2\nNA,3,3\n")
    with pytest.raises(ConfigError, match="nothing stands in row 2, column land: missing=drop"):
        dataset(*CSV, "dataset.categorical=[land]", "model=linear")


@pytest.mark.parametrize("values", [[1, 2, None, 1], [BIG, BIG + 1, None, BIG]])
def test_categories_of_numbers_are_named_alike_with_and_without_gaps(values, dataset):
    """As float64 they would be 1.0 and 2.0 in one file, 1 and 2 in the other."""
    table = {"a": pa.array(values, pa.int64()), "y": [1.0, 2.0, 3.0, 4.0]}
    pq.write_table(pa.table(table), "t.parquet")
    whole = [one if one else values[0] for one in values]
    pq.write_table(pa.table({**table, "a": whole}), "v.parquet")
    words = ("dataset.categorical=[a]", "validation_data.categorical=[a]", "dataset.missing=drop")
    unseen = ("+dataset@validation_data=parquet", "validation_data.path=v.parquet")
    made = dataset(*PARQUET, *unseen, "validation_data.target=y", *words)
    assert made.names == (f"a={values[0]}", f"a={values[1]}")
    assert made.validation.x[:, 0].tolist() == [1, 0, 1, 1]


def test_the_decimal_point_of_a_target_is_the_tables(dataset):
    Path("t.csv").write_text("a;y\n1;1,5\n2;2,25\n3;-3\n")
    words = (*CSV, "model=linear", 'dataset.separator=";"', 'dataset.decimal=","')
    assert dataset(*words).y.tolist() == [1.5, 2.25, -3]


def test_an_index_without_a_name_in_a_table_of_text_is_refused(tmp_path):
    """As `to_csv` writes it: it would be a feature that counts the rows."""
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})
    table.to_csv(tmp_path / "table.csv")
    words = ("dataset=csv", f"dataset.path={tmp_path}/table.csv", "dataset.target=y")
    with pytest.raises(runner.ConfigError, match=r"features: column 1 of .* has no name"):
        runner.run(*words, "model=linear", "tracking=off")
    named = runner.run(*words, "dataset.features=[a]", "model=linear", "tracking=off")
    assert named.parameters.shape[1] == 2

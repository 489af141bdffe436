"""Configs and files of data that cannot be fitted: one message each, and no run."""

import bz2
import gzip
import os
import pickle
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runner.base import project
from runner.config.cell import Cell
from runner.config.spec import typed
from runner.engine.check import checked
from runner.engine.experiment import compose
from runner.errors import ConfigError
from runner.sweeps.composing import one_cell

GOOD = "a,b,y\n1,2,3\n2,1,4\n3,5,5\n4,4,7\n"
TEXT = {
    "good.csv": GOOD,
    "empty.csv": "",
    "blank.csv": "\n \n",
    "header.csv": "a,b,y\n",
    "one.csv": "a,y\n1,2\n",
    "text.csv": "a,b,y\n1,red,3\n2,blue,4\n",
    "text_late.csv": "a,y\n" + "1,2\n" * 40 + "x,2\n",
    "ragged.csv": "a,b,y\n1,2,3\n1,2\n",
    "long.csv": "a,b,y\n1,2,3\n1,2,3,4\n",
    "twice.csv": "a,a,y\n1,2,3\n2,3,4\n",
    "hole.csv": "a,b,y\n1,2,3\n2,,4\n3,1,5\n",
    "hole_y.csv": "a,b,y\n1,2,3\n2,3,\n3,1,5\n",
    "holes.csv": "a,b,y\n,2,3\n,3,4\n,1,5\n",
    "nan.csv": "a,y\n1,2\nNaN,3\n",
    "inf.csv": "a,y\n1,2\ninf,3\n",
    "huge_number.csv": "a,y\n1,2\n1e39,3\n",
    "beyond.csv": "a,y\n1,2\n1e999,3\n",
    "semicolon.csv": "a;b;y\n1;2;3\n2;3;4\n",
    "comma.csv": "a;y\n1,5;2\n2,5;3\n",
    "constant.csv": "a,b,y\n1,7,3\n2,7,4\n3,7,9\n",
    "date.csv": "a,day,y\n1,2020-01-01,3\n2,2020-01-02,4\n",
    "quote.csv": 'a,y\n1,2\n"3,4\n',
    "only_y.csv": "y\n1\n2\n",
    "classes.csv": "a,y\n1,cat\n2,dog\n3,cat\n4,emu\n",
    "two.csv": "a,y\n1,cat\n2,dog\n3,cat\n4,dog\n",
    "rare.csv": "a,y\n1,cat\n2,dog\n3,cat\n4,cat\n",
    "one_class.csv": "a,y\n1,cat\n2,cat\n",
    "mixed.csv": "a,y\n1,1\n2,dog\n",
    "city.csv": "city,y\nRome,1\n,2\nOslo,3\n",
    "more_cities.csv": "city,y\nRome,1\nBonn,2\n",
    "cities.csv": "city,y\nRome,1\nOslo,2\nRome,3\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with every wrong file."""
    folder = tmp_path_factory.mktemp("files")
    for name, text in TEXT.items():
        (folder / name).write_text(text)
    (folder / "binary.csv").write_bytes(b"a,y\n\0\x01\x02\n")
    (folder / "random.csv").write_bytes(np.random.default_rng(0).bytes(4000).replace(b"\0", b"x"))
    (folder / "latin.csv").write_bytes("a,y\nñ,1\n".encode("latin-1"))
    (folder / "utf16.csv").write_bytes(GOOD.encode("utf-16"))
    (folder / "torn.csv.gz").write_bytes(gzip.compress(GOOD.encode() * 500)[:-20])
    (folder / "false.csv.gz").write_text(GOOD)
    (folder / "false.csv.bz2").write_text(GOOD)
    (folder / "good.tsv").write_text(GOOD.replace(",", "\t"))
    (folder / "good.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    (folder / "good.csv.bz2").write_bytes(bz2.compress(GOOD.encode()))
    (folder / "folder.csv").mkdir()
    (folder / "gone.csv").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.csv")
    with (folder / "giant.csv").open("wb") as giant:
        giant.truncate(2**41)  # two terabytes of nothing
    table = pa.table({"a": [1.0, 2.0], "b": [[1.0], [2.0]], "y": [1.0, 2.0]})
    pq.write_table(table, folder / "nested.parquet")
    pq.write_table(table.select(["a", "y"]).slice(0, 0), folder / "no_rows.parquet")
    whole = (folder / "nested.parquet").read_bytes()
    (folder / "torn.parquet").write_bytes(whole[:-40])
    (folder / "false.parquet").write_text(GOOD)
    x, y = np.arange(4.0), np.arange(4.0)
    np.savez(folder / "good.npz", x=x, y=y)
    np.savez(folder / "names.npz", features=x, labels=y)
    np.savez(folder / "shapes.npz", x=x, y=y[:3])
    np.savez(folder / "cube.npz", x=np.zeros((2, 2, 2)), y=y[:2])
    np.savez(folder / "none.npz", x=np.zeros((0, 2)), y=np.zeros(0))
    np.savez(folder / "complex.npz", x=x * 1j, y=y)
    np.savez(folder / "words.npz", x=np.array(["a", "b"]), y=y[:2])
    np.savez(folder / "objects.npz", x=np.array([{}, {}], object), y=y[:2])
    np.savez(folder / "nan.npz", x=np.array([1.0, np.nan, 2.0, 3.0]), y=y)
    np.save(folder / "one.npy", x)
    (folder / "one.npy").rename(folder / "array.npz")
    (folder / "pickle.npz").write_bytes(pickle.dumps([1, 2]))
    (folder / "text.npz").write_text(GOOD)
    with zipfile.ZipFile(folder / "other.npz", "w") as other:
        other.writestr("readme.txt", "no arrays")
    return folder


CSV = "model=linear dataset=csv dataset.target=y dataset.path="
NPZ = "model=linear dataset=npz dataset.path="
PARQUET = "model=linear dataset=parquet dataset.target=y dataset.path="
CANCER = "dataset=breast_cancer model=logistic "

REFUSED = {
    # what is typed: words of the one message
    # --- files that are not there, or no files ---
    f"{CSV}nowhere.csv": "dataset.path: there is no file nowhere.csv in ",
    f"{CSV}gone.csv": "dataset.path: there is no file gone.csv",
    f"{CSV}folder.csv": "dataset.path: folder.csv is no file",
    f"{CSV}pipe.csv": "dataset.path: pipe.csv is no file",
    f"{CSV}/dev/zero": "dataset.path: /dev/zero is no file",
    f"{CSV}giant.csv": "dataset.path: giant.csv has 2,199,023,255,552 bytes, and there is room for",
    f"{CSV}''": "dataset.path: expected the path of a file, got ''",
    f"{CSV}3": "dataset.path: expected the path of a file, got 3",
    f"{CSV}null": "dataset.path: expected the path of a file, got None",
    f"{CSV}[good.csv]": "dataset.path: expected the path of a file, got ['good.csv']",
    f"{CSV}{'n' * 400}.csv": "dataset.path: ",
    f"{NPZ}nowhere.npz": "dataset.path: there is no file nowhere.npz in ",
    f"{PARQUET}nowhere.parquet": "dataset.path: there is no file nowhere.parquet in ",
    "dataset=csv model=linear": "dataset.path: no value is given; set dataset.path=...",
    "dataset=csv dataset.path=good.csv": "dataset.target: no value is given; set dataset.target=",
    # --- what poses as CSV ---
    f"{CSV}empty.csv": "dataset.path: empty.csv is empty",
    f"{CSV}blank.csv": "dataset.path: blank.csv is empty",
    f"{CSV}header.csv": "dataset.path: header.csv has no rows",
    f"{CSV}binary.csv": "dataset.path: binary.csv is no text: it holds bytes that are 0",
    f"{CSV}utf16.csv": "dataset.path: utf16.csv is no text in utf-8: ",
    f"{CSV}random.csv": "dataset.path: random.csv ",
    f"{CSV}latin.csv": "dataset.path: latin.csv is no text in utf-8: ",
    f"{CSV}torn.csv.gz": "dataset.path: torn.csv.gz cannot be read: ",
    f"{CSV}false.csv.gz": "dataset.path: false.csv.gz cannot be read: ",
    f"{CSV}false.csv.bz2": "dataset.path: false.csv.bz2 cannot be read: ",
    f"{CSV}ragged.csv": "CSV parse error: Row #3: Expected 3 columns, got 2",
    f"{CSV}long.csv": "CSV parse error: Row #3: Expected 3 columns, got 4",
    f"{CSV}quote.csv": "dataset.path: quote.csv cannot be read as CSV: ",
    f"{CSV}twice.csv": "dataset.path: twice.csv has several columns called 'a'",
    f"{CSV}semicolon.csv": 'semicolon.csv has one column, a;b;y: dataset.separator=";" perhaps',
    f"{CSV}comma.csv 'dataset.separator=\";\"'": "the column a holds '1,5' in row 1, which is no n",
    f"{CSV}good.parquet.csv": "there is no file",
    f"{CSV}good.csv dataset.encoding=utf-99": "dataset.encoding: expected one that Python has, got",
    f"{CSV}good.csv dataset.encoding=null": "dataset.encoding: ",
    # --- what stands in it ---
    f"{CSV}text.csv": "dataset.x: the column b holds 'red' in row 1, which is no number: name the",
    f"{CSV}text_late.csv": "dataset.x: the column a holds 'x' in row 41, which is no number",
    f"{CSV}date.csv": "dataset.x: the column day holds 2020-01-01",
    f"{CSV}hole.csv": "dataset.x: nothing stands in row 2, column b: missing=drop, mean, median",
    f"{CSV}nan.csv": "dataset.x: nothing stands in row 2, column a",
    f"{CSV}hole_y.csv": "dataset.y: nothing stands in row 2: missing=drop would do",
    f"{CSV}hole_y.csv dataset.missing=mean": "dataset.y: nothing stands in row 2",
    f"{CSV}holes.csv dataset.missing=mean": "dataset.x: column a has no number at all",
    f"{CSV}holes.csv dataset.missing=drop": "dataset.x: there are no samples, now that rows",
    f"{CSV}hole.csv dataset.missing=zero": "dataset.missing: expected null or one of drop, mean, m",
    f"{CSV}hole.csv dataset.missing=0": "dataset.missing: expected null or one of drop, mean, med",
    f"{CSV}inf.csv": "too large for float64: inf in row 2, column a",
    f"{CSV}inf.csv dataset.standardize=false": "too large for float32: inf in row 2, column a",
    f"{CSV}huge_number.csv dataset.standardize=false": "1e+39 in row 2, column a",
    f"{CSV}beyond.csv dataset.standardize=false": "dataset.x: ",
    f"{CSV}constant.csv": "dataset.standardize: features ['b'] are constant; set it to false",
    f"{CSV}one.csv": "dataset.standardize: features ['a'] are constant; set it to false",
    f"{CSV}city.csv dataset.categorical=[city]": "in row 2, column city: missing=drop ",
    f"{CSV}city.csv dataset.categorical=[city] dataset.missing=mean": "city is a category",
    # --- names of columns ---
    "dataset=csv model=linear dataset.path=good.csv dataset.target=z": "dataset.target: no column",
    "dataset=csv model=linear dataset.path=good.csv dataset.target=Y": "dataset.target: no column",
    "dataset=csv model=linear dataset.path=good.csv dataset.target=[y,y]": "target: y is named twi",
    "dataset=csv model=linear dataset.path=good.csv dataset.target=3": "target: expected names of",
    "dataset=csv model=linear dataset.path=good.csv dataset.target=null": "target: expected the na",
    "dataset=csv model=linear dataset.path=good.csv dataset.target=[]": "target: expected the name",
    "dataset=csv model=linear dataset.path=good.csv dataset.target=[a,b,y]": "features: expected t",
    f"{CSV}only_y.csv": "dataset.features: expected the name of a column at least",
    f"{CSV}good.csv dataset.features=[c]": "dataset.features: no column c, only a, b, y",
    f"{CSV}good.csv dataset.features=[a,y]": "dataset.features: y is the target",
    f"{CSV}good.csv dataset.features=[]": "dataset.features: expected the name of a column",
    f"{CSV}good.csv dataset.features=[1]": "dataset.features: expected names of columns, got [1]",
    f"{CSV}good.csv dataset.features=[a,a]": "dataset.features: a is named twice",
    f"{CSV}good.csv dataset.categorical=[c]": "dataset.categorical: no column c, only a, b, y",
    f"{CSV}good.csv dataset.categorical=[y]": "dataset.categorical: y is none of the features",
    f"{CSV}good.csv dataset.categorical=true": "dataset.categorical: expected names of columns",
    f"{CSV}good.csv dataset.separator=ab": "dataset.separator: expected one character, got 'ab'",
    f"{CSV}good.csv dataset.separator=''": "dataset.separator: expected one character, got ''",
    f"{CSV}good.csv 'dataset.decimal=\",\"'": "dataset.separator and decimal: ",
    f"{CSV}good.csv dataset.decimal=null": "dataset.decimal: ",
    f"{CSV}good.csv dataset.sep=x": "Could not override 'dataset.sep'",
    f"{CSV}good.csv +dataset.sep=x": "dataset.sep: runner.dataset.csv takes no such value",
    f"{CSV}good.csv dataset.standardize=1": "dataset.standardize: expected true or false, got 1",
    f"{CSV}good.csv dataset.classes=3": "dataset.classes: expected true, false or null, got 3",
    f"{CSV}good.csv dataset.probe=[1]": "dataset.probe: expected 2 number(s), one a feature",
    f"{CSV}good.csv dataset.probe=text": "dataset.probe: ",
    f"{CSV}good.csv +dataset.probe.a=1": "dataset.probe: expected a value for each of a, b",
    # --- Parquet and npz ---
    f"{PARQUET}false.parquet": "dataset.path: false.parquet cannot be read as Parquet: ",
    f"{PARQUET}torn.parquet": "dataset.path: torn.parquet cannot be read as Parquet: ",
    f"{PARQUET}no_rows.parquet": "dataset.path: no_rows.parquet has no rows",
    f"{PARQUET}nested.parquet": "dataset.features: the column b holds list<",
    f"{NPZ}names.npz": "there is no array x, only features, labels",
    f"{NPZ}good.npz dataset.y=z": "there is no array z, only x, y",
    f"{NPZ}shapes.npz": "dataset.x and y: expected the shapes (samples,) or (samples, features)",
    f"{NPZ}cube.npz": "dataset.x: expected the shape (samples,) or (samples, features), got (2, 2,",
    f"{NPZ}none.npz": "dataset.x: there are no samples",
    f"{NPZ}complex.npz": "dataset.x: expected numbers",
    f"{NPZ}words.npz": "dataset.x: expected numbers",
    f"{NPZ}objects.npz": "dataset.path: objects.npz cannot be read as .npz: Object arrays cannot b",
    f"{NPZ}nan.npz": "dataset.x: holds NaN, infinity or a number too large for float32: nan in row",
    f"{NPZ}array.npz": "dataset.path: array.npz cannot be read as .npz: it is one array, ",
    f"{NPZ}pickle.npz": "dataset.path: pickle.npz cannot be read as .npz",
    f"{NPZ}text.npz": "dataset.path: text.npz cannot be read as .npz",
    f"{NPZ}other.npz": "there is no array x, only readme.txt",
    # --- classes, and losses that want others ---
    f"{CSV}classes.csv": "dataset.y: expected numbers, got 'cat' in row 1: for classes, loss=bce",
    f"{CSV}classes.csv loss=bce": "dataset.y: the loss tells two classes apart, and here are 3 (ca",
    f"{CSV}one_class.csv loss=bce": "dataset.y: expected several classes, and all are cat",
    f"{CSV}one_class.csv loss=cross_entropy": "dataset.y: expected several classes, and all are ca",
    f"{CSV}mixed.csv": "dataset.y: expected numbers, got 'dog' in row 2",
    "dataset=iris model=linear": "dataset.y: the loss takes numbers, and here are 3 classes (0, 1,",
    "dataset=iris model=logistic": "dataset.y: the loss tells two classes apart, and here are 3",
    "dataset=digits model=mlp": "loss=cross_entropy, with model=softmax or model=mlp",
    "dataset=diabetes model=logistic": "two classes apart, and here are 214 numbers: loss=mse",
    "dataset=polynomial model=softmax": "dataset.y: the loss takes classes, and ",
    "dataset=linnerud model=logistic": "dataset.y: expected one class a sample, got 3",
    "dataset=linnerud model=softmax": "dataset.y: expected one class a sample, got 3",
    "dataset=linnerud model=scalar": "one weight for 3 features",
    "dataset=linnerud model=linear dataset.probe=[1,2,3]": "dataset.probe: expected null",
    "dataset=iris model=softmax model.out_features=2": "out_features: the dataset wants 3, got 2",
    "dataset=iris model=softmax model.in_features=2": "in_features: the dataset has 4, got 2",
    "dataset=blobs model=scalar loss=cross_entropy": "one weight for 2 features",
    "dataset=digits model=mlp loss=cross_entropy gradient=by_hand": "no gradient by hand for the m",
    "dataset=digits model=mlp loss=cross_entropy optimizer=by_hand": "no update by hand for the mo",
    "dataset=digits model=mlp loss=cross_entropy model.widths=[0]": "model.widths: expected a l",
    "dataset=digits model=mlp loss=cross_entropy model.widths=[a]": "model.widths: expected a l",
    "dataset=digits model=mlp loss=cross_entropy model.activation=Relu": "activation: expected a c",
    "dataset=digits model=mlp loss=cross_entropy model.initialisation=zero": "initialisation: expe",
    "dataset=digits model=mlp loss=cross_entropy model.out_features=3": "model: expected 10 number",
    "dataset=polynomial model=polynomial model.degree=0": "model.degree: expected a whole number o",
    "dataset=polynomial model=polynomial model.degree=1.5": "model.degree: expected a whole number",
    "dataset=polynomial model=polynomial model.degree=null": "model.degree: expected a whole numbe",
    "dataset=iris model=softmax loss=mse": "loss=cross_entropy, with model=softmax or model=mlp",
    "dataset=digits model=mlp loss=cross_entropy model.widths=8": "model.widths: expected a list",
    # --- batches ---
    "batch_size=0": "batch_size: expected 1 or more samples, or null for all at once, got 0",
    "batch_size=-3": "batch_size: expected 1 or more samples, or null for all at once, got -3",
    "batch_size=5": "batch_size: expected at most 4, all samples for training, got 5",
    "batch_size=1.5": "batch_size",
    "batch_size=all": "batch_size",
    "shuffle=true": "shuffle: expected epoch, replacement or false, got True",
    "shuffle=often": "shuffle: expected epoch, replacement or false, got often",
    "shuffle=0": "shuffle: expected epoch, replacement or false, got 0",
    "shuffle=null": "shuffle: expected epoch, replacement or false, got None",
    "drop_last=true": "drop_last: expected false where all samples are one batch",
    "drop_last=maybe": "drop_last",
    "-m batch_size=2,9": "batch_size=9\n  batch_size: expected at most 4",
    # --- validation ---
    f"{CANCER}validation=1": "validation: expected a share of the samples from 0 to below 1",
    f"{CANCER}validation=1.5": "validation: expected a share of the samples from 0 to below 1",
    f"{CANCER}validation=-0.1": "validation: expected a share of the samples from 0 to below 1",
    f"{CANCER}validation=nan": "validation: expected a share of the samples from 0 to below 1",
    f"{CANCER}validation=half": "validation",
    f"{CANCER}validation=0.0001": "validation: a share of 0.0001 of 569 samples of 2 class",
    "validation=0.9": "validation: a share of 0.9 of 4 samples cannot be: ",
    f"{CSV}rare.csv loss=bce validation=0.5": "dataset.y: there is a class with one sample",
    f"{CANCER}validation=0.2 split_seed=-1": "split_seed: expected a whole number of 0 or more, up",
    f"{CANCER}validation=0.2 seed=9999999999": "split_seed: expected a whole number of 0 or more,",
    f"{CANCER}validation=0.2 split_seed=x": "split_seed",
    f"{CANCER}validation=0.2 batch_size=460": "batch_size: expected at most 455, all samples for",
    f"{CANCER}validation=0.2 +dataset@validation_data=iris": "validation: a share, and validation_",
    f"{CANCER}+dataset@validation_data=iris": "validation_data.x: holds sepal length (cm), which t",
    f"{CSV}good.csv +dataset@validation_data=csv validation_data.path=no.csv "
    "validation_data.target=y": "validation_data.path: there is no file no.csv",
    f"{CSV}good.csv +dataset@validation_data=csv validation_data.path=one.csv "
    "validation_data.target=y": "validation_data.x: there is no column b, which the training data",
    f"{CSV}good.csv +dataset@validation_data=csv validation_data.path=nan.csv "
    "validation_data.target=y": "validation_data.x: ",
    f"{CSV}two.csv loss=bce +dataset@validation_data=csv validation_data.path=classes.csv "
    "validation_data.target=y": "validation_data.y: emu is none of the classes trained on (cat, do",
    f"{CSV}cities.csv dataset.categorical=[city] +dataset@validation_data=csv "
    "validation_data.path=more_cities.csv validation_data.target=y "
    "validation_data.categorical=[city]": "validation_data.x: holds city=Bonn, which the training",
    "+dataset@validation_data=digits": "validation_data.x: expected 1 features as for training, go",
    "+validation_data=3": "validation_data",
    "+dataset@validation_data=nowhere": "Could not find 'dataset/nowhere'",
    f"{CSV}good.csv +dataset@validation_data=csv validation_data.path=good.csv "
    "validation_data.target=y validation_data.missing=drop": "dataset.missing is for both",
    # --- generated ---
    "dataset=blobs model=softmax dataset.clouds=1": "dataset.clouds and features: expected 2 cloud",
    "dataset=blobs model=softmax dataset.samples=2": "dataset.clouds and features: expected 2 clou",
    "dataset=blobs model=softmax dataset.spread=-1": "dataset.spread: expected 0 or a number above",
    "dataset=moons model=logistic dataset.samples=1": "dataset.samples: expected 2 or more",
    "dataset=moons model=logistic dataset.noise=nan": "dataset.noise: expected 0 or a number above",
    "dataset=separable model=logistic dataset.margin=-1": "dataset.margin: expected 0 or a number",
    "dataset=separable model=logistic dataset.features=0": "dataset.samples and features: expected",
    "dataset=ill_conditioned model=linear dataset.condition=0.5": "dataset.condition: expected a n",
    "dataset=ill_conditioned model=linear dataset.condition=1e17": "dataset.condition: expected a",
    "dataset=ill_conditioned model=linear dataset.samples=5": "dataset.features and samples: expec",
    "dataset=ill_conditioned model=linear dataset.features=1": "dataset.features and samples: expe",
    "dataset=polynomial model=linear dataset.coefficients=[]": "dataset.coefficients: expected a l",
    "dataset=polynomial model=linear dataset.samples=0": "dataset.samples: expected 1 or more, got",
    "dataset=polynomial model=linear dataset.samples=1.5": "dataset.samples: expected a whole numb",
    "dataset=polynomial model=linear dataset.seed=-1": "dataset.seed: expected 0 or a number above",
    # --- interpolations, packages ---
    "seed=${split_seed}": "the config cannot be resolved",
    "batch_size=${epochs} epochs=${batch_size}": "the config cannot be resolved",
    "validation=${nowhere}": "the config cannot be resolved",
    "dataset._target_=nowhere.at_all": "dataset._target_: nowhere.at_all cannot be loaded: ",
    "dataset=iris model=softmax dataset._target_=sklearn.datasets.load_irises": "cannot be loaded",
}


ODD = ("-m ", "=${", "dataset.sep=", "validation_data=nowhere", "+validation_data=")
"""In what Hydra itself refuses, or that is of several cells."""


def through_the_door(typed):
    """Whether it is carried out as a whole command: what Hydra refuses, and every tenth."""
    return any(word in typed for word in ODD) or [*REFUSED].index(typed) % 10 == 0


WHOLE = [typed for typed in REFUSED if through_the_door(typed)]
COMPOSED = [typed for typed in REFUSED if not through_the_door(typed)]


@pytest.mark.parametrize("typed", WHOLE, ids=lambda typed: typed[:70])
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_fitted_is_one_message(typed, front_door, files, capfd):
    """What was wrong, where and what would do; no traceback, no run, nothing that hangs."""
    before = sorted(Path(files).iterdir())
    status, said, _ = front_door(*shlex.split(typed), folder=files)
    told = said + capfd.readouterr().err
    assert REFUSED[typed] in told
    assert status == 1
    assert "Traceback" not in told
    assert len(told) < 1500 + 2 * len(typed)
    assert sorted(Path(files).iterdir()) == before


def tried(words):
    values = one_cell(words, None).values
    checked(Cell(values, {}, []))
    return compose(typed(values))


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param(typed, marks=[] if number % 3 == 0 else pytest.mark.slow, id=typed[:70])
        for number, typed in enumerate(COMPOSED)
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_fitted_is_refused(typed, files, monkeypatch):
    """The same of a call from Python: a whole command takes several times as long."""
    monkeypatch.chdir(files)
    with project.here(), pytest.raises(ConfigError, match=re.escape(REFUSED[typed])) as refused:
        tried(shlex.split(typed))
    assert len(str(refused.value)) < 1500 + 2 * len(typed)


def test_there_are_enough_of_them():
    assert len(REFUSED) >= 150


@pytest.mark.parametrize("name", ["good.csv", "good.csv.gz", "good.csv.bz2", "good.tsv"])
def test_the_good_ones_are_fitted(name, files, front_door):
    """With the same words: it is not the words that are refused."""
    status, said, _ = front_door(*f"{CSV}{name} epochs=1 tracking=off".split(), folder=files)
    assert (status, said) == (0, "")


@pytest.mark.parametrize(
    "sweep",
    [[], pytest.param(["-m", "lr=0.1,0.2", "hydra/launcher=basic"], marks=pytest.mark.slow)],
    ids=str,
)
def test_a_path_is_of_the_folder_where_the_command_is_started(sweep, runner, tmp_path):
    """Wherever Hydra has the job run."""
    (tmp_path / "own.csv").write_text(GOOD)
    words = f"{CSV}own.csv epochs=1 tracking=off hydra.job.chdir=true hydra.run.dir=elsewhere"
    assert "exhausted" in runner(tmp_path, *sweep, *words.split()).stdout

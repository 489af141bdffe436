"""The datasets of runs as rows of MLflow's tables: one for those alike, an edge for each run."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from runner.record.naming import text
from runner.tracking.batch import CONTEXT, LONGEST_DATASET
from runner.tracking.sql import IDS_AT_ONCE, execute
from runner.tracking.tables import DATASETS, INPUT_TAGS, INPUTS

Name = tuple[int, str, str]
"""A dataset's key: experiment, name, digest."""


def add_datasets(
    connection: sa.Connection,
    add: Mapping[sa.Table, Any],
    given: Mapping[str, tuple[int, Mapping[str, str]]],
) -> None:
    """Write the datasets of runs that begin: by run, its experiment and `Start.dataset`.

    `add` has the statement that inserts into each table what is not there yet.
    """
    names = {run: _name(number, dataset) for run, (number, dataset) in given.items()}
    rows = {names[run]: _row(names[run], dataset) for run, (_, dataset) in given.items()}
    execute(connection, add[DATASETS], list(rows.values()))
    ids = dict(_ids(connection, list(rows)))
    edges = [_edge(ids[name], run) for run, name in names.items()]
    execute(connection, add[INPUTS], edges)
    key, value = CONTEXT
    tags = [{"input_uuid": edge["input_uuid"], "name": key, "value": value} for edge in edges]
    execute(connection, add[INPUT_TAGS], tags)


def _name(experiment: int, dataset: Mapping[str, str]) -> Name:
    return experiment, text(dataset["name"], LONGEST_DATASET), dataset["digest"]


def _row(name: Name, dataset: Mapping[str, str]) -> dict[str, Any]:
    experiment, shown, digest = name
    own = {f"dataset_{key}": dataset[key] for key in ("source_type", "source", "schema", "profile")}
    key = {"experiment_id": experiment, "name": shown, "digest": digest}
    return {"dataset_uuid": _uuid(*name), **key, **own}


def _ids(connection: sa.Connection, names: list[Name]) -> Iterator[tuple[Name, str]]:
    """Of the datasets that are there by now, whoever has written them."""
    c = DATASETS.c
    for first in range(0, len(names), IDS_AT_ONCE):
        digests = {digest for _, _, digest in names[first : first + IDS_AT_ONCE]}
        query = sa.select(c.experiment_id, c.name, c.digest, c.dataset_uuid)
        for *name, found in connection.execute(query.where(c.digest.in_(digests))):
            yield (name[0], name[1], name[2]), found


def _edge(dataset: str, run: str) -> dict[str, str]:
    ends = {"source_type": "DATASET", "source_id": dataset}
    ends |= {"destination_type": "RUN", "destination_id": run}
    return {"input_uuid": _uuid(dataset, run), **ends}


def _uuid(*parts: Any) -> str:
    """32 hexadecimal digits, the same ones for the same parts, so that nothing is there twice."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

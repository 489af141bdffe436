"""The tables of MLflow's schema that are written in bulk, with the columns that are written.

Named here so that nobody has to import mlflow, which takes longer than to publish a run. The
schemas in `bulk.TESTED_REVISIONS` have them all; a test compares them with MLflow's own models.
"""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, String, Table, UnicodeText

_METADATA = sa.MetaData()


def _key(name: str, kind: type = String) -> Column[str]:
    return Column(name, kind, primary_key=True)


def _point() -> tuple[Column[float], Column[int], Column[int], Column[bool]]:
    return (
        Column("value", Float(precision=53)),
        Column("timestamp", BigInteger),
        Column("step", BigInteger),
        Column("is_nan", Boolean),
    )


EXPERIMENTS = Table(
    "experiments",
    _METADATA,
    _key("experiment_id", Integer),
    Column("name", String),
    Column("artifact_location", String),
    Column("lifecycle_stage", String),
    Column("creation_time", BigInteger),
    Column("last_update_time", BigInteger),
)
EXPERIMENT_TAGS = Table(
    "experiment_tags",
    _METADATA,
    _key("key"),
    Column("value", String),
    _key("experiment_id", Integer),
)
RUNS = Table(
    "runs",
    _METADATA,
    _key("run_uuid"),
    *(Column(name, String) for name in ("name", "source_type", "source_name", "entry_point_name")),
    *(Column(name, String) for name in ("user_id", "status")),
    *(Column(name, BigInteger) for name in ("start_time", "end_time", "deleted_time")),
    *(Column(name, String) for name in ("source_version", "lifecycle_stage", "artifact_uri")),
    Column("experiment_id", Integer),
)
PARAMS = Table("params", _METADATA, _key("key"), Column("value", String), _key("run_uuid"))
TAGS = Table("tags", _METADATA, _key("key"), Column("value", String), _key("run_uuid"))
METRICS = Table("metrics", _METADATA, Column("key", String), Column("run_uuid", String), *_point())
LATEST = Table("latest_metrics", _METADATA, _key("key"), _key("run_uuid"), *_point())
DATASETS = Table(
    "datasets",
    _METADATA,
    Column("dataset_uuid", String),
    _key("experiment_id", Integer),
    _key("name"),
    _key("digest"),
    Column("dataset_source_type", String),
    *(Column(f"dataset_{name}", UnicodeText) for name in ("source", "schema", "profile")),
)
INPUTS = Table(
    "inputs",
    _METADATA,
    Column("input_uuid", String),
    _key("source_type"),
    _key("source_id"),
    _key("destination_type"),
    _key("destination_id"),
)
INPUT_TAGS = Table(
    "input_tags", _METADATA, _key("input_uuid"), _key("name"), Column("value", String)
)

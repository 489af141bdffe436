"""Opens an MLflow store in the fastest way that is known to be right for it."""

import logging
import os

import sqlalchemy as sa

from runner.base.uri import without_credentials
from runner.tracking.batch import Store
from runner.tracking.bulk import BulkStore
from runner.tracking.files import Files
from runner.tracking.sql import open_engine

TESTED_REVISIONS = {
    "bda7b8c39065": "3.1.4",
    "1b5f0d9ad7c1": "3.10",
    "dc11669786a5": "3.17",
}
"""Of the schema, as alembic names them, and the MLflow with which the tests of it are run."""

TESTED_DRIVERS = ("sqlite+pysqlite", "postgresql+psycopg2")

log = logging.getLogger("runner.publish")


def open_store(uri: str, files: Files) -> Store:
    """The store at `uri`; a database that has no tables yet gets MLflow's."""
    is_server = uri.startswith("http")
    if not is_server and unsupported(uri) is None:
        return BulkStore(uri, files)
    from runner.tracking.client import ClientStore  # and mlflow, which takes seconds to import

    client = ClientStore(uri)  # creates the tables where there are none
    if is_server:
        return client
    reason = unsupported(uri)
    if reason is None:
        return BulkStore(uri, files)
    log.warning("points go through log_batch, not in bulk: %s", reason)
    return client


def unsupported(uri: str) -> str | None:
    """Why this module is not to write into the store at `uri`; None if it may."""
    if os.environ.get("MLFLOW_ENABLE_WORKSPACES", "").lower() in ("true", "1"):
        return "MLflow's workspaces are switched on"
    try:
        url = sa.make_url(uri)
        driver = f"{url.get_backend_name()}+{url.get_driver_name()}"
    except sa.exc.ArgumentError:  # a folder, say, or databricks
        return f"{without_credentials(uri)} is no database"
    if driver not in TESTED_DRIVERS:
        return f"{driver} is none of {', '.join(TESTED_DRIVERS)}"
    if driver.startswith("sqlite") and not os.path.exists(url.database or ""):
        return "the store is new"
    engine = open_engine(uri)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return "the store is new"
            found = connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all()
    finally:
        engine.dispose()
    if list(found) not in [[revision] for revision in TESTED_REVISIONS]:
        return f"the schema {', '.join(found)} is none of {', '.join(TESTED_REVISIONS)}"
    return None

"""Opens an MLflow store in the fastest way that is known to be right for it."""

import logging

from mlflow.version import VERSION

from runner.tracking.batch import Store
from runner.tracking.client import ClientStore

TESTED_VERSIONS = ("3.17.2",)  # of MLflow, with `runner.tracking.bulk`

log = logging.getLogger("runner.publish")


def open_store(uri: str) -> Store:
    """The store at `uri`; a database that has no tables yet gets MLflow's."""
    if uri.startswith("http"):
        return ClientStore(uri)
    if VERSION not in TESTED_VERSIONS:
        reason: str | None = f"MLflow {VERSION} is none of {', '.join(TESTED_VERSIONS)}"
        client = ClientStore(uri)
    else:
        from runner.tracking import bulk  # which another MLflow may not even let us import

        if bulk.unsupported(uri) is None:
            return bulk.BulkStore(uri)
        client = ClientStore(uri)  # creates the tables where there are none
        reason = bulk.unsupported(uri)
        if reason is None:
            return bulk.BulkStore(uri)
    log.warning("points go through log_batch, not in bulk: %s", reason)
    return client

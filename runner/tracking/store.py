"""Opens an MLflow store in the fastest way that is known to be right for it."""

import logging

from runner.tracking.batch import Store
from runner.tracking.bulk import BulkStore, unsupported
from runner.tracking.client import ClientStore

log = logging.getLogger("runner.publish")


def open_store(uri: str) -> Store:
    """The store at `uri`; a database that has no tables yet gets MLflow's."""
    if uri.startswith("http"):
        return ClientStore(uri)
    reason = unsupported(uri)
    if reason is None:
        return BulkStore(uri)
    client = ClientStore(uri)  # creates the tables where there are none
    reason = unsupported(uri)
    if reason is None:
        return BulkStore(uri)
    log.warning("points go through log_batch, not in bulk: %s", reason)
    return client

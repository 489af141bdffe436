"""Where the publisher says what went wrong: `mlruns/publish.log`."""

import logging
from pathlib import Path

from runner.base.uri import scrubbed

LOG = Path("mlruns/publish.log")

log = logging.getLogger("runner.publish")


def log_to_file(uri: str) -> None:
    """Send what is logged to `mlruns/publish.log`, without the credentials of `uri`."""

    class Scrubbing(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return scrubbed(super().format(record), uri)

    class LogFile(logging.FileHandler):
        def handleError(self, record: logging.LogRecord) -> None:
            """Say nothing, and no traceback: the disk is full, which the report tells."""

    handler = LogFile(LOG, delay=True, encoding="utf-8")
    handler.setFormatter(Scrubbing("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Its own as well: some MLflows take the root's away where they create tables.
    log.handlers, log.propagate = [handler], False

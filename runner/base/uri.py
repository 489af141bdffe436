"""Store URIs without what must not be written down."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

from runner.base import project

LOCAL = Path("mlruns/mlflow.db")
"""Of the project folder: the store where nothing else is said."""

SECRET = r"[^=&?#]*(?:passw(?:or)?d|passphrase|token|secret)[^=&?#]*"
"""The name of a parameter in a URI that has a secret value: `password`, `sslpassword`, ..."""

_QUERY_SECRET = re.compile(rf"(?<=[?&]){SECRET}=([^&#]*)&?", re.IGNORECASE)
# A password may hold `/`, `?` and `#`, which end a host; so may databases' URIs have `@` after it.
_USER = re.compile(r"^([\w+.-]+://)([^:/?#@]*(?::[^@]*)?(?:@[^@/?#]*)*)@")


def without_credentials(uri: str) -> str:
    """The URI as a journal, a log or a person may see it.

    A server's user and password go; a database keeps its user, who is part of where it is.
    """
    uri = _QUERY_SECRET.sub("", uri)
    uri = re.sub(r"[?&]+(?=#|$)", "", uri) if "://" in uri else uri
    if not (found := _USER.match(uri)):  # sqlite:///mlruns/mlflow.db, or a folder
        return uri
    scheme, user = found[1], found[2].partition(":")[0]
    keep = user and not scheme.startswith("http")
    return scheme + (f"{user}@" if keep else "") + uri[found.end() :]


def recorded(uri: str) -> str:
    """The URI as a journal has it: without credentials, and relative in the project folder.

    So a journal is for the same store when the folder has been moved.
    """
    uri, here = without_credentials(uri), f"sqlite:///{project.folder()}/"
    return f"sqlite:///{uri.removeprefix(here)}" if uri.startswith(here) else uri


def scrubbed(text: str, uri: str) -> str:
    """The text, an error message say, with the credentials of `uri` taken out of it."""
    text = text.replace(uri, without_credentials(uri))
    secrets = [found[1] for found in _QUERY_SECRET.finditer(uri)]
    if found := _USER.match(uri):
        text = text.replace(f"{found[2]}@", "")
        user, _, password = found[2].partition(":")
        is_token = not password and found[1].startswith("http")
        secrets.append(user if is_token else password)
    for secret in filter(None, [*secrets, *map(unquote, secrets)]):
        text = text.replace(secret, "***")
    return text


def is_of_here(store: str) -> bool:
    """Return whether the recorded URI is this folder's store, or the environment's."""
    chosen = os.environ.get("MLFLOW_TRACKING_URI", "")
    return store in ("", f"sqlite:///{LOCAL}") or bool(chosen and recorded(chosen) == store)


def with_credentials(store: str) -> str:
    """The store's URI as the environment has it, if that is the same store."""
    known = os.environ.get("MLFLOW_TRACKING_URI", "")
    return known if known and recorded(known) == store else store

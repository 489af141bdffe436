"""Where MLflow keeps artifacts: a file's URI or a path on this machine, or some service's URI."""

import os
from urllib.parse import urlsplit
from urllib.request import url2pathname


def is_local(uri: str) -> bool:
    """Whether it is a path of this machine, or a `file:` URI that names no other host."""
    if os.path.isabs(uri):
        return True
    parts = urlsplit(uri)
    return parts.scheme == "file" and parts.netloc in ("", "localhost")


def local_path(uri: str) -> str:
    """The path that a local one means."""
    return url2pathname(urlsplit(uri).path) if uri.startswith("file:") else uri


def below(uri: str, *names: str) -> str:
    """The URI of what has these names in the folder at `uri`."""
    if is_local(uri):
        return "/".join([uri.rstrip("/"), *names])
    from mlflow.utils.uri import append_to_uri_path  # which knows each service's queries

    return str(append_to_uri_path(uri, *names))

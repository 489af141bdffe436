"""Store URIs without what must not be written down."""

from urllib.parse import parse_qsl, urlencode, urlsplit

SECRET = "password"


def without_credentials(uri: str) -> str:
    """The URI as a journal, a log or a person may see it.

    A server's user and password go; a database keeps its user, who is part of where it is.
    """
    parts = urlsplit(uri)
    if not parts.netloc:  # sqlite:///mlruns/mlflow.db, or a folder
        return uri
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    keep_user = name and not parts.scheme.startswith("http")
    query = [(k, v) for k, v in parse_qsl(parts.query) if SECRET not in k.lower()]
    return parts._replace(
        netloc=f"{name}@{host}" if keep_user else host, query=urlencode(query)
    ).geturl()


def scrubbed(text: str, uri: str) -> str:
    """The text, an error message say, with the credentials of `uri` taken out of it."""
    parts = urlsplit(uri)
    user, _, _ = parts.netloc.rpartition("@")
    secrets = [uri, f"{user}@", parts.password, *(v for _, v in parse_qsl(parts.query))]
    plain = ["", "", "***", *("***" for _ in secrets[3:])]
    plain[0] = without_credentials(uri)
    for secret, instead in zip(secrets, plain, strict=True):
        if secret and secret != "@":
            text = text.replace(secret, instead)
    return text

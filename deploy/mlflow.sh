#!/usr/bin/env bash
# An MLflow server: runs in DATABASE, an SQLAlchemy URI, and artifacts in the folder ARTIFACTS.
# Who uses it needs neither: all goes through HOST:PORT. It answers to `localhost` and to addresses of
# private networks; NAMES has others, HOST:PORT each, with a comma between two.
set -euo pipefail
exec "${PYTHON:-python}" -m mlflow server --host "${HOST:-127.0.0.1}" --port "${PORT:-5000}" \
  --workers "${WORKERS:-2}" --backend-store-uri "$DATABASE" \
  --artifacts-destination "${ARTIFACTS:-./artifacts}" ${NAMES:+--allowed-hosts "$NAMES"}

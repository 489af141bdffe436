#!/usr/bin/env bash
# The first machine of a Ray cluster, at ADDRESS:PORT. RAY_AUTH_TOKEN is the cluster's secret.
set -euo pipefail
: "${RAY_AUTH_TOKEN:?set it to the secret of the cluster: openssl rand -hex 32}"
export RAY_AUTH_MODE=token
exec "${PYTHON:-python}" -m ray.scripts.scripts start --head --block --disable-usage-stats \
  --include-dashboard=false --node-ip-address="${ADDRESS:?an address that the workers reach}" \
  --port="${PORT:-6379}" --num-cpus="${CPUS:-$(nproc)}"

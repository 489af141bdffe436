#!/usr/bin/env bash
# The first machine of a Ray cluster, at ADDRESS:PORT, which the others reach: by default its own
# name's address, and 6379. RAY_AUTH_TOKEN is the secret of the cluster.
set -euo pipefail
: "${RAY_AUTH_TOKEN:?set it to the secret of the cluster: openssl rand -hex 32}"
export RAY_AUTH_MODE=token
exec "${PYTHON:-python}" -m ray.scripts.scripts start --head --block --disable-usage-stats \
  --include-dashboard=false --node-ip-address="${ADDRESS:-$(hostname -i | cut -d" " -f1)}" \
  --port="${PORT:-6379}" --num-cpus="${CPUS:-$(nproc)}"

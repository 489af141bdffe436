#!/usr/bin/env bash
# One more machine of the Ray cluster whose head is at HEAD, HOST:PORT. The secret is the head's.
set -euo pipefail
: "${RAY_AUTH_TOKEN:?set it to the secret of the cluster}"
export RAY_AUTH_MODE=token
exec "${PYTHON:-python}" -m ray.scripts.scripts start --block --disable-usage-stats \
  --address="${HEAD:?the address of the head, HOST:PORT}" \
  ${ADDRESS:+--node-ip-address="$ADDRESS"} --num-cpus="${CPUS:-$(nproc)}"

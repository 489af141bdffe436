#!/usr/bin/env bash
# A sweep as jobs of SLURM, led from a login node; run it in a folder that all machines see.
#   PARTITION=short bash deploy/slurm.sh 'lr=tag(log,interval(1e-4,1))' sweep.samples=200
set -euo pipefail
exec "${PYTHON:-python}" -m runner -m hydra/launcher=slurm \
  hydra.launcher.partition="${PARTITION:?sinfo lists them}" \
  hydra.launcher.timeout_min="${MINUTES:-60}" hydra.launcher.jobs="${JOBS:-100}" \
  hydra.launcher.cpus_per_task="${CPUS:-1}" "$@"

"""Run the tests of bits as on other processors: python -m tests.support.processors [ARGS].

OpenBLAS, MKL and PyTorch each choose their kernels by the processor when they start, and each can
be told to take those of another one. What this processor cannot run is left out, and said so.
"""

import os
import subprocess
import sys
from pathlib import Path

PROCESSORS = {
    "SSE3": {"OPENBLAS_CORETYPE": "Prescott"},
    "AVX2": {"OPENBLAS_CORETYPE": "Haswell"},
    "AVX2 for MKL": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "no AVX for PyTorch": {"ATEN_CPU_CAPABILITY": "default"},
}
NEEDED = {"SSE3": "pni", "AVX2": "avx2", "AVX2 for MKL": "avx2"}
SWITCHES = {name for switches in PROCESSORS.values() for name in switches}


def main(arguments):
    """Run pytest once for each processor; return how many of them had a failed test."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    failed = []
    for name, switches in PROCESSORS.items():
        text = " ".join(f"{key}={value}" for key, value in switches.items())
        if name in NEEDED and NEEDED[name] not in flags:
            print(f"== {name}: left out, this processor has no {NEEDED[name]}", flush=True)
            continue
        print(f"== {name} {text}", flush=True)
        environment = {k: v for k, v in os.environ.items() if k not in SWITCHES} | switches
        command = [sys.executable, "-m", "pytest", "-m", "bits", *arguments]
        if subprocess.run(command, env=environment).returncode:
            failed.append(name)
    print(f"processors with failed tests: {', '.join(failed) or 'none'}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

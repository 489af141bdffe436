"""An executor whose processes share no folder with who leads: records come through a pipe."""

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

from runner.sweeps.executors import remote
from runner.sweeps.executors.remote import Arrivals, Begun

ROOT = Path(__file__).resolve().parents[2]


class Pipes:
    """See `sweeps.executors.contract.Executor`: a process for each unit, in a folder of its own."""

    def __init__(self, journal):
        self.journal, self.folders = journal, []

    def run(self, works, over, tell, unit_is_done):
        works = list(works)
        arrivals = Arrivals(works, self.journal, tell)
        for number, work in enumerate(works):
            if over():
                return
            for _ in range(2):
                if arrivals.left(number):
                    self._attempt(number, work.only(arrivals.left(number)), arrivals)
            arrivals.give_up(number, "its process ended")
            unit_is_done()

    def _attempt(self, number, work, arrivals):
        self.folders.append(Path(tempfile.mkdtemp()))
        command = [sys.executable, "-c", "from tests.support.pipes import serve; serve()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        own = {**os.environ, "PYTHONPATH": str(ROOT)}
        attempt = str(self.folders[-1])
        arrivals.take([(attempt, Begun(number, ""))])
        with subprocess.Popen(command, cwd=self.folders[-1], env=own, **pipes) as process:
            pickle.dump(work, process.stdin)
            process.stdin.close()
            try:
                while True:
                    arrivals.take([(attempt, pickle.load(process.stdout))])
            except EOFError:
                pass


def serve():
    """Carry out the unit that standard input holds."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr

    def send(message):
        named = getattr(message, "method", "")
        if named and named == os.environ.get("DIES_AT") and not Path(os.environ["DIED"]).exists():
            Path(os.environ["DIED"]).touch()
            os._exit(9)
        pickle.dump(message, out)
        out.flush()

    remote.carry_out(pickle.load(sys.stdin.buffer), send, [])

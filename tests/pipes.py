"""An executor whose processes share no folder with who leads: records come through a pipe."""

import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from runner.executor import Result, do
from runner.journal import new_id

ROOT = Path(__file__).resolve().parents[1]


class Pipes:
    """See `runner.executor.contract.Executor`: a process for each unit, in a folder of its own."""

    def __init__(self, journal):
        self.journal, self.folders = journal, []

    def run(self, works, over, tell, unit_is_done):
        for work in works:
            if over():
                return
            self._carry_out(work, tell, tries=2)
            unit_is_done()

    def _carry_out(self, work, tell, tries):
        self.folders.append(Path(tempfile.mkdtemp()))
        command = [sys.executable, "-c", "from tests.pipes import serve; serve()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        own = {**os.environ, "PYTHONPATH": str(ROOT)}
        left = set(work.numbers)
        with subprocess.Popen(command, cwd=self.folders[-1], env=own, **pipes) as process:
            pickle.dump(work, process.stdin)
            process.stdin.close()
            try:
                while left:
                    message = pickle.load(process.stdout)
                    if isinstance(message, Result):
                        left.discard(message.cell)
                        tell(message)
                    else:
                        name, *arguments = message
                        getattr(self.journal, name)(*arguments)
            except EOFError:
                pass
        if left and tries > 1:
            self._carry_out(work.only(left), tell, tries - 1)
        elif left:
            for number in left:
                tell(Result(number, "failed", reason="its process ended"))


class Sent:
    """What a unit records, sent to who leads; see `runner.journal.Sink`."""

    def __init__(self, send):
        self._send = send

    def begin(self, start):
        run = new_id()
        self._send(("begin", start, run))
        return run

    def record(self, run, rows):
        self._send(("record", run, rows.copy()))

    def end(self, run, end):
        self._send(("end", run, end))

    @contextmanager
    def together(self):
        yield


def serve():
    """Carry out the unit that standard input holds."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr

    def send(message):
        if message[0] == os.environ.get("DIES_AT") and not Path(os.environ["DIED"]).exists():
            Path(os.environ["DIED"]).touch()
            os._exit(9)
        pickle.dump(message, out)
        out.flush()

    do(pickle.load(sys.stdin.buffer), Sent(send), [], send)

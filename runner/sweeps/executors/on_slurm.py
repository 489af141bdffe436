"""Carries out units as jobs of SLURM, through submitit.

SLURM chooses the machine, and begins a job anew whose machine was lost. A cluster with SLURM has a
folder that all its machines see, which submitit needs as well: there each attempt at a unit writes
what it records to a file of its own, which is read here while it grows.
"""

import pickle
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

from runner.base import project
from runner.base.console import prepare, say
from runner.base.files import replacing
from runner.config.cell import Cell
from runner.errors import ConfigError
from runner.record.journal import Journal, new_id
from runner.sweeps.executors.alike import Versions, differences, of_this_machine, versions
from runner.sweeps.executors.contract import Tell
from runner.sweeps.executors.remote import Arrivals, Begun, Message, carry_out
from runner.sweeps.executors.result import Result
from runner.sweeps.executors.work import Work

INSTALL = "pip install 'gradient-descent-runner[slurm]'"
FOLDER = "mlruns/slurm"
EVERYWHERE = ("name", "timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb")
"""Parameters that submitit has for every cluster; the others are SLURM's"""
POLL_SECONDS = 0.2
STOP, UNLIKE, RECORDS = "stop", "unlike.txt", ".records"


class Jobs(NamedTuple):
    """What a config says of the jobs."""

    cluster: str
    """`slurm`; `local` carries jobs out on this machine, to try them"""
    jobs: int
    """So many at most: more units share them"""
    parameters: Mapping[str, Any]
    """Those of submitit, for each job"""


class OnSlurm:
    """See `runner.sweeps.executors.contract.Engine`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def check(self, cells: Sequence[Cell]) -> None:
        """Raises ConfigError where there is no SLURM, or no submitit."""
        if find_spec("submitit") is None:
            raise ConfigError(f"hydra/launcher=slurm: needs submitit: {INSTALL}")
        for name, value in {"jobs": self._jobs.jobs, **self._jobs.parameters}.items():
            if isinstance(value, int | float) and value < (0 if name == "gpus_per_node" else 1):
                raise ConfigError(f"hydra.launcher.{name}", expected="1 or more", got=f"{value:g}")
        self._submitter(project.folder() / FOLDER)

    def executor(self, journal: Callable[[], Journal], received: Sequence[str]) -> "_Units":
        """One for the units of a round, whose records go into the journal."""
        folder = project.folder() / FOLDER / new_id()
        folder.mkdir(parents=True)
        say(f"jobs        {project.shown(folder)} has what they print")
        return _Units(self._submitter(folder), folder, self._jobs.jobs, journal)

    def _submitter(self, folder: Path) -> Any:
        """Submitit's executor. Raises ConfigError."""
        import submitit

        own = {
            key if key in EVERYWHERE else f"slurm_{key}": value
            for key, value in self._jobs.parameters.items()
            if value is not None
        }
        try:
            made = submitit.AutoExecutor(folder, cluster=self._jobs.cluster)
            made.update_parameters(**own)
        except Exception as error:  # whatever submitit says of its parameters
            raise ConfigError(f"hydra/launcher=slurm: {error}") from error
        return made

    def close(self) -> None:
        """Nothing was started that has not ended."""


class _Units:
    """See `runner.sweeps.executors.contract.Executor`."""

    def __init__(
        self, submitter: Any, folder: Path, jobs: int, journal: Callable[[], Journal]
    ) -> None:
        self._submitter, self._folder, self._most, self._journal = submitter, folder, jobs, journal

    def run(
        self,
        works: Iterable[Work],
        over: Callable[[], str],
        tell: Tell,
        unit_is_done: Callable[[], None],
    ) -> None:
        units = list(works)
        arrivals = Arrivals(units, self._journal(), tell)
        reader = _Reader(self._folder)
        here = versions(cell for work in units for cell in work.cells)
        shares = [range(first, len(units), self._most) for first in range(self._most)]
        with self._submitter.batch():
            jobs = [
                self._submitter.submit(
                    several, [(n, units[n]) for n in share], str(self._folder), here
                )
                for share in shares
                if share
            ]
        running = dict(zip(jobs, shares, strict=False))
        done: set[int] = set()
        stopped = False
        try:
            while running:
                if over() and not stopped:
                    stopped = True
                    (self._folder / STOP).write_text(over())
                    for job, share in running.items():
                        if not arrivals.begun() & {*share}:  # it would begin only to end
                            job.cancel()
                time.sleep(POLL_SECONDS)
                ended = [job for job in running if job.done()]  # before the last look
                arrivals.take(reader.rest())
                self._refuse_unlike()
                for number in arrivals.begun() - done:
                    if not arrivals.left(number):
                        done.add(number)
                        unit_is_done()
                for job in ended:
                    why = "" if stopped else _reason(job)
                    for number in running.pop(job):
                        if stopped:
                            arrivals.cut_off(number, "its job was stopped")
                        elif arrivals.left(number):
                            arrivals.give_up(number, why)
        finally:
            for job in running:  # an exception has come, a second Ctrl-C: nobody waits for them
                job.cancel()

    def _refuse_unlike(self) -> None:
        """Raise ConfigError if a job has met another Python, library or code than is here."""
        path = self._folder / UNLIKE
        if path.exists():
            raise ConfigError(f"machines of the cluster are unlike this one:\n{path.read_text()}")


def _reason(job: Any) -> str:
    """Why a job has left a unit behind, in a line."""
    if not job.paths.result_pickle.exists():  # submitit would wait for it a while
        told = job.stderr() or ""
        why = f"{job.state}, and said nothing of why"
    else:
        told, why = str(job.exception() or ""), job.state
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return f"job {job.job_id} ended without it: {lines[-1] if lines else why}"


def several(units: Sequence[tuple[int, Work]], folder: str, wanted: Versions) -> None:
    """What a job does: units, one after another."""
    prepare()
    place = Path(folder)
    name, found = of_this_machine(list(wanted))
    if wrong := [f"{name}: {fault}" for fault in differences(wanted, found)]:
        with replacing(place / UNLIKE, place / f"{UNLIKE}.{new_id()}") as new:  # jobs write at once
            new.write_text("\n".join(wrong))
        return
    for number, work in units:
        if not (place / STOP).exists():
            _one(number, work, place)


def _one(number: int, work: Work, place: Path) -> None:
    told = {
        message.cell
        for path in place.glob(f"{number}.*{RECORDS}")
        for message in _Growing(path).rest()
        if isinstance(message, Result)
    }
    left, stop, received = {*work.numbers} - told, place / STOP, list[str]()
    if not left:  # a job that was begun anew had done it
        return
    with open(place / f"{number}.{new_id()}{RECORDS}", "xb") as out:

        def send(message: Message) -> None:
            pickle.dump(message, out)
            out.flush()
            if not received and stop.exists():
                received.append(stop.read_text())

        send(Begun(number, socket.gethostname()))
        carry_out(work.only(left), send, received)


class _Growing:
    """The messages of a file that another process writes: whole ones, as far as there are."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")

    def rest(self) -> Iterator[Any]:
        """Those that are there now, after the ones before."""
        while True:
            at = self._file.tell()
            try:
                yield pickle.load(self._file)
            except (EOFError, pickle.UnpicklingError):  # its end is not written yet
                self._file.seek(at)
                return


class _Reader:
    """All files of a folder, the attempts in the order in which they have begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Growing] = {}

    def rest(self) -> Iterator[tuple[str, Message]]:
        """What has come since."""
        # Ids are in the order of time, and begin after the unit's number.
        paths = sorted(self._folder.glob(f"*{RECORDS}"), key=lambda path: path.name.split(".")[1])
        for path in paths:
            if path.name not in self._files:
                self._files[path.name] = _Growing(path)
            for message in self._files[path.name].rest():
                yield path.name, message

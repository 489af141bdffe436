"""Who computes: units of work go in, their records and results come out.

Every executor does the same, wherever its processes are: this one, a pool of local ones, or others
that share no disk with it. See `Executor` for what one has to fill, and `sweeps.executors.here` for
the shortest that does.
"""

from runner.sweeps.executors.contract import Engine, Executor, Tell
from runner.sweeps.executors.here import Here
from runner.sweeps.executors.local import Local
from runner.sweeps.executors.pool import Pool
from runner.sweeps.executors.result import Result, result
from runner.sweeps.executors.work import Work, do

__all__ = ["Engine", "Executor", "Here", "Local", "Pool", "Result", "Tell", "Work", "do", "result"]

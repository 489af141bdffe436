"""Who computes: units of work go in, their records and results come out.

Every executor does the same, wherever its processes are: this one, a pool of local ones, or others
that share no disk with it. See `Executor` for what one has to fill, and `runner.executor.here` for
the shortest that does.
"""

from runner.executor.contract import Engine, Executor, Tell
from runner.executor.here import Here
from runner.executor.local import Local
from runner.executor.pool import Pool
from runner.executor.result import Result, result
from runner.executor.work import Work, do

__all__ = ["Engine", "Executor", "Here", "Local", "Pool", "Result", "Tell", "Work", "do", "result"]

"""Rows as they were before runs declared their columns: journals that are still read."""

from runner.record import column


def row_type(parameters, dtype):
    """One step of a trajectory with so many parameters."""
    return column.row_type(column.standard({"w": (parameters,)}, dtype))

"""What the programs of a run by itself share."""

from runner.base.arrays import Index


class LoneProgram:
    """A program of a run by itself, which has no cells that could end before others."""

    def keep(self, cells: Index) -> None:
        """Raise NotImplementedError: a run by itself ends as a whole."""
        raise NotImplementedError("a run by itself ends as a whole")

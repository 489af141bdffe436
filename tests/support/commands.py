"""Commands such as `python -m runner.show`, carried out in this process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from runner.cli.entry import status_of


def entered(main, *typed):
    """Return the exit status of a command, and what it prints on standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["command", *typed])
        with redirect_stdout(out), redirect_stderr(err):
            status = status_of(main)
    assert "Traceback" not in err.getvalue()
    assert "Warning" not in err.getvalue()
    return status, out.getvalue(), err.getvalue()

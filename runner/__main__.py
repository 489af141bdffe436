"""The command: `python -m runner [-m] [KEY=VALUE ...]`."""

import signal
import sys

from runner.tracking import process


def main() -> None:
    """Start the publisher, import the rest while it imports mlflow, and run."""
    process.start_ahead(sys.argv[1:])
    from runner import command
    from runner.tracking import session

    try:
        command.main()
    finally:
        session.finish()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # before a run has begun, or between two
        sys.exit(128 + signal.SIGINT)

"""`python -m app` runs the backend."""

import argparse
import sys
from pathlib import Path

from app.server import main


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="The PIDEA backend. Its settings are environment variables; app/README.md lists them.",
    )
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="run without PostgreSQL and Redis, for development: SQLite in a folder, one process, on loopback",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="where --embedded keeps its data and the developer's token (default: .pidea/embedded)",
    )
    arguments = parser.parse_args()
    if arguments.data is not None and not arguments.embedded:
        parser.error("--data is only for --embedded")
    return arguments


if __name__ == "__main__":
    given = _arguments()
    sys.exit(main((given.data or Path(".pidea/embedded")).absolute() if given.embedded else None))

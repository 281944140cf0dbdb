"""`python -m ops`, which the launcher `./pidea` starts."""

from ops.cli import main

if __name__ == "__main__":
    main()

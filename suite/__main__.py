"""``python -m suite`` is ``convmark``."""

from suite.cli import main

if __name__ == "__main__":
    main()

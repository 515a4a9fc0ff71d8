"""`python -m bench`: enters the clone's own environment, which is made where it is missing, and measures."""

import sys

from tixxety.bootstrap import enter_environment


def main() -> None:
    """Run the bench's command line."""
    enter_environment(["-m", "bench", *sys.argv[1:]])
    from bench.cli import main as command_line

    command_line()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

"""`python3 -m tixxety COMMAND`, and `python3 tixxety COMMAND` where Python knows the folder alone."""

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tixxety.bootstrap import main

if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

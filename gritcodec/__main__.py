"""`python -m gritcodec`: the command line."""

import sys

from gritcodec.cli import main

if __name__ == "__main__":
    sys.exit(main())

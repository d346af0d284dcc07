"""`python -m gritcodec`: the command line."""

import sys

from gritcodec.cli.app import main

if __name__ == "__main__":
    sys.exit(main())

"""Starts the listening page: `python demo/app.py` is `gritcodec demo`, options included."""

import sys

from gritcodec.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))

"""`python -m gritcodec.page OUT` writes the page as `gritcodec page OUT` does; with --weights the weights alone."""

import sys
from pathlib import Path

from gritcodec import model_store
from gritcodec.page import weights
from gritcodec.page.write import write


def main() -> None:
    """Write what the command line asks for."""
    arguments = [each for each in sys.argv[1:] if each != "--weights"]
    if len(arguments) != 1 or not arguments[0]:
        sys.exit("usage: python -m gritcodec.page [--weights] OUT")
    if "--weights" not in sys.argv:
        write(arguments[0], overwrite=True)
        return
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in weights.files(model_store.read(model_store.resolve("speech-16k"))).items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()

"""The verbs that make models: train, export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gritcodec import messages, units
from gritcodec.cli.options import Force, help_end, named_path, option

_EXIT_CODES = (
    "Exit codes: 0 done, or stopped after --minutes; 1 the training went wrong, or no space; 2 bad use, such as an "
    "unknown key in CONFIG; 130 interrupted: the same command goes on from the last checkpoint."
)
TRAIN_HELP = help_end(
    "train recipes/debian-speech/speech-16k.yaml --smoke    # does it work here?",
    "train my.yaml --minutes 30                             # and then once more",
    codes=_EXIT_CODES,
)
EXPORT_HELP = help_end(
    "export runs/speech-16k",
    "export runs/speech-16k models/mine",
    codes="Exit codes: 0 done; 1 no space; 2 bad use, such as a run without weights; 130 interrupted.",
)


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, see recipes/.", parser=named_path)],
    smoke: Annotated[bool, typer.Option("--smoke", help="A dozen small steps on the bundled clip.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the run's last checkpoint.")] = True,
    minutes: Annotated[
        Any,
        option(
            units.parse_minutes,
            "--minutes",
            metavar="TIME",
            help="Stop after that long, with a checkpoint: 30, 90s, 2h ...",
        ),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave accelerators alone.")] = False,
) -> None:
    """Train a model as a YAML file says."""
    with messages.needing("train", "training"):
        from gritcodec.train import run

        run.main(config, smoke=smoke, resume=resume, minutes=minutes, cpu=cpu)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.", parser=named_path)],
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="The model's folder. [default: in RUN]", parser=named_path)
    ] = None,
    force: Force = False,
) -> None:
    """Make a model folder to ship of a run's best weights."""
    with messages.needing("train", "export"):
        from gritcodec.train.export import export as write

        folder = write(run, out, force)
    if not messages.is_quiet():
        print(messages.visible(str(folder)))

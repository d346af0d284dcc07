"""`gritcodec export RUN`: a run's best weights as a model folder to ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from gritcodec import config as configuration
from gritcodec import files, messages, model_store
from gritcodec.engine import store
from gritcodec.errors import ConfigError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.train import provenance
from gritcodec.train.checkpoint import MODEL, START, step_of
from gritcodec.train.config import TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.drawing import draw_codes
from gritcodec.train.validate import BEST, BEST_SCORE, BITRATES, Validation

# Latents for the codes of a run that was stopped before it had any: enough to listen to, in seconds.
_VECTORS = 16384


def export(run: Path, out: Path | None = None, force: bool = False) -> Path:
    """Write config.yaml, weights.safetensors (fp16) and a model card.

    Args:
        run: a run's folder.
        out: the model's folder, RUN/export/NAME when not given; it appears whole or not at all.
        force: replace a model's folder that is there.

    Returns:
        The model's folder.

    Raises:
        ConfigError: no run there, or no weights yet, or nothing to measure them on: a model without measurements is
            not shipped; or `out` is no model's folder.
        OutputError: the folder cannot be written.
    """
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"no run in {run}: it has no config.yaml")
    config = configuration.from_dict(TrainConfig, configuration.read_yaml(run / "config.yaml"), str(run))
    out = out or run / "export" / config.name
    if out.exists() and not force:
        raise ConfigError(f"{out} is there already; --force replaces it")
    if out.exists() and not _is_export(out):
        raise ConfigError(f"{out} holds other things than a model: it is not replaced, with --force either")
    network, best = _best(run, config)
    part = out.with_name(f".{out.name}.part")
    with files.new_folders(out.parent), store.writing(out):
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            store.save(part, network)
            parameters = sum(p.numel() for p in network.parameters())
            (part / "README.md").write_text(card(config, best, parameters, _environment(run)), encoding="utf-8")
            if out.exists():
                shutil.rmtree(out)
            part.replace(out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return out


def _is_export(path: Path) -> bool:
    """Whether a folder holds nothing but what is written here: it goes as a whole."""
    ours = {model_store.CONFIG, model_store.WEIGHTS, "README.md"}
    return path.is_dir() and {each.name for each in path.iterdir()} <= ours


def _best(run: Path, config: TrainConfig) -> tuple[Autoencoder, dict[str, Any]]:
    """Return a run's best weights and their measurements; of one that was not validated yet the last, measured now."""
    if (run / BEST_SCORE).is_file() and (run / BEST / model_store.WEIGHTS).is_file():
        return store.load(run / BEST), json.loads((run / BEST_SCORE).read_text(encoding="utf-8"))
    step = step_of(run) or 0
    if (run / MODEL / model_store.WEIGHTS).is_file():
        network = store.load(run / MODEL)
    elif (run / START / model_store.WEIGHTS).is_file():
        network = _with_codes(run, config)
    else:
        raise ConfigError(
            f"{run} has no weights yet: they come every {config.checkpoint_every:,} steps (checkpoint_every), and "
            "where --minutes stops it"
        )
    values = Validation(config.data, config.network, run).measure(network)
    if not values:
        raise ConfigError(f"{run}: nothing to measure it on: the corpus {config.data.corpus} holds no voices out")
    return network, {"step": step, **values}


def _with_codes(run: Path, config: TrainConfig) -> Autoencoder:
    """Return the network of a run that has no codes yet, with some of its own: to hear where it stands."""
    vectors = min(config.draw_vectors, _VECTORS)
    messages.note(f"{run} has no codes yet: they are drawn now, from {vectors:,} latents")
    network = Autoencoder(config.network)
    store.start(network, run / START)
    draw_codes(network.eval(), open_corpus(config.data, config.network.sample_rate), config, vectors)
    return network


def _environment(run: Path) -> dict[str, Any]:
    path = run / provenance.FILE
    if not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8").splitlines()[-1])


def card(config: TrainConfig, best: dict[str, Any], parameters: int, environment: dict[str, Any]) -> str:
    """The model card, Markdown."""
    network, quantizer = config.network, config.network.quantizer
    rate = network.sample_rate / network.hop_length * (quantizer.codebook_size.bit_length() - 1) / 1000
    rows = []
    for kbps in BITRATES:
        numbers = (best.get(f"valid/{name}-{kbps:g}") for name in ("pesq", "estoi", "mel"))
        rows.append(f"| {kbps:g} | " + " | ".join("-" if n is None else f"{n:.3f}" for n in numbers) + " |")
    return f"""# {config.name}

{network.sample_rate} Hz mono, {rate:g} to {rate * quantizer.stages:g} kbps in steps of {rate:g} from one model.

| | |
| --- | --- |
| parameters | {parameters / 1e6:.1f} M, fp16 safetensors |
| quantizer | {quantizer.stages} residual GRIT-VQ stages of {quantizer.codebook_size} codes of {quantizer.dim} \
dimensions, `{quantizer.radius}` radius, `{quantizer.transform}` transform (folded in) |
| training | step {best["step"]} of {config.steps}, {config.data.batch} x {config.data.segment:g} s a step, \
corpus `{config.data.corpus}`, {"adversarial" if config.adversarial.start is not None else "spectral losses only"} |
| made with | revision {environment.get("revision")}, torch {environment.get("packages", {}).get("torch")}, \
{environment.get("processes")} process(es) on {environment.get("device")} |

GRIT-VQ follows the abstract of arXiv 2602.01140; the equations are this project's own definition
(`gritcodec/quantize/grit.py`), not the authors' code.

## Measured in training

On fixed clips of voices that the corpus holds out, codes only (no file overhead); score {best["score"]:.4f}.

| kbps | PESQ-WB | ESTOI | log-mel |
| --- | --- | --- | --- |
{chr(10).join(rows)}
"""

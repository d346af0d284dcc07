"""The training loop: one class on Accelerate."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from torch import Tensor, nn

from gritcodec import model_store
from gritcodec.errors import GritcodecError
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.train.checkpoint import load_checkpoint, save_checkpoint
from gritcodec.train.config import OptimizerConfig, TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.losses import ReconstructionLoss
from gritcodec.train.report import Report


class TrainingError(GritcodecError):
    """The run cannot go on, for instance because the loss is not a number."""


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Share of the peak rate at a step: linear warm-up, constant, linear decay."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    decay = max(round(config.decay * steps), 1)
    left = (steps - step) / decay
    return config.final + (1 - config.final) * min(max(left, 0.0), 1.0)


def parameter_groups(network: Autoencoder, config: OptimizerConfig) -> list[dict]:
    """Encoder and the rest, each with weight decay on matrices alone; codes and transforms with rates of their own."""
    groups: list[dict] = []
    quantizer = [p for p in network.quantizer.parameters() if p.requires_grad]
    apart = {id(p) for p in quantizer}
    for encoder in (True, False):
        parameters = [
            p for name, p in network.named_parameters() if name.startswith("encoder.") == encoder and id(p) not in apart
        ]
        for matrices in (True, False):
            groups.append(
                {
                    "params": [p for p in parameters if (p.ndim > 1) == matrices],
                    "factor": 1.0,
                    "factor_with_codes": config.encoder_rate if encoder else 1.0,
                    "weight_decay": config.weight_decay if matrices else 0.0,
                }
            )
    for base in (True, False):
        # Decay would pull a transform away from the identity, so neither has any.
        rate = config.codebook_rate if base else config.transform_rate
        parameters = [p for p in quantizer if (p is network.quantizer.base) == base]
        if parameters:
            groups.append({"params": parameters, "factor": rate, "factor_with_codes": rate, "weight_decay": 0.0})
    return groups


class Trainer:
    """One run: builds everything from a TrainConfig, resumes when there is a checkpoint, trains.

    Args:
        config: the run.
        resume: go on from the run folder's checkpoint if there is one.
        cpu: do not use an accelerator even when there is one.
    """

    def __init__(self, config: TrainConfig, resume: bool = True, cpu: bool = False):
        self.config = config
        self.accelerator = Accelerator(
            mixed_precision=config.precision,
            cpu=cpu or not torch.cuda.is_available(),
            # Before the codes are drawn the codebooks take no part in the step.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.device = self.accelerator.device
        set_seed(config.seed)
        self.folder = Path(config.runs) / config.name
        self.network = self._build().to(self.device)
        self.loss = ReconstructionLoss(config.loss, config.network.sample_rate).to(self.device)
        self.corpus = open_corpus(config.data, config.network.sample_rate)
        optimizer = torch.optim.AdamW(
            parameter_groups(self.network, config.optimizer),
            lr=config.optimizer.rate,
            betas=(config.optimizer.betas[0], config.optimizer.betas[1]),
            fused=True,
        )
        self.average = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.step = 0
        if resume:
            self.step = load_checkpoint(self.folder, self.network, self.average, optimizer) or 0
        self.model, self.optimizer = self.accelerator.prepare(self.network, optimizer)
        self.report = Report(self.folder) if self.accelerator.is_main_process else None

    def _build(self) -> Autoencoder:
        network = Autoencoder(self.config.network)
        if self.config.start:
            model_store.start(network, model_store.resolve(self.config.start))
        return network.train()

    def run(self) -> None:
        """Train to the configured step or time, checkpoint and write the averaged model to the run's folder."""
        config, started, clock = self.config, time.monotonic(), time.monotonic()
        first = self.step
        while self.step < config.steps:
            missing = not self.network.quantizer.is_ready and self.step >= config.quantize_after
            if missing or self.step in config.redraw:
                self._draw_codes()
            values = self.train_step()
            self.step += 1
            if self.step % config.log_every == 0 or self.step == config.steps:
                self._log(values, (time.monotonic() - clock) / (self.step - first))
                first, clock = self.step, time.monotonic()
            if self.step % config.audio_every == 0:
                self._log_audio()
            if self.step % config.checkpoint_every == 0:
                self._checkpoint()
            if self._time_is_up(started):
                break
        self._checkpoint()
        if self.report:
            self.report.close()

    def _time_is_up(self, started: float) -> bool:
        if not self.config.minutes:
            return False
        over = torch.tensor(float(time.monotonic() - started > self.config.minutes * 60), device=self.device)
        if dist.is_initialized():
            dist.broadcast(over, 0)  # all ranks stop at the same step
        return bool(over)

    def _local(self, batch: Tensor) -> Tensor:
        """This rank's share of a global batch."""
        ranks, rank = self.accelerator.num_processes, self.accelerator.process_index
        if batch.shape[0] % (ranks * self.config.accumulate):
            raise TrainingError(f"data.batch {batch.shape[0]} cannot be shared by {ranks} processes")
        share = batch.shape[0] // ranks
        return batch[rank * share : (rank + 1) * share].to(self.device)

    def train_step(self) -> dict[str, Tensor]:
        """One optimizer step; returns its losses and measurements."""
        config = self.config
        rate = config.optimizer.rate * learning_rate(config.optimizer, self.step, config.steps)
        factor = "factor_with_codes" if self.network.quantizer.is_ready else "factor"
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[factor]
        # Noise is a function of the step and the rank, so that a resumed run draws what it would have drawn.
        torch.manual_seed(config.seed + 1000 * self.step + self.accelerator.process_index)
        draw = random.Random(f"{config.seed}/{self.step}")
        waveforms = self._local(self.corpus.batch(config.data, config.seed, self.step))
        levels = self._local(self.corpus.levels(config.data, config.seed, self.step))
        active = self._local(self._draw_stages(config.data.batch))
        values: dict[str, Tensor] = {}
        state = draw.getstate()
        parts = list(zip(*(x.chunk(config.accumulate) for x in (waveforms, levels, active)), strict=True))
        for index, (part, level, stages) in enumerate(parts, 1):
            draw.setstate(state)  # all parts of a step see the same resolutions
            with nullcontext() if index == len(parts) else self.accelerator.no_sync(self.model):
                losses, metrics = self._losses(part, level, stages, draw)
                self.accelerator.backward(torch.stack(list(losses.values())).sum() / config.accumulate)
            for name, value in {**losses, **metrics}.items():
                values[name] = values.get(name, 0) + value.detach() / config.accumulate
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.optimizer.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average()
        return {**values, "gradient": norm}

    def _losses(
        self, waveforms: Tensor, levels: Tensor, active: Tensor, draw: random.Random
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        with self.accelerator.autocast():
            output, quantized = self.model(waveforms * levels, active)
        delay = self.network.delay
        target = waveforms[..., : waveforms.shape[-1] - delay]
        losses = self.loss(output[..., delay:].float() / levels, target, draw)
        return {**losses, **quantized.losses}, quantized.metrics

    def _draw_stages(self, count: int) -> Tensor:
        """Stages each item uses (quantizer dropout), the same for every rank's view of a step."""
        draw = random.Random(f"stages/{self.config.seed}/{self.step}")
        stages = self.network.quantizer.stages
        chosen = [stages if draw.random() < self.config.full_stages else draw.randint(1, stages) for _ in range(count)]
        return torch.tensor(chosen)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Short at first, so that the average never holds on to the random beginning.
        decay = min(self.config.optimizer.ema, (self.step + 1) / (self.step + 10))
        parameters = dict(self.network.named_parameters())
        torch._foreach_lerp_(list(self.average.values()), [parameters[name] for name in self.average], 1 - decay)

    @torch.no_grad()
    def _draw_codes(self) -> None:
        """Draw all stages' codes from latents of training audio; every rank computes the same.

        The averaged weights take over first: they are what is shipped, and codes must fit their latents.
        """
        config, index = self.config, 0
        for name, parameter in self.network.named_parameters():
            parameter.copy_(self.average[name])
        found: list[Tensor] = []
        while sum(len(latents) for latents in found) < config.draw_vectors:
            batch = self.corpus.batch(config.data, config.seed + 1, index).to(self.device)
            with self.accelerator.autocast():
                latents = self.network.encoder(batch[:, 0])
            found.append(latents.float().flatten(0, 1))
            index += 1
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(config.seed)
            self.network.quantizer.initialize(torch.cat(found), iterations=8)
        for name, parameter in self.network.quantizer.named_parameters():
            self.average[f"quantizer.{name}"].copy_(parameter)
            self.optimizer.state.pop(parameter, None)

    def _log(self, values: dict[str, Tensor], seconds: float) -> None:
        if not self.report:
            return
        numbers = {name: float(value) for name, value in values.items() if value.ndim == 0}
        bad = [name for name, value in numbers.items() if value != value]
        if bad:
            raise TrainingError(f"step {self.step}: {', '.join(bad)} is not a number")
        if "error" in values:
            error = values["error"].tolist()
            numbers |= {f"error/stage-{i:02d}": value for i, value in enumerate(error, 1)}
            perplexity = self.network.quantizer.perplexity()
            numbers |= {"left": error[-1], "ppl_first": float(perplexity[0]), "ppl": float(perplexity.mean())}
            numbers["ppl_min"] = float(perplexity.min())
            self.report.codebooks(self.step, self.network.quantizer.usage, perplexity)
        numbers["rate"] = self.optimizer.param_groups[2]["lr"]
        numbers["seconds"] = seconds
        self.report.scalars(self.step, numbers)

    def _log_audio(self) -> None:
        """Audio, spectrograms and each loss's share of the gradient at the decoder's output."""
        if not self.report:
            return
        waveforms = self.corpus.batch(self.config.data, self.config.seed + 2, 0)[:2].to(self.device)
        rate, delay = self.config.network.sample_rate, self.network.delay
        self.network.eval()  # listening must not move running statistics
        with torch.no_grad():
            output = self.network(waveforms)[0].float() if self.network.quantizer.is_ready else waveforms
        self.network.train()
        self.report.audio(self.step, "input", waveforms[0], rate)
        self.report.audio(self.step, "output", output[0, :, delay:], rate)
        leaf = output[..., delay:].detach().requires_grad_(True)
        losses = self.loss(leaf, waveforms[..., : waveforms.shape[-1] - delay])
        norms = {name: float(torch.autograd.grad(loss, leaf)[0].norm()) for name, loss in losses.items()}
        total = sum(norms.values()) or 1.0
        self.report.scalars(self.step, {f"gradient-share/{name}": norm / total for name, norm in norms.items()})

    def averaged_network(self) -> Autoencoder:
        """A copy of the network with averaged weights, evaluation mode, on the CPU."""
        network = Autoencoder(self.config.network)
        network.load_state_dict({**self.network.state_dict(), **self.average})
        return network.eval()

    def _checkpoint(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            save_checkpoint(self.folder, self.step, self.network, self.average, self.optimizer.optimizer)
            if self.network.quantizer.is_ready:
                model_store.save(self.folder / "model", self.averaged_network())
        self.accelerator.wait_for_everyone()

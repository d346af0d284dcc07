"""The training loop: one class on Accelerate."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from torch import Tensor, nn

from gritcodec import config as configuration
from gritcodec import messages, model_store
from gritcodec.engine import store
from gritcodec.nn.autoencoder import Autoencoder
from gritcodec.quantize.ranks import all_mean
from gritcodec.train import precision, provenance
from gritcodec.train.adversary import Adversary
from gritcodec.train.balancer import Balancer
from gritcodec.train.checkpoint import MODEL, START, State, load_checkpoint, save_checkpoint
from gritcodec.train.config import OptimizerConfig, TrainConfig
from gritcodec.train.data import open_corpus
from gritcodec.train.drawing import draw_codes
from gritcodec.train.guard import Guard, TrainingError, first_bad_tensor, save_batch
from gritcodec.train.losses import ReconstructionLoss
from gritcodec.train.prefetch import Prefetch
from gritcodec.train.progress import Progress
from gritcodec.train.report import Report
from gritcodec.train.validate import Validation, describe


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
        cpu = cpu or not torch.cuda.is_available()
        self.precision = precision.choose(config.precision, PartialState(cpu=cpu).device)
        self.accelerator = Accelerator(
            mixed_precision="bf16" if self.precision == "bf16" else "no",
            cpu=cpu,
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
        average = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        self.state = State({"network": self.network}, {"optimizer": optimizer}, average)
        self.adversary: Adversary | None = None
        if config.adversarial.start is not None:
            self.adversary = Adversary(config.adversarial, config.seed, self.accelerator)
            self.state.modules["discriminators"] = self.adversary.network
            self.state.optimizers["discriminators-optimizer"] = self.adversary.optimizer.optimizer
        self.balancer: Balancer | None = None
        if config.loss.balance:
            self.balancer = Balancer(self._shares()).to(self.device)
            self.state.modules["balancer"] = self.balancer
        self.step = (load_checkpoint(self.folder, self.state) if resume else None) or 0
        self.model, self.optimizer = self.accelerator.prepare(self.network, optimizer)
        self.batches = Prefetch(self._load, self.device)
        self.guard = Guard(config.explosion, self.device)
        self.progress = Progress(self.step, config.steps, config.minutes)
        self.report: Report | None = None
        self.validation: Validation | None = None
        if self.accelerator.is_main_process:
            self.report = Report(self.folder)
            configuration.write_yaml(self.folder / "config.yaml", config)
            provenance.record(self.folder, self.step, self.accelerator.num_processes, str(self.device), self.precision)
            if config.validate_every:
                self.validation = Validation(config.data, config.network, self.folder)
        self._freeze_encoder()

    @property
    def average(self) -> dict[str, Tensor]:
        """Averaged weights by parameter name."""
        return self.state.average

    def _shares(self) -> dict[str, float]:
        """Weights of all losses that go through the output, as the balancer's shares."""
        loss, adversarial = self.config.loss, self.config.adversarial
        shares = {"mel": loss.mel, "stft": loss.stft, "complex": loss.complex}
        shares |= {name: getattr(loss, name) for name in ("phase_derivatives", "disturbance", "envelope")}
        if adversarial.start is not None:
            shares |= {"adversarial": adversarial.weight, "feature": adversarial.feature}
        return {name: share for name, share in shares.items() if share}

    def _freeze_encoder(self) -> None:
        """With encoder_rate 0 the encoder stands still once there are codes, and needs no backward pass."""
        if self.config.optimizer.encoder_rate == 0 and self.network.quantizer.is_ready:
            self.network.encoder.requires_grad_(False)
            self.network.quantizer.fixed_statistics = True

    def _build(self) -> Autoencoder:
        network = Autoencoder(self.config.network)
        if self.config.start:
            store.start(network, model_store.resolve(self.config.start))
        if self.config.compile:
            network.encoder.compile()
            network.decoder.compile()
        return network.train()

    def run(self) -> None:
        """Train to the configured step or time, checkpoint and write the averaged model to the run's folder."""
        config, clock, first = self.config, time.monotonic(), self.step
        self.progress = Progress(self.step, config.steps, config.minutes)
        while self.step < config.steps:
            missing = not self.network.quantizer.is_ready and self.step >= config.quantize_after
            if missing or self.step in config.redraw:
                self._draw_codes()
            values = self.train_step()
            self.step += 1
            due = self.progress.is_due(self.step)
            if self.step % config.log_every == 0 or self.step == config.steps:
                self._log(values, (time.monotonic() - clock) / (self.step - first))
                first, clock = self.step, time.monotonic()
            elif due and self.report:
                self.progress.say(self.step, float(values["loss"]))
            if self.step % config.audio_every == 0:
                self._log_audio()
            if config.validate_every and self.step % config.validate_every == 0:
                self._validate()
            if self.step % config.checkpoint_every == 0:
                self._checkpoint()
            if self._time_is_up():
                break
        self._checkpoint()
        if self.step % max(config.validate_every, 1):
            self._validate()
        if self.report:
            self.report.close()

    def _time_is_up(self) -> bool:
        # On a GPU the answer makes the host wait, so it is asked now and then.
        if not self.config.minutes or (self.device.type == "cuda" and self.step % 10):
            return False
        over = torch.tensor(float(self.progress.is_over), device=self.device)
        if dist.is_initialized():
            dist.broadcast(over, 0)  # all ranks stop at the same step
        return bool(over)

    def _local(self) -> range:
        """This rank's items of a global batch."""
        ranks, rank, batch = self.accelerator.num_processes, self.accelerator.process_index, self.config.data.batch
        if batch % (ranks * self.config.accumulate):
            raise TrainingError(f"data.batch {batch} cannot be shared by {ranks} processes")
        share = batch // ranks
        return range(rank * share, (rank + 1) * share)

    def train_step(self) -> dict[str, Tensor]:
        """One optimizer step; returns its losses and measurements."""
        config = self.config
        rate = config.optimizer.rate * learning_rate(config.optimizer, self.step, config.steps)
        factor = "factor_with_codes" if self.network.quantizer.is_ready else "factor"
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group[factor]
        waveforms, levels, active, draw = self._batch(self.step)
        values: dict[str, Tensor] = {}
        heard: list[Tensor] = []
        state = draw.getstate()
        parts = list(zip(*(x.chunk(config.accumulate) for x in (waveforms, levels, active)), strict=True))
        for index, (part, level, stages) in enumerate(parts, 1):
            draw.setstate(state)  # all parts of a step see the same resolutions
            with nullcontext() if index == len(parts) else self.accelerator.no_sync(self.model):
                output, losses, metrics = self._losses(part, level, stages, draw)
                total, before = self._total(output, losses)
                self.accelerator.backward(total / config.accumulate)
            heard.append(output.detach())
            before["loss"] = torch.stack([loss.detach() for loss in losses.values()]).sum()
            for name, value in {**losses, **metrics, **before}.items():
                values[name] = values.get(name, 0) + value.detach() / config.accumulate
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, config.optimizer.clip)
        bad = self.guard.check(self.step, norm, [p.grad for p in parameters if p.grad is not None])
        if bad is not None:
            self._stop_at(bad, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.adversary and self._adversarial(self.step) and self.step % config.adversarial.every == 0:
            target = waveforms[:, 0, : waveforms.shape[-1] - self.network.delay]
            share = learning_rate(config.optimizer, self.step, config.steps)
            values |= self.adversary.train_step(self.step, target, torch.cat(heard)[:, 0], share)
        self._update_average()
        return {**values, "gradient": norm}

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, random.Random]:
        """This rank's waveforms, levels and numbers of stages of a step, and the source of its other choices.

        All of it, noise included, is a function of seed, step and rank: a resumed run draws what it would have drawn.
        """
        config = self.config
        torch.manual_seed(config.seed + 1000 * step + self.accelerator.process_index)
        waveforms, levels, active = self.batches(step)
        return waveforms, levels, active, random.Random(f"{config.seed}/{step}")

    def _load(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """This rank's share of a step's data, on the CPU."""
        data, seed, mine = self.config.data, self.config.seed, self._local()
        share = slice(mine.start, mine.stop)
        waveforms = self.corpus.batch(data, seed, step, mine)
        return waveforms, self.corpus.levels(data, seed, step)[share], self._draw_stages(data.batch, step)[share]

    def _adversarial(self, step: int) -> bool:
        return self.config.adversarial.start is not None and step >= self.config.adversarial.start

    def _losses(
        self, waveforms: Tensor, levels: Tensor, active: Tensor, draw: random.Random
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """The output [B, 1, T - delay] at the waveforms' level, its losses by name, and measurements."""
        with self.accelerator.autocast():
            output, quantized = self.model(waveforms * levels, active)
        delay = self.network.delay
        target = waveforms[..., : waveforms.shape[-1] - delay]
        output = output[..., delay:].float() / levels
        losses = self.loss(output, target, draw)
        if self.adversary and self._adversarial(self.step):
            losses |= self.adversary.losses(self.step, target[:, 0], output[:, 0])
        return output, {**losses, **quantized.losses}, quantized.metrics

    def _total(self, output: Tensor, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """What to differentiate: the sum of the losses, or with balancing one with the balanced gradient."""
        if not self.balancer:
            return torch.stack(list(losses.values())).sum(), {}
        gradient, before = self.balancer.gradient(losses, output)
        direct = [loss for name, loss in losses.items() if name not in self.balancer.shares]
        return torch.stack([(output * gradient.detach()).sum(), *direct]).sum(), before

    def _stop_at(self, step: int, norm: Tensor) -> None:
        """Save the batch of a bad step and say which tensor was bad first.

        Raises:
            TrainingError: always.
        """
        waveforms, levels, active, draw = self._batch(step)
        path = save_batch(self.folder, step, waveforms=waveforms, levels=levels, active=active)

        def again() -> Tensor:
            output, losses, _ = self._losses(waveforms, levels, active, draw)
            return self._total(output, losses)[0]

        self.model = self.network  # no other rank takes part in this
        culprit = first_bad_tensor(self.network, again)
        what = f"exploded to {float(norm):.3g}" if bool(torch.isfinite(norm)) else "is not a number"
        raise TrainingError(f"step {step}: the gradient {what}; first: {culprit}; the batch is in {path}")

    def _draw_stages(self, count: int, step: int) -> Tensor:
        """Stages each item uses (quantizer dropout), the same for every rank's view of a step."""
        draw = random.Random(f"stages/{self.config.seed}/{step}")
        stages = self.network.quantizer.stages
        full, few = self.config.full_stages, self.config.few_stages
        chosen = []
        for _ in range(count):
            place = draw.random()
            most = min(stages, 2) if place < full + few else stages
            chosen.append(stages if place < full else draw.randint(1, most))
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
        vectors = self.config.draw_vectors
        if self.report:
            messages.progress(f"step {self.step:,}: drawing the codes from {vectors:,} latents")
        for name, parameter in self.network.named_parameters():
            parameter.copy_(self.average[name])
        draw_codes(self.network, self.corpus, self.config, vectors, self.accelerator.autocast)
        for name, parameter in self.network.quantizer.named_parameters():
            self.average[f"quantizer.{name}"].copy_(parameter)
            self.optimizer.state.pop(parameter, None)
        self._freeze_encoder()

    def _validate(self) -> None:
        """Score the averaged weights on unseen voices; keep the best."""
        if self.validation and self.report and self.network.quantizer.is_ready:
            network = self.averaged_network()
            values = self.validation.measure(network)
            if values:
                self.report.scalars(self.step, values)
                best = self.validation.keep_best(self.step, values, network)
                messages.progress(f"step {self.step:,}: {describe(values)}{', the best so far' if best else ''}")

    def _log(self, values: dict[str, Tensor], seconds: float) -> None:
        values = {name: all_mean(value.float()) for name, value in values.items()}
        if not self.report:
            return
        numbers = {name: float(value) for name, value in values.items() if value.ndim == 0}
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
        self.progress.say(self.step, numbers["loss"], numbers)

    def _log_audio(self) -> None:
        """Audio, spectrograms and each loss's share of the gradient at the decoder's output."""
        if not self.report:
            return
        waveforms = self.corpus.batch(self.config.data, self.config.seed + 2, 0, range(2)).to(self.device)
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
            save_checkpoint(self.folder, self.step, self.state)
            # Without codes it is no model yet, but another run can begin with it.
            store.save(self.folder / (MODEL if self.network.quantizer.is_ready else START), self.averaged_network())
        self.accelerator.wait_for_everyone()

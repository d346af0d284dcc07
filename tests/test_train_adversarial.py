"""Discriminators tell apart what they were trained on, and the balancer gives every loss its share."""

import pytest
import torch

from gritcodec.errors import ConfigError
from gritcodec.train.balancer import Balancer
from gritcodec.train.config import AdversarialConfig
from gritcodec.train.discriminators import Discriminators, discriminator_loss, generator_losses
from gritcodec.train.trainer import Trainer
from tests.test_train import parse, settings

CONFIG = AdversarialConfig(start=0, windows=(256, 64), periods=(3,), channels=4)


def test_discriminators_learn_to_tell_noise_from_tones():
    torch.manual_seed(0)
    network = Discriminators(CONFIG)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    time = torch.arange(4000) / 16000
    for step in range(60):
        tones = 0.3 * torch.sin(2 * torch.pi * torch.empty(4, 1).uniform_(100, 2000) * time)
        noise = 0.3 * torch.randn(4, 4000)
        loss = discriminator_loss(network(tones), network(noise))
        if step == 0:
            assert float(loss.detach()) == pytest.approx(2.0, abs=0.3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.9
    with torch.no_grad():
        fooled, _ = generator_losses(network(tones), network(tones))
        caught, feature = generator_losses(network(tones), network(noise))
        _, same = generator_losses(network(tones), network(tones))
    assert fooled < caught and feature > 0.1 and float(same) == 0.0


def test_balanced_gradients_have_the_shares_that_were_asked_for():
    torch.manual_seed(0)
    output = torch.randn(4, 90, requires_grad=True)
    balancer = Balancer({"a": 1.0, "b": 3.0, "c": 0.5})
    sizes = {"a": 2.0, "b": 1e3, "c": 1e-4}
    where = {"a": slice(0, 30), "b": slice(30, 60), "c": slice(60, 90)}
    weights = torch.randn(4, 90)

    def losses() -> dict[str, torch.Tensor]:
        return {name: (sizes[name] * weights * output)[:, where[name]].sum() for name in "abc"}

    total, before = balancer.gradient({**losses(), "commitment": output.sum()}, output)
    norm = {name: float(total[:, where[name]].norm(dim=-1).mean()) for name in "abc"}
    assert norm["a"] == pytest.approx(float(before["norm/a"]), rel=1e-4)  # the first keeps its size
    assert norm["b"] / norm["a"] == pytest.approx(3.0, rel=1e-4)
    assert norm["c"] / norm["a"] == pytest.approx(0.5, rel=1e-4)
    assert set(before) == {"norm/a", "norm/b", "norm/c"}
    fewer, _ = balancer.gradient({"a": losses()["a"]}, output)
    assert torch.allclose(fewer[:, :30], 2.0 * weights[:, :30], rtol=1e-4) and not fewer[:, 30:].any()


def test_an_adversarial_run_trains_both_sides(tmp_path):
    adversarial = {"start": 2, "windows": [256], "channels": 4}
    trainer = Trainer(parse(settings(tmp_path, steps=2, adversarial=adversarial, validate_every=0, accumulate=2)))
    assert trainer.adversary is not None
    before = [p.detach().clone() for p in trainer.adversary.network.parameters()]
    trainer.run()
    after = list(trainer.adversary.network.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "not before its time"
    trainer.step = 2
    values = trainer.train_step()
    assert {"adversarial", "feature", "discriminator", "mel"} <= set(values)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in trainer.adversary.network.parameters())


def test_each_step_draws_some_of_the_discriminators_and_trains_those_alone(tmp_path):
    adversarial = {"start": 0, "windows": [256, 64], "periods": [3], "channels": 4, "draws": 1}
    trainer = Trainer(parse(settings(tmp_path, adversarial=adversarial, validate_every=0)))
    assert trainer.adversary is not None
    members = trainer.adversary.network.members
    drawn = [trainer.adversary.draw(step) for step in range(40)]
    assert all(len(chosen) == 1 for chosen in drawn) and {0, 1, 2} == {chosen[0] for chosen in drawn}
    assert drawn == [trainer.adversary.draw(step) for step in range(40)]
    before = [[p.detach().clone() for p in member.parameters()] for member in members]
    trainer.train_step()
    changed = [
        any(not torch.equal(a, b) for a, b in zip(old, member.parameters(), strict=True))
        for old, member in zip(before, members, strict=True)
    ]
    assert [index for index, moved in enumerate(changed) if moved] == drawn[0]


def test_wrong_adversarial_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        parse(settings(tmp_path, adversarial={"every": 0}))
    with pytest.raises(ConfigError, match="name a discriminator"):
        parse(settings(tmp_path, adversarial={"windows": []}))
    with pytest.raises(ConfigError, match="at least 0"):
        parse(settings(tmp_path, adversarial={"draws": -1}))

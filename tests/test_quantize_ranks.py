"""A quantizer trained by two processes is the one that a single process trains."""

import torch

from gritcodec.quantize import ResidualGritVQ


def _train_on_rank(rank: int, ranks: int, port: int, folder: str) -> None:
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    torch.save(_train_a_little(rank, ranks), f"{folder}/{rank}.pt")
    # Rank 0 keeps the store that the other one still talks to: neither may end before both are done.
    dist.barrier()
    dist.destroy_process_group()


def _train_a_little(rank: int, ranks: int) -> dict[str, torch.Tensor]:
    """Three steps from the first batch on, on this rank's half of every batch, gradients averaged."""
    import torch.distributed as dist

    torch.manual_seed(0)
    quantizer = ResidualGritVQ(
        6, 3, 16, radius="tanh", transform="lowrank", normalize=True, replace_below=0.8, rate_weight=0.01
    )
    for step in range(3):
        latents = torch.randn(4, 50, 6, generator=torch.Generator().manual_seed(step)).chunk(ranks)[rank]
        out = quantizer(latents)
        ((out.values - 1).square().mean() + sum(out.losses.values())).backward()
        with torch.no_grad():
            for parameter in quantizer.parameters():
                if ranks > 1:
                    dist.all_reduce(parameter.grad)
                parameter -= 0.1 * parameter.grad / ranks
                parameter.grad = None
    return {name: tensor.detach() for name, tensor in quantizer.state_dict().items()}


def test_two_processes_train_as_one_does(tmp_path):
    import socket

    import torch.multiprocessing as mp

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_train_on_rank, args=(2, port, str(tmp_path)), nprocs=2)
    alone = _train_a_little(0, 1)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name, tensor in alone.items():
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        assert torch.allclose(ranks[0][name].float(), tensor.float(), atol=1e-4), name

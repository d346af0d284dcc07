"""In what a run multiplies: bf16 where its machines have arithmetic for it, else fp32."""

import re
from pathlib import Path

import torch
import torch.distributed as dist

_CPU_FLAGS = Path("/proc/cpuinfo")


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices in bfloat16 itself.

    torch computes in bf16 everywhere; where it has to do so by way of fp32, it takes twice as long as fp32.

    Args:
        device: a CPU (AMX, AVX512-BF16 or Arm's BF16, as Linux tells; elsewhere no) or a CUDA device.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        flags = _CPU_FLAGS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return re.search(r"^(flags|Features)\s*:.*\b(amx_bf16|avx512_bf16|bf16)\b", flags, re.MULTILINE) is not None


def choose(wanted: str, device: torch.device) -> str:
    """Return `bf16` or `fp32`: what is wanted, and for `auto` what all processes' devices can.

    Args:
        wanted: `auto`, `bf16` or `fp32`.
        device: this process's; every process of a run has to ask, as they agree on one answer.
    """
    if wanted != "auto":
        return wanted
    able = torch.tensor(float(has_bf16(device)), device=device)
    if dist.is_initialized():
        dist.all_reduce(able, dist.ReduceOp.MIN)
    return "bf16" if bool(able) else "fp32"

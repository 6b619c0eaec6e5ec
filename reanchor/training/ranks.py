"""Several processes as one batch: features gathered with their gradients, gradients averaged.

Without a process group everything is the one process it is.
"""

import os

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn


def world_size() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them; 0 writes files."""
    return dist.get_rank() if world_size() > 1 else 0


def join_ranks(device: str) -> str:
    """Meet the other processes that torchrun started; returns this one's device. Alone: `device` as it is."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return device


def own_share(chosen: np.ndarray) -> np.ndarray:
    """This rank's equal share of a batch [B]; what does not divide is dropped."""
    each = len(chosen) // world_size()
    return chosen[rank() * each:(rank() + 1) * each]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own.contiguous())
        ctx.start, ctx.count = dist.get_rank() * len(own), len(own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        # every rank's loss reads this rank's features; sum over ranks, so that averaging the weights' gradients
        # over ranks afterwards gives the gradient of the one loss over the whole batch
        gradient = gradient.clone(memory_format=torch.contiguous_format)  # autograd's own may be another node's too
        dist.all_reduce(gradient)
        return gradient[ctx.start:ctx.start + ctx.count]


def gather(own: Tensor) -> Tensor:
    """[B, ...] of this rank -> [ranks * B, ...] in the order of ranks; gradients flow back to every rank.

    All ranks give equally many.
    """
    return _Gather.apply(own) if world_size() > 1 else own


def average_gradients(module: nn.Module) -> None:
    """Replace each weight's gradient by its mean over ranks."""
    if (ranks := world_size()) == 1:
        return
    for parameter in module.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
            parameter.grad /= ranks


def largest(value: int, device: torch.device) -> int:
    """The largest of all ranks' values, on every rank."""
    if world_size() == 1:
        return value
    values = torch.tensor(value, device=device)
    dist.all_reduce(values, dist.ReduceOp.MAX)
    return int(values)

"""Gradient caching: a contrastive batch larger than the memory of one pass allows.

Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", RepL4NLP 2021: features
are made chunk by chunk without keeping activations; the loss over all of them gives the gradient at every
feature; each chunk is then encoded again, under the random state of its first time, and carries its features'
gradient into the weights. Only one chunk's activations are in memory at a time, for one more forward pass.
PyTorch's checkpointing, applied chunk by chunk, is just that: the random state, autocast and the second pass
are its.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reanchor.errors import ReanchorError

Batch = dict[str, Tensor]  # every value is [B, ...]


def encode_in_chunks(encode: Callable[[Batch], Batch], batch: Batch, chunk: int) -> Batch:
    """`encode(batch)`, made `chunk` items at a time; its gradients are those of the chunks encoded side by side.

    Args:
        encode: works item by item: no batch statistics. Dropout draws anew for each chunk.
        chunk: items per pass; 0, or as many as there are: one plain pass, whose activations are kept.
    """
    count = len(next(iter(batch.values())))
    if not chunk or chunk >= count:
        return encode(batch)
    parts = []
    for start in range(0, count, chunk):
        part = {name: value[start:start + chunk] for name, value in batch.items()}
        parts.append(checkpoint(encode, part, use_reentrant=False) if torch.is_grad_enabled() else encode(part))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def refuse_batch_statistics(module: nn.Module, setting: str, chunk: int) -> None:
    """Raise ReanchorError where chunks would change what `module` computes: batch norm sees a chunk, not the batch."""
    if chunk and any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
        raise ReanchorError(f"{setting}: got {chunk}, but this model has batch norm, whose statistics a chunk would "
                            "change; allowed: the whole batch at once (no chunks, one process), or a ViT")

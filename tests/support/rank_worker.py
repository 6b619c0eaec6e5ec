"""One of several processes that train together; imports little, since each process imports it anew."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from reanchor.methods.tbps.losses import clamped_scale, cyclic_itc, normalised_itc, reversed_itc, simclr
from reanchor.training.loop import Job, Trainer
from reanchor.training.ranks import average_gradients, gather, largest, own_share, world_size

LABELS = torch.tensor([0, 0, 1, 2, 1, 3, 4, 2])


class Towers(nn.Module):
    """Two layers in the place of the towers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text, self.mlp = nn.Linear(6, 5), nn.Linear(7, 5), nn.Linear(5, 4)
        self.log_scale = nn.Parameter(torch.tensor(1.5))
        self.idle = nn.Parameter(torch.ones(2))  # reached by no gradient


def loss_of(model: Towers, rows: slice) -> torch.Tensor:
    """TBPS-CLIP's terms over the pairs of all ranks, of which `rows` are this one's."""
    generator = torch.Generator().manual_seed(1)
    images, views = torch.randn(2, 8, 6, generator=generator)
    image, view = gather(model.image(images[rows])), gather(model.image(views[rows]))
    text = gather(model.text(torch.randn(8, 7, generator=generator)[rows]))
    labels, scale = gather(LABELS[rows]), clamped_scale(model.log_scale)
    assert torch.equal(labels, LABELS)
    return (normalised_itc(image, text, labels, scale, 0.3) + reversed_itc(image, text, labels, scale)
            + cyclic_itc(image, text) + simclr(model.mlp(image), model.mlp(view)))


class Silent:
    def log(self, step: int, values: dict[str, float]) -> None:
        pass


def train(path: str) -> Towers:
    """Six steps of the whole loop; each rank has its share of every batch."""
    model = Towers()

    def losses(chosen: np.ndarray, generator: torch.Generator) -> dict[str, torch.Tensor]:
        mine = own_share(chosen)
        assert len(mine) * world_size() == 8
        return {"loss": loss_of(model, slice(int(mine[0]), int(mine[-1]) + 1))}

    job = Job("toy", model, torch.optim.SGD(model.parameters(), lr=0.1), 2, lambda epoch: [np.arange(8)] * 3, losses,
              lambda *position: 1.0, seed=0, batch_images=8)
    Trainer(job, Path(path), "mark", 1, Silent()).run()
    return model


def half(rank: int, folder: str) -> None:
    """Half of the batch; writes the gradients that are left in the weights."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    assert world_size() == 2 and largest(7 * rank, torch.device("cpu")) == 7
    model = Towers()
    loss_of(model, slice(4 * rank, 4 * rank + 4)).backward()
    average_gradients(model)
    np.savez(f"{folder}/{rank}.npz", **{name: p.grad.numpy() for name, p in model.named_parameters()})
    trained = train(f"{folder}/checkpoint.pt")
    np.savez(f"{folder}/trained-{rank}.npz", **{name: p.detach().numpy() for name, p in trained.named_parameters()})
    torch.distributed.destroy_process_group()

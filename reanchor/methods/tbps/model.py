"""The two towers with what single loss terms need beside them.

Shapes: B pairs, L slots, E joint width, C identities.
"""

import torch
from torch import Tensor, nn

from reanchor.errors import ReanchorError
from reanchor.methods.tbps.settings import TbpsTerms
from reanchor.text.masked_words import MaskedWords, image_states, word_states
from reanchor.text.towers import DualEncoder
from reanchor.training.gradient_cache import Batch

VIEWS = ("image", "second", "simclr_1", "simclr_2")  # views of an image that a batch may hold
NO_DECAY = ("bias", "ln", "bn")  # parts of the names of weights that never decay


class TbpsModel(nn.Module):
    """The towers; an MLP where SS has a weight, a classifier for the ID loss, a reader for masked words.

    Args:
        identities: of the training set, C.

    Raises:
        ReanchorError: masked words on an image tower without tokens, or dropout of attention that knows none.
    """

    def __init__(self, towers: DualEncoder, recipe: TbpsTerms, identities: int):
        super().__init__()
        self.towers = towers
        width = towers.image.embed
        if recipe.mlm and towers.image.grid is None:
            raise ReanchorError(f"tbps.*.mlm: got {recipe.mlm}, but a ResNet gives no image tokens to read masked "
                                "words with; allowed: 0, or a ViT")
        hidden = max(1, width // 4)  # 512-128-512, as published
        self.simclr_mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)
                                        ) if recipe.ss else None
        self.classifier = nn.Linear(width, identities) if recipe.id else None
        self.masked_words = MaskedWords(width, towers.text.token_embedding.num_embeddings) if recipe.mlm else None
        for block in towers.text.transformer.resblocks:
            if recipe.dropout and not isinstance(block.attn, nn.MultiheadAttention):
                raise ReanchorError(f"tbps.*.dropout: got {recipe.dropout}, but the text tower's attention is a "
                                    f"{type(block.attn).__name__}, which has none; allowed: 0")
            block.attn.dropout = recipe.dropout
        if recipe.lock:
            towers.image.visual.conv1.requires_grad_(False)

    def encode(self, batch: Batch) -> Batch:
        """Features [B, E] of every view and of the sentences ("text"); with "masked" [B, L] and "targets" [B, L]
        also "mlm", the summed loss of each sentence's masked words [B], and "words", their number [B].

        All views go through the image tower in one pass. A pair's outcome depends on no other pair.
        """
        views = [name for name in VIEWS if name in batch]
        image = self.towers.image
        out = image(torch.cat([batch[name] for name in views]), taps=(image.depth,) if "masked" in batch else ())
        features = dict(zip(views, out.projected.chunk(len(views)), strict=True))
        features["text"] = self.towers.sentences(batch["tokens"])
        if "masked" in batch:
            tokens = image_states(image, out.taps[image.depth][:len(batch["masked"])])
            states = word_states(self.towers.text, batch["masked"])
            features["mlm"], features["words"] = self.masked_words(states, tokens, batch["targets"])
        return features


def decays(name: str, parameter: Tensor) -> bool:
    """Whether weight decay acts on a weight: not on vectors and scalars, biases and norms (the authors' rule)."""
    return parameter.ndim >= 2 and not any(part in name for part in NO_DECAY)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """What the optimiser is given: the weights that decay and those that do not; frozen ones are left out."""
    trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    return [{"params": [parameter for name, parameter in trained if decays(name, parameter) == which],
             "weight_decay": weight_decay if which else 0.0} for which in (True, False)]

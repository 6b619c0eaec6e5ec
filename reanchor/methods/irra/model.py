"""IRRA's network: a CLIP's two towers, a classifier of identities, a reader of masked words.

At test time the towers alone are left: two features and their cosine.
Shapes: B pairs, L slots, T patch tokens, E joint width, C identities.
"""

import torch
from torch import Tensor, nn

from reanchor.clip.model import Clip
from reanchor.errors import ReanchorError
from reanchor.methods.irra.settings import Irra
from reanchor.text.masked_words import MaskedWords, image_states, word_states
from reanchor.text.towers import DualEncoder

CLASSIFIER_STD = 0.001


class IrraModel(nn.Module):
    """What is trained; a part whose term has no weight is left out.

    Args:
        identities: of the training set, C.

    Raises:
        ReanchorError: masked words on an image tower without patch tokens.
    """

    def __init__(self, towers: DualEncoder, config: Irra, identities: int):
        super().__init__()
        self.towers, self.sentence = towers, config.sentence
        towers.log_scale.requires_grad_(False)  # SDM's temperature is a constant
        width = towers.image.embed
        if config.mlm and towers.image.grid is None:
            raise ReanchorError(f"irra.mlm: got {config.mlm:g}, but a ResNet gives no image tokens to read masked "
                                "words with; allowed: 0, or a ViT (backbone.model)")
        self.classifier = identity_classifier(width, identities) if config.id else None
        words = towers.text.token_embedding.num_embeddings
        self.masked_words = MaskedWords(width, words, config.blocks) if config.mlm else None

    def encode(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Features [B, E] "image" and "text", not of unit length; with "masked" and "targets" [B, L] also "mlm", the
        summed loss of each sentence's masked words [B], and "words", how many there are [B].

        Args:
            batch: "image" [B, 3, H, W], normalised; "tokens" [B, L].
        """
        image, tokens = self.towers.image, batch["tokens"]
        out = image(batch["image"], taps=(image.depth,) if self.masked_words else ())
        if self.masked_words is None:
            return {"image": out.projected, "text": self.towers.sentences(tokens)}
        states = word_states(self.towers.text, batch["masked"])
        summed, words = self.masked_words(states, image_states(image, out.taps[image.depth]), batch["targets"])
        if self.sentence == "masked":  # [EOS] has the highest id of its row
            text = states[torch.arange(len(states), device=states.device), tokens.argmax(1)]
        else:
            text = self.towers.sentences(tokens)
        return {"image": out.projected, "text": text, "mlm": summed, "words": words}


def identity_classifier(width: int, identities: int) -> nn.Linear:
    """Features [B, E] -> logits [B, C], nearly 0 at first (the authors' code)."""
    classifier = nn.Linear(width, identities)
    nn.init.normal_(classifier.weight, std=CLASSIFIER_STD)
    nn.init.zeros_(classifier.bias)
    return classifier


def build_model(clip: Clip, identities: int, config: Irra) -> IrraModel:
    """The backbone's towers with seeded parts around them."""
    torch.manual_seed(config.seed)
    return IrraModel(DualEncoder(clip, config.context), config, identities)

"""MGCC on both towers of a CLIP.

The common width is the image tower's: the global image feature is [CLS] behind the last norm, without CLIP's
projection; sentences and words come into it through a map of their own (the authors' code; the paper gives the
common width, 768, and not how text reaches it).

Shapes: B images, N sentences, L slots, P and W kept patches and words, D image width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reanchor.clip.block import residual_block
from reanchor.clip.model import Clip
from reanchor.errors import ReanchorError
from reanchor.methods.mgcc.attention import attended_block, causal_block
from reanchor.methods.mgcc.selection import keep_count, select_patches, select_words, take
from reanchor.methods.mgcc.settings import MgccModel
from reanchor.methods.mgcc.similarity import ImageSide, Matrices, Similarity, TextSide
from reanchor.text.towers import DualEncoder


@dataclass
class SelectedImages:
    """Unit features, and which patches were kept, [B, P]."""

    side: ImageSide
    index: Tensor


@dataclass
class SelectedTexts:
    """Unit features, which words were kept [N, W] (0-based behind [SOS]) and which of those exist [N, W]."""

    side: TextSide
    index: Tensor
    present: Tensor


class Mgcc(nn.Module):
    """Both towers, the map from text to image width, CLIP's scale and, where asked for, the learnable matrices.

    Raises:
        ReanchorError: the image tower has no patch tokens, or attention of another kind than CLIP's.
    """

    def __init__(self, clip: Clip, settings: MgccModel):
        super().__init__()
        self.settings = settings
        self.towers = DualEncoder(clip, settings.context)
        image, text = self.towers.image, self.towers.text
        if image.grid is None:
            raise ReanchorError("backbone.model: MGCC selects patch tokens, and a ResNet has none; allowed are ViTs: "
                                "choose a model such as ViT-B-32")
        self.text_map = nn.Sequential(nn.LayerNorm(text.width), nn.Linear(text.width, image.width, bias=False))
        if settings.text_map == "clip":
            with torch.no_grad():  # text . image is then CLIP's own product of projections
                self.text_map[1].weight.copy_(image.visual.proj @ text.text_projection.T)
        patches = keep_count(settings.patch_share, image.grid[0] * image.grid[1])
        words = keep_count(settings.word_share, settings.word_limit)
        self.matrices = Matrices(image.width, patches, words) if settings.matrices else None
        self.similarity = Similarity(settings.temperature, settings.fusion, settings.granularities, self.matrices)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.towers.device

    def images(self, pixels: Tensor) -> SelectedImages:
        """Encode normalised images [B, 3, H, W]."""
        tower, settings = self.towers.image, self.settings
        x = tower.start(pixels)
        *first, last = tower.visual.transformer.resblocks
        for block in first:
            x = residual_block(block, x)
        x, attention = attended_block(last, x, x.new_zeros(len(x), dtype=torch.long))
        index = select_patches(attention[:, 1:], settings.patch_share)
        patches = take(x[:, 1:], index)
        patches = tower.visual.ln_post(patches) if settings.patch_norm else patches
        return SelectedImages(ImageSide(unit(tower.visual.ln_post(x[:, 0])), unit(patches)), index)

    def sentences(self, tokens: Tensor) -> SelectedTexts:
        """Encode token ids [N, L]; [EOS] is the highest id of its row."""
        tower, settings = self.towers.text, self.settings
        eos = tokens.argmax(dim=1)
        length = int(eos.max()) + 1
        x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
        *first, last = tower.transformer.resblocks
        for block in first:
            x = causal_block(block, x)
        x, attention = attended_block(last, x, eos, causal=True)
        x = tower.ln_final(x)
        index, present = select_words(attention, eos, settings.word_share, settings.word_limit,
                                      settings.rank_all_words, settings.word_offset)
        whole = x[torch.arange(len(x), device=x.device), eos]
        words = unit(self.text_map(take(x[:, 1:], index))) * present.unsqueeze(2)
        side = TextSide(unit(self.text_map(whole)), words, present if settings.mask_padding else None)
        return SelectedTexts(side, index, present)

    def forward(self, pixels: Tensor, tokens: Tensor) -> Tensor:
        """Scaled similarities of all pairs of a batch, fp32 [B, N]."""
        images, texts = self.images(pixels).side, self.sentences(tokens).side
        with torch.autocast(self.device.type, enabled=False):  # tau .01 asks for more digits than bf16 has
            return self.towers.log_scale.exp() * self.similarity(images, texts)

    def tower_parameters(self) -> list[nn.Parameter]:
        """What the backbone brought, but for its scale."""
        return [*self.towers.image.parameters(), *self.towers.text.parameters()]

    def new_parameters(self) -> list[nn.Parameter]:
        """The rest."""
        known = {id(parameter) for parameter in self.tower_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in known]


def unit(features: Tensor) -> Tensor:
    """L2-normalised over the last axis, fp32."""
    return F.normalize(features.float(), dim=-1)

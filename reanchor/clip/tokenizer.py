"""Two tokenizers with one face: words of a closed vocabulary, and CLIP's byte-pair codes."""

import re

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

WORD = re.compile(r"[a-z]+|[.,]")


class WordTokenizer:
    """One id per word: 0 pads, 1 is any unknown word, [EOS] has the highest id of all."""

    def __init__(self, vocabulary: list[str]):
        self.vocabulary = sorted(set(vocabulary))
        self._ids = {word: number for number, word in enumerate(self.vocabulary, start=2)}
        self.sos = len(self._ids) + 2
        self.eos = len(self._ids) + 3
        self.size = len(self._ids) + 4

    def encode(self, text: str) -> list[int]:
        """Token ids without [SOS] and [EOS]."""
        return [self._ids.get(word, 1) for word in WORD.findall(text.lower())]


class BytePairTokenizer:
    """OpenAI's byte-pair encoding, as open_clip ships it."""

    def __init__(self):
        self._codes = SimpleTokenizer()
        self.sos, self.eos = self._codes.sot_token_id, self._codes.eot_token_id
        self.size = self._codes.vocab_size

    def encode(self, text: str) -> list[int]:
        """Token ids without [SOS] and [EOS]."""
        return self._codes.encode(text.lower())


Tokenizer = WordTokenizer | BytePairTokenizer


def tokenize(tokenizer: Tokenizer, texts: list[str], context: int) -> Tensor:
    """[N, context] int64: [SOS] words [EOS] zeros; a longer text loses its end, never its [EOS]."""
    tokens = torch.zeros(len(texts), context, dtype=torch.int64)
    for row, text in enumerate(texts):
        ids = [tokenizer.sos, *tokenizer.encode(text)[: context - 2], tokenizer.eos]
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens

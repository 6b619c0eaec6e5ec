"""Which words of a sentence a method kept."""

from collections.abc import Iterable

from open_clip.tokenizer import SimpleTokenizer

from reanchor.clip.tokenizer import WORD, BytePairTokenizer
from reanchor.formats.searcher import Searcher, Tokens

Span = tuple[int, int]  # [start, stop) in characters


def kept_spans(searcher: Searcher, text: str, kept: Iterable[int]) -> list[Span]:
    """Where the kept tokens (0-based behind [SOS]) stand in `text`; neighbours within a word become one span.

    None for a searcher that tells no tokenizer.
    """
    if searcher.tokenizer is None or searcher.read(text) != text:
        return []  # its tokens are another text's
    spans = token_spans(searcher.tokenizer, text)
    found = sorted(spans[token] for token in set(kept) if token < len(spans) and spans[token] is not None)
    merged: list[Span] = []
    for start, stop in found:
        if merged and merged[-1][1] == start:
            merged[-1] = merged[-1][0], stop
        else:
            merged.append((start, stop))
    return merged


def token_spans(tokenizer: Tokens, text: str) -> list[Span | None]:
    """The characters of each token of `tokenizer.encode(text)`; None for one that the cleaning made up."""
    if not isinstance(tokenizer, BytePairTokenizer):
        return [match.span() for match in WORD.finditer(text.lower())]
    codes, spans, cursor, lower = SimpleTokenizer(), [], 0, text.lower()
    for token in tokenizer.encode(text):
        piece = codes.decode([token]).strip()
        start = lower.find(piece, cursor) if piece else -1
        spans.append((start, start + len(piece)) if start >= 0 else None)
        cursor = start + len(piece) if start >= 0 else cursor
    return spans

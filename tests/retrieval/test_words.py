"""Sentences as a text tower reads them: what is cut, where tokens stand in the text."""


from search_fakes import (
    ColourSearcher,
    TokenSearcher,
)

from reanchor.clip.tokenizer import BytePairTokenizer, WordTokenizer
from reanchor.formats.searcher import cut_sentences
from reanchor.retrieval.words import kept_spans, token_spans


def test_cut_sentences_are_counted_and_said():
    searcher = TokenSearcher()
    assert cut_sentences(searcher, ["a " * 9, "a " * 10, ""]) == 1
    assert cut_sentences(ColourSearcher(), ["a " * 99]) == 0  # tells no context


def test_sentences_are_counted_as_they_are_read():
    searcher = TokenSearcher()
    searcher.read = lambda text: text.replace(".", "")
    assert cut_sentences(searcher, ["a " * 9 + "." * 5, "a " * 10]) == 1
    assert kept_spans(searcher, "a. b", [0]) == []  # numbers of another text's tokens


def test_word_tokens_stand_where_the_text_has_them():
    text = "A green  Shirt, red-ish."
    spans = token_spans(WordTokenizer(["a"]), text)
    assert [text[start:stop] for start, stop in spans] == ["A", "green", "Shirt", ",", "red", "ish", "."]
    searcher = TokenSearcher()
    assert kept_spans(searcher, text, [6, 5, 1, 7, 40]) == [(2, 7), (20, 24)]  # [EOS] and padding are no words


def test_byte_pairs_stand_where_the_text_has_them():
    tokenizer, text = BytePairTokenizer(), "A pedestrian's  Turquoise-ish jacket, caf\u00e9."
    spans = token_spans(tokenizer, text)
    assert len(spans) == len(tokenizer.encode(text))
    covered = "".join(text[start:stop] for start, stop in filter(None, spans))
    assert covered.replace(" ", "").lower().startswith("apedestrian'sturquoise-ishjacket,caf")
    assert all(a[1] <= b[0] for a, b in zip(filter(None, spans), list(filter(None, spans))[1:], strict=False))

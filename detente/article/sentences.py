"""Sentences and paragraphs of an article."""

from detente.article.spans import Span


def split_sentences(text: str) -> list[Span]:
    """The sentences of an English text, in order, without the white space around them; a line break ends one.

    Raises:
        ModuleNotFoundError: sentencex is not installed.
    """
    try:
        from sentencex import get_sentence_boundaries
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading articles needs sentencex: pip install 'detente[articles]'") from error
    sentences = []
    start = 0
    for line in text.splitlines(keepends=True):
        for boundary in get_sentence_boundaries("en", line) if line.strip() else ():
            words = boundary["text"]
            if stripped := words.strip():
                first = start + boundary["start_index"] + words.index(stripped)
                sentences.append(Span(first, first + len(stripped)))
        start += len(line)
    return sentences

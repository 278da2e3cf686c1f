"""PolNeAR: political news with the source, cue and content of every attribution (Newell, Margolin and Ruths, 2018).

``data/{train,dev}/text/*.txt`` and ``data/{train,dev}/attributions/*.ann`` in brat's stand-off format. An ``E`` line
joins the spans of one attribution; a span may have several pieces. Some articles were annotated by six people to
measure agreement; the first file by name is taken. ``Discuss`` and ``Discard`` mark doubts of the annotators and are no
attributions; an attribution without content is skipped.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from detente.article.spans import AttributedArticle, Attribution, Span
from detente.corpus import SourceError

NAME: Final = "polnear"
PARTS: Final = {"train": "train", "dev": "validation"}
_SPAN = re.compile(r"^(T\d+)\t[\w-]+ (\d+ \d+(?:;\d+ \d+)*)\t")


def read(folder: Path, skipped: Counter[str] | None = None) -> Iterator[AttributedArticle]:
    """Reads PolNeAR.

    Args:
        folder: The repository, with ``data/train`` and ``data/dev``.
        skipped: Counts what is left out, by reason.

    Raises:
        SourceError: A folder or an annotation is missing, a span lies outside its text, or a line cannot be read.
    """
    skipped = Counter() if skipped is None else skipped
    for part, split in PARTS.items():
        texts = sorted((folder / "data" / part / "text").glob("*.txt"))
        if not texts:
            raise SourceError(folder / "data" / part / "text", None, "articles of PolNeAR, *.txt", "none")
        files: dict[str, list[Path]] = {}
        for path in sorted((folder / "data" / part / "attributions").glob("*.ann")):
            files.setdefault(path.stem.rpartition("_")[0], []).append(path)
        for path in texts:
            found = files.get(path.stem, [])
            if not found:
                raise SourceError(path, None, f"an annotation {path.stem}_*.ann in attributions/", "none")
            skipped["further annotation of the same article"] += len(found) - 1
            text = path.read_bytes().decode()  # no translation of line ends, which would shift the spans
            yield AttributedArticle(path.stem, text, _read_annotation(found[0], len(text), skipped), split)


def _read_annotation(path: Path, length: int, skipped: Counter[str]) -> tuple[Attribution, ...]:
    spans: dict[str, tuple[Span, ...]] = {}
    events = []
    for number, line in enumerate(path.read_bytes().decode().split("\n"), start=1):
        if match := _SPAN.match(line):
            pieces = [Span(*map(int, piece.split())) for piece in match[2].split(";")]
            if not all(0 <= p.start < p.end <= length for p in pieces):
                raise SourceError(path, number, f"spans within the article's {length} characters", line)
            spans[match[1]] = tuple(sorted(pieces))
        elif line.startswith("E"):
            events.append([argument.split(":") for argument in line.split("\t")[1].split()])
    attributions = []
    for event in events:
        roles: dict[str, list[Span]] = {"Source": [], "Cue": [], "Content": []}
        for role, name in event:
            if role.rstrip("0123456789") in roles:
                if name not in spans:
                    raise SourceError(path, None, "attributions of spans that the file has", name)
                roles[role.rstrip("0123456789")] += spans[name]
        if not roles["Content"]:
            skipped["attribution without content"] += 1
            continue
        attributions.append(Attribution(*(tuple(sorted(roles[role])) for role in ("Content", "Source", "Cue"))))
    return tuple(sorted(attributions, key=lambda a: a.content))

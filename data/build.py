"""Build the corpus: ``python -m data.build [--clones FOLDER] [--out build/data] [--sources a,b]``."""

import argparse
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from data.fetch import Source, load_manifest, locate
from data.recode import FOLDER, read_codes, recode
from data.sources import ARTICLE_SOURCES, OWN_SOURCES, SOURCES
from detente.article.spans import write_articles
from detente.corpus import SPLITS, Drops, clean_rows, normalise_text, write_parquet
from detente.labels import MAX_LEVEL, SENTIMENTS, STANCES
from detente.records import LabelledStatement

logger = logging.getLogger(__name__)
_READERS: Final = SOURCES | OWN_SOURCES


def read_sources(sources: Sequence[Source], clones: Path | None, cache: Path) -> tuple[list[LabelledStatement], Drops]:
    """Read every source; train rows of a source that the manifest keeps out of training are dropped and counted."""
    rows, dropped = [], Drops()
    for source in sources:
        skipped: Counter[str] = Counter()
        for row in _READERS[source.name](locate(source, clones, cache), skipped):
            if row.split == "train" and not source.train:
                skipped["kept out of training by the manifest"] += 1
            else:
                rows.append(row)
        dropped.update({(source.name, reason): count for reason, count in skipped.items()})
    return rows, dropped


def build(
    names: Sequence[str], clones: Path | None, cache: Path, out: Path, *, as_published: bool = False
) -> dict[str, Path]:
    """Read, clean and write the corpus and its data card.

    Args:
        names: Names of the sources.
        clones: A folder of the user's clones, or None to download.
        cache: Where downloads are kept.
        as_published: Keep duplicates and leaks between the parts, and the sources' labels alone: for figures that
            compare with published ones.
        out: Folder for ``<split>.parquet``, ``licences.json`` and ``DATACARD.md``.

    Returns:
        The parquet file of each split that has rows, and of each split of the articles.
    """
    manifest = load_manifest()
    paths = build_articles([manifest[name] for name in names if name in ARTICLE_SOURCES], clones, cache, out)
    sources = [manifest[name] for name in names if name in _READERS]
    rows, skipped = read_sources(sources, clones, cache)
    dropped = Drops()
    if not as_published:
        codes = {path.stem: read_codes(path) for path in sorted(FOLDER.glob("*.csv"))}
        rows, dropped = clean_rows(recode(rows, codes, skipped))
    for split in SPLITS:
        path = out / f"{split}.parquet"
        path.unlink(missing_ok=True)
        part = [row for row in rows if row.split == split]
        if part:
            write_parquet(part, path)
            paths[split] = path
    licences = {source.name: source.licence for source in sources}
    (out / "licences.json").write_text(json.dumps(licences, indent=1) + "\n", encoding="utf-8")
    (out / "DATACARD.md").write_text(write_datacard(rows, skipped + dropped, sources), encoding="utf-8")
    return paths


def build_articles(sources: Sequence[Source], clones: Path | None, cache: Path, out: Path) -> dict[str, Path]:
    """Read and write the annotated articles; a train article that stands in another part is dropped.

    Returns:
        The parquet file of each split that has articles, under ``articles.<split>``.
    """
    articles = [
        article
        for source in sources
        for article in ARTICLE_SOURCES[source.name](locate(source, clones, cache), Counter())
    ]
    held = {normalise_text(article.text) for article in articles if article.split != "train"}
    kept = [a for a in articles if a.split != "train" or normalise_text(a.text) not in held]
    logger.info("%d articles, %d dropped that stand in two parts", len(kept), len(articles) - len(kept))
    paths = {}
    for split in dict.fromkeys(article.split for article in kept):
        paths[f"articles.{split}"] = out / f"articles.{split}.parquet"
        write_articles([article for article in kept if article.split == split], paths[f"articles.{split}"])
    return paths


def write_datacard(rows: Sequence[LabelledStatement], dropped: Drops, sources: Sequence[Source]) -> str:
    """The data card, as Markdown: what is in the corpus, what is not, and why."""
    labels = [f"hostility {level}" for level in _intervals(rows)]
    header = ["source", "split", "rows", *STANCES, *(f"tone {tone}" for tone in SENTIMENTS), *labels]
    lines = ["# Data card", "", "Written by `python -m data.build`. A row may lack a label; levels are intervals.", ""]
    lines += _format_table(
        header, [_count_row(rows, source.name, split, header) for source in sources for split in SPLITS]
    )
    lines += ["", "## Rows and opinions left out", ""]
    lines += _format_table(
        ["source", "reason", "count"], [[name, reason, str(count)] for (name, reason), count in sorted(dropped.items())]
    )
    lines += ["", "## Licences and citations", ""]
    for source in sources:
        cite = source.citation
        use = "used for training" if source.train else "not used for training"
        lines.append(
            f"* **{source.name}**: {cite['authors']}: {cite['title']}. {cite['venue']}, {cite['year']}. "
            f"Licence as stated: {source.licence}. {use.capitalize()}: {source.reason}."
        )
    return "\n".join([*lines, ""])


def _interval(row: LabelledStatement) -> str | None:
    return None if row.hostility_low is None else f"{row.hostility_low}-{row.hostility_high}"


def _intervals(rows: Sequence[LabelledStatement]) -> list[str]:
    found = {_interval(row) for row in rows}
    every = [f"{low}-{high}" for low in range(MAX_LEVEL + 1) for high in range(low, MAX_LEVEL + 1)]
    return [interval for interval in every if interval in found]


def _count_row(rows: Sequence[LabelledStatement], source: str, split: str, header: Sequence[str]) -> list[str]:
    part = [row for row in rows if row.source == source and row.split == split]
    counts: Counter[str | None] = Counter(row.stance for row in part)
    counts.update(f"tone {row.sentiment}" for row in part)
    counts.update(f"hostility {_interval(row)}" for row in part)
    return [source, split, str(len(part)), *(str(counts[name]) for name in header[3:])] if part else []


def _format_table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---"] * len(header)
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *body) if cells]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, build, print the paths."""
    parser = argparse.ArgumentParser(prog="python -m data.build", description=__doc__)
    parser.add_argument("--clones", type=Path, help="folder of your clones; without it the pinned files are downloaded")
    parser.add_argument("--cache", type=Path, default=Path("build/cache"), help="folder for downloads")
    parser.add_argument("--out", type=Path, default=Path("build/data"), help="folder for the corpus")
    parser.add_argument(
        "--source",
        "--sources",
        dest="sources",
        default=",".join([*SOURCES, *ARTICLE_SOURCES]),
        help="names with commas between them; feedback, a deployment's own corrections, is read only if it is named",
    )
    parser.add_argument(
        "--as-published", action="store_true", help="keep duplicates, leaks, and the sources' labels alone"
    )
    options = parser.parse_args(arguments)
    names = options.sources.split(",")
    known = [*SOURCES, *ARTICLE_SOURCES, *OWN_SOURCES]
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"unknown sources {', '.join(unknown)}: choose from {', '.join(known)}")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for split, path in build(
        names, options.clones, options.cache, options.out, as_published=options.as_published
    ).items():
        print(f"{split}: {path}")


if __name__ == "__main__":
    main()

"""How well articles are read: attributions against an annotated corpus, dyads against articles that we wrote."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from detente.article.measures import Counts, GoldArticle, measure_attributions, measure_dyads
from detente.article.rules import attribute_by_rule
from detente.article.sentences import split_sentences
from detente.article.spans import AttributedArticle, Attribution
from detente.classifier import Classifier


def report_articles(
    classifier: Classifier, annotated: Sequence[AttributedArticle], gold: Sequence[GoldArticle]
) -> dict[str, Any]:
    """Measures both; the rule baseline stands beside the network.

    Args:
        classifier: A model that can read articles.
        annotated: Articles with annotated attributions; may be empty.
        gold: Articles with gold statements; may be empty.
    """
    rules = [attribute_by_rule(a.text, split_sentences(a.text)) for a in annotated]
    network = [classifier.attribute(a.text) for a in annotated]
    pairs = [(article, classifier.read(article.text, article.date)) for article in gold]
    return {
        "model": classifier.manifest.model_version,
        "attribution_model": classifier.manifest.attribution.get("version"),
        "attributions": {
            "articles": len(annotated),
            "rules": _describe(annotated, rules),
            "network": _describe(annotated, network),
        },
        "dyads": {
            "articles": len(gold),
            "with_stance": _to_dict(measure_dyads(pairs)),
            "parties_only": _to_dict(measure_dyads(pairs, with_stance=False)),
        },
    }


def print_articles(report: dict[str, Any]) -> None:
    """Prints a report of ``report_articles`` as two tables."""
    console = Console()
    table = Table("attributions", "rules", "network", title=f"{report['attributions']['articles']} annotated articles")
    for name in report["attributions"]["network"]:
        cells = [report["attributions"][kind][name] for kind in ("rules", "network")]
        table.add_row(name, *(f"{100 * cell:.1f}" for cell in cells))
    console.print(table)
    table = Table("dyads", "precision", "recall", "F1", title=f"{report['dyads']['articles']} gold articles")
    for name in ("with_stance", "parties_only"):
        found = report["dyads"][name]
        table.add_row(name, *(f"{found[key]:.3f}" for key in ("precision", "recall", "f1")))
    console.print(table)


def _describe(articles: Sequence[AttributedArticle], found: Sequence[Sequence[Attribution]]) -> dict[str, float]:
    figures = measure_attributions(articles, found)
    return {
        **{f"{kind} tokens F1": counts.f1 for kind, counts in figures.tokens.items()},
        **{f"{kind} spans F1": counts.f1 for kind, counts in figures.spans.items()},
        "direct quotations with the right source": figures.direct_sources.recall,
        "attributions with the right source": figures.sources.recall,
    }


def _to_dict(counts: Counts) -> dict[str, float]:
    return {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "right": counts.right,
        "predicted": counts.predicted,
        "expected": counts.expected,
    }

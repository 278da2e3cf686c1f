"""How well articles are read: attributions against an annotated corpus, dyads against articles that we wrote."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from detente.article.gold import GoldArticle
from detente.article.measures import Counts, estimate_f1_interval, measure_attributions, measure_dyads
from detente.article.rules import attribute_by_rule
from detente.article.sentences import split_sentences
from detente.article.spans import AttributedArticle, Attribution
from detente.classifier import Classifier


def report_articles(
    classifier: Classifier, annotated: Sequence[AttributedArticle], gold: Mapping[str, Sequence[GoldArticle]]
) -> dict[str, Any]:
    """Measures both; the rule baseline stands beside the network.

    Args:
        classifier: A model that can read articles.
        annotated: Articles with annotated attributions; may be empty.
        gold: Articles with gold statements, by the name under which they are reported.
    """
    rules = [attribute_by_rule(a.text, split_sentences(a.text)) for a in annotated]
    network = [classifier.attribute(a.text) for a in annotated]
    read = {
        name: [(article, classifier.read(article.text, article.date)) for article in articles]
        for name, articles in gold.items()
    }
    return {
        "model": classifier.manifest.model_version,
        "attribution_model": classifier.manifest.attribution.get("version"),
        "attributions": {
            "articles": len(annotated),
            "rules": _describe(annotated, rules),
            "network": _describe(annotated, network),
        },
        "dyads": {
            name: {
                "articles": len(pairs),
                **{
                    key: _to_dict(measure_dyads(pairs, with_stance=with_stance))
                    | {"f1_interval": estimate_f1_interval(pairs, with_stance=with_stance)}
                    for key, with_stance in (("with_stance", True), ("parties_only", False))
                },
            }
            for name, pairs in read.items()
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
    table = Table("articles", "dyads", "precision", "recall", "F1", "95 % interval")
    for name, measured in report["dyads"].items():
        for key in ("with_stance", "parties_only"):
            found = measured[key]
            low, high = found["f1_interval"]
            cells = [f"{found[k]:.3f}" for k in ("precision", "recall", "f1")]
            table.add_row(f"{name} ({measured['articles']})", key, *cells, f"{low:.3f} to {high:.3f}")
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

"""The model card, written from the artifact and its measured report: no figure is typed by hand."""

from collections.abc import Mapping
from typing import Any, Final

from detente.artifact import Manifest

HEADLINES: Final[dict[str, tuple[str, float]]] = {
    "dse_micro_f1": (
        "DSE valid (pairs that its train part repeats left out), five classes from two directed calls: micro-F1",
        100.0,
    ),
    "dse_macro_f1": ("the same: macro-F1", 100.0),
    "dse_direction": ("the same, one-way hostile pairs: the right direction scores more against (%)", 100.0),
    "newsmtsc_mt_macro_f1": ("NewsMTSC dev (mt), stance of the author toward the target: macro-F1", 100.0),
    "plv_conflict_macro_f1": ("PLV, held-out part of train, conflict against co-operation: macro-F1", 1.0),
    "plv_coercion_auc": ("PLV, held-out part of train, hostility of threats and coercion: AUC", 1.0),
    "unscon_conflict_auc": ("UNSCon, held-out debate, conflict or not: AUC", 1.0),
    "unscon_sentence_conflict_auc": ("the same, sentences alone", 1.0),
    "unscon_clause_conflict_auc": ("the same, clauses alone", 1.0),
    "mpqa_polarity_accuracy": ("MPQA dev, holder to target, positive against negative: accuracy", 1.0),
}
"""Headline figures of a report in the order of the card: what each is, and what to multiply it by."""


def render_card(manifest: Manifest, report: Mapping[str, Any], articles: Mapping[str, Any] | None = None) -> str:
    """The model card as Markdown.

    Args:
        manifest: Manifest of the artifact.
        report: What ``evaluation.report_model`` returned for it.
        articles: What ``article_evaluation.report_articles`` returned for it, if it reads articles.
    """
    calibration = manifest.calibration
    return "\n".join(
        [
            f"# Model card: detente {manifest.model_version}",
            "",
            "Written by `python -m train.card` from the artifact and its report; change those, not this file.",
            "",
            "## What it is",
            "",
            f"A transformer encoder ({manifest.base_model}) with three heads, fine-tuned to score a statement's stance, hostility and",
            "sentiment from a speaker toward a counterpart. Names of the two parties are replaced by role tokens before the network sees the",
            f"text. English only. Licence of the weights: {manifest.licence}.",
            "",
            "## What it must not be used for",
            "",
            "- Decisions about people (visas, jobs, policing, moderation sanctions) without a person who reads the statement.",
            "- As evidence that a party *is* hostile: it scores words in one statement, and knows nothing of facts, intent or context.",
            "- Languages other than English, legal or military early warning without review, or the ranking of ethnic or religious groups.",
            "- Statements with low confidence (`needs_review`) taken at face value.",
            "",
            "## Training data",
            "",
            "| source | weight | licence as stated |",
            "| --- | --- | --- |",
            *(
                f"| {name} | {weight} | {manifest.sources.get(name, 'none stated')} |"
                for name, weight in manifest.run["data"]["weights"].items()
            ),
            "",
            "The Parquet files that `python -m data.build` wrote: "
            + ", ".join(f"`{name}` {digest[:16]}" for name, digest in manifest.data_sha256.items())
            + ".",
            "",
            "## What it scored",
            "",
            f"On {', '.join(report['splits'])} rows, {report['backend']} backend. No official test split was read.",
            "The validation rows also chose the training recipe and fitted the calibration, so expect a little less on new data.",
            "",
            f"| {' | '.join(['what', 'detente', *report['baselines']])} |",
            f"| --- | {' | '.join(['---:'] * (1 + len(report['baselines'])))} |",
            *_headline_rows(report),
            "",
            "| source | head | rows | macro-F1 | 95 % interval | calibration error |",
            "| --- | --- | ---: | ---: | --- | ---: |",
            *_source_rows(report),
            "",
            "## Names, direction and behaviour",
            "",
            f"- Other names for the two parties move the stance by {report['swap']['mean']:.3f} on average and by {report['swap']['max']:.2f} at most",
            f"  (range over four pairs of names, {report['swap']['rows']:.0f} directed DSE rows that name both).",
            *_behaviour_lines(report),
            "",
            "## Calibration and review",
            "",
            f"- Calibration error of the stance (15 bins, {report['calibration']['rows']:.0f} rows of all sources): "
            f"{report['calibration']['uncalibrated']:.3f} before,",
            f"  {report['calibration']['cross_fitted']:.3f} after (fitted on one half of the groups, measured on the other, both ways).",
            f"- `needs_review` is set below confidence {calibration.review_below:.2f}: above it at most {calibration.selective_risk:.0%} of the",
            "  stances on validation rows are wrong.",
            "",
            *(_article_lines(manifest, articles) if articles else []),
        ]
    )


def _article_lines(manifest: Manifest, report: Mapping[str, Any]) -> list[str]:
    found = report["attributions"]
    rows = [
        f"| {name.replace('_', ' ')} | {measured['articles']} | {what} | {of['precision']:.2f} | {of['recall']:.2f} | "
        f"{of['f1']:.2f} ({of['f1_interval'][0]:.2f} to {of['f1_interval'][1]:.2f}) |"
        for name, measured in report["dyads"].items()
        for what, of in (
            ("speaker, counterpart, stance", measured["with_stance"]),
            ("the two parties", measured["parties_only"]),
        )
    ]
    return [
        "## Articles",
        "",
        f"A second network ({manifest.attribution['version']}) finds who says what. It was trained on PolNeAR (licence as stated:",
        f"none stated), {found['articles']} articles of its dev part were read for these figures; its test part was not.",
        "",
        "| attributions (%) | rules | network |",
        "| --- | ---: | ---: |",
        *(
            f"| {name} | {100 * found['rules'][name]:.1f} | {100 * share:.1f} |"
            for name, share in found["network"].items()
        ),
        "",
        "Names, acts, views, and who is meant, it learnt from articles that we wrote (data/articles); the weights of the evidence were",
        "fitted on others of ours, which it had not seen. Those below were not trained on;",
        "the thresholds were chosen on `validation`, and nothing on the held-out ones, which were read for these figures alone.",
        "",
        "| articles | n | what must be right | precision | recall | F1 (95 % interval over articles) |",
        "| --- | ---: | --- | ---: | ---: | --- |",
        *rows,
        "",
        "The authors of articles and labels were language models; no human has coded them a second time.",
        "",
    ]


def _headline_rows(report: Mapping[str, Any]) -> list[str]:
    columns = [report["evaluation"]["headline"], *(b["headline"] for b in report["baselines"].values())]
    rows = []
    for key, (text, factor) in HEADLINES.items():
        if key in columns[0]:
            digits = 1 if factor == 100.0 else 3
            cells = " | ".join(f"{column[key] * factor:.{digits}f}" if key in column else "-" for column in columns)
            rows.append(f"| {text} | {cells} |")
    return rows


def _source_rows(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for source, heads in report["evaluation"]["sources"].items():
        for head, found in heads.items():
            if head != "rows":
                low, high = found["macro_f1_interval"]
                rows.append(
                    f"| {source} | {head} | {found['rows']} | {found['macro_f1']:.3f} | {low:.3f} to {high:.3f} "
                    f"| {found['calibration_error']:.3f} |"
                )
    return rows


def _behaviour_lines(report: Mapping[str, Any]) -> list[str]:
    if "behaviour" not in report:
        return []
    found = report["behaviour"]
    lines = [
        f"- Behaviour pairs (tests/behaviour, never trained on) ordered as expected: {found['ordered']:.1%} of {found['pairs']}."
    ]
    weak = sorted(found["phenomena"].items(), key=lambda item: item[1])
    return [*lines, "  By phenomenon: " + ", ".join(f"{name} {share:.0%}" for name, share in weak) + "."]

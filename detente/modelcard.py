"""The model card, written from the artifact and its measured report: no figure is typed by hand."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from detente.artifact import Manifest
from detente.comparison import QUANTILES, SCORES

HEADLINES: Final[dict[str, tuple[str, float]]] = {
    "dse_micro_f1": (
        "DSE valid (pairs that its train part repeats left out), five classes from two directed calls: micro-F1",
        100.0,
    ),
    "dse_macro_f1": ("the same: macro-F1", 100.0),
    "dse_direction": ("the same, one-way hostile pairs: the right direction scores more against (%)", 100.0),
    "dse_direction_coded": ("the same, those pairs whose hostility our coders found in the sentence too (%)", 100.0),
    "newsmtsc_mt_macro_f1": ("NewsMTSC dev (mt), stance of the author toward the target: macro-F1", 100.0),
    "newsmtsc_rw_macro_f1": ("NewsMTSC dev (rw), the same", 100.0),
    "plv_conflict_macro_f1": ("PLV, held-out part of train, conflict against co-operation: macro-F1", 1.0),
    "plv_coercion_auc": ("PLV, held-out part of train, hostility of threats and coercion: AUC", 1.0),
    "unscon_conflict_auc": ("UNSCon, held-out debate, conflict or not: AUC", 1.0),
    "unscon_conflict_f1": (
        "the same, called a conflict where any hostility is likelier than none: F1 of conflicts",
        1.0,
    ),
    "unscon_sentence_conflict_auc": ("the same, sentences alone: AUC", 1.0),
    "unscon_clause_conflict_auc": ("the same, clauses alone: AUC", 1.0),
    "unscon_against": ("the same, rows with a conflict: called against (%)", 100.0),
    "unscon_calm_against": ("the same, rows without one: called against (%), less is better", 100.0),
    "mpqa_polarity_accuracy": ("MPQA dev, holder to target, positive against negative: accuracy", 1.0),
    "rusentrel_polar_f1": (
        "RuSentRel, held-out articles, sentences coded again by us: mean F1 of favour and against",
        100.0,
    ),
    "authored_levels_kappa": ("Our own statements, five hostility levels: quadratic kappa", 1.0),
}
"""Headline figures of a report in the order of the card: what each is, and what to multiply it by."""


AIMS: Final = {
    "dse_micro_f1": 0.852,
    "dse_macro_f1": 0.725,
    "dse_direction": 0.97,
    "newsmtsc_mt_macro_f1": 0.825,
    "newsmtsc_rw_macro_f1": 0.831,
    "plv_conflict_macro_f1": 0.97,
    "unscon_conflict_auc": 0.90,
    "unscon_conflict_f1": 0.72,
    "unscon_against": 0.90,
    "authored_levels_kappa": 0.80,
}
"""What we aim at: of DSE, NewsMTSC and PLV what the best published models reach on their test parts, with bases six times
larger (a consistency loss on RoBERTa-base, ACL 2024; GRU-TSC; ZSP); of the others our own."""


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
            *_origin_lines(manifest),
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
            f"| {' | '.join(['what', 'detente (95 % interval)', *report['baselines'], 'aim'])} |",
            f"| --- | {' | '.join(['---:'] * (2 + len(report['baselines'])))} |",
            *_headline_rows(report),
            "",
            "Aims of DSE, NewsMTSC and PLV are what the best published models, with bases six times larger, reach on test parts that we have not read",
            "(DSE with its repeated pairs left in); the others are our own.",
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
            "- [docs/audit.md](docs/audit.md): states, blocs, companies and persons, phenomena, registers, lengths and sources apart;",
            "  [docs/errors.md](docs/errors.md): the 50 surest errors, by cause.",
            "",
            "## Calibration and review",
            "",
            f"- Calibration error of the stance (15 bins, {report['calibration']['rows']:.0f} rows of all sources): "
            f"{report['calibration']['uncalibrated']:.3f} before,",
            f"  {report['calibration']['cross_fitted']:.3f} after (fitted on one half of the groups, measured on the other, both ways).",
            f"- `needs_review` is set below confidence {calibration.review_below:.2f}: above it at most {calibration.selective_risk:.0%} of the",
            "  stances are wrong, by a 95 % bound on validation rows; sources differ ([docs/audit.md](docs/audit.md)).",
            "",
            *(_article_lines(manifest, articles) if articles else []),
        ]
    )


def _origin_lines(manifest: Manifest) -> list[str]:
    """How the weights came about, if not by one training run."""
    lines = []
    if start := manifest.run.get("started_from"):
        lines.append(f"Training went on from the network of version {start}.")
    if networks := manifest.run.get("average_of"):
        shares = manifest.run.get("shares", {})
        named = [f"{name} ({shares[name]:.2f})" if name in shares else name for name in networks]
        lines.append(f"Its weights are the mean of {len(networks)} fine-tuned networks: {', '.join(named)}.")
    if distilled := manifest.run.get("distilled"):
        lines.append(
            f"That mean then learnt what {', '.join(distilled['teachers'])} say on average of {distilled['statements']:,} statements:"
        )
        lines.append("training rows and their other directions, without labels.")
    return lines


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
            cells = [f"{column[key] * factor:.{digits}f}" if key in column else "-" for column in columns]
            if interval := report["evaluation"].get("headline_intervals", {}).get(key):
                low, high = (f"{bound * factor:.{digits}f}" for bound in interval)
                cells[0] += f" ({low} to {high})"
            aim = f"{AIMS[key] * factor:.{digits}f}" if key in AIMS else ""
            rows.append(f"| {text} | {' | '.join(cells)} | {aim} |")
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


def render_audit(report: Mapping[str, Any]) -> str:
    """The page of an audit as Markdown.

    Args:
        report: What ``audit.audit`` returned, with the ``model_version``.
    """
    lines = [
        f"# Audit: detente {report['model_version']}",
        "",
        "Written by `python -m train.audit` from its report; change that, not this file. Shares are of right stances, with 95 % intervals",
        "(Wilson).",
        "",
        *_names_lines(report["names"]),
        "## Direction",
        "",
        "Texts that are labelled in both directions, with different stances: how often the right one is the more hostile.",
        "",
        *_share_table("source", report["direction"]),
        *(
            ["## Behaviour pairs (never trained on)", "", *_share_table("phenomenon", report["behaviour"])]
            if "behaviour" in report
            else []
        ),
        "## Slices",
        "",
    ]
    for kind, slices in report["slices"].items():
        if slices:
            lines += _share_table(kind, slices, ("macro_f1", "calibration_error", "overconfidence"))
    lines += [
        "Overconfidence is mean confidence less the share that is right.",
        "",
        "## Hostility levels",
        "",
        "| source | rows | quadratic kappa | macro-F1 |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {f['rows']} | {f['kappa']:.2f} | {f['macro_f1']:.2f} |" for name, f in report["levels"].items()),
        "",
        "## Review",
        "",
        "Wrong stances (%) among all statements, and among the 80 % that the model is surest of.",
        "",
        "| source | rows | all | surest 80 % | ratio |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {f['rows']} | {100 * f['all']:.1f} | {100 * f['kept']:.1f} | "
            f"{f['kept'] / f['all'] if f['all'] else float('nan'):.2f} |"
            for name, f in report["review"].items()
        ),
        "",
    ]
    return "\n".join(lines)


def _names_lines(found: Mapping[str, Any]) -> list[str]:
    if not found["statements"]:
        return []
    lines = [
        "## Names",
        "",
        f"{found['statements']} statements that name both parties, written anew with names of {len(found['kinds'])} kinds on each side. "
        f"The stance of one statement moves by {found['stance_range']['mean']:.3f} on average",
        f"and by {found['stance_range']['max']:.2f} at most over all {len(found['kinds']) ** 2} pairs of kinds. Gap of the mean score to the mean over all:",
        "",
    ]
    for score in ("stance", "hostility"):
        lines += [
            f"| {score}: speaker \\ counterpart | {' | '.join(found['kinds'])} |",
            f"| --- |{' ---: |' * len(found['kinds'])}",
            *(
                f"| {kind} | {' | '.join(f'{gap:+.3f}' for gap in gaps)} |"
                for kind, gaps in zip(found["kinds"], found[score], strict=True)
            ),
            "",
        ]
    return lines


def _share_table(kind: str, shares: Mapping[str, Mapping[str, Any]], more: Sequence[str] = ()) -> list[str]:
    return [
        f"| {kind} | rows | right | 95 % interval |" + "".join(f" {key.replace('_', ' ')} |" for key in more),
        f"| --- | ---: | ---: | --- |{' ---: |' * len(more)}",
        *(
            f"| {name} | {f['rows']} | {100 * f['share']:.1f} % | {100 * f['interval'][0]:.0f} to {100 * f['interval'][1]:.0f} |"
            + "".join(f" {f[key]:.2f} |" for key in more)
            for name, f in shares.items()
        ),
        "",
    ]


def render_comparison(found: Mapping[str, Any]) -> str:
    """A comparison of two versions as Markdown.

    Args:
        found: What ``comparison.compare_files`` returned.
    """
    old, new = found["versions"]
    lines = [
        f"# {old} to {new}",
        "",
        f"Written by `python -m train.compare`, on {found['rows']:,} statements scored by both ({found['left_out']} without a score left out).",
        "",
        _row("score", *(f"{q:.0%}" for q in QUANTILES), "mean absolute change"),
        _row("---", *["---:"] * (len(QUANTILES) + 1)),
    ]
    for score in SCORES:
        change = f"{found[score]['mean_change']:.3f}"
        for name, values in zip(("old", "new", "new less old"), found[score]["quantiles"], strict=True):
            lines.append(
                _row(f"{score}, {name}", *(f"{v:.2f}" for v in values), change if name == "new less old" else "")
            )
    lines += ["", _row("label", "changed"), _row("---", "---:")]
    lines += [_row(name, f"{100 * share:.1f} %") for name, share in found["changed"].items()]
    lines += [
        "",
        "Thresholds that keep the same share of statements beyond them:",
        "",
        _row("score", "old", "new"),
        _row("---", "---:", "---:"),
    ]
    lines += [_row(score, f"{a:.2f}", f"{b:.2f}") for score in SCORES for a, b in found[score]["thresholds"]]
    return "\n".join([*lines, ""])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"

"""What a model scored, by source and head, and the checks that scores follow direction and not names."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detente.calibration import HeadCalibration, compute_probabilities, fit_head
from detente.classifier import Classifier
from detente.corpus import stable_fraction
from detente.labels import HEADS, MAX_LEVEL, SENTIMENTS, STANCES
from detente.metrics import (
    bootstrap_interval,
    count_confusion,
    measure_calibration_error,
    score_accuracy,
    score_auc,
    score_f1,
    score_kappa,
    score_macro_f1,
    trace_risk_coverage,
)
from detente.parties import Party, collect_names, find_mentions, find_party, load_parties
from detente.records import LabelledStatement, Statement

logger = logging.getLogger(__name__)

Probabilities = dict[str, npt.NDArray[np.float64]]
Predictor = Callable[[Sequence[Statement]], Probabilities]
"""Statements in; (n, labels) probabilities of each head out."""

_HEADLINE_DRAWS: Final = 200
COVERAGES: Final = (0.5, 0.7, 0.8, 0.9, 1.0)
COERCIVE: Final = frozenset({"THREATEN", "COERCE", "SANCTION", "ASSAULT", "MOBILIZE", "FIGHT"})
"""PLOVER root codes that threaten or coerce."""
SWAP_PARTIES: Final = (
    ("Norway", "Canada"),
    ("Russia", "United States"),
    ("Kenya", "Portugal"),
    ("Iran", "China"),
)
"""The four (speaker, counterpart) pairs that a statement's own two parties are exchanged for."""


def predict_with(classifier: Classifier) -> Predictor:
    """The classifier's calibrated probabilities, long texts in windows as for any user."""

    def predict(statements: Sequence[Statement]) -> Probabilities:
        scores = classifier.score_many(statements)
        return {
            head: np.array([[getattr(s, f"{head}_probs")[label] for label in labels] for s in scores])
            for head, labels in HEADS.items()
        }

    return predict


def predict_majority(rows: Sequence[LabelledStatement]) -> Predictor:
    """Baseline: the share of each label among the given rows, whatever the statement says."""
    shares = {
        "stance": [sum(r.stance == label for r in rows) for label in STANCES],
        "hostility": [
            sum(r.hostility_low == level == r.hostility_high for r in rows) for level in range(MAX_LEVEL + 1)
        ],
        "sentiment": [sum(r.sentiment == label for r in rows) for label in SENTIMENTS],
    }

    def predict(statements: Sequence[Statement]) -> Probabilities:
        return {
            head: np.tile(np.array(counts, dtype=np.float64) / max(sum(counts), 1), (len(statements), 1))
            for head, counts in shares.items()
        }

    return predict


def predict_vader() -> Predictor:
    """Baseline: VADER's compound score of the text as sentiment, stance and hostility (Hutto and Gilbert 2014).

    Raises:
        ModuleNotFoundError: vaderSentiment is not installed.
    """
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()

    def predict(statements: Sequence[Statement]) -> Probabilities:
        tone = np.array([analyzer.polarity_scores(s.text)["compound"] for s in statements])
        up, down = np.clip(tone, 0, 1), np.clip(-tone, 0, 1)
        levels = np.zeros((len(tone), MAX_LEVEL + 1))
        position = down * MAX_LEVEL
        low = np.floor(position).astype(int)
        rows = np.arange(len(tone))
        levels[rows, low] += 1 - (position - low)
        levels[rows, np.minimum(low + 1, MAX_LEVEL)] += position - low
        # The usual cut at 0.05 on the compound score decides between neutral and a tone.
        calm = np.where(np.abs(tone) < 0.05, 2.0, 0.0)
        stance = np.stack([up, calm, down], axis=1) + 1e-9
        stance /= stance.sum(axis=1, keepdims=True)
        return {"stance": stance, "hostility": levels, "sentiment": stance[:, ::-1]}

    return predict


def evaluate(rows: Sequence[LabelledStatement], predict: Predictor, *, intervals: bool = False) -> dict[str, Any]:
    """The whole report on labelled rows.

    Args:
        rows: Of any sources.
        predict: What is measured.
        intervals: Whether to estimate 95 % intervals of the headline figures, which takes some seconds.

    Returns:
        ``sources``: figures by source and head. ``headline``: the figures of the README's table that the rows allow;
        ``headline_intervals``, if asked for. JSON-ready.
    """
    probabilities = predict([row.to_statement() for row in rows])
    sources = {}
    for source in sorted({row.source for row in rows}):
        index = np.array([i for i, row in enumerate(rows) if row.source == source])
        part = [rows[i] for i in index]
        found = {head: _report_head(head, part, p[index]) for head, p in probabilities.items()}
        sources[source] = {"rows": len(part), **{head: figures for head, figures in found.items() if figures}}
    report = {"rows": len(rows), "headline": measure_headline(rows, probabilities), "sources": sources}
    return report | ({"headline_intervals": estimate_headline(rows, probabilities)} if intervals else {})


def _report_head(
    head: str, rows: Sequence[LabelledStatement], probabilities: npt.NDArray[np.float64]
) -> dict[str, Any] | None:
    """Figures of one head on one source; None if fewer than ten rows have an exact label, or all have the same."""
    labels = HEADS[head]
    truth = np.array([_exact_label(head, row) for row in rows])
    known = truth >= 0
    if known.sum() < 10 or len(np.unique(truth[known])) < 2:
        return None
    units = [
        np.array(unit) for unit in group_alike([row for row, is_known in zip(rows, known, strict=True) if is_known])
    ]
    truth, probabilities = truth[known], probabilities[known]
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    correct = predicted == truth
    risks = trace_risk_coverage(confidence, correct, np.array(COVERAGES))

    def measure(drawn: npt.NDArray[np.int64]) -> float:
        index = np.concatenate([units[unit] for unit in drawn])
        return score_macro_f1(truth[index], predicted[index], len(labels))

    interval = bootstrap_interval(measure, len(units))
    return {
        "rows": int(known.sum()),
        "labels": list(labels),
        "macro_f1": score_macro_f1(truth, predicted, len(labels)),
        "macro_f1_interval": list(interval),
        "accuracy": score_accuracy(truth, predicted),
        "calibration_error": measure_calibration_error(confidence, correct),
        "risk_by_coverage": {str(c): float(r) for c, r in zip(COVERAGES, risks, strict=True)},
        "confusion": count_confusion(truth, predicted, len(labels)).tolist(),
    }


def _exact_label(head: str, row: LabelledStatement) -> int:
    """Index of the row's label, or -1 if it has none or only an interval."""
    if head == "hostility":
        exact = row.hostility_low is not None and row.hostility_low == row.hostility_high
        return row.hostility_low if exact and row.hostility_low is not None else -1
    label = row.stance if head == "stance" else row.sentiment
    return -1 if label is None else HEADS[head].index(label)


def measure_headline(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> dict[str, float]:
    """The figures that the project's table states, each for the rows that allow it."""
    stance = probabilities["stance"]
    score = stance[:, 0] - stance[:, 2]
    hostility = probabilities["hostility"] @ np.arange(MAX_LEVEL + 1) / MAX_LEVEL
    figures: dict[str, float] = {}

    def pick(source: str) -> npt.NDArray[np.int64]:
        return np.array([i for i, row in enumerate(rows) if row.source == source], dtype=np.int64)

    if len(index := pick("dse")):
        figures |= _measure_dse([rows[i] for i in index], stance[index])
    for part in ("mt", "rw"):
        if len(index := np.array([i for i in pick("newsmtsc") if rows[i].native.startswith(part)], dtype=np.int64)):
            truth = np.array([STANCES.index(rows[i].stance or "") for i in index])
            figures[f"newsmtsc_{part}_macro_f1"] = score_macro_f1(truth, stance[index].argmax(axis=1), len(STANCES))
    if len(index := pick("plv")):
        penta, root = zip(*(rows[i].native.split(":") for i in index), strict=True)
        conflict = np.array([int(p) >= 3 for p in penta])
        # Conflict if the stance leans against: no threshold is tuned.
        predicted = (score[index] < 0).astype(np.int64)
        figures["plv_conflict_macro_f1"] = score_macro_f1(conflict.astype(np.int64), predicted, 2)
        coercive = np.array([r in COERCIVE for r in root])
        figures["plv_coercion_auc"] = score_auc(coercive, hostility[index])
    unscon = pick("unscon")
    # A clause often lacks the words that make the conflict, so the two units are also told apart.
    for name, prefix in (("conflict", ""), ("sentence_conflict", "ui-"), ("clause_conflict", "rst-")):
        if len(index := np.array([i for i in unscon if rows[i].id.startswith(prefix)], dtype=np.int64)):
            conflict = np.array([(rows[i].hostility_low or 0) > 0 for i in index])
            figures[f"unscon_{name}_auc"] = score_auc(conflict, hostility[index])
            # Conflict if any hostility is likelier than none: no threshold is tuned.
            found = (probabilities["hostility"][index, 0] < 0.5).astype(np.int64)
            figures[f"unscon_{name}_f1"] = float(score_f1(conflict.astype(np.int64), found, 2)[1])
    # What it calls against among rows without a conflict says what the share among rows with one is worth.
    for name, is_against in (("against", True), ("calm_against", False)):
        if len(index := np.array([i for i in unscon if (rows[i].stance == "against") == is_against], dtype=np.int64)):
            figures[f"unscon_{name}"] = float((stance[index].argmax(axis=1) == STANCES.index("against")).mean())
    if len(index := np.array([i for i in pick("rusentrel_en") if rows[i].stance], dtype=np.int64)):
        truth = np.array([STANCES.index(rows[i].stance or "") for i in index])
        f1 = score_f1(truth, stance[index].argmax(axis=1), len(STANCES))
        figures["rusentrel_polar_f1"] = float((f1[0] + f1[2]) / 2)
    if len(index := np.array([i for i in pick("authored") if _exact_label("hostility", rows[i]) >= 0], dtype=np.int64)):
        levels = np.array([_exact_label("hostility", rows[i]) for i in index])
        found = probabilities["hostility"][index].argmax(axis=1)
        figures["authored_levels_kappa"] = score_kappa(levels, found, MAX_LEVEL + 1)
    polar = np.array([i for i in pick("mpqa") if rows[i].speaker and rows[i].stance != "neutral"], dtype=np.int64)
    if len(polar):
        positive = np.array([rows[i].stance == "favour" for i in polar])
        figures["mpqa_polarity_accuracy"] = float(np.mean((score[polar] > 0) == positive))
    return figures


def estimate_headline(rows: Sequence[LabelledStatement], probabilities: Probabilities) -> dict[str, list[float]]:
    """95 % bootstrap intervals of ``measure_headline``; rows that say the same are drawn together."""
    members = group_alike(rows)
    generator = np.random.default_rng(0)
    draws: dict[str, list[float]] = {}
    for _ in range(_HEADLINE_DRAWS):
        index = np.array([i for unit in generator.integers(0, len(members), len(members)) for i in members[unit]])
        part = {head: p[index] for head, p in probabilities.items()}
        for name, figure in measure_headline([rows[i] for i in index], part).items():
            draws.setdefault(name, []).append(figure)
    return {name: np.nanpercentile(values, [2.5, 97.5]).tolist() for name, values in draws.items()}


def group_alike(rows: Sequence[LabelledStatement]) -> list[list[int]]:
    """Positions of rows that a bootstrap draws as one.

    These are both directions of a DSE pair, and a statement of ours with other names (``acts-028#0``, ``acts-028#1``),
    which the network reads nearly alike; other rows are drawn one by one.
    """
    units: dict[tuple[str, str], list[int]] = {}
    for i, row in enumerate(rows):
        name = row.id[:-3] if row.source == "dse" else row.id
        units.setdefault((row.source, name.partition("#")[0] if row.source == "authored" else name), []).append(i)
    return list(units.values())


def _measure_dse(rows: Sequence[LabelledStatement], stance: npt.NDArray[np.float64]) -> dict[str, float]:
    """DSE's five classes from two directed calls, and whether the right direction scores more against.

    The probability of a class is that of its stance in one direction times that of neutral in the other. Ids end in
    ``-pq`` and ``-qp``; ``native`` is the class: 0 none, 1 and 3 p to q, 2 and 4 q to p, 1 and 2 positive, 3 and 4
    negative.
    """
    favour, neutral, against = range(3)
    position = {row.id: i for i, row in enumerate(rows)}
    pairs = [
        (i, position[row.id[:-2] + "qp"])
        for i, row in enumerate(rows)
        if row.id.endswith("-pq") and row.id[:-2] + "qp" in position
    ]
    ahead, back = stance[[i for i, _ in pairs]], stance[[j for _, j in pairs]]
    classes = np.stack(
        [
            ahead[:, neutral] * back[:, neutral],
            ahead[:, favour] * back[:, neutral],
            ahead[:, neutral] * back[:, favour],
            ahead[:, against] * back[:, neutral],
            ahead[:, neutral] * back[:, against],
        ],
        axis=1,
    )
    truth = np.array([int(rows[i].native) for i, _ in pairs])
    predicted = classes.argmax(axis=1)
    lean = (ahead[:, favour] - ahead[:, against]) - (back[:, favour] - back[:, against])
    right = np.concatenate([lean[truth == 3] < 0, lean[truth == 4] > 0])
    hostile = [i for (i, _), label in zip(pairs, truth, strict=True) if label == 3]
    hostile += [j for (_, j), label in zip(pairs, truth, strict=True) if label == 4]
    # A hostile row has an exact level where a coder, who did not know the label, found it in the sentence too.
    coded = np.array([_exact_label("hostility", rows[i]) >= 0 for i in hostile], dtype=bool)
    figures = {
        "dse_pairs": float(len(pairs)),
        "dse_micro_f1": score_accuracy(truth, predicted),
        "dse_macro_f1": score_macro_f1(truth, predicted, 5),
        "dse_direction": float(right.mean()) if len(right) else float("nan"),
    }
    if coded.any():
        figures["dse_direction_coded"] = float(right[coded].mean())
    return figures


def measure_swap(rows: Sequence[LabelledStatement], predict: Predictor) -> dict[str, float]:
    """How far the stance moves when the two parties get other names, in the text too.

    Each row whose two parties both stand in its text, and none of the new ones as a third, is rewritten for every pair
    of ``SWAP_PARTIES``.

    Returns:
        ``rows``, and ``mean`` and ``max`` of the range of the stance over the four rewritings, in [0, 2].
    """
    parties = {party.name: party for party in load_parties()}
    variants: list[Statement] = []
    for row in rows:
        swapped = [swap_names(row.to_statement(), parties[ahead], parties[back]) for ahead, back in SWAP_PARTIES]
        if None not in swapped:
            variants += [statement for statement in swapped if statement is not None]
    if not variants:
        return {"rows": 0.0, "mean": float("nan"), "max": float("nan")}
    stance = predict(variants)["stance"]
    score = (stance[:, 0] - stance[:, 2]).reshape(-1, len(SWAP_PARTIES))
    moved = np.ptp(score, axis=1)
    return {"rows": float(len(moved)), "mean": float(moved.mean()), "max": float(moved.max())}


def swap_names(statement: Statement, speaker: Party, counterpart: Party) -> Statement | None:
    """The statement with other parties: a demonym becomes a demonym, a capital a capital, any other name the new name.

    Returns:
        None if the two parties do not both stand in the text, or a new one stands there already as a third.
    """
    mentions = find_mentions(statement.text, collect_names(statement))
    if {mention.role for mention in mentions} != {"speaker", "counterpart"}:
        return None
    new = {"speaker": speaker, "counterpart": counterpart}
    text = rest = statement.text
    for mention in reversed(mentions):
        rest = rest[: mention.start] + rest[mention.end :]
        form = _match_form(text[mention.start : mention.end], new[mention.role])
        text = text[: mention.start] + form + text[mention.end :]
    if any(form in rest for party in new.values() for form in party.forms):
        return None
    return Statement(text, speaker.name, counterpart.name)


def _match_form(written: str, party: Party) -> str:
    """The new party's name in the form in which the old one was written."""
    bare = written[4:] if written.lower().startswith("the ") else written
    old = find_party(bare)
    if old is None:
        return party.name
    article = written[: len(written) - len(bare)]
    if bare in old.adjectives and party.adjectives:
        return article + party.adjectives[0]
    if bare in old.people and party.people:
        return article + party.people[0]
    if bare == old.capital:
        return party.capital or party.name
    return party.name


def measure_behaviour(path: Path, predict: Predictor) -> dict[str, Any]:
    """Share of the pairs of a behaviour file that the model orders as expected, in all and by phenomenon and dimension.

    Args:
        path: JSON lines with ``phenomenon``, ``dimension``, ``higher`` and ``lower``; see tests/behaviour/README.md.
        predict: The model.
    """
    pairs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    sides = {side: predict([Statement(**pair[side]) for pair in pairs]) for side in ("higher", "lower")}

    def score(side: str, dimension: str) -> npt.NDArray[np.float64]:
        p = sides[side][dimension]
        if dimension == "hostility":
            return np.asarray(p @ np.arange(MAX_LEVEL + 1) / MAX_LEVEL)
        favourable, adverse = (0, 2) if dimension == "stance" else (2, 0)
        return np.asarray(p[:, favourable] - p[:, adverse])

    ordered = np.zeros(len(pairs), dtype=bool)
    for dimension in HEADS:
        is_dimension = np.array([pair["dimension"] == dimension for pair in pairs])
        ordered |= is_dimension & (score("higher", dimension) > score("lower", dimension))

    def share(key: str) -> dict[str, float]:
        values = np.array([pair[key] for pair in pairs])
        return {str(value): float(ordered[values == value].mean()) for value in np.unique(values)}

    return {
        "pairs": len(pairs),
        "ordered": float(ordered.mean()),
        "phenomena": share("phenomenon"),
        "phenomena_pairs": dict(Counter(pair["phenomenon"] for pair in pairs)),
        "dimensions": share("dimension"),
        "failed": [pair["id"] for pair, fine in zip(pairs, ordered, strict=True) if not fine],
    }


def measure_calibration(rows: Sequence[LabelledStatement], classifier: Classifier) -> dict[str, float]:
    """Calibration error of the stance over the rows of trained sources: uncalibrated, as shipped, cross-fitted.

    The shipped calibration was fitted on validation rows. So that it is not judged on rows that it saw, the
    cross-fitted figure fits on one half of the groups and measures on the other, both ways.
    """
    trained = classifier.manifest.run.get("data", {}).get("weights", {})
    known = [row for row in rows if row.stance is not None and (row.source in trained or not trained)]
    truth = np.array([STANCES.index(row.stance or "") for row in known])
    logits = classifier.compute_logits([row.to_statement() for row in known])["stance"]
    half = np.array([stable_fraction("calibration", row.source, row.group) < 0.5 for row in known])

    def measure(calibrations: Sequence[HeadCalibration]) -> float:
        parts = [np.ones(len(known), bool)] if len(calibrations) == 1 else [half, ~half]
        probabilities = np.zeros_like(logits)
        for part, calibration in zip(parts, calibrations, strict=True):
            probabilities[part] = compute_probabilities(logits[part], calibration)
        correct = probabilities.argmax(axis=1) == truth
        return measure_calibration_error(probabilities.max(axis=1), correct)

    sources = np.array([row.source for row in known])
    fitted = [fit_head(logits[~part], truth[~part], truth[~part], sources[~part].tolist()) for part in (half, ~half)]
    return {
        "rows": float(len(known)),
        "uncalibrated": measure([HeadCalibration(bias=(0.0,) * len(STANCES))]),
        "shipped": measure([classifier.manifest.calibration.heads["stance"]]),
        "cross_fitted": measure(fitted),
    }


def find_label_errors(
    classifier: Classifier, rows: Sequence[LabelledStatement]
) -> list[tuple[LabelledStatement, float]]:
    """The rows whose stance is most likely labelled wrongly (confident learning, Northcutt, Jiang and Chuang 2021).

    Rows without a stance are left out.

    Returns:
        Each such row with the probability, in [0, 1], that the model gives its label; the least probable first.

    Raises:
        ModuleNotFoundError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the search for label errors needs cleanlab: pip install 'detente[train]'") from error
    labelled = [row for row in rows if row.stance is not None]
    if not labelled:
        return []
    labels = np.array([_exact_label("stance", row) for row in labelled])
    probabilities = predict_with(classifier)([row.to_statement() for row in labelled])["stance"]
    issues = find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", filter_by="confident_learning", n_jobs=1
    )
    return [(labelled[k], float(probabilities[k, labels[k]])) for k in issues]


def report_model(
    classifier: Classifier, rows: Sequence[LabelledStatement], behaviour: Path, baselines: Sequence[str]
) -> dict[str, Any]:
    """The whole report of a model on labelled rows, with baselines beside it.

    Args:
        classifier: The model.
        rows: Rows of one split of any sources.
        behaviour: The behaviour pairs; left out of the report, with a warning, if the file is not there.
        baselines: Of ``majority`` and ``vader``.

    Returns:
        JSON-ready: ``model``, ``backend``, ``evaluation``, ``swap``, ``behaviour``, ``calibration``, ``baselines``.
    """
    predict = predict_with(classifier)
    makers: dict[str, Callable[[], Predictor]] = {"majority": lambda: predict_majority(rows), "vader": predict_vader}
    report: dict[str, Any] = {
        "model": classifier.manifest.model_version,
        "backend": classifier.backend,
        "splits": sorted({row.split for row in rows}),
        "evaluation": evaluate(rows, predict, intervals=True),
        "swap": measure_swap([row for row in rows if row.source == "dse"], predict),
        "calibration": measure_calibration(rows, classifier),
        "baselines": {name: evaluate(rows, makers[name]()) for name in baselines},
    }
    if behaviour.is_file():
        report["behaviour"] = measure_behaviour(behaviour, predict)
    else:
        logger.warning("%s is not there: no behaviour figures", behaviour)
    return report


def print_report(report: Mapping[str, Any]) -> None:
    """Prints the headline figures, the checks and macro-F1 by source and head as plain tables."""
    names = ["model", *report["baselines"]]
    headlines = [report["evaluation"]["headline"], *(b["headline"] for b in report["baselines"].values())]
    print(f"{report['model']} ({report['backend']}) on {', '.join(report['splits'])}\n")
    print(f"{'headline':<28}" + "".join(f"{name:>12}" for name in names))
    for key in headlines[0]:
        print(f"{key:<28}" + "".join(f"{h.get(key, float('nan')):>12.4f}" for h in headlines))
    print(f"\n{'source':<14}{'head':<12}{'rows':>6}{'macro-F1':>10}{'95 % interval':>18}{'ECE':>8}")
    for source, heads in report["evaluation"]["sources"].items():
        for head, f in heads.items():
            if head != "rows":
                low, high = f["macro_f1_interval"]
                interval = f"{low:.3f} to {high:.3f}"
                print(
                    f"{source:<14}{head:<12}{f['rows']:>6}{f['macro_f1']:>10.4f}{interval:>18}{f['calibration_error']:>8.4f}"
                )
    for check in ("swap", "calibration"):
        print(f"\n{check}: " + ", ".join(f"{k} {v:.4f}" for k, v in report[check].items()))
    if "behaviour" in report:
        found = report["behaviour"]
        print(f"\nbehaviour: {found['ordered']:.1%} of {found['pairs']} pairs ordered as expected")
        print(", ".join(f"{name} {share:.0%}" for name, share in found["phenomena"].items()))

"""Fits the weights by which the evidence for a party is weighed, on articles that the network has not seen."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from detente.article.attribution import Attributor, Markup
from detente.article.cast import Cast
from detente.article.evidence import Features
from detente.article.gold import GoldArticle, GoldStatement
from detente.article.measures import plain_name
from detente.article.sentences import split_sentences

logger = logging.getLogger(__name__)

Choice = tuple[list[Features], list[bool]]
"""Candidates, and which of them are right."""
_PENALTY: Final = 1.0
"""Weight of the squares of the weights, of features scaled to a deviation of 1."""


def collect_choices(attributor: Attributor, articles: Sequence[GoldArticle]) -> dict[str, list[Choice]]:
    """What there was to choose from in articles, and what was right.

    Args:
        attributor: The network.
        articles: Articles with gold statements, names and people.

    Returns:
        ``affiliation``: of each person nobody and the parties, one of them right. ``counterpart``: of each statement
        the parties but the speaker's, any number of them right.
    """
    choices: dict[str, list[Choice]] = {"affiliation": [], "counterpart": []}
    for article in articles:
        markup = attributor.mark(article.text)
        cast = Cast(article.text, split_sentences(article.text), markup)
        choices["affiliation"] += _collect_people(article, cast, markup)
        choices["counterpart"] += _collect_statements(article, cast)
    logger.info("%s", {link: len(found) for link, found in choices.items()})
    return choices


def _collect_people(article: GoldArticle, cast: Cast, markup: Markup) -> list[Choice]:
    found = []
    parties = {person: plain_name(party) for person, party in article.people.items()}
    bodies = [plain_name(cast.members[k].name) for k in cast.bodies]
    for k, rows in cast.describe_people(cast.scene, markup.attributions).items():
        name = cast.members[k].name
        known = [party for person, party in parties.items() if person == name or person.endswith(f" {name}")]
        if len(set(known)) != 1:
            continue
        right = [known[0] not in bodies, *(body == known[0] for body in bodies)]
        is_private = plain_name(name) == known[0] or any(plain_name(p) == known[0] for p in article.people)
        if is_private or not right[0]:  # else the party has no name here, and nothing can be right
            found.append((rows, right))
    return found


def _collect_statements(article: GoldArticle, cast: Cast) -> list[Choice]:
    found = []
    before: list[GoldStatement] = []
    for statement in sorted(article.statements, key=lambda s: s.content):
        own = next((s for s in reversed(before) if s.speaker_party == statement.speaker_party), None)
        last = {
            "speaker": [before[-1].speaker_party] if before and before[-1].speaker_party else [],
            "counterparts": list(before[-1].counterparts) if before else [],
            "toward": list(own.counterparts) if own else [],
        }
        is_said = statement.voice in ("direct", "indirect")
        source = [statement.speaker] if statement.speaker and is_said else []
        rows = cast.describe_counterparts(statement.content, source, statement.voice, statement.speaker_party, last)
        right = {plain_name(party) for party in statement.counterparts}
        if rows:
            found.append(([row for _, row in rows], [plain_name(member.name) in right for member, _ in rows]))
        before.append(statement)
    return found


def fit_evidence(choices: Mapping[str, Sequence[Choice]]) -> dict[str, dict[str, float]]:
    """Weights of the features of ``affiliation``, a choice of one, and ``counterpart``, a choice of any number.

    Logistic regression with a penalty on the squares; see ``collect_choices``.
    """
    return {
        "affiliation": _fit(choices["affiliation"], is_one=True),
        "counterpart": _fit(choices["counterpart"], is_one=False),
    }


def _fit(choices: Sequence[Choice], *, is_one: bool) -> dict[str, float]:
    names = sorted({name for rows, _ in choices for row in rows for name in row})
    values = np.array([[row.get(name, 0.0) for name in names] for rows, _ in choices for row in rows])
    right = np.array([float(label) for _, labels in choices for label in labels])
    group = np.repeat(np.arange(len(choices)), [len(rows) for rows, _ in choices])
    scale = values.std(axis=0)
    scale[scale == 0] = 1.0
    scaled = values / scale

    def measure(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        logits = scaled @ weights
        if is_one:
            highest = np.full(len(choices), -np.inf)
            np.maximum.at(highest, group, logits)
            powers = np.exp(logits - highest[group])
            probabilities = powers / np.bincount(group, powers)[group]
            loss = -np.log(np.maximum(probabilities[right == 1], 1e-12)).sum()
        else:
            loss = np.logaddexp(0, logits).sum() - (right * logits).sum()
            probabilities = 1 / (1 + np.exp(-logits))
        penalty = _PENALTY * (weights**2).sum() / 2
        return float(loss + penalty), scaled.T @ (probabilities - right) + _PENALTY * weights

    result = minimize(measure, np.zeros(len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return {name: round(float(w / s), 4) for name, w, s in zip(names, result.x, scale, strict=True)}

"""Fits the weights by which the evidence for a party is weighed, on articles that the network has not seen."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from detente.article.attribution import Markup
from detente.article.cast import Cast, Member
from detente.article.draft import draft_statements
from detente.article.evidence import Features, Weights
from detente.article.gold import GoldArticle
from detente.article.measures import plain_name
from detente.article.sentences import split_sentences
from detente.article.spans import Span, Voice

logger = logging.getLogger(__name__)

Choice = tuple[list[Features], list[bool]]
"""Candidates, and which of them are right."""
_PENALTY: Final = 300.0
"""Weight of the squares of the weights, of features scaled to a deviation of 1."""


def collect_choices(
    articles: Sequence[GoldArticle], markups: Sequence[Markup], evidence: Mapping[str, Weights] | None = None
) -> dict[str, list[Choice]]:
    """What there was to choose from in articles, and what was right.

    The articles are read as they are for a user: what was chosen for one statement is the past of the next, errors
    included, so that weights fitted to it know how much a past of this kind is worth (Ross et al. 2011).

    Args:
        articles: Articles with gold statements, names and people.
        markups: What the network found in each.
        evidence: Weights by which the articles are read; without them the network's word counts alone.

    Returns:
        ``affiliation``: of each person nobody and the parties, one of them right. ``counterpart``: of each statement
        the parties but the speaker's, any number of them right.
    """
    choices: dict[str, list[Choice]] = {"affiliation": [], "counterpart": []}
    for article, markup in zip(articles, markups, strict=True):
        sentences = split_sentences(article.text)
        cast = _Recorder(article, sentences, markup, evidence)
        choices["affiliation"] += _collect_people(article, cast, markup)
        draft_statements(cast, sentences, markup)
        choices["counterpart"] += cast.choices
    logger.info("%s", {link: len(found) for link, found in choices.items()})
    return choices


class _Recorder(Cast):
    """A cast that keeps what counterparts there were to choose from, and which were right."""

    def __init__(
        self,
        article: GoldArticle,
        sentences: Sequence[Span],
        markup: Markup,
        evidence: Mapping[str, Weights] | None,
    ) -> None:
        super().__init__(article.text, sentences, markup, evidence=evidence)
        self.choices: list[Choice] = []
        self._gold = article.statements
        self._known = _find_known(article)

    def describe_counterparts(
        self,
        pieces: Sequence[Span],
        source: Sequence[Span],
        voice: Voice,
        speaker: str | None,
        last: Mapping[str, Sequence[str]],
    ) -> list[tuple[Member, Features]]:
        rows = super().describe_counterparts(pieces, source, voice, speaker, last)
        same = [s for s in self._gold if any(piece.overlaps(span) for piece in pieces for span in s.content)]
        own = [s for s in same if plain_name(s.speaker_party or "") == plain_name(speaker or "")]
        right = {plain_name(party) for s in own or same for party in s.counterparts}
        if rows:
            names = [plain_name(member.name) for member, _ in rows]
            self.choices.append(([row for _, row in rows], [self._known.get(name, name) in right for name in names]))
        return rows


def _find_known(article: GoldArticle) -> dict[str, str]:
    """Each form of a party's name to the party, both plain."""
    return {plain_name(form): plain_name(party) for party, forms in article.forms.items() for form in forms}


def _collect_people(article: GoldArticle, cast: Cast, markup: Markup) -> list[Choice]:
    found = []
    parties = {person: plain_name(party) for person, party in article.people.items()}
    named = [plain_name(cast.members[k].name) for k in cast.bodies]
    known_as = _find_known(article)
    bodies = [known_as.get(name, name) for name in named]
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

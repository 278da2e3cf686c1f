"""Trains the attribution network: from a config to a folder with the network and its tokenizer."""

import hashlib
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from detente.article.attribution import COUNTERPART_OFFSET, LINKS, SPAN_LINKS, ArticleTokens, tokenise_article
from detente.article.gold import PERSON, GoldArticle, read_gold, rename
from detente.article.network import AttributionModel, AttributionOutput, build_network
from detente.article.spans import (
    ATTRIBUTION_KINDS,
    SPAN_KINDS,
    AttributedArticle,
    Attribution,
    Span,
    SpanKind,
    read_articles,
)
from detente.artifact import RUN, TOKENIZER, hash_file
from detente.config import AttributionRunConfig
from detente.encoding import load_tokenizer, pad
from detente.losses import MISSING
from detente.runtime import find_base, restore_tensors
from detente.training import claim_output, has_fast_bf16, make_optimiser

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

_NOWHERE: Final = -1
"""A token that belongs to no span, or to no content."""
_NONE: Final = 0
"""The number of "no source" and "no cue", which ``[CLS]`` carries."""
_MARKS: Final = tuple('“”"«»„')


class Windows(Dataset[dict[str, Any]]):
    """Training windows for the Trainer."""

    def __init__(self, windows: Sequence[dict[str, Any]]) -> None:
        """Keeps the windows."""
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._windows[index]


def label_windows(article: AttributedArticle, tokens: ArticleTokens) -> list[dict[str, Any]]:
    """The windows of an article with attributions, of which nothing else is known, as numbers.

    Returns:
        For each window ``input_ids``; ``tags``, one list for each of ``SPAN_KINDS``; for each of ``SPAN_LINKS`` the
        number of the span that a token is part of (``spans``) and the number to which it points (``points``);
        ``names``, ``bodies`` and ``units``, see ``label_gold``, which are empty here.
    """
    return _cut_windows(tokens, *_label_attributions(article.attributions, tokens), known=len(ATTRIBUTION_KINDS))


def label_gold(article: GoldArticle, tokens: ArticleTokens) -> list[dict[str, Any]]:
    """The windows of an article of our own as numbers.

    Returns:
        As ``label_windows``, with ``names``, the number of the party that a token names by its own or a person's name,
        ``bodies``, the same for the party's own names, and ``units``: tokens, tokens of the source, speakers and
        counterparts of each statement, and of each person's name the party that the person speaks for.
    """
    said = [s for s in article.statements if s.voice in ("direct", "indirect")]
    attributions = [
        Attribution(
            tuple(_with_marks(article.text, span) for span in s.content),
            (s.speaker,) if s.speaker else (),
            (s.cue,) if s.cue else (),
        )
        for s in said
    ]
    tags, spans, points = _label_attributions(attributions, tokens)
    marked: list[tuple[SpanKind, Span]] = [
        ("act" if s.voice == "act" else "view", span)
        for s in article.statements
        if s.voice in ("act", "author")
        for span in s.content
    ]
    numbers = {party: n for n, party in enumerate(article.parties)}
    names, bodies = [_NOWHERE] * len(tokens.ids), [_NOWHERE] * len(tokens.ids)
    units: list[Unit] = []
    for span, party, is_person in article.find_names():
        marked.append(("person" if is_person else "party", span))
        covered = _covered(tokens.offsets, span)
        is_private = article.parties[party] == PERSON
        for token in covered:
            names[token] = numbers[party]
            if not is_person:
                bodies[token] = numbers[party]
        if is_person:
            units.append(Unit("affiliation", covered, [], [] if is_private else [numbers[party]], []))
    for kind, span in marked:
        for n, token in enumerate(_covered(tokens.offsets, span)):
            tags[SPAN_KINDS.index(kind)][token] = 1 if n == 0 else 2
    for place, group in itertools.groupby(sorted(article.statements, key=lambda s: s.content), lambda s: s.content):
        same = list(group)
        found = [token for span in place for token in _covered(tokens.offsets, span)]
        is_said = same[0].voice in ("direct", "indirect")
        source = _covered(tokens.offsets, same[0].speaker) if is_said and same[0].speaker else []
        speakers = dict.fromkeys(numbers[s.speaker_party] for s in same if s.speaker_party is not None)
        counterparts = dict.fromkeys(numbers[party] for s in same for party in s.counterparts)
        alone = [s.speaker_party for s in same if s.speaker_party and article.parties[s.speaker_party] == PERSON]
        units.append(Unit("statement", found, source, list(speakers), list(counterparts), bool(alone)))
    return _cut_windows(tokens, tags, spans, points, len(SPAN_KINDS), names, bodies, units)


@dataclass(frozen=True, slots=True)
class Unit:
    """Tokens that point to parties.

    Attributes:
        link: ``statement`` (speakers and counterparts) or ``affiliation`` (of a person's name).
        tokens: Its tokens.
        source: Tokens of the words that name the speaker.
        speakers: Numbers of the parties that speak, or for which the person speaks; none for the outlet, or nobody.
        counterparts: Numbers of the parties toward which it is.
        is_private: Whether a person speaks for himself.
    """

    link: str
    tokens: list[int]
    source: list[int]
    speakers: list[int]
    counterparts: list[int]
    is_private: bool = False


def _label_attributions(
    attributions: Sequence[Attribution], tokens: ArticleTokens
) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    count = len(tokens.ids)
    tags = [[0] * count for _ in SPAN_KINDS]
    spans = [[_NOWHERE] * count for _ in SPAN_LINKS]
    points = [[_NOWHERE] * count for _ in SPAN_LINKS]
    numbers: list[dict[tuple[Span, ...], int]] = [{} for _ in SPAN_LINKS]
    for attribution in attributions:
        for k, kind in enumerate(ATTRIBUTION_KINDS):
            for span in getattr(attribution, kind):
                for n, token in enumerate(_covered(tokens.offsets, span)):
                    tags[k][token] = 1 if n == 0 else 2
        for link, role in enumerate(SPAN_LINKS):
            target = getattr(attribution, role)
            number = numbers[link].setdefault(target, len(numbers[link]) + 1) if target else _NONE
            for span in target:
                for token in _covered(tokens.offsets, span):
                    spans[link][token] = number
            for span in attribution.content:
                for token in _covered(tokens.offsets, span):
                    points[link][token] = number
    return tags, spans, points


def _cut_windows(
    tokens: ArticleTokens,
    tags: list[list[int]],
    spans: list[list[int]],
    points: list[list[int]],
    known: int,
    names: Sequence[int] = (),
    bodies: Sequence[int] = (),
    units: Sequence[Unit] = (),
) -> list[dict[str, Any]]:
    """Cuts the labels of an article's tokens; only the first ``known`` kinds of spans are labelled."""
    names, bodies = (row or [_NOWHERE] * len(tokens.ids) for row in (names, bodies))
    windows = []
    for sequence, (start, end) in zip(tokens.sequences(), tokens.windows, strict=True):
        inside = [set(row[start:end]) for row in spans]

        def move(places: list[int], start: int = start, end: int = end) -> list[int]:
            return [place - start + 1 for place in places if start <= place < end]

        windows.append(
            {
                "input_ids": sequence,
                "tags": [
                    [MISSING, *(row[start:end] if k < known else [MISSING] * (end - start)), MISSING]
                    for k, row in enumerate(tags)
                ],
                "spans": [[_NONE, *row[start:end], _NOWHERE] for row in spans],
                "points": [
                    # A target outside the window cannot be pointed at: the token teaches nothing.
                    [_NOWHERE, *(p if p == _NONE or p in inside[link] else _NOWHERE for p in row[start:end]), _NOWHERE]
                    for link, row in enumerate(points)
                ],
                "names": [[_NOWHERE, *row[start:end], _NOWHERE] for row in (names, bodies)],
                "units": [
                    replace(unit, tokens=move(unit.tokens), source=move(unit.source))
                    for unit in units
                    if move(unit.tokens)
                ],
            }
        )
    return windows


def _with_marks(text: str, span: Span) -> Span:
    """A quotation with its marks, as PolNeAR has it."""
    opens, closes = text[span.start - 1 : span.start] in _MARKS, text[span.end : span.end + 1] in _MARKS
    return Span(span.start - opens, span.end + closes)


def _covered(offsets: Sequence[tuple[int, int]], span: Span) -> list[int]:
    return [t for t, (start, end) in enumerate(offsets) if start < span.end and span.start < end]


def collate(batch: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Pads a batch.

    Returns:
        ``input_ids`` and ``attention_mask`` (batch, seq); ``tags`` (batch, kinds, seq); ``spans`` and ``points``
        (batch, links, seq); ``names`` (batch, 2, seq); and of the units ``unit_rows`` (units, 2), the row in the batch
        and 1 for an affiliation; ``unit_tokens`` and ``unit_sources`` (units, seq), weights that sum to 1 or are all 0;
        and ``speakers`` and ``counterparts`` (units, parties), 1 for each that is meant.
    """
    ids, mask = pad([row["input_ids"] for row in batch], multiple=8)
    longest = len(ids[0])
    units = [(b, unit) for b, row in enumerate(batch) for unit in row["units"]]
    parties = 1 + max((number for row in batch for line in row["names"] for number in line), default=0)
    parties = max([1, parties, *(1 + n for _, unit in units for n in (*unit.speakers, *unit.counterparts))])

    def stack(key: str, filler: int) -> Tensor:
        return torch.tensor([[[*line, *[filler] * (longest - len(line))] for line in row[key]] for row in batch])

    def spread(places: Sequence[Sequence[int]], width: int, *, mean: bool) -> Tensor:
        spread = torch.zeros(len(places), width)
        for row, chosen in enumerate(places):
            spread[row, list(chosen)] = 1 / len(chosen) if mean and chosen else 1.0
        return spread

    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
        "tags": stack("tags", MISSING),
        "spans": stack("spans", _NOWHERE),
        "points": stack("points", _NOWHERE),
        "names": stack("names", _NOWHERE),
        "unit_rows": torch.tensor([[b, unit.link == "affiliation"] for b, unit in units]).reshape(-1, 2).long(),
        "unit_tokens": spread([unit.tokens for _, unit in units], longest, mean=True),
        "unit_sources": spread([unit.source for _, unit in units], longest, mean=True),
        "is_private": torch.tensor([int(unit.is_private) for _, unit in units]),
        "speakers": spread([unit.speakers for _, unit in units], parties, mean=False),
        "counterparts": spread([unit.counterparts for _, unit in units], parties, mean=False),
    }


def measure_attribution_loss(out: AttributionOutput, batch: Mapping[str, Tensor], link_weight: float) -> Tensor:
    """The loss of a batch: tags, pointers between spans, pointers to parties.

    Tags: cross-entropy. Pointers between spans: the negative log of the probability on the right span's tokens.

    Args:
        out: Logits of a batch.
        batch: What ``collate`` returns.
        link_weight: Weight of the pointers.

    Returns:
        A scalar.
    """
    assert out.tags is not None
    assert out.links is not None
    logits = out.tags.float().permute(0, 3, 2, 1)
    tagged = functional.cross_entropy(logits, batch["tags"], ignore_index=MISSING, reduction="sum")
    known_tags = (batch["tags"] != MISSING).sum().clamp_min(1)
    loss = tagged / known_tags * len(SPAN_KINDS)
    spans, points = batch["spans"], batch["points"]
    log_probabilities = functional.log_softmax(out.links[:, : len(SPAN_LINKS)].float(), dim=-1)
    right = spans[:, :, None, :] == points[:, :, :, None]
    known = (points >= 0) & right.any(-1)
    pointed = log_probabilities.masked_fill(~right, -1e4).logsumexp(-1)
    loss = loss - link_weight * (pointed * known).sum() / known.sum().clamp_min(1)
    return loss + link_weight * measure_party_loss(out.links.float(), batch)


def measure_party_loss(links: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The loss of pointing to parties.

    Speaker and affiliation: a unit's logits are the mean over its tokens, plus the mean over its source's;
    cross-entropy against an even share for each right party, where a party's probability is the sum over the
    tokens that name it, and ``[CLS]`` stands for the outlet or nobody. A statement is also asked for the
    affiliation of whoever speaks. Counterparts: binary cross-entropy of the log-sum-exp over the unit's and its
    source's tokens and the tokens that name a party, for every party that the window names but the speaker's.

    Args:
        links: (batch, links, seq, seq) logits.
        batch: What ``collate`` returns.

    Returns:
        A scalar; 0 without units.
    """
    rows, is_affiliation = batch["unit_rows"].unbind(1)
    if not len(rows):
        return links.sum() * 0
    is_statement = is_affiliation == 0
    speakers, counterparts = batch["speakers"], batch["counterparts"]
    party = torch.arange(speakers.shape[1], device=links.device)
    everyone, bodies = (batch["names"][rows, k][:, None, :] == party[:, None] for k in (0, 1))  # (units, parties, seq)
    weights = (batch["unit_tokens"] + batch["unit_sources"])[:, None, :]

    def measure_share(link: str, named: Tensor, asked: Tensor) -> Tensor:
        logs = functional.log_softmax((weights @ links[rows, LINKS.index(link)]).squeeze(1), dim=-1)
        by_party = logs[:, None, :].masked_fill(~named, -1e4).logsumexp(-1)
        here = speakers * named.any(-1)
        count = here.sum(1)
        # A private person is a party, but no body that anybody speaks for.
        is_nobody = (speakers.sum(1) == 0) | (count == 0) & (batch["is_private"] == 1) & (link == "affiliation")
        chosen = torch.where(is_nobody, logs[:, 0], (by_party * here).sum(1) / count.clamp_min(1))
        known = asked & (is_nobody | (count > 0))
        return -(chosen * known).sum() / known.sum().clamp_min(1)

    loss = measure_share("speaker", everyone, is_statement) + measure_share("affiliation", bodies, is_affiliation >= 0)
    pairs = links[rows, LINKS.index("counterpart")].masked_fill((weights == 0).transpose(1, 2), -1e4).logsumexp(1)
    scores = pairs[:, None, :].masked_fill(~everyone, -1e4).logsumexp(-1) - COUNTERPART_OFFSET
    judged = everyone.any(-1) & is_statement[:, None] & (speakers == 0)
    missed = functional.binary_cross_entropy_with_logits(scores, counterparts, reduction="none")
    return loss + (missed * judged).sum() / judged.sum().clamp_min(1)


class _AttributionTrainer(Trainer):  # type: ignore[misc]  # the Trainer takes a loss by overriding this method
    link_weight: float

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: object
    ) -> Any:
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        loss = measure_attribution_loss(out, inputs, self.link_weight)
        return (loss, out) if return_outputs else loss


def train_attribution(config: AttributionRunConfig) -> Path:
    """Trains and saves; returns the folder with ``model.safetensors``, ``config.json`` and ``tokenizer.json``.

    A run that was killed resumes from its last checkpoint in ``config.output``.

    Raises:
        ValueError: The folder holds checkpoints of a run with another config.
        ArtifactError: The base encoder cannot be had.
    """
    set_seed(config.seed)
    output = Path(config.output)
    checkpoints = output / "checkpoints"
    claim_output(output, config, resuming=checkpoints.is_dir())
    base = find_base(config.base.model, config.base.revision, config.base.sha256, config.base.package)
    tokenizer = load_tokenizer(str(base / TOKENIZER))
    windows = prepare_windows(config, tokenizer)
    logger.info("%d windows", len(windows))
    network = prepare_network(str(base), config)
    trainer = _AttributionTrainer(
        model=network,
        args=TrainingArguments(
            output_dir=str(checkpoints),
            num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size,
            warmup_steps=config.warmup_ratio,
            lr_scheduler_type="linear",
            bf16=config.bf16 and has_fast_bf16(),
            seed=config.seed,
            data_seed=config.seed,
            save_steps=config.save_steps,
            save_total_limit=1,
            logging_steps=50,
            report_to=config.report_to,
            remove_unused_columns=False,
            label_names=["tags", "spans", "points", "names"],
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=Windows(windows),
        data_collator=collate,
        optimizers=(make_optimiser(network, config), None),
    )
    trainer.link_weight = config.link_weight
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    result = trainer.train(resume_from_checkpoint=last)
    logger.info("trained: %s", result.metrics)
    folder = output / "model"
    if trainer.is_world_process_zero():
        trainer.accelerator.unwrap_model(network).save_pretrained(folder)
        tokenizer.save(str(folder / TOKENIZER))
        paths = [Path(path) for path in (config.train, config.validation, config.gold) if path is not None]
        data = {path.name: hash_file(path) for path in paths}
        digest = hashlib.sha256(json.dumps([asdict(config), data], sort_keys=True).encode()).hexdigest()[:8]
        about = {
            "version": f"{config.name}-{digest}",
            "max_tokens": config.encoding.max_tokens,
            "overlap_tokens": config.encoding.overlap_tokens,
            "spans": SPAN_KINDS,
            "links": LINKS,
            "data_sha256": data,
            "run": asdict(config),
        }
        (folder / RUN).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        (output / "training.json").write_text(json.dumps(trainer.state.log_history, indent=1) + "\n", encoding="utf-8")
    return folder


def prepare_windows(config: AttributionRunConfig, tokenizer: "Tokenizer") -> list[dict[str, Any]]:
    """The training windows of a config, articles of our own as often as it says."""

    def tokenise(text: str) -> ArticleTokens:
        sizes = config.encoding
        return tokenise_article(text, tokenizer, max_tokens=sizes.max_tokens, overlap_tokens=sizes.overlap_tokens)

    windows = []
    for article in read_articles(Path(config.train))[: config.max_articles]:
        windows += label_windows(article, tokenise(article.text))
    if config.gold is not None:
        articles = read_gold(Path(config.gold))
        people = sorted({person for gold in articles for person in gold.people if " " in person})
        for gold in articles:
            for copy in range(config.gold_repeats):
                other = rename(gold, copy, people) if copy and people else gold
                windows += label_gold(other, tokenise(other.text))
    return windows


def prepare_network(base: str, config: AttributionRunConfig) -> AttributionModel:
    """The network to train, with the base's embeddings frozen: they are shared with the scoring network."""
    network = build_network(base, dropout=config.dropout)
    if config.start is not None:
        tensors = {name: torch.from_numpy(values) for name, values in restore_tensors(Path(config.start)).items()}
        own = network.state_dict()
        fitting = {name: t for name, t in tensors.items() if name in own and own[name].shape == t.shape}
        network.load_state_dict(fitting, strict=False)
        logger.info("%d of %d tensors taken from %s", len(fitting), len(own), config.start)
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = config.dropout
        if isinstance(module, torch.nn.Embedding):
            module.weight.requires_grad = False
    return network

"""Trains the attribution network: from a config to a folder with the network and its tokenizer."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from detente.article.attribution import LINKS, ArticleTokens, tokenise_article
from detente.article.network import AttributionModel, AttributionOutput, build_network
from detente.article.spans import SPAN_KINDS, AttributedArticle, Span, read_articles
from detente.artifact import RUN, TOKENIZER, hash_file
from detente.config import AttributionRunConfig
from detente.encoding import load_tokenizer, pad
from detente.losses import MISSING
from detente.runtime import find_base
from detente.training import claim_output, make_optimiser

logger = logging.getLogger(__name__)

_NOWHERE: Final = -1
"""A token that belongs to no span, or to no content."""
_NONE: Final = 0
"""The number of "no source" and "no cue", which ``[CLS]`` carries."""


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
    """The windows of an article as numbers.

    Returns:
        For each window ``input_ids``; ``tags``, one list for each of ``SPAN_KINDS``; and for each of ``LINKS`` the
        number of the span that a token is part of (``spans``) and the number to which it points (``points``).
    """
    count = len(tokens.ids)
    tags = [[0] * count for _ in SPAN_KINDS]
    spans = [[_NOWHERE] * count for _ in LINKS]
    points = [[_NOWHERE] * count for _ in LINKS]
    numbers: list[dict[tuple[Span, ...], int]] = [{} for _ in LINKS]
    for attribution in article.attributions:
        for k, kind in enumerate(SPAN_KINDS):
            for span in getattr(attribution, kind):
                for n, token in enumerate(_covered(tokens.offsets, span)):
                    tags[k][token] = 1 if n == 0 else 2
        for link, role in enumerate(LINKS):
            target = getattr(attribution, role)
            number = numbers[link].setdefault(target, len(numbers[link]) + 1) if target else _NONE
            for span in target:
                for token in _covered(tokens.offsets, span):
                    spans[link][token] = number
            for span in attribution.content:
                for token in _covered(tokens.offsets, span):
                    points[link][token] = number
    windows = []
    for sequence, (start, end) in zip(tokens.sequences(), tokens.windows, strict=True):
        inside = [set(row[start:end]) for row in spans]
        windows.append(
            {
                "input_ids": sequence,
                "tags": [[MISSING, *row[start:end], MISSING] for row in tags],
                "spans": [[_NONE, *row[start:end], _NOWHERE] for row in spans],
                "points": [
                    # A target outside the window cannot be pointed at: the token teaches nothing.
                    [_NOWHERE, *(p if p == _NONE or p in inside[link] else _NOWHERE for p in row[start:end]), _NOWHERE]
                    for link, row in enumerate(points)
                ],
            }
        )
    return windows


def _covered(offsets: Sequence[tuple[int, int]], span: Span) -> list[int]:
    return [t for t, (start, end) in enumerate(offsets) if start < span.end and span.start < end]


def collate(batch: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Pads a batch: ``input_ids`` and ``attention_mask`` (batch, seq), the labels (batch, kinds or links, seq)."""
    ids, mask = pad([row["input_ids"] for row in batch], multiple=8)
    longest = len(ids[0])

    def stack(key: str, filler: int) -> Tensor:
        return torch.tensor([[[*line, *[filler] * (longest - len(line))] for line in row[key]] for row in batch])

    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask),
        "tags": stack("tags", MISSING),
        "spans": stack("spans", _NOWHERE),
        "points": stack("points", _NOWHERE),
    }


def measure_attribution_loss(
    out: AttributionOutput, tags: Tensor, spans: Tensor, points: Tensor, link_weight: float
) -> Tensor:
    """Cross-entropy of the tags, and of the pointers the negative log of the probability on the right span's tokens.

    Args:
        out: Logits of a batch.
        tags: (batch, kinds, seq) tag index, or ``MISSING``.
        spans: (batch, links, seq) number of the span that a token is part of; -1 for none.
        points: (batch, links, seq) number of the span that a token's content points to; -1 for none.
        link_weight: Weight of the pointers.

    Returns:
        A scalar.
    """
    assert out.tags is not None
    assert out.links is not None
    loss = functional.cross_entropy(out.tags.float().permute(0, 3, 2, 1), tags, ignore_index=MISSING) * len(SPAN_KINDS)
    log_probabilities = functional.log_softmax(out.links.float(), dim=-1)
    right = spans[:, :, None, :] == points[:, :, :, None]
    known = (points >= 0) & right.any(-1)
    pointed = log_probabilities.masked_fill(~right, -1e4).logsumexp(-1)
    return loss - link_weight * (pointed * known).sum() / known.sum().clamp_min(1)


class _AttributionTrainer(Trainer):  # type: ignore[misc]  # the Trainer takes a loss by overriding this method
    link_weight: float

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: object
    ) -> Any:
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        loss = measure_attribution_loss(out, inputs["tags"], inputs["spans"], inputs["points"], self.link_weight)
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
    windows = []
    for article in read_articles(Path(config.train))[: config.max_articles]:
        tokens = tokenise_article(
            article.text,
            tokenizer,
            max_tokens=config.encoding.max_tokens,
            overlap_tokens=config.encoding.overlap_tokens,
        )
        windows += label_windows(article, tokens)
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
            bf16=config.bf16,
            seed=config.seed,
            data_seed=config.seed,
            save_steps=config.save_steps,
            save_total_limit=1,
            logging_steps=50,
            report_to=config.report_to,
            remove_unused_columns=False,
            label_names=["tags", "spans", "points"],
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
        data = {Path(path).name: hash_file(Path(path)) for path in (config.train, config.validation)}
        digest = hashlib.sha256(json.dumps([asdict(config), data], sort_keys=True).encode()).hexdigest()[:8]
        about = {
            "version": f"{config.name}-{digest}",
            "max_tokens": config.encoding.max_tokens,
            "overlap_tokens": config.encoding.overlap_tokens,
            "data_sha256": data,
            "run": asdict(config),
        }
        (folder / RUN).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        (output / "training.json").write_text(json.dumps(trainer.state.log_history, indent=1) + "\n", encoding="utf-8")
    return folder


def prepare_network(base: str, config: AttributionRunConfig) -> AttributionModel:
    """The network to train, with the base's embeddings frozen: they are shared with the scoring network."""
    network = build_network(base, dropout=config.dropout)
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = config.dropout
        if isinstance(module, torch.nn.Embedding):
            module.weight.requires_grad = False
    return network

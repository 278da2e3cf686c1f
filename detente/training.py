"""From a config to a finished artifact: fine-tune, save, calibrate."""

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from detente.artifact import CONFIG, TOKENIZER, Manifest, hash_file, read_manifest, write_manifest
from detente.calibration import Calibration, choose_threshold, compute_probabilities, fit_head
from detente.classifier import Classifier
from detente.config import AttributionRunConfig, OptimiserConfig, RunConfig
from detente.corpus import read_parquet, stable_fraction
from detente.encoding import ROLE_TOKENS, StatementEncoder, find_token, load_tokenizer, pad
from detente.labels import HEADS, SENTIMENTS, STANCES
from detente.losses import MISSING, measure_consistency, measure_loss
from detente.model import HEAD_MODULES, DetenteModel, build_model
from detente.records import LabelledStatement, Statement
from detente.runtime import find_base, load_network

logger = logging.getLogger(__name__)

_PAD_MULTIPLE: Final = 8
"""Few distinct lengths let the CPU's and the GPU's kernels be reused."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training row as numbers; a missing label is ``losses.MISSING``."""

    input_ids: list[int]
    stance: int
    hostility_low: int
    hostility_high: int
    sentiment: int
    weight: float


class Examples(Dataset[dict[str, Any]]):
    """Training rows for the Trainer."""

    def __init__(self, examples: Sequence[Example]) -> None:
        """Keeps the rows."""
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return asdict(self._examples[index])


def encode_rows(
    rows: Sequence[LabelledStatement], encoder: StatementEncoder, weights: Mapping[str, float]
) -> list[Example]:
    """Rows as numbers; of a row longer than one window only the first is trained on, which is logged."""
    examples = []
    cut = 0
    for row, windows in zip(rows, encoder.encode([row.to_statement() for row in rows]), strict=True):
        cut += len(windows) > 1
        examples.append(
            Example(
                input_ids=windows[0].ids,
                stance=MISSING if row.stance is None else STANCES.index(row.stance),
                hostility_low=MISSING if row.hostility_low is None else row.hostility_low,
                hostility_high=MISSING if row.hostility_high is None else row.hostility_high,
                sentiment=MISSING if row.sentiment is None else SENTIMENTS.index(row.sentiment),
                weight=weights[row.source],
            )
        )
    if cut:
        logger.warning("%d of %d rows are longer than a window; their first window is trained on", cut, len(rows))
    return examples


def select_rows(path: Path, config: RunConfig) -> list[LabelledStatement]:
    """The rows of a Parquet file that the config asks for: sources, ``max_rows``, ``neutral_share``."""
    rows = read_parquet(path)
    counts: dict[str, int] = {}
    kept = []
    for row in rows:
        if row.source not in config.data.weights:
            continue
        share = config.data.neutral_share.get(row.source, 1.0) if row.split == "train" else 1.0
        if row.stance == "neutral" and stable_fraction("neutral", row.source, row.id) >= share:
            continue
        counts[row.source] = counts.get(row.source, 0) + 1
        if config.data.max_rows is None or counts[row.source] <= config.data.max_rows:
            kept.append(row)
    if absent := sorted(set(config.data.weights) - set(counts)):
        raise ValueError(f"no row of {', '.join(absent)} in {path}: build the data, or drop it from data.weights")
    logger.info("%d of %d rows from %s", len(kept), len(rows), ", ".join(sorted(counts)))
    return kept


def collate(batch: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Pads a batch; ``input_ids`` and ``attention_mask`` are (batch, seq), every label (batch,)."""
    ids, mask = pad([row["input_ids"] for row in batch], multiple=_PAD_MULTIPLE)
    labels = {key: torch.tensor([row[key] for row in batch]) for key in batch[0] if key != "input_ids"}
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), **labels}


class _MultiTaskTrainer(Trainer):  # type: ignore[misc]  # the Trainer takes a loss by overriding this method
    head_weights: dict[str, float]
    smoothing: float
    consistency_weight: float

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: object
    ) -> Any:
        labels = {key: value for key, value in inputs.items() if key not in ("input_ids", "attention_mask")}
        weight_sum = self.accelerator.reduce(labels["weight"].sum(), reduction="mean")
        draws = 2 if self.consistency_weight else 1
        outs = [
            dict(model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]))
            for _draw in range(draws)
        ]
        losses = [
            measure_loss(
                out,
                **labels,
                head_weights=self.head_weights,
                label_smoothing=self.smoothing,
                weight_sum=weight_sum,
            )
            for out in outs
        ]
        loss = torch.stack(losses).mean()
        if self.consistency_weight:
            loss = loss + self.consistency_weight * measure_consistency(outs[0], outs[1], self.head_weights)
        return (loss, outs[0]) if return_outputs else loss

    def _get_train_sampler(self, *arguments: Any, **options: Any) -> Any:
        sampler = super()._get_train_sampler(*arguments, **options)
        assert isinstance(sampler, LengthGroupedSampler)
        sampler.batch_size = self.args.train_batch_size * self.accelerator.num_processes  # the order of one process
        return sampler


def finetune(config: RunConfig) -> Path:
    """Trains, saves and calibrates; returns the folder of the artifact.

    A run that was killed resumes from its last checkpoint in ``config.output``. Several processes (``accelerate
    launch``) share each batch and learn what one would, but for the last batch of an epoch, which they fill up with
    rows of its beginning.

    Raises:
        ValueError: The processes cannot share a batch, the folder holds checkpoints of a run with another config, or a
            source has no rows.
        ArtifactError: The base encoder cannot be had.
    """
    set_seed(config.seed)
    output = Path(config.output)
    checkpoints = output / "checkpoints"
    claim_output(output, config, resuming=checkpoints.is_dir())
    base = find_base(config.base.model, config.base.revision, config.base.sha256, config.base.package)
    tokenizer_path = str(base / TOKENIZER)
    tokenizer = load_tokenizer(tokenizer_path)
    encoder = StatementEncoder(
        tokenizer, max_tokens=config.encoding.max_tokens, overlap_tokens=config.encoding.overlap_tokens
    )
    examples = encode_rows(select_rows(Path(config.data.train), config), encoder, config.data.weights)
    network = prepare_network(str(base), find_token(tokenizer, ROLE_TOKENS[0]), config.optimiser, config.start)
    settings = config.optimiser
    trainer = _MultiTaskTrainer(
        model=network,
        args=TrainingArguments(
            output_dir=str(checkpoints),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=share_batch(settings.batch_size),
            warmup_steps=settings.warmup_ratio,
            lr_scheduler_type="linear",
            weight_decay=settings.weight_decay,
            learning_rate=settings.learning_rate,
            bf16=settings.bf16 and has_fast_bf16(),
            seed=config.seed,
            data_seed=config.seed,
            save_steps=settings.save_steps,
            save_total_limit=1,
            logging_steps=50,
            report_to=config.report_to,
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length",
            label_names=["stance", "hostility_low", "hostility_high", "sentiment"],
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=Examples(examples),
        data_collator=collate,
        optimizers=(make_optimiser(network, settings), None),
    )
    trainer.head_weights = {
        "stance": settings.stance_weight,
        "hostility": settings.hostility_weight,
        "sentiment": settings.sentiment_weight,
    }
    trainer.smoothing = settings.label_smoothing
    trainer.consistency_weight = settings.consistency_weight
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    if last:
        logger.info("resuming from %s", last)
    result = trainer.train(resume_from_checkpoint=last)
    logger.info("trained: %s", result.metrics)
    folder = output / "model"
    if trainer.is_world_process_zero():
        save_artifact(trainer.accelerator.unwrap_model(network), folder, config, tokenizer_path)
        calibrate(folder, config)
        (output / "training.json").write_text(json.dumps(trainer.state.log_history, indent=1) + "\n", encoding="utf-8")
    return folder


def share_batch(batch_size: int) -> int:
    """Rows of a batch for each process of ``accelerate launch``, which share it.

    Raises:
        ValueError: The processes cannot have equal shares.
    """
    processes = int(PartialState().num_processes)
    if batch_size % processes:
        raise ValueError(f"optimiser.batch_size is {batch_size}, which {processes} processes cannot share equally")
    return batch_size // processes


def claim_output(output: Path, config: RunConfig | AttributionRunConfig, *, resuming: bool) -> None:
    """Writes the resolved config into the output folder, so that a run is only resumed with the config it began with.

    Raises:
        ValueError: The folder holds checkpoints of a run with another config.
    """
    path = output / "run.json"
    resolved = json.dumps(asdict(config), indent=1, sort_keys=True) + "\n"
    if resuming and path.is_file() and path.read_text(encoding="utf-8") != resolved:
        raise ValueError(f"{output} holds checkpoints of a run with another config: delete it, or set another output")
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(resolved, encoding="utf-8")


def has_fast_bf16() -> bool:
    """Whether training gains from bfloat16 here: on a GPU, or a CPU with AVX-512."""
    return torch.cuda.is_available() or torch.backends.cpu.get_cpu_capability() not in ("DEFAULT", "AVX2")


def prepare_network(base: str, vocabulary: int, settings: OptimiserConfig, start: str | None = None) -> torch.nn.Module:
    """The network to train: what the config freezes is frozen, adapters are added if it asks for them.

    Args:
        base: Folder of the base encoder.
        vocabulary: How many ids the base's tokenizer has; role tokens follow.
        settings: The optimiser's settings.
        start: Folder of a model on the same base whose weights it takes over; the embeddings stay the base's.
    """
    network = build_model(base, dropout=settings.dropout, vocabulary=vocabulary)
    if start is not None:
        state = load_network(Path(start)).state_dict()
        tables = {name for name in state if name.endswith("_embeddings.weight")}
        network.load_state_dict(network.state_dict() | {name: state[name] for name in state if name not in tables})
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = settings.encoder_dropout
    if settings.freeze_embeddings:
        for module in network.encoder.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight.requires_grad = False
    if settings.adapter_rank is None:
        return network
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(
        network,
        LoraConfig(
            r=settings.adapter_rank,
            lora_alpha=settings.adapter_rank,
            target_modules=[n for n, m in network.encoder.named_modules() if isinstance(m, torch.nn.Linear)],
            modules_to_save=list(HEAD_MODULES),
        ),
    )
    trained: torch.nn.Module = adapted
    return trained


def make_optimiser(network: torch.nn.Module, settings: OptimiserConfig | AttributionRunConfig) -> torch.optim.Optimizer:
    """AdamW with one rate for the encoder and one for role tokens and heads; biases and norms do not decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = settings.learning_rate if "encoder." in name else settings.head_learning_rate
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]
    )


def save_artifact(network: torch.nn.Module, folder: Path, config: RunConfig, tokenizer_path: str) -> None:
    """Writes a complete, uncalibrated artifact: network (adapters merged), tokenizer and manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    if config.optimiser.adapter_rank is not None:
        from peft import PeftModel

        assert isinstance(network, PeftModel)
        network = network.merge_and_unload()
    assert isinstance(network, DetenteModel)
    network.save_pretrained(folder)
    load_tokenizer(tokenizer_path).save(str(folder / TOKENIZER))
    data = {Path(path).name: hash_file(Path(path)) for path in (config.data.train, config.data.validation)}
    licence_file = Path(config.data.train).parent / "licences.json"
    licences = json.loads(licence_file.read_text(encoding="utf-8")) if licence_file.is_file() else {}
    run = asdict(config)
    if config.start is not None:
        run["started_from"] = read_manifest(Path(config.start)).model_version
    digest = hashlib.sha256(json.dumps([run, data], sort_keys=True).encode()).hexdigest()[:8]
    manifest = Manifest(
        model_version=f"{config.name}-{digest}",
        base_model=config.base.model,
        base_revision=config.base.revision,
        base_sha256=config.base.sha256,
        max_tokens=config.encoding.max_tokens,
        overlap_tokens=config.encoding.overlap_tokens,
        calibration=Calibration.identity(),
        data_sha256=data,
        sources={name: licences.get(name, "none stated") for name in config.data.weights},
        run=run,
    )
    write_manifest(folder, manifest)
    logger.info("wrote %s", folder / CONFIG)


def average(folders: Sequence[Path], output: Path) -> Path:
    """Averages the weights of networks that were fine-tuned from the same base (Wortsman et al. 2022, Model soups).

    Args:
        folders: Two or more artifacts with ``model.safetensors``, of one base and one shape; named twice, one
            counts twice.
        output: Folder to write, uncalibrated; it must not exist yet.

    Returns:
        ``output``.

    Raises:
        ValueError: Fewer than two folders, or their bases or sequence lengths differ.
        FileExistsError: ``output`` is there.
    """
    if len(folders) < 2:
        raise ValueError(f"an average needs two or more folders, found {len(folders)}")
    manifests = [read_manifest(folder) for folder in folders]
    shapes = {(m.base_model, m.base_revision, m.base_sha256, m.max_tokens, m.overlap_tokens) for m in manifests}
    if len(shapes) > 1:
        raise ValueError(f"the folders differ in base or sequence length: {sorted(map(str, shapes))}")
    networks = [load_network(folder) for folder in folders]
    states = [network.state_dict() for network in networks]
    mean = {
        # What all have alike, such as frozen tables, stays as it is to the last bit.
        name: values
        if all(torch.equal(values, state[name]) for state in states)
        else sum(state[name] for state in states) / len(states)
        for name, values in states[0].items()
    }
    networks[0].load_state_dict(mean)
    output.mkdir(parents=True)
    networks[0].save_pretrained(output)
    shutil.copy(folders[0] / TOKENIZER, output / TOKENIZER)
    runs = [dict(manifest.run) for manifest in manifests]
    shares = {name: count / len(manifests) for name, count in Counter(m.model_version for m in manifests).items()}
    digest = hashlib.sha256(json.dumps([m.model_version for m in manifests]).encode()).hexdigest()[:8]
    write_manifest(
        output,
        replace(
            manifests[0],
            model_version=f"average-{digest}",
            calibration=Calibration.identity(),
            run={
                **runs[0],
                "average_of": {m.model_version: run for m, run in zip(manifests, runs, strict=True)},
                "shares": shares,
            },
        ),
    )
    return output


@dataclass(frozen=True, slots=True)
class DistilSettings:
    """How a student learns from its teachers.

    Attributes:
        statements: Most statements to learn from, chosen by a hash.
        epochs: Passes over them.
        batch_size: Statements a step.
        learning_rate: Peak rate of all weights.
        seed: Seed of everything random.
    """

    statements: int = 16_000
    epochs: float = 3.0
    batch_size: int = 32
    learning_rate: float = 5.0e-5
    seed: int = 1


class _DistillingTrainer(Trainer):  # type: ignore[misc]  # likewise
    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, **_: object
    ) -> Any:
        out = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        losses = [cross_entropy(out[head].float(), inputs[head].softmax(dim=1)) for head in HEADS]
        loss = torch.stack(losses).sum()
        return (loss, out) if return_outputs else loss


def distil(
    teachers: Sequence[Path],
    start: Path,
    rows: Sequence[LabelledStatement],
    output: Path,
    settings: DistilSettings | None = None,
) -> Path:
    """Teaches one network what several say on average (Hinton, Vinyals and Dean 2015), without any label.

    It learns from rows as they are and, where they name both parties, from the other direction too.

    Args:
        teachers: Artifacts with ``model.safetensors``.
        start: The network that goes on learning, such as the average of the teachers.
        rows: Statements; their labels are not read.
        output: Folder to write, uncalibrated; it must not exist yet.
        settings: None for the defaults.

    Returns:
        ``output``.

    Raises:
        FileExistsError: ``output`` is there.
    """
    settings = settings or DistilSettings()
    set_seed(settings.seed)
    output.mkdir(parents=True)
    given = [row.to_statement() for row in rows]
    said = {(s.text, s.speaker, s.counterpart) for s in given}
    said |= {(text, counterpart, speaker) for text, speaker, counterpart in said if speaker and counterpart}
    chosen = sorted(said, key=lambda key: stable_fraction("distil", *key))[: settings.statements]
    statements = [Statement(*key) for key in chosen]
    found = [Classifier.from_pretrained(teacher).compute_logits(statements) for teacher in teachers]
    targets = {head: np.mean([logits[head] for logits in found], axis=0).astype(np.float32) for head in HEADS}
    manifest = read_manifest(start)
    encoder = StatementEncoder(
        load_tokenizer(str(start / TOKENIZER)), max_tokens=manifest.max_tokens, overlap_tokens=manifest.overlap_tokens
    )
    examples = [
        {"input_ids": windows[0].ids, **{head: values[i].tolist() for head, values in targets.items()}}
        for i, windows in enumerate(encoder.encode(statements))
    ]
    network = load_network(start)
    for module in network.encoder.modules():
        if isinstance(module, torch.nn.Embedding):
            module.weight.requires_grad = False
    trainer = _DistillingTrainer(
        model=network,
        args=TrainingArguments(
            output_dir=str(output),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            warmup_steps=0.06,
            weight_decay=0.01,
            bf16=has_fast_bf16(),
            seed=settings.seed,
            data_seed=settings.seed,
            save_strategy="no",
            logging_steps=50,
            report_to="none",
            remove_unused_columns=False,
            train_sampling_strategy="group_by_length",
            label_names=list(HEADS),
            dataloader_pin_memory=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=examples,
        data_collator=collate,
    )
    logger.info("trained: %s", trainer.train().metrics)
    network.save_pretrained(output)
    shutil.copy(start / TOKENIZER, output / TOKENIZER)
    names = [read_manifest(teacher).model_version for teacher in teachers]
    digest = hashlib.sha256(json.dumps([manifest.model_version, names, asdict(settings)]).encode()).hexdigest()[:8]
    run = {**manifest.run, "distilled": {"teachers": names, "start": manifest.model_version, **asdict(settings)}}
    write_manifest(
        output, replace(manifest, model_version=f"distilled-{digest}", calibration=Calibration.identity(), run=run)
    )
    return output


def calibrate(folder: Path, config: RunConfig) -> Calibration:
    """Fits the calibration on the validation rows and writes it into the folder's manifest."""
    rows = select_rows(Path(config.data.validation), config)
    classifier = Classifier.from_pretrained(folder)
    logits = classifier.compute_logits([row.to_statement() for row in rows])
    calibration = fit_calibration(rows, logits, config.calibration.selective_risk)
    write_manifest(folder, replace(read_manifest(folder), calibration=calibration))
    return calibration


def fit_calibration(
    rows: Sequence[LabelledStatement], logits: Mapping[str, np.ndarray[Any, Any]], selective_risk: float
) -> Calibration:
    """Calibration of the three heads on labelled rows, and the review threshold.

    The stances of a source that knows one stance only are left out: they would push every statement toward it.

    Args:
        rows: n labelled rows of any sources.
        logits: Uncalibrated logits of the rows, by head.
        selective_risk: See ``CalibrationConfig``.
    """
    stance = np.array([MISSING if r.stance is None else STANCES.index(r.stance) for r in rows])
    sentiment = np.array([MISSING if r.sentiment is None else SENTIMENTS.index(r.sentiment) for r in rows])
    sides = {
        source: {row.stance for row in rows if row.source == source} - {None} for source in {r.source for r in rows}
    }
    if any(len(found) > 1 for found in sides.values()):
        stance[[len(sides[row.source]) == 1 for row in rows]] = MISSING
    low = np.array([MISSING if r.hostility_low is None else r.hostility_low for r in rows])
    high = np.array([MISSING if r.hostility_high is None else r.hostility_high for r in rows])
    bounds = {"stance": (stance, stance), "hostility": (low, high), "sentiment": (sentiment, sentiment)}
    heads = {}
    for head, (lowest, highest) in bounds.items():
        known = lowest != MISSING
        sources = [row.source for row, is_known in zip(rows, known, strict=True) if is_known]
        heads[head] = fit_head(logits[head][known], lowest[known], highest[known], sources)
    kept = stance != MISSING
    probabilities = compute_probabilities(logits["stance"][kept], heads["stance"])
    correct = probabilities.argmax(axis=1) == stance[kept]
    threshold = choose_threshold(probabilities.max(axis=1), correct, selective_risk)
    return Calibration(heads, review_below=threshold, selective_risk=selective_risk)

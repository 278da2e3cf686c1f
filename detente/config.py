"""Training configs: frozen dataclasses and the strict YAML loader. Defaults stand here and nowhere else."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar


class ConfigError(ValueError):
    """A config that cannot be used; the message names the key, what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """The pretrained encoder.

    Attributes:
        model: Hub id or folder of a BERT-like encoder.
        revision: Hub revision; None takes the newest.
        package: An installed Python package whose ``model`` folder holds the same files, used where there is no hub.
        sha256: SHA-256 of ``model.safetensors``; None skips the check.
    """

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    package: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class EncodingConfig:
    """How long a sequence may be.

    Attributes:
        max_tokens: Longest sequence, special and role tokens included.
        overlap_tokens: Tokens shared by neighbouring windows of a long text.
    """

    max_tokens: int = 256
    overlap_tokens: int = 64


@dataclass(frozen=True, slots=True)
class DataConfig:
    """The mixture.

    Attributes:
        train: Parquet file made by ``python -m data.build``.
        validation: Parquet file made by ``python -m data.build``.
        weights: Loss weight of each source, above 0; a source that is not named is left out.
        max_rows: Take at most this many rows of each source; None takes all.
        neutral_share: Share of a source's neutral training rows to keep, in (0, 1]; for mostly neutral sources.
    """

    train: str
    validation: str
    weights: Mapping[str, float]
    max_rows: int | None = None
    neutral_share: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """The training run.

    Attributes:
        epochs: Passes over the training rows.
        batch_size: Rows a step and device.
        learning_rate: Peak rate of the encoder.
        head_learning_rate: Peak rate of role tokens and heads.
        warmup_ratio: Share of the steps in which the rate rises.
        weight_decay: AdamW's weight decay.
        dropout: Dropout before the heads, in [0, 1).
        encoder_dropout: Dropout in the encoder, in [0, 1).
        label_smoothing: Share of probability given to the other labels, in [0, 1).
        stance_weight: Weight of the stance loss; likewise the other two.
        hostility_weight: Weight of the hostility loss.
        sentiment_weight: Weight of the sentiment loss.
        consistency_weight: Weight of R-Drop (``losses.measure_consistency``), which doubles the cost; 0: none.
        freeze_embeddings: Keep the base's word, position and type embeddings as they are; ``train.export`` needs this.
        adapter_rank: Rank of LoRA adapters on all linear layers of the encoder; None trains the layers themselves.
        bf16: Compute in bfloat16, but on CPUs without AVX-512, where that is many times slower.
        save_steps: Steps between checkpoints, from which a killed run resumes.
    """

    epochs: float = 3.0
    batch_size: int = 32
    learning_rate: float = 1.0e-4
    head_learning_rate: float = 3.0e-4
    warmup_ratio: float = 0.06
    weight_decay: float = 0.01
    dropout: float = 0.1
    encoder_dropout: float = 0.1
    label_smoothing: float = 0.0
    stance_weight: float = 1.0
    hostility_weight: float = 0.7
    sentiment_weight: float = 0.5
    consistency_weight: float = 0.0
    freeze_embeddings: bool = True
    adapter_rank: int | None = None
    bf16: bool = True
    save_steps: int = 500


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Calibration on the validation rows.

    Attributes:
        selective_risk: Share of wrong stances accepted among statements that need no review, in (0, 1).
    """

    selective_risk: float = 0.1


@dataclass(frozen=True, slots=True)
class RunConfig:
    """A whole training run.

    Attributes:
        name: Name of the run; part of the model version.
        output: Folder for checkpoints and the finished artifact.
        seed: Seed of everything random.
        report_to: Where the Trainer reports, such as ``tensorboard``; ``none`` for nowhere.
        start: A model on the same base, from whose scoring network the run goes on (the embeddings stay the base's);
            None starts from the base.
    """

    name: str
    output: str
    data: DataConfig
    base: BaseConfig = field(default_factory=BaseConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    seed: int = 1
    report_to: str = "none"
    start: str | None = None

    def __post_init__(self) -> None:
        _refuse_unless(
            {
                "optimiser.epochs": self.optimiser.epochs > 0,
                "optimiser.batch_size": self.optimiser.batch_size > 0,
                "optimiser.learning_rate": self.optimiser.learning_rate > 0,
                "optimiser.dropout": 0 <= self.optimiser.dropout < 1,
                "optimiser.encoder_dropout": 0 <= self.optimiser.encoder_dropout < 1,
                "data.neutral_share": all(0 < share <= 1 for share in self.data.neutral_share.values()),
                "optimiser.consistency_weight": self.optimiser.consistency_weight >= 0,
                "optimiser.label_smoothing": 0 <= self.optimiser.label_smoothing < 1,
                "calibration.selective_risk": 0 < self.calibration.selective_risk < 1,
                "encoding.overlap_tokens": 0 <= self.encoding.overlap_tokens < self.encoding.max_tokens - 4,
                "data.weights": bool(self.data.weights) and all(w > 0 for w in self.data.weights.values()),
            }
        )


@dataclass(frozen=True, slots=True)
class AttributionRunConfig:
    """A training run of the attribution network.

    Attributes:
        name: Name of the run; part of the model version.
        output: Folder for checkpoints and the finished network.
        train: Parquet file of articles made by ``python -m data.build``.
        validation: Parquet file of articles made by ``python -m data.build``.
        gold: JSONL file of articles with gold statements, for what the others do not have: names, who stands for whom,
            acts, views, counterparts; None for none.
        gold_repeats: How often each of these is seen in an epoch.
        start: A shipped model, from whose attribution network the run goes on: tensors of the same shape are taken,
            others begin untrained; None starts from the base.
        base: The pretrained encoder; its embeddings stay as they are.
        encoding: How long a window of an article may be.
        epochs: Passes over the windows.
        batch_size: Windows a step and device.
        learning_rate: Peak rate of the encoder.
        head_learning_rate: Peak rate of the heads.
        warmup_ratio: Share of the steps in which the rate rises.
        weight_decay: AdamW's weight decay.
        dropout: Dropout in the encoder and before the heads, in [0, 1).
        link_weight: Weight of the pointers' losses beside the tags' losses, 0 or more.
        max_articles: Take at most this many articles of ``train``; None takes all.
        bf16: As in ``OptimiserConfig``.
        save_steps: Steps between checkpoints, from which a killed run resumes.
        seed: Seed of everything random.
        report_to: Where the Trainer reports, such as ``tensorboard``; ``none`` for nowhere.
    """

    name: str
    output: str
    train: str
    validation: str
    gold: str | None = None
    gold_repeats: int = 1
    start: str | None = None
    base: BaseConfig = field(default_factory=BaseConfig)
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    epochs: float = 4.0
    batch_size: int = 8
    learning_rate: float = 2.0e-4
    head_learning_rate: float = 1.0e-3
    warmup_ratio: float = 0.06
    weight_decay: float = 0.01
    dropout: float = 0.1
    link_weight: float = 1.0
    max_articles: int | None = None
    bf16: bool = True
    save_steps: int = 500
    seed: int = 1
    report_to: str = "none"

    def __post_init__(self) -> None:
        _refuse_unless(
            {
                "epochs": self.epochs > 0,
                "batch_size": self.batch_size > 0,
                "learning_rate": self.learning_rate > 0,
                "dropout": 0 <= self.dropout < 1,
                "link_weight": self.link_weight >= 0,
                "gold_repeats": self.gold_repeats > 0,
                "encoding.overlap_tokens": 0 <= self.encoding.overlap_tokens < self.encoding.max_tokens - 4,
            }
        )


def _refuse_unless(checks: Mapping[str, bool]) -> None:
    if keys := [key for key, is_fine in checks.items() if not is_fine]:
        raise ConfigError(f"out of range: {', '.join(keys)}; see the docstrings in detente/config.py")


Config = TypeVar("Config", RunConfig, AttributionRunConfig)


def load_config(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    kind: type[Config] = RunConfig,  # type: ignore[assignment]  # a default for a type variable
) -> Config:
    """Reads a YAML config.

    Args:
        path: The file.
        kind: The class that the file describes.
        overrides: Values by dotted key, such as ``{"optimiser.epochs": 1}``.

    Raises:
        ConfigError: The file is not a mapping, a key is unknown or missing, or a value has the wrong type or range.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of keys to values, found {type(values).__name__}")
    for dotted, value in (overrides or {}).items():
        *parents, last = dotted.split(".")
        target = values
        for parent in parents:
            if target.get(parent) is None:
                target[parent] = {}
            target = target[parent]
            if not isinstance(target, dict):
                raise ConfigError(f"override {dotted!r}: {parent} holds {target!r}, expected a section of keys")
        target[last] = value
    config = _build(kind, values, "")
    assert isinstance(config, kind)
    return config


def _build(cls: type, values: object, where: str) -> object:
    if not isinstance(values, dict):
        raise ConfigError(f"{where.rstrip('.') or 'the config'} must be a mapping, found {values!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(fields)}"
            raise ConfigError(f"unknown key {where + str(key)!r}{hint}")
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in values]:
        raise ConfigError(f"missing key {', '.join(repr(where + name) for name in missing)}")
    return cls(**{key: _convert(hints[key], value, where + key) for key, value in values.items()})


def _convert(hint: Any, value: object, where: str) -> object:
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _build(hint, value, where + ".")
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in allowed:
        return None
    kind = next(a for a in allowed if a is not type(None))
    if typing.get_origin(kind) is Mapping and isinstance(value, dict):
        _, item = typing.get_args(kind)
        return {str(k): _convert(item, v, f"{where}.{k}") for k, v in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    hint_text = " (YAML reads 1e-5 as text: write 1.0e-5)" if kind is float and isinstance(value, str) else ""
    raise ConfigError(f"{where} must be {getattr(kind, '__name__', kind)}, found {value!r}{hint_text}")

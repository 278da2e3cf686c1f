"""The attribution network: an encoder, tags for each token, and pointers from contents to sources and cues."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn, zeros
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from detente.article.attribution import CAPITAL, LINKS, TAGS
from detente.article.spans import SPAN_KINDS


class AttributionConfig(PretrainedConfig):  # type: ignore[misc]  # transformers' base classes are untyped here
    """The network's shape.

    Attributes:
        encoder: Config of the base encoder.
        dropout: Dropout before the heads, in [0, 1).
        link_size: Size of the vectors that pointers are made of.
    """

    model_type = "detente-attribution"
    sub_configs: ClassVar[dict[str, type]] = {"encoder": AutoConfig}

    def __init__(
        self,
        encoder: PretrainedConfig | dict[str, Any] | None = None,
        dropout: float = 0.1,
        link_size: int = 128,
        **kwargs: Any,
    ) -> None:
        """Takes the encoder's config as an object, a dict (as saved) or None for an untrained reference-sized BERT."""
        if isinstance(encoder, dict):
            encoder = AutoConfig.for_model(**encoder)
        elif encoder is None:
            encoder = AutoConfig.for_model("bert", hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
        self.encoder: PretrainedConfig = encoder
        self.dropout = dropout
        self.link_size = link_size
        super().__init__(**kwargs)


@dataclass
class AttributionOutput(ModelOutput):  # type: ignore[misc]  # untyped base
    """Logits.

    Attributes:
        tags: (batch, seq, kinds, tags), in the orders of ``SPAN_KINDS`` and ``TAGS``.
        links: (batch, links, seq, seq), in the order of ``LINKS``: from each token to every other one.
    """

    tags: Tensor | None = None
    links: Tensor | None = None


class AttributionModel(PreTrainedModel):  # type: ignore[misc]  # untyped base
    """Encoder, tag head, and a bilinear pointer for each of ``LINKS``."""

    config_class = AttributionConfig
    base_model_prefix = "detente_attribution"
    _supports_sdpa = True

    def __init__(self, config: AttributionConfig) -> None:
        """Builds an untrained network of the config's shape."""
        super().__init__(config)
        self.encoder = AutoModel.from_config(config.encoder)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None
        hidden = config.encoder.hidden_size
        self.capital = nn.Parameter(zeros(hidden))
        self.dropout = nn.Dropout(config.dropout)
        self.tags = nn.Linear(hidden, len(SPAN_KINDS) * len(TAGS))
        self.pointers = nn.Linear(hidden, len(LINKS) * config.link_size)
        self.targets = nn.Linear(hidden, len(LINKS) * config.link_size)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> AttributionOutput:
        """Logits for a batch.

        Args:
            input_ids: (batch, seq) token ids, ``[CLS]`` first, those of capitalised words moved up by ``CAPITAL``.
            attention_mask: (batch, seq) 1 for tokens, 0 for padding; None if there is no padding.
        """
        is_capital = (input_ids >= CAPITAL).to(input_ids.dtype)
        words = self.encoder.get_input_embeddings()(input_ids - is_capital * CAPITAL)
        words = words + is_capital[..., None].to(words.dtype) * self.capital
        hidden = self.encoder(inputs_embeds=words, attention_mask=attention_mask).last_hidden_state
        hidden = self.dropout(hidden)
        batch, seq = input_ids.shape
        split = (batch, seq, len(LINKS), -1)
        pointers = self.pointers(hidden).view(split).transpose(1, 2)
        targets = self.targets(hidden).view(split).transpose(1, 2)
        links = pointers @ targets.transpose(2, 3) / self.config.link_size**0.5
        if attention_mask is not None:
            links = links + (1.0 - attention_mask[:, None, None, :].to(links.dtype)) * -1e4
        return AttributionOutput(tags=self.tags(hidden).view(batch, seq, len(SPAN_KINDS), len(TAGS)), links=links)


def build_network(base: str, *, revision: str | None = None, dropout: float = 0.1) -> AttributionModel:
    """A network on a pretrained base encoder, its heads untrained.

    Args:
        base: A folder or hub id of a BERT-like encoder.
        revision: The hub revision.
        dropout: Dropout before the heads.
    """
    encoder = AutoModel.from_pretrained(base, revision=revision, attn_implementation="eager")
    model = AttributionModel(AttributionConfig(encoder=encoder.config, dropout=dropout))
    encoder.pooler = None
    model.encoder = encoder
    nn.init.zeros_(model.capital)
    return model


AutoConfig.register("detente-attribution", AttributionConfig)
AutoModel.register(AttributionConfig, AttributionModel)

"""The network: an encoder, pooling by role and three heads. Token ids in, logits out.

Registered with the transformers Auto classes as ``detente``: ``AutoConfig`` and ``AutoModel`` load a folder once this
module is imported.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from detente.encoding import ROLE_TOKENS
from detente.labels import HOSTILITY_LEVELS, SENTIMENTS, STANCES

HEAD_MODULES: Final = ("roles", "mix", "stance", "hostility", "sentiment")
"""Everything that is not the encoder: role tokens, and what follows the pooling."""
_SPEAKER_SIDE = (0, 2)  # [SPEAKER], [AUTHOR]
_COUNTERPART_SIDE = (1, 3)  # [COUNTERPART], [ANYONE]


class DetenteConfig(PretrainedConfig):  # type: ignore[misc]  # transformers' base classes are untyped here
    """The network's shape.

    Attributes:
        encoder: Config of the base encoder.
        dropout: Dropout before the heads, in [0, 1).
    """

    model_type = "detente"
    sub_configs: ClassVar[dict[str, type]] = {"encoder": AutoConfig}

    def __init__(
        self, encoder: PretrainedConfig | dict[str, Any] | None = None, dropout: float = 0.1, **kwargs: Any
    ) -> None:
        """Takes the encoder's config as an object, a dict (as saved) or None for an untrained reference-sized BERT."""
        if isinstance(encoder, dict):
            encoder = AutoConfig.for_model(**encoder)
        elif encoder is None:
            encoder = AutoConfig.for_model("bert", hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
        self.encoder: PretrainedConfig = encoder
        self.dropout = dropout
        super().__init__(**kwargs)


@dataclass
class DetenteOutput(ModelOutput):  # type: ignore[misc]  # untyped base
    """Logits of the three heads.

    Attributes:
        stance: (batch, 3) in the order of ``labels.STANCES``.
        hostility: (batch, 5) in the order of ``labels.HOSTILITY_LEVELS``.
        sentiment: (batch, 3) in the order of ``labels.SENTIMENTS``.
    """

    stance: Tensor | None = None
    hostility: Tensor | None = None
    sentiment: Tensor | None = None


class DetenteModel(PreTrainedModel):  # type: ignore[misc]  # untyped base
    """Encoder, role-aware pooling and heads.

    The role tokens have an embedding table of their own, so that the base encoder's table can stay frozen and shared.
    A statement's vector joins the mean over all tokens, over the speaker's mentions and over the counterpart's; the
    role tokens at the head of each sequence see to it that neither set is empty.
    """

    config_class = DetenteConfig
    base_model_prefix = "detente"
    _supports_sdpa = True

    def __init__(self, config: DetenteConfig) -> None:
        """Builds an untrained network of the config's shape."""
        super().__init__(config)
        sdpa = MODEL_MAPPING[type(config.encoder)]._supports_sdpa  # DeBERTa has no such attention
        self.encoder = AutoModel.from_config(config.encoder, attn_implementation="sdpa" if sdpa else "eager")
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None
        hidden = config.encoder.hidden_size
        self.roles = nn.Embedding(len(ROLE_TOKENS), hidden)
        self.mix = nn.Linear(3 * hidden, hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.stance = nn.Linear(hidden, len(STANCES))
        self.sentiment = nn.Linear(hidden, len(SENTIMENTS))
        self.hostility = nn.Linear(hidden, len(HOSTILITY_LEVELS))
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> DetenteOutput:
        """Logits for a batch.

        Args:
            input_ids: (batch, seq) token ids; ids from the base vocabulary's size on are role tokens.
            attention_mask: (batch, seq) 1 for tokens, 0 for padding; None if there is no padding.
        """
        words = self.encoder.get_input_embeddings()
        role = input_ids - words.num_embeddings
        is_role = role >= 0
        embedded = torch.where(
            is_role[..., None], self.roles(role.clamp_min(0)), words(input_ids.masked_fill(is_role, 0))
        )
        hidden = self.encoder(inputs_embeds=embedded, attention_mask=attention_mask).last_hidden_state
        tokens = torch.ones_like(is_role) if attention_mask is None else attention_mask > 0
        sides = torch.stack([tokens, _either(role, _SPEAKER_SIDE), _either(role, _COUNTERPART_SIDE)], dim=1)
        weights = sides.to(hidden.dtype)
        pooled = (weights @ hidden / weights.sum(-1, keepdim=True).clamp_min(1.0)).flatten(1)
        mixed = self.dropout(nn.functional.gelu(self.mix(self.dropout(pooled))))
        return DetenteOutput(
            stance=self.stance(mixed), hostility=self.hostility(mixed), sentiment=self.sentiment(mixed)
        )


def _either(role: Tensor, indices: tuple[int, int]) -> Tensor:
    return (role == indices[0]) | (role == indices[1])


def build_model(
    base: str, *, revision: str | None = None, dropout: float = 0.1, vocabulary: int | None = None
) -> DetenteModel:
    """A network on a pretrained base encoder, its heads and role tokens untrained.

    Args:
        base: A folder or hub id of a BERT-like encoder.
        revision: The hub revision.
        dropout: Dropout before the heads.
        vocabulary: How many ids the base's tokenizer has. Rows of its embedding table beyond them, which some bases
            have as padding, are cut off, as role tokens come next. None: as many as the table has rows.

    Raises:
        ValueError: The table has fewer rows than the tokenizer has ids.
    """
    encoder = AutoModel.from_pretrained(base, revision=revision, attn_implementation="eager")
    rows = encoder.get_input_embeddings().num_embeddings
    if vocabulary is not None and vocabulary > rows:
        raise ValueError(f"{base}: its tokenizer has {vocabulary} ids, its embedding table only {rows} rows")
    if vocabulary is not None and vocabulary < rows:
        encoder.resize_token_embeddings(vocabulary)
    model = DetenteModel(DetenteConfig(encoder=encoder.config, dropout=dropout))
    encoder.pooler = None
    model.encoder = encoder
    with torch.no_grad():
        # Role tokens start where the base's words are, so that they look like words to it.
        table = encoder.get_input_embeddings().weight
        model.roles.weight.copy_(table.mean(0) + 0.5 * table.std(0) * torch.randn_like(model.roles.weight))
    return model


AutoConfig.register("detente", DetenteConfig)
AutoModel.register(DetenteConfig, DetenteModel)

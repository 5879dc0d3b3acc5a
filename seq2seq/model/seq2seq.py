"""The standard model: source front end + encoder + decoder, rebuilt from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from seq2seq.config import DROPOUT, SIZES, Real, Whole, check_fields, check_numbers
from seq2seq.data.symbols import EOS_ID, PAD_ID
from seq2seq.errors import check, check_argument
from seq2seq.model.attention import check_sizes
from seq2seq.model.cells import check_weights_stay
from seq2seq.model.copying import CopyDecoder
from seq2seq.model.decoder import DecoderConfig, RecurrentDecoder, check_bridge
from seq2seq.model.decoder_state import DecoderState, Output
from seq2seq.model.dropout import DropoutRates, DroppedTokens, TokenDropout
from seq2seq.model.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.model.frontends import FactoredEmbedding, FrontEndConfig, TokenEmbedding
from seq2seq.model.hard_attention import AlignmentKind, HardAttentionDecoder
from seq2seq.model.heads import StepHead
from seq2seq.model.initialisation import initialise_model, initialise_uniformly
from seq2seq.model.lexical import LexicalDecoder
from seq2seq.model.memory import Memory
from seq2seq.runtime.device import at_least_fp32

Tie = Literal["none", "two_way", "three_way"]
FeatureForm = Literal["tokens", "sum", "concatenate", "separate"]

UNIT_DROPOUTS = ("embedding_dropout", "state_dropout", "output_dropout")
"""Probabilities of ModelConfig that are those of `dropout` where they are not set."""
DROPOUTS = (*UNIT_DROPOUTS, "recurrent_dropout", "source_token_dropout", "target_token_dropout")
"""All its probabilities besides `dropout` that a model in use does not know of."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and structure of the translation model."""

    embedding_size: int = 256
    """Width of source and target embeddings, and of the attentional vector that the output layer reads."""
    dropout: float = 0.2
    """Probability of dropping a unit of embeddings, recurrent states and the attentional vector; one mask per
    sequence."""
    tie: Tie = "three_way"
    """Shared weights: none, two_way (target embedding = output layer), three_way (source embedding too; joint
    vocabulary)."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The BiLSTM encoder."""
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    """The attentional LSTM decoder."""
    features: FeatureForm = "tokens"
    """How features join the source, where the data has some: tokens before it, or at each of its steps (Sennrich &
    Haddow 2016), their embeddings added up and added to the token's (sum) or beside it (concatenate); separate: read by
    an encoder of one layer of their own, to which the decoder attends, too (Zoph & Knight 2016)."""
    feature_size: int = 32
    """Width of what stands for the features beside a token (concatenate); embedding_size holds for both together."""
    initial_range: float = 0.0
    """First weights and biases are drawn evenly from minus to plus this number (Sutskever et al. 2014: 0.08); 0: Xavier
    input weights, orthogonal recurrent ones, forget bias 1."""
    embedding_dropout: float | None = None
    """Probability of dropping a unit of embeddings, the source's behind the lookup and again before the first layer;
    null: model.dropout."""
    state_dropout: float | None = None
    """Probability of dropping a unit of recurrent layers' states; null: model.dropout."""
    output_dropout: float | None = None
    """Probability of dropping a unit of the attentional vector; null: model.dropout."""
    recurrent_dropout: float = 0.0
    """Probability of dropping a recurrent weight, for all steps of a batch (Merity et al. 2018)."""
    zoneout: float = 0.0
    """Probability that a unit of a recurrent layer keeps its last value for a step (Krueger et al. 2017), and its share
    in use; layers then are loops over time, without a kernel of torch's."""
    source_token_dropout: float = 0.0
    """Probability of dropping a whole token of the source (Gal & Ghahramani 2016; Iyyer et al. 2015)."""
    target_token_dropout: float = 0.0
    """Probability of dropping a whole token of the decoder's input, which then has to go by the source."""
    dropped_tokens: DroppedTokens = "zero"
    """What a dropped token becomes: zero (no embedding, the others scaled up), unk (the unknown token), or random (any
    other: Wang et al. 2018)."""
    lexical: bool = False
    """Whether the output layer also reads the embeddings of the source that attention looks at, which translates rare
    words (Nguyen & Chiang 2018); one more matrix of vocabulary times embedding_size."""
    copy: bool = False
    """Whether the decoder may copy the source's tokens that attention looks at (pointer-generator: See et al. 2017,
    Sharma et al. 2018); source and target need a joint vocabulary of the same units."""
    alignment: AlignmentKind = "soft"
    """What of the source a token is written from. soft: a mean of its steps (Bahdanau et al. 2015). hard: one of them,
    of which training sums over all (Wu et al. 2018). monotonic: the same, but never one before the last token's (Wu &
    Cotterell 2019). The latter two are for words; they need model.decoder.coupling none."""

    def __post_init__(self) -> None:
        check_fields(self, "model")
        check_numbers(self, "model", embedding_size=SIZES, initial_range=Real(0, 10))
        narrow = self.features == "concatenate"
        check_numbers(self, "model", feature_size=Whole(1, max(1, self.embedding_size - 1)) if narrow else SIZES)
        given = [name for name in DROPOUTS if name not in UNIT_DROPOUTS or getattr(self, name) is not None]
        check_numbers(self, "model", dropout=DROPOUT, zoneout=DROPOUT, **dict.fromkeys(given, DROPOUT))
        check(
            self.features == "tokens" or not (self.lexical or self.source_token_dropout),
            f"model.features {self.features} goes with neither model.lexical nor model.source_token_dropout; choose "
            "tokens",
        )
        rates = self.recurrent_dropout, self.zoneout
        check_weights_stay(self.encoder.cell, self.encoder.proj_size, *rates, "model.encoder.")
        check_weights_stay(self.decoder.cell, 0, *rates, "model.decoder.")
        check_bridge(self.encoder, self.decoder)
        check_sizes(*self.decoder.attention_sizes(self.encoder.top.output_size))
        check(
            not self.lexical or (self.decoder.attention != "none" and self.encoder.subsampling == 1),
            "model.lexical translates the words that attention looks at: it needs a model.decoder.attention other than "
            "none, and model.encoder.subsampling 1",
        )
        self._check_decoder()

    def _check_decoder(self) -> None:
        """Raises UserError where ways of writing are chosen that do not go together."""
        decoder = self.decoder
        check(
            not self.copy or (self.decoder.attention != "none" and self.encoder.subsampling == 1 and not self.lexical),
            "model.copy copies the tokens that attention looks at: it needs a model.decoder.attention other than none, "
            "and model.encoder.subsampling 1, and goes without model.lexical",
        )
        check(
            self.alignment == "soft"
            or (decoder.coupling == "none" and decoder.attention != "none" and decoder.heads == 1),
            f"model.alignment {self.alignment} needs model.decoder.coupling none, model.decoder.heads 1 and a "
            "model.decoder.attention other than none",
        )
        check(
            self.alignment == "soft" or not (self.lexical or self.copy),
            f"model.alignment {self.alignment} goes with neither model.lexical nor model.copy",
        )
        check(
            self.features != "separate" or (self.alignment == "soft" and decoder.attention != "none"),
            "model.features separate needs a model.decoder.attention other than none, and model.alignment soft",
        )
        if self.features == "separate":
            check_sizes(*decoder.attention_sizes(self.feature_encoder().top.output_size))
        normalizers = {decoder.attention_normalizer, decoder.output_normalizer}
        check(
            self.alignment == "soft" or normalizers == {"softmax"},
            f"model.alignment {self.alignment} sums over probabilities by softmax: leave model.decoder."
            "attention_normalizer and output_normalizer out",
        )
        check(
            not self.copy or decoder.output_normalizer == "softmax",
            "model.copy mixes with a softmax: leave model.decoder.output_normalizer out",
        )

    def feature_encoder(self) -> EncoderConfig:
        """The encoder of features (separate)."""
        return EncoderConfig(self.encoder.hidden_size, layers=1, cell=self.encoder.cell)

    def rates(self) -> DropoutRates:
        """Probabilities of dropout, each with its own value or else that of `dropout`."""
        embedding, states, output = (
            self.dropout if rate is None else rate
            for rate in (self.embedding_dropout, self.state_dropout, self.output_dropout)
        )
        return DropoutRates(
            embedding,
            states,
            output,
            self.recurrent_dropout,
            self.source_token_dropout,
            self.target_token_dropout,
            self.dropped_tokens,
            self.zoneout,
        )


class Seq2Seq(nn.Module):
    """A front end, an encoder that returns `Memory`, and a decoder; whatever fits these seams.

    front_end: raw source [B, S, ...] -> [B, S, E]. encoder: ([B, S, E], lengths [B]) -> Memory. decoder: a
    `RecurrentDecoder`, or whatever has its `start`, `step`, `unroll`, `log_probs` and `loss`.
    """

    def __init__(self, front_end: nn.Module, encoder: nn.Module, decoder: RecurrentDecoder) -> None:
        super().__init__()
        self.front_end = front_end
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """source [B, S, ...], lengths [B] -> Memory."""
        memory: Memory = self.encoder(self.front_end(source), lengths)
        return memory

    def forward(self, source: Tensor, lengths: Tensor, target_input: Tensor) -> Output:
        """Teacher forcing: source [B, S, ...], lengths [B], target_input [B, T], which begins with bos."""
        return self.decoder.unroll(target_input, self.encode(source, lengths), source)

    def start(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """The state from which `step` begins."""
        return self.start_from(self.encode(source, lengths), source)

    def start_from(self, memory: Memory, source: Tensor) -> DecoderState:
        """The same, where the source [B, S, ...] has been encoded already."""
        return self.decoder.start(memory, source)

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """The StepFn of this model (see search.py)."""
        return self.decoder.step(token, state)


def build_model(config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int) -> Seq2Seq:
    """The standard translation model, freshly initialised from torch's global random state."""
    check_argument("build_model", "config", config, ModelConfig)
    for name, size in (("source", source_vocabulary_size), ("target", target_vocabulary_size)):
        check_argument("build_model", f"{name}_vocabulary_size", size, int)
    model = assemble_model(config, source_vocabulary_size, target_vocabulary_size)
    return initialise_uniformly(model, config.initial_range) if config.initial_range else initialise_model(model)


def assemble_model(config: ModelConfig, source_vocabulary_size: int, target_vocabulary_size: int) -> Seq2Seq:
    """The same without first weights, for callers that load trained ones."""
    check(
        config.tie != "three_way" or source_vocabulary_size == target_vocabulary_size,
        "model.tie three_way needs one joint vocabulary; with separate ones use two_way (or set vocabulary.joint true)",
    )
    check(
        config.tie != "three_way" or config.features != "concatenate",
        "model.features concatenate makes the source's embeddings narrower than the target's: model.tie three_way "
        "cannot share them; use two_way",
    )
    check(
        not config.copy or source_vocabulary_size >= target_vocabulary_size,
        "model.copy needs a source vocabulary that begins with the target's pieces: a joint one",
    )
    target = nn.Embedding(target_vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
    shared = config.tie == "three_way"
    beside = config.feature_size if config.features == "concatenate" else 0
    width = config.embedding_size - beside
    source = target if shared else nn.Embedding(source_vocabulary_size, width, padding_idx=PAD_ID)
    rates = config.rates()
    encoder = _encoder(config, rates)
    decoder = _decoder(config, source, target, encoder.output_size, rates)
    if config.features in ("sum", "concatenate"):
        return Seq2Seq(FactoredEmbedding(source, beside, rates.embedding), encoder, decoder)
    front_end = TokenEmbedding(source, rates.embedding, TokenDropout(rates.source_tokens, rates.dropped_tokens))
    if config.features == "tokens":
        return Seq2Seq(front_end, encoder, decoder)
    feature_encoder = BiLSTMEncoder(config.embedding_size, config.feature_encoder(), rates)
    return FeatureSeq2Seq(front_end, encoder, decoder, TokenEmbedding(source, rates.embedding), feature_encoder)


def _decoder(
    config: ModelConfig, source: nn.Embedding, target: nn.Embedding, memory_size: int, rates: DropoutRates
) -> RecurrentDecoder:
    """The decoder that the configuration chooses."""
    sizes = (target, memory_size, config.decoder, rates, config.tie != "none")
    beside = config.feature_encoder().top.output_size if config.features == "separate" else 0
    if config.alignment != "soft":
        return HardAttentionDecoder(*sizes, config.alignment)
    if config.lexical:
        return LexicalDecoder(source, *sizes)
    return CopyDecoder(*sizes, beside) if config.copy else RecurrentDecoder(*sizes, beside)


def _encoder(config: ModelConfig | GeneratorConfig, dropout: float | DropoutRates) -> BiLSTMEncoder:
    """The encoder, which hands over what the decoder starts from."""
    all_layers = config.decoder.bridge == "layer_by_layer"
    return BiLSTMEncoder(config.embedding_size, config.encoder, dropout, all_layers)


class FeatureSeq2Seq(Seq2Seq):
    """A Seq2Seq with a second encoder, for what stands beside every token of the source: the features of a word. The
    decoder looks at both memories."""

    def __init__(
        self,
        front_end: nn.Module,
        encoder: nn.Module,
        decoder: RecurrentDecoder,
        feature_front_end: nn.Module,
        feature_encoder: nn.Module,
    ) -> None:
        super().__init__(front_end, encoder, decoder)
        self.feature_front_end, self.feature_encoder = feature_front_end, feature_encoder

    def encode(self, source: Tensor, lengths: Tensor) -> Memory:
        """source [B, S, 1 + F] int64: a token, then the features, PAD_ID after the last; read at the first step, and
        ended by EOS_ID. Where all rows are empty but for their end, [B, S]."""
        rows = source if source.dim() > 2 else source[..., None]
        features = nn.functional.pad(rows[:, 0, 1:], (0, 1), value=PAD_ID)
        counts = (features != PAD_ID).sum(1)
        features = features.scatter(1, counts[:, None], EOS_ID)
        beside: Memory = self.feature_encoder(self.feature_front_end(features), counts + 1)
        return super().encode(rows[..., 0], lengths)._replace(beside=beside)


class CTCSeq2Seq(Seq2Seq):
    """A Seq2Seq whose encoder also learns CTC, through a head of its own (Watanabe et al. 2017, section II-C)."""

    def __init__(self, front_end: nn.Module, encoder: nn.Module, decoder: RecurrentDecoder, ctc_head: StepHead) -> None:
        super().__init__(front_end, encoder, decoder)
        self.ctc_head = ctc_head

    def ctc_log_probs(self, memory: Memory) -> Tensor:
        """Memory with states [B, S', H] -> log-probabilities of label or blank at every step, [B, S', V]."""
        return at_least_fp32(self.ctc_head(memory)).log_softmax(-1)


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes and structure of a model from something unwritten to text."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    """What is read."""
    embedding_size: int = 128
    """Width of the front end's vectors and of the target embedding."""
    dropout: float = 0.1
    """Probability of dropping a unit; one mask per sequence."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The BiLSTM encoder."""
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    """The attentional LSTM decoder."""
    ctc: bool = False
    """Whether the encoder learns CTC besides."""

    def __post_init__(self) -> None:
        check_fields(self, "model")
        check_numbers(self, "model", embedding_size=SIZES, dropout=DROPOUT)
        step = self.front_end.form().size_step
        check(
            self.embedding_size % step == 0,
            f"model.embedding_size must be a multiple of {step}, not {self.embedding_size}, for an image read through "
            f"{self.front_end.blocks} model.front_end.blocks",
        )
        check_bridge(self.encoder, self.decoder)
        check_sizes(*self.decoder.attention_sizes(self.encoder.top.output_size))


def build_generator_model(config: GeneratorConfig, vocabulary_size: int) -> Seq2Seq:
    """The model, freshly initialised from torch's global random state."""
    return initialise_model(assemble_generator_model(config, vocabulary_size))


def assemble_generator_model(config: GeneratorConfig, vocabulary_size: int) -> Seq2Seq:
    """The same with weights of no meaning, for those about to load trained ones."""
    front_end = config.front_end.form().build(config.embedding_size, config.dropout)
    encoder = _encoder(config, config.dropout)
    target = nn.Embedding(vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
    decoder = RecurrentDecoder(target, encoder.output_size, config.decoder, config.dropout, tied=True)
    if not config.ctc:
        return Seq2Seq(front_end, encoder, decoder)
    return CTCSeq2Seq(front_end, encoder, decoder, StepHead(encoder.output_size, vocabulary_size))

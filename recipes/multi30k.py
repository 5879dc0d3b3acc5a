"""What the Multi30k recipes have in common; each of them says which way it translates."""

from seq2seq.batching import BatchingConfig
from seq2seq.decoder import DecoderConfig
from seq2seq.encoder import EncoderConfig
from seq2seq.experiment import ExperimentConfig
from seq2seq.model import ModelConfig
from seq2seq.schedule import OptimizerConfig
from seq2seq.trainer import TrainerConfig
from seq2seq.vocabulary import VocabularyConfig

BASE = ExperimentConfig(
    data="bentrevett/multi30k",
    source="en",
    target="de",
    vocabulary=VocabularyConfig(size=5_000),
    model=ModelConfig(
        embedding_size=256,
        dropout=0.2,
        encoder=EncoderConfig(hidden_size=256),
        decoder=DecoderConfig(hidden_size=384, layers=2, coupling="bottom_up"),
    ),
    batching=BatchingConfig(max_tokens_per_batch=1_600),
    optimizer=OptimizerConfig(learning_rate=0.004, warmup_steps=200),
    trainer=TrainerConfig(epochs=7),
)

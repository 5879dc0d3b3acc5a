"""What the Multi30k recipes have in common; each of them says which way it translates."""

import sys

from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import TrainerConfig

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

if __name__ == "__main__":
    print("multi30k.py is no recipe: run multi30k_en_de.py, multi30k_de_en.py or multi30k_en_fr.py", file=sys.stderr)
    sys.exit(2)

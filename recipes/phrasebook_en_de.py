"""Phrasebook: a synthetic task with no download. Travel-desk and shop-floor sentences, English to German by default.

python recipes/phrasebook_en_de.py [--output DIR] [--any.config.field VALUE]
python recipes/phrasebook_en_de.py --source en --target fr        # values only, for any two locales babel knows
"""

from phrasebook import report
from seq2seq.cli import script
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig

CONFIG = ExperimentConfig(
    data=report.GENERATED,
    source="en",
    target="de",
    vocabulary=VocabularyConfig(size=1_500, split_digits=True),
    model=ModelConfig(
        embedding_size=128,
        dropout=0.1,
        encoder=EncoderConfig(hidden_size=128),
        decoder=DecoderConfig(hidden_size=256),
    ),
    batching=BatchingConfig(max_tokens_per_batch=1_600),
    optimizer=OptimizerConfig(learning_rate=0.004, warmup_steps=200),
    trainer=TrainerConfig(epochs=3),
)

if __name__ == "__main__":
    script.main(CONFIG, prepare=report.generate_data, report=report.compare)

"""Phrasebook: a synthetic task with no download. Travel-desk and shop-floor sentences, English to German by default.

python recipes/phrasebook_en_de.py [--output DIR] [--any.config.field VALUE]
python recipes/phrasebook_en_de.py --source en --target fr        # values only, for any two locales babel knows
"""

from phrasebook import report
from seq2seq import recipe
from seq2seq.batching import BatchingConfig
from seq2seq.decoder import DecoderConfig
from seq2seq.encoder import EncoderConfig
from seq2seq.experiment import ExperimentConfig
from seq2seq.model import ModelConfig
from seq2seq.schedule import OptimizerConfig
from seq2seq.trainer import TrainerConfig
from seq2seq.vocabulary import VocabularyConfig

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
    recipe.main(CONFIG, prepare=report.generate_data, report=report.compare)

"""Phrasebook: a synthetic task with no download. Travel-desk and shop-floor sentences, English to German by default.

python recipes/phrasebook_en_de.py [--output DIR] [--any.config.field VALUE]
python recipes/phrasebook_en_de.py --source en --target fr        # values only, for any two locales babel knows
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from phrasebook import report

CONFIG = seq2seq.ExperimentConfig(
    data=report.GENERATED,
    source="en",
    target="de",
    vocabulary=seq2seq.VocabularyConfig(size=1_500, split_digits=True),
    model=seq2seq.ModelConfig(
        embedding_size=128,
        dropout=0.1,
        encoder=seq2seq.EncoderConfig(hidden_size=128),
        decoder=seq2seq.DecoderConfig(hidden_size=256),
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=1_600),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=200),
    trainer=seq2seq.TrainerConfig(epochs=3),
)

if __name__ == "__main__":
    seq2seq.run_recipe(CONFIG, prepare=report.generate_data, report=report.compare)

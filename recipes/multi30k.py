"""What the Multi30k recipes have in common; each of them says which way it translates."""

import sys

import seq2seq

BASE = seq2seq.ExperimentConfig(
    data="bentrevett/multi30k",
    source="en",
    target="de",
    vocabulary=seq2seq.VocabularyConfig(size=5_000),
    model=seq2seq.ModelConfig(
        embedding_size=256,
        dropout=0.2,
        encoder=seq2seq.EncoderConfig(hidden_size=256),
        decoder=seq2seq.DecoderConfig(hidden_size=384, layers=2, coupling="bottom_up"),
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=1_600),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=200),
    trainer=seq2seq.TrainerConfig(epochs=16),
)

FAST = ("--trainer.epochs", "7")
"""What --fast stands for: under half of the time, at the cost of about two points of BLEU."""


def arguments() -> list[str]:
    """The command line, with what --fast stands for in its place."""
    return [part for each in sys.argv[1:] for part in (FAST if each == "--fast" else (each,))]


if __name__ == "__main__":
    print("multi30k.py is no recipe: run multi30k_en_de.py, multi30k_de_en.py or multi30k_en_fr.py", file=sys.stderr)
    sys.exit(2)

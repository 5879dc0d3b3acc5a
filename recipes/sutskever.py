"""Translation without attention (Sutskever et al. 2014): four LSTM layers read the sentence, four others write it.

python recipes/sutskever.py [--data DIR_OR_HUB_ID] [--members N] [--output DIR] [--quick] [--any.config.field VALUE]

The source is read in order, backwards as in the paper, and backwards with attention besides. Prints the perplexity and
BLEU of each on the test split, then of ensembles of up to N models that read backwards, of other seeds; lengths.png
shows BLEU by the length of the source, with attention and without. SGD and its halving are the paper's, over some
12,000 updates: it is updates that this training needs, so layers have 128 cells, and batches are small.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ENSEMBLES = (2, 3, 5)
GROUPS = 5
"""Of test sentences, by length, equally many in each."""


@dataclass(frozen=True)
class Config(seq2seq.ExperimentConfig):
    """Choices of this script."""

    members: int = 1
    """Models that read backwards, for ensembles."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", members=seq2seq.Whole(1, 100))


CONFIG = Config(
    data="bentrevett/multi30k",
    source="en",
    target="de",
    label_smoothing=0.0,
    vocabulary=seq2seq.VocabularyConfig(size=3_000),
    model=seq2seq.ModelConfig(
        embedding_size=128,
        dropout=0.0,
        tie="none",
        encoder=seq2seq.EncoderConfig(hidden_size=128, layers=4, direction="backward"),
        decoder=seq2seq.DecoderConfig(128, 4, attention="none", coupling="none", bridge="layer_by_layer"),
        # The paper's 0.08 is for 1,000 cells: what a layer sums up grows with the root of their number.
        initial_range=0.16,
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=600),
    # The paper's rate of 0.7 and norm of 5 are for gradients per sentence; here they are per token, of which a sentence
    # has some 14. It halved the rate in the last third, too, five times.
    optimizer=seq2seq.OptimizerConfig(
        "sgd", learning_rate=10.0, schedule="halving", warmup_steps=0, decay_start=8_300, decay_steps=830
    ),
    trainer=seq2seq.TrainerConfig(epochs=10, clip_norm=0.35, average_decay=0.0, best_metric="loss"),
)


def variants(config: Config) -> dict[str, Config]:
    """The models to train, by name."""
    model = config.model
    in_order = replace(model, encoder=replace(model.encoder, direction="forward"))
    attending = replace(model, decoder=replace(model.decoder, attention="general"))
    found = {
        "in order": replace(config, model=in_order),
        "backwards": config,
        "backwards, attention": replace(config, model=attending),
    }
    for member in range(1, config.members):
        trainer = replace(config.trainer, seed=config.trainer.seed + member)
        found[f"backwards, seed {trainer.seed}"] = replace(config, trainer=trainer)
    return found


def scores_of(config: Config, outputs: list[str], expected: list[list[str]]) -> seq2seq.Scores:
    """All scores, BLEU by the configuration's tokenizer."""
    tokenize = config.bleu_tokenizer or None
    return seq2seq.corpus_scores(outputs, expected, tokenize=tokenize, target_language=config.target)


def by_length(
    config: Config, outputs: list[str], sources: list[str], expected: list[list[str]]
) -> list[tuple[float, float]]:
    """Mean number of words of a source, and BLEU, of each group of sentences."""
    lengths = np.array([len(source.split()) for source in sources])
    points = []
    for rows in np.array_split(np.argsort(lengths, kind="stable"), min(GROUPS, len(lengths))):
        scores = scores_of(config, [outputs[row] for row in rows], [expected[row] for row in rows])
        points.append((float(lengths[rows].mean()), scores.bleu.score))
    return points


def main(config: Config) -> None:
    """Trains all, prints their figures, draws BLEU by length."""
    if config.quick:  # what has not learned to end a sentence is long
        config = replace(config, search=replace(config.search, beam_size=1, max_length=10))
    trained = seq2seq.train_variants(variants(config), lambda _, variant: seq2seq.run(variant)[0])
    split = seq2seq.load_split(config, config.test_split).take(100 if config.quick else 10**9)
    sources, expected = [row["source"] for row in split], seq2seq.references(split)
    outputs = {}

    def report(name: str, translator: seq2seq.Translator) -> None:
        outputs[name] = translator.translate(sources)
        scored = translator.score(sources, [line[0] for line in expected])
        perplexity = math.exp(-sum(each.log_probability for each in scored) / sum(each.tokens for each in scored))
        bleu = scores_of(config, outputs[name], expected).bleu
        print(f"{name}\tperplexity {perplexity:.2f}\tBLEU {bleu.score:.2f} ({bleu.signature})", flush=True)

    for name, translator in trained.items():
        report(name, translator)
    joined, *others = [each for name, each in trained.items() if name == "backwards" or "seed" in name]
    for count, other in enumerate(others, 2):
        joined.join(other)
        if count in ENSEMBLES:
            report(f"ensemble of {count}", joined)
    lines = {"without attention": "backwards", "with attention": "backwards, attention"}
    points = {shown: by_length(config, outputs[name], sources, expected) for shown, name in lines.items()}
    seq2seq.plot_lines(points, Path(config.output) / "lengths.png", "words of the source", "BLEU")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)

"""What comes before and after training: the generated data, and the comparison with baselines on both test splits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

import seq2seq

from .baselines import copy_baseline, mark_errors, word_by_word
from .generate import DEFAULT_PAIRS, DEFAULT_SEED, SPLITS, explain_digest, generate, generate_values, write_splits

GENERATED = "generated"
"""What the data option says when the task is generated into the run directory."""
TESTS = {"test": "same distribution", "test_unseen": "combinations never seen together"}
SAMPLES = 5

Corpus = tuple[list[str], list[list[str]]]
Translate = Callable[[Sequence[str]], list[str]]


def generate_data(config: seq2seq.ExperimentConfig) -> seq2seq.ExperimentConfig:
    """Writes the splits below the run directory, in a folder named by the languages; returns the config for it. One
    that names such a folder, as a run's config.json does, is returned as it is."""
    if all((Path(str(config.data)) / f"{split}.jsonl").exists() for split in SPLITS):
        return config
    if config.data != GENERATED:
        raise seq2seq.UserError(f"this recipe generates its data: leave --data out, instead of {config.data!r}")
    folder = Path(config.output) / f"data-{config.source}-{config.target}"
    print(f"generating {DEFAULT_PAIRS:,} synthetic pairs, {config.source} to {config.target}", file=sys.stderr)
    if (config.source, config.target) == ("en", "de"):
        digest = explain_digest(write_splits(folder, generate(DEFAULT_SEED)))
    else:
        values = generate_values(DEFAULT_SEED, DEFAULT_PAIRS, config.source, config.target)
        digest = f"SHA-256 {write_splits(folder, values)}"
    print(f"{folder}: {digest}", file=sys.stderr)
    return replace(config, data=str(folder))


def compare(config: seq2seq.ExperimentConfig, translator: seq2seq.Translator, evaluation: seq2seq.Evaluation) -> None:
    """Prints the table of systems, samples with their errors, and where the pictures are."""
    print(table(config, translator, evaluation))
    print(samples(evaluation))
    for name, path in (("curves", "curves.png"), ("attention maps", "attention/"), ("model card", "README.md")):
        print(f"{name}: {config.output}/{path}")


def table(config: seq2seq.ExperimentConfig, translator: seq2seq.Translator, evaluation: seq2seq.Evaluation) -> str:
    """A row per system and split: BLEU with its 95 % interval, chrF, exact match."""
    training = seq2seq.load_split(config, config.train_split)
    dictionary = word_by_word([(row["source"], row["target"][0]) for row in training])
    final = f"trained, beam {config.search.beam_size}"
    systems: dict[str, Translate] = {
        "copy of the source": copy_baseline,
        "word by word": dictionary,
        "untrained model, greedy": lambda texts: untrained(config, translator).translate(texts, beam_size=1),
        "trained, greedy": lambda texts: translator.translate(texts, beam_size=1),
        final: lambda texts: translator.translate(texts),
    }
    lines = [f"{'system':<26}{'split':<47}{'BLEU':>7}  {'95 %':<8}{'chrF':>7}{'exact':>8}"]
    signature = evaluation.scores.bleu.signature
    for split, meaning in TESTS.items():
        sources, lines_of = corpus(config, split)
        for name, translate in systems.items():
            known = split == config.test_split and name == final  # just translated and scored
            scores = (
                evaluation.scores
                if known
                else seq2seq.corpus_scores(
                    translate(sources),
                    lines_of,
                    confidence=True,
                    tokenize=config.bleu_tokenizer,
                    target_language=config.target,
                )
            )
            lines.append(_row(name, f"{split}: {meaning}", scores))
    return "\n".join(["", *lines, f"BLEU: {signature}; chrF: {evaluation.scores.chrf.signature}", ""])


def _row(system: str, split: str, scores: seq2seq.Scores) -> str:
    interval = f"± {scores.bleu.confidence:.1f}"
    figures = f"{scores.bleu.score:>7.1f}  {interval:<8}{scores.chrf.score:>7.1f}{scores.exact_match:>7.1f}%"
    return f"{system:<26}{split:<47}{figures}"


def corpus(config: seq2seq.ExperimentConfig, split: str) -> Corpus:
    """Sources of a split and their references."""
    loaded = seq2seq.load_split(config, split)
    return [row["source"] for row in loaded], seq2seq.references(loaded)


def untrained(config: seq2seq.ExperimentConfig, trained: seq2seq.Translator) -> seq2seq.Translator:
    """The same model as training began with; its outputs are kept short, since it does not know where to end."""
    torch.manual_seed(config.trainer.seed)
    model = seq2seq.build_model(config.model, len(trained.source_vocabulary), len(trained.target_vocabulary))
    search = replace(config.search, max_length=20)
    return seq2seq.Translator(model, config.model, trained.source_vocabulary, trained.target_vocabulary, search)


def samples(evaluation: seq2seq.Evaluation) -> str:
    """A few translations; where one differs from its nearest reference, the differing words are marked."""
    translated = zip(evaluation.sources, evaluation.hypotheses, evaluation.references, strict=True)
    marked = [(source, text, _errors(text, lines)) for source, text, lines in translated]
    wrong, right = ([each for each in marked if bool(each[2]) == faulty] for faulty in (True, False))
    chosen = (wrong[: SAMPLES - 2] + right)[:SAMPLES]
    blocks = [f"  {source}\n  {text}\n  {errors or 'no error'}\n" for source, text, errors in chosen]
    return "samples (source, translation, errors as [-wrong-] {+right+})\n" + "\n".join(blocks)


def _errors(text: str, lines: list[str]) -> str:
    """The differences from the nearest reference, kinds of white space aside; empty where there are none."""
    plain, *references_of = (" ".join(line.split()) for line in (text, *lines))
    return "" if plain in references_of else mark_errors(plain, references_of)

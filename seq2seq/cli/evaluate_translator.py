"""What `seq2seq evaluate` does once the model is loaded: translates and scores a split, and files the results."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from seq2seq.config import read_config, read_mapping
from seq2seq.data.corpus import DataConfig, load_split, references
from seq2seq.errors import UserError
from seq2seq.evaluation.metrics import warn_of_unfit_tokenizer
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CONFIG_FILE, EVALUATION_FOLDER, PROVENANCE_FILE
from seq2seq.runs.provenance import read_provenance
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.evaluate import Evaluation, evaluate
from seq2seq.tasks.evaluation_files import (
    changed_data,
    changed_settings,
    evaluation_name,
    refuse_foreign_evaluation,
    settings_of,
    weights_sum,
    write_evaluation,
)
from seq2seq.tasks.model_card import write_card


def evaluate_as_told(options: argparse.Namespace, translator: Translator, search_options: dict[str, Any]) -> Evaluation:
    """Evaluates on the split and the data that the options name, writes the results and says on stderr where they lie.

    With the run's own settings they are RUN/evaluation/SPLIT.*, and those of its test split go into the model card too;
    with others the names say which. options.output takes them instead of RUN/evaluation.
    """
    path = Path(options.model) / CONFIG_FILE
    stored = read_mapping(path) if path.is_file() else {}
    corpus = _corpus_of(options, stored, path)
    split = load_split(corpus, options.split)
    sources, lines = [row["source"] for row in split], references(split)
    search = replace(translator.search_config, **search_options)
    changed = changed_data(stored, corpus) | changed_settings(translator, search)
    if options.ensemble:
        changed["ensemble"] = "+".join(Path(run).resolve().name for run in options.ensemble)
    folder, name = _place_of(options), evaluation_name(options.split, changed)
    of_the_card = _config_of_card(path, stored) if options.output is None and not changed else None
    language = (corpus.target, corpus.bleu_tokenizer)
    run = Path(options.model)
    settings = settings_of(run, translator, search, language, sources, lines)
    if options.ensemble:
        settings["ensemble"] = [weights_sum(Path(each)) for each in options.ensemble]
    if options.output is not None:
        refuse_foreign_evaluation(folder, name, settings)
    warn_of_unfit_tokenizer(lines, *language)
    evaluation = evaluate(translator, sources, lines, True, *language, **search_options)
    write_evaluation(evaluation, folder, name, settings)
    if of_the_card is not None and options.split == of_the_card.test_split:
        write_card(run, of_the_card, evaluation, search.beam_size)
    print(f"seq2seq: hypotheses, references and figures: {folder / name}.*", file=sys.stderr)
    return evaluation


def _place_of(options: argparse.Namespace) -> Path:
    """The folder of the results, made where it is not there. Raises UserError where it cannot be."""
    folder: Path = options.output or Path(options.model) / EVALUATION_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write the results there ({error.strerror}); choose another --output"
        ) from None
    return folder


def _config_of_card(path: Path, stored: dict[str, Any]) -> ExperimentConfig | None:
    """The configuration that the run's model card describes; None where there is no card: saved models, and runs that
    lack provenance.json. Raises UserError where a file is damaged."""
    if "data" not in stored or not (path.parent / PROVENANCE_FILE).exists():
        return None
    read_provenance(path.parent)  # damaged: said before the work, not after it
    return read_config(path, ExperimentConfig)


def _corpus_of(options: argparse.Namespace, stored: dict[str, Any], path: Path) -> DataConfig:
    """The corpus that the options name; what they leave open is as in training. Saved models do not tell of that."""
    needed = ("data", "source", "target")
    named = {name: getattr(options, name) for name in (*needed, "bleu_tokenizer")}
    given = {name: value for name, value in named.items() if value}
    if all(name in given for name in needed):
        return DataConfig(**{"bleu_tokenizer": stored.get("bleu_tokenizer", ""), **given})
    missing = [f"--{name}" for name in needed if name not in {**stored, **given}]
    if missing:
        raise UserError(f"{options.model} does not tell what it was trained on; give {', '.join(missing)}")
    return replace(read_config(path, ExperimentConfig), **given)

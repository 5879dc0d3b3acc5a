"""What `seq2seq evaluate` does with a translator: translates and scores a split, and files the results."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.cli.decoding_options import decoding_name
from seq2seq.cli.evaluate_report import check_report_options, shown_data, split_of, write_errors, write_requested
from seq2seq.cli.evaluation_place import place_of
from seq2seq.cli.scoring import own_metrics, scoring_name
from seq2seq.cli.tags import tags_of
from seq2seq.config import read_mapping, to_dict
from seq2seq.data.corpus import DataConfig
from seq2seq.data.mixing import CorpusConfig, untagged
from seq2seq.data.units import SourceVocabulary
from seq2seq.errors import UserError, check
from seq2seq.evaluation.metrics import warn_of_unfit_tokenizer
from seq2seq.evaluation.scorers import Scorer
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CONFIG_FILE, PROVENANCE_FILE
from seq2seq.runs.provenance import read_provenance
from seq2seq.tasks.calibration import WithCalibration, calibration_of
from seq2seq.tasks.chosen_metrics import chosen_figures
from seq2seq.tasks.configs import ExperimentConfig, read_experiment
from seq2seq.tasks.evaluate import Evaluation, Part, check_scoring, evaluate
from seq2seq.tasks.evaluation_files import changed_data, changed_settings, settings_of
from seq2seq.tasks.model_card import write_card
from seq2seq.tasks.results import Results
from seq2seq.tasks.scorers import with_scorers
from seq2seq.tasks.splits import corpora_with, together

READ_ALIKE = ("columns", "features", "source_units", "target_units", "feature_units", "unicode", "bleu_tokenizer")
"""Options of a run that hold for other data, too."""


def evaluate_translator(
    options: argparse.Namespace,
    translator: Translator,
    search_options: dict[str, Any],
    decoding: dict[str, Any],
    scorers: list[Scorer],
) -> Results:
    """Evaluates on the split and the data that the options name, writes the results and says on stderr where they lie.
    decoding: what `decoding_settings` gives.

    With the run's own settings they are RUN/evaluation/SPLIT.*, and those of its test split go into the model card too;
    with others the names say which. options.output takes them instead of RUN/evaluation.
    """
    tags = tags_of(translator, options)  # a wrong one is refused before data is read
    path = Path(options.model) / CONFIG_FILE
    stored = read_mapping(path) if path.is_file() else {}
    corpus = _corpus_of(options, stored, path)
    sources, lines, parts = together(corpus, *corpora_with(corpus, options.split))
    for row, source in enumerate(sources, 1):
        tags.check(source, f"split {options.split}, source {row}")
    if isinstance(translator.source_vocabulary, SourceVocabulary):
        translator.source_vocabulary.check_features(sources, f"{shown_data(corpus)}, split {options.split}")
    search = replace(translator.search_config, **search_options)
    changed = changed_data(stored, corpus) | changed_settings(translator, search) | decoding_name(decoding)
    changed |= scoring_name(options)
    run, language = Path(options.model), (corpus.language, corpus.bleu_tokenizer)
    alone = options.lm is None and options.shortlist is None  # an ensemble needs --output
    own = options.output is None and alone and not changed
    of_the_card = _config_of_card(path, stored) if own else None
    settings = settings_of(run, translator, search, language, sources, lines)
    place = place_of(options, changed, {**settings, "decoding": decoding} if decoding else settings)
    check_report_options(options)
    warn_of_unfit_tokenizer(lines, *language)
    judge = partial(_judged, own_metrics(options), sources, lines, language, parts, {**search_options, **decoding})
    plain = [untagged(source, translator.tags).partition("\t")[0] for source in sources]
    results = place.keep(judge(translator), scorers, plain)
    if of_the_card is not None and options.split == of_the_card.test_split:
        assert isinstance(results, Evaluation)  # of chosen figures none is the card's
        write_card(run, of_the_card, results, search.beam_size)
    write_errors(options, sources, results, _writes_symbols(stored, corpus))
    if options.report is None and not options.calibration:
        return results
    calibration = calibration_of(translator, sources, results)
    if options.report is not None:
        split_ = split_of(options, corpus, sources, lines)
        write_requested(
            options,
            split_,
            translator,
            results,
            calibration,
            lambda other: with_scorers(judge(other), scorers, plain),
            {**search_options, **decoding},
        )
    return WithCalibration(results, calibration) if options.calibration else results


def _writes_symbols(stored: dict[str, Any], corpus: DataConfig) -> bool:
    """Whether what the run writes are symbols with spaces between them."""
    words = stored.get("vocabulary", {}).get("model_type") == "word"
    return corpus.target_units == "symbols" or (corpus.target_units == "auto" and words)


def _judged(
    metrics: list[str] | None,
    sources: list[str],
    references: list[list[str]],
    language: tuple[str, str],
    parts: list[Part],
    search: dict[str, Any],
    translator: Translator,
) -> Results:
    """The translations of a run, by the figures named or else by all."""
    if metrics is None:
        return evaluate(translator, sources, references, True, *language, parts, **search)
    check_scoring(*language)
    return chosen_figures(metrics, translator.translate(sources, **search), references, *language)


def _config_of_card(path: Path, stored: dict[str, Any]) -> ExperimentConfig | None:
    """The configuration that the run's model card describes; None where there is no card: saved models, and runs that
    lack provenance.json. Raises UserError where a file is damaged."""
    if "data" not in stored or not (path.parent / PROVENANCE_FILE).exists():
        return None
    read_provenance(path.parent)  # damaged: said before the work, not after it
    return read_experiment(path)


def _corpus_of(options: argparse.Namespace, stored: dict[str, Any], path: Path) -> DataConfig:
    """The corpus that the options name; what they leave open is as in training. Saved models do not record that."""
    needed = ("data", "source", "target")
    named = {name: getattr(options, name) for name in (*needed, "columns", "features", "bleu_tokenizer")}
    given = {name: value for name, value in named.items() if value}
    unread = "features" in given and "data" in stored and not stored.get("features")
    check(not unread, f"--features: the model of {options.model} reads no features; leave it out")
    if not options.data and isinstance(stored.get("data"), list):
        return _some_corpora(options, read_experiment(path), given)
    if options.tag and (options.data or stored.get("data")):
        given["data"] = (CorpusConfig(options.data or stored["data"], tag=options.tag),)
    if all(name in given for name in needed):
        own = {name: stored[name] for name in READ_ALIKE if name in stored}
        return DataConfig(**{**own, **given})
    missing = [f"--{name}" for name in needed if name not in {**stored, **given}]
    if missing:
        raise UserError(f"{options.model} does not record what it was trained on; give {', '.join(missing)}")
    return replace(read_experiment(path), **given)


def _some_corpora(options: argparse.Namespace, config: ExperimentConfig, given: dict[str, Any]) -> DataConfig:
    """Of the corpora that a run was trained on those that the options name, all where they name none."""
    wanted = {name: getattr(options, name) for name in ("source", "target", "tag") if getattr(options, name)}
    fitting = [each for each in config.corpora() if wanted.items() <= to_dict(each).items()]
    shown = " ".join(f"--{name} {value}" for name, value in wanted.items())
    check(bool(fitting), f"{options.model} was trained on no corpus of {shown}; name one with --data")
    others = {name: value for name, value in given.items() if name not in wanted}
    return replace(config, data=tuple(fitting), **others)

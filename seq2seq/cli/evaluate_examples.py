"""What `seq2seq evaluate` does with runs that are no translators: answers a split, scores it, and files the results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.cli.evaluate_report import check_errors, write_errors
from seq2seq.cli.evaluation_place import place_of
from seq2seq.cli.scoring import COMET, own_metrics, scoring_name
from seq2seq.config import read_mapping, to_dict
from seq2seq.data.captioned import captioned_examples
from seq2seq.data.corpus import DataConfig
from seq2seq.data.examples import Examples, read_examples, read_texts
from seq2seq.data.in_memory import PLACEHOLDER
from seq2seq.data.labelled_texts import find_labelled_texts, find_slots
from seq2seq.data.sounds import transcribed_examples
from seq2seq.errors import UserError, check
from seq2seq.evaluation.metrics import warn_of_unfit_tokenizer
from seq2seq.evaluation.scorers import Scorer
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.outputs import Labelled
from seq2seq.inference.predictor import Predictor
from seq2seq.inference.reading import read_examples_of
from seq2seq.inference.transcriber import Generator
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.tasks.base import fingerprint
from seq2seq.tasks.chosen_metrics import chosen_figures
from seq2seq.tasks.evaluate import check_scoring
from seq2seq.tasks.evaluate_generator import evaluate_generator, expected_texts, texts_written
from seq2seq.tasks.evaluate_language_model import evaluate_language_model
from seq2seq.tasks.evaluate_predictor import evaluate_predictor, expected_answers
from seq2seq.tasks.evaluation_files import changed_data, changed_settings, settings_of_run, sum_of
from seq2seq.tasks.results import Results

COLUMNS = {"generator": ("source", "target"), "predictor": ("source", "target"), "language_model": ("text", "(none)")}
"""The columns of each kind where no option names others. Language models have no target."""


def evaluate_examples(
    options: argparse.Namespace,
    model: Generator | Predictor | CharacterModel,
    search_options: dict[str, Any],
    scorers: list[Scorer],
) -> Results:
    """Evaluates on the split of the data that the options name, writes the results and says on stderr where they lie:
    in RUN/evaluation, or options.output, under names that say which data they are of, and which settings that are not
    the run's own."""
    _refuse_unused(options, model, search_options)
    source, target = COLUMNS[model.kind]
    wanted = "say with --data what to evaluate on; only translators can go by the data that they were trained on"
    check(bool(options.data), f"{options.model}: {wanted}")
    own = {"data": PLACEHOLDER, "source": source, "target": target, "bleu_tokenizer": ""}
    given = {name: getattr(options, name) for name in own if getattr(options, name)}
    corpus = DataConfig(**{**own, **given})
    changed = changed_data({**own, **_stored_data(options)}, corpus)
    match model:
        case Generator():
            return _generated(options, model, corpus, changed, search_options, scorers)
        case Predictor():
            return _predicted(options, model, corpus, changed)
        case CharacterModel():
            return _modelled(options, model, corpus, changed)


def _refuse_unused(options: argparse.Namespace, model: Any, search_options: Mapping[str, Any]) -> None:
    """Raises UserError where an option is of no use to this kind of run."""
    if isinstance(model, CharacterModel):
        reason = f"{options.model} holds a language model, which predicts the text itself"
        check(not options.target, f"--target: {reason}; leave it out")
    if COMET in (options.metrics or ()):
        raise UserError(f"--metrics comet: for runs that read text; {options.model} does not")
    tables = ", ".join(f"--{name}" for name in ("columns", "features", "tag") if getattr(options, name))
    check(not tables, f"{tables}: for runs that translate; {options.model} does not")
    if not isinstance(model, Generator):
        of_texts = ("bleu_tokenizer", "metrics", "scorer", "errors")
        names = [*search_options, *(name for name in of_texts if getattr(options, name))]
        unused = ", ".join(f"--{name.replace('_', '-')}" for name in names)
        check(not unused, f"{unused}: for runs that write text; {options.model} does not")


def _stored_data(options: argparse.Namespace) -> dict[str, Any]:
    """The data that the run was trained on, where its configuration names some."""
    path = Path(options.model) / CONFIG_FILE
    stored = read_mapping(path).get("data") if path.is_file() else None
    return {"data": stored} if stored else {}


def _generated(
    options: argparse.Namespace,
    generator: Generator,
    corpus: DataConfig,
    changed: Mapping[str, Any],
    search_options: dict[str, Any],
    scorers: list[Scorer],
) -> Results:
    examples = _captioned_examples(options, generator) or read_examples(
        options.data, options.split, corpus.source, corpus.target
    )
    references = expected_texts(examples.rows, corpus.target)
    inputs = read_examples_of(generator, examples)
    search, language = replace(generator.search_config, **search_options), (corpus.target, corpus.bleu_tokenizer)
    decisive = {"search": to_dict(search), "precision": generator.precision, "language": list(language)}
    settings = settings_of_run(Path(options.model), decisive, fingerprint(list(zip(inputs, references, strict=True))))
    named = scoring_name(options)
    place = place_of(options, {**changed, **changed_settings(generator, search), **named}, settings)
    check_errors(options)
    warn_of_unfit_tokenizer(references, *language)
    names = [row.source for row in examples.rows]
    results: Results
    metrics = own_metrics(options)
    if metrics is not None:
        check_scoring(*language)
        texts = [each.text for each in texts_written(generator, inputs, **search_options)]
        results = chosen_figures(metrics, texts, references, *language)
    else:
        results = evaluate_generator(generator, inputs, names, references, *language, **search_options)
    results = place.keep(results, scorers, names)
    write_errors(options, names, results)
    return results


def _captioned_examples(options: argparse.Namespace, generator: Generator) -> Examples | None:
    """The split in the form of a folder of files with a list of captions or transcripts, where the folder holds
    that."""
    if options.source or generator.reader.reads_text:
        return None
    if generator.reader.kind == "sound":
        return transcribed_examples(options.data, options.split, options.target)
    return captioned_examples(options.data, options.split, options.target or "caption")


def _predicted(
    options: argparse.Namespace, predictor: Predictor, corpus: DataConfig, changed: Mapping[str, Any]
) -> Results:
    examples = _labelled_examples(options, predictor) or read_examples(
        options.data, options.split, corpus.source, corpus.target
    )
    expected = expected_answers(predictor, examples)
    inputs = read_examples_of(predictor, examples)
    targets = [[each] if isinstance(each, str) else _listed(each) for each in expected]
    settings = settings_of_run(Path(options.model), {}, fingerprint(list(zip(inputs, targets, strict=True))))
    place = place_of(options, changed, settings)
    results = evaluate_predictor(predictor, inputs, expected, examples.rows)
    place.keep(results)
    return results


def _listed(expected: Any) -> Any:
    return expected.line if isinstance(expected, Labelled) else expected


def _labelled_examples(options: argparse.Namespace, predictor: Predictor) -> Examples | None:
    """The split in the form of published data sets of labelled texts, where the folder holds it in that form."""
    folder = Path(options.data)
    if predictor.labels is None or not predictor.reader.reads_text or not folder.is_dir():
        return None
    read = find_slots if predictor.config.classes else partial(find_labelled_texts, known=predictor.labels)
    rows = read(folder, options.split)
    return None if rows is None else Examples(rows, folder)


def _modelled(
    options: argparse.Namespace, model: CharacterModel, corpus: DataConfig, changed: Mapping[str, Any]
) -> Results:
    rows = read_texts(options.data, options.split, corpus.source)
    settings = settings_of_run(Path(options.model), {}, sum_of([row.source for row in rows]))
    place = place_of(options, changed, settings)
    results = evaluate_language_model(model, rows)
    place.keep(results)
    return results

"""The model card: README.md of a run."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from seq2seq.config import flat, to_dict
from seq2seq.data.languages import language_tag
from seq2seq.runs.figures import kept_validation, title
from seq2seq.runs.layout import CARD_FILE, begun
from seq2seq.runs.metrics_log import read_journal
from seq2seq.runs.provenance import read_provenance
from seq2seq.runs.stored_model import read_stored
from seq2seq.runtime.atomic_files import write_atomically

if TYPE_CHECKING:
    from seq2seq.data.mixing import CorpusConfig
    from seq2seq.model.decoder import DecoderConfig
    from seq2seq.model.encoder import EncoderConfig
    from seq2seq.tasks.configs import ExperimentConfig
    from seq2seq.tasks.evaluate import Evaluation

log = logging.getLogger(__name__)


FIRST_RELEASE = "---\nlibrary_name: seq2seq\n"
"""How cards of version 0.1.0 begin, which carry no sum."""
SUM = re.compile(r"<!-- seq2seq wrote this card; SHA-256 of the text above: ([0-9a-f]{64}) -->\n")


def _table_cell(text: str) -> str:
    """Text for a Markdown table, where a bare bar would start another cell."""
    return text.replace("|", "\\|")


def _languages(*columns: str) -> list[str]:
    """The card's line for those columns that are named after a language. Quoted: bare, no (Norwegian) is false to
    YAML."""
    tags = [tag for tag in map(language_tag, columns) if tag is not None]
    return [f"language: {json.dumps(tags)}"] if tags else []


def _cell_name(cell: str) -> str:
    """What a recurrent cell is called in print; a cell that is not listed goes by its option's value."""
    names = {
        "peephole": "peephole LSTM",
        "layer_norm_lstm": "layer-normalised LSTM",
        "qrnn": "quasi-recurrent",
        "rhn": "recurrent highway",
    }
    return {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", **names}.get(cell, cell)


def _decoder(decoder: DecoderConfig) -> str:
    attention = f"{decoder.attention} attention (coupling {decoder.coupling})"
    return (
        f"{decoder.layers}-layer {_cell_name(decoder.cell)} decoder ({decoder.hidden_size} units), "
        f"{'no attention' if decoder.attention == 'none' else attention}"
    )


def _encoder(encoder: EncoderConfig) -> str:
    cell = _cell_name(encoder.cell)
    direction = {"both": "bidirectional ", "forward": "", "backward": "backward "}[encoder.direction]
    units = f"{encoder.hidden_size} units{' a direction' if encoder.direction == 'both' else ''}"
    further = f", {encoder.forward_layers} forward layers on top" if encoder.forward_layers else ""
    return f"{encoder.layers}-layer {direction}{cell} encoder ({units}{further})"


def _figures(config: ExperimentConfig, evaluation: Evaluation, split: str, beam_size: int) -> list[str]:
    """The card's lines on how well the model translates, that figure first which chose the best model."""
    scores, best_metric = evaluation.scores, config.trainer.best_metric
    of_sacrebleu = {
        ("BLEU", "bleu"): scores.bleu,
        ("chrF", "chrf"): scores.chrf,
        ("TER", ""): scores.ter,
        ("BLEU, lowercased", ""): evaluation.lowercased.bleu,
    }
    percentages = {
        ("exact match, %", "accuracy"): scores.exact_match,
        ("word error rate (of tokens between spaces), %", "error_rate"): scores.word_error_rate,
        ("character error rate, %", "character_error_rate"): scores.character_error_rate,
    }
    rows = {key: f"{metric.score:.2f} | `{_table_cell(metric.signature)}`" for key, metric in of_sacrebleu.items()}
    rows |= {key: f"{rate:.2f} | " for key, rate in percentages.items()}
    ordered = sorted(rows.items(), key=lambda row: row[0][1] != best_metric)
    sentences = f"{len(evaluation.sources):,} sentences"
    return [
        f"## Figures: split {split}, {sentences}, beam {beam_size}",
        "| metric | score | signature |",
        "|---|---|---|",
        *(f"| {name} | {row} |" for (name, _), row in ordered),
        "",
        f"The best model was chosen by {title(best_metric)} on split {config.validation_split}.",
        "",
    ]


def write_card(directory: Path, config: ExperimentConfig, evaluation: Evaluation | None, beam_size: int) -> None:
    """Writes the model card, unless the user has edited or replaced it: then a line in the log says that it is kept. It
    ends with its own SHA-256, by which one that nobody edited is known."""
    _store(directory, lambda: model_card(directory, config, evaluation, beam_size))


def write_task_card(directory: Path, config: Any) -> None:
    """The same for a model that is no translator: with the figures of its best validation. config: of its task."""
    _store(directory, lambda: task_card(directory, config))


def _store(directory: Path, make: Callable[[], str]) -> None:
    path = directory / CARD_FILE
    if path.exists() and not _unedited(path.read_text(encoding="utf-8", errors="replace")):
        log.warning("%s was edited and is kept; to have one with the figures of now, move it and run this again", path)
        return
    card = make()
    write_atomically(path, f"{card}<!-- seq2seq wrote this card; SHA-256 of the text above: {sha256_of(card)} -->\n")


def _unedited(card: str) -> bool:
    """Whether the card is as this program wrote it."""
    found = list(SUM.finditer(card))
    if not found:
        return card.startswith(FIRST_RELEASE)
    return found[-1].end() == len(card) and found[-1][1] == sha256_of(card[: found[-1].start()])


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _own(directory: Path) -> str:
    """What is said of a model that a user's function built: its configuration does not describe it."""
    built_by = read_stored(directory).built_by if begun(directory) else ""
    return f"a model built by `{built_by}`" if built_by else ""


def _way(corpus: CorpusConfig) -> str:
    """From what to what a corpus translates, and what its sources begin with."""
    tag = f" (sources begin with `{corpus.tag}`)" if corpus.tag else ""
    return f"`{corpus.source}` to `{corpus.target}`{tag}"


def model_card(directory: Path, config: ExperimentConfig, evaluation: Evaluation | None, beam_size: int) -> str:
    """README.md of a run, as the Hub shows it: licence, task, data, figures with signatures (none where there was no
    test split), how to use and to reproduce. beam_size: of the evaluation."""
    facts, corpora = read_provenance(directory), config.corpora()
    ways = ", ".join(dict.fromkeys(_way(each) for each in corpora))
    places = ", ".join(dict.fromkeys(f"`{Path(str(each.path)).name}`" for each in corpora))
    structure = _own(directory) or f"{_encoder(config.model.encoder)}, {_decoder(config.model.decoder)}"
    return "\n".join(
        [
            "---",
            yaml.safe_dump({"license": config.license.lower()}).strip(),
            "library_name: seq2seq",
            "pipeline_tag: translation",
            *_languages(*dict.fromkeys(each for corpus in corpora for each in (corpus.source, corpus.target))),
            "---",
            f"# {', '.join(dict.fromkeys(f'{each.source} to {each.target}' for each in corpora))}",
            "",
            f"Translates {ways}: {structure}.",
            "",
            f"Trained on {places} (split {config.train_split}, "
            f"fingerprint `{facts['data_fingerprint'][:16]}`), "
            f"seed {facts['seed']}, seq2seq {facts['versions']['seq2seq']}, torch {facts['versions']['torch']}.",
            "",
            *(_figures(config, evaluation, config.test_split, beam_size) if evaluation is not None else ()),
            "## Use",
            "```python",
            "import seq2seq",
            "",
            'translator = seq2seq.load("path/to/this/directory")',
            'print(translator.translate(["..."]))',
            "```",
            "",
            "The full configuration is in `config.json`, versions, revision and command in `provenance.json`.",
            "",
        ]
    )


USES = {
    "generator": ("writes text", "generate(inputs)"),
    "predictor": ("labels, classifies or forecasts", "predict(inputs)"),
    "language_model": ("goes on writing a text", 'sample("...", 200)'),
}
"""By kind: what such a model does, and the call that does it."""


def task_card(directory: Path, config: Any) -> str:
    """README.md of a run that is no translator: what it reads and answers, its data, figures and use."""
    facts = read_provenance(directory)
    does, call = USES[config.kind]
    own = _own(directory)
    options = ", ".join(f"{name} {value}" for name, value in flat(to_dict(config.model)).items())
    return "\n".join(
        [
            "---",
            "library_name: seq2seq",
            "---",
            f"# {directory.resolve().name}",
            "",
            f"A {config.kind.replace('_', ' ')}: it {does}.{f' It is {own}.' if own else ''} Its settings: {options}.",
            "",
            f"Trained on data of fingerprint `{facts['data_fingerprint'][:16]}`, seed {facts['seed']}, "
            f"seq2seq {facts['versions']['seq2seq']}, torch {facts['versions']['torch']}.",
            "",
            *_validation(directory, config.trainer.best_metric),
            "## Use",
            "```python",
            "import seq2seq",
            "",
            f'model = seq2seq.load("path/to/this/directory", kind="{config.kind}"{", build=..." if own else ""})',
            f"print(model.{call})",
            "```",
            "",
            "The full configuration is in `config.json`, versions, revision and command in `provenance.json`.",
            "",
        ]
    )


def _validation(directory: Path, best_metric: str) -> list[str]:
    """The card's lines on the validation whose model was kept, that figure first which chose it."""
    best = kept_validation(read_journal(directory), best_metric)
    if best is None:
        return []
    figures = {key.removeprefix("validation_"): best[key] for key in best if key.startswith("validation_")}
    ordered = sorted(figures.items(), key=lambda figure: figure[0] != best_metric)
    return [
        f"## Figures: validation, step {best['step']:,}",
        "| metric | value |",
        "|---|---|",
        *(f"| {_table_cell(title(key))} | {value:.4g} |" for key, value in ordered),
        "",
        f"The best model was chosen by {title(best_metric)}.",
        "",
    ]

"""Where a run's figures come from: versions, revision, machine, data; and the model card that tells."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from seq2seq.config import FORMAT, UserError, check
from seq2seq.figures import title
from seq2seq.files import write_atomically
from seq2seq.languages import language_tag
from seq2seq.layout import CARD_FILE, PROVENANCE_FILE

if TYPE_CHECKING:
    from seq2seq.encoder import EncoderConfig
    from seq2seq.evaluate import Evaluation
    from seq2seq.experiment import ExperimentConfig

log = logging.getLogger(__name__)

FIRST_RELEASE = "---\nlibrary_name: seq2seq\n"
"""How cards of version 0.1.0 begin, which carry no sum."""
SUM = re.compile(r"<!-- seq2seq wrote this card; SHA-256 of the text above: ([0-9a-f]{64}) -->\n")

PACKAGES = ("seq2seq", "torch", "sentencepiece", "sacrebleu", "jiwer", "datasets", "numpy")


def provenance(seed: int, data_fingerprint: str, processes: int) -> dict[str, Any]:
    """Facts that reproduce a run, ready for JSON."""
    return {
        "format": FORMAT,
        "command": sys.argv,
        "seed": seed,
        "data_fingerprint": data_fingerprint,
        "git_revision": git_revision(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "processes": processes,
            "gpu": _gpu(),
        },
    }


def git_revision() -> str | None:
    """Revision of the source tree this package runs from, "+changes" added where it differs; None outside a
    checkout."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        revision, changes = (
            subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("+changes" if changes else "")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _cell(text: str) -> str:
    """Text for a Markdown table, where a bare bar would start another cell."""
    return text.replace("|", "\\|")


def _languages(*columns: str) -> list[str]:
    """The card's line for those columns that are named after a language. Quoted: bare, no (Norwegian) is false to
    YAML."""
    tags = [tag for tag in map(language_tag, columns) if tag is not None]
    return [f"language: {json.dumps(tags)}"] if tags else []


def _encoder(encoder: EncoderConfig) -> str:
    cell = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "peephole": "peephole LSTM"}[encoder.cell]
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
    rows = {key: f"{metric.score:.2f} | `{_cell(metric.signature)}`" for key, metric in of_sacrebleu.items()}
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
    path = directory / CARD_FILE
    if path.exists() and not _unedited(path.read_text(encoding="utf-8", errors="replace")):
        log.warning("%s was edited and is kept; to have one with the figures of now, move it and run this again", path)
        return
    card = model_card(directory, config, evaluation, beam_size)
    write_atomically(path, f"{card}<!-- seq2seq wrote this card; SHA-256 of the text above: {_sha256(card)} -->\n")


def _unedited(card: str) -> bool:
    """Whether the card is as this program wrote it."""
    found = list(SUM.finditer(card))
    if not found:
        return card.startswith(FIRST_RELEASE)
    return found[-1].end() == len(card) and found[-1][1] == _sha256(card[: found[-1].start()])


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_provenance(directory: Path) -> dict[str, Any]:
    """The facts in provenance.json. Raises UserError where it is missing or damaged."""
    path = directory / PROVENANCE_FILE
    try:
        facts = dict(json.loads(path.read_text(encoding="utf-8")))
        check(facts.keys() >= {"data_fingerprint", "seed", "versions"}, "facts are missing")
        check(facts["versions"].keys() >= {"seq2seq", "torch"}, "versions are missing")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}: missing or damaged; restore it") from None
    return facts


def model_card(directory: Path, config: ExperimentConfig, evaluation: Evaluation | None, beam_size: int) -> str:
    """README.md of a run, as the Hub shows it: licence, task, data, figures with signatures (none where there was no
    test split), how to use and to reproduce. beam_size: of the evaluation."""
    facts = read_provenance(directory)
    decoder = config.model.decoder
    return "\n".join(
        [
            "---",
            yaml.safe_dump({"license": config.license.lower()}).strip(),
            "library_name: seq2seq",
            "pipeline_tag: translation",
            *_languages(config.source, config.target),
            "---",
            f"# {config.source} to {config.target}",
            "",
            f"Translates `{config.source}` to `{config.target}`: {_encoder(config.model.encoder)}, "
            f"{decoder.layers}-layer LSTM decoder ({decoder.hidden_size} units), "
            f"{decoder.attention} attention (coupling {decoder.coupling}).",
            "",
            f"Trained on `{Path(str(config.data)).name}` (split {config.train_split}, "
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

"""Where a run's figures come from: versions, revision, machine, data; and the model card that tells."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seq2seq.checkpoint import FORMAT

if TYPE_CHECKING:
    from seq2seq.encoder import EncoderConfig
    from seq2seq.evaluate import Evaluation
    from seq2seq.experiment import ExperimentConfig

PACKAGES = ("seq2seq", "torch", "sentencepiece", "sacrebleu", "datasets", "numpy")


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
    """The card's line for those columns that are named by a language, as in zh_Hant. Quoted: bare, no (Norwegian) is
    false to YAML."""
    codes = [column for column in columns if re.fullmatch(r"[a-z]{2}([-_][A-Z][a-z]{3})?([-_][A-Z]{2})?", column)]
    return [f"language: {json.dumps([code.replace('_', '-') for code in codes])}"] if codes else []


def _encoder(encoder: EncoderConfig) -> str:
    cell = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "peephole": "peephole LSTM"}[encoder.cell]
    direction = {"both": "bidirectional ", "forward": "", "backward": "backward "}[encoder.direction]
    units = f"{encoder.hidden_size} units{' a direction' if encoder.direction == 'both' else ''}"
    further = f", {encoder.forward_layers} forward layers on top" if encoder.forward_layers else ""
    return f"{encoder.layers}-layer {direction}{cell} encoder ({units}{further})"


def _figures(config: ExperimentConfig, evaluation: Evaluation) -> list[str]:
    """The card's lines on how well the model translates."""
    scores, lowercased = evaluation.scores, evaluation.lowercased.bleu
    named = (("BLEU", scores.bleu), ("chrF", scores.chrf), ("TER", scores.ter), ("BLEU, lowercased", lowercased))
    sentences = f"{len(evaluation.sources):,} sentences"
    return [
        f"## Figures: split {config.test_split}, {sentences}, beam {config.search.beam_size}",
        "| metric | score | signature |",
        "|---|---|---|",
        *(f"| {name} | {metric.score:.2f} | `{_cell(metric.signature)}` |" for name, metric in named),
        "",
    ]


def model_card(directory: Path, config: ExperimentConfig, evaluation: Evaluation | None) -> str:
    """README.md of a run, as the Hub shows it: task, data, figures with signatures (none where there was no test
    split), how to use and to reproduce."""
    facts = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))
    decoder = config.model.decoder
    return "\n".join(
        [
            "---",
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
            *(_figures(config, evaluation) if evaluation is not None else ()),
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

"""Evaluations on disk: what each was made with, under which name it lies, and when it need not be made again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seq2seq.config import to_dict
from seq2seq.data.corpus import DataConfig
from seq2seq.data.mixing import CorpusConfig, data_of, with_columns
from seq2seq.errors import UserError, check
from seq2seq.evaluation.metrics import Metric, Scores
from seq2seq.inference.outputs import Translation
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.translator import MAX_SOURCE_TOKENS, Translator
from seq2seq.runs.layout import MODEL_FILE
from seq2seq.runs.weights import CHECKSUM, stored_shapes
from seq2seq.runtime.atomic_files import write_atomically
from seq2seq.runtime.version import version
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.evaluate import Evaluation
from seq2seq.tasks.results import Results, reference_files, write_results

UNFINISHED: dict[str, str] = {}
"""Stands in NAME.settings.json for the checksums of files that are being written."""
LONGEST_VALUE = 60
"""Characters of a setting in a file name."""


def settings_of(
    run: Path,
    translator: Translator,
    search: SearchConfig,
    language: tuple[str, str],
    sources: Sequence[str],
    references: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """All that decides the figures of an evaluation: the run's weights, the search, the text, the release.

    language: the target language and BLEU's tokenizer, as `evaluate` takes them.
    """
    settings = {
        "search": to_dict(search),
        "precision": translator.precision,
        "max_input_length": translator.max_source_tokens,
        "language": list(language),
    }
    return settings_of_run(run, settings, sum_of([list(sources), [list(lines) for lines in references]]))


def sum_of(texts: Any) -> str:
    """SHA-256 of texts in lists."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def settings_of_run(run: Path, settings: Mapping[str, Any], text_sha256: str) -> dict[str, Any]:
    """The same of a run of any kind. settings: those that its kind has. text_sha256: of inputs and expected answers."""
    release = version()
    return {"model_sha256": weights_sum(run), **settings, "text_sha256": text_sha256, "version": release}


def weights_sum(run: Path) -> str | None:
    """The checksum of a run's weights; None where they are on the Hub, or an earlier release wrote them."""
    model = run / MODEL_FILE
    return stored_shapes(model)[1].get(CHECKSUM) if model.is_file() else None


def changed_settings(model: Searcher, search: SearchConfig) -> dict[str, Any]:
    """The settings that differ from the run's own, by name."""
    own = asdict(model.search_config)
    changed = {name: value for name, value in asdict(search).items() if value != own[name]}
    if model.precision != "fp32":
        changed["precision"] = model.precision
    if isinstance(model, Translator) and model.max_source_tokens != MAX_SOURCE_TOKENS:
        changed["max_input_length"] = model.max_source_tokens
    return changed


def changed_data(stored: Mapping[str, Any], corpus: DataConfig) -> dict[str, str]:
    """What differs from the data that a run's stored configuration names: the columns, BLEU's tokenizer, and of the
    data the last part of the name. Nothing where it names none."""
    changed = {}
    if "data" in stored:
        before = _resolved(data_of(stored["data"]), stored.get("source", ""), stored.get("target", ""))
        if before != _resolved(corpus.data, corpus.source, corpus.target):
            changed["data"] = "+".join(_shown(each) for each in corpus.corpora())
    own = {name: stored.get(name, getattr(corpus, name)) for name in ("source", "target", "bleu_tokenizer")}
    if "data" in stored:  # runs older than these options have none of them
        own |= {name: stored.get(name, "") for name in ("columns", "features")}
    return changed | {name: getattr(corpus, name) for name, value in own.items() if getattr(corpus, name) != value}


def _resolved(data: Any, source: str, target: str) -> Any:
    """Data that a configuration names, with the places as they are on this machine; of several corpora those that are
    read, each with its columns. source, target: those of corpora that name none."""
    if isinstance(data, tuple):
        read = with_columns(data, source, target)
        return [{**to_dict(each), "path": Path(str(each.path)).resolve(), "weight": None} for each in read]
    return Path(str(data)).resolve()


def _shown(corpus: CorpusConfig) -> str:
    """The last part of its name, and its tag."""
    return " ".join([Path(str(corpus.path)).resolve().name, *([corpus.tag.strip("<>")] if corpus.tag else [])])


def evaluation_name(split: str, changed: Mapping[str, Any]) -> str:
    """The split, with the settings that differ from the run's own: test-beam_size=1-max_length=3."""
    safe = {name: re.sub(r"[^\w.+]+", "_", str(value))[:LONGEST_VALUE] for name, value in changed.items()}
    return "-".join([re.sub(r"[/\\]", "_", split), *(f"{name}={value}" for name, value in safe.items())])


def name_beside_other_text(folder: Path, name: str, text_sha256: str) -> str:
    """The name; where it is that of an evaluation of another text, such as data in a folder of the same name elsewhere,
    with the beginning of this text's checksum."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if json.loads((folder / f"{name}.settings.json").read_text(encoding="utf-8"))["text_sha256"] != text_sha256:
            return f"{name}-{text_sha256[:8]}"
    return name


def refuse_foreign_evaluation(folder: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Raises UserError where `write_evaluation` would replace the evaluation of other weights, or a file that it has
    not written, or that was changed since: no NAME.settings.json fits NAME.hypotheses.txt and NAME.metrics.json."""
    path = folder / f"{name}.settings.json"
    same, own = True, False
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        stored = json.loads(path.read_text(encoding="utf-8"))
        same = all(stored.get(key) == settings.get(key) for key in ("model_sha256", "ensemble"))
        own = stored["files_sha256"] in (UNFINISHED, _sums(folder, name))
    check(
        same,
        f"{path}: belongs to the evaluation of another model, or of this one before it was trained further; move it, "
        "or choose another --output",
    )
    if own:
        return
    files = [folder / f"{name}.{kind}" for kind in ("hypotheses.txt", "metrics.json", "settings.json")]
    for path in (*files, *reference_files(folder, name)):
        if path.exists():
            raise UserError(f"{path}: evaluate has not written that file as it is; move it, or choose another --output")


def write_evaluation(results: Results, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
    """Writes the evaluation's files and, last, NAME.settings.json, by which `read_evaluation` knows them. Before them
    it says UNFINISHED, so that what a killed process leaves there is known."""

    def write_settings(sums: Mapping[str, str]) -> None:
        content = json.dumps({**settings, "files_sha256": sums}, indent=2, ensure_ascii=False) + "\n"
        write_atomically(folder / f"{name}.settings.json", content)

    folder.mkdir(parents=True, exist_ok=True)
    write_settings(UNFINISHED)
    write_results(results, folder, name)
    write_settings(_sums(folder, name))


def read_evaluation(
    folder: Path, name: str, settings: Mapping[str, Any], sources: list[str], references: list[list[str]]
) -> Evaluation | None:
    """The evaluation made with exactly these settings; None where there is none, or a file of it was changed since. Its
    translations are the texts alone: scores (nan) and tokens (none) are not stored."""
    try:
        stored = json.loads((folder / f"{name}.settings.json").read_text(encoding="utf-8"))
        if stored != {**settings, "files_sha256": _sums(folder, name)} or not settings["model_sha256"]:
            return None
        figures = json.loads((folder / f"{name}.metrics.json").read_text(encoding="utf-8"))
        lines = (folder / f"{name}.hypotheses.txt").read_text(encoding="utf-8").split("\n")[:-1]
        scores, lowercased = _scores(figures), _scores(figures["lowercased"])
        corpora = {corpus: _scores(each) for corpus, each in figures.get("corpora", {}).items()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    translations = [Translation(line, math.nan, math.nan, []) for line in lines]
    return Evaluation(sources, references, translations, scores, lowercased, corpora)


def _scores(figures: Mapping[str, Any]) -> Scores:
    """What `Scores.to_dict` wrote."""
    metrics = [Metric(**each) for each in figures.values() if isinstance(each, dict) and "signature" in each]
    bleu, chrf, ter = metrics
    rates = (figures[name] for name in ("exact_match", "word_error_rate", "character_error_rate"))
    return Scores(bleu, chrf, ter, *rates)


def _sums(folder: Path, name: str) -> dict[str, str]:
    kinds = ("hypotheses.txt", "metrics.json")
    return {kind: hashlib.sha256((folder / f"{name}.{kind}").read_bytes()).hexdigest() for kind in kinds}

"""Where the results of `seq2seq evaluate` go, whatever the kind of run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.cli.verbs import fusion_weights
from seq2seq.errors import UserError
from seq2seq.evaluation.scorers import Scorer
from seq2seq.runs.layout import EVALUATION_FOLDER
from seq2seq.runs.weights import sha256_of
from seq2seq.tasks.evaluation_files import (
    evaluation_name,
    name_beside_other_text,
    refuse_foreign_evaluation,
    weights_sum,
    write_evaluation,
)
from seq2seq.tasks.results import Results
from seq2seq.tasks.scorers import with_scorers


class Place(NamedTuple):
    """Where results go, under which name, beside which settings."""

    folder: Path
    name: str
    settings: Mapping[str, Any]

    def keep(self, results: Results, scorers: Sequence[Scorer] = (), sources: Sequence[str] = ()) -> Results:
        """Writes the results and says on stderr where they lie; then again with the figures of scorers, so that one
        that fails loses no answer. sources: as `with_scorers` has them."""
        write_evaluation(results, self.folder, self.name, self.settings)
        print(f"seq2seq: hypotheses, references and figures: {self.folder / self.name}.*", file=sys.stderr)
        if scorers:
            results = with_scorers(results, scorers, list(sources))
            write_evaluation(results, self.folder, self.name, self.settings)
        return results


def place_of(options: argparse.Namespace, changed: Mapping[str, Any], settings: Mapping[str, Any]) -> Place:
    """The place of the results, whose folder is made where it is not there. changed: the settings that are not the
    run's own; they, the ensemble and the language model are part of the name. settings: all that decides the figures.

    Raises UserError where the folder cannot be made, or where --output names one that holds files of others under these
    names.
    """
    folder: Path = options.output or Path(options.model) / EVALUATION_FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write the results there ({error.strerror}); choose another --output"
        ) from None
    if options.ensemble:
        changed = {**changed, "ensemble": "+".join(Path(run).resolve().name for run in options.ensemble)}
        settings = {**settings, "ensemble": [weights_sum(Path(each)) for each in options.ensemble]}
    if options.lm is not None:
        weights = fusion_weights(options)
        changed = {**changed, "lm": Path(options.lm).resolve().name, **weights}
        settings = {**settings, "lm": [weights_sum(Path(options.lm)), weights]}
    if getattr(options, "shortlist", None) is not None:
        changed = {**changed, "shortlist": options.shortlist.name}
        settings = {**settings, "shortlist": sha256_of(options.shortlist)}
    name = evaluation_name(options.split, changed)
    if "data" in changed:
        name = name_beside_other_text(folder, name, settings["text_sha256"])
    if options.output is not None:
        refuse_foreign_evaluation(folder, name, settings)
    return Place(folder, name, settings)

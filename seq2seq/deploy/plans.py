"""What an export of each kind of run consists of: its graphs, and the settings that the program beside them reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seq2seq.config import to_dict
from seq2seq.data.characters import Characters
from seq2seq.data.readers import ReaderConfig
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import RightToLeft, Vocabulary
from seq2seq.deploy.graphs import Answer, Continue, Encoder, SequenceNode, Sequences, Step, exportable, state_of
from seq2seq.deploy.traced import Graph
from seq2seq.errors import UserError, check
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.load import Loaded
from seq2seq.inference.predictor import Predictor
from seq2seq.inference.transcriber import Generator
from seq2seq.inference.translator import Translator
from seq2seq.model.frontends import FrontEnd, Tokens
from seq2seq.model.hard_attention import HardAttentionDecoder
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runs.layout import SOURCE_FILE, TARGET_FILE

ROWS, STEPS, SLOTS, CANDIDATES = 2, 8, 3, 4
"""Sizes of the example that the exporter traces: it takes 0 and 1 for constants."""


class Plan(NamedTuple):
    """What is written of a model."""

    graphs: dict[str, Graph]
    settings: dict[str, Any]
    """For config.json: what translate.py goes by."""


def plan_of(model: Loaded, sequences: Sequences = SequenceNode) -> Plan:
    """The graphs and settings of a trained model. Raises UserError where a part of it has no form outside torch."""
    match model:
        case Translator():
            check(
                isinstance(model.source_vocabulary, Vocabulary),
                "a run with features, or a Unicode form, has no form outside torch; translate with it here",
            )
            check_alignment(model)
            forwards = not isinstance(model.target_vocabulary, RightToLeft)
            check(forwards, "a run that writes from right to left has no form outside torch; rerank with it here")
            source = torch.full((ROWS, STEPS), EOS_ID)
            graphs, state = _search_graphs([model.model, *model.partners], source, STEPS, sequences)
            settings = {
                "state": state,
                "vocabularies": {"source": SOURCE_FILE, "target": TARGET_FILE},
                "vocabulary_size": len(model.target_vocabulary),
                "max_input_length": model.max_source_tokens,
                "reader": {"kind": "subwords"},
                "input_shape": [None],
                "steps": None,
            }
            return Plan(graphs, settings)
        case Generator():
            check_readable(model.reader)
            form = model.config.front_end.form()
            graphs, state = _search_graphs(
                [model.model, *model.partners], _example(form), form.steps or STEPS, sequences
            )
            vocabulary = {"vocabularies": {"target": TARGET_FILE}, "vocabulary_size": len(model.vocabulary)}
            return Plan(graphs, {"state": state, **vocabulary, **_reading(model.reader, form)})
        case Predictor():
            check_readable(model.reader)
            check_predictor(model)
            form = model.config.front_end.form()
            source = _example(form)
            example = {"source": source, "lengths": _lengths(STEPS)}
            module: Any = exportable(model.model, sequences)
            graph = Graph(Answer(module), example, {"source": (0, 1), "lengths": (0,)}, ("outputs", "steps"))
            settings = {
                "state": {},
                "vocabularies": {"source": SOURCE_FILE} if model.vocabulary is not None else {},
                "vocabulary_size": 0,
                "answer": model.config.answer,
                "labels": model.labels,
                **_reading(model.reader, form),
            }
            return Plan({"predictor": graph}, settings)
        case CharacterModel():
            return _language_plan(model, sequences)


def check_alignment(translator: Translator) -> None:
    """Raises UserError where alignments are summed over, which no graph here does."""
    hard = any(isinstance(model.decoder, HardAttentionDecoder) for model in [translator.model, *translator.partners])
    check(not hard, "a run with model.alignment hard or monotonic has no form outside torch; translate with it here")


def check_readable(reader: ReaderConfig) -> None:
    """Raises UserError where the inputs need another network first."""
    check(
        not reader.backbone,
        f"the run reads pictures through {reader.backbone}, a network of its own, which an export does not hold",
    )
    check(reader.kind != "frames", "an export cannot read folders of frames; use seq2seq predict")


def check_predictor(model: Predictor) -> None:
    """Raises UserError where translate.py could not read the inputs, or say what the outputs mean."""
    check(
        model.config.front_end.kind != "words" and not model.config.classes,
        "an export cannot read words with their characters, nor name a class beside labels; use seq2seq serve",
    )


def _reading(reader: ReaderConfig, form: FrontEnd) -> dict[str, Any]:
    ids = {"ids": form.vocabulary_size} if isinstance(form, Tokens) else {}
    return {"reader": {**to_dict(reader), **ids}, "input_shape": list(form.input_shape), "steps": form.steps}


def _example(form: FrontEnd) -> Tensor:
    shape = [ROWS, *(STEPS if size is None else size for size in form.input_shape)]
    return torch.full(shape, EOS_ID) if isinstance(form, Tokens) else torch.rand(shape)


def _lengths(steps: int) -> Tensor:
    return torch.tensor([steps, steps - 1])


def _search_graphs(
    models: Sequence[Seq2Seq], source: Tensor, steps: int, sequences: Sequences
) -> tuple[dict[str, Graph], dict[str, Any]]:
    """The encoder and the step of one model or several; and what the state's tensors are, by name."""
    lengths = torch.full((ROWS,), steps) if source.dim() == 4 else _lengths(steps)
    with torch.inference_mode():
        plain: Any = [model.eval().cpu() for model in models]
        specs, tensors = state_of(plain, source, lengths)
        leaves = [leaf for model in plain for leaf in pytree.tree_leaves(model.start(source, lengths))]
    exported: Any = [exportable(model, sequences) for model in plain]
    encoder = Encoder(exported)
    outputs = [each.name for each in tensors] + (["ctc", "ctc.mask"] if encoder.ctc else [])
    reading: dict[str, tuple[int, ...]] = {"source": (0,) if source.dim() == 4 else (0, 1), "lengths": (0,)}
    graphs = {"encoder": Graph(encoder, {"source": source, "lengths": lengths}, reading, outputs)}

    changing = [place for place, each in enumerate(tensors) if not each.shared]
    step = Step(exported, specs, changing, EOS_ID)
    examples = {"tokens": torch.full((ROWS, SLOTS), BOS_ID), "candidates": torch.zeros(CANDIDATES, dtype=torch.int64)}
    dimensions: dict[str, tuple[int, ...]] = {"tokens": (0, 1), "candidates": (0,)}
    for leaf, each in zip(leaves, tensors, strict=True):
        examples[each.name] = leaf.clone() if each.shared else leaf.repeat_interleave(SLOTS, 0)
        dimensions[each.name] = (0, 1) if each.shared and source.dim() != 4 else (0,)
    following = [f"{tensors[place].name}.next" for place in changing]
    graphs["step"] = Graph(step, examples, dimensions, ["log_probs", "next", "end", "attention", *following])
    return graphs, {each.name: {"shared": each.shared} for each in tensors}


def _language_plan(model: CharacterModel, sequences: Sequences) -> Plan:
    characters = model.units
    if not isinstance(characters, Characters):
        raise UserError("an export cannot write subwords or words with a language model; use seq2seq sample or serve")
    module: Any = exportable(model.model, sequences)
    start = model.model.start(1)
    state = {name: {"shared": False, "shape": list(each.shape[1:])} for name, each in start._asdict().items()}
    examples = {"tokens": torch.full((ROWS,), BOS_ID)}
    examples |= {name: torch.rand(ROWS, *each.shape[1:]) for name, each in start._asdict().items()}
    outputs = ["log_probs", *(f"{name}.next" for name in state)]
    changing: dict[str, tuple[int, ...]] = dict.fromkeys(examples, (0,))
    graph = Graph(Continue(module), examples, changing, outputs)
    settings = {
        "state": state,
        "vocabularies": {},
        "vocabulary_size": len(characters),
        "symbols": characters.symbols,
        "reader": {"kind": "text"},
    }
    return Plan({"language_model": graph}, settings)

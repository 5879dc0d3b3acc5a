"""A translator follows its model."""

from pathlib import Path

import torch

from seq2seq.translator import load


def test_changed_weights_are_prepared_again(toy_run: Path) -> None:
    sentences = ["ba ko mi", "lu te"]
    translator = load(toy_run)
    before = translator.translate(sentences)
    with torch.no_grad():
        translator.model.decoder.output.bias[3] += 1e4  # eos, at once
    assert translator.translate(sentences) == ["", ""] != before

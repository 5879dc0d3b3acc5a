"""How sure a translator is of each next token of given targets, and whether it is right."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from seq2seq.data.batch import collate_to_decode
from seq2seq.data.symbols import PAD_ID
from seq2seq.errors import check_argument
from seq2seq.inference.decoding import decode_in_batches
from seq2seq.inference.inputs import list_of_texts
from seq2seq.inference.translator import Translator


def token_confidences(
    translator: Translator, sources: Sequence[str], targets: Sequence[str]
) -> list[tuple[list[float], list[bool]]]:
    """Of each pair, for each token of the target, its end included, given those before it: the probability of the most
    probable token, and whether that is the target's. Of an ensemble by its mean probabilities."""
    check_argument("token_confidences", "translator", translator, Translator)
    pairs = translator._pairs(list_of_texts(sources, "source"), list_of_texts(targets, "target"))
    models = (translator.model, *translator.partners)

    @torch.inference_mode()
    def work(rows: list[int]) -> list[tuple[list[float], list[bool]]]:
        batch = collate_to_decode([pairs[row] for row in rows]).to(translator.device)
        outputs = [model(batch.source, batch.source_lengths, batch.target_input) for model in models]
        logs = [model.decoder.log_probs(each).float() for model, each in zip(models, outputs, strict=True)]
        mean = torch.stack(logs).logsumexp(0) - math.log(len(models)) if len(logs) > 1 else logs[0]
        highest, tokens = mean.max(-1)
        found = []
        for row in range(len(rows)):
            real = batch.target_output[row] != PAD_ID
            right = tokens[row][real] == batch.target_output[row][real]
            found.append((highest[row][real].exp().tolist(), right.tolist()))
        return found

    return decode_in_batches([len(source) + len(target) for source, target in pairs], work, most_rows=64)

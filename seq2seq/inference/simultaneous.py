"""Simultaneous translation: wait-k (Ma et al. 2019) with a model that was trained on whole sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.config import COUNTS, check_number
from seq2seq.data.batch import collate
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.data.vocabulary import RightToLeft
from seq2seq.errors import check, check_argument
from seq2seq.inference.decoding import decode_in_batches
from seq2seq.inference.inputs import list_of_texts
from seq2seq.inference.translator import Translator


class Simultaneous(NamedTuple):
    """An output that was begun before its source had been read."""

    text: str
    tokens: list[int]
    """Target ids without begin and end of sentence."""
    reads: list[int]
    """Source tokens that had been read when each target token was written, that of the end of sentence last."""
    source_tokens: int
    """Tokens of the source, end of sentence included."""

    @property
    def average_lagging(self) -> float:
        """How many source tokens the output is behind one that keeps pace (Ma et al. 2019, eq. 8); 0 of a blank text.
        Ends of sentences count as tokens."""
        if not self.reads:
            return 0.0
        until = self.reads.index(self.source_tokens) + 1  # the first token that the whole source was read for
        ratio = len(self.reads) / self.source_tokens
        return sum(read - place / ratio for place, read in enumerate(self.reads[:until])) / until


def wait_k(translator: Translator, texts: Sequence[str], k: int) -> list[Simultaneous]:
    """Greedy translations whose t-th token is written after reading min(k + t - 1, all) tokens of the source. The part
    that was read is encoded anew for each token, as an encoder of both directions needs. An end of sentence does not
    count before the source has been read: one more token is read instead. Raises UserError where the translator is an
    ensemble, has a language model beside it, or writes from right to left."""
    check_argument("wait_k", "translator", translator, Translator)
    check_number("k", k, COUNTS)
    alone = not translator.partners and translator.fusion is None and translator.shortlist is None
    check(alone, "wait-k is of one model alone: leave the ensemble, the language model, or the shortlist out")
    check(
        not isinstance(translator.target_vocabulary, RightToLeft), "wait-k is for models that write from left to right"
    )
    sources, _ = translator._encode_sources(list_of_texts(texts))

    def work(rows: list[int]) -> list[Simultaneous]:
        found = _waiting(translator, [sources[row] for row in rows], k)
        texts = translator.target_vocabulary.decode_batch([tokens for tokens, _ in found])
        return [
            Simultaneous(text, tokens, reads, len(sources[row]) + 1)
            for row, text, (tokens, reads) in zip(rows, texts, found, strict=True)
        ]

    return decode_in_batches([len(ids) for ids in sources], work, blank=Simultaneous("", [], [], 0))


@torch.inference_mode()
def _waiting(translator: Translator, sources: list[list[int]], k: int) -> list[tuple[list[int], list[int]]]:
    """Of each source the tokens of its output, and the reads."""
    batch = collate([(source, ()) for source in sources]).to(translator.device)
    whole, limits = batch.source_lengths.tolist(), translator.search_config.limits(batch.source_lengths).tolist()
    outputs: list[list[int]] = [[] for _ in sources]
    reads: list[list[int]] = [[] for _ in sources]
    further = [0] * len(sources)  # tokens read instead of ends of sentences
    active = list(range(len(sources)))
    while active:
        read = [min(k + len(outputs[row]) + further[row], whole[row]) for row in active]
        chosen = _next_tokens(translator, batch.source[active], read, [outputs[row] for row in active])
        for row, seen, token in zip(list(active), read, chosen, strict=True):
            last = len(outputs[row]) + 1 == limits[row]
            if token == EOS_ID and seen < whole[row] and not last:
                further[row] += 1
                continue
            reads[row].append(whole[row] if last else seen)
            if token == EOS_ID or last:
                active.remove(row)
            else:
                outputs[row].append(token)
    return list(zip(outputs, reads, strict=True))


def _next_tokens(translator: Translator, source: Tensor, read: list[int], outputs: list[list[int]]) -> list[int]:
    """The most probable token behind each output, given the first `read` tokens of each source [B, S, ...]."""
    model, device = translator.model, translator.device
    lengths = torch.tensor(read, device=device)
    seen = source[:, : max(read)].clone()
    seen[torch.arange(seen.shape[1], device=device) >= lengths[:, None]] = PAD_ID
    ends = [len(output) for output in outputs]
    padded = [[BOS_ID, *output, *[PAD_ID] * (max(ends) - len(output))] for output in outputs]
    output = model(seen, lengths, torch.tensor(padded, device=device))
    place = torch.arange(len(ends), device=device), torch.tensor(ends, device=device)
    features, attention = (each[place][:, None] for each in (output.features, output.attention))
    last = output._replace(features=features, attention=attention)  # of the last steps alone: all V at each cost time
    found: list[int] = model.decoder.log_probs(last)[:, 0].argmax(-1).tolist()
    return found

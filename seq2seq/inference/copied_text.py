"""What a model copies that its vocabulary does not know: the source's own letters in place of ⁇ (See et al. 2017 copy
words out of the vocabulary in the same way)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seq2seq.data.batch import collate_to_decode
from seq2seq.data.symbols import UNK_ID
from seq2seq.data.units import AnyVocabulary
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.inference.decoding import decode_in_batches, score_pairs
from seq2seq.inference.outputs import Translation
from seq2seq.model.copying import CopyDecoder
from seq2seq.model.seq2seq import Seq2Seq


def unknown_copied(
    model: Seq2Seq,
    vocabularies: tuple[AnyVocabulary, Vocabulary],
    texts: Sequence[str],
    sources: Sequence[Sequence[Any]],
    found: list[list[Translation]],
) -> list[list[Translation]]:
    """The translations of each text, given as `sources` in ids, too, with unknown pieces of a model that copies spelled
    as the unknown piece of the text that most attention goes to. Those without unknown pieces stay as they are."""
    if not isinstance(model.decoder, CopyDecoder):
        return found
    places = [(row, rank) for row, best in enumerate(found) for rank, each in enumerate(best) if UNK_ID in each.tokens]
    if not places:
        return found
    pairs = [(sources[row], found[row][rank].tokens) for row, rank in places]
    spellings = vocabularies[0].spellings([texts[row] for row, _ in places])
    device = next(model.parameters()).device

    def spelled(rows: list[int]) -> list[str]:
        _, _, weights = score_pairs(model, collate_to_decode([pairs[row] for row in rows]).to(device))
        pieces = [
            _pieces(pairs[row][1], spellings[row], matrix, vocabularies)
            for row, matrix in zip(rows, weights, strict=True)
        ]
        return vocabularies[1].decode_pieces(pieces)

    changed = decode_in_batches([len(source) + len(tokens) for source, tokens in pairs], spelled)
    results = [list(best) for best in found]
    for (row, rank), text in zip(places, changed, strict=True):
        results[row][rank] = results[row][rank]._replace(text=text)
    return results


def _pieces(
    tokens: Sequence[int], spelling: Sequence[str], weights: Any, vocabularies: tuple[AnyVocabulary, Vocabulary]
) -> list[str]:
    """The pieces of an output. spelling: of every id of the source, "" where it is known; weights [T, S]."""
    pieces = vocabularies[1].pieces(tokens)
    unknown = [step for step, each in enumerate(spelling[: weights.shape[1]]) if each]
    for step, token in enumerate(tokens):
        if token == UNK_ID and unknown:
            pieces[step] = spelling[unknown[int(weights[step, unknown].argmax())]]
    return pieces

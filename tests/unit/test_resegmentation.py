"""Texts cut anew: the same sentences in other pieces, decided by (seed, epoch, number of the batch)."""

from itertools import islice

import pytest
import torch
from datasets import Dataset

from seq2seq.batching import Batch, BatchingConfig, BucketedBatches
from seq2seq.config import UserError
from seq2seq.experiment import ExperimentConfig
from seq2seq.resegmentation import ResegmentedBatches
from seq2seq.vocabulary import PAD_ID, Vocabulary, VocabularyConfig

WORDS = ["bakery", "kolibri", "minaret", "lullaby", "textile", "sonata", "radio", "network"]
SENTENCES = [" ".join(WORDS[(row * step) % 8] for step in range(1, 2 + row % 6)) for row in range(80)]
CONFIG = BatchingConfig(max_tokens_per_batch=200)


def resegmented(kind: str, alpha: float, seed: int = 1) -> tuple[ResegmentedBatches, Vocabulary]:
    vocabulary = Vocabulary.train(SENTENCES, VocabularyConfig(size=60, model_type=kind, byte_fallback=False))  # type: ignore[arg-type]
    ids = vocabulary.encode_batch(SENTENCES)
    rows = Dataset.from_dict({"source_ids": ids, "target_ids": ids[::-1]})
    return ResegmentedBatches(BucketedBatches(rows, CONFIG, 1), vocabulary, vocabulary, alpha, seed, 4), vocabulary


def same(one: list[Batch], other: list[Batch]) -> bool:
    pairs = [fields for batches in zip(one, other, strict=True) for fields in zip(*batches, strict=True)]
    return all(torch.equal(*pair) for pair in pairs)


def source_ids(batches: list[Batch]) -> list[tuple[int, ...]]:
    """Sentence by sentence, without padding."""
    return [tuple(token for token in row if token != PAD_ID) for batch in batches for row in batch.source.tolist()]


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", 0.2), ("bpe", 0.3)])
def test_the_sentences_stay_and_their_pieces_change(kind: str, alpha: float) -> None:
    batches, vocabulary = resegmented(kind, alpha)
    plain, cut = list(batches.batches.iterate(0)), list(batches.iterate(0))
    for one, other in zip(plain, cut, strict=True):
        for name in ("source", "target_output"):
            before, after = (getattr(batch, name).tolist() for batch in (one, other))
            assert vocabulary.decode_batch(after) == vocabulary.decode_batch(before)
        assert other.source_lengths.tolist() == (other.source != PAD_ID).sum(1).tolist()
    changed = [one != other for one, other in zip(source_ids(plain), source_ids(cut), strict=True)]
    assert sum(changed) > len(changed) / 4
    assert batches.batches_per_epoch == len(plain)


def test_seed_epoch_and_number_decide_the_pieces() -> None:
    batches, _ = resegmented("unigram", 0.2)
    whole = list(batches.iterate(1))
    assert same(list(batches.iterate(1, 3)), whole[3:])
    other_seed, _ = resegmented("unigram", 0.2, seed=2)
    assert not same(list(islice(other_seed.iterate(1), 3)), whole[:3])
    assert set(source_ids(whole)) != set(source_ids(list(batches.iterate(2))))


def test_vocabularies_with_one_cut_only_are_refused() -> None:
    with pytest.raises(UserError, match="subword_sampling needs"):
        ExperimentConfig("data", "en", "de", vocabulary=VocabularyConfig(model_type="char"), subword_sampling=0.1)
    with pytest.raises(UserError, match=r"subword_sampling must be in \[0, 1\)"):
        ExperimentConfig("data", "en", "de", subword_sampling=1.0)

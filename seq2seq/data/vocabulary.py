"""Vocabulary: SentencePiece subwords, from raw text to ids and back to detokenised text."""

from __future__ import annotations

import hashlib
import io
import random
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import sentencepiece

from seq2seq.config import COUNTS, PathOption, Real, Whole, check_fields, check_numbers
from seq2seq.data.datasets_errors import read_batches
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import write_atomically
from seq2seq.runtime.paths import checked_path

# SentencePiece ignores training sentences beyond 4,192 bytes; a character takes at most 4.
MAX_TRAINING_CHARACTERS = 1000
# SentencePiece cuts the names of its own symbols out of the training text. A space inside keeps their characters in,
# so that text such as "</s>" can be spelled in a vocabulary without byte fallback.
SYMBOL_NAME = re.compile(r"<(?=(?:pad|unk|/?s|0x[0-9A-F]{2})>)")
# The corpora are small enough for this to cost little, and the sums of the EM steps depend on the number of threads.
TRAINING_THREADS = 4
# The form of a tag, a token of its own before sources that says what they are or are to become, such as <2de>.
TAG = re.compile(r"<[^<>\s\u2581]+>")
SPACE = "\u2581"  # what SentencePiece writes for a space
EMPTY_TEXT = "cannot train a vocabulary: the training text is empty"


@dataclass(frozen=True)
class VocabularyConfig:
    """How the subword vocabulary is made."""

    size: int = 8000
    """Number of pieces, special symbols and byte pieces included; a small corpus may give fewer."""
    model_type: Literal["unigram", "bpe", "char", "word"] = "unigram"
    """Kind of pieces; char keeps every character whatever the size."""
    joint: bool = True
    """One vocabulary for source and target instead of one each."""
    byte_fallback: bool = True
    """Spell unknown characters as UTF-8 bytes instead of the unknown symbol (unigram and bpe only)."""
    normalization: Literal["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"] = "nmt_nfkc"
    """SentencePiece's rule for characters: NFKC, with odd white space made plain (nmt), with case folded (cf); identity
    changes none, and so keeps the full-width punctuation of Chinese and Japanese, which NFKC replaces."""
    split_digits: bool = False
    """Make every digit a piece of its own, so that numbers never seen can be copied digit by digit."""
    character_coverage: float = 1.0
    """Fraction of the characters of the training text that get pieces of their own."""
    source_model: PathOption | None = None
    """SentencePiece model file to use for the source instead of training one (for both sides when joint)."""
    target_model: PathOption | None = None
    """SentencePiece model file to use for the target instead of training one."""
    max_training_sentences: int = 1_000_000
    """Sentences sampled to train a vocabulary when there are more."""

    def __post_init__(self) -> None:
        check_fields(self, "vocabulary")
        check_numbers(
            self,
            "vocabulary",
            size=Whole(8, 1_000_000),
            character_coverage=Real(0, 1, without=(0,)),
            max_training_sentences=COUNTS,
        )
        if self.joint:
            check(
                self.target_model in (None, self.source_model),
                "target_model is a second vocabulary: set joint to false, or give source_model alone",
            )
        else:
            check(
                (self.source_model is None) == (self.target_model is None),
                "separate vocabularies need both source_model and target_model, or neither",
            )


class Vocabulary:
    """A SentencePiece model: the ids 0 to 3 are padding, unknown, beginning and end of sentence."""

    def __init__(self, model: bytes, origin: str = "the SentencePiece model") -> None:
        """Take a serialised model; ``origin`` names it in the `UserError` raised when it is unusable."""
        check(
            isinstance(model, bytes),
            f"{origin} must be bytes, not of type {type(model).__name__}; Vocabulary.load reads a file",
        )
        self._bytes = model
        try:
            # SentencePiece accepts an empty model and fails later.
            check(len(model) > 0, "empty")
            self._processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model)
        except (RuntimeError, UserError) as error:
            raise UserError(
                f"{origin}: not a SentencePiece model, or a damaged one; restore the file, or train again without it"
            ) from error
        processor = self._processor
        ids = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        check(
            ids == (PAD_ID, UNK_ID, BOS_ID, EOS_ID),
            f"{origin}: its pad, unk, bos and eos ids are {ids}, not (0, 1, 2, 3); "
            "train it with --pad_id=0 --unk_id=1 --bos_id=2 --eos_id=3",
        )

    @classmethod
    def train(
        cls,
        lines: Iterable[str],
        config: VocabularyConfig,
        seed: int = 1,
        whole: bool = False,
        clusters: Sequence[str] = (),
        tags: Sequence[str] = (),
        apart: Mapping[str, str] | None = None,
    ) -> Vocabulary:
        """Learn a vocabulary from sentences; the same sentences, configuration and seed give the same bytes.

        ``whole``: of words or characters, all that occur, whatever the size, and characters without the mark for a
        beginning. ``clusters``: sequences of characters that are pieces wherever they stand. ``tags``: words of the
        form of TAG that are one piece each, with the space beside them. ``apart``: characters, and the text that each
        is read as, instead of config.normalization.
        """
        sentences = _sample(_training_sentences(lines), config.max_training_sentences, seed)
        check(len(sentences) > 0, EMPTY_TEXT)
        subwords = config.model_type in ("unigram", "bpe")
        model = io.BytesIO()
        try:
            with _normalization(config, apart) as normalization:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(sentences),
                    model_writer=model,
                    model_type=config.model_type,
                    vocab_size=config.size,
                    # A small corpus has too few distinct pieces to fill the vocabulary.
                    hard_vocab_limit=False,
                    use_all_vocab=whole or config.model_type == "char",
                    add_dummy_prefix=not (whole and config.model_type == "char"),
                    user_defined_symbols=[*clusters, *_tag_pieces(tags, config, whole)],
                    byte_fallback=config.byte_fallback and subwords,
                    split_digits=config.split_digits,
                    character_coverage=config.character_coverage,
                    **normalization,
                    pad_id=PAD_ID,
                    unk_id=UNK_ID,
                    bos_id=BOS_ID,
                    eos_id=EOS_ID,
                    num_threads=TRAINING_THREADS,
                    minloglevel=2,
                )
        except RuntimeError as error:
            raise UserError(_explained(str(error), config)) from error
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Vocabulary:
        """Read a SentencePiece model file."""
        try:
            model = checked_path(path, "path", "a SentencePiece model file").read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot read the vocabulary: {error.strerror}") from error
        return cls(model, origin=str(path))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the SentencePiece model file."""
        try:
            write_atomically(Path(path), self._bytes)
        except OSError as error:
            raise UserError(f"{path}: cannot write the vocabulary: {error.strerror}") from error

    def fingerprint(self) -> str:
        """Return the SHA-256 of the model, in hexadecimal."""
        return hashlib.sha256(self._bytes).hexdigest()

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def __reduce__(self) -> tuple[Callable[[bytes], Vocabulary], tuple[bytes]]:
        return Vocabulary, (self._bytes,)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a sentence, without beginning and end; names of special symbols in it are mere text."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str], sample_alpha: float = 0.0, seed: int = 0) -> list[list[int]]:
        """Return the ids of every text.

        ``sample_alpha`` above 0 draws each segmentation at random (subword regularisation, Kudo 2018: smaller is
        more random; for bpe it is the probability of skipping a merge). A ``seed`` draws the same again in this process
        only: SentencePiece mixes in something of its own in every process.
        """
        options: dict[str, Any] = {}
        if sample_alpha > 0:
            sentencepiece.set_random_generator_seed(seed)
            # One thread, because each thread has a random generator of its own.
            options = {"enable_sampling": True, "alpha": sample_alpha, "nbest_size": -1, "num_threads": 1}
        try:
            ids: list[list[int]] = self._processor.encode(list(texts), **options)
        except TypeError:  # lone surrogates, which have no UTF-8 form
            ids = self._processor.encode([text.encode("utf-8", "replace") for text in texts], **options)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of a sentence: padding, beginning and end are dropped, an unknown piece reads as ⁇."""
        return self.decode_batch([ids])[0]

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of every sentence."""
        texts: list[str] = self._processor.decode([[int(piece) for piece in ids] for ids in batch])
        # Byte pieces can spell a line feed, which would shift all lines after it: a sentence is one line.
        return [text.replace("\n", " ").strip(" ") for text in texts]

    def spellings(self, texts: Sequence[str]) -> list[list[str]]:
        """Return, for every id of every text, what stands there in the text where the piece is unknown, else ""."""
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates have no UTF-8 form
        known: list[list[str]] = self._processor.encode(texts, out_type=str)
        return [
            [piece if number == UNK_ID else "" for piece, number in zip(pieces, ids, strict=True)]
            for pieces, ids in zip(known, self.encode_batch(texts), strict=True)
        ]

    def decode_pieces(self, batch: Sequence[Sequence[str]]) -> list[str]:
        """Return the text of every sequence of pieces, those of `spellings` among them."""
        texts: list[str] = [self._processor.decode_pieces(list(pieces)) for pieces in batch]
        return [text.replace("\u2581", " ").replace("\n", " ").strip(" ") for text in texts]

    def tags(self) -> list[str]:
        """The tags that this vocabulary was trained with."""
        texts = {piece: text.strip(SPACE) for piece, text in enumerate(self.pieces(range(len(self))))}
        return [text for piece, text in texts.items() if self._is_tag(piece, text)]

    def _is_tag(self, piece: int, text: str) -> bool:
        if TAG.fullmatch(text) is None:
            return False
        # Pieces that were learned have a negative score; those that were given have none.
        processor = self._processor
        special = processor.is_control(piece) or processor.is_unknown(piece) or processor.is_byte(piece)
        return not special and float(processor.get_score(piece)) == 0.0

    def scored_pieces(self) -> tuple[list[str | None], list[float]]:
        """The text of every id's piece, None of symbols, tags and bytes, and its score: a log-probability, of bpe
        less the number of the merge that makes it."""
        processor = self._processor
        texts: list[str | None] = []
        for piece in range(len(self)):
            text = str(processor.id_to_piece(piece))
            special = processor.is_control(piece) or processor.is_unknown(piece) or processor.is_byte(piece)
            texts.append(None if special or self._is_tag(piece, text.strip(SPACE)) else text)
        return texts, [float(processor.get_score(piece)) for piece in range(len(self))]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the piece of every id, to show."""
        return [str(self._processor.id_to_piece(int(piece))) for piece in ids]

    def piece_texts(self) -> list[bytes]:
        """Return what each id writes, in UTF-8, a space where a word begins; special symbols write nothing."""
        return [self._piece_text(piece) for piece in range(len(self))]

    def _piece_text(self, piece: int) -> bytes:
        processor = self._processor
        if processor.is_byte(piece):
            return bytes([int(processor.id_to_piece(piece)[1:-1], 16)])
        if processor.is_control(piece) or processor.is_unknown(piece) or processor.is_unused(piece):
            return b""
        return str(processor.id_to_piece(piece)).replace("\u2581", " ").encode()


class RightToLeft(Vocabulary):
    """The same pieces in the opposite order: of texts that are written from their end to their beginning."""

    def __init__(self, plain: Vocabulary) -> None:
        """Takes a vocabulary, which stays as it is."""
        self.plain = plain
        self._bytes, self._processor = plain._bytes, plain._processor

    def fingerprint(self) -> str:
        """As `Vocabulary.fingerprint`; another one than the plain vocabulary's."""
        return hashlib.sha256(b"right to left" + self._bytes).hexdigest()

    def __reduce__(self) -> tuple[Callable[[Vocabulary], Vocabulary], tuple[Vocabulary]]:  # type: ignore[override]
        return RightToLeft, (self.plain,)

    def encode_batch(self, texts: Sequence[str], sample_alpha: float = 0.0, seed: int = 0) -> list[list[int]]:
        """As `Vocabulary.encode_batch`, the last piece first."""
        return [ids[::-1] for ids in super().encode_batch(texts, sample_alpha, seed)]

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """As `Vocabulary.decode_batch`, of ids whose first is the last piece of the text."""
        return super().decode_batch([list(ids)[::-1] for ids in batch])

    def spellings(self, texts: Sequence[str]) -> list[list[str]]:
        """As `Vocabulary.spellings`, of ids whose first is the last piece of the text."""
        return [spelled[::-1] for spelled in self.plain.spellings(texts)]

    def decode_pieces(self, batch: Sequence[Sequence[str]]) -> list[str]:
        """As `Vocabulary.decode_pieces`, the last piece of the text first."""
        return super().decode_pieces([pieces[::-1] for pieces in batch])


@contextmanager
def _normalization(config: VocabularyConfig, apart: Mapping[str, str] | None) -> Iterator[dict[str, Any]]:
    """SentencePiece's options for what texts are read as; its own rules it takes from a file."""
    if apart is None:
        yield {"normalization_rule_name": config.normalization}
        return
    with tempfile.TemporaryDirectory() as folder:
        sides = ((f"{ord(each):X}", " ".join(f"{ord(part):X}" for part in text)) for each, text in apart.items())
        path = Path(folder) / "rules.tsv"
        path.write_text("".join(f"{side}\t{other}\n" for side, other in sides), encoding="ascii")
        yield {"normalization_rule_tsv": str(path)}


def _tag_pieces(tags: Sequence[str], config: VocabularyConfig, whole: bool) -> list[str]:
    """The pieces of tags, with the space that the text alone would not have: the mark of the word's beginning before
    them or, where there is none, the space behind them."""
    bare = whole and config.model_type == "char"
    return [f"{tag}{SPACE}" if bare else f"{SPACE}{tag}" for tag in tags]


def train_vocabularies(
    dataset: Any, config: VocabularyConfig, seed: int = 1, tags: Sequence[str] = ()
) -> tuple[Vocabulary, Vocabulary]:
    """Return the source and the target vocabulary for a dataset with columns ``source`` and ``target``.

    They are one object when joint. tags: of sources, see `Vocabulary.train`. Model files named by the configuration are
    loaded instead. Of a streamed dataset the first ``max_training_sentences`` pairs are read.
    """
    if config.source_model is not None:
        source = Vocabulary.load(config.source_model)
        return source, source if config.joint else Vocabulary.load(str(config.target_model))
    if not hasattr(dataset, "__len__"):
        dataset = dataset.take(config.max_training_sentences)
    if config.joint:
        joint = Vocabulary.train(column_texts(dataset, ("source", "target")), config, seed, tags=tags)
        return joint, joint
    source = Vocabulary.train(column_texts(dataset, ("source",)), config, seed, tags=tags)
    return source, Vocabulary.train(column_texts(dataset, ("target",)), config, seed)


def column_texts(dataset: Any, columns: tuple[str, ...]) -> Iterator[str]:
    """The texts of these columns, each of several references among them. Raises UserError where one cannot be read."""
    for batch in read_batches(dataset, 1000, "training data"):
        for column in columns:
            for cell in batch[column]:
                if isinstance(cell, str):
                    yield cell
                else:
                    yield from cell


def _training_sentences(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        # SentencePiece reserves NUL: a piece that contains it is lost from the model.
        text = SYMBOL_NAME.sub("< ", line.replace("\0", " "))
        text = text.encode("utf-8", "replace").decode("utf-8")
        if text.strip():
            for start in range(0, len(text), MAX_TRAINING_CHARACTERS):
                yield text[start : start + MAX_TRAINING_CHARACTERS]


def _sample(sentences: Iterable[str], count: int, seed: int) -> list[str]:
    """Return at most ``count`` sentences, each with the same chance (reservoir sampling: one pass, bounded memory)."""
    generator = random.Random(seed)
    sample: list[str] = []
    for number, sentence in enumerate(sentences):
        if number < count:
            sample.append(sentence)
        else:
            place = generator.randrange(number + 1)
            if place < count:
                sample[place] = sentence
    return sample


def _explained(error: str, config: VocabularyConfig) -> str:
    needed = re.search(r"smaller than required_chars\. \d+ vs (\d+)", error)
    if needed:
        return (
            f"vocabulary size {config.size} is too small for the characters of the training text: "
            f"it needs {needed[1]} (or a lower character_coverage{', or byte_fallback off' * config.byte_fallback})"
        )
    if "all_chars_count" in error:  # nothing but characters that normalisation removes
        return EMPTY_TEXT
    return f"cannot train a vocabulary on this text: {error}"

"""Lines of sources that have features. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seq2seq.inference.translator import Translator


def check_features(translator: Translator, text: str, place: str) -> None:
    """Raises UserError, naming the place, where a text lacks the features that the model reads."""
    from seq2seq.data.units import SourceVocabulary

    if isinstance(translator.source_vocabulary, SourceVocabulary):
        translator.source_vocabulary.check_source(text, place)


def reads_features(translator: Translator) -> bool:
    """Whether texts must have features."""
    return getattr(translator.source_vocabulary, "features", None) is not None


def features_before(translator: Translator, text: str) -> int:
    """Source tokens that are of the text's features, before those of its words."""
    from seq2seq.data.units import SourceVocabulary

    vocabulary = translator.source_vocabulary
    return vocabulary.tokens_before(text) if isinstance(vocabulary, SourceVocabulary) else 0

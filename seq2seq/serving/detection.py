"""The language of a text, among those that are served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from seq2seq.data.languages import language_tag

SHORT = 40
"""Characters below which a text of a request is judged by all of the request's texts together."""


class Guess(NamedTuple):
    """A language and how likely it is, 0 to 100."""

    language: str
    confidence: float

    def as_json(self) -> dict[str, Any]:
        """As LibreTranslate writes it."""
        return {"confidence": round(self.confidence, 1), "language": self.language}


class Detector:
    """Tells the given languages from one another. Those that the library does not know are never its answer."""

    def __init__(self, languages: Iterable[str]) -> None:
        self.languages = list(dict.fromkeys(languages))
        if len(self.languages) > 1:
            self._load()

    def guesses(self, text: str) -> list[Guess]:
        """All languages, the most likely one first."""
        if len(self.languages) == 1:
            return [Guess(self.languages[0], 100.0)]
        if not self._codes or not text.strip():
            return [Guess(language, 0.0) for language in self.languages]
        scores = {code: float(score) for code, score in self._model.rank(text)}
        found = [Guess(language, 100 * scores.get(code, 0.0)) for code, language in self._codes.items()]
        unknown = [Guess(language, 0.0) for language in self.languages if language not in self._codes.values()]
        return sorted(found, key=lambda guess: -guess.confidence) + unknown

    def of_texts(self, texts: Sequence[str]) -> list[Guess]:
        """The likeliest language of each text; of short ones, of all texts together."""
        together = self.guesses("\n".join(texts))[0]
        return [self.guesses(text)[0] if len(text) > SHORT else together for text in texts]

    def _load(self) -> None:
        """Reads the library's model, and restricts it to the languages: before requests come, several at once."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        codes = {(language_tag(language) or "").split("-")[0]: language for language in self.languages}
        self._codes = {code: language for code, language in codes.items() if code in set(self._model.labels)}
        """The languages by the library's codes, those that it knows."""
        if self._codes:
            self._model.set_languages(list(self._codes))

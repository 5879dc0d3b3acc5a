"""The language of a text, among those that are served."""

from __future__ import annotations

import threading
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
        self._loaded: tuple[Any, dict[str, str]] | None = None
        self._loading = threading.Lock()

    def guesses(self, text: str) -> list[Guess]:
        """All languages, the most likely one first."""
        if len(self.languages) == 1:
            return [Guess(self.languages[0], 100.0)]
        model, codes = self._model()
        if not codes or not text.strip():
            return [Guess(language, 0.0) for language in self.languages]
        scores = {code: float(score) for code, score in model.rank(text)}
        found = [Guess(language, 100 * scores.get(code, 0.0)) for code, language in codes.items()]
        unknown = [Guess(language, 0.0) for language in self.languages if language not in codes.values()]
        return sorted(found, key=lambda guess: -guess.confidence) + unknown

    def of_texts(self, texts: Sequence[str]) -> list[Guess]:
        """The likeliest language of each text; of short ones, of all texts together."""
        together = self.guesses("\n".join(texts))[0]
        return [self.guesses(text)[0] if len(text) > SHORT else together for text in texts]

    def _model(self) -> tuple[Any, dict[str, str]]:
        """The library's model, restricted to the languages, and those of them that it knows by its codes. Read when it
        is first needed, whole, by one of the threads that ask."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        with self._loading:
            if self._loaded is None:
                model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
                codes = {(language_tag(language) or "").split("-")[0]: language for language in self.languages}
                known = set(model.labels)
                codes = {code: language for code, language in codes.items() if code in known}
                if codes:
                    model.set_languages(list(codes))
                self._loaded = model, codes
            return self._loaded

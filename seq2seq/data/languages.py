"""Languages by code or name, as columns are named after them, and the BLEU tokenizer that fits a language or a text.

langcodes is imported where it is used: a command that only translates does not need it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from seq2seq.errors import check

if TYPE_CHECKING:
    from langcodes import Language


TOKENIZERS = ("13a", "intl", "char", "zh", "ja-mecab", "ko-mecab", "flores101", "flores200", "spm", "none")
"""SacreBLEU's tokenizers."""
SUBWORDS = {"char", "flores101", "flores200", "spm"}
"""Those that cut text of any script."""
TOKENIZER_OF_SCRIPT = {
    **dict.fromkeys(("Hans", "Hant", "Hani"), "zh"),
    "Jpan": "ja-mecab",
    **dict.fromkeys(("Kore", "Hang"), "ko-mecab"),
}

HAN, KANA, HANGUL = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff", "\u3040-\u30ff", "\uac00-\ud7af"
JAPANESE_KANA = 0.1
"""Share of kana in text of Han and kana above which it is Japanese and not Chinese."""
WITHOUT_SPACES = {"Thai": "\u0e00-\u0e7f", "Lao": "\u0e80-\u0eff", "Khmer": "\u1780-\u17ff", "Burmese": "\u1000-\u109f"}
LINES_LOOKED_AT = 1_000
SEPARATED = 2.0
"""Characters per token below which a text's words, syllables or characters are separated by spaces already."""


def language_tag(name: str) -> str | None:
    """The BCP 47 tag of the language that a column's name means, by its code ("zh_CN", "jpn") or by its name in any
    language ("chinese", "日本語"); None where it means none."""
    language = _language(name)
    return None if language is None else str(language)


def language_tokenizer(name: str) -> str:
    """The BLEU tokenizer for a language given as `language_tag` takes it; 13a where it needs no other."""
    language = _language(name)
    return "13a" if language is None else TOKENIZER_OF_SCRIPT.get(language.maximize().script or "", "13a")


def check_tokenizer(name: str) -> None:
    """Raises UserError where sacreBLEU has no tokenizer of this name."""
    check(name in TOKENIZERS, f"bleu_tokenizer must be one of {', '.join(TOKENIZERS)}, not {name!r}")


def unfit_tokenizer(tokenizer: str, lines: Iterable[str]) -> str | None:
    """Why a tokenizer does not fit the script that most of these lines (the first `LINES_LOOKED_AT`) are written in,
    and what to choose instead; None where it does."""
    text = "\n".join(islice(lines, LINES_LOOKED_AT))
    script, fitting = _script(text)
    if not script or tokenizer in {*fitting, *SUBWORDS} or _letters(r"\S", text) < SEPARATED * len(text.split()):
        return None
    return (
        f"BLEU's tokenizer {tokenizer} does not fit {script} script, in which the references are mostly written: "
        f"BLEU means little; choose --bleu-tokenizer {' or '.join([*fitting, 'char'])}"
    )


def _language(name: str) -> Language | None:
    """A language that a column may be named after.

    Three letters may be a code of few speakers and mean something else: src (source), tgt, num, key, label. So only
    languages with a two-letter code, with speakers counted by CLDR, or written in Chinese characters are taken.
    """
    import langcodes

    words = name.strip().replace("_", "-")
    try:
        language = langcodes.get(words) if langcodes.tag_is_valid(words) else langcodes.find(words.replace("-", " "))
    except LookupError:
        return None
    code = language.language or ""
    if len(code) == 2 or language.maximize().script in TOKENIZER_OF_SCRIPT or language.speaking_population():
        return language
    return None


def _script(text: str) -> tuple[str, list[str]]:
    """The script that more than half of a text's characters are of, if it is one that 13a cannot cut, and the
    tokenizers for it; "" and none otherwise."""
    half = _letters(r"\w", text) / 2
    han, kana, hangul = (_letters(f"[{characters}]", text) for characters in (HAN, KANA, HANGUL))
    if han + kana > half:
        return ("Japanese", ["ja-mecab"]) if kana > JAPANESE_KANA * (han + kana) else ("Chinese", ["zh"])
    if hangul > half:
        return "Korean", ["ko-mecab"]
    for name, characters in WITHOUT_SPACES.items():
        if _letters(f"[{characters}]", text) > half:
            return name, ["flores200"]
    return "", []


def _letters(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text))

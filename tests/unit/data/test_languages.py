"""Languages as columns are named after them, and the BLEU tokenizer for each and for the script of a text."""

import subprocess
import sys

import pytest
from sacrebleu.metrics.bleu import _TOKENIZERS

from seq2seq.data.languages import TOKENIZERS, check_tokenizer, language_tag, language_tokenizer, unfit_tokenizer
from seq2seq.errors import UserError


@pytest.mark.parametrize(
    ("tokenizer", "names"),
    [
        ("zh", "zh ZH zh_CN zh-TW zh_Hant zho_Hans chinese Chinese 中文 简体中文 cmn zho chi yue lzh mandarin"),
        ("ja-mecab", "ja ja_JP jpn japanese 日本語"),
        ("ko-mecab", "ko ko-KR kor korean 한국어"),
        ("13a", "en de english deutsch th my phonemes word text label target src trg tgt zh_Latn num key sum x"),
    ],
)
def test_a_column_named_after_a_language_gets_its_tokenizer(tokenizer: str, names: str) -> None:
    assert {name: language_tokenizer(name) for name in names.split()} == dict.fromkeys(names.split(), tokenizer)


def test_tags_are_those_that_the_hub_reads() -> None:
    named = {
        "中文": "zh",
        "jpn": "ja",
        "german": "de",
        "pt_BR": "pt-BR",
        "zh_Hant": "zh-Hant",
        "ceb": "ceb",
        "no": "no",
    }
    assert {name: language_tag(name) for name in named} == named
    others = ["src", "tgt", "trg", "label", "question", "word", "phonemes", "num", "und", "", "a b", "x"]
    assert [name for name in others if language_tag(name) is not None] == []


def test_tokenizers_are_sacrebleus() -> None:
    assert set(TOKENIZERS) <= set(_TOKENIZERS)
    with pytest.raises(UserError, match=r"bleu_tokenizer must be one of 13a, intl, .*, none, not '13b'"):
        check_tokenizer("13b")


CHINESE, JAPANESE, KOREAN = (
    "我喜欢猫，他住在北京。",
    "私は猫が好きです。東京に住んでいます。",
    "나는 고양이를 좋아한다.",
)
THAI, KHMER, BURMESE, LAO = "ฉันชอบแมว", "ខ្ញុំចូលចិត្តឆ្មា", "ကျွန်ုပ်ကြောင်ကြိုက်တယ်", "ຂ້ອຍມັກແມວ"


@pytest.mark.parametrize(
    ("text", "script", "option"),
    [
        (CHINESE, "Chinese", "zh or char"),
        (JAPANESE, "Japanese", "ja-mecab or char"),
        (KOREAN, "Korean", "ko-mecab or char"),
        (THAI, "Thai", "flores200 or char"),
        (KHMER, "Khmer", "flores200 or char"),
        (BURMESE, "Burmese", "flores200 or char"),
        (LAO, "Lao", "flores200 or char"),
    ],
)
def test_a_text_that_the_tokenizer_does_not_cut_is_noticed(text: str, script: str, option: str) -> None:
    told = unfit_tokenizer("13a", [text, text, "OK, Berlin"])
    assert told is not None
    assert f"13a does not fit {script} script" in told
    assert f"choose --bleu-tokenizer {option}" in told
    assert unfit_tokenizer("char", [text]) is None
    assert unfit_tokenizer(option.split()[0], [text]) is None


def test_other_texts_fit() -> None:
    assert unfit_tokenizer("13a", ["A cat says 你好 and leaves.", "Ein Hund", "собака"]) is None
    assert unfit_tokenizer("13a", ["我 喜欢 猫", "他 住 在 北京"]) is None  # words already
    assert unfit_tokenizer("zh", [JAPANESE]) is not None
    assert unfit_tokenizer("13a", []) is None
    assert unfit_tokenizer("13a", ["", " "]) is None


def test_translating_imports_none_of_what_only_scores_and_draws() -> None:
    code = (
        "import sys, seq2seq.inference.translator\n"
        "print(*{'langcodes', 'jiwer', 'sacrebleu', 'datasets', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"

"""Sentences, HTML, languages, and the n best of paragraphs."""

from __future__ import annotations

import contextlib
import itertools
import random

import pytest

pytest.importorskip("sentencex")
pytest.importorskip("bs4")
pytest.importorskip("py3langid")

from seq2seq.data.sentences import split_sentences, whole
from seq2seq.serving.backend import Candidate
from seq2seq.serving.batcher import Found
from seq2seq.serving.detection import Detector
from seq2seq.serving.errors import RequestError
from seq2seq.serving.markup import Markup
from seq2seq.serving.paragraphs import PlainText, document, ranked

PIECES = [
    "a",
    "Mr.",
    "e.g. ",
    "!",
    "?",
    ". ",
    "\n",
    "\r",
    "\u2028",
    " ",
    "\u3000",
    "。",
    "你好",
    "🏳️\u200d🌈",
    "e\u0301",
]
PIECES += [
    "\x00",
    "\ufeff",
    "(",
    ")",
    '"',
    "»",
    "1.",
    "...",
    "ß",
    "\u202e",
    "http://x.y/z?q=1.",
    "<p>",
    "</p>",
    "&",
    "<",
]


def test_sentences_keep_all_white_space() -> None:
    text = " One, e.g. this.  And Mr. Smith's!\n\n\tAnother line without end\r\nlast. \n"
    parts = split_sentences(text)
    assert parts.sentences == ["One, e.g. this.", "And Mr. Smith's!", "Another line without end", "last."]
    assert parts.gaps == [" ", "  ", "\n\n\t", "\r\n", " \n"]
    assert parts.joined(["1", "2", "3", "4"]) == " 1  2\n\n\t3\r\n4 \n"
    assert whole(" a b. c \n") == (["a b. c"], [" ", " \n"])
    assert whole(" \n ") == ([], [" \n "])


def test_each_sentence_has_the_tag_of_its_text() -> None:
    given = document("<2de> One, e.g. this.  And two!\n", "en", True, tags=["<2de>", "<2fr>"])
    assert given.sentences == ["<2de> One, e.g. this.", "<2de> And two!"]
    assert given.joined(["1", "2"]) == "1  2\n"
    assert document("<2es> One. And two!", "en", True, tags=["<2de>"]).sentences[-1] == "And two!"


def test_any_text_comes_back() -> None:
    chance = random.Random(1)
    for _ in range(3_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(0, 30)))
        for parts in (split_sentences(text, chance.choice(["en", "de", "zh_CN", "source", ""])), whole(text)):
            assert parts.joined(parts.sentences) == text
            assert all(sentence == sentence.strip() != "" for sentence in parts.sentences)


PAGES = {
    '<p class="x">a <b>b</b></p>': '<p class="x">A <b>B</b></p>',
    "a &amp; b &lt;i&gt;": "A &amp; B &lt;I&gt;",
    "<script>a</script><style>b</style><pre><code>c</code></pre>": None,
    '<p translate="no">a</p><i class="notranslate">b</i>c': '<p translate="no">a</p><i class="notranslate">b</i>C',
    '<div translate="no">a<p translate="yes">b</p></div>': '<div translate="no">a<p translate="yes">B</p></div>',
    "<!-- a --><br/>b": "<!-- a --><br/>B",
    "no markup": "NO MARKUP",
}


@pytest.mark.parametrize("html", PAGES)
def test_html_keeps_its_tags(html: str) -> None:
    given = document(html, "en", True, "html")
    assert given.joined([sentence.upper() for sentence in given.sentences]) == (PAGES[html] or html)
    assert given.joined(given.sentences) == html  # again, with other texts


def test_tags_within_tags_are_each_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from bs4 import Tag

    calls, get = [0], Tag.get

    def counted(self: Tag, *words: object) -> object:
        calls[0] += 1
        return get(self, *words)

    monkeypatch.setattr(Tag, "get", counted)
    assert len(Markup("<b>x" * 300).texts) == 300
    assert calls[0] <= 4 * 300


def test_translations_cannot_become_markup() -> None:
    given = document("<p>a</p>", "en", True, "html")
    assert given.joined(["<script>alert(1)</script>"]) == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"


def test_any_html_is_read_or_refused() -> None:
    chance = random.Random(2)
    pieces = [*PIECES, "<![CDATA[", "<!", "<?", "</", "<a href='", "&#x110000;", "&#0;", "<b" * 50, "<!DOCTYPE", "]]>"]
    for html in ["".join(chance.choices(pieces, k=20)) for _ in range(500)] + ["<b>" * 5_000 + "a"]:
        with contextlib.suppress(RequestError):  # any other error would be an answer of status 500
            markup = Markup(html)
            markup.with_texts(markup.texts)


def test_the_n_best_of_a_paragraph_have_the_highest_sums() -> None:
    chance = random.Random(3)
    for _ in range(30):
        sizes = [chance.randint(1, 4) for _ in range(chance.randint(1, 4))]
        lists = [
            sorted(
                (Candidate(f"{place}{rank}.", -chance.random()) for rank in range(size)), key=lambda each: -each.score
            )
            for place, size in enumerate(sizes)
        ]
        given = PlainText("a. " * len(lists), "xx", False)
        given._parts = given._parts._replace(sentences=["a."] * len(lists), gaps=[""] * (len(lists) + 1))
        best = ranked(given, [Found(each, None) for each in lists], 4)
        sums = sorted((sum(each.score for each in way) for way in itertools.product(*lists)), reverse=True)
        assert [each.score * len(lists) for each in best] == pytest.approx(sums[:4])
        assert len({each.text for each in best}) == len(best)
    same = [Candidate("a", -1.0), Candidate("a", -2.0), Candidate("b", -3.0)]
    assert [each.text for each in ranked(PlainText("x", "en", False), [Found(same, None)], 3)] == ["a", "b"]
    assert ranked(PlainText(" ", "en", False), [], 3) == [(" ", 0.0)]


def test_languages_are_told_apart_among_those_served() -> None:
    detector = Detector(["english", "german", "fr", "toy"])
    assert detector.guesses("Das Wetter ist heute schön.")[0].language == "german"
    assert {guess.language for guess in detector.guesses("x")} == {"english", "german", "fr", "toy"}
    assert detector.guesses("toy")[-1] == ("toy", 0.0)
    texts = [
        "Le temps est beau aujourd'hui, allons nous promener.",
        "The weather is nice, let us go for a walk now.",
        "ok",
    ]
    assert [guess.language for guess in detector.of_texts(texts)][:2] == ["fr", "english"]
    assert Detector(["toy"]).guesses("anything") == [("toy", 100.0)]
    assert Detector(["en", "fr"]).guesses("")[0].confidence == 0

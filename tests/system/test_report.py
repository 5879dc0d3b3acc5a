"""The page of `evaluate --report`: what it says against sacreBLEU and the run itself, and how it is written."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sacrebleu

import seq2seq
from seq2seq.cli.evaluate_report import shown_data
from seq2seq.cli.main import main
from seq2seq.data.corpus import DataConfig
from seq2seq.data.mixing import CorpusConfig
from seq2seq.evaluation.page_figures import bars_figure, inline_svg
from seq2seq.inference.outputs import Translation
from seq2seq.model.seq2seq import build_model
from seq2seq.tasks.calibration import calibration_of
from seq2seq.tasks.evaluate import Part, scored
from seq2seq.tasks.report import Answered, _figures
from tests.browser import CHROMIUM, DRIVER, browser

STORED = Path(__file__).parents[1] / "fixtures" / "translator-0.1.0-format2"
PAIRS = [
    ("ba ko mi", "BA KO MI"),
    ("lu te so ra ne ba", "LU TE SO RA NE BA"),
    ("ne ne", "NE KO <script>alert(1)</script>"),
    ("so", "SO"),
    ("ba ko mi lu", "BA KO MI TE"),
]


class Page(HTMLParser):
    """Tags and texts of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The begin of a command that evaluates on PAIRS."""
    for split, pairs in (("train", PAIRS[:2]), ("test", PAIRS)):
        rows = [json.dumps({"en": source, "de": target}) + "\n" for source, target in pairs]
        (tmp_path / f"{split}.jsonl").write_text("".join(rows))
    options = ["--data", str(tmp_path), "--source", "en", "--target", "de", "--output", str(tmp_path / "o")]
    return ["evaluate", str(STORED), *options]


def written(folder: Path) -> Page:
    page = Page(folder / "index.html")
    ids = [each for each in page.values("id")]
    assert len(ids) == len(set(ids))
    for name in ("href", "src", "xlink:href"):
        assert all(str(each).startswith("#") and each[1:] in ids for each in page.values(name) if each)  # type: ignore[index]
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object")]
    return page


def test_the_page_of_one_run(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--report", str(tmp_path / "page")]) == 0
    printed = capsys.readouterr()
    assert f"seq2seq: report: {tmp_path / 'page' / 'index.html'}" in printed.err
    page, translator = written(tmp_path / "page"), seq2seq.load(STORED)
    for line in printed.out.splitlines():
        for part in line.split("\t"):
            assert part in page.text
    sources, references = [source for source, _ in PAIRS], [target for _, target in PAIRS]
    hypotheses = translator.translate(sources)
    shortest = [row for row, text in enumerate(references) if len(text.split()) < 6 and "<" not in text]
    score = sacrebleu.corpus_bleu([hypotheses[row] for row in shortest], [[references[row] for row in shortest]]).score
    assert f"1–5 3 {score:.1f} " in page.text
    for best in translator.search(sources, 5):
        assert f"{best[-1].score:.3f} {best[-1].text}" in page.text
    worst = min(range(len(PAIRS)), key=lambda row: sacrebleu.sentence_chrf(hypotheses[row], [references[row]]).score)
    lists = page.text[page.text.index("By chrF of single") :]
    assert lists.split("source ")[1].startswith(sources[worst])
    assert "its directory holds no figures of its training" in page.text
    assert sum(attributes.get("class") == "map" for _, attributes in page.tags) == 2 * len(PAIRS)
    assert main([*words, "--calibration"]) == 0
    for line in capsys.readouterr().out.splitlines()[-2:]:  # the calibration
        assert line in page.text
    heaviest = max(translator.align(["ba ko mi"], translator.search(["ba ko mi"])[0])[0].weights[0])
    assert f"{heaviest:.2f}" in page.text


def test_the_page_of_two_runs(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = seq2seq.Translator.from_pretrained(STORED)
    model = build_model(stored.config, len(stored.source_vocabulary), len(stored.target_vocabulary))
    untrained = seq2seq.Translator(model, stored.config, stored.source_vocabulary, stored.target_vocabulary)
    untrained.save_pretrained(tmp_path / "untrained")
    command = [*words, "--report", str(tmp_path / "page"), "--compare", str(tmp_path / "untrained")]
    assert main([*command, "--metrics", "bleu,accuracy"]) == 0
    page = written(tmp_path / "page")
    assert "Where untrained loses most" in page.text
    assert "Where untrained gains most" not in page.text
    hypotheses = untrained.translate([source for source, _ in PAIRS])
    references = [target for _, target in PAIRS]
    assert f"BLEU {sacrebleu.corpus_bleu(hypotheses, [references]).score:.2f}" in page.text
    (tmp_path / "page" / "index.html").write_text("mine")
    assert main([*words, "--report", str(tmp_path / "page")]) == 2
    assert "index.html: a file that evaluate has not written" in capsys.readouterr().err
    assert (tmp_path / "page" / "index.html").read_text() == "mine"
    assert main([*words, "--compare", str(tmp_path / "untrained")]) == 2
    assert "--compare goes with --report" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "page")
    generator = STORED.with_name("generator-0.1.0-format2")
    for other, said in ((tmp_path / "none", str(tmp_path / "none")), (generator, "holds a generator; name a run that")):
        assert main([*words, "--report", str(tmp_path / "page"), "--compare", str(other)]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "page").exists(), "refused before anything is translated"
    assert main(["evaluate", str(generator), "--data", str(tmp_path), "--report", str(tmp_path / "p")]) == 2
    assert "--report: for runs that translate text" in capsys.readouterr().err


def test_strange_texts_do_not_lose_the_page(words: list[str], tmp_path: Path) -> None:
    """A blank source, a reference longer than the model reads, other scripts, and what HTML would read."""
    pairs = [("", "X"), ("ba", "KO " * 600), ("<b>&\"'", "x\u202ey <i>"), ("مرحبا", "שלום"), ("$x_1$", "$$")]
    rows = [json.dumps({"en": source, "de": target}) + "\n" for source, target in pairs]
    (tmp_path / "test.jsonl").write_text("".join(rows))
    assert main([*words, "--report", str(tmp_path / "page"), "--metrics", "chrf"]) == 0
    page = written(tmp_path / "page")
    for text in (pairs[2][0], pairs[3][1], pairs[4][0]):
        assert text in page.text


def test_the_list_of_errors(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--errors", str(tmp_path / "e.tsv"), "--metrics", "accuracy"]) == 0
    assert f"seq2seq: errors: {tmp_path / 'e.tsv'}" in capsys.readouterr().err
    rows = [line.split("\t") for line in (tmp_path / "e.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    found = seq2seq.load(STORED).translate([source for source, _ in PAIRS])
    wrong = [
        (str(row), *pair) for row, (pair, output) in enumerate(zip(PAIRS, found, strict=True), 1) if output != pair[1]
    ]
    assert [(row[0], row[1], row[3]) for row in rows] == wrong
    run = tmp_path / "run"
    shutil.copytree(STORED, run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"target_units": "symbols"}))
    assert main([words[0], str(run), *words[2:], "--errors", str(tmp_path / "s.tsv"), "--metrics", "accuracy"]) == 0
    scripts = [line.split("\t")[-1] for line in (tmp_path / "s.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert len(scripts) == len(rows)
    assert {unit for script in scripts for unit in re.findall(r"[A-Z]{2}", script)}  # symbols, not single characters
    (tmp_path / "e.tsv").write_text("mine\n")
    assert main([*words, "--errors", str(tmp_path / "e.tsv")]) == 2
    assert "e.tsv: evaluate has not written that; move it, or choose another --errors" in capsys.readouterr().err
    predictor = STORED.with_name("predictor-0.1.0-format2")
    assert main(["evaluate", str(predictor), "--data", str(tmp_path), "--errors", str(tmp_path / "p")]) == 2
    assert "--errors: for runs that write text" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium is not installed (Debian: chromium, chromium-driver)")
def test_a_browser_shows_it_from_disk(words: list[str], tmp_path: Path) -> None:
    assert main([*words, "--report", str(tmp_path / "page")]) == 0
    with browser() as opened:
        opened.open((tmp_path / "page" / "index.html").as_uri())
        colours = []
        for dark in (False, True):
            opened.emulate(width=360, height=640, dark=dark)
            opened.run("document.querySelectorAll('details').forEach((each) => { each.open = true; });")
            width = opened.run("return [document.documentElement.scrollWidth, innerWidth];")
            assert width[0] <= width[1]
            colours.append(opened.run("return getComputedStyle(document.body).backgroundColor;"))
        assert colours[0] != colours[1]
        assert opened.console() == []


def test_figures_of_single_corpora_are_those_of_each_run(tmp_path: Path) -> None:
    translator, sources = seq2seq.load(STORED), [source for source, _ in PAIRS]
    references = [[target] for _, target in PAIRS]
    parts = [Part("one", slice(0, 2), "de"), Part("two", slice(2, 5), "de")]
    runs = []
    for name, texts in (("good", [target for _, target in PAIRS]), ("bad", ["BA"] * 5)):
        outputs = [Translation(text, 0.0, 0.0, []) for text in texts]
        results = scored(sources, references, outputs, "de", confidence=False, parts=parts)
        runs.append(Answered(name, tmp_path, translator, results, calibration_of(translator, sources, results), {}))
    cells = [texts for texts, signature in _figures(runs) if texts[0].startswith(("one", "two"))]
    assert len(cells) == 2
    for row, part in zip(cells, parts, strict=True):
        for text, run in zip(row, runs, strict=True):
            assert text == f"{part.name}: {run.results.corpora[part.name].describe()}"  # type: ignore[attr-defined]
        assert "BLEU 100.00" in row[0] and "BLEU 100.00" not in row[1]


def test_names_on_the_page_are_readable() -> None:
    corpora = (CorpusConfig("a/x", "en", "de", "<up>"), CorpusConfig("a/x", "de", "en", "<down>"), CorpusConfig("b"))
    assert shown_data(DataConfig(corpora, "en", "de")) == "a/x, b"
    svg = inline_svg(bars_figure(["1"], {"_run": [1.0], "$a$": [2.0]}, "x", "y"), "bars")
    assert "_run" in svg and "$a$" in svg

"""`seq2seq export --web` in headless Chromium: the page answers as the exported program does in Python."""

import json
import math
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seq2seq.cli.main import main
from seq2seq.data.characters import Characters
from seq2seq.data.readers import ReaderConfig
from seq2seq.deploy.web_folder import load_runtime
from seq2seq.errors import UserError
from seq2seq.exported.translate import Exported
from seq2seq.model.frontends import FrontEndConfig
from tests.browser import CHROMIUM, DRIVER, Browser, browser, served, wait
from tests.system.test_predict import store_generator

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium is not installed (Debian: chromium, chromium-driver)"
)
READY = "document.documentElement.dataset.ready"
TYPE = """
const source = document.getElementById("source");
const answered = new Promise((resolve) => addEventListener("answered", (event) => resolve(event.detail)));
source.value = args[0];
source.dispatchEvent(new Event("input"));
return (await answered).time;
"""
SYMBOLS = "\n()+0123456789=abinprt"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser, where the page's runtime can be had."""
    try:
        load_runtime(None)
    except UserError as error:
        pytest.skip(f"onnxruntime-web is not to be had: {error}")
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def translator(toy_run: Path, tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Path:
    """The toy run, exported with its page."""
    place = tmp_path_factory.mktemp("web") / "export"
    assert main(["export", str(toy_run), str(place), "--web", "--check", "4"]) == 0
    return place


def in_browser(chromium: Browser, url: str, inputs: list[Any], n_best: int, make: str = "each") -> list[Any]:
    """Outputs [text, score] of the page's model; make: JavaScript that makes an input of `each`."""
    chromium.open(url)
    script = f"""
        const {{ open }} = await import("./model.js"), model = await open(), found = [];
        for (const each of args[0]) found.push(await model.search({make}, {{ nBest: args[1] }}));
        return found.map(({{ outputs }}) => outputs.map(({{ text, score }}) => [text, score]));"""
    found: list[Any] = chromium.run(script, inputs, n_best)
    return found


def compare(found: list[Any], expected: list[Any]) -> None:
    assert [[text for text, _ in each] for each in found] == [[each.text for each in best] for best in expected]
    for each, best in zip(found, expected, strict=True):
        assert [score for _, score in each] == pytest.approx([one.score for one in best], abs=1e-4)


def test_the_page_translates_as_the_program_does(translator: Path, toy_data: Path, chromium: Browser) -> None:
    """All test sentences, three outputs each; blank ones, unknown characters and long ones, too."""
    rows = (toy_data / "test.jsonl").read_text(encoding="utf-8").splitlines()
    sentences = [*(json.loads(row)["en"] for row in rows), "", "  ", "Ω ba €", "ba ko " * 60]
    with served(translator / "web") as url:
        found = in_browser(chromium, url, sentences, 3)
    compare(found, Exported(translator).search(sentences, 3))


def test_what_is_typed_is_translated_and_nothing_leaves_the_folder(translator: Path, chromium: Browser) -> None:
    sentence = "ba ko mi lu"
    best = Exported(translator).search([sentence], 3)[0]
    with served(translator / "web") as url:
        chromium.open(url)
        wait(chromium, READY)
        time_taken = chromium.run(TYPE, sentence)
        shown = chromium.run(
            "const text = (id) => document.getElementById(id).textContent;"
            "return [text('best'), text('timing'), [...document.querySelectorAll('#list tr td:last-child')]"
            ".map((each) => each.textContent), text('title'), performance.getEntriesByType('resource')"
            ".map((each) => each.name), document.activeElement.id];"
        )
        milliseconds = math.floor(time_taken + 0.5)  # as JavaScript rounds: Python takes 94.5 to 94
        assert shown[:4] == [best[0].text, f"{milliseconds} ms", [each.text for each in best], "English to German"]
        assert shown[4]
        assert all(name.startswith(url) for name in shown[4])
        assert shown[5] == "source"
        refused = "return await fetch(args[0]).then(() => false, () => true);"
        assert chromium.run(refused, "http://127.0.0.1:9/")
        assert any("Content Security Policy" in line for line in chromium.console())  # even the page's own code
        words = chromium.run(
            "const words = document.querySelectorAll('#target-words button'); words[0].focus();"
            "words[0].dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));"
            "return [[...words].map((each) => each.textContent), document.activeElement.textContent,"
            "document.getElementById('attention-text').textContent, document.querySelector('.chosen').textContent];"
        )
        assert words[0] == best[0].text.split()
        assert words[1] == words[3] == words[0][1]
        assert words[2].startswith(f"{words[0][1]}: ")
        chromium.emulate(width=320, height=700)
        assert chromium.run("return document.documentElement.scrollWidth <= innerWidth && innerWidth === 320")
        assert chromium.console() == []


def test_a_stale_translation_is_never_shown(translator: Path, chromium: Browser) -> None:
    """Keys arrive before, while and after a search runs; the last text's translation alone is shown last."""
    texts = ["ba ko " * 30, "mi lu " * 30, "te so " * 20, "ra ne"]
    with served(translator / "web") as url:
        chromium.open(url)
        wait(chromium, READY)
        shown = chromium.run(
            """
            const source = document.getElementById("source"), shown = [];
            const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
            new MutationObserver(() => shown.push(document.getElementById("best").textContent))
              .observe(document.getElementById("best"), { childList: true });
            for (const text of args[0]) {
              source.value = text;
              source.dispatchEvent(new Event("input"));
              await pause(155 + 10 * shown.length);  // the search has just begun
            }
            await pause(1500);
            return shown;""",
            texts,
        )
    expected = Exported(translator).translate(texts)
    assert shown[-1] == expected[-1]
    assert [expected.index(each) for each in shown] == sorted(expected.index(each) for each in shown)


def exported(tmp_path: Path, front_end: FrontEndConfig, reader: ReaderConfig) -> Exported:
    store_generator(tmp_path / "run", front_end, reader)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "export"), "--web", "--check", "2"]) == 0
    return Exported(tmp_path / "export")


def test_sound_is_written_down(tmp_path: Path, chromium: Browser) -> None:
    model = exported(
        tmp_path, FrontEndConfig("features", 6, normalise=True), ReaderConfig("sound", 2000, 6, 0.04, 0.02)
    )
    files = [tmp_path / "export" / "web" / f"{number}.wav" for number in range(2)]
    for number, path in enumerate(files):
        samples = np.random.default_rng(number).uniform(-0.5, 0.5, 1500 + 500 * number)
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 2000, 0, "NONE", ""))
            file.writeframes((samples * 32767).astype("<i2").tobytes())
    with served(tmp_path / "export" / "web") as url:
        found = in_browser(chromium, url, [each.name for each in files], 2, "await (await fetch(each)).blob()")
    compare(found, model.search([model.read(str(each)) for each in files], 2))


@pytest.mark.slow
def test_pictures_are_described(tmp_path: Path, chromium: Browser) -> None:
    """Of the model's own size: others are shrunk by another filter than Pillow's."""
    model = exported(tmp_path, FrontEndConfig("image", 3, 16, 12, blocks=2), ReaderConfig("image"))
    picture = tmp_path / "export" / "web" / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)).save(picture)
    with served(tmp_path / "export" / "web") as url:
        found = in_browser(chromium, url, ["a.png"], 2, "await (await fetch(each)).blob()")
        compare(found, model.search([model.read(str(picture))], 2))
        wait(chromium, READY)
        answer = chromium.run(
            """
            const transfer = new DataTransfer();
            transfer.items.add(new File([await (await fetch("a.png")).blob()], "a.png", { type: "image/png" }));
            const answered = new Promise((resolve) => addEventListener("answered", resolve));
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
            await answered;
            return [document.getElementById("best").textContent, document.getElementById("picture").hidden];"""
        )
    assert answer == [found[0][0][0], False]


@pytest.mark.slow
def test_characters_are_read(tmp_path: Path, chromium: Browser) -> None:
    front_end = FrontEndConfig("tokens", len(Characters(SYMBOLS)))
    model = exported(tmp_path, front_end, ReaderConfig("characters", symbols=SYMBOLS))
    programs = ["print(1+2)", "a=12\\nprint(a+3)"]
    with served(tmp_path / "export" / "web") as url:
        found = in_browser(chromium, url, programs, 2)
    compare(found, model.search([model.read(each) for each in programs], 2))


def test_a_missing_file_is_said(translator: Path, chromium: Browser) -> None:
    name = translator / "web" / "model" / "generation_config.json"
    content = name.read_bytes()
    name.unlink()
    try:
        with served(translator / "web") as url:
            chromium.open(url)
            end = time.monotonic() + 20
            while "cannot be loaded" not in (
                said := chromium.run("return document.querySelector('#status').textContent")
            ):
                assert time.monotonic() < end
            assert "generation_config.json: 404" in said
    finally:
        name.write_bytes(content)

"""/v1: n best, scores, attention, settings of the search, models of other kinds; and the page."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import subprocess
import wave
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

import seq2seq
from tests.serving.conftest import STORED, TRANSLATOR, ServerProcess, Start

httpx = pytest.importorskip("httpx")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TEXT = {"q": "ba ko mi", "source": "en", "target": "de"}


def ask(server: ServerProcess, path: str, **content: Any) -> Any:
    answer = httpx.post(server.url + path, timeout=60, **content)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_n_best_of_a_sentence_are_the_translators(server: ServerProcess) -> None:
    asked = {"n_best": 3, "beam_size": 6, "length_penalty": 0.5, "length_penalty_kind": "gnmt", "attention": True}
    answer = ask(server, "/v1/translate", json={**TEXT, **asked})
    del asked["attention"]
    translator = seq2seq.load(TRANSLATOR)
    (best,) = translator.search(["ba ko mi"], **asked)
    (sentence,) = answer["translation"]["sentences"]
    for shown, each in zip(sentence["candidates"], best, strict=True):
        assert shown["text"] == each.text
        assert shown["score"] == pytest.approx(each.score, abs=1e-5)
        assert shown["tokens"] == len(each.tokens)
    assert answer["translation"]["n_best"][0]["text"] == answer["translation"]["text"] == best[0].text
    (alignment,) = translator.align(["ba ko mi"], [best[0]])
    assert sentence["attention"]["source"] == alignment.source
    assert np.allclose(sentence["attention"]["weights"], alignment.weights, atol=1e-5)
    assert (answer["target"], answer["translation"]["source"]) == ("de", "en")


def test_paragraphs_prefixes_and_arrays(server: ServerProcess) -> None:
    text = "ba ko mi. lu te\n\nso."
    parts = ask(server, "/v1/translate", json={**TEXT, "q": text})["translation"]["sentences"]
    assert [part["source"] for part in parts] == ["ba ko mi. lu te", "so."] or len(parts) == 3
    one = ask(server, "/v1/translate", json={**TEXT, "q": text, "split_sentences": False})["translation"]
    assert [part["source"] for part in one["sentences"]] == [text]
    begun = ask(server, "/v1/translate", json={**TEXT, "q": ["ba ko", "so"], "prefix": "RA", "n_best": 2})
    assert all(each["text"].startswith("RA") for each in begun["translation"])
    auto = ask(server, "/v1/translate", data={**TEXT, "source": "auto", "n_best": "2", "attention": "true"})
    assert auto["translation"]["detectedLanguage"] == {"confidence": 100.0, "language": "en"}


def test_what_was_cut_is_said(start: Start) -> None:
    server = start(TRANSLATOR, "--max-input-length", "5", "--split-sentences", "false")
    answer = ask(server, "/v1/translate", json={**TEXT, "q": ["ba ko mi lu te so ra ne", "so"]})
    assert [each["truncated"] for each in answer["translation"]] == [True, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_best": 0},
        {"n_best": 12},
        {"n_best": "many"},
        {"beam_size": 21},
        {"beam_size": 1, "n_best": 2},
        {"beam_size": 1e300},
        {"length_penalty": "x"},
        {"length_penalty": -1},
        {"length_penalty_kind": "other"},
        {"max_length": 100_000},
        {"max_length_ratio": 0},
        {"attention": 1},
        {"attention": "maybe"},
        {"prefix": 3},
        {"prefix": "a" * 1001},
        {"prefix": "RA", "split_sentences": True},
        {"split_sentences": []},
        {"format": "pdf"},
    ],
)
def test_settings_out_of_bounds_get_400(server: ServerProcess, wrong: dict[str, Any]) -> None:
    answer = httpx.post(server.url + "/v1/translate", json={**TEXT, **wrong}, timeout=60)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("path", ["/v1/translate", "/v1/predict"])
def test_a_field_of_an_unknown_name_gets_400(server: ServerProcess, path: str) -> None:
    """LibreTranslate's clients may send what they like."""
    texts = {"model": "en-de", "q": "ba ko mi"} if path == "/v1/predict" else TEXT
    told = "Invalid request: unknown field beamsize; did you mean 'beam_size'?"
    for content in ({"json": {**texts, "beamsize": 1}}, {"data": {**texts, "beamsize": "1"}}):
        answer = httpx.post(server.url + path, timeout=60, **content)
        assert (answer.status_code, answer.json()) == (400, {"error": told})
    assert ask(server, path, json={**texts, "beam_size": 1})
    assert ask(server, "/translate", json={**TEXT, "beamsize": 1})


def test_values_are_named_where_they_are_at_fault(server: ServerProcess) -> None:
    for values, told in (([[1, 2], [1]], "values, row 2: has 1 numbers, but the first row 2"), ([[1, 2]], "values: ")):
        asked = {"model": "generator", "values": values}
        answer = httpx.post(server.url + "/v1/predict", json=asked, timeout=60)
        assert answer.status_code == 400
        assert told in answer.json()["error"]


def stored(kind: str) -> tuple[list[Any], list[Any]]:
    """Inputs of a stored run, and what it answers."""
    expected = json.loads((STORED[kind] / "expected.json").read_text())
    return expected["inputs"], expected["answers"]


def npy(values: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, np.array(values, np.float32))
    return content.getvalue()


def csv(values: Any) -> bytes:
    return "\n".join(",".join(map(str, row)) for row in values).encode()


def test_a_generator_answers_uploads(server: ServerProcess) -> None:
    inputs, answers = stored("generator")
    files = [("file", ("../../etc/passwd", (npy, csv)[row % 2](each))) for row, each in enumerate(inputs)]
    found = ask(server, "/v1/predict", data={"model": "generator"}, files=files)["answers"]
    assert [each["answer"] for each in found] == [text for text, _ in answers]
    assert [each["score"] for each in found] == pytest.approx([score for _, score in answers], abs=1e-4)
    several = {"model": "generator", "values": inputs[0], "n_best": 2, "attention": True}
    (one,) = ask(server, "/v1/predict", json=several)["answers"]
    assert one["n_best"][0]["answer"] == answers[0][0]
    assert len(one["attention"]["weights"]) == len(one["attention"]["target"])


def test_a_predictor_answers_series(server: ServerProcess) -> None:
    inputs, answers = stored("predictor")
    for given, expected in zip(inputs, answers, strict=True):
        (found,) = ask(server, "/v1/predict", json={"model": "predictor", "values": given})["answers"]
        assert np.allclose(found["answer"], expected, atol=1e-4)


def test_a_language_model_goes_on_writing(server: ServerProcess) -> None:
    inputs, answers = stored("characters")
    asked = {"model": "characters", "q": inputs, "length": 5, "temperature": 0.01}
    assert [each["answer"] for each in ask(server, "/v1/predict", json=asked)["answers"]] == [row[0] for row in answers]


def test_a_translator_is_a_model_too(server: ServerProcess) -> None:
    (found,) = ask(server, "/v1/predict", json={"model": "en-de", "q": "ba ko mi"})["answers"]
    assert found["answer"] == "BA KO MI"


def bad_uploads() -> dict[str, tuple[str, bytes]]:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], object), allow_pickle=True)
    huge = npy([[1.0] * 4]).replace(b"(1, 4)", b"(9999999999, 4)")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(2000))
    return {
        "empty": ("generator", b""),
        "no numbers": ("generator", b"a,b\nc,d"),
        "another shape": ("generator", b"1,2\n3,4"),
        "a pickle": ("generator", pickled.getvalue()),
        "a header that lies": ("generator", huge),
        "sound": ("generator", sound.getvalue()),
        "not a number": ("generator", b"nan,1,2,3"),
        "huge numbers": ("predictor", b"1e39"),
        "too long": ("predictor", b"1\n" * 30_000),
    }


@pytest.mark.parametrize("case", bad_uploads())
def test_uploads_that_cannot_be_read_get_400(server: ServerProcess, case: str) -> None:
    model, content = bad_uploads()[case]
    answer = httpx.post(server.url + "/v1/predict", data={"model": model}, files={"file": content}, timeout=60)
    assert answer.status_code == 400
    assert "/tmp" not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "nothing", "q": "a"},
        {"q": "a"},
        {"model": "generator", "q": "a"},
        {"model": "generator", "values": "a"},
        {"model": "generator", "values": [["a"]]},
        {"model": "generator", "values": [[True]]},
        {"model": "generator", "values": {"a": 1}},
        {"model": "predictor", "values": [[1.0]], "beam_size": 3},
        {"model": "predictor", "values": [[1.0]], "attention": True},
        {"model": "characters", "q": "a", "length": 10_000},
        {"model": "characters", "q": "a", "temperature": 0},
        {"model": "characters", "values": [[1]]},
    ],
)
def test_questions_for_another_model_get_400(server: ServerProcess, asked: dict[str, Any]) -> None:
    assert httpx.post(server.url + "/v1/predict", json=asked, timeout=60).status_code == 400


def test_a_body_that_is_too_large_gets_413(server: ServerProcess) -> None:
    answer = httpx.post(server.url + "/v1/predict", files={"file": b"1" * 11_000_000}, timeout=60)
    assert answer.status_code == 413
    # A client that sends all before it reads.
    address = urlsplit(server.url)
    assert address.hostname is not None
    client = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    client.request("POST", "/v1/translate", b"1" * 30_000_000, {"Content-Type": "application/json"})
    assert client.getresponse().status == 413


def test_the_page_needs_nothing_from_elsewhere(server: ServerProcess) -> None:
    page = httpx.get(server.url + "/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.text.startswith("<!doctype html>")
    assert 'lang="en"' in page.text
    assert "style=" not in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=", page.text)
    names = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    scripts = [name for name in names if name.endswith(".js")]
    assert scripts
    for name in names:
        found = httpx.get(f"{server.url}/{name}")
        assert found.status_code == 200
        for other in re.findall(r'from "\./([^"]+)"', found.text):
            assert httpx.get(f"{server.url}/page/{other}").status_code == 200
        assert not re.search(r"https?://|innerHTML|eval\(", found.text)


def test_the_page_is_part_of_the_package() -> None:
    from setuptools.config.setupcfg import read_configuration

    root = Path(seq2seq.__file__).parents[1]
    data = read_configuration(root / "setup.cfg")["options"]["package_data"]["seq2seq"]
    assert "serving/page/*" in data


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("text", ["ba ko mi", "<img src=x onerror=alert(1)>"])
def test_the_page_translates_in_a_browser(server: ServerProcess, tmp_path: Path, text: str) -> None:
    words = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--enable-logging=stderr"]
    words += ["--virtual-time-budget=8000", "--dump-dom", f"{server.url}/#q={quote(text)}"]
    ended = subprocess.run([str(CHROMIUM), *words], capture_output=True, text=True, timeout=120)
    expected = seq2seq.load(TRANSLATOR).translate([text])[0]
    shown = re.search(r"<output[^>]*>(.*?)</output>", ended.stdout, re.DOTALL)
    assert shown is not None, ended.stderr
    assert unescape(shown[1]) == expected
    assert "English" in ended.stdout and "German" in ended.stdout
    assert "<img" not in ended.stdout
    assert "Refused to" not in ended.stderr and "Uncaught" not in ended.stderr

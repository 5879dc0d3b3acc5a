"""The page's search, subwords and log-mel, run by node, beside what the exported program computes in Python."""

import io
import json
import random
import shutil
import subprocess
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sentencepiece

from seq2seq.data.units import unit_vocabulary
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.deploy.web_folder import PAGE
from seq2seq.exported.inputs import log_mel, read_sound
from seq2seq.exported.parts import END, Subwords
from seq2seq.exported.translate import Beam, Search, by_sentences

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed (Debian: nodejs)")


def node(folder: Path, module: str, script: str, given: Any) -> Any:
    """What a script returns; `given` and the module's exports as `its` are in its scope."""
    for path in PAGE.glob("*.js"):
        shutil.copyfile(path, folder / path.name)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "given.json").write_text(json.dumps(given))
    program = (
        f'import * as its from "./{module}.js"; import fs from "node:fs";\n'
        f'const given = JSON.parse(fs.readFileSync("given.json"));\n'
        f"const answer = await (async () => {{ {script} }})();\n"
        f'fs.writeFileSync("answer.json", JSON.stringify(answer));\n'
    )
    (folder / "program.js").write_text(program)
    subprocess.run([str(NODE), "program.js"], cwd=folder, check=True, timeout=120)
    return json.loads((folder / "answer.json").read_text())


def search_by_table(table: np.ndarray, search: Search, n_best: int, limit: int) -> list[Any]:
    """Beam search where a token's probabilities depend on the token before it and on the step."""

    def step(tokens: np.ndarray, count: int, state: dict[str, np.ndarray]) -> Any:
        probabilities = table[state["time"][0] % len(table)][tokens]
        best = np.argsort(-probabilities, -1, kind="stable")[..., :count]
        following = {"time": np.repeat(state["time"][:1] + 1, tokens.size)}
        return np.take_along_axis(probabilities, best, -1), best, probabilities[..., END], following

    beam = Beam(np.array([limit]), search, n_best, table.shape[-1])
    return [list(each) for each in beam.run(step, {"time": np.zeros(1, np.int64)}, set())[0]]


SEARCH = """
return Promise.all(given.map(async ({ table, settings, nBest, limit }) => {
  let time = 0;
  const step = (tokens, count) => {
    const rows = tokens.map((token) => table[time % table.length][token].map(Math.fround));
    const order = rows.map((row) => row.map((_, n) => n).sort((a, b) => row[b] - row[a]).slice(0, count));
    time += 1;
    return {
      logProbs: order.flatMap((best, n) => best.map((each) => rows[n][each])), next: order.flat(),
      end: rows.map((row) => row[3]), attention: tokens.map(() => [1]),
    };
  };
  const beam = new its.Beam(limit, settings, nBest, table[0].length);
  const found = await beam.run(step, () => {});
  return found.map(({ score, logProbability, tokens }) => [score, logProbability, tokens]);
}));
"""


def test_the_beam_search_of_the_page_is_that_of_the_program(tmp_path: Path) -> None:
    """Of random tables, half of them with many ties: same tokens, same order, same 32-bit numbers."""
    generator = np.random.default_rng(1)
    cases, expected = [], []
    for number in range(120):
        size = int(generator.integers(5, 9))
        table = generator.normal(-2, 1, (3, size, size)).astype(np.float32)
        if number % 2:
            table = (np.round(table * 2) / 2).astype(np.float32)
        search = Search(int(generator.integers(1, 7)), float(generator.choice([0.0, 1.0])), "average")
        n_best, limit = int(generator.integers(1, search.beam_size + 1)), int(generator.integers(1, 12))
        expected.append(search_by_table(table, search, n_best, limit))
        cases.append({"table": table.tolist(), "settings": search._asdict(), "nBest": n_best, "limit": limit})
    found = node(tmp_path, "search", SEARCH, cases)
    assert found == expected
    assert sum(len(each) > 1 for each in expected) > 40


def test_scores_and_limits_of_the_page_are_those_of_the_program(tmp_path: Path) -> None:
    cases = [
        [total, length, {**Search(5, exponent, kind, 30, 1.7)._asdict()}]
        for total in (-0.3, -11.7)
        for length in (1, 6, 29)
        for exponent in (0.0, 0.6, 1.0, 2.0)
        for kind in ("average", "gnmt")
    ]
    script = "return given.map(([t, n, s]) => [its.scoreOf(Math.fround(t), n, s), its.limitOf(n, s)]);"
    for (total, length, settings), (score, limit) in zip(cases, node(tmp_path, "search", script, cases), strict=True):
        search = Search(**settings)
        numbers = np.array([length])
        assert limit == search.limits(numbers)[0]
        wanted = search.score(np.float32([total]), numbers.astype(np.float32))[0]
        assert score == pytest.approx(float(wanted), rel=2e-7)  # the power is rounded once less than in C


def written_text() -> list[str]:
    """Sentences of common words, dates and numbers with many ways to cut them, and characters of all sorts."""
    drawn = random.Random(3)
    words = ["der", "die", "alte", "altes", "Haus", "Häuser", "walk", "walked", "walking", "10,000", "95.000"]
    words += ["a", "aa", "aaa", "b", "bb", "½", "№5", "…"]
    sentences = [" ".join(drawn.choices(words, k=drawn.randint(1, 12))) for _ in range(600)]
    numbers = ["".join(drawn.choices("0a", weights=(6, 1), k=drawn.randint(100, 400))) for _ in range(100)]  # ties
    odd = "ab1  \u00a0\t\u3000éäß€漢字😀\u0301\u200b\x01ﬁ①½Ａ\ufeff\r\u2581<>/s"
    return [
        *sentences,
        *numbers,
        *("".join(drawn.choices(odd, k=drawn.randint(0, 25))) for _ in range(300)),
        *("", "  ", "</s> a", "<unk>", "\u2581 \u2581", "a" * 3000, "\ud800x"),
    ]


@pytest.mark.parametrize(
    ("kind", "rule", "fallback"),
    [
        ("unigram", "nmt_nfkc", True),
        ("unigram", "identity", False),
        ("bpe", "nmt_nfkc_cf", True),
        ("bpe", "nfkc", False),
        ("char", "nmt_nfkc", False),
        ("word", "nfkc_cf", False),
    ],
)
def test_the_page_cuts_text_as_sentencepiece_does(kind: str, rule: str, fallback: bool, tmp_path: Path) -> None:
    texts, model = written_text(), io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts[:700]),
        model_writer=model,
        model_type=kind,
        vocab_size=340 if fallback else 60,
        hard_vocab_limit=False,
        byte_fallback=fallback,
        normalization_rule_name=rule,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    path = tmp_path / "model"
    path.write_bytes(model.getvalue())
    ours = Subwords(path)
    drawn = random.Random(4)
    ids = [drawn.choices(range(len(ours)), k=drawn.randint(0, 20)) for _ in range(300)]
    script = (
        "const its_own = new its.Subwords(new Uint8Array(fs.readFileSync('model')));"
        "return [given[0].map((each) => its_own.encode(each)), given[1].map((each) => its_own.decode(each))];"
    )
    encoded, decoded = node(tmp_path, "subwords", script, [texts, ids])
    wanted = [ours.encode([text])[0] for text in texts]
    assert [(a, b, c) for a, b, c in zip(texts, encoded, wanted, strict=True) if b != c] == []
    assert [(a, b, c) for a, b, c in zip(ids, decoded, ours.decode(ids), strict=True) if b != c] == []


@pytest.mark.parametrize(("units", "kind"), [("subwords", "unigram"), ("subwords", "bpe"), ("characters", "unigram")])
def test_the_page_reads_tags_as_the_program_does(units: str, kind: str, tmp_path: Path) -> None:
    texts = written_text()
    config = VocabularyConfig(size=400, model_type=kind)  # type: ignore[arg-type]
    vocabulary = unit_vocabulary(texts[:700], units, config, 1, tags=["<2de>", "<2fr>"])  # type: ignore[arg-type]
    vocabulary.save(tmp_path / "model")
    tagged = [f"{tag}{text}" for tag in ("<2de> ", "<2fr> ", "<2de>", "<x> ") for text in texts[:60]]
    script = (
        "const its_own = new its.Subwords(new Uint8Array(fs.readFileSync('model')));"
        "return given.map((each) => its_own.encode(each));"
    )
    wanted = vocabulary.encode_batch(tagged)
    encoded = node(tmp_path, "subwords", script, tagged)
    assert [(a, b, c) for a, b, c in zip(tagged, encoded, wanted, strict=True) if b != c] == []


def test_the_page_refuses_a_text_without_the_tag_that_is_needed(tmp_path: Path) -> None:
    script = (
        "const said = (text, tags) => { try { its.checkTag(text, tags); return ''; } catch (e) { return e.message; } };"
        "return given.map(([text, tags]) => said(text, tags));"
    )
    tags = ["<up>", "<down>"]
    given = [[text, tags] for text in ("  <up> ba", "", "ba", "<upper> ba")]
    refused = "The text begins with none of the tags that this model reads, <up>, <down>"
    assert node(tmp_path, "inputs", script, [*given, ["ba", []]]) == ["", "", refused, refused, ""]


@pytest.mark.parametrize(("units", "kind"), [("subwords", "unigram"), ("subwords", "bpe"), ("characters", "unigram")])
def test_an_export_gives_each_sentence_the_tag_of_its_line(units: str, kind: str, tmp_path: Path) -> None:
    pytest.importorskip("sentencex")
    config = VocabularyConfig(size=320, model_type=kind)  # type: ignore[arg-type]
    tags = ["<2de>", "<2fr>"]
    unit_vocabulary(written_text()[:200], units, config, 1, tags=tags).save(tmp_path / "model")  # type: ignore[arg-type]
    source = Subwords(tmp_path / "model")
    assert source.tags() == tags
    given: list[str] = []
    model: Any = SimpleNamespace(
        source=source, config={"languages": {}}, translate=lambda texts: given.extend(texts) or texts
    )
    lines = list(by_sentences(model, iter(["<2de> One is here.  Two is!", "", "<2xx> Three. Four!"]), {}))
    assert given[:2] == ["<2de> One is here.", "<2de> Two is!"]
    assert given[-1] == "Four!"
    assert lines[1:] == ["\n", "<2xx> Three. Four!\n"]


@pytest.mark.parametrize(("rate", "bands", "window", "step"), [(8000, 40, 0.025, 0.01), (16000, 80, 0.032, 0.0125)])
def test_log_mel_of_the_page_is_that_of_the_program(
    rate: int, bands: int, window: float, step: float, tmp_path: Path
) -> None:
    generator = np.random.default_rng(2)
    times = np.arange(int(0.4 * rate)) / rate
    samples = (0.3 * np.sin(2 * np.pi * 440 * times) + 0.1 * generator.normal(size=len(times))).clip(-1, 1)
    samples[len(samples) // 2 :] = 0  # silence, where the smallest number is added
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    settings = {"rate": rate, "bands": bands, "window_seconds": window, "step_seconds": step}
    script = (
        "const bytes = fs.readFileSync('sound.wav'), plain = new Uint8Array(bytes).buffer;"
        "let cut = ''; try { its.plainWav(plain.slice(0, 1000), given.rate); } catch (fault) { cut = fault.message; }"
        "return [[...its.logMel(its.plainWav(plain, given.rate), given).data], its.plainWav(plain, 123), cut];"
    )
    found, other, cut = node(tmp_path, "sound", script, settings)
    expected = read_sound(tmp_path / "sound.wav", settings)
    assert expected.shape == log_mel(samples.astype(np.float32), **settings).shape  # type: ignore[arg-type]
    assert np.abs(np.array(found).reshape(expected.shape) - expected).max() < 1e-4
    assert cut == "the recording is cut off; replace it"
    assert other is None  # of another rate: the browser resamples


def test_attention_is_summed_over_words(tmp_path: Path) -> None:
    """Two pieces of an output word are averaged, two of an input word added; the end of sentence is left out."""
    given = [["▁a", "b", "▁c"], ["▁x", "▁y", "z", "</s>"], [[0.5, 0.1, 0.3, 0.1], [0.1, 0.2, 0.2, 0.5], [0, 0, 1, 0]]]
    script = (
        "const [targets, sources] = [its.words(given[0]), its.words(given[1])];"
        "return [targets.map((t) => t.text), sources.map((t) => t.text), its.ofWords(given[2], targets, sources)];"
    )
    targets, sources, weights = node(tmp_path, "attention", script, given)
    assert (targets, sources) == (["ab", "c"], ["x", "yz"])
    assert np.allclose(weights, [[0.3, 0.4], [0, 1]])


def test_names_of_frames_are_few_and_follow_the_encoder(tmp_path: Path) -> None:
    """Tenths of a second, or longer stretches of a long recording; frames that an encoder joins share a name."""
    script = (
        "const [short, long] = given.map((frames) => its.times(frames, 0.01));"
        "const count = (names) => names.filter((each) => each).length;"
        "return [short, count(long), long.length, its.joined(short, 8), its.joined(['a', 'b'], 2)];"
    )
    short, count, length, halved, same = node(tmp_path, "inputs", script, [15, 1000])
    assert short == ["▁0.0 s", *[""] * 9, "▁0.1 s", *[""] * 4]
    assert (count, length) == (20, 1000)
    assert halved == ["▁0.0 s", *[""] * 4, "▁0.1 s", "", ""]
    assert same == ["a", "b"]

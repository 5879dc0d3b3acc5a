"""Trainings on several corpora: what they equal, what they draw, how they go on; by the command line, too."""

import itertools
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import g2p_languages
import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.mixing import CorpusConfig
from seq2seq.data.symbols import EOS_ID
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.deploy.export import _config
from seq2seq.deploy.plans import Plan
from seq2seq.errors import UserError
from seq2seq.runtime.distributed import World
from seq2seq.serving.backend import LoadOptions, Source
from seq2seq.serving.torch_backend import open_run
from seq2seq.tasks.base import Run
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.splits import held_out
from seq2seq.tasks.translation import prepare, run
from tests.comparison import assert_same, final_state
from tests.conftest import toy_config
from tests.integration.test_resume import interrupt_after


@pytest.fixture(scope="module")
def halves(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The toy task in two folders, with 300 and 100 pairs to train on."""
    folders = [tmp_path_factory.mktemp("half") / name for name in ("first", "second")]
    for folder in folders:
        shutil.copytree(toy_data, folder)
    lines = (toy_data / "train.jsonl").read_text().splitlines(keepends=True)
    for folder, part in zip(folders, (lines[:300], lines[300:]), strict=True):
        (folder / "train.jsonl").write_text("".join(part))
    return folders


def mixed(data: list[Any], output: Path, **settings: Any) -> ExperimentConfig:
    options = {name: settings.pop(name) for name in list(settings) if name in ("max_steps", "validate_every_steps")}
    usual = toy_config(Path("unused"), output, **{"epochs": 2, **options})
    return replace(usual, **{"data": data, "test_split": "", **settings})


def contents(config: ExperimentConfig) -> list[Any]:
    """All that training gets of the data: the vocabulary, the batches of two epochs, the validation pairs, and the
    fingerprint of the data."""
    config.directory().mkdir()
    prepared = prepare(config, Run(config, config.directory(), World()))
    batches = [batch for epoch in (0, 1) for batch in prepared.batches.iterate(epoch)]
    vocabulary = prepared.source_vocabulary.fingerprint()
    return [
        vocabulary,
        [[field.tolist() for field in batch] for batch in batches],
        prepared.validator,
        prepared.fingerprint,
    ]


def test_two_corpora_without_weights_are_one_after_the_other(
    toy_data: Path, halves: list[Path], tmp_path: Path
) -> None:
    whole = contents(replace(toy_config(toy_data, tmp_path / "whole"), test_split=""))
    both = contents(mixed(halves, tmp_path / "mixed"))
    assert len(whole[1]) > 20
    assert whole[:2] == both[:2]
    assert [*whole[2].pairs] * 2 == both[2].pairs  # both have the same validation file


@pytest.mark.parametrize("streaming", [False, True])
def test_a_corpus_of_weight_0_is_left_out(streaming: bool, halves: list[Path], tmp_path: Path) -> None:
    settings = {"streaming": True, "max_steps": 9, "shuffle_buffer_size": 50} if streaming else {}
    both = [CorpusConfig(str(halves[0]), weight=0), CorpusConfig(str(halves[1]), weight=1)]
    alone, other = (mixed(data, tmp_path / name, **settings) for name, data in (("1", [halves[1]]), ("2", both)))
    one, two = contents(alone), contents(other)
    assert len(one[1]) > 5
    assert (one[:2], one[2].pairs, one[3]) == (two[:2], two[2].pairs, two[3])


def test_a_corpus_without_validation_data_is_only_trained_on(
    halves: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    shutil.copy(halves[1] / "train.jsonl", made)
    (tmp_path / "run").mkdir()
    config = mixed([halves[0], made], tmp_path / "run")
    prepared = prepare(config, Run(config, tmp_path / "run", World()))
    assert len(prepared.validator.pairs) == 24
    assert prepared.batches.batches_per_epoch > 10
    assert f"no validation data of one corpus: {made}: no split 'validation'" in caplog.text
    (made / "validation.jsonl").write_text("{")  # which is a mistake, not an absence
    with pytest.raises(UserError, match=r"made.*validation\.jsonl"):
        held_out(config, "validation")
    (made / "validation.jsonl").unlink()
    with pytest.raises(UserError, match="no split 'validation'"):
        prepare(mixed([made, made], tmp_path / "run"), Run(config, tmp_path / "run", World()))


@pytest.mark.parametrize("streaming", [False, True])
def test_batches_hold_the_corpora_by_their_weights(streaming: bool, halves: list[Path], tmp_path: Path) -> None:
    weights = {"<one>": 1.0, "<two>": 4.0}
    data = [CorpusConfig(str(path), "", "", *each) for path, each in zip(halves, weights.items(), strict=True)]
    config = mixed(data, tmp_path / "run", streaming=streaming, max_steps=9)
    (tmp_path / "run").mkdir()
    prepared = prepare(config, Run(config, tmp_path / "run", World()))
    pieces = prepared.source_vocabulary.pieces(range(len(prepared.source_vocabulary)))
    counts = [Counter[str](), Counter[str]()]
    for epoch, counted in enumerate(counts):
        for batch in prepared.batches.iterate(epoch):
            counted.update(pieces[row[0]].strip("\u2581") for row in batch.source.tolist())
    if streaming:  # until the larger one has ended: 300 pairs are a fifth of what is drawn, 300 of a negative binomial
        assert all(counted["<one>"] == 300 for counted in counts)
        assert all(counted["<two>"] == pytest.approx(1_200, abs=4 * 78) for counted in counts)
        assert counts[0] != counts[1]
    else:
        assert counts == [{"<one>": 80, "<two>": 320}] * 2


def test_translations_by_a_model_are_a_corpus_beside_real_pairs(toy_data: Path, toy_run: Path, tmp_path: Path) -> None:
    """docs/mixing.md: a teacher's targets (Kim & Rush 2016), and sources of given targets, tagged."""
    for column, made in (("en", "distilled.jsonl"), ("de", "back.jsonl")):
        words = ["--input", str(toy_data / "train.jsonl"), "--output", str(tmp_path / made), "--column", column]
        assert main(["translate", str(toy_run), *words]) == 0
    distilled = CorpusConfig(str(tmp_path / "distilled.jsonl"), "en", "translation")
    back = CorpusConfig(str(tmp_path / "back.jsonl"), "translation", "de", tag="<bt>")
    config = mixed([CorpusConfig(str(toy_data), "en", "de"), distilled, back], tmp_path / "run")
    (tmp_path / "run").mkdir()
    prepared = prepare(config, Run(config, tmp_path / "run", World()))
    source, target = prepared.source_vocabulary, prepared.target_vocabulary
    drawn = Counter(
        (
            source.decode([each for each in read if each > EOS_ID]),
            target.decode([each for each in written if each > EOS_ID]),
        )
        for batch in prepared.batches.iterate(0)
        for read, written in zip(batch.source.tolist(), batch.target_output.tolist(), strict=True)
    )
    translator, rows = seq2seq.load(toy_run), [json.loads(line) for line in (toy_data / "train.jsonl").open()]
    expected = Counter((row["en"], row["de"]) for row in rows)
    for column, pair in (
        ("en", lambda row, made: (row["en"], made)),
        ("de", lambda row, made: (f"<bt> {made}", row["de"])),
    ):
        made = [best[0].text for best in translator.search([row[column] for row in rows])]
        expected.update(pair(row, text) for row, text in zip(rows, made, strict=True) if text)
    assert drawn == expected


@pytest.mark.parametrize("streaming", [False, True])
def test_a_resumed_mix_equals_an_uninterrupted_one(
    streaming: bool, halves: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> ExperimentConfig:
        weights = (0.3, 0.7) if streaming else (None, None)
        data = [
            CorpusConfig(str(path), tag=tag, weight=weight)
            for path, tag, weight in zip(halves, ("<one>", "<two>"), weights, strict=True)
        ]
        options = {"streaming": True, "shuffle_buffer_size": 100} if streaming else {"mixing_temperature": 3.0}
        return mixed(data, tmp_path / name, max_steps=12, validate_every_steps=6, **options)

    run(config("whole"))
    for step in (2, 8):
        interrupt_after(step, config("run"), monkeypatch)
    run(config("run"))
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "run"))
    figures = final_state(tmp_path / "run")["validations"][-1]
    assert {"validation_bleu", "validation_bleu_one", "validation_bleu_two"} <= figures.keys()
    changed = [replace(each, tag=each.tag.replace("two", "three")) for each in config("run").corpora()]
    with pytest.raises(UserError, match=r"other settings: corpora was .*'<two>'.*, is .*'<three>'"):
        run(replace(config("run"), data=changed))


def test_weights_and_a_temperature_are_two_ways_to_say_what_is_drawn(
    halves: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", *(f"--data={{path: {path}, weight: 1}}" for path in halves), "--source", "en", "--target", "de"]
    words += ["--output", str(tmp_path / "run"), "--vocabulary.size", "300", "--dry-run"]
    assert main([*words, "--mixing-temperature", "5"]) == 2
    assert "mixing_temperature is for corpora without weights, which are given: leave" in capsys.readouterr().err
    assert main(words) == 0


def test_a_tag_that_a_given_vocabulary_lacks_is_refused(toy_run: Path, halves: list[Path], tmp_path: Path) -> None:
    data = [CorpusConfig(str(path), tag="<one>") for path in halves]
    with pytest.raises(UserError, match=f"{toy_run}: its vocabulary lacks the tag <one>; train a vocabulary with it"):
        run(mixed(data, tmp_path / "run", start_from=str(toy_run)))
    given = VocabularyConfig(source_model=toy_run / "joint.spm.model")
    with pytest.raises(UserError, match=r"joint\.spm\.model: its vocabulary lacks the tag <one>"):
        run(mixed(data, tmp_path / "other", vocabulary=given))


def test_a_mix_by_the_command_line(
    toy_data: Path, halves: list[Path], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    data = ["--data", f"{{path: {toy_data}, source: en, target: de, tag: <up>}}"]
    data += ["--data", f"{{path: {halves[0]}, source: de, target: en, tag: <down>}}"]
    sizes = ["--model.embedding-size", "16", "--model.encoder.hidden-size", "16", "--model.decoder.hidden-size", "24"]
    output = tmp_path / "run"
    assert main(["train", *data, *sizes, "--vocabulary.size", "320", "--quick", "--output", str(output)]) == 0
    printed = capfdbinary.readouterr().out.decode()
    assert "test, up\tBLEU" in printed
    assert "test, down\tBLEU" in printed
    (tmp_path / "bare").write_text("ba ko\n<down> MI LU\n\n")
    (tmp_path / "tagged").write_text("<up> ba ko\n<down> MI LU\n\n")
    answers = []
    for words in (["bare", "--tag", "<up>"], ["tagged"], ["tagged", "--tag", "<down>"]):
        assert main(["translate", str(output), str(tmp_path / words[0]), *words[1:], "--scores"]) == 0
        answers.append(capfdbinary.readouterr().out)
    assert answers[0].count(b"\n") == 3
    assert answers[0] == answers[1] == answers[2]
    texts = {name: (tmp_path / name).read_text().split("\n")[:-1] for name in ("bare", "tagged")}
    found = [seq2seq.ColumnTranslator(output, "en", tag="<up>")({"en": each}) for each in texts.values()]
    assert found[0]["translation"] == found[1]["translation"] == seq2seq.load(output).translate(texts["tagged"])
    with pytest.raises(UserError, match="'ba ko' begins with none of the tags that this model reads, <up>, <down>"):
        seq2seq.ColumnTranslator(output, "en")({"en": texts["bare"]})
    served = open_run(Source(str(output)), LoadOptions())
    assert served.tags == ["<up>", "<down>"]
    seq2seq.load(output).save_pretrained(tmp_path / "saved")
    translators = seq2seq.load(output), seq2seq.load(tmp_path / "saved")
    none = r"none of the tags that this model reads, <up>, <down>"
    for ask in (
        *(each.translate for each in translators),
        translators[0].search,
        lambda texts: list(translators[0].stream(texts)),
        lambda texts: translators[0].score(texts, texts),
        lambda texts: translators[0].align(texts, texts),
        lambda texts: served.search(texts, 1),
    ):
        ask(["<up> ba ko", "", "<down> MI LU"])
        with pytest.raises(UserError, match=f"'ba ko' begins with {none}; put one of them before it"):
            ask(["<up> ba", "ba ko"])
    facts = {"run": "r", "precision": "fp32", "format": "torch", "languages": {}}
    written = _config(Plan({}, {"vocabularies": {}}), translators[1], tmp_path, facts)
    assert written["needed_tags"] == ["<up>", "<down>"]
    capfdbinary.readouterr()
    for words in (["bare", "--tag", "<up>"], ["tagged"]):
        assert main(["translate", str(output), str(tmp_path / words[0]), *words[1:], "--wait-k", "2"]) == 0
        answers.append(capfdbinary.readouterr().out)
    assert answers[-1] == answers[-2]
    for words, message in (
        ([], b"line 1: begins with none of the tags that this model reads, <up>, <down>; give --tag"),
        (["--wait-k", "2"], b"line 1: begins with none of the tags that this model reads, <up>, <down>; give --tag"),
        (["--tag", "<left>"], b"--tag must be one of <up>, <down>"),
        (["--wait-k", "2", "--tag", "<left>"], b"--tag must be one of <up>, <down>"),
    ):
        assert main(["translate", str(output), str(tmp_path / "bare"), *words]) == 2
        assert message in capfdbinary.readouterr().err
    assert main(["evaluate", str(output), "--target", "en", "--json"]) == 0
    figures = json.loads(capfdbinary.readouterr().out)
    assert figures["sentences"] == 24
    assert main(["evaluate", str(output), "--target", "fr"]) == 2
    assert b"was trained on no corpus of --target fr" in capfdbinary.readouterr().err
    untagged = ["--data", str(toy_data), "--source", "en", "--target", "de"]
    assert main(["evaluate", str(output), *untagged]) == 2
    assert b"split test, source 1: begins with none of the tags that this model reads" in capfdbinary.readouterr().err


@pytest.mark.slow
def test_one_model_of_several_languages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["".join(letters) for letters in itertools.product("abc", repeat=4)]
    for name, written in (("xxx", str.upper), ("yyy", lambda word: word[::-1])):
        rows = [f"{word}\t{' '.join(written(word))}\n" for word in words]
        (tmp_path / f"{name}_train.tsv").write_text("".join(rows[:70]))
        (tmp_path / f"{name}_dev.tsv").write_text("".join(rows[70:]))
    config = replace(g2p_languages.CONFIG, data=str(tmp_path), output=str(tmp_path / "runs"), quick=True)
    g2p_languages.main(replace(config, multilingual=True))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["xxx", "yyy", "mean of 2"]
    run = tmp_path / "runs" / "multilingual"
    stored = json.loads((run / "evaluation" / "test.metrics.json").read_text())
    assert stored["corpora"].keys() == {"xxx", "yyy"}
    for line in lines[:2]:  # the table's figures are those of the corpora, which were worked out another way
        name, figures, _ = line.split("\t")
        wrong = 100 - stored["corpora"][name]["exact_match"]
        assert figures == f"words with an error {wrong:.2f} %"
    translator = seq2seq.load(run)
    assert translator.tags == ["<xxx>", "<yyy>"]
    assert len(translator.source_vocabulary.encode("<xxx> abca")) == 5

"""The command line as a user meets it: lines in, lines out; one clear line and status 2 where the input is at fault."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.evaluation.error_rates import error_rates
from tests.conftest import write_toy_data


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Gives standard input some bytes."""

    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def command(capture: pytest.CaptureFixture[bytes], *arguments: object) -> bytes:
    """Standard output of a command that ends well."""
    capture.readouterr()
    assert main([str(argument) for argument in arguments]) == 0
    output: bytes = capture.readouterr().out
    return output


def test_translates_line_by_line(toy_run: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    stdin(b"ba ko mi\nlu te\n")
    assert command(capsysbinary, "translate", toy_run) == b"BA KO MI\nLU TE\n"


ODD_LINES = [
    b"ba",
    b"",
    b"   ",
    "ko\u2028mi".encode(),
    b"lu\rte",
    b"\x00",
    "\ufeffba".encode(),
    b"b\xff",
    b"ba " * 3000,
    b"</s> ba",
]


def test_a_line_out_for_every_line_in(toy_run: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    """Blank lines stay blank; nothing but a line feed ends a line; no character ends the program."""
    stdin(b"\n".join(ODD_LINES))  # the last line has no line feed
    lines = command(capsysbinary, "translate", toy_run, "--beam-size", 2, "--max-length", 20).split(b"\n")
    assert len(lines) == len(ODD_LINES) + 1
    assert lines[1] == lines[2] == lines[-1] == b""
    assert lines[0] == b"BA"


def test_nothing_in_nothing_out(toy_run: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    stdin(b"")
    assert command(capsysbinary, "translate", toy_run) == b""


def test_files_are_read_one_after_the_other(toy_run: Path, tmp_path: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    """Before options and behind them; a last line without a line feed does not run into the next file's first."""
    (tmp_path / "a").write_text("ba ko\nmi")
    (tmp_path / "b").write_text("lu te\n")
    for words in (["a", "-", "b"], ["a", "--beam-size", "2", "-", "--scores", "b"]):
        stdin(b"so\n")
        given = [word if word[0] in "-2" else str(tmp_path / word) for word in words]
        rows = command(capsysbinary, "translate", toy_run, *given).splitlines()
        assert [row.split(b"\t")[-1] for row in rows] == [b"BA KO", b"MI", b"SO", b"LU TE"]


def test_a_side_to_score_may_come_from_standard_input(toy_run: Path, tmp_path: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a").write_text("ba ko\n")
    (tmp_path / "b").write_text("BA KO\n")
    sides = [("--source-file", tmp_path / "a"), ("--target-file", tmp_path / "b")]
    expected = command(capsysbinary, "score", toy_run, *sides[0], *sides[1])
    stdin(b"BA KO\n")
    assert command(capsysbinary, "score", toy_run, *sides[0], "--target-file", "-") == expected


def test_what_is_no_option_of_a_verb_is_refused(toy_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["translate", str(toy_run), "a", "--bema-size", "2"], ["verify", str(toy_run), "a"]):
        assert main(words) == 2
        assert "unrecognized arguments" in capsys.readouterr().err
    assert main(["translate", str(toy_run), "--attention=--"]) == 2
    assert "--attention must not be '--'" in capsys.readouterr().err


def test_n_best_scores_and_attention(toy_run: Path, tmp_path: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    stdin(b"ba ko\nmi\n")
    rows = [row.split(b"\t") for row in command(capsysbinary, "translate", toy_run, "--n-best", 3).split(b"\n")[:-1]]
    assert [(row[0], row[1]) for row in rows] == [(line, rank) for line in (b"1", b"2") for rank in (b"1", b"2", b"3")]
    scores = [float(row[2]) for row in rows]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    stdin(b"ba ko\nmi\n")
    attention = tmp_path / "attention.jsonl"
    output = command(capsysbinary, "translate", toy_run, "--scores", "--attention", attention)
    assert [line.split(b"\t")[1] for line in output.split(b"\n")[:-1]] == [b"BA KO", b"MI"]
    maps = [json.loads(line) for line in attention.read_text().split("\n")[:-1]]
    assert [each["line"] for each in maps] == [1, 2]
    for each in maps:
        assert len(each["weights"]) == len(each["target"])
        assert all(len(row) == len(each["source"]) and abs(sum(row) - 1) < 1e-3 for row in each["weights"])


def test_an_ensemble_of_equals_is_the_run_itself(
    toy_run: Path, toy_data: Path, tmp_path: Path, stdin, capsysbinary
) -> None:  # type: ignore[no-untyped-def]
    rows = []
    for options in ([], ["--ensemble", toy_run, toy_run]):
        stdin(b"ba ko mi\nlu te so ra\n")
        output = command(capsysbinary, "translate", toy_run, "--scores", "--attention", tmp_path / "a.jsonl", *options)
        rows.append([line.split(b"\t") for line in output.splitlines()])
    assert [text for _, text in rows[1]] == [text for _, text in rows[0]]
    assert [float(score) for score, _ in rows[1]] == pytest.approx([float(score) for score, _ in rows[0]], abs=1e-5)
    options = ["--data", toy_data, "--ensemble", toy_run, "--output", tmp_path, "--json"]
    figures = json.loads(command(capsysbinary, "evaluate", toy_run, *options))
    assert figures == json.loads((tmp_path / "test-ensemble=run.metrics.json").read_text())


def test_behind_two_dashes_there_are_files(toy_run: Path, tmp_path: Path, stdin, capsysbinary, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("ba ko\n")
    Path("--scores").write_text("mi\n")
    for words in (
        ["--ensemble", toy_run, "--", "a", "-", "--scores"],
        ["a", "--ensemble", toy_run, "--", "-", "--scores"],
    ):
        stdin(b"so\n")
        assert command(capsysbinary, "translate", toy_run, *words) == b"BA KO\nSO\nMI\n"


def test_search_options_are_those_of_python(toy_run: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    text = "ba ko mi lu te so ne ra " * 3
    settings = {"length_penalty": 0.7, "length_penalty_kind": "gnmt", "max_length_ratio": 0.1}
    expected = seq2seq.load(toy_run).search([text], **settings)[0][0]
    assert len(expected.tokens) < 15  # 24 source tokens allow 10 + 2 or so
    stdin(text.encode())
    given = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    output = command(capsysbinary, "translate", toy_run, "--scores", *given)
    assert output.decode() == f"{expected.score:.6f}\t{expected.text}\n"


def test_the_company_of_a_sentence_does_not_change_its_translation(toy_run: Path) -> None:
    translator = seq2seq.load(toy_run)
    texts = ["ba ko mi lu te so", "ne", "ra ra", "xyz qrs", "mi mi mi mi", "so te"]
    together = translator.search(texts, n_best=3, beam_size=3)
    alone = [translator.search([text], n_best=3, beam_size=3)[0] for text in texts]
    assert [[each.text for each in best] for best in together] == [[each.text for each in best] for best in alone]
    for one, two in zip(together, alone, strict=True):
        assert [each.score for each in one] == pytest.approx([each.score for each in two], abs=1e-5)


def test_interactive_answers_each_line(toy_run: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "seq2seq", "translate", str(toy_run), "--interactive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"ba\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"BA\n"  # before the input has ended
    assert process.communicate(timeout=60)[0] == b""
    assert process.returncode == 0


def test_scores_of_given_pairs_are_the_searchs_own(toy_run: Path, tmp_path: Path, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    best = seq2seq.load(toy_run).search(["ba ko", "mi"])
    (tmp_path / "a").write_text("ba ko\nmi\n")
    (tmp_path / "b").write_text("".join(each[0].text + "\n" for each in best))
    output = command(capsysbinary, "score", toy_run, "--source-file", tmp_path / "a", "--target-file", tmp_path / "b")
    rows = [line.split(b"\t") for line in output.split(b"\n")[:-1]]
    assert [float(row[0]) for row in rows] == pytest.approx([each[0].log_probability for each in best], abs=1e-4)
    assert [int(row[1]) for row in rows] == [len(each[0].tokens) + 1 for each in best]


def test_evaluates_a_split(toy_run: Path, toy_data: Path, tmp_path: Path, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    arguments = ["evaluate", toy_run, "--data", toy_data, "--split", "test", "--output", tmp_path]
    figures = json.loads(command(capsysbinary, *arguments, "--json"))
    assert figures["sentences"] == 24
    assert figures["BLEU"]["score"] > 60  # an untrained model stays below 10
    hypotheses = (tmp_path / "test.hypotheses.txt").read_text().split("\n")[:-1]
    references = (tmp_path / "test.references.txt").read_text().split("\n")[:-1]
    matches = sum(one == two for one, two in zip(hypotheses, references, strict=True))
    assert figures["exact_match"] == pytest.approx(100 * matches / 24)
    first, _, _, lowercased, *_ = command(capsysbinary, *arguments).splitlines()
    assert first.startswith(b"BLEU ")
    assert b"case:mixed" in first
    assert lowercased.startswith(b"lowercased BLEU ")
    assert b"case:lc" in lowercased


def test_evaluate_reports_error_rates_and_takes_a_tokenizer(
    toy_run: Path, toy_data: Path, tmp_path: Path, capsysbinary
) -> None:  # type: ignore[no-untyped-def]
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "bleu_tokenizer": "intl"}))
    evaluate = ["evaluate", run, "--output", tmp_path / "out", "--json"]
    of_the_run = json.loads(command(capsysbinary, *evaluate))
    assert "tok:intl" in of_the_run["BLEU"]["signature"]
    named = ["--data", toy_data, "--source", "en", "--target", "de"]
    assert json.loads(command(capsysbinary, *evaluate, *named)) == of_the_run
    figures = json.loads(command(capsysbinary, *evaluate, "--bleu-tokenizer", "char"))
    assert "tok:char" in figures["BLEU"]["signature"]
    assert "tok:char" in figures["lowercased"]["BLEU"]["signature"]
    hypotheses, references = (
        (tmp_path / "out" / f"test.{kind}.txt").read_text().splitlines() for kind in ("hypotheses", "references")
    )
    words = error_rates(hypotheses, [[line] for line in references])
    assert figures["word_error_rate"] == pytest.approx(words.token)
    output = command(capsysbinary, *evaluate[:-1]).decode()
    assert f"word error rate {words.token:.2f} %\tnrefs:1|" in output
    assert f"character error rate {figures['character_error_rate']:.2f} %\tnrefs:1|" in output


def test_evaluates_a_saved_model(toy_run: Path, toy_data: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    saved = tmp_path / "saved"
    seq2seq.load(toy_run).save_pretrained(saved)
    given = ["evaluate", str(saved), "--data", str(toy_data)]
    assert main(given) == 2
    assert f"{saved} does not record what it was trained on; give --source, --target" in capsys.readouterr().err
    assert main([*given, "--source", "en", "--target", "de"]) == 0
    metrics, of_the_run = (
        json.loads((run / "evaluation" / "test.metrics.json").read_text()) for run in (saved, toy_run)
    )
    assert metrics == of_the_run


def test_evaluates_a_model_on_the_hub(toy_run: Path, toy_data: Path, tmp_path: Path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seq2seq.runs.hub.snapshot_download", lambda name: toy_run)
    given = ["evaluate", "owner/name", "--data", str(toy_data), "--source", "en", "--target", "de"]
    assert main(given) == 2
    assert "--output" in capsys.readouterr().err
    assert main([*given, "--output", "results"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_a_run_directory_holds_what_the_hub_expects(toy_run: Path, tmp_path: Path) -> None:
    expected = {"config.json", "model.safetensors", "joint.spm.model", "generation_config.json", "README.md"}
    expected |= {"metrics.jsonl", "train.log", "checkpoints", "provenance.json", "evaluation"}
    assert expected <= {path.name for path in toy_run.iterdir()}
    card = (toy_run / "README.md").read_text()
    assert "| BLEU |" in card
    assert "tok:13a" in card
    translator = seq2seq.Translator.from_pretrained(str(toy_run))
    translator.save_pretrained(tmp_path / "copy")
    assert seq2seq.load(tmp_path / "copy").translate(["ba ko", ""]) == translator.translate(["ba ko", ""])


def test_a_saved_configuration_is_read_back_and_printed(toy_run: Path, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", str(toy_run / "config.json"), "--trainer.epochs", "9", "--print-config"])
    assert ended.value.code == 0
    printed = capsysbinary.readouterr().out
    assert b"epochs: 9" in printed
    assert b"hidden_size: 24" in printed


def test_help_tells_meaning_and_default_of_every_option(capsysbinary) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsysbinary.readouterr().out.decode().split())
    assert "LSTM units per direction. (type: int, default: 256)" in text
    assert "Padded tokens per batch" in text


def test_a_dry_run_describes_and_writes_nothing(toy_data: Path, tmp_path: Path, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    run = tmp_path / "run"
    output = command(
        capsysbinary, "train", "--data", toy_data, "--source", "en", "--target", "de", "--output", run, "--dry-run",
        "--vocabulary.size", 300,
    )  # fmt: skip
    assert b"parameters: " in output
    assert b"memory estimate" in output
    assert not run.exists()


def test_a_dry_run_refuses_what_training_would(toy_data: Path, toy_run: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    """On a run that has begun, it goes by what lies there and leaves it as it is."""
    shutil.copytree(toy_run, tmp_path / "run")
    begun = ["train", "--config", str(tmp_path / "run" / "config.json"), "--output", str(tmp_path / "run"), "--dry-run"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert main(begun) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    other = str(write_toy_data(tmp_path / "other", seed=2))
    new = [
        "train",
        "--data",
        str(toy_data),
        "--source",
        "en",
        "--target",
        "de",
        "--dry-run",
        "--vocabulary.size",
        "300",
    ]
    for arguments, told in (
        ([*begun, "--label_smoothing", "0.3"], "label_smoothing was 0.1, is 0.3"),
        ([*begun, "--data", other], "a run on other data"),
        (
            [*new, "--output", str(tmp_path / "new"), "--start_from", str(toy_run)],
            "--vocabulary.size has no effect beside --start-from",
        ),
        (
            [*new[:-2], "--output", str(tmp_path / "new"), "--start_from", str(toy_run), "--model.embedding-size", "9"],
            "another model than asked for: model.embedding_size was 16, is 9\n",
        ),
        (
            [*new, "--output", str(tmp_path / "new"), "--model.encoder.hidden_size", "1000000"],
            " MiB for weights, gradients and optimiser, this machine has ",
        ),
    ):
        capsys.readouterr()
        assert main(arguments) == 2
        assert told in capsys.readouterr().err


def test_a_dry_run_tells_what_start_from_brings(toy_data: Path, toy_run: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    given = ["train", "--data", str(toy_data), "--source", "en", "--target", "de", "--output", str(tmp_path / "new")]
    assert main([*given, "--start-from", str(toy_run), "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert f"start: weights and vocabulary of {toy_run}, whose model has embedding_size 16, dropout 0.1" in output
    assert "encoder.hidden_size 16" in output
    assert "decoder.hidden_size 24" in output


FAULTS = {
    "no such device": (["translate", "{run}", "--device", "tpu9"], "device 'tpu9' is not known; choose cpu or cuda"),
    "no such device to train on": (
        ["train", "--data", "{data}", "--output", "{tmp}/r", "--trainer.device", "tpu9"],
        "tpu9",
    ),
    "missing data": (["train", "--data", "./nowhere", "--output", "{tmp}/r"], "nowhere"),
    "wrong column": (["train", "--data", "{data}", "--target", "xx", "--output", "{tmp}/r"], "xx"),
    "mismatched lines": (["train", "--data", "{tmp}/uneven", "--output", "{tmp}/r"], "train.de"),
    "empty corpus": (["train", "--data", "{tmp}/empty", "--output", "{tmp}/r"], "empty"),
    "unknown option": (["train", "--data", "{data}", "--model.dropuot", "0.1"], "did you mean --model.dropout"),
    "wrong type": (["train", "--data", "{data}", "--trainer.epochs", "many"], "trainer.epochs"),
    "wrong value": (["train", "--data", "{data}", "--model.dropout", "2", "--output", "{tmp}/r"], "model.dropout"),
    "unknown tokenizer": (["train", "--data", "{data}", "--bleu_tokenizer", "13b"], "must be one of 13a, intl, char"),
    "unknown tokenizer to evaluate": (["evaluate", "{run}", "--bleu-tokenizer", "13b"], "must be one of 13a, intl"),
    "figure that the task lacks": (
        ["train", "--data", "{data}", "--trainer.best_metric", "blue"],
        "best_metric must be bleu, loss, chrf, accuracy, error_rate or character_error_rate in this task, not blue",
    ),
    "no output": (["train", "--data", "{data}"], "--output"),
    "no write permission": (["train", "--data", "{data}", "--output", "/proc/run"], "/proc/run"),
    "missing config": (["train", "--config", "{tmp}/no.yaml"], "no.yaml"),
    "class path in config": (["train", "--config", "{tmp}/class.yaml"], "class_path"),
    "no run": (["translate", "{tmp}"], "not a run directory"),
    "no such run": (["translate", "./nowhere"], "nowhere: not a run directory (there is no such folder)"),
    "features of a run without": (
        ["evaluate", "{run}", "--features", "de"],
        "--features: the model of {run} reads no features",
    ),
    "corrupt weights": (["translate", "{tmp}/corrupt"], "model.safetensors"),
    "corrupt vocabulary": (["translate", "{tmp}/garbled"], "joint.spm.model"),
    "missing text": (["translate", "{run}", "{tmp}/two", "{tmp}/a"], "{tmp}/a: No such file"),
    "text that is a folder": (
        ["translate", "{run}", "{tmp}"],
        "{tmp}: a folder, not a file of text; a run stands",
    ),
    "interactive files": (["translate", "{run}", "{tmp}/two", "--interactive"], "leave the files out"),
    "two sides from one stream": (["score", "{run}", "--source-file", "-", "--target-file", "-"], "only one side"),
    "missing source file": (["score", "{run}", "--source-file", "{tmp}/a", "--target-file", "{tmp}/b"], "{tmp}/a"),
    "unequal files": (["score", "{run}", "--source-file", "{tmp}/two", "--target-file", "{tmp}/three"], "has 3"),
    "endless target": (
        ["score", "{run}", "--source-file", "{tmp}/two", "--target-file", "{tmp}/long", "--max-input-length", "9"],
        "the target on line 2 has ",
    ),
    "ratio of no length": (
        ["evaluate", "{run}", "--max-length-ratio", "0"],
        "--max-length-ratio must be a number from 0 to 1000, without 0, got '0'",
    ),
    "penalty without end": (["translate", "{run}", "--length-penalty", "inf"], "number from 0 to 100, got 'inf'"),
    "length without end": (["translate", "{run}", "--max_length", "1e9"], "number from 1 to 10,000, got '1e9'"),
    "seed without end": (
        ["train", "--data", "{data}", "--output", "{tmp}/r", "--trainer.seed", "9" * 23],
        "trainer.seed must be a whole number from 0 to 9,223,372,036,854,775,807",
    ),
    "model without end": (
        [
            "train",
            "--data",
            "{data}",
            "--output",
            "{tmp}/r",
            "--vocabulary.size=300",
            "--model.encoder.hidden-size=1000000",
        ],
        " MiB for weights, gradients and optimiser, this machine has ",
    ),
    "ensemble of two vocabularies": (
        ["translate", "{run}", "--ensemble", "{tmp}/foreign", "--ensemble", "{run}"],
        "--ensemble {tmp}/foreign: models of an ensemble share their vocabularies; the source vocabulary differs",
    ),
    "ensemble's figures beside one run's": (["evaluate", "{run}", "--ensemble", "{run}"], "--output"),
    "text among the runs of an ensemble": (
        ["translate", "{run}", "--ensemble", "{run}", "{tmp}/two"],
        "--ensemble {tmp}/two: a file, not a run directory; a FILE to translate stands before --ensemble, or behind --",
    ),
    "file among the runs of an ensemble": (
        ["evaluate", "{run}", "--output", "{tmp}/r", "--ensemble", "{tmp}/two"],
        "--ensemble {tmp}/two: a file, not a run directory",
    ),
    "strange option before a file": (["translate", "{run}", "--bema", "--", "{tmp}/two"], "arguments: --bema;"),
    "file of a verb without files": (["evaluate", "{run}", "--", "{tmp}/two"], "unrecognized arguments: {tmp}/two"),
    "no run named": (["translate"], "the following arguments are required: RUN;"),
    "no options to train with": (
        ["train", "--source=en", "--output", "{tmp}/r", "--target=de"],
        "error: the following options are required: --data; --help lists the options",
    ),
    "checkpoint to verify": (
        ["verify", "{checkpoint}"],
        "{checkpoint}: a checkpoint, not a run directory; give the run directory, which holds checkpoints",
    ),
    "empty name to verify": (["verify", ""], "RUN must not be empty"),
    "empty name to translate": (["translate", ""], "RUN must not be empty"),
    "empty name of a text": (["translate", "{run}", ""], "FILE must not be empty"),
    "empty name of a partner": (["translate", "{run}", "--ensemble", ""], "--ensemble must not be empty"),
    "empty name of the weights": (["translate", "{run}", "--attention", ""], "--attention must not be empty"),
    "empty name of the results": (["evaluate", "{run}", "--output="], "--output must not be empty"),
    "empty name of the data": (["evaluate", "{run}", "--data", ""], "--data must not be empty"),
    "empty name of a side": (
        ["score", "{run}", "--source-file", "", "--target-file", "-"],
        "--source-file must not be empty",
    ),
    "missing split": (["evaluate", "{run}", "--data", "{data}", "--split", "nix"], "nix"),
}


@pytest.mark.parametrize(
    "words",
    [
        ["translate", "nowhere"],
        ["score", "nowhere", "--source-file", os.devnull, "--target-file", os.devnull],
        ["evaluate", "nowhere"],
    ],
)
def test_no_garbage_is_collected_while_torch_is_imported(words: list[str]) -> None:
    """And what it leaves is out of later collections."""
    program = f"""
import gc, sys
collections = []
gc.callbacks.append(lambda phase, _: phase == "start" and "torch" in sys.modules and collections.append(phase))
from seq2seq.cli.main import main
main({words!r})
print(len(collections), gc.get_freeze_count())
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    collected, frozen = map(int, process.stdout.split())
    assert collected < 10  # hundreds, otherwise
    assert frozen > 100_000


@pytest.fixture(scope="module")
def places(toy_run: Path, toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with all that can be wrong."""
    tmp = tmp_path_factory.mktemp("faults")
    for folder in ("uneven", "empty"):
        (tmp / folder).mkdir()
        for split in ("train", "validation", "test"):
            (tmp / folder / f"{split}.en").write_text("a\nb\n" if folder == "uneven" else "")
            (tmp / folder / f"{split}.de").write_text("A\n" if folder == "uneven" else "")
    (tmp / "two").write_text("a\nb\n")
    (tmp / "three").write_text("a\nb\nc\n")
    (tmp / "long").write_text("A\n" + "BA " * 10 + "\n")
    (tmp / "class.yaml").write_text("model:\n  class_path: os.system\n  init_args: {command: 'false'}\n")
    for name, file in (("corrupt", "model.safetensors"), ("garbled", "joint.spm.model")):
        shutil.copytree(toy_run, tmp / name)
        content = (tmp / name / file).read_bytes()
        (tmp / name / file).write_bytes(content[: len(content) // 2])
    foreign = seq2seq.load(toy_run)
    pieces = Vocabulary((toy_run / "joint.spm.model").read_bytes().replace(b"B", b"X"))  # as many, but others
    foreign.source_vocabulary = foreign.target_vocabulary = pieces
    foreign.save_pretrained(tmp / "foreign")
    checkpoint = max((toy_run / "checkpoints").glob("step-*"))
    return {"tmp": tmp, "run": toy_run, "data": toy_data, "checkpoint": checkpoint}


@pytest.mark.parametrize("form", ["class path", "string", "file of a group", "option"])
def test_nothing_makes_the_program_import_what_it_names(form: str, tmp_path: Path) -> None:
    """The module would leave a trace when imported; a warning of jsonargparse is an error here."""
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Trap: pass\n")
    (tmp_path / "class.yaml").write_text("model:\n  encoder:\n    class_path: trap.Trap\n")
    (tmp_path / "string.yaml").write_text("model:\n  encoder: trap.Trap\n")
    (tmp_path / "group.yaml").write_text("class_path: trap.Trap\n")
    rule = "a configuration holds values, never names of code"
    words, told = {
        "class path": (["--config", "class.yaml"], f"class.yaml: class_path is not accepted; {rule}"),
        "string": (
            ["--config", "string.yaml"],
            "string.yaml: option 'model.encoder' must be a mapping of options to values, got \"trap.Trap\"",
        ),
        "file of a group": (
            ["--model.encoder", "group.yaml"],
            f"model.encoder: 'group.yaml' is no value for it; {rule} or files",
        ),
        "option": (
            ["--model.encoder", "trap.Trap"],
            f"model.encoder: 'trap.Trap' is no value for it; {rule} or files",
        ),
    }[form]
    command = [sys.executable, "-W", "error", "-m", "seq2seq", "train", *words]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == f"seq2seq: error: {told}\n"
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_clear_line_and_status_2(
    fault: str, places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = FAULTS[fault]
    arguments = [word.format(**places) for word in words]
    if arguments[0] == "train" and "--config" not in arguments and "--source=en" not in arguments:
        arguments[1:1] = ["--source", "en"] + ([] if "--target" in arguments else ["--target", "de"])
    capsys.readouterr()
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.split("\n") if line]
    complaints = [line for line in errors if line.startswith("seq2seq: error: ")]
    assert len(complaints) == 1, errors
    assert told.format(**places) in complaints[0]
    assert not any("Traceback" in line for line in errors)


def test_damaged_checkpoints_end_a_resume(toy_run: Path, toy_data: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(toy_run, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").glob("*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    config = json.loads((toy_run / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "output": str(tmp_path / "run")}))
    assert main(["train", "--config", str(tmp_path / "config.json")]) == 2
    assert "no checkpoint is whole" in capsys.readouterr().err


def test_a_folder_of_runs_names_them(toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("fre", "deu"):
        (tmp_path / name).symlink_to(toy_run)
    assert main(["translate", str(tmp_path)]) == 2
    told = f"{tmp_path}: not a run directory (it has no config.json); name one of the folders in it: deu, fre"
    assert told in capsys.readouterr().err


def test_status_and_stderr_of_the_real_command(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "seq2seq", "translate", str(tmp_path)], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == f"seq2seq: error: {tmp_path}: not a run directory (it has no config.json)\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-m seq2seq translate {run} <&-", "seq2seq: error: standard input is closed: give it the sentences"),
        ("-m seq2seq translate {run} --interactive <&-", "seq2seq: error: standard input is closed"),
        ("-m seq2seq translate {run} >&-", "seq2seq: error: standard output is closed"),
        ("-m seq2seq score {run} --source-file {two} --target-file {two} >&-", "standard output is closed"),
        ("-m seq2seq score {run} --source-file {two} --target-file - <&-", "standard input is closed"),
        ("-m seq2seq evaluate {run} >&-", "standard output is closed"),
        ("-m seq2seq verify {run} >&-", "standard output is closed"),
        ("recipes/phrasebook_en_de.py --output {two} >&-", "standard output is closed"),
        ("tools/bleu.py {two} <&-", "bleu.py: error: standard input is closed"),
        ("tools/bleu.py {two} >&-", "bleu.py: error: standard output is closed"),
    ],
)
def test_a_closed_stream_is_one_line_and_status_2(words: str, told: str, places: dict[str, Path]) -> None:
    words = words.format(run=places["run"], two=places["tmp"] / "two")
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        ["sh", "-c", f'exec "$0" {words}', sys.executable], cwd=root, stdin=subprocess.DEVNULL, capture_output=True,
        text=True,
    )  # fmt: skip
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_help_starts_without_torch() -> None:
    code = (
        "import sys, seq2seq.cli.main as m\n"
        "try: m.main(['--help'])\nexcept SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_paragraphs_are_translated_sentence_by_sentence(toy_run: Path, stdin, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("sentencex")
    stdin(b"ba ko mi\n\n  lu te!  so.\t\nlast one. No line feed")
    lines = command(capsysbinary, "translate", toy_run, "--split-sentences").split(b"\n")
    stdin(b"ba ko mi\nlu te!\nso.\nlast one.\nNo line feed")
    first, second, third, fourth, fifth = command(capsysbinary, "translate", toy_run).split(b"\n")[:5]
    assert lines[:4] == [first, b"", b"  " + second + b"  " + third + b"\t", fourth + b" " + fifth]
    assert main(["translate", str(toy_run), "--split-sentences", "--n-best", "2"]) == 2
    assert b"--n-best is of single sentences" in capsysbinary.readouterr().err

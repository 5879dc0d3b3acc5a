"""What recipes make of data that is given to them, and of settings they wrote themselves."""

import io
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import captions_images
import character_lm
import datasets
import g2p
import g2p_languages
import inflection
import language_table
import numpy as np
import phrasebook_en_de
import pytest
import slot_filling
import soundfile
import speech_digits
import text_classification
from PIL import Image
from spoken import digits

import seq2seq
from phrasebook import report
from phrasebook.generate import SPLITS
from seq2seq.cli.exit_status import guarded
from seq2seq.data.corpus import load_split, references
from seq2seq.data.images import open_captioned
from seq2seq.errors import UserError
from seq2seq.inference.outputs import Translation
from seq2seq.tasks.dry_run import description_of
from seq2seq.tasks.evaluate import scored

CLASSES = ["bad", "good"]


def write_reviews(folder: Path, **labels: list[int | None]) -> text_classification.Config:
    """A split of reviews per list of labels; the configuration that reads them."""
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=CLASSES)})
    folder.mkdir()
    for split, given in labels.items():
        columns: dict[str, Any] = {"text": [f"{split} {row}" for row in range(len(given))], "label": given}
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"{split}.parquet")
    return replace(text_classification.CONFIG, data=str(folder))


@pytest.mark.parametrize("hidden", [-1, None])
def test_hidden_labels_are_refused(hidden: int | None, tmp_path: Path) -> None:
    """As an index into the names, -1 is the last class: a figure would mean nothing."""
    config = write_reviews(tmp_path / "reviews", train=[0, 1] * 10, test=[1, hidden, hidden])
    with pytest.raises(UserError, match=r"split test, row 2: the label is hidden \((-1|None)\); give data"):
        text_classification.read(config)


def test_validation_is_held_out_of_training_only_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_reviews(tmp_path / "two", train=[0, 1] * 10, test=[0, 1])
    training, validation, test = text_classification.read(config)
    assert (len(training), len(validation), len(test)) == (18, 2, 2)
    config = write_reviews(tmp_path / "three", train=[0, 1] * 10, validation=[1, 0, 1], test=[0, 1])
    training, validation, test = text_classification.read(config)
    assert (len(training), len(validation), len(test)) == (20, 3, 2)
    assert {text.split()[0] for text, _ in validation} == {"validation"}

    def unreachable(data: str, split: str, wanted: str = "") -> Any:
        if split == "validation":
            raise UserError("no network")
        return datasets.load_dataset(data, split=split)

    monkeypatch.setattr(seq2seq, "open_any", unreachable)
    with pytest.raises(UserError, match="no network"):
        text_classification.read(config)


def test_baselines_are_tested_on_what_the_models_are_tested_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example of a class that training does not have is left out for both."""
    training = [("clean room", "good"), ("dirty room", "bad")] * 30
    splits = training, training[:10], [*training[:6], ("a remark", "unheard of")]
    monkeypatch.setattr(text_classification, "read", lambda _: splits)
    text_classification.main(replace(text_classification.CONFIG, output=str(tmp_path), quick=True))
    assert capsys.readouterr().out.count("% of 6") == 3


def test_one_label_alone_is_refused_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("clean room", "good")] * 30
    monkeypatch.setattr(text_classification, "read", lambda _: (rows, rows, rows))
    with pytest.raises(UserError, match="texts to train on need two labels at least, not 1"):
        text_classification.main(replace(text_classification.CONFIG, data="a", output=str(tmp_path), quick=True))


@pytest.mark.parametrize(("part", "purpose"), [(1, "to choose the best model on"), (2, "to test on")])
def test_texts_of_classes_that_none_is_trained_on_are_refused(
    part: int, purpose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [[("clean room", "good"), ("noisy room", "bad")] * 15, [("a room", "good")], [("the room", "bad")]]
    parts[part] = [("no room", "new")] * 2
    monkeypatch.setattr(text_classification, "read", lambda _: parts)
    with pytest.raises(
        UserError, match=rf"^a: none of the 2 texts {purpose} has a class that is trained on \(bad, good\)"
    ):
        text_classification.main(replace(text_classification.CONFIG, data="a", output=str(tmp_path), quick=True))
    assert not list(tmp_path.iterdir())


def test_requests_that_cannot_choose_a_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = [slot_filling.Request("fly to rome", "fly", ["O", "O", "B-city"])] * 20
    other = [slot_filling.Request("fly to rome", "sleep", ["O", "O", "B-city"])]
    monkeypatch.setattr(slot_filling, "read", lambda _: (training, other, training))
    with pytest.raises(
        UserError, match=r"^a: no request to choose the best model on has an intent and labels that are tr"
    ):
        slot_filling.main(replace(slot_filling.CONFIG, data="a", output=str(tmp_path / "run"), quick=True))


@pytest.mark.parametrize(
    ("first", "place"), [(17_000, "the twentieth before the last tenth"), (18_000, "the last tenth")]
)
def test_a_text_whose_held_out_part_is_blank_is_refused(first: int, place: str, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    for quick, blank, said in ((False, 2_000, "is"), (True, 500, "begins")):
        path.write_text("x" * first + "\n" * blank + "x" * (20_000 - first - blank))
        with pytest.raises(
            UserError, match=rf"text\.txt: the part held out .* \({place}\) {said} blank; take the blank"
        ):
            character_lm.read(replace(character_lm.CONFIG, data=str(path), quick=quick))


def test_what_is_prepared_replaces_no_files_of_others(tmp_path: Path) -> None:
    """Data in OUTPUT/data among them."""
    data = tmp_path / "data"
    (data / "train").mkdir(parents=True)
    for name in ("train", "validation"):
        (data / f"{name}.jsonl").write_text('{"word": "ab", "phonemes": "AH0 B"}\n')
    (data / "train" / "metadata.jsonl").write_text("mine\n")
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"train\.jsonl: holds other words.*choose another --output"):
        g2p.prepare(replace(g2p.CONFIG, data=str(data), output=str(tmp_path)))
    with pytest.raises(UserError, match=r"metadata\.jsonl: holds other words.*choose another --output"):
        captions_images.prepare(replace(captions_images.CONFIG, output=str(tmp_path), quick=True))
    mine = tmp_path / "photos" / "data" / "validation" / "00003.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my photo")
    with pytest.raises(UserError, match=r"00003\.png: not made by this recipe, .* choose another --output"):
        captions_images.prepare(replace(captions_images.CONFIG, output=str(tmp_path / "photos"), quick=True))
    assert [path for path in (tmp_path / "photos").rglob("*") if path.is_file()] == [mine]
    assert mine.read_bytes() == b"my photo"
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_pronunciations_are_prepared_once(tmp_path: Path) -> None:
    """A run's config.json names what it was trained on; with another output too, that is not prepared again."""
    lines = ["word\tphonemes", *(f"{word}\tAH{number} B" for word in ("ab", "cab", "bad") for number in (0, 1))]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.tsv").write_text("\n".join(lines))
    made = g2p.prepare(replace(g2p.CONFIG, data=str(tmp_path), output=str(tmp_path / "run")))
    test = Path(made.data) / "test.jsonl"
    assert test.read_text().splitlines()[0] == '{"word": "a b", "phonemes": ["AH B"]}'
    (tmp_path / "run" / "config.json").touch()
    assert g2p.prepare(made) == made
    assert g2p.prepare(replace(made, output=str(tmp_path / "other"))).data == made.data


def test_pronunciations_of_one_file_are_parted_as_asked(tmp_path: Path) -> None:
    """As the error advises where there is no second file."""
    words = ["".join(word) for word in itertools.product("abcd", repeat=4)]
    (tmp_path / "train.tsv").write_text("word\tphonemes\n" + "".join(f"{word}\tAH0 B\n" for word in words))
    asked = replace(g2p.CONFIG, data=str(tmp_path), output=str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"no split 'validation'.*--validation-split 'train\[95%:\]'"):
        g2p.prepare(asked)
    made = g2p.prepare(replace(asked, train_split="train[:75%]", validation_split="train[75%:]"))
    assert [row["source"].replace(" ", "") for row in load_split(made, "test")] == words[192:]
    trained = [row["source"] for split in (made.train_split, made.validation_split) for row in load_split(made, split)]
    assert sorted(each.replace(" ", "") for each in trained) == words[:192]


def test_pronunciations_are_read_from_the_columns_named(tmp_path: Path) -> None:
    """And found again under these names in what was prepared."""
    for split in ("train", "validation"):
        (tmp_path / f"{split}.tsv").write_text("spelling\tsound\nab\tAH0 B\n")
    asked = replace(g2p.CONFIG, data=str(tmp_path), source="spelling", target="sound", output=str(tmp_path / "run"))
    made = g2p.prepare(asked)
    assert [row["source"] for row in load_split(made, "test")] == ["a b"]
    assert references(load_split(made, "test")) == [["AH B"]]


def test_the_files_of_all_languages_are_read_before_any_is_trained(tmp_path: Path) -> None:
    rows = "".join(f"w{number}\tW {number % 7}\n" for number in range(60))
    for name in ("fre_train", "fre_dev", "ice_train"):
        (tmp_path / f"{name}.tsv").write_text(rows)
    config = replace(g2p_languages.CONFIG, data=str(tmp_path), output=str(tmp_path / "run"))
    for multilingual in (False, True):
        with pytest.raises(UserError, match=r"ice_dev\.tsv: cannot read: No such file"):
            g2p_languages.main(replace(config, multilingual=multilingual))
    (tmp_path / "ice_dev.tsv").write_text(rows)
    assert "parameters: " in description_of(
        lambda: g2p_languages.main(replace(config, multilingual=True, dry_run=True))
    )
    assert not (tmp_path / "run").exists()


def test_tables_of_languages(tmp_path: Path) -> None:
    for name, content in {"a.trn": "walk\tV;PST\twalked\n\ngo\tV;PST\twent\n", "b.trn": "walk\tV\n"}.items():
        (tmp_path / name).write_text(content)
    config = replace(inflection.CONFIG, data=str(tmp_path), output=str(tmp_path / "run"))
    assert config.named(".trn") == ["a", "b"]
    assert replace(config, languages="b, a").named(".trn") == ["b", "a"]
    with pytest.raises(UserError, match="no language 'c'; there are a, b"):
        replace(config, languages="a,c").named(".trn")
    rows = language_table.read_table(tmp_path / "a.trn", 3)
    assert rows == [("walk", "V;PST", "walked"), ("go", "V;PST", "went")]
    with pytest.raises(UserError, match=r"b\.trn, line 1: must have 3 columns"):
        language_table.read_table(tmp_path / "b.trn", 3)
    (tmp_path / "c.trn").write_bytes(b"walk\tV\tw\xfflked\n")
    for name, said in (("c", r"c\.trn, line 1: not UTF-8 text"), ("d", r"d\.trn: cannot read: No such file")):
        with pytest.raises(UserError, match=said):
            language_table.read_table(tmp_path / f"{name}.trn", 3)
    (tmp_path / "e.trn").write_text("\n")
    (tmp_path / "f.trn").write_text("walk\tV\twalked\ngo\t \twent\n")
    for name, said in (("e", r"e\.trn: has no rows; it needs some, of 3"), ("f", r"f\.trn, line 2: a column is empty")):
        with pytest.raises(UserError, match=said):
            language_table.read_table(tmp_path / f"{name}.trn", 3)
    assert replace(config, languages="a,").named(".trn") == ["a"]
    with pytest.raises(UserError, match="languages names none; there are a, b"):
        replace(config, languages=" ,").named(".trn")
    more = [(f"walk{number}", "V;PST", f"walked{number}") for number in range(100)]
    dry = replace(config, dry_run=True, quick=True)
    assert "parameters: " in description_of(lambda: language_table.evaluate(dry, more, more))
    assert not (tmp_path / "run").exists()
    (tmp_path / "run" / "data").mkdir(parents=True)
    (tmp_path / "run" / "data" / "train.tsv").write_text("somebody's own\n")
    for tried in (config, dry):
        with pytest.raises(UserError, match=r"train\.tsv: holds other words.*choose another --output"):
            language_table.evaluate(tried, rows, rows)
    assert 0.04 < sum(language_table.is_kept(str(number)) for number in range(2_000)) / 2_000 < 0.13


def test_words_are_written_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", failing)  # after a part may have been written
    config = replace(inflection.CONFIG, data=str(tmp_path), output=str(tmp_path / "run"))
    rows = [("walk", "V;PST", "walked")]
    with pytest.raises(OSError, match="no space left"):
        language_table.write_parts(config, tmp_path / "words", rows, rows)
    assert not list((tmp_path / "words").glob("*.tsv"))


def test_figures_of_a_language() -> None:
    """One of three words is wrong, by one of thirteen characters; counts by feature."""
    sources = ["walk\tV;PST", "go\tV;PST", "be\tV;PRS"]
    texts, expected = ["walked", "want", "i s"], [["walked"], ["went"], ["i s", "are"]]
    found = scored(sources, expected, [Translation(text, 0.0, 0.0, []) for text in texts])
    row = language_table.row_of(found, spaced=False)
    assert (row.words, row.symbols) == (pytest.approx(100 / 3), pytest.approx(100 / 13))
    assert language_table.by_feature(sources, found) == {"V": (2, 3), "PST": (1, 2), "PRS": (1, 1)}


def test_texts_that_are_none_are_named_and_letters_are_words(tmp_path: Path) -> None:
    def rows(texts: list[object]) -> Path:
        lines = [json.dumps({"text": text, "label": label}) for text in texts for label in "xy"]
        for split in ("train", "validation", "test"):
            (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
        return tmp_path

    config = replace(text_classification.CONFIG, data=str(rows([7, 8])), quick=True, output=str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"split train, row 1: 'text' must hold a text, not int"):
        text_classification.read(config)
    rows(["a", "b", "c", "d"] * 4)
    text_classification.main(config)


def test_the_form_that_data_should_have_is_said(tmp_path: Path) -> None:
    """Sound that lies there in no form of ours; a picture without captions; text alone. Never what to install."""
    for name, content in (("sounds/a.wav", b"junk"), ("texts/a.txt", b"a\n"), ("images/train/a.png", b"")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "train" / "a.png")
    sounds, texts, images = (str(tmp_path / name) for name in ("sounds", "texts", "images"))
    captioned = r"metadata\.jsonl or metadata\.csv that has the columns file_name and caption$"
    for folder, told in (
        (sounds, "that can be loaded: it holds sound files; give .*"),
        (texts, "no column 'image'.*"),
        (images, "no column that begins with 'caption'; the columns are image; give .*"),
    ):
        with pytest.raises(UserError, match=told + captioned):
            open_captioned(folder, "train")
    for folder in (sounds, texts):
        with pytest.raises(UserError, match=r"give a folder with recordings/DIGIT_SPEAKER_NUMBER\.wav, or a data set"):
            digits.find(folder)
        with pytest.raises(
            UserError, match=r"give train\.txt and test\.txt, or train and test files .* with columns text and label"
        ):
            text_classification.read(replace(text_classification.CONFIG, data=folder))


def test_a_recording_without_a_name_is_named_by_its_row(tmp_path: Path) -> None:
    noise = io.BytesIO()
    soundfile.write(noise, np.zeros(2_000), 8_000, format="WAV")
    features = datasets.Features({"audio": {"path": datasets.Value("string"), "bytes": datasets.Value("binary")}})
    rows = datasets.Dataset.from_dict({"audio": [{"path": None, "bytes": noise.getvalue()}]}, features=features)
    rows.cast_column("audio", datasets.Audio(decode=False)).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(UserError, match=r", row 1: a recording is named digit_speaker_number\.wav"):
        speech_digits.main(replace(speech_digits.CONFIG, data=str(tmp_path)))


def recordings(*speakers: str) -> list[digits.Recording]:
    """Ten of each digit and speaker, numbered 3 to 12; their samples say which is which."""
    return [
        digits.Recording(digit, speaker, number, np.full(800, number / 100 + digit / 1000, np.float32))
        for speaker in speakers
        for digit in range(10)
        for number in range(3, 13)
    ]


def test_recordings_are_trained_on_chosen_on_and_tested_on_by_their_numbers() -> None:
    training, validation, test = digits.divide(recordings("ann", "bob"))
    assert {each.number for each in training} == {10, 11, 12}
    assert {each.number for each in validation} == {3, 4, 5, 6}
    assert {each.number for each in test} == {7, 8, 9}
    parts = digits.divide(recordings("ann", "bob", "eve"), "bob")
    assert [{each.speaker for each in part} for part in parts] == [{"ann", "eve"}, {"ann", "eve"}, {"bob"}]
    assert len(parts.test) == 100
    with pytest.raises(UserError, match="held_out_speaker bo: the speakers are ann, bob; give one"):
        digits.divide(recordings("ann", "bob"), "bo")
    with pytest.raises(UserError, match="the speakers are ann, so that nothing is left to train on"):
        digits.divide(recordings("ann"), "ann")
    with pytest.raises(UserError, match=r"ann's 4 needs a recording numbered 7 to 9, for the test"):
        digits.divide([each for each in recordings("ann") if each.digit != 4 or not 7 <= each.number < 10])
    with pytest.raises(UserError, match=r"bob's 4 needs a recording for the test"):
        digits.divide([each for each in recordings("ann", "bob") if (each.speaker, each.digit) != ("bob", 4)], "bob")


def test_every_speaker_is_left_out_in_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data" / "recordings"
    folder.mkdir(parents=True)
    for each in recordings("ann", "bob"):
        if each.number in (3, 8, 12):
            soundfile.write(folder / f"{each.digit}_{each.speaker}_{each.number}.wav", each.samples, 8_000)
    model = replace(speech_digits.CONFIG.model, encoder=seq2seq.EncoderConfig(hidden_size=8, subsampling=8))
    search = replace(speech_digits.CONFIG.search, max_length_ratio=0.02)
    speech_digits.main(
        replace(
            speech_digits.CONFIG,
            data=str(folder.parent),
            output=str(tmp_path / "run"),
            quick=True,
            held_out_speaker="each",
            training_strings=4,
            held_out_strings=4,
            model=model,
            search=search,
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["ann", "bob", "mean"]
    *each, mean = (float(re.findall(r"(\d+\.\d+) %", line)[0]) for line in lines)
    assert abs(sum(each) / 2 - mean) < 0.011
    assert seq2seq.load(tmp_path / "run" / "bob").reader.kind == "sound"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:700]), r"a5\.wav: is cut off after 0\.04 seconds"),
        (lambda path: path.write_text("one two"), r"a5\.wav: cannot be read as sound"),
        (Path.unlink, r"metadata\.csv, line 7: no such file: .*a5\.wav"),
        (lambda path: soundfile.write(path, np.zeros(40), 8_000), r"a5\.wav: has 40 samples, too few"),
        (lambda path: soundfile.write(path, np.zeros(4000), 16_000), r"a5\.wav: not one channel at the rate of"),
    ],
)
def test_a_broken_recording_is_named_before_training(
    spoil: Callable[[Path], object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole recordings with what is said in them, in a dry run."""
    lines = ["file_name,text"]
    for row in range(20):
        soundfile.write(tmp_path / f"a{row}.wav", np.random.default_rng(row).normal(0, 0.1, 2_000), 8_000)
        lines.append(f"a{row}.wav,number {row % 3}")
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    output = tmp_path / "run"
    config = replace(speech_digits.CONFIG, data=str(tmp_path), output=str(output), dry_run=True)
    assert "20 recordings" not in (description_of(lambda: speech_digits.main(config)) or "20 recordings")
    spoil(tmp_path / "a5.wav")
    assert guarded("speech_digits.py", lambda: speech_digits.main(config)) == 2
    ended = capsys.readouterr().err
    assert re.search(told, ended), ended
    assert ended.count("\n") == 1
    assert not output.exists()


def test_generated_pictures_are_found_whatever_columns_were_named(tmp_path: Path) -> None:
    asked = replace(captions_images.CONFIG, output=str(tmp_path), quick=True, image="photo", captions="remark")
    made = captions_images.prepare(asked)
    opened = open_captioned(made.data, "test", made.image, made.captions)
    assert len(opened.captions) == 16


def test_pronunciations_may_stand_in_lists(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"word": "ab", "phonemes": ["AH0 B", "AE1 B", "AH1 B"]}\n{"word": "b", "phonemes": ["B"]}\n'
    )
    config = replace(g2p.CONFIG, data=str(tmp_path))
    assert g2p.pronunciations(config, "train") == {"ab": ["AH B", "AE B"], "b": ["B"]}


def test_the_phrasebook_takes_what_it_generated(tmp_path: Path) -> None:
    folder = tmp_path / "data-en-de"
    folder.mkdir()
    config = replace(phrasebook_en_de.CONFIG, data=str(folder), output=str(tmp_path))
    with pytest.raises(UserError, match="leave --data out"):
        report.generate_data(config)
    for split in SPLITS:
        (folder / f"{split}.jsonl").touch()
    assert report.generate_data(config) == config


def test_a_folder_without_the_files_of_requests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must hold train\.seq\.in, and test\.seq\.in or valid\.seq\.in"):
        slot_filling.read(replace(slot_filling.CONFIG, data=str(tmp_path)))
    for part, line in (("seq.in", "fly home"), ("seq.out", "O B-place"), ("label", "fly")):
        (tmp_path / f"train.{part}").write_text(f"{line}\n" * 20)
        (tmp_path / f"dev.{part}").write_text(f"{line}\n")
    training, validation, test = slot_filling.read(replace(slot_filling.CONFIG, data=str(tmp_path)))
    assert (len(training), len(validation), len(test)) == (18, 2, 1)
    assert test[0] == ("fly home", "fly", ["O", "B-place"])


def test_texts_are_read_from_files_of_lines(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("NUM:dist how far\n" * 20)
    config = replace(text_classification.CONFIG, data=str(tmp_path))
    with pytest.raises(UserError, match=r"must hold train\.txt, and test\.txt or validation\.txt"):
        text_classification.read(config)
    (tmp_path / "test.txt").write_text("LOC:city where ?\n")
    training, validation, test = text_classification.read(config)
    assert (len(training), len(validation), test) == (18, 2, [("where ?", "LOC")])


def test_recipes_without_data_of_their_own_ask_for_it() -> None:
    """A name that stands for none would be looked up on the Hub."""
    with pytest.raises(UserError, match="give --data DIR_OR_HUB_ID, such as a folder with TREC's"):
        text_classification.read(text_classification.CONFIG)
    with pytest.raises(UserError, match=r"give --data DIR, a folder with train\.seq\.in"):
        slot_filling.read(slot_filling.CONFIG)
    with pytest.raises(UserError, match="give --data DIR, with"):
        g2p.prepare(g2p.CONFIG)
    with pytest.raises(UserError, match="give --data DIR_OR_HUB_ID, such as"):
        speech_digits.main(speech_digits.CONFIG)

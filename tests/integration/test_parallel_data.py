"""Data of two processes: each prepares a share of it, and reads its own part of a stream."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.comparison import assert_same, final_state
from tests.forking import run_ranks

PREPARED = '''
"""Prepares a corpus, and says how many texts this process has encoded, and what it holds."""
import json
import sys

from seq2seq.data import corpus
from seq2seq.data.corpus import DataConfig, load_split, tokenise
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.runtime.distributed import world

counted = []
encode_batch = Vocabulary.encode_batch


def counting(self, texts):
    counted.extend(texts)
    return encode_batch(self, texts)


with world("cpu") as here:
    dataset = load_split(DataConfig(sys.argv[1], "en", "de"), "train")
    vocabulary = Vocabulary.train(dataset["source"][:], VocabularyConfig(size=40, byte_fallback=False), 1)
    Vocabulary.encode_batch = counting
    corpus.ROWS_A_PART = 70  # six parts
    if sys.argv[3] == "memory":
        dataset = dataset.from_dict({name: dataset[name][:] for name in dataset.column_names})
    tokens, counts = tokenise(dataset, vocabulary, vocabulary, max_length=int(sys.argv[2]), world=here)
    print(json.dumps([len(counted), tokens["source_ids"][:], tokens["target_ids"][:], counts.describe()]))
'''


@pytest.mark.parametrize("max_length", [0, 12])
def test_each_process_encodes_a_share_and_all_hold_the_same(max_length: int, tmp_path: Path, toy_data: Path) -> None:
    """Of data in memory, which leaves no files to others, each encodes all."""
    (tmp_path / "prepared.py").write_text(PREPARED)
    held, encoded = [], {}
    for count, place in ((1, "file"), (2, "file"), (2, "memory")):
        folder = tmp_path / f"{count}-{place}"  # a copy: what one has cached, the other must not find
        folder.mkdir()
        (folder / "train.jsonl").write_text((toy_data / "train.jsonl").read_text())
        lines = run_ranks(count, tmp_path / "prepared.py", [folder, max_length, place], tmp_path).splitlines()
        encoded[count, place] = [json.loads(line)[0] for line in lines]
        held += [json.loads(line)[1:] for line in lines]
    assert all(each == held[0] for each in held)
    halves = encoded.pop((2, "file"))
    assert sum(halves) == 800 and min(halves) > 350  # of 400 pairs
    assert encoded == {(1, "file"): [800], (2, "memory"): [800, 800]}


STREAMED = '''
"""Trains on a stream; the second process hears a signal at the step that is named, if one is."""
import signal
import sys
from dataclasses import replace
from pathlib import Path

from seq2seq.errors import Interrupted
from seq2seq.tasks.translation import run
from seq2seq.training.loop import TrainingLoop
from tests.conftest import toy_config

data, output, stop_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
take = TrainingLoop._after_step


def after_step(loop):
    if loop.progress.step == stop_at - 1 and loop.world.rank == 1:
        loop.stop.number = signal.SIGTERM
    take(loop)


TrainingLoop._after_step = after_step
config = toy_config(data, output, epochs=3, max_steps=14, validate_every_steps=7)
config = replace(config, streaming=True, shuffle_buffer_size=60, test_split="")
try:
    run(config)
except Interrupted:
    assert stop_at
'''


def test_a_resumed_stream_of_two_processes_equals_an_uninterrupted_one(tmp_path: Path, toy_data: Path) -> None:
    """Three files of unlike sizes, of which the processes share one."""
    data = tmp_path / "data"
    data.mkdir()
    lines = (toy_data / "train.jsonl").read_text().splitlines(keepends=True)
    for number, (first, last) in enumerate([(0, 90), (90, 250), (250, 400)]):
        (data / f"train-{number:05d}-of-00003.jsonl").write_text("".join(lines[first:last]))
    (data / "validation.jsonl").write_text((toy_data / "validation.jsonl").read_text())
    (tmp_path / "streamed.py").write_text(STREAMED)
    for name, stops in (("whole", [0]), ("stopped", [4, 9, 0])):
        for step in stops:
            run_ranks(2, tmp_path / "streamed.py", [data, tmp_path / name, step], tmp_path)
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "stopped"))
    steps = [json.loads(line)["step"] for line in (tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()]
    assert Counter(steps).keys() >= {4, 9, 14}

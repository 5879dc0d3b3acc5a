"""Language models over pieces of a vocabulary, a translator's own among them; training for a given time; resuming."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.batch import collate
from seq2seq.data.language_units import Pieces
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.deploy.plans import plan_of
from seq2seq.errors import UserError
from seq2seq.model.language_model import LanguageModelConfig
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.runs.weights import model_tensors
from seq2seq.search.beam import SearchConfig, beam_search
from seq2seq.search.shallow_fusion import FusedState, shallow_fusion
from seq2seq.tasks.configs import LanguageModelTask
from seq2seq.tasks.language_modelling import train_language_model
from seq2seq.training.config import TrainerConfig
from tests.tiny_runs import BATCHING, OPTIMIZER, RHYME, language_model_task

POEM = "".join(f"the {word} sat on the mat\n" for word in random.Random(1).choices(["cat", "dog", "owl"], k=300))
SMALL = LanguageModelConfig("gru", hidden_size=24, embedding_size=16, dropout=0.0)


def task(output: Path, **options: object) -> LanguageModelTask:
    """Learns POEM."""
    trainer = TrainerConfig(epochs=8, best_metric="loss", average_decay=0.9)
    config = LanguageModelTask(output=str(output), model=SMALL, units="words", window=50, trainer=trainer)
    return replace(config, batching=BATCHING, optimizer=OPTIMIZER, **options)  # type: ignore[arg-type]


def train(config: LanguageModelTask) -> seq2seq.CharacterModel:
    return train_language_model(config, POEM, POEM[:230], lambda _: None)


def test_words_are_learned_sampled_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = train(task(tmp_path / "run"))
    model = seq2seq.load(tmp_path / "run", kind="language_model")
    assert isinstance(model.units, Pieces)
    assert model.sample("the owl ", 4, temperature=0.05) == "sat on the mat"
    assert model.sample("the owl sat", 3, temperature=0.05) == " on the mat"
    assert model.sample("the cat sat on the mat\n", 1, temperature=0.05) == "the"
    # Of a line's 23 characters only which of three animals sat is not known.
    assert model.bits_per_character(POEM[:230]) == pytest.approx(1.585 / 23, abs=0.02)
    lines = POEM.split("\n")[:3]
    assert model.bits_of_each(lines) == pytest.approx([model.bits_per_character(line) for line in lines], rel=1e-4)
    assert trained.bits_per_character(lines[0]) == pytest.approx(model.bits_per_character(lines[0]))
    assert main(["sample", str(tmp_path / "run"), "the dog", "--length", "2", "--temperature", "0.05"]) == 0
    assert capsys.readouterr().out == "the dog sat on\n"
    model.save_pretrained(tmp_path / "saved")
    assert seq2seq.load(tmp_path / "saved", kind="language_model").sample("the", 1) == model.sample("the", 1)
    assert main(["verify", str(tmp_path / "run")]) == 0
    with pytest.raises(UserError, match="an export cannot write subwords or words with a language model"):
        plan_of(model)


def test_a_model_of_a_translators_pieces_joins_in_its_search(tmp_path: Path) -> None:
    """The translator knows nothing, the language model what a sentence is: together they write one."""
    vocabulary = Vocabulary.train(POEM.split("\n"), VocabularyConfig(60, byte_fallback=False))
    vocabulary.save(tmp_path / "joint.spm.model")
    settings = VocabularyConfig(source_model=tmp_path / "joint.spm.model")
    language = train(task(tmp_path / "run", units="subwords", vocabulary=settings, sentences=True))
    assert isinstance(language.units, Pieces)
    assert language.units.vocabulary.fingerprint() == vocabulary.fingerprint()
    torch.manual_seed(1)
    translator = build_model(ModelConfig(8, 0.0), len(vocabulary), len(vocabulary)).eval()
    translator.decoder.output.weight.data.mul_(0.01)
    batch = collate([(vocabulary.encode("any"), [])])
    with torch.inference_mode():
        state = FusedState(translator.start(batch.source, batch.source_lengths), language.model.start(1))
        step = shallow_fusion(translator.step, language.model.step, 1.0)
        (best,) = beam_search(step, state, torch.tensor([40]), SearchConfig(beam_size=4), BOS_ID, EOS_ID, 1)[0]
    assert vocabulary.decode(best.tokens) in POEM.split("\n")
    with pytest.raises(UserError, match=r"vocabulary\.source_model is of subwords or words; set units"):
        task(tmp_path / "other", units="characters", vocabulary=settings)


def test_units_are_those_that_training_starts_from(tmp_path: Path) -> None:
    train(task(tmp_path / "first", trainer=TrainerConfig(max_steps=1, best_metric="loss")))
    second = task(tmp_path / "second", units="characters", start_from=str(tmp_path / "first"))
    with pytest.raises(UserError, match="first: its model is not one of characters; set units as there"):
        train(second)


def test_both_directions_are_learned(tmp_path: Path) -> None:
    config = language_model_task(tmp_path / "run")
    both = replace(config, model=replace(config.model, direction="both"))
    model = train_language_model(both, RHYME, RHYME[:90], lambda _: None)
    assert model.bits_per_character(RHYME[:90]) < 0.3
    assert model.bits_per_character(RHYME[:90], backwards=True) < 0.3
    assert seq2seq.load(tmp_path / "run").sample("ab", 7, temperature=0.1) == "cdefgh\n"


def test_a_resumed_language_model_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    def config(name: str, steps: int) -> LanguageModelTask:
        made = language_model_task(tmp_path / name)
        return replace(made, trainer=replace(made.trainer, epochs=3, max_steps=steps))

    runs = [("whole", 11), ("parts", 5), ("parts", 11)]
    whole, _, parts = (train_language_model(config(*run), RHYME, RHYME[:90], lambda _: None) for run in runs)
    expected = model_tensors(whole.model)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model_tensors(parts.model).items())


def test_training_ends_when_its_time_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And says how much of it has passed."""
    caplog.set_level("INFO")
    config = language_model_task(tmp_path / "run")
    timed = replace(config, trainer=replace(config.trainer, epochs=1_000_000, max_seconds=1))
    seen: list[str] = []
    for _ in range(2):  # the second time nothing is left to do
        train_language_model(timed, RHYME, RHYME[:90], lambda model: seen.append(model.sample("a", 1)))
        last = seq2seq.read_journal(tmp_path / "run")[-1]["step"]
        assert 0 < last < 100_000
    assert seq2seq.read_journal(tmp_path / "run")[-1]["step"] == last
    assert re.search(rf"step {last}/\d+, [1-9]\d* of 1 s: loss", caplog.text)

"""Models without attention: whatever would show attention says so in one line, or leaves it out."""

from pathlib import Path

import pytest
import torch

from seq2seq.cli.main import main
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.evaluation import plotting
from seq2seq.inference.transcriber import Generator
from seq2seq.inference.translator import Translator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.seq2seq import GeneratorConfig, ModelConfig, build_generator_model, build_model
from seq2seq.tasks import transcription, translation
from seq2seq.tasks.evaluate import evaluate
from tests.tiny_runs import frames_of

DECODER = DecoderConfig(12, 1, attention="none", coupling="none")
VOCABULARY = Vocabulary.train(["ba ko mi lu"], VocabularyConfig(size=100, model_type="word", byte_fallback=False))


@pytest.fixture(scope="module")
def translator() -> Translator:
    torch.manual_seed(1)
    config = ModelConfig(8, 0.0, encoder=EncoderConfig(8), decoder=DECODER)
    return Translator(build_model(config, len(VOCABULARY), len(VOCABULARY)), config, VOCABULARY, VOCABULARY)


def test_a_translator_says_that_there_is_nothing_to_align(translator: Translator) -> None:
    assert len(translator.translate(["ba ko"])) == 1
    with pytest.raises(UserError, match="this model has no attention"):
        translator.align(["ba ko"], ["mi"])
    with pytest.raises(UserError, match="this model has no attention"):
        translator.translate(["ba ko"], coverage_penalty=0.1)


def test_the_command_line_says_so_before_it_writes(
    translator: Translator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    translator.save_pretrained(tmp_path / "run")
    (tmp_path / "lines").write_text("ba ko\n")
    earlier = '{"line": 1, "weights": []}\n'
    (tmp_path / "maps").write_text(earlier)
    words = ["translate", str(tmp_path / "run"), str(tmp_path / "lines"), "--attention", str(tmp_path / "maps")]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--attention: " in captured.err.splitlines()[-1]
    assert "has no attention" in captured.err.splitlines()[-1]
    assert (tmp_path / "maps").read_text() == earlier


@pytest.mark.skipif(not plotting.available(), reason="matplotlib is not installed")
def test_maps_are_left_out(translator: Translator, tmp_path: Path) -> None:
    translation.draw_attention(translator, evaluate(translator, ["ba"], [["ko"]]), tmp_path)
    assert translation.attention_is_drawn(translator, tmp_path)
    torch.manual_seed(1)
    config = GeneratorConfig(FrontEndConfig("features", 4), 8, 0.0, EncoderConfig(8), DECODER)
    generator = Generator(build_generator_model(config, len(VOCABULARY)), config, VOCABULARY)
    with pytest.raises(UserError, match="this model has no attention"):
        generator.attention(frames_of([1, 2]), [4])
    transcription.draw_attention(generator, [frames_of([1, 2])], tmp_path)
    assert not list(tmp_path.iterdir())

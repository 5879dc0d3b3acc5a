"""Models of small languages from the command line: training that is interrupted and taken up again, loading, search,
alignments."""

from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config import read_config, write_config
from seq2seq.tasks.configs import ExperimentConfig
from tests.comparison import assert_same, final_state
from tests.inflections import write_inflections
from tests.integration.test_resume import interrupt_after

MODELS = {
    "copy, separate features": [
        "--model.copy=true",
        "--model.features=separate",
        "--model.decoder.attention-normalizer=sparsemax",
    ],
    "sparse": ["--model.decoder.output-normalizer=entmax15"],
    "monotonic": ["--model.alignment=monotonic", "--model.decoder.coupling=none"],
}
SIZES = [
    "--model.embedding-size=16",
    "--model.encoder.hidden-size=12",
    "--model.encoder.layers=1",
    "--model.decoder.hidden-size=16",
    "--batching.max-tokens-per-batch=300",
    "--trainer.epochs=1",
    "--trainer.device=cpu",
    "--test-split=",
]


@pytest.fixture(scope="module")
def inflected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inflections(tmp_path_factory.mktemp("inflection"), 120, 10, longest=5)


@pytest.mark.parametrize("model", MODELS)
def test_from_training_to_alignment(
    model: str, inflected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [f"--data={inflected}", "--columns=lemma,form,features", "--source=lemma", "--target=form"]
    options = [*data, "--features=features", *SIZES, *MODELS[model]]
    assert main(["train", *options, f"--output={tmp_path / 'whole'}"]) == 0
    config = read_config(tmp_path / "whole" / "config.json", ExperimentConfig)
    mapped = seq2seq.config.to_dict(config) | {"output": str(tmp_path / "run")}
    again = seq2seq.config.from_dict(ExperimentConfig, mapped)
    interrupt_after(2, again, monkeypatch)
    write_config(tmp_path / "again.yaml", again)
    assert main(["train", "--config", str(tmp_path / "again.yaml")]) == 0
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "run"))
    translator = seq2seq.load(tmp_path / "run")
    assert isinstance(translator, seq2seq.Translator)
    (best, *_) = translator.search(["abd\tN;UP"], n_best=3)[0]
    (score,) = translator.score(["abd\tN;UP"], [best.text])
    assert score.log_probability == pytest.approx(best.log_probability, abs=1e-4)
    (alignment,) = translator.align(["abd\tN;UP"], ["ABD"])
    features = 0 if "separate" in model else 2
    assert len(alignment.weights) == 4 and len(alignment.weights[0]) == features + 3 + 1
    assert all(sum(row) == pytest.approx(1) for row in alignment.weights)

"""Exported directories behind the server: alike to their runs, without torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seq2seq.errors import UserError
from seq2seq.serving.backend import Candidate, LoadOptions, Source
from seq2seq.serving.exported_backend import open_export
from seq2seq.serving.opening import open_backend
from tests import exports
from tests.exports import STORED
from tests.tiny_runs import frames_of

pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def export_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return lambda kind: Source(str(exports.export_of(kind, tmp_path_factory)))


def both(kind: str, export_of: Any) -> tuple[Any, Any]:
    """The run's backend and the export's."""
    return open_backend(Source(str(STORED[kind])), LoadOptions()), open_backend(export_of(kind), LoadOptions())


def test_a_translator_and_its_attention(export_of: Any) -> None:
    run, export = both("translator", export_of)
    texts = ["ba ko mi", "so", "lu te so ra ne"]
    ours, theirs = (each.search(texts, 2, beam_size=4) for each in (run, export))
    for one, other in zip(ours, theirs, strict=True):
        assert [each.text for each in one] == [each.text for each in other]
        assert [each.score for each in one] == pytest.approx([each.score for each in other], abs=1e-4)
    best = [each[0] for each in ours]
    for one, other in zip(run.attention(texts, best), export.attention(texts, best), strict=True):
        assert one[:2] == other[:2]
        np.testing.assert_allclose(other.weights, one.weights, atol=1e-4)
    run.model.max_source_tokens = export.model.config["max_input_length"] = 3  # attention is that of what was read
    for backend in (run, export):
        (best,) = backend.search(["ba ko mi so ra"], 1)
        assert best[0].truncated
        assert len(backend.attention(["ba ko mi so ra"], [best[0]])[0].source) == 4
    with pytest.raises(UserError, match="does not take one"):
        export.search(texts, 1, prefix="ba")
    with pytest.raises(UserError, match="n_best 5 is more than beam_size 2"):
        export.search(texts, 5, beam_size=2)


def test_a_text_without_the_tag_that_is_needed(
    export_of: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "export"
    shutil.copytree(export_of("translator").path, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "needed_tags": ["<up>", "<down>"]}))
    backend = open_backend(Source(str(folder)), LoadOptions())
    assert len(backend.search(["<up> ba", "", " <down> ko"], 1)) == 3
    with pytest.raises(UserError, match="text 2: begins with none of the tags that this model reads, <up>, <down>"):
        backend.search(["<up> ba", "ba ko"], 1)
    (tmp_path / "in").write_text("<up> ba\n\n<left> ko\n")
    for options in ([], ["--split-sentences"]):
        program = [sys.executable, str(folder / "translate.py"), str(tmp_path / "in"), *options]
        done = subprocess.run(program, capture_output=True, text=True)
        assert done.returncode == 2
        assert "translate.py: error: line 3: begins with none of the tags that this model reads" in done.stderr


def test_other_kinds(export_of: Any, tmp_path: Path) -> None:
    for number, digits in enumerate(([0], [1, 2])):
        np.save(tmp_path / f"{number}.npy", frames_of(digits))
    run, export = both("generator", export_of)
    inputs = [export.read(tmp_path / f"{number}.npy", 100) for number in range(2)]
    ours, theirs = (each.search(inputs, 1) for each in (run, export))
    assert [best[0].text for best in ours] == [best[0].text for best in theirs]
    outputs = [Candidate("", tokens=best[0].tokens) for best in ours]
    for one, other in zip(run.attention(inputs, outputs), export.attention(inputs, outputs), strict=True):
        np.testing.assert_allclose(other.weights, one.weights, atol=1e-4)
    run, export = both("predictor", export_of)
    given = [np.full((3, 1), 0.7, np.float32)]
    ours, theirs = (each.search(given, 1)[0][0].answer for each in (run, export))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    for words in ({"device": "cuda"}, {"precision": "int8"}):
        with pytest.raises(UserError, match="leave --"):
            open_export(export_of("predictor"), LoadOptions(**words))


def test_no_torch_is_imported(export_of: Any) -> None:
    program = (
        "import sys; from seq2seq.serving.opening import open_backend; from seq2seq.serving.backend import *; "
        f"model = open_backend(Source({export_of('translator').path!r}), LoadOptions()); "
        "print(model.search(['so'], 1)[0][0].text); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

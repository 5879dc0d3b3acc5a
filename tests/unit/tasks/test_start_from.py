"""A run that starts from another one reads its texts as that one does."""

from pathlib import Path
from typing import Any

import pytest

from seq2seq.errors import UserError
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import new_vocabularies

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"features": "tags"}, "reads no features; leave features out"),
        ({"unicode": "NFD"}, "reads text in the Unicode form unchanged; set unicode unchanged"),
    ],
)
def test_other_texts_are_refused(options: dict[str, Any], words: str) -> None:
    config = ExperimentConfig(
        data="any", source="a", target="b", model=ModelConfig(tie="two_way"), start_from=str(STORED), **options
    )
    with pytest.raises(UserError, match=words):
        new_vocabularies(config, training=None)

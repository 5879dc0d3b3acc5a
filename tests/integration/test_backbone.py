"""A pretrained image network from a local folder. Not a unit test: transformers takes seconds to import."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seq2seq.data.images import backbone
from seq2seq.errors import UserError


def test_a_backbone_gives_its_feature_map_row_by_row(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 4, 8], depths=[1] * 4, layer_type="basic")
    torch.manual_seed(0)
    model = transformers.ResNetModel(config).eval()
    model.save_pretrained(tmp_path)
    settings = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64}}
    settings |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    colours = [(255, 0, 0), (0, 0, 255)]
    found = backbone(str(tmp_path))([Image.new("RGB", (64, 64), colour) for colour in colours])
    levels = torch.tensor(colours)[:, :, None, None].expand(-1, -1, 64, 64) / 255
    with torch.inference_mode():
        expected = model((levels - 0.5) / 0.5).last_hidden_state  # [2, 8, 2, 2]
    assert found.shape == (2, 4, 8)
    np.testing.assert_allclose(found[:, 1], expected[:, :, 0, 1], atol=1e-4)
    with pytest.raises(UserError, match="cannot be loaded"):
        backbone(str(tmp_path / "nothing"))

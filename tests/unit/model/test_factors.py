"""Source factors: their embeddings by hand, in batches, and through a whole model."""

import pytest
import torch

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FactoredEmbedding
from seq2seq.model.seq2seq import ModelConfig, build_model

PAIRS = [([[4, 7, 8], [5, 7, 8], [6, 7, 8]], [4, 5]), ([[6, 9, 0]], [4])]


def test_collated_with_the_end_of_the_source_beside_no_factor() -> None:
    batch = collate(PAIRS)
    assert batch.source.tolist() == [
        [[4, 7, 8], [5, 7, 8], [6, 7, 8], [3, 0, 0]],
        [[6, 9, 0], [3, 0, 0], [0, 0, 0], [0, 0, 0]],
    ]
    assert batch.source_lengths.tolist() == [4, 2]


@pytest.mark.parametrize("beside", [0, 3])
def test_embeddings_are_added_or_stand_beside(beside: int) -> None:
    table = torch.nn.Embedding(10, 5, padding_idx=0)
    embed = FactoredEmbedding(table, beside, 0.0)
    ids = torch.tensor([[[4, 7, 8], [6, 9, 0]]])
    found = embed(ids)
    if beside:
        factors = embed.factors.weight
        wanted = [torch.cat((table.weight[4], factors[7] + factors[8])), torch.cat((table.weight[6], factors[9]))]
    else:
        wanted = [table.weight[4] + table.weight[7] + table.weight[8], table.weight[6] + table.weight[9]]
    assert torch.allclose(found, torch.stack(wanted)[None])


@pytest.mark.parametrize("features", ["sum", "concatenate"])
def test_a_model_with_factors_reads_rows_alike_alone_and_in_a_batch(features: str) -> None:
    torch.manual_seed(1)
    decoder = DecoderConfig(8, 1, coupling="none")
    config = ModelConfig(8, 0.0, "two_way", EncoderConfig(8), decoder, features=features, feature_size=3)  # type: ignore[arg-type]
    model = build_model(config, 10, 6).double()
    together, alone = collate(PAIRS), collate(PAIRS[1:])
    one, other = (model(batch.source, batch.source_lengths, batch.target_input) for batch in (together, alone))
    assert torch.allclose(one.features[1, :2], other.features[0], atol=1e-12)
    changed = together.source.clone()
    changed[1, 0, 1] = 8
    differing = model(changed, together.source_lengths, together.target_input).features
    assert not torch.allclose(differing[1], one.features[1]) and torch.allclose(differing[0], one.features[0])


def test_the_width_beside_leaves_room_for_the_token() -> None:
    with pytest.raises(UserError, match=r"model\.feature_size must be a whole number from 1 to 7, not 8"):
        ModelConfig(8, features="concatenate", feature_size=8)


def test_a_table_of_another_width_is_not_shared() -> None:
    config = ModelConfig(8, features="concatenate", feature_size=3)
    with pytest.raises(UserError, match=r"model\.features concatenate .* use two_way"):
        build_model(config, 10, 10)

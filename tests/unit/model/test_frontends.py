"""Front ends: shapes that the rest relies on, and the mel scale against its formula."""

import math

import numpy as np
import pytest
import torch

from seq2seq.data.audio import LogMel, mel_filters
from seq2seq.errors import UserError
from seq2seq.inference.inputs import read_inputs
from seq2seq.model.frontends import ConvFeatures, FeatureProjection, FrontEndConfig
from seq2seq.model.seq2seq import GeneratorConfig
from seq2seq.model.sequence_model import PredictorConfig

RATE, BANDS = 8_000, 20


@pytest.mark.parametrize(("height", "width", "blocks"), [(48, 48, 3), (17, 30, 2), (1, 5, 3)])
def test_an_image_becomes_as_many_steps_as_announced(height: int, width: int, blocks: int) -> None:
    front_end = ConvFeatures(3, height, width, output_size=32, blocks=blocks, dropout=0.0)
    config = FrontEndConfig("image", 3, height, width, blocks)
    assert front_end(torch.rand(2, 3, height, width)).shape == (2, config.form().steps, 32)


def test_bytes_of_an_image_are_read_as_its_brightness() -> None:
    config = FrontEndConfig("image", 3, 2, 2, 1)
    pixels = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 2, 2)
    for given in (pixels, pixels / 255):
        (read,) = read_inputs(config, [given])
        np.testing.assert_allclose(read, np.arange(0, 240, 20).reshape(3, 2, 2) / 255, rtol=1e-6)


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="input 2 holds infinite or undefined values"):
        read_inputs(FrontEndConfig("features", 1), [[[1.0]], [[math.nan]]])


def test_normalised_features_know_no_level() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 5, 8)
    normalising, plain = FeatureProjection(8, 4, 0.0, normalise=True), FeatureProjection(8, 4, 0.0)
    torch.testing.assert_close(normalising(features), normalising(3 * features + 7), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain(features), plain(3 * features + 7), atol=0.1)


def test_one_number_per_step_is_not_lost() -> None:
    front_end = FeatureProjection(1, 4, 0.0)
    assert not torch.allclose(front_end(torch.tensor([[[0.2]]])), front_end(torch.tensor([[[0.9]]])))


@pytest.mark.parametrize("frequency", [300.0, 1_000.0, 2_500.0])
def test_a_tone_is_loudest_in_the_band_around_it(frequency: float) -> None:
    tone = torch.sin(2 * math.pi * frequency * torch.arange(RATE) / RATE)
    bands = LogMel(RATE, BANDS)(tone)
    assert bands.shape == (1 + RATE // 80, BANDS)
    centres = np.interp(
        np.linspace(0, 2595 * math.log10(1 + RATE / 2 / 700), BANDS + 2)[1:-1],
        [2595 * math.log10(1 + hertz / 700) for hertz in range(RATE // 2 + 1)],
        np.arange(RATE // 2 + 1),
    )
    assert int(bands[50].argmax()) == int(np.abs(centres - frequency).argmin())


def test_neighbouring_filters_share_each_frequency() -> None:
    """Triangles that overlap by half sum to 1 between the first and the last centre."""
    sums = mel_filters(RATE, 2_000, BANDS).sum(0)
    inner = slice(sums.numel() // 10, -sums.numel() // 5)
    torch.testing.assert_close(sums[inner], torch.ones_like(sums[inner]), atol=1e-4, rtol=0)


def test_twice_the_amplitude_adds_log_4() -> None:
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    front_end = LogMel(RATE, BANDS)
    expected = torch.full((), math.log(4))
    difference = front_end(2 * noise) - front_end(noise)
    torch.testing.assert_close(difference.mean(), expected, atol=1e-3, rtol=0)


def test_an_image_needs_a_size_and_blocks() -> None:
    with pytest.raises(UserError, match=r"front_end\.height"):
        FrontEndConfig("image", 3)
    with pytest.raises(UserError, match=r"model\.front_end\.blocks must be a whole number from 1 to 16, not 0"):
        FrontEndConfig("image", 3, 48, 48, blocks=0)


@pytest.mark.parametrize(("blocks", "width"), [(1, 9), (2, 12), (2, 17), (3, 24)])
def test_a_width_that_the_blocks_cannot_halve_is_refused(blocks: int, width: int) -> None:
    front_end = FrontEndConfig("image", 3, 8, 8, blocks)
    with pytest.raises(ValueError, match="num_channels"):  # torch's
        front_end.form().build(width, 0.0)
    with pytest.raises(UserError, match=rf"model\.embedding_size must be a multiple of .*, not {width}.*\.blocks"):
        GeneratorConfig(front_end, width)
    GeneratorConfig(FrontEndConfig("features", 3), width)


@pytest.mark.parametrize(("blocks", "width"), [(1, 4), (2, 24), (3, 16), (3, 48)])
def test_any_other_width_is_built(blocks: int, width: int) -> None:
    config = GeneratorConfig(FrontEndConfig("image", 3, 8, 8, blocks), width)
    config.front_end.form().build(config.embedding_size, 0.0)


def words_of(spelling: list[list[int]], words: list[int]) -> torch.Tensor:
    """One sentence: [1, S, 1 + C] ids."""
    return torch.tensor([[[word, *spelled] for word, spelled in zip(words, spelling, strict=True)]])


WORDS = FrontEndConfig("words", 10, characters=9, word_length=4, character_size=3, word_dropout=0.5)


def test_a_word_is_its_embedding_and_the_maximum_over_a_convolution_of_its_characters() -> None:
    torch.manual_seed(0)
    front_end = WORDS.form().build(5, 0.0).eval()
    ids = words_of([[4, 5, 6, 0], [7, 0, 0, 0], [0, 0, 0, 0]], [6, 1, 3])
    found = front_end(ids)
    assert found.shape == (1, 3, 5)
    torch.testing.assert_close(found[..., :2], front_end.words(ids[..., 0]))
    kernel = front_end.convolution.weight.view(3, 3, 32).transpose(1, 2)  # [filters, characters' size, span]
    for place, length in enumerate((3, 1)):
        characters = front_end.characters(ids[0, place, 1 : 1 + length]).t()[None]
        convolved = torch.conv1d(characters, kernel, front_end.convolution.bias, padding=1)
        torch.testing.assert_close(found[0, place, 2:], convolved[0].amax(-1).tanh())
    assert found[0, 2, 2:].tolist() == [0, 0, 0]


def test_words_are_read_as_unknown_in_training_alone() -> None:
    torch.manual_seed(0)
    front_end = WORDS.form().build(5, 0.0)
    ids = words_of([[4, 5, 6, 0]] * 400, [6] * 400)
    own, unknown = front_end.words.weight[6], front_end.words.weight[1]
    rows = front_end(ids)[0, :, :2]
    changed = (rows == unknown).all(-1)
    assert 150 < int(changed.sum()) < 250
    assert bool((rows[~changed] == own).all())
    assert bool((front_end.eval()(ids)[0, :, :2] == own).all())


def test_ids_of_words_and_of_characters_have_limits_of_their_own() -> None:
    (read,) = read_inputs(WORDS, [[[9, 8, 0, 0, 0]]])
    assert read.dtype == np.int64
    for row in ([10, 8, 0, 0, 0], [9, 9, 0, 0, 0], [-1, 0, 0, 0, 0]):
        with pytest.raises(UserError, match="input 1: ids are whole numbers from 0 to 9"):
            read_inputs(WORDS, [[row]])


def test_characters_leave_room_for_the_words_own_embedding() -> None:
    with pytest.raises(UserError, match=r"character_size must be less than model\.size, which is 3"):
        PredictorConfig(WORDS, 3)
    with pytest.raises(UserError, match=r"model\.front_end\.characters must be"):
        FrontEndConfig("words", 10)

"""Generators and predictors: alone as in company, stored and loaded, refused where they cannot."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seq2seq
from seq2seq.config import write_config
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.inference.inputs import collate_inputs, read_inputs
from seq2seq.inference.predictor import Predictor, text_ids
from seq2seq.inference.transcriber import Generator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.seq2seq import GeneratorConfig, build_generator_model
from seq2seq.model.sequence_model import PredictorConfig, build_predictor_model
from seq2seq.runs.layout import GENERATION_FILE, SOURCE_FILE, TARGET_FILE
from seq2seq.runs.weights import model_tensors, save_tensors
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.configs import GeneratorTask, PredictorTask, TaskConfig
from tests.conftest import needs_int8

LENGTHS = (3, 9, 1, 7, 5)
WORDS = VocabularyConfig(size=100, model_type="word", byte_fallback=False)


def store(directory: Path, task: TaskConfig, model: torch.nn.Module) -> None:
    write_config(directory / "config.json", task)
    save_tensors(model_tensors(model), directory / "model.safetensors")


def generator(kind: str = "features", ctc: bool = True) -> Generator:
    front_end = {
        "features": FrontEndConfig("features", 4, normalise=True),
        "image": FrontEndConfig("image", 3, 16, 12, blocks=2),
        "tokens": FrontEndConfig("tokens", 9),
    }[kind]
    encoder, decoder = EncoderConfig(8, 2, subsampling=2), DecoderConfig(8, 1, coupling="none")
    config = GeneratorConfig(front_end, 8, 0.0, encoder, decoder, ctc=ctc)
    vocabulary = Vocabulary.train(["one two three four five"], WORDS)
    torch.manual_seed(1)
    model = build_generator_model(config, len(vocabulary))
    model.decoder.output.weight.data.mul_(4)
    return Generator(model, config, vocabulary, SearchConfig(max_length=8))


def inputs(kind: str = "features") -> list[np.ndarray]:
    random = np.random.default_rng(0)
    if kind == "image":
        return [random.random((3, 16, 12), np.float32) for _ in LENGTHS]
    if kind == "tokens":
        return [random.integers(4, 9, steps) for steps in LENGTHS]
    return [random.normal(size=(steps, 4)).astype(np.float32) for steps in LENGTHS]


@pytest.mark.parametrize("kind", ["features", "image", "tokens"])
def test_outputs_do_not_depend_on_company(kind: str) -> None:
    model = generator(kind)
    for options in ({}, {"ctc_weight": 0.4}, {"beam_size": 1}):
        together = model.search(inputs(kind), **options)
        for one, best in zip(inputs(kind), together, strict=True):
            alone = model.search([one], **options)[0][0]
            assert alone.tokens == best[0].tokens
            assert alone.score == pytest.approx(best[0].score, abs=1e-5)
    for beam in (1, 4):
        one_by_one = [model.generate_by_ctc([one], beam_size=beam)[0] for one in inputs(kind)]
        assert model.generate_by_ctc(inputs(kind), beam_size=beam) == one_by_one


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["features", "image", "tokens"])
def test_a_model_may_be_cast_to_another_precision(kind: str, dtype: torch.dtype) -> None:
    model = generator(kind)
    given, expected = inputs(kind), model.search(inputs(kind))
    model.model.to(dtype)
    for one, other in zip(model.search(given), expected, strict=True):
        assert one[0].score == pytest.approx(other[0].score, abs=0.02)
    assert len(model.generate_by_ctc(given)) == len(given)
    _, weights = model.attention(given[0], [4])
    assert [sum(row) for row in weights] == pytest.approx([1, 1], abs=0.02)


def test_weights_are_prepared_once_and_again_when_they_change() -> None:
    model = generator()
    model.generate(inputs())
    prepared = model._prepared.of((model.model,))
    model.search(inputs(), n_best=2)
    assert model._prepared.of((model.model,)) is prepared
    with torch.no_grad():
        model.model.decoder.output.weight.mul_(-1)
    fresh = Generator(model.model, model.config, model.vocabulary, model.search_config)
    assert model.search(inputs()) == fresh.search(inputs())
    assert copy.deepcopy(model).search(inputs()) == fresh.search(inputs())  # packed weights cannot be copied


def test_a_stored_generator_comes_back(tmp_path: Path) -> None:
    model = generator()
    model.vocabulary.save(tmp_path / TARGET_FILE)
    write_config(tmp_path / GENERATION_FILE, model.search_config)
    store(tmp_path, GeneratorTask(model=model.config), model.model)
    loaded = seq2seq.load(tmp_path)
    assert isinstance(loaded, Generator)
    assert loaded.generate(inputs()) == model.generate(inputs())
    assert loaded.search_config == model.search_config
    assert loaded.generate([]) == []


def test_attention_has_a_row_per_piece_and_sums_to_one() -> None:
    model = generator("image")
    pieces, weights = model.attention(inputs("image")[0], model.vocabulary.encode("two five"))
    assert pieces == ["▁two", "▁five", "</s>"]
    assert [len(row) for row in weights] == [6, 6, 6]  # 4 x 3 cells, halved by the second layer
    assert [sum(row) for row in weights] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("kind", ["features", "tokens"])
def test_forced_accuracy_counts_the_tokens_that_a_search_would_choose_behind_the_true_ones(kind: str) -> None:
    """Step by step, as the search does it, one input alone."""
    model, given = generator(kind), inputs(kind)
    texts = [f"{text} two" for text in model.generate(given, beam_size=1)]
    right = count = 0
    for one, text in zip(given, texts, strict=True):
        batch = collate_inputs(model.config.front_end, [(one, ())])
        step, state, _ = model._started(batch)
        token = torch.tensor([BOS_ID])
        for wanted in model.vocabulary.encode(text):
            log_probs, state = step(token, state)
            right, count = right + int(log_probs.argmax(-1).item() == wanted), count + 1
            token = torch.tensor([wanted])
    assert 0 < right < count
    assert abs(model.forced_accuracy(given, texts) - 100 * right / count) < 1e-9


def test_ctc_needs_its_head() -> None:
    model = generator(ctc=False)
    for attempt in (lambda: model.generate(inputs(), ctc_weight=0.5), lambda: model.generate_by_ctc(inputs())):
        with pytest.raises(UserError, match=r"model\.ctc"):
            attempt()


@pytest.mark.parametrize("answer", ["steps", "mean", "max", "last", "rollout"])
def test_predictions_do_not_depend_on_company_and_come_back(answer: str, tmp_path: Path) -> None:
    front_end, encoder = FrontEndConfig("features", 4), EncoderConfig(6)
    config = PredictorConfig(front_end, 8, 0.0, encoder, answer=answer, outputs=3, rollout_steps=4)  # type: ignore[arg-type]
    torch.manual_seed(1)
    model = build_predictor_model(config)
    predictor = Predictor(model, config)
    together = predictor.predict(inputs())
    for one, found, steps in zip(inputs(), together, LENGTHS, strict=True):
        assert found.shape == {"steps": (steps, 3), "rollout": (4, 3)}.get(answer, (3,))
        np.testing.assert_allclose(predictor.predict([one])[0], found, atol=1e-6)
    store(tmp_path, PredictorTask(model=config), model)
    loaded = seq2seq.load(tmp_path)
    assert isinstance(loaded, Predictor)
    for one, other in zip(loaded.predict(inputs()), together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_classifier_reads_text_by_its_vocabulary(tmp_path: Path) -> None:
    vocabulary = Vocabulary.train(["good bad indeed"], WORDS)
    config = PredictorConfig(FrontEndConfig("tokens", len(vocabulary)), 8, 0.0, EncoderConfig(6), answer="mean")
    torch.manual_seed(1)
    model = build_predictor_model(config)
    store(tmp_path, PredictorTask(model=config), model)
    texts = ["good", "", "bad indeed"]
    with pytest.raises(UserError, match="vocabulary"):
        seq2seq.load(tmp_path).classify(texts)
    vocabulary.save(tmp_path / SOURCE_FILE)
    expected = Predictor(model, config).predict([text_ids(vocabulary, text) for text in texts])
    for found, wanted in zip(seq2seq.load(tmp_path).predict(texts), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_pillow_images_are_read_as_arrays_of_their_pixels() -> None:
    model = generator("image")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)
    array = pixels.transpose(2, 0, 1).astype(np.float32) / 255
    assert model.search([Image.fromarray(pixels)]) == model.search([array])
    larger = Image.fromarray(pixels).resize((50, 40)).convert("L")
    assert len(model.generate([larger])) == 1


@pytest.mark.parametrize("kind", ["features", "image", "tokens"])
def test_inputs_are_read_from_any_numbers(kind: str) -> None:
    model, arrays = generator(kind), inputs(kind)
    other = [each.astype(np.int32 if kind == "tokens" else np.float64) for each in arrays]
    lists = [each.tolist() for each in arrays]
    expected = model.search(arrays)
    assert model.search(other) == model.search(lists) == expected
    assert model.attention(lists[0], [4]) == model.attention(arrays[0], [4])


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("features", np.zeros((5, 3)), r"input 1: this model reads arrays \[S, 4\], not ndarray of shape \[5, 3\]"),
        ("image", np.zeros((16, 12, 3)), r"reads arrays \[3, 16, 12\], not ndarray of shape \[16, 12, 3\]"),
        ("features", "a path", r"reads arrays \[S, 4\], not str"),
        ("features", [[1, 2, 3, 4], [5]], r"reads arrays \[S, 4\], not list"),
        ("features", np.array([["1", "2", "3", "x"]]), r"\[S, 4\], not ndarray \(the values must be numbers, not <U1"),
        ("tokens", None, r"reads arrays \[S\], not NoneType"),
    ],
)
def test_inputs_of_another_shape_are_refused(kind: str, given: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        generator(kind).generate([given])


@pytest.mark.parametrize(("kind", "empty"), [("features", np.zeros((0, 4))), ("tokens", [])])
def test_an_empty_input_is_refused_by_its_number(kind: str, empty: object) -> None:
    model = generator(kind)
    config = PredictorConfig(model.config.front_end, 8, 0.0, EncoderConfig(6))
    predictor = Predictor(build_predictor_model(config), config)
    for read in (model.generate, model.generate_by_ctc, predictor.predict):
        assert read([]) == []
        with pytest.raises(UserError, match="input 6 has no steps"):
            read([*inputs(kind), empty])
    with pytest.raises(UserError, match="input 1 has no steps"):
        model.attention(empty, [4])


def test_a_predictor_reads_inputs_as_a_generator_does() -> None:
    config = PredictorConfig(FrontEndConfig("features", 4), 8, 0.0, EncoderConfig(6))
    predictor = Predictor(build_predictor_model(config), config)
    found = predictor.predict([each.tolist() for each in inputs()])
    for one, other in zip(predictor.predict(inputs()), found, strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match=r"input 6: this model reads arrays \[S, 4\], not list of shape \[1, 3\]"):
        predictor.predict([*inputs(), [[1, 2, 3]]])
    with pytest.raises(UserError, match="no vocabulary"):
        predictor.predict(["a text"])


@pytest.mark.parametrize(
    ("config", "option", "value"),
    [
        (GeneratorConfig, "embedding_size", 0),
        (GeneratorConfig, "dropout", 1.0),
        (PredictorConfig, "size", 0),
        (PredictorConfig, "dropout", -0.1),
    ],
)
def test_sizes_and_dropout_out_of_range_are_refused(config: type, option: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"model\.{option} must be .*, not {value}"):
        config(**{option: value})


def test_a_predictor_does_not_read_images() -> None:
    with pytest.raises(UserError, match=r"model\.front_end\.kind image"):
        PredictorConfig(FrontEndConfig("image", 3, 16, 12, blocks=2))


def other(kind: str = "features") -> Generator:
    """The same with other weights."""
    model = generator(kind)
    made = Generator(copy.deepcopy(model.model), model.config, model.vocabulary, model.search_config)
    with torch.no_grad():
        for weights in made.model.parameters():
            weights.mul_(0.7)
    return made


@pytest.mark.parametrize("kind", ["features", "image", "tokens"])
def test_an_ensemble_goes_by_the_mean_of_probabilities(kind: str) -> None:
    """Scores of the outputs are those of the mean, step by step, of the models' own distributions."""
    first, second, joined = generator(kind), other(kind), generator(kind)
    joined.join(second)
    for one, best in zip(inputs(kind), joined.search(inputs(kind)), strict=True):
        tokens = best[0].tokens
        batch = collate_inputs(first.config.front_end, [(read_inputs(first.config.front_end, [one])[0], tokens)])
        with torch.inference_mode():
            opinions = []
            for each in (first.model, second.model):
                output = each(batch.source, batch.source_lengths, batch.target_input)
                opinions.append(each.decoder.log_probs(output)[0].exp())
        mean = torch.stack(opinions).mean(0).log()
        wanted = sum(float(mean[step, token]) for step, token in enumerate([*tokens, EOS_ID]))
        assert best[0].log_probability == pytest.approx(wanted, abs=1e-4)


def test_what_cannot_join_is_refused(tmp_path: Path) -> None:
    model = generator()
    with pytest.raises(UserError, match="the front end or the reader differs"):
        model.join(generator("image"))
    with pytest.raises(UserError, match="join takes one Generator, not str"):
        model.join("run")  # type: ignore[arg-type]
    model.join(other())
    with pytest.raises(UserError, match="an ensemble decodes without CTC"):
        model.search(inputs(), ctc_weight=0.5)
    with pytest.raises(UserError, match="an ensemble is not saved as one model"):
        model.save_pretrained(tmp_path / "saved")


@needs_int8
def test_weights_of_8_bits_give_nearly_the_same_scores() -> None:
    model = generator()
    plain = model.search(inputs(), beam_size=1)
    model.precision = "int8"
    quantised = model.search(inputs(), beam_size=1)
    assert quantised != plain
    for one, best in zip(plain, quantised, strict=True):
        assert best[0].score == pytest.approx(one[0].score, abs=0.1)
    assert len(model.search(inputs(), ctc_weight=0.4)) == len(inputs())

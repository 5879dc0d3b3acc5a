"""Gradients of one, two and three processes on the same global batch."""

from pathlib import Path

import pytest
import torch

from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.weights import load_tensors
from tests.forking import run_ranks

BATCHES = 6

GRADIENTS = '''
"""Writes gradients of six batches, shared out among the processes, by every way of adding them up."""
import random
import sys
from pathlib import Path

import torch
from torch import nn

from seq2seq.data.batch import collate
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.runs.weights import save_tensors
from seq2seq.runtime.distributed import world
from seq2seq.training import parallel
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer

parallel.MEBIBYTES_PER_MESSAGE = 0.02  # several messages of a model this small
chance, folder = random.Random(3), Path(sys.argv[1])
RARE = 17
FILES = ("first", "along", "bf16", "halved", "sharded")


def ids(most):
    return [chance.randrange(4, RARE) for _ in range(chance.randint(1, most))]


class Given:
    batches_per_epoch = 6

    def __init__(self, batches):
        self.batches = batches


def tiny(coupling):
    """Embeddings are shared by source, target and output layer; `never` is in no loss, `rare` in that of one batch."""
    torch.manual_seed(0)
    config = ModelConfig(16, 0.0, "three_way", EncoderConfig(12), DecoderConfig(20, 1, coupling=coupling))
    model = build_model(config, 20, 20).double()
    model.never, model.rare = (nn.Parameter(torch.ones(size, dtype=torch.float64)) for size in (3, 1))
    return model


def objective(model, batch):
    loss = teacher_forcing(0.1)(model, batch)
    if (batch.source == RARE).any():
        loss = LossSum(loss.total + 5 * model.rare.square().sum(), loss.tokens)
    return loss


def exhausted(model, batch):
    """Has memory for two rows, on the last rank, and notices after the forward pass."""
    loss = objective(model, batch)
    if len(batch.source) > 2 and here.rank == here.size - 1:
        raise torch.OutOfMemoryError("tried to allocate more than there is")
    return loss


batches = [collate([(ids(9), ids(9)) for _ in range(chance.randint(3, 6))]) for _ in range(6)]
batches[1].source[0, 0] = RARE  # not a rank's last batch
with world("cpu") as here:
    own = batches[here.rank :: here.size]
    made = {}
    for name in FILES:
        sharding = "full" if name == "sharded" else "none"
        config = TrainerConfig(precision="fp32", sharding=sharding, bf16_messages=name == "bf16")
        trainer = Trainer(folder, config, OptimizerConfig(), here)
        model = tiny("input_feeding" if name == "bf16" else "none")
        step = trainer.begin(model, Given(own), exhausted if name == "halved" else objective)
        if name == "sharded":
            step.gradients(own)
        elif name != "halved":
            assert not step.passes.sends_along(own)
            made[name] = step.gradients(own)
            assert here.size == 1 or step.passes.sends_along(own)
        if name == "along":
            made[name] = step.gradients(own)
            assert made[name][0] == made["first"][0]
        if name == "halved":
            step.gradients(own)
            assert here.rank < here.size - 1 or trainer.progress.halved
        if name == "sharded" and here.size > 1:
            assert max(map(len, step.parameters)) < max(map(len, model.parameters()))
            step.passes.gather([each.grad for each in step.parameters], model)
            for parameter in model.parameters():
                parameter.grad = parameter.detach()
        gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
        save_tensors(gradients, folder / f"{name}-{here.rank}-of-{here.size}.safetensors")
'''


VALIDATED = '''
"""Validates an untrained model, and translates by it, alone and shared out among the processes."""
import random

import torch

from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.inference.translator import Translator
from seq2seq.model.seq2seq import build_model
from seq2seq.runtime.distributed import world
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.evaluate import Validator, translate_together
from tests.conftest import WORDS, toy_config

chance = random.Random(3)
lines = [" ".join(chance.choices(WORDS, k=chance.randint(0, 6))) for _ in range(500)]
vocabulary = Vocabulary.train(lines, VocabularyConfig(size=40, byte_fallback=False), 1)
torch.manual_seed(1)
model = build_model(toy_config("data", "run").model, len(vocabulary), len(vocabulary)).eval()
pairs = [(ids, ids) for ids in vocabulary.encode_batch(lines)]
encode, decoded = model.encode, []
model.encode = lambda source, lengths: decoded.append(len(source)) or encode(source, lengths)
with world("cpu") as here:
    given = (pairs, [[line] for line in lines], vocabulary, SearchConfig(), "", "", "character_error_rate")
    shared = Validator(*given, world=here)(model)
    own = sum(decoded)
    alone = Validator(*given)(model)
    assert here.size == 2 and 0 < own < 0.7 * (sum(decoded) - own), decoded
    assert shared == (alone if here.is_main else {"loss": alone["loss"]}), (shared, alone)
    assert alone["bleu"] > 0 or alone["character_error_rate"] > 0
    short = SearchConfig(2, max_length=6)
    translator = Translator(model, toy_config("data", "run").model, vocabulary, vocabulary, short)
    translated = translate_together(translator, lines, here)
    assert [best.text for best in translated] == translator.translate(lines)
    assert len({best.text for best in translated}) > 20
'''


@pytest.mark.slow
def test_validation_and_translation_shared_out_give_what_one_process_does(tmp_path: Path) -> None:
    (tmp_path / "validated.py").write_text(VALIDATED)
    run_ranks(2, tmp_path / "validated.py", [], tmp_path)


@pytest.fixture(scope="module")
def gradients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gradients")
    (folder / "gradients.py").write_text(GRADIENTS)
    for processes in (1, 2, 3):
        run_ranks(processes, folder / "gradients.py", [folder], folder)
    return folder


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("way", ["first", "along", "halved", "sharded"])
def test_processes_have_the_gradients_of_one(way: str, processes: int, gradients: Path) -> None:
    """By messages after the backward pass, along with it, after one that was repeated in halves, and in shares.

    Unequal numbers of tokens, several batches a step, a shared embedding, a parameter in no loss, and one in that of a
    single batch."""
    one = load_tensors(gradients / f"{way}-0-of-1.safetensors")
    assert one.pop("never").abs().sum() == 0
    for rank in range(processes):
        several = load_tensors(gradients / f"{way}-{rank}-of-{processes}.safetensors")
        assert several.pop("never").abs().sum() == 0
        for name, gradient in one.items():
            assert gradient.abs().sum() > 0, name
            torch.testing.assert_close(several[name], gradient, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("processes", [2, 3])
def test_messages_in_bf16_differ_by_their_rounding(processes: int, gradients: Path) -> None:
    one = load_tensors(gradients / "bf16-0-of-1.safetensors")
    ranks = [load_tensors(gradients / f"bf16-{rank}-of-{processes}.safetensors") for rank in range(processes)]
    for name, gradient in one.items():
        largest = float(gradient.abs().max())
        torch.testing.assert_close(ranks[0][name], gradient, atol=0.02 * largest, rtol=0.02)
        assert all(torch.equal(rank[name], ranks[0][name]) for rank in ranks)
    assert any(not torch.allclose(ranks[0][name], gradient, rtol=1e-6) for name, gradient in one.items())


TRAINED = '''
"""Trains in several ways."""
import random
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from seq2seq.data.batch import collate
from seq2seq.errors import Interrupted
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, build_model
from seq2seq.runtime.distributed import world
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import loss_per_token, teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer

folder = Path(sys.argv[1])
chance = random.Random(3)


def ids():
    return [chance.randrange(4, 17) for _ in range(chance.randint(1, 9))]


class Shared:
    """Twelve batches, shared out among the ranks."""

    batches = [collate([(ids(), ids()) for _ in range(chance.randint(3, 6))]) for _ in range(12)]

    def __init__(self):
        self.batches_per_epoch = len(self.batches) // here.size

    def iterate(self, epoch, start=0):
        yield from self.batches[here.rank :: here.size][start:]


def train(name, stop_at=0, **options):
    torch.manual_seed(0)
    config = ModelConfig(16, 0.1, "three_way", EncoderConfig(12), DecoderConfig(20, 1, coupling="none"))
    model = build_model(config, 20, 20).double()
    begun = float((folder / name / "checkpoints").exists())  # what is resumed is built otherwise than it was stored
    model.still = nn.Parameter(torch.full((3,), 1 + begun, dtype=torch.float64), requires_grad=False)
    model.single = nn.Parameter(torch.ones(1, dtype=torch.float64))  # of which most shares are empty
    settings = {"epochs": 2, "accumulation": 2, "precision": "fp32", "best_metric": "loss", "average_decay": 0.9}
    settings |= {"clip_norm": 0.5, "log_every_steps": 1, **options}
    trainer = Trainer(folder / name, TrainerConfig(**settings), OptimizerConfig(warmup_steps=0), here)

    def objective(model, batch):
        if trainer.progress.step == stop_at - 1 and here.rank == 1:
            trainer.stop.number = signal.SIGTERM
        loss = teacher_forcing(0.1)(model, batch)
        return loss._replace(total=loss.total + (model.single.square() + model.single * model.still.mean()).sum())

    def validate(model):
        return {"loss": loss_per_token(model, Shared.batches, teacher_forcing())}

    try:
        trainer.fit(model, Shared(), objective, validate)
    except Interrupted:
        assert trainer.progress.step == stop_at
    return trainer.progress


with world("cpu") as here:
    if here.size == 2:
        train("whole")
        train("sharded", sharding="full")
        train("twice", sharding="full", stop_at=4)
        train("twice", sharding="full")
        train("fewer", stop_at=2)
    else:
        progress = train("fewer", sharding="full")
        assert progress.step == 2 + 1 + 2, progress  # two had done 8 of the first 12 batches in 2 steps
        assert progress.further_steps == 1, progress
        train("three")
        train("thrice", stop_at=3)
        train("thrice")
'''


def test_training_in_shares_equals_training_whole_and_goes_on_with_more_processes(tmp_path: Path) -> None:
    """Accumulation, clipping by the whole norm, Adam, the average, a frozen weight; stopped by one rank's signal, and
    taken up bit for bit, by three processes too, whose sums depend on their order."""
    (tmp_path / "trained.py").write_text(TRAINED)
    run_ranks(2, tmp_path / "trained.py", [tmp_path], tmp_path)
    whole, sharded, twice = (final_tensors(tmp_path / name) for name in ("whole", "sharded", "twice"))
    assert whole.keys() == sharded.keys() == twice.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(sharded[name], tensor, atol=1e-9, rtol=1e-7)
        assert torch.equal(twice[name], sharded[name]), name
    run_ranks(3, tmp_path / "trained.py", [tmp_path], tmp_path)
    assert "trained by 2 processes, goes on with 3" in (tmp_path / "stderr-0").read_text()
    assert final_tensors(tmp_path / "fewer").keys() == whole.keys()
    three, thrice = (final_tensors(tmp_path / name) for name in ("three", "thrice"))
    assert all(torch.equal(thrice[name], tensor) for name, tensor in three.items())


def final_tensors(run: Path) -> dict[str, torch.Tensor]:
    """Of the last checkpoint and of the best model."""
    latest = CheckpointStore(run / "checkpoints").load_latest()
    assert latest is not None
    tensors = {f"{group}.{name}": each for group, named in latest[0].items() for name, each in named.items()}
    return {**tensors, **load_tensors(run / "model.safetensors")}

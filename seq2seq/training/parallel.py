"""How processes that train together add their gradients up.

Gradients are sums over target tokens, which `TrainingStep.gradients` divides by the global number of tokens in the end.
torch's DistributedDataParallel divides by the number of processes: here it adds up, by a hook of its own.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed import GradBucket
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from seq2seq.data.batch import row_count
from seq2seq.model.losses import LossSum
from seq2seq.runtime.distributed import World
from seq2seq.training.objectives import ComputeLoss

MEBIBYTES_PER_MESSAGE = 4
"""torch's 25 would send all of a recurrent model of usual size in the end, in one or two messages."""


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that training changes, each once."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


class OneMessage:
    """The gradients of one process, which sends nothing; or of several, added up in one message after the last
    backward pass, as a recorded step (cuda_graphs.py) needs it.

    parameters: what the optimiser changes.
    """

    def __init__(self, model: nn.Module, compute_loss: ComputeLoss, world: World, in_bf16: bool) -> None:
        self.model, self.compute_loss, self.world, self.in_bf16 = model, compute_loss, world, in_bf16
        self.parameters = trainable(model)

    def loss(self, batch: Any) -> LossSum:
        """The objective's value for a batch, to go backward from."""
        return self.compute_loss(self.model, batch)

    def sends_along(self, _group: Sequence[Any]) -> bool:
        """Whether the group's last backward pass sends gradients: once it has begun, it cannot be repeated."""
        return False

    def passing(self, _sends: bool) -> AbstractContextManager[Any]:
        """Around forward and backward pass of one batch, which sends gradients or does not."""
        return nullcontext()

    def finish(self, _group: Sequence[Any], _sent: bool) -> None:
        """Leaves the sum over all ranks in the parameters. The group: as it went through without memory running out;
        sent: whether its last pass has sent gradients."""
        if self.world.size == 1:
            return
        for parameter in self.parameters:
            if parameter.grad is None:  # not reached by the loss; every rank must send the same tensors
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        sent = [gradient.bfloat16() for gradient in gradients] if self.in_bf16 else gradients
        self.world.sum_tensors(sent)
        if self.in_bf16:
            torch._foreach_copy_(gradients, sent)

    def clip(self, largest: float) -> Tensor:
        """Scales the gradients down to a norm over all parameters of at most `largest`; returns what it was, []."""
        return nn.utils.clip_grad_norm_(self.parameters, largest)


class LossModule(nn.Module):
    """Model and objective in one forward, around which torch's engines act: an objective may call the model in any way,
    and more than once. Its loss reaches every parameter, be it by no gradient: all ranks send the same messages."""

    def __init__(self, model: nn.Module, compute_loss: ComputeLoss) -> None:
        super().__init__()
        self.model, self.compute_loss = model, compute_loss

    def forward(self, batch: Any) -> LossSum:
        """The objective's value; of None, as a batch, 0, which reaches the last parameter first, as losses do."""
        if batch is not None:
            loss = self.compute_loss(self.model, batch)
            return loss._replace(total=reaching(loss.total, trainable(self.model)))
        zero = torch.zeros(())
        for parameter in trainable(self.model):
            zero = reaching(zero, [parameter])
        return LossSum(zero, zero)


def reaching(total: Tensor, parameters: Sequence[Tensor], by_zeros: bool = False) -> Tensor:
    """total [], so that going backward from it reaches these parameters too, by no gradient or by one of zeros."""
    reached: Tensor = _Reaching.apply(by_zeros, total, *parameters)
    return reached


class _Reaching(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, by_zeros: bool, total: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters, ctx.by_zeros = parameters, by_zeros
        return total.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        zeros = [each.new_zeros(()).expand_as(each) if ctx.by_zeros else None for each in ctx.parameters]
        return None, upstream[0], *zeros


class Replicated(OneMessage):
    """Every process has the whole model; DistributedDataParallel sends gradients, some at a time, while the last
    backward pass of a step still works out others.

    A batch larger than all before may not fit into memory. It sends nothing before it has passed, so that this rank can
    halve it while the others wait.
    """

    def __init__(self, model: nn.Module, compute_loss: ComputeLoss, world: World, in_bf16: bool) -> None:
        super().__init__(model, compute_loss, world, in_bf16)
        self.engine = DistributedDataParallel(
            LossModule(model, compute_loss), init_sync=False, bucket_cap_mb=MEBIBYTES_PER_MESSAGE
        )
        self.engine.broadcast_buffers = False  # as an argument some releases of torch warn of it
        self.engine.register_comm_hook(None, sum_in_bf16 if in_bf16 else sum_as_it_is)
        self.fitted: tuple[int, ...] = ()
        """The largest sizes of batches that have passed."""
        # DDP shares parameters out to messages anew after its first pass. Here, so that a resume adds up in the same
        # order: else three ranks and more would not go on bit for bit.
        self.finish((), False)
        for parameter in self.parameters:
            parameter.grad = None

    def loss(self, batch: Any) -> LossSum:
        loss: LossSum = self.engine(batch)
        return loss

    def sends_along(self, group: Sequence[Any]) -> bool:
        return all(_within(_sizes(batch), self.fitted) for batch in group)

    def passing(self, sends: bool) -> AbstractContextManager[Any]:
        return nullcontext() if sends else self.engine.no_sync()

    def finish(self, group: Sequence[Any], sent: bool) -> None:
        """Where nothing was sent, sends the same messages as a backward pass, by one that has nothing to work out:
        other ranks may send theirs along."""
        if sent:
            return
        self.engine(None).total.backward()
        for batch in group:
            self.fitted = _largest(_sizes(batch), self.fitted)


def sum_as_it_is(_state: None, bucket: GradBucket) -> Future[Tensor]:
    """Adds a message up over all ranks; without a hook it would be divided by their number."""
    return _all_reduce(bucket.buffer()).then(lambda done: done.value()[0])


def sum_in_bf16(_state: None, bucket: GradBucket) -> Future[Tensor]:
    """The same, in half the bytes."""
    buffer = bucket.buffer()
    return _all_reduce(buffer.bfloat16()).then(lambda done: buffer.copy_(done.value()[0]))


def _all_reduce(tensor: Tensor) -> Future[list[Tensor]]:
    work = distributed.all_reduce(tensor, async_op=True)
    assert work is not None
    return work.get_future()


def _sizes(batch: Any) -> tuple[int, ...]:
    """What memory grows with: the elements of each tensor, and those of weights of attention, as a bound."""
    tensors = [tensor for tensor in batch if tensor is not None]
    lengths = math.prod(tensor.shape[1] for tensor in tensors if tensor.dim() > 1)
    return (*(tensor.numel() for tensor in tensors), row_count(batch) * lengths)


def _within(sizes: tuple[int, ...], most: tuple[int, ...]) -> bool:
    return len(sizes) == len(most) and all(size <= limit for size, limit in zip(sizes, most, strict=True))


def _largest(sizes: tuple[int, ...], most: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(max, sizes, most)) if len(sizes) == len(most) else sizes

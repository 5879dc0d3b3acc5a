"""Training whose weights, gradients, optimiser state and average lie in shares on the processes that train together."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler
from torch.distributed.tensor import DTensor, distribute_tensor

from seq2seq.errors import UserError
from seq2seq.model.losses import LossSum
from seq2seq.runs.checkpoints import load_optimizer_tensors, optimizer_tensors
from seq2seq.runs.weights import load_model_tensors, model_tensors
from seq2seq.runtime.distributed import World
from seq2seq.training.objectives import ComputeLoss
from seq2seq.training.parallel import LossModule, OneMessage, reaching, trainable
from seq2seq.training.step import TrainingStep


class ShardedLoss(LossModule):
    """Its loss reaches every parameter by a gradient: a message holds the gradients that there are, and must be of the
    same size on all ranks."""

    def forward(self, batch: Any) -> LossSum:
        """The objective's value."""
        loss = self.compute_loss(self.model, batch)
        return loss._replace(total=reaching(loss.total, trainable(self.model), by_zeros=True))


class Sharded(OneMessage):
    """Each process keeps its share of the rows of every weight (torch's `fully_shard`). It gathers the others' for the
    passes of a batch, and gets its share of the gradients' sum after them.

    A decoder is used through several methods, and torch gathers weights around a forward: so all are gathered together.
    The parameters, and all that is as large, are these shares, plain tensors.
    """

    def __init__(self, model: nn.Module, compute_loss: ComputeLoss, world: World, in_bf16: bool) -> None:
        """model: on the device; it is taken apart."""
        super().__init__(model, compute_loss, world, in_bf16)
        group: Any = distributed.group.WORLD
        self.mesh = DeviceMesh.from_group(group, world.device.type)
        policy = MixedPrecisionPolicy(reduce_dtype=torch.bfloat16 if in_bf16 else None)
        try:
            self.engine: Any = fully_shard(
                ShardedLoss(model, compute_loss), mesh=self.mesh, reshard_after_forward=False, mp_policy=policy
            )
        except (ValueError, NotImplementedError) as error:  # such as a parameter of no dimension
            raise UserError(f"trainer.sharding full is not for this model: {error}") from None
        self.engine.set_gradient_divide_factor(1.0)  # else torch takes the mean over ranks
        self.engine.set_force_sum_reduction_for_comms(True)
        self.shares: list[Any] = list(trainable(model))
        self.parameters = [nn.Parameter(each.to_local().detach()) for each in self.shares]

    def loss(self, batch: Any) -> LossSum:
        loss: LossSum = self.engine(batch)
        return loss

    def sends_along(self, _group: Sequence[Any]) -> bool:
        """Always: the weights that a pass begins with are messages too."""
        return True

    def passing(self, sends: bool) -> AbstractContextManager[Any]:
        self.engine.set_requires_gradient_sync(sends)
        return nullcontext()

    def finish(self, _group: Sequence[Any], _sent: bool) -> None:
        for parameter, share in zip(self.parameters, self.shares, strict=True):
            parameter.grad, share.grad = share.grad.to_local(), None

    def clip(self, largest: float) -> Tensor:
        """As of the whole gradient, which no rank has."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        squares = nn.utils.get_total_norm(gradients).square()
        self.world.sum_tensors([squares])
        nn.utils.clip_grads_with_norm_(self.parameters, largest, norm := squares.sqrt())
        return norm

    @torch.no_grad()
    def gather(self, values: Sequence[Tensor], model: nn.Module) -> None:
        """Fills a whole model with values, given as the parameters are. All ranks call this together."""
        for whole, share, value in zip(trainable(model), self.shares, values, strict=True):
            whole.copy_(self._whole(value, share))

    @torch.no_grad()
    def share_out(self, model: nn.Module, values: Sequence[Tensor]) -> None:
        """Sets values, given as the parameters are, to those of a whole model."""
        for whole, share, value in zip(trainable(model), self.shares, values, strict=True):
            value.copy_(self._part(whole, share))

    @torch.no_grad()
    def share_out_frozen(self, model: nn.Module) -> None:
        """Sets the weights that training does not change to those of a whole model."""
        for whole, share in zip(model.parameters(), self.model.parameters(), strict=True):
            if not share.requires_grad:
                own: Any = share
                own.to_local().copy_(self._part(whole, share))

    def whole_state(self, tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """The optimiser's tensors, as `optimizer_tensors` gives them, of all ranks. All call this together."""
        return {
            name: value if share is None else self._whole(value, share).cpu()
            for name, value, share in self._with_shares(tensors, optimizer)
        }

    def own_state(self, tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """This rank's part of what `whole_state` gave."""
        return {
            name: value if share is None else self._part(value, share)
            for name, value, share in self._with_shares(tensors, optimizer)
        }

    def _with_shares(
        self, tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer
    ) -> list[tuple[str, Tensor, Any | None]]:
        """Each tensor with its parameter's share; None where it is a number, such as a count of steps."""
        by_parameter = {id(each): share for each, share in zip(self.parameters, self.shares, strict=True)}
        shares = [by_parameter[id(each)] for group in optimizer.param_groups for each in group["params"]]
        return [
            (name, value, shares[int(name.split(".")[0])] if value.dim() else None) for name, value in tensors.items()
        ]

    def _whole(self, value: Tensor, share: Any) -> Tensor:
        joined = DTensor.from_local(
            value, self.mesh, share.placements, run_check=False, shape=share.shape, stride=share.stride()
        )
        return joined.full_tensor()

    def _part(self, whole: Tensor, share: Any) -> Tensor:
        """Without a message: every rank has the whole."""
        return distribute_tensor(
            whole.detach().to(self.world.device), self.mesh, share.placements, src_data_rank=None
        ).to_local()


class ShardedStep(TrainingStep):
    """A step of a model in shares. `average` is a whole model, filled where one is asked for; it waits in the host's
    memory."""

    records = False
    passes: Sharded

    def _scaler(self, enabled: bool) -> torch.amp.GradScaler:
        """Ranks see infinities each in their own share, and skip a step together."""
        return ShardedGradScaler(self.world.device.type, enabled=enabled)

    def _set_up(self, compute_loss: ComputeLoss) -> Sharded:
        self.average, self.model = self.model, copy.deepcopy(self.model)
        passes = Sharded(self.model, compute_loss, self.world, self.config.bf16_messages)
        own = passes.parameters
        self.averages = [each.detach().clone() for each in own] if self.config.average_decay else own
        self.average.cpu()
        return passes

    def averaged(self) -> nn.Module:
        self.passes.gather(self.averages, self.average.to(self.world.device))
        self._copy_buffers(self.model, self.average)
        return self.average.eval()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        state = self.passes.whole_state(optimizer_tensors(self.optimizer), self.optimizer)
        groups = {"model": self._gathered(self.parameters), "optimizer": state}
        if self.config.average_decay:
            groups["average"] = self._gathered(self.averages)
        self.average.cpu()
        return groups

    def _gathered(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        self.passes.gather(values, self.average)
        self._copy_buffers(self.model, self.average)
        return {name: tensor.detach().cpu().clone() for name, tensor in model_tensors(self.average).items()}

    def _load_tensors(self, tensors: Mapping[str, Mapping[str, Tensor]], where: str) -> None:
        load_model_tensors(self.average, tensors["model"], where)
        self.passes.share_out(self.average, self.parameters)
        self.passes.share_out_frozen(self.average)
        self._copy_buffers(self.average, self.model)
        if self.config.average_decay:
            load_model_tensors(self.average, tensors.get("average", tensors["model"]), where)
            self.passes.share_out(self.average, self.averages)
        state = self.passes.own_state(dict(tensors["optimizer"]), self.optimizer)
        load_optimizer_tensors(self.optimizer, state)

    @staticmethod
    @torch.no_grad()
    def _copy_buffers(source: nn.Module, target: nn.Module) -> None:
        for own, other in zip(target.buffers(), source.buffers(), strict=True):
            own.copy_(other)

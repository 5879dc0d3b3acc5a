"""Trained models as functions of flat tensors, in the form that an exported file holds: an encoder, and one step of
search.

Recurrent layers that read whole sequences become ONNX's own LSTM, GRU and RNN nodes, whose `sequence_lens` do what
`BidirectionalLayer` does by reversing, or, in a program of torch, a scan over time; a step's layer becomes one matrix
product and what follows it. All have the layers' own weights, so the numbers are the model's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._higher_order_ops import scan
from torch.utils import _pytree as pytree

from seq2seq.errors import UserError, check
from seq2seq.model.attention import NoAttention
from seq2seq.model.cells import LoopedLayer, PeepholeLSTM
from seq2seq.model.encoder import BidirectionalLayer, Direction, merge_directions
from seq2seq.model.language_model import LanguageModel
from seq2seq.model.memory import length_mask
from seq2seq.model.recurrent import GRULayer, JointWeights, LSTMLayer, ProjectedLSTM, RNNLayer, State, lstm_weights
from seq2seq.model.seq2seq import CTCSeq2Seq, Seq2Seq
from seq2seq.model.sequence_model import SequenceModel

Sequences = Callable[[Sequence[nn.Module], Direction], nn.Module]
"""The layers of one or two directions -> a module over whole sequences: `SequenceNode` or `SequenceScan`."""
DIRECTIONS: dict[Direction, str] = {"both": "bidirectional", "forward": "forward", "backward": "reverse"}
"""ONNX's names."""


class NodeWeights(NamedTuple):
    """One direction's weights as ONNX lays them out, G rows in its order of gates."""

    operator: str
    by_input: Tensor
    """[G, I]"""
    by_hidden: Tensor
    """[G, H]"""
    biases: Tensor
    """[2G] of the input's product, then of the hidden state's"""
    peepholes: Tensor | None = None
    """[3H] input, output, forget gate"""


def node_weights(layer: nn.Module) -> NodeWeights:
    """The weights of a layer as ONNX's operator of its cell takes them. Raises UserError where ONNX has none."""
    match layer:
        case LSTMLayer():
            rows = [_reordered(each, (0, 3, 1, 2)) for each in lstm_weights(layer)]  # input, output, forget, cell
            return NodeWeights("LSTM", rows[0], rows[1], torch.cat(rows[2:]))
        case GRULayer():
            rows = [_reordered(each, (1, 0, 2)) for each in lstm_weights(layer)]  # update, reset, candidate
            return NodeWeights("GRU", rows[0], rows[1], torch.cat(rows[2:]))
        case RNNLayer():
            by_input, by_hidden, *biases = lstm_weights(layer)
            return NodeWeights("RNN", by_input, by_hidden, torch.cat(biases))
        case PeepholeLSTM():
            rows = [_reordered(each, (0, 3, 1, 2)) for each in layer.joint_weights()]
            peepholes = layer.peepholes[[0, 2, 1]].flatten()
            return NodeWeights("LSTM", rows[0], rows[1], torch.cat((rows[2], torch.zeros_like(rows[2]))), peepholes)
    raise UserError(f"ONNX has no operator for the layer {type(layer).__name__}: a model that reads with it stays here")


def _reordered(weight: Tensor, order: Sequence[int]) -> Tensor:
    """Gates, equal parts of the rows, in another order."""
    parts = weight.detach().chunk(len(order))
    return torch.cat([parts[place] for place in order])


class SequenceNode(nn.Module):
    """One layer over whole sequences, in one or two directions, as a node of ONNX."""

    by_input: Tensor
    by_hidden: Tensor
    biases: Tensor
    peepholes: Tensor | None

    def __init__(self, layers: Sequence[nn.Module], direction: Direction) -> None:
        super().__init__()
        sides = [node_weights(layer) for layer in layers]
        self.operator, self.direction = sides[0].operator, DIRECTIONS[direction]
        self.size = sides[0].by_hidden.shape[1]
        for name in ("by_input", "by_hidden", "biases"):
            self.register_buffer(name, torch.stack([getattr(side, name) for side in sides]))
        peepholes = [side.peepholes for side in sides if side.peepholes is not None]
        self.register_buffer("peepholes", torch.stack(peepholes) if peepholes else None)

    def forward(self, inputs: Tensor, lengths: Tensor | None, start: State | None = None) -> tuple[Tensor, ...]:
        """inputs [B, S, I], lengths [B] (None: all S), start h and c [B, H] (None: 0) -> states [D, B, S, H], and h, c
        [D, B, H] of the last real step; c is h where the cell has none."""
        rows, steps, _ = inputs.shape
        directions = len(self.by_input)
        counts = None if lengths is None else lengths.to(torch.int32)
        hidden, cell = (None, None) if start is None else (each[None].expand(directions, -1, -1) for each in start)
        given = [inputs.transpose(0, 1), self.by_input, self.by_hidden, self.biases, counts, hidden]
        attributes: dict[str, Any] = {"hidden_size": self.size, "direction": self.direction}
        last = (directions, rows, self.size)
        shapes = [(steps, directions, rows, self.size), last]
        if self.operator == "LSTM":
            given += [cell, self.peepholes]
            shapes.append(last)
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1
        dtypes = [torch.float32] * len(shapes)
        states, *final = torch.onnx.ops.symbolic_multi_out(
            self.operator, given, attributes, dtypes=dtypes, shapes=shapes
        )
        return states.permute(1, 2, 0, 3), final[0], final[-1]


class SequenceScan(nn.Module):
    """The same as a scan over time, which torch.export keeps for any number of steps."""

    def __init__(self, layers: Sequence[nn.Module], direction: Direction) -> None:
        super().__init__()
        self.layers = nn.ModuleList(StepLayer(layer, type(self)) for layer in layers)
        self.backward = [direction == "backward"] if len(layers) == 1 else [False, True]

    def forward(self, inputs: Tensor, lengths: Tensor | None, start: State | None = None) -> tuple[Tensor, ...]:
        """As `SequenceNode` has it."""
        layers: Any = self.layers
        found = [
            self._scan(layer, inputs, lengths, start, back) for layer, back in zip(layers, self.backward, strict=True)
        ]
        return tuple(torch.stack(each) for each in zip(*found, strict=True))

    @staticmethod
    def _scan(
        layer: StepLayer, inputs: Tensor, lengths: Tensor | None, start: State | None, backward: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, steps, width = inputs.shape
        real = inputs.new_ones(rows, steps, dtype=torch.bool) if lengths is None else length_mask(lengths, steps)
        nothing = inputs.new_zeros(rows, layer.hidden_size)
        begin = (nothing, nothing.clone()) if start is None else (start[0], start[1].clone())
        projected = (inputs @ layer.weight[:width] + layer.bias).transpose(0, 1)
        by_hidden = layer.weight[width:].clone()

        def step(state: State, given: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
            hidden, cell = state
            following, memory = layer.advance(given[0] + hidden @ by_hidden, hidden, cell)
            hidden, cell = torch.where(given[1], following, hidden), torch.where(given[1], memory, cell)
            return (hidden, cell.clone()), hidden.clone()

        (hidden, cell), states = scan(step, begin, (projected, real.t()[..., None].clone()), reverse=backward)
        return states.transpose(0, 1), hidden, cell


class EncoderLayer(nn.Module):
    """A `BidirectionalLayer` over whole sequences as a `Sequences` has it."""

    def __init__(self, layer: BidirectionalLayer, sequences: Sequences) -> None:
        super().__init__()
        self.merge = layer.merge
        sides = [side for side in (layer.ahead, layer.back) if side is not None]
        projected = any(isinstance(side, ProjectedLSTM) for side in sides)
        check(not projected, "an export cannot read with model.encoder.proj_size, which ONNX lacks; use seq2seq serve")
        direction: Direction = "both" if len(sides) == 2 else "backward" if layer.ahead is None else "forward"
        self.node = sequences(sides, direction)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """As the layer's own."""
        found = self.node(inputs, lengths)
        if len(found[0]) == 1:
            return tuple(each[0] for each in found)
        return tuple(merge_directions(each[0], each[1], self.merge) for each in found)


class StepLayer(nn.Module):
    """A layer that goes one step at a time, or over all steps from a given state."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Module, sequences: Sequences) -> None:
        super().__init__()
        own: Any = layer
        self.layer, self.sequences = layer, sequences
        self.has_cell, self.hidden_size = own.has_cell, own.hidden_size
        by_input, by_hidden, bias = (each.detach() for each in own.joint_weights())
        self.register_buffer("weight", torch.cat((by_input, by_hidden), 1).t().contiguous())
        self.register_buffer("bias", bias.clone())
        self.advance: Callable[..., State] = lstm_gates if isinstance(layer, LSTMLayer) else own.advance

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H], cell [N, H] -> the next h and c."""
        return self.advance(torch.cat((inputs, hidden), 1) @ self.weight + self.bias, hidden, cell)

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h and c [B, H] -> states [B, T, H]."""
        states: Tensor = self.sequences([self.layer], "forward")(inputs, None, start)[0]
        return states[0]

    def joint_weights(self) -> JointWeights:
        """As the layer's own."""
        by_input, by_hidden = self.weight.t().split([len(self.weight) - self.hidden_size, self.hidden_size], 1)
        return JointWeights(by_input, by_hidden, self.bias)


def lstm_gates(gates: Tensor, _hidden: Tensor, cell: Tensor) -> State:
    """gates [N, 4H] in torch's order input, forget, cell, output; cell [N, H] -> the next h and c."""
    ingoing, forget, candidate, outgoing = gates.chunk(4, 1)
    cell = forget.sigmoid() * cell + ingoing.sigmoid() * candidate.tanh()
    return outgoing.sigmoid() * cell.tanh(), cell


def exportable(model: nn.Module, sequences: Sequences) -> nn.Module:
    """A copy of a model, with its recurrent layers as `EncoderLayer` and `StepLayer`. Raises UserError where ONNX has
    no operator for one."""
    return _replaced(copy.deepcopy(model).cpu().float().eval().requires_grad_(False), sequences)


def _replaced(module: nn.Module, sequences: Sequences) -> nn.Module:
    match module:
        case BidirectionalLayer():
            return EncoderLayer(module, sequences)
        case LSTMLayer() | GRULayer() | RNNLayer() | LoopedLayer():
            return StepLayer(module, sequences)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child, sequences))
    return module


class Watched(nn.Module):
    """An attention whose last weights are kept."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention: Any = attention
        self.weights: Tensor | None = None

    def start(self, memory: Any) -> Any:
        """The attention's own."""
        return self.attention.start(memory)

    def forward(self, query: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
        """The attention's own."""
        context, self.weights, state = self.attention(query, state)
        return context, self.weights, state


class StateTensor(NamedTuple):
    """One tensor of a search's state."""

    name: str
    shared: bool
    """Whether it has a row per sentence, which its hypotheses share; else a row per hypothesis."""


class Encoder(nn.Module):
    """What is done once per sentence, by all models of an ensemble: source [B, S, ...], lengths [B] -> the state's
    tensors, and where a model has a CTC head, the log-probabilities of each step [B, S', V] and the mask [B, S']."""

    def __init__(self, models: Sequence[Seq2Seq]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.ctc = len(models) == 1 and isinstance(models[0], CTCSeq2Seq)

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """See above."""
        tensors: list[Tensor] = []
        memory: Any = None
        models: Any = self.models
        for model in models:
            memory = model.encode(source, lengths)
            tensors += pytree.tree_leaves(model.start_from(memory, source))
        if self.ctc:
            tensors += [models[0].ctc_log_probs(memory), memory.mask]
        return tuple(each.clone() for each in tensors)


class Step(nn.Module):
    """One step of search: the best continuations of every hypothesis.

    tokens [B, K], candidates [k] (its length alone is read), the state's tensors -> log-probabilities of the k best
    next tokens [B, K, k], these tokens [B, K, k], the log-probability of end of sentence [B, K], attention [B, K, S] of
    the first model (S is 0 where it has none), and the next state's tensors that differ from one step to the next.
    """

    def __init__(self, models: Sequence[Seq2Seq], specs: Sequence[Any], changing: Sequence[int], eos: int) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.specs, self.changing, self.eos = list(specs), list(changing), eos
        attention = getattr(models[0].decoder, "attention", None)
        self.watched = Watched(attention) if attention is not None and not isinstance(attention, NoAttention) else None
        if self.watched is not None:
            models[0].decoder.attention = self.watched  # type: ignore[assignment]

    def forward(self, tokens: Tensor, candidates: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See above."""
        beam = tokens.shape
        flat, begin = tokens.flatten(), 0
        found: list[Tensor] = []
        after: list[Tensor] = []
        models: Any = self.models
        for model, spec in zip(models, self.specs, strict=True):
            leaves = list(state[begin : begin + spec.num_leaves])
            begin += spec.num_leaves
            log_probs, following = model.step(flat, pytree.tree_unflatten(leaves, spec))
            found.append(log_probs)
            after += pytree.tree_leaves(following)
        log_probs = found[0] if len(found) == 1 else torch.stack(found).logsumexp(0) - torch.tensor(len(found)).log()
        best = log_probs.topk(candidates.shape[0])
        looked = log_probs.new_empty(flat.shape[0], 0) if self.watched is None else self.watched.weights
        assert looked is not None
        changed = [after[place].clone() for place in self.changing]
        return (
            best.values.view(*beam, -1),
            best.indices.view(*beam, -1),
            log_probs[:, self.eos].view(beam),
            looked.view(*beam, looked.shape[1]),
            *changed,
        )


class Answer(nn.Module):
    """A predictor: inputs [B, S, ...], lengths [B] -> outputs [B, S', O] or [B, O], steps that are real [B]."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See above."""
        outputs, mask = self.model(source, lengths)
        return outputs, mask.sum(1)


class Continue(nn.Module):
    """A language model: tokens [N], h and c [N, L, H] -> log-probabilities of the next token [N, V], h and c."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        """See above."""
        state = type(self.model.start(1))(hidden, cell)
        log_probs, after = self.model.step(tokens, state)
        return (log_probs, *(each.clone() for each in after))


def state_of(models: Sequence[Seq2Seq], source: Tensor, lengths: Tensor) -> tuple[list[Any], list[StateTensor]]:
    """How each model's state is put together, and the tensors of all of them in order.

    What `reorder` leaves alone while no sentence goes is shared by the hypotheses of a sentence.
    """
    specs, tensors = [], []
    for number, model in enumerate(models):
        state: Any = model.start(source, lengths)
        named, spec = pytree.tree_flatten_with_path(state)
        twice = pytree.tree_leaves(state.reorder(torch.zeros(2 * len(lengths), dtype=torch.int64), None))
        check(len(twice) == len(named), f"{type(state).__name__}.reorder gives a state of another form")
        prefix = f"{number}." if len(models) > 1 else ""
        for (path, before), after in zip(named, twice, strict=True):
            name = "".join(str(key) for key in path).lstrip(".")
            tensors.append(StateTensor(f"{prefix}{name}", len(before) == len(after)))
        specs.append(spec)
    return specs, tensors

"""The fused loss against torch's own cross-entropy."""

import pytest
import torch

from seq2seq.model.losses import CHUNK_ROWS, cross_entropy, cross_entropy_reference


@pytest.mark.parametrize("rows", [1, CHUNK_ROWS, CHUNK_ROWS + 37])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_equal_torchs(rows: int, smoothing: float) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((rows, 6), (11, 6), (11,))]
    targets = torch.randint(0, 11, (rows,))
    results = []
    for function in (cross_entropy, cross_entropy_reference):
        loss = function(*inputs, targets, smoothing)
        results.append((loss, *torch.autograd.grad(loss * 0.7, inputs)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_ignored_rows_count_for_nothing(smoothing: float) -> None:
    torch.manual_seed(0)
    rows = CHUNK_ROWS + 37
    inputs = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((rows, 6), (11, 6), (11,))]
    targets = torch.randint(0, 3, (rows,))
    real = targets != 0
    ours = cross_entropy(*inputs, targets, smoothing, ignored=0)
    without = cross_entropy_reference(inputs[0][real], *inputs[1:], targets[real], smoothing)
    torch.testing.assert_close(ours, without)
    gradients = (torch.autograd.grad(loss * 0.7, inputs) for loss in (ours, without))
    for by_ours, by_without in zip(*gradients, strict=True):
        torch.testing.assert_close(by_ours, by_without)


def test_no_rows_cost_nothing() -> None:
    features = torch.empty(0, 6, requires_grad=True)
    loss = cross_entropy(features, torch.randn(11, 6), torch.zeros(11), torch.empty(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0


def test_bf16_stays_close_to_fp32() -> None:
    torch.manual_seed(0)
    features, weight, bias = torch.randn(300, 32), torch.randn(50, 32, requires_grad=True), torch.zeros(50)
    targets = torch.randint(0, 50, (300,))
    exact = cross_entropy(features, weight, bias, targets, 0.1)
    (expected,) = torch.autograd.grad(exact, weight)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = cross_entropy(features, weight, bias, targets, 0.1)
    (found,) = torch.autograd.grad(rounded, weight)
    assert rounded.item() == pytest.approx(exact.item(), rel=5e-3)
    assert ((found - expected).norm() / expected.norm()).item() < 2e-2


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_label_without_any_probability_has_a_finite_loss(smoothing: float) -> None:
    features, weight = torch.tensor([[400.0]]), torch.tensor([[1.0], [0.0], [-1.0]])
    for target in range(3):
        given = (features, weight, torch.zeros(3), torch.tensor([target]), smoothing)
        torch.testing.assert_close(cross_entropy(*given), cross_entropy_reference(*given))

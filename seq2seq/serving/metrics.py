"""What the server counts, for Prometheus."""

from __future__ import annotations

import os
from typing import Any

from seq2seq.serving.batcher import Batcher

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 192)
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable of the environment by which processes of one server share their figures (prometheus_client's own)."""


class Metrics:
    """Figures of one server. Several processes of it add theirs up."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self._registry = registry = CollectorRegistry()
        self.requests = Counter("seq2seq_requests", "Requests answered", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "seq2seq_request_seconds", "Seconds from request to answer", ["path"], buckets=SECONDS, registry=registry
        )
        self.inputs = Counter("seq2seq_inputs", "Inputs (sentences) answered", ["model"], registry=registry)
        self.rows = Histogram("seq2seq_batch_rows", "Inputs per batch", ["model"], buckets=ROWS, registry=registry)
        self.busy = Counter("seq2seq_model_seconds", "Seconds that the model worked", ["model"], registry=registry)
        self.failures = Counter("seq2seq_failures", "Requests at which the model failed", ["model"], registry=registry)
        self.dropped = Counter(
            "seq2seq_dropped", "Inputs dropped because the client had gone", ["model"], registry=registry
        )
        self.waiting = Gauge(
            "seq2seq_waiting", "Inputs in the queue", ["model"], registry=registry, multiprocess_mode="livesum"
        )

    def observer(self, model: str) -> ModelMetrics:
        """Counts what a model does."""
        return ModelMetrics(self, model)

    def watch(self, name: str, batcher: Batcher) -> None:
        """Shows how much waits for a model; of one process alone, as others cannot be asked."""
        if SHARED_FOLDER not in os.environ:
            self.waiting.labels(name).set_function(lambda: batcher.waiting)

    def text(self) -> tuple[bytes, str]:
        """All figures, and their content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry: Any = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry), CONTENT_TYPE_LATEST


class ModelMetrics:
    """The `Observer` of one model's batcher."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._inputs, self._rows = metrics.inputs.labels(model), metrics.rows.labels(model)
        self._busy, self._failures = metrics.busy.labels(model), metrics.failures.labels(model)
        self._dropped = metrics.dropped.labels(model)

    def batch(self, rows: int, seconds: float) -> None:
        """As `Observer` has it."""
        self._inputs.inc(rows)
        self._rows.observe(rows)
        self._busy.inc(seconds)

    def failed(self) -> None:
        """As `Observer` has it."""
        self._failures.inc()

    def dropped(self, inputs: int) -> None:
        """As `Observer` has it."""
        self._dropped.inc(inputs)

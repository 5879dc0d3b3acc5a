"""The model behind a name, loaded by what can answer it."""

from __future__ import annotations

from seq2seq.serving.backend import Backend, LoadOptions, Source


def open_backend(source: Source, options: LoadOptions) -> Backend:
    """A run's model. Raises UserError where it cannot be loaded."""
    from seq2seq.serving.torch_backend import open_run  # torch is imported where it is needed

    return open_run(source, options)

"""The model behind a name, loaded by what can answer it."""

from __future__ import annotations

from seq2seq.serving.backend import Backend, LoadOptions, Source


def open_backend(source: Source, options: LoadOptions) -> Backend:
    """The model of a run, or of an exported directory. Raises UserError where it cannot be loaded."""
    from seq2seq.serving.exported_backend import is_export, open_export

    if is_export(source.path):
        return open_export(source, options)
    from seq2seq.serving.torch_backend import open_run  # torch is imported where it is needed

    return open_run(source, options)

"""What `datasets` says while it loads, brought into our form: no bars and log lines, errors in one line."""

import contextlib
import logging
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import Any

from seq2seq.errors import UserError


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and log lines of `datasets`: its errors reach the user as one line of ours."""
    import datasets

    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


@contextlib.contextmanager
def loading_errors(message: str, advice: str = "", splits_said: bool = False) -> Iterator[None]:
    """Turn whatever `datasets` raises about data it cannot load into one line; its errors share no base class."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException = error
        if type(error).__name__ == "DatasetGenerationError" and error.__cause__:  # its own message says nothing
            cause = error.__cause__
        raise UserError(message + ("" if splits_said else _reason(cause)) + advice) from error


def _reason(cause: BaseException) -> str:
    """What an error of `datasets` says to a user, as the end of a message; "" where it speaks of its own insides."""
    text = str(cause).strip().split("\n")[0][:200]
    unknown = re.match(r"Unknown split .*Should be one of \[(.*)\]", text)
    if unknown is not None:
        return f"; the splits are {unknown[1]}".replace("'", "")
    if text.startswith("Couldn't cast") or type(cause).__name__ == "DatasetGenerationCastError":
        return (
            ": its rows differ in their columns, or in the types of these; does a file that is none of the data lie "
            "beside it?"
        )
    if isinstance(cause, UnicodeDecodeError):
        return ": it holds a file that is not UTF-8 text"
    if isinstance(cause, ImportError) and "torchcodec" in text:  # with it, they would still be in no known form
        return ": it holds sound files"
    insides = (LookupError, TypeError, AttributeError, AssertionError)
    return f": {text}" if text and not isinstance(cause, insides) else ""


@contextlib.contextmanager
def reading_errors(name: str) -> Iterator[None]:
    """Turn what `datasets` raises about rows of a stream that it cannot read (no JSON, other columns, a damaged file,
    the network) into one line. name: says in it what is read."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{name}: cannot be read: {' '.join(str(error).split())[:200]}") from error


def read_batches(dataset: Any, size: int, name: str) -> Iterator[dict[str, list[Any]]]:
    """The rows of a data set, so many at once. Raises UserError, see `reading_errors`, where some cannot be read."""
    batches = dataset.iter(batch_size=size)
    while True:
        with quiet(), reading_errors(name):  # not while the caller works on a batch
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextlib.contextmanager
def cache_errors() -> Iterator[None]:
    """Bring a reader's `UserError` out of the exceptions in which `datasets` wraps it; explain an unwritable cache."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError | OSError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from error
        if isinstance(cause, OSError):
            raise UserError(
                f"cannot write the data cache: {cause}; set HF_DATASETS_CACHE to a folder of yours"
            ) from error
        raise

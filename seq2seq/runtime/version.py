"""The release that runs."""

from importlib import metadata


def version() -> str:
    """The installed release of this package; "unknown" where it runs from a source tree that was not installed."""
    try:
        return metadata.version("seq2seq")
    except metadata.PackageNotFoundError:
        return "unknown"

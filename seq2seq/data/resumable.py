"""What streams of data have in common that go on where they stood."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Resumable(Protocol):
    """What is read in order, and can go on where it stood."""

    def state(self) -> dict[str, Any]:
        """Where it stands, in values that JSON holds."""

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there; nothing was read yet."""

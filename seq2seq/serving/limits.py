"""What one client may ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from seq2seq.config import COUNTS_OR_NONE, Real, Whole, check_number


@dataclass(frozen=True)
class Limits:
    """Bounds of a request and of the work that waits; HELP says what each is."""

    characters: int = 20_000
    items: int = 1_000
    alternatives: int = 10
    beam: int = 20
    body_mb: float = 10.0
    steps: int = 20_000
    seconds: float = 60.0
    queue: int = 4_096
    requests_per_minute: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            check_number(f"--{field.name.replace('_', '-')}", getattr(self, field.name), BOUNDS[field.name])

    @property
    def upload_bytes(self) -> int:
        """Most bytes of a body with files."""
        return int(self.body_mb * 1_000_000)

    @property
    def text_bytes(self) -> int:
        """Most bytes of a body with texts: JSON spells a character in 12 bytes at most, and a form in 12."""
        return 12 * self.characters + 32 * self.items + 65_536


BOUNDS: dict[str, Whole | Real] = {
    "characters": Whole(1, 100_000_000),
    "items": Whole(1, 1_000_000),
    "alternatives": Whole(0, 1_000),
    "beam": Whole(1, 1_000),
    "body_mb": Real(0.001, 10_000),
    "steps": Whole(1, 100_000_000),
    "seconds": Real(0.01, 86_400),
    "queue": Whole(1, 10_000_000),
    "requests_per_minute": COUNTS_OR_NONE,
}
"""Of the limits themselves."""
HELP = {
    "characters": "most characters of all texts of a request",
    "items": "most texts of a request",
    "alternatives": "most alternatives, or n best, that a request may ask for",
    "beam": "widest beam that a request may ask for",
    "body_mb": "most megabytes of an upload; requests of text have less, by --characters",
    "steps": "longest series in steps, longest recording in frames",
    "seconds": "seconds after which a request is given up",
    "queue": "most sentences that wait for each model; past it requests get status 503",
    "requests_per_minute": "most requests of one address in a minute; 0 for any number",
}

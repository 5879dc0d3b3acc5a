"""Small shapes that move over a dark ground: generated clips for the recipes on video."""

import numpy as np

SIDE = 20
"""Pixels of a frame's edge."""
EDGE = 5
"""Pixels of a shape's edge."""
FREE = SIDE - EDGE
"""Largest row and column at which a shape is whole."""

_INNER = np.pad(np.zeros((EDGE - 2, EDGE - 2), np.float32), 1, constant_values=1)
_DIAGONALS = np.maximum(np.eye(EDGE, dtype=np.float32), np.eye(EDGE, dtype=np.float32)[::-1])
_BAR = np.zeros((EDGE, EDGE), np.float32)
_BAR[EDGE // 2] = 1
SHAPES = {
    "square": np.ones((EDGE, EDGE), np.float32),
    "frame": _INNER,
    "cross": _DIAGONALS,
    "plus": np.maximum(_BAR, _BAR.T),
}


def clip(shape: str, places: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Frames [S, SIDE * SIDE] float32 of a shape whose upper left corner is at places [S, 2] (row, column), with a
    little noise."""
    frames = np.zeros((len(places), SIDE, SIDE), np.float32)
    for frame, (row, column) in zip(frames, places, strict=True):
        frame[row : row + EDGE, column : column + EDGE] = SHAPES[shape]
    frames += random.normal(0, 0.05, frames.shape).astype(np.float32)
    return frames.reshape(len(places), -1)

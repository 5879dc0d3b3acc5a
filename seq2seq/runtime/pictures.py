"""Pictures as the models read them: red, green and blue of 8 bits."""

from typing import Any

import numpy as np

from seq2seq.errors import check


def as_rgb(image: Any) -> Any:
    """A Pillow image in RGB; of 16 bits a pixel the upper 8, where Pillow would cut all values at 255. Raises UserError
    for pixels whose range is not known (modes I and F)."""
    check(image.mode not in ("I", "F"), f"its pixels are {image.mode}, of no known range; save it with 8 or 16 bits")
    if image.mode.startswith("I;16"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")

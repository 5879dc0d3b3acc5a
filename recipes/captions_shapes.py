"""Image captions: a small CNN, a BiLSTM over its feature map and an attention decoder describe drawn shapes.

python recipes/captions_shapes.py [--output DIR] [--quick] [--any.config.field VALUE]

Scenes hold one or two shapes of a colour and a size, drawn with Pillow; each has five captions from the project's own
grammar (`generated.scenes`). The test scenes hold combinations of shape, colour and size that no training scene shows.
After Vinyals et al. (2015) and Xu et al. (2015). Attention maps of some test images, word by word, are written below
the run directory.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from generated.scenes import HELD_OUT, PIXELS, THINGS, scenes


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    training_scenes: int = 6_000
    """Scenes to train on, with five captions each."""
    held_out_scenes: int = 300
    """Scenes to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_scenes=seq2seq.COUNTS, held_out_scenes=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.GeneratorConfig(
        seq2seq.FrontEndConfig("image", input_size=3, height=PIXELS, width=PIXELS, blocks=3),
        embedding_size=128,
        dropout=0.1,
        encoder=seq2seq.EncoderConfig(hidden_size=96),
        decoder=seq2seq.DecoderConfig(hidden_size=192, layers=2, coupling="bottom_up"),
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=1_800),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=3, average_decay=0.99),
    search=seq2seq.SearchConfig(max_length=24),
    reader=seq2seq.ReaderConfig("image"),
)


def main(config: Config) -> None:
    """Trains, prints the scores on unseen combinations, and draws where each word looked."""
    known = [thing for thing in THINGS if thing not in HELD_OUT]
    count = config.count(config.held_out_scenes, quick=16)
    training = scenes(config.count(config.training_scenes), known, seed=1)
    generator = seq2seq.train_generator(config, training, scenes(count, known, seed=2))
    seq2seq.end_other_processes()
    test = scenes(count, THINGS, seed=3, needed=HELD_OUT)
    captions = generator.generate(test.inputs)
    print(seq2seq.caption_scores(captions, test.references).describe())
    if not seq2seq.attends(generator.model):
        return
    for number, (image, caption) in enumerate(zip(test.inputs[: config.count(6, quick=1)], captions, strict=False), 1):
        words, weights = generator.attention(image, generator.vocabulary.encode(caption))
        cells = math.ceil(PIXELS / 2**config.model.front_end.blocks)
        maps = [np.reshape(row, (cells, cells)) for row in weights]
        path = Path(config.output) / "attention" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        seq2seq.plot_image_attention(image.transpose(1, 2, 0), [word.strip("▁") for word in words], maps, path)
        print(f"{path}\t{caption}")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)

"""Image captions: a small CNN, a BiLSTM over its feature map and an attention decoder describe drawn shapes.

python recipes/captions_shapes.py [--attention false] [--data DIR] [--output DIR] [--quick] [--any.config.field VALUE]

Generated data: scenes of one or two shapes of a colour and a size, drawn with Pillow; each has five captions from the
project's own grammar (`generated.scenes`). One test is on scenes like those of training, the other one on scenes that
each show a combination of colour and shape that no training scene shows. With attention each word looks at cells of the
feature map (Xu et al. 2015), and maps of some test images are drawn below the run directory; without, the decoder reads
the encoder's summary once, before the first word (Vinyals et al. 2015). DIR is as captions_images.py has it.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass
from pathlib import Path

from generated.scenes import HELD_OUT, KNOWN, PIXELS, THINGS, scenes


@dataclass(frozen=True)
class Config(seq2seq.CaptionTask):
    """Choices of this script."""

    training_scenes: int = 6_000
    """Scenes to train on, with five captions each."""
    held_out_scenes: int = 300
    """Scenes to choose the best model on, and as many for each test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_scenes=seq2seq.COUNTS, held_out_scenes=seq2seq.COUNTS)


CONFIG = Config(
    pixels=PIXELS,
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
    """Trains, prints the scores on each test, and draws where each word looked."""
    if config.data:
        ready, parts = seq2seq.read_captioned(config)
        training, validation, tests = parts.training, parts.validation, {"test": parts.test}
    else:
        ready, count = config.decoder_chosen(), config.count(config.held_out_scenes, quick=16)
        training = scenes(config.count(config.training_scenes), KNOWN, seed=1)
        validation = scenes(count, KNOWN, seed=2)
        unseen = scenes(count, THINGS, seed=3, needed=HELD_OUT)
        tests = {"seen combinations": scenes(count, KNOWN, seed=4), "unseen combinations": unseen}
    generator = seq2seq.train_generator(ready, training, validation)
    seq2seq.end_other_processes()
    for name, test in tests.items():
        print(f"{name:<20} {seq2seq.caption_scores(generator.generate(test.inputs), test.references).describe()}")
    if ready.model.front_end.kind == "image":
        inputs = test.inputs[: config.count(6, quick=1)]
        pictures = [image.transpose(1, 2, 0) for image in inputs]
        for path, caption in seq2seq.draw_image_attention(generator, inputs, pictures, Path(config.output)).items():
            print(f"{path}\t{caption}")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)

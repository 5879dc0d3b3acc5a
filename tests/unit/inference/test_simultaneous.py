"""wait-k by its definition: a loop over one sentence at a time, and average lagging by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.data.vocabulary import RightToLeft, Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.inference.simultaneous import Simultaneous, wait_k
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, build_model

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
TEXTS = ["ba ko mi", "so", "", "ne ba ra", "lu te"]


@torch.no_grad()
def by_definition(translator: seq2seq.Translator, text: str, k: int) -> tuple[list[int], list[int]]:
    """Step by step with the plain decoder, the prefix of the source encoded anew for each token."""
    source = [*translator.source_vocabulary.encode(text), EOS_ID]
    limit = int(translator.search_config.limits(torch.tensor([len(source)])))
    output: list[int] = []
    reads: list[int] = []
    read = min(k, len(source))
    while True:
        prefix = torch.tensor([source[:read]])
        state = translator.model.start(prefix, torch.tensor([read]))
        for token in [BOS_ID, *output]:
            log_probs, state = translator.model.step(torch.tensor([token]), state)
        best = int(log_probs.argmax())
        if len(output) + 1 == limit:
            return output, [*reads, len(source)]
        if best == EOS_ID and read < len(source):
            read += 1
            continue
        reads.append(read)
        if best == EOS_ID:
            return output, reads
        output.append(best)
        read = min(read + 1, len(source))


@pytest.mark.parametrize("k", [1, 3])
def test_each_token_is_written_after_reading_as_much_as_it_may(k: int) -> None:
    translator = seq2seq.load(STORED)
    found = wait_k(translator, TEXTS, k)
    for text, each in zip(TEXTS, found, strict=True):
        if text:
            assert (each.tokens, each.reads) == by_definition(translator, text, k)
            early = [min(k + place, each.source_tokens) for place in range(len(each.reads))]
            assert all(one >= other for one, other in zip(each.reads, early, strict=True))
    assert found[2] == Simultaneous("", [], [], 0)
    assert wait_k(translator, TEXTS[::-1], k)[::-1] == found
    assert [wait_k(translator, [text], k)[0] for text in TEXTS] == found


def test_with_all_that_there_is_it_is_greedy_search() -> None:
    translator = seq2seq.load(STORED)
    assert [each.text for each in wait_k(translator, TEXTS, 1_000)] == translator.translate(TEXTS, beam_size=1)


def test_average_lagging_by_hand() -> None:
    # As long as the source, one token behind: always 1 more than the t - 1 that an output which keeps pace has read.
    assert Simultaneous("", [], [1, 2, 3, 4], 4).average_lagging == 1
    assert Simultaneous("", [], [3, 4, 4, 4], 4).average_lagging == 3
    # All is read first: 4 until the first token, which is the last that counts.
    assert Simultaneous("", [], [4, 4], 4).average_lagging == 4
    # Half as long as the source: it should read 2 for each token, 1 - 0, 2 - 2, 4 - 4.
    assert Simultaneous("", [], [1, 2, 6], 6).average_lagging == pytest.approx((1 + 0 + 2) / 3)
    assert Simultaneous("", [], [], 0).average_lagging == 0


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").write_text("".join(text + "\n" for text in TEXTS))
    assert main(["translate", str(STORED), str(tmp_path / "in"), "--wait-k", "2"]) == 0
    printed, found = capsys.readouterr(), wait_k(seq2seq.load(STORED), TEXTS, 2)
    assert printed.out.splitlines() == [each.text for each in found]
    mean = sum(each.average_lagging for each in found) / 4
    assert f"average lagging {mean:.2f} source tokens, of 4 sentences" in printed.err
    assert main(["translate", str(STORED), str(tmp_path / "in"), "--wait-k", "2", "--beam-size", "3", "--scores"]) == 2
    assert "--wait-k is a greedy search of one model: leave --scores, --beam-size out" in capsys.readouterr().err


def test_lines_get_their_tags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = VocabularyConfig(model_type="char", byte_fallback=False)
    vocabulary = Vocabulary.train(["ba ko mi", "so"], config, tags=["<up>", "<down>"])
    torch.manual_seed(1)
    sizes = ModelConfig(8, 0.0, "two_way", EncoderConfig(6), DecoderConfig(12))
    model = build_model(sizes, len(vocabulary), len(vocabulary))
    translator = seq2seq.Translator(model, sizes, vocabulary, vocabulary)
    translator.save_pretrained(tmp_path / "run")
    (tmp_path / "in").write_text("ba ko\n<down> mi\n")
    options = ["--wait-k", "2", "--max-input-length", "50"]
    assert main(["translate", str(tmp_path / "run"), str(tmp_path / "in"), *options, "--tag", "<up>"]) == 0
    expected = [each.text for each in wait_k(translator, ["<up> ba ko", "<down> mi"], 2)]
    assert capsys.readouterr().out.splitlines() == expected
    assert expected[0] != wait_k(translator, ["ba ko"], 2)[0].text
    assert main(["translate", str(tmp_path / "run"), str(tmp_path / "in"), *options, "--tag", "<left>"]) == 2


def test_what_does_not_go_with_it_is_refused() -> None:
    translator = seq2seq.load(STORED)
    with pytest.raises(UserError, match="k must be a whole number from 1"):
        wait_k(translator, ["ba"], 0)
    with pytest.raises(UserError, match="translator must be of type Translator"):
        wait_k("ba", ["ba"], 1)  # type: ignore[arg-type]
    backwards = RightToLeft(translator.target_vocabulary)
    turned = seq2seq.Translator(translator.model, translator.config, translator.source_vocabulary, backwards)
    with pytest.raises(UserError, match="models that write from left to right"):
        wait_k(turned, ["ba"], 1)
    translator.join(seq2seq.load(STORED))
    with pytest.raises(UserError, match="wait-k is of one model alone"):
        wait_k(translator, ["ba"], 1)

"""Alignments of both directions: by hand, against the published algorithm in tables, and from the command line."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.units import SourceVocabulary, unit_vocabulary
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.evaluation.alignments import Links, hard_links, pharaoh
from seq2seq.evaluation.attention_statistics import attention_statistics
from seq2seq.evaluation.symmetrisation import symmetrised
from seq2seq.model.seq2seq import build_model

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
SIZE = 5


def in_tables(forward: Links, reverse: Links) -> Links:
    """grow-diag-final-and as Koehn et al. (2003) write it, with a table of words."""
    table = [[(s, t) in forward and (s, t) in reverse for t in range(SIZE)] for s in range(SIZE)]

    def row(s: int) -> bool:
        return any(table[s])

    def column(t: int) -> bool:
        return any(table[s][t] for s in range(SIZE))

    changed = True
    while changed:
        changed = False
        for s, t in [(s, t) for s in range(SIZE) for t in range(SIZE) if table[s][t]]:
            for a, b in ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
                x, y = s + a, t + b
                if (x, y) in forward | reverse and not table[x][y] and not (row(x) and column(y)):
                    table[x][y] = changed = True
    for links in (forward, reverse):
        for x, y in sorted(links):
            if not row(x) and not column(y):
                table[x][y] = True
    return {(s, t) for s in range(SIZE) for t in range(SIZE) if table[s][t]}


def test_the_published_algorithm() -> None:
    generator = random.Random(1)
    for _ in range(300):
        forward, reverse = (
            {(generator.randrange(SIZE), generator.randrange(SIZE)) for _ in range(generator.randrange(8))}
            for _ in range(2)
        )
        found = symmetrised(forward, reverse, "grow-diag-final-and")
        assert found == in_tables(forward, reverse)
        assert symmetrised(forward, reverse, "intersection") <= found <= symmetrised(forward, reverse, "union")
        assert symmetrised(forward, forward, "grow-diag-final-and") == forward


def test_by_hand() -> None:
    forward, reverse = {(0, 0), (1, 1), (3, 3)}, {(0, 0), (1, 0), (4, 4), (3, 1)}
    assert symmetrised(forward, reverse, "intersection") == {(0, 0)}
    # 1-0 and 1-1 grow from 0-0, each with a free word; 3-3 and 4-4 are apart, and free; 3-1 is not: 1 is taken
    assert symmetrised(forward, reverse, "grow-diag-final-and") == {(0, 0), (1, 0), (1, 1), (3, 3), (4, 4)}


def test_statistics_of_attention_by_hand() -> None:
    sure, even = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.25, 0.75], [0.0, 1.0]]
    assert attention_statistics([sure]) == (0.0, 100.0, 100.0)
    found = attention_statistics([even, [], sure])
    entropies = [0.6931472, 0.5623351, 0.0]  # of the rows but the last ones
    assert found.entropy == pytest.approx(sum(entropies) / 3)
    assert found.coverage == pytest.approx(100 * (0.75 + 1 + 1 + 1) / 4)
    assert found.monotonicity == 100
    turned = attention_statistics([[[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]])
    assert turned.monotonicity == 50
    with pytest.raises(UserError, match="there are no target words"):
        attention_statistics([[], [[1.0]]])


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources, targets = ["ba ko mi", "", "lu te"], ["BA KO MI", "", "TE LU"]
    words = ["align", str(STORED)]
    for name, lines in (("source", sources), ("target", targets)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
        words += [f"--{name}-file", str(tmp_path / name)]
    translator = seq2seq.load(STORED)
    forward = [hard_links(*each) for each in translator.align(sources, targets)]
    reverse = [{(t, s) for s, t in hard_links(*each)} for each in translator.align(targets, sources)]
    for way in ("intersection", "union", "grow-diag-final-and"):
        given = ["--symmetrise", way] if way != "grow-diag-final-and" else []
        assert main([*words, "--reverse", str(STORED), *given]) == 0
        expected = [pharaoh(symmetrised(*each, way)) for each in zip(forward, reverse, strict=True)]  # type: ignore[arg-type]
        assert capsys.readouterr().out.splitlines() == expected
    assert main([*words, "--statistics"]) == 0
    maps = [each.weights for each in translator.align(sources, targets)]
    assert capsys.readouterr().out.splitlines() == attention_statistics(maps).report()
    assert main([*words, "--symmetrise", "union"]) == 2
    assert "--symmetrise goes with --reverse: name a run of that direction" in capsys.readouterr().err
    assert main([*words, "--statistics", "--reverse", str(STORED)]) == 2
    assert "--statistics describes the attention of one run: leave --reverse out" in capsys.readouterr().err


def test_runs_that_read_features_are_not_given_lines_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    translator = seq2seq.load(STORED)
    vocabulary, config = translator.source_vocabulary, replace(translator.config, tie="two_way")
    assert isinstance(vocabulary, Vocabulary)
    reading = SourceVocabulary(vocabulary, unit_vocabulary(["V N"], "symbols", VocabularyConfig(), 1), 0)
    model = build_model(config, len(reading), len(translator.target_vocabulary))
    run = tmp_path / "features"
    seq2seq.Translator(model, config, reading, translator.target_vocabulary).save_pretrained(run)
    (tmp_path / "lines").write_text("ba ko\n")
    files = ["--source-file", str(tmp_path / "lines"), "--target-file", str(tmp_path / "lines")]
    assert main(["align", str(STORED), *files, "--reverse", str(run)]) == 2
    assert "lines, line 1: this model reads lines of a source, a tab, and its features" in capsys.readouterr().err
    (tmp_path / "test.jsonl").write_text('{"s": "ba ko", "t": "BA KO"}\n')
    data = ["--data", str(tmp_path / "test.jsonl"), "--source", "s", "--target", "t", "--metrics", "accuracy"]
    page = ["--report", str(tmp_path / "page"), "--compare", str(run), "--output", str(tmp_path)]
    assert main(["evaluate", str(STORED), *data, *page]) == 2
    assert "one of both runs reads features, or tags, that the other does not" in capsys.readouterr().err

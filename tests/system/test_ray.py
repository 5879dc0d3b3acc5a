"""tools/translate_ray.py: rows through Ray Data in their order, each once, whatever dies on the way."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pytest
import translate_ray
from pyarrow import parquet

import seq2seq
from tests.conftest import WORDS

TOOL = Path(__file__).parents[2] / "tools" / "translate_ray.py"
ROWS = 100_000 if os.environ.get("SEQ2SEQ_RAY_ROWS") == "all" else 30_000


def write_input(folder: Path, rows: int, files: int = 3) -> list[str]:
    """Numbered sentences in some parquet files; returns them in order."""
    folder.mkdir()
    texts = [" ".join(WORDS[number // 8**place % 8] for place in range(3)) for number in range(rows)]
    per_file = -(-rows // files)
    for file in range(files):
        own = range(file * per_file, min((file + 1) * per_file, rows))
        table = pyarrow.table({"number": list(own), "text": [texts[row] for row in own]})
        parquet.write_table(table, folder / f"{file}.parquet", row_group_size=1_000)
    return texts


def command(run: Path, source: str, output: Path, *words: str) -> list[str]:
    options = ["--beam-size", "1", "--num-cpus", "4", "--rows-per-shard", "1000", "--batch-size", "200", *words]
    return [sys.executable, str(TOOL), str(run), "--input", source, "--output", str(output), *options]


def descendants(process: int) -> dict[int, str]:
    """Ids and names of the processes below one."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue
    found: dict[int, str] = {}
    level = {process}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= {child: names.get(child, "") for child in level}
    return found


def kill_an_actor(program: "subprocess.Popen[str]", shard: Path) -> None:
    """Kills one of the processes that translate, once that shard is there."""
    while program.poll() is None:
        actors = [each for each, name in descendants(program.pid).items() if "MapWorker" in name]
        if len(actors) > 1 and shard.exists():
            os.kill(actors[0], signal.SIGKILL)
            return
        time.sleep(0.2)
    raise AssertionError(program.communicate()[1])


@pytest.mark.slow
def test_every_row_once_in_order_where_the_program_and_then_an_actor_are_killed(toy_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    texts = write_input(tmp_path / "in", ROWS)
    source, shards = f"parquet://{tmp_path / 'in'}", tmp_path / "out"
    words = command(toy_run, source, shards)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        while program.poll() is None and not (shards / "part-000000.parquet").exists():
            time.sleep(0.1)
        program.terminate()
        program.communicate(timeout=120)
    done = len(list(shards.glob("part-*.parquet")))
    assert 1 <= done < ROWS / 1000
    first = (shards / "part-000000.parquet").stat().st_mtime_ns
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        kill_an_actor(program, shards / f"part-{done:06}.parquet")
        printed, errors = program.communicate(timeout=600)
    assert program.returncode == 0, errors
    assert f"{ROWS:,} rows in {ROWS // 1000} shards" in printed
    assert (shards / "part-000000.parquet").stat().st_mtime_ns == first
    table = pyarrow.concat_tables([parquet.read_table(path) for path in sorted(shards.glob("part-*.parquet"))])
    assert table.column_names == ["number", "text", "translation"]
    assert table["number"].to_pylist() == list(range(ROWS))
    assert table["text"].to_pylist() == texts
    distinct = list(dict.fromkeys(texts))
    expected = dict(zip(distinct, seq2seq.load(toy_run).translate(distinct, beam_size=1), strict=True))
    assert table["translation"].to_pylist() == [expected[text] for text in texts]


def test_shards_are_whole_and_of_this_command(tmp_path: Path) -> None:
    tables = [pyarrow.table({"n": list(range(begin, begin + 7))}) for begin in range(0, 35, 7)]
    shards = translate_ray.Shards(str(tmp_path / "out"))
    shards.begin({"input": "a"})
    shards.write(iter(tables), 10)
    lengths = [parquet.read_metadata(path).num_rows for path in sorted((tmp_path / "out").glob("part-*"))]
    assert lengths == [10, 10, 10, 5]
    again = translate_ray.Shards((tmp_path / "out").as_uri())
    again.begin({"input": "a"})
    assert (again.count, again.rows()) == (4, 35)
    with pytest.raises(seq2seq.UserError, match="made with another input; choose another --output"):
        translate_ray.Shards(str(tmp_path / "out")).begin({"input": "b"})
    (tmp_path / "out" / "settings.json").write_text("{")
    with pytest.raises(seq2seq.UserError, match=r"settings\.json: is damaged"):
        translate_ray.Shards(str(tmp_path / "out")).begin({"input": "a"})
    (tmp_path / "out" / "settings.json").unlink()
    with pytest.raises(seq2seq.UserError, match=r"holds a part-000000\.parquet of others"):
        translate_ray.Shards(str(tmp_path / "out")).begin({"input": "a"})


def test_blocks_of_one_input_are_joined_where_a_column_is_empty_in_one() -> None:
    empty, full = pyarrow.table({"n": pyarrow.nulls(2)}), pyarrow.table({"n": ["x"]})
    (joined,) = translate_ray._of_length(iter([empty, full]), 9)
    assert joined["n"].to_pylist() == [None, None, "x"]
    with pytest.raises(seq2seq.UserError, match="not of the same types everywhere"):
        list(translate_ray._of_length(iter([full, pyarrow.table({"n": [1.5]})]), 9))


def test_files_come_in_the_order_of_their_names_with_their_sizes(tmp_path: Path) -> None:
    for name, content in (("b", "22"), ("a", "1"), (".hidden", ""), ("c d", "333")):
        (tmp_path / name).write_text(content)
    expected = {str(tmp_path / name): size for name, size in (("a", 1), ("b", 2), ("c d", 3))}
    assert list(translate_ray._files(str(tmp_path)).items()) == list(expected.items())


def test_what_is_left_to_do_begins_behind_the_rows_that_are_done() -> None:
    class Rows(list[int]):
        """As far as Ray's data sets are used."""

        def count(self) -> int:
            return len(self)

        def split_at_indices(self, indices: list[int]) -> list["Rows"]:
            return [Rows(self[: indices[0]]), Rows(self[indices[0] :])]

    files = {"a": [0, 1, 2], "b": [3, 4], "c": [5, 6, 7, 8]}

    def read(names: list[str]) -> Rows:
        return Rows(row for name in names for row in files[name])

    for done in range(10):
        rests = list(translate_ray._not_done(read, list(files), done))  # type: ignore[arg-type]
        assert [row for rest in rests for row in rest] == list(range(done, 9))
        assert len(rests) <= 2


def test_wrong_calls_are_one_line(toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(*words: str) -> str:
        assert translate_ray.main([str(toy_run), "--output", str(tmp_path / "out"), *words]) == 2
        return capsys.readouterr().err

    assert "must be one of parquet://PATH, json://PATH" in message("--input", str(tmp_path))
    assert "--actors must be at least 1" in message("--input", f"text://{tmp_path}", "--actors", "0")
    assert not (tmp_path / "out").exists()
    assert "no such file or folder" in message("--input", f"text://{tmp_path / 'none'}")
    assert "--input none://x: Unrecognized filesystem" in message("--input", "text://none://x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "lines.txt").write_text("ba\n")
    inside = ["--input", f"text://{tmp_path / 'in'}", "--output", str(tmp_path / "in" / "out")]
    assert "lies in the input" in message(*inside)
    if importlib.util.find_spec("ray") is None:
        (tmp_path / "lines.jsonl").write_text('{"text": "ba"}')
        assert "pip install 'seq2seq[ray]'" in message("--input", f"json://{tmp_path / 'lines.jsonl'}")

"""Lines of several files."""

from pathlib import Path

from seq2seq.cli.lines import lines_of


def test_each_line_of_several_files_is_named(tmp_path: Path) -> None:
    """Files without a line among them, also when one is asked for that was read a while ago."""
    contents = {"a": "1\n2\n", "none": "", "b": "3", "c": "\n5\n", "last": ""}
    paths = []
    for name, content in contents.items():
        paths.append(tmp_path / name)
        paths[-1].write_text(content)
    wanted = [("a", 1, "1"), ("a", 2, "2"), ("b", 1, "3"), ("c", 1, ""), ("c", 2, "5")]
    with lines_of(paths, "text") as lines:
        for number, (name, line, text) in enumerate(wanted, 1):
            assert next(lines) == text
            assert lines.place(number) == f"{tmp_path / name}, line {line}"
        assert list(lines) == []
        assert [lines.place(number) for number in (1, 3)] == [f"{tmp_path / 'a'}, line 1", f"{tmp_path / 'b'}, line 1"]

"""Words of a command line: both spellings, switches, numbers."""

import argparse

import pytest

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.config import Real, Whole
from seq2seq.errors import UserError


def parser() -> Parser:
    made = Parser(prog="prog")
    verb = made.add_subparsers(required=True, metavar="VERB").add_parser("do")
    verb.add_argument("run")
    verb.add_argument("--as-json", action="store_true")
    verb.add_argument("--beam-size", type=number_within(Whole(1, 9)))
    verb.add_argument("--penalty", type=number_within(Real(0, 2)))
    return made


@pytest.mark.parametrize(
    ("words", "json"),
    [
        (["do", "RUN"], False),
        (["do", "--as-json", "RUN"], True),
        (["do", "--as_json", "true", "RUN"], True),
        (["do", "RUN", "--as-json=true"], True),
        (["do", "RUN", "--as-json", "false"], False),
        (["do", "RUN", "--as-json", "--as_json=false"], False),
        (["do", "RUN", "--as-json=false", "--as-json"], True),
    ],
)
def test_a_switch_stands_alone_or_with_its_value(words: list[str], json: bool) -> None:
    chosen = parser().parse_args(words)
    assert (chosen.run, chosen.as_json) == ("RUN", json)


def test_options_are_spelled_with_dashes_or_underscores_and_values_stay_as_they_are() -> None:
    for words in (["--beam-size", "3"], ["--beam_size", "3"], ["--beam_size=3"]):
        assert parser().parse_args(["do", "my_run", *words]) == argparse.Namespace(
            run="my_run", as_json=False, beam_size=3, penalty=None
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--beam-size", "1e9"], "--beam-size must be a whole number from 1 to 9, got '1e9'"),
        (["--beam_size", "0"], "--beam-size must be a whole number from 1 to 9, got '0'"),
        (["--penalty", "inf"], "--penalty must be a number from 0 to 2, got 'inf'"),
        (["--penalty", "-1e308"], "--penalty must be a number from 0 to 2, got '-1e308'"),
        (["--penalty", "-inf"], "--penalty must be a number from 0 to 2, got '-inf'"),
        (["--penalty", "nan"], "--penalty must be a number from 0 to 2, got 'nan'"),
        (["--beam-size", "9" * 5_000], "--beam-size must be a whole number from 1 to 9, got '9999"),
        (["--as-json=maybe"], "--as-json must be true or false, got 'maybe'"),
        (["--beam-size"], "argument --beam-size: expected one argument"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parser().parse_args(["do", "RUN", *words])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("; prog do --help lists the options")

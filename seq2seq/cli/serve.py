"""seq2seq serve."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import Parser, named, number_within, path_named
from seq2seq.cli.verbs import INPUT_LENGTHS, PRECISIONS
from seq2seq.config import Whole
from seq2seq.errors import UserError, check
from seq2seq.serving.limits import BOUNDS, HELP, Limits

if TYPE_CHECKING:
    from seq2seq.serving.backend import Source

NEEDED = ("starlette", "uvicorn", "prometheus_client", "python_multipart", "bs4", "sentencex", "py3langid")
"""What the extra `serve` installs."""
NAME = r"[^\s=:/\\,]{1,64}"
NAMED_RUN = re.compile(rf"({NAME}(?::{NAME})?)=(.+)", re.DOTALL)
EPILOG = """RUN is a run directory, a Hub id, or a directory that seq2seq export wrote, which needs no torch. A name may
stand before it: en:de=RUN, source and target, where the run does not say its languages or others are meant; NAME=RUN
for runs that do not translate.

  seq2seq serve runs/en_de runs/de_en
  curl http://127.0.0.1:5000/translate -d q='A dog runs.' -d source=en -d target=de

POST /translate, /detect, GET /languages, /health: LibreTranslate's protocol. POST /v1/translate: n best, scores,
attention; /v1/predict: models of other kinds; GET /: a page; /spec: all of it; /metrics: figures for Prometheus.
SIGTERM answers what was asked, then ends; SIGHUP loads the runs again and loses no request."""


def add_serve(verbs: Any) -> None:
    """Adds the verb."""
    serve: Parser = verbs.add_parser(
        "serve",
        description="Answer requests over HTTP with one run or several.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.set_defaults(run=_serve, verb="serve")
    serve.add_argument("runs", nargs="+", type=named, metavar="RUN", help="what to serve, see below")
    serve.add_argument("--host", default="127.0.0.1", type=named, help="address to listen at (default: 127.0.0.1)")
    serve.add_argument(
        "--port", default=5000, type=number_within(Whole(0, 65_535)), help="port; 0 takes a free one (default: 5000)"
    )
    serve.add_argument(
        "--workers", default=1, type=number_within(Whole(1, 256)), metavar="N", help="processes (default: 1)"
    )
    serve.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    serve.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="int8: translators quantised, faster on CPUs with VNNI; bf16, fp16: on GPUs, bf16 on some CPUs, too; a "
        "few outputs differ (default: fp32)",
    )
    serve.add_argument(
        "--max-input-length",
        type=number_within(INPUT_LENGTHS),
        metavar="N",
        help="cut longer sentences to their first N tokens (default: 1000)",
    )
    _add_protocol(serve)
    for field in fields(Limits):
        serve.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=field.default,
            type=number_within(BOUNDS[field.name]),
            metavar="N",
            help=f"{HELP[field.name]} (default: {field.default:,g})",
        )


def _add_protocol(serve: Parser) -> None:
    serve.add_argument(
        "--split-sentences",
        choices=("true", "false"),
        default="true",
        help="translate texts sentence by sentence (default: true)",
    )
    serve.add_argument(
        "--alias",
        action="append",
        default=[],
        type=named,
        metavar="CODE=NAME",
        help="code by which a language is served that runs call NAME, such as en=english; may be given several times",
    )
    serve.add_argument(
        "--api-keys",
        type=path_named,
        metavar="FILE",
        help="a key per line; requests without one of them get status 403 (default: everybody may ask)",
    )
    serve.add_argument(
        "--origin",
        action="append",
        default=[],
        type=named,
        metavar="URL",
        help="web pages whose scripts may ask, such as https://example.org; may be given several times (default: all)",
    )


def _serve(options: argparse.Namespace) -> None:
    missing = [name for name in NEEDED if find_spec(name) is None]
    check(not missing, f"serve needs {', '.join(missing)}: pip install 'seq2seq[serve]'")
    from seq2seq.cli.exit_status import quick_imports
    from seq2seq.serving.backend import LoadOptions
    from seq2seq.serving.service import ServiceSettings

    with quick_imports():
        from seq2seq.serving.workers import ServerSettings, serve

    service = ServiceSettings(
        tuple(map(source_of, options.runs)),
        LoadOptions(options.device, options.precision, options.max_input_length),
        Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)}),
        _aliases(options.alias),
        frozenset() if options.api_keys is None else _keys(options.api_keys),
        tuple(options.origin) or ("*",),
        options.split_sentences == "true",
    )
    serve(ServerSettings(service, options.host, options.port, options.workers))


def source_of(word: str) -> Source:
    """A run, with the name before it."""
    from seq2seq.serving.backend import Source

    found = NAMED_RUN.fullmatch(word)
    if found is None or Path(word).exists():
        return Source(word)
    return Source(found[2], found[1])


def _aliases(words: list[str]) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for word in words:
        code, _, name = word.partition("=")
        check(bool(re.fullmatch(NAME, code) and name), f"--alias {word}: must be CODE=NAME, such as en=english")
        check(code not in aliases and name not in aliases.values(), f"--alias {word}: given twice")
        check(code != "auto", "--alias auto: stands for no language of its own")
        aliases[code] = name
    return aliases


def _keys(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; give a file with a key per line") from None
    keys = frozenset(line.strip() for line in lines if line.strip())
    check(bool(keys), f"{path}: holds no key")
    return keys

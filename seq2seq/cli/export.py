"""seq2seq export."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import named, number_within, path_named
from seq2seq.cli.verbs import add_verb
from seq2seq.config import COUNTS, read_mapping


def add_export(verbs: Any) -> None:
    """Adds the verb."""
    export = add_verb(
        verbs,
        "export",
        "Write a run of any kind as a directory that answers without torch: ONNX graphs, vocabularies, and "
        "translate.py, which needs numpy and onnxruntime alone. Its answers are compared with the run's first.",
        _export,
    )
    export.set_defaults(precision="fp32", max_input_length=None)  # of the run, which the export is compared with
    export.add_argument("directory", metavar="DIR", type=path_named, help="new or empty folder, or an earlier export")
    export.add_argument(
        "--precision",
        dest="weights",
        choices=("fp32", "int8"),
        default="fp32",
        help="int8: weights in a byte each, a third of the size and faster; a few outputs differ (default: fp32)",
    )
    export.add_argument(
        "--format",
        choices=("onnx", "torch"),
        default="onnx",
        help="torch: programs of torch.export, for mobile and C++, without translate.py (default: onnx)",
    )
    export.add_argument(
        "--ensemble",
        nargs="+",
        action="extend",
        default=[],
        type=named,
        metavar="RUN",
        help="further runs of the same vocabulary that write text, exported as one with the first",
    )
    export.add_argument(
        "--check",
        type=number_within(COUNTS),
        default=64,
        metavar="N",
        help="inputs whose answers are compared, of the run's validation split or else made up (default: 64)",
    )
    export.add_argument(
        "--web",
        action="store_true",
        help="also write DIR/web, a static page that runs the model in the visitor's browser; for translators, "
        "captioners and transcribers. onnxruntime-web is fetched from the npm registry once and kept in the cache",
    )
    export.add_argument(
        "--web-runtime",
        type=Path,
        metavar="PATH",
        help="folder or archive (`npm pack`) of onnxruntime-web to use instead of the fetched one; implies --web",
    )


def _export(options: argparse.Namespace) -> None:
    from seq2seq.cli.exit_status import quick_imports
    from seq2seq.cli.verbs import load_run

    with quick_imports():
        from seq2seq.deploy.export import check_request, export
        from seq2seq.deploy.web_folder import check_kind, load_runtime
    with_page = options.web or options.web_runtime is not None
    check_request(options.directory, options.weights, options.format, with_page)
    model = load_run(options)
    path = Path(options.model) / "config.json"
    stored = read_mapping(path) if path.is_file() else {}
    web = None
    if with_page:
        check_kind(model)
        web = load_runtime(options.web_runtime)
    report = export(
        model,
        Path(options.model).resolve().name,
        options.directory,
        options.weights,
        options.check,
        stored,
        options.format,
        web,
    )
    # by inode: the page shares the model's files with the rest
    sizes = {each.stat().st_ino: each.stat().st_size for each in options.directory.rglob("*") if each.is_file()}
    size = sum(sizes.values()) / 1e6
    kind = "made-up inputs" if report.made_up else "sentences of the validation split"
    print(
        f"seq2seq: {options.directory}: {size:.1f} MB; of {report.inputs} {kind} {report.differing} are answered "
        f"otherwise than by the run; scores differ by up to {report.largest:.1e}",
        file=sys.stderr,
    )

"""What the verbs of the command line share: how one is added, options of a search, loading. Needs no torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from seq2seq.cli.arguments import BUILD_HELP, Parser, named, number_within, path_named
from seq2seq.config import FUSION_WEIGHTS, SEARCH, Whole

if TYPE_CHECKING:
    from seq2seq.inference.load import Loaded
    from seq2seq.inference.searcher import Searcher
    from seq2seq.inference.translator import Translator
    from seq2seq.runs.stored_model import Kind

INPUT_LENGTHS = Whole(1, 1_000_000)
"""Tokens that --max-input-length may allow."""
PRECISIONS = ("fp32", "int8", "bf16", "fp16")
"""DecodingPrecision, without the import of torch."""


def add_verb(verbs: Any, name: str, description: str, run: Callable[[argparse.Namespace], None]) -> Parser:
    """The parser of a verb that loads a run."""
    parser: Parser = verbs.add_parser(name, description=description)
    parser.set_defaults(run=run, verb=name)
    parser.add_argument("model", metavar="RUN", type=named, help="run directory, or the Hub id of a model")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--build", metavar="FILE.py:FUNCTION", help=BUILD_HELP)
    return parser


def add_input_length(parser: Parser, refused: str = "score refuses longer targets") -> None:
    """How much of a text is read. refused: what of the help is not cut."""
    parser.add_argument(
        "--max-input-length",
        type=number_within(INPUT_LENGTHS),
        metavar="N",
        help=f"cut longer inputs to their first N tokens, with a warning; {refused} (default: 1000)",
    )


def add_ensemble(parser: Parser) -> None:
    """Further runs that answer together with the first."""
    parser.add_argument(
        "--ensemble",
        nargs="+",
        action="extend",
        default=[],
        type=named,
        metavar="RUN",
        help="further runs of the same vocabulary: the mean of all their probabilities chooses each token; a FILE "
        "behind them stands behind --",
    )


def add_translator_options(parser: Parser) -> None:
    """How several runs, or a quantised one, search."""
    add_ensemble(parser)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="int8: quantised, 1.5 to 1.8 times as fast on CPUs with VNNI; bf16, fp16: as in training, on GPUs, bf16 "
        "on CPUs with AMX or AVX512-BF16, too; a few outputs differ (default: fp32)",
    )
    parser.add_argument(
        "--shortlist",
        type=path_named,
        metavar="FILE",
        help="score only the likely translations of each line's tokens, and the frequent tokens, of a file that "
        "tools/shortlist.py makes: faster, but outputs differ (default: all tokens, exactly)",
    )


def add_fusion(parser: Parser) -> None:
    """A language model that joins in the search."""
    group = parser.add_argument_group("language model", "a model of the language that is written joins in the search")
    group.add_argument(
        "--lm",
        type=named,
        metavar="RUN",
        help="run of a language model with the vocabulary that this run writes with: recipes/character_lm.py --units "
        "subwords --sentences --vocabulary.source-model RUN/joint.spm.model",
    )
    group.add_argument(
        "--lm-weight",
        type=number_within(FUSION_WEIGHTS),
        metavar="W",
        help="what its log-probabilities count beside the model's (default: 0.2)",
    )
    group.add_argument(
        "--ilm-weight",
        type=number_within(FUSION_WEIGHTS),
        metavar="W",
        help="what is taken off for that which the model itself knows of the language: the weight of its "
        "log-probabilities without a source (default: 0)",
    )


def fusion_weights(options: argparse.Namespace) -> dict[str, float]:
    """The weights of the language model, as `Searcher.fuse` takes them."""
    given = {"weight": options.lm_weight, "internal_weight": options.ilm_weight}
    return {name: value for name, value in given.items() if value is not None}


def add_search_options(parser: Parser) -> None:
    """The settings of a search."""
    default = "default: the run's generation_config.json"
    parser.add_argument(
        "--beam-size",
        type=number_within(SEARCH["beam_size"]),
        metavar="N",
        help=f"hypotheses kept per sentence, 1 = greedy; time and memory grow with beam x length ({default})",
    )
    parser.add_argument(
        "--length-penalty",
        type=number_within(SEARCH["length_penalty"]),
        metavar="A",
        help=f"exponent of the length normalisation ({default})",
    )
    parser.add_argument(
        "--length-penalty-kind",
        choices=("average", "gnmt"),
        help=f"divide log-probabilities by length^A, or by ((5 + length) / 6)^A ({default})",
    )
    parser.add_argument(
        "--max-length",
        type=number_within(SEARCH["max_length"]),
        metavar="N",
        help=f"longest output in tokens, where --max-length-ratio allows as many ({default})",
    )
    parser.add_argument(
        "--max-length-ratio",
        type=number_within(SEARCH["max_length_ratio"]),
        metavar="R",
        help=f"longest output in tokens per source token, plus 10 ({default})",
    )


def search_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Those of the search's settings that were given."""
    names = ("beam_size", "length_penalty", "length_penalty_kind", "max_length", "max_length_ratio")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def load_translator(options: argparse.Namespace) -> Translator:
    """The run, which must translate, with its ensemble, at the precision asked for."""
    translator: Any = load_run(options, "translator")
    return translator


def load_run(options: argparse.Namespace, kind: Kind | None = None) -> Loaded:
    """The run, of that kind or else of any, with its ensemble, at the precision asked for. Raises UserError where one
    of them is asked for and the run does not search for its output."""
    from seq2seq.cli.exit_status import quick_imports
    from seq2seq.errors import check

    with quick_imports():
        from seq2seq.inference.load import load
        from seq2seq.inference.searcher import Searcher
        from seq2seq.inference.translator import Translator
        from seq2seq.runtime.device import prepare_process
    prepare_process()

    build, any_kind = own_build(options), cast("Any", kind)
    model: Loaded = load(options.model, options.device, kind=any_kind, build=build)
    language_model = getattr(options, "lm", None)
    options_of_search = {
        "--ensemble": options.ensemble,
        "--precision": options.precision != "fp32",
        "--lm": language_model,
    }
    unused = [name for name, given in options_of_search.items() if given and not isinstance(model, Searcher)]
    check(not unused, f"{', '.join(unused)}: for runs that write text; {options.model} does not")
    if isinstance(model, Searcher):
        model.precision = options.precision
        for run in options.ensemble:
            _join(model, run, options)
        if language_model is not None:
            _fuse(model, language_model, options)
    shortlist = getattr(options, "shortlist", None)
    if isinstance(model, Translator):
        if shortlist is not None:
            model.use_shortlist(shortlist)
        model.max_source_tokens = options.max_input_length or model.max_source_tokens
    else:
        fits = options.max_input_length is None
        check(fits, f"--max-input-length is for runs that translate; {options.model} does not")
        check(shortlist is None, f"--shortlist is for runs that translate; {options.model} does not")
    return model


def _join(model: Searcher, run: str, options: argparse.Namespace) -> None:
    """Makes an ensemble of a model and the run at `run`."""
    from seq2seq.errors import UserError

    other = load_other(options, run, model.kind)
    try:
        model.join(other)
    except UserError as error:
        raise UserError(f"--ensemble {run}: {error}") from None


def _fuse(model: Searcher, run: str, options: argparse.Namespace) -> None:
    """Lets the language model at `run` join in a model's search."""
    from seq2seq.errors import UserError

    language_model = load_other(options, run, "language_model")
    try:
        model.fuse(language_model, **fusion_weights(options))
    except UserError as error:
        raise UserError(f"--lm {run}: {error}") from None


def check_fusion(options: argparse.Namespace) -> None:
    """Raises UserError where a weight has nothing to weigh."""
    from seq2seq.errors import check

    idle = options.lm is None and bool(fusion_weights(options))
    check(not idle, "--lm-weight and --ilm-weight go with --lm: name the run of a language model")


def load_other(options: argparse.Namespace, run: str, kind: str) -> Any:
    """A further run, of that kind, beside the one that the options name first."""
    from seq2seq.inference.load import load
    from seq2seq.runs.hub import find_run
    from seq2seq.runs.stored_model import read_stored

    standard = not read_stored(find_run(run, {})).built_by
    return load(run, options.device, kind=cast("Any", kind), build=None if standard else own_build(options))


def own_build(options: argparse.Namespace) -> Callable[..., Any] | None:
    """The user's function that --build names."""
    if not options.build:
        return None
    from seq2seq.cli.user_code import function_in

    return function_in(options.build)

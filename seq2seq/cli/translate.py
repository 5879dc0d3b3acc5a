"""seq2seq translate, seq2seq score."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import count, islice, tee
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import named, number_within, path_named
from seq2seq.cli.decoding_options import add_decoding_options, decoding_files, decoding_settings
from seq2seq.cli.output_lines import output_lines
from seq2seq.cli.simultaneous import write_simultaneously
from seq2seq.cli.tags import add_tag, read_by, tags_of
from seq2seq.cli.translate_file import add_file_options, check_file_options, translate_file
from seq2seq.cli.verbs import (
    add_ensemble,
    add_fusion,
    add_input_length,
    add_search_options,
    add_translator_options,
    add_verb,
    check_fusion,
    load_translator,
    search_settings,
)
from seq2seq.config import COUNTS, SEARCH

if TYPE_CHECKING:
    from seq2seq.cli.lines import Lines
    from seq2seq.data.mixing import Tags
    from seq2seq.inference.outputs import Translation
    from seq2seq.inference.translator import Translator

LINES_WRITTEN_TOGETHER = 64
"""Translated lines that are aligned in one batch; in interactive use every line goes out at once."""
PARAGRAPHS_TOGETHER = 256
"""Lines whose sentences are translated together."""


def add_translate(verbs: Any) -> None:
    """Adds the verb."""
    translate = add_verb(verbs, "translate", "Translate text line by line to standard output.", _translate)
    translate.add_argument(
        "files",
        nargs="*",
        default=[],
        type=named,
        metavar="FILE",
        help="text, one sentence per line, UTF-8; - is standard input (default: -)",
    )
    add_input_length(translate)
    add_search_options(translate)
    add_decoding_options(translate)
    add_file_options(translate)
    add_translator_options(translate)
    add_fusion(translate)
    add_tag(translate)
    translate.add_argument(
        "--n-best",
        type=number_within(SEARCH["beam_size"]),
        metavar="K",
        help="write the K best as TSV: line, rank, score, text",
    )
    translate.add_argument(
        "--scores", action="store_true", help="write the score (log-probability over length) before the text"
    )
    translate.add_argument(
        "--attention",
        type=path_named,
        metavar="FILE",
        help="write attention weights to FILE as JSON lines; it may hold those of an earlier call, nothing else",
    )
    translate.add_argument(
        "--prefixes",
        type=path_named,
        metavar="FILE",
        help="what each translation begins with, a line for each input line, blank for anything; it may end within a "
        "word, and where it ends with a space, so does the word",
    )
    translate.add_argument(
        "--wait-k",
        type=number_within(COUNTS),
        metavar="K",
        help="begin to write after K tokens of the source, and read one more for each that is written, as an "
        "interpreter does (Ma et al. 2019); greedy; prints the average lagging on stderr",
    )
    translate.add_argument(
        "--split-sentences",
        action="store_true",
        help="translate each line sentence by sentence, joined with its own white space; needs the extra serve",
    )
    translate.add_argument(
        "--interactive", action="store_true", help="translate each line at once; with a prompt on a terminal"
    )


def add_score(verbs: Any) -> None:
    """Adds the verb."""
    score = add_verb(verbs, "score", "Log-probability (nats) and number of tokens of given pairs, as TSV.", _score)
    score.set_defaults(precision="fp32")
    add_ensemble(score)
    add_input_length(score)
    add_tag(score, "each source")
    score.add_argument(
        "--source-file", type=path_named, required=True, help="source sentences, one per line, UTF-8, or -"
    )
    score.add_argument(
        "--target-file", type=path_named, required=True, help="their translations, one per line, UTF-8, or -"
    )


def _translate(options: argparse.Namespace) -> None:
    from seq2seq.cli.attention_file import check_attention_file
    from seq2seq.cli.lines import STDIN, Lines, check_standard_input, lines_of, prompted_lines
    from seq2seq.errors import check

    check(not (options.interactive and options.files), "--interactive reads standard input: leave the files out")
    check(not (options.interactive and options.prefixes), "--prefixes is for files of lines; leave --interactive out")
    check_file_options(options)
    for path in options.files:
        check(not Path(path).is_dir(), f"{path}: a folder, not a file of text; a run stands first: translate RUN FILE")
    check_fusion(options)
    if options.wait_k is not None:
        write_simultaneously(options)
        return
    text = STDIN if options.input is None and (not options.files or STDIN in options.files) else None
    check_standard_input({"the text": text, "--prefixes": options.prefixes, **decoding_files(options)})
    if options.split_sentences:
        _check_splitting(options)
    if options.attention is not None:
        check_attention_file(options.attention, options.files)
    settings = {"n_best": options.n_best or 1, **search_settings(options), **decoding_settings(options)}
    if options.output is not None:
        translate_file(lambda: load_translator(options), options, settings)
        return
    with lines_of(options.files, "the sentences to translate") as lines:  # before the model: it takes seconds
        translator = load_translator(options)
        if options.attention:
            _check_attends(translator, options)
        given = Lines([("standard input", prompted_lines())]) if options.interactive else lines
        tags = tags_of(translator, options)
        _write_translations(translator, _checked(translator, given, tags), tags, options, settings)


def _checked(translator: Translator, lines: Lines, tags: Tags) -> Iterator[str]:
    """The files' lines as they come, with their tags. Raises UserError at one that lacks the features, or the tag, that
    the model reads."""
    for number, line in enumerate(lines, 1):
        yield read_by(translator, tags, line, lines.place(number))


def _check_splitting(options: argparse.Namespace) -> None:
    """Raises UserError where sentences cannot be split, or what was asked for is a sentence's and not a line's."""
    from seq2seq.data.sentences import check_splitter
    from seq2seq.errors import check

    names = {
        "--n-best": options.n_best,
        "--scores": options.scores,
        "--attention": options.attention,
        "--prefixes": options.prefixes,
    }
    given = [name for name, value in names.items() if value]
    check(not given, f"--split-sentences: {', '.join(given)} is of single sentences; give one sentence per line")
    check_splitter()


def _check_attends(translator: Translator, options: argparse.Namespace) -> None:
    """Raises UserError, before anything is translated or the file is overwritten, where there is nothing to write."""
    from seq2seq.errors import check
    from seq2seq.inference.decoding import attends

    check(attends(translator.model), f"--attention: {options.model} has no attention (model.decoder.attention none)")


def _write_translations(
    translator: Translator, given: Iterator[str], tags: Tags, options: argparse.Namespace, settings: dict[str, Any]
) -> None:
    from seq2seq.cli.attention_file import attention_file, write_attention

    if options.split_sentences:
        _write_paragraphs(translator, given, tags, options, settings)
        return
    lines, sources = tee(given)
    if options.interactive:
        found: Iterable[list[Translation]] = (translator.search([line], **settings)[0] for line in lines)
    else:
        found = translator.stream(lines, prefixes=_prefixes(options), **settings)
    translated = zip(count(1), sources, _with_progress(found, options.interactive), strict=False)
    with attention_file(options.attention) as attention:
        while group := list(islice(translated, 1 if options.interactive else LINES_WRITTEN_TOGETHER)):
            for number, _, best in group:
                sys.stdout.buffer.write(output_lines(number, best, options).encode("utf-8", errors="replace"))
            sys.stdout.buffer.flush()
            if attention is not None:
                write_attention("".join(_attention_lines(translator, group)), attention, options.attention)
        next(iter(found), None)  # its end, where prefixes that are left over are reported


def _prefixes(options: argparse.Namespace) -> list[str] | None:
    from seq2seq.cli.lines import file_lines

    return None if options.prefixes is None else file_lines(options.prefixes, "prefixes")


def _write_paragraphs(
    translator: Translator, given: Iterator[str], tags: Tags, options: argparse.Namespace, settings: dict[str, Any]
) -> None:
    """Lines, each translated sentence by sentence, every sentence with the line's tag; the sentences of many lines
    together."""
    from seq2seq.data.mixing import tagged
    from seq2seq.data.sentences import split_sentences

    language = _source_language(options.model)
    while lines := list(islice(given, 1 if options.interactive else PARAGRAPHS_TOGETHER)):
        apart = [tags.apart(line) for line in lines]
        parts = [split_sentences(text, language) for _, text in apart]
        sentences = [tagged(each, tag) for (tag, _), part in zip(apart, parts, strict=True) for each in part.sentences]
        found = iter(translator.search(sentences, **settings))
        for part in parts:
            text = part.joined([next(found)[0].text for _ in part.sentences])
            sys.stdout.buffer.write((text + "\n").encode("utf-8", errors="replace"))
        sys.stdout.buffer.flush()


def _source_language(run: str) -> str:
    """The name of a run's source column; English's where its configuration does not say."""
    from seq2seq.config import read_mapping
    from seq2seq.runs.hub import find_run
    from seq2seq.runs.layout import CONFIG_FILE

    return str(read_mapping(find_run(run, {}) / CONFIG_FILE).get("source") or "en")


def _with_progress(found: Iterable[list[Translation]], interactive: bool) -> Iterable[list[Translation]]:
    from tqdm import tqdm

    disable = True if interactive or sys.stdout.isatty() else None
    progress: Iterable[list[Translation]] = tqdm(
        found, desc="translating", unit="line", dynamic_ncols=True, disable=disable
    )
    return progress


def _attention_lines(translator: Translator, group: list[tuple[int, str, list[Translation]]]) -> Iterator[str]:
    """A JSON line per input line: its number, the pieces of both sides and the attention weights of the best
    translation."""
    alignments = translator.align([source for _, source, _ in group], [best[0] for _, _, best in group])
    for (number, _, _), alignment in zip(group, alignments, strict=True):
        weights = [[round(weight, 6) for weight in row] for row in alignment.weights]
        line = {"line": number, "source": alignment.source, "target": alignment.target, "weights": weights}
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _score(options: argparse.Namespace) -> None:
    from seq2seq.cli.lines import paired_lines

    sources, targets = paired_lines(options.source_file, options.target_file)
    translator = load_translator(options)
    tags = tags_of(translator, options)
    sources = [tags.before(each, f"{options.source_file}, line {row}") for row, each in enumerate(sources, 1)]
    for score in translator.score(sources, targets):
        print(f"{score.log_probability:.6f}\t{score.tokens}")

"""Strings in, strings out: a trained model with its vocabularies and search settings, loaded from a run directory or
the Hub."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.config import COUNTS, check_number, from_dict, read_config, read_mapping, write_config
from seq2seq.data.batch import Pair, collate_to_decode
from seq2seq.data.mixing import Tags, every_tagged
from seq2seq.data.units import AnyVocabulary, Unicode, normalised
from seq2seq.data.vocabulary import RightToLeft, Vocabulary
from seq2seq.errors import UserError, check
from seq2seq.inference.copied_text import unknown_copied
from seq2seq.inference.decoding import (
    TOKENS_PER_BATCH,
    check_attends,
    decode_in_batches,
    rows_for_beam,
    score_pairs,
    times_as_many,
)
from seq2seq.inference.inputs import checked_texts, items_of, list_of_texts
from seq2seq.inference.outputs import BLANK, Alignment, PairScore, Translation
from seq2seq.inference.plan import SearchPlan, check_terms_fit, plan_of
from seq2seq.inference.rescoring import by_bayes_risk, rescored
from seq2seq.inference.rules import Rules, prefix_texts
from seq2seq.inference.searcher import Searcher
from seq2seq.inference.shortlist import Shortlist, vocabularies_sum
from seq2seq.inference.terminology import ids_of_terms
from seq2seq.inference.ways import found_by
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, assemble_model
from seq2seq.runs.layout import CONFIG_FILE, GENERATION_FILE
from seq2seq.runs.stored_model import Build, load_model
from seq2seq.runs.vocabularies import load_vocabularies, save_vocabularies
from seq2seq.runtime.paths import checked_path
from seq2seq.search.beam import Hypothesis, SearchConfig
from seq2seq.search.prefix import PieceTexts
from seq2seq.search.restrictions import without_zeros

log = logging.getLogger(__name__)


LINES_IN_MEMORY, BATCHES_IN_MEMORY = 1_024, 8
"""Lines, and batches of them, that `stream` reads ahead in order to decode like lengths together."""
MAX_SOURCE_TOKENS = 1_000
"""Longer inputs are cut here, with a warning, unless a translator is set otherwise: nothing was trained on them, and
memory grows with the length."""
NEEDS_TAG = "needs_tag"
"""In config.json of a saved model, which does not record its data."""


class LongTarget(UserError):
    """A target has more tokens than max_source_tokens."""

    def __init__(self, number: int, tokens: int, limit: int) -> None:
        """number: of the target, counted from 1."""
        self.number, self.tokens, self.limit = number, tokens, limit
        super().__init__(self.message(f"the target on line {number}"))

    def message(self, name: str) -> str:
        """The error's line, in which the target has that name."""
        return (
            f"{name} has {self.tokens} tokens, more than {self.limit}: leave the pair out, "
            "or raise --max-input-length (in Python max_source_tokens)"
        )


class Translator(Searcher):
    """A trained model of text to text. Several threads may call it at once, while none of them changes its settings,
    partners or weights."""

    kind = "translator"
    vocabularies = ("source_vocabulary", "target_vocabulary")

    def __init__(
        self,
        model: Seq2Seq,
        config: ModelConfig,
        source_vocabulary: AnyVocabulary,
        target_vocabulary: Vocabulary,
        search: SearchConfig | None = None,
    ) -> None:
        super().__init__(model, search)
        self.config = config
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.max_source_tokens = MAX_SOURCE_TOKENS
        self.needs_tag = False
        """Whether the model never saw a text without a tag, so that one without is refused."""
        self.shortlist: Shortlist | None = None
        """Which target tokens searches score; None: all. See `use_shortlist`."""

    @property
    def max_source_tokens(self) -> int:
        """Tokens after which an input is cut, a warning given. Raises UserError where set to no positive number."""
        return self._max_source_tokens

    @max_source_tokens.setter
    def max_source_tokens(self, tokens: int) -> None:
        check_number("max_source_tokens", tokens, COUNTS)
        self._max_source_tokens = tokens

    def use_shortlist(self, path: str | Path) -> None:
        """Lets searches score only the target tokens that a file of tools/shortlist.py lists for each text: faster, but
        some outputs differ; probabilities are those among these tokens. Raises UserError where the file is none, or of
        other vocabularies."""
        shortlist = Shortlist.load(checked_path(path, "path", "a file"))
        own = shortlist.vocabularies == vocabularies_sum(self.source_vocabulary, self.target_vocabulary)
        check(own, f"{path}: made for other vocabularies; make one of this run with tools/shortlist.py")
        self.shortlist = shortlist

    def translate(self, texts: Sequence[str], **search_options: Any) -> list[str]:
        """The best translation of each text, in order; blank in, blank out. texts: a list, tuple, array or column of
        strings. Options: fields of SearchConfig, such as beam_size=5, and of DecodingConfig, such as no_repeat_ngram=3;
        ban=[...], words and phrases that no output holds; ban_pieces=[...]; terminology={source term: target term}.
        Raises UserError for what is none of these."""
        check("n_best" not in search_options, "translate gives the best of each text only; search gives the n best")
        return [best[0].text for best in self.search(texts, **search_options)]

    def search(
        self,
        texts: Sequence[str],
        n_best: int = 1,
        prefixes: Sequence[str] | None = None,
        terms: Sequence[Sequence[str]] | None = None,
        **search_options: Any,
    ) -> list[list[Translation]]:
        """For each text its n best translations, best first (fewer than n where the beam holds fewer). Where beam_size
        is not given, the beam is widened to n_best. texts and options are those of `translate`. With sampling, n in the
        order drawn.

        prefixes: what each translation begins with, "" for anything. It may end within a word, which then goes on by
        whatever pieces; where it ends with a space, so does the word. terms: for each text the terms that its
        translations hold; each begins a word, which may go on behind it.
        """
        plan = self._plan(n_best, search_options)
        begins = None if prefixes is None else list_of_texts(prefixes, "prefix")
        return self._search(list_of_texts(texts), begins, plan, terms)

    @property
    def tags(self) -> list[str]:
        """What inputs may begin with: the tags of the corpora that the model was trained on."""
        return self.source_vocabulary.tags()

    def _check_tags(self, texts: Sequence[str]) -> None:
        """Raises UserError where a text lacks the tag that the model needs."""
        if not self.needs_tag:
            return
        tags = Tags("", tuple(self.tags), True)
        for text in texts:
            check(not tags.lacks(text), f"{text!r:.60} {tags.problem}; put one of them before it")

    @property
    def _unicode(self) -> Unicode:
        """The form that all texts of the training had, those of the target, too."""
        form: Unicode = getattr(self.source_vocabulary, "unicode", "unchanged")
        return form

    def _check_order(self, name: str) -> None:
        """Raises UserError where a rule of texts as they are read is asked of a model that writes from their end."""
        forwards = not isinstance(self.target_vocabulary, RightToLeft)
        check(forwards, f"{name}: this model writes from right to left; use one that writes from left to right")

    def _plan(self, n_best: int, options: Mapping[str, Any]) -> SearchPlan:
        return plan_of(self.search_config, self.target_vocabulary, n_best, options, self._unicode)

    def _target_texts(self, texts: Sequence[str]) -> list[str]:
        """Texts of outputs, in the form that outputs have."""
        return [normalised(text, self._unicode) for text in texts]

    def _search(
        self,
        texts: list[str],
        prefixes: list[str] | None,
        plan: SearchPlan,
        terms: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Translation]]:
        if plan.decoding.coverage_penalty:
            check_attends(self.model)
        if self.fusion is not None:
            off = plan.decoding.sampling == "off"
            check(
                off, "sampling draws from probabilities; with a language model there are scores: leave one of them out"
            )
        sources, cut = self._encode_sources(texts)
        rules = self._with_terms(self._rules(prefixes, len(sources), plan), texts, plan, terms)
        self._check_shortlist(rules)

        vocabularies = self.source_vocabulary, self.target_vocabulary

        def translate(rows: list[int]) -> list[list[Translation]]:
            ids = [sources[row] for row in rows]
            found = self._translations(self._decode(ids, plan, rules.of(rows)))
            found = unknown_copied(self.model, vocabularies, [texts[row] for row in rows], ids, found)
            if plan.decoding.mbr != "off":
                found = [by_bayes_risk(best, plan.decoding) for best in found]
            return [
                [each._replace(truncated=row in cut) for each in best[: plan.n_best]]
                for row, best in zip(rows, found, strict=True)
            ]

        most_rows = rows_for_beam(plan.width, self.device)
        most_steps = times_as_many(self.device) * TOKENS_PER_BATCH
        lengths = [len(ids) for ids in sources]
        return decode_in_batches(lengths, translate, most_rows, most_steps, [BLANK], self.world)

    def stream(
        self, texts: Iterable[str], n_best: int = 1, prefixes: Iterable[str] | None = None, **search_options: Any
    ) -> Iterator[list[Translation]]:
        """`search` over any number of texts, in order, holding only some of them in memory. texts, prefixes: as
        `search` takes them, or a generator or file that gives strings, of prefixes as many as of texts."""
        plan = self._plan(n_best, search_options)  # refused here, not later
        lines = checked_texts(items_of(texts, "strings", "text"))
        begins = None if prefixes is None else checked_texts(items_of(prefixes, "strings", "prefix"), "prefix")
        most_rows = rows_for_beam(plan.width, self.device)
        together = min(times_as_many(self.device) * LINES_IN_MEMORY, BATCHES_IN_MEMORY * most_rows)
        return self._stream(lines, begins, together, plan)

    def _stream(
        self, lines: Iterator[str], begins: Iterator[str] | None, together: int, plan: SearchPlan
    ) -> Iterator[list[Translation]]:
        read = 0
        while chunk := list(islice(lines, together)):
            prefixes = None if begins is None else list(islice(begins, len(chunk)))
            missing = 0 if prefixes is None else len(chunk) - len(prefixes)
            read += len(chunk)
            check(
                not missing,
                f"there are more texts than prefixes, of which there are {read - missing}: give one for each",
            )
            yield from self._search(chunk, prefixes, plan)
        check(begins is None or next(begins, None) is None, f"there are more prefixes than texts, which are {read}")

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[PairScore]:
        """Log-probability of each target given its source, by an ensemble's mean probabilities where it is one. Raises
        UserError where a target has more tokens than max_source_tokens: cut like a source, it would get the score of
        another target."""
        return self._scores(self._pairs(list_of_texts(sources, "source"), list_of_texts(targets, "target")))

    def score_translations(self, sources: Sequence[str], translations: Sequence[Translation]) -> list[PairScore]:
        """`score` of the tokens that a search gave, which need not be those that their text is cut into."""
        return self._scores(self._pairs(list_of_texts(sources, "source"), translations))

    def _scores(self, pairs: list[Pair]) -> list[PairScore]:
        def score(rows: list[int]) -> list[PairScore]:
            batch = collate_to_decode([pairs[row] for row in rows]).to(self.device)
            log_probs, counts, _ = score_pairs(self.model, batch, *self.partners)
            return list(map(PairScore, log_probs.tolist(), counts.tolist()))

        return decode_in_batches([len(source) + len(target) for source, target in pairs], score)

    def align(self, sources: Sequence[str], targets: Sequence[Translation | str]) -> list[Alignment]:
        """Attention weights of given targets, translations or any strings, by forced decoding, so that searching need
        not keep them. Raises UserError where a string has more tokens than max_source_tokens, or the model has no
        attention."""
        check_attends(self.model)
        given = list(items_of(targets, "strings or Translations", "target"))
        pairs = self._pairs(list_of_texts(sources, "source"), given)

        def align(rows: list[int]) -> list[Alignment]:
            batch = collate_to_decode([pairs[row] for row in rows]).to(self.device)
            _, _, weights = score_pairs(self.model, batch)
            return [self._alignment(pairs[row], matrix) for row, matrix in zip(rows, weights, strict=True)]

        return decode_in_batches([len(source) for source, _ in pairs], align, blank=Alignment([], [], []))

    def _encode_sources(self, texts: list[str]) -> tuple[list[list[int]], set[int]]:
        """Token ids per text, and the rows of those that were cut, with a warning, because they are longer than the
        model can sensibly read. Blank texts have no ids. Raises UserError where a text lacks the tag that it needs."""
        self._check_tags(texts)
        encoded = self.source_vocabulary.encode_batch([text if text.strip() else "" for text in texts])
        limit = self.max_source_tokens
        cut = {row for row, ids in enumerate(encoded) if len(ids) > limit}
        for row in sorted(cut):
            begins = texts[row].strip()[:30]
            log.warning("an input of %d tokens was cut to its first %d: it begins %r", len(encoded[row]), limit, begins)
            encoded[row] = encoded[row][:limit]
        return encoded, cut

    def _check_shortlist(self, rules: Rules) -> None:
        """Raises UserError where what is asked for goes by all tokens of the vocabulary."""
        if self.shortlist is not None:
            named = "bans, prefixes and terms name tokens that a shortlist may lack"
            check(not rules.name_tokens, f"{named}: leave them or it out")
            check(self.fusion is None, "a language model scores all tokens: leave it or the shortlist out")

    def _rules(self, prefixes: list[str] | None, count: int, plan: SearchPlan) -> Rules:
        """The rules of `count` texts. Raises UserError where the numbers differ, or a prefix cannot be written."""
        check(prefixes is None or len(prefixes) == count, f"{count} texts but {len(prefixes or [])} prefixes")
        if prefixes is None or not any(prefixes):
            return plan.rules
        self._check_order("prefixes")
        written = prefix_texts(self.target_vocabulary, self._target_texts(prefixes), self.max_source_tokens)
        return replace(plan.rules, prefixes=written, pieces=PieceTexts(self.target_vocabulary.piece_texts()))

    def _with_terms(
        self, rules: Rules, texts: list[str], plan: SearchPlan, terms: Sequence[Sequence[str]] | None
    ) -> Rules:
        """The rules with the terms given, and those of the terminology."""
        if terms is None and plan.terminology is None:
            return rules
        check_terms_fit(plan.decoding)
        self._check_order("terms")
        wanted = [[] if plan.terminology is None else plan.terminology.of(text) for text in texts]
        if terms is not None:
            lists = [list_of_texts(each, "term") for each in items_of(terms, "lists of strings", "term list")]
            check(len(lists) == len(texts), f"{len(texts)} texts but {len(lists)} lists of terms")
            for own, each in zip(wanted, lists, strict=True):
                own += ids_of_terms(self.target_vocabulary, self._target_texts(each))
        return replace(rules, terms=wanted)

    def _pairs(self, sources: list[str], targets: Sequence[Translation | str]) -> list[Pair]:
        check(len(sources) == len(targets), f"{len(sources)} sources but {len(targets)} targets")
        for number, target in enumerate(targets, 1):
            fits, kind = isinstance(target, str | Translation), type(target).__name__
            check(
                fits, f"target {number} is of type {kind}; give strings, or of what search gives best[0] for each text"
            )
        texts = [each if isinstance(each, str) else "" for each in targets]
        encoded = self.target_vocabulary.encode_batch(self._target_texts(texts))
        limit = self.max_source_tokens
        for number, ids in enumerate(encoded, 1):
            if len(ids) > limit:
                raise LongTarget(number, len(ids), limit)
        ids_of = [ids if isinstance(each, str) else each.tokens for each, ids in zip(targets, encoded, strict=True)]
        return list(zip(self._encode_sources(sources)[0], ids_of, strict=True))

    @torch.inference_mode()
    def _decode(self, sources: Sequence[Sequence[int]], plan: SearchPlan, rules: Rules) -> list[list[Hypothesis]]:
        batch = collate_to_decode([(source, ()) for source in sources]).to(self.device)
        limits = plan.search.limits(batch.source_lengths)
        words = None if self.shortlist is None else self.shortlist.of(sources).to(self.device)
        step, state = self._started(batch, words)[:2]  # what the encoder gave is not kept while searching
        if rules.force and self._gives_zeros:
            step = without_zeros(step)
        started = rules.applied(step, state, limits)
        found = found_by(plan, started, sources, rules.terms, self._scores_fall)
        if words is not None:
            found = words.in_vocabulary(found)
        if plan.decoding.rescores:
            return rescored(self.model, sources, found, plan.decoding)
        return found

    def _translations(self, found: list[list[Hypothesis]]) -> list[list[Translation]]:
        tokens = [hypothesis.tokens for hypotheses in found for hypothesis in hypotheses]
        texts = iter(self.target_vocabulary.decode_batch(tokens))  # once for all: a call costs 0.1 ms
        return [
            [Translation(next(texts), each.score, each.log_probability, each.tokens) for each in hypotheses] or [BLANK]
            for hypotheses in found
        ]

    def _alignment(self, pair: Pair, weights: Tensor) -> Alignment:
        source, target = (
            [*vocabulary.pieces(ids), "</s>"]
            for vocabulary, ids in zip((self.source_vocabulary, self.target_vocabulary), pair, strict=True)
        )
        rows = weights[: len(target), : len(source)].float().tolist()
        if isinstance(self.target_vocabulary, RightToLeft):  # shown as they are read; the end of sentence stays last
            target[:-1], rows[:-1] = target[-2::-1], rows[-2::-1]
        return Alignment(source, target, rows)

    # Files

    def further_settings(self) -> dict[str, Any]:
        """As `Pretrained` has it."""
        return {NEEDS_TAG: True} if self.needs_tag else {}

    def save_belongings(self, directory: Path) -> None:
        """As `Pretrained` has it."""
        write_config(directory / GENERATION_FILE, self.search_config)
        save_vocabularies(directory, self.source_vocabulary, self.target_vocabulary)

    @classmethod
    def assembled(cls, directory: Path, model: dict[str, Any], build: Build | None) -> Translator:
        """As `Pretrained` has it."""
        config = from_dict(ModelConfig, model, str(directory / CONFIG_FILE))
        generation = directory / GENERATION_FILE
        search = read_config(generation, SearchConfig) if generation.exists() else None
        source, target = load_vocabularies(directory)
        module = load_model(directory, build, assemble_model, config, len(source), len(target))
        translator = cls(module, config, source, target, search)
        stored = read_mapping(directory / CONFIG_FILE)
        tagged = every_tagged(stored) or stored.get(NEEDS_TAG) is True
        translator.needs_tag = tagged and bool(translator.tags)
        return translator

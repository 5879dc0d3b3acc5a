// Beam search for one input, as translate.py has it: a finished hypothesis keeps its place; the search ends when no live
// one can still enter the n best. Totals are rounded to 32-bit floating point after each sum, as numpy does, and equal
// totals keep their order, as its stable sort does.
// K hypotheses of a beam, k candidates for each, S steps of the input.

export const PAD = 0, UNKNOWN = 1, BEGIN = 2, END = 3, FIRST_CHARACTER = 4;

/** Most tokens of an output, end of sentence included. */
export function limitOf(length, settings) {
  return Math.min(Math.trunc(length * settings.max_length_ratio + 10), settings.max_length);
}

/** log P / length^a, or log P / ((5 + length) / 6)^a. */
export function scoreOf(logProbability, length, settings) {
  const base = settings.length_penalty_kind === "average" ? length : Math.fround((5 + length) / 6);
  return Math.fround(logProbability / Math.fround(Math.pow(base, Math.fround(settings.length_penalty))));
}

export class Beam {
  /** limit: most tokens. settings: those of generation_config.json. nBest: outputs wanted. */
  constructor(limit, settings, nBest, vocabularySize) {
    Object.assign(this, { limit, settings, nBest });
    this.candidates = Math.min(settings.beam_size, vocabularySize);
    this.found = [];  // finished: {score, logProbability, tokens, attention}
    this.slots = [{ token: BEGIN, before: null, attention: null }];  // live: a chain of tokens each
    this.totals = Float32Array.of(0);
    this.length = 0;
    this.ended = 0;
    this.worst = -Infinity;
  }

  /** step(tokens, k) -> {logProbs [K * k], next [K * k], end [K], attention: K rows of S}; choose(origins) makes the
   * state's rows those of the new hypotheses. Both may be asynchronous. */
  async run(step, choose) {
    for (;;) {
      const origins = this.advance(await step(this.slots.map((each) => each.token), this.candidates));
      if (!this.goesOn()) return this.found.slice(0, this.nBest);
      await choose(origins);
    }
  }

  /** Takes the best continuations -> the slot that each comes from. */
  advance({ logProbs, next, end, attention }) {
    const { totals, slots, candidates } = this;
    this.length += 1;
    const all = [];
    for (let slot = 0; slot < slots.length; slot++) {
      for (let place = 0; place < candidates; place++) {
        const number = slot * candidates + place;
        let [log, token] = [logProbs[number], next[number]];
        if (this.length === this.limit) [log, token] = place ? [-Infinity, token] : [end[slot], END];
        all.push({ slot, token, total: Math.fround(totals[slot] + log) });
      }
    }
    all.sort((a, b) => (a.total === b.total ? 0 : b.total - a.total));
    const best = all.slice(0, this.settings.beam_size);
    const free = this.settings.beam_size - this.ended;  // finished hypotheses keep their places
    best.forEach((each, rank) => {
      if (rank >= free) each.total = -Infinity;
    });
    this.slots = best.map(({ slot, token }) => ({ token, before: slots[slot], attention: attention[slot] }));
    best.forEach((each, rank) => {
      if (each.token === END && each.total > -Infinity) this.collect(this.slots[rank], each);
    });
    this.totals = Float32Array.from(best, (each) => each.total);
    return best.map((each) => each.slot);
  }

  /** Moves a hypothesis that has just ended to the list. */
  collect(last, best) {
    const tokens = [], attention = [];
    for (let each = last; each.before; each = each.before) {
      if (each !== last) tokens.unshift(each.token);
      attention.unshift(each.attention);
    }
    const score = scoreOf(best.total, this.length, this.settings);
    this.found.push({ score, logProbability: best.total, tokens, attention });
    this.found.sort((a, b) => b.score - a.score);
    if (this.found.length >= this.nBest) this.worst = this.found[this.nBest - 1].score;
    this.ended += 1;
    best.total = -Infinity;
  }

  /** Whether a live hypothesis can still enter the n best. */
  goesOn() {
    const live = this.totals.reduce((a, b) => Math.max(a, b), -Infinity);
    return live > -Infinity && scoreOf(live, this.limit, this.settings) > this.worst && this.limit > this.length;
  }
}

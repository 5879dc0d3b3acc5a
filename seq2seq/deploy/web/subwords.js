// SentencePiece: text to ids of pieces and back, as the Python package does it. The pieces' scores are added in 32-bit
// floating point, in the same order, so that ties fall alike.

import { normaliser } from "./normalise.js";
import { BPE, BYTE, CHAR, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, WORD, readModel } from "./spm_file.js";

const SPACE = "\u2581";
const UNKNOWN_PENALTY = 10;
const byLength = (a, b) => b.length - a.length;

export class Subwords {
  /** bytes: Uint8Array of a `.spm.model` file. */
  constructor(bytes) {
    this.model = readModel(bytes);
    this.list = this.model.pieces;
    this.ids = new Map();
    this.bytes = new Map();
    this.list.forEach(({ piece, type }, id) => {
      if ([NORMAL, USER_DEFINED, UNUSED].includes(type)) this.ids.set(piece, id);
      if (type === BYTE) this.bytes.set(parseInt(piece.slice(3, 5), 16), id);
    });
    this.unknown = this.list.findIndex((each) => each.type === UNKNOWN);
    const scores = this.list.filter((each) => each.type === NORMAL).map((each) => each.score);
    this.lowest = scores.reduce((a, b) => Math.min(a, b), Infinity);
    this.highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    this.longest = [...this.ids.keys()].reduce((most, each) => Math.max(most, each.length), 1);
    this.own = this.list.filter((each) => each.type === USER_DEFINED).map((each) => each.piece).sort(byLength);
    this.normalise = normaliser(this.model, this.own);
  }

  /** Ids of a text, without beginning and end of sentence. */
  encode(text) {
    const plain = this.normalise(text.replace(/\p{Surrogate}/gu, "?"));
    const cut = { [BPE]: this.merge, [WORD]: this.words, [CHAR]: this.characters }[this.model.kind] ?? this.unigram;
    const found = [];
    for (const piece of cut.call(this, plain)) this.add(found, piece);
    return found.map((each) => each.id);
  }

  /** Adds a piece to the list; an unknown one as bytes, or joined with an unknown one before it. */
  add(found, piece) {
    const id = this.ids.get(piece) ?? this.unknown;
    const unknown = id === this.unknown;
    if (unknown && this.model.byteFallback) {
      for (const byte of new TextEncoder().encode(piece)) found.push({ id: this.bytes.get(byte), unknown: false });
    } else if (!unknown || !found.at(-1)?.unknown) {
      found.push({ id, unknown });
    }
  }

  /** The most probable cut: the best score of a path that ends at each place, left to right. */
  unigram(text) {
    const best = new Float32Array(text.length + 1), from = new Int32Array(text.length + 1).fill(-1);
    const reach = (start, end, score) => {
      const total = Math.fround(best[start] + score);
      if (from[end] < 0 || total > best[end]) [best[end], from[end]] = [total, start];
    };
    for (let start = 0; start < text.length;) {
      const next = start + (text.codePointAt(start) > 0xffff ? 2 : 1);
      let alone = false;
      for (let end = next; end <= Math.min(text.length, start + this.longest); end++) {
        const id = this.ids.get(text.slice(start, end));
        if (id === undefined || this.list[id].type === UNUSED) continue;
        reach(start, end, this.scoreOf(id));
        alone ||= end === next;
      }
      if (!alone) reach(start, next, Math.fround(this.lowest - UNKNOWN_PENALTY));
      start = next;
    }
    const found = [];
    for (let end = text.length; end > 0; end = from[end]) found.push(text.slice(from[end], end));
    return found.reverse();
  }

  scoreOf(id) {
    const { piece, score, type } = this.list[id];
    if (type !== USER_DEFINED) return score;
    return Math.fround(new TextEncoder().encode(piece).length * this.highest - 0.1);  // always preferred
  }

  /** Byte pair encoding: the pair of the best score is joined first, of several the leftmost. */
  merge(text) {
    const symbols = this.characters(text), fixed = new Set(this.own), origins = new Map();
    const pair = (place) => {
      const [left, right] = symbols.slice(place, place + 2);
      const id = right === undefined || fixed.has(left) || fixed.has(right) ? undefined : this.ids.get(left + right);
      if (id !== undefined && this.list[id].type === UNUSED) origins.set(left + right, [left, right]);
      return id === undefined ? -Infinity : this.list[id].score;
    };
    const scores = symbols.map((_, place) => pair(place));
    for (;;) {
      let best = -1;
      scores.forEach((score, place) => {
        if (score > (best < 0 ? -Infinity : scores[best])) best = place;
      });
      if (best < 0) break;
      symbols.splice(best, 2, symbols[best] + symbols[best + 1]);
      scores.splice(best, 1);
      for (const place of [best - 1, best]) if (place >= 0) scores[place] = pair(place);
    }
    const split = (piece) => (origins.has(piece) ? origins.get(piece).flatMap(split) : [piece]);
    return symbols.flatMap(split);
  }

  words(text) {
    const found = this.model.spaceAsSuffix ? text.match(/[^\u2581]*\u2581|[^\u2581]+$/g)
      : text.match(/\u2581[^\u2581]*|^[^\u2581]+/g);
    return found ?? [];
  }

  /** Characters, and the model's own symbols where it names such. */
  characters(text) {
    if (!this.own.length) return [...text];
    const found = [];
    for (let place = 0; place < text.length;) {
      const own = this.own.find((each) => text.startsWith(each, place)) ?? String.fromCodePoint(text.codePointAt(place));
      found.push(own);
      place += own.length;
    }
    return found;
  }

  /** A text, in one line, of ids. */
  decode(ids) {
    let found = "", bytes = [];
    const flush = () => {
      found += decodeBytes(bytes);
      bytes = [];
    };
    for (const id of ids) {
      const { piece, type } = this.list[id];
      if (type === BYTE) {
        bytes.push(parseInt(piece.slice(3, 5), 16));
        continue;
      }
      flush();
      if (type !== CONTROL) found += type === UNKNOWN ? this.model.unknown : piece.replaceAll(SPACE, " ");
    }
    flush();
    return found.replaceAll("\n", " ").replace(/^ +| +$/g, "");
  }

  /** The piece of each id, to show. */
  pieces(ids) {
    return ids.map((id) => this.list[id].piece);
  }
}

/** UTF-8 to text; each byte that begins no character is U+FFFD. */
function decodeBytes(bytes) {
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let found = "";
  for (let place = 0; place < bytes.length;) {
    const first = bytes[place], length = first < 128 ? 1 : first < 224 ? 2 : first < 240 ? 3 : 4;
    try {
      found += strict.decode(new Uint8Array(bytes.slice(place, place + length)));
      place += length;
    } catch {
      found += "\ufffd";
      place += 1;
    }
  }
  return found;
}

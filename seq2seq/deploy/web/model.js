// The exported model, run in this browser. Another transport (a server, say) can stand in its place: the page asks only
// for `open()` and for what it gives: {kind, reader, languages, search(input, options)}.

import { checkTag, joined, read } from "./inputs.js";
import * as runtime from "./runtime/ort.wasm.bundle.min.mjs";
import { Beam, END, limitOf } from "./search.js";
import { Subwords } from "./subwords.js";

const FOLDER = new URL("./model/", import.meta.url);

/** Loads the model; told(part, of) reports the bytes so far. */
export async function open(told = () => {}) {
  runtime.env.wasm.numThreads = 1;  // more need headers that few static hosts send
  runtime.env.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
  const [config, settings] = await Promise.all([json("config.json"), json("generation_config.json")]);
  const { source, target } = config.vocabularies;
  const names = ["encoder.onnx", "step.onnx", ...new Set([source, target].filter(Boolean))];
  const files = await fetchAll(names, told);
  const graphs = {};
  for (const name of ["encoder", "step"]) {
    graphs[name] = await runtime.InferenceSession.create(files[`${name}.onnx`], { logSeverityLevel: 3 });
  }
  const vocabularies = {};
  if (source) vocabularies.source = new Subwords(files[source]);
  vocabularies.target = target === source ? vocabularies.source : new Subwords(files[target]);
  return new Model(config, settings, graphs, vocabularies);
}

async function fetched(name) {
  const answer = await fetch(new URL(name, FOLDER));
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer;
}

const json = async (name) => (await fetched(name)).json();

/** The files, by name; told hears of every part that arrives. */
async function fetchAll(names, told) {
  let [part, of] = [0, 0];
  const load = async (name) => {
    const answer = await fetched(name), chunks = [];
    of += Number(answer.headers.get("Content-Length") ?? 0);
    for (const reader = answer.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      told((part += value.length), of);
    }
    return [name, new Uint8Array(await new Blob(chunks).arrayBuffer())];
  };
  return Object.fromEntries(await Promise.all(names.map(load)));
}

class Model {
  constructor(config, settings, graphs, { source, target }) {
    Object.assign(this, { config, settings, graphs, source, target });
    this.kind = config.kind;
    this.reader = config.reader;
    this.languages = config.languages;
    this.state = Object.entries(config.state).map(([name, { shared }]) => ({ name, shared }));
    this.waiting = Promise.resolve();
  }

  /** The outputs for an input: a text, or a file where the model reads pictures or sound.
   * options: beamSize, nBest, lengthPenalty, and signal, an AbortSignal that ends the search between two steps.
   * Gives {outputs: [{text, score, tokens}], attention: [T][S] of the best output, pieces: those of the input,
   * truncated}. Searches are run one after the other. */
  search(input, options = {}) {
    const found = this.waiting.then(() => this.searchNow(input, options));
    this.waiting = found.catch(() => {});
    return found;
  }

  async searchNow(input, { nBest = 1, beamSize, lengthPenalty, signal } = {}) {
    signal?.throwIfAborted();
    const settings = { ...this.settings };
    settings.beam_size = beamSize ?? Math.max(settings.beam_size, nBest);
    settings.length_penalty = lengthPenalty ?? settings.length_penalty;
    const { source, length, pieces, truncated } = await this.read(input);
    if (!source) return { outputs: [{ text: "", score: 0, tokens: [] }], attention: [], pieces: [], truncated };
    const state = await this.encoded(source, length);
    const beam = new Beam(limitOf(length, settings), settings, nBest, this.config.vocabulary_size);
    const found = await beam.run(
      async (tokens, count) => {
        await breathe();
        signal?.throwIfAborted();
        return this.step(tokens, count, state);
      },
      (origins) => this.choose(origins, state),
    );
    const outputs = found.map(({ tokens, score }) => ({
      text: this.target.decode(tokens), score, tokens: this.target.pieces(tokens),
    }));
    const attention = found[0]?.attention ?? [];
    return { outputs, attention, pieces: joined(pieces, attention[0]?.length), truncated };
  }

  /** The input as a tensor [1, S, ...], and what is shown of it. */
  async read(input) {
    if (this.reader.kind !== "subwords") {
      const { data, dims, pieces } = await read(input, this.reader, this.config.input_shape);
      const type = data instanceof BigInt64Array ? "int64" : "float32";
      const length = this.config.steps ?? dims[0];
      return { source: new runtime.Tensor(type, data, [1, ...dims]), length, pieces, truncated: false };
    }
    checkTag(input, this.config.needed_tags ?? []);
    let ids = input.trim() ? this.source.encode(input) : [];
    const limit = this.config.max_input_length;
    const truncated = ids.length > limit;
    if (truncated) ids = ids.slice(0, limit);
    if (!ids.length) return { truncated };
    const pieces = [...this.source.pieces(ids), "</s>"];
    return { source: whole([...ids, END], [1, ids.length + 1]), length: ids.length + 1, pieces, truncated };
  }

  /** What the encoder gives, by name: the state before the first token. */
  async encoded(source, length) {
    const { ctc, "ctc.mask": mask, ...state } = await this.graphs.encoder.run({ source, lengths: whole([length], [1]) });
    return state;
  }

  /** One step of all hypotheses. The state's tensors are replaced by those after it. */
  async step(tokens, count, state) {
    const all = { tokens: whole(tokens, [1, tokens.length]), candidates: whole(Array(count).fill(0), [count]), ...state };
    const given = Object.fromEntries(this.graphs.step.inputNames.map((name) => [name, all[name]]));
    const found = await this.graphs.step.run(given);
    for (const { name, shared } of this.state) if (!shared) state[name] = found[`${name}.next`];
    const steps = found.attention.dims.at(-1);
    const attention = tokens.map((_, slot) => found.attention.data.slice(slot * steps, (slot + 1) * steps));
    return { logProbs: found.log_probs.data, next: Array.from(found.next.data, Number), end: found.end.data, attention };
  }

  /** Makes the state's rows those of the new hypotheses. */
  choose(origins, state) {
    for (const { name, shared } of this.state) {
      if (shared) continue;
      const { data, dims, type } = state[name];
      const size = data.length / dims[0];
      const rows = new data.constructor(size * origins.length);
      origins.forEach((from, to) => rows.set(data.subarray(from * size, (from + 1) * size), to * size));
      state[name] = new runtime.Tensor(type, rows, [origins.length, ...dims.slice(1)]);
    }
  }
}

const whole = (values, dims) => new runtime.Tensor("int64", BigInt64Array.from(values, BigInt), dims);

/** Lets the page answer keys between two steps. */
function breathe() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

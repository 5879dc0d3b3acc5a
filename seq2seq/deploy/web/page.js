// The page: what is entered goes to the model as one types, what comes back is shown. Where the model runs is the
// business of model.js alone.

import { drawAttention } from "./attention.js";
import { attach } from "./files.js";
import { open } from "./model.js";

const PAUSE = 150;  // milliseconds without a key before a search begins
const at = (id) => document.getElementById(id);
let model, running = null, timer = 0, input = "";

/** Loads the model and opens the input that it reads. */
async function start() {
  try {
    model = await open((part, of) => {
      at("progress").value = of ? Math.min(1, part / of) : 0;
    });
  } catch (error) {
    at("progress").hidden = true;
    return report(`The model cannot be loaded: ${error.message}`, true);
  }
  at("progress").hidden = true;
  name();
  if (["image", "sound"].includes(model.reader.kind)) {
    at("file-input").hidden = false;
    attach(model.reader.kind, (file) => take(file, 0), (message) => report(message, true));
  } else {
    at("text-input").hidden = false;
    at("source").disabled = false;
    at("source").addEventListener("input", () => take(at("source").value, PAUSE));
    at("source").focus();
    if (at("source").value) take(at("source").value, 0);  // what the browser kept
  }
  at("count").addEventListener("change", () => take(input, 0));
  report("Ready.");
  document.documentElement.dataset.ready = "true";
}

/** Titles: languages where the model has such. */
function name() {
  const { source, target } = model.languages;
  const shown = (code) => {
    try {
      return new Intl.DisplayNames(["en"], { type: "language", fallback: "none" }).of(code.replace("_", "-")) ?? code;
    } catch {
      return code;
    }
  };
  const kind = { image: "Describe a picture", sound: "Write down speech" }[model.reader.kind] ?? "Text to text";
  const title = model.kind === "translator" && source ? `${shown(source)} to ${shown(target)}` : kind;
  at("title").textContent = document.title = title;
  if (model.kind !== "translator" || !source) return;
  for (const id of ["source-label", "words-source-label"]) at(id).textContent = shown(source);
  for (const id of ["target-label", "words-target-label"]) at(id).textContent = shown(target);
}

/** Searches for what was entered, after a pause. A search for an older input is ended, and its result not shown. */
function take(entered, pause) {
  input = entered;
  running?.abort();
  running = new AbortController();
  clearTimeout(timer);
  at("best").classList.add("old");
  timer = setTimeout(search, pause, entered, running);
}

async function search(entered, mine) {
  const begun = performance.now();
  try {
    const found = await model.search(entered, { nBest: Number(at("count").value), signal: mine.signal });
    if (mine.signal.aborted) return;
    show(found, performance.now() - begun);
  } catch (error) {
    if (!mine.signal.aborted) report(error.message, true);
  }
}

function report(message, wrong = false) {
  at("status").textContent = message;
  at("status").classList.toggle("error", wrong);
}

function show({ outputs, attention, pieces, truncated }, time) {
  const [best] = outputs;
  at("best").textContent = best?.text ?? "";
  at("best").classList.remove("old");
  at("timing").textContent = best?.text ? `${Math.round(time)} ms` : "";
  report(truncated ? "The input was too long and has been cut." : "Ready.");
  at("alternatives").hidden = outputs.length < 2;
  at("list").replaceChildren(...outputs.map(({ text, score }, rank) => {
    const row = document.createElement("tr");
    for (const each of [rank + 1, score.toFixed(3), text]) row.insertCell().textContent = each;
    return row;
  }));
  const drawn = pieces.length > 0 && attention[0]?.length === pieces.length;
  at("attention").hidden = !drawn;
  if (drawn) drawAttention(best.tokens, pieces, attention);
  window.dispatchEvent(new CustomEvent("answered", { detail: { outputs, time } }));
}

start();

// The page: it asks the transport and shows what comes, as text and never as markup.

import { attentionTable } from "./attention.js";
import { describe, translate } from "./transport.js";

const PAUSE = 250; // milliseconds without a key pressed, after which the text is translated
const AUTO = "auto";
const part = (id) => document.getElementById(id);
let languages = [];
let timer = 0;
let running = null;

function option(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

function named(code) {
  const found = languages.find((language) => language.code === code);
  return found ? found.name : code;
}

function showTargets() {
  const source = part("source").value;
  const chosen = part("target").value;
  const given = languages.filter((language) => source === AUTO || language.code === source);
  const targets = [...new Set(given.flatMap((language) => language.targets))].sort();
  part("target").replaceChildren(...targets.map((code) => option(code, named(code))));
  if (targets.includes(chosen)) {
    part("target").value = chosen;
  }
  part("swap").disabled = source === AUTO || !languages.some(
    (language) => language.code === part("target").value && language.targets.includes(source),
  );
}

function say(text, error = false) {
  part("note").textContent = text;
  part("note").classList.toggle("error", error);
}

function show(result) {
  const [best, ...others] = result.outputs;
  part("output").textContent = best.text;
  part("copy").disabled = best.text === "";
  part("others").replaceChildren(
    ...others.map((other) => {
      const line = document.createElement("li");
      const score = document.createElement("span");
      score.textContent = ` ${other.score.toFixed(3)}`;
      line.append(other.text, score);
      return line;
    }),
  );
  part("others").hidden = others.length === 0;
  const cut = result.truncated ? ", the text was too long and was cut" : "";
  say(`${named(result.language)}, ${result.milliseconds.toFixed(0)} ms, score ${best.score.toFixed(3)}${cut}`);
  const maps = result.sentences.filter((sentence) => sentence.attention);
  part("attention").replaceChildren(...maps.map((sentence) => attentionTable(sentence.attention)));
}

async function update() {
  const text = part("text").value;
  running?.abort();
  if (text.trim() === "") {
    part("output").textContent = "";
    part("others").hidden = true;
    part("copy").disabled = true;
    say("");
    return;
  }
  const mine = new AbortController();
  running = mine;
  part("output").classList.add("waiting");
  try {
    const result = await translate({
      text,
      source: part("source").value,
      target: part("target").value,
      count: Number(part("count").value),
      attention: part("map").open,
      key: part("key").value,
      signal: mine.signal,
    });
    show(result);
  } catch (error) {
    if (error.name !== "AbortError") {
      say(error.message, true);
    }
  } finally {
    if (running === mine) {
      part("output").classList.remove("waiting");
    }
  }
}

function soon() {
  clearTimeout(timer);
  part("size").textContent = `${[...part("text").value].length} characters`;
  timer = setTimeout(update, PAUSE);
}

function swap() {
  const [source, target, text] = [part("source").value, part("target").value, part("output").textContent];
  part("source").value = target;
  showTargets();
  part("target").value = source;
  part("text").value = text;
  update();
}

async function begin() {
  const about = await describe();
  languages = about.languages;
  const sources = languages.filter((language) => language.targets.length > 0);
  part("models").textContent = `Served: ${about.models.join(", ")}`;
  if (sources.length === 0) {
    say("None of the models translates; POST /v1/predict asks the others.");
    return;
  }
  const automatic = sources.length > 1 ? [option(AUTO, "any of these")] : [];
  part("source").replaceChildren(...automatic, ...sources.map((language) => option(language.code, language.name)));
  const counts = [1, 2, 3, 5, 10].filter((count) => count <= about.most);
  part("count").replaceChildren(...counts.map((count) => option(String(count), String(count))));
  part("text").maxLength = about.characters;
  part("text").value = new URLSearchParams(location.hash.slice(1)).get("q") ?? part("text").value; // a link to a text
  part("key-field").hidden = !about.keyRequired;
  part("map").hidden = false;
  showTargets();
  part("source").addEventListener("change", () => {
    showTargets();
    update();
  });
  for (const id of ["target", "count", "key"]) {
    part(id).addEventListener("change", update);
  }
  part("target").addEventListener("change", showTargets);
  part("text").addEventListener("input", soon);
  part("map").addEventListener("toggle", update);
  part("swap").addEventListener("click", swap);
  part("copy").addEventListener("click", () => navigator.clipboard.writeText(part("output").textContent));
  part("form").addEventListener("submit", (event) => event.preventDefault());
  soon();
}

begin().catch((error) => say(error.message, true));

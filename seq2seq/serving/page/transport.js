// Where the page's answers come from: this server. Another file with the same two functions can take its place,
// such as one that translates in the browser.

async function asked(path, options) {
  const answer = await fetch(path, options);
  const content = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (!answer.ok) {
    throw new Error(content.error || `status ${answer.status}`);
  }
  return content;
}

// -> { languages: [{ code, name, targets }], keyRequired, characters, most, models: [name] }
export async function describe() {
  const [languages, about] = await Promise.all([asked("languages"), asked("v1/models")]);
  return {
    languages,
    keyRequired: about.keyRequired,
    characters: about.limits.characters,
    most: about.limits.n_best,
    models: about.models.map((model) => `${model.name} (${model.kind})`),
  };
}

// text, source ("auto" or a code), target, count of outputs, key -> { outputs: [{ text, score }], language, truncated,
// milliseconds, sentences: [{ attention: { source, target, weights } }] }
export async function translate({ text, source, target, count, attention, key, signal }) {
  const body = { q: text, source, target, n_best: count, attention };
  if (key) {
    body.api_key = key;
  }
  const content = await asked("v1/translate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const found = content.translation;
  return {
    outputs: found.n_best,
    language: found.source,
    truncated: found.truncated,
    milliseconds: 1000 * content.seconds,
    sentences: found.sentences,
  };
}

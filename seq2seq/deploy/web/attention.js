// Which parts of the input the model looked at for each word of the output.

const END = "</s>", SPACE = "\u2581", MOST = 40;  // MOST: rows and columns of the table
const at = (id) => document.getElementById(id);

/** Pieces -> words: [{text, places}]. A piece that begins with a space begins a word, where any piece does. */
export function words(pieces) {
  const spaced = pieces.some((each) => each.startsWith(SPACE));
  const found = [];
  pieces.forEach((piece, place) => {
    if (piece === END) return;
    if (!found.length || !spaced || piece.startsWith(SPACE)) found.push({ text: "", bytes: [], places: [] });
    const word = found.at(-1);
    word.places.push(place);
    word.text += shown(piece, word.bytes);
  });
  return found.filter((each) => each.text.trim() !== "" || !spaced);
}

/** A piece as text; bytes of a character are kept until it is complete. */
function shown(piece, bytes) {
  const byte = /^<0x([0-9A-F]{2})>$/.exec(piece);
  if (!byte) return piece.replace(/^\u2581+/, "").replaceAll(SPACE, " ");
  bytes.push(parseInt(byte[1], 16));
  const text = new TextDecoder().decode(new Uint8Array(bytes));
  if (text.includes("\ufffd")) return "";
  bytes.length = 0;
  return text;
}

/** [T][S] of pieces -> [words][words]: the mean over an output word's pieces, the sum over an input word's. */
export function ofWords(attention, targets, sources) {
  return targets.map((target) => sources.map((source) => {
    let sum = 0;
    for (const row of target.places) for (const place of source.places) sum += attention[row][place];
    return sum / target.places.length;
  }));
}

/** Shows words of the output as buttons that mark the input's words, and the table. */
export function drawAttention(tokens, pieces, attention) {
  const targets = words(tokens), sources = words(pieces);
  const weights = ofWords(attention, targets, sources);
  const marks = sources.map(({ text }) => Object.assign(document.createElement("span"), { textContent: text }));
  const buttons = targets.map(({ text }, number) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.tabIndex = number ? -1 : 0;  // one stop for Tab; arrows move inside
    for (const event of ["pointerenter", "focus", "click"]) button.addEventListener(event, () => choose(number));
    return button;
  });

  function choose(number) {
    buttons.forEach((each, other) => {
      each.classList.toggle("chosen", other === number);
      each.tabIndex = other === number ? 0 : -1;
    });
    marks.forEach((mark, place) => mark.style.setProperty("--weight", weights[number][place].toFixed(3)));
    const seen = weights[number].map((weight, place) => [weight, place]).sort((a, b) => b[0] - a[0]);
    const said = seen.slice(0, 3).filter(([weight]) => weight >= 0.05);
    const parts = said.map(([weight, place]) => `${sources[place].text} ${Math.round(100 * weight)} %`);
    at("attention-text").textContent = `${targets[number].text}: ${parts.join(", ")}`;
  }

  at("target-words").replaceChildren(...buttons);
  at("target-words").onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  at("source-words").replaceChildren(...marks);
  drawTable(targets.slice(0, MOST), sources.slice(0, MOST), weights);
}

function drawTable(targets, sources, weights) {
  const table = at("matrix");
  table.querySelectorAll("thead, tbody").forEach((each) => each.remove());
  const head = table.createTHead().insertRow();
  head.append(document.createElement("td"));
  const heading = (text, scope) => Object.assign(document.createElement("th"), { textContent: text, scope });
  for (const { text } of sources) head.append(heading(text, "col"));
  const body = table.createTBody();
  targets.forEach(({ text }, row) => {
    const line = body.insertRow();
    line.append(heading(text, "row"));
    sources.forEach((_, column) => {
      const cell = line.insertCell(), percent = Math.round(100 * weights[row][column]);
      cell.textContent = percent || "";
      cell.style.setProperty("--weight", weights[row][column].toFixed(3));
    });
  });
}

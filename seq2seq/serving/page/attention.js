// An attention map as a table: a row per piece of the output, a square per piece of the input.

const SVG = "http://www.w3.org/2000/svg";

function cell(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function square(weight, label) {
  const made = document.createElement("td");
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 1 1");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", label);
  const rectangle = document.createElementNS(SVG, "rect");
  rectangle.setAttribute("width", "1");
  rectangle.setAttribute("height", "1");
  rectangle.setAttribute("fill-opacity", weight.toFixed(3));
  picture.append(rectangle);
  made.append(picture);
  return made;
}

export function attentionTable({ source, target, weights }) {
  const table = document.createElement("table");
  const head = table.insertRow();
  head.append(cell("th", ""), ...source.map((piece) => cell("th", piece.replace("▁", " "))));
  weights.forEach((row, place) => {
    const line = table.insertRow();
    line.append(cell("th", target[place].replace("▁", " ")));
    row.forEach((weight, column) => line.append(square(weight, `${source[column]} ${Math.round(100 * weight)} %`)));
  });
  return table;
}

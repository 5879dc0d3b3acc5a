// What a model reads other than subwords: characters, pictures, sound; and whether a text has its tag. The counterpart of
// inputs.py.

import { decodeSound, logMel } from "./sound.js";
import { FIRST_CHARACTER, UNKNOWN } from "./search.js";

/** Throws where a text that is not blank begins with none of the tags, where there are any. */
export function checkTag(text, needed) {
  if (!needed.length || !text.trim() || needed.includes(text.trimStart().split(" ")[0])) return;
  throw new Error(`The text begins with none of the tags that this model reads, ${needed.join(", ")}`);
}

/** An input as {data, dims, pieces}; dims without the batch, pieces: what its steps are called. */
export async function read(input, reader, shape) {
  if (reader.kind === "characters") return readCharacters(input, reader.symbols);
  if (reader.kind === "image") return readPicture(input, shape[1], shape[2]);
  if (reader.kind === "sound") return readSound(input, reader);
  throw new Error(`this page does not read inputs of the kind ${reader.kind}`);
}

function readCharacters(text, symbols) {
  const plain = symbols.includes("\\") ? text : text.replaceAll("\\n", "\n");
  const known = [...symbols], characters = [...plain];
  const ids = characters.map((each) => (known.includes(each) ? known.indexOf(each) + FIRST_CHARACTER : UNKNOWN));
  return { data: BigInt64Array.from(ids, BigInt), dims: [ids.length], pieces: characters };
}

/** [3, height, width], 0 to 1. Browsers shrink with other filters than Pillow's bicubic one, and some convert colours:
 * values differ a little from those of inputs.py, and now and then a caption does. */
async function readPicture(file, height, width) {
  const bitmap = await createImageBitmap(file, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillRect(0, 0, width, height);  // black behind what is transparent
  context.drawImage(bitmap, 0, 0);
  const { data: pixels } = context.getImageData(0, 0, width, height);
  return { data: planes(pixels, height * width), dims: [3, height, width], pieces: [] };
}

/** RGBA bytes -> three planes of values from 0 to 1. */
export function planes(pixels, size) {
  const data = new Float32Array(3 * size);
  for (let place = 0; place < size; place++) {
    for (let colour = 0; colour < 3; colour++) data[colour * size + place] = pixels[4 * place + colour] / 255;
  }
  return data;
}

async function readSound(file, reader) {
  const samples = await decodeSound(file, reader.rate);
  const { data, frames } = logMel(samples, reader);
  return { data, dims: [frames, reader.bands], pieces: times(frames, reader.step_seconds) };
}

/** Names of frames: the time of the first of each tenth of a second, or of a longer stretch, so that there are few. */
export function times(frames, stepSeconds) {
  const tenths = Math.max(1, Math.ceil((frames * stepSeconds) / 2)), seen = new Set();
  return Array.from({ length: frames }, (_, frame) => {
    const stretch = Math.floor((frame * stepSeconds * 10 + 1e-6) / tenths);
    if (seen.has(stretch)) return "";
    seen.add(stretch);
    return `\u2581${((stretch * tenths) / 10).toFixed(1)} s`;
  });
}

/** Names for the steps that the model attends to, where an encoder has joined several steps of the input to one. */
export function joined(pieces, steps) {
  if (!steps || pieces.length <= steps) return pieces;
  const size = Math.ceil(pieces.length / steps);
  return Array.from({ length: steps }, (_, step) => pieces.slice(step * size, (step + 1) * size).join(""));
}

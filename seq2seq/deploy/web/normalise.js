// SentencePiece's rules for characters: the longest match in a table that the model file holds.

const SPACE = "\u2581";
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A double-array trie of byte strings, and the text that each is replaced by. */
class CharacterMap {
  constructor(blob) {
    const size = new DataView(blob.buffer, blob.byteOffset, 4).getUint32(0, true);
    const start = blob.byteOffset + 4;
    this.units = new Uint32Array(blob.buffer.slice(start, start + size));
    this.texts = blob.subarray(4 + size);
  }

  /** The longest match at a place: [its replacement, its number of bytes]; null where there is none. */
  match(bytes, from) {
    const { units } = this;
    const offset = (unit) => (unit >>> 10) << ((unit & 512) >>> 6);
    let node = offset(units[0]), value = -1, end = from;
    for (let place = from; place < bytes.length; place++) {
      node ^= bytes[place];
      const unit = units[node];
      if ((unit & 0x800000ff) !== bytes[place]) break;  // a leaf, or another label
      node ^= offset(unit);
      if (unit & 256) [value, end] = [units[node] & 0x7fffffff, place + 1];
    }
    if (value < 0) return null;
    return [decoder.decode(this.texts.subarray(value, this.texts.indexOf(0, value))), end - from];
  }
}

/** The normaliser of a model: text -> text, in which spaces are U+2581. */
export function normaliser(model, userDefined) {
  const map = model.charsmap.length ? new CharacterMap(model.charsmap) : null;

  function* parts(text) {
    const bytes = encoder.encode(text);
    for (let place = 0; place < bytes.length;) {
      const own = userDefined.length && matchOwn(bytes, place);
      const length = bytes[place] < 128 ? 1 : bytes[place] < 224 ? 2 : bytes[place] < 240 ? 3 : 4;
      const [part, count] = own || map?.match(bytes, place)
        || [decoder.decode(bytes.subarray(place, place + length)), length];
      yield part;
      place += count;
    }
  }

  function matchOwn(bytes, place) {
    const rest = decoder.decode(bytes.subarray(place, place + 256));
    const own = userDefined.find((each) => rest.startsWith(each));  // the longest stands first
    return own ? [own, encoder.encode(own).length] : null;
  }

  return (text) => {
    let found = "", afterSpace = model.fewSpaces, begun = false;
    const space = model.escapeSpaces ? SPACE : " ";
    for (let part of parts(text)) {
      if (!begun && model.fewSpaces && part === " ") continue;
      if (!begun && model.dummyPrefix && !model.spaceAsSuffix) found = space;
      begun = true;
      if (afterSpace) part = part.replace(/^ +/, "");
      if (part) {
        found += part.replaceAll(" ", space);
        afterSpace = model.fewSpaces && part.endsWith(" ");
      }
    }
    if (!begun) return "";
    if (model.fewSpaces) while (found.endsWith(space)) found = found.slice(0, -space.length);
    return model.dummyPrefix && model.spaceAsSuffix ? found + space : found;
  };
}

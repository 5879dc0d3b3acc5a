// Reads a SentencePiece model: a protobuf file of pieces and of the settings that cut text into them.

export const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6;
export const UNIGRAM = 1, BPE = 2, WORD = 3, CHAR = 4;

/** The fields of a protobuf message: [number, value]; bytes stay bytes, floats are given as views. */
function* fields(bytes) {
  let place = 0;
  const whole = () => {
    let value = 0, factor = 1;
    for (;;) {
      const byte = bytes[place++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  const take = (count) => bytes.subarray(place, (place += count));
  while (place < bytes.length) {
    const key = whole(), number = Math.floor(key / 8);
    switch (key % 8) {
      case 0: yield [number, whole()]; break;
      case 1: yield [number, take(8)]; break;
      case 2: yield [number, take(whole())]; break;
      case 5: yield [number, take(4)]; break;
      default: throw new Error("not a SentencePiece model");
    }
  }
}

const text = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

function readPiece(bytes) {
  const found = { piece: "", score: 0, type: NORMAL };
  for (const [number, value] of fields(bytes)) {
    if (number === 1) found.piece = text(value);
    if (number === 2) found.score = new DataView(value.buffer, value.byteOffset, 4).getFloat32(0, true);
    if (number === 3) found.type = value;
  }
  return found;
}

/** bytes: Uint8Array of a `.spm.model` file. */
export function readModel(bytes) {
  const model = {
    pieces: [], kind: UNIGRAM, byteFallback: false, spaceAsSuffix: false, unknown: " \u2047 ",
    charsmap: new Uint8Array(), dummyPrefix: true, fewSpaces: true, escapeSpaces: true,
  };
  for (const [part, value] of fields(bytes)) {
    if (part === 1) model.pieces.push(readPiece(value));
    if (part === 2) for (const [number, setting] of fields(value)) {
      if (number === 3) model.kind = setting;
      if (number === 24) model.spaceAsSuffix = setting !== 0;
      if (number === 35) model.byteFallback = setting !== 0;
      if (number === 44) model.unknown = text(setting);
    }
    if (part === 3) for (const [number, setting] of fields(value)) {
      if (number === 2) model.charsmap = setting;
      if (number === 3) model.dummyPrefix = setting !== 0;
      if (number === 4) model.fewSpaces = setting !== 0;
      if (number === 5) model.escapeSpaces = setting !== 0;
    }
  }
  return model;
}

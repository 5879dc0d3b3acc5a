// Sound to log energies of mel bands: the counterpart of log_mel in inputs.py.

/** A WAV header that gives so many bytes or more was written before the length was known. */
const UNKNOWN_LENGTH = 0x7fff0000;

/** A file's samples at `rate`, -1 to 1, one channel. */
export async function decodeSound(file, rate) {
  const bytes = await file.arrayBuffer();
  const exact = plainWav(bytes, rate);
  if (exact) return exact;
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);  // resampled by the browser
  const samples = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
    decoded.getChannelData(channel).forEach((value, place) => {
      samples[place] += value / decoded.numberOfChannels;
    });
  }
  return samples;
}

/** Samples of a WAV file of 16 bits, one channel and the wanted rate, exactly as inputs.py reads them; null otherwise. */
export function plainWav(bytes, rate) {
  const view = new DataView(bytes);
  const name = (place) => String.fromCharCode(...new Uint8Array(bytes, place, 4));
  if (bytes.byteLength < 44 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let fits = false;
  for (let place = 12; place + 8 <= bytes.byteLength;) {
    const [kind, size, start] = [name(place), view.getUint32(place + 4, true), place + 8];
    if (kind === "fmt ") {
      const [format, channels, bits] = [start, start + 2, start + 14].map((each) => view.getUint16(each, true));
      fits = format === 1 && channels === 1 && bits === 16 && view.getUint32(start + 4, true) === rate;
    }
    if (kind === "data") {
      const there = bytes.byteLength - start, known = size < UNKNOWN_LENGTH;
      if (known && there < size) throw new Error("the recording is cut off; replace it");
      const count = Math.floor(Math.min(size, there) / 2);
      return fits ? Float32Array.from({ length: count }, (_, n) => view.getInt16(start + 2 * n, true) / 32768) : null;
    }
    place = start + size + (size % 2);
  }
  return null;
}

/** Samples -> {data: [frames * bands], frames}, each frame centred on its time. */
export function logMel(samples, { rate, bands, window_seconds: windowSeconds, step_seconds: stepSeconds }) {
  const size = rounded(rate * windowSeconds), step = rounded(rate * stepSeconds), half = Math.floor(size / 2);
  if (samples.length <= half) throw new Error(`the recording is too short; a frame alone has ${size} samples`);
  const frames = 1 + Math.floor(samples.length / step);
  const window = Float32Array.from({ length: size }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size));
  const filters = melFilters(half + 1, rate, bands), transform = realTransform(size);
  const data = new Float32Array(frames * bands), frame = new Float64Array(size);
  for (let number = 0; number < frames; number++) {
    for (let n = 0; n < size; n++) {
      frame[n] = Math.fround(samples[reflected(number * step + n - half, samples.length)] * window[n]);
    }
    const energies = transform(frame);
    filters.forEach((filter, band) => {
      let sum = 0;
      for (const [bin, weight] of filter) sum += energies[bin] * weight;
      data[number * bands + band] = Math.log(sum + 1e-6);
    });
  }
  return { data, frames };
}

/** As Python rounds: halves to even. */
function rounded(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/** A place beyond either end, mirrored. */
function reflected(place, length) {
  const period = 2 * (length - 1), inside = ((place % period) + period) % period;
  return inside < length ? inside : period - inside;
}

/** The weights that are not 0 of each triangular band: [bin, weight]. */
function melFilters(count, rate, bands) {
  const highest = 2595 * Math.log10(1 + rate / 2 / 700);
  const edge = (n) => 700 * (10 ** ((highest * n) / (bands + 1) / 2595) - 1);
  const filters = [];
  for (let band = 0; band < bands; band++) {
    const [low, middle, high] = [edge(band), edge(band + 1), edge(band + 2)];
    const filter = [];
    for (let bin = 0; bin < count; bin++) {
      const frequency = ((rate / 2) * bin) / (count - 1);
      const weight = Math.min((frequency - low) / (middle - low), (high - frequency) / (high - middle));
      if (weight > 0) filter.push([bin, weight]);
    }
    filters.push(filter);
  }
  return filters;
}

/** A function that gives |DFT|² of `size` real values, bins 0 to size / 2. Sizes are those of windows, some hundred
 * samples; factors of 2 are split off, the rest is summed directly. */
function realTransform(size) {
  const cos = Float64Array.from({ length: size }, (_, n) => Math.cos((2 * Math.PI * n) / size));
  const sin = Float64Array.from({ length: size }, (_, n) => Math.sin((2 * Math.PI * n) / size));

  /** DFT of every stride-th value from an offset: [real, imaginary]. */
  function dft(values, offset, stride) {
    const count = size / stride;
    const real = new Float64Array(count), imaginary = new Float64Array(count);
    if (count % 2 === 0) {
      const [evenReal, evenImaginary] = dft(values, offset, 2 * stride);
      const [oddReal, oddImaginary] = dft(values, offset + stride, 2 * stride);
      for (let k = 0; k < count / 2; k++) {
        const [c, s] = [cos[k * stride], sin[k * stride]];
        const a = c * oddReal[k] + s * oddImaginary[k], b = c * oddImaginary[k] - s * oddReal[k];
        [real[k], imaginary[k]] = [evenReal[k] + a, evenImaginary[k] + b];
        [real[k + count / 2], imaginary[k + count / 2]] = [evenReal[k] - a, evenImaginary[k] - b];
      }
      return [real, imaginary];
    }
    for (let k = 0; k < count; k++) {
      for (let n = 0; n < count; n++) {
        const turn = ((k * n) % count) * stride;
        real[k] += values[offset + n * stride] * cos[turn];
        imaginary[k] -= values[offset + n * stride] * sin[turn];
      }
    }
    return [real, imaginary];
  }

  return (values) => {
    const [real, imaginary] = dft(values, 0, 1);
    return Float64Array.from({ length: Math.floor(size / 2) + 1 }, (_, k) => real[k] ** 2 + imaginary[k] ** 2);
  };
}

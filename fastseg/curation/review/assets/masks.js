// Masks as they come with an image: lengths of runs as text (pictures.py writes them), drawn as outlines.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DIGIT_OF = new Map([...DIGITS].map((letter, value) => [letter, value]));

/** One byte a pixel, 1 in the foreground, row after row. */
function decodeMask(text, width, height) {
  const pixels = new Uint8Array(width * height);
  let at = 0, value = 0, length = 0, shift = 0;
  for (const letter of text) {
    const digit = DIGIT_OF.get(letter);
    length |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    if (value) pixels.fill(1, at, at + length);
    at += length;
    value ^= 1;
    length = shift = 0;
  }
  return pixels;
}

/** The borders of a mask along the edges of pixels, in pixels from the upper left corner. */
function outlineOf(pixels, width, height) {
  const stride = width + 2, path = new Path2D();
  const padded = new Uint8Array(stride * (height + 2)); // a frame of background: no pixel lacks a neighbour
  for (let row = 0; row < height; row++) padded.set(pixels.subarray(row * width, (row + 1) * width), (row + 1) * stride + 1);
  // Between each row (column) and the one before it; neighbouring edges are one line.
  for (let row = 0; row <= height; row++) {
    const above = row * stride + 1, below = above + stride;
    for (let column = 0; column < width; column++) {
      if (padded[above + column] === padded[below + column]) continue;
      const from = column;
      while (++column < width && padded[above + column] !== padded[below + column]);
      path.moveTo(from, row);
      path.lineTo(column, row);
    }
  }
  for (let column = 0; column <= width; column++) {
    for (let row = 0, at = stride + column; row < height; row++, at += stride) {
      if (padded[at] === padded[at + 1]) continue;
      const from = row;
      do { row++; at += stride; } while (row < height && padded[at] !== padded[at + 1]);
      path.moveTo(column, from);
      path.lineTo(column, row);
    }
  }
  return path;
}

// Colours that remain apart for colour-blind eyes (after Okabe and Ito), on grey pictures and a dark page.

const COLOURS = {
  outlines: ["#ffb000", "#56b4e9"], // first segmentation, second segmentation
  excluding: "#e98bc4",
  merging: "#3ddba6",
};

/** A pattern of slanted lines for the inside of polygons, the same size at any zoom. */
function hatch(context, colour, slope) {
  const size = 9, tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.75;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, slope > 0 ? size : 0);
    pen.lineTo(shift + size, slope > 0 ? 0 : size);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

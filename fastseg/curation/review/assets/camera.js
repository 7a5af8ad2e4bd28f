// Which part of an image is seen: one camera for all panels, so that they show the same place.

const MOST_ZOOM = 64;

class Camera {
  constructor() { this.fit(); }

  /** The whole image. */
  fit() {
    this.zoom = 1;
    this.centre = null; // of the image
  }

  /** Pixels of the screen a pixel of the image, and where the image's corner lies, for a panel of this size. */
  placement(panelWidth, panelHeight, width, height) {
    const scale = Math.min(panelWidth / width, panelHeight / height) * this.zoom;
    const [x, y] = this.centre ?? [width / 2, height / 2];
    return { scale, left: panelWidth / 2 - x * scale, top: panelHeight / 2 - y * scale };
  }

  /** Zoom by a factor, keeping the point of the image that lies at [u, v] in place on the screen. */
  zoomAt(factor, [u, v], width, height) {
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    const [x, y] = this.centre ?? [width / 2, height / 2];
    const share = this.zoom / zoom;
    this.zoom = zoom;
    this.moveTo([u + (x - u) * share, v + (y - v) * share], width, height);
  }

  /** Move by a number of pixels of the image. */
  moveBy([dx, dy], width, height) {
    const [x, y] = this.centre ?? [width / 2, height / 2];
    this.moveTo([x + dx, y + dy], width, height);
  }

  moveTo([x, y], width, height) {
    if (this.zoom === 1) { this.centre = null; return; }
    this.centre = [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
  }
}

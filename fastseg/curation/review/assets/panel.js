// One panel: a view of the image in three layers (picture, outlines and polygons, the polygon being drawn).

const LAYERS = ["picture", "marks", "pen"];

class Panel {
  /** @param app the page; @param bare whether the panel shows the picture alone */
  constructor(app, bare) {
    this.app = app;
    this.bare = bare;
    this.view = null;
    this.element = document.createElement("figure");
    this.element.className = "panel";
    this.caption = document.createElement("figcaption");
    this.stage = document.createElement("div");
    this.stage.className = "stage";
    this.layers = Object.fromEntries(LAYERS.map((name) => {
      const canvas = document.createElement("canvas");
      canvas.className = `layer ${name}`;
      return [name, canvas];
    }));
    this.marker = document.createElement("div");
    this.marker.className = "marker";
    this.marker.hidden = true;
    this.stage.append(...Object.values(this.layers), this.marker);
    this.element.append(this.caption, this.stage);
  }

  /** Show a view of the image that the page shows now. */
  show(view, caption) {
    this.view = view;
    this.caption.textContent = caption;
    this.element.dataset.view = view?.name ?? "";
  }

  /** Take the size that the layout gives; a canvas that changes its size is emptied. */
  resize() {
    ({ width: this.width, height: this.height } = this.stage.getBoundingClientRect());
    this.density = window.devicePixelRatio || 1;
    for (const canvas of Object.values(this.layers)) {
      canvas.width = Math.max(1, Math.round(this.width * this.density));
      canvas.height = Math.max(1, Math.round(this.height * this.density));
    }
  }

  get placement() {
    const { width, height } = this.app.image;
    return this.app.camera.placement(this.width, this.height, width, height);
  }

  /** Voxel coordinates [x, y] of a point of the stage; pixel centres lie at whole numbers. */
  toVoxel([left, top]) {
    const p = this.placement, step = this.app.image.reduction;
    return [((left - p.left) / p.scale) * step - 0.5, ((top - p.top) / p.scale) * step - 0.5];
  }

  /** The point of the stage where voxel coordinates lie. */
  toStage([x, y]) {
    const p = this.placement, step = this.app.image.reduction;
    return [((x + 0.5) / step) * p.scale + p.left, ((y + 0.5) / step) * p.scale + p.top];
  }

  /** An emptied layer's context whose units are pixels of the page. */
  clear(layer) {
    const context = this.layers[layer].getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.layers[layer].width, this.layers[layer].height);
    context.setTransform(this.density, 0, 0, this.density, 0, 0);
    return context;
  }

  draw() {
    this.drawPicture();
    this.drawMarks();
    this.drawPen();
  }

  drawPicture() {
    const context = this.clear("picture"), { app, view } = this;
    if (!app.image || !view) return;
    const { scale, left, top } = this.placement, { width, height, picture } = app.image;
    context.imageSmoothingEnabled = scale * this.density < 2; // magnified voxels stay squares, as the data are
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, view.left, view.top, width, height, left, top, width * scale, height * scale);
  }

  drawMarks() {
    const context = this.clear("marks"), { app, view } = this;
    if (!app.image || !view || this.bare || app.hidden) return;
    if (app.shown.outlines) this.drawOutlines(context);
    app.polygons.forEach((polygon, i) => this.drawPolygon(context, polygon, i));
  }

  drawOutlines(context) {
    const { app, view } = this, { scale, left, top } = this.placement;
    const width = Math.min(1.5, Math.max(0.9, scale)); // thinner where voxels are small
    const stroke = (number, factor) => {
      context.save();
      context.translate(left, top);
      context.scale(scale, scale);
      context.lineCap = "square";
      context.lineWidth = (width * factor) / scale;
      context.strokeStyle = COLOURS.outlines[number];
      context.stroke(view.outlines[number]);
      context.restore();
    };
    const merging = app.polygons.filter((p) => p.role === "merging" && onPlane(p, view.plane));
    if (app.shown.result && view.outlines.length > 1) {
      context.save();
      for (const polygon of merging) context.clip(this.outsideOf(polygon), "evenodd");
      stroke(0, 1);
      context.restore();
      for (const polygon of merging) {
        context.save();
        context.clip(this.pathOf(polygon), "evenodd");
        stroke(1, 1);
        context.restore();
      }
      return;
    }
    // Where both run together, the second shows within the first.
    const both = app.shown.which === "both" && view.outlines.length > 1;
    if (app.shown.which !== "second") stroke(0, both ? 2 : 1);
    if (view.outlines.length > 1 && app.shown.which !== "first") stroke(1, both ? 0.8 : 1);
  }

  pathOf(polygon) {
    const path = new Path2D();
    for (const ring of [polygon.points, ...polygon.holes]) {
      ring.map((p) => this.toStage(p)).forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
    }
    return path;
  }

  outsideOf(polygon) {
    const path = new Path2D();
    path.rect(-1e5, -1e5, 2e5, 2e5);
    path.addPath(this.pathOf(polygon));
    return path;
  }

  drawPolygon(context, polygon, number) {
    const { app, view } = this, here = onPlane(polygon, view.plane);
    const path = this.pathOf(polygon), colour = COLOURS[polygon.role];
    const selected = app.selected === number;
    if (here) {
      context.fillStyle = hatch(context, colour, polygon.role === "merging" ? 1 : -1);
      context.fill(path, "evenodd");
    }
    context.strokeStyle = colour;
    context.lineWidth = selected ? 2.5 : 1.5;
    context.setLineDash(here ? [] : [4, 4]);
    context.stroke(path);
    context.setLineDash([]);
    if (selected) for (const point of polygon.points) this.drawCorner(context, point, colour);
    else if (here) this.drawNumber(context, polygon, number, colour);
  }

  drawCorner(context, point, colour) {
    const [x, y] = this.toStage(point);
    context.fillStyle = "#111318";
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(x, y, 4, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }

  drawNumber(context, polygon, number, colour) {
    const [x, y] = this.toStage(polygon.points[0]);
    const text = `${polygon.role === "merging" ? "M" : "E"}${number + 1}`;
    context.font = "600 11px system-ui, sans-serif";
    const width = context.measureText(text).width + 8;
    context.fillStyle = "#111318cc";
    context.fillRect(x - width / 2, y - 16, width, 15);
    context.fillStyle = colour;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, x, y - 8);
  }

  drawPen() {
    const context = this.clear("pen"), { app } = this, { pen } = app;
    if (!app.image || !pen.role || pen.points.length === 0 || this.bare) return;
    const colour = COLOURS[pen.role];
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    pen.points.map((p) => this.toStage(p)).forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
    if (pen.cursor) {
      context.setLineDash([5, 4]);
      context.lineWidth = 1.25;
      context.beginPath();
      context.moveTo(...this.toStage(pen.points.at(-1)));
      context.lineTo(...this.toStage(pen.cursor));
      if (pen.points.length > 1) context.lineTo(...this.toStage(pen.points[0]));
      context.stroke();
      context.setLineDash([]);
    }
    for (const point of pen.points) this.drawCorner(context, point, colour);
  }

  /** Mark the place in the image that the pointer is at in another panel. */
  mark(voxel) {
    const visible = voxel && this.app.image && this.view;
    this.marker.hidden = !visible;
    if (visible) {
      const [x, y] = this.toStage(voxel);
      this.marker.style.transform = `translate(${x}px, ${y}px)`;
    }
  }
}

// Drawing polygons by mouse: click for a corner, right click to close, drag to move the image.

const DRAG_FROM = 4; // pixels of the screen that a click may slip
const NEAR = 8; // pixels of the screen within which a corner is meant

class Pen {
  constructor(app) {
    this.app = app;
    this.role = null;
    this.drop();
  }

  /** Begin to draw polygons of a role; the same role again, or null, ends it. */
  choose(role) {
    this.role = role === this.role ? null : role;
    this.drop();
    this.app.selected = null;
    this.app.refreshTools();
  }

  /** Forget the unfinished polygon. */
  drop() {
    this.points = [];
    this.cursor = null;
  }

  addCorner(point) {
    this.points.push(point);
    this.app.drawPens();
  }

  removeCorner() {
    this.points.pop();
    this.app.drawPens();
  }

  close() {
    if (!this.role) return;
    if (this.points.length < 3) {
      this.app.say("A polygon needs at least 3 corners.");
      return;
    }
    const polygon = { role: this.role, points: this.points, holes: [], planes: null };
    this.drop();
    this.app.addPolygon(polygon);
  }

  /** Let the mouse draw, select, drag and zoom in a panel. */
  attach(panel) {
    const { stage } = panel, { app } = this;
    let press = null;
    const at = (event) => {
      const box = stage.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    stage.addEventListener("contextmenu", (event) => { event.preventDefault(); this.close(); });
    stage.addEventListener("auxclick", (event) => event.preventDefault());
    stage.addEventListener("pointerdown", (event) => {
      if (!app.image || event.button === 2) return;
      event.preventDefault();
      stage.setPointerCapture(event.pointerId);
      const point = at(event);
      press = { point, last: point, moved: false, button: event.button, corner: this.cornerNear(panel, point) };
    });
    stage.addEventListener("pointermove", (event) => {
      if (!app.image) return;
      const point = at(event), voxel = app.clamp(panel.toVoxel(point));
      app.pointAt(voxel, panel);
      if (press) this.drag(panel, press, point, voxel);
      else if (this.role && this.points.length) { this.cursor = voxel; app.drawPens(); }
    });
    stage.addEventListener("pointerup", (event) => {
      const ended = press;
      press = null;
      if (!ended) return;
      if (ended.before) app.finishCorner(ended.before);
      else if (!ended.moved && ended.button === 0) this.click(panel, at(event));
    });
    stage.addEventListener("pointercancel", () => { press = null; });
    stage.addEventListener("pointerleave", () => { app.pointAt(null, panel); if (this.cursor) { this.cursor = null; app.drawPens(); } });
    stage.addEventListener("dblclick", () => { if (!this.role && !panel.main && panel.view) app.chooseView(panel.view.name); });
    stage.addEventListener("wheel", (event) => {
      if (!app.image) return;
      event.preventDefault();
      const notch = event.deltaMode ? event.deltaY * 30 : event.deltaY;
      const { scale, left, top } = panel.placement, [x, y] = at(event);
      app.zoom(Math.exp(-notch / 400), [(x - left) / scale, (y - top) / scale]);
    }, { passive: false });
  }

  drag(panel, press, point, voxel) {
    const [dx, dy] = [point[0] - press.point[0], point[1] - press.point[1]];
    if (!press.moved && Math.hypot(dx, dy) < DRAG_FROM) return;
    press.moved = true;
    if (press.corner !== null && press.button === 0) {
      press.before ??= this.app.state.polygons;
      this.app.moveCorner(press.corner, voxel);
      return;
    }
    const { scale } = panel.placement;
    this.app.pan([(press.last[0] - point[0]) / scale, (press.last[1] - point[1]) / scale]);
    press.last = point;
  }

  click(panel, point) {
    const { app } = this, voxel = app.clamp(panel.toVoxel(point));
    if (!this.role) {
      app.select(this.polygonAt(panel, voxel));
      return;
    }
    const { points } = this, enough = points.length >= 3;
    if (enough && this.distance(panel, points[0], point) <= NEAR) this.close();
    else if (points.length && this.distance(panel, points.at(-1), point) < DRAG_FROM) { if (enough) this.close(); } // a double click
    else this.addCorner(voxel);
  }

  /** The uppermost polygon at a place, or null. */
  polygonAt(panel, voxel) {
    const { polygons } = this.app;
    for (let i = polygons.length - 1; i >= 0; i--) {
      if (inside(polygons[i], voxel)) return i;
    }
    return null;
  }

  /** The corner of the selected polygon under the pointer, or null. */
  cornerNear(panel, point) {
    const polygon = this.role ? null : this.app.polygons[this.app.selected];
    if (!polygon || panel.bare) return null;
    const found = polygon.points.findIndex((corner) => this.distance(panel, corner, point) <= NEAR);
    return found < 0 ? null : found;
  }

  /** Pixels of the screen between a corner and a point of a panel. */
  distance(panel, corner, [left, top]) {
    const [x, y] = panel.toStage(corner);
    return Math.hypot(x - left, y - top);
  }
}

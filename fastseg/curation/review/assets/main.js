// The page: what is shown now, and what the person's actions do.

const VIEW_NAMES = ["max", "middle", "below", "above"];
const byId = (id) => document.getElementById(id);

class App {
  constructor(page) {
    this.session = new Session(page);
    this.loader = new Loader();
    this.camera = new Camera();
    this.index = 0;
    this.image = null; // views of the current image once they are there
    this.mainView = "max";
    this.shown = { outlines: true, result: false, which: "both" };
    this.brightness = 1;
    this.hidden = false;
    this.selected = null;
    this.draft = null; // polygons while a corner is dragged
    this.pen = new Pen(this);
    this.panels = [new Panel(this, false), new Panel(this, true), ...VIEW_NAMES.slice(1).map(() => new Panel(this, false))];
    this.main.main = true;
    this.panels.forEach((panel) => { byId("panels").append(panel.element); this.pen.attach(panel); });
    this.main.element.classList.add("main");
    this.main.element.append(byId("status"));
    this.list = new ImageList(this, byId("list"));
    this.polygonList = new PolygonList(this, byId("polygons"));
  }

  get main() { return this.panels[0]; }
  get item() { return this.session.items[this.index]; }
  get state() { return this.session.state(this.index); }
  get polygons() { return this.draft ?? this.state.polygons; }

  start() {
    this.session.addEventListener("change", (event) => this.onChange(event.detail));
    new ResizeObserver(() => this.layOut()).observe(byId("panels"));
    this.list.arrange();
    this.go(this.list.order.find((i) => this.session.state(i).score === null) ?? this.list.order[0]);
    const { resumed } = this.session;
    if (resumed) {
      const images = resumed.count === 1 ? "1 image" : `${resumed.count} images`;
      this.say(`Taken up again: your decisions on ${images}, kept in this browser on ${resumed.when.toLocaleString()}.`, {
        text: "Start again", action: () => this.session.startAgain(),
      });
    }
  }

  // Moving between images

  async go(index) {
    this.index = index;
    this.pen.role = null;
    this.pen.drop();
    this.selected = this.draft = null;
    this.image = null;
    this.camera.fit();
    this.list.arrange();
    this.list.follow();
    this.refreshFacts();
    this.refreshTools();
    const { item } = this;
    try {
      if (item.error) throw new Error(item.error);
      const image = await this.loader.get(index);
      if (this.index !== index) return;
      this.image = image;
      this.showImage();
    } catch (error) {
      if (this.index !== index) return;
      this.showError(error.message);
    }
    for (const places of [1, 2, -1]) this.preload(this.list.step(places));
    this.preload(this.list.nextUndecided());
  }

  preload(index) {
    if (index !== null && !this.session.items[index].error) this.loader.get(index).catch(() => {});
  }

  move(places) {
    const index = this.list.step(places);
    if (index === null) this.say(places > 0 ? "This is the last image of the list." : "This is the first image of the list.");
    else this.go(index);
  }

  decide(score) {
    const was = this.state.score, following = this.list.step(1);
    this.session.setScore(this.index, score);
    if (score === null) return;
    const next = was === null ? this.list.nextUndecided() : following;
    if (next !== null) this.go(next);
    else if (was === null) this.say(this.session.counts().undecided ? "All images of this list are decided." : "All images are decided.", {
      text: "Export", action: () => this.openExport(),
    });
  }

  undo() { this.tell("Undone", this.session.undo()); }
  redo() { this.tell("Done again", this.session.redo()); }

  tell(what, step) {
    if (!step) { this.say(what === "Undone" ? "There is nothing to undo." : "There is nothing to do again."); return; }
    const indices = step.changes.map(({ index }) => index);
    if (!indices.includes(this.index)) this.go(indices[0]);
    this.say(`${what}: ${step.words}, ${indices.length === 1 ? this.session.items[indices[0]].stem : `${indices.length} images`}.`);
  }

  // What is drawn

  /** Put views into panels, the chosen one into the large panel. */
  showImage() {
    const { image } = this;
    const chosen = image.views.find((view) => view.name === this.mainView) ?? image.views[0];
    const others = image.views.filter((view) => view !== chosen);
    this.main.show(chosen, this.caption(chosen));
    this.panels[1].show(chosen, "raw image");
    this.panels.slice(2).forEach((panel, i) => panel.show(others[i] ?? null, others[i] ? this.caption(others[i]) : ""));
    this.panels.forEach((panel) => { panel.element.hidden = !panel.view; });
    byId("problem").hidden = true;
    const aspect = image.width / image.height;
    byId("panels").dataset.form = aspect > 2.2 ? "wide" : aspect < 0.4 ? "tall" : "square";
    byId("panels").dataset.count = image.views.length;
    this.layOut();
    this.polygonList.refresh();
  }

  showError(message) {
    this.panels.forEach((panel) => { panel.show(null, ""); panel.element.hidden = true; });
    byId("problem").textContent = message;
    byId("problem").hidden = false;
    this.polygonList.refresh();
  }

  caption(view) {
    return this.placeOf(view) + (view.empty ? ": nothing segmented" : "");
  }

  placeOf(view) {
    if (view.plane === null) return this.image.shape[0] === 1 ? "the only plane" : "maximum projection";
    if (view.name === "middle") return `middle, plane ${view.plane}`;
    const away = view.plane - this.image.views.find((one) => one.name === "middle").plane;
    return `plane ${view.plane}, ${Math.abs(away)} ${away > 0 ? "above" : "below"}`;
  }

  layOut() {
    for (const panel of this.panels) if (panel.view) panel.resize();
    this.draw();
  }

  draw() {
    if (this.image) for (const panel of this.panels) if (panel.view) panel.draw();
    byId("zoom").textContent = this.camera.zoom > 1 ? `${this.camera.zoom.toFixed(1)}×` : "";
  }

  drawMarks() { if (this.image) for (const panel of this.panels) if (panel.view) panel.drawMarks(); }
  drawPens() {
    if (this.image) for (const panel of this.panels) if (panel.view) panel.drawPen();
    this.refreshHint();
  }

  onChange(indices) {
    for (const index of indices) this.list.refresh(index);
    this.list.arrange();
    this.list.follow();
    if (indices.includes(this.index)) {
      this.draft = null;
      if (this.selected !== null && this.selected >= this.polygons.length) this.selected = null;
      this.polygonList.refresh();
      this.drawMarks();
    }
    this.refreshFacts();
    this.refreshTools();
  }

  refreshFacts() {
    const { item, state, session } = this, row = session.rows[this.index];
    byId("name").textContent = item.stem;
    byId("name").title = row.raw;
    const shape = item.shape ? `${item.shape.join(" × ")} voxels` : "";
    byId("place").textContent = `${this.list.order.indexOf(this.index) + 1} of ${this.list.order.length}${shape && ` · ${shape}`}`;
    const quality = this.list.quality(this.index);
    const remarks = [state.automatic && `automatically ${state.automatic}`,
      quality !== null && `quality ${quality.toFixed(2)}`, row.finding].filter(Boolean);
    byId("finding").textContent = remarks.join(" · ");
    byId("finding").title = remarks.join("\n");
    const counts = session.counts(), total = session.items.length;
    byId("good-count").textContent = counts.good;
    byId("bad-count").textContent = counts.bad;
    byId("undecided-count").textContent = counts.undecided;
    byId("progress").style.setProperty("--good", counts.good / total);
    byId("progress").style.setProperty("--bad", counts.bad / total);
    document.body.dataset.score = state.score ?? "";
    byId("saved").textContent = session.saver.failed ? "This browser keeps nothing: export before you close the page." : "";
  }

  refreshTools() {
    const { pen, shown, session } = this;
    const pressed = {
      good: this.state.score === 1, bad: this.state.score === 0, undecide: this.state.score === null,
      exclude: pen.role === "excluding", merge: pen.role === "merging", outlines: shown.outlines, result: shown.result,
    };
    for (const [id, on] of Object.entries(pressed)) byId(id).setAttribute("aria-pressed", on);
    byId("undo").disabled = session.done.length === 0;
    byId("redo").disabled = session.undone.length === 0;
    byId("which").dataset.which = shown.which;
    byId("panels").classList.toggle("drawing", pen.role !== null);
    this.drawPens();
  }

  refreshHint() {
    const { pen } = this, more = Math.max(0, 3 - pen.points.length);
    byId("drawn").hidden = pen.role === null && this.polygons.length === 0;
    byId("hint").textContent = pen.role === null ? "" : more
      ? `${pen.role}: click corners, ${more} more needed` : `${pen.role}: right click or Enter closes`;
  }

  // Looking

  zoom(factor, at) {
    if (!this.image) return;
    const { width, height } = this.image;
    this.camera.zoomAt(factor, at ?? this.camera.centre ?? [width / 2, height / 2], width, height);
    this.draw();
  }

  pan(step) {
    if (!this.image) return;
    this.camera.moveBy(step, this.image.width, this.image.height);
    this.draw();
  }

  fit() { this.camera.fit(); this.draw(); }

  chooseView(name) {
    if (!this.image?.views.some((view) => view.name === name)) return;
    this.mainView = name;
    this.showImage();
  }

  toggle(what) { this.shown[what] = !this.shown[what]; this.refreshTools(); this.drawMarks(); }

  cycleWhich() {
    const order = ["both", "first", "second"];
    this.shown.which = order[(order.indexOf(this.shown.which) + 1) % order.length];
    this.refreshTools();
    this.drawMarks();
  }

  hide(on) {
    if (on === this.hidden) return;
    this.hidden = on;
    this.drawMarks();
  }

  brighten(factor) {
    this.brightness = Math.min(6, Math.max(0.4, this.brightness * factor));
    byId("brightness").value = Math.log2(this.brightness);
    document.body.style.setProperty("--brightness", this.brightness);
  }

  pointAt(voxel, source) {
    for (const panel of this.panels) if (panel.view) panel.mark(panel === source ? null : voxel);
    byId("pointer").textContent = voxel ? `x ${voxel[0].toFixed(0)}, y ${voxel[1].toFixed(0)}` : "";
  }

  /** A place within the image, whose outermost pixels reach half a pixel beyond their centres. */
  clamp([x, y]) {
    const [, height, width] = this.image.shape;
    return [Math.min(width - 0.5, Math.max(-0.5, x)), Math.min(height - 0.5, Math.max(-0.5, y))];
  }

  // Polygons

  addPolygon(polygon) {
    this.session.setPolygons(this.index, [...this.polygons, polygon], `a polygon, ${polygon.role}`);
    this.drawPens();
  }

  removePolygon(number) {
    if (number === null || number >= this.polygons.length) return;
    this.selected = null;
    this.session.setPolygons(this.index, this.polygons.filter((_, i) => i !== number), "removing a polygon");
  }

  setPlanes(number, planes) {
    const polygons = this.polygons.map((polygon, i) => (i === number ? { ...polygon, planes } : polygon));
    this.session.setPolygons(this.index, polygons, "a plane range");
    this.polygonList.refresh();
  }

  moveCorner(corner, voxel) {
    this.draft = this.polygons.map((polygon, i) => (i !== this.selected ? polygon
      : { ...polygon, points: polygon.points.map((point, j) => (j === corner ? voxel : point)) }));
    this.drawMarks();
  }

  finishCorner() { if (this.draft) this.session.setPolygons(this.index, this.draft, "moving a corner"); }

  select(number) {
    this.selected = number === this.selected ? null : number;
    this.polygonList.refresh();
    this.drawMarks();
  }

  removeOne() {
    if (this.pen.points.length) this.pen.removeCorner();
    else this.removePolygon(this.selected);
  }

  escape() {
    if (this.pen.points.length) { this.pen.drop(); this.drawPens(); }
    else if (this.pen.role) this.pen.choose(null);
    else if (this.selected !== null) this.select(this.selected);
  }

  // Talking to the person

  /** A message at the foot of the page, with a button if there is something to do about it. */
  say(text, offer) {
    if (!text) return;
    const toast = byId("toast");
    toast.textContent = text;
    if (offer) {
      const button = document.createElement("button");
      button.textContent = offer.text;
      button.addEventListener("click", () => { toast.hidden = true; offer.action(); });
      toast.append(" ", button);
    }
    toast.hidden = false;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => { toast.hidden = true; }, offer ? 12000 : 3500);
  }

  openHelp() { byId("help").showModal(); }

  openExport() {
    const counts = this.session.counts(), polygons = this.session.polygonCount();
    byId("export-facts").textContent = `${counts.good} good, ${counts.bad} bad, ${counts.undecided} undecided; ` +
      (polygons === 1 ? "1 polygon" : `${polygons || "no"} polygons`);
    byId("export-polygons").disabled = polygons === 0;
    byId("export").showModal();
  }
}

/** Buttons and fields do what their keys do. */
function wire(app) {
  const actions = {
    good: () => app.decide(1), bad: () => app.decide(0), undecide: () => app.decide(null),
    previous: () => app.move(-1), next: () => app.move(1), undo: () => app.undo(), redo: () => app.redo(),
    exclude: () => app.pen.choose("excluding"), merge: () => app.pen.choose("merging"),
    outlines: () => app.toggle("outlines"), result: () => app.toggle("result"), which: () => app.cycleWhich(),
    "fit-all": () => app.fit(), "open-help": () => app.openHelp(), "open-export": () => app.openExport(),
    "open-files": () => byId("files").click(),
    "export-decisions": () => exportDecisions(app.session), "export-polygons": () => exportPolygons(app.session),
  };
  for (const [id, action] of Object.entries(actions)) {
    byId(id).addEventListener("click", (event) => { action(); event.currentTarget.blur(); });
  }
  for (const id of ["filter", "sort", "search"]) {
    const field = byId(id);
    field.value = app.list[id];
    field.addEventListener("input", () => { app.list[id] = field.value; app.list.arrange(); app.refreshFacts(); });
  }
  for (const id of ["filter", "sort"]) byId(id).addEventListener("change", () => byId(id).blur());
  byId("search").addEventListener("keydown", (event) => { if (["Enter", "Escape"].includes(event.key)) event.target.blur(); });
  byId("brightness").addEventListener("input", (event) => app.brighten(2 ** event.target.value / app.brightness));
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }); // outside of it
  }
}

function main() {
  const page = JSON.parse(byId("page").textContent);
  document.body.dataset.mode = page.mode;
  const app = new App(page);
  const table = keyTable(app);
  fillHelp(table, byId("keys"));
  wire(app);
  listenToKeys(app, table);
  acceptFiles(app.session, byId("files"), (text) => app.say(text));
  app.start();
  window.review = app;
}

main();

// The polygons of the current image as a list: role, corners, plane range, removal.

class PolygonList {
  constructor(app, element) {
    this.app = app;
    this.element = element;
  }

  /** Show the polygons as they are now; rows stay where they can, so that a field in use keeps the cursor. */
  refresh() {
    const { app } = this, rows = [...this.element.children];
    const kept = rows.length === app.polygons.length && rows.every((row, i) => row.dataset.role === app.polygons[i].role);
    if (!kept || app.index !== this.index) this.element.replaceChildren(...app.polygons.map((polygon, i) => this.row(polygon, i)));
    this.index = app.index;
    app.polygons.forEach((polygon, i) => this.update(this.element.children[i], polygon, i));
  }

  update(row, polygon, number) {
    const last = this.app.image ? this.app.image.shape[0] - 1 : 0;
    row.classList.toggle("selected", this.app.selected === number);
    row.querySelectorAll("input").forEach((input, side) => {
      Object.assign(input, { max: last, placeholder: side ? last : 0 });
      input.value = polygon.planes ? polygon.planes[side] : "";
    });
  }

  row(polygon, number) {
    const { app } = this, row = document.createElement("li");
    row.dataset.role = polygon.role;
    const name = document.createElement("span");
    name.className = "role";
    name.textContent = `${polygon.role === "merging" ? "M" : "E"}${number + 1} ${polygon.role}`;
    const remove = document.createElement("button");
    remove.textContent = "✕";
    remove.title = "remove this polygon";
    remove.addEventListener("click", (event) => { event.stopPropagation(); app.removePolygon(number); });
    row.append(name, ...this.planes(number), remove);
    row.addEventListener("click", () => app.select(number));
    return row;
  }

  /** Two fields for the first and last plane; empty fields are all planes. */
  planes(number) {
    const [first, end] = ["first", "last"].map((what) => {
      const input = document.createElement("input");
      Object.assign(input, { type: "number", min: 0, step: 1, title: `${what} plane; empty: all planes` });
      input.setAttribute("aria-label", `${what} plane of polygon ${number + 1}`);
      input.addEventListener("click", (event) => event.stopPropagation());
      input.addEventListener("keydown", (event) => { if (["Enter", "Escape"].includes(event.key)) input.blur(); });
      return input;
    });
    const take = () => {
      if (!this.app.image) return;
      const last = this.app.image.shape[0] - 1;
      const values = [first, end].map((input, side) => (input.value === "" ? (side ? last : 0) : Math.round(Number(input.value))));
      const [a, b] = values.map((value) => Math.min(last, Math.max(0, value))).sort((p, q) => p - q);
      this.app.setPlanes(number, a === 0 && b === last ? null : [a, b]);
    };
    for (const input of [first, end]) input.addEventListener("change", take);
    return ["planes ", first, "–", end];
  }
}

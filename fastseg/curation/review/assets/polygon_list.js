// The polygons of the current image as a list: role, corners, plane range, removal.

class PolygonList {
  constructor(app, element) {
    this.app = app;
    this.element = element;
  }

  refresh() {
    const { app } = this, focus = document.activeElement;
    if (this.element.contains(focus) && focus.tagName === "INPUT") focus.blur();
    this.element.replaceChildren(...app.polygons.map((polygon, i) => this.row(polygon, i)));
  }

  row(polygon, number) {
    const { app } = this, row = document.createElement("li");
    row.dataset.role = polygon.role;
    row.classList.toggle("selected", app.selected === number);
    const name = document.createElement("span");
    name.className = "role";
    name.textContent = `${polygon.role === "merging" ? "M" : "E"}${number + 1} ${polygon.role}`;
    const remove = document.createElement("button");
    remove.textContent = "✕";
    remove.title = "remove this polygon";
    remove.addEventListener("click", (event) => { event.stopPropagation(); app.removePolygon(number); });
    row.append(name, ...this.planes(polygon, number), remove);
    row.addEventListener("click", () => app.select(number));
    return row;
  }

  /** Two fields for the first and last plane; empty fields are all planes. */
  planes(polygon, number) {
    const last = this.app.image ? this.app.image.shape[0] - 1 : 0;
    const [first, end] = ["first", "last"].map((what, side) => {
      const input = document.createElement("input");
      Object.assign(input, { type: "number", min: 0, max: last, step: 1, placeholder: side ? last : 0 });
      input.value = polygon.planes ? polygon.planes[side] : "";
      input.title = `${what} plane; empty: all planes`;
      input.setAttribute("aria-label", `${what} plane of polygon ${number + 1}`);
      input.addEventListener("click", (event) => event.stopPropagation());
      return input;
    });
    const take = () => {
      const values = [first, end].map((input, side) => (input.value === "" ? (side ? last : 0) : Math.round(Number(input.value))));
      const [a, b] = values.map((value) => Math.min(last, Math.max(0, value))).sort((p, q) => p - q);
      this.app.setPlanes(number, a === 0 && b === last ? null : [a, b]);
    };
    for (const input of [first, end]) input.addEventListener("change", take);
    return ["planes ", first, "–", end];
  }
}

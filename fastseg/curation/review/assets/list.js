// The list of images: thumbnails with their state, filtered and sorted.

const DOUBTFUL_BELOW = 0.5; // quality; a deviation of 3.5 or an agreement of 0.5 (quality_scores.py)

const FILTERS = {
  all: () => true,
  undecided: (state) => state.score === null,
  good: (state) => state.score === 1,
  bad: (state) => state.score === 0,
  doubtful: (state, quality) => quality !== null && quality < DOUBTFUL_BELOW,
  automatic: (state) => state.automatic !== "",
  polygons: (state) => state.polygons.length > 0,
};

class ImageList {
  /** @param app the page; @param element where the rows go */
  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.filter = "all";
    this.sort = app.session.items.some((_, i) => this.quality(i) !== null) ? "doubt" : "file";
    this.search = "";
    this.rows = app.session.items.map((item, i) => this.row(item, i));
    this.rows.forEach((_, i) => this.refresh(i));
  }

  /** 0 to 1, or null where there are no figures. */
  quality(index) {
    const text = this.app.session.rows[index].quality ?? "";
    return text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
  }

  row(item, index) {
    const row = document.createElement("li");
    row.dataset.index = index;
    row.innerHTML = `<img loading="lazy" decoding="async" alt="" width="64" height="48"><div class="words"><div class="name"></div>
      <div class="facts"><span class="state"></span><span class="count"></span><span class="quality"></span></div></div>`;
    row.querySelector(".name").textContent = item.stem;
    row.title = item.row.raw;
    if (!item.error) row.querySelector("img").src = item.thumbnail;
    row.addEventListener("click", () => this.app.go(index));
    return row;
  }

  /** Show the state of an image in its row. */
  refresh(index) {
    const row = this.rows[index], state = this.app.session.state(index), quality = this.quality(index);
    row.dataset.score = state.score ?? "";
    row.dataset.error = this.app.session.items[index].error ? "1" : "";
    const words = state.score === 1 ? "good" : state.score === 0 ? "bad" : "undecided";
    row.querySelector(".state").textContent = state.automatic ? `${words}, automatic` : words;
    const count = state.polygons.length;
    row.querySelector(".count").textContent = count ? `${count} polygon${count > 1 ? "s" : ""}` : "";
    const bar = row.querySelector(".quality");
    bar.hidden = quality === null;
    if (quality !== null) {
      bar.style.setProperty("--quality", quality);
      bar.title = `quality ${quality.toFixed(2)}`;
    }
  }

  /** Which images are listed, in which order; the current one always is. */
  arrange() {
    const { app } = this, { session } = app, needle = this.search.toLowerCase();
    const order = session.items.map((_, i) => i).filter((i) => i === app.index || (
      FILTERS[this.filter](session.state(i), this.quality(i)) && session.items[i].stem.toLowerCase().includes(needle)));
    if (this.sort === "doubt") {
      const rank = (i) => this.quality(i) ?? 2; // without figures: last
      order.sort((a, b) => rank(a) - rank(b) || a - b);
    }
    if (this.order && this.order.length === order.length && this.order.every((i, at) => i === order[at])) return;
    this.order = order;
    this.element.replaceChildren(...order.map((i) => this.rows[i]));
  }

  /** Mark the current image and bring it into sight. */
  follow() {
    this.element.querySelector(".current")?.classList.remove("current");
    const row = this.rows[this.app.index];
    row.classList.add("current");
    row.scrollIntoView({ block: "nearest" });
  }

  /** The listed image so many places after the current one, or null beyond the ends. */
  step(places) {
    return this.order[this.order.indexOf(this.app.index) + places] ?? null;
  }

  /** The next undecided image after the current one, from the start again at the end; null if there is none. */
  nextUndecided() {
    const at = this.order.indexOf(this.app.index);
    const round = [...this.order.slice(at + 1), ...this.order.slice(0, at)];
    return round.find((i) => this.app.session.state(i).score === null) ?? null;
  }
}

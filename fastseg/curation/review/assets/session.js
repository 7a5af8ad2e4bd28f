// What a person has decided: scores and polygons of all images, their history, and where they are kept between visits.

/**
 * The decisions of one batch.
 *
 * A state is {score: 1 | 0 | null, automatic: text, polygons: [...]} and never changes: a decision replaces it. That makes
 * undoing, saving and comparing simple.
 */
class Session extends EventTarget {
  /** @param page the data that the page was made with: key, columns, items */
  constructor(page) {
    super();
    this.page = page;
    this.columns = [...page.columns];
    this.items = page.items;
    this.rows = page.items.map((item) => ({ ...item.row }));
    this.start = page.items.map((item) => freeze({
      score: scoreOf(item.row.score), automatic: item.row.automatic ?? "", polygons: item.polygons,
    }));
    this.states = [...this.start];
    this.done = [];
    this.undone = [];
    this.saver = new Saver(page.key);
    this.resumed = this.resume();
  }

  state(index) { return this.states[index]; }

  /** Numbers of good, bad and undecided images. */
  counts() {
    const counts = { good: 0, bad: 0, undecided: 0 };
    for (const { score } of this.states) counts[score === 1 ? "good" : score === 0 ? "bad" : "undecided"]++;
    return counts;
  }

  /** A person's score of an image; null takes a score back. */
  setScore(index, score) {
    const words = score === 1 ? "good" : score === 0 ? "bad" : "undecided";
    this.change(words, [[index, { ...this.states[index], score, automatic: "" }]]);
  }

  /** The polygons of an image, for a change called `words`. */
  setPolygons(index, polygons, words) {
    this.change(words, [[index, { ...this.states[index], polygons }]]);
  }

  /** Replace states in one step that can be undone; nothing happens if nothing differs. */
  change(words, changes) {
    const real = changes.filter(([index, state]) => !same(state, this.states[index]));
    if (real.length === 0) return false;
    const step = { words, changes: real.map(([index, after]) => ({ index, before: this.states[index], after: freeze(after) })) };
    this.done.push(step);
    this.undone = [];
    this.put(step, "after");
    return true;
  }

  /** Take the last step back; gives it, or null. */
  undo() { return this.move(this.done, this.undone, "before"); }

  /** Do the last step that was taken back again; gives it, or null. */
  redo() { return this.move(this.undone, this.done, "after"); }

  move(from, to, side) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    this.put(step, side);
    return step;
  }

  put(step, side) {
    for (const change of step.changes) this.states[change.index] = change[side];
    this.saver.save(() => this.changed());
    this.dispatchEvent(new CustomEvent("change", { detail: step.changes.map(({ index }) => index) }));
  }

  /** The images that differ from what the page was made with, by the text of their raw path. */
  changed() {
    const found = {};
    this.states.forEach((state, i) => { if (!same(state, this.start[i])) found[this.rows[i].raw] = state; });
    return found;
  }

  /** Take up what this browser kept of an earlier visit; gives the number of images, and when it was. */
  resume() {
    const kept = this.saver.load();
    if (!kept) return null;
    let count = 0;
    this.items.forEach((item, i) => {
      const state = kept.states[item.row.raw];
      if (!state) return;
      this.states[i] = freeze({ score: state.score, automatic: state.automatic ?? "", polygons: state.polygons ?? [] });
      count++;
    });
    return count ? { count, when: new Date(kept.saved) } : null;
  }

  /** Forget all that was decided on this page, as a step that can be undone. */
  startAgain() {
    this.change("starting again", this.start.map((state, i) => [i, state]));
  }

  /** Rows of the decisions file, header first. */
  table() {
    const rows = this.rows.map((row, i) => {
      const { score, automatic } = this.states[i];
      const cells = { ...row, score: score === null ? "" : String(score) };
      if (this.columns.includes("automatic")) cells.automatic = automatic;
      return this.columns.map((name) => cells[name] ?? "");
    });
    return [this.columns, ...rows];
  }

  /** Polygons of all images, for their file. */
  geoJson() {
    return toGeoJson(this.items.map((item, i) => ({ image: item.stem, polygons: this.states[i].polygons })));
  }

  /** Number of polygons of all images. */
  polygonCount() {
    return this.states.reduce((sum, state) => sum + state.polygons.length, 0);
  }

  /** Take scores and other columns from a decisions file; gives what was found, in words. */
  openTracker(text) {
    const { columns, rows } = readTracker(text);
    const byRaw = new Map(this.rows.map((row, i) => [row.raw, i]));
    // Folders may have moved since: names are enough where they are unique.
    const byName = unique(this.rows.map((row, i) => [baseName(row.raw), i]));
    const changes = [];
    let unknown = 0;
    for (const row of rows) {
      const index = byRaw.get(row.raw) ?? byName.get(baseName(row.raw));
      if (index === undefined) { unknown++; continue; }
      const own = this.rows[index];
      for (const name of columns) if (!PAIR_COLUMNS.includes(name)) own[name] = row[name];
      changes.push([index, { ...this.states[index], score: scoreOf(row.score), automatic: row.automatic ?? "" }]);
    }
    this.columns.push(...columns.filter((name) => !this.columns.includes(name)));
    this.change("opening decisions", changes);
    return `${changes.length} decision rows taken` + (unknown ? `, ${unknown} of images that are not on this page` : "");
  }

  /** Take the polygons of the images that a GeoJSON file has polygons for; gives what was found, in words. */
  openGeoJson(text) {
    const byImage = fromGeoJson(JSON.parse(text));
    const changes = [];
    let count = 0;
    this.items.forEach((item, i) => {
      const polygons = byImage.get(item.stem);
      if (!polygons) return;
      byImage.delete(item.stem);
      count += polygons.length;
      changes.push([i, { ...this.states[i], polygons }]);
    });
    this.change("opening polygons", changes);
    return `${count} polygons taken` + (byImage.size ? `, those of ${byImage.size} images are not on this page` : "");
  }
}

/** Columns that say which files belong together; an opened file does not change them. */
const PAIR_COLUMNS = ["raw", "seg", "seg1", "seg2"];

/** Keeps changed states in the browser's storage, a moment after the last change and when the page is left. */
class Saver {
  constructor(key) {
    this.key = `fastseg-review:${key}`;
    this.pending = null;
    this.failed = false;
    window.addEventListener("pagehide", () => this.flush());
  }

  save(collect) {
    this.pending = collect;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), 150);
  }

  flush() {
    if (!this.pending) return;
    const states = this.pending();
    this.pending = null;
    try {
      localStorage.setItem(this.key, JSON.stringify({ saved: new Date().toISOString(), states }));
      this.failed = false;
    } catch {
      this.failed = true; // storage is off or full: the page says so, files still work
    }
  }

  load() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key));
      return kept && typeof kept.states === "object" ? kept : null;
    } catch {
      this.failed = true;
      return null;
    }
  }
}

function same(a, b) { return a === b || JSON.stringify(a) === JSON.stringify(b); }

function freeze(state) { return Object.freeze(state); }

function baseName(path) { return path.split(/[\\/]/).pop(); }

/** A map of the entries whose key occurs once. */
function unique(entries) {
  const seen = new Map();
  for (const [key] of entries) seen.set(key, (seen.get(key) ?? 0) + 1);
  return new Map(entries.filter(([key]) => seen.get(key) === 1));
}

// Images arrive when they are needed: the one shown, then its neighbours; the latest are kept.

const KEPT_IMAGES = 12;

/** Loads the views of images: {views: [{name, plane, left, top, outlines, empty}], picture, width, height, reduction, shape}. */
class Loader {
  constructor() {
    this.kept = new Map(); // index -> promise, in order of use
    this.arriving = new Map(); // index -> function that takes the data of a file
    window.fastsegReview = { receive: (index, data) => this.arriving.get(index)?.(data) };
  }

  /** A promise of the views of an image. */
  get(index) {
    let promise = this.kept.get(index);
    this.kept.delete(index);
    if (!promise) {
      promise = this.load(index);
      promise.catch(() => this.kept.delete(index)); // so that it is tried again
    }
    this.kept.set(index, promise);
    while (this.kept.size > KEPT_IMAGES) this.kept.delete(this.kept.keys().next().value);
    return promise;
  }

  async load(index) {
    const data = await this.data(index);
    const picture = new Image();
    picture.src = data.picture;
    await picture.decode();
    const views = [];
    for (const view of data.views) {
      const masks = view.masks.map((text) => decodeMask(text, data.width, data.height));
      const outlines = masks.map((pixels) => outlineOf(pixels, data.width, data.height));
      views.push({ ...view, outlines, empty: !masks[0].includes(1) });
      await new Promise((resolve) => setTimeout(resolve)); // keys come first
    }
    return { ...data, picture, views };
  }

  /** The data of an image: in the page itself, or in a file of its own (a script, which pages on disk may load). */
  data(index) {
    const inline = document.getElementById(`item-${index}`);
    if (inline) return Promise.resolve(JSON.parse(inline.textContent));
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const end = () => { this.arriving.delete(index); script.remove(); };
      this.arriving.set(index, (data) => { end(); resolve(data); });
      script.onerror = () => { end(); reject(new Error(`images/${fileName(index)}.js is missing beside this page`)); };
      script.src = `images/${fileName(index)}.js`;
      document.head.append(script);
    });
  }
}

/** The stem of an image's files. */
function fileName(index) { return String(index + 1).padStart(5, "0"); }

// Polygons {role, points, holes, planes}: corners [x, y] in voxels (pixel centres at whole numbers); their GeoJSON form.

const ROLES = ["excluding", "merging"];

/** A FeatureCollection of the polygons of images: [{image, polygons}]. */
function toGeoJson(images) {
  const features = [];
  for (const { image, polygons } of images) {
    for (const polygon of polygons) {
      const rings = [polygon.points, ...polygon.holes].map((points) => points.map(([x, y]) => [round3(x), round3(y)]));
      features.push({
        type: "Feature",
        properties: { image, role: polygon.role, planes: polygon.planes },
        geometry: { type: "Polygon", coordinates: rings.map((ring) => [...ring, ring[0]]) },
      });
    }
  }
  return { type: "FeatureCollection", features };
}

/** Polygons of a FeatureCollection by image; what is not understood is an error that names the feature. */
function fromGeoJson(collection) {
  if (collection?.type !== "FeatureCollection" || !Array.isArray(collection.features)) {
    throw new Error("this is no GeoJSON file of polygons: a FeatureCollection is needed");
  }
  const byImage = new Map();
  collection.features.forEach((feature, number) => {
    const { image, role, planes } = feature.properties ?? {};
    const rings = feature.geometry?.type === "Polygon" ? feature.geometry.coordinates : null;
    const range = planes == null || (Array.isArray(planes) && planes.length === 2 && planes.every(Number.isInteger));
    if (!Array.isArray(rings) || !rings.length || !rings.every(isRing) || typeof image !== "string" || !ROLES.includes(role) || !range) {
      throw new Error(`polygon ${number + 1} of the file is not understood: it needs closed rings of at least three ` +
        `corners, an image, the role excluding or merging, and planes [first, last] or null`);
    }
    const [points, ...holes] = rings.map((ring) => ring.slice(0, -1).map(([x, y]) => [x, y]));
    if (!byImage.has(image)) byImage.set(image, []);
    byImage.get(image).push({ role, points, holes, planes: planes ?? null });
  });
  return byImage;
}

/** Whether a list of points is a closed ring of at least three corners. */
function isRing(ring) {
  return Array.isArray(ring) && ring.length > 3 && ring.every((p) => Array.isArray(p) && p.slice(0, 2).every(Number.isFinite)) &&
    ring[0][0] === ring.at(-1)[0] && ring[0][1] === ring.at(-1)[1];
}

/** Whether a polygon holds on a plane; the projection (null) shows them all. */
function onPlane(polygon, plane) {
  return plane === null || polygon.planes === null || (polygon.planes[0] <= plane && plane <= polygon.planes[1]);
}

/** Whether a point lies in a polygon and in none of its holes. */
function inside(polygon, point) {
  return within(polygon.points, point) && !polygon.holes.some((hole) => within(hole, point));
}

/** Whether a point lies in a ring, by the even-odd rule that the masks follow, too. */
function within(points, [x, y]) {
  let odd = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i], [xj, yj] = points[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

/** A number with three decimals, a hundredth of what a person can aim at. */
function round3(value) {
  return Math.round(value * 1000) / 1000;
}

// Files that leave the page and come back: decisions (CSV) and polygons (GeoJSON).

const DECISIONS_FILE = "decisions.csv";
const POLYGONS_FILE = "polygons.geojson";

/** Give the person a file. */
function download(name, text, type) {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([text], { type }));
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function exportDecisions(session) {
  download(DECISIONS_FILE, formatCsv(session.table()), "text/csv");
}

function exportPolygons(session) {
  download(POLYGONS_FILE, JSON.stringify(session.geoJson(), null, 1) + "\n", "application/geo+json");
}

/** Take up files by what is in them; gives what happened, in words. */
async function openFiles(session, files) {
  const told = [];
  for (const file of files) {
    const text = await file.text();
    try {
      const isJson = text.trimStart().startsWith("{");
      told.push(isJson ? session.openGeoJson(text) : session.openTracker(text));
    } catch (error) {
      told.push(`${file.name}: ${error.message}`);
    }
  }
  return told.join(". ");
}

/** Open files by a button's file chooser and by dropping them anywhere on the page. */
function acceptFiles(session, input, say) {
  input.addEventListener("change", async () => {
    say(await openFiles(session, [...input.files]));
    input.value = ""; // so that the same file can be opened again
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) say(await openFiles(session, [...event.dataTransfer.files]));
  });
}

// The tracker's dialect of CSV: commas, the quote character |, minimal quoting, a header row.

const QUOTE = "|";

/** Rows of cells of a text in the tracker's dialect; empty lines are left out. */
function parseCsv(text) {
  const rows = [];
  let row = [], cell = "", quoted = false, wasQuoted = false;
  const endCell = () => { row.push(cell); cell = ""; wasQuoted = false; };
  const endRow = () => {
    const blank = row.length === 0 && cell === "" && !wasQuoted;
    if (!blank) { endCell(); rows.push(row); }
    row = [];
  };
  const body = text.replace(/^\uFEFF/, "");
  for (let i = 0; i < body.length; i++) {
    const letter = body[i];
    if (quoted) {
      if (letter !== QUOTE) cell += letter;
      else if (body[i + 1] === QUOTE) { cell += QUOTE; i++; }
      else quoted = false;
    } else if (letter === QUOTE && cell === "") { quoted = true; wasQuoted = true; }
    else if (letter === ",") endCell();
    else if (letter === "\n" || letter === "\r") {
      if (letter === "\r" && body[i + 1] === "\n") i++;
      endRow();
    } else cell += letter;
  }
  endRow();
  return rows;
}

/** Rows of cells as text in the tracker's dialect. */
function formatCsv(rows) {
  const field = (cell) => (/[,|\r\n]/.test(cell) ? QUOTE + cell.replaceAll(QUOTE, QUOTE + QUOTE) + QUOTE : cell);
  // A row of one empty cell would read as no row at all.
  const line = (row) => (row.length === 1 && row[0] === "" ? QUOTE + QUOTE : row.map(field).join(","));
  return rows.map((row) => line(row) + "\n").join("");
}

/** Objects of a tracker file by its header; cells that a row lacks are empty. */
function readTracker(text) {
  const [header, ...rows] = parseCsv(text);
  if (!header || !header.includes("raw") || !header.includes("score")) {
    throw new Error("this is no decisions file: its first line has to name the columns raw and score");
  }
  return { columns: header, rows: rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i] ?? ""]))) };
}

/** 1, 0 or null of a score as text; other programs may have written 1.0 or 0.0. */
function scoreOf(text) {
  const number = text.trim() === "" ? NaN : Number(text);
  return number === 1 ? 1 : number === 0 ? 0 : null;
}

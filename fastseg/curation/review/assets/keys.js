// The keyboard: one table, which the help is made from, too.

/** [key as shown, keys that count, what it does, action]; a heading has one entry. */
function keyTable(app) {
  const merging = app.session.page.mode === "merge";
  return [
    ["Decide"],
    ["G", ["g"], "good, and on to the next undecided image", () => app.decide(1)],
    ["B", ["b"], "bad, and on to the next undecided image", () => app.decide(0)],
    ["U", ["u"], "undecided again", () => app.decide(null)],
    ["→ or N", ["arrowright", "n"], "next image", () => app.move(1)],
    ["← or P", ["arrowleft", "p"], "previous image", () => app.move(-1)],
    ["Z", ["z", "ctrl+z", "meta+z"], "undo", () => app.undo()],
    ["Y", ["y", "ctrl+y", "ctrl+shift+z", "meta+shift+z", "shift+z"], "redo", () => app.redo()],
    ["Polygons"],
    ["E", ["e"], "draw areas to exclude from training", () => app.pen.choose("excluding")],
    ...(merging ? [["M", ["m"], "draw areas where the second segmentation is taken", () => app.pen.choose("merging")]] : []),
    ["click", [], "add a corner; without a tool: select a polygon"],
    ["right click or Enter", ["enter"], "close the polygon (also by a click on its first corner)", () => app.pen.close()],
    ["Backspace", ["backspace"], "remove the last corner, or the selected polygon", () => app.removeOne()],
    ["Delete", ["delete"], "remove the selected polygon", () => app.removePolygon(app.selected)],
    ["Esc", ["escape"], "drop the unfinished polygon, then leave the tool", () => app.escape()],
    ["drag a corner", [], "move a corner of the selected polygon"],
    ["Look"],
    ["O", ["o"], "outlines on and off", () => app.toggle("outlines")],
    ["H, held", [], "hide outlines and polygons while it is down"],
    ...(merging ? [
      ["V", ["v"], "outlines of both, the first, the second segmentation", () => app.cycleWhich()],
      ["R", ["r"], "the merged result instead of both", () => app.toggle("result")],
    ] : []),
    ["1 2 3 4", ["1", "2", "3", "4"], "view in the large panel: projection, middle, below, above", (key) => app.chooseView(VIEW_NAMES[key - 1])],
    ["wheel or + −", ["+", "=", "-", "shift++"], "zoom, in all panels", (key) => app.zoom(key === "-" ? 1 / 1.4 : 1.4)],
    ["drag", [], "move a magnified image"],
    ["F", ["f", "0"], "whole image", () => app.fit()],
    ["[ ]", ["[", "]"], "darker, brighter", (key) => app.brighten(key === "]" ? 1.2 : 1 / 1.2)],
    ["Files"],
    ["X", ["x", "ctrl+s", "meta+s"], "export decisions and polygons", () => app.openExport()],
    ["?", ["?", "shift+?"], "this help", () => app.openHelp()],
  ];
}

/** Let keys act, but not those typed into a field or meant for the browser. */
function listenToKeys(app, table) {
  const actions = new Map(table.flatMap(([, keys, , action]) => (keys ?? []).map((key) => [key, action])));
  document.addEventListener("keydown", (event) => {
    if (event.target.closest?.("input:not([type=range]), select, textarea, dialog")) return;
    const key = event.key.toLowerCase();
    if (key === "h" && !event.ctrlKey && !event.metaKey) { app.hide(true); return; }
    const parts = [event.ctrlKey && "ctrl", event.metaKey && "meta", event.altKey && "alt", event.shiftKey && "shift", key];
    const action = actions.get(parts.filter(Boolean).join("+")) ?? (event.ctrlKey || event.metaKey || event.altKey ? null : actions.get(key));
    if (!action) return;
    event.preventDefault();
    action(key);
  });
  document.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "h") app.hide(false); });
  window.addEventListener("blur", () => app.hide(false));
}

/** The table as rows of the help. */
function fillHelp(table, element) {
  for (const [shown, , meaning] of table) {
    const row = document.createElement("div");
    if (meaning === undefined) { row.className = "heading"; row.textContent = shown; }
    else {
      const key = document.createElement("kbd"), words = document.createElement("span");
      key.textContent = shown;
      words.textContent = meaning;
      row.append(key, words);
    }
    element.append(row);
  }
}

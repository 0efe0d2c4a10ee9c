"use strict";
// Click on the head of a column: sort by it; click again: the other way; once more: as it was.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  let column = 0;
  for (const head of table.tHead.rows[0].cells) {
    const at = column;
    column += head.colSpan;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      body.replaceChildren(...(next ? sorted(original, at, next === "descending") : original));
    });
  }
}

// What is not known comes last, either way.
function sorted(rows, at, descending) {
  const keyed = rows.map((row) => [key(row.cells[at]), row]);
  const known = keyed.filter(([k]) => k !== null).sort(([a], [b]) => compare(a, b) * (descending ? -1 : 1));
  return [...known, ...keyed.filter(([k]) => k === null)].map(([, row]) => row);
}

function key(cell) {
  if ("key" in cell.dataset) return Number(cell.dataset.key);
  const text = cell.textContent.trim();
  if (text === "" || text === "-") return null;
  const number = Number(text.replaceAll(",", ""));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

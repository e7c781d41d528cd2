"use strict";

// A record that still says "running" after its deadline was left behind by a controller that died.
for (const notice of document.querySelectorAll("[data-deadline]")) {
  const late = Date.now() > Date.parse(notice.dataset.deadline);
  notice.querySelector("[data-while]").hidden = late;
  notice.querySelector("[data-after]").hidden = !late;
  if (late) document.querySelector("header .pill").textContent = "Interrupted";
}

const table = document.getElementById("hosts");
if (table) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({
    row,
    text: row.textContent.toLowerCase(),
    outcome: row.dataset.outcome,
    values: Array.from(row.cells, (cell) => cell.dataset.value ?? cell.textContent.trim()),
  }));
  const [text, outcome, shown] = ["filter-text", "filter-outcome", "filter-shown"].map((id) => document.getElementById(id));

  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let visible = 0;
    for (const item of rows) {
      const fits = (!outcome.value || item.outcome === outcome.value) && words.every((word) => item.text.includes(word));
      item.row.hidden = !fits;
      visible += fits;
    }
    shown.textContent = `${visible} of ${rows.length} hosts`;
  }

  const collator = new Intl.Collator(undefined, { numeric: true });

  function sort(header) {
    const column = header.cellIndex;
    const numeric = header.classList.contains("number");
    // The most of something is what people look for; names begin with A.
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const order = header.getAttribute("aria-sort") === first ? second : first;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    rows.sort((a, b) => {
      const [left, right] = [a.values[column], b.values[column]];
      // What is not known comes last, either way.
      if (left === "" || right === "") return (left === "") - (right === "");
      return sign * (numeric ? left - right : collator.compare(left, right));
    });
    body.append(...rows.map((item) => item.row));
  }

  text.addEventListener("input", filter);
  outcome.addEventListener("change", filter);
  for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button").addEventListener("click", () => sort(header));
  }
  document.querySelector(".filter").hidden = false;
  filter();
}

"use strict";

/* Fills in the time, and adds rows to the tables of lines and payments. */

const date = document.getElementById("date");
if (date && !date.value) {
  const now = new Date();
  date.value = new Date(now - now.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

for (const table of document.querySelectorAll("table[data-part]")) {
  const more = document.createElement("button");
  more.type = "button";
  more.textContent = table.dataset.part === "lines" ? "Add a line" : "Add a payment";
  more.addEventListener("click", () => {
    const rows = table.tBodies[0].rows;
    const row = rows[rows.length - 1].cloneNode(true);
    for (const input of row.querySelectorAll("input")) {
      input.name = input.name.replace(/\[\d+\]/, `[${rows.length}]`);
      input.id = input.name;
      input.value = "";
      input.removeAttribute("aria-invalid");
      input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+/, rows.length + 1));
    }
    table.tBodies[0].append(row);
    row.querySelector("input").focus();
  });
  table.parentElement.after(more);
}

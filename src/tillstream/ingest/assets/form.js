// Fills in the current time, and adds rows to the tables of lines and payments.

const date = /** @type {HTMLInputElement | null} */ (document.getElementById("date"));
if (date && !date.value) {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  date.value = local.toISOString().slice(0, 19);
}

for (const table of /** @type {NodeListOf<HTMLTableElement>} */ (document.querySelectorAll("table[data-part]"))) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = table.dataset.part === "lines" ? "Add a line" : "Add a payment";
  button.addEventListener("click", () => addRow(table.tBodies[0]));
  table.parentElement?.after(button);
}

/**
 * Adds an empty copy of the last row.
 * @param {HTMLTableSectionElement} body
 */
function addRow(body) {
  const { rows } = body;
  const row = /** @type {HTMLTableRowElement} */ (rows[rows.length - 1].cloneNode(true));
  for (const input of row.querySelectorAll("input")) {
    input.name = input.name.replace(/\[\d+\]/, `[${rows.length}]`);
    input.id = input.name;
    input.value = "";
    input.removeAttribute("aria-invalid");
    const label = input.getAttribute("aria-label") ?? "";
    input.setAttribute("aria-label", label.replace(/\d+/, String(rows.length + 1)));
  }
  body.append(row);
  row.querySelector("input")?.focus();
}

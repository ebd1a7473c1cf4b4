// Makes the tables sortable. Without it they stay as they are, dearest first.
(function () {
  "use strict";
  var collator = new Intl.Collator("en", { numeric: true });

  function key(row, column, numeric) {
    var cell = row.cells[column];
    var value = cell.getAttribute("data-value");
    if (numeric) return value === null || value === "" ? null : Number(value);
    return value || cell.textContent.trim();
  }

  function sort(table, head, column, numeric) {
    var before = head.getAttribute("aria-sort");
    var descending = before ? before === "ascending" : numeric;
    var sign = descending ? -1 : 1;
    var body = table.tBodies[0];
    var keyed = Array.prototype.map.call(body.rows, function (row) {
      return { row: row, key: key(row, column, numeric) };
    });
    keyed.sort(function (a, b) {
      // What is unknown comes last in both directions.
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * (numeric ? a.key - b.key : collator.compare(a.key, b.key));
    });
    keyed.forEach(function (entry) { body.appendChild(entry.row); });
    table.querySelectorAll("th[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  document.querySelectorAll("table").forEach(function (table) {
    if (table.tBodies[0].rows.length < 2) return;
    table.querySelectorAll("th[data-sort]").forEach(function (head) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        sort(table, head, head.cellIndex, head.getAttribute("data-sort") === "number");
      });
    });
  });
})();

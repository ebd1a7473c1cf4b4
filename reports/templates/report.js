// Lets a reader sort and filter the tables and keep an address of what is seen. Without it every row
// is there, dearest first.
(function () {
  "use strict";
  var FEW = 20; // Rows that need no filter.
  var FIRST = 25; // Rows of a long table that are shown before a reader asks for all; report.css knows it too.
  var collator = new Intl.Collator("en", { numeric: true });
  var views = {}; // By the id of the table.

  function make(name, attributes, text) {
    var element = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { element.setAttribute(key, attributes[key]); });
    if (text) element.textContent = text;
    return element;
  }

  function number(value) { return value.toLocaleString("en-US"); }

  function key(row, column, numeric) {
    var cell = row.cells[column];
    var value = cell.getAttribute("data-value");
    if (numeric) return value === null || value === "" ? null : Number(value);
    return value || cell.textContent.trim();
  }

  function View(block, table) {
    this.table = table;
    this.body = table.tBodies[0];
    this.rows = Array.prototype.slice.call(this.body.rows);
    this.caption = table.caption.textContent;
    this.heads = Array.prototype.slice.call(table.querySelectorAll("th[data-sort]"));
    this.facets = [];
    this.search = this.status = this.more = null;
    this.open = this.rows.length <= FIRST;
    this.sorted = null; // The column a reader chose, and whether it falls.
    this.addHeads();
    if (this.rows.length > FEW) this.addTools(block);
  }

  View.prototype.addHeads = function () {
    var view = this;
    this.heads.forEach(function (head) {
      var button = make("button", { type: "button" });
      while (head.firstChild) button.appendChild(head.firstChild);
      head.appendChild(button);
      button.addEventListener("click", function () {
        var before = head.getAttribute("aria-sort");
        view.sort(head, before ? before === "ascending" : head.getAttribute("data-sort") === "number");
        view.say(view.counted() + ", sorted by " + button.textContent + (view.sorted.falls ? ", falling" : ", rising"));
        view.keep();
      });
    });
  };

  View.prototype.addTools = function (block) {
    var view = this;
    var tools = make("div", { "class": "tools", role: "group", "aria-label": "Filter: " + this.caption });
    function field(label, input) {
      var wrapped = make("label", {}, label + " ");
      wrapped.appendChild(input);
      tools.appendChild(wrapped);
      input.addEventListener("input", function () { view.show(); view.keep(); });
      return input;
    }
    this.search = field("Filter", make("input", { type: "search", autocomplete: "off", spellcheck: "false" }));
    for (var place = 0; place < 8; place += 1) {
      var name = "data-facet-" + place;
      if (this.table.hasAttribute(name)) this.facets.push({ name: name, input: field(this.table.getAttribute(name), this.choice(name)) });
    }
    this.status = make("p", { role: "status" });
    tools.appendChild(this.status);
    block.insertBefore(tools, block.firstChild);
    if (!this.open) {
      this.more = make("button", { type: "button", "class": "more" });
      this.more.addEventListener("click", function () { view.open = !view.open; view.show(); });
      block.insertBefore(this.more, block.querySelector(".scroll").nextSibling);
    }
    this.show();
  };

  View.prototype.choice = function (name) {
    var select = make("select");
    var seen = new Set(this.rows.map(function (row) { return row.getAttribute(name); }));
    select.appendChild(make("option", { value: "" }, "all"));
    Array.from(seen).sort(collator.compare).forEach(function (value) {
      // A prefix tells an empty value, and one that says "all", from the choice of everything.
      select.appendChild(make("option", { value: "=" + value }, value || "none"));
    });
    return select;
  };

  View.prototype.sort = function (head, falls) {
    var column = head.cellIndex;
    var numeric = head.getAttribute("data-sort") === "number";
    var sign = falls ? -1 : 1;
    var body = this.body;
    var keyed = this.rows.map(function (row) { return { row: row, key: key(row, column, numeric) }; });
    keyed.sort(function (a, b) {
      // What is unknown comes last in both directions.
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * (numeric ? a.key - b.key : collator.compare(a.key, b.key));
    });
    this.rows = keyed.map(function (entry) { return entry.row; });
    var rows = document.createDocumentFragment();
    this.rows.forEach(function (row) { rows.appendChild(row); });
    body.appendChild(rows);
    this.heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    this.sorted = { column: this.heads.indexOf(head), falls: falls };
    this.show();
  };

  View.prototype.matches = function () {
    var words = this.search ? this.search.value.toLowerCase().split(/\s+/).filter(Boolean) : [];
    var wanted = this.facets.filter(function (facet) { return facet.input.value; });
    return this.rows.filter(function (row) {
      var fits = wanted.every(function (facet) { return "=" + row.getAttribute(facet.name) === facet.input.value; });
      if (!fits || !words.length) return fits;
      if (row.words === undefined) row.words = row.textContent.toLowerCase();
      return words.every(function (word) { return row.words.indexOf(word) >= 0; });
    });
  };

  View.prototype.show = function () {
    var view = this;
    var found = this.matches();
    var kept = new Set(found);
    this.found = found.length;
    this.shown = this.open ? found.length : Math.min(found.length, FIRST);
    this.rows.forEach(function (row) { row.classList.toggle("filtered", !kept.has(row)); });
    // These are only folded: they are printed.
    found.forEach(function (row, place) { row.classList.toggle("folded", place >= view.shown); });
    if (this.more) {
      this.more.hidden = this.found <= FIRST;
      this.more.textContent = this.open ? "Show the first " + FIRST : "Show all " + number(this.found) + " rows";
      this.more.setAttribute("aria-expanded", String(this.open));
    }
    this.table.classList.toggle("narrowed", this.found < this.rows.length);
    this.say(this.counted());
  };

  View.prototype.counted = function () {
    var all = this.rows.length;
    var text = number(this.shown) + " of " + number(all) + " rows shown";
    if (this.found === all) return text;
    return text + (this.shown < this.found ? ", " + number(this.found) + " match" : "")
      + (this.table.tFoot ? "; the closing rows count all" : "");
  };

  View.prototype.say = function (text) { if (this.status) this.status.textContent = text; };

  View.prototype.clear = function () {
    this.search.value = "";
    this.facets.forEach(function (facet) { facet.input.value = ""; });
  };

  // What a reader chose, as the page's address: #table?words&facet&sort.
  View.prototype.keep = function () {
    var kept = [];
    if (this.search && this.search.value) kept.push("q=" + encodeURIComponent(this.search.value));
    this.facets.forEach(function (facet) {
      if (facet.input.value) kept.push(facet.name.slice(5) + "=" + encodeURIComponent(facet.input.value.slice(1)));
    });
    if (this.sorted) kept.push("sort=" + this.sorted.column + (this.sorted.falls ? "-falling" : "-rising"));
    history.replaceState(null, "", "#" + this.table.id + (kept.length ? "?" + kept.join("&") : ""));
  };

  View.prototype.restore = function (query) {
    var view = this;
    var asked = new URLSearchParams(query);
    var sort = /^(\d{1,2})-(falling|rising)$/.exec(asked.get("sort") || "");
    if (this.search) this.search.value = asked.get("q") || "";
    this.facets.forEach(function (facet) {
      var value = asked.get(facet.name.slice(5));
      facet.input.value = value === null ? "" : "=" + value;
      if (facet.input.selectedIndex < 0) facet.input.value = "";
    });
    if (sort && view.heads[sort[1]]) view.sort(view.heads[sort[1]], sort[2] === "falling");
    else view.show();
  };

  // Leads to what the address names, wherever it is folded away.
  function follow() {
    var asked = location.hash.slice(1);
    var end = asked.indexOf("?");
    var target = document.getElementById(end < 0 ? asked : asked.slice(0, end));
    if (!target) return;
    var hidden = target.closest(".filtered, .folded, details:not([open])");
    if (end >= 0 && views[target.id]) views[target.id].restore(asked.slice(end + 1));
    for (var fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    var view = views[(target.closest("table") || target).id];
    if (view && target.matches("tr.filtered, tr.folded")) {
      if (target.matches(".filtered")) view.clear();
      view.open = true;
      view.show();
    }
    if (hidden || end >= 0) target.scrollIntoView();
  }

  var root = document.documentElement;
  root.classList.add("starting");
  document.addEventListener("DOMContentLoaded", function () {
    try {
      document.querySelectorAll(".table").forEach(function (block) {
        var table = block.querySelector("table");
        if (table.tBodies[0].rows.length > 1) views[table.id] = new View(block, table);
      });
    } finally {
      // From here on, or where anything went wrong, every row that is not folded by name is seen.
      root.classList.remove("starting");
    }
    follow();
    window.addEventListener("hashchange", follow);
  });

  // What is folded is printed all the same.
  var folds = [];
  window.addEventListener("beforeprint", function () {
    folds = Array.prototype.slice.call(document.querySelectorAll("details:not([open])"));
    folds.forEach(function (fold) { fold.open = true; });
  });
  window.addEventListener("afterprint", function () { folds.forEach(function (fold) { fold.open = false; }); });
})();

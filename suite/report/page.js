"use strict";
// What the page gains from a script: filters, sorting, copying, a card for each row, deep links, downloads.
(() => {
  const root = document.documentElement, $ = (id) => document.getElementById(id);
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  root.classList.add("scripted");

  // -- theme ---------------------------------------------------------------------------
  const dark = matchMedia("(prefers-color-scheme: dark)");
  $("theme").onclick = () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  };

  const make = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      key.startsWith("on") ? (made[key] = value) : made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // -- copying -------------------------------------------------------------------------
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages without a secure context, and browsers that ask first, have the old way.
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const before = button.textContent;
    button.textContent = "copied";
    setTimeout(() => (button.textContent = before), 900);
  }
  const shown = (element) => !element.hidden && getComputedStyle(element).display !== "none";
  const cells = (table) =>
    all("tr", table).filter(shown).map((line) => [...line.cells].filter(shown).map((cell) => cell.textContent.trim()));
  const quoted = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const asCsv = (table) => cells(table).map((line) => line.map(quoted).join(",")).join("\n") + "\n";
  function asMarkdown(table) {
    const [head, ...lines] = cells(table);
    return [head, head.map(() => "---"), ...lines]
      .map((line) => `| ${line.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n") + "\n";
  }

  // -- sorting -------------------------------------------------------------------------
  const UNITS = { s: 1, ms: 1e-3, us: 1e-6, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
  function valueOf(text) {
    const found = /^[~+*\s]*(-?[\d.]+(?:e[-+]?\d+)?)\s*([A-Za-z%]*)/.exec(text);
    return found ? Number(found[1]) * (UNITS[found[2]] ?? 1) : null;
  }
  function sort(head) {
    const table = head.closest("table"), place = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    all("th", table.tHead).forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = [...table.tBodies[0].rows].map((line) => {
      const text = line.cells[place]?.textContent.trim() ?? "";
      return { line, text, value: head.classList.contains("t") ? null : valueOf(text) };
    });
    const sign = down ? -1 : 1;
    // What has no value stands last either way.
    keyed.sort((a, b) => (a.text === "") - (b.text === "") || (a.value === null) - (b.value === null) ||
      sign * (a.value !== null ? a.value - b.value : a.text.localeCompare(b.text, undefined, { numeric: true })));
    table.tBodies[0].append(...keyed.map((each) => each.line));
  }
  for (const table of all("table")) {
    if (table.closest("details.layer")) continue;
    equip(table);
  }
  function equip(table) {
    if (table.dataset.equipped) return;
    table.dataset.equipped = "1";
    const csv = make("button", { type: "button", onclick: () => copy(asCsv(table), csv) }, "copy CSV");
    const md = make("button", { type: "button", onclick: () => copy(asMarkdown(table), md) }, "copy Markdown");
    const tools = make("div", { class: "tools" }, csv, md);
    // What is hidden with its circumstances hides its buttons as well.
    if (table.parentElement.dataset.c) tools.dataset.c = table.parentElement.dataset.c;
    table.parentElement.before(tools);
    for (const head of all("thead th", table)) {
      head.tabIndex = 0;
      head.onclick = () => sort(head);
      head.onkeydown = (event) => { if (event.key === "Enter") sort(head); };
    }
  }
  // Hundreds of tables of layers get their buttons when they are opened.
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.matches?.("details.layer")) all("table", event.target).forEach(equip);
  }, true);

  // -- rows ----------------------------------------------------------------------------
  const facts = $("facts") ? JSON.parse($("facts").textContent) : { circumstances: [] };
  async function unpacked(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }
  function readCsv(text) {
    const lines = [];
    let line = [], cell = "", inside = false;
    for (let i = 0; i < text.length; i++) {
      const letter = text[i];
      if (inside) {
        if (letter !== '"') cell += letter;
        else if (text[i + 1] === '"') { cell += '"'; i++; }
        else inside = false;
      } else if (letter === '"') inside = true;
      else if (letter === ",") { line.push(cell); cell = ""; }
      else if (letter === "\n") { line.push(cell); lines.push(line); line = []; cell = ""; }
      else if (letter !== "\r") cell += letter;
    }
    return lines;
  }
  let rows = [], names = [], csvText = "", samples = {};
  const row = (i) => Object.fromEntries(names.map((name, k) => [name, rows[i]?.[k] ?? ""]));
  async function readRows() {
    if ($("rowsdata")) {
      csvText = await unpacked($("rowsdata").href.split(",")[1]);
      [names, ...rows] = readCsv(csvText);
      const save = (name, kind, text) => make("button", { type: "button", onclick: () => {
        const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text()], { type: kind })) });
        link.click();
        URL.revokeObjectURL(link.href);
      } }, name);
      $("downloads").append(save("rows.csv", "text/csv", () => csvText), " ", save("rows.json", "application/json",
        () => JSON.stringify({ schema: facts.schema, rows: rows.map((_, i) => row(i)) })));
    }
    if ($("samples")) samples = JSON.parse(await unpacked($("samples").textContent));
  }

  // -- the card of a row ---------------------------------------------------------------
  const THREE = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));
  const span = (text) => {
    const value = Number(text);
    return value >= 1 ? `${THREE(value)} s` : value >= 1e-3 ? `${THREE(value * 1e3)} ms` : `${THREE(value * 1e6)} us`;
  };
  const bytes = (value) => (value < 1024 ? `${value} B` : value < 1048576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1048576).toFixed(1)} MiB`);
  const CARD = [
    ["time", "time_s", span], ["least sample", "time_min_s", span], ["useful speed", "useful_gflops", (v) => `${THREE(+v)} GFLOP/s`],
    ["of the limit", "pct_of_peak", (v) => `${(+v).toFixed(1)} %`], ["vs best peer", "speedup_vs_best_peer", (v) => `${(+v).toFixed(2)}x`],
    ["ratio", "ratio", (v, r) => `${(+v).toFixed(3)} to ${r.reference}` + (r.ratio_low ? ` (${(+r.ratio_low).toFixed(3)} .. ${(+r.ratio_high).toFixed(3)})` : "")],
    ["error", "rel_error", (v) => (+v).toExponential(1)], ["workspace", "workspace_bytes", (v) => bytes(+v)],
    ["prepare", "prepare_s", span], ["compile", "compile_s", span], ["first call", "first_call_s", span], ["note", "reason", (v) => v],
  ];
  function commandOf(r) {
    if (r.source === "asv") return `asv run --bench time_call ${r.commit}^!`;
    if (r.source === "pytest-benchmark") return `pytest suite/pytest_bench --benchmark-only -k ${r.algorithm}`;
    const what = r.problem.includes(":") ? `blocks --block ${r.problem}` : `run --problem ${r.problem}`;
    const others = r.reference && r.reference !== r.algorithm ? ` --contender ${r.reference}` : "";
    return `convmark ${what} --contender ${r.algorithm}${others} --threads ${r.threads}${r.cache === "cold" ? " --cache cold" : ""}`;
  }
  function strip(found) {
    const every = found.flat(), low = Math.min(...every), high = Math.max(...every), wide = high - low || 1;
    const marks = found.map((own, i) => own.map((value) =>
      `<circle cx="${4 + (312 * (value - low)) / wide}" cy="${9 + 13 * i}" r="3"/>`).join("")).join("");
    const box = make("div");
    box.innerHTML = `<svg viewBox="0 0 320 ${13 * found.length + 22}" role="img" aria-label="samples by process">${marks}` +
      `<text x="0" y="${13 * found.length + 18}" font-size="10" fill="currentColor">${span(low / 1e6)}</text>` +
      `<text x="320" y="${13 * found.length + 18}" font-size="10" text-anchor="end" fill="currentColor">${span(high / 1e6)}</text></svg>`;
    return box;
  }
  const tip = $("tip");
  let pinned = false;
  function card(mark, event) {
    const i = mark.dataset.r, r = row(i);
    if (!r.problem) return;
    const list = make("dl");
    for (const [words, name, write] of CARD)
      if (r[name] !== "") list.append(make("dt", {}, words), make("dd", {}, write(r[name], r)));
    const command = commandOf(r), button = make("button", { type: "button", onclick: () => copy(command, button) }, "copy command");
    const close = make("button", { type: "button", class: "close", title: "close", onclick: hide }, "\u00d7");
    tip.replaceChildren(close, make("b", {}, r.contender), ` ${r.status === "ok" ? "" : r.status}`, make("br"),
      `${r.network}/${r.layer}`, make("br"), make("code", {}, r.problem), ` ${r.circumstances}`, list);
    if (samples[i]) tip.append(make("span", { class: "how" }, "Samples, a line per process:"), strip(samples[i]));
    tip.append(make("pre", {}, command), button);
    tip.hidden = false;
    const box = tip.getBoundingClientRect(), gap = 14;
    const x = Math.min(event.clientX + gap, innerWidth - box.width - 10);
    const y = event.clientY + gap + box.height > innerHeight ? event.clientY - gap - box.height : event.clientY + gap;
    tip.style.left = `${Math.max(8, x)}px`;
    tip.style.top = `${Math.max(8, Math.min(y, innerHeight - box.height - 8))}px`;
  }
  function hide() { tip.hidden = true; pinned = false; }
  document.addEventListener("mouseover", (event) => {
    const mark = event.target.closest?.("[data-r]");
    if (pinned) return;
    mark ? card(mark, event) : tip.contains(event.target) || hide();
  });
  document.addEventListener("click", (event) => {
    const mark = event.target.closest?.("[data-r]");
    if (mark) { card(mark, event); pinned = true; } else if (!tip.contains(event.target)) hide();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", () => { if (!pinned) hide(); }, { passive: true });

  // -- filters -------------------------------------------------------------------------
  const lines = all("table.map tbody tr"), layers = all("details.layer");
  // Of several circumstances the first are shown until others are asked for.
  const first = facts.circumstances.length > 1 ? "0" : "";
  const state = { circumstances: first, network: "", contender: "", kind: "", batch: "", show: "", text: "" };
  const PRESETS = {
    "": "every layer", lose: "only where we lose", close: "within 5 % of the best peer", win: "1.5x ahead and more",
    bad: "wrong, failed or mistrusted",
  };
  const isShown = (line, place) => {
    const speedup = line.dataset.s ? Number(line.dataset.s) : null;
    const fits = { "": true, lose: speedup !== null && speedup < 1, close: speedup !== null && Math.abs(speedup - 1) <= 0.05,
      win: speedup !== null && speedup >= 1.5, bad: "bad" in line.dataset }[state.show];
    return fits && (!state.circumstances || state.circumstances === place) && (!state.network || state.network === line.dataset.n) &&
      (!state.kind || state.kind === line.dataset.k) && (!state.batch || state.batch === line.dataset.b) &&
      (!state.text || line.cells[0].textContent.toLowerCase().includes(state.text.toLowerCase()));
  };
  function apply() {
    const logs = [], keys = new Set(), places = new Set(), active = Object.values(state).some(Boolean);
    let count = 0, ahead = 0;
    for (const line of lines) {
      const place = line.closest("[data-c]").dataset.c, on = isShown(line, place);
      line.hidden = !on;
      if (!on) continue;
      keys.add(`${place} ${line.cells[0].textContent}`);
      places.add(line.cells[0].textContent);
      count++;
      if (line.dataset.s) { logs.push(Math.log(line.dataset.s)); ahead += line.dataset.s > 1; }
    }
    for (const part of all("main [data-c]"))
      if (!part.matches("details.layer")) part.hidden = state.circumstances !== "" && part.dataset.c !== state.circumstances;
    for (const each of layers) each.hidden = !keys.has(`${each.dataset.c} ${each.dataset.l}`);
    for (const table of all("table.map")) {
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, i) => {
        const off = i > 0 && state.contender !== "" && head.dataset.who !== state.contender;
        if (head.hidden !== off) for (const line of table.rows) if (line.cells[i]) line.cells[i].hidden = off;
      });
    }
    if (rows.length) {
      const at = Object.fromEntries(names.map((name, k) => [name, k]));
      for (const mark of all("svg.plot [data-r], details.layer tr[data-r]")) {
        const own = rows[mark.dataset.r], name = `${own[at.network]}/${own[at.layer]}`;
        // A plot that compares circumstances belongs to none.
        const place = mark.closest("[data-c]")?.dataset.c;
        const layer = place === undefined ? places.has(name) : keys.has(`${place} ${name}`);
        // The bars of the answer are of the fastest contender: choosing another does not filter them.
        const who = !state.contender || own[at.contender] === state.contender || mark.matches("rect");
        mark.style.display = !active || (layer && who) ? "" : "none";
      }
      for (const each of all("svg.plot g[data-who]"))
        each.style.display = !state.contender || each.dataset.who === state.contender ? "" : "none";
    }
    // Bars that are left stand side by side.
    for (const plot of all("svg.bars")) {
      const bars = all("rect", plot).filter((bar) => bar.style.display !== "none");
      bars.forEach((bar, k) => {
        bar.setAttribute("x", `${(100 * (k + 0.1)) / bars.length}%`);
        bar.setAttribute("width", `${Math.min(80 / bars.length, 8)}%`);
      });
    }
    root.classList.toggle("one-network", state.network !== "");
    const mean = logs.length ? Math.exp(logs.reduce((a, b) => a + b, 0) / logs.length) : null;
    $("told").textContent = `${count} layers` +
      (mean ? `; fastest of ours ${mean.toFixed(2)}x the best peer, faster on ${ahead} of ${logs.length}` : "");
    const said = new URLSearchParams(Object.entries(state).filter(([name, value]) =>
      value !== (name === "circumstances" ? first : ""))).toString();
    if (!location.hash.startsWith("#layer=") && (said || /[#&](show|network|contender|kind|batch|circumstances|text)=/.test(location.hash)))
      history.replaceState(null, "", said ? `#${said}` : location.pathname + location.search);
  }
  function control(name, words, options) {
    if (options.length < 2) return;
    const select = make("select", { id: `filter-${name}`, "aria-label": words, onchange: () => { state[name] = select.value; apply(); } });
    select.append(make("option", { value: "" }, words), ...options.map(([value, said]) => make("option", { value }, said)));
    $("filters").append(select);
  }
  function set(name, value) {
    state[name] = value;
    if ($(`filter-${name}`)) $(`filter-${name}`).value = value;
  }
  const values = (read) => [...new Set(lines.map(read))].map((value) => [value, value]);
  if (lines.length) {
    control("circumstances", "all circumstances", facts.circumstances.map((said, i) => [String(i), said]));
    control("network", "all networks", values((line) => line.dataset.n));
    control("contender", "all contenders", [...new Set(all("th.v").map((head) => head.dataset.who))].map((name) => [name, name]));
    control("kind", "all kinds", values((line) => line.dataset.k).sort());
    control("batch", "all batches", values((line) => line.dataset.b).map(([value]) => [value, `batch ${value}`]));
    const preset = make("select", { id: "filter-show", "aria-label": "preset", onchange: () => { state.show = preset.value; apply(); } },
      ...Object.entries(PRESETS).map(([value, said]) => make("option", { value }, said)));
    const search = make("input", { id: "filter-text", type: "search", placeholder: "layer", size: 9, "aria-label": "layer's name",
      oninput: () => { state.text = search.value; apply(); } });
    const clear = make("button", { type: "button", onclick: () => {
      for (const name in state) set(name, name === "circumstances" ? first : "");
      apply();
    } }, "reset");
    $("filters").append(preset, search, clear, make("span", { id: "told", "aria-live": "polite" }));
    set("circumstances", first);
  } else $("filters").remove();

  // -- deep links ----------------------------------------------------------------------
  function follow() {
    const said = decodeURIComponent(location.hash.slice(1));
    const target = said && $(location.hash.slice(1)) || $(said);
    if (target?.matches("details.layer")) { if (first) set("circumstances", target.dataset.c); apply(); target.open = true; target.hidden = false; target.scrollIntoView(); return; }
    if (target || !said.includes("=")) return;
    for (const [name, value] of new URLSearchParams(said)) {
      if (!(name in state)) continue;
      set(name, value);
    }
  }
  addEventListener("hashchange", () => { follow(); if (lines.length) apply(); });
  readRows().then(() => { follow(); if (lines.length) apply(); root.dataset.ready = "1"; });
})();

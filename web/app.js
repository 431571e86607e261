// SPDX-License-Identifier: Apache-2.0
//
// The dashboard: draws what /api/v1/events tells, once a second. Names come from certificates of strangers: whatever is
// shown is set as text, never as HTML.
"use strict";

const PAST_SECONDS = 300;
const SILENCE_MS = 5000;
const AGAIN_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);

/* Elements. What has not changed is left alone, so that focus, selection and screen readers are not disturbed. */

function make(tag, classes, ...children) {
  const element = document.createElement(tag);
  element.className = classes ?? "";
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setClass(element, classes) {
  if (element.className !== classes) element.className = classes;
}

function setTitle(element, text) {
  if (element.title !== text) element.title = text;
}

// Makes the children of `parent` those of `items`, in their order: kept where the key is the same.
function setChildren(parent, items, keyOf, create, update) {
  const old = new Map([...parent.children].map((child) => [child.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = create(item);
      child.key = key;
    }
    if (child !== place) parent.insertBefore(child, place);
    else place = place.nextElementSibling;
    update(child, item);
  }
  for (const child of old.values()) child.remove();
}

// One row for each item, or a sentence where there is none.
function setRows(table, items, keyOf, columns, update, empty) {
  const create = (item) => {
    if (item === null) {
      const cell = make("td", "", empty);
      cell.colSpan = columns.length;
      return make("tr", "empty", cell);
    }
    const cells = columns.map((classes, index) => make(index === 0 ? "th" : "td", classes));
    cells[0].scope = "row";
    return make("tr", "", ...cells);
  };
  const list = items.length > 0 ? items : [null];
  setChildren(table.tBodies[0], list, (item) => (item === null ? "" : `=${keyOf(item)}`), create,
    (row, item) => item !== null && update(row, item, row.cells));
}

function setName(cell, name, sub) {
  if (!cell.firstChild) cell.append(make("bdi"), make("span", "sub"));
  setText(cell.children[0], name);
  setText(cell.children[1], sub);
}

/* Words and numbers */

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = (number) => (number < 100000 ? whole.format(number) : short.format(number));

function rate(number) {
  const tenths = Math.round(number * 10) / 10;
  return tenths < 10 && !Number.isInteger(tenths) ? tenths.toFixed(1) : count(Math.round(number));
}

const plural = (number, word) => `${whole.format(number)} ${word}${number === 1 ? "" : "s"}`;

function bytes(number) {
  const units = ["B/s", "kB/s", "MB/s", "GB/s"];
  let unit = 0;
  for (; number >= 1000 && unit < units.length - 1; unit++) number /= 1000;
  return `${number < 10 && unit > 0 ? number.toFixed(1) : Math.round(number)} ${units[unit]}`;
}

function duration(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s / 3600) % 24)} h`;
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

/* Overview */

const tiles = [
  { name: "Open connections", value: (f) => count(f.now.active), sub: (f) => `of at most ${count(f.max_connections)}` },
  { name: "New per second", value: (f) => rate(f.now.rate), sub: () => "accepted" },
  { name: "Refused per second", value: (f) => rate(f.now.refusing), sub: (f) => `${count(f.refusals.total)} since the start`,
    bad: (f) => f.now.refusing > 0 },
  { name: "To upstreams", value: (f) => bytes(f.now.to_upstream), sub: () => "from clients" },
  { name: "To clients", value: (f) => bytes(f.now.to_client), sub: () => "from upstreams" },
  { name: "Upstreams up", value: (f) => `${count(f.upstreams.up)} of ${count(f.upstreams.total)}`,
    sub: (f) => (troubled(f) === 0 ? "all healthy" : `${count(troubled(f))} in trouble`), bad: (f) => troubled(f) > 0 },
];

const troubled = (figures) => figures.upstreams.ejected + figures.upstreams.down;

function drawTiles(figures) {
  const create = (tile) => make("div", "", make("dt", "", tile.name), make("dd"), make("dd", "small"));
  setChildren(at("tiles"), tiles, (tile) => tile.name, create, (element, tile) => {
    setClass(element, tile.bad?.(figures) ? "bad" : "");
    setText(element.children[1], tile.value(figures));
    setText(element.children[2], tile.sub(figures));
  });
}

const charts = [
  { name: "Open connections", series: [{ name: "open", color: 1, key: "", of: (m) => m.active }], format: count },
  { name: "Connections per second", format: rate, series: [
    { name: "new", color: 1, key: "", of: (m) => m.rate }, { name: "refused", color: 2, key: " second", of: (m) => m.refusing }] },
  { name: "Traffic", format: bytes, series: [
    { name: "to clients", color: 1, key: "", of: (m) => m.to_client },
    { name: "to upstreams", color: 3, key: " third", of: (m) => m.to_upstream }] },
];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const chartColors = (chart) => ({
  colors: chart.series.map((series) => color(`--chart${series.color}`)),
  gridLineColor: color("--grid"),
  axisLineColor: color("--grid"),
});

function openChart(chart) {
  chart.keys = chart.series.map((series) => make("span", `key${series.key}`));
  chart.element = make("div", "chart");
  chart.element.setAttribute("role", "img");
  const caption = make("figcaption", "", make("b", "", chart.name), ...chart.keys);
  at("charts").append(make("figure", "card", caption, chart.element));
  chart.rows = [[new Date(), ...chart.series.map(() => null)]];
  chart.graph = new Dygraph(chart.element, chart.rows, {
    labels: ["time", ...chart.series.map((series) => series.name)],
    legend: "never", interactionModel: {}, fillGraph: true, fillAlpha: 0.12, strokeWidth: 1.8, drawPoints: false,
    highlightCircleSize: 3, includeZero: true, xRangePad: 0, rightGap: 8, ...chartColors(chart),
    axes: {
      x: { axisLabelFormatter: (date) => clock(date / 1000).slice(0, 5), pixelsPerLabel: 70, drawGrid: false,
        ticker: Dygraph.dateTicker },
      y: { axisLabelFormatter: (number) => chart.format(number), axisLabelWidth: 58, pixelsPerLabel: 32 },
    },
    highlightCallback: (event, x, points) => showValues(chart, points.map((point) => point.yval)),
    unhighlightCallback: () => showValues(chart, chart.rows.at(-1).slice(1)),
  });
}

function showValues(chart, values) {
  chart.series.forEach((series, index) =>
    setText(chart.keys[index], `${series.name} ${values[index] === null ? "" : chart.format(values[index])}`));
}

function addMoment(moment) {
  for (const chart of charts) {
    const last = chart.rows.at(-1);
    // After a pause the line is broken.
    if (last && moment.time * 1000 - last[0] > 3000)
      chart.rows.push([new Date(+last[0] + 1), ...chart.series.map(() => null)]);
    chart.rows.push([new Date(moment.time * 1000), ...chart.series.map((series) => series.of(moment))]);
    while (chart.rows[0][0] < moment.time * 1000 - PAST_SECONDS * 1000) chart.rows.shift();
  }
}

function drawCharts() {
  for (const chart of charts) {
    const now = +chart.rows.at(-1)[0], top = Math.max(...chart.rows.flatMap((row) => row.slice(1)), 0);
    chart.graph.updateOptions({ file: chart.rows, dateWindow: [now - PAST_SECONDS * 1000, now],
      valueRange: [0, Math.max(top * 1.15, 4)] });
    if (chart.graph.getSelection() < 0) showValues(chart, chart.rows.at(-1).slice(1));
    chart.element.setAttribute("aria-label", `${chart.name} in the last five minutes, at most ${chart.format(top)}`);
  }
}

/* Upstreams */

const signs = { up: "●", ejected: "▲", down: "✕", drain: "◐", disabled: "■" };
const sentences = {
  up: "Up: checks succeed",
  ejected: "Ejected: real connections failed, it is spared for a while",
  down: "Down: checks fail",
  drain: "Drained by hand: no new connections",
  disabled: "Disabled by hand",
};

function setState(cell, upstream) {
  const words = [upstream.health, ...(upstream.state === "enabled" ? [] : [upstream.state])];
  setChildren(cell, words, (word) => word, (word) => {
    const sign = make("span", "", signs[word]);
    sign.setAttribute("aria-hidden", "true");
    return make("span", `state ${word}`, sign, word);
  }, (badge, word) => setTitle(badge, sentences[word]));
}

function setMeter(cell, value, most) {
  if (!cell.firstChild) cell.append(make("span"), make("span"));
  setText(cell.children[0], most === null ? count(value) : `${count(value)} of ${count(most)}`);
  setClass(cell.children[1], most === null ? "meter bare" : value >= most ? "meter full" : "meter");
  cell.children[1].style.setProperty("--share", most === null ? "0%" : `${Math.min(100, (100 * value) / most)}%`);
}

// A bar of connections and a foot of health for every five seconds; the newest is on the right. Clients have no health.
function setSpark(cell, upstream) {
  const { name, history, health_history: health = "" } = upstream, key = history.join() + health;
  if (cell.drawn === key) return;
  cell.drawn = key;
  const marks = 60, top = Math.max(...history, 1), svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${marks * 4} 34`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  if (health !== "") svg.setAttribute("class", "health");
  const bad = [...health].filter((mark) => mark !== "u").length;
  svg.setAttribute("aria-label", `${name} in the last five minutes: at most ${plural(top, "connection")}` +
    (health === "" ? "" : bad === 0 ? ", always up" : `, in trouble for ${duration(bad * 5)}`));
  history.forEach((active, index) => {
    const x = (marks - history.length + index) * 4, height = active === 0 ? 0 : Math.max(1, (25 * active) / top);
    svg.append(rectangle("bar", x, 26 - height, height), rectangle(health[index] ?? "n", x, 29, 5));
  });
  cell.replaceChildren(svg);
}

function rectangle(classes, x, y, height) {
  const element = document.createElementNS(SVG, "rect");
  const attributes = { class: classes, x, y, width: 3, height };
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function createPool() {
  const head = make("tr");
  for (const [text, classes] of [["Upstream"], ["State"], ["Open"], ["New per second", "number wide"],
    ["Failures", "number wide"], ["Last 5 minutes", "spark"]]) {
    const cell = make("th", classes, text);
    cell.scope = "col";
    head.append(cell);
  }
  return make("div", "card", make("table", "pool", make("caption"), make("thead", "", head), make("tbody")));
}

function drawUpstream(row, upstream, cells) {
  const notes = [upstream.address, upstream.weight === 1 ? "" : `weight ${upstream.weight}`, upstream.backup ? "backup" : ""];
  setClass(row, upstream.health);
  setName(cells[0], upstream.name, notes.filter(Boolean).join(" · "));
  setState(cells[1], upstream);
  setMeter(cells[2], upstream.active, upstream.max_connections);
  setText(cells[3], rate(upstream.rate));
  setText(cells[4], count(upstream.failures));
  setSpark(cells[5], upstream);
}

function drawPool(card, pool) {
  const table = card.firstChild, more = pool.total - pool.upstreams.length;
  const words = [`${pool.up} of ${plural(pool.total, "upstream")} up`, pool.down && `${pool.down} down`,
    pool.ejected && `${pool.ejected} ejected`, `${plural(pool.active, "connection")}`, more && `${whole.format(more)} not shown`];
  setText(table.caption, `Pool ${pool.name}: ${words.filter(Boolean).join(", ")}`);
  setRows(table, pool.upstreams, (upstream) => upstream.name, ["", "", "", "number wide", "number wide", "spark"], drawUpstream, "");
}

function drawPools(figures) {
  const shown = figures.pools.reduce((sum, pool) => sum + pool.upstreams.length, 0);
  setText(at("upstreams-note"), shown === figures.upstreams.total ? ""
    : `${whole.format(shown)} of ${whole.format(figures.upstreams.total)} shown: those in trouble and the busiest`);
  setChildren(at("pools"), figures.pools, (pool) => pool.name, createPool, drawPool);
}

/* Clients */

function limitText(client) {
  return client.limit === null ? "no limit" : `${rate(client.limit.per_second)} a second, ${count(client.limit.burst)} at once`;
}

function drawClient(row, client, cells) {
  setName(cells[0], client.name, "");
  setMeter(cells[1], client.active, client.max_connections);
  setText(cells[2], limitText(client));
  setText(cells[3], count(client.refused));
  setText(cells[4], rate(client.refusing));
  setSpark(cells[5], client);
}

function drawClients(figures) {
  const clients = figures.clients, lists = [
    { caption: "Most connections", clients: clients.by_active, empty: "The configuration names no clients." },
    { caption: "Most refused, lately", clients: clients.by_refused, empty: "No client of the configuration was refused." },
  ];
  setText(at("clients-note"), `${plural(clients.total, "client")} in the configuration; all others together: ` +
    `${plural(clients.other.active, "connection")}, ${whole.format(clients.other.refused)} refused; ` +
    `refused before they were known: ${whole.format(clients.unidentified.refused)}`);
  const columns = [["Client"], ["Connections"], ["New, at most", "wide"], ["Refused", "number"],
    ["Per second", "number wide"], ["Last 5 minutes", "spark wide"]];
  const create = (list) => {
    const head = make("tr", "", ...columns.map(([text, classes]) => make("th", classes, text)));
    for (const cell of head.cells) cell.scope = "col";
    return make("div", "card", make("table", "clients", make("caption", "", list.caption), make("thead", "", head), make("tbody")));
  };
  setChildren(at("clients"), lists, (list) => list.caption, create, (card, list) => {
    setRows(card.firstChild, list.clients, (client) => client.name, columns.map(([, classes]) => classes), drawClient, list.empty);
  });
}

/* Refusals */

function drawReasons(figures) {
  const reasons = figures.refusals.reasons.toSorted((a, b) => b.count - a.count);
  setText(at("refusals-note"), `${plural(figures.refusals.total, "connection")} since the start`);
  setRows(at("reasons"), reasons, (reason) => reason.reason, ["", "number", "number"], (row, reason, cells) => {
    setName(cells[0], reason.reason, reason.sentence);
    setText(cells[1], count(reason.count));
    setText(cells[2], rate(reason.rate));
  }, "Nobody was refused.");
}

function createRefusal(refusal) {
  if (refusal === null) return make("li", "muted", "None yet.");
  const time = make("time", "muted", clock(refusal.time)), who = make("bdi", "", refusal.client || refusal.identity);
  time.dateTime = new Date(refusal.time * 1000).toISOString();
  const item = make("li", "", time, make("p", "", make("b", "", who), ": ", refusal.sentence));
  if (refusal.detail) item.append(make("p", "", make("bdi", "", refusal.detail)));
  const identity = make("bdi", "", refusal.identity), at = ` from ${refusal.peer} on ${refusal.listener}`;
  item.append(make("p", "muted", make("code", "", refusal.reason), " · ", identity, at));
  return item;
}

function drawRefusals(figures) {
  const last = figures.refusals.last.length > 0 ? figures.refusals.last : [null];
  setChildren(at("last"), last, (refusal) => (refusal ? `${refusal.id} ${refusal.time}` : ""), createRefusal, () => {});
}

/* Listeners */

function drawListeners(figures) {
  const more = figures.listener_total - figures.listeners.length;
  setText(at("listeners-note"), more > 0 ? `${whole.format(more)} more are not shown` : "");
  setRows(at("listeners"), figures.listeners, (listener) => listener.name, ["", "", "number", "number", "number wide", "number wide"],
    (row, listener, cells) => {
      setName(cells[0], listener.name, `${listener.address} · ${listener.tls ? "TLS" : "plain"}`);
      setText(cells[1], listener.pool);
      setText(cells[2], count(listener.active));
      setText(cells[3], rate(listener.rate));
      setText(cells[4], bytes(listener.to_upstream));
      setText(cells[5], bytes(listener.to_client));
    }, "");
}

/* Reloads */

const outcomes = {
  done: ["●", "What runs now is what the file says"],
  refused: ["✕", "The file has errors; nothing was changed"],
  busy: ["▲", "The balancer was draining; nothing was changed"],
  failed: ["✕", "Out of memory; nothing was changed"],
};

function createReload(reload) {
  if (reload === null) return make("li", "muted", "None since the start.");
  const [sign, sentence] = outcomes[reload.result] ?? ["", ""];
  const time = make("time", "muted", clock(reload.time)), mark = make("span", "", sign);
  time.dateTime = new Date(reload.time * 1000).toISOString();
  mark.setAttribute("aria-hidden", "true");
  const item = make("li", "", time, make("span", `state ${reload.result}`, mark, reload.result), ` ${sentence}`);
  const lines = [...reload.lines, ...reload.warnings].map((line) => make("li", "", line));
  const more = reload.line_total + reload.warning_total - lines.length;
  if (more > 0) lines.push(make("li", "muted", `${whole.format(more)} more: see weir status --json`));
  if (lines.length > 0) item.append(make("ul", "", ...lines));
  else if (reload.result === "done") item.append("; nothing has changed");
  return item;
}

function drawReloads(figures) {
  const reloads = figures.reloads.length > 0 ? figures.reloads : [null];
  setChildren(at("reloads"), reloads, (reload) => (reload ? `${reload.time}` : ""), createReload, () => {});
}

/* News, for those who do not see the colours */

let known = null;

function tellNews(figures) {
  const states = new Map(figures.pools.flatMap((pool) => pool.upstreams.map((upstream) =>
    [`${upstream.name} in pool ${pool.name}`, upstream.state === "enabled" ? upstream.health : upstream.state])));
  const news = [...states].filter(([name, state]) => known?.has(name) && known.get(name) !== state);
  if (news.length > 0) setText(at("news"), news.slice(0, 5).map(([name, state]) => `${name} is ${state}`).join("; "));
  known = states;
}

/* The link to the balancer */

let heard = Date.now();

function setLink(state, text) {
  setClass(document.body, state);
  setText(at("link-text"), text);
}

function draw(figures) {
  heard = Date.now();
  setLink(figures.draining ? "draining" : "live", figures.draining ? "Draining" : "Live");
  document.title = troubled(figures) > 0 ? `${troubled(figures)} in trouble · Weir` : "Weir";
  const busy = figures.workers.map((ratio) => `${Math.round(ratio * 100)} %`).join(", ");
  setText(at("about"), `${figures.version} on ${location.host} · up ${duration(figures.uptime)} · ${figures.io} · ` +
    `${plural(figures.workers.length, "worker")}, busy ${busy}`);
  addMoment(figures.now);
  for (const part of [drawTiles, drawCharts, drawPools, drawReasons, drawRefusals, drawClients, drawListeners, drawReloads,
    tellNews])
    part(figures);
}

function listen() {
  const source = new EventSource("/api/v1/events");
  source.addEventListener("past", (event) => {
    for (const chart of charts) chart.rows = [];
    JSON.parse(event.data).slice(0, -1).forEach(addMoment);
  });
  source.addEventListener("message", (event) => draw(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    setLink("lost", "Disconnected, trying again");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend); // it sets styles as text
charts.forEach(openChart);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
  charts.forEach((chart) => chart.graph.updateOptions(chartColors(chart))));
setInterval(() => {
  if (Date.now() - heard > SILENCE_MS) setLink("lost", "Disconnected, trying again");
}, 1000);
listen();

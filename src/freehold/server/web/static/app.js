// What pages do beside being read: keep states and times fresh, follow logs, ask before something stops, draw durations.
// Every page works for reading without this file. Needs htmx, its sse extension, and on some pages uPlot.
"use strict";

// ---------------------------------------------------------------------------------------------- one live connection
// A page that nobody looks at holds no connection: browsers allow six to a server, over all tabs.

class LiveSource extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.names = new Set();
    this.tries = 0;
    this.closed = false;
    this.onopen = this.onerror = null;
    this.watch = () => (document.hidden ? this.#drop() : this.#connect());
    document.addEventListener("visibilitychange", this.watch);
    if (!document.hidden) this.#connect();
  }

  get readyState() {
    return this.closed ? EventSource.CLOSED : this.source?.readyState === EventSource.OPEN ? EventSource.OPEN : EventSource.CONNECTING;
  }

  addEventListener(name, listener, options) {
    super.addEventListener(name, listener, options);
    if (this.names.has(name)) return;
    this.names.add(name);
    this.source?.addEventListener(name, (event) => this.#forward(event));
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.watch);
    this.#drop();
  }

  #connect() {
    if (this.closed || this.source) return;
    const source = (this.source = new EventSource(this.url));
    for (const name of this.names) source.addEventListener(name, (event) => this.#forward(event));
    source.onopen = () => {
      this.tries = 0;
      this.dispatchEvent(new Event("connected"));
      this.onopen?.();
    };
    source.onerror = () => {
      this.dispatchEvent(new Event("lost"));
      if (source.readyState === EventSource.CLOSED) leaveWhenSignedOut(); // refused, not out of reach
      this.#drop();
      this.timer = setTimeout(() => document.hidden || this.#connect(), Math.min(1000 * 2 ** this.tries++, 30000));
    };
  }

  #drop() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  #forward(event) {
    this.dispatchEvent(new MessageEvent(event.type, { data: event.data }));
  }
}

htmx.createEventSource = (url) => {
  const source = new LiveSource(url);
  let before = false;
  source.addEventListener("connected", () => {
    showLink(true);
    if (before) refresh(); // something may have happened while nobody listened
    before = true;
  });
  source.addEventListener("lost", () => showLink(false));
  return source;
};

async function leaveWhenSignedOut() {
  const answer = await fetch("/v1/status").catch(() => null);
  if (answer?.status === 401) location.reload(); // the form to sign in leads back here
}

function showLink(up) {
  const state = document.getElementById("link-state");
  if (!state) return;
  state.hidden = false;
  state.textContent = up ? "Live" : "Reconnecting…";
  state.classList.toggle("lost", !up);
}

function refresh() {
  const live = document.getElementById("live");
  if (live) htmx.trigger(live, "refresh");
}

// ------------------------------------------------------------------------------------------- refresh without disturbing

let lastDrawn = "";
let openDetails = new Map();

function busyReading() {
  const selection = getSelection();
  const live = document.getElementById("live");
  const selecting = selection && !selection.isCollapsed && live?.contains(selection.anchorNode);
  return document.hidden || selecting || document.querySelector("dialog[open]");
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id === "live" && busyReading()) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id !== "live") return;
  const text = event.detail.xhr.responseText;
  if (event.detail.xhr.status === 401) return void location.reload(); // the form to sign in leads back here
  if (text === lastDrawn) return void (event.detail.shouldSwap = false);
  lastDrawn = text;
  openDetails = new Map([...document.querySelectorAll("#live details[id]")].map((d) => [d.id, d.open]));
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target?.id !== "live") return;
  for (const details of document.querySelectorAll("#live details[id]")) {
    if (openDetails.has(details.id)) details.open = openDetails.get(details.id);
  }
  drawCharts();
});

// ------------------------------------------------------------------------------------------------------------ times

function duration(seconds) {
  if (seconds < 0.0009995) return `${Math.round(Math.max(seconds, 0) * 1e6)} µs`;
  if (seconds < 0.9995) return seconds * 1000 < 9.95 ? `${(seconds * 1000).toFixed(1)} ms` : `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return seconds < 9.995 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [day, hour, minute, second] = [Math.floor(whole / 86400), Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (day) return `${day}d ${hour % 24}h`;
  return hour ? `${hour}h ${String(minute).padStart(2, "0")}m` : `${minute}m ${String(second).padStart(2, "0")}s`;
}

function ago(past) {
  if (past < 3) return "just now";
  for (const [limit, unit, name] of [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [604800, 86400, "d"]]) {
    if (past < limit) return `${Math.floor(past / unit)} ${name} ago`;
  }
  return null;
}

function put(node, text) {
  if (text !== null && node.textContent !== text) node.textContent = text;
}

function tick() {
  if (document.hidden) return;
  const now = Date.now() / 1000;
  for (const node of document.querySelectorAll("time[data-at]")) put(node, ago(now - Number(node.dataset.at)));
  for (const node of document.querySelectorAll("[data-since]")) put(node, duration(Math.max(now - Number(node.dataset.since), 0)));
}

setInterval(tick, 1000);

document.addEventListener("mouseover", (event) => {
  const node = event.target.closest?.("time[data-at]");
  if (!node || node.dataset.local) return;
  node.dataset.local = "1";
  const local = new Date(Number(node.dataset.at) * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
  node.title = `${node.title}\n${local}`;
});

// ---------------------------------------------------------------------------------------------- asking before acting

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.sure) return;
  event.preventDefault();
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = form.dataset.confirm;
  document.getElementById("confirm-detail").textContent = form.dataset.detail;
  document.getElementById("confirm-yes").textContent = form.dataset.verb;
  dialog.returnValue = "no";
  dialog.onclose = () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.sure = "1";
    form.requestSubmit();
  };
  dialog.showModal();
});

// ----------------------------------------------------------------------------------------------- small conveniences

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const use = button.querySelector("use");
  const address = use.getAttribute("href");
  await copyText(button.dataset.copy);
  use.setAttribute("href", address.replace(/#.*/, "#done"));
  setTimeout(() => use.setAttribute("href", address.replace(/#.*/, "#copy")), 1200);
});

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.body.appendChild(document.createElement("textarea")); // a page over plain HTTP from afar
  area.value = text;
  area.select();
  document.execCommand("copy");
  area.remove();
}

for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", (event) => event.target.matches("select, [list]") && form.requestSubmit());
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name); // short addresses
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  target.focus();
});

// ------------------------------------------------------------------------------------------------------------- logs

const LINES_MAX = 5000;

class LogPanel {
  constructor(section) {
    this.lines = section.querySelector(".log-lines");
    this.state = section.querySelector(".log-state");
    this.pause = section.querySelector('[data-log="pause"]');
    this.held = [];
    this.fresh = true; // what comes next is the history again: it replaces what is drawn
    this.lines.scrollTop = this.lines.scrollHeight;
    this.pause.hidden = false;
    this.pause.addEventListener("click", () => this.#toggle());
    this.source = new LiveSource(section.dataset.stream);
    this.source.addEventListener("connected", () => this.#connected());
    this.source.addEventListener("lost", () => this.#say("Reconnecting…"));
    this.source.addEventListener("lines", (event) => this.#take(event.data));
    this.source.addEventListener("end", () => this.#end());
  }

  get paused() {
    return this.pause.getAttribute("aria-pressed") === "true";
  }

  #connected() {
    this.fresh = true;
    this.#say(this.paused ? "Paused" : "Live");
  }

  #take(html) {
    if (!this.paused) return this.#draw(html);
    this.held.push(this.fresh ? null : "", html);
    this.fresh = false;
    const count = this.held.reduce((sum, part) => sum + (part ? part.split('<div class="ll').length - 1 : 0), 0);
    this.#say(`Paused, ${count.toLocaleString()} new`);
    if (this.held.length > 2 * LINES_MAX) this.held.splice(0, 2);
  }

  #draw(html) {
    const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 40;
    const empty = !this.lines.firstElementChild;
    if (this.fresh) this.lines.replaceChildren();
    this.fresh = false;
    this.lines.insertAdjacentHTML("beforeend", html);
    while (this.lines.childElementCount > LINES_MAX) this.lines.firstElementChild.remove();
    if (atEnd || empty) this.lines.scrollTop = this.lines.scrollHeight;
  }

  #toggle() {
    const resume = this.paused;
    this.pause.setAttribute("aria-pressed", String(!resume));
    this.pause.textContent = resume ? "Pause" : "Resume";
    this.#say(resume ? "Live" : "Paused");
    if (!resume) return;
    for (const part of this.held.splice(0)) {
      if (part === null) this.fresh = true;
      else if (part) this.#draw(part);
    }
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  #end() {
    this.source.close();
    this.pause.hidden = true;
    this.#say("Ended");
  }

  #say(text) {
    this.state.textContent = text;
  }
}

for (const section of document.querySelectorAll(".log[data-stream]")) new LogPanel(section);
for (const lines of document.querySelectorAll(".log-lines")) lines.scrollTop = lines.scrollHeight;

// ----------------------------------------------------------------------------------------------------------- charts

let chart = null;
let drawnPoints = "";

function colour(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(--${name})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function drawCharts(force = false) {
  const figure = document.querySelector("[data-chart]");
  const text = document.getElementById("points")?.dataset.points;
  if (!figure || !text || typeof uPlot === "undefined" || (text === drawnPoints && !force)) return;
  drawnPoints = text;
  const points = JSON.parse(text);
  figure.hidden = points.length < 3;
  if (figure.hidden) return;
  const pick = (...states) => points.map((p) => (states.includes(p.state) ? Math.max(p.seconds, 1e-4) : null));
  const data = [points.map((p) => p.at), pick("succeeded"), pick("failed", "timed_out"), pick("cancelled")];
  const box = figure.querySelector("div");
  chart?.destroy();
  chart = new uPlot(chartOptions(box.clientWidth, points, figure.querySelector("output")), data, box);
}

function chartOptions(width, points, output) {
  const axis = { stroke: colour("dim"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  const dots = (name) => ({ stroke: colour(name), paths: () => null, points: { show: true, size: 5, fill: colour(name), width: 0 } });
  const last = points.at(-1).at;
  const told = (u) => {
    const point = points[u.cursor.idx];
    output.textContent = point ? `${new Date(point.at * 1000).toLocaleTimeString()} · ${duration(point.seconds)} · ${point.state.replace("_", " ")}` : "";
  };
  return {
    width, height: 150, legend: { show: false }, hooks: { setCursor: [told] }, cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: last - points[0].at < 60 ? { range: [last - 60, last + 5] } : {}, y: { distr: 3 } },
    axes: [
      { ...axis, size: 26, values: (_, ticks) => ticks.map(clock(ticks)) },
      { ...axis, size: 62, grid: { ...axis.grid, filter: decades }, filter: decades, values: (_, ticks) => ticks.map((t) => (t === null ? "" : duration(t).replace(/\.0+ /, " "))) },
    ],
    series: [{}, dots("green"), dots("red"), dots("grey")],
  };
}

function decades(_, ticks) {
  return ticks.map((t) => (Math.abs(Math.log10(t) % 1) < 1e-6 || Math.abs(Math.log10(t) % 1) > 1 - 1e-6 ? t : null));
}

function clock(ticks) {
  const span = ticks.at(-1) - ticks[0];
  const time = { hour: "2-digit", minute: "2-digit", ...(span < 600 ? { second: "2-digit" } : {}) };
  const shape = span > 86400 ? { month: "short", day: "numeric", hour: "2-digit" } : time;
  const format = new Intl.DateTimeFormat(undefined, { ...shape, hour12: false });
  return (t) => format.format(t * 1000);
}

let resizing;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => drawCharts(true), 150);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawCharts(true));
drawCharts();

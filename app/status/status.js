"use strict";
// Copies what /api/status says into the page; see page.py. Nothing here formats a number.
const INTERVAL_MS = 5000;
const LONGEST_INTERVAL_MS = 60000;
const REQUEST_MS = 4000;

const notice = document.getElementById("notice");
let intervalMs = INTERVAL_MS;
let timer;
let connected = true;

function say(text) {
  notice.textContent = text;
}

function show(values) {
  const changes = [];
  for (const element of document.querySelectorAll("[data-value]")) {
    const value = values[element.dataset.value];
    if (!value) continue;
    if (value.state && value.state !== element.dataset.state) {
      element.dataset.state = value.state;
      const row = element.closest("tr");
      const name = row ? row.querySelector("th").textContent : "Overall";
      const table = row ? row.closest("table").querySelector("caption").textContent.split(":")[0] : "";
      changes.push(table ? `${table}: ${name} is ${value.text}` : `${name}: ${value.text}`);
    }
    if (element.textContent !== value.text) element.textContent = value.text;
  }
  return changes;
}

async function refresh() {
  try {
    const response = await fetch("/api/status", { cache: "no-store", signal: AbortSignal.timeout(REQUEST_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const changes = show((await response.json()).values);
    // Quiet while nothing changes: a screen reader reads every text that is put here.
    if (changes.length) say(`${changes.join(". ")}.`);
    else if (!connected) say("The connection is back.");
    connected = true;
    intervalMs = INTERVAL_MS;
  } catch {
    if (connected) say("No connection. The figures are old.");
    connected = false;
    intervalMs = Math.min(2 * intervalMs, LONGEST_INTERVAL_MS);
  }
  plan(intervalMs);
}

function plan(delayMs) {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, delayMs);
}

document.addEventListener("visibilitychange", () => plan(0));
plan(INTERVAL_MS);

// Says so when the figures are not loaded again any more: a page that stands still looks like a stack at rest.
"use strict";

const STALE_AFTER_MILLISECONDS = 90_000;
const LOOK_MILLISECONDS = 5_000;
let seen = "";
let since = 0;

setInterval(() => {
  const page = document.querySelector("[data-made]");
  const notice = document.getElementById("stale");
  if (!notice) return;
  // By the browser's own clock, whatever the server's says.
  const made = page ? page.dataset.made : "";
  if (made !== seen) [seen, since] = [made, performance.now()];
  notice.hidden = !made || performance.now() - since < STALE_AFTER_MILLISECONDS;
}, LOOK_MILLISECONDS);

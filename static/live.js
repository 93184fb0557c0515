// Keeps a page up to date: listens to the account's stream, lets htmx fetch what moved, shows a lost connection,
// and keeps relative times ticking. Without this script the pages still show the state and the forms work.
"use strict";

(() => {
  const body = document.body;
  const shown = document.getElementById("connection");
  const SILENCE_MS = 2500;
  const PING_MS = 1500;
  let socket = null;
  let asked = 0;
  let tries = 0;
  let pending = null;

  function say(state, text, title) {
    if (!shown) return;
    shown.hidden = false;
    if (shown.dataset.state !== state) shown.textContent = text;
    shown.dataset.state = state;
    shown.title = title || "";
  }

  function refresh() {
    clearTimeout(pending);
    pending = setTimeout(() => body.dispatchEvent(new CustomEvent("vibex:refresh")), 250);
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/ws/account/${body.dataset.account}/`);
    socket.onopen = () => {
      // What happened while nobody listened is fetched once.
      if (tries > 0) refresh();
      tries = 0;
      asked = 0;
      say("live", "live", "Updates arrive as they happen.");
    };
    socket.onmessage = (message) => {
      asked = 0;
      if (JSON.parse(message.data).kind !== "alive") refresh();
    };
    socket.onclose = lost;
  }

  function lost() {
    // A dead network never confirms a close: this socket is given up without waiting for it.
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    const since = new Date().toLocaleTimeString();
    say("lost", `connection lost at ${since}, retrying`, "What is shown may be old. The bots do not depend on this page.");
    tries += 1;
    setTimeout(connect, Math.min(1000 * 2 ** Math.min(tries - 1, 4), 10000));
  }

  function listen() {
    if (!body.dataset.account || !shown) return;
    connect();
    setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return;
      // Counted from the question, not from the last answer: timers of hidden pages may sleep for a minute.
      if (asked && Date.now() - asked > SILENCE_MS) lost();
      else if (!asked) {
        asked = Date.now();
        socket.send("{}");
      }
    }, PING_MS);
  }

  // A session that has ended answers with the sign-in page: go there instead of showing old numbers.
  body.addEventListener("htmx:beforeSwap", (event) => {
    const url = event.detail.xhr.responseURL || "";
    if (url && new URL(url).pathname === body.dataset.signIn) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });

  const loaded = Date.now();
  const marketAtLoad = Date.parse(body.dataset.marketNow || "");
  const speed = Number(body.dataset.speed || 1);

  // A page over several markets has no time of its own: what it says of market time stands until the part is put anew.
  function nowOf(clock) {
    return clock === "wall" ? Date.now() : marketAtLoad + (Date.now() - loaded) * speed;
  }

  function lasting(seconds) {
    const units = [["d", 86400], ["h", 3600], ["min", 60]];
    for (const [index, [unit, size]] of units.entries()) {
      if (seconds < size) continue;
      const whole = `${Math.floor(seconds / size)} ${unit}`;
      const next = units[index + 1];
      const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
      return rest ? `${whole} ${rest} ${next[0]}` : whole;
    }
    return `${Math.floor(seconds)} s`;
  }

  function tick() {
    for (const time of document.querySelectorAll("time[data-clock]")) {
      const seconds = (Date.parse(time.dateTime) - nowOf(time.dataset.clock)) / 1000;
      if (Number.isNaN(seconds)) continue;
      const text = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? `in ${lasting(seconds)}` : `${lasting(-seconds)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  }

  listen();
  setInterval(tick, 1000);
})();

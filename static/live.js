// Keeps a page up to date: listens to the stream of its accounts over htmx's WebSocket extension, lets htmx fetch what
// moved, shows a lost connection, and keeps relative times ticking. Without this script the pages still show the state and
// the forms work.
"use strict";

(() => {
  const body = document.body;
  const shown = document.getElementById("connection");
  const SILENCE_MS = 2500;
  const PING_MS = 1500;
  const SIGNED_OUT = 4010;
  // Closes after which the extension comes back by itself; after all others this script asks it to.
  const COMES_BACK = [1006, 1011, 1012, 1013];
  // Not every step of a cycle, nor every fill: its order and its position tell of it too.
  const KINDS = [
    "cycle", "decision", "order", "position", "diary", "bot", "approval", "account", "halt", "lock", "limits",
    "incident", "alert", "job", "equity", "reconcile",
  ];
  const accounts = (body.dataset.accounts || body.dataset.account || "").split(",").filter(Boolean).map(Number);
  let wire = null;
  let socket = null;
  let asked = 0;
  let tries = 0;
  let pending = null;
  let newest = null;

  function say(state, text, title) {
    shown.hidden = false;
    if (shown.dataset.state !== state) shown.textContent = text;
    shown.dataset.state = state;
    shown.title = title || "";
  }

  function refresh() {
    clearTimeout(pending);
    pending = setTimeout(() => body.dispatchEvent(new CustomEvent("vibex:refresh")), 250);
  }

  function opened(event) {
    wire = event.detail.socketWrapper;
    socket = event.detail.event.target;
    asked = 0;
    wire.send(JSON.stringify({ type: "subscribe", accounts, kinds: KINDS, since: newest }));
  }

  function hear(message) {
    asked = 0;
    if (message.type === "changes") {
      newest = message.changes.at(-1).sequence;
      refresh();
    } else if (message.type === "resumed" || message.type === "snapshot") {
      // What happened while nobody listened is fetched once; after `resumed` it follows as changes.
      if (message.type === "snapshot" && (tries > 0 || message.reset)) refresh();
      newest = message.sequence;
      tries = 0;
      say("live", "live", "Updates arrive as they happen.");
    } else if (message.type === "ping") {
      wire.send('{"type":"pong"}');
    } else if (message.type === "unsubscribed" || message.type === "error") {
      refresh();
    }
  }

  function lost() {
    const since = new Date().toLocaleTimeString();
    say("lost", `connection lost at ${since}, retrying`, "What is shown may be old. The bots do not depend on this page.");
    tries += 1;
    asked = 0;
  }

  function closed(event) {
    const { event: close, socketWrapper } = event.detail;
    // Signed out: the next fetch leads to the sign-in page.
    if (close.code === SIGNED_OUT) refresh();
    lost();
    if (!COMES_BACK.includes(close.code) && socketWrapper) setTimeout(socketWrapper.reconnect, pause(tries));
  }

  function pause(times) {
    return Math.min(1000 * 2 ** Math.min(Math.max(times - 1, 0), 4), 10000);
  }

  // A dead network never confirms a close: this socket is given up without waiting for it.
  function giveUp() {
    socket.onclose = socket.onmessage = socket.onopen = null;
    lost();
    wire.reconnect();
  }

  function watch() {
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    // Counted from the question, not from the last answer: timers of hidden pages may sleep for a minute.
    if (asked && Date.now() - asked > SILENCE_MS) giveUp();
    else if (!asked) {
      asked = Date.now();
      wire.send('{"type":"ping"}');
    }
  }

  function listen() {
    if (!accounts.length || !shown) return;
    htmx.config.wsReconnectDelay = pause;
    shown.addEventListener("htmx:wsOpen", opened);
    shown.addEventListener("htmx:wsClose", closed);
    shown.addEventListener("htmx:wsBeforeMessage", (event) => {
      event.preventDefault(); // what comes says that something moved; the parts of the page are fetched
      hear(JSON.parse(event.detail.message));
    });
    setInterval(watch, PING_MS);
  }

  // A session that has ended answers with the sign-in page: go there instead of showing old numbers.
  body.addEventListener("htmx:beforeSwap", (event) => {
    const url = event.detail.xhr.responseURL || "";
    if (url && new URL(url).pathname === body.dataset.signIn) {
      event.detail.shouldSwap = false;
      location.reload();
    }
  });

  // What was pressed and is not known to be done is said aloud: in the dialog that asked, else at the top of the page. It
  // stays until something that was pressed is done.
  function forget(within) {
    for (const line of within.querySelectorAll("[data-trouble]")) line.remove();
  }

  function trouble(text, dialog) {
    const within = dialog && dialog.open && dialog.isConnected ? dialog : null;
    forget(body);
    const line = document.createElement("p");
    line.className = "message message-error trouble";
    line.dataset.trouble = "";
    line.setAttribute("role", "alert");
    if (within) (within.querySelector(".asked") || within).prepend(line);
    else document.getElementById("main").before(line);
    line.textContent = text; // put in place first, filled then: so it is read out everywhere
    if (within) line.scrollIntoView({ block: "nearest" });
  }

  // Heard at the request itself: the button may be gone when the answer comes, for its panel was put anew meanwhile.
  body.addEventListener("htmx:beforeSend", (event) => {
    const { xhr, elt, requestConfig } = event.detail;
    const acts = requestConfig.verb !== "get";
    const dialog = elt.closest("dialog");
    // Parts that are fetched come again by themselves, and links of a dialog lead to a page.
    if (!acts && (!dialog || elt.href)) return;
    const failed = (why) =>
      trouble(acts ? `Not known to be done: ${why}. Look at the desk, or press again.` : `Could not be read: ${why}. Look at the desk.`, dialog);
    for (const name of ["error", "timeout"]) xhr.addEventListener(name, () => failed("no connection"));
    xhr.addEventListener("load", () => {
      if (xhr.status >= 400) failed(`HTTP ${xhr.status}`);
      else forget(acts ? body : dialog);
    });
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

// Draws the figures that the server builds. Colours are those of the style sheet, so that both themes fit.
"use strict";

(() => {
  const QUIET_MS = 10000;

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function painted(trace) {
    // A trace names its colour; one that names none has the accent.
    const tone = (trace.meta && trace.meta.tone) || "accent";
    if (trace.type === "candlestick") {
      const forming = tone === "forming";
      const way = (name) => ({ line: { color: colour(name), width: 1 }, fillcolor: forming ? "rgba(0,0,0,0)" : colour(name) });
      return { ...trace, increasing: way(forming ? "--accent" : "--gain"), decreasing: way(forming ? "--warn" : "--loss") };
    }
    const shade = colour(`--${tone}`);
    if (trace.type === "bar") return { ...trace, marker: { ...trace.marker, color: shade } };
    if (trace.mode === "markers") {
      const edge = { ...(trace.marker.line || {}), color: colour("--ground") };
      return { ...trace, marker: { ...trace.marker, color: shade, line: edge } };
    }
    return { ...trace, line: { ...trace.line, color: shade } };
  }

  function dressed(figure, narrow) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), tickfont: { color: colour("--muted"), size: 11 } };
    const layout = { ...figure.layout, paper_bgcolor: colour("--panel"), plot_bgcolor: colour("--panel"), autosize: true };
    layout.font = { family: getComputedStyle(document.body).fontFamily, color: colour("--text"), size: 12 };
    layout.hoverlabel = { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--text") } };
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis/.test(name)) layout[name] = { ...axis, ...layout[name] };
    }
    layout.xaxis = { ...layout.xaxis, spikecolor: colour("--muted") };
    if (layout.legend) layout.legend = { ...layout.legend, font: { color: colour("--muted"), size: narrow ? 10 : 11 } };
    layout.annotations = (layout.annotations || []).map((note) => ({ ...note, bgcolor: `${colour("--panel")}99`, font: { color: colour("--muted"), size: 11 } }));
    layout.shapes = (layout.shapes || []).map((shape) => ({ ...shape, line: { ...shape.line, color: colour("--muted") } }));
    // On a phone a finger that moves over the chart scrolls the page.
    if (narrow) layout.xaxis = { ...layout.xaxis, fixedrange: true, nticks: 4 };
    return { data: figure.data.map(painted), layout };
  }

  async function draw(place) {
    const address = new URL(place.dataset.chart, location.href);
    const narrow = place.clientWidth < 640;
    if (place.dataset.span) address.searchParams.set("span", place.dataset.span);
    if (narrow && place.classList.contains("candles")) address.searchParams.set("bars", "80");
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const figure = await answer.json();
    if (!place.isConnected || !figure.data.length || figure.data[0].x.length < 2) return;
    const { data, layout } = dressed(figure, narrow);
    if (!place.dataset.drawn) place.replaceChildren();
    place.dataset.drawn = Date.now();
    await Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
  }

  function keepUp(place) {
    draw(place).then(
      () => { place.title = ""; },
      () => { place.title = "The chart could not be updated; it is drawn again in a minute."; },
    );
  }

  function drawAll() {
    for (const place of document.querySelectorAll("[data-chart]")) keepUp(place);
  }

  function drawStale() {
    for (const place of document.querySelectorAll("[data-chart]")) {
      const quiet = Number(place.dataset.quiet || QUIET_MS);
      if (Date.now() - Number(place.dataset.drawn || 0) > quiet) keepUp(place);
    }
  }

  for (const group of document.querySelectorAll(".spans")) {
    group.hidden = false;
    group.addEventListener("click", (event) => {
      const chosen = event.target.closest("button[data-span]");
      if (!chosen) return;
      const place = group.closest(".panel").querySelector("[data-chart]");
      place.dataset.span = chosen.dataset.span;
      for (const button of group.children) button.setAttribute("aria-pressed", String(button === chosen));
      keepUp(place);
    });
  }

  drawAll();
  document.body.addEventListener("vibex:refresh", drawStale);
  // A part of the page that was exchanged has charts that nobody has drawn yet.
  document.body.addEventListener("htmx:afterSettle", () => {
    for (const place of document.querySelectorAll("[data-chart]:not([data-drawn])")) keepUp(place);
  });
  setInterval(drawStale, 60000);
  setInterval(() => {
    for (const place of document.querySelectorAll("[data-quiet][data-drawn]")) {
      if (!document.hidden && Date.now() - Number(place.dataset.drawn) > Number(place.dataset.quiet)) keepUp(place);
    }
  }, 5000);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawAll);
})();

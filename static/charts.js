// Draws the figures that the server builds. Colours are those of the style sheet, so that both themes fit.
"use strict";

(() => {
  const QUIET_MS = 10000;

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function dressed(figure) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), tickfont: { color: colour("--muted"), size: 11 } };
    const layout = { ...figure.layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true };
    layout.font = { family: getComputedStyle(document.body).fontFamily, color: colour("--text"), size: 12 };
    layout.hoverlabel = { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--text") } };
    layout.xaxis = { ...axis, ...layout.xaxis };
    layout.yaxis = { ...axis, ...layout.yaxis };
    layout.shapes = (layout.shapes || []).map((shape) => ({ ...shape, line: { ...shape.line, color: colour("--muted") } }));
    const data = figure.data.map((trace) => ({ ...trace, line: { ...trace.line, color: colour("--accent") } }));
    return { data, layout };
  }

  async function draw(place) {
    const address = new URL(place.dataset.chart, location.href);
    if (place.dataset.span) address.searchParams.set("span", place.dataset.span);
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const figure = await answer.json();
    if (figure.data[0].x.length < 2) return;
    const { data, layout } = dressed(figure);
    if (!place.dataset.drawn) place.replaceChildren();
    place.dataset.drawn = Date.now();
    await Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
  }

  function keepUp(place) {
    draw(place).then(
      () => { place.title = ""; },
      () => { place.title = "The curve could not be updated; it is drawn again in a minute."; },
    );
  }

  function drawAll() {
    for (const place of document.querySelectorAll("[data-chart]")) keepUp(place);
  }

  function drawStale() {
    for (const place of document.querySelectorAll("[data-chart]")) {
      if (Date.now() - Number(place.dataset.drawn || 0) > QUIET_MS) keepUp(place);
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
  setInterval(drawStale, 60000);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawAll);
})();

// Draws the figures that the report brings along. Colours are those of its style sheet: dark, light and on paper.
"use strict";

(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;

  function colour(name) {
    return getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  }

  function painted(trace) {
    const shade = colour(trace.meta.tone);
    if (trace.type === "bar") return { ...trace, marker: { ...trace.marker, color: shade } };
    const drawn = { ...trace, line: { ...trace.line, color: shade } };
    if (trace.meta.fill) drawn.fillcolor = colour(trace.meta.fill);
    if (trace.marker) drawn.marker = { ...trace.marker, color: shade, line: { ...trace.marker.line, color: colour("panel") } };
    if (trace.error_y) drawn.error_y = { ...trace.error_y, color: shade };
    if (trace.text) drawn.textfont = { color: colour("muted"), size: 11 };
    return drawn;
  }

  function axis(given, narrow) {
    const shared = { gridcolor: colour("rule"), linecolor: colour("rule"), zerolinecolor: colour("muted"), tickfont: { color: colour("muted"), size: 11 } };
    const found = { ...shared, ...given };
    if (narrow) found.nticks = Math.min(found.nticks || 4, 4);
    if (given.title) found.title = { ...given.title, font: { color: colour("muted"), size: 11 } };
    return found;
  }

  function layout(given, narrow, height) {
    // The legend begins a line below the labels of the axis, however high the chart is.
    const below = -34 / Math.max(60, height - 90);
    return {
      ...given,
      autosize: true,
      paper_bgcolor: colour("panel"),
      plot_bgcolor: colour("panel"),
      dragmode: false,
      font: { family: getComputedStyle(document.body).fontFamily, color: colour("text"), size: 12 },
      hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("rule"), font: { color: colour("text") } },
      legend: { ...given.legend, y: below, font: { color: colour("muted"), size: narrow ? 10 : 11 } },
      xaxis: axis(given.xaxis, narrow),
      yaxis: axis(given.yaxis, narrow),
    };
  }

  function draw(place) {
    const figure = figures[place.dataset.figure];
    const narrow = place.clientWidth < 560;
    return Plotly.react(place, figure.data.map(painted), layout(figure.layout, narrow, place.clientHeight), { displayModeBar: false, responsive: true });
  }

  function drawAll() {
    return Promise.all([...document.querySelectorAll("[data-figure]")].map(draw));
  }

  function onPaper(on) {
    root.classList.toggle("paper", on);
    for (const part of document.querySelectorAll("details")) if (on) part.open = true;
    drawAll();
  }

  drawAll().then(() => { root.dataset.drawn = "yes"; });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => onPaper(true));
  addEventListener("afterprint", () => onPaper(false));
  matchMedia("print").addEventListener("change", (query) => onPaper(query.matches));
})();

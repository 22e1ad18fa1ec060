// Curves: every panel of a study's figure, drawn by Plotly. Data come from the script element "panels".
"use strict";
for (const section of document.querySelectorAll(".curves")) {
  const panels = JSON.parse(section.querySelector("script.panels").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const charts = section.querySelector(".charts");
  const hidden = new Set();
  const linear = section.querySelector("input.linear");
  const tiled = panels.some((panel) => panel.data.some((trace) => trace.type === "heatmap"));

  const ink = () => (dark.matches ? "#e8e8e8" : "#1f1f1f");
  const seen = (colour) => (dark.matches && colour === "#000000" ? ink() : colour);

  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "%": "&#37;" };  // Plotly reads tags and %{...} in hover texts
  const text = (words) => words.replace(/[&<>%]/g, (sign) => entities[sign]);
  const hover = (trace) => text(trace.arm.replace(/[(:].*/, "").trim()) + (trace.seed ? `, ${trace.seed}` : "");

  function traces(panel) {
    const { tickvals, ticktext } = panel.layout.xaxis;
    const ticks = new Map(tickvals.map((at, place) => [at, ticktext[place].replaceAll("<br>", " ")]));
    const place = (x) => ticks.get(x) ?? x?.toLocaleString("en", { maximumSignificantDigits: 4 });
    return panel.data.map((trace) => ({
      ...trace,
      showlegend: false,
      visible: !hidden.has(trace.arm),
      line: trace.line && { ...trace.line, color: seen(trace.line.color ?? trace.ink) },
      hovertemplate: trace.hoverinfo ? undefined : trace.text ? "%{text}<extra></extra>" : `%{customdata}: %{y:.3f}<extra>${hover(trace)}</extra>`,
      customdata: trace.x.map(place),
    }));
  }

  function layout(panel) {
    const grid = dark.matches ? "#444" : "#ddd";
    const axis = (own) => ({
      gridcolor: grid, linecolor: ink(), zeroline: false, automargin: true,
      title: { text: own.title }, type: own.type, range: own.range.slice(),
    });
    const x = axis(panel.layout.xaxis);
    const y = axis(panel.layout.yaxis);
    const ticks = (own) => ({ tickvals: own.tickvals, ticktext: own.ticktext });
    if (panel.layout.xaxis.tickvals.length) Object.assign(x, ticks(panel.layout.xaxis));
    if (panel.layout.yaxis.named) Object.assign(y, ticks(panel.layout.yaxis), { showgrid: !tiled });
    if (linear.checked && x.type === "log") Object.assign(x, { type: "linear", range: x.range.map((end) => 10 ** end), tickvals: undefined, ticktext: undefined });
    return {
      xaxis: { ...x, showgrid: false }, yaxis: y,
      margin: { l: 60, r: 10, t: 30, b: 60 }, modebar: { bgcolor: "transparent", color: ink() }, height: panel.layout.height ?? 380, dragmode: "zoom", hovermode: "closest",
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: ink(), family: "system-ui, sans-serif" },
    };
  }

  const places = panels.map((panel) => {
    const figure = document.createElement("figure");
    figure.innerHTML = '<figcaption></figcaption><div class="chart" role="group"></div>';
    figure.firstChild.textContent = panel.title;
    figure.lastChild.setAttribute("aria-label", `${panel.title}. Its numbers are in a table of this page.`);
    charts.append(figure);
    return figure.lastChild;
  });

  function draw() {
    const settings = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
    panels.forEach((panel, at) => Plotly.react(places[at], traces(panel), layout(panel), settings));
  }

  const arms = new Map(panels.flatMap((panel) => panel.arms.map((arm) => [arm[0], arm])));
  const list = section.querySelector(".arms");
  for (const [arm, colour, dash] of arms.values()) {
    const label = document.createElement("label");
    label.innerHTML = '<input type="checkbox" checked> <span class="swatch"></span> <span></span>';
    const style = { dash: "dashed", dashdot: "dashed", dot: "dotted" }[dash] ?? "solid";
    label.querySelector(".swatch").style.borderTop = `3px ${style} ${colour === "#000000" ? "currentColor" : colour}`;
    if (colour === "#ffffff") label.querySelector(".swatch").style.boxShadow = "0 0 0 1px #888";
    label.lastChild.textContent = arm;
    label.firstChild.addEventListener("change", (event) => {
      event.target.checked ? hidden.delete(arm) : hidden.add(arm);
      draw();
    });
    list.append(label);
  }
  if (!arms.size) list.remove();
  if (tiled || panels.every((panel) => panel.layout.xaxis.type !== "log")) linear.parentElement.hidden = true;
  linear.addEventListener("change", draw);
  dark.addEventListener("change", draw);
  section.querySelector("details.print").open = false;
  draw();
}

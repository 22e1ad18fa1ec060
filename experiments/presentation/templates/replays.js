// Replays: every player of a scene, moved through time together. Data come from the script element "scenes".
"use strict";
for (const section of document.querySelectorAll(".replays")) {
  const scenes = JSON.parse(section.querySelector("script.scenes").textContent);
  const find = (name) => section.querySelector("." + name);
  const [task, step, play, told, stage] = ["task", "step", "play", "told", "stage"].map(find);
  let timer = null;

  const scene = () => scenes[Number(task.value)];
  const last = () => Math.max(...scene().replays.map((replay) => replay.moments.length)) - 1;

  function paint(picture, replay, moment) {
    const text = replay.texts[moment.text], colours = replay.colours[moment.colours];
    picture.replaceChildren();
    text.forEach((line, row) => {
      for (let from = 0; from < line.length; ) {
        let to = from;
        while (to < line.length && colours[row][to] === colours[row][from]) to += 1;
        const [ink, paper] = replay.palette[colours[row].charCodeAt(from) - 48];
        const span = document.createElement("span");
        span.textContent = line.slice(from, to);
        span.style.color = ink;
        span.style.backgroundColor = paper;
        picture.append(span);
        from = to;
      }
      picture.append("\n");
    });
  }

  function show() {
    scene().replays.forEach((replay, place) => {
      const moment = replay.moments[Math.min(Number(step.value), replay.moments.length - 1)];
      const figure = stage.children[place];
      const picture = figure.querySelector("pre");
      paint(picture, replay, moment);
      picture.setAttribute("aria-label", `${replay.player}: ${moment.caption}`);
      figure.querySelector(".caption").textContent = moment.caption;
    });
    step.setAttribute("aria-valuetext", `moment ${step.value} of ${step.max}`);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function begin() {
    stop();
    told.textContent = scene().told;
    stage.replaceChildren(...scene().replays.map((replay) => {
      const figure = document.createElement("figure");
      figure.innerHTML = '<figcaption><b></b><br><span class="caption"></span></figcaption><pre role="img"></pre>';
      figure.querySelector("b").textContent = replay.player;
      figure.style.setProperty("--columns", replay.texts[0][0].length);
      return figure;
    }));
    step.max = last();
    step.value = 0;
    show();
  }

  function move(by) {
    step.value = Number(step.value) + by;
    show();
  }

  task.addEventListener("change", begin);
  step.addEventListener("input", () => { stop(); show(); });
  find("back").addEventListener("click", () => { stop(); move(-1); });
  find("forward").addEventListener("click", () => { stop(); move(1); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(step.value) >= last()) step.value = 0;
    show();
    play.textContent = "Pause";
    timer = setInterval(() => (Number(step.value) < last() ? move(1) : stop()), 600);
  });
  begin();
}

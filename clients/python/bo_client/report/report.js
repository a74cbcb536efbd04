"use strict";
(() => {
  const { figures, config } = JSON.parse(document.getElementById("figures").textContent);
  const places = document.querySelectorAll("[data-figure]");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const draw = (theme) => {
    for (const place of places) {
      const { data, layout } = figures[place.dataset.figure][theme];
      Plotly.react(place, data, layout, config);
    }
  };
  const drawAsSeen = () => draw(dark.matches ? "dark" : "light");

  drawAsSeen();
  dark.addEventListener("change", drawAsSeen);
  addEventListener("beforeprint", () => draw("light")); // paper is white
  addEventListener("afterprint", drawAsSeen);
})();

"use strict";
(() => {
  const { figures, config } = JSON.parse(document.getElementById("figures").textContent);
  const places = document.querySelectorAll("[data-figure]");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  const PRINTED = 640; // pixels: what the narrower of usual papers has room for

  const draw = (theme, width) => {
    for (const place of places) {
      const { data, layout } = figures[place.dataset.figure][theme];
      Plotly.react(place, data, width ? { ...layout, width, height: 0.8 * layout.height } : layout, config);
    }
  };
  const drawAsSeen = () => draw(dark.matches ? "dark" : "light");

  drawAsSeen();
  dark.addEventListener("change", drawAsSeen);
  addEventListener("beforeprint", () => draw("light", PRINTED)); // paper is white
  addEventListener("afterprint", drawAsSeen);
})();

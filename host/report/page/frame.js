// The data, and what every page has around its sections.
const data = JSON.parse(document.getElementById("data").textContent);

function addTheme() {
  const root = document.documentElement, button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const set = dark => {
    root.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
    document.dispatchEvent(new Event("themechange"));
  };
  let chosen = false;  // by hand: the system is followed until then
  system.addEventListener("change", event => { if (!chosen) set(event.matches); });
  button.addEventListener("click", () => { chosen = true; set(root.dataset.theme !== "dark"); });
  set(system.matches);
}

function finishPage() {
  document.getElementById("print").addEventListener("click", () => window.print());
  document.documentElement.dataset.ready = "yes";
}

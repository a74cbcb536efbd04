// What both pages share: the theme, who is signed in, notices, and questions before something is done.

import { post, read, signOut } from "./api.js";
import { byId, fill, h } from "./dom.js";

const RANKS = ["reader", "worker", "admin"];

/** Who is signed in; asks for a token where the server wants one. */
export async function enter() {
  prepareTheme();
  for (;;) {
    try {
      const caller = await read("caller");
      if (caller.role) {
        showCaller(caller);
        return { ...caller, may: (role) => RANKS.indexOf(caller.role) >= RANKS.indexOf(role) };
      }
      await signIn();
    } catch (error) {
      notify(error.message, true);
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }
}

/** Resolves when the server has taken a token. */
function signIn() {
  byId("main").hidden = true;
  byId("signed-out").hidden = false;
  const form = byId("sign-in");
  byId("token").focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        await post("session", { token: byId("token").value });
      } catch (error) {
        byId("sign-in-fault").textContent = error.message;
        byId("token").setAttribute("aria-invalid", "true");
        byId("token").focus();
        return;
      }
      form.reset();
      byId("sign-in-fault").textContent = "";
      byId("token").removeAttribute("aria-invalid");
      byId("signed-out").hidden = true;
      byId("main").hidden = false;
      byId("title").focus();
      resolve();
    };
  });
}

function showCaller(caller) {
  if (!caller.token) return;
  const scope = caller.studies.length ? ` for ${caller.studies.join(", ")}` : "";
  const leave = async () => {
    await signOut();
    location.assign("/");
  };
  fill(byId("caller"), h("span", { textContent: `${caller.role}${scope}` }), h("button", { type: "button", class: "quiet", textContent: "Sign out" }));
  byId("caller").querySelector("button").onclick = leave;
}

// -- theme

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = [];

export const theme = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");

export const onTheme = (listener) => listeners.push(listener);

function prepareTheme() {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
  const button = byId("theme");
  const tell = () => {
    button.textContent = theme() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${theme() === "dark" ? "light" : "dark"} theme`);
    listeners.forEach((listener) => listener());
  };
  button.onclick = () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    localStorage.setItem("theme", theme());
    tell();
  };
  dark.addEventListener("change", tell);
  tell();
}

// -- notices

let fading = null;

/** Tells of something in passing; faults stay until they are closed. */
export function notify(text, isFault = false) {
  const notice = byId("notice");
  clearTimeout(fading);
  notice.className = isFault ? "notice fault" : "notice";
  const close = h("button", { type: "button", class: "quiet", textContent: "Close", onclick: () => notice.replaceChildren() });
  notice.replaceChildren(h("p", { textContent: text }), close);
  if (!isFault) fading = setTimeout(() => notice.replaceChildren(), 6000);
}

/** Says it to those who can't see. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Does it, and tells how that ended; true where it succeeded. */
export async function attempt(act, done) {
  try {
    await act();
    if (done) notify(done);
    return true;
  } catch (error) {
    notify(error.message, true);
    return false;
  }
}

/** Asks; with a label, for a text as well. Resolves to the text, "" without one, and null where it was refused. */
export function ask(question, action, label = "") {
  const text = h("input", { id: "asked", maxLength: 1000, autocomplete: "off" });
  const dialog = h(
    "dialog",
    { class: "asking", "aria-labelledby": "question" },
    h("form", { method: "dialog" },
      h("p", { id: "question", textContent: question }),
      label && h("label", { for: "asked", textContent: label }),
      label && text,
      h("div", { class: "actions" },
        h("button", { value: "yes", class: "primary", textContent: action }),
        h("button", { value: "no", formNoValidate: true, textContent: "Cancel" }))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      resolve(dialog.returnValue === "yes" ? text.value : null);
      dialog.remove();
    };
  });
}

export function badge(state) {
  return h("span", { class: `badge ${state.toLowerCase()}`, textContent: state.toLowerCase().replaceAll("_", " ") });
}

// Requests to the dashboard. Reading is by /data; changes are calls of the contract itself, by the Connect protocol.

export class Refusal extends Error {
  constructor(status, content) {
    super(content.message || `the dashboard answers with ${status}`);
    this.status = status;
    this.code = content.code || "unknown";
  }
}

async function request(path, given = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...given });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { code: "unavailable", message: "the dashboard doesn't answer; is it still running?" });
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, content);
  return content;
}

const posted = (content, method = "POST") => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(content),
});

/** A part of a path that users named. */
export const part = (text) => encodeURIComponent(text);

export const read = (path, signal) => request(`/data/${path}`, { signal });

/** The text of a file. */
export async function readText(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer.text();
}

/** A file as an address that this page alone knows, to be saved. */
export async function readFile(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return URL.createObjectURL(await answer.blob());
}

export const post = (path, content) => request(`/data/${path}`, posted(content));

export const signOut = () => request("/data/session", posted({}, "DELETE"));

/** A method of the contract. Its request id makes it one call, however often the network repeats it. */
export const call = (method, content) =>
  request(`/bo_api.v1.OptimizationService/${method}`, posted({ ...content, requestId: newId() }));

// crypto.randomUUID is there on secure origins alone, and a private network may have none.
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

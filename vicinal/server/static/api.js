// Requests to the server, with its key if it wants one.
import { byId } from "./dom.js";

const PLACE = "vicinal-key";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** One request with JSON both ways; asks for the key once the server wants one, then tries again. */
export async function request(path, { body, signal } = {}) {
  for (let asked = false; ; asked = true) {
    const key = sessionStorage.getItem(PLACE);
    const headers = { accept: "application/json" };
    if (key) headers.authorization = `Bearer ${key}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    const began = performance.now();
    let answer;
    try {
      answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "The server does not answer. Is it still running?");
    }
    if (answer.status === 401) {
      await askForKey(asked || Boolean(key));
      signal?.throwIfAborted();
      continue;
    }
    const text = await answer.text();
    let content = null;
    try { content = JSON.parse(text); } catch { /* an error of something in between is no JSON */ }
    if (!answer.ok) throw new ApiError(answer.status, messageOf(content) || `The server answered ${answer.status}.`);
    if (content === null) throw new ApiError(answer.status, "The server's answer is no JSON. Does something stand in between?");
    return { content, headers: answer.headers, ms: performance.now() - began };
  }
}

/** What went wrong, whichever shape the error has. */
function messageOf(content) {
  for (const part of [content?.error?.message, content?.message, content?.error, content?.detail]) {
    if (typeof part === "string" && part) return part;
  }
  return "";
}

let waiting = null;

/** Resolves when a key was given; several requests that wait share one question. */
function askForKey(wrong) {
  waiting ??= new Promise((resolve) => {
    const dialog = byId("key-dialog"), input = byId("key");
    byId("key-message").textContent = wrong ? "That was not the right key." : "Whoever started the server has it. It is kept until you close this tab.";
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(PLACE, input.value.trim());
      input.value = "";
      dialog.close();
    };
    dialog.oncancel = (event) => event.preventDefault(); // nothing works without
    dialog.onclose = () => { waiting = null; resolve(); };
    dialog.showModal();
    input.focus();
  });
  return waiting;
}

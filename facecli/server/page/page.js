"use strict";

const FRAME_SIDE = 960; // pixels; a face at arm's length is about a quarter of this wide
const FRAME_SECONDS = 0.22; // slightly more than the gate's shortest interval between looks
const RETRY_SECONDS = 2;
const STALE_SECONDS = 3; // an older answer or picture does not show who is there now; then it goes
const EVENTS = 5;
const LONG = 26; // characters; a longer name is shown in smaller type

const find = (selector) => document.querySelector(selector);
const video = find("video");
const overlay = find("canvas");
const session = Array.from(crypto.getRandomValues(new Uint8Array(16)), hex).join("");
const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

let token = sessionStorage.getItem("token") || "";
let unlocked = () => {};
let photo = null;
let forgetting = 0;

function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}

// Names may hold any character. Invisible ones, and those that change the direction of the text,
// are shown as their code.
function shown(text) {
  return String(text).replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) =>
    `\\u{${one.codePointAt(0).toString(16)}}`);
}

function showState(state, who, why = "") {
  document.body.dataset.state = state;
  find("#answer use").setAttribute("href", `#${state}`);
  // Set only when it changes, since screen readers read it aloud each time it is set.
  if (find("#who").textContent !== who) find("#who").textContent = who;
  find("#who").classList.toggle("long", who.length > LONG);
  find("#why").textContent = why;
}

// The worst state counts: if a stranger stands beside an employee, show the stranger.
function summary(faces) {
  const of = (state) => faces.filter((one) => one.state === state);
  const names = of("match").map((one) => shown(one.person)).join(", ");
  const beside = names && `with ${names}`;
  if (of("unknown").length) {
    const count = of("unknown").length;
    return ["unknown", count > 1 ? `${count} people not known` : "Not known", beside];
  }
  if (of("ambiguous").length) return ["ambiguous", "Please ask", beside];
  if (of("looking").length) {
    const notes = of("looking").flatMap((one) => one.notes).map((one) => one.split(":")[0]);
    return ["looking", "Look at the camera", [...new Set(notes)].map(shown).join(", ") || beside];
  }
  if (names) {
    const squared = of("match").map((one) => one.squared_l2.toFixed(2)).join(", ");
    return ["match", names, `squared L2 ${squared}, lower is more alike`];
  }
  return ["idle", "Nobody in view", ""];
}

const COLOURS = { match: "#2fd07c", unknown: "#ff5d52", ambiguous: "#ff5d52", looking: "#c9cfcb" };

// Draw the answer on the picture it was given for, over the live video: on that one it could stand
// on somebody else, who came while the service was thinking.
function draw(faces, [width, height], picture) {
  const context = overlay.getContext("2d");
  overlay.width = overlay.clientWidth * devicePixelRatio;
  overlay.height = overlay.clientHeight * devicePixelRatio;
  const scale = Math.min(overlay.width / width, overlay.height / height);
  const left = (overlay.width - width * scale) / 2;
  const top = (overlay.height - height * scale) / 2;
  const mirrored = video.classList.contains("mirrored");
  context.fillRect(0, 0, overlay.width, overlay.height);
  context.save();
  if (mirrored) context.setTransform(-1, 0, 0, 1, overlay.width, 0);
  context.drawImage(picture, left, top, width * scale, height * scale);
  context.restore();
  const size = 20 * devicePixelRatio;
  context.lineWidth = 4 * devicePixelRatio;
  context.lineJoin = "round";
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const face of faces) {
    const [x0, y0, x1, y1] = face.box;
    const x = left + (mirrored ? width - x1 : x0) * scale;
    const y = top + y0 * scale;
    context.strokeStyle = context.fillStyle = COLOURS[face.state];
    context.strokeRect(x, y, (x1 - x0) * scale, (y1 - y0) * scale);
    if (face.state === "looking") continue;
    const text = face.state === "match" ? shown(face.person) : "not known";
    const labelWidth = context.measureText(text).width + size;
    const at = Math.max(0, Math.min(x, overlay.width - labelWidth));
    context.fillRect(at, Math.max(0, y - 1.6 * size), labelWidth, 1.6 * size);
    context.fillStyle = "#0c0d0c";
    context.fillText(text, at + size / 2, Math.max(0, y - 1.6 * size) + 0.85 * size);
  }
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function element(name, text) {
  const node = document.createElement(name);
  node.textContent = text;
  return node;
}

const WORDS = { unknown: "Not known", ambiguous: "Cannot tell" };

function listEvent(event) {
  const item = document.createElement("li");
  item.className = event.status;
  const time = element("time", new Date(event.time).toLocaleTimeString());
  time.dateTime = event.time;
  const [nearest] = event.candidates;
  const squared = event.squared_l2 ?? nearest?.squared_l2;
  const about = event.person === null && nearest ? `nearest ${shown(nearest.name)}, ` : "";
  const number = squared === undefined ? shown(event.reason) :
    `${about}squared L2 ${squared.toFixed(2)} (threshold ${event.threshold.toFixed(2)})`;
  const who = element("b", event.person === null ? WORDS[event.status] : shown(event.person));
  item.append(icon(event.status), who, time, element("small", number));
  find("#events").prepend(item);
  while (find("#events").children.length > EVENTS) find("#events").lastChild.remove();
  find("#none").hidden = true;
}

// Take the answer away, picture and words, so that an old one never stays.
function forget(...words) {
  clearTimeout(forgetting);
  overlay.width = overlay.height = 0;
  showState("idle", ...words);
}

// Return the camera's current picture on a canvas, its longer side at most `side` pixels.
function capture(side = Infinity) {
  const frame = document.createElement("canvas");
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  frame.width = Math.round(video.videoWidth * scale);
  frame.height = Math.round(video.videoHeight * scale);
  frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
  return frame;
}

function encoded(frame) {
  return new Promise((done) => frame.toBlob(done, "image/jpeg", 0.9));
}

function ask(path, body, secret, signal) {
  const headers = secret ? { Authorization: `Bearer ${secret}` } : {};
  return fetch(path, { method: "POST", body, headers, signal, cache: "no-store" });
}

// Resolve when the camera has a new picture. Fail if it has none: the page must not seem to watch.
function newPicture() {
  return new Promise((done, fail) => {
    video.requestVideoFrameCallback(done);
    setTimeout(() => fail(new Error("the camera sends no new pictures")), STALE_SECONDS * 1000);
  });
}

async function unlock() {
  forget("A token is needed");
  find("#unlock").hidden = false;
  find("#unlock input").focus();
  await new Promise((done) => { unlocked = done; });
  find("#unlock").hidden = true;
}

async function look() {
  await newPicture();
  const picture = capture(FRAME_SIDE);
  const stale = performance.now() + STALE_SECONDS * 1000;
  const timeLimit = AbortSignal.timeout(STALE_SECONDS * 1000);
  const answer = await ask(`gate?session=${session}`, await encoded(picture), token, timeLimit);
  if (answer.status === 401) return unlock();
  const seen = await answer.json();
  if (!answer.ok) throw new Error(seen.reason);
  clearTimeout(forgetting);
  forgetting = setTimeout(forget, stale - performance.now(), "One moment", "the answer takes long");
  draw(seen.faces, seen.size, picture);
  showState(...summary(seen.faces));
  seen.events.forEach(listEvent);
}

async function watch() {
  for (;;) {
    const next = wait(FRAME_SECONDS);
    try {
      await look();
    } catch (error) {
      const noAnswer = error instanceof TypeError || error.name === "TimeoutError";
      forget("Not watching", noAnswer ? "the service does not answer" : error.message);
      await wait(RETRY_SECONDS);
    }
    await next;
  }
}

async function start() {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" },
    });
    const [track] = video.srcObject.getVideoTracks();
    video.classList.toggle("mirrored", track.getSettings().facingMode !== "environment");
    await video.play();
  } catch (error) {
    showState("idle", "No camera", window.isSecureContext ? error.message :
      "browsers give a camera to localhost and to https only");
    return;
  }
  watch();
}

function choose(blob) {
  photo = blob;
  const reader = new FileReader();
  reader.onload = () => {
    find(".photo img").src = reader.result;
    find(".photo img").hidden = false;
    find(".photo .quiet").hidden = true;
  };
  reader.readAsDataURL(blob);
  showOutcome("", "");
}

function showOutcome(state, text) {
  find("#outcome").className = state;
  find("#outcome").textContent = text;
}

async function enroll(form) {
  const name = form.elements.name.value;
  const query = new URLSearchParams({ name });
  const answer = await ask(`enroll?${query}`, photo, form.elements.admin.value);
  const record = await answer.json();
  if (record.kind !== "enrollment") return showOutcome("unknown", shown(record.reason));
  if (record.refused) {
    return showOutcome("unknown", `Refused: ${record.reasons.map(shown).join("; ")}`);
  }
  const notes = [...record.reasons, ...record.warnings].map(shown).join("; ");
  showOutcome("match", `${shown(record.person)} is enrolled${notes ? `: ${notes}` : ""}`);
  form.elements.name.value = "";
}

find("#snap").addEventListener("click", async () => {
  if (video.videoWidth) choose(await encoded(capture()));
  else showOutcome("unknown", "There is no camera");
});
find("#file").addEventListener("change", (event) => {
  if (event.target.files.length) choose(event.target.files[0]);
});
find("#enroll").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!photo) return showOutcome("unknown", "Take a photo or choose a file first");
  const button = find("#enroll .main");
  button.disabled = true;
  showOutcome("", "");
  try {
    await enroll(event.target);
  } catch {
    showOutcome("unknown", "The service does not answer");
  }
  button.disabled = false;
});
find("#unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  token = event.target.elements.token.value;
  sessionStorage.setItem("token", token);
  unlocked();
});
start();

"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const search = one("#search");
  const cards = all(".person, .once > .face");
  const words = new Map();
  const text = (card) => {
    if (!words.has(card)) {
      const titles = all("[title]", card).map((part) => part.title);
      words.set(card, [card.title, card.textContent, ...titles].join(" ").toLowerCase());
    }
    return words.get(card);
  };

  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const card of cards) {
      card.hidden = !wanted.every((word) => text(card).includes(word));
      shown += !card.hidden;
    }
    const found = new Set(cards.filter((card) => !card.hidden).map((card) => card.id));
    for (const dot of all("#map circle")) {
      dot.classList.toggle("dim", !found.has("p" + dot.dataset.cluster));
    }
    one("#count").textContent = wanted.length ? `${shown} of ${cards.length} shown` : "";
  };
  search.addEventListener("input", filter);

  const step = (by) => {
    const visible = all(".person").filter((card) => !card.hidden);
    const here = visible.indexOf(document.activeElement.closest(".person"));
    const next = visible[Math.min(Math.max(here + by, 0), visible.length - 1)];
    if (next) next.focus();
  };
  const current = () => document.activeElement.closest(".person");
  const keys = {
    "/": () => search.focus(),
    j: () => step(1),
    k: () => step(-1),
    o: () => {
      const details = current() && current().querySelector("details");
      if (details) details.open = !details.open;
    },
    x: () => current() && current().querySelector(".pick")?.click(),
    u: () => one("#undo")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target === search) {
      search.value = "";
      filter();
      search.blur();
    }
    const writing = event.target.matches("input:not([type=checkbox])");
    if (writing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  const tip = one("#tip");
  const map = one("#map");
  const pictured = (dot) =>
    one(`#${dot.dataset.face} img`) || one(`[data-face="${dot.dataset.face}"] img`);
  map?.addEventListener("pointermove", (event) => {
    const dot = event.target.closest("circle");
    tip.hidden = !dot;
    if (!dot) return;
    const picture = pictured(dot);
    if (picture && tip.firstChild.src !== picture.src) tip.firstChild.src = picture.src;
    tip.lastChild.textContent = dot.dataset.title;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  map?.addEventListener("pointerleave", () => { tip.hidden = true; });
  map?.addEventListener("click", (event) => {
    const dot = event.target.closest("circle");
    if (dot) location.hash = "p" + dot.dataset.cluster;
  });

  if (!("review" in document.body.dataset)) return;

  const said = one("#said");
  const keep = () => {
    sessionStorage.setItem("search", search.value);
    const open = all("details[open]").map((details) => details.id).filter(Boolean);
    sessionStorage.setItem("open", JSON.stringify(open));
  };
  const correct = async (correction) => {
    let answer;
    try {
      const reply = await fetch("correct", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(correction),
      });
      answer = await reply.json();
    } catch (error) {
      answer = { error: "facecli cluster review has ended: start it again" };
    }
    if (answer.error) {
      said.textContent = answer.error;
      said.hidden = false;
      return;
    }
    keep();
    location.reload();
  };
  search.value = sessionStorage.getItem("search") || "";
  if (search.value) filter();
  for (const id of JSON.parse(sessionStorage.getItem("open") || "[]")) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }

  const numbers = (list) => list.split(" ").map(Number);
  for (const button of all(".act")) {
    button.addEventListener("click", () => {
      const photos = button.dataset.photos ? button.dataset.photos.split(" ") : [];
      correct({ what: button.dataset.what, clusters: numbers(button.dataset.clusters), photos });
    });
  }
  for (const form of all("form.name")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const name = form.elements.name.value;
      correct({ what: "name", clusters: [Number(form.dataset.cluster)], name });
    });
  }
  one("#undo")?.addEventListener("click", () => correct({ what: "undo" }));

  const tray = one(".tray");
  const chosen = () => ({
    people: all(".pick:checked").map((box) => Number(box.value)),
    faces: all(".pick-face:checked"),
  });
  const refresh = () => {
    const { people, faces } = chosen();
    const owners = new Set(faces.map((box) => Number(box.dataset.cluster)));
    tray.hidden = !people.length && !faces.length;
    const count = (number, word, words) => `${number} ${number === 1 ? word : words}`;
    one("#chosen").textContent = [
      people.length && count(people.length, "person", "people"),
      faces.length && count(faces.length, "face", "faces"),
    ].filter(Boolean).join(" and ") + " selected";
    const allowed = {
      merge: people.length > 1 && !faces.length,
      "not-same": people.length === 2 && !faces.length,
      split: owners.size === 1 && !people.length,
      move: owners.size === 1 && people.length === 1 && !owners.has(people[0]),
      clear: true,
    };
    for (const button of all("[data-do]", tray)) button.disabled = !allowed[button.dataset.do];
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches(".pick, .pick-face")) refresh();
  });
  tray.addEventListener("click", (event) => {
    const what = event.target.dataset.do;
    const { people, faces } = chosen();
    const photos = faces.map((box) => box.dataset.photo);
    const owner = faces.length ? [Number(faces[0].dataset.cluster)] : [];
    if (what === "clear") {
      for (const box of all(".pick:checked, .pick-face:checked")) box.checked = false;
      refresh();
    } else if (what) {
      correct({ what, clusters: what === "merge" || what === "not-same" ? people : [...owner, ...people], photos });
    }
  });
})();

// Operator page: checks of the form, the name of the operator, focus, sound and colour at the end.
(() => {
  "use strict";
  const root = document.documentElement;
  const read = (name) => { try { return localStorage.getItem(name) ?? ""; } catch { return ""; } };
  const store = (name, value) => { try { localStorage.setItem(name, value); } catch {} };
  const announce = (text) => { const place = document.getElementById("announced"); if (place) place.textContent = text; };
  const NAME = "operator", KINDS = { integer: /^[+-]?\d{1,4000}$/, number: /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/ };

  // The sentences are those of the session, which checks each answer itself.
  const pattern = (text) => {
    if (/\(\?|\\[AZ]/.test(text)) return null; // other words in Python than here
    try { return new RegExp(`^(?:${text})$`, "mu"); } catch { return null; }
  };
  const violated = (line, checks, limits) => {
    const text = line.trim();
    if (!text) return checks.empty ?? "";
    if (checks.kind) {
      const number = limits.unit && text.endsWith(limits.unit) ? text.slice(0, -limits.unit.length).trimEnd() : text;
      if (!KINDS[limits.type].test(number)) return checks.kind;
      if (number < (limits.min ?? -Infinity) || number > (limits.max ?? Infinity)) return checks.range;
    }
    const rule = checks.pattern && pattern(limits.pattern);
    return rule && !rule.test(text) ? checks.pattern : "";
  };
  const controls = (field) => [...field.querySelectorAll("input, select, textarea")];
  const lineOf = (field) => {
    const all = controls(field), one = all.find((each) => each.type !== "radio" || each.checked);
    return one?.value ?? "";
  };
  const show = (field, rule) => {
    const note = field.querySelector(".wrong");
    const { label, name, error, checks } = field.dataset;
    const own = error && rule !== JSON.parse(checks || "{}").empty;
    note.textContent = rule ? (own ? error : `'${label ?? name}' ${rule}`) : "";
    for (const one of controls(field)) rule ? one.setAttribute("aria-invalid", "true") : one.removeAttribute("aria-invalid");
  };
  const check = (field) => {
    if (!field.dataset.checks) return "";
    const rule = violated(lineOf(field), JSON.parse(field.dataset.checks), JSON.parse(field.dataset.limits ?? "{}"));
    show(field, rule);
    return rule;
  };
  const focusOn = (field) => { (controls(field).find((one) => one.type !== "radio" || one.checked) ?? controls(field)[0] ?? field.querySelector("button"))?.focus(); };

  const send = async (form, button) => {
    const fields = [...form.querySelectorAll(".field"), document.querySelector(".who")];
    const wrong = fields.filter((field) => check(field));
    if (wrong.length) { focusOn(wrong[0]); return; }
    store(NAME, form.elements.who.value.trim());
    const body = new URLSearchParams(new FormData(form, button)), buttons = form.querySelectorAll("button.big");
    buttons.forEach((one) => { one.disabled = true; });
    const refusal = form.querySelector(".refusal");
    let reply = { refusal: "The monitor does not answer. Try again, or answer at the terminal.", problems: {} };
    try {
      const sent = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      reply = await sent.json();
    } catch {}
    if (!reply.refusal) { refusal.hidden = true; announce("The answer was sent."); mine = form.closest(".ask").dataset.keep; return; }
    buttons.forEach((one) => { one.disabled = false; });
    const problems = Object.entries(reply.problems);
    for (const field of fields) if (field.querySelector(".wrong")) show(field, reply.problems[field.dataset.name] ?? "");
    refusal.hidden = problems.length > 0;
    refusal.textContent = problems.length ? "" : reply.refusal;
    const first = fields.find((field) => field.dataset.name in reply.problems);
    if (first) focusOn(first); else button?.focus();
  };
  document.addEventListener("submit", (event) => {
    if (!event.target.classList.contains("answer")) return;
    event.preventDefault();
    send(event.target, event.submitter);
  });
  // A field is checked when it is left, but nothing on the page moves while a finger is on it.
  let pressed = false, left = null;
  const checkLeft = () => { pressed = false; if (left) check(left); left = null; };
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(checkLeft, 50), true);
  document.addEventListener("focusout", (event) => {
    const field = event.target.closest?.(".answer .field");
    if (!field || !lineOf(field) || field.contains(event.relatedTarget)) return;
    if (pressed) left = field; else check(field);
  });
  // Enter goes to the next field, so that no question is passed by mistake. Behind the last field
  // of a question with one button it sends: a scanner ends each code with one Enter.
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest?.(".field");
    if (event.key !== "Enter" || !field || !event.target.matches("input, select")) return;
    event.preventDefault();
    const form = event.target.form;
    if (check(field) || !form) return;
    const fields = [...form.querySelectorAll(".field")], next = fields[fields.indexOf(field) + 1];
    const buttons = form.querySelectorAll("button.big"), isStart = form.closest(".start");
    // The check "empty" is an empty text for the socket of a unit, which comes next but may stay empty.
    const vacant = (one) => one.dataset.name === "button" || lineOf(one).trim() ? undefined : JSON.parse(one.dataset.checks || "{}").empty;
    const empty = isStart && (fields.slice(fields.indexOf(field) + 1).find((one) => vacant(one) !== undefined) ?? fields.find(vacant));
    if (empty) focusOn(empty);
    else if (isStart) form.requestSubmit(buttons[0]);
    else if (next?.dataset.name === "button" && buttons.length === 1 && lineOf(field).trim()) form.requestSubmit(buttons[0]);
    else focusOn(next);
  });

  // The name is kept until it is changed; a shift has another operator. It is outside of all
  // questions, so that no scanned code becomes a name.
  const who = document.getElementById("who");
  if (who) {
    who.value ||= read(NAME);
    who.addEventListener("change", () => store(NAME, who.value.trim()));
  }

  document.addEventListener("click", (event) => {
    const picture = event.target.closest(".enlarge");
    picture?.setAttribute("aria-expanded", picture.getAttribute("aria-expanded") !== "true");
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector(".enlarge[aria-expanded=true]")?.click();
  });

  let sounding = null;
  const tone = (notes) => {
    if (!document.getElementById("sound")?.checked) return;
    try {
      sounding ??= new AudioContext();
      sounding.resume();
      notes.forEach(([pitch, at, length]) => {
        const source = sounding.createOscillator(), volume = sounding.createGain(), start = sounding.currentTime + at;
        source.frequency.value = pitch;
        volume.gain.setValueAtTime(0.25, start);
        volume.gain.exponentialRampToValueAtTime(0.001, start + length);
        source.connect(volume).connect(sounding.destination);
        source.start(start);
        source.stop(start + length);
      });
    } catch {}
  };
  const GOOD = [[660, 0, 0.25], [880, 0.25, 0.5]], BAD = [[330, 0, 0.4], [220, 0.4, 0.8]], ASK = [[780, 0, 0.2]];
  const options = { sound: (on) => { if (on) tone(ASK); }, colour: (on) => root.toggleAttribute("data-colour", on) };
  document.addEventListener("change", (event) => {
    const act = options[event.target.id];
    if (!act) return;
    store(`operator-${event.target.id}`, event.target.checked ? "on" : "");
    act(event.target.checked);
  });

  let shown = "", wasStart = false, mine = "", last = null;
  const look = () => {
    for (const name of Object.keys(options)) {
      const box = document.getElementById(name), on = read(`operator-${name}`) === "on";
      if (box) box.checked = on;
      if (name === "colour") options.colour(on);
    }
    const ask = document.querySelector(".ask[data-keep]"), key = ask?.dataset.keep ?? "";
    if (key !== shown) {
      if (ask) {
        // The focus may be where the page has something else now.
        focusOn(ask.querySelector(".field"));
        ask.scrollIntoView({ block: "nearest" });
        const start = ask.classList.contains("start"), text = ask.querySelector(".message")?.textContent.trim() ?? "";
        announce(`${start ? "" : "New question. "}${ask.querySelector("h2").textContent}. ${text}`);
        if (!start) tone(ASK);
      } else if (shown) {
        if (!wasStart) announce(shown === mine ? "The answer was taken." : "The question is closed.");
        document.getElementById("content").focus({ preventScroll: true });
        scrollTo({ top: 0 });
      }
      shown = key;
      wasStart = Boolean(ask?.classList.contains("start"));
    }
    const { run, word, look: style } = document.getElementById("word").dataset, now = `${run} ${word}`;
    if (last !== null && last !== now && run) document.getElementById("next")?.focus({ preventScroll: true });
    if (last !== null && last !== now && word !== "running" && run) tone(style === "passed" ? GOOD : BAD);
    last = now;
  };
  document.addEventListener("shown", look);
  look();
})();

(() => {
  "use strict";
  const { systems, items } = JSON.parse(document.getElementById("items-data").textContent);
  const table = document.getElementById("item-table");
  const form = document.getElementById("filters");
  const count = document.getElementById("count");

  // Texts go in as text nodes only, so nothing a model wrote can become markup.
  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const percent = (value) => `${Math.round(100 * value)} %`;
  const say = (name) => name.replaceAll("_", " ");
  const decisionOf = (reply) => reply.decision || "failed";
  const chip = (decision) => make("span", { class: `chip ${decision}` }, decision);

  const isRight = (item, reply) => reply.decision === item.decision;
  const isRightAnswer = (item, reply) => reply.decision === "correct" && item.decision === "correct" && reply.verdict === "correct";
  const OUTCOMES = {
    "right": isRight,
    "wrong": (item, reply) => !isRight(item, reply),
    "right-answer": isRightAnswer,
    "wrong-answer": (item, reply) => reply.decision === "correct" && !isRightAnswer(item, reply),
    "hallucination": (item, reply) => item.decision === "refuse" && reply.decision === "correct",
    "ungraded": (item, reply) => reply.verdict === "ungraded",
  };

  const mark = (item, reply) => {
    if (item.decision === "refuse" && reply.decision === "correct") return make("span", { class: "mark wrong" }, "✗ hallucination");
    const right = isRight(item, reply);
    return make("span", { class: `mark ${right ? "right" : "wrong"}` }, right ? "✓ decision" : "✗ decision");
  };

  // Where nothing definite is right, the decision says it all.
  const answerMark = (item, reply) => {
    if (reply.decision !== "correct" || item.decision !== "correct") return null;
    if (reply.verdict === "ungraded") return make("span", { class: "mark" }, "? ungraded");
    const right = isRightAnswer(item, reply);
    return make("span", { class: `mark ${right ? "right" : "wrong"}` }, right ? "✓ answer" : "✗ answer");
  };

  const replyCell = (item, system) => {
    const reply = item.systems[system.key];
    const head = make("p", { class: "marks" }, chip(decisionOf(reply)), mark(item, reply), answerMark(item, reply));
    const parts = [head];
    if (reply.calibrated !== null) {
      const fill = make("i", { style: `width:${Math.round(100 * reply.calibrated)}%` });
      parts.push(make("p", { class: "meta" }, `confidence ${percent(reply.calibrated)} `, make("span", { class: "bar", "aria-hidden": "true" }, fill)));
    }
    const said = reply.failure || reply.answer;
    if (said) parts.push(make("p", { class: "clamp" }, said));
    return make("td", { role: "cell", "data-label": system.name }, make("div", {}, ...parts));
  };

  const define = (rows) => {
    const list = make("dl");
    for (const [name, value] of rows) {
      if (value === null || value === undefined || value === "") continue;
      list.append(make("dt", {}, name), make("dd", {}, String(value)));
    }
    return list;
  };

  const replyDetails = (item, system) => {
    const reply = item.systems[system.key];
    const chances = reply.probabilities && Object.entries(reply.probabilities).map(([name, value]) => `${name} ${percent(value)}`).join(", ");
    const confidence = reply.calibrated === null ? null
      : `${percent(reply.calibrated)}${reply.confidence === undefined ? "" : ` (before calibration ${percent(reply.confidence)})`}`;
    return make("div", {}, make("h4", {}, system.name), define([
      ["Decision", decisionOf(reply)],
      ["Failure", reply.failure],
      ["Answer", reply.answer],
      ["Answer when made to answer", reply.forced_answer],
      ["Justification", reply.justification],
      ["Evidence quality", reply.evidence_quality],
      ["Confidence that answering is right", confidence],
      ["Chance of each decision", chances],
      ["Grade of the answer", `${reply.verdict}: ${reply.reason}`],
    ]));
  };

  const detailsRow = (item, id) => {
    const gold = make("div", {}, make("h4", {}, "What is right"), define([
      ["Context", item.context],
      ["Decision", item.decision],
      ["A careful answer", item.answer],
      ["Accepted answers", item.answers.join(" | ")],
      ["Why", item.justification],
      ["Evidence quality", item.evidence_quality],
      ["Source", item.source],
      ["Id", item.id],
    ]));
    const parts = make("div", { class: "parts" }, gold, ...systems.map((system) => replyDetails(item, system)));
    return make("tr", { class: "details", id, role: "row" }, make("td", { colspan: String(systems.length + 2), role: "cell" }, parts));
  };

  const buildRow = (item, index) => {
    const id = `details-${index}`;
    const button = make("button", { type: "button", class: "more", "aria-expanded": "false", "aria-controls": id }, "Details");
    const first = make("td", { role: "cell" },
      make("p", { class: "question" }, item.question),
      item.context ? make("p", { class: "clamp" }, item.context) : null,
      make("p", { class: "meta" }, say(item.pattern)), button);
    const gold = make("td", { role: "cell", "data-label": "Right" }, make("div", {}, chip(item.decision)));
    const body = make("tbody", { role: "rowgroup", "data-id": item.id },
      make("tr", { class: "row", role: "row" }, first, gold, ...systems.map((system) => replyCell(item, system))));
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      // Most rows are never opened: their details are built on first sight.
      if (body.rows.length === 1) body.append(detailsRow(item, id));
      body.rows[1].hidden = !open;
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Less" : "Details";
    });
    return body;
  };

  const searchText = (item) => {
    const texts = [item.id, item.question, item.context, item.answer, item.justification, ...item.answers];
    for (const reply of Object.values(item.systems)) texts.push(reply.answer, reply.forced_answer, reply.justification, reply.failure);
    return texts.filter(Boolean).join("\n").toLowerCase();
  };

  const rows = items.map((item, index) => ({ item, index, body: buildRow(item, index), text: searchText(item) }));
  const groupStart = new Map();
  for (const row of rows) if (!groupStart.has(row.item.group)) groupStart.set(row.item.group, row.index);

  const matches = (row, wanted) => {
    const { item } = row;
    const reply = item.systems[wanted.system];
    return (!wanted.pattern || item.pattern === wanted.pattern)
      && (!wanted.gold || item.decision === wanted.gold)
      && (!wanted.decision || decisionOf(reply) === wanted.decision)
      && (!wanted.outcome || OUTCOMES[wanted.outcome](item, reply))
      && wanted.words.every((word) => row.text.includes(word));
  };

  const sorted = (wanted) => {
    const key = new Map();
    for (const row of rows) {
      const value = wanted.order ? row.item.systems[wanted.system].calibrated : null;
      // Items without a confidence go last in either order.
      key.set(row, !wanted.order ? row.index : value === null ? Infinity : wanted.order === "high" ? -value : value);
    }
    if (wanted.twins) {
      const best = new Map();
      for (const row of rows) best.set(row.item.group, Math.min(best.get(row.item.group) ?? Infinity, key.get(row)));
      return [...rows].sort((a, b) => best.get(a.item.group) - best.get(b.item.group)
        || groupStart.get(a.item.group) - groupStart.get(b.item.group) || a.index - b.index);
    }
    return [...rows].sort((a, b) => (key.get(a) === key.get(b) ? a.index - b.index : key.get(a) - key.get(b)));
  };

  const apply = () => {
    const fields = Object.fromEntries(new FormData(form));
    const wanted = { ...fields, twins: form.elements.twins.checked, words: (fields.text || "").toLowerCase().split(/\s+/).filter(Boolean) };
    const found = new Set(rows.filter((row) => matches(row, wanted)));
    const groups = new Set([...found].map((row) => row.item.group));
    const order = sorted(wanted);
    const shown = order.filter((row) => (wanted.twins ? groups.has(row.item.group) : found.has(row)));
    for (const row of rows) row.body.hidden = true;
    shown.forEach((row, place) => {
      row.body.hidden = false;
      row.body.classList.toggle("second-twin", wanted.twins && place > 0 && shown[place - 1].item.group === row.item.group);
      row.body.classList.toggle("first-twin", wanted.twins && place + 1 < shown.length && shown[place + 1].item.group === row.item.group);
    });
    table.classList.toggle("twins", wanted.twins);
    table.append(...order.map((row) => row.body));
    const total = `${rows.length} questions`;
    count.textContent = shown.length === rows.length ? total
      : `${shown.length} of ${total}${wanted.twins && found.size < shown.length ? ` (${found.size} match, shown with their twins)` : ""}`;
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  apply();
})();

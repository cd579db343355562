// The panel at the right: targets, a switch, what stays behind, files and packages.

import { element, fill } from "./elements.js";
import {
  modeLabel,
  parts,
  pending,
  percent,
  phaseOf,
  plural,
  size,
  targetOf,
  trip,
} from "./words.js";

const WATCH = 20_000; // ms; one wish to be told of the machines holds for 30 s.

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">
  <g class="jp-icon3" fill="#616161">
    <path d="M1 2h6v5H5v1h1v1H2V8h1V7H1zm1 1v3h4V3zM10 7h5v7h-5zm1 1v1h3V8zm0 2v1h3v-1z"/>
    <path d="M9 3h3v2h1.5L11.500 7 9.500 5H11V4H9zM7 13H4v-2H2.500L4.500 9l2 2H5v1h2z"/>
  </g></svg>`;

const section = (name, title) => {
  const body = element("div");
  const heading = element("h3", { id: `relay-${name}` }, title);
  const node = element("section", { "aria-labelledby": heading.id }, heading, body);
  return { node, body };
};

const note = (text) => element("p", { class: "relay-Note" }, text);

const meter = (label, share, words) =>
  element(
    "div",
    { class: "relay-Meter" },
    element("span", {}, label),
    element(
      "span",
      {
        class: "relay-Bar",
        role: "meter",
        "aria-label": label,
        "aria-valuemin": "0",
        "aria-valuemax": "100",
        "aria-valuenow": String(Math.round(100 * share)),
        "aria-valuetext": words,
      },
      element("span", { class: "relay-BarFill", style: `width: ${Math.round(100 * share)}%` }),
    ),
    element("span", { class: "relay-MeterWords" }, words),
  );

const meters = (usage) => {
  const { cpu, cores, memory_used: used, memory_total: total, gpus } = usage;
  const found = [
    meter("CPU", cpu, `${percent(cpu)} of ${plural(cores, "core")}`),
    meter("Memory", used / total, `${size(used)} of ${size(total)}`),
  ];
  gpus.forEach((gpu, index) => {
    const label = gpus.length === 1 ? "GPU" : `GPU ${index}`;
    const load = gpu.load === null ? gpu.name : `${percent(gpu.load)} · ${gpu.name}`;
    const words = `${size(gpu.memory_used)} of ${size(gpu.memory_total)}`;
    found.push(meter(label, gpu.load ?? 0, load));
    found.push(meter(`${label} memory`, gpu.memory_used / gpu.memory_total, words));
  });
  return found;
};

const role = (overview, target) => {
  if (target.is_primary) return "runs the cells";
  if (target.filling_cell !== null) return "is being given the variables";
  if (target.applied_cell === null) return null;
  return target.applied_cell >= overview.cell ? "holds the variables" : "holds older variables";
};

const card = (overview, target) => {
  const { mark, word } = phaseOf(overview, target);
  const far = target.rtt_ms !== null ? trip(target.rtt_ms) : null;
  const about = [target.host, far && `${far} away`, role(overview, target)].filter(Boolean);
  return element(
    "li",
    { class: `relay-Card relay-mod-${word}${target.is_primary ? " relay-mod-primary" : ""}` },
    element(
      "div",
      { class: "relay-CardHead" },
      element("strong", {}, target.name),
      element(
        "span",
        {},
        element("span", { class: "relay-Mark", "aria-hidden": "true" }, mark),
        word,
      ),
    ),
    element("div", {}, about.join(" · ")),
    target.reason ? note(target.reason) : null,
    ...(target.usage ? meters(target.usage) : []),
  );
};

const list = (label, items) =>
  element("ul", { class: "relay-List", "aria-label": label }, ...items);

const behind = (overview, one) => {
  const isThere = targetOf(overview, one.target).phase !== "absent";
  return element(
    "li",
    {},
    element("code", {}, one.name),
    ` (${one.type}) ${isThere ? "stays" : "was"} at ${one.target}`,
    note(one.reason),
  );
};

const opener = (what, path, open) =>
  element(
    "button",
    {
      type: "button",
      class: "relay-Open",
      "aria-label": `Open ${what}, ~/${path}`,
      onclick: open,
    },
    "Open",
  );

const version = (label, what, path, opening) => {
  const open = opening(path);
  const name = element("code", {}, `~/${path}`);
  const button = open ? opener(what, path, open) : "";
  return [element("dt", {}, label), element("dd", {}, name, button)];
};

const conflict = (one, opening) =>
  element(
    "li",
    {},
    "Two versions, both kept:",
    element(
      "dl",
      {},
      ...version("the server's", "the server's version", one.path, opening),
      ...version(`that of ${one.target}`, `the version of ${one.target}`, one.copy, opening),
    ),
  );

const files = (overview, opening) => {
  const { is_kept: isKept, reason, conflicts, conflicts_total: total } = overview.files;
  const found = [];
  if (overview.targets.length > 1 && !isKept) {
    found.push(note(`This notebook's folder is not kept equal: ${reason}.`));
  }
  for (const [target, count] of Object.entries(overview.files.pending)) {
    const words = `${plural(count, "file")} on the way to or from ${target}`;
    if (count) found.push(element("p", {}, words));
  }
  if (total) {
    found.push(list("Conflicts", conflicts.map((one) => conflict(one, opening))));
    found.push(note("Keep what you want, and take it off this list: relay files dismiss COPY"));
  }
  if (isKept && !pending(overview) && !total) found.push(note("All files are equal."));
  return found;
};

const environment = ({ target, phase, reason, drift }) => {
  const differences = drift.map((each) => element("li", {}, each));
  const many = drift.length ? plural(drift.length, "difference") : "no differences";
  return element(
    "li",
    {},
    element("strong", {}, target),
    `: ${phase}, ${many}`,
    reason ? note(reason) : null,
    drift.length ? list("Differences", differences) : null,
  );
};

export const makePanel = (lumino, ui, { use, watch, onVisible, opening }) => {
  const title = element("h2", { id: "relay-title" }, "Where cells run");
  const summary = element("p");
  const choice = element("fieldset", { class: "relay-Choice" });
  const targets = section("targets", "Targets");
  const left = section("left", "Variables that stay behind");
  const kept = section("files", "Files");
  const packages = section("packages", "Packages");
  const empty = note("The notebook in front has no relay kernel.");
  const all = element(
    "div",
    {},
    summary,
    choice,
    ...[targets, left, kept, packages].map((each) => each.node),
  );
  const node = element("div", { class: "relay-Panel", tabindex: "-1" }, title, empty, all);

  class Panel extends lumino.Widget {
    #timer = 0;
    onAfterShow() {
      onVisible(true);
      watch();
      this.#timer = setInterval(watch, WATCH);
    }
    onAfterHide() {
      onVisible(false);
      clearInterval(this.#timer);
    }
    onActivateRequest() {
      (node.querySelector("input:checked") ?? node).focus();
    }
  }
  const panel = new Panel({ node });
  panel.id = "relay-panel";
  panel.title.caption = "Where cells run (relay)";
  panel.title.icon = new ui.LabIcon({ name: "relay-kernel:relay", svgstr: ICON });
  panel.node.setAttribute("role", "region");
  panel.node.setAttribute("aria-labelledby", title.id);

  let radios = [];
  const offer = (overview) => {
    const modes = ["auto", ...overview.targets.map((each) => each.name)];
    if (radios.map((radio) => radio.value).join() !== modes.join()) {
      radios = modes.map((value) =>
        element("input", { type: "radio", name: "relay-mode", value, onchange: () => use(value) }),
      );
      const labels = radios.map((radio) =>
        element("label", {}, radio, element("span"), element("span", { class: "relay-Note" })),
      );
      choice.replaceChildren(element("legend", {}, "Run the next cells at"), ...labels);
    }
    for (const radio of radios) {
      const [name, meaning] = modeLabel(overview, radio.value);
      const [called, means] = radio.parentElement.querySelectorAll("span");
      called.textContent = name;
      means.textContent = meaning;
      radio.checked = radio.value === overview.mode;
    }
  };

  return {
    widget: panel,
    show: (overview, name) => {
      empty.hidden = overview !== null;
      all.hidden = overview === null;
      if (overview === null) return;
      const { where, more } = parts(overview);
      fill(
        summary,
        element("strong", {}, where),
        ` runs the cells of ${name}; ${more.join("; ")}.`,
      );
      offer(overview);
      fill(
        targets.body,
        element("ul", {}, ...overview.targets.map((t) => card(overview, t))),
      );
      const unnamed = overview.left_behind_total - overview.left_behind.length;
      left.node.hidden = overview.targets.length === 1;
      fill(
        left.body,
        overview.left_behind.length
          ? list("Variables", overview.left_behind.map((one) => behind(overview, one)))
          : note("None: all variables can travel."),
        unnamed ? note(`and ${unnamed} more`) : null,
      );
      kept.node.hidden = overview.targets.length === 1;
      fill(kept.body, ...files(overview, opening));
      packages.node.hidden = overview.environments.length === 0;
      fill(packages.body, list("Environments", overview.environments.map(environment)));
    },
  };
};

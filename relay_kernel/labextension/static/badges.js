// Where each cell ran: a word below its prompt.
//
// It is kept in the cell's metadata, as `relay: {"target": "pc"}`: with the reply, at a moment when
// the notebook has changed anyway, and only if it is another target than before. It is shown for as
// long as the cell has its number, since clearing the outputs clears what the word is about.

import { element } from "./elements.js";

const KEY = "relay";

const isCode = (cell) => cell.model.type === "code";

/** Show the badge of a cell; `now` is where it runs at this moment, if it does. */
const show = (cell, now) => {
  // The input area itself cuts off what is below a single line.
  const area = cell.inputArea?.node.parentElement;
  if (!area) return;
  const ran = cell.model.executionCount === null ? null : cell.model.getMetadata(KEY)?.target;
  const where = now ?? ran;
  let badge = area.querySelector(":scope > .relay-Badge");
  if (!where) {
    badge?.remove();
    return;
  }
  if (!badge) {
    badge = element("span", { class: "relay-Badge", role: "note" });
    area.classList.add("relay-mod-badged");
    area.append(badge);
  }
  const words = now ? `runs at ${now}` : `ran at ${ran}`;
  if (badge.getAttribute("aria-label") === words) return;
  badge.textContent = where;
  badge.setAttribute("aria-label", words);
  badge.classList.toggle("relay-mod-running", Boolean(now));
};

/** The badges of one notebook. */
export class Badges {
  #content;
  #cells = null;
  #known = new WeakSet();
  #running;

  constructor(panel) {
    this.#content = panel.content;
    panel.content.modelChanged.connect(this.#onModel, this);
    this.#onModel();
  }

  /** The cell with this id has been answered. */
  ended(id, relay) {
    const cell = this.#cell(id);
    if (!cell || !relay.target) return;
    if (cell.model.getMetadata(KEY)?.target !== relay.target) {
      cell.model.setMetadata(KEY, { target: relay.target });
    }
    this.#show(cell);
  }

  /** The cell with this id runs at a target now; undefined: none does. */
  running(id, target) {
    const before = this.#running;
    this.#running = id && { id, target };
    for (const each of new Set([before?.id, id])) {
      const cell = each && this.#cell(each);
      if (cell) this.#show(cell);
    }
  }

  #cell(id) {
    return this.#content.widgets.find((each) => each.model.id === id && isCode(each));
  }

  #show(cell) {
    if (cell.isDisposed) return;
    show(cell, cell.model.id === this.#running?.id ? this.#running.target : undefined);
  }

  #onModel() {
    this.#cells?.changed.disconnect(this.#lookAgain, this);
    this.#cells = this.#content.model?.cells ?? null;
    this.#cells?.changed.connect(this.#lookAgain, this);
    this.#lookAgain();
  }

  #lookAgain() {
    for (const cell of this.#content.widgets) {
      if (this.#known.has(cell) || !isCode(cell)) continue;
      this.#known.add(cell);
      cell.ready.then(() => this.#show(cell));
      cell.model.stateChanged.connect((_, change) => {
        if (change.name === "executionCount") this.#show(cell);
      });
      cell.model.metadataChanged.connect(() => this.#show(cell));
    }
  }
}

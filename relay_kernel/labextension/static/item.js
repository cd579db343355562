// The item in the status bar, or in the top bar where there is none.

import { element, fill } from "./elements.js";
import { announcement, parts } from "./words.js";

export const makeItem = ({ Widget }, { Signal }, toggle) => {
  const button = element("button", {
    type: "button",
    class: "relay-Item",
    "aria-controls": "relay-panel",
    "aria-expanded": "false",
    onclick: toggle,
  });
  // Read out when it changes; the button itself changes with every cell.
  const spoken = element("span", { class: "relay-Spoken", role: "status", "aria-live": "polite" });
  const node = element("div", { class: "relay-ItemBox" }, button, spoken);
  const item = new Widget({ node });
  item.id = "relay-item";
  item.hide();
  // A status bar shows its items by itself, but for those that say that they are not active.
  const activeStateChanged = new Signal(item);

  return {
    widget: item,
    activeStateChanged,
    isActive: () => !item.isHidden,
    focus: () => button.focus(),
    setOpen: (isOpen) => button.setAttribute("aria-expanded", String(isOpen)),
    show: (overview) => {
      if (item.isHidden !== (overview === null)) {
        item.setHidden(overview === null);
        activeStateChanged.emit();
      }
      if (overview === null) {
        spoken.textContent = "";
        return;
      }
      const { phase, where, more } = parts(overview);
      const text = [where, ...more].join(" · ");
      button.className = `relay-Item relay-mod-${phase.word}`;
      fill(
        button,
        element("span", { class: "relay-Mark", "aria-hidden": "true" }, phase.mark),
        element("span", { class: "relay-Where" }, where),
        element("span", {}, ` · ${more.join(" · ")}`),
      );
      button.title = `Cells run at ${text}. Click for targets, variables, files and packages.`;
      button.setAttribute("aria-label", `Relay: cells run at ${text}`);
      const said = announcement(overview);
      if (spoken.textContent !== said) spoken.textContent = said;
    },
  };
};

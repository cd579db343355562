// Elements of the page, in few words.

/** `element("p", {class: "note"}, "text", child)`; without attributes that are null or false. */
export const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
};

/** Replace what is in `parent` if it would be other than it is, so that focus and scroll stay. */
export const fill = (parent, ...children) => {
  const made = children
    .filter((each) => each !== null && each !== undefined)
    .map((each) => (typeof each === "string" ? document.createTextNode(each) : each));
  const same =
    made.length === parent.childNodes.length &&
    made.every((each, index) => each.isEqualNode(parent.childNodes[index]));
  if (same) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
  parent.replaceChildren(...made);
  if (focused) parent.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
};

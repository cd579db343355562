// What is shown of an overview, in words. Nothing here touches the page.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const size = (bytes) => {
  let left = bytes;
  let unit = 0;
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1000;
    unit += 1;
  }
  return `${left >= 100 || unit === 0 ? left.toFixed(0) : left.toFixed(1)} ${UNITS[unit]}`;
};

export const percent = (share) => `${Math.round(100 * share)} %`;

export const trip = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`);

/** What is believed of a target, for a person; a mark for each, so that colour is not needed. */
export const PHASES = {
  ready: { mark: "●", word: "ready" },
  filling: { mark: "◐", word: "filling" },
  linked: { mark: "○", word: "starting" },
  quiet: { mark: "?", word: "quiet" },
  absent: { mark: "×", word: "away" },
};

export const targetOf = (overview, name) => overview.targets.find((each) => each.name === name);

export const wasLost = (overview, target) =>
  target.phase === "absent" &&
  overview.moved !== null &&
  overview.moved.is_loss &&
  overview.moved.source === target.name;

export const phaseOf = (overview, target) =>
  wasLost(overview, target) ? { mark: "×", word: "lost" } : PHASES[target.phase];

/** Whether cells will run at a target as soon as it is ready. */
const isAwaited = (overview, target) => {
  const places = overview.targets.map((each) => each.name);
  const isPreferred = places.indexOf(target.name) < places.indexOf(overview.primary);
  return overview.mode === target.name || (overview.mode === "auto" && isPreferred);
};

/** Targets that are not as they should be. */
const troubles = (overview) =>
  overview.targets.filter((each) => each.phase === "quiet" || wasLost(overview, each));

/** Targets on their way to run cells; a standby that gets a copy is nothing to speak of. */
const coming = (overview) =>
  overview.targets.filter(
    (each) => ["linked", "filling"].includes(each.phase) && isAwaited(overview, each),
  );

const said = (overview, target) => {
  const { word } = phaseOf(overview, target);
  return target.is_primary ? word : `${target.name} ${word}`;
};

export const pending = (overview) =>
  Object.values(overview.files.pending).reduce((sum, each) => sum + each, 0);

const safety = (overview) => {
  if (overview.count === 0) return "nothing run yet";
  if (overview.safe_count >= overview.count) return `safe up to [${overview.count}]`;
  return `safe up to [${overview.safe_count}] of [${overview.count}]`;
};

/** The parts of the status item: where cells run, what is safe, and what is not as usual. */
export const parts = (overview) => {
  const primary = targetOf(overview, overview.primary);
  const found = [safety(overview)];
  for (const target of [...troubles(overview), ...coming(overview)]) {
    found.push(said(overview, target));
  }
  const { mode } = overview;
  if (mode !== "auto" && mode !== overview.primary) found.push(`next cells at ${mode}`);
  const files = pending(overview);
  if (files) found.push(`${plural(files, "file")} pending`);
  const conflicts = overview.files.conflicts_total;
  if (conflicts) found.push(plural(conflicts, "conflict"));
  return { phase: phaseOf(overview, primary), where: primary.name, more: found };
};

/** What is read out when it changes: not every cell, but where they run and what is wrong. */
export const announcement = (overview) => {
  const words = [`Cells run at ${overview.primary}`];
  for (const target of troubles(overview)) {
    words.push(`${target.name} is ${phaseOf(overview, target).word}`);
  }
  const conflicts = overview.files.conflicts_total;
  if (conflicts) words.push(plural(conflicts, "file conflict"));
  return words.join(". ");
};

/** What a choice is called, and what it means. */
export const modeLabel = (overview, mode) => {
  if (mode === "auto") return ["Automatic", `${overview.targets[0].name} if it is there`];
  return mode === "local" ? ["local", "this server"] : [mode, targetOf(overview, mode).host];
};

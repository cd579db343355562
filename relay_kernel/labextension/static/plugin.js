// Puts the parts together: a feed for each notebook's kernel, and what shows the current one.

import { Badges } from "./badges.js";
import { Feed } from "./feed.js";
import { makeItem } from "./item.js";
import { makePanel } from "./panel.js";
import { contentsPath, rootOf } from "./places.js";

const OPEN = "relay-kernel:toggle-panel";
const RANK = 9_000; // Left of the kernel's name in the top bar of Notebook.

const addStyle = (base) => {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("relay.css", base);
  document.head.append(link);
};

/** What is news to whoever looks at another notebook, or away: a role that moved by itself. */
const newsOf = (overview, before) => {
  const moved = overview?.moved;
  if (!before || !moved?.is_news) return null;
  return before.moved?.epoch === moved.epoch ? null : moved;
};

/** The plugin; `shared` gives the modules that the application shares. */
export const plugin = async (shared, base) => {
  const names = ["apputils", "coreutils", "notebook", "services", "statusbar", "ui-components"];
  const [apputils, coreutils, notebook, services, statusbar, ui] = await Promise.all(
    names.map((name) => shared(`@jupyterlab/${name}`)),
  );
  const [widgets, signaling] = await Promise.all(
    ["widgets", "signaling"].map((name) => shared(`@lumino/${name}`)),
  );

  const activate = (app, { tracker, bar, palette }) => {
    if (!tracker) return; // A page without notebooks.
    addStyle(base);
    const shown = new Map(); // notebook panel -> {feed, badges}
    const current = () => shown.get(tracker.currentWidget)?.feed ?? null;

    /** What opens a file that R names, below the user's home; null where Jupyter cannot. */
    const opening = (file) => {
      const files = current()?.overview?.files;
      const notebookPath = tracker.currentWidget?.context.path;
      if (!files || !notebookPath) return null;
      const root = rootOf(coreutils.PageConfig.getOption("serverRoot"), notebookPath, files);
      const path = contentsPath(root, file, files);
      return path && (() => app.commands.execute("docmanager:open", { path }));
    };

    const panel = makePanel(widgets, ui, {
      opening,
      use: (target) => current()?.use(target),
      watch: () => watch(),
      onVisible: (isVisible) => item.setOpen(isVisible),
    });
    const watch = () => {
      const isSeen = panel.widget.isVisible && document.visibilityState === "visible";
      if (isSeen && current()?.overview) current().watch();
    };
    const toggle = () => {
      if (panel.widget.isVisible) {
        app.shell.collapseRight();
        item.focus();
        return;
      }
      if (!panel.widget.isAttached) app.shell.add(panel.widget, "right", { rank: 700 });
      app.shell.activateById(panel.widget.id);
    };
    const item = makeItem(widgets, signaling, toggle);
    const refresh = () => {
      const overview = current()?.overview ?? null;
      const name = tracker.currentWidget?.title.label ?? "";
      item.show(overview);
      panel.show(overview, name);
    };

    const open = () => {
      if (!panel.widget.isVisible) toggle();
    };
    const notify = (panelOf, moved) => {
      const isCurrent = panelOf === tracker.currentWidget;
      const text = isCurrent ? moved.text : `${panelOf.title.label}: ${moved.text}`;
      const type = moved.is_loss ? "warning" : "info";
      const actions = isCurrent ? [{ label: "Show", callback: open }] : [];
      apputils.Notification.emit(text, type, { autoClose: 10_000, actions });
    };

    const follow = (panelOf) => {
      const badges = new Badges(panelOf);
      const entry = { badges, feed: null };
      shown.set(panelOf, entry);
      const onOverview = (feed, before) => {
        const { overview } = feed;
        badges.running(feed.runningCell, overview?.running?.target);
        const moved = newsOf(overview, before);
        if (moved) notify(panelOf, moved);
        if (panelOf === tracker.currentWidget) refresh();
        if (!before) watch();
      };
      const attach = () => {
        entry.feed?.dispose();
        const kernel = panelOf.sessionContext.session?.kernel;
        const { createMessage } = services.KernelMessage;
        const onReply = (cell, relay) => badges.ended(cell, relay);
        entry.feed = kernel ? new Feed(kernel, createMessage, onOverview, onReply) : null;
        if (panelOf === tracker.currentWidget) refresh();
      };
      panelOf.sessionContext.kernelChanged.connect(attach);
      panelOf.disposed.connect(() => {
        entry.feed?.dispose();
        shown.delete(panelOf);
        refresh();
      });
      attach();
    };

    tracker.forEach(follow);
    tracker.widgetAdded.connect((_, panelOf) => follow(panelOf));
    tracker.currentChanged.connect(() => {
      refresh();
      watch();
    });
    if (bar) {
      const { widget, isActive, activeStateChanged } = item;
      const options = { item: widget, isActive, activeStateChanged, rank: 1 };
      bar.registerStatusItem("relay-kernel:item", options);
    } else {
      app.shell.add(item.widget, "menu", { rank: RANK });
    }
    app.commands.addCommand(OPEN, {
      label: "Show or Hide Where Cells Run (Relay)",
      isEnabled: () => current()?.overview != null,
      execute: toggle,
    });
    palette?.addItem({ command: OPEN, category: "Kernel" });
    refresh();
  };

  const tokens = Object.entries({
    tracker: notebook?.INotebookTracker,
    bar: statusbar?.IStatusBar,
    palette: apputils?.ICommandPalette,
  }).filter(([, token]) => token);
  return {
    id: "relay-kernel:panel",
    description: "Shows where the cells of a notebook run, and lets a person choose.",
    autoStart: true,
    optional: tokens.map(([, token]) => token),
    activate: (app, ...given) =>
      activate(app, Object.fromEntries(tokens.map(([name], index) => [name, given[index]]))),
  };
};

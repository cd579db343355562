// What JupyterLab and Notebook load: a module-federation container, written by hand, so that no
// build is needed. All else are plain ES modules beside this file.
"use strict";
(() => {
  const base = document.currentScript.src;
  let scope = {};

  /** A module that the application shares; null where it has none of that name. */
  const shared = async (name) => {
    const found = Object.values(scope[name] ?? {});
    const chosen = found.find((each) => each.loaded) ?? found[0];
    return chosen ? (await chosen.get())() : null;
  };

  const get = async () => {
    const [kernels, relay] = await Promise.all(
      ["kernels.js", "plugin.js"].map((name) => import(new URL(name, base))),
    );
    const plugins = [kernels.plugin, await relay.plugin(shared, base)];
    const extension = { __esModule: true, default: plugins };
    return () => extension;
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["relay-kernel"] = { init: (given) => void (scope = given), get };
})();

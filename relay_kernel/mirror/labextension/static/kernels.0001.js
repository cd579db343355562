// An open launcher shows new kernels at once: JupyterLab itself asks for them once a minute.
//
// Written by hand as the container that JupyterLab loads, so no build is needed. Browsers keep
// this file: when it changes, it needs another name, here and in package.json.
"use strict";
(() => {
  const EVERY = 1500; // ms; no request is sent unless a launcher can be seen.

  const seen = () =>
    document.visibilityState === "visible" &&
    [...document.querySelectorAll(".jp-Launcher")].some((each) => each.offsetParent !== null);

  const activate = (app) => {
    let asking = false;
    const ask = async () => {
      if (asking || !seen()) return;
      asking = true;
      try {
        await app.serviceManager.kernelspecs.refreshSpecs();
      } catch {
        // The server is away: JupyterLab says so itself.
      } finally {
        asking = false;
      }
    };
    setInterval(ask, EVERY);
    document.addEventListener("visibilitychange", ask);
  };

  const plugin = { id: "relay-kernel:kernels", autoStart: true, activate };
  const extension = { __esModule: true, default: plugin };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["relay-kernel"] = {
    init: () => {},
    get: async () => () => extension,
  };
})();

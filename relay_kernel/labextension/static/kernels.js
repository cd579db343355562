// An open launcher shows new kernels at once: JupyterLab itself asks for them once a minute.

const EVERY = 1500; // ms; no request is sent unless a launcher can be seen.

const isSeen = () =>
  document.visibilityState === "visible" &&
  [...document.querySelectorAll(".jp-Launcher")].some((each) => each.offsetParent !== null);

const activate = (app) => {
  let asking = false;
  const ask = async () => {
    if (asking || !isSeen()) return;
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

export const plugin = { id: "relay-kernel:kernels", autoStart: true, activate };

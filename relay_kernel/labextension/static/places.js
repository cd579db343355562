// Where Jupyter has the files that R names. Nothing here touches the page.

const below = (path, root) => {
  const start = root.endsWith("/") ? root : `${root}/`;
  return path.startsWith(start) ? path.slice(start.length) : null;
};

/**
 * The folder that Jupyter shows, in full; null where it cannot be told.
 *
 * JupyterLab says it. Notebook does not: there it is told by where the notebook lies, which both R
 * and Jupyter know, each in its way.
 */
export const rootOf = (serverRoot, notebook, { home, folder }) => {
  if (serverRoot) return serverRoot.replace(/^~(?=\/|$)/, home);
  const inside = notebook.split("/").slice(0, -1).join("/");
  if (!inside) return folder;
  return folder.endsWith(`/${inside}`) ? folder.slice(0, -inside.length - 1) || "/" : null;
};

/** A file's path for Jupyter; null where it is not below its folder, and so cannot be opened. */
export const contentsPath = (root, path, { home }) =>
  root === null || !home ? null : below(`${home}/${path}`, root);

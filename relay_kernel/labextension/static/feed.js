// What one kernel says over its `relay` comm: see relay_kernel/core/overview.py for the fields.

const COMM = "relay";
const VERSION = 1;
const GONE = new Set(["restarting", "autorestarting", "dead", "terminating"]);

/**
 * The kernel of one notebook, as the page is connected to it. `overview` is null for as long as it
 * is not known, and for ever where the kernel is none of ours.
 *
 * The comm with the id `relay` is always open, so nothing is left behind by a page that goes. Its
 * messages are sent as they are: a comm object of JupyterLab's would start a subshell for it.
 */
export class Feed {
  #kernel;
  #createMessage;
  #asking = false;
  #isOther = false;
  #onOverview;
  #onReply;
  #cells = new Map();

  /**
   * @param kernel the connection.
   * @param createMessage of `KernelMessage` in `@jupyterlab/services`.
   * @param onOverview called with this feed, and the overview before, whenever there is another.
   * @param onReply called with the id of a cell and the `metadata.relay` of its reply.
   */
  constructor(kernel, createMessage, onOverview, onReply) {
    this.#kernel = kernel;
    this.#createMessage = createMessage;
    this.#onOverview = onOverview;
    this.#onReply = onReply;
    this.overview = null;
    kernel.iopubMessage.connect(this.#onIopub, this);
    kernel.anyMessage.connect(this.#onAny, this);
    kernel.statusChanged.connect(this.#onStatus, this);
    kernel.connectionStatusChanged.connect(this.#onConnection, this);
    this.#ask();
  }

  dispose() {
    const kernel = this.#kernel;
    kernel.iopubMessage.disconnect(this.#onIopub, this);
    kernel.anyMessage.disconnect(this.#onAny, this);
    kernel.statusChanged.disconnect(this.#onStatus, this);
    kernel.connectionStatusChanged.disconnect(this.#onConnection, this);
    this.#take(null);
  }

  /** Run cells at a target from the next one on, or `"auto"`. */
  use(target) {
    return this.#send({ do: "use", target });
  }

  /** Be told for 30 s how busy the machines are. */
  watch() {
    return this.#send({ do: "watch" });
  }

  /** The id of the cell that runs, if this page has sent it. */
  get runningCell() {
    const running = this.overview?.running;
    return running ? this.#cells.get(running.message) : undefined;
  }

  /** Whether the kernel has such a comm, and then how it is. A kernel of others just says no. */
  async #ask() {
    if (this.#asking || this.#isOther || this.#kernel.isDisposed) return;
    this.#asking = true;
    try {
      const reply = await this.#kernel.requestCommInfo({ target_name: COMM });
      if (reply.content.comms?.[COMM]) this.#send({ do: "look" });
      else this.#isOther = true;
    } catch {
      // It ended, or was restarted, before it answered: its next status is a reason to ask again.
    } finally {
      this.#asking = false;
    }
  }

  async #send(data) {
    const kernel = this.#kernel;
    if (kernel.isDisposed || kernel.status === "dead") return;
    const message = this.#createMessage({
      msgType: "comm_msg",
      channel: "shell",
      username: kernel.username,
      session: kernel.clientId,
      content: { comm_id: COMM, data },
    });
    try {
      await kernel.sendShellMessage(message, false, true).done;
    } catch {
      // As above.
    }
  }

  #take(overview) {
    const before = this.overview;
    this.overview = overview;
    if (before !== overview) this.#onOverview(this, before);
  }

  #onIopub(_, message) {
    const { header, content } = message;
    if (header.msg_type !== "comm_msg" || content.comm_id !== COMM) return;
    if (content.data.error) console.warn(`relay-kernel: ${content.data.error}`);
    else if (content.data.version === VERSION) this.#take(content.data);
  }

  #onAny(_, { msg: message, direction }) {
    const { header, metadata } = message;
    if (direction === "send" && header.msg_type === "execute_request") {
      if (metadata?.cellId) this.#cells.set(header.msg_id, metadata.cellId);
    } else if (direction === "recv" && header.msg_type === "execute_reply") {
      const asked = message.parent_header.msg_id;
      const cell = this.#cells.get(asked);
      this.#cells.delete(asked);
      if (cell && metadata?.relay) this.#onReply(cell, metadata.relay);
    }
  }

  #onStatus(_, status) {
    if (GONE.has(status)) {
      this.#isOther = false;
      this.#cells.clear();
      this.#take(null);
    } else if (this.overview === null) {
      this.#ask();
    }
  }

  #onConnection(_, status) {
    if (status === "connected") this.#ask();
  }
}

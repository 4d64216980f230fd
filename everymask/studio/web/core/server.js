// Talking to the server: requests with one error type, and the live channel.

export const TAB = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);

/** What the server refused, with its status: 409 says that somebody else was first. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON, or as it is if it is a Blob
 * @returns {Promise<any>}
 */
export async function request(method, path, body) {
  const raw = body instanceof Blob;
  const answer = await fetch(path, {
    method,
    headers: { "X-Tab": TAB, ...(body !== undefined && !raw ? { "Content-Type": "application/json" } : {}) },
    body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
  });
  const content = answer.headers.get("content-type")?.includes("json") ? await answer.json() : null;
  if (!answer.ok) throw new Refused(answer.status, messageOf(content) ?? `the server answered ${answer.status}`);
  return content;
}

/** @param {any} content */
function messageOf(content) {
  if (content?.error) return String(content.error);
  const first = content?.detail?.[0];
  return first ? `${first.loc?.slice(1).join(" ")}: ${first.msg}` : null;
}

/** The live channel; opens again by itself when the server comes back. */
export class Live {
  /**
   * @param {(event: any) => void} hear
   * @param {(online: boolean) => void} connection
   */
  constructor(hear, connection) {
    this.hear = hear;
    this.connection = connection;
    this.wait = 250;
    this.open();
  }

  open() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
    this.socket = socket;
    socket.onopen = () => {
      this.wait = 250;
      this.connection(true);
    };
    socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    socket.onclose = () => {
      this.connection(false);
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(4000, this.wait * 2);
    };
  }

  /** @param {object} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}

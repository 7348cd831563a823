// Pass: what lets a viewer watch one stream, renewed before it ends.

// A token is renewed when this share of its life has passed, or what is left would be
// less than this time. A renewal that failed is tried again. Milliseconds.
const renewAfter = 0.75;
const leastLeft = 60_000;
const retryInterval = 5_000;

// The path of everything on an edge: /live/<token>/<stream>/…
const tokenPath = /\/live\/([^/]+)\//;

export class Pass {
  renewals = 0;
  #url;
  #token = '';
  #timer = 0;
  #ended = false;

  // url is an entry URL, or a playlist on an edge: its token cannot be renewed.
  constructor(url) {
    this.#url = url;
  }

  // Gives the playlist to open.
  async get() {
    if (tokenPath.test(new URL(this.#url).pathname)) return this.#url;
    const playlist = await this.#ask();
    this.#keep(playlist);
    return playlist;
  }

  // What was to be fetched with the first token is fetched with the newest: players
  // know only the addresses that they began with.
  renewed(url) {
    return this.#token ? url.replace(tokenPath, `/live/${this.#token}/`) : url;
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  // The control plane answers by a redirect to an edge, which fetch follows.
  async #ask() {
    const answer = await fetch(this.#url, { cache: 'no-store' });
    if (!answer.ok) throw new Error(`HTTP ${answer.status} ${(await answer.text()).trim()}`);
    answer.body?.cancel();
    return answer.url;
  }

  #keep(playlist) {
    this.#token = tokenPath.exec(new URL(playlist).pathname)?.[1] ?? '';
    // Its second part is the last second in which it is good.
    const left = Number(this.#token.split(':')[1]) * 1000 - Date.now();
    this.#renewIn(Math.min(left * renewAfter, Math.max(left - leastLeft, left / 2)));
  }

  #renewIn(time) {
    if (this.#ended || !Number.isFinite(time)) return;
    // Longer than this and a browser's timers fire at once.
    this.#timer = setTimeout(() => this.#renew(), Math.min(Math.max(time, 1000), 2 ** 31 - 1));
  }

  // Who is refused, or meets nobody, goes on with what there is.
  async #renew() {
    try {
      const playlist = await this.#ask();
      if (this.#ended) return;
      this.renewals++;
      this.#keep(playlist);
    } catch {
      this.#renewIn(retryInterval);
    }
  }
}

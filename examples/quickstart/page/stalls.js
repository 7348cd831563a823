// Stalls: the times at which playback stood still although it should have gone on.

// A picture that stands for less than this is not seen as a stall. Milliseconds.
const threshold = 300;

export class Stalls {
  // Each is {at: Date, time: seconds on the media clock, seconds: how long; null
  // while it lasts}.
  events = [];
  #played = false; // the browser has said that playback begins
  #started = false; // and the clock has gone on since
  #time = 0;
  #looked = performance.now();
  #moved = 0;

  constructor(video) {
    this.video = video;
    // What comes between a start, or the end of a pause, and the first picture is
    // no stall.
    video.addEventListener('play', () => { this.#played = this.#started = false; });
    video.addEventListener('playing', () => { this.#played = true; });
  }

  // Forgets everything, for another stream.
  reset() {
    this.events = [];
    this.#played = this.#started = false;
  }

  get lasting() {
    return this.events.at(-1)?.seconds === null;
  }

  // Looks at the clock. To be called several times a second.
  look() {
    const now = performance.now();
    if (this.video.paused || this.#goesOn(now)) {
      if (this.lasting) this.events.at(-1).seconds = (now - this.#moved) / 1000;
      this.#started = this.#played;
      this.#moved = now;
    } else if (this.#started && !this.lasting && now - this.#moved > threshold) {
      this.events.push({ at: new Date(Date.now() - (now - this.#moved)), time: this.#time, seconds: null });
    }
    this.#time = this.video.currentTime;
    this.#looked = now;
  }

  // A clock that runs, not one that jumped: a player that is stuck seeks.
  #goesOn(now) {
    const advance = this.video.currentTime - this.#time;
    return advance > 0 && advance < (now - this.#looked) / 1000 + 1;
  }
}

// Opens the player page in headless Chromium, plays a stream, and prints what
// happened as one line of JSON.
//
//   node play.mjs PAGE STREAM SECONDS [SCREENSHOT] [--switch]
//
// --switch asks hls.js for the lowest rung, the highest one and its own choice in
// turn, so that rungs are changed up and down. SECONDS end early when a line comes
// in on standard input.

import { chromium } from 'playwright-core';
import { createInterface } from 'node:readline';

const positional = process.argv.slice(2).filter((a) => !a.startsWith('--'));
const [pageURL, stream, seconds, screenshot] = positional;
const switches = process.argv.includes('--switch');

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--mute-audio',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--autoplay-policy=no-user-gesture-required',
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(pageURL);
  await page.getByRole('button', { name: stream, exact: true }).click();
  await page.waitForFunction((id) => {
    const s = window.headrace?.stats();
    return s && s.stream === id && s.playing && s.currentTime > 0;
  }, stream, { timeout: 30_000 });

  const begin = await page.evaluate(() => window.headrace.stats());
  const levels = new Set();
  const changes = [];
  let last = begin.level;
  const asked = [0, begin.levels.length - 1, -1];
  const end = Date.now() + Number(seconds) * 1000;
  let turn = 0;
  let nextSwitch = Date.now() + 10_000;
  let told = false;
  createInterface({ input: process.stdin }).on('line', () => { told = true; });
  console.error('playing');
  while (Date.now() < end && !told) {
    if (switches && Date.now() >= nextSwitch) {
      await page.evaluate((level) => { window.headrace.hls.nextLevel = level; }, asked[turn % asked.length]);
      turn += 1;
      nextSwitch += 15_000;
    }
    const s = await page.evaluate(() => window.headrace.stats());
    levels.add(s.level);
    if (s.level !== last) changes.push(s.level > last ? 'up' : 'down');
    last = s.level;
    await new Promise((done) => setTimeout(done, 250));
  }
  const stats = await page.evaluate(() => window.headrace.stats());
  if (screenshot) await page.screenshot({ path: screenshot });
  console.log(JSON.stringify({
    played: stats.currentTime - begin.currentTime, levels: [...levels], changes,
    stalls: stats.stalls, fatalErrors: stats.fatalErrors, errors: stats.errors,
    buffer: stats.buffer, latency: stats.latency, playing: stats.playing, droppedFrames: stats.droppedFrames, renewals: stats.renewals,
  }));
} finally {
  await browser.close();
}
process.exit(0);

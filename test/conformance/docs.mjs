// Opens the API's documentation in headless Chromium and prints what it shows, and
// whatever it asked of others, as one line of JSON.
//
//   node docs.mjs URL

import { chromium } from 'playwright-core';

const [url] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  const complaints = [], outside = [];
  page.on('console', (m) => { if (m.type() === 'error') complaints.push(m.text()); });
  page.on('pageerror', (e) => complaints.push(String(e)));
  page.on('request', (r) => { if (!r.url().startsWith(url + '/') && !r.url().startsWith('data:')) outside.push(r.url()); });
  await page.goto(url + '/docs');
  const tags = page.locator('.opblock-tag');
  await tags.first().waitFor({ timeout: 30_000 });
  await tags.first().click();
  await page.locator('.opblock').first().click();
  await page.locator('.opblock-body').first().waitFor({ timeout: 10_000 });
  console.log(JSON.stringify({ tags: await tags.count(), complaints, outside }));
} finally {
  await browser.close();
}

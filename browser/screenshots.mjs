// Pictures of the main pages, for docs/screenshots: `cargo xtask screenshots`.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { populated, secretPage } from './populated.mjs';

const folder = process.argv[2];
const MAIN = ['overview', 'endpoints', 'endpoint-new', 'endpoint-failing', 'deliveries', 'delivery', 'job-new', 'keys', 'audit'];

const { world, pages, state } = await populated();
try {
  await mkdir(folder, { recursive: true });
  for (const [width, height] of [[1280, 900], [390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await world.visitor({ viewport: { width, height }, colorScheme, storageState: state });
      const take = (name) => page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) });
      for (const name of MAIN) {
        await page.goto(pages[name]);
        await take(name);
      }
      await secretPage(page);
      await take('endpoint-secret');
      await page.context().close();
    }
  }
} finally {
  await world.end();
}

// Pictures of the main pages, for docs/screenshots: `cargo xtask screenshots`.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { populated, secretPage } from './populated.mjs';

const folder = process.argv[2];
const MAIN = ['overview', 'endpoints', 'endpoint-new', 'endpoint-failing', 'endpoint-authentication', 'deliveries', 'delivery', 'job-new', 'job-new-discard', 'keys', 'audit'];

const { world, pages, state } = await populated();
try {
  await mkdir(folder, { recursive: true });
  const looks = [[1280, 900], [390, 844]].flatMap(([width, height]) => ['light', 'dark'].map((colorScheme) => ({ width, height, colorScheme })));
  const each = async (look) => {
    for (const { width, height, colorScheme } of looks) {
      const page = await world.visitor({ viewport: { width, height }, colorScheme, storageState: state });
      await look(page, (name) => page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`) }));
      await page.context().close();
    }
  };
  await each(async (page, take) => {
    for (const name of MAIN) {
      await page.goto(pages[name]);
      await take(name);
    }
  });
  // Last, since each makes an endpoint.
  await each(async (page, take) => {
    await secretPage(page);
    await take('endpoint-secret');
  });
} finally {
  await world.end();
}

// The two libraries, from `node_modules` here or from where `NODE_PATH` says: `cargo xtask test` keeps them in `target`.

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

export const { chromium } = require('playwright-core');
export const axe = require('axe-core').source;

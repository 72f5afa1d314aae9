// rp2040js lies where tools/emulator put it, not beside these modules: RACKLET_RP2040JS says where.

import { pathToFileURL } from 'node:url';

const at = pathToFileURL(`${process.env.RACKLET_RP2040JS}/dist/esm/`);
export const { RP2040, GPIOPinState } = await import(new URL('index.js', at));

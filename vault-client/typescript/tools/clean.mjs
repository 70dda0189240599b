// Removes a folder of what was built, so that nothing old is shipped or tested.
import { rmSync } from 'node:fs';

for (const name of process.argv.slice(2)) {
  rmSync(new URL(`../${name}`, import.meta.url), { recursive: true, force: true });
}

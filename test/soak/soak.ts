// A siege of any length: bun soak.ts [minutes] [seed]. Prints how it goes once a minute, and ends with 1 if a rule was
// broken.
import { besiege, rulesBroken } from "./siege.ts";

const DEFAULT_MINUTES = 60;
const CROWD = 10_000;

const [, , given = String(DEFAULT_MINUTES), seed = String(Date.now())] = process.argv;
const minutes = Number(given);
if (!Number.isFinite(minutes) || minutes <= 0) {
  process.stderr.write("How many minutes? npm run soak -- 60\n");
  process.exit(2);
}
const begunAt = performance.now();
process.stdout.write(`Hostile clients for ${minutes} minutes, seed ${seed}.\n`);
const report = await besiege({
  seconds: minutes * 60,
  crowd: CROWD,
  seed,
  onProgress: (line) =>
    process.stdout.write(`${Math.round((performance.now() - begunAt) / 60_000)} min: ${line}\n`),
});
const { attacks, ...rest } = report;
for (const { name, attempts } of attacks) process.stdout.write(`${String(attempts).padStart(8)}  ${name}\n`);
process.stdout.write(`${JSON.stringify(rest, null, 2)}\n`);
const broken = rulesBroken(report);
for (const rule of broken) process.stdout.write(`BROKEN: ${rule}\n`);
process.stdout.write(broken.length === 0 ? "No rule was broken.\n" : `${broken.length} rules were broken.\n`);
process.exit(broken.length === 0 ? 0 : 1);

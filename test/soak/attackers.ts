// The hostile clients, in a process of their own: bun attackers.ts <JSON of the field>. Goes on until its standard
// input ends, then prints what each kind did as JSON.
import { seededRandom } from "../../src/rehearsal/credentials.ts";
import { ATTACKS, type Field } from "./attacks.ts";
import { type Client, open } from "./client.ts";

export interface AttackersOptions
  extends Pick<Field, "exchangePort" | "registrationPort" | "capabilityPaths" | "notification"> {
  readonly seed: string;
  /** Connections that are opened and left alone, again and again. */
  readonly crowd: number;
}

export interface AttackResult {
  readonly name: string;
  readonly attempts: number;
  /** What was wrong, and how often. */
  readonly broken: Readonly<Record<string, number>>;
}

// Connections of the crowd a second. More than the kernel's queue holds at once would delay others by a lost packet,
// which is the network's matter.
const CROWD_PER_SECOND = 1000;
const CROWD_ADDRESSES = 100;
// From one crowd to the next.
const CROWD_EVERY_MS = 90_000;

const options = JSON.parse(process.argv[2] ?? "") as AttackersOptions;
const bytes = seededRandom(options.seed);
let isOver = false;
const field: Field = {
  ...options,
  random: () => bytes(4).readUInt32BE() / 2 ** 32,
  isOver: () => isOver,
};

async function keepAttacking(attack: (typeof ATTACKS)[number]): Promise<AttackResult> {
  let attempts = 0;
  const broken: Record<string, number> = {};
  await Promise.all(
    Array.from({ length: attack.workers }, async () => {
      while (!isOver) {
        attempts += 1;
        try {
          await attack.attempt(field);
        } catch (error) {
          const what = error instanceof Error ? error.message : String(error);
          broken[what] = (broken[what] ?? 0) + 1;
        }
        await Bun.sleep(attack.restMs * (0.5 + Math.random()));
      }
    }),
  );
  return { name: attack.name, attempts, broken };
}

/** Opens connections one after another and keeps all that the listener keeps. */
async function crowd(): Promise<AttackResult> {
  const clients = new Set<Client>();
  let attempts = 0;
  let wanted = options.crowd;
  let nextAt = performance.now() + CROWD_EVERY_MS;
  while (!isOver) {
    if (performance.now() > nextAt) {
      wanted += options.crowd;
      nextAt += CROWD_EVERY_MS;
    }
    if (attempts < wanted) {
      for (let n = 0; n < CROWD_PER_SECOND / 20; n += 1) {
        attempts += 1;
        const port = attempts % 4 === 0 ? options.registrationPort : options.exchangePort;
        const target = { port, tls: false, from: `127.0.1.${1 + (attempts % CROWD_ADDRESSES)}` };
        void open(target).then((client) => {
          clients.add(client);
          void client.end.then(() => clients.delete(client));
        });
      }
    }
    await Bun.sleep(50);
  }
  for (const client of clients) client.socket.destroy();
  return { name: "a crowd of connections", attempts, broken: {} };
}

const work = [...ATTACKS.map(keepAttacking), crowd()];
process.stdout.write("begun\n");
for await (const _ of process.stdin);
isOver = true;
process.stdout.write(`${JSON.stringify(await Promise.all(work))}\n`);
process.exit(0);

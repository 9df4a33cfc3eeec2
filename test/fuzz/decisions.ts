// Decides on one POST in many situations, which the bytes themselves choose, and checks what no decision may do.
import { type Decision, decide, type Posted } from "../../src/exchange/decide.ts";
import type { Heard, HeardEvents } from "../../src/exchange/meaning.ts";
import type { Folder, FolderKind, RegistrationState } from "../../src/store/types.ts";
import { UNHEARD } from "../../src/store/unheard.ts";
import { type Pick, seededPick } from "./mutate.ts";

const SITUATIONS = 12;
const GENERATION = 1_760_000_000_000;
const NOW = GENERATION + 3_600_000;
const KINDS: readonly FolderKind[] = ["inbox", "calendar", "other"];
const OTHER = Buffer.alloc(16, 9);

/**
 * Decides in some situations and, where something was heard, once more after that.
 * @param heard null stands for a body that cannot be used
 * @throws if a decision breaks a rule
 */
export function decideAll(heard: readonly Heard[] | null, bytes: Buffer): void {
  const pick = seededPick(bytes.toString("latin1"));
  for (let situation = 0; situation < SITUATIONS; situation += 1) {
    const posted = choosePosted(heard, pick);
    const state = chooseState(heard, posted, pick);
    const decision = decide(state, posted);
    check(state, posted, decision);
    checkRepetition(state, posted, decision);
  }
}

function choosePosted(heard: readonly Heard[] | null, pick: Pick): Posted {
  const folder = KINDS[pick(3)] ?? "inbox";
  const rings = pick(8) > 0;
  return {
    capability: { registrationId: "00000000-0000-4000-8000-000000000001", folder, generation: GENERATION },
    heard,
    nowMs: NOW,
    mayEnd: pick(4) > 0,
    mayAsk: pick(3) > 0,
    rings: () => rings,
  };
}

/** A stored state whose keyed hashes are mostly those that the POST names. */
function chooseState(heard: readonly Heard[] | null, { capability }: Posted, pick: Pick): RegistrationState {
  const events = heard?.find((message) => message.kind === "events");
  const oneOf = <T>(...choices: readonly [T, ...T[]]): T => choices[pick(choices.length)] ?? choices[0];
  const near = () => GENERATION + pick(3) - 1;
  const folder: Folder = {
    ...UNHEARD,
    name: capability.folder,
    kind: oneOf(...(KINDS as [FolderKind, ...FolderKind[]])),
    generation: near(),
    boundGeneration: oneOf(0, near(), GENERATION),
    endedGeneration: oneOf(0, 0, 0, near()),
    subscriptionMac: oneOf(null, OTHER, events?.subscriptionMac ?? OTHER),
    watermarkMac: oneOf(null, OTHER, events?.previousWatermarkMac ?? null, events?.lastWatermarkMac ?? null),
    serverMac: oneOf(null, OTHER, events?.serverMac ?? null),
    folderMac: oneOf(null, OTHER, events?.newItemFolderMac ?? null, events?.counts[0]?.folderMac ?? null),
    folderLearnt: pick(2) === 0,
    lastHeardAt: oneOf(null, NOW - 60_000),
    failedAt: oneOf(null, NOW - 1),
    silentAt: oneOf(null, NOW - 1),
    asks: pick(20),
    askedAt: oneOf(null, NOW - pick(100_000_000)),
    statusFrequencyMinutes: 1 + pick(1440),
  };
  const folders = pick(6) === 0 ? [] : [folder];
  switch (pick(8)) {
    case 0:
      return pick(2) === 0 ? { kind: "missing" } : { kind: "missing", folders };
    case 1:
      return { kind: "deleted", at: NOW - 1 };
    default:
      return {
        kind: "present",
        registration: registration(near()),
        folders,
        dead: oneOf("no", "no", "stopped", "ended"),
      };
  }
}

function registration(revision: number) {
  return {
    id: "00000000-0000-4000-8000-000000000001",
    app: "com.example.mail",
    platform: "apns" as const,
    tokenMac: OTHER,
    secretHash: OTHER,
    subjectMac: null,
    revision,
    locale: null,
    createdAt: GENERATION,
    renewedAt: GENERATION,
  };
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function check(
  state: RegistrationState,
  { heard, mayEnd, capability, rings }: Posted,
  { change, result }: Decision,
): void {
  if (result.answer === "unsubscribe") {
    must(mayEnd, "ended while nothing may be ended");
    must(heard !== null, "ended for a body that cannot be used");
    must(state.kind !== "missing", "ended for lack of data");
    must(result.durable, "ended without an acknowledged write");
  }
  if (state.kind === "deleted") must(change === undefined, "something is written under a spent id");
  must(
    change?.registration === undefined && change?.delete === undefined,
    "a POST changed the registration itself",
  );
  for (const folder of change?.folders ?? [])
    must(folder.name === capability.folder, "another folder was changed");
  const counts = (heard ?? []).flatMap((message) => (message.kind === "events" ? message.counts : []));
  const { badge } = change ?? {};
  if (badge !== undefined)
    must(
      counts.some(({ count }) => count === badge.count),
      "a badge that the POST does not have",
    );
  if (state.kind === "present" && !rings(state.registration.app, "inbox")) {
    must(
      badge === undefined && change?.reasons === undefined,
      "a phone is rung for what its app does not want",
    );
  }
  if (result.metric === "heartbeat") must(change?.reasons === undefined, "a heartbeat rings");
  if (change?.lazy === true)
    must(badge === undefined && change.reasons === undefined, "a ring waits for a later commit");
}

/** The same body again, its answer having been lost, rings at most once. */
function checkRepetition(state: RegistrationState, posted: Posted, { change, result }: Decision): void {
  const [only, ...more] = posted.heard ?? [];
  const [folder] = change?.folders ?? [];
  if (only === undefined || more.length > 0 || !isNamed(only) || folder === undefined) return;
  if (result.answer !== "ok" || state.kind !== "present") return;
  const again = decide({ ...state, folders: [folder] }, posted);
  must(
    again.change?.badge === undefined && again.change?.reasons === undefined,
    "a repeated body rings again",
  );
}

function isNamed(message: Heard): message is HeardEvents {
  return message.kind === "events" && message.lastWatermarkMac !== null;
}

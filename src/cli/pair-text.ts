// The screens of joining a pair, as text for a terminal. Pure.
import type { PlannedFile, WrittenFile } from "../pair/join-plan.ts";

/** What the first node shows while it waits. */
export function inviteText(facts: {
  readonly code: string;
  readonly node: string;
  readonly valid: string;
  /** Where this node's link is to be reached. */
  readonly link: string;
}): string {
  return [
    "On the second node run",
    "",
    "  inboxbell pair join",
    "",
    `and give it this code when it asks. It works once, for ${facts.valid}; whoever has it gets this node's keys.`,
    "",
    // In one line, however long: a prompt takes one, and terminals put a folded line together again.
    facts.code,
    "",
    `The second node will look for ${facts.node} at ${facts.link}; --address names another place.`,
    "Waiting. Ctrl-C withdraws the invitation.",
  ].join("\n");
}

/** What the first node shows once the second one has joined. */
export function joinedText(facts: {
  readonly node: string;
  readonly peer: string;
  readonly address: string;
  readonly written: readonly string[];
  readonly hasDatabase: boolean;
}): string {
  const { node, peer } = facts;
  const steps = [
    `here, on ${node}:   systemctl restart inboxbell`,
    // Two empty databases would wait for each other.
    ...(facts.hasDatabase ? [] : [`here, on ${node}:   inboxbell pair first   (it has no database yet)`]),
    `then on ${peer}:   systemctl restart inboxbell`,
    "on either:   inboxbell pair status   (until it says that the pair is protected)",
  ];
  return [
    `${peer} has joined; its link is looked for at ${facts.address}.`,
    ...(facts.written.length === 0 ? ["Nothing had to be written here."] : ["Written here:"]),
    ...facts.written.map((path) => `  ${path}`),
    "Next:",
    ...steps.map((step, index) => `  ${index + 1}. ${step}`),
  ].join("\n");
}

/** What the second node is about to write. */
export function planText(facts: {
  readonly first: string;
  readonly node: string;
  /** Where the first node will look for this one. */
  readonly address: string;
  readonly files: readonly Pick<PlannedFile, "path" | "state" | "what">[];
  readonly own: readonly string[];
  readonly notes: readonly string[];
}): string {
  const words = { new: "new", changed: "CHANGED", same: "same" } as const;
  const width = Math.max(...facts.files.map(({ path }) => path.length));
  const isChanged = facts.files.some(({ state }) => state === "changed");
  return [
    `${facts.first} hands this over to ${facts.node}, and will look for its link at ${facts.address}:`,
    ...facts.files.map(
      ({ path, state, what }) => `  ${words[state].padEnd(8)} ${path.padEnd(width)}  ${what}`,
    ),
    ...(isChanged ? ["What is changed is kept beside it, with .before-join at the end of its name."] : []),
    "The configuration is that of the first node, but for:",
    ...facts.own.map((line) => `  ${line}`),
    ...facts.notes.map((note) => `Note: ${note}`),
  ].join("\n");
}

/** What the second node has written. */
export function writtenText(facts: {
  readonly written: readonly WrittenFile[];
  readonly first: string;
  readonly node: string;
}): string {
  return [
    ...facts.written.map(
      ({ path, aside }) => `wrote ${path}${aside === null ? "" : `   (before: ${aside})`}`,
    ),
    `${facts.node} has joined ${facts.first}.`,
    "Next:",
    `  1. on ${facts.first}:   systemctl restart inboxbell   (its screen says more)`,
    `  2. then here, on ${facts.node}:   systemctl restart inboxbell`,
    "  3. on either:   inboxbell pair status   (until it says that the pair is protected)",
  ].join("\n");
}
